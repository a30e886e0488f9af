//! A variant: one thing that is measured, and what it is within its cell.
//!
//! Owns which variants a profile has. It refuses to know how servers are started.

use authn::profile::{Profile, TokenCheck};
use metrics_export::run::TokenSupply;

use super::{Form, PlannedCell, Role, RoleOption, TokenForm};

/// One thing that is measured: a subject within a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name in file names and keys, such as `s2-cached`. Unique in a plan.
    pub id: String,
    /// The name that a person reads, such as `S2 cached`; the cell's is not in it.
    pub label: String,
    /// What it is within its cell: layers of security are found by it.
    pub role: Role,
    /// The place of its cell in the plan.
    pub cell: usize,
    /// What is measured.
    pub subject: Subject,
    /// Which tokens the generator sends.
    pub tokens: TokenSupply,
    /// Whether the servers keep verified tokens.
    pub token_cache: bool,
    /// Whether new connections are measured on it.
    pub connects: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Our own servers under a profile.
    Profile(Profile),
    /// A server that is not of the shop.
    External(ExternalTarget),
}

/// A server that is not of the shop: its place in the list that the
/// [`crate::experiment::stack::Stack`] knows, and what its connections are claimed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalTarget {
    /// The place in the list of servers.
    pub index: usize,
    /// It is spoken to over TLS.
    pub tls: bool,
    /// It asks for a client certificate, and the generator has one.
    pub certificate: bool,
    /// Sessions may be resumed.
    pub resumption: bool,
}

impl Subject {
    /// Whether connections to it are plain.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Subject::Profile(profile) => profile.transport == authn::Transport::Plain,
            Subject::External(external) => !external.tls,
        }
    }

    /// Whether the generator presents a certificate to it.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        match self {
            Subject::Profile(profile) => profile.transport == authn::Transport::Mutual,
            Subject::External(external) => external.certificate,
        }
    }

    /// Whether sessions may be resumed, in a cell whose handshakes are full.
    #[must_use]
    pub fn resumes(&self) -> bool {
        matches!(self, Subject::External(external) if external.resumption)
    }

    /// The profile of our own servers.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        match self {
            Subject::Profile(profile) => Some(*profile),
            Subject::External(_) => None,
        }
    }
}

impl Variant {
    /// The variants of a profile in a cell: one where tokens are ignored; else as the cell's form
    /// says, which is both uncached (a pool of unique tokens, cache off) and cached (one token,
    /// cache on) unless one was asked for.
    #[must_use]
    pub fn of(profile: Profile, place: usize, cell: &PlannedCell) -> Vec<Variant> {
        let make = |tokens, token_cache| Variant::new(profile, place, cell, tokens, token_cache);
        match (profile.token, cell.form) {
            (TokenCheck::Ignore, _) => vec![make(TokenSupply::None, true)],
            (_, Form::Both { pool }) => {
                vec![make(TokenSupply::Unique(pool), false), make(TokenSupply::One, true)]
            }
            (_, Form::Only { tokens, cache }) => vec![make(tokens, cache)],
        }
    }

    fn new(
        profile: Profile,
        place: usize,
        cell: &PlannedCell,
        tokens: TokenSupply,
        token_cache: bool,
    ) -> Variant {
        let (form, connects) = match (tokens, cell.form) {
            (TokenSupply::None, _) => (None, true),
            // Where tokens are verified anew that would hide in the figure of a connection, and
            // the handshake is that of the cached form.
            (TokenSupply::Unique(_), Form::Both { .. }) => (Some(TokenForm::Uncached), false),
            (TokenSupply::One, _) if token_cache => (Some(TokenForm::Cached), true),
            _ => (Some(TokenForm::Uncached), true),
        };
        let role = Role::profile(profile, form);
        Variant {
            id: cell.prefixed(&role),
            label: role.label(),
            role,
            cell: place,
            subject: Subject::Profile(profile),
            tokens,
            token_cache,
            connects,
        }
    }

    /// The same with servers of a build of tollgate that is compared with others.
    #[must_use]
    pub fn of_build(&self, build: &RoleOption, cell: &PlannedCell) -> Variant {
        let role = self.role.of_build(build);
        Variant { id: cell.prefixed(&role), label: role.label(), role, ..self.clone() }
    }

    /// A server that is not of the shop. Its name is its role; it makes the id where it is made of
    /// letters that a file name may have.
    #[must_use]
    pub fn external(
        name: &str,
        id: &str,
        external: ExternalTarget,
        tokens: TokenSupply,
    ) -> Variant {
        Variant {
            id: id.into(),
            label: name.into(),
            role: Role::target(id),
            cell: 0,
            subject: Subject::External(external),
            tokens,
            token_cache: true,
            connects: true,
        }
    }

    /// The same once more under another name: the A/A control.
    #[must_use]
    pub fn control(&self) -> Variant {
        Variant {
            id: format!("{}-control", self.id),
            label: format!("{} control", self.label),
            role: self.role.as_control(),
            connects: false,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Axes;

    #[test]
    fn profiles_with_tokens_have_two_forms() {
        let cell = Axes::default().cells(&[]).unwrap().remove(0);
        let names = |profile: &str| -> Vec<String> {
            let variants = Variant::of(Profile::parse(profile).unwrap(), 0, &cell).into_iter();
            variants.map(|variant| format!("{} = {}", variant.id, variant.label)).collect()
        };
        assert_eq!(names("S1"), ["s1 = S1"]);
        assert_eq!(names("S5"), ["s5-uncached = S5 uncached", "s5-cached = S5 cached"]);
        assert_eq!(names("tls+scopes")[1], "tls-scopes-cached = tls+scopes cached");
        let control = Variant::of(Profile::parse("S0").unwrap(), 0, &cell)[0].control();
        assert_eq!((control.id.as_str(), control.connects), ("s0-control", false));
    }

    #[test]
    fn a_named_form_is_the_only_one() {
        let form = Form::Only { tokens: TokenSupply::One, cache: false };
        let axes = Axes { forms: vec![form], ..Axes::default() };
        let cell = axes.cells(&[]).unwrap().remove(0);
        let variants = Variant::of(Profile::parse("S2").unwrap(), 0, &cell);
        assert_eq!(variants.len(), 1);
        assert_eq!((variants[0].id.as_str(), variants[0].connects), ("s2-uncached", true));
    }
}
