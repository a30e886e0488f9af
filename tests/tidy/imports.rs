//! What one file of sources names: its `use` trees and the paths that it writes out, read as text.
//! Comments, quoted texts and tests are left out.

use std::collections::BTreeMap;

use crate::Source;

/// What a module names, before names are followed.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Paths as written, without those that a `use` gives a name.
    pub(crate) paths: Vec<Vec<String>>,
    /// The names that its `use` lines bring in, each with its path.
    pub(crate) names: BTreeMap<String, Vec<String>>,
}

/// Collects what a file names, from words: identifiers and the signs between them.
pub(crate) fn read(source: &Source) -> Named {
    let words = words(source);
    let mut named = Named::default();
    let mut at = 0;
    while at < words.len() {
        // `use<'a>` is a bound, not an import.
        if words[at] == "use" && words.get(at + 1).is_some_and(|next| next != "<") {
            at = read_use(&words, at + 1, &mut Vec::new(), &mut named);
        } else if words.get(at + 1).is_some_and(|next| next == "::") && is_name(&words[at]) {
            let mut path = vec![words[at].clone()];
            while words.get(at + 1).is_some_and(|next| next == "::")
                && words.get(at + 2).is_some_and(|name| is_name(name))
            {
                path.push(words[at + 2].clone());
                at += 2;
            }
            named.paths.push(path);
            at += 1;
        } else {
            at += 1;
        }
    }
    named
}

/// One tree of a `use` from `at` on; returns where it ends.
fn read_use(words: &[String], mut at: usize, before: &mut Vec<String>, named: &mut Named) -> usize {
    let depth = before.len();
    while at < words.len() {
        match words[at].as_str() {
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|word| word != "}" && word != ";") {
                    at = read_use(words, at, before, named);
                    at += usize::from(words.get(at).is_some_and(|word| word == ","));
                }
                before.truncate(depth);
                return at + 1;
            }
            "," | "}" | ";" => break,
            "::" => {}
            "as" => {
                let path = before.clone();
                named.names.insert(words[at + 1].clone(), path);
                before.truncate(depth);
                return at + 2;
            }
            name => before.push(name.to_string()),
        }
        at += 1;
    }
    if before.last().is_some_and(|name| name == "self") && before.len() > 1 {
        before.pop();
    }
    if let Some(name) = before.last().cloned() {
        named.names.insert(name, before.clone());
    }
    before.truncate(depth);
    at
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Identifiers, `::`, and the single signs that a `use` is made of; no comments, no texts.
fn words(source: &Source) -> Vec<String> {
    let mut words = Vec::new();
    for line in source.code() {
        let line = without_texts(line);
        let mut rest = line.as_str();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            let length = match length.unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                length => length,
            };
            if !first.is_whitespace() {
                words.push(rest[..length].to_string());
            }
            rest = &rest[length..];
        }
    }
    words
}

/// A line without its comment, and without what stands between quotes.
fn without_texts(line: &str) -> String {
    let mut kept = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        if !quoted && line[at..].starts_with("//") {
            break;
        }
        if letter == '"' && !escaped {
            quoted = !quoted;
        } else if !quoted {
            kept.push(letter);
        }
        escaped = quoted && letter == '\\' && !escaped;
    }
    kept
}
