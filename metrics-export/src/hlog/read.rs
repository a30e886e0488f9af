//! Reads histogram interval logs, as far as it can without trusting them.
//!
//! The log may have come from anywhere, and a few bytes of it can ask for gigabytes: what is
//! packed is unpacked up to a limit, and its header is checked before a histogram is made of it.
//! It refuses logs with more digits than tollgate writes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, LogEntry,
};

use super::error::{HistogramError, LogReadError};
use super::limits::{DIGITS_MAX, INTERVALS_MAX, LOG_BYTES_MAX, TAGS_MAX};

/// The largest histogram once unpacked, in bytes: each of its cells takes 9 at most.
const UNPACKED_BYTES_MAX: u64 = 1 << 20;

/// The head of an unpacked histogram: cookie, length, offset, digits, lowest, highest, ratio.
const HEAD_BYTES: usize = 40;

/// One interval as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadInterval {
    /// What was recorded; empty where the line has no tag.
    pub tag: String,
    /// When it began, after the start of the log where that has one.
    pub start: Duration,
    /// How long it lasted.
    pub length: Duration,
    /// The values in nanoseconds.
    pub histogram: Histogram<u64>,
}

/// All intervals of a log, in its order.
///
/// # Errors
/// The text is no log, or one that is too large to be kept.
pub fn read(text: &str) -> Result<Vec<ReadInterval>, LogReadError> {
    let mut found = Vec::new();
    for interval in intervals(text)? {
        found.push(interval?);
        if found.len() > INTERVALS_MAX {
            return Err(LogReadError::TooManyIntervals);
        }
    }
    Ok(found)
}

/// One histogram for each tag of a log: all of its intervals added up. Intervals are read one at
/// a time, so that a long log takes no more memory than a short one.
///
/// # Errors
/// The text is no log, or its histograms cannot be added.
pub fn merged(text: &str) -> Result<BTreeMap<String, Histogram<u64>>, LogReadError> {
    merge(intervals(text)?)
}

/// The same for intervals that were read already.
///
/// # Errors
/// There are too many tags, or the histograms of one cannot be added.
pub fn merge(
    intervals: impl IntoIterator<Item = Result<ReadInterval, LogReadError>>,
) -> Result<BTreeMap<String, Histogram<u64>>, LogReadError> {
    let mut sums: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    for interval in intervals {
        let ReadInterval { tag, histogram, .. } = interval?;
        if let Some(sum) = sums.get_mut(&tag) {
            sum.add(&histogram).map_err(|error| LogReadError::Bounds(tag, error))?;
        } else if sums.len() == TAGS_MAX {
            return Err(LogReadError::TooManyTags);
        } else {
            sums.insert(tag, histogram);
        }
    }
    Ok(sums)
}

/// The intervals of a log, one after the other.
fn intervals(
    text: &str,
) -> Result<impl Iterator<Item = Result<ReadInterval, LogReadError>>, LogReadError> {
    if text.len() > LOG_BYTES_MAX {
        return Err(LogReadError::TooLarge);
    }
    if !text.starts_with("#[Histogram log format version 1.") {
        return Err(LogReadError::NotALog);
    }
    let mut number = 0;
    Ok(IntervalLogIterator::new(text.as_bytes()).filter_map(move |entry| {
        number += 1;
        match entry {
            Ok(LogEntry::Interval(interval)) => {
                Some(taken(&interval).map_err(|why| LogReadError::Histogram(number, why)))
            }
            Ok(_) => None,
            Err(_) => Some(Err(LogReadError::Entry(number))),
        }
    }))
}

fn taken(interval: &IntervalLogHistogram<'_>) -> Result<ReadInterval, HistogramError> {
    let unpacked = unpacked(interval.encoded_histogram())?;
    let histogram = Deserializer::new()
        .deserialize(&mut unpacked.as_slice())
        .map_err(HistogramError::Damaged)?;
    Ok(ReadInterval {
        tag: interval.tag().map_or_else(String::new, |tag| tag.as_str().to_owned()),
        start: interval.start_timestamp(),
        length: interval.duration(),
        histogram,
    })
}

