//! Security profiles: which transport, and what is done with the token.
//!
//! Owns the one table that servers, clients, tests and report labels iterate. All nine combinations
//! of the two axes can be run, because the factorial experiment needs them; six have names. An
//! unknown name is an error: a typing mistake must never choose a profile by default.

use std::fmt;
use std::str::FromStr;

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Plain TCP.
    Plain,
    /// TLS: the server proves who it is.
    Tls,
    /// Mutual TLS: the client proves who it is with a certificate as well.
    Mutual,
}

/// What is done with an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenCheck {
    /// The token is not looked at.
    Ignore,
    /// The token must be valid.
    Verify,
    /// The token must be valid and carry the scope of the route, and the caller must be one of
    /// the route's; under mutual TLS the token must be the caller's own, unless it forwards.
    VerifyScopes,
}

/// A security profile: one point of transport x token check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// How the bytes travel.
    pub transport: Transport,
    /// What is done with the token.
    pub token: TokenCheck,
}

/// Every profile with its label: the six that have names first.
const TABLE: [(&str, Profile); 9] = [
    ("S0", Profile::new(Transport::Plain, TokenCheck::Ignore)),
    ("S1", Profile::new(Transport::Tls, TokenCheck::Ignore)),
    ("S2", Profile::new(Transport::Tls, TokenCheck::Verify)),
    ("S3", Profile::new(Transport::Mutual, TokenCheck::Ignore)),
    ("S4", Profile::new(Transport::Mutual, TokenCheck::Verify)),
    ("S5", Profile::new(Transport::Mutual, TokenCheck::VerifyScopes)),
    ("plain+token", Profile::new(Transport::Plain, TokenCheck::Verify)),
    ("plain+scopes", Profile::new(Transport::Plain, TokenCheck::VerifyScopes)),
    ("tls+scopes", Profile::new(Transport::Tls, TokenCheck::VerifyScopes)),
];

impl Profile {
    /// All nine combinations, in the order of the table: S0 to S5, then the unnamed three.
    pub const ALL: [Profile; 9] = {
        let mut all = [TABLE[0].1; 9];
        let mut at = 0;
        while at < all.len() {
            all[at] = TABLE[at].1;
            at += 1;
        }
        all
    };

    /// The six named profiles.
    pub const NAMED: [(&'static str, Profile); 6] =
        [TABLE[0], TABLE[1], TABLE[2], TABLE[3], TABLE[4], TABLE[5]];

    /// The profile of this transport and this token check.
    pub const fn new(transport: Transport, token: TokenCheck) -> Profile {
        Profile { transport, token }
    }

    /// The label of this profile: `S0` to `S5`, or for the unnamed three the two axes, such as
    /// `tls+scopes`. [`Profile::parse`] reads every label.
    pub fn label(self) -> &'static str {
        TABLE
            .iter()
            .find(|(_, profile)| *profile == self)
            .map(|(label, _)| *label)
            .expect("the table holds every combination")
    }

    /// Reads a label, in any case.
    ///
    /// # Errors
    /// [`UnknownProfile`] for everything that is not in the table.
    pub fn parse(label: &str) -> Result<Profile, UnknownProfile> {
        TABLE
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(label))
            .map(|(_, profile)| *profile)
            .ok_or_else(|| UnknownProfile(label.into()))
    }

    /// Chooses the profile: the flag if given, else the environment's value (`SEC_PROFILE`) if
    /// given, else S2.
    ///
    /// # Errors
    /// [`UnknownProfile`] when the first that is given is not a label; an empty text is not one.
    pub fn choose(
        flag: Option<&str>,
        environment: Option<&str>,
    ) -> Result<Profile, UnknownProfile> {
        match flag.or(environment) {
            Some(label) => Profile::parse(label),
            None => Ok(Profile::default()),
        }
    }
}

/// S2: TLS with verified tokens.
impl Default for Profile {
    fn default() -> Profile {
        Profile::new(Transport::Tls, TokenCheck::Verify)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(label: &str) -> Result<Profile, UnknownProfile> {
        Profile::parse(label)
    }
}

/// A name that is no profile's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProfile(pub Box<str>);

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no security profile {:?}; use one of", self.0)?;
        for (at, (label, _)) in TABLE.iter().enumerate() {
            write!(f, "{}{label}", if at == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownProfile {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_each_combination_once() {
        for transport in [Transport::Plain, Transport::Tls, Transport::Mutual] {
            for token in [TokenCheck::Ignore, TokenCheck::Verify, TokenCheck::VerifyScopes] {
                let profile = Profile::new(transport, token);
                assert_eq!(Profile::ALL.iter().filter(|other| **other == profile).count(), 1);
                assert_eq!(Profile::parse(profile.label()), Ok(profile));
            }
        }
    }

    #[test]
    fn profile_names_match_the_threat_model() {
        let expected = [
            ("S0", Transport::Plain, TokenCheck::Ignore),
            ("S1", Transport::Tls, TokenCheck::Ignore),
            ("S2", Transport::Tls, TokenCheck::Verify),
            ("S3", Transport::Mutual, TokenCheck::Ignore),
            ("S4", Transport::Mutual, TokenCheck::Verify),
            ("S5", Transport::Mutual, TokenCheck::VerifyScopes),
        ];
        for ((label, profile), (name, transport, token)) in Profile::NAMED.iter().zip(expected) {
            assert_eq!((*label, profile.transport, profile.token), (name, transport, token));
        }
    }

    #[test]
    fn flag_then_environment_then_s2_and_never_a_guess() {
        let choose = |flag, environment| Profile::choose(flag, environment).map(Profile::label);
        assert_eq!(choose(Some("s5"), Some("S0")), Ok("S5"));
        assert_eq!(choose(None, Some("S0")), Ok("S0"));
        assert_eq!(choose(None, None), Ok("S2"));
        for wrong in ["", " S2", "S6", "S", "tls", "S02", "\u{ff33}2"] {
            assert_eq!(choose(Some(wrong), Some("S2")), Err(UnknownProfile(wrong.into())));
            assert_eq!(choose(None, Some(wrong)), Err(UnknownProfile(wrong.into())));
        }
        assert_eq!(
            UnknownProfile("S9".into()).to_string(),
            "there is no security profile \"S9\"; use one of S0, S1, S2, S3, S4, S5, plain+token, \
             plain+scopes, tls+scopes"
        );
    }
}
