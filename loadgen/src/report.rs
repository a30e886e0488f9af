//! The run as a person reads it in a terminal, at most 100 columns wide.
//!
//! What breaks validity stands first, for it goes before every figure; then the figures per
//! variant; then the answer, what each layer costs; then in one line whether to believe it. Pure:
//! a record in, text out.

mod tables;

use std::fmt::Write;

use comfy_table::Table;
use metrics_export::figures::plain::{duration, signed_us, signed_us_or_nothing, us};
use metrics_export::figures::thousands;
use metrics_export::run::{
    CallPath, Cell, Cost, CpuSourceKind, HandshakeKind, Plan, Run, RunCommand, SubjectKind,
    VariantResult, Verdict,
};
use metrics_export::{answer, breaches, breakeven};

use tables::{
    break_even_table, capacity_table, connect_table, cpu_table, difference_table, rest_table,
    times_table,
};

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

    /// The text in the colour of an ANSI code, such as `31` for red.
    #[must_use]
    pub fn wrap(self, code: &str, text: &str) -> String {
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
    for cell in &run.plan.cells {
        cell_sections(&mut out, run, cell, paint);
    }
    out.push('\n');
    if run.validity.valid {
        out.push_str(&verdict(run, paint));
    }
    out.push_str(&notes(run));
    out
}

/// What was found under one setting.
fn cell_sections(out: &mut String, run: &Run, cell: &Cell, paint: Paint) {
    out.push_str(&cell_heading(run, cell, paint));
    let view = CellSummary { run, cell };
    if view.results().any(|result| result.slices > 0) {
        if view.has_cpu() {
            section(out, paint, "Server CPU in us per request", &cpu_table(&view));
        }
        let title = "Response time (from the intended send) and service time, us";
        section(out, paint, title, &times_table(&view));
        section(out, paint, "Closed loop, bytes, memory, errors", &rest_table(&view));
    }
    if view.results().any(|result| result.connecting.is_some()) {
        section(out, paint, "New connections, one request each, CPU in us", &connect_table(&view));
    }
    if let Some(found) = breakeven::of_cell(run, &cell.id) {
        let baseline = run.label(&found.baseline);
        let title = format!("What each costs more than {baseline} at N requests per connection");
        section(out, paint, &title, &break_even_table(run, &found));
    }
    if view.results().any(|result| result.capacity.is_some()) {
        section(
            out,
            paint,
            "Capacity, requests/s, and response p99 in us by load",
            &capacity_table(&view),
        );
    }
    if view.costs().next().is_some() {
        let title = if run.plan.has_layers() {
            "What each layer costs in server CPU, per request or (per conn.) per new connection"
        } else {
            "What each costs more in server CPU, per request or (per conn.) per new connection"
        };
        section(out, paint, title, &difference_table(&view, view.costs()));
    }
    out.push_str(&floor(&view));
    let resolution = answer::resolution_sentence(run, &cell.id).into_iter();
    for sentence in resolution.chain(answer::interleaving_sentences(run, &cell.id)) {
        out.push_str(&wrapped(&sentence.replace('µ', "u").replace('\u{2212}', "-"), ""));
    }
    for cost in view.costs() {
        let Some(judge) = answer::instruction_evidence(cost) else { continue };
        let judge = judge.replace('\u{2212}', "-");
        let sentence = format!("{} ({}): {judge}", cost.label, cost.formula.replace(' ', ""));
        out.push_str(&wrapped(&sentence, "  "));
    }
    if view.service_times().next().is_some() {
        let title = "What each adds to the median service time, per request";
        section(out, paint, title, &difference_table(&view, view.service_times()));
    }
    for found in run.additivity.iter().filter(|found| found.cell == cell.id) {
        let sentence = format!("Additivity, {}: {}.", found.form, found.words);
        out.push_str(&wrapped(&sentence, "  - "));
    }
}

/// A run as seen from one of its cells.
#[derive(Clone, Copy)]
struct CellSummary<'a> {
    run: &'a Run,
    cell: &'a Cell,
}

impl<'a> CellSummary<'a> {
    fn results(&self) -> impl Iterator<Item = &'a VariantResult> + use<'a> {
        let (run, cell) = (self.run, &self.cell.id);
        run.results.iter().filter(move |result| {
            run.planned(&result.variant).is_some_and(|planned| planned.cell == *cell)
        })
    }