/// The histogram in its plain form, with a header that asks for no more than is there.
fn unpacked(encoded: &str) -> Result<Vec<u8>, HistogramError> {
    let packed = STANDARD.decode(encoded).map_err(HistogramError::Base64)?;
    // The cookie and the length of what is packed come before it.
    let packed = packed.get(8..).ok_or(HistogramError::CutOff)?;
    let mut plain = Vec::new();
    ZlibDecoder::new(packed)
        .take(UNPACKED_BYTES_MAX)
        .read_to_end(&mut plain)
        .map_err(HistogramError::Unpacking)?;
    let word = |at: usize| {
        let bytes = plain.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let (Some(length), Some(digits)) = (word(4), word(12)) else {
        return Err(HistogramError::CutOff);
    };
    if plain.len() < HEAD_BYTES || length as usize != plain.len() - HEAD_BYTES {
        return Err(HistogramError::Length);
    }
    if digits > DIGITS_MAX {
        return Err(HistogramError::Digits);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::hlog::{HistogramLog, Interval};

    fn histogram(values: std::ops::Range<u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        values.for_each(|value| histogram.record(value * 997).unwrap());
        histogram
    }

    fn log() -> String {
        let mut log = HistogramLog::new(Duration::from_secs(1_700_000_000), "S2 repeat");
        for (at, tag) in [(0, "response"), (0, "service"), (250, "response")] {
            let (start, length) = (Duration::from_millis(at), Duration::from_millis(250));
            log.push(&Interval { tag, start, length, histogram: &histogram(at..at + 900) })
                .unwrap();
        }
        String::from_utf8(log.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_merged_by_tag() {
        let found = read(&log()).unwrap();
        let tags: Vec<&str> = found.iter().map(|interval| interval.tag.as_str()).collect();
        assert_eq!(tags, ["response", "service", "response"]);
        assert_eq!(found[2].start, Duration::from_millis(250));
        assert_eq!(found[2].length, Duration::from_millis(250));
        assert_eq!(found[2].histogram, histogram(250..1_150));
        let mut sum = histogram(0..900);
        sum.add(histogram(250..1_150)).unwrap();
        let merged = merged(&log()).unwrap();
        assert_eq!(merged["response"], sum);
        assert_eq!(merged["service"], histogram(0..900));
        assert_eq!(merge(found.into_iter().map(Ok)).unwrap(), merged);
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_entry() {
        for text in ["", "{}", "#[Histogram log format version 2.0]\n"] {
            assert!(matches!(read(text), Err(LogReadError::NotALog)), "{text}");
        }
        let broken = log().replacen("HISTFAAA", "HISTF===", 2);
        assert!(read(&broken).unwrap_err().to_string().starts_with("entry "), "{broken}");
        let cut = &log()[..log().len() - 40];
        assert!(read(cut).is_err());
    }

    /// A log whose only histogram has this header and this many cells of nothing.
    fn forged(length: u32, digits: u32, high: u64, cells: usize) -> String {
        let mut plain = Vec::new();
        plain.extend(0x1c84_9303_u32.to_be_bytes());
        for word in [length, 0, digits] {
            plain.extend(word.to_be_bytes());
        }
        plain.extend(1_u64.to_be_bytes());
        plain.extend(high.to_be_bytes());
        plain.extend(1.0_f64.to_be_bytes());
        plain.resize(plain.len() + cells, 0);
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&plain).unwrap();
        let packed = packed.finish().unwrap();
        let mut all = 0x1c84_9304_u32.to_be_bytes().to_vec();
        all.extend((packed.len() as u32).to_be_bytes());
        all.extend(packed);
        let encoded = STANDARD.encode(all);
        format!("#[Histogram log format version 1.3]\nTag=a,0.000,1.000,0.000,{encoded}\n")
    }

    #[test]
    fn a_small_log_cannot_ask_for_much_memory() {
        for (length, digits, cells, why) in [
            (u32::MAX, 3, 10, "length"),
            (10, 5, 10, "digits"),
            (100 << 20, 3, 100 << 20, "length"),
        ] {
            let said = read(&forged(length, digits, u64::MAX, cells)).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(at in 0_usize..4_096, with in any::<u8>()) {
            let mut bytes = log().into_bytes();
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = read(&text);
            }
        }

        #[test]
        fn no_histogram_makes_it_panic(
            digits in 0_u32..6, high in any::<u64>(), cells in 0_usize..64, delta in 0_u32..2,
        ) {
            let _ = read(&forged(cells as u32 + delta, digits, high, cells));
        }
    }
}
