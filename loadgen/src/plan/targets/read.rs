//! From text to tables whose keys are known: the TOML parser's tree, with the line of every key
//! and value. Types are checked as values are taken, so that a complaint names key and line.

use std::ops::Range;

use runtime::url::Url;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys;
use super::{TARGETS_MAX, TargetsError};

/// The longest text value, in bytes: that of a body in place. Longer ones stand in files.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The file, with its keys checked and the defaults dealt out.
pub(super) struct Document<'a> {
    pub(super) label: Option<Entry<'a>>,
    pub(super) baseline: Option<Entry<'a>>,
    /// Each target with its own keys and those of the defaults that it takes.
    pub(super) targets: Vec<TargetTable<'a>>,
}

/// The keys of one target.
#[derive(Clone, Debug)]
pub(super) struct TargetTable<'a> {
    /// Where it begins.
    pub(super) line: usize,
    entries: Vec<Entry<'a>>,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) key: String,
    pub(super) line: usize,
    /// From the defaults and not the target's own.
    pub(super) is_default: bool,
    value: DeValue<'a>,
}

type Taken<T> = Result<T, TargetsError>;

impl<'a> Document<'a> {
    pub(super) fn parse(text: &'a str) -> Taken<Document<'a>> {
        let lines = TextPositions(text);
        let root = DeTable::parse(text).map_err(|error| malformed(&lines, &error))?;
        let top = TargetTable::of(&root, &lines, 1, false)?;
        top.refuse_unknown(&keys::TOP, "at the top of the file")?;
        let defaults = match top.entry("defaults") {
            None => TargetTable { line: 1, entries: Vec::new() },
            Some(entry) => entry.table(&lines, true)?,
        };
        defaults.refuse_unknown(&keys::SHARED, "in [defaults]")?;
        let targets = match top.entry("target") {
            None => Vec::new(),
            Some(entry) => entry.tables(&lines)?,
        };
        if targets.is_empty() {
            return Err(TargetsError {
                line: 1,
                sentence: "there is no [[target]]: give each server one, with `name` and `url`"
                    .into(),
            });
        }
        if let Some(extra) = targets.get(TARGETS_MAX) {
            let sentence = format!("there are more than {TARGETS_MAX} targets: make two files");
            return Err(TargetsError { line: extra.line, sentence });
        }
        let known: Vec<&str> = ["name"].into_iter().chain(keys::SHARED).collect();
        for target in &targets {
            target.refuse_unknown(&known, "in [[target]]")?;
        }
        let targets = targets.into_iter().map(|target| target.with(&defaults)).collect();
        let (label, baseline) = (top.entry("label").cloned(), top.entry("baseline").cloned());
        Ok(Document { label, baseline, targets })
    }
}

impl<'a> TargetTable<'a> {
    fn of(
        table: &Spanned<DeTable<'a>>,
        lines: &TextPositions<'_>,
        line: usize,
        is_default: bool,
    ) -> Taken<TargetTable<'a>> {
        let entries = table.get_ref().iter().map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            line: lines.line(key.span()),
            is_default,
            value: value.get_ref().clone(),
        });
        Ok(TargetTable { line, entries: entries.collect() })
    }

    /// The value of a key, if it stands there.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key that must stand there.
    pub(super) fn required(&self, key: &str) -> Taken<&Entry<'a>> {
        self.entry(key).ok_or_else(|| TargetsError {
            line: self.line,
            sentence: format!("this target has no `{key}`: give it one"),
        })
    }

    /// Every key with its value, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter()
    }

    fn refuse_unknown(&self, known: &[&str], place: &str) -> Taken<()> {
        let unknown = self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str()));
        // The first in the file, whatever order the parser keeps.
        let Some(entry) = unknown.min_by_key(|entry| entry.line) else { return Ok(()) };
        let key = &entry.key;
        entry.refuse(match keys::in_place_of_secret(key) {
            Some(instead) => {
                format!("`{key}` would be a secret in this file: use {instead}")
            }
            None => format!("there is no key `{key}` {place}; there are {}", known.join(", ")),
        })
    }

    /// The same with those of the defaults that this one neither has nor excludes.
    fn with(mut self, defaults: &TargetTable<'a>) -> TargetTable<'a> {
        let excluded = |key: &str| {
            keys::alternative(key).is_some_and(|(group, way)| {
                self.entries.iter().any(|own| {
                    keys::alternative(&own.key).is_some_and(|(g, w)| g == group && w != way)
                })
            })
        };
        let taken = defaults
            .entries
            .iter()
            .filter(|entry| self.entry(&entry.key).is_none() && !excluded(&entry.key));
        let taken: Vec<Entry<'a>> = taken.cloned().collect();
        // Fields are added up: those of the target go first.
        let headers = self.entry("headers").and_then(|_| defaults.entry("headers")).cloned();
        self.entries.extend(taken.into_iter().chain(headers));
        self
    }
}

impl<'a> Entry<'a> {
    /// A complaint about this key.
    pub(super) fn refuse<T>(&self, sentence: impl Into<String>) -> Taken<T> {
        Err(TargetsError { line: self.line, sentence: sentence.into() })
    }

