//! Why a histogram log cannot be written, and why a text is no log that is read.

use std::error::Error;
use std::{fmt, io};

use base64::DecodeError;
use hdrhistogram::AdditionError;
use hdrhistogram::serialization::{DeserializeError, V2DeflateSerializeError};

use super::limits::{DIGITS_MAX, INTERVALS_MAX, LOG_BYTES_MAX, TAGS_MAX};

/// Why an interval cannot be added to a log.
#[derive(Debug)]
pub enum LogWriteError {
    /// The tag has a sign that the format uses itself.
    Tag(String),
    /// The histogram cannot be packed.
    Packing(V2DeflateSerializeError),
    /// The line cannot be written.
    Writing(io::Error),
}

impl fmt::Display for LogWriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogWriteError::Tag(tag) => write!(out, "{tag:?} cannot be a tag of a histogram log"),
            LogWriteError::Packing(error) => write!(out, "a histogram cannot be packed: {error}"),
            LogWriteError::Writing(error) => {
                write!(out, "the histogram log cannot be written: {error}")
            }
        }
    }
}

impl Error for LogWriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LogWriteError::Packing(error) => Some(error),
            LogWriteError::Writing(error) => Some(error),
            LogWriteError::Tag(_) => None,
        }
    }
}

/// Why a log cannot be read.
#[derive(Debug)]
pub enum LogReadError {
    /// It has more bytes than are read.
    TooLarge,
    /// Its first line is not that of a log.
    NotALog,
    /// It has more intervals than are kept at once.
    TooManyIntervals,
    /// It has more tags than are kept.
    TooManyTags,
    /// The histograms of this tag cannot be added.
    Bounds(String, AdditionError),
    /// This entry, counted from 1, is not a line of the format.
    Entry(usize),
    /// This entry's histogram cannot be read.
    Histogram(usize, HistogramError),
}

impl fmt::Display for LogReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogReadError::TooLarge => {
                write!(out, "the log is larger than {} MiB", LOG_BYTES_MAX >> 20)
            }
            LogReadError::NotALog => {
                out.write_str("this is no histogram log: its first line names no format version")
            }
            LogReadError::TooManyIntervals => write!(
                out,
                "the log has more than {INTERVALS_MAX} intervals: merge them instead of keeping \
                 each"
            ),
            LogReadError::TooManyTags => write!(out, "the log has more than {TAGS_MAX} tags"),
            LogReadError::Bounds(tag, error) => {
                write!(out, "the histograms of {tag:?} have different bounds: {error}")
            }
            LogReadError::Entry(entry) => write!(out, "entry {entry} of the log cannot be read"),
            LogReadError::Histogram(entry, why) => {
                write!(out, "entry {entry} of the log: its histogram {why}")
            }
        }
    }
}

impl Error for LogReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LogReadError::Bounds(_, error) => Some(error),
            LogReadError::Histogram(_, error) => Some(error),
            LogReadError::TooLarge
            | LogReadError::NotALog
            | LogReadError::TooManyIntervals
            | LogReadError::TooManyTags
            | LogReadError::Entry(_) => None,
        }
    }
}

/// What is wrong with the histogram of an entry.
#[derive(Debug)]
pub enum HistogramError {
    /// Its text is not base64.
    Base64(DecodeError),
    /// It ends too early.
    CutOff,
    /// It cannot be unpacked.
    Unpacking(io::Error),
    /// It has another length than its head names.
    Length,
    /// It has more significant digits than are read.
    Digits,
    /// What is unpacked is no histogram.
    Damaged(DeserializeError),
}

impl fmt::Display for HistogramError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistogramError::Base64(error) => write!(out, "is not base64: {error}"),
            HistogramError::CutOff => out.write_str("is cut off"),
            HistogramError::Unpacking(error) => write!(out, "cannot be unpacked: {error}"),
            HistogramError::Length => out.write_str("has another length than its head names"),
            HistogramError::Digits => {
                write!(out, "has more than {DIGITS_MAX} significant digits")
            }
            HistogramError::Damaged(error) => write!(out, "is damaged: {error}"),
        }
    }
}

impl Error for HistogramError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            HistogramError::Base64(error) => Some(error),
            HistogramError::Unpacking(error) => Some(error),
            HistogramError::Damaged(error) => Some(error),
            HistogramError::CutOff | HistogramError::Length | HistogramError::Digits => None,
        }
    }
}
