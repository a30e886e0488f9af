//! Style that can be executed. It reads the sources as text, so that it needs nothing but the tree;
//! what it cannot see by text is left to clippy and rustc. Each file of this test has one topic:
//!
//! - `text`: headers, sizes of lines, functions and files, leftovers
//! - `crates`: which crate may use which, and which names belong to one crate
//! - `layers`: which module may use which, as drawn in ARCHITECTURE.md, and names on a level
//! - `structure`: the structure in figures
//! - `words`: terms that the glossary replaced

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use crates::ARROWS;

mod crates;
mod figures;
mod imports;
mod layers;
mod modules;
mod structure;
mod text;
mod words;

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
        // What stands for tests alone: a use, or a module in a file of its own, at the top.
        let end = self.text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let mut for_tests = false;
        self.text[..end].lines().filter(move |line| {
            let kept = !for_tests && !line.starts_with("#[cfg(test)]");
            for_tests = line.starts_with("#[cfg(test)]");
            kept
        })
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
