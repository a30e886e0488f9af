//! The signature algorithms of tokens and keys (RFC 7518, RFC 8037, RFC 9864).
//!
//! Owns their names. Refuses unsigned tokens and symmetric keys by having no name for them.

use std::fmt;

/// A signature algorithm. There is no `none` and no symmetric one: what verifies cannot sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
    #[default]
    Es256,
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3); keys are imported, never made.
    Rs256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

    /// The name in `alg` of what is made here.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
        }
    }

    /// Every name in `alg`. RFC 9864 section 2.2 names Ed25519 in full; RFC 8037's name, which
    /// leaves the curve to the key, is deprecated and common.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Algorithm::Es256 => &["ES256"],
            Algorithm::EdDsa => &["EdDSA", "Ed25519"],
            Algorithm::Rs256 => &["RS256"],
        }
    }

    /// Reads a name of `alg`; names are case-sensitive (RFC 7515 section 4.1.1).
    pub fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.names().contains(&name))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
