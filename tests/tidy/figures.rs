//! The structure of the workspace in figures: `cargo test --test tidy structure -- --nocapture`.
//!
//! It owns what is counted, and how; limits are the tests'. Tests are left out of every count.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;
use crate::modules::Modules;

/// What a crate's folder looks like from its first level.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Names on the first level.
    pub(crate) boxes: usize,
    /// The longest way from a name to one that uses no other, counted in names.
    pub(crate) levels: usize,
    /// Names that use names.
    pub(crate) arrows: usize,
    /// Sets of modules that lead to each other, at any level.
    pub(crate) circles: usize,
}

impl Shape {
    /// Of one crate.
    pub(crate) fn of(modules: &Modules) -> Shape {
        let boxes = modules.boxes();
        let arrows = boxes.values().map(BTreeSet::len).sum();
        let levels = boxes.keys().map(|name| height(&boxes, name, &mut Vec::new())).max();
        let circles = modules.circles().len();
        Shape { boxes: boxes.len(), levels: levels.unwrap_or_default(), arrows, circles }
    }
}

/// A circle is gone round once.
fn height<'a>(
    boxes: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    name: &'a str,
    above: &mut Vec<&'a str>,
) -> usize {
    above.push(name);
    let below: Vec<&str> =
        boxes.get(name).into_iter().flatten().copied().filter(|n| !above.contains(n)).collect();
    let highest = below.into_iter().map(|name| height(boxes, name, above)).max();
    above.pop();
    highest.unwrap_or_default() + 1
}

/// Lines of each file of sources, smallest first.
pub(crate) fn file_lines(sources: &[Source]) -> Vec<usize> {
    let mut lines: Vec<usize> = sources.iter().map(|source| source.code().count()).collect();
    lines.sort_unstable();
    lines
}

/// The value below which this share of a sorted list lies.
pub(crate) fn quantile(sorted: &[usize], share_percent: usize) -> usize {
    sorted.get(sorted.len() * share_percent / 100).copied().unwrap_or_default()
}

/// Types that share their name with another one of the workspace, with the files.
pub(crate) fn same_named_types(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        for line in source.code() {
            if let Some(name) = declared_type(line) {
                types.entry(name.to_string()).or_default().push(source.path.clone());
            }
        }
    }
    types.retain(|_, files| files.len() > 1);
    types
}

/// The type that a line declares, at any depth of a module.
fn declared_type(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let rest = ["struct ", "enum ", "trait "].iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().filter(|name| !name.is_empty())
}

/// Errors that carry no cause: implementations of `Error` without a `source`.
pub(crate) fn errors_without_source(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let lines: Vec<&str> = source.code().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = line.split("Error for ").nth(1).filter(|_| line.contains("impl"))
            else {
                continue;
            };
            let is_error = line.contains("error::Error for") || line.contains(" Error for");
            let end = lines[at..].iter().position(|line| line.ends_with('}')).unwrap_or_default();
            let body = &lines[at..=at + end];
            if is_error && !body.iter().any(|line| line.contains("fn source")) {
                found.push(format!("{}: {}", source.path, name.trim_end_matches(" {}")));
            }
        }
    }
    found
}

/// Public functions whose error is a bare text.
pub(crate) fn text_errors(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let code: Vec<&str> = source.code().collect();
        for (at, line) in code.iter().enumerate() {
            if !(line.trim_start().starts_with("pub") && line.contains("fn ")) {
                continue;
            }
            let head: String = code[at..].iter().take(8).copied().collect::<Vec<_>>().join(" ");
            let head = head.split(" {").next().unwrap_or_default();
            let result = head.split("-> ").nth(1).unwrap_or_default();
            if result.contains("Result<") && result.trim_end().ends_with(", String>") {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    found
}
