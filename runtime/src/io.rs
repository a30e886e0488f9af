//! Bytes of one connection: sockets, buffers, deadlines, and the stream that joins them with TLS.
//! It knows neither HTTP nor who reads and writes.

pub(crate) mod buffer;
pub(crate) mod deadline;
pub(crate) mod health;
pub(crate) mod inbox;
pub(crate) mod local;
#[cfg(feature = "memory")]
pub(crate) mod pipe;
pub(crate) mod rate;
pub(crate) mod socket;
pub(crate) mod stream;
