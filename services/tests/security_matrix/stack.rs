//! The live side: every service under one profile, and each cell of the matrix sent to it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use authn::{Profile, Transport};
use runtime::DriverChoice;
use services::{AllConfig, ServiceKind};

use crate::connection::{Answer, Kept};
use crate::credentials::{Credential, Forge};
use crate::support::mesh::Mesh;
use crate::support::{Server, start};
use crate::table::{Matrix, Response, RouteRow, Word};

/// The services of one profile, with connections to each by certificate.
pub(crate) struct Stack {
    mesh: Mesh,
    all: Server,
    connections: HashMap<(SocketAddr, Option<&'static str>), Kept>,
    /// How many cells were sent.
    pub(crate) cells: usize,
    /// The cells that answered otherwise.
    pub(crate) wrong: Vec<String>,
}

impl Stack {
    pub(crate) fn start(profile: Profile, driver: DriverChoice) -> Stack {
        let mesh = Mesh::start(profile, driver);
        for (_, name, _) in ServiceKind::TABLE {
            mesh.lab.issue(&format!("clients/{name}"), name, false);
        }
        let mut config = mesh.lab.config(AllConfig::default(), profile);
        config.driver = driver;
        let all = start(config);
        Stack { mesh, all, connections: HashMap::new(), cells: 0, wrong: Vec::new() }
    }

    /// Sends every token to every route, with the certificate of the route's own client.
    pub(crate) fn send_tokens(&mut self, matrix: &Matrix) {
        let (column, forge) = (self.column(), Forge::new(&self.mesh));
        let made = matrix.routes.iter().map(|route| {
            let own = matrix.own(route);
            (route, own.certificate, forge.all(own.client, route.scope))
        });
        for (route, certificate, credentials) in made.collect::<Vec<_>>() {
            for row in &matrix.tokens[route.tokens] {
                let cell = format!("{} with its own certificate", row.credential);
                let (credential, expected) =
                    (&credentials[row.credential], matrix.word(row.cells[column]));
                self.send(route, &cell, certificate, credential, expected);
            }
        }
    }

    /// Brings good tokens with every certificate.
    pub(crate) fn send_pairs(&mut self, matrix: &Matrix) {
        let (column, forge) = (self.column(), Forge::new(&self.mesh));
        let clients = matrix.pairs.values().flatten().map(|row| row.client);
        let good: BTreeMap<_, _> = clients.map(|client| (client, forge.good(client))).collect();
        for route in &matrix.routes {
            for row in &matrix.pairs[route.pairs] {
                let shown = row.certificate.unwrap_or("no");
                let cell = format!("{}'s token with {shown} certificate", row.client);
                let expected = matrix.word(row.cells[column]);
                self.send(route, &cell, row.certificate, &good[row.client], expected);
            }
        }
    }

    /// The profile's column in every table.
    fn column(&self) -> usize {
        Profile::ALL.iter().position(|other| *other == self.mesh.profile).unwrap()
    }

    fn send(
        &mut self,
        route: &RouteRow,
        cell: &str,
        certificate: Option<&'static str>,
        credential: &Credential,
        expected: &Word,
    ) {
        let addr = self.server(route.service).addr();
        let transport = self.mesh.profile.transport;
        let shown = certificate.filter(|_| transport == Transport::Mutual);
        let tls = || self.mesh.lab.client(transport, shown).tls;
        let kept = self.connections.entry((addr, shown)).or_insert_with(|| Kept::new(addr, tls()));
        let answer = kept.ask(&request(route, credential)).ok();
        self.cells += 1;
        if !is_as(answer.as_ref(), &expected.response, route.passes) {
            let (profile, service) = (self.mesh.profile, route.service.name());
            self.wrong.push(format!(
                "{profile} {service} {}, {cell}: {answer:?}, not {}",
                route.name, expected.meaning
            ));
        }
    }

    fn server(&self, service: ServiceKind) -> &Server {
        match service {
            ServiceKind::Gateway => &self.mesh.gateway,
            ServiceKind::Auth => &self.mesh.auth,
            ServiceKind::Orders => &self.mesh.orders,
            ServiceKind::Inventory => &self.mesh.inventory,
            ServiceKind::All => &self.all,
            ServiceKind::Results => panic!("its routes are served by all in one process"),
        }
    }
}

/// Whether this is the response that was written down.
fn is_as(answer: Option<&Answer>, expected: &Response, passes: u16) -> bool {
    match (answer, expected) {
        (None, Response::Nothing) => true,
        // RFC 9110 section 15.5.2: 401 always says how to authenticate; 403 does here too.
        (Some(answer), Response::Problem(status, kind)) => {
            answer.status == *status
                && answer.kind == *kind
                && answer.challenged == (matches!(status, 401 | 403) || *kind == "token-in-query")
        }
        (Some(answer), Response::Own) => answer.status == passes && !answer.challenged,
        _ => false,
    }
}

fn request(route: &RouteRow, credential: &Credential) -> Vec<u8> {
    let body = match route.body {
        "-" => "",
        "order" => r#"{"customerId":"c","itemSkus":["SKU-2000"],"totalAmount":1}"#,
        "reservation" => r#"{"orderId":"made","items":[{"sku":"SKU-3000","quantity":1}]}"#,
        "quantity" => r#"{"quantity":1000}"#,
        other => panic!("no body is called {other:?}"),
    };
    let RouteRow { method, path, .. } = route;
    let mut head = format!("{method} {path}{} HTTP/1.1\r\nHost: localhost\r\n", credential.query);
    for value in &credential.authorization {
        head += &format!("Authorization: {value}\r\n");
    }
    if *method != "GET" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    (head + "\r\n" + body).into_bytes()
}
