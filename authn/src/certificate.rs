//! Certificates and keys in files: read, distinguished, checked before a peer finds out; and whom a
//! peer's certificate names.
//!
//! It owns the messages about them. Whom to trust in a handshake is decided by rustls.

pub mod chain;
pub mod expiry;
pub mod identity;
pub mod material;
pub(crate) mod pem;
pub(crate) mod public_key;
pub(crate) mod subject;
pub(crate) mod x509;
