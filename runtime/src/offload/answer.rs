//! How the result of a job comes back to the core that waits for it: a place for the result, and a
//! socket pair whose one end the thread closes once the result is there. To the core it is a socket
//! that becomes readable, which is all that its executor knows how to wait for.
//!
//! It refuses to lose a wait: a sender that goes away without a result closes its end as well.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::OffloadError;

type Place<T> = Arc<Mutex<Option<Result<T, OffloadError>>>>;

/// The thread's end.
pub(super) struct ResultSender<T> {
    place: Place<T>,
    /// Closed by being dropped.
    _wake: UnixStream,
}

/// The core's end.
pub(super) struct ResultReceiver<T> {
    place: Place<T>,
    wake: UnixStream,
}

/// Both ends of the way back.
pub(super) fn pair<T>() -> io::Result<(ResultSender<T>, ResultReceiver<T>)> {
    let (wake, woken) = UnixStream::pair()?;
    let place = Place::default();
    Ok((
        ResultSender { place: Arc::clone(&place), _wake: wake },
        ResultReceiver { place, wake: woken },
    ))
}

impl<T> ResultSender<T> {
    /// Hands the result over.
    pub(super) fn send(self, result: Result<T, OffloadError>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}

impl<T> ResultReceiver<T> {
    /// Waits for the result, on a core.
    pub(super) async fn receive(self) -> Result<T, OffloadError> {
        monoio::net::UnixStream::from_std(self.wake)?.readable(false).await?;
        let result = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.unwrap_or(Err(OffloadError::Ended))
    }
}
