//! Why a service did not start or ended badly: a sentence that says what to do, a kind that says
//! whose fault it is, and the cause. Beside it, why a background thread could not renew what it
//! keeps.
//!
//! The sentence is whole; the cause is kept beside it, so that code looks at types and never at
//! words. It refuses to decide an exit code: that is the program's.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use runtime::url::UrlError;

/// What an error is kept as.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeErrorKind {
    /// The settings contradict each other or lack something.
    Config,
    /// A file cannot be used.
    File,
    /// The service could not be started on this machine.
    Start,
}

/// Why [`serve`](crate::serve()) failed.
#[derive(Debug)]
pub struct ServeError {
    kind: ServeErrorKind,
    /// What is wrong and what to do about it.
    message: String,
    cause: Option<Cause>,
}

impl ServeError {
    /// Settings that cannot be; the text says what to change.
    #[must_use]
    pub fn config(message: impl Into<String>) -> ServeError {
        ServeError { kind: ServeErrorKind::Config, message: message.into(), cause: None }
    }

    /// A setting that cannot be used, with words before the error's own.
    #[must_use]
    pub fn config_of(before: &str, error: impl Into<Cause>) -> ServeError {
        let error = error.into();
        ServeError::config(format!("{before}: {error}")).because(error)
    }

    /// An error of the operating system about `path`.
    #[must_use]
    pub fn io(path: &Path, error: io::Error) -> ServeError {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => {
                "it does not exist (`tollgate pki init` makes a state directory)".to_string()
            }
            io::ErrorKind::PermissionDenied => "this user may not read or write it".to_string(),
            _ => error.to_string(),
        };
        ServeError::unusable(path, problem).because(error)
    }

    /// A fault in the content of `path`, which the error says whole.
    #[must_use]
    pub fn content(path: &Path, error: impl Into<Cause>) -> ServeError {
        let error = error.into();
        ServeError::unusable(path, &error).because(error)
    }

    /// What is wrong with `path`, as the end of the sentence "cannot use FILE: ...".
    #[must_use]
    pub fn unusable(path: &Path, problem: impl fmt::Display) -> ServeError {
        let message = format!("cannot use {}: {problem}", path.display());
        ServeError { kind: ServeErrorKind::File, message, cause: None }
    }

    /// What this machine refuses, which the error says whole.
    #[must_use]
    pub fn start(error: impl Into<Cause>) -> ServeError {
        ServeError::start_of("", error)
    }

    /// The same with words before it.
    #[must_use]
    pub fn start_of(before: &str, error: impl Into<Cause>) -> ServeError {
        let error = error.into();
        let message = format!("{before}{error}");
        ServeError { kind: ServeErrorKind::Start, message, cause: Some(error) }
    }

    /// Keeps the cause, which the message has named already.
    #[must_use]
    pub fn because(self, cause: impl Into<Cause>) -> ServeError {
        ServeError { cause: Some(cause.into()), ..self }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ServeErrorKind {
        self.kind
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// Why a background thread could not renew what it keeps: a sentence, and its cause.
#[derive(Debug)]
pub struct RefreshError {
    message: String,
    cause: Option<Cause>,
}

impl RefreshError {
    /// A failure that nothing else has caused.
    pub(crate) fn new(message: impl Into<String>) -> RefreshError {
        RefreshError { message: message.into(), cause: None }
    }

    /// What the error says, with words before it.
    pub(crate) fn of(before: &str, error: impl Into<Cause>) -> RefreshError {
        let error = error.into();
        RefreshError { message: format!("{before}{error}"), cause: Some(error) }
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RefreshError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<ServeError> for RefreshError {
    fn from(error: ServeError) -> RefreshError {
        RefreshError::of("", error)
    }
}

impl From<UrlError> for RefreshError {
    fn from(error: UrlError) -> RefreshError {
        RefreshError::of("", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_beside_a_whole_sentence() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let error = ServeError::io(Path::new("a.pem"), missing);
        assert_eq!(error.kind(), ServeErrorKind::File);
        assert!(error.to_string().starts_with("cannot use a.pem: it does not exist"), "{error}");
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::NotFound));
        let key = ServeError::content(Path::new("b.key"), authn::Error::NoKey);
        assert!(key.source().is_some_and(|cause| cause.is::<authn::Error>()));
        assert!(ServeError::config("give one").source().is_none());
    }
}
