//! Slices as CSV (RFC 4180): one row a slice, units in the column names.
//!
//! The columns of the services are those that occur, so a mesh and a single server each get the
//! columns they need. Error kinds and disturbances share one cell each, apart by semicolons.

use std::fmt::Write;

use crate::run::{Percentiles, Slice};

/// The slices as CSV with a header row; lines end in CRLF (RFC 4180 section 2).
#[must_use]
pub fn slices(slices: &[Slice]) -> String {
    let services = service_names(slices);
    let mut out = header(&services);
    for slice in slices {
        let mut cells = leading_cells(slice);
        for points in times(slice) {
            cells.extend(percentile_cells(points));
        }
        for service in &services {
            let found = slice.services.iter().find(|cpu| cpu.service == *service);
            cells.push(found.map_or_else(String::new, |cpu| cpu.cpu_ns.to_string()));
        }
        cells.extend(trailing_cells(slice));
        let quoted: Vec<String> = cells.iter().map(|cell| quote(cell)).collect();
        write!(out, "{}\r\n", quoted.join(",")).expect("writing to a String does not fail");
    }
    out
}

const LEADING: &str = "variant,kind,instance,round,position,attempt,counts,start_unix_ns,\
    duration_ns,requests_asked,requests_sent,requests_answered,dropped,errors,bytes_sent,\
    bytes_received,connections_opened,handshakes_full,handshakes_resumed";
const TRAILING: &str = "generator_cpu_ns,generator_share_milli,busy_ns,softirq_ns,steal_ns,\
    background_ns,throttled,retransmits,in_flight_growth_milli,disturbances,block_ns,slice_ns";

const TIMES: [&str; 5] = ["response", "service", "lateness", "connect", "handshake"];

fn times(slice: &Slice) -> [&Percentiles; 5] {
    [&slice.response, &slice.service, &slice.lateness, &slice.connect, &slice.handshake]
}

fn service_names(slices: &[Slice]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for service in slices.iter().flat_map(|slice| &slice.services) {
        if !names.contains(&service.service) {
            names.push(service.service.clone());
        }
    }
    names
}

fn header(services: &[String]) -> String {
    let mut columns = vec![LEADING.to_owned()];
    for points in TIMES {
        columns.extend(["p50", "p90", "p99", "p999", "max"].map(|at| format!("{points}_{at}_ns")));
    }
    columns.extend(services.iter().map(|service| quote(&format!("{service}_cpu_ns"))));
    columns.push(TRAILING.to_owned());
    columns.join(",") + "\r\n"
}

fn leading_cells(slice: &Slice) -> Vec<String> {
    let errors: Vec<String> =
        slice.errors.iter().map(|(kind, count)| format!("{kind}={count}")).collect();
    vec![
        slice.variant.clone(),
        slice.kind.as_str().to_owned(),
        slice.instance.to_string(),
        slice.round.to_string(),
        slice.position.to_string(),
        slice.attempt.to_string(),
        slice.counts.to_string(),
        slice.start_unix_ns.to_string(),
        slice.duration_ns.to_string(),
        slice.requests_asked.to_string(),
        slice.requests_sent.to_string(),
        slice.requests_answered.to_string(),
        slice.dropped.to_string(),
        errors.join(";"),
        slice.bytes_sent.to_string(),
        slice.bytes_received.to_string(),
        slice.connections_opened.to_string(),
        slice.handshakes_full.to_string(),
        slice.handshakes_resumed.to_string(),
    ]
}

fn percentile_cells(points: &Percentiles) -> [String; 5] {
    [points.p50_ns, points.p90_ns, points.p99_ns, points.p999_ns, points.max_ns]
        .map(|ns| points.known(ns).map_or_else(String::new, |ns| ns.to_string()))
}

fn trailing_cells(slice: &Slice) -> [String; 12] {
    let known = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    [
        slice.generator_cpu_ns.to_string(),
        slice.generator_share_milli.to_string(),
        slice.busy_ns.to_string(),
        slice.softirq_ns.to_string(),
        slice.steal_ns.to_string(),
        known(slice.background_ns),
        slice.throttled.to_string(),
        known(slice.retransmits),
        slice.in_flight_growth_milli.to_string(),
        slice.disturbances.join("; "),
        known(slice.blocks.as_ref().map(|blocks| blocks.block_ns)),
        known(slice.blocks.as_ref().map(|blocks| blocks.slice_ns)),
    ]
}

/// A cell that a user named, with a leading sign of a formula defused for spreadsheets.
#[must_use]
pub fn named(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@']) {
        true => quote(&format!("'{text}")),
        false => quote(text),
    }
}

/// Quotes a cell where RFC 4180 section 2.6 asks for it.
fn quote(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// An independent reader of RFC 4180.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut cell, mut quoted) = (vec![], vec![], String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, quoted) {
                ('"', true) if chars.peek() == Some(&'"') => cell.push(chars.next().unwrap()),
                ('"', _) => quoted = !quoted,
                (',', false) => row.push(std::mem::take(&mut cell)),
                ('\r', false) => {}
                ('\n', false) => {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                (other, _) => cell.push(other),
            }
        }
        assert!(cell.is_empty() && row.is_empty() && !quoted, "the text ends in a full row");
        rows
    }

    #[test]
    fn rows_are_read_back_under_their_columns() {
        let run = testing::run();
        let rows = read(&slices(&run.slices));
        let column = |name: &str| rows[0].iter().position(|cell| cell == name).unwrap();
        assert_eq!(rows.len(), 1 + run.slices.len());
        for (row, slice) in rows[1..].iter().zip(&run.slices) {
            assert_eq!(row.len(), rows[0].len());
            assert_eq!(row[column("variant")], slice.variant);
            assert_eq!(row[column("requests_answered")], slice.requests_answered.to_string());
            assert_eq!(row[column("response_p99_ns")], slice.response.p99_ns.to_string());
            assert_eq!(row[column("connect_p99_ns")], "", "a percentile of nothing is no time");
            assert_eq!(row[column("gateway_cpu_ns")], slice.services[0].cpu_ns.to_string());
            assert_eq!(row[column("disturbances")], slice.disturbances.join("; "));
        }
    }
}
