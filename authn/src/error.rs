//! What can be wrong, and what to answer.
//!
//! Three kinds, by who must act: [`TokenError`] says what is wrong with a token, [`Denied`] is a
//! refused request and knows its status and challenge (RFC 6750), [`Error`] is key material or
//! configuration that an operator must fix. None of them ever holds a secret, a token or a piece
//! of one.

mod denied;
mod reason;
mod token;

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;

pub use denied::Denied;
pub use reason::Reason;
pub use token::TokenError;

pub(crate) use denied::quotable;

/// Key material or configuration that cannot be used, and what to do about it. The caller knows the
/// name of the file and puts it before the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The text has no certificate.
    NoCertificate,
    /// The text has no private key.
    NoKey,
    /// The text has more than one private key.
    ManyKeys,
    /// The text has no certificate revocation list.
    NoRevocationList,
    /// The private key is encrypted.
    EncryptedKey,
    /// A PEM block is damaged; the text says how.
    Pem(String),
    /// A certificate cannot be read.
    Certificate,
    /// The private key cannot be read or is of a kind that is not supported.
    Key,
    /// The private key is of this kind, which is not supported.
    KeyKind(String),
    /// The file holds something else; the text says how to get at what is wanted.
    OtherContent(&'static str),
    /// A certificate that is needed beside the first is not valid now; the text says which.
    Chain(String),
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// The certificate was not issued by an authority that was given.
    OtherAuthority,
    /// The certificate has ended, at this unix second.
    Expired(u64),
    /// The certificate has not begun; it does at this unix second.
    NotYetValid(u64),
    /// The profile needs a server certificate and none was given.
    ServerCertificateNeeded,
    /// Mutual TLS needs the certificates of the client authority and none were given.
    ClientAuthorityNeeded,
    /// Mutual TLS needs a client certificate and none was given.
    ClientCertificateNeeded,
    /// TLS needs the certificates of the server's authority and none were given.
    RootsNeeded,
    /// A revocation list cannot be used; the text says why.
    RevocationList(Reason),
    /// The TLS library refuses the configuration; the text says why.
    Tls(Reason),
    /// A name for a certificate is not usable.
    Name(String),
    /// A certificate or list cannot be made; the text says why.
    Issue(Reason),
    /// The certificate is not an authority's, or not one that we can sign for.
    NotAnAuthority,
    /// The number of days of validity is out of range.
    Days,
    /// The signing key cannot be used with its algorithm.
    SigningKey(&'static str),
    /// An RSA key was to be made; only existing ones can be used.
    RsaNotMade,
    /// The source of randomness failed.
    Random,
    /// The key set is larger than its limit, in bytes or in keys.
    KeySetTooLarge,
    /// The key set is not JSON of the right shape; the text says where.
    KeySetSyntax(Reason),
    /// A key of the set cannot be used: its quoted `kid`, and what is wrong.
    KeySetKey(String, String),
    /// The key set has no key.
    KeySetEmpty,
    /// No key of the set can verify tokens here; the text says of each why.
    KeySetUnusable(String),
    /// The registry of clients is not JSON of the right shape; the text says where.
    Clients(String),
    /// The list of clients' certificates is not TOML of the right shape; the text says where.
    ClientCertificates(Reason),
    /// The response of an authorization server cannot be used.
    TokenResponse,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Error::NoCertificate => NO_CERTIFICATE,
            Error::NoKey => NO_KEY,
            Error::ManyKeys => "there is more than one private key in it; leave only one",
            Error::NoRevocationList => NO_REVOCATION_LIST,
            Error::EncryptedKey => ENCRYPTED_KEY,
            Error::Pem(why) => return write!(f, "the PEM text is damaged: {why}"),
            Error::Certificate => "a certificate in it cannot be read; make or export it again",
            Error::Key => return write!(f, "the private key cannot be used; {KEYS}"),
            Error::KeyKind(kind) => {
                return write!(f, "the private key is {kind}, which is not supported; {KEYS}");
            }
            Error::OtherContent(instead) => instead,
            Error::Chain(why) => return write!(f, "{why}; give one that is valid now"),
            Error::KeyMismatch => KEY_MISMATCH,
            Error::OtherAuthority => "the certificate was not issued by this authority",
            Error::Expired(at) => {
                return write!(f, "the certificate ended on {}; issue a new one", UtcDate(*at));
            }
            Error::NotYetValid(at) => {
                return write!(
                    f,
                    "the certificate begins on {}; correct the clock or issue a new one",
                    UtcDate(*at)
                );
            }
            Error::ServerCertificateNeeded => SERVER_CERTIFICATE_NEEDED,
            Error::ClientAuthorityNeeded => CLIENT_AUTHORITY_NEEDED,
            Error::ClientCertificateNeeded => CLIENT_CERTIFICATE_NEEDED,
            Error::RootsNeeded => ROOTS_NEEDED,
            Error::RevocationList(why) => {
                return write!(f, "the revocation list cannot be used: {why}; make a new one");
            }
            Error::Tls(why) => return write!(f, "TLS cannot be set up: {why}"),
            Error::Name(name) => {
                return write!(
                    f,
                    "{name:?} cannot be a name; use 1 to 64 of the characters a-z 0-9 - . _"
                );
            }
            Error::Issue(why) => return write!(f, "it cannot be issued: {why}"),
            Error::NotAnAuthority => NOT_AN_AUTHORITY,
            Error::Days => "the days of validity must be from 1 to 36500",
            Error::SigningKey(why) => return write!(f, "the signing key cannot be used: {why}"),
            Error::RsaNotMade => RSA_NOT_MADE,
            Error::Random => "the system's source of randomness failed; try again",
            Error::KeySetTooLarge => "the key set is larger than 64 KiB or has more than 32 keys",
            Error::KeySetSyntax(why) => return write!(f, "the key set cannot be read: {why}"),
            Error::KeySetKey(kid, why) => {
                return write!(f, "the key {kid} of the key set cannot be used: {why}");
            }
            Error::KeySetUnusable(why) => return write!(f, "{KEY_SET_UNUSABLE}: {why}"),
            Error::KeySetEmpty => KEY_SET_EMPTY,
            Error::TokenResponse => TOKEN_RESPONSE,
            Error::ClientCertificates(why) => {
                return write!(f, "the list of clients' certificates cannot be read: {why}");
            }
            Error::Clients(why) => return write!(f, "the list of clients cannot be read: {why}"),
        };
        f.write_str(sentence)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::RevocationList(why)
            | Error::Tls(why)
            | Error::Issue(why)
            | Error::ClientCertificates(why)
            | Error::KeySetSyntax(why) => why.cause(),
            _ => None,
        }
    }
}

