//! Latency against load: the response time of each variant at rising rates, and the highest rate
//! that keeps a limit, with how sure that is.

use super::figure;
use super::table::TextTable;
use super::view::PageCell;
use crate::figures::{NOTHING, percent, rate, thousands, time, time_or_nothing};
use crate::markup::{Markup, element};
use crate::run::{Capacity, LoadPoint, PlannedVariant, SloResult};
use crate::svg::{self, Axis, LineChart, Mark, Series, Spacing};

/// The section; nothing where no capacity was searched.
pub(super) fn section(view: &PageCell<'_>) -> Markup {
    let found: Vec<(&PlannedVariant, &Capacity)> = view
        .results()
        .filter_map(|(planned, result)| Some((planned, result.capacity.as_ref()?)))
        .collect();
    if found.is_empty() {
        return Markup::none();
    }
    let mut all = element("section").holds(element("h2").holds("Latency against load"));
    let mut drawn = found.iter().filter(|(_, capacity)| open(capacity).next().is_some()).peekable();
    if drawn.peek().is_some() {
        let legend = figure::legend(drawn.map(|(planned, _)| {
            let look = view.look(&planned.id);
            (svg::swatch(look.colour, look.dash), planned.label.clone())
        }));
        let caption = "Hollow points did not keep up, kept not their limit, or were disturbed.";
        all = all.holds(figure::lines(&chart(view, &found), legend, caption));
    }
    let limits = found.iter().filter_map(|(planned, capacity)| {
        Some(element("li").holds(limit(planned, capacity.slo.as_ref()?)))
    });
    all.holds(element("ul").class("notes").holds_all(limits)).holds(table(&found)).into()
}

/// The points of the open loop that have times, by their rate.
fn open(capacity: &Capacity) -> impl Iterator<Item = &LoadPoint> {
    let mut points: Vec<&LoadPoint> =
        capacity.curve.iter().filter(|point| point.asked_milli_per_s.is_some()).collect();
    points.retain(|point| point.response.count > 0);
    points.sort_by_key(|point| point.asked_milli_per_s);
    points.into_iter()
}

fn chart(view: &PageCell<'_>, found: &[(&PlannedVariant, &Capacity)]) -> LineChart {
    let said = found.iter().map(|(planned, capacity)| {
        format!("{}: at most {}/s", planned.label, rate(capacity.closed_loop_milli_per_s))
    });
    LineChart {
        title: "Response time, p99, by load".into(),
        description: said.collect::<Vec<String>>().join("; "),
        x: Axis {
            label: "requests per second".into(),
            spacing: Spacing::Linear,
            marks: vec![],
            text: |per_s| thousands(per_s.max(0.0).round() as u64),
            holds: Some((0.0, 0.0)),
        },
        y: Axis {
            label: "p99".into(),
            spacing: Spacing::Log10,
            marks: vec![],
            text: |ns| time(ns.round() as u64),
            holds: None,
        },
        series: found.iter().map(|(planned, capacity)| series(view, planned, capacity)).collect(),
    }
}

fn series(view: &PageCell<'_>, planned: &PlannedVariant, capacity: &Capacity) -> Series {
    let place =
        |point: &LoadPoint| (point.achieved_milli_per_s as f64 / 1e3, point.response.p99_ns as f64);
    let mark = |point: &LoadPoint| Mark {
        at: place(point),
        hover: format!(
            "{} at {}/s: p99 {}",
            planned.label,
            rate(point.achieved_milli_per_s),
            time(point.response.p99_ns)
        ),
        hollow: troubled(point),
    };
    let look = view.look(&planned.id);
    Series {
        name: planned.label.clone(),
        colour: look.colour,
        dash: look.dash,
        points: open(capacity).map(place).collect(),
        marks: open(capacity).map(mark).collect(),
    }
}

fn troubled(point: &LoadPoint) -> bool {
    point.kept == Some(false) || !point.breaches.is_empty() || !point.disturbances.is_empty()
}

/// The highest rate that keeps the limit, in a sentence.
fn limit(planned: &PlannedVariant, slo: &SloResult) -> String {
    let (label, quantile, limit) = (&planned.label, &slo.quantile, time(slo.limit_ns));
    let Some(kept) = slo.rate_milli_per_s else {
        return format!("{label}: no rate was found that keeps {quantile} within {limit}.");
    };
    let share = |milli: u32| percent(f64::from(milli) / 1e3);
    let failed = slo
        .next_failed_milli_per_s
        .map_or(String::new(), |failed| format!(" At {} requests/s it did not.", rate(failed)));
    format!(
        "{label} keeps {quantile} within {limit} up to {} requests/s: {} of {} slices did, so \
         that with {} confidence at least {} of such slices do.{failed}",
        rate(kept),
        slo.kept_slices,
        slo.confirmation_slices,
        share(slo.confidence_milli),
        share(slo.kept_share_min_milli)
    )
}

fn table(found: &[(&PlannedVariant, &Capacity)]) -> Markup {
    let columns =
        ["variant", "asked", "achieved", "p50", "p99", "p99.9", "p99", "errors", "dropped", "kept"];
    let mut table = TextTable::new("Latency against load", &columns).grouped(&[
        ("", 1),
        ("requests/s", 2),
        ("response time", 3),
        ("service time", 1),
        ("", 3),
    ]);
    for (planned, capacity) in found {
        for point in &capacity.curve {
            table.row([
                planned.label.clone(),
                point.asked_milli_per_s.map_or("closed loop".into(), rate),
                rate(point.achieved_milli_per_s),
                time_or_nothing(&point.response, point.response.p50_ns),
                time_or_nothing(&point.response, point.response.p99_ns),
                time_or_nothing(&point.response, point.response.p999_ns),
                time_or_nothing(&point.service, point.service.p99_ns),
                thousands(point.errors),
                thousands(point.dropped),
                match point.kept {
                    Some(true) => "yes".into(),
                    Some(false) => "no".into(),
                    None => NOTHING.into(),
                },
            ]);
        }
    }
    table.draw()
}
