//! What can be wrong, and what to answer.
//!
//! Three kinds, by who must act: [`TokenError`] says what is wrong with a token, [`Denied`] is a
//! refused request and knows its status and challenge (RFC 6750), [`Error`] is key material or
//! configuration that an operator must mend. None of them ever holds a secret, a token or a piece
//! of one.

use std::fmt;

use crate::scope::Scope;

/// Why a token is not accepted. Its text is safe to send to the client: it tells nothing but what
/// the client can read in its own token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenError {
    /// Longer than [`crate::jwt::TOKEN_BYTES_MAX`].
    TooLong,
    /// Not three segments of base64url without padding, or not the credentials of one token.
    Malformed,
    /// The header is not a JSON object of the expected members, each at most once.
    Header,
    /// `typ` is not `at+jwt`.
    Type,
    /// `crit` is present; no extension is understood here.
    Critical,
    /// `kid` is missing.
    KeyIdMissing,
    /// No key of this `kid` is known: the key set may have to be fetched again.
    UnknownKey,
    /// `alg` is not the algorithm of the key.
    Algorithm,
    /// The signature is not the key's.
    Signature,
    /// The claims are not a JSON object of the expected members, each at most once.
    Claims,
    /// `iss` is another issuer.
    Issuer,
    /// `aud` does not name this service.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` has not come yet.
    NotYetValid,
}

impl TokenError {
    /// Every kind, for tables of counters.
    pub const ALL: [TokenError; 14] = [
        TokenError::TooLong,
        TokenError::Malformed,
        TokenError::Header,
        TokenError::Type,
        TokenError::Critical,
        TokenError::KeyIdMissing,
        TokenError::UnknownKey,
        TokenError::Algorithm,
        TokenError::Signature,
        TokenError::Claims,
        TokenError::Issuer,
        TokenError::Audience,
        TokenError::Expired,
        TokenError::NotYetValid,
    ];

    /// A word for metrics, such as `expired`.
    pub const fn label(self) -> &'static str {
        match self {
            TokenError::TooLong => "too_long",
            TokenError::Malformed => "malformed",
            TokenError::Header => "header",
            TokenError::Type => "type",
            TokenError::Critical => "critical",
            TokenError::KeyIdMissing => "key_id_missing",
            TokenError::UnknownKey => "unknown_key",
            TokenError::Algorithm => "algorithm",
            TokenError::Signature => "signature",
            TokenError::Claims => "claims",
            TokenError::Issuer => "issuer",
            TokenError::Audience => "audience",
            TokenError::Expired => "expired",
            TokenError::NotYetValid => "not_yet_valid",
        }
    }

    /// The sentence for `error_description`: printable ASCII without quote or backslash (RFC 6750
    /// section 3).
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenError::TooLong => "the token is longer than this service accepts",
            TokenError::Malformed => "the token is not three segments of unpadded base64url",
            TokenError::Header => "the token's header is not what an access token has",
            TokenError::Type => "the token's typ is not at+jwt; send an access token",
            TokenError::Critical => "the token demands an extension that is not supported",
            TokenError::KeyIdMissing => "the token does not name its key; kid is required",
            TokenError::UnknownKey => "the token was signed with a key that is not known here",
            TokenError::Algorithm => "the token's alg is not the algorithm of its key",
            TokenError::Signature => "the token's signature is not valid",
            TokenError::Claims => "the token's claims are not what an access token has",
            TokenError::Issuer => "the token comes from another issuer",
            TokenError::Audience => "the token is meant for another service",
            TokenError::Expired => "the token has expired; ask for a new one",
            TokenError::NotYetValid => "the token is not valid yet; compare the clocks",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for TokenError {}

/// A refused request: which status it gets, and which challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A token is needed and none was sent.
    TokenMissing,
    /// The token that was sent is not accepted.
    TokenRefused(TokenError),
    /// The token is valid, but lacks the scope of the route.
    ScopeMissing(Scope),
    /// The caller is known, but may not use the route.
    CallerRefused,
    /// Mutual TLS is demanded and the connection has no client certificate.
    CertificateMissing,
}

