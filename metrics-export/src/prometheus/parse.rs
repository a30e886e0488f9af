//! Reads a metrics page back, so that the meter can prove from the servers' own counters what a
//! slice was.
//!
//! It accepts what servers write for Prometheus (text format 0.0.4 and OpenMetrics 1.0, with the
//! quoted names of their later versions) as far as samples go: comments are skipped, timestamps and
//! exemplars are read and dropped. A line that is none of these is an error that names it: a proof
//! does not guess.

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
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim_matches(is_blank);
            if !line.is_empty() && !line.starts_with('#') {
                samples.push(sample(line).ok_or(ParseError { line: index + 1 })?);
            }
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

/// Blanks between tokens; the carriage return of foreign line ends is one.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

fn after_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// `name{labels} value [timestamp] [# exemplar]`; the name may stand in quotes within the braces.
fn sample(line: &str) -> Option<Sample> {
    let (name, rest) = word(line, |c| c == ':');
    let rest = after_blanks(rest);
    let (quoted, labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => braces(inside)?,
        None => (None, Vec::new(), rest),
    };
    let name = match (name, quoted) {
        ("", Some(quoted)) => quoted,
        (name, None) if !name.is_empty() => name.to_owned(),
        _ => return None,
    };
    let (value, rest) = number(after_blanks(rest))?;
    is_tail(after_blanks(rest)).then_some(Sample { name, labels, value })
}

/// A name that begins with no digit, and what follows it. Empty where there is none.
fn word(text: &str, also: impl Fn(char) -> bool) -> (&str, &str) {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || also(c);
    let end = text.find(|c| !known(c)).unwrap_or(text.len());
    let end = if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end };
    text.split_at(end)
}

/// What stands within braces: a name in quotes if there is one, labels, and what follows.
type Braces<'a> = (Option<String>, Vec<(String, String)>, &'a str);

/// Reads what follows an opening brace up to the closing one and returns what comes after.
fn braces(inside: &str) -> Option<Braces<'_>> {
    let (mut name, mut labels) = (None, Vec::new());
    let mut rest = after_blanks(inside);
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((name, labels, after));
        }
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => unescape(quoted)?,
            None => match word(rest, |_| false) {
                ("", _) => return None,
                (key, after) => (key.to_owned(), after),
            },
        };
        let is_quoted = rest.starts_with('"');
        let after = after_blanks(after);
        let after = match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = unescape(after_blanks(value).strip_prefix('"')?)?;
                labels.push((key, value));
                after
            }
            None if is_quoted && name.is_none() && labels.is_empty() => {
                name = Some(key);
                after
            }
            None => return None,
        };
        let after = after_blanks(after);
        rest = match after.strip_prefix(',') {
            Some(next) => after_blanks(next),
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
}

