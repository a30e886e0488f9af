//! What a variant is within its cell: the identity by which layers, comparisons and thresholds find
//! it.
//!
//! A role is written `SUBJECT[-uncached|-cached][@OPTION..][-control]`, such as `s2-cached`,
//! `s0-control` or, where builds of tollgate are compared, `s2-cached@new` for that of the name
//! `new`. This is the only place that writes one or takes one apart. Names of older
//! records are read for ever: `first-sight` is `uncached`, `repeat` is `cached`, `again` is
//! `control`. It refuses nothing: a text that is no profile's is the name of a target.

use std::fmt;
use std::str::FromStr;

use authn::profile::Profile;

/// What a variant is within its cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Role {
    /// What is measured.
    pub subject: RoleSubject,
    /// Whether its tokens are found in the cache of verified ones; None where no token is verified.
    pub token: Option<TokenForm>,
    /// What sets it apart beside that, in order: an open set. Where builds of tollgate are
    /// compared, the first is the name of its build.
    pub options: Vec<RoleOption>,
    /// Whether it is the A/A control: the same measured once more as if it were another variant.
    pub control: bool,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RoleSubject {
    /// Our own servers under a profile.
    Profile(Profile),
    /// A server that is not of the shop, by its id.
    Target(String),
}

/// Whether tokens are in the cache of verified tokens when they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenForm {
    /// No: each is verified anew.
    Uncached,
    /// Yes: each was verified before.
    Cached,
}

/// A word that sets a role apart: ASCII letters in lower case and digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleOption(String);

/// The endings of a form of tokens: the one that is written first, then those of older records.
const TOKENS: [(&str, TokenForm); 4] = [
    ("-uncached", TokenForm::Uncached),
    ("-cached", TokenForm::Cached),
    ("-first-sight", TokenForm::Uncached),
    ("-repeat", TokenForm::Cached),
];

/// The endings of an A/A control, in the same order.
const CONTROLS: [&str; 2] = ["-control", "-again"];

impl TokenForm {
    /// The name in roles and results.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TokenForm::Uncached => "uncached",
            TokenForm::Cached => "cached",
        }
    }
}

impl RoleOption {
    /// An option of that name; None where a role could not be read back with it.
    #[must_use]
    pub fn new(name: &str) -> Option<RoleOption> {
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        (!name.is_empty() && name.chars().all(sound)).then(|| RoleOption(name.into()))
    }
}

impl Role {
    /// A profile with tokens in this form.
    #[must_use]
    pub const fn profile(profile: Profile, token: Option<TokenForm>) -> Role {
        let subject = RoleSubject::Profile(profile);
        Role { subject, token, options: Vec::new(), control: false }
    }

    /// A server that is not of the shop.
    #[must_use]
    pub fn target(id: &str) -> Role {
        let subject = RoleSubject::Target(id.into());
        Role { subject, token: None, options: Vec::new(), control: false }
    }

    /// The A/A control of this role.
    #[must_use]
    pub fn as_control(&self) -> Role {
        Role { control: true, ..self.clone() }
    }

    /// The role that this one is the A/A control of; itself where it is none.
    #[must_use]
    pub fn baseline(&self) -> Role {
        Role { control: false, ..self.clone() }
    }

    /// The same with tokens in another form.
    #[must_use]
    pub fn with_token(&self, token: TokenForm) -> Role {
        Role { token: Some(token), ..self.clone() }
    }

    /// The same of a build of tollgate that is compared with others.
    #[must_use]
    pub fn of_build(&self, build: &RoleOption) -> Role {
        Role { options: vec![build.clone()], ..self.clone() }
    }

    /// The name of its build, where builds of tollgate are compared.
    #[must_use]
    pub fn build(&self) -> Option<&str> {
        self.options.first().map(|option| option.0.as_str())
    }

    /// The same whatever its build.
    #[must_use]
    pub fn of_any_build(&self) -> Role {
        Role { options: Vec::new(), ..self.clone() }
    }

    /// The role in letters that a file name may have.
    #[must_use]
    pub fn id(&self) -> String {
        self.to_string().replace('@', "-")
    }

    /// The name for people, such as `S2 cached` or `S0 control`.
    #[must_use]
    pub fn label(&self) -> String {
        let subject = match &self.subject {
            RoleSubject::Profile(profile) => profile.label(),
            RoleSubject::Target(id) => id,
        };
        let token = self.token.map(TokenForm::as_str);
        let options = self.options.iter().map(|option| option.0.as_str());
        let control = self.control.then_some("control");
        let words = [subject].into_iter().chain(token).chain(options).chain(control);
        words.collect::<Vec<_>>().join(" ")
    }

    /// The name of what is measured, whatever its tokens and options: what a formula calls it.
    #[must_use]
    pub fn term(&self) -> String {
        let plain = Role { token: None, options: Vec::new(), ..self.clone() };
        plain.label()
    }

