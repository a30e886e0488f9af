//! `docs/security-matrix.md`: the route tables of the program joined with the expected responses.

use std::fmt::Write as _;

use authn::{Callers, Profile};
use services::{ServiceKind, route_table};

use crate::table::{Matrix, Response, Word};

const HEAD: &str = "\
# Security matrix

What every route answers, under every profile, to every credential. The expected responses are written by hand in
`services/tests/data/security-matrix.txt`; what a route demands comes from the route tables of the program.
`cargo test -p services --test security_matrix` sends every cell over real sockets, on both drivers, and writes this
page when `TOLLGATE_BLESS` is set.

Read a cell like this: find the route, then its table of tokens for what it answers to a token of its own client, and
under mutual TLS its table of certificates for what it answers to a good token that comes with another certificate.
";

const ROUTES: &str = "
## Routes
*Scope* and *callers* are demanded by the profiles that check scopes. A *forwarder* brings other clients' tokens. The
*owner rule* is about whose the thing is: `creator` makes it in the caller's name, `owner` and `owner or SCOPE` find it
for those only (404 for anybody else), `upstream` leaves it to the upstream. *Passes* is the status of the response to
the request of the test once it is let through.
";

const TOKENS: &str = "
## Tokens
A token of the route's own client, which under mutual TLS comes with that client's own certificate. `good-by-hand` is
made as the forgeries are and has no fault, which shows that each of those is refused for its fault alone.
";

const PAIRS: &str = "
## Certificates
A good token of a client, brought with a certificate where there is mutual TLS; elsewhere no certificate is shown.
*own*: of the token's client; *name*: of its name, where another one is its own; *another*: of another client; *server*:
of a service; *forwarder*: the gateway's; *caller*: one that may call the route and forwards nothing; *none*: no
certificate.
";

/// The whole page.
pub(crate) fn page(matrix: &Matrix) -> String {
    let mut page = HEAD.to_owned();
    page += "\n| cell | response | |\n|---|---|---|\n";
    for Word { word, response, meaning } in &matrix.words {
        let problem = match response {
            Response::Problem(status, kind) => format!("{status} `{kind}`"),
            Response::Own | Response::Nothing => String::new(),
        };
        writeln!(page, "| {word} | {problem} | {meaning} |").unwrap();
    }
    page += ROUTES;
    for (service, name, _) in ServiceKind::TABLE {
        if service != ServiceKind::Results {
            routes(&mut page, matrix, service, name);
        }
    }
    page += TOKENS;
    let profiles = Profile::ALL.map(Profile::label);
    for (name, rows) in &matrix.tokens {
        grid(&mut page, name, &["token"], &profiles);
        for row in rows {
            line(&mut page, &[row.credential], &row.cells);
        }
    }
    page += PAIRS;
    for (name, rows) in &matrix.pairs {
        grid(&mut page, name, &["", "certificate", "token of"], &profiles);
        for row in rows {
            let certificate = row.certificate.unwrap_or("none");
            line(&mut page, &[row.label, certificate, row.client], &row.cells);
        }
    }
    page
}

fn routes(page: &mut String, matrix: &Matrix, service: ServiceKind, name: &str) {
    write!(page, "\n### {name}\n").unwrap();
    *page += "| route | request | scope | callers | forwarders | owner rule | tokens | certificates | passes |\n";
    *page += "|---|---|---|---|---|---|---|---|---|\n";
    for entry in route_table(service) {
        let row = matrix.routes.iter().find(|row| (row.service, row.name) == (service, entry.name));
        let row = row.unwrap_or_else(|| panic!("{name} {} has no line", entry.name));
        let scope = entry.scope.map_or_else(String::new, |scope| format!("`{scope}`"));
        let callers = match entry.callers {
            Callers::Any => "any".to_owned(),
            Callers::Named(names) => names.join(", "),
        };
        let forwarders = entry.forwarders.join(", ");
        let method = services::route::method_name(entry.method);
        writeln!(
            page,
            "| {} | `{method} {}` | {scope} | {callers} | {forwarders} | {} | {} | {} | {} |",
            entry.name,
            entry.pattern.text(),
            entry.owner,
            row.tokens,
            row.pairs,
            row.passes
        )
        .unwrap();
    }
}

fn grid(page: &mut String, name: &str, words: &[&str], profiles: &[&str]) {
    write!(page, "\n### {name}\n").unwrap();
    line(page, words, profiles);
    *page += &"|---".repeat(words.len() + profiles.len());
    *page += "|\n";
}

fn line(page: &mut String, words: &[&str], cells: &[&str]) {
    for cell in words.iter().chain(cells) {
        write!(page, "| {cell} ").unwrap();
    }
    *page += "|\n";
}
