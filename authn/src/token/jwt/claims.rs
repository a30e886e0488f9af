//! The JSON of tokens: header and claims as borrowed, typed structs.
//!
//! Owns the parsing rules that serde's defaults leave open: `null` is not an absent member, a
//! repeated member is an error, and a date is a number within range. Members that are not read
//! here are skipped without a look. Text is borrowed from the decoded segment unless JSON
//! escapes force a copy. Decides nothing: what the values must be is the verifier's business.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::scope::ScopeSet;

/// The protected header (RFC 7515 section 4), as far as it is read. `jwk`, `jku`, `x5c` and `x5u`
/// are not: a token does not choose its key.
#[derive(Deserialize)]
pub(crate) struct Header<'a> {
    #[serde(borrow)]
    pub alg: Text<'a>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub typ: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub kid: Option<Text<'a>>,
    /// Whether the member is there at all, whatever its value.
    #[serde(default, deserialize_with = "present")]
    pub crit: bool,
    /// The same of the one extension that a JWT must not use (RFC 7797 section 7), without `crit`
    /// too: another reader would take other bytes for the claims.
    #[serde(default, deserialize_with = "present")]
    pub b64: bool,
}

/// The claims of an access token (RFC 9068 section 2.2), as far as they are read. Each may be
/// absent here, so that a claim that is missing is told from one that is wrong.
#[derive(Deserialize)]
pub(crate) struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    pub iss: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub aud: Option<Audience<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub sub: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub client_id: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub jti: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "given")]
    pub scope: Option<Text<'a>>,
    #[serde(default, deserialize_with = "given")]
    pub exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "given")]
    pub iat: Option<NumericDate>,
    #[serde(default, deserialize_with = "given")]
    pub nbf: Option<NumericDate>,
}

/// The header of a token that is made here.
#[derive(Serialize)]
pub(crate) struct NewHeader<'a> {
    pub alg: &'a str,
    pub typ: &'a str,
    pub kid: &'a str,
}

/// The claims of a token that is made here, in the order of their members.
#[derive(Serialize)]
pub(crate) struct NewPayload<'a> {
    pub iss: &'a str,
    #[serde(serialize_with = "one_or_list")]
    pub aud: &'a [&'a str],
    pub sub: &'a str,
    pub client_id: &'a str,
    pub jti: &'a str,
    #[serde(serialize_with = "as_list")]
    pub scope: ScopeSet,
    pub iat: u64,
    pub exp: u64,
}

/// A string that borrows from the JSON text where that has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The last second that a date may name: the end of the year 9999, the last one that RFC 3339 can
/// write. Sums of dates and settings stay far from overflow.
const NUMERIC_DATE_MAX: u64 = 253_402_300_799;

/// Seconds since 1970 (RFC 7519 section 2): a JSON number from 0 to [`NUMERIC_DATE_MAX`]. A
/// fraction is cut off: `exp` never ends later than it says, and `iat` and `nbf` begin less than a
/// second early, within what a clock of whole seconds can tell.
#[derive(Clone, Copy)]
pub(crate) struct NumericDate(pub u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DateVisitor;
        impl Visitor<'_> for DateVisitor {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }

            fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
                if seconds > NUMERIC_DATE_MAX {
                    return Err(E::custom("the date is out of range"));
                }
                Ok(NumericDate(seconds))
            }

            fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
                // NaN is in no range. The cast saturates, and what is too large is refused below.
                if !(0.0..=f64::MAX).contains(&seconds) {
                    return Err(E::custom("the date is out of range"));
                }
                self.visit_u64(seconds as u64)
            }
        }
        deserializer.deserialize_any(DateVisitor)
    }
}

/// `aud`: one audience, or a list of them (RFC 7519 section 4.1.3). Only a list of two or more
/// allocates.
pub(crate) struct Audience<'a> {
    first: Text<'a>,
    rest: Vec<Text<'a>>,
}

impl Audience<'_> {
    /// Whether this audience is among them.
    pub(crate) fn names(&self, audience: &str) -> bool {
        &*self.first == audience || self.rest.iter().any(|other| &**other == audience)
    }

    /// The audience, where there is one and no other.
    pub(crate) fn only(&self) -> Option<&str> {
        self.rest.is_empty().then_some(&*self.first)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Audience<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;
        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an audience or a list of audiences")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Audience { first: Text(Cow::Borrowed(text)), rest: Vec::new() })
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Audience { first: Text(Cow::Owned(text.into())), rest: Vec::new() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let first =
                    list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let mut rest = Vec::new();
                while let Some(next) = list.next_element()? {
                    rest.push(next);
                }
                Ok(Audience { first, rest })
            }
        }
        deserializer.deserialize_any(AudienceVisitor)
    }
}

/// A member that may be absent, but not `null`.
pub(crate) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A member whose presence alone is of interest.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// `aud`: one alone is text (RFC 7519 section 4.1.3).
fn one_or_list<S: serde::Serializer>(all: &&[&str], serializer: S) -> Result<S::Ok, S::Error> {
    match all {
        [one] => serializer.serialize_str(one),
        many => many.serialize(serializer),
    }
}

