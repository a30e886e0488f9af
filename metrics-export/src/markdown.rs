//! A run as Markdown for a comment on a pull request: whether to believe it, what each layer
//! costs, and the figures per variant.
//!
//! Labels come from files and command lines, and a comment is read by machines that ping people
//! and render HTML: whatever Markdown or HTML would take for its own is escaped. It refuses
//! detail: that is in the page and in the record.

use std::fmt::Write;

use crate::answer;
use crate::breaches;
use crate::figures::{NOTHING, rate, signed_us, thousands, time, time_or_nothing, us};
use crate::run::{Cell, Cost, CpuSourceKind, Run, Verdict};

/// Breaches that are shown; a comment is no log.
const BREACHES_SHOWN: usize = 5;

/// The comment, ending in a line feed.
#[must_use]
pub fn report(run: &Run) -> String {
    let mut out = verdict(run);
    for cell in &run.plan.cells {
        if run.plan.cells.len() > 1 {
            let name = if cell.label.is_empty() { &cell.workload } else { &cell.label };
            push(&mut out, &format!("\n### {}\n", escape(name)));
        }
        costs(&mut out, run, cell);
        variants(&mut out, run, cell);
        capacities(&mut out, run, cell);
    }
    let label = run.plan.label.as_ref().map_or(String::new(), |label| format!("{label}, "));
    let environment = &run.environment;
    let builds = match run.plan.build_texts() {
        texts if texts.is_empty() => texts,
        texts => format!("{texts}, "),
    };
    push(
        &mut out,
        &format!(
            "\n<sub>{}</sub>\n",
            escape(&format!(
                "{label}run {}, tollgate {}, {builds}{}, {} rounds, seed {}",
                run.id, environment.version, environment.cpu_model, run.plan.rounds, run.plan.seed
            ))
        ),
    );
    out
}

fn push(out: &mut String, text: &str) {
    out.push_str(text);
}

fn verdict(run: &Run) -> String {
    let mut out =
        format!("**{}** {}\n", answer::verdict_word(run), escape(&answer::verdict_sentence(run)));
    let mut said: Vec<String> = Vec::new();
    if !run.complete {
        said.push("The run was interrupted: these are the slices that were finished.".into());
    }
    said.extend(breaches::of_run(run));
    said.extend(answer::failed_proofs(run).map(|proof| format!("Unverified: {proof}")));
    if !said.is_empty() {
        out.push('\n');
    }
    for sentence in said.iter().take(BREACHES_SHOWN) {
        writeln!(out, "- {}", escape(sentence)).expect("writing to a String does not fail");
    }
    if said.len() > BREACHES_SHOWN {
        let more = said.len() - BREACHES_SHOWN;
        writeln!(out, "- and {more} more").expect("writing to a String does not fail");
    }
    out
}

fn costs(out: &mut String, run: &Run, cell: &Cell) {
    if answer::layers(run, &cell.id).next().is_none() {
        return;
    }
    difference_table(out, "server CPU, µs", answer::layers(run, &cell.id));
    difference_table(out, "service time p50, µs", answer::service_times(run, &cell.id));
    let floor = escape(&answer::floor_sentence(run, &cell.id));
    push(out, &format!("\n{floor}\n"));
    let resolution = answer::resolution_sentence(run, &cell.id).into_iter();
    for sentence in resolution.chain(answer::interleaving_sentences(run, &cell.id)) {
        push(out, &format!("\n{}\n", escape(&sentence)));
    }
    let judged = answer::layers(run, &cell.id)
        .filter_map(|cost| Some((cost, answer::instruction_evidence(cost)?)))
        .map(|(cost, judge)| format!("{} ({}): {judge}", cost.label, cost.formula));
    for (at, sentence) in judged.enumerate() {
        let space = if at == 0 { "\n" } else { "" };
        push(out, &format!("{space}- {}\n", escape(&sentence)));
    }
}

/// Differences between variants with their intervals; nothing where there are none.
fn difference_table<'a>(out: &mut String, what: &str, all: impl Iterator<Item = &'a Cost> + Clone) {
    if all.clone().next().is_none() {
        return;
    }
    push(out, &format!("\n| layer | | per | {what} | simultaneous interval | |\n"));
    push(out, "|---|---|---|---:|---|---|\n");
    for cost in all {
        let range = cost.family_low_ns.zip(cost.family_high_ns).map_or(NOTHING.into(), |ends| {
            format!("{} to {}", signed_us(ends.0), signed_us(ends.1))
        });
        row(
            out,
            &[
                &cost.label,
                &cost.formula,
                cost.per.as_str(),
                &cost.estimate_ns.map_or(NOTHING.into(), signed_us),
                &range,
                match cost.verdict {
                    Verdict::Resolved => "resolved",
                    Verdict::WithinNoise => "not distinguishable from noise",
                    Verdict::TooFewRounds => "too few rounds",
                },
            ],
        );
    }
}