    fn wrong<T>(&self, wanted: &str) -> Taken<T> {
        let found = self.value.type_str();
        self.refuse(format!("`{}` takes {wanted}, and this is of type {found}", self.key))
    }

    /// Text that is not empty.
    pub(super) fn text(&self) -> Taken<&str> {
        match self.value.as_str() {
            None => self.wrong("a text in quotes"),
            Some("") => self.refuse(format!("`{}` is empty: leave it out", self.key)),
            Some(text) if text.len() > VALUE_BYTES_MAX => self.refuse(format!(
                "`{}` is longer than {} KiB: put it into a file",
                self.key,
                VALUE_BYTES_MAX / 1024
            )),
            Some(text) => Ok(text),
        }
    }

    pub(super) fn flag(&self) -> Taken<bool> {
        match self.value.as_bool() {
            None => self.wrong("true or false"),
            Some(flag) => Ok(flag),
        }
    }

    pub(super) fn url(&self) -> Taken<Url> {
        Url::parse(self.text()?).or_else(|error| self.refuse(format!("`{}`: {error}", self.key)))
    }

    /// One whole number or a list of them, each within these bounds.
    pub(super) fn numbers(&self, bounds: Range<u64>) -> Taken<Vec<u64>> {
        let wanted = format!("whole numbers from {} to {}", bounds.start, bounds.end - 1);
        let values: Vec<&DeValue<'_>> = self.list();
        let read = |value: &&DeValue<'_>| {
            let number = value.as_integer()?;
            u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| bounds.contains(n))
        };
        let numbers: Vec<u64> = values.iter().filter_map(read).collect();
        match numbers.len() == values.len() && !values.is_empty() {
            true => Ok(numbers),
            false => self.refuse(format!("`{}` takes {wanted}, one or a list", self.key)),
        }
    }

    /// Names and texts of a table.
    pub(super) fn pairs(&self) -> Taken<Vec<(String, String)>> {
        let Some(table) = self.value.as_table() else { return self.wrong("a table") };
        let pair = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            match value.get_ref().as_str() {
                Some(text) => Ok((name.to_string(), text.to_owned())),
                None => self.refuse(format!("`{}.{name}` takes a text in quotes", self.key)),
            }
        };
        table.iter().map(pair).collect()
    }

    /// Names of a table with one text or a list of texts each.
    pub(super) fn lists(&self) -> Taken<Vec<(String, String)>> {
        let Some(table) = self.value.as_table() else { return self.wrong("a table") };
        let mut pairs = Vec::new();
        for (name, value) in table {
            let name = name.get_ref();
            let values: Vec<&DeValue<'_>> = match value.get_ref().as_array() {
                Some(array) => array.iter().map(Spanned::get_ref).collect(),
                None => vec![value.get_ref()],
            };
            for value in values {
                let Some(text) = value.as_str() else {
                    let key = &self.key;
                    return self.refuse(format!("`{key}.{name}` takes a text or a list of texts"));
                };
                pairs.push((name.to_string(), text.to_owned()));
            }
        }
        Ok(pairs)
    }

    fn list(&self) -> Vec<&DeValue<'a>> {
        match self.value.as_array() {
            Some(array) => array.iter().map(Spanned::get_ref).collect(),
            None => vec![&self.value],
        }
    }

    fn table(&self, lines: &TextPositions<'_>, is_default: bool) -> Taken<TargetTable<'a>> {
        match &self.value {
            DeValue::Table(table) => {
                TargetTable::of(&Spanned::new(0..0, table.clone()), lines, self.line, is_default)
            }
            _ => self.wrong("a table"),
        }
    }

    fn tables(&self, lines: &TextPositions<'_>) -> Taken<Vec<TargetTable<'a>>> {
        let DeValue::Array(array) = &self.value else {
            return self.wrong("tables: write [[target]] with two brackets");
        };
        let table = |value: &Spanned<DeValue<'a>>| match value.get_ref() {
            DeValue::Table(table) => {
                let line = lines.line(value.span());
                TargetTable::of(&Spanned::new(value.span(), table.clone()), lines, line, false)
            }
            _ => self.wrong("tables: write [[target]]"),
        };
        array.iter().map(table).collect()
    }
}

/// Places in the text.
struct TextPositions<'a>(&'a str);

impl TextPositions<'_> {
    fn line(&self, span: Range<usize>) -> usize {
        self.before(span.start).matches('\n').count() + 1
    }

    fn column(&self, span: Range<usize>) -> usize {
        let before = self.before(span.start);
        before.rsplit('\n').next().unwrap_or_default().chars().count() + 1
    }

    fn before(&self, at: usize) -> &str {
        self.0.get(..at).unwrap_or(self.0)
    }
}

fn malformed(lines: &TextPositions<'_>, error: &toml::de::Error) -> TargetsError {
    let span = error.span().unwrap_or(0..0);
    let said: Vec<&str> = error.message().split_whitespace().collect();
    let sentence =
        format!("column {}: this is no TOML: {}", lines.column(span.clone()), said.join(" "));
    TargetsError { line: lines.line(span), sentence }
}
