//! `tollgate doctor` on this very machine, whatever it is: it ends soon, says something about every
//! item in lines that fit, and in JSON the same; below the items it has the drift of the machine.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::tollgate;
use serde_json::Value;

#[test]
fn text_fits_the_page_and_names_each_status_in_words() {
    let output = tollgate(&["doctor", "--drift", "0"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}", output.status);
    assert!(!text.contains('\x1b'), "colour in a pipe: {text}");
    let too_wide = text.lines().find(|line| line.chars().count() > 100);
    assert_eq!(too_wide, None);
    let mut lines = text.lines();
    let summary = lines.next().unwrap();
    assert_eq!(summary.contains("What blocks"), output.status.code() == Some(1), "{summary}");
    for line in lines.filter(|line| !line.is_empty()) {
        let starts = ["good  ", "costs ", "blocks", "      "];
        assert!(starts.iter().any(|start| line.starts_with(start)), "{line:?}");
    }
    for item in ["kernel", "io_uring", "cores", "steal", "open files", "clock", "loopback"] {
        assert!(text.contains(&format!("  {item} ")), "nothing is said of {item}: {text}");
    }
}

#[test]
fn json_has_an_item_for_each_finding_and_a_cure_for_what_is_not_good() {
    let output = tollgate(&["doctor", "--output-format=json", "--drift=0"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["version"], 1);
    assert_eq!(answer["blocked"], output.status.code() == Some(1));
    let findings = answer["findings"].as_array().unwrap();
    assert!(findings.len() > 15, "{answer}");
    for finding in findings {
        assert!(!finding["says"].as_str().unwrap().is_empty(), "{finding}");
        assert!(!finding["why"].as_str().unwrap().is_empty(), "{finding}");
        let good = finding["status"] == "good";
        assert_eq!(finding["fix"].is_null(), good, "{finding}");
    }
    assert!(answer["drift"].is_null(), "{answer}");
}

#[test]
fn the_table_of_drift_stands_below_the_items() {
    let output = tollgate(&["doctor", "--drift", "300ms"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (items, table) = text.rsplit_once("\n\n").unwrap();
    assert_eq!(items.contains("What blocks"), output.status.code() == Some(1), "{items}");
    let row = |head: &str| -> Vec<&str> {
        let row = table.lines().find_map(|line| line.strip_prefix(head));
        row.unwrap_or_else(|| panic!("no {head}: {table}")).split_whitespace().collect()
    };
    assert_eq!(row("averaged over"), ["2", "ms", "10", "ms", "50", "ms", "250", "ms", "1", "s"]);
    for head in ["socket pairs", "integer loop"] {
        let figures = row(head);
        assert_eq!(figures.len(), 5, "{table}");
        // A sample may take longer than the shortest stretch where others use the core.
        assert!(figures[1..3].iter().all(|figure| figure.ends_with('%')), "{table}");
        assert_eq!(figures[3..], ["-", "-"], "{table}");
    }
    let too_wide = table.lines().find(|line| line.chars().count() > 80);
    assert_eq!(too_wide, None);
}

#[test]
fn json_has_the_drift_of_both_kinds_of_work() {
    let output = tollgate(&["doctor", "--output-format=json", "--drift=300ms"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["blocked"], output.status.code() == Some(1));
    let drift = &answer["drift"];
    assert!(drift["length_ns"].as_u64().unwrap() >= 300_000_000, "{drift}");
    for (row, work) in
        drift["rows"].as_array().unwrap().iter().zip(["socket pairs", "integer loop"])
    {
        assert_eq!(row["work"], work);
        assert!(row["samples"].as_u64().unwrap() > 10, "{row}");
        assert!(row["sample_cpu_ns"].as_u64().unwrap() > 0, "{row}");
        let deviations = row["deviations"].as_array().unwrap();
        let times = deviations.iter().map(|found| found["averaged_over_ms"].as_u64().unwrap());
        assert!(times.eq([2, 10, 50, 250, 1_000]), "{row}");
        assert!(deviations[1]["share"].as_f64().unwrap() > 0.0, "{row}");
        assert!(deviations[4]["share"].is_null(), "{row}");
    }
}

#[test]
fn other_words_are_usage_errors() {
    let mistakes = [
        (&["doctor", "--output-format", "csv"][..], "csv"),
        (&["doctor", "--deep"], "--deep"),
        (&["doctor", "--drift", "4"], "--drift"),
        (&["doctor", "--drift=601s"], "10m"),
        (&["doctor", "now"], "now"),
    ];
    for (words, named) in mistakes {
        let output = tollgate(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(named) && output.stdout.is_empty(), "{words:?}: {said}");
    }
}
