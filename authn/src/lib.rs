//! Who is calling, and what they may do.
//!
//! This crate owns the security profiles, access tokens (JWT and JWKS), client credentials,
//! certificates, TLS configuration and the one authorization decision. It is pure: bytes and
//! `now` (unix seconds) go in, values come out. It opens no file and no socket and reads no clock;
//! the only thing it takes from outside is randomness, where keys and secrets are made.
//!
//! ```text
//!   profile -> tls (from material, pki)      one rustls configuration per profile
//!   bytes of a token -> jwt::verify | cache  -> Access      who the token speaks for
//!   bytes of a certificate -> identity       -> Identity    who the connection speaks for
//!   Access + Identity -> policy::authorize   -> Permit      the proof that a handler demands
//!   Permit                                   -> Owner       in whose name something is kept
//! ```
#![forbid(unsafe_code)]

mod certificate;
mod json;
mod provider;
mod token;

pub mod error;
pub mod grant;
pub mod owner;
pub mod pki;
pub mod policy;
pub mod prf;
pub mod profile;
pub mod scope;
pub mod tls;

pub use certificate::identity::Identity;
pub use certificate::{chain, expiry, identity, material};
pub use error::{Denied, Error, TokenError};
pub use owner::{Owner, OwnerKey};
pub use policy::{
    Callers, ClientCertificates, Credentials, OwnerRule, Permit, Presented, Route, authorize,
};
pub use prf::Prf;
pub use profile::{Profile, TokenCheck, Transport};
pub use scope::{Scope, ScopeSet};
pub use token::algorithm::Algorithm;
pub use token::cache::TokenCache;
pub use token::jwks::KeySet;
pub use token::jwt::{Access, Expected, NewClaims, Signer, Verifier};
pub use token::{cache, jwks, jwt};
