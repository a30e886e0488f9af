//! Reads a metrics page back, so that the meter can prove from the servers' own counters what a
//! slice was.
//!
//! It accepts what Prometheus servers write (text format 0.0.4 and OpenMetrics 1.0) as far as
//! samples go: comments are skipped, timestamps and exemplars are ignored. A line that is none of
//! these is an error that names it: a proof does not guess.

use std::fmt;

/// One scraped page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// Every sample, in the order of the page.
    pub samples: Vec<Sample>,
}

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name as scraped, with its suffix.
    pub name: String,
    /// Label names and unescaped values.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// A line that is no sample and no comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line's number, from 1.
    pub line: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} of the metrics page is neither a comment nor a sample; \
             check that the URL names a Prometheus metrics page",
            self.line
        )
    }
}

impl std::error::Error for ParseError {}

impl Scrape {
    /// Reads a page.
    ///
    /// # Errors
    /// [`ParseError`] names the first line that is no sample.
    pub fn parse(text: &str) -> Result<Scrape, ParseError> {
        let mut samples = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            samples.push(sample(line).ok_or(ParseError { line: index + 1 })?);
        }
        Ok(Scrape { samples })
    }

    /// The sum over all samples of `name` that carry all of `labels`; None when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let carries = |sample: &Sample, &(key, value): &(&str, &str)| {
            sample.labels.iter().any(|(k, v)| k == key && v == value)
        };
        let mut found = self
            .samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(|sample| labels.iter().all(|label| carries(sample, label)))
            .map(|sample| sample.value)
            .peekable();
        found.peek()?;
        Some(found.sum())
    }

    /// The value of a label on the first sample of `name`, as an info metric carries it.
    #[must_use]
    pub fn label(&self, name: &str, key: &str) -> Option<&str> {
        let labels = &self.samples.iter().find(|sample| sample.name == name)?.labels;
        labels.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

fn sample(line: &str) -> Option<Sample> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(name_end);
    if name.is_empty() {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Reads `key="value",...}` and returns what follows the brace.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, quoted) = rest.split_once("=\"")?;
        let (value, after) = unescape(quoted)?;
        labels.push((key.trim().to_owned(), value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// Reads up to the closing quote and returns what follows it.
fn unescape(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prometheus::{Durations, Page};

    #[test]
    fn a_rendered_page_is_read_back() {
        let mut page = Page::new();
        page.counter("tollgate_token_verifications_total", "Tokens checked.")
            .value(&[("result", "ok")], 7u64)
            .value(&[("result", "expired")], 2u64);
        page.counter("process_cpu_seconds_total", "CPU time.").value(&[], 1.5);
        page.gauge("process_resident_memory_bytes", "Memory.").value(&[], 4096u64);
        page.histogram("http_server_request_duration_seconds", "Durations.").durations(
            &[("http_route", "/api/ping")],
            &Durations { bounds_ns: &[10_000, 1_000_000], counts: &[3, 4, 1], sum_ns: 5_000_000 },
        );
        page.info("tollgate_runtime_info", "Driver.", &[("driver", "io_uring")]);
        let text = page.render();
        let expected = include_str!("../../tests/data/page.txt");
        assert_eq!(text, expected);

        let scrape = Scrape::parse(&text).unwrap();
        let sum = |name, labels: &[(&str, &str)]| scrape.sum(name, labels);
        assert_eq!(sum("tollgate_token_verifications_total", &[("result", "ok")]), Some(7.0));
        assert_eq!(sum("tollgate_token_verifications_total", &[]), Some(9.0));
        assert_eq!(sum("tollgate_token_verifications_total", &[("result", "no")]), None);
        assert_eq!(sum("process_cpu_seconds_total", &[]), Some(1.5));
        let bucket = "http_server_request_duration_seconds_bucket";
        assert_eq!(sum(bucket, &[("le", "+Inf")]), Some(8.0));
        assert_eq!(scrape.label("tollgate_runtime_info", "driver"), Some("io_uring"));
    }

    #[test]
    fn foreign_pages_are_read() {
        let text = "# HELP x y\nup 1 1700000000000\ngo_gc{q=\"0.5\",} 2e-05 # {id=\"1\"} 3\n\
                    weird +Inf\n";
        let scrape = Scrape::parse(text).unwrap();
        assert_eq!(scrape.samples.len(), 3);
        assert_eq!(scrape.sum("go_gc", &[("q", "0.5")]), Some(2e-5));
        assert_eq!(scrape.sum("weird", &[]), Some(f64::INFINITY));
    }

    #[test]
    fn garbage_is_an_error_that_names_its_line() {
        for (text, line) in [("<html>", 1), ("a 1\nb{c=\"d} 1", 2), ("a", 1), ("{x=\"y\"} 1", 1)] {
            assert_eq!(Scrape::parse(text), Err(ParseError { line }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_label_value_survives(value in "[ -~\n\\\\\"]{0,40}") {
            let mut page = Page::new();
            page.gauge("x", "y").value(&[("k", &value)], 1u64);
            let scrape = Scrape::parse(&page.render()).unwrap();
            prop_assert_eq!(scrape.label("x", "k"), Some(value.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = Scrape::parse(&text);
        }
    }
}