fn variants(out: &mut String, run: &Run, cell: &Cell) {
    let planned = run.plan.variants.iter().filter(|variant| variant.cell == cell.id);
    let mut found = planned
        .filter_map(|p| Some((p, run.result(&p.id)?)))
        .filter(|(_, result)| result.slices > 0)
        .peekable();
    if found.peek().is_none() {
        return;
    }
    push(
        out,
        "\n| variant | server CPU, µs/request | response p50 | p99 | service p99 \
         | closed loop, requests/s | errors |\n",
    );
    push(out, "|---|---:|---:|---:|---:|---:|---:|\n");
    for (planned, result) in found {
        let cpu = match planned.cpu_source {
            CpuSourceKind::None => NOTHING.into(),
            _ if result.cpu_ns_per_request == 0 => NOTHING.into(),
            _ => us(result.cpu_ns_per_request),
        };
        let errors = result.errors.values().sum::<u64>() + result.dropped;
        row(
            out,
            &[
                &planned.label,
                &cpu,
                &time_or_nothing(&result.response, result.response.p50_ns),
                &time_or_nothing(&result.response, result.response.p99_ns),
                &time_or_nothing(&result.service, result.service.p99_ns),
                &result.closed_loop.map_or(NOTHING.into(), |c| rate(c.requests_milli_per_s)),
                &thousands(errors),
            ],
        );
    }
}

fn capacities(out: &mut String, run: &Run, cell: &Cell) {
    let planned = run.plan.variants.iter().filter(|variant| variant.cell == cell.id);
    let found = planned.filter_map(|p| Some((p, run.result(&p.id)?.capacity.as_ref()?)));
    for (at, (planned, capacity)) in found.enumerate() {
        if at == 0 {
            push(out, "\n| variant | maximum, requests/s | limit | highest rate that keeps it |\n");
            push(out, "|---|---:|---|---:|\n");
        }
        let slo = capacity.slo.as_ref();
        let limit = slo.map_or(NOTHING.into(), |slo| {
            format!("{} at most {}", slo.quantile, time(slo.limit_ns))
        });
        let kept = slo.and_then(|slo| slo.rate_milli_per_s).map_or(NOTHING.into(), rate);
        row(out, &[&planned.label, &rate(capacity.closed_loop_milli_per_s), &limit, &kept]);
    }
}

fn row(out: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
    writeln!(out, "| {} |", cells.join(" | ")).expect("writing to a String does not fail");
}

/// Words as words: Markdown's own characters get a backslash, HTML's become entities, line breaks
/// become blanks, and an invisible joiner behind `@` and `#` keeps a forge from pinging or linking.
fn escape(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' | '#' => {
                out.push(c);
                out.push('\u{2060}');
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    // An address becomes a link without any character of its own.
    out.replace("://", ":\u{2060}//")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_verdict_stands_first_and_every_layer_and_variant_has_a_row() {
        let run = testing::full();
        let text = report(&run);
        assert!(text.starts_with("**VALID** Every bound held; 2 of 2 proofs held.\n"), "{text}");
        for line in [
            "| TLS | S1 - S0 | request | +10.0 | +6.80 to +13.2 | resolved |",
            "| client certificate | S1 - S0 | request | −0.50 | −2.20 to +1.20 | \
             not distinguishable from noise |",
            "| policy, cached | S1 - S0 | request | +0.00 | – | too few rounds |",
            "| S1 | 90.0 | 370 µs | 1.85 ms | 1.14 ms | 13,346 | 0 |",
            "### ping",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        let broken = report(&testing::broken(run));
        assert!(broken.starts_with("**INVALID** Do not use these figures."), "{broken}");
        assert!(broken.contains("\n- The hypervisor took 3%"), "{broken}");
    }

    #[test]
    fn a_hostile_label_stays_in_its_cell() {
        let mut run = testing::full();
        let hostile = "a|b\n| <img src=https://x.test> @you #1 [x](y) `c` *d* \\|";
        run.plan.variants[0].label = hostile.into();
        run.costs[1].label = hostile.into();
        run.plan.label = Some(hostile.into());
        run.plan.cells[0].label = hostile.into();
        let text = report(&run);
        assert!(!text.contains("<img") && !text.contains("://"), "{text}");
        assert!(!text.contains("@you") && !text.contains("#1"), "{text}");
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let escaped = line.replace("\\\\", "").replace("\\|", "");
            let bars = escaped.matches('|').count();
            assert!([5, 7, 8].contains(&bars), "{bars} bars in {line}");
        }
    }
}