fn as_list<S: serde::Serializer>(scopes: &ScopeSet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    const CLAIMS: &str = r#""iss":"i","sub":"s","exp":9,"iat":1,"client_id":"c","jti":"j""#;

    #[test]
    fn headers_are_read_or_refused() {
        let table: [(&str, bool); 14] = [
            (r#"{"alg":"ES256"}"#, true),
            (r#"{"alg":"\u0045S256","kid":"a","typ":"at+jwt"}"#, true),
            (r#"{"alg":"ES256","other":[{"alg":"x"}],"jwk":{}}"#, true),
            (r#"{"alg":"ES256","alg":"ES256"}"#, false),
            (r#"{"alg":"ES256","kid":"a","kid":"a"}"#, false),
            (r#"{"alg":"ES256","\u0061lg":"none"}"#, false),
            (r#"{"alg":null}"#, false),
            (r#"{"alg":"ES256","kid":null}"#, false),
            (r#"{"alg":"ES256","kid":7}"#, false),
            (r#"{"kid":"a"}"#, false),
            (r#"["ES256","at+jwt","a",true]"#, false),
            (r#"{"alg":"ES256"} {}"#, false),
            ("{\"alg\":\"ES\u{0}256\"}", false),
            ("", false),
        ];
        for (json, good) in table {
            assert_eq!(object::<Header<'_>>(json.as_bytes()).is_ok(), good, "{json}");
        }
        for crit in ["null", "[]", "[\"exp\"]", "false"] {
            let json = format!(r#"{{"alg":"ES256","crit":{crit}}}"#);
            assert!(object::<Header<'_>>(json.as_bytes()).unwrap().crit, "{json}");
            let json = json.replace("crit", "b64");
            assert!(object::<Header<'_>>(json.as_bytes()).unwrap().b64, "{json}");
        }
        assert!(object::<Header<'_>>(b"{\"alg\":\"\xff\"}").is_err());
    }

    #[test]
    fn claims_are_read_or_refused() {
        let table = [
            (r#""aud":"a""#, true),
            (r#""aud":["b","a"]"#, true),
            (r#""aud":"a","scope":"x","nbf":1.5,"azp":{}"#, true),
            (r#""nbf":1"#, true),
            (r#""aud":[]"#, false),
            (r#""aud":["a",7]"#, false),
            (r#""aud":{"a":1}"#, false),
            (r#""aud":null"#, false),
            (r#""aud":"a","aud":"a""#, false),
            (r#""aud":"a","iss":"i""#, false),
            (r#""aud":"a","exp":10"#, false),
            (r#""aud":"a","jti":"k""#, false),
            (r#""aud":"a","client_id":null"#, false),
            (r#""aud":"a","scope":["x"]"#, false),
            (r#""aud":"a","nbf":-1"#, false),
            (r#""aud":"a","nbf":"1""#, false),
            (r#""aud":"a","nbf":null"#, false),
            (r#""aud":"a","nbf":0"#, true),
            (r#""aud":"a","nbf":-0"#, true),
            (r#""aud":"a","nbf":1.7e9"#, true),
            (r#""aud":"a","nbf":253402300799"#, true),
            (r#""aud":"a","nbf":253402300799.9"#, true),
            (r#""aud":"a","nbf":253402300800"#, false),
            (r#""aud":"a","nbf":253402300800.0"#, false),
            (r#""aud":"a","nbf":-0.5"#, false),
            (r#""aud":"a","nbf":01"#, false),
            (r#""aud":"a","nbf":+1"#, false),
            (r#""aud":"a","nbf":0x1"#, false),
            (r#""aud":"a","nbf":NaN"#, false),
            (r#""aud":"a","nbf":Infinity"#, false),
            (r#""aud":"a","nbf":true"#, false),
            (r#""aud":"a","nbf":[1]"#, false),
            (r#""aud":"a","nbf":{"$serde_json::private::Number":"1"}"#, false),
            (r#""aud":"a","nbf":1e300"#, false),
            (r#""aud":"a","nbf":1e999"#, false),
            (r#""aud":"a","nbf":18446744073709551616"#, false),
            (r#""aud":"a","#, false),
        ];
        for (members, good) in table {
            let json = format!("{{{CLAIMS},{members}}}");
            assert_eq!(object::<Claims<'_>>(json.as_bytes()).is_ok(), good, "{json}");
        }
        let json = format!(r#"{{{CLAIMS},"aud":["x","\u0061"],"nbf":2.9}}"#);
        let claims = object::<Claims<'_>>(json.as_bytes()).unwrap();
        let aud = claims.aud.unwrap();
        assert!(aud.names("a") && aud.names("x") && !aud.names("b"));
        assert_eq!(claims.nbf.unwrap().0, 2);
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let json = r#"{"alg":"ES256","kid":"k"}"#;
        let header = object::<Header<'_>>(json.as_bytes()).unwrap();
        assert!(matches!(header.alg.0, Cow::Borrowed(_)));
        assert!(matches!(header.kid.unwrap().0, Cow::Borrowed(_)));
    }
}
