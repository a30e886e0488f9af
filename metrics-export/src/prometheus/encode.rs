//! Renders a page in either format. Samples are the same in both; what differs is how families are
//! described: OpenMetrics names them without the suffix of their kind, knows `info`, tells units
//! and marks the end, and text format 0.0.4 does none of that.

use super::{ExpositionFormat, MetricFamily, MetricKind, Number, Point};

/// Labels of a sample.
type Labels = [(&'static str, String)];

/// The families as text.
pub(super) fn text(families: &[MetricFamily], format: ExpositionFormat) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in families {
        describe(family, format, &mut out);
        for (labels, point) in &family.points {
            match point {
                Point::Value(number) => sample(family.name, "", None, labels, *number, &mut out),
                Point::Distribution { sum_s, cells } => {
                    distribution(family.name, labels, *sum_s, cells, &mut out);
                }
            }
        }
    }
    if format == ExpositionFormat::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn describe(family: &MetricFamily, format: ExpositionFormat, out: &mut String) {
    let (suffix, kind) = match (family.kind, format) {
        (MetricKind::Counter, ExpositionFormat::OpenMetrics) => ("_total", "counter"),
        (MetricKind::Counter, ExpositionFormat::Text) => ("", "counter"),
        (MetricKind::Info, ExpositionFormat::OpenMetrics) => ("_info", "info"),
        (MetricKind::Info | MetricKind::Gauge, _) => ("", "gauge"),
        (MetricKind::Histogram, _) => ("", "histogram"),
    };
    let name = family.name.strip_suffix(suffix).unwrap_or(family.name);
    out.extend(["# HELP ", name, " "]);
    // Text format 0.0.4 has no escape for a quote here, and OpenMetrics wants it.
    escaped(family.help, format == ExpositionFormat::OpenMetrics, out);
    out.extend(["\n# TYPE ", name, " ", kind, "\n"]);
    let unit = ["seconds", "bytes"]
        .into_iter()
        .find(|unit| name.strip_suffix(unit).is_some_and(|before| before.ends_with('_')));
    if let Some(unit) = unit.filter(|_| format == ExpositionFormat::OpenMetrics) {
        out.extend(["# UNIT ", name, " ", unit, "\n"]);
    }
}

fn distribution(name: &str, labels: &Labels, sum_s: f64, cells: &[(f64, u64)], out: &mut String) {
    let count = cells.iter().map(|(_, count)| count).sum::<u64>();
    sample(name, "_sum", None, labels, Number::Fraction(sum_s), out);
    sample(name, "_count", None, labels, Number::Whole(count), out);
    let mut below = 0;
    for (bound, count) in cells {
        below += count;
        sample(name, "_bucket", Some(*bound), labels, Number::Whole(below), out);
    }
}

fn sample(
    name: &str,
    suffix: &str,
    bound: Option<f64>,
    labels: &Labels,
    value: Number,
    out: &mut String,
) {
    out.extend([name, suffix]);
    let bound = bound.map(|bound| ("le", float(bound)));
    let mut separator = "{";
    for (key, value) in bound.iter().chain(labels) {
        out.extend([separator, key, "=\""]);
        escaped(value, true, out);
        out.push('"');
        separator = ",";
    }
    out.push_str(if separator == "," { "} " } else { " " });
    match value {
        Number::Whole(value) => out.push_str(&value.to_string()),
        Number::Fraction(value) => out.push_str(&float(value)),
    }
    out.push('\n');
}

/// Writes the backslash and the line feed by their escapes, and the quote if that is wanted.
fn escaped(text: &str, quote: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '"' if quote => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// A float as both formats have it; with a point, as OpenMetrics wants of bounds.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return format!("{value:e}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_both_formats_read_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.00001, "0.00001"),
            (0.0000001, "1e-7"),
            (2.5e-7, "2.5e-7"),
            (1_700_000_000.25, "1700000000.25"),
            (1e21, "1e21"),
            (-3.0, "-3.0"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
