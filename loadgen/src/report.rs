//! The run as a person reads it in a terminal, at most 100 columns wide.
//!
//! What breaks validity stands first, for it goes before every figure; then the figures per
//! variant; then the answer, what each layer costs; then in one line whether to believe it. Pure:
//! a record in, text out.

mod figures;
mod tables;

use std::fmt::Write;

use comfy_table::Table;
use metrics_export::run::{Cost, Run, Verdict};

use figures::{signed, thousands, us};
use tables::{cost_table, cpu_table, rest_table, times_table};

/// The widest line.
pub const COLUMNS_MAX: u16 = 100;

/// Whether the text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As it is.
    Plain,
    /// With ANSI colours.
    Colour,
}

impl Paint {
    /// Colour on a terminal unless `NO_COLOR` is set to anything but the empty text
    /// (<https://no-color.org>).
    #[must_use]
    pub fn choose(is_terminal: bool, no_color: Option<&str>) -> Paint {
        let refused = no_color.is_some_and(|value| !value.is_empty());
        if is_terminal && !refused { Paint::Colour } else { Paint::Plain }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// The whole report.
#[must_use]
pub fn text(run: &Run, paint: Paint) -> String {
    let mut out = String::new();
    if !run.complete {
        out.push_str("INTERRUPTED: these are the slices that were finished.\n\n");
    }
    if !run.validity.valid {
        out.push_str(&verdict(run, paint));
        out.push('\n');
    }
    out.push_str(&heading(run, paint));
    section(&mut out, paint, "Server CPU in us per request", &cpu_table(run));
    section(
        &mut out,
        paint,
        "Response time (from the intended send) and service time, us",
        &times_table(run),
    );
    section(&mut out, paint, "Closed loop, connections, bytes, errors", &rest_table(run));
    section(
        &mut out,
        paint,
        "What each layer costs in server CPU, per request or (per conn.) per new connection",
        &cost_table(run),
    );
    out.push_str(&floor(run));
    out.push('\n');
    if run.validity.valid {
        out.push_str(&verdict(run, paint));
    }
    out.push_str(&notes(run));
    out
}

fn section(out: &mut String, paint: Paint, title: &str, table: &Table) {
    let title = paint.wrap("1", title);
    write!(out, "\n{title}\n").expect("writing to a String does not fail");
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn heading(run: &Run, paint: Paint) -> String {
    let plan = &run.plan;
    let environment = &run.environment;
    let label = plan.label.as_ref().map_or(String::new(), |label| format!("{label}: "));
    let title = format!("{label}tollgate {} of {}", run.command, plan.workload);
    format!(
        "{}, {} through the {}, {} topology\n\
         open loop at {}/s ({}), {} connections, client {}s\n\
         {} rounds of {} slices over {} instances of every process{}; seed {}\n\
         servers on {}, generator on {}; {}, Linux {}, {}\n",
        paint.wrap("1", &title),
        plan.protocol,
        plan.call_path,
        plan.topology,
        thousands(plan.rate_milli_per_s / 1000),
        plan.rate_source,
        plan.connections,
        plan.client_wait,
        plan.rounds,
        duration(plan.slice_ns),
        plan.instances,
        if plan.quick { " (quick)" } else { "" },
        plan.seed,
        cores(&plan.server_cores),
        cores(&plan.generator_cores),
        environment.cpu_model,
        environment.kernel,
        drivers(run),
    )
}

fn drivers(run: &Run) -> String {
    let servers = run.environment.server_drivers.join(" and ");
    let servers = if servers.is_empty() { "unknown driver".to_owned() } else { servers };
    format!("{servers} (client {})", run.environment.client_driver)
}

fn floor(run: &Run) -> String {
    let control = run.costs.iter().find(|cost| cost.id == crate::stats::CONTROL);
    match (control, run.noise_floor_share) {
        (Some(control), Some(share)) => format!(
            "A/A control, S0 against itself: {} {}; noise floor {:.1}% of a request \
             ({} us of S0)\n",
            signed(control.estimate_ns),
            interval(control),
            share * 100.0,
            us((share * control.reference_ns as f64) as u64),
        ),
        (Some(control), None) => {
            format!("A/A control, S0 against itself: {}; no noise floor\n", control.words)
        }
        (None, _) => "No A/A control was run: there is no noise floor.\n".into(),
    }
}

fn interval(cost: &Cost) -> String {
    match (cost.low_ns, cost.high_ns) {
        (Some(low), Some(high)) => format!("[{}, {}]", signed(Some(low)), signed(Some(high))),
        _ => "no interval".into(),
    }
}

fn verdict(run: &Run, paint: Paint) -> String {
    let mut out = String::new();
    if run.validity.valid {
        let head = paint.wrap("1;32", "VALID");
        writeln!(out, "{head}: every bound held; {}", proofs(run))
    } else {
        let head = paint.wrap("1;31", "INVALID");
        let sentences = run.validity.breaches.iter().map(|breach| breach.sentence.as_str());
        let sentences: String = sentences.flat_map(|sentence| wrapped(sentence, "  ")).collect();
        write!(out, "{head}: do not use these figures.\n{sentences}{}\n", proofs(run))
    }
    .expect("writing to a String does not fail");
    let failed = run.proofs.iter().filter(|proof| !proof.holds);
    for proof in failed {
        let head = paint.wrap("1;31", "NOT PROVED");
        let label = run.label(&proof.variant);
        let sentence = format!("{label}: {} - found {}", proof.claim, proof.found);
        writeln!(out, "{head}:").expect("writing to a String does not fail");
        out.extend(wrapped(&sentence, "  "));
    }
    out
}

fn proofs(run: &Run) -> String {
    let slices: u64 = run.proofs.iter().map(|proof| proof.slices).max().unwrap_or(0);
    let held = run.proofs.iter().filter(|proof| proof.holds).count();
    let all = run.proofs.len();
    format!("{held} of {all} proofs held, each over up to {slices} slices.")
}

fn notes(run: &Run) -> String {
    let mut notes = Vec::new();
    if run.validity.slices_repeated > 0 {
        notes.push(format!(
            "{} disturbed slices were taken once more.",
            run.validity.slices_repeated
        ));
    }
    if run.plan.instances < 3 {
        notes.push(format!(
            "Only {} instances of every process: luck of memory layout is hardly averaged out.",
            run.plan.instances
        ));
    }
    if !run.environment.optimised {
        notes.push("This build is not optimised: build with --release.".into());
    }
    notes.push(
        match run.environment.irq_time_accounting {
            Some(false) => {
                "Softirq work is billed to the task that it interrupts (no \
                 IRQ_TIME_ACCOUNTING); on loopback each side pays for delivery to the other."
            }
            Some(true) => {
                "Softirq work is not in the CPU of the services (IRQ_TIME_ACCOUNTING); see \
                 `cores busy`."
            }
            None => "The kernel does not say whether softirq work is billed to tasks.",
        }
        .into(),
    );
    notes.extend(run.validity.notes.iter().cloned());
    notes.iter().flat_map(|note| wrapped(note, "  ")).collect()
}

/// A sentence as lines of at most [`COLUMNS_MAX`], the first with a dash.
fn wrapped(sentence: &str, indent: &str) -> Vec<String> {
    let width = usize::from(COLUMNS_MAX) - indent.len() - 2;
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            let space = if line.is_empty() { "" } else { " " };
            line.push_str(space);
            line.push_str(word);
        }
    }
    let numbered = lines.into_iter().enumerate();
    numbered
        .map(|(at, line)| format!("{indent}{} {line}\n", if at == 0 { '-' } else { ' ' }))
        .collect()
}

fn duration(ns: u64) -> String {
    match ns {
        ns if ns % 1_000_000_000 == 0 => format!("{} s", ns / 1_000_000_000),
        ns => format!("{} ms", ns / 1_000_000),
    }
}

fn cores(cores: &[usize]) -> String {
    let list: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let noun = if cores.len() == 1 { "core" } else { "cores" };
    if cores.is_empty() { "any core".into() } else { format!("{noun} {}", list.join(",")) }
}

/// Whether any layer has a price that can be told from noise.
#[must_use]
pub fn any_resolved(run: &Run) -> bool {
    run.costs.iter().any(|cost| cost.verdict == Verdict::Resolved)
}
