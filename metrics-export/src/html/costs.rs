//! The answer: what each layer costs, as sentences, as a ladder of bars, and as a table; and the
//! noise floor that it was held against.

use super::figure;
use super::table::TextTable;
use super::view::PageCell;
use crate::answer;
use crate::figures::{NOTHING, percent, signed_us, size_us, us};
use crate::markup::{Markup, element};
use crate::run::{Cost, Per, Verdict};
use crate::svg::{Bar, BarPart, Bars};

/// The answer in a line for each layer.
pub(super) fn answer(view: &PageCell<'_>) -> Markup {
    let mut all = element("section").class("answer").holds(element("h2").holds("The answer"));
    if answer::verdict_word(view.run) != "VALID" {
        let warning = "The run is not valid: these figures say what was seen, not what is so.";
        all = all.holds(element("p").class("warning").holds(warning));
    }
    let mut any = false;
    for (per, heading) in [(Per::Request, "Per request"), (Per::Connection, "Per new connection")] {
        let costs: Vec<&Cost> = of(view, per).collect();
        if costs.is_empty() {
            continue;
        }
        any = true;
        let rows = costs.iter().map(|cost| {
            let unresolved = cost.verdict != Verdict::Resolved;
            element("li")
                .class(if unresolved { "unresolved" } else { "resolved" })
                .holds(element("b").holds(answer::figure(view.run, cost)))
                .holds(element("span").holds(in_full(view, cost)))
        });
        all = all
            .holds(element("h3").holds(heading))
            .holds(element("ul").class("answers").holds_all(rows));
    }
    if !any {
        return Markup::none();
    }
    all.holds(element("p").class("quiet").holds(floor_line(view))).into()
}

/// A cost's sentence, and what else judges it where it is small.
fn in_full(view: &PageCell<'_>, cost: &Cost) -> String {
    let second = answer::instruction_evidence(cost).map_or(String::new(), |judge| {
        let mut letters = judge.chars();
        letters
            .next()
            .map_or(String::new(), |first| format!(" {}{}", first.to_uppercase(), letters.as_str()))
    });
    format!("{}{second}", answer::sentence(view.run, cost))
}

/// What "<" means in the answer.
fn floor_line(view: &PageCell<'_>) -> String {
    let floor = view.run.floor(&view.cell.id);
    let floor = floor.map_or("No noise floor is known.".into(), |floor| {
        format!(
            "The noise floor is {} µs, {} of the baseline's request.",
            size_us(floor.ns),
            percent(floor.share)
        )
    });
    format!("{floor} \"<\" is what a cost that is not distinguishable from noise is at most.")
}

fn of<'a>(view: &PageCell<'a>, per: Per) -> impl Iterator<Item = &'a Cost> {
    answer::layers(view.run, &view.cell.id).filter(move |cost| cost.per == per)
}

/// The costs of a cell as bars with whiskers, and as a table.
pub(super) fn ladder(view: &PageCell<'_>) -> Markup {
    let floor = view.run.floor(&view.cell.id).map(|floor| floor.ns);
    let mut charts = Markup::none();
    let charted = [
        (Per::Request, "Cost of each layer per request", floor),
        (Per::Connection, "Cost of each layer per new connection", None),
    ];
    for (per, title, floor_ns) in charted {
        let rows: Vec<Bar> = of(view, per).map(bar).collect();
        if rows.is_empty() {
            continue;
        }
        let chart = Bars {
            title: title.into(),
            description: described(view, per),
            axis: format!("server CPU, µs per {per}"),
            rows,
            band: floor_ns
                .map(|ns| (ns as f64 / 1e3, format!("noise floor: \u{b1}{} µs", size_us(ns)))),
        };
        let caption = if floor_ns.is_some() {
            "Whiskers are simultaneous intervals: all hold at once. The band is the noise floor. \
             Hollow bars are not told from zero."
        } else {
            "Whiskers are simultaneous intervals: all hold at once. Hollow bars are not told \
             from zero."
        };
        charts.push(figure::bars(&chart, Markup::none(), caption));
    }
    let costs = answer::layers(view.run, &view.cell.id);
    let times = answer::service_times(view.run, &view.cell.id);
    let mut table = table("Costs of layers", costs);
    if times.clone().next().is_some() {
        table.push(self::table("Median service times: what each layer adds", times));
    }
    if charts.is_empty() && table.is_empty() {
        return Markup::none();
    }
    element("section")
        .holds(element("h2").holds("What each layer costs"))
        .holds(charts)
        .holds(table)
        .into()
}

