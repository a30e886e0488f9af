//! The run as a person reads it in a terminal, at most 100 columns wide.
//!
//! What breaks validity stands first, for it goes before every figure; then the figures per
//! variant; then the answer, what each layer costs; then in one line whether to believe it. Pure:
//! a record in, text out.

use std::fmt::Write;

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use metrics_export::run::{Cost, Run, VariantResult, Verdict};

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
        if is_terminal && !refused {
            Paint::Colour
        } else {
            Paint::Plain
        }
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
    if !run.validity.valid {
        out.push_str(&verdict(run, paint));
        out.push('\n');
    }
    out.push_str(&heading(run, paint));
    section(
        &mut out,
        paint,
        "Server CPU in us per request",
        &cpu_table(run),
    );
    section(
        &mut out,
        paint,
        "Response time (from the intended send) and service time, us",
        &times_table(run),
    );
    section(
        &mut out,
        paint,
        "Closed loop, connections, bytes, errors",
        &rest_table(run),
    );
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
    let label = plan
        .label
        .as_ref()
        .map_or(String::new(), |label| format!("{label}: "));
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
    let servers = if servers.is_empty() {
        "unknown driver".to_owned()
    } else {
        servers
    };
    format!("{servers} (client {})", run.environment.client_driver)
}

fn cpu_table(run: &Run) -> Table {
    let services = services(run);
    // A spinning client is busy all the time: its CPU says nothing about a request.
    let client_sleeps = run.plan.client_wait == "sleep";
    let mut head = vec!["variant"];
    head.extend(&services);
    head.extend(["all", "cores busy", "in kernel"]);
    head.extend(client_sleeps.then_some("client"));
    let mut table = table(head.into_iter(), 2);
    for result in &run.results {
        let mut row = vec![run.label(&result.variant).to_owned()];
        row.extend(services.iter().map(|name| {
            let found = result.services.iter().find(|cost| cost.service == *name);
            us_or_dash(found.map(|cost| cost.cpu_ns_per_request))
        }));
        row.push(us(result.cpu_ns_per_request));
        row.push(us_or_dash(result.busy_ns_per_request));
        let in_kernel = result.system_share_milli;
        row.push(in_kernel.map_or("-".into(), |milli| format!("{}%", (milli + 5) / 10)));
        row.extend(client_sleeps.then(|| us_or_dash(result.client_cpu_ns_per_request)));
        table.add_row(cells(row));
    }
    table
}

/// The services in the order in which a request meets them.
fn services(run: &Run) -> Vec<&str> {
    let mut services: Vec<&str> = Vec::new();
    for service in run.results.iter().flat_map(|result| &result.services) {
        if !services.contains(&service.service.as_str()) {
            services.push(&service.service);
        }
    }
    let order = ["gateway", "orders", "inventory", "results", "auth"];
    services.sort_by_key(|name| order.iter().position(|known| known == name));
    services
}

fn times_table(run: &Run) -> Table {
    let head = [
        "variant",
        "resp. p50",
        "p99",
        "p99.9",
        "max",
        "serv. p50",
        "p99",
        "p99.9",
        "max",
    ];
    let mut table = table(head.into_iter(), 1);
    // Room for seconds, so that columns do not crowd where all are short.
    for column in table.column_iter_mut().skip(1) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(9)));
    }
    for result in &run.results {
        let mut row = vec![run.label(&result.variant).to_owned()];
        for points in [&result.response, &result.service] {
            let points = [points.p50_ns, points.p99_ns, points.p999_ns, points.max_ns];
            row.extend(points.map(whole_us));
        }
        table.add_row(cells(row));
    }
    table
}

fn rest_table(run: &Run) -> Table {
    let mut table = table(
        [
            "variant",
            "closed loop\nrequests/s",
            "closed loop\nCPU us/req.",
            "CPU us per\nconnection",
            "CPU us per full\nhandshake",
            "bytes/request\nsent, received",
            "errors",
        ]
        .into_iter(),
        2,
    );
    for result in &run.results {
        let closed = result.closed_loop;
        let connecting = result.connecting;
        table.add_row(cells(vec![
            run.label(&result.variant).to_owned(),
            closed.map_or("-".into(), |closed| {
                thousands(closed.requests_milli_per_s / 1000)
            }),
            us_or_dash(closed.map(|closed| closed.cpu_ns_per_request)),
            us_or_dash(connecting.map(|found| found.cpu_ns_per_connection)),
            us_or_dash(connecting.and_then(|found| found.cpu_ns_per_handshake)),
            format!(
                "{}, {}",
                result.bytes_sent_per_request, result.bytes_received_per_request
            ),
            errors(result),
        ]));
    }
    table
}

