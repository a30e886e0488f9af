//! The tables of the report: figures per variant, and the costs of layers.

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use metrics_export::run::{Run, VariantResult, Verdict};

use super::figures::{signed, thousands, us, us_or_dash, whole_us};
use super::{COLUMNS_MAX, interval};

pub(super) fn cpu_table(run: &Run) -> Table {
    let services = services(run);
    // A spinning client is busy all the time: its CPU says nothing about a request.
    let client_sleeps = run.plan.client_wait == "sleep";
    let mut head = vec!["variant"];
    head.extend(&services);
    head.extend(["sum", "cores busy", "in kernel"]);
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

pub(super) fn times_table(run: &Run) -> Table {
    let head = ["variant", "resp. p50", "p99", "p99.9", "max", "serv. p50", "p99", "p99.9", "max"];
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

pub(super) fn rest_table(run: &Run) -> Table {
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
            closed.map_or("-".into(), |closed| thousands(closed.requests_milli_per_s / 1000)),
            us_or_dash(closed.map(|closed| closed.cpu_ns_per_request)),
            us_or_dash(connecting.map(|found| found.cpu_ns_per_connection)),
            us_or_dash(connecting.and_then(|found| found.cpu_ns_per_handshake)),
            format!("{}, {}", result.bytes_sent_per_request, result.bytes_received_per_request),
            errors(result),
        ]));
    }
    table
}

fn errors(result: &VariantResult) -> String {
    (result.errors.values().sum::<u64>() + result.dropped).to_string()
}

pub(super) fn cost_table(run: &Run) -> Table {
    let mut table = table(["layer", "", "us", "95% interval", ""].into_iter(), 2);
    let layers = run.costs.iter().filter(|cost| cost.id != crate::stats::CONTROL);
    for cost in layers {
        let per = if cost.per == "request" { "" } else { " per conn." };
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