/// The chart in words.
fn described(view: &PageCell<'_>, per: Per) -> String {
    let sentences: Vec<String> =
        of(view, per).map(|cost| answer::sentence(view.run, cost)).collect();
    sentences.join(" ")
}

fn bar(cost: &Cost) -> Bar {
    let us_of = |ns: i64| ns as f64 / 1e3;
    let estimate = cost.estimate_ns.map_or(NOTHING.into(), signed_us);
    let whisker = cost.family_low_ns.zip(cost.family_high_ns);
    let range = |(low, high)| format!("{} to {}", signed_us(low), signed_us(high));
    let interval = whisker.map_or("no interval".into(), range);
    let part = cost.estimate_ns.map(|ns| BarPart {
        value: us_of(ns),
        colour: 1,
        hover: format!("{}: {estimate} µs, {}", cost.label, cost.words),
    });
    Bar {
        label: cost.label.clone(),
        note: minus(&cost.formula),
        parts: part.into_iter().collect(),
        whisker: whisker.map(|(low, high)| (us_of(low), us_of(high))),
        figure: format!("{estimate}  [{interval}]"),
        hover: format!("{}: {} interval {interval} µs", cost.label, percent(cost.level)),
        hollow: cost.verdict != Verdict::Resolved,
    }
}

/// A formula with minus signs as wide as its pluses.
fn minus(formula: &str) -> String {
    formula.replace(" - ", " \u{2212} ")
}

fn table<'a>(title: &str, costs: impl Iterator<Item = &'a Cost>) -> Markup {
    let columns =
        ["layer", "", "per", "verdict", "µs", "of its base", "simultaneous", "alone", "rounds"];
    let mut table = TextTable::new(title, &columns).words(4);
    for cost in costs {
        let range = |low: Option<i64>, high: Option<i64>| match low.zip(high) {
            Some((low, high)) => format!("{} to {}", signed_us(low), signed_us(high)),
            None => NOTHING.into(),
        };
        let share = cost
            .estimate_ns
            .filter(|_| cost.reference_ns > 0)
            .map(|ns| crate::figures::signed_percent(ns as f64 / cost.reference_ns as f64));
        table.row([
            cost.label.clone(),
            minus(&cost.formula),
            cost.per.to_string(),
            in_short(cost.verdict).into(),
            cost.estimate_ns.map_or(NOTHING.into(), signed_us),
            share.unwrap_or(NOTHING.into()),
            range(cost.family_low_ns, cost.family_high_ns),
            range(cost.low_ns, cost.high_ns),
            cost.rounds.to_string(),
        ]);
    }
    table.draw()
}

fn in_short(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Resolved => "resolved",
        Verdict::WithinNoise => "not resolved",
        Verdict::TooFewRounds => "too few rounds",
    }
}

/// The A/A control and, where all combinations were run, whether layers add up.
pub(super) fn noise(view: &PageCell<'_>) -> Markup {
    let sentence = answer::floor_sentence(view.run, &view.cell.id);
    let mut all = element("section")
        .holds(element("h2").holds("Noise floor"))
        .holds(element("p").holds(sentence));
    let resolution = answer::resolution_sentence(view.run, &view.cell.id).into_iter();
    for sentence in resolution.chain(answer::interleaving_sentences(view.run, &view.cell.id)) {
        all = all.holds(element("p").holds(sentence));
    }
    let sums = view.run.additivity.iter().filter(|found| found.cell == view.cell.id);
    for found in sums {
        all = all.holds(element("h3").holds(format!("Do layers add up? ({})", found.form)));
        all = all.holds(element("p").holds(found.words.as_str()));
        let mut table = TextTable::new("What is left over", &["combination", "µs", "simultaneous"]);
        for cost in &found.interactions {
            let (low, high) = (cost.family_low_ns, cost.family_high_ns);
            let range = low
                .zip(high)
                .map(|(low, high)| format!("{} to {}", signed_us(low), signed_us(high)));
            table.row([
                cost.label.clone(),
                cost.estimate_ns.map_or(NOTHING.into(), signed_us),
                range.unwrap_or(NOTHING.into()),
            ]);
        }
        all = all.holds(table.draw());
    }
    if let Some(control) = answer::control(view.run, &view.cell.id) {
        let baseline = us(control.reference_ns);
        all = all.holds(element("p").class("quiet").holds(format!(
            "The baseline's request costs {baseline} µs of server CPU (median over {} rounds).",
            control.rounds
        )));
    }
    all.into()
}
