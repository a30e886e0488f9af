//! What a new connection costs, at both ends, and from how many requests on it no longer matters.

use super::figure;
use super::table::TextTable;
use super::times::cells;
use super::view::PageCell;
use crate::breakeven::{self, BreakEven, REQUESTS, Terms};
use crate::figures::{NOTHING, rate, signed_percent, thousands, us, us_or_nothing};
use crate::markup::{Markup, element};
use crate::run::{Connecting, ConnectionKind, CpuSourceKind, PlannedVariant};
use crate::svg::{self, Axis, Bar, BarPart, Bars, LineChart, Mark, Series, Spacing};

/// The colours of the two parts of a connection.
const REST: usize = 0;
const HANDSHAKE: usize = 1;

/// The section; nothing where no connections were measured.
pub(super) fn section(view: &PageCell<'_>) -> Markup {
    let found: Vec<(&PlannedVariant, &Connecting)> = view
        .results()
        .filter_map(|(planned, result)| Some((planned, result.connecting.as_ref()?)))
        .collect();
    if found.is_empty() {
        return Markup::none();
    }
    let mut all = element("section").holds(element("h2").holds("New connections"));
    if found.iter().any(|(planned, _)| planned.cpu_source != CpuSourceKind::None) {
        let legend = figure::legend([
            (svg::square(REST), "TCP, one request, close".to_owned()),
            (svg::square(HANDSHAKE), "TLS handshake".to_owned()),
        ]);
        all = all.holds(figure::bars(&chart(&found), legend, ""));
    }
    all = all.holds(table(&found)).holds(limits(&found)).holds(times_table(&found));
    if let Some(found) = breakeven::of_cell(view.run, &view.cell.id) {
        all = all.holds(break_even(view, &found));
    }
    all.into()
}

fn handshake(found: &Connecting) -> String {
    let name = match found.handshake {
        ConnectionKind::Tcp => "TCP only".to_owned(),
        kind => kind.to_string(),
    };
    if found.client_certificate { format!("{name}, certificate") } else { name }
}

/// Two bars a variant: the server's and the client's.
fn chart(found: &[(&PlannedVariant, &Connecting)]) -> Bars {
    let mut rows = Vec::new();
    for (planned, found) in found {
        let server = (found.cpu_ns_per_connection, found.cpu_ns_per_handshake);
        rows.push(bar(planned, "server", server));
        if let Some(all) = found.generator_cpu_ns_per_connection {
            rows.push(bar(planned, "client", (all, found.generator_cpu_ns_per_handshake)));
        }
    }
    let said: Vec<String> =
        rows.iter().map(|row| format!("{}: {} µs", row.label, row.figure)).collect();
    Bars {
        title: "CPU per new connection".into(),
        description: said.join("; "),
        axis: "CPU, µs per connection".into(),
        rows,
        band: None,
    }
}

fn bar(planned: &PlannedVariant, side: &str, (all, of_it): (u64, Option<u64>)) -> Bar {
    let handshake = of_it.unwrap_or(0).min(all);
    let part = |ns: u64, colour, name: &str| BarPart {
        value: ns as f64 / 1e3,
        colour,
        hover: format!("{}, {side}, {name}: {} µs", planned.label, us(ns)),
    };
    Bar {
        label: format!("{}, {side}", planned.label),
        parts: vec![
            part(all - handshake, REST, "TCP, one request, close"),
            part(handshake, HANDSHAKE, "TLS handshake"),
        ],
        figure: us(all),
        ..Bar::default()
    }
}

fn table(found: &[(&PlannedVariant, &Connecting)]) -> Markup {
    let columns = [
        "variant",
        "handshake",
        "all",
        "handshake",
        "all",
        "handshake",
        "per second",
        "opened",
        "full",
        "resumed",
    ];
    let mut table = TextTable::new("CPU per new connection, µs", &columns).words(2).grouped(&[
        ("", 2),
        ("server CPU, µs", 2),
        ("client CPU, µs", 2),
        ("connections", 2),
        ("handshakes", 2),
    ]);
    for (planned, found) in found {
        let known = planned.cpu_source != CpuSourceKind::None;
        let limited = if found.generator_limited { "*" } else { "" };
        table.row([
            planned.label.clone(),
            handshake(found),
            us_or_nothing(Some(found.cpu_ns_per_connection).filter(|_| known)),
            us_or_nothing(found.cpu_ns_per_handshake),
            us_or_nothing(found.generator_cpu_ns_per_connection),
            us_or_nothing(found.generator_cpu_ns_per_handshake),
            format!("{}{limited}", rate(found.connections_milli_per_s)),
            thousands(found.connections),
            both_ends(found.handshakes_full, found.server_handshakes_full),
            both_ends(found.handshakes_resumed, found.server_handshakes_resumed),
        ]);
    }
    table.draw()
}

/// A count as the generator saw it; with the servers' where that is another one.
fn both_ends(generator: u64, servers: Option<u64>) -> String {
    match servers {
        Some(servers) if servers != generator => {
            format!("{} (servers {})", thousands(generator), thousands(servers))
        }
        _ => thousands(generator),
    }
}

fn limits(found: &[(&PlannedVariant, &Connecting)]) -> Markup {
    if !found.iter().any(|(_, found)| found.generator_limited) {
        return Markup::none();
    }
    let said = "* The generator was the limit of this rate: the CPU per connection holds, the \
                rate is not the server's.";
    element("p").class("quiet").holds(said).into()
}

