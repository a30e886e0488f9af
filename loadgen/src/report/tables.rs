//! The tables of the report: figures per variant, and the costs of layers.

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use metrics_export::breakeven::{self, BreakEven};
use metrics_export::figures::cpu_read;
use metrics_export::figures::plain::{
    signed_us_or_nothing, us, us_or_nothing, whole_us, whole_us_or_nothing,
};
use metrics_export::figures::thousands;
use metrics_export::run::{
    Connecting, Cost, GeneratorWait, Per, Run, SubjectKind, VariantResult, Verdict,
};

use super::{COLUMNS_MAX, CellSummary, interval};

pub(super) fn cpu_table(view: &CellSummary<'_>) -> Table {
    let run = view.run;
    let services = services(run);
    // A spinning client is busy all the time: its CPU says nothing about a request.
    let client_sleeps = run.plan.generator_wait == GeneratorWait::Sleep;
    let mut head = vec!["variant"];
    head.extend(&services);
    let interleaved = view.results().any(|one| one.undisturbed_cpu_ns_per_request.is_some());
    head.push("sum");
    head.extend(interleaved.then_some("undisturbed"));
    head.extend(["cores busy", "in kernel"]);
    head.extend(client_sleeps.then_some("client"));
    let mut table = table(head.into_iter(), 2);
    for result in view.results() {
        let mut row = vec![run.label(&result.variant).to_owned()];
        row.extend(services.iter().map(|name| {
            let found = result.services.iter().find(|cost| cost.service == *name);
            us_or_nothing(found.map(|cost| cost.cpu_ns_per_request))
        }));
        row.push(us_or_nothing(cpu_read(result.cpu_ns_per_request)));
        row.extend(interleaved.then(|| us_or_nothing(result.undisturbed_cpu_ns_per_request)));
        row.push(us_or_nothing(result.busy_ns_per_request.and_then(cpu_read)));
        let in_kernel = result.system_share_milli;
        row.push(in_kernel.map_or("-".into(), |milli| format!("{}%", (milli + 5) / 10)));
        row.extend(client_sleeps.then(|| us_or_nothing(result.generator_cpu_ns_per_request)));
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

pub(super) fn times_table(view: &CellSummary<'_>) -> Table {
    let run = view.run;
    let head = ["variant", "resp. p50", "p99", "p99.9", "max", "serv. p50", "p99", "p99.9", "max"];
    let mut table = table(head.into_iter(), 1);
    // Room for seconds, so that columns do not crowd where all are short.
    for column in table.column_iter_mut().skip(1) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(9)));
    }
    for result in view.results() {
        let mut row = vec![run.label(&result.variant).to_owned()];
        for points in [&result.response, &result.service] {
            let shown = [points.p50_ns, points.p99_ns, points.p999_ns, points.max_ns];
            row.extend(shown.map(|ns| whole_us_or_nothing(points.known(ns))));
        }
        table.add_row(cells(row));
    }
    table
}

pub(super) fn rest_table(view: &CellSummary<'_>) -> Table {
    let mut table = table(
        [
            "variant",
            "closed loop\nrequests/s",
            "closed loop\nCPU us/req.",
            "bytes/request\nsent, received",
            "memory peak\nMiB",
            "errors",
        ]
        .into_iter(),
        2,
    );
    for result in view.results() {
        let closed = result.closed_loop;
        let memory = result.memory_peak_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
        table.add_row(cells(vec![
            view.run.label(&result.variant).to_owned(),
            closed.map_or("-".into(), |closed| thousands(closed.requests_milli_per_s / 1000)),
            us_or_nothing(closed.and_then(|closed| cpu_read(closed.cpu_ns_per_request))),
            format!("{}, {}", result.bytes_sent_per_request, result.bytes_received_per_request),
            memory.map_or("-".into(), |mib| format!("{mib:.1}")),
            errors(result),
        ]));
    }
    table
}

/// New connections: their cost on both sides, then rate and times. A rate that the generator
/// limited is marked.
pub(super) fn connect_table(view: &CellSummary<'_>) -> Table {
    let head = [
        "variant",
        "handshake",
        "server\nper conn.",
        "of it\nhandsh.",
        "client\nper conn.",
        "of it\nhandsh.",
        "conn./s",
        "connect\np50",
        "TLS\np50, p99",
    ];
    let mut table = table(head.into_iter(), 2);
    for result in view.results() {
        let Some(found) = &result.connecting else { continue };
        let limited = if found.generator_limited { "*" } else { "" };
        table.add_row(cells(vec![
            view.run.label(&result.variant).to_owned(),
            handshake(found),
            us_or_nothing(cpu_read(found.cpu_ns_per_connection)),
            us_or_nothing(found.cpu_ns_per_handshake),
            us_or_nothing(found.generator_cpu_ns_per_connection),
            us_or_nothing(found.generator_cpu_ns_per_handshake),
            format!("{}{limited}", thousands(found.connections_milli_per_s / 1000)),
            whole_us_or_nothing(found.connect.known(found.connect.p50_ns)),
            match found.tls.count {
                0 => "-".into(),
                _ => format!("{}, {}", whole_us(found.tls.p50_ns), whole_us(found.tls.p99_ns)),
            },
        ]));
    }
    table
}

