//! The metrics that an expression may name: each with its unit and where a record keeps it.
//!
//! Times are in microseconds here, as in tables; the record's nanoseconds are divided once.

use metrics_export::run::{Connecting, Cost, Percentiles, SliceKind, VariantResult};

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    /// A condition and no figure.
    Truth,
    /// A number without a unit: it takes the unit of what it is compared with.
    Number,
    /// A percentage.
    Share,
    /// Microseconds.
    Time,
    /// Per second.
    Rate,
    /// Bytes.
    Bytes,
    /// A count.
    Count,
}

impl Dimension {
    /// Whether it only multiplies.
    pub(super) fn is_bare(self) -> bool {
        matches!(self, Dimension::Number | Dimension::Share)
    }

    pub(super) fn describe(self) -> &'static str {
        match self {
            Dimension::Truth => "a condition",
            Dimension::Number => "a number",
            Dimension::Share => "a percentage",
            Dimension::Time => "a time",
            Dimension::Rate => "a rate",
            Dimension::Bytes => "bytes",
            Dimension::Count => "a count",
        }
    }

    /// A figure with its unit, for people.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Dimension::Time => format!("{value:.2} us"),
            Dimension::Rate => format!("{value:.0}/s"),
            Dimension::Bytes => format!("{value:.0} bytes"),
            Dimension::Count => format!("{value:.0}"),
            Dimension::Share => format!("{:.2}%", value * 100.0),
            Dimension::Number | Dimension::Truth => format!("{value:.3}"),
        }
    }
}

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) dimension: Dimension,
    pub(super) of: Of,
    /// What was not done when a record has no such figure.
    pub(super) missing: &'static str,
}

/// Where a metric is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    /// In the figures of a variant.
    Variant(fn(&VariantResult) -> Option<f64>),
    /// The median of CPU over slices of one kind, which has a value in each round as well.
    Slices(SliceKind, fn(&VariantResult) -> Option<f64>),
    /// In the cost of a layer.
    Layer(fn(&Cost) -> Option<f64>),
}

impl PartialEq for Metric {
    /// Metrics are entries of one table, and their names are unique.
    fn eq(&self, other: &Metric) -> bool {
        self.name == other.name
    }
}

const fn time(name: &'static str, of: fn(&VariantResult) -> Option<f64>) -> Metric {
    Metric { name, dimension: Dimension::Time, of: Of::Variant(of), missing: "nothing measured it" }
}

const fn connecting(name: &'static str, of: fn(&VariantResult) -> Option<f64>) -> Metric {
    Metric { missing: "no new connections were measured on it", ..time(name, of) }
}

const fn layer(name: &'static str, of: fn(&Cost) -> Option<f64>) -> Metric {
    Metric {
        name,
        dimension: Dimension::Time,
        of: Of::Layer(of),
        missing: "there were too few rounds; use more (--rounds)",
    }
}

const fn count(name: &'static str, of: fn(&VariantResult) -> Option<f64>) -> Metric {
    Metric { dimension: Dimension::Count, ..time(name, of) }
}

const fn bytes(name: &'static str, of: fn(&VariantResult) -> Option<f64>) -> Metric {
    Metric { dimension: Dimension::Bytes, ..time(name, of) }
}

fn us(ns: u64) -> Option<f64> {
    Some(ns as f64 / 1000.0)
}

fn connection(result: &VariantResult, of: fn(&Connecting) -> Option<u64>) -> Option<f64> {
    result.connecting.as_ref().and_then(of).and_then(us)
}

fn response(result: &VariantResult, of: fn(&Percentiles) -> u64) -> Option<f64> {
    points(&result.response, of)
}

fn service(result: &VariantResult, of: fn(&Percentiles) -> u64) -> Option<f64> {
    points(&result.service, of)
}

fn points(points: &Percentiles, of: fn(&Percentiles) -> u64) -> Option<f64> {
    (points.count > 0).then(|| of(points)).and_then(us)
}

/// Every metric, in the order of the documentation.
pub(super) static ALL: [Metric; 28] = [
    Metric {
        name: "cpu_us_per_request",
        dimension: Dimension::Time,
        of: Of::Slices(SliceKind::Open, |result| {
            us(result.cpu_ns_per_request).filter(|us| *us > 0.0)
        }),
        missing: "its server's CPU was not read",
    },
    Metric {
        name: "cpu_us_per_connection",
        dimension: Dimension::Time,
        of: Of::Slices(SliceKind::Connect, |result| {
            connection(result, |found| Some(found.cpu_ns_per_connection))
        }),
        missing: "no new connections were measured on it",
    },
    connecting("cpu_us_per_handshake", |r| connection(r, |found| found.cpu_ns_per_handshake)),
    time("busy_us_per_request", |r| r.busy_ns_per_request.and_then(us)),
    time("client_cpu_us_per_request", |r| r.generator_cpu_ns_per_request.and_then(us)),
    time("response_p50_us", |r| response(r, |p| p.p50_ns)),
    time("response_p90_us", |r| response(r, |p| p.p90_ns)),
    time("response_p99_us", |r| response(r, |p| p.p99_ns)),
    time("response_p999_us", |r| response(r, |p| p.p999_ns)),
    time("response_max_us", |r| response(r, |p| p.max_ns)),
    time("service_p50_us", |r| service(r, |p| p.p50_ns)),
    time("service_p90_us", |r| service(r, |p| p.p90_ns)),
    time("service_p99_us", |r| service(r, |p| p.p99_ns)),
    time("service_p999_us", |r| service(r, |p| p.p999_ns)),
    time("service_max_us", |r| service(r, |p| p.max_ns)),
    connecting("connect_p50_us", |r| points(&r.connecting.as_ref()?.connect, |p| p.p50_ns)),
    connecting("connect_p99_us", |r| points(&r.connecting.as_ref()?.connect, |p| p.p99_ns)),
    connecting("handshake_p50_us", |r| points(&r.connecting.as_ref()?.tls, |p| p.p50_ns)),
    connecting("handshake_p99_us", |r| points(&r.connecting.as_ref()?.tls, |p| p.p99_ns)),
    Metric {
        name: "requests_per_s",
        dimension: Dimension::Rate,
        of: Of::Variant(|r| r.closed_loop.map(|c| c.requests_milli_per_s as f64 / 1000.0)),
        missing: "no closed loop was run on it",
    },
    bytes("bytes_sent_per_request", |r| Some(r.bytes_sent_per_request as f64)),
    bytes("bytes_received_per_request", |r| Some(r.bytes_received_per_request as f64)),
    bytes("memory_peak_bytes", |r| r.memory_peak_bytes.map(|bytes| bytes as f64)),
    count("errors", |r| Some(r.errors.values().sum::<u64>() as f64)),
    count("dropped", |r| Some(r.dropped as f64)),
    layer("cost_us", |cost| cost.estimate_ns.map(signed_us)),
    layer("cost_low_us", |cost| cost.low_ns.map(signed_us)),
    layer("cost_high_us", |cost| cost.high_ns.map(signed_us)),
];

fn signed_us(ns: i64) -> f64 {
    ns as f64 / 1000.0
}

/// Finds a metric by its name, whatever its case.
pub(super) fn find(name: &str) -> Option<&'static Metric> {
    ALL.iter().find(|metric| metric.name.eq_ignore_ascii_case(name))
}