const NO_CERTIFICATE: &str = "\
    there is no certificate in it; give a PEM file with a block that begins with \
    -----BEGIN CERTIFICATE-----";
const NO_KEY: &str = "\
    there is no private key in it; give a PEM file with a block that begins with \
    -----BEGIN PRIVATE KEY-----";
const NO_REVOCATION_LIST: &str = "\
    there is no revocation list in it; give a PEM file with a block that begins with \
    -----BEGIN X509 CRL-----";
const ENCRYPTED_KEY: &str = "\
    the private key is encrypted; decrypt it with openssl pkey -in KEY -out PLAIN_KEY, give \
    PLAIN_KEY, and guard it by its mode";
const KEYS: &str = "\
    give an ECDSA P-256 or P-384, Ed25519 or RSA key of 2048 to 8192 bits";
const KEY_MISMATCH: &str = "\
    the private key does not belong to the certificate; give the pair that was made \
    together";
const SERVER_CERTIFICATE_NEEDED: &str =
    "this profile uses TLS; give the server's certificate and key";
const CLIENT_AUTHORITY_NEEDED: &str = "\
    this profile uses mutual TLS; give the certificate of the authority that signs client \
    certificates";
const CLIENT_CERTIFICATE_NEEDED: &str =
    "this profile uses mutual TLS; give a client certificate and its key";
const ROOTS_NEEDED: &str =
    "this profile uses TLS; give the certificate of the authority that signed the server's";
const NOT_AN_AUTHORITY: &str =
    "the certificate is not an authority's; give one with basic constraints CA:TRUE";
const RSA_NOT_MADE: &str = "\
    RSA keys are not made here; make one with openssl genpkey -algorithm RSA -pkeyopt \
    rsa_keygen_bits:2048 and import it";
const KEY_SET_EMPTY: &str =
    "the key set is empty; it needs a key with a kid for ES256, EdDSA or RS256";
const KEY_SET_UNUSABLE: &str =
    "no key of the key set can be used; it needs one with a kid for ES256, EdDSA or RS256";
const TOKEN_RESPONSE: &str =
    "the answer of the authorization server is not a bearer token's; check its URL";

/// A unix second as a date in words that sort: `2026-11-23T18:00:00Z`.
pub(crate) struct UtcDate(pub u64);

impl fmt::Display for UtcDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX));
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        write!(f, "{}Z", epoch.saturating_add(since_1970))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendars() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (second, text) in table {
            assert_eq!(UtcDate(second).to_string(), text);
        }
    }
}
