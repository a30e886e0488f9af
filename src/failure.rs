//! Why a command stops without a result: a sentence for people, a kind for scripts, and the cause.
//!
//! The kind decides the exit code, and nothing else does; `docs/cli.md` lists the codes. The
//! sentence is whole: it names the cause and what to do about it. The cause itself is kept as the
//! `source` beside it, so that code looks at types and never at words. It refuses to print.

use std::error::Error;
use std::fmt;

use loadgen::command::run::RunError;
use loadgen::traffic::slice::GeneratorError;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The command was understood but could not be carried out.
    Failed,
    /// The command was not understood, and nothing was done.
    Usage,
    /// Ctrl-C came before there was anything to keep.
    Interrupted,
}

impl FailureKind {
    /// The process's exit code.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            FailureKind::Failed => 1,
            FailureKind::Usage => 2,
            FailureKind::Interrupted => 130,
        }
    }
}

/// What an error is kept as.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    /// What happened and what to do about it.
    message: String,
    cause: Option<Cause>,
}

impl Failure {
    /// The command was understood but could not be carried out.
    pub(crate) fn failed(message: impl fmt::Display) -> Failure {
        Failure { kind: FailureKind::Failed, message: message.to_string(), cause: None }
    }

    /// The command was not understood.
    pub(crate) fn usage(message: impl fmt::Display) -> Failure {
        Failure { kind: FailureKind::Usage, message: message.to_string(), cause: None }
    }

    /// Ctrl-C came before there was anything to keep.
    pub(crate) fn interrupted() -> Failure {
        Failure::from(RunError::Interrupted)
    }

    /// A failure that the error tells whole.
    pub(crate) fn of(error: impl Into<Cause>) -> Failure {
        let error = error.into();
        Failure::failed(&error).because(error)
    }

    /// A failure that the error tells whole, but for the full stop.
    pub(crate) fn sentence(error: impl Into<Cause>) -> Failure {
        let error = error.into();
        Failure::failed(format!("{error}.")).because(error)
    }

    /// What was typed cannot be used, which the error tells whole, but for the full stop.
    pub(crate) fn unusable(error: impl Into<Cause>) -> Failure {
        let error = error.into();
        Failure::usage(format!("{error}.")).because(error)
    }

    /// Keeps the cause, which the message has named already.
    pub(crate) fn because(self, cause: impl Into<Cause>) -> Failure {
        Failure { cause: Some(cause.into()), ..self }
    }

    /// Puts what it is about before the message.
    pub(crate) fn about(self, subject: &str) -> Failure {
        Failure { message: format!("{subject}: {}", self.message), ..self }
    }

    /// Its kind.
    pub(crate) const fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<RunError> for Failure {
    /// Options that make no sense are found by the generator too.
    fn from(error: RunError) -> Failure {
        let kind = match &error {
            RunError::Generator(GeneratorError::Spec(_) | GeneratorError::Workload(_)) => {
                FailureKind::Usage
            }
            RunError::Interrupted => FailureKind::Interrupted,
            _ => FailureKind::Failed,
        };
        Failure { kind, ..Failure::sentence(error) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_kind_decides_the_exit_code() {
        assert_eq!(Failure::failed("a").kind().exit_code(), 1);
        assert_eq!(Failure::usage("a").kind().exit_code(), 2);
        assert_eq!(Failure::interrupted().kind().exit_code(), 130);
        let early = RunError::Generator(GeneratorError::UnknownTarget);
        assert_eq!(Failure::from(early).kind(), FailureKind::Failed);
    }

    #[test]
    fn the_cause_keeps_its_type() {
        let gone = io::Error::from(io::ErrorKind::NotFound);
        let failure = Failure::failed(format!("Could not read a: {gone}.")).because(gone);
        let failure = failure.about("target");
        assert_eq!(failure.to_string(), "target: Could not read a: entity not found.");
        let source = failure.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
        assert!(Failure::failed("a").source().is_none());
    }
}
