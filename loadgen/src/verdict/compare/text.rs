//! The comparison as a person reads it in a terminal, at most 100 columns wide: what takes belief
//! away first, then what the runs did not do alike, then verdicts, then the rest.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use metrics_export::figures::cpu_read;
use metrics_export::figures::plain::{NOTHING, signed_us_two_places, us_two_places};
use metrics_export::run::Per;

use super::{
    Change, ComparedRun, Comparison, CostChange, CostFigure, Ratio, RelativeChange, VariantChange,
};
use crate::report::{COLUMNS_MAX, Paint, wrapped};
use crate::verdict::threshold;

/// ANSI codes.
const BAD: &str = "1;31";
const STRONG: &str = "1";

/// The whole comparison.
#[must_use]
pub fn text(comparison: &Comparison, paint: Paint) -> String {
    let mut out = String::new();
    invalid(&mut out, comparison, paint);
    sides(&mut out, comparison);
    list(&mut out, paint, "Not alike in the two runs", &comparison.differences);
    if !comparison.thresholds.is_empty() {
        line(&mut out, "");
        out.push_str(&threshold::text(&comparison.thresholds, paint));
    }
    section(
        &mut out,
        paint,
        "Server CPU per request",
        &cpu(comparison, |v| Some(&v.cpu_per_request)),
    );
    let connections = cpu(comparison, |v| v.cpu_per_connection.as_ref());
    section(&mut out, paint, "Server CPU per new connection", &connections);
    section(&mut out, paint, "Changes as they are, without what cancels drift", &rest(comparison));
    section(&mut out, paint, "What each layer costs", &costs(&comparison.costs));
    out.push_str(&overlaps(&comparison.costs));
    list(&mut out, paint, "Notes", &comparison.notes);
    out
}

fn invalid(out: &mut String, comparison: &Comparison, paint: Paint) {
    for (side, name) in [(&comparison.a, "before"), (&comparison.b, "after")] {
        if !side.valid {
            let head = paint.wrap(BAD, "INVALID");
            line(out, &format!("{head}: the run {name} cannot be believed, nor can its changes."));
            side.breaches.iter().for_each(|sentence| out.push_str(&wrapped(sentence, "  - ")));
        }
    }
    if !out.is_empty() {
        out.push('\n');
    }
}

fn sides(out: &mut String, comparison: &Comparison) {
    for (side, name) in [(&comparison.a, "before"), (&comparison.b, "after ")] {
        line(out, &format!("{name}  {}", described(side)));
    }
}

/// A run in one line.
pub(super) fn described(side: &ComparedRun) -> String {
    let label = side.label.as_ref().map_or(String::new(), |label| format!("{label}, "));
    let end = if side.complete { "" } else { ", interrupted" };
    format!("{label}{}, {}, tollgate {}{end}", side.id, side.started_at, side.version)
}

fn list(out: &mut String, paint: Paint, title: &str, sentences: &[String]) {
    if !sentences.is_empty() {
        line(out, &format!("\n{}", paint.wrap(STRONG, title)));
        sentences.iter().for_each(|sentence| out.push_str(&wrapped(sentence, "  - ")));
    }
}

fn section(out: &mut String, paint: Paint, title: &str, table: &Table) {
    if !table.is_empty() {
        line(out, &format!("\n{}", paint.wrap(STRONG, title)));
        table.lines().for_each(|row| line(out, row.trim_end()));
    }
}

fn cpu(comparison: &Comparison, of: fn(&VariantChange) -> Option<&Change>) -> Table {
    let mut table = table(&["variant", "us before", "after", "verdict", "taken to"]);
    for variant in &comparison.variants {
        let Some(change) = of(variant) else { continue };
        table.add_row([
            Cell::new(name(&variant.cell, &variant.variant)),
            right(&us(change.a_ns)),
            right(&us(change.b_ns)),
            Cell::new(change.verdict_words()),
            Cell::new(change.reference.as_deref().unwrap_or("-")),
        ]);
    }
    table
}

fn rest(comparison: &Comparison) -> Table {
    let mut table =
        table(&["variant", "CPU/request", "CPU/connection", "p50", "p99", "closed loop"]);
    let share =
        |share: Option<RelativeChange>| right(&share.map_or("-".into(), RelativeChange::figures));
    for variant in &comparison.variants {
        let connection = variant.cpu_per_connection.as_ref().and_then(|change| change.absolute);
        table.add_row([
            Cell::new(name(&variant.cell, &variant.variant)),
            share(variant.cpu_per_request.absolute),
            share(connection),
            right(&variant.response_p50.figure()),
            right(&variant.response_p99.figure()),
            right(&variant.closed_loop.map_or("-".into(), Ratio::figure)),
        ]);
    }
    table
}

fn costs(costs: &[CostChange]) -> Table {
    let mut table = table(&["layer", "us before", "us after", "change", "intervals"]);
    for cost in costs {
        let per = if cost.per == Per::Request { "" } else { " per conn." };
        table.add_row([
            Cell::new(name(&cost.cell, &format!("{}{per}", cost.label))),
            right(&cost.a.figure()),
            right(&cost.b.figure()),
            right(&cost.change_ns.map_or("-".into(), signed_us_two_places)),
            Cell::new(match (cost.overlap, cost.shares_overlap) {
                (Some(true), _) => "overlap",
                (Some(false), Some(true)) => "as shares",
                (Some(false), _) => "APART",
                (None, _) => "none",
            }),
        ]);
    }
    table
}

/// What a second run confirms, as one line.
pub(super) fn overlaps(costs: &[CostChange]) -> String {
    let count = |of: fn(&CostChange) -> Option<bool>| {
        costs.iter().filter_map(of).filter(|overlap| *overlap).count()
    };
    match costs.iter().filter(|cost| cost.overlap.is_some()).count() {
        0 => String::new(),
        all => format!(
            "The intervals of {} of {all} costs overlap; of {} as shares of what they are taken \
             to.\n",
            count(|cost| cost.overlap),
            count(|cost| cost.shares_overlap),
        ),
    }
}

impl CostFigure {
    pub(super) fn figure(self) -> String {
        match (self.estimate_ns, self.low_ns, self.high_ns) {
            (None, ..) => "-".into(),
            (Some(centre), Some(low), Some(high)) => {
                format!(
                    "{} [{}, {}]",
                    signed_us_two_places(centre),
                    signed_us_two_places(low),
                    signed_us_two_places(high)
                )
            }
            (Some(centre), ..) => signed_us_two_places(centre),
        }
    }
}

impl Ratio {
    /// Such as `x1.04`.
    pub(super) fn figure(self) -> String {
        self.ratio.map_or("-".into(), |ratio| format!("x{ratio:.2}"))
    }
}

/// A variant or layer with its cell, where there are several.
pub(super) fn name(cell: &str, label: &str) -> String {
    if cell.is_empty() { label.to_owned() } else { format!("{cell}: {label}") }
}

/// Microseconds with two places; 0 was not read.
pub(super) fn us(ns: u64) -> String {
    cpu_read(ns).map_or(NOTHING.into(), us_two_places)
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS_MAX)
        .set_header(head);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a String does not fail");
}
