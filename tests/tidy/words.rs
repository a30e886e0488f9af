//! Terms of the field: what `docs/glossary.md` replaced does not come back, in sources and docs.
//!
//! Only words are kept out that cannot be right English here otherwise. CHANGELOG.md and the
//! glossary itself may name them.

use std::fs;

use crate::{report, root, sources};

/// What is kept out, and the term to use. `-`, `_` and a space are the same, and so are letters of
/// either size.
const REPLACED: &[(&str, &str)] = &[
    ("attend", "serve_connection"),
    ("books", "CPU accounting; stock levels"),
    ("bound words", "BoundArgs"),
    ("called back", "cancelled"),
    ("came about", "achieved"),
    ("chatty", "unsolicited data"),
    ("comes about", "is achieved"),
    ("distrust", "reject (a certificate)"),
    ("distrusted", "rejected (a certificate)"),
    ("fall asleep", "be idle"),
    ("falls asleep", "is idle"),
    ("farewell", "close"),
    ("first sight", "uncached"),
    ("for want of", "because there is no"),
    ("goodbye", "close_notify"),
    ("goods", "stock"),
    ("greet", "tls_handshake"),
    ("guest", "ConnectionGuard"),
    ("keeper", "Refresher"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("not left alone", "disturbed"),
    ("not proved", "unverified"),
    ("parked", "idle"),
    ("priced", "estimated"),
    ("price family", "estimate_family"),
    ("request words", "RequestArgs"),
    ("s0 again", "s0-control"),
    ("second judge", "instruction-count evidence"),
    ("shelf", "stock"),
    ("shelves", "stock"),
    ("strayed", "ran on a generator core"),
    ("strikes", "expires"),
    ("struck", "expired"),
    ("told from noise", "distinguishable from noise"),
];

/// Where a replaced word must stand, and why.
const NEEDED: &[(&str, &str, &str)] = &[
    ("authn/src/tls/refusal.rs", "distrusted", "an error of webpki has it in its name"),
    ("docs/calibration.md", "books", "a part of `calibrate`, which scripts name"),
    ("loadgen/src/command/calibrate.rs", "books", "a part of `calibrate`, which scripts name"),
    ("loadgen/src/plan/role.rs", "first sight", "older records are read for ever"),
    ("loadgen/src/plan/role.rs", "s0 again", "older records are read for ever"),
    ("loadgen/src/stats/layers.rs", "first sight", "older records are read for ever"),
    ("loadgen/src/verdict/compare/tests.rs", "s0 again", "older records are read for ever"),
    ("loadgen/src/verdict/threshold/tests.rs", "first sight", "older records are read for ever"),
    ("metrics-export/src/run/slice.rs", "strayed", "older records are read for ever"),
    ("src/cli/calibrate.rs", "books", "a part of `calibrate`, which scripts name"),
];

#[test]
fn replaced_terms_do_not_come_back() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (at, line) in text.lines().enumerate() {
            let line = Line::of(line);
            for (word, instead) in REPLACED {
                let needed = NEEDED
                    .iter()
                    .any(|(place, needed, _)| needed == word && path.starts_with(place));
                if !needed && line.count(word) > 0 {
                    found.push(format!("{word:?} in {path}:{}, use {instead}", at + 1));
                }
            }
        }
    }
    report("terms that the glossary replaced", &found);
}

/// All sources, and the pages but those that list the words.
fn texts() -> Vec<(String, String)> {
    let own = |path: &str| path.ends_with("tidy/words.rs");
    let sources = sources().into_iter().filter(|source| !own(&source.path));
    let mut texts: Vec<(String, String)> =
        sources.map(|source| (source.path, source.text)).collect();
    for folder in ["", "docs"] {
        let mut paths: Vec<_> =
            fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            if !matches!(name.as_str(), "CHANGELOG.md" | "docs/glossary.md") {
                texts.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    texts
}

/// A line with its signs made spaces, as written and in small letters.
struct Line {
    written: String,
    small: String,
}

impl Line {
    fn of(text: &str) -> Line {
        let flat = |c| if matches!(c, '-' | '_') { ' ' } else { c };
        let written: String = text.chars().map(flat).collect();
        let small = written.to_ascii_lowercase();
        Line { written, small }
    }

    /// How often a word stands here: whole, or as a part of a name in either style.
    fn count(&self, word: &str) -> usize {
        // `FirstSight` is `firstsight`.
        let joined = word.contains(' ').then(|| word.replace(' ', ""));
        self.occurrences(word) + joined.map_or(0, |joined| self.occurrences(&joined))
    }

    fn occurrences(&self, word: &str) -> usize {
        let whole = |start: &usize| {
            let before = self.written[..*start].chars().next_back();
            let after = self.written[start + word.len()..].chars().next();
            let begins = before.is_none_or(|c| !c.is_alphanumeric())
                || self.written[*start..].starts_with(|c: char| c.is_ascii_uppercase());
            begins && after.is_none_or(|c| !c.is_alphanumeric() || c.is_ascii_uppercase())
        };
        self.small.match_indices(word).map(|(start, _)| start).filter(whole).count()
    }
}

mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_prose_and_in_names() {
        for (line, word, found) in [
            ("At first sight, and first-sight", "first sight", 2),
            ("fn first_sight() -> FirstSight", "first sight", 2),
            ("CpuBooks books cpu_books BOOKS", "books", 4),
            ("notebooks bookshelf", "books", 0),
            ("amend mended", "mend", 0),
        ] {
            assert_eq!(Line::of(line).count(word), found, "{line}");
        }
    }
}
