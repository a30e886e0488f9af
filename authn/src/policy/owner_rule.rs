//! What a route does about who owns the thing that it is about.
//!
//! Owns the rules that there are, and what a handler learns of the owner under each: one function
//! of the permit for each rule, which does not compile on a route of another. So what a table says
//! is what its handler does. It refuses to find things: stores do, by the owner they are given.
//!
//! A handler that makes something in the caller's name asks a permit of a route that creates:
//! ```
//! # use authn::policy::*; use authn::*;
//! struct A;
//! impl Route for A {
//! #   const NAME: &'static str = "a"; const SCOPE: Option<Scope> = None;
//! #   const CALLERS: Callers = Callers::Any; const FORWARDERS: &'static [&'static str] = &[];
//!     const OWNER: OwnerRule = OwnerRule::Creator;
//! }
//! # fn handler(permit: Permit<'_, A>) -> bool { permit.creator() == Owner::Nobody }
//! # let (nobody, nothing) = (Credentials::default(), Presented::default());
//! let permit = authorize(TokenCheck::Ignore, Transport::Plain, &nobody, &nothing).unwrap();
//! assert!(handler(permit));
//! ```
//! On a route that only owners use, the same does not compile:
//! ```compile_fail,E0080
//! # use authn::policy::*; use authn::*;
//! struct A;
//! impl Route for A {
//! #   const NAME: &'static str = "a"; const SCOPE: Option<Scope> = None;
//! #   const CALLERS: Callers = Callers::Any; const FORWARDERS: &'static [&'static str] = &[];
//!     const OWNER: OwnerRule = OwnerRule::Owner;
//! }
//! # fn handler(permit: Permit<'_, A>) -> bool { permit.creator() == Owner::Nobody }
//! # let (nobody, nothing) = (Credentials::default(), Presented::default());
//! let permit = authorize(TokenCheck::Ignore, Transport::Plain, &nobody, &nothing).unwrap();
//! assert!(handler(permit));
//! ```
//! Nor does a route without a rule:
//! ```compile_fail,E0046
//! # use authn::policy::*; use authn::*;
//! struct A;
//! impl Route for A {
//! #   const NAME: &'static str = "a"; const SCOPE: Option<Scope> = None;
//! #   const CALLERS: Callers = Callers::Any; const FORWARDERS: &'static [&'static str] = &[];
//! }
//! ```

use std::fmt;

use super::{Permit, Route};
use crate::owner::Owner;
use crate::scope::Scope;

/// What a route does about who owns the thing that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerRule {
    /// The thing is nobody's in particular, or there is none.
    Nobody,
    /// What the route makes becomes its caller's: [`Permit::creator`].
    Creator,
    /// The thing is there for its owner only: [`Permit::owner`].
    Owner,
    /// As [`OwnerRule::Owner`], and for whoever has this scope, under every profile that looks at
    /// tokens: [`Permit::reach`].
    OwnerOr(Scope),
    /// The upstream decides, and is told who the client is.
    Upstream,
}

/// As it stands in tables for people.
impl fmt::Display for OwnerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OwnerRule::Nobody => f.write_str("nobody"),
            OwnerRule::Creator => f.write_str("creator"),
            OwnerRule::Owner => f.write_str("owner"),
            OwnerRule::OwnerOr(scope) => write!(f, "owner or `{scope}`"),
            OwnerRule::Upstream => f.write_str("upstream"),
        }
    }
}

/// Whose things a request reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach<'r> {
    /// Whose request it is.
    pub owner: Owner<'r>,
    /// Whether it reaches everybody's things, not only its owner's.
    pub all: bool,
}

impl<'r, R: Route> Permit<'r, R> {
    /// In whose name something is made. It compiles under [`OwnerRule::Creator`] only.
    pub fn creator(&self) -> Owner<'r> {
        const { assert!(matches!(R::OWNER, OwnerRule::Creator), "the route's rule is another") };
        self.whose()
    }

    /// Who must own the thing. It compiles under [`OwnerRule::Owner`] only.
    pub fn owner(&self) -> Owner<'r> {
        const { assert!(matches!(R::OWNER, OwnerRule::Owner), "the route's rule is another") };
        self.whose()
    }

    /// Who must own the thing, unless all are reached. It compiles under [`OwnerRule::OwnerOr`]
    /// only.
    pub fn reach(&self) -> Reach<'r> {
        let scope = const {
            let OwnerRule::OwnerOr(scope) = R::OWNER else { panic!("the route's rule is another") };
            scope
        };
        let all = self.access().is_some_and(|access| access.scopes.contains(scope));
        Reach { owner: self.whose(), all }
    }
}
