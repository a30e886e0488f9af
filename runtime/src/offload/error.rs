//! Why a job was not done, or has no result.

use std::fmt;
use std::io;

/// Why a job was not done, or has no result.
#[derive(Debug)]
pub enum OffloadError {
    /// As many jobs wait as may; the caller should refuse its own request, with 503 for instance.
    Full,
    /// The queue has ended: the process is about to.
    Ended,
    /// The job panicked: a fault of this program.
    Panicked,
    /// There are no sockets to wait for the result on.
    Io(io::Error),
}

impl std::error::Error for OffloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OffloadError::Io(error) => Some(error),
            OffloadError::Full | OffloadError::Ended | OffloadError::Panicked => None,
        }
    }
}

impl fmt::Display for OffloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OffloadError::Full => write!(f, "too many jobs wait already; try again shortly"),
            OffloadError::Ended => write!(f, "the process is ending and takes no more jobs"),
            OffloadError::Panicked => {
                write!(f, "a job panicked: a fault of tollgate; standard error has its message")
            }
            OffloadError::Io(error) => {
                write!(
                    f,
                    "no socket can be had to wait for a job: {error}; raise the limit of files"
                )
            }
        }
    }
}

impl From<io::Error> for OffloadError {
    fn from(error: io::Error) -> OffloadError {
        OffloadError::Io(error)
    }
}
