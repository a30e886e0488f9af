//! Every route of every service, under all nine profiles, with every credential, over real sockets
//! and kept connections: what is answered is what `data/security-matrix.txt` says, and
//! `docs/security-matrix.md` is that file joined with the route tables.
//!
//! - `table`: the expected responses, read from the file
//! - `credentials`: good tokens, and ones with one fault each
//! - `connection`: a connection that is kept
//! - `stack`: the services of one profile, and the cells sent to them
//! - `page`: the page
//!
//! It refuses to compute what is expected: neither `authn` nor a route table is asked.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod credentials;
mod page;
mod stack;
mod table;

use std::collections::BTreeSet;
use std::fs;

use authn::Profile;
use runtime::DriverChoice;
use services::route::{RouteMatch, find, method_name};
use services::{ServiceKind, route_table};

use stack::Stack;
use table::Matrix;

/// Sends every cell and compares what comes back.
fn every_cell(driver: DriverChoice) {
    let matrix = Matrix::read();
    let (mut cells, mut wrong) = (0, Vec::new());
    for profile in Profile::ALL {
        let mut stack = Stack::start(profile, driver);
        stack.send_tokens(&matrix);
        stack.send_pairs(&matrix);
        cells += stack.cells;
        wrong.extend(stack.wrong);
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    let sent = |route: &table::RouteRow| {
        matrix.tokens[route.tokens].len() + matrix.pairs[route.pairs].len()
    };
    let all: usize = matrix.routes.iter().map(sent).sum();
    assert_eq!(cells, all * Profile::ALL.len(), "cells on {driver:?}");
    println!("{cells} cells on {driver:?}");
}

#[test]
fn every_cell_is_answered_as_it_is_written() {
    every_cell(DriverChoice::Auto);
}

#[test]
fn the_same_on_epoll() {
    every_cell(DriverChoice::Epoll);
}

#[test]
fn every_route_has_one_line_and_every_line_a_route() {
    let matrix = Matrix::read();
    let mut lines = BTreeSet::new();
    for row in &matrix.routes {
        let (service, name) = (row.service.name(), row.name);
        assert!(lines.insert((service, name)), "{service} {name} has two lines");
        let table = route_table(row.service);
        let entry = table.iter().find(|entry| entry.name == name);
        let entry = entry.unwrap_or_else(|| panic!("{service} has no route {name}"));
        assert_eq!(method_name(entry.method), row.method, "{service} {name}");
        let found = find(table, entry.method, row.path.as_bytes());
        let is_it = matches!(found, RouteMatch::Route(at, _) if table[at].name == name);
        assert!(is_it, "{service} {name}: {} leads elsewhere", row.path);
        assert_eq!(entry.scope, row.scope, "{service} {name}");
    }
    // The results service cannot be started; all in one process has its routes.
    for (service, name, _) in ServiceKind::TABLE.into_iter().filter(|line| line.1 != "results") {
        for entry in route_table(service) {
            let line = (name, entry.name);
            assert!(lines.contains(&line), "{line:?} has no line in data/security-matrix.txt");
        }
    }
    let all: Vec<&str> = route_table(ServiceKind::All).iter().map(|entry| entry.name).collect();
    assert!(route_table(ServiceKind::Results).iter().all(|entry| all.contains(&entry.name)));
}

#[test]
fn the_page_is_the_file_joined_with_the_route_tables() {
    let page = page::page(&Matrix::read());
    let path = format!("{}/../docs/security-matrix.md", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "write {path} anew with TOLLGATE_BLESS=1");
}
