//! The histogram logs are read by a stranger: the public HdrHistogram package of another language
//! finds in them what was recorded. The package comes from PyPI into a virtual environment below
//! `target/`, once; where it cannot be had the test fails, for nothing was proved then.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "common/python.rs"]
mod python;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::Histogram;
use metrics_export::hlog::{self, HistogramLog, Interval};
use serde_json::Value;

const PACKAGE: &str = "hdrhistogram==0.10.8";

/// A log with the smallest and the largest value that tollgate records, and many between.
fn written() -> Vec<u8> {
    let mut log =
        HistogramLog::new(Duration::from_millis(1_700_000_000_250), "S2 repeat, all values");
    for slice in 0..3_u64 {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        histogram.record(1).unwrap();
        histogram.record(3_600_000_000_000).unwrap();
        for step in 0..20_000_u64 {
            histogram.record(20_000 + step * step * (slice + 1)).unwrap();
        }
        for tag in ["response", "service"] {
            let start = Duration::from_millis(slice * 250);
            let length = Duration::from_millis(250);
            log.push(&Interval { tag, start, length, histogram: &histogram }).unwrap();
        }
    }
    log.as_bytes().to_vec()
}

#[test]
fn the_public_package_finds_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("fresh.hlog");
    fs::write(&fresh, written()).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/run-v3");
    let mut logs: Vec<PathBuf> =
        fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|end| end == "hlog"));
    assert!(logs.len() > 3, "{logs:?}");
    logs.push(fresh);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hlog_stranger.py");
    let mut words = vec![script.to_str().unwrap()];
    words.extend(logs.iter().map(|path| path.to_str().unwrap()));
    let stranger = python::interpreter(&[PACKAGE], "hdrh.log");
    let found: Vec<Value> = serde_json::from_str(&python::run(&stranger, &words)).unwrap();
    assert_eq!(found.len(), logs.len());

    for (path, found) in logs.iter().zip(&found) {
        let text = fs::read_to_string(path).unwrap();
        let intervals = hlog::read(&text).unwrap();
        let ours = hlog::merged(&text).unwrap();
        assert_eq!(ours.len(), found.as_object().unwrap().len(), "{}", path.display());
        for (tag, histogram) in &ours {
            let own = || intervals.iter().filter(|interval| interval.tag == *tag);
            // Not quantiles: implementations round the rank of one differently.
            let values: Vec<(u64, u64)> = histogram
                .iter_recorded()
                .map(|step| {
                    (histogram.highest_equivalent(step.value_iterated_to()), step.count_at_value())
                })
                .collect();
            let expected = serde_json::json!({
                "intervals": own().count(),
                "last_length_ms": own().next_back().unwrap().length.as_millis() as u64,
                "count": histogram.len(),
                "values": values,
            });
            assert_eq!(found[tag], expected, "{tag} of {}", path.display());
        }
    }
}
