//! A metrics page as data, and its text in the two formats that Prometheus reads.
//!
//! The hot path keeps plain counters per core; at a scrape they are merged and put on a [`Page`],
//! which is rendered in the [`ExpositionFormat`] that the scraper prefers. No atomic is ever
//! touched by a request for it. Refused here: raw paths or secrets as labels (callers pass routes),
//! and label values that could break out of their quotes (they are escaped).
//!
//! ```
//! use metrics_export::prometheus::{ExpositionFormat, Page};
//!
//! let mut page = Page::new();
//! page.counter("tollgate_tls_handshakes_total", "TLS handshakes by kind and result.")
//!     .value(&[("kind", "full"), ("result", "ok")], 3u64);
//! let text = page.render(ExpositionFormat::Text);
//! assert!(text.contains(r#"handshakes_total{kind="full",result="ok"} 3"#));
//! ```

mod accept;
mod encode;
mod parse;

pub use parse::{ParseError, Sample, Scrape};

/// What a reader of both formats sends as `Accept`: like Prometheus, OpenMetrics first.
pub const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;\
                          q=0.5,*/*;q=0.1";

/// A format of metrics pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// The Prometheus text format 0.0.4, which everything reads.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl ExpositionFormat {
    /// The media type of a page in this format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            ExpositionFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
            ExpositionFormat::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    /// The format that a scraper prefers by its `Accept` fields (RFC 9110 section 12.5.1):
    /// OpenMetrics where it is asked for, and text in every other case.
    #[must_use]
    pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> ExpositionFormat {
        accept::negotiate(accept)
    }
}

/// Upper bounds, in nanoseconds, of the request duration histogram. They start at 10 us because
/// a request that costs 5 us of CPU would vanish in buckets that start at 5 ms.
pub const REQUEST_DURATION_BOUNDS_NS: [u64; 19] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// One metrics page: families in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Page {
    families: Vec<MetricFamily>,
}

/// A figure: a whole number, or a fraction (seconds).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number, rendered without a point.
    Whole(u64),
    /// A fraction.
    Fraction(f64),
}

/// The cells of a duration histogram, merged over the cores.
#[derive(Clone, Copy, Debug)]
pub struct Durations<'a> {
    /// Upper bounds in nanoseconds, rising.
    pub bounds_ns: &'a [u64],
    /// Observations per cell, not cumulated; the last one, beyond the bounds, holds what was
    /// longer than all of them. A missing cell counts as empty.
    pub counts: &'a [u64],
    /// Sum of all observations in nanoseconds.
    pub sum_ns: u64,
}

/// Adds the values of one counter or gauge family.
#[derive(Debug)]
pub struct Values<'a>(&'a mut MetricFamily);

/// Adds the distributions of one histogram family.
#[derive(Debug)]
pub struct Distributions<'a>(&'a mut MetricFamily);

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new() -> Page {
        Page::default()
    }

    /// A counter family. `name` is the name as scraped, so it ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Values<'_> {
        debug_assert!(name.ends_with("_total"), "a counter's name ends in _total: {name}");
        Values(self.add(MetricKind::Counter, name, help))
    }

    /// A gauge family.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Values<'_> {
        Values(self.add(MetricKind::Gauge, name, help))
    }

    /// A histogram family of durations. `name` ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> Distributions<'_> {
        debug_assert!(name.ends_with("_seconds"), "a duration's name ends in _seconds: {name}");
        Distributions(self.add(MetricKind::Histogram, name, help))
    }

    /// Facts as labels of a constant 1. `name` is the name as scraped, so it ends in `_info`.
    pub fn info(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) {
        debug_assert!(name.ends_with("_info"), "an info's name ends in _info: {name}");
        let family = self.add(MetricKind::Info, name, help);
        family.points.push((own(labels), Point::Value(Number::Whole(1))));
    }

    /// The page as text.
    #[must_use]
    pub fn render(&self, format: ExpositionFormat) -> String {
        encode::text(&self.families, format)
    }

    fn add(
        &mut self,
        kind: MetricKind,
        name: &'static str,
        help: &'static str,
    ) -> &mut MetricFamily {
        self.families.push(MetricFamily { kind, name, help, points: Vec::new() });
        self.families.last_mut().expect("a family was pushed just above")
    }
}

impl Values<'_> {
    /// Adds the value of one label set.
    pub fn value(
        &mut self,
        labels: &[(&'static str, &str)],
        value: impl Into<Number>,
    ) -> &mut Self {
        self.0.points.push((own(labels), Point::Value(value.into())));
        self
    }
}

impl Distributions<'_> {
    /// Adds the distribution of one label set.
    pub fn durations(
        &mut self,
        labels: &[(&'static str, &str)],
        durations: &Durations<'_>,
    ) -> &mut Self {
        let count_at = |cell: usize| durations.counts.get(cell).copied().unwrap_or(0);
        let bounded = durations.bounds_ns.iter().enumerate();
        let mut cells: Vec<(f64, u64)> =
            bounded.map(|(cell, &bound)| (bound as f64 / 1e9, count_at(cell))).collect();
        cells.push((f64::INFINITY, count_at(durations.bounds_ns.len())));
        let point = Point::Distribution { sum_s: durations.sum_ns as f64 / 1e9, cells };
        self.0.points.push((own(labels), point));
        self
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::Whole(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number::Fraction(value)
    }
}

#[derive(Clone, Debug)]
struct MetricFamily {
    kind: MetricKind,
    /// The name as scraped, without the suffixes of a histogram's samples.
    name: &'static str,
    help: &'static str,
    points: Vec<(Vec<(&'static str, String)>, Point)>,
}

#[derive(Clone, Copy, Debug)]
enum MetricKind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

#[derive(Clone, Debug)]
enum Point {
    Value(Number),
    /// Cells with their upper bounds, not cumulated.
    Distribution {
        sum_s: f64,
        cells: Vec<(f64, u64)>,
    },
}

fn own(labels: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    labels.iter().map(|&(key, value)| (key, value.to_owned())).collect()
}
