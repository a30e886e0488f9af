//! A server: sockets that listen, connections, requests and their responses, and the end in good
//! order.

pub(crate) mod address_counts;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod launch;
pub(crate) mod listener;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod service;
pub(crate) mod shutdown;
pub(crate) mod wire;