    /// Whether there can be a figure of CPU: always but for a URL whose server was not named.
    fn has_cpu(&self) -> bool {
        let run = self.run;
        run.command == RunCommand::Matrix
            || run.plan.variants.iter().any(|planned| planned.cpu_source != CpuSourceKind::None)
    }

    /// The costs of layers, without the control.
    fn costs(&self) -> impl Iterator<Item = &'a Cost> + use<'a> {
        answer::layers(self.run, &self.cell.id)
    }

    fn service_times(&self) -> impl Iterator<Item = &'a Cost> + use<'a> {
        answer::service_times(self.run, &self.cell.id)
    }

    fn control(&self) -> Option<&'a Cost> {
        answer::control(self.run, &self.cell.id)
    }
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
    let title = match (run.command, plan.subject) {
        (RunCommand::Matrix, SubjectKind::Targets) => {
            format!("{label}tollgate {} of your servers", run.command)
        }
        _ => format!("{label}tollgate {}", run.command),
    };
    format!(
        "{}\n{}{}\n\
         servers on {}, generator on {}, which {}s; seed {}\n\
         {}, Linux {}, {}\n",
        paint.wrap("1", &title),
        annotations(plan),
        slices(run),
        cores(&plan.server_cores),
        cores(&plan.generator_cores),
        plan.generator_wait,
        plan.seed,
        environment.cpu_model,
        environment.kernel,
        drivers(run),
    )
}

/// Where it was run and its tags, then which builds were compared, as lines of their own; nothing
/// without any.
fn annotations(plan: &Plan) -> String {
    let environment = plan.environment.iter().map(|name| format!("environment {name}"));
    let all: Vec<String> = environment.chain(plan.tag_texts()).collect();
    let mut lines = if all.is_empty() { String::new() } else { wrapped(&all.join(", "), "") };
    if !plan.builds.is_empty() {
        lines += &wrapped(&format!("builds {}", plan.build_texts()), "");
    }
    lines
}

/// Which slices were taken.
fn slices(run: &Run) -> String {
    let plan = &run.plan;
    match run.command {
        RunCommand::Matrix => rounds(plan),
        RunCommand::Run => {
            let length = duration(plan.slice_ns.max(plan.closed_slice_ns));
            format!("one slice of {length} after {} of warm-up", duration(plan.warmup_ns))
        }
        RunCommand::Capacity => {
            format!("slices of {}, {}", duration(plan.slice_ns), plan.stop_rule)
        }
    }
}

fn rounds(plan: &Plan) -> String {
    let topology =
        plan.topology.as_ref().map_or(String::new(), |name| format!("{name} topology, "));
    let instances = match plan.instances {
        0 => "over servers that were not restarted".into(),
        count => format!("over {count} instances of every process"),
    };
    let rounds = match plan.stop_rule.as_str() {
        "rounds" => format!("{} rounds", plan.rounds),
        rule => format!("at most {} rounds ({rule})", plan.rounds),
    };
    let quick = if plan.quick { " (quick)" } else { "" };
    format!("{topology}{rounds} of {} slices {instances}{quick}", duration(plan.slice_ns))
}

fn cell_heading(run: &Run, cell: &Cell, paint: Paint) -> String {
    let own = run.plan.variants.iter().find_map(|planned| planned.request.as_deref());
    let requests = match (cell.workload.as_str(), own) {
        ("target", Some(request)) if run.command != RunCommand::Matrix => {
            format!("{request}, {}", cell.protocol)
        }
        ("target", _) => format!("each target's own request, {}", cell.protocol),
        (name, _) => {
            let through =
                if cell.call_path == CallPath::Direct { "direct" } else { "through the gateway" };
            format!("{name}, {} {through}", cell.protocol)
        }
    };
    let each = cell
        .requests_per_connection
        .map_or(String::new(), |count| format!(", {count} requests each"));
    let resumed = if cell.handshake == HandshakeKind::Resumed { ", sessions resumed" } else { "" };
    let label = match cell.label.as_str() {
        "" => String::new(),
        label => format!("\n{}\n", paint.wrap("1;4", label)),
    };
    let load = match cell.rate_milli_per_s {
        0 if run.command != RunCommand::Matrix => cell.rate_source.clone(),
        rate => format!("open loop at {}/s ({})", thousands(rate / 1000), cell.rate_source),
    };
    format!("{label}{requests}\n{load}, {} connections{each}{resumed}\n", cell.connections)
}