/// Reads up to the closing quote and returns what follows it. What is no escape stands for itself,
/// as Prometheus has it.
fn unescape(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                known @ ('\\' | '"') => value.push(known),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

/// A number up to the next blank, and what follows it. Those of Rust are those of Go, in which the
/// format is defined, but for hexadecimal ones.
fn number(text: &str) -> Option<(f64, &str)> {
    let (token, rest) = text.split_at(text.find(is_blank).unwrap_or(text.len()));
    let value = token.parse().ok().or_else(|| hexadecimal(token))?;
    Some((value, rest))
}

/// `0x1.8p3`: a mantissa, and an exponent of two, which Go requires.
fn hexadecimal(token: &str) -> Option<f64> {
    let (sign, digits) = match token.as_bytes().first()? {
        b'-' => (-1.0, &token[1..]),
        b'+' => (1.0, &token[1..]),
        _ => (1.0, token),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    let (mantissa, exponent) = digits.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let shift = exponent.saturating_sub(i32::try_from(fraction.len()).ok()?.saturating_mul(4));
    Some(sign * value * 2f64.powi(shift))
}

/// What may stand behind a value: a timestamp, an exemplar, both or neither.
fn is_tail(rest: &str) -> bool {
    let rest = match rest.starts_with('#') || rest.is_empty() {
        true => rest,
        false => match number(rest) {
            Some((_, after)) => after_blanks(after),
            None => return false,
        },
    };
    rest.is_empty() || rest.strip_prefix('#').is_some_and(|text| is_exemplar(after_blanks(text)))
}

/// Labels, a value, and perhaps a timestamp.
fn is_exemplar(text: &str) -> bool {
    let read = || {
        let (name, _, rest) = braces(text.strip_prefix('{')?)?;
        let (_, rest) = number(after_blanks(rest)).filter(|_| name.is_none())?;
        match after_blanks(rest) {
            "" => Some(()),
            timestamp => number(timestamp).filter(|(_, rest)| rest.is_empty()).map(|_| ()),
        }
    };
    read().is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prometheus::{Durations, ExpositionFormat, Page};

    fn page() -> Page {
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
        page
    }

    #[test]
    fn a_page_is_read_back_from_either_format() {
        for (format, expected) in [
            (ExpositionFormat::OpenMetrics, include_str!("../../tests/data/page.txt")),
            (ExpositionFormat::Text, include_str!("../../tests/data/page-0.0.4.txt")),
        ] {
            let text = page().render(format);
            assert_eq!(text, expected);
            is_read_back(&text);
        }
    }

    fn is_read_back(text: &str) {
        let scrape = Scrape::parse(text).unwrap();
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
    fn every_form_of_a_line_is_read() {
        for (line, name, labels, value) in [
            ("up 1", "up", &[][..], 1.0),
            ("up 1 1700000000000", "up", &[], 1.0),
            ("up\t-1.5e3\t1700000000.123", "up", &[], -1500.0),
            ("  up   +2.5E-05  ", "up", &[], 2.5e-5),
            ("up{} 1", "up", &[], 1.0),
            ("up { } 1", "up", &[], 1.0),
            ("up{}1", "up", &[], 1.0),
            ("a:b_c9 .5", "a:b_c9", &[], 0.5),
            ("x +Inf", "x", &[], f64::INFINITY),
            ("x -Inf", "x", &[], f64::NEG_INFINITY),
            ("x infinity", "x", &[], f64::INFINITY),
            ("x 0x1.8p3", "x", &[], 12.0),
            ("x -0XFp-1", "x", &[], -7.5),
            ("x{q=\"0.5\",} 1", "x", &[("q", "0.5")], 1.0),
            ("x { a = \"1\" ,\tb=\"2\" , } 3", "x", &[("a", "1"), ("b", "2")], 3.0),
            (r#"x{a="\"\\\n\.}, #{"} 1"#, "x", &[("a", "\"\\\n\\.}, #{")], 1.0),
            ("x{a=\"\u{e9}\u{1f600}\"} 1", "x", &[("a", "\u{e9}\u{1f600}")], 1.0),
            ("{\"my.name\"} 1", "my.name", &[], 1.0),
            ("{\"my.name\", \"a.b\"=\"1\",c=\"2\"} 1", "my.name", &[("a.b", "1"), ("c", "2")], 1.0),
            ("{ \"a\\\"b\" , } 1", "a\"b", &[], 1.0),
            ("x_bucket{le=\"0.1\"} 8 # {} 0.05", "x_bucket", &[("le", "0.1")], 8.0),
            ("x 8 # {id=\"a b # }\"} 0.05 1.5e9", "x", &[], 8.0),
            ("x 8 1.5 #{id=\"1\",} 1 2", "x", &[], 8.0),
            ("x_created 1.7e9", "x_created", &[], 1.7e9),
        ] {
            let scrape = Scrape::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let own = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
            let labels = labels.iter().map(own).collect();
            assert_eq!(scrape.samples, [Sample { name: name.into(), labels, value }], "{line}");
        }
        assert!(Scrape::parse("x NaN").unwrap().samples[0].value.is_nan());
    }

    #[test]
    fn every_form_of_a_page_is_read() {
        let page = "# HELP x with \\\\ and \\n\n# TYPE x unknown\n#\n# UNIT x_s s\n\n   \n\
                    x 1\n\t# any comment\nx{a=\"1\"} 2\n# EOF\n";
        let windows = format!("\u{feff}{}", page.replace('\n', "\r\n"));
        for text in [page, &windows, page.trim_end()] {
            assert_eq!(Scrape::parse(text).unwrap().sum("x", &[]), Some(3.0), "{text:?}");
        }
        assert_eq!(Scrape::parse("").unwrap(), Scrape::default());
    }

    #[test]
    fn garbage_is_an_error_that_names_its_line() {
        for (text, line) in [("<html>", 1), ("a 1\nb{c=\"d} 1", 2), ("\r\n\r\na", 3)] {
            assert_eq!(Scrape::parse(text), Err(ParseError { line }), "{text}");
        }
        for line in [
            "{x=\"y\"} 1",
            "9a 1",
            "a.b 1",
            "a{9=\"x\"} 1",
            "a{b:c=\"x\"} 1",
            "a{b=x} 1",
            "a{b=\"x\" c=\"y\"} 1",
            "a{,} 1",
            "a{b=\"x\",,} 1",
            "a{\"b\"} 1",
            "{\"a\",\"b\"} 1",
            "a{b=\"x\"}",
            "a{b=\"x\" 1",
            "a{b=\"x\\",
            "a one",
            "a 1 now",
            "a 1 2 3",
            "a 0x1",
            "a 0xp1",
            "a 1 # exemplar",
            "a 1 # {b=\"c\"}",
            "a 1 # {\"b\"} 1",
            "a 1 2 # {} 1 2 3",
        ] {
            assert_eq!(Scrape::parse(line), Err(ParseError { line: 1 }), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_label_value_survives(value in "[ -~\n\\\\\"\u{e9}]{0,40}") {
            for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics] {
                let mut page = Page::new();
                page.gauge("x", "y").value(&[("k", &value)], 1u64);
                let scrape = Scrape::parse(&page.render(format)).unwrap();
                prop_assert_eq!(scrape.label("x", "k"), Some(value.as_str()));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", line in "[a{}=\"\\\\,# 0x1p.\t-]{0,24}") {
            let _ = Scrape::parse(&text);
            let _ = Scrape::parse(&line);
        }
    }
}