impl Denied {
    /// 401 when other credentials would help the same client, 403 when it is known and refused.
    pub const fn status(self) -> u16 {
        match self {
            Denied::TokenMissing | Denied::TokenRefused(_) => 401,
            Denied::ScopeMissing(_) | Denied::CallerRefused | Denied::CertificateMissing => 403,
        }
    }

    /// The sentence for the client.
    pub const fn reason(self) -> &'static str {
        match self {
            Denied::TokenMissing => "an access token is required; send Authorization: Bearer",
            Denied::TokenRefused(error) => error.as_str(),
            Denied::ScopeMissing(_) => "the token lacks the scope that this operation requires",
            Denied::CallerRefused => "this caller may not use this operation",
            Denied::CertificateMissing => "a client certificate is required",
        }
    }

    /// A word for metrics, such as `scope_missing`.
    pub const fn label(self) -> &'static str {
        match self {
            Denied::TokenMissing => "token_missing",
            Denied::TokenRefused(_) => "token_refused",
            Denied::ScopeMissing(_) => "scope_missing",
            Denied::CallerRefused => "caller_refused",
            Denied::CertificateMissing => "certificate_missing",
        }
    }

    /// The scope that was missing, if that was it.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Denied::ScopeMissing(scope) => Some(scope),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3). Characters of `realm` that cannot
    /// stand in a quoted string are left out.
    pub fn challenge(self, realm: &str) -> String {
        let mut value = String::with_capacity(128);
        value.push_str("Bearer realm=\"");
        value.extend(
            realm
                .chars()
                .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')),
        );
        value.push('"');
        match self {
            // A request without credentials gets no error code (RFC 6750 section 3.1). Nor does a
            // refusal that no other token would mend: the challenge then only names the scheme.
            Denied::TokenMissing | Denied::CallerRefused | Denied::CertificateMissing => {}
            Denied::TokenRefused(error) => {
                value.push_str(", error=\"invalid_token\", error_description=\"");
                value.push_str(error.as_str());
                value.push('"');
            }
            Denied::ScopeMissing(scope) => {
                value.push_str(", error=\"insufficient_scope\", scope=\"");
                value.push_str(scope.as_str());
                value.push('"');
            }
        }
        value
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Denied {}

impl From<TokenError> for Denied {
    fn from(error: TokenError) -> Denied {
        Denied::TokenRefused(error)
    }
}

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
    /// The private key does not belong to the certificate.
    KeyMismatch,
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
    RevocationList(String),
    /// The TLS library refuses the configuration; the text says why.
    Tls(String),
    /// A name for a certificate is not usable.
    Name(String),
    /// A certificate or list cannot be made; the text says why.
    Issue(String),
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
    KeySetSyntax(String),
    /// A key of the set cannot be used: its `kid`, and what is wrong.
    KeySetKey(String, &'static str),
    /// No key of the set can verify tokens here.
    KeySetEmpty,
    /// The registry of clients is not JSON of the right shape; the text says where.
    Clients(String),
    /// The answer of an authorization server cannot be used.
    TokenResponse,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Error::NoCertificate => {
                "there is no certificate in it; give a PEM file with a block that begins with \
                 -----BEGIN CERTIFICATE-----"
            }
            Error::NoKey => {
                "there is no private key in it; give a PEM file with a block that begins with \
                 -----BEGIN PRIVATE KEY-----"
            }
            Error::ManyKeys => "there is more than one private key in it; leave only one",
            Error::NoRevocationList => {
                "there is no revocation list in it; give a PEM file with a block that begins with \
                 -----BEGIN X509 CRL-----"
            }
            Error::EncryptedKey => {
                "the private key is encrypted; decrypt it, for example with openssl pkcs8 -topk8 \
                 -nocrypt, and guard the file by its mode"
            }
            Error::Pem(why) => return write!(f, "the PEM text is damaged: {why}"),
            Error::Certificate => "a certificate in it cannot be read; make or export it again",
            Error::Key => {
                "the private key cannot be used; give an ECDSA P-256 or P-384, Ed25519 or RSA key \
                 of 2048 bits or more, in PKCS#8"
            }
            Error::KeyMismatch => {
                "the private key does not belong to the certificate; give the pair that was made \
                 together"
            }
            Error::Expired(at) => {
                return write!(f, "the certificate ended on {}; issue a new one", Date(*at));
            }
            Error::NotYetValid(at) => {
                return write!(
                    f,
                    "the certificate begins on {}; correct the clock or issue a new one",
                    Date(*at)
                );
            }
            Error::ServerCertificateNeeded => {
                "this profile uses TLS; give the server's certificate and key"
            }
            Error::ClientAuthorityNeeded => {
                "this profile uses mutual TLS; give the certificate of the authority that signs \
                 client certificates"
            }
            Error::ClientCertificateNeeded => {
                "this profile uses mutual TLS; give a client certificate and its key"
            }
            Error::RootsNeeded => {
                "this profile uses TLS; give the certificate of the authority that signed the \
                 server's"
            }
            Error::RevocationList(why) => {
                return write!(
                    f,
                    "the revocation list cannot be used: {why}; make a new one"
                );
            }
            Error::Tls(why) => return write!(f, "TLS cannot be set up: {why}"),
            Error::Name(name) => {
                return write!(
                    f,
                    "{name:?} cannot be a name; use 1 to 64 of the characters a-z 0-9 - . _"
                );
            }
            Error::Issue(why) => return write!(f, "it cannot be issued: {why}"),
            Error::NotAnAuthority => {
                "the certificate is not an authority's; give one with basic constraints \
                 CA:TRUE"
            }
            Error::Days => "the days of validity must be from 1 to 36500",
            Error::SigningKey(why) => return write!(f, "the signing key cannot be used: {why}"),
            Error::RsaNotMade => {
                "RSA keys are not made here; make one with openssl genpkey -algorithm RSA -pkeyopt \
                 rsa_keygen_bits:2048 and import it"
            }
            Error::Random => "the system's source of randomness failed; try again",
            Error::KeySetTooLarge => "the key set is larger than 64 KiB or has more than 32 keys",
            Error::KeySetSyntax(why) => return write!(f, "the key set cannot be read: {why}"),
            Error::KeySetKey(kid, why) => {
                return write!(f, "the key {kid:?} of the key set cannot be used: {why}");
            }
            Error::KeySetEmpty => {
                "no key of the key set can be used; it needs one with a kid for ES256, EdDSA or \
                 RS256"
            }
            Error::TokenResponse => {
                "the answer of the authorization server is not a bearer token's; check its URL"
            }
            Error::Clients(why) => return write!(f, "the list of clients cannot be read: {why}"),
        };
        f.write_str(sentence)
    }
}