fn errors(result: &VariantResult) -> String {
    (result.errors.values().sum::<u64>() + result.dropped).to_string()
}

fn cost_table(run: &Run) -> Table {
    let mut table = table(["layer", "", "us", "95% interval", ""].into_iter(), 2);
    let layers = run
        .costs
        .iter()
        .filter(|cost| cost.id != crate::stats::CONTROL);
    for cost in layers {
        let per = if cost.per == "request" {
            ""
        } else {
            " per conn."
        };
        table.add_row(vec![
            Cell::new(format!("{}{per}", cost.label)),
            Cell::new(cost.formula.replace(' ', "")),
            Cell::new(signed(cost.estimate_ns)).set_alignment(CellAlignment::Right),
            Cell::new(interval(cost)),
            Cell::new(in_short(cost.verdict)),
        ]);
    }
    table
}

/// The verdict in the few words that a table has room for.
fn in_short(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Resolved => "resolved",
        Verdict::WithinNoise => "not resolved: noise floor",
        Verdict::TooFewRounds => "too few rounds",
    }
}

fn floor(run: &Run) -> String {
    let control = run
        .costs
        .iter()
        .find(|cost| cost.id == crate::stats::CONTROL);
    match (control, run.noise_floor_share) {
        (Some(control), Some(share)) => format!(
            "A/A control, S0 against itself: {} {}; noise floor {:.1}% of a request ({} us of S0)\n",
            signed(control.estimate_ns),
            interval(control),
            share * 100.0,
            us((share * control.reference_ns as f64) as u64),
        ),
        (Some(control), None) => {
            format!(
                "A/A control, S0 against itself: {}; no noise floor\n",
                control.words
            )
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
        let sentences = run
            .validity
            .breaches
            .iter()
            .map(|breach| breach.sentence.as_str());
        let sentences: String = sentences
            .flat_map(|sentence| wrapped(sentence, "  "))
            .collect();
        write!(
            out,
            "{head}: do not use these figures.\n{sentences}{}\n",
            proofs(run)
        )
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
    let slices: u64 = run
        .proofs
        .iter()
        .map(|proof| proof.slices)
        .max()
        .unwrap_or(0);
    let held = run.proofs.iter().filter(|proof| proof.holds).count();
    let all = run.proofs.len();
    format!("{held} of {all} proofs held, each over up to {slices} slices.")
}

fn notes(run: &Run) -> String {
    let mut notes = Vec::new();
    if !run.complete {
        notes.push("The run was interrupted; these are the slices that were finished.".into());
    }
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

/// An empty table with `gap` blanks between its columns.
fn table<'a>(head: impl Iterator<Item = &'a str>, gap: u16) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS_MAX);
    let head = head.enumerate().map(|(at, name)| aligned(at, name));
    table.set_header(head);
    for column in table.column_iter_mut() {
        column.set_padding((0, gap));
    }
    table
}

fn cells(row: Vec<String>) -> impl Iterator<Item = Cell> {
    row.into_iter()
        .enumerate()
        .map(|(at, text)| aligned(at, &text))
}

/// Names to the left, figures to the right.
fn aligned(column: usize, text: &str) -> Cell {
    let alignment = if column == 0 {
        CellAlignment::Left
    } else {
        CellAlignment::Right
    };
    Cell::new(text).set_alignment(alignment)
}

fn us(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1000.0)
}

fn whole_us(ns: u64) -> String {
    thousands((ns + 500) / 1000)
}

fn us_or_dash(ns: Option<u64>) -> String {
    ns.map_or("-".into(), us)
}

fn signed(ns: Option<i64>) -> String {
    ns.map_or("-".into(), |ns| {
        // Two places below 10 us: a layer may cost a tenth of a microsecond.
        let us = ns as f64 / 1000.0;
        if us.abs() < 10.0 {
            format!("{us:+.2}")
        } else {
            format!("{us:+.1}")
        }
    })
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
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
    if cores.is_empty() {
        "any core".into()
    } else {
        format!("{noun} {}", list.join(","))
    }
}

/// Whether any layer has a price that can be told from noise.
#[must_use]
pub fn any_resolved(run: &Run) -> bool {
    run.costs
        .iter()
        .any(|cost| cost.verdict == Verdict::Resolved)
}
