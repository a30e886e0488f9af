//! Histogram interval logs (`.hlog`), version 1.3 of the format, V2 deflate: what the public
//! HdrHistogram tools read.
//!
//! A log grows by one line per interval, so that a long run need not keep its histograms. The tag
//! tells what was recorded (`response`, `service`, `lateness`). Values are nanoseconds; the
//! maximum that stands readable in each line is in milliseconds, as those tools write it.

mod error;
mod limits;
mod read;

use std::fmt;
use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

pub use error::{HistogramError, LogReadError, LogWriteError};
pub use limits::LOG_BYTES_MAX;
pub use read::{ReadInterval, merge, merged, read};

/// Nanoseconds in the millisecond that the log's maximum column counts in.
const NS_PER_MS: f64 = 1_000_000.0;

/// The line of column names that the reference implementation writes.
const LEGEND: &str =
    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"";

/// A histogram log that is being written.
pub struct HistogramLog {
    text: Vec<u8>,
    serializer: V2DeflateSerializer,
    packed: Vec<u8>,
}

/// One recorded interval.
#[derive(Clone, Copy, Debug)]
pub struct Interval<'a> {
    /// What was recorded: no comma, no space, no line break.
    pub tag: &'a str,
    /// When it began, after the start of the log.
    pub start: Duration,
    /// How long it lasted.
    pub length: Duration,
    /// The values in nanoseconds.
    pub histogram: &'a Histogram<u64>,
}

impl HistogramLog {
    /// A log that began at this time since 1970. `comment` says whose it is, on one line.
    #[must_use]
    pub fn new(began: Duration, comment: &str) -> HistogramLog {
        let began_s = began.as_secs_f64();
        let comment = comment.replace(['\n', '\r'], " ");
        // With both times given, every reader takes the intervals' times as counted from them.
        let head = format!(
            "#[Histogram log format version 1.3]\n#{comment}\n\
             #[StartTime: {began_s:.3} (seconds since epoch)]\n\
             #[BaseTime: {began_s:.3} (seconds since epoch)]\n{LEGEND}\n"
        );
        HistogramLog {
            text: head.into_bytes(),
            serializer: V2DeflateSerializer::new(),
            packed: Vec::new(),
        }
    }

    /// Adds an interval.
    ///
    /// # Errors
    /// The tag cannot stand in a log, or the histogram cannot be packed.
    pub fn push(&mut self, interval: &Interval<'_>) -> Result<(), LogWriteError> {
        let tag = interval.tag;
        if tag.is_empty() || tag.contains([',', ' ', '\n', '\r']) {
            return Err(LogWriteError::Tag(tag.to_owned()));
        }
        self.packed.clear();
        self.serializer
            .serialize(interval.histogram, &mut self.packed)
            .map_err(LogWriteError::Packing)?;
        writeln!(
            self.text,
            "Tag={tag},{:.3},{:.3},{:.3},{}",
            interval.start.as_secs_f64(),
            interval.length.as_secs_f64(),
            interval.histogram.max() as f64 / NS_PER_MS,
            STANDARD.encode(&self.packed),
        )
        .map_err(LogWriteError::Writing)
    }

    /// The log so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl Clone for HistogramLog {
    fn clone(&self) -> HistogramLog {
        // The serializer keeps nothing but scratch space between calls.
        let serializer = V2DeflateSerializer::new();
        HistogramLog { text: self.text.clone(), serializer, packed: Vec::new() }
    }
}

impl fmt::Debug for HistogramLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn a_log_is_read_back_value_for_value() {
        let mut first = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        let mut second = first.clone();
        for value in 1..5_000_u64 {
            first.record(value * 997).unwrap();
            second.record(value * value).unwrap();
        }
        let at = |ms, histogram, tag| Interval {
            tag,
            start: Duration::from_millis(ms),
            length: Duration::from_millis(250),
            histogram,
        };
        let intervals = [at(0, &first, "response"), at(250, &second, "service")];
        let mut log = HistogramLog::new(Duration::from_secs(1_700_000_000), "S2 repeat");
        for interval in &intervals {
            log.push(interval).unwrap();
        }

        let text = std::str::from_utf8(log.as_bytes()).unwrap();
        assert!(text.starts_with("#[Histogram log format version 1.3]\n#S2 repeat\n"), "{text}");
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(log.as_bytes()) {
            match entry.unwrap() {
                LogEntry::StartTime(at) => assert_eq!(at.as_secs(), 1_700_000_000),
                LogEntry::BaseTime(at) => assert_eq!(at.as_secs(), 1_700_000_000),
                LogEntry::Interval(interval) => {
                    let raw = STANDARD.decode(interval.encoded_histogram()).unwrap();
                    let histogram: Histogram<u64> =
                        Deserializer::new().deserialize(&mut raw.as_slice()).unwrap();
                    let tag = interval.tag().unwrap().as_str().to_owned();
                    assert_eq!(interval.duration(), Duration::from_millis(250));
                    read.push((tag, interval.start_timestamp(), histogram));
                }
            }
        }
        assert_eq!(read.len(), 2);
        for (found, written) in read.iter().zip(&intervals) {
            assert_eq!((found.0.as_str(), found.1), (written.tag, written.start));
            assert_eq!(&found.2, written.histogram);
        }
    }

    #[test]
    fn a_tag_that_would_break_the_log_is_refused() {
        let histogram = Histogram::<u64>::new(3).unwrap();
        let mut log = HistogramLog::new(Duration::ZERO, "");
        for tag in ["a,b", "", "a b", "a\nb"] {
            let (start, length) = (Duration::ZERO, Duration::ZERO);
            assert!(log.push(&Interval { tag, start, length, histogram: &histogram }).is_err());
        }
    }
}
