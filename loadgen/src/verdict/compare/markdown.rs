//! The comparison as a comment on a pull request: what takes belief away and what failed first,
//! the verdicts as a table, the rest folded away.

use metrics_export::figures::plain::signed_us_two_places;
use std::fmt::Write as _;

use super::text::{described, name, overlaps, us};
use super::{Change, Comparison, CostChange, Ratio, VariantChange};

use metrics_export::run::Per;

/// The whole comparison as GitHub's Markdown.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = String::new();
    push(&mut out, &format!("### tollgate: {}\n", headline(comparison)));
    for (side, when) in [(&comparison.a, "before"), (&comparison.b, "after")] {
        if !side.valid {
            push(&mut out, &format!("> **INVALID**: the run {when} cannot be believed.\n>"));
            let breaches = side.breaches.iter().map(|sentence| format!("> - {}", plain(sentence)));
            breaches.for_each(|sentence| push(&mut out, &sentence));
            push(&mut out, "");
        }
    }
    list(&mut out, "**Not alike in the two runs**", &comparison.differences);
    thresholds(&mut out, comparison);
    cpu(&mut out, "Server CPU per request", comparison, |v| Some(&v.cpu_per_request));
    let connection = |v: &'_ VariantChange| v.cpu_per_connection.is_some();
    if comparison.variants.iter().any(connection) {
        cpu(&mut out, "Server CPU per new connection", comparison, |v| {
            v.cpu_per_connection.as_ref()
        });
    }
    push(&mut out, "<details><summary>Costs of layers, response times, runs</summary>\n");
    costs(&mut out, &comparison.costs);
    rest(&mut out, comparison);
    push(&mut out, &format!("before: {}  ", plain(&described(&comparison.a))));
    push(&mut out, &format!("after: {}\n", plain(&described(&comparison.b))));
    list(&mut out, "", &comparison.notes);
    push(&mut out, "</details>");
    out
}

fn headline(comparison: &Comparison) -> String {
    use super::ChangeVerdict::{Faster, Slower};
    let verdicts = comparison.variants.iter().map(|variant| variant.cpu_per_request.verdict);
    let count = |wanted| verdicts.clone().filter(|verdict| *verdict == wanted).count();
    let failed = comparison.thresholds.iter().filter(|judgement| judgement.holds).count();
    if !comparison.a.valid || !comparison.b.valid {
        return "INVALID, do not use these figures".into();
    }
    let failed = match failed {
        0 => String::new(),
        failed => format!("{failed} thresholds FAILED, "),
    };
    let all = comparison.variants.len();
    format!("{failed}{} slower, {} faster, of {all} variants", count(Slower), count(Faster))
}

fn thresholds(out: &mut String, comparison: &Comparison) {
    let sentences: Vec<String> = comparison
        .thresholds
        .iter()
        .map(|judgement| {
            let head = if judgement.holds { "**FAILED**" } else { "kept" };
            let expression = name(&judgement.cell, &judgement.expression).replace('`', "'");
            format!("{head} `{expression}`: {}", plain(&judgement.sentence))
        })
        .collect();
    items(out, "**Thresholds**", &sentences);
}

fn cpu(
    out: &mut String,
    title: &str,
    comparison: &Comparison,
    of: fn(&VariantChange) -> Option<&Change>,
) {
    push(out, &format!("| {title} | us before | after | verdict | taken to |"));
    push(out, "|---|--:|--:|---|---|");
    for variant in &comparison.variants {
        let Some(change) = of(variant) else { continue };
        let reference = change.reference.as_deref().unwrap_or("-");
        row(
            out,
            &[
                &name(&variant.cell, &variant.variant),
                &us(change.a_ns),
                &us(change.b_ns),
                &change.verdict_words(),
                reference,
            ],
        );
    }
    push(out, "");
}

fn costs(out: &mut String, costs: &[CostChange]) {
    if costs.is_empty() {
        return;
    }
    push(out, "| Layer | us before | us after | change | intervals |");
    push(out, "|---|--:|--:|--:|---|");
    for cost in costs {
        let per = if cost.per == Per::Request { "" } else { " per connection" };
        row(
            out,
            &[
                &name(&cost.cell, &format!("{}{per}", cost.label)),
                &cost.a.figure(),
                &cost.b.figure(),
                &cost.change_ns.map_or("-".into(), signed_us_two_places),
                &cost.words,
            ],
        );
    }
    push(out, &format!("\n{}", overlaps(costs)));
}

fn rest(out: &mut String, comparison: &Comparison) {
    push(out, "| Response time, closed loop | p50 | p99 | closed loop |");
    push(out, "|---|--:|--:|--:|");
    for variant in &comparison.variants {
        row(
            out,
            &[
                &name(&variant.cell, &variant.variant),
                &variant.response_p50.figure(),
                &variant.response_p99.figure(),
                &variant.closed_loop.map_or("-".into(), Ratio::figure),
            ],
        );
    }
    push(out, "");
}

fn list(out: &mut String, title: &str, sentences: &[String]) {
    let sentences: Vec<String> = sentences.iter().map(|sentence| plain(sentence)).collect();
    items(out, title, &sentences);
}

fn items(out: &mut String, title: &str, sentences: &[String]) {
    if sentences.is_empty() {
        return;
    }
    if !title.is_empty() {
        push(out, &format!("{title}\n"));
    }
    sentences.iter().for_each(|sentence| push(out, &format!("- {sentence}")));
    push(out, "");
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
    push(out, &format!("| {} |", cells.join(" | ")));
}

/// Text that Markdown leaves as it is: labels and names of targets are the user's own.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '<' | '>' | '[' | ']' | '#' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(c),
        }
    }
    out
}

fn push(out: &mut String, line: &str) {
    writeln!(out, "{line}").expect("writing to a String does not fail");
}
