//! An error that people read: what was tried and what to do, with the error behind it for code.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What failed in one sentence without a full stop, and why.
#[derive(Clone, Debug)]
pub struct ContextError {
    message: String,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl ContextError {
    /// A failure that has no error behind it.
    pub fn new(message: impl Into<String>) -> ContextError {
        ContextError { message: message.into(), cause: None }
    }

    /// A failure that the error tells whole.
    pub fn of(error: impl Error + Send + Sync + 'static) -> ContextError {
        ContextError { message: error.to_string(), cause: Some(Arc::new(error)) }
    }

    /// Keeps the error behind it, which the message has named already.
    #[must_use]
    pub fn because(self, error: impl Error + Send + Sync + 'static) -> ContextError {
        ContextError { cause: Some(Arc::new(error)), ..self }
    }

    /// A failure of this step, with the error as its cause.
    pub fn at(step: impl fmt::Display, error: impl Error + Send + Sync + 'static) -> ContextError {
        ContextError::new(format!("{step}: {error}")).because(error)
    }

    /// Puts what it is about before the message.
    #[must_use]
    pub fn about(self, subject: impl fmt::Display) -> ContextError {
        ContextError { message: format!("{subject}: {}", self.message), ..self }
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Error for ContextError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// Two failures are alike when they say the same.
impl PartialEq for ContextError {
    fn eq(&self, other: &ContextError) -> bool {
        self.message == other.message
    }
}

impl From<String> for ContextError {
    fn from(message: String) -> ContextError {
        ContextError::new(message)
    }
}

impl From<&str> for ContextError {
    fn from(message: &str) -> ContextError {
        ContextError::new(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_behind_the_sentence() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = ContextError::new("the log cannot be read").because(cause).about("gateway");
        assert_eq!(error.to_string(), "gateway: the log cannot be read");
        assert!(error.source().unwrap().downcast_ref::<std::io::Error>().is_some());
        assert!(ContextError::from("so").source().is_none());
    }
}
