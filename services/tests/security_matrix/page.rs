//! `docs/security-matrix.md`: the route tables of the program joined with the expected responses.

use std::fmt::Write as _;

use authn::{Callers, Profile};
use services::route::method_name;
use services::{ServiceKind, route_table};

use crate::table::{Matrix, Response, Word};

/// The prose, with a place for each table.
const PROSE: &str = include_str!("../data/security-matrix-page.md");

/// The whole page.
pub(crate) fn page(matrix: &Matrix) -> String {
    let tables = [
        ("{answers}", answers(matrix)),
        ("{routes}", all_routes(matrix)),
        ("{tokens}", tokens(matrix)),
        ("{pairs}", pairs(matrix)),
    ];
    tables.into_iter().fold(PROSE.to_owned(), |page, (place, table)| page.replace(place, &table))
}

fn answers(matrix: &Matrix) -> String {
    let mut page = "| cell | response | |\n|---|---|---|\n".to_owned();
    for Word { word, response, meaning } in &matrix.words {
        let problem = match response {
            Response::Problem(status, kind) => format!("{status} `{kind}`"),
            Response::Own | Response::Nothing => String::new(),
        };
        line(&mut page, &[word, &problem, meaning], &[]);
    }
    page
}

fn all_routes(matrix: &Matrix) -> String {
    let mut page = String::new();
    for (service, name, _) in ServiceKind::TABLE {
        if service != ServiceKind::Results {
            routes(&mut page, matrix, service, name);
        }
    }
    page
}

fn tokens(matrix: &Matrix) -> String {
    let mut page = String::new();
    for (name, rows) in &matrix.tokens {
        grid(&mut page, name, &["token"]);
        for row in rows {
            line(&mut page, &[row.credential], &row.cells);
        }
    }
    page
}

fn pairs(matrix: &Matrix) -> String {
    let mut page = String::new();
    for (name, rows) in &matrix.pairs {
        grid(&mut page, name, &["", "certificate", "token of"]);
        for row in rows {
            let certificate = row.certificate.unwrap_or("none");
            line(&mut page, &[row.label, certificate, row.client], &row.cells);
        }
    }
    page
}

fn routes(page: &mut String, matrix: &Matrix, service: ServiceKind, name: &str) {
    let columns = [
        "route",
        "request",
        "scope",
        "callers",
        "forwarders",
        "owner rule",
        "tokens",
        "certificates",
    ];
    heading(page, name, &columns, &["passes"]);
    for entry in route_table(service) {
        let row = matrix.routes.iter().find(|row| (row.service, row.name) == (service, entry.name));
        let row = row.unwrap_or_else(|| panic!("{name} {} has no line", entry.name));
        let callers = match entry.callers {
            Callers::Any => "any".to_owned(),
            Callers::Named(names) => names.join(", "),
        };
        let cells = [
            entry.name,
            &format!("`{} {}`", method_name(entry.method), entry.pattern.text()),
            &entry.scope.map_or_else(String::new, |scope| format!("`{scope}`")),
            &callers,
            &entry.forwarders.join(", "),
            &entry.owner.to_string(),
            row.tokens,
            row.pairs,
        ];
        line(page, &cells, &[&row.passes.to_string()]);
    }
}

/// The heading of a table with a column for each profile.
fn grid(page: &mut String, name: &str, words: &[&str]) {
    heading(page, name, words, &Profile::ALL.map(Profile::label));
}

fn heading(page: &mut String, name: &str, words: &[&str], more: &[&str]) {
    write!(page, "\n### {name}\n").unwrap();
    line(page, words, more);
    *page += &"|---".repeat(words.len() + more.len());
    *page += "|\n";
}

fn line(page: &mut String, words: &[&str], cells: &[&str]) {
    for cell in words.iter().chain(cells) {
        write!(page, "| {cell} ").unwrap();
    }
    *page += "|\n";
}
