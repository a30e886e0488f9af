//! Server CPU per request: who spends it, as stacked bars and as a table, with the closed loop,
//! bytes, memory and errors beside it.

use super::figure;
use super::table::TextTable;
use super::view::PageCell;
use crate::figures::{NOTHING, cpu_read, mib, percent, rate, thousands, us, us_or_nothing};
use crate::markup::{Markup, element};
use crate::run::{GeneratorWait, PlannedVariant, VariantResult};
use crate::svg::{self, Bar, BarPart, Bars};

/// The order in which a request meets our services; others come behind, as they were recorded.
const ORDER: [&str; 5] = ["gateway", "orders", "inventory", "results", "auth"];

/// The section.
pub(super) fn section(view: &PageCell<'_>) -> Markup {
    if !view.has_slices() {
        return Markup::none();
    }
    let services = services(view);
    let mut all = element("section").holds(element("h2").holds("Where the CPU goes"));
    if view.with_cpu().next().is_some() {
        let entries = services.iter().enumerate();
        let legend =
            figure::legend(entries.map(|(at, name)| (svg::square(at + 1), (*name).to_owned())));
        all = all.holds(figure::bars(&chart(view, &services), legend, "Medians over the slices."));
        all = all.holds(cpu_table(view, &services));
    }
    all.holds(element("h3").holds("Closed loop, bytes, memory, errors"))
        .holds(rest_table(view))
        .into()
}

fn services<'a>(view: &PageCell<'a>) -> Vec<&'a str> {
    let mut services: Vec<&str> = Vec::new();
    for service in view.with_cpu().flat_map(|(_, result)| &result.services) {
        let spends = service.cpu_ns_per_request >= 50;
        if spends && !services.contains(&service.service.as_str()) {
            services.push(&service.service);
        }
    }
    services.sort_by_key(|name| ORDER.iter().position(|known| known == name).unwrap_or(99));
    services
}

fn spent(result: &VariantResult, service: &str) -> Option<u64> {
    let found = result.services.iter().find(|cost| cost.service == service);
    found.map(|cost| cost.cpu_ns_per_request)
}

fn chart(view: &PageCell<'_>, services: &[&str]) -> Bars {
    let part = |planned: &PlannedVariant, ns: u64, at: usize, name: &str| BarPart {
        value: ns as f64 / 1e3,
        colour: at,
        hover: format!("{}, {name}: {} µs", planned.label, us(ns)),
    };
    let bar = |(planned, result): (&PlannedVariant, &VariantResult)| {
        let mut parts: Vec<BarPart> = Vec::new();
        for (at, name) in services.iter().enumerate() {
            let ns = spent(result, name).unwrap_or(0);
            parts.push(part(planned, ns, at + 1, name));
        }
        // Servers that are not ours have no parts.
        if services.is_empty() {
            parts.push(part(planned, result.cpu_ns_per_request, 1, "all"));
        }
        let figure = us(result.cpu_ns_per_request);
        Bar { label: planned.label.clone(), parts, figure, ..Bar::default() }
    };
    let said = view.with_cpu().map(|(planned, result)| {
        format!("{}: {} µs", planned.label, us(result.cpu_ns_per_request))
    });
    Bars {
        title: "Server CPU per request".into(),
        description: said.collect::<Vec<String>>().join("; "),
        axis: "server CPU, µs per request".into(),
        rows: view.with_cpu().map(bar).collect(),
        band: None,
    }
}

fn cpu_table(view: &PageCell<'_>, services: &[&str]) -> Markup {
    let mut columns = vec!["variant"];
    columns.extend(services);
    let undisturbed = |result: &VariantResult| result.undisturbed_cpu_ns_per_request;
    let interleaved = view.with_cpu().any(|(_, result)| undisturbed(result).is_some());
    columns.push("sum");
    columns.extend(interleaved.then_some("undisturbed"));
    columns.extend(["cores busy", "in kernel"]);
    // A spinning client is busy all the time: its CPU says nothing about a request.
    let client_sleeps = view.run.plan.generator_wait == GeneratorWait::Sleep;
    columns.extend(client_sleeps.then_some("client"));
    let mut table = TextTable::new("Server CPU per request, µs", &columns);
    for (planned, result) in view.with_cpu() {
        let mut row = vec![planned.label.clone()];
        row.extend(services.iter().map(|name| us_or_nothing(spent(result, name))));
        row.push(us(result.cpu_ns_per_request));
        row.extend(interleaved.then(|| us_or_nothing(undisturbed(result))));
        row.push(us_or_nothing(result.busy_ns_per_request.and_then(cpu_read)));
        let in_kernel = result.system_share_milli;
        row.push(in_kernel.map_or(NOTHING.into(), |milli| percent(f64::from(milli) / 1e3)));
        row.extend(client_sleeps.then(|| us_or_nothing(result.generator_cpu_ns_per_request)));
        table.row(row);
    }
    table.draw()
}

fn rest_table(view: &PageCell<'_>) -> Markup {
    let columns =
        ["variant", "requests/s", "CPU µs", "sent", "received", "MiB", "TCP resent", "errors"];
    let mut table = TextTable::new("Closed loop, bytes, memory, errors", &columns).grouped(&[
        ("", 1),
        ("closed loop", 2),
        ("bytes/request", 2),
        ("", 3),
    ]);
    for (planned, result) in view.results() {
        let closed = result.closed_loop;
        let known = |count: Option<u64>| count.map_or(NOTHING.into(), thousands);
        table.row([
            planned.label.clone(),
            closed.map_or(NOTHING.into(), |closed| rate(closed.requests_milli_per_s)),
            us_or_nothing(closed.and_then(|closed| cpu_read(closed.cpu_ns_per_request))),
            thousands(result.bytes_sent_per_request),
            thousands(result.bytes_received_per_request),
            result.memory_peak_bytes.map_or(NOTHING.into(), mib),
            known(result.retransmits),
            errors(result),
        ]);
    }
    table.draw()
}

fn errors(result: &VariantResult) -> String {
    let mut kinds: Vec<String> = result
        .errors
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{} {kind}", thousands(*count)))
        .collect();
    if result.dropped > 0 {
        kinds.push(format!("{} dropped", thousands(result.dropped)));
    }
    if kinds.is_empty() { "0".into() } else { kinds.join(", ") }
}
