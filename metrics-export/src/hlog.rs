//! Histogram interval logs (`.hlog`), version 1.3 of the format, V2 deflate: what the public
//! HdrHistogram tools read.
//!
//! One interval a slice. The tag tells what was recorded (`response`, `service`, `lateness`).
//! Values are nanoseconds; the maximum that stands readable in each line is in milliseconds, as
//! those tools write it.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// Nanoseconds in the millisecond that the log's maximum column counts in.
const MAX_VALUE_DIVISOR: f64 = 1_000_000.0;

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

/// The intervals as the bytes of a log that began at `began`. `comment` says whose they are.
///
/// # Errors
/// A sentence when a tag cannot stand in a log or a histogram cannot be written.
pub fn log(
    began: SystemTime,
    comment: &str,
    intervals: &[Interval<'_>],
) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(comment)
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut out, &mut serializer)
        .map_err(|error| format!("the histogram log could not be begun: {error}"))?;
    for interval in intervals {
        let tag = Tag::new(interval.tag)
            .ok_or_else(|| format!("{:?} cannot be a tag of a histogram log", interval.tag))?;
        writer
            .write_histogram(
                interval.histogram,
                interval.start,
                interval.length,
                Some(tag),
            )
            .map_err(|error| format!("a histogram could not be written to the log: {error}"))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use base64::Engine;

    use super::*;

    #[test]
    fn a_log_is_read_back_value_for_value() {
        let mut first = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        let mut second = first.clone();
        for value in 1..5_000_u64 {
            first.record(value * 997).unwrap();
            second.record(value * value).unwrap();
        }
        let at = |s, histogram, tag| Interval {
            tag,
            start: Duration::from_millis(s),
            length: Duration::from_millis(250),
            histogram,
        };
        let intervals = [at(0, &first, "response"), at(250, &second, "service")];
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let bytes = log(began, "S2 repeat", &intervals).unwrap();

        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(
            text.starts_with("#[Histogram log format version 1.3]\n#S2 repeat\n"),
            "{text}"
        );
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            match entry.unwrap() {
                LogEntry::StartTime(at) => assert_eq!(at.as_secs(), 1_700_000_000),
                LogEntry::BaseTime(at) => assert_eq!(at.as_secs(), 1_700_000_000),
                LogEntry::Interval(interval) => {
                    let engine = base64::engine::general_purpose::STANDARD;
                    let raw = engine.decode(interval.encoded_histogram()).unwrap();
                    let histogram: Histogram<u64> = Deserializer::new()
                        .deserialize(&mut raw.as_slice())
                        .unwrap();
                    let tag = interval.tag().unwrap().as_str().to_owned();
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
        let interval = Interval {
            tag: "a,b",
            start: Duration::ZERO,
            length: Duration::ZERO,
            histogram: &histogram,
        };
        assert!(log(SystemTime::UNIX_EPOCH, "", &[interval]).is_err());
    }
}
