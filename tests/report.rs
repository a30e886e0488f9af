//! `tollgate report` from the outside: what it makes of a kept run, and what it says when there is
//! none, when it is damaged, or when a part is missing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use common::tollgate;

/// A copy of the run that is kept beside the tests.
fn kept() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/run-v3");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn report(run: &Path, words: &[&str]) -> Output {
    tollgate(&[&["report", run.to_str().unwrap()], words].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_page_appears_in_the_run_s_directory() {
    let run = kept();
    let before = fs::read_dir(run.path()).unwrap().count();
    for named in [run.path().to_path_buf(), run.path().join("run.json")] {
        let output = report(&named, &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let page = run.path().join("report.html");
        assert_eq!(text(&output.stdout), format!("{}\n", page.display()));
        assert!(output.stderr.is_empty(), "{output:?}");
        let page = fs::read_to_string(page).unwrap();
        assert!(page.ends_with("</html>\n") && !page.contains("There is no curve"), "{page}");
        assert!(page.contains("Response time, from the intended send</h4>"));
    }
    assert_eq!(fs::read_dir(run.path()).unwrap().count(), before + 1, "a draft was left behind");
}

#[test]
fn every_format_has_the_same_figures() {
    let run = kept();
    let record: Value =
        serde_json::from_slice(&fs::read(run.path().join("run.json")).unwrap()).unwrap();
    let said = |format: &str| {
        let output = report(run.path(), &["--output-format", format]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stdout)
    };
    let again: Value = serde_json::from_str(&said("json")).unwrap();
    assert_eq!(again, record);
    let slices = record["slices"].as_array().unwrap().len();
    assert_eq!(said("csv").lines().count(), slices + 1);
    let word = if record["validity"]["valid"] == true { "VALID" } else { "INVALID" };
    let markdown = said("markdown");
    assert!(markdown.starts_with(&format!("**{word}** ")), "{markdown}");
    let terminal = said("text");
    assert!(terminal.contains(word) && !terminal.contains('\x1b'), "{terminal}");
    assert!(terminal.lines().all(|line| line.chars().count() <= 100), "{terminal}");
    assert!(!run.path().join("report.html").exists());
    let page = report(run.path(), &["-o", "-"]);
    assert!(page.stdout.starts_with(b"<!doctype html>"), "{page:?}");
    let file = run.path().join("elsewhere/comment.md");
    let output = report(run.path(), &["--output-format=markdown", "-o", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read_to_string(file).unwrap(), markdown);
}

/// The complaint about a run after a change to its record.
fn complaint(change: impl Fn(&str) -> String) -> String {
    let run = kept();
    let record = run.path().join("run.json");
    let changed = change(&fs::read_to_string(&record).unwrap());
    fs::write(&record, changed).unwrap();
    let output = report(run.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!run.path().join("report.html").exists(), "half a page was left behind");
    text(&output.stderr)
}

#[test]
fn files_that_are_no_run_are_refused_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    for run in [empty.path().to_path_buf(), empty.path().join("no-such-run")] {
        let output = report(&run, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("There is no run at"), "{output:?}");
        assert!(text(&output.stderr).contains("Name the directory"), "{output:?}");
    }
    let cut = complaint(|record| record[..record.len() / 2].to_owned());
    assert!(cut.contains("the record is truncated"), "{cut}");
    let damaged = complaint(|record| record.replace("\"plan\"", "\"plam\""));
    assert!(damaged.contains("damaged") && damaged.contains("plan"), "{damaged}");
    let newer = complaint(|record| {
        let mut record: Value = serde_json::from_str(record).unwrap();
        record["schema_version"] = 99.into();
        record.to_string()
    });
    assert!(newer.contains("version 99") && newer.contains("use the build"), "{newer}");
}

#[test]
fn a_missing_log_costs_its_curve_and_nothing_else() {
    let run = kept();
    fs::remove_file(run.path().join("s1.hlog")).unwrap();
    fs::write(run.path().join("s0.hlog"), "#[Histogram log format version 1.3]\nTag=a,0,x\n")
        .unwrap();
    let output = report(run.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("no curve of \"s1\"") && said.contains("s1.hlog"), "{said}");
    assert!(said.contains("no curve of \"s0\""), "{said}");
    let page = fs::read_to_string(run.path().join("report.html")).unwrap();
    assert!(page.contains("There is no curve for S0, S1:"), "the page does not say it");
}

#[test]
fn a_record_names_no_file_outside_of_its_directory() {
    let run = kept();
    let outside = run.path().join("below");
    fs::create_dir(&outside).unwrap();
    let record = run.path().join("run.json");
    let renamed = fs::read_to_string(&record).unwrap().replace("\"s1\"", "\"../s1\"");
    fs::write(outside.join("run.json"), renamed).unwrap();
    let output = report(&outside, &["-o", "-"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stderr).contains("\"../s1\": its id is no name of a file"), "{output:?}");
}

#[test]
fn mistakes_are_usage_errors_and_write_nothing() {
    let run = kept();
    for (words, named) in [
        (&["--output-format", "xml"][..], "xml"),
        (&["--open", "maybe"], "maybe"),
        (&["--open", "yes", "--output-format", "csv"], "html"),
        (&["--open=yes", "-o", "-"], "file"),
    ] {
        let output = report(run.path(), words);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(named), "{output:?}");
    }
    assert!(!run.path().join("report.html").exists());
    assert_eq!(tollgate(&["report"]).status.code(), Some(2));
    let help = tollgate(&["report", "--help"]);
    assert_eq!(help.status.code(), Some(0), "{help:?}");
    assert!(text(&help.stdout).contains("--output-format"), "{help:?}");
}
