//! A broken validity bound as the record keeps it: which bound, of what, how far. It refuses to
//! word what happened: that is [`crate::breaches`].

use serde::{Deserialize, Serialize};

use super::terms::{BoundId, Cause};

/// What a breach is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreachScope {
    /// All slices that count.
    #[default]
    Run,
    /// The slices of the variant with this id.
    Variant(String),
    /// One slice.
    Slice,
}

/// A broken validity bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Breach {
    /// The name of a [`BoundId`]: the bound's key in [`super::Bounds`], or `shared_core`.
    pub bound: String,
    /// What it is about.
    pub scope: BreachScope,
    /// What broke it; None in a record of version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What was measured: ns, a share of one, or a count, as the bound has it. None in a record of
    /// version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    /// The limit, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What the figure does not say, such as the kinds of errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What happened and what to do.
    pub sentence: String,
}

/// A breach in a record of any version.
#[derive(Deserialize)]
struct Written {
    bound: String,
    scope: Option<BreachScope>,
    /// Version 2 had it in place of the scope.
    variant: Option<String>,
    cause: Option<Cause>,
    measured: Option<f64>,
    limit: Option<f64>,
    detail: Option<String>,
    sentence: String,
}

impl From<Written> for Breach {
    fn from(written: Written) -> Breach {
        let Written { bound, scope, variant, cause, measured, limit, detail, sentence } = written;
        let scope = scope.unwrap_or_else(|| variant.map_or(BreachScope::Run, BreachScope::Variant));
        Breach { bound, scope, cause, measured, limit, detail, sentence }
    }
}

impl Breach {
    /// A breach of which nothing but its sentence is known.
    #[must_use]
    pub fn of_sentence(sentence: &str) -> Breach {
        Breach { sentence: sentence.to_owned(), scope: BreachScope::Slice, ..Breach::default() }
    }

    /// A breach of a whole run of which nothing but its sentence is known.
    #[must_use]
    pub fn of_run(sentence: &str) -> Breach {
        Breach { scope: BreachScope::Run, ..Breach::of_sentence(sentence) }
    }

    /// The bound, by its name now or in an earlier build; None for one that this build does not
    /// know.
    #[must_use]
    pub fn id(&self) -> Option<BoundId> {
        match self.bound.as_str() {
            "foreign_share_max" => Some(BoundId::BackgroundShare),
            name => BoundId::parse(name),
        }
    }

    /// The id of the variant that it is about.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        match &self.scope {
            BreachScope::Variant(id) => Some(id),
            BreachScope::Run | BreachScope::Slice => None,
        }
    }
}

/// Breaches that stand in a record as their sentences.
pub(super) mod sentences {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Breach;

    pub(crate) fn serialize<S: Serializer>(
        breaches: &[Breach],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(breaches.iter().map(|breach| &breach.sentence))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Breach>, D::Error> {
        let sentences = Vec::<String>::deserialize(deserializer)?;
        Ok(sentences.iter().map(|sentence| Breach::of_sentence(sentence)).collect())
    }
}
