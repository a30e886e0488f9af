//! Style that can be executed: headers, sizes, crate arrows, leftovers. It reads the sources as
//! text, so that it needs nothing but the tree; what it cannot see by text is left to clippy and
//! rustc.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

mod figures;
mod modules;

/// The crates and what each may use from this workspace, as drawn in ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 7] = [
    ("proto-http", &[]),
    ("authn", &[]),
    ("metrics-export", &[]),
    ("runtime", &["proto-http"]),
    ("services", &["authn", "metrics-export", "proto-http", "runtime"]),
    ("loadgen", &["authn", "metrics-export", "proto-http", "runtime"]),
    (".", &["authn", "loadgen", "metrics-export", "proto-http", "runtime", "services"]),
];

/// Names that only one room may say, and that room.
const OWNED_NAMES: [(&str, &str); 4] = [
    ("monoio", "runtime/"),
    ("io_uring::", "runtime/"),
    ("ring::", "authn/"),
    ("postgres_protocol", "services/src/results/"),
];

const LINE_CHARS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

/// Circles of modules that are still to be cut, crate by crate. A circle that is not listed fails,
/// and so does a listed one that is gone: the list only shrinks.
const KNOWN_CIRCLES: &[(&str, &str)] = &[
    ("proto-http", "body chunked"),
    ("metrics-export", "run::capacity run::result"),
    ("runtime", "buffer cores"),
    ("runtime", "client pool"),
    ("runtime", "exchange memory serve service socket stream wire"),
    ("runtime", "launch shutdown"),
    ("runtime", "stages stats"),
    ("runtime", "generator::connection generator::event generator::table generator::uring"),
    ("loadgen", "compare threshold"),
    ("loadgen", "cpu run stack targets"),
    ("loadgen", "drive generator worker"),
    ("loadgen", "calibrate::progress calibrate::session"),
    ("loadgen", "capacity::live capacity::outcome"),
    ("loadgen", "plan::axes plan::variant"),
    ("loadgen", "run::json run::render"),
    ("loadgen", "threshold::judge threshold::noise"),
];

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

#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether the whole file is tests: these are tables as often as code.
    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("tests/")
    }

    /// The lines before the unit tests.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        collect(&root().join(folder), &mut found);
    }
    for (folder, _) in ARROWS.iter().filter(|(folder, _)| *folder != ".") {
        collect(&root().join(folder), &mut found);
    }
    assert!(found.len() > 40, "only {} source files were found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}

fn report(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

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

#[test]
fn unsafe_code_stays_in_the_runtime() {
    for (folder, _) in ARROWS.iter().filter(|(folder, _)| *folder != "runtime") {
        let top = if *folder == "." { "src/main.rs" } else { "src/lib.rs" };
        let text = fs::read_to_string(root().join(folder).join(top)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{folder}/{top} lets unsafe in");
    }
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("runtime/src")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let reason = lines[at.saturating_sub(6)..at].iter().any(|l| l.contains("SAFETY:"));
            if code.contains("unsafe {") && !reason {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    report("unsafe blocks without a SAFETY comment", &found);
}

#[test]
fn crates_use_only_what_the_arrows_allow() {
    let members: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (folder, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for line in section.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if members.contains(&name) {
                assert!(allowed.contains(&name), "{folder} may not use {name}");
            }
        }
    }
}

#[test]
fn each_name_is_said_only_in_its_room() {
    let mut found = Vec::new();
    // The peers' servers below benches/ are a workspace of their own, which nothing here uses.
    let ours = |s: &&Source| s.path.contains("src/") && !s.path.starts_with("benches/");
    for source in sources().iter().filter(ours) {
        for (name, room) in OWNED_NAMES.iter().filter(|(_, room)| !source.path.starts_with(room)) {
            for (at, line) in source.code().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let said = code.match_indices(name).any(|(start, _)| {
                    !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                });
                // rustls names its own ring provider; that is a choice, not a use of ring.
                if said && !code.contains('"') && !code.contains("crypto::ring") {
                    found.push(format!("{}:{}: {name} belongs to {room}", source.path, at + 1));
                }
            }
        }
    }
    report("names outside their room", &found);
}

#[test]
fn modules_have_no_circles() {
    let sources = sources();
    for (folder, _) in ARROWS {
        let modules = modules::Modules::read(folder.trim_start_matches('.'), &sources);
        let found: Vec<String> = modules.circles().iter().map(|names| names.join(" ")).collect();
        let known = KNOWN_CIRCLES.iter().filter(|(name, _)| *name == folder);
        let known: Vec<&str> = known.map(|(_, names)| *names).collect();
        assert_eq!(found, known, "circles of modules in {folder}, found and known");
    }
}

/// Where each figure stands today. None of them may grow; whoever lowers one lowers its limit.
const FIGURES_MAX: [(&str, usize); 5] = [
    ("file lines, median", 160),
    ("file lines, 90th percentile", 350),
    ("types that share a name", 98),
    ("errors without a source", 25),
    ("public functions with a text as error", 21),
];

#[test]
fn structure_in_figures() {
    let all = sources();
    println!("| crate | names | levels | arrows | circles |\n|---|---|---|---|---|");
    for (folder, _) in ARROWS {
        let shape =
            figures::Shape::of(&modules::Modules::read(folder.trim_start_matches('.'), &all));
        let figures::Shape { boxes, levels, arrows, circles } = shape;
        println!("| {folder} | {boxes} | {levels} | {arrows} | {circles} |");
    }
    let ours = |source: &Source| {
        source.path.contains("src/") && !source.is_test() && !source.path.starts_with("benches/")
    };
    let code: Vec<Source> = all.into_iter().filter(ours).collect();
    let lines = figures::file_lines(&code);
    let found = [
        figures::quantile(&lines, 50),
        figures::quantile(&lines, 90),
        figures::same_named_types(&code).len(),
        figures::errors_without_source(&code).len(),
        figures::text_errors(&code).len(),
    ];
    println!("\n| figure | now | limit |\n|---|---|---|");
    for ((name, limit), now) in FIGURES_MAX.iter().zip(found) {
        println!("| {name} | {now} | {limit} |");
    }
    for (name, files) in figures::same_named_types(&code) {
        println!("type {name}: {}", files.join(" "));
    }
    println!("without source: {}", figures::errors_without_source(&code).join("; "));
    println!("text as error: {}", figures::text_errors(&code).join(" "));
    for ((name, limit), now) in FIGURES_MAX.iter().zip(found) {
        assert!(now <= *limit, "{name}: {now}, at most {limit}");
    }
}