    /// The role in the id of a variant of this cell; None for one of another cell.
    #[must_use]
    pub fn in_cell(cell: &str, id: &str) -> Option<Role> {
        if cell.is_empty() {
            return Some(Role::from(id));
        }
        Some(Role::from(id.strip_prefix(cell)?.strip_prefix('-')?))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            RoleSubject::Profile(profile) => out.write_str(&slug(*profile))?,
            RoleSubject::Target(id) => out.write_str(id)?,
        }
        if let Some(token) = self.token {
            write!(out, "-{}", token.as_str())?;
        }
        for option in &self.options {
            write!(out, "@{}", option.0)?;
        }
        if self.control { out.write_str(CONTROLS[0]) } else { Ok(()) }
    }
}

/// How a role writes a profile: in letters that a file name may have.
fn slug(profile: Profile) -> String {
    profile.label().to_ascii_lowercase().replace('+', "-")
}

impl From<&str> for Role {
    fn from(text: &str) -> Role {
        let base = CONTROLS.iter().find_map(|ending| text.strip_suffix(ending));
        let control = base.is_some();
        let mut parts = base.unwrap_or(text).split('@');
        let first = parts.next().unwrap_or_default();
        let Some(options) = parts.map(RoleOption::new).collect::<Option<Vec<_>>>() else {
            return Role::target(text);
        };
        let known = |name: &str| Profile::ALL.into_iter().find(|profile| slug(*profile) == name);
        let with_token = TOKENS.iter().find_map(|(ending, form)| {
            Some((RoleSubject::Profile(known(first.strip_suffix(ending)?)?), Some(*form)))
        });
        let (subject, token) = with_token.unwrap_or_else(|| match known(first) {
            Some(profile) => (RoleSubject::Profile(profile), None),
            None => (RoleSubject::Target(first.into()), None),
        });
        Role { subject, token, options, control }
    }
}

impl From<&String> for Role {
    fn from(text: &String) -> Role {
        Role::from(text.as_str())
    }
}

impl From<&Role> for Role {
    fn from(role: &Role) -> Role {
        role.clone()
    }
}

impl FromStr for Role {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Role, Self::Err> {
        Ok(Role::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_back_as_it_was_written() {
        let texts = [
            "s0",
            "s0-control",
            "s2-uncached",
            "s5-cached",
            "tls-scopes-cached",
            "plain-token-uncached-control",
            "nginx-tls",
            "nginx-tls-control",
            "nginx-cached",
            "s2-cached@head@bound",
            "s2-cached@head-control",
            "nginx@a-b",
        ];
        for text in texts {
            assert_eq!(Role::from(text).to_string(), text);
        }
        for profile in Profile::ALL {
            for token in [None, Some(TokenForm::Uncached), Some(TokenForm::Cached)] {
                let role = Role::profile(profile, token);
                for role in [role.as_control(), role] {
                    assert_eq!(Role::from(role.to_string().as_str()), role);
                }
            }
        }
    }

    #[test]
    fn names_of_older_records_are_read_for_ever() {
        for (old, now) in [
            ("s2-first-sight", "s2-uncached"),
            ("s2-repeat", "s2-cached"),
            ("s0-again", "s0-control"),
            ("tls-scopes-repeat", "tls-scopes-cached"),
            ("nginx-again", "nginx-control"),
            ("nginx-repeat", "nginx-repeat"),
        ] {
            assert_eq!(Role::from(old).to_string(), now);
        }
    }

    #[test]
    fn labels_name_a_profile_as_people_do() {
        let control = Role::from("s0-control");
        assert_eq!(
            (control.label().as_str(), control.term().as_str()),
            ("S0 control", "S0 control")
        );
        assert_eq!(control.baseline(), Role::from("s0"));
        let scopes = Role::from("tls-scopes-cached@head");
        assert_eq!(
            (scopes.label().as_str(), scopes.term().as_str()),
            ("tls+scopes cached head", "tls+scopes")
        );
        assert_eq!(Role::in_cell("ping", "ping-s1"), Some(Role::from("s1")));
        assert_eq!(Role::in_cell("ping", "orders-s1"), None);
        assert_eq!(Role::in_cell("", "s1-again"), Some(Role::from("s1-control")));
        assert_eq!(RoleOption::new("a-b"), None);
    }

    #[test]
    fn a_role_may_be_of_a_build() {
        let new = RoleOption::new("new").unwrap();
        let cached = Role::from("s4-cached").of_build(&new);
        assert_eq!((cached.to_string().as_str(), cached.build()), ("s4-cached@new", Some("new")));
        assert_eq!(Role::from("s4-cached@new"), cached);
        assert_eq!(
            (cached.id().as_str(), cached.label().as_str()),
            ("s4-cached-new", "S4 cached new")
        );
        assert_eq!(cached.of_any_build(), Role::from("s4-cached"));
        let control = Role::from("s0").of_build(&new).as_control();
        assert_eq!(Role::from(control.to_string().as_str()), control);
        assert_eq!(control.label(), "S0 new control");
    }
}
