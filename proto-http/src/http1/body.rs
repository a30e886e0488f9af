//! Reading a body of whatever framing, for either end. It owns the count of what is left; it
//! refuses bytes beyond `body_bytes_max` where no head could announce them.

use super::chunked::Chunked;
use crate::{Body, BodyLength, Error, Limits};

/// The rest of a body that is being read.
#[derive(Debug, Default)]
pub(crate) enum Decoder {
    #[default]
    Done,
    /// Bytes left, never 0.
    Exact(u64),
    Chunked(Chunked),
    /// Bytes that may still come before the limit is reached.
    UntilClose(u64),
    /// The message was refused; there is no telling where its body would be.
    Failed(Error),
}

impl Decoder {
    /// A body of this length; one announced to be over the limit is refused before it is sent.
    pub(crate) fn new(length: BodyLength, limits: &Limits, lenient: bool) -> Result<Self, Error> {
        Ok(match length {
            BodyLength::Empty | BodyLength::Exact(0) => Self::Done,
            BodyLength::Exact(bytes) if bytes > limits.body_bytes_max => {
                return Err(Error::BodyTooLarge);
            }
            BodyLength::Exact(bytes) => Self::Exact(bytes),
            BodyLength::Chunked => Self::Chunked(Chunked::new(lenient)),
            BodyLength::UntilClose => Self::UntilClose(limits.body_bytes_max),
        })
    }

    pub(crate) fn piece(&mut self, input: &[u8], limits: &Limits) -> Result<Body, Error> {
        match self {
            Self::Done => Ok(Body { done: true, ..Body::default() }),
            Self::Exact(left) => {
                let length = (*left).min(input.len() as u64);
                *left -= length;
                let done = *left == 0;
                if done {
                    *self = Self::Done;
                }
                Ok(plain(length as usize, done))
            }
            Self::Chunked(machine) => {
                let body = machine.piece(input, limits);
                match body {
                    Err(error) => *self = Self::Failed(error),
                    Ok(Body { done: true, .. }) => *self = Self::Done,
                    Ok(_) => {}
                }
                body
            }
            Self::UntilClose(0) if !input.is_empty() => {
                *self = Self::Failed(Error::BodyTooLarge);
                Err(Error::BodyTooLarge)
            }
            Self::UntilClose(left) => {
                let length = (*left).min(input.len() as u64);
                *left -= length;
                Ok(plain(length as usize, false))
            }
            Self::Failed(error) => Err(*error),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Bytes left, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Done => Some(0),
            Self::Exact(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose(_) | Self::Failed(_) => None,
        }
    }
}

fn plain(length: usize, done: bool) -> Body {
    Body { consumed: length, data: 0..length, done }
}
