//! Response and service time: the percentile spectrum of each, on one scale, and the table.

use super::figure;
use super::table::TextTable;
use super::view::PageCell;
use crate::figures::{thousands, time};
use crate::markup::{Markup, element};
use crate::run::Percentiles;
use crate::spectrum::Spectrum;
use crate::svg::{self, Axis, LineChart, Mark, Series, Spacing};

/// Quantiles that are named on the axis, by 1/(1-q).
const NAMED: [(f64, &str); 7] = [
    (1.0, "0%"),
    (2.0, "50%"),
    (10.0, "90%"),
    (100.0, "99%"),
    (1_000.0, "99.9%"),
    (10_000.0, "99.99%"),
    (100_000.0, "99.999%"),
];

/// The section.
pub(super) fn section(view: &PageCell<'_>) -> Markup {
    if !view.has_slices() {
        return Markup::none();
    }
    let all = element("section").holds(element("h2").holds("How long requests took"));
    all.holds(charts(view)).holds(table(view)).holds(lateness(view)).into()
}

fn charts(view: &PageCell<'_>) -> Markup {
    let kinds = [
        ("response", "Response time, from the intended send"),
        ("service", "Service time, from the actual send"),
    ];
    let found = kinds.map(|(tag, _)| view.spectra_of(tag));
    let values = found.iter().flatten().flat_map(|spectrum| &spectrum.points);
    let extent = values
        .map(|(_, ns)| *ns as f64)
        .filter(|ns| *ns > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), ns| (low.min(ns), high.max(ns)));
    let mut charts = Markup::none();
    for ((_, title), spectra) in kinds.iter().zip(&found) {
        if !spectra.is_empty() {
            let chart = chart(view, title, spectra, extent);
            charts.push(figure::lines(&chart, legend(view, spectra), ""));
        }
    }
    charts.push(missing(view, &found[0]));
    charts
}

fn legend(view: &PageCell<'_>, spectra: &[&Spectrum]) -> Markup {
    figure::legend(spectra.iter().map(|spectrum| {
        let look = view.look(&spectrum.variant);
        (svg::swatch(look.colour, look.dash), view.run.label(&spectrum.variant).to_owned())
    }))
}

fn chart(view: &PageCell<'_>, title: &str, spectra: &[&Spectrum], extent: (f64, f64)) -> LineChart {
    let said = spectra.iter().filter_map(|spectrum| {
        let label = view.run.label(&spectrum.variant);
        Some(format!(
            "{label}: half within {}, 99% within {}",
            time(spectrum.at(0.5)?),
            time(spectrum.at(0.99)?)
        ))
    });
    LineChart {
        title: title.to_owned(),
        description: said.collect::<Vec<String>>().join("; "),
        x: Axis {
            label: "share of requests that were at least as fast".into(),
            spacing: Spacing::Log10,
            marks: NAMED.map(|(place, name)| (place, name.to_owned())).into(),
            text: |_| String::new(),
            holds: None,
        },
        y: Axis {
            label: "time".into(),
            spacing: Spacing::Log10,
            marks: vec![],
            text: |ns| round_time(ns),
            holds: Some(extent),
        },
        series: spectra.iter().map(|spectrum| series(view, spectrum)).collect(),
    }
}

/// A power of ten with its unit and nothing behind the point.
fn round_time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{value:.0} {unit}")
}

fn series(view: &PageCell<'_>, spectrum: &Spectrum) -> Series {
    let label = view.run.label(&spectrum.variant);
    let look = view.look(&spectrum.variant);
    let named = NAMED.iter().skip(1).filter(|(place, _)| *place < spectrum.count as f64);
    let mark = |(place, name): &(f64, &str)| {
        let ns = spectrum.at(1.0 - 1.0 / place)?;
        let hover = format!("{label}: {name} within {}", time(ns));
        Some(Mark { at: (*place, ns as f64), hover, hollow: false })
    };
    Series {
        name: format!("{label}, {} samples", thousands(spectrum.count)),
        colour: look.colour,
        dash: look.dash,
        points: spectrum.tail_points().map(|(place, ns)| (place, ns as f64)).collect(),
        marks: named.filter_map(mark).collect(),
    }
}

/// Names the variants whose histogram log was not there.
fn missing(view: &PageCell<'_>, found: &[&Spectrum]) -> Markup {
    let without = view.results().filter(|(planned, result)| {
        result.response.count > 0 && !found.iter().any(|s| s.variant == planned.id)
    });
    let names: Vec<&str> = without.map(|(planned, _)| planned.label.as_str()).collect();
    if names.is_empty() {
        return Markup::none();
    }
    let said = format!(
        "There is no curve for {}: the histogram log was not in the run's directory or could not \
         be read. The table is from the record and is complete.",
        names.join(", ")
    );
    element("p").class("warning").holds(said).into()
}

fn table(view: &PageCell<'_>) -> Markup {
    let points = ["p50", "p90", "p99", "p99.9", "max"];
    let columns: Vec<&str> = ["variant"].into_iter().chain(points).chain(points).collect();
    let mut table = TextTable::new("Response and service time", &columns).grouped(&[
        ("", 1),
        ("response time", 5),
        ("service time", 5),
    ]);
    for (planned, result) in view.results() {
        let mut row = vec![planned.label.clone()];
        row.extend([&result.response, &result.service].into_iter().flat_map(cells));
        table.row(row);
    }
    table.draw()
}

/// The points of a distribution as cells of a table.
pub(super) fn cells(points: &Percentiles) -> [String; 5] {
    [points.p50_ns, points.p90_ns, points.p99_ns, points.p999_ns, points.max_ns]
        .map(|ns| if points.count == 0 { crate::figures::NOTHING.into() } else { time(ns) })
}

/// How late the generator was: its own fault, and the reason to believe the rest.
fn lateness(view: &PageCell<'_>) -> Markup {
    let worst = view.results().map(|(_, result)| result.lateness.p99_ns).max().unwrap_or(0);
    let bound = view.run.validity.bounds.lateness_p99_ns_max;
    element("p")
        .class("quiet")
        .holds(format!(
            "The generator itself was late by at most {} for 99% of the requests of any variant; \
             the bound is {}.",
            time(worst),
            time(bound)
        ))
        .into()
}