impl std::error::Error for Error {}

/// What of a text can stand in a quoted string as it is (RFC 9110 section 5.6.4).
pub(crate) fn quotable(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
        .collect()
}

/// A unix second as a date in words that sort: `2026-11-23T18:00:00Z`.
struct Date(u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Howard Hinnant's civil_from_days, for days since 1970-03-01 minus 60.
        let days = self.0 / 86_400 + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let second = self.0 % 86_400;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_follow_rfc_6750() {
        let table = [
            (Denied::TokenMissing, 401, r#"Bearer realm="shop""#),
            (
                Denied::TokenRefused(TokenError::Expired),
                401,
                "Bearer realm=\"shop\", error=\"invalid_token\", \
                 error_description=\"the token has expired; ask for a new one\"",
            ),
            (
                Denied::ScopeMissing(Scope::OrdersWrite),
                403,
                r#"Bearer realm="shop", error="insufficient_scope", scope="orders.write""#,
            ),
            (Denied::CallerRefused, 403, r#"Bearer realm="shop""#),
            (Denied::CertificateMissing, 403, r#"Bearer realm="shop""#),
        ];
        for (denied, status, challenge) in table {
            assert_eq!(
                (denied.status(), denied.challenge("shop").as_str()),
                (status, challenge)
            );
        }
        assert_eq!(
            Denied::TokenMissing.challenge("a\"\\\r\nX-Evil: b"),
            "Bearer realm=\"aX-Evil: b\""
        );
    }

    #[test]
    fn descriptions_fit_a_quoted_string() {
        for error in TokenError::ALL {
            assert!(
                error
                    .as_str()
                    .bytes()
                    .all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\')
            );
        }
    }

    #[test]
    fn dates_are_the_calendars() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ];
        for (second, text) in table {
            assert_eq!(Date(second).to_string(), text);
        }
    }
}
