//! `tollgate doctor` on this very machine, whatever it is: it ends soon, says something about every
//! item in lines that fit, and in JSON the same.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::tollgate;
use serde_json::Value;

#[test]
fn text_fits_the_page_and_names_each_status_in_words() {
    let output = tollgate(&["doctor"]);
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
    let output = tollgate(&["doctor", "--output-format=json"]);
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
}

#[test]
fn other_words_are_usage_errors() {
    let mistakes = [
        (&["doctor", "--output-format", "csv"][..], "csv"),
        (&["doctor", "--deep"], "--deep"),
        (&["doctor", "now"], "now"),
    ];
    for (words, named) in mistakes {
        let output = tollgate(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(named) && output.stdout.is_empty(), "{words:?}: {said}");
    }
}