fn times_table(found: &[(&PlannedVariant, &Connecting)]) -> Markup {
    let points = ["p50", "p90", "p99", "p99.9", "max"];
    let columns: Vec<&str> = ["variant"].into_iter().chain(points).chain(points).collect();
    let mut table = TextTable::new("Times of connecting", &columns).grouped(&[
        ("", 1),
        ("TCP connect", 5),
        ("TLS handshake", 5),
    ]);
    for (planned, found) in found {
        let mut row = vec![planned.label.clone()];
        row.extend([&found.connect, &found.tls].into_iter().flat_map(cells));
        table.row(row);
    }
    let mut all = Markup::from(element("h3").holds("How long connecting took"));
    all.push(table.draw());
    all
}

fn break_even(view: &PageCell<'_>, found: &BreakEven) -> Markup {
    let baseline = view.run.label(&found.baseline);
    let title = format!("More CPU per request than {baseline}, by requests per connection");
    let others = found.rows.iter().filter(|row| row.variant != found.baseline);
    let legend = figure::legend(others.map(|row| {
        let look = view.look(&row.variant);
        (svg::swatch(look.colour, look.dash), view.run.label(&row.variant).to_owned())
    }));
    let caption = "Each request bears its own cost and its share of the connection's: \
                   c(request) + c(connection)/N.";
    let intro = element("h3").holds("How many requests a connection needs");
    let mut all = Markup::from(intro);
    all.push(figure::lines(&break_even_chart(view, found, &title), legend, caption));
    all.push(break_even_table(view, found, baseline));
    all
}

fn break_even_chart(view: &PageCell<'_>, found: &BreakEven, title: &str) -> LineChart {
    let Some(baseline) = found.rows.iter().find(|row| row.variant == found.baseline) else {
        return LineChart { title: title.into(), ..empty_chart() };
    };
    // The baseline is the line at zero.
    let others = || found.rows.iter().filter(|row| row.variant != found.baseline);
    let series = others().map(|row| {
        let look = view.look(&row.variant);
        let label = view.run.label(&row.variant);
        let more = |n: u64| 100.0 * breakeven::more_share(row.terms, baseline.terms, Some(n));
        // Ten points for each ten times make a smooth line.
        let steps = (0..=40).map(|step| 10_f64.powf(f64::from(step) / 10.0));
        let marks = [1, 10, 100, 1_000, 10_000].map(|n| Mark {
            at: (n as f64, more(n)),
            hover: format!("{label} at {}: {}", thousands(n), signed_percent(more(n) / 100.0)),
            hollow: false,
        });
        let exact = |n: f64| {
            let of = |terms: Terms| terms.request_ns as f64 + terms.connection_ns as f64 / n;
            100.0 * (of(row.terms) / of(baseline.terms) - 1.0)
        };
        Series {
            name: label.to_owned(),
            colour: look.colour,
            dash: look.dash,
            points: steps.map(|n| (n, exact(n))).collect(),
            marks: marks.into(),
        }
    });
    let said = others().map(|row| {
        let label = view.run.label(&row.variant);
        let [at_one, .., forever] = row.more_shares;
        let (at_one, forever) = (signed_percent(at_one), signed_percent(forever));
        format!("{label}: {at_one} at one request per connection, {forever} on a kept one")
    });
    LineChart {
        title: title.to_owned(),
        description: said.collect::<Vec<String>>().join("; "),
        series: series.collect(),
        ..empty_chart()
    }
}

fn empty_chart() -> LineChart {
    let axis = |label: &str, spacing, text| Axis {
        label: label.to_owned(),
        spacing,
        marks: vec![],
        text,
        holds: None,
    };
    LineChart {
        title: String::new(),
        description: String::new(),
        x: axis("requests per connection", Spacing::Log10, |n| thousands(n.round() as u64)),
        y: axis("more server CPU", Spacing::Linear, whole_percent),
        series: vec![],
    }
}

/// A mark of the axis: without places, since marks are round.
fn whole_percent(more: f64) -> String {
    let places = usize::from(more.fract().abs() > 1e-9);
    match more {
        0.0 => "0%".into(),
        more if more < 0.0 => format!("\u{2212}{:.places$}%", more.abs()),
        more => format!("+{more:.places$}%"),
    }
}

fn break_even_table(view: &PageCell<'_>, found: &BreakEven, baseline: &str) -> Markup {
    let named = REQUESTS.map(|requests| requests.map_or("kept".to_owned(), thousands));
    let mut columns = vec!["variant", "c(request)", "c(connection)"];
    columns.extend(named.iter().map(String::as_str));
    columns.push("even at N =");
    let group = format!("more than {baseline} at N requests per connection");
    let mut table = TextTable::new("Break-even", &columns).grouped(&[
        ("", 1),
        ("server CPU, µs", 2),
        (&group, REQUESTS.len()),
        ("", 1),
    ]);
    for row in &found.rows {
        let mut cells = vec![
            view.run.label(&row.variant).to_owned(),
            us(row.terms.request_ns),
            us(row.terms.connection_ns),
        ];
        cells.extend(row.more_shares.map(|share| match row.variant == found.baseline {
            true => NOTHING.to_owned(),
            false => signed_percent(share),
        }));
        cells.push(row.terms.even_at().map_or(NOTHING.into(), thousands));
        table.row(cells);
    }
    let mut all = table.draw();
    let said = "Even at N: from so many requests on, they have cost more than their connection. \
                Medians; c(connection) includes one small request.";
    all.push(element("p").class("quiet").holds(said));
    all
}
