//! Finding the end of a head that arrives in pieces, and the one error to tell of a bad one.
//!
//! It owns the promise that a slow head is cheap: one that arrives whole is read once; one that
//! does not is read again only when its blank line has come, and until then each byte is looked at
//! once. It refuses to tell different things of the same bytes: which error a head has depends on
//! its bytes alone, not on how they were cut into arrivals.

use memchr::memchr;

use crate::Error;

/// How far the search for a head's end has got.
#[derive(Debug, Default)]
pub(crate) struct HeadProgress {
    scanned: usize,
}

/// What a search for the end of a line found first.
enum Ending {
    None,
    BlankLine,
    BareLineFeed(usize),
}

impl HeadProgress {
    /// Calls `parse` at most twice for one head, however it arrives; `syntax` tells the error
    /// httparse has with a prefix, and is called only when there is some error.
    #[inline]
    pub(crate) fn read(
        &mut self,
        window: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<Option<usize>, Error>,
        syntax: impl FnOnce(&[u8]) -> Option<Error>,
    ) -> Result<Option<usize>, Error> {
        let found = match self.scanned {
            0 => parse(window),
            _ => match self.scan(window) {
                Ending::None => return Ok(None),
                Ending::BlankLine => parse(window),
                Ending::BareLineFeed(_) => Err(Error::LineEnding),
            },
        };
        match found {
            Ok(Some(taken)) => {
                self.scanned = 0;
                Ok(Some(taken))
            }
            Ok(None) => match self.scan(window) {
                Ending::BareLineFeed(_) => Err(blame(window, Error::LineEnding, syntax)),
                _ => Ok(None),
            },
            Err(error) => Err(blame(window, error, syntax)),
        }
    }

    fn scan(&mut self, window: &[u8]) -> Ending {
        while let Some(length) = window.get(self.scanned..).and_then(|rest| memchr(b'\n', rest)) {
            let at = self.scanned + length;
            if at == 0 || window[at - 1] != b'\r' {
                return Ending::BareLineFeed(at);
            }
            if at > 1 && window[at - 2] == b'\n' {
                return Ending::BlankLine;
            }
            self.scanned = at + 1;
        }
        self.scanned = window.len();
        Ending::None
    }
}

/// The error to tell, given that there is one: the first bare LF if there is one in the head,
/// unless httparse stumbles before it; so that it does not matter which of them was found first.
#[cold]
fn blame(window: &[u8], error: Error, syntax: impl FnOnce(&[u8]) -> Option<Error>) -> Error {
    match HeadProgress::default().scan(window) {
        Ending::BareLineFeed(at) => syntax(&window[..at]).unwrap_or(Error::LineEnding),
        _ => error,
    }
}
