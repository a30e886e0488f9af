//! What one line, one function or one file may look like.

use crate::{report, sources};

const LINE_CHARS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

/// Words that must not stand in finished code. Split so that this file does not accuse itself.
const LEFTOVERS: [&str; 7] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("d", "bg!("),
    concat!("#[ig", "nore"),
    concat!("#[al", "low("),
];

#[test]
fn every_file_opens_with_a_header() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path.clone())
        .collect();
    report("files without a `//!` header", &found);
}

#[test]
fn lines_fit_the_page() {
    let mut found = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            if line.chars().count() > LINE_CHARS_MAX {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    report("lines over 100 characters", &found);
}

#[test]
fn files_stay_small() {
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| (source.code().count(), &source.path))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines} lines without its tests"))
        .collect();
    report("files over 500 lines", &found);
}

#[test]
fn functions_fit_a_screen() {
    let mut found = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| opens_function(line)) {
            let indent = line.len() - line.trim_start().len();
            let end = lines[start..].iter().position(|l| {
                l.len() > indent && l.as_bytes()[indent] == b'}' && l[..indent].trim().is_empty()
            });
            let length = end.map_or(0, |end| end + 1);
            if length > FUNCTION_LINES_MAX {
                found.push(format!("{}:{}: {length} lines", source.path, start + 1));
            }
        }
    }
    report("functions over 70 lines", &found);
}

/// Whether a line opens a function with a body. One that ends on its own line is short enough.
fn opens_function(line: &str) -> bool {
    let words = line.trim_start();
    let starts = ["fn ", "async fn ", "const fn ", "unsafe fn "];
    let is_function = starts.iter().any(|start| words.starts_with(start))
        || (words.starts_with("pub") && words.contains(" fn "));
    is_function && !words.ends_with(';') && !words.ends_with('}')
}

#[test]
fn nothing_is_left_over() {
    let mut found = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            for word in LEFTOVERS.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{}: {word}", source.path, at + 1));
            }
        }
    }
    report("leftovers", &found);
}
