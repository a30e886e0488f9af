//! The life of a service: from its configuration to listeners, and to its end.
//!
//! `assemble` knows what each service is made of, `launch` makes its listeners, `serve` is the
//! order of it all, `started` a service that listens, `open_files` shares out the limit of files,
//! `all` puts every service into one process, `tables` lists their routes. It refuses to know what
//! a request is.

mod all;
mod assemble;
mod launch;
mod open_files;
pub(crate) mod serve;
pub(crate) mod started;
pub(crate) mod tables;
