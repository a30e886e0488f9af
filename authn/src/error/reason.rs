//! Why something failed, in words, with the error behind them.
//!
//! Owns how errors of other libraries are kept inside ours, which can be cloned and compared while
//! theirs cannot. Refuses to keep what could quote a secret: whoever makes a reason sees to that.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// A reason in words, and its cause where a library gave one. Equal where the words are.
#[derive(Clone, Debug)]
pub struct Reason {
    words: String,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Reason {
    /// What a library says, in its own words.
    pub(crate) fn of(cause: impl Error + Send + Sync + 'static) -> Reason {
        Reason::from(cause.to_string()).because(cause)
    }

    /// The same words with this cause.
    pub(crate) fn because(self, cause: impl Error + Send + Sync + 'static) -> Reason {
        Reason { cause: Some(Arc::new(cause)), ..self }
    }

    /// The error behind the words.
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<String> for Reason {
    fn from(words: String) -> Reason {
        Reason { words, cause: None }
    }
}

impl From<&str> for Reason {
    fn from(words: &str) -> Reason {
        Reason::from(words.to_owned())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Reason) -> bool {
        self.words == other.words
    }
}

impl Eq for Reason {}