/// What each variant costs more than the one they are compared with.
pub(super) fn break_even_table(run: &Run, found: &BreakEven) -> Table {
    let counts = breakeven::REQUESTS.map(|requests| match requests {
        Some(1) => "1 request".into(),
        Some(count) => thousands(count),
        None => "kept".into(),
    });
    let head = std::iter::once("variant").chain(counts.iter().map(String::as_str));
    let mut table = table(head, 2);
    for row in found.rows.iter().filter(|row| row.variant != found.baseline) {
        let shares = row.more_shares.map(|share| format!("{:+.0}%", share * 100.0));
        let label = run.label(&row.variant).to_owned();
        table.add_row(cells(std::iter::once(label).chain(shares).collect()));
    }
    table
}

/// The shares of the maximum at which the capacity table shows times, of those that were measured.
const LOADS_SHOWN: [f64; 4] = [0.2, 0.6, 0.8, 0.95];

/// The closed-loop maximum, the highest rate that keeps the limit, and times by load.
pub(super) fn capacity_table(view: &CellSummary<'_>) -> Table {
    let limit = view.results().find_map(|result| result.capacity.as_ref()?.slo.as_ref());
    let limit = limit.map_or("no limit".into(), |slo| {
        format!("keeps {}\n<= {} us", slo.quantile, us(slo.limit_ns))
    });
    let loads = LOADS_SHOWN.map(|share| format!("p99 at\n{:.0}%", share * 100.0));
    let mut head = vec!["variant", "maximum", limit.as_str(), "confirmed\nslices"];
    head.extend(loads.iter().map(String::as_str));
    let mut table = table(head.into_iter(), 2);
    for result in view.results() {
        let Some(found) = &result.capacity else { continue };
        let rate = |milli: u64| thousands(milli / 1000);
        let slo = found.slo.as_ref();
        let mut row = vec![
            view.run.label(&result.variant).to_owned(),
            rate(found.closed_loop_milli_per_s),
            slo.and_then(|slo| slo.rate_milli_per_s).map_or("-".into(), rate),
            slo.map_or("-".into(), |slo| {
                format!("{} of {}", slo.kept_slices, slo.confirmation_slices)
            }),
        ];
        row.extend(LOADS_SHOWN.map(|share| {
            let asked = share * found.closed_loop_milli_per_s as f64;
            // Rates are rounded when they are asked for.
            let near = |milli: u64| (milli as f64 - asked).abs() < 0.02 * asked;
            let point = found.curve.iter().find(|point| point.asked_milli_per_s.is_some_and(near));
            whole_us_or_nothing(point.and_then(|point| point.response.known(point.response.p99_ns)))
        }));
        table.add_row(cells(row));
    }
    table
}

fn handshake(found: &Connecting) -> String {
    let certificate = if found.client_certificate { " + cert." } else { "" };
    format!("{}{certificate}", found.handshake)
}

fn errors(result: &VariantResult) -> String {
    (result.errors.values().sum::<u64>() + result.dropped).to_string()
}

/// Differences between variants. Intervals are the simultaneous ones: the whole table may be read
/// at once.
pub(super) fn difference_table<'a>(
    view: &CellSummary<'_>,
    costs: impl Iterator<Item = &'a Cost>,
) -> Table {
    let head = ["layer", "", "us", "simultaneous 95%", ""];
    let mut table = table(head.into_iter(), 2);
    let plan = &view.run.plan;
    for cost in costs {
        let per = if cost.per == Per::Request { "" } else { " per conn." };
        table.add_row(vec![
            Cell::new(format!("{}{per}", cost.label)),
            Cell::new(match (plan.subject, plan.has_layers()) {
                (SubjectKind::Stack, true) => cost.formula.replace(' ', ""),
                // The label says which builds, and the formula would take its place.
                (SubjectKind::Stack, false) => String::new(),
                _ => cost.formula.clone(),
            }),
            Cell::new(signed_us_or_nothing(cost.estimate_ns)).set_alignment(CellAlignment::Right),
            Cell::new(interval(cost.family_low_ns, cost.family_high_ns)),
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
    row.into_iter().enumerate().map(|(at, text)| aligned(at, &text))
}

/// Names to the left, figures to the right.
fn aligned(column: usize, text: &str) -> Cell {
    let alignment = if column == 0 { CellAlignment::Left } else { CellAlignment::Right };
    Cell::new(text).set_alignment(alignment)
}