fn drivers(run: &Run) -> String {
    let servers = run.environment.server_drivers.join(" and ");
    if servers.is_empty() && run.command != RunCommand::Matrix {
        return format!("generator driver {}", run.environment.generator_driver);
    }
    let servers = if servers.is_empty() { "unknown driver".to_owned() } else { servers };
    format!("{servers} (client {})", run.environment.generator_driver)
}

fn floor(view: &CellSummary<'_>) -> String {
    match (view.control(), view.run.floor(&view.cell.id)) {
        (Some(control), Some(floor)) => format!(
            "A/A control, the baseline against itself: {} {}; noise floor {:.1}% ({} us)\n",
            signed_us_or_nothing(control.estimate_ns),
            interval(control.low_ns, control.high_ns),
            floor.share * 100.0,
            us(floor.ns),
        ),
        (Some(control), None) => {
            format!("A/A control, the baseline against itself: {}; no noise floor\n", control.words)
        }
        (None, _) if view.run.plan.variants.len() < 2 => String::new(),
        (None, _) => "No A/A control was run: there is no noise floor.\n".into(),
    }
}

fn interval(low_ns: Option<i64>, high_ns: Option<i64>) -> String {
    match (low_ns, high_ns) {
        (Some(low), Some(high)) => format!("[{}, {}]", signed_us(low), signed_us(high)),
        _ => "no interval".into(),
    }
}

fn verdict(run: &Run, paint: Paint) -> String {
    let mut out = String::new();
    if run.validity.valid {
        let head = paint.wrap("1;32", "VALID");
        let held = proofs(run).map_or(".".into(), |proofs| format!("; {proofs}"));
        writeln!(out, "{head}: every bound held{held}")
    } else {
        let head = paint.wrap("1;31", "INVALID");
        let lines = breaches::of_run(run);
        let sentences: String = lines.iter().map(|line| wrapped(line, "  - ")).collect();
        let held = proofs(run).map_or(String::new(), |proofs| proofs + "\n");
        write!(out, "{head}: do not use these figures.\n{sentences}{held}")
    }
    .expect("writing to a String does not fail");
    let failed = run.proofs.iter().filter(|proof| !proof.holds);
    for proof in failed {
        let head = paint.wrap("1;31", "UNVERIFIED");
        let label = named(run, &proof.variant);
        let sentence = format!("{label}: {} - found {}", proof.claim, proof.found);
        writeln!(out, "{head}:").expect("writing to a String does not fail");
        out.push_str(&wrapped(&sentence, "  - "));
    }
    out
}

/// How many proofs held; None without any.
fn proofs(run: &Run) -> Option<String> {
    let slices = run.proofs.iter().map(|proof| proof.slices).max()?;
    let held = run.proofs.iter().filter(|proof| proof.holds).count();
    let all = run.proofs.len();
    Some(format!("{held} of {all} proofs held, each over up to {slices} slices."))
}

fn notes(run: &Run) -> String {
    answer::notes(run).iter().map(|note| wrapped(note, "  - ")).collect()
}

/// A variant with its cell, for people.
fn named(run: &Run, variant: &str) -> String {
    let planned = run.planned(variant);
    let cell =
        planned.and_then(|planned| run.plan.cells.iter().find(|cell| cell.id == planned.cell));
    match cell.map(|cell| cell.label.as_str()) {
        None | Some("") => run.label(variant).to_owned(),
        Some(cell) => format!("{} ({cell})", run.label(variant)),
    }
}

/// A sentence in lines that fit; the first begins with `head`, the others are moved in as far.
#[must_use]
pub fn wrapped(sentence: &str, head: &str) -> String {
    let width = usize::from(COLUMNS_MAX);
    let mut out = head.to_owned();
    let mut column = head.len();
    for (at, word) in sentence.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > width {
            out = format!("{out}\n{}", " ".repeat(head.len()));
            column = head.len();
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out + "\n"
}

/// Cores for people to read: `core 0`, `cores 0,1`, or `any core` where none is named.
#[must_use]
pub fn cores(cores: &[usize]) -> String {
    let list: Vec<String> = cores.iter().map(ToString::to_string).collect();
    let noun = if cores.len() == 1 { "core" } else { "cores" };
    if cores.is_empty() { "any core".into() } else { format!("{noun} {}", list.join(",")) }
}

/// Whether any layer has a cost that is distinguishable from noise.
#[must_use]
pub fn any_resolved(run: &Run) -> bool {
    run.costs.iter().any(|cost| cost.verdict == Verdict::Resolved)
}
