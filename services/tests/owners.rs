//! Whose an order, a reservation and an idempotency key is, through real sockets: behind the
//! gateway and past it, by certificate, by token and by a forwarder's word, on both drivers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use authn::{OwnerRule, Profile, Transport};
use runtime::DriverChoice;
use runtime::blocking::Response;
use serde_json::{Value, json};
use services::{AllConfig, GatewayConfig, OutboundConfig, ServiceKind, ServiceRole, route_table};

use support::mesh::Mesh;
use support::{Client, DRIVERS, Lab, SOON, Server, bearer, before_orders, claims, start};

const FIELD: &str = "x-tollgate-client";
const RESERVATIONS: &str = "/api/inventory/reservations";
const INTERNAL: &str = "/internal/inventory/reservations";

/// Services that keep so many orders.
fn retaining(profile: Profile, driver: DriverChoice, orders_retained: usize) -> Mesh {
    Mesh::with(profile, |config| {
        config.driver = driver;
        if let ServiceRole::Orders(orders) = &mut config.role {
            orders.store.orders_retained = orders_retained;
        }
    })
}

fn profile(label: &str) -> Profile {
    Profile::parse(label).unwrap()
}

/// Fields of a request, as they are written.
type Fields<'a> = &'a [(&'a str, &'a [u8])];

fn ask(
    client: &Client,
    server: &Server,
    line: (&str, &str),
    fields: Fields<'_>,
    body: &Value,
) -> Response {
    let (method, path) = line;
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.request(method, &format!("{}{path}", server.url()), fields, &body).unwrap()
}

fn order(client: &Client, server: &Server, fields: Fields<'_>) -> String {
    let body = json!({"customerId": "c", "itemSkus": ["SKU-1000"], "totalAmount": 1});
    let made = ask(client, server, ("POST", "/api/orders"), fields, &body);
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    made["orderId"].as_str().unwrap().to_owned()
}

fn read(client: &Client, server: &Server, id: &str, fields: Fields<'_>) -> Response {
    ask(client, server, ("GET", &format!("/api/orders/{id}")), fields, &Value::Null)
}

fn reserve(client: &Client, server: &Server, id: &str, quantity: u32, fields: Fields<'_>) -> u16 {
    let body = json!({"orderId": id, "items": [{"sku": "SKU-2000", "quantity": quantity}]});
    ask(client, server, ("POST", RESERVATIONS), fields, &body).status
}

fn release(client: &Client, server: &Server, path: &str, fields: Fields<'_>) -> u16 {
    ask(client, server, ("DELETE", path), fields, &Value::Null).status
}

/// All that a client can see of a response but the time.
fn seen(response: &Response) -> (u16, String) {
    let mut all = String::new();
    for name in ["content-type", "cache-control", "content-length", "retry-after", "via"] {
        let value = response.field(name).map(String::from_utf8_lossy);
        all += &format!("{name}: {}\n", value.unwrap_or_default());
    }
    (response.status, all + &String::from_utf8_lossy(&response.body))
}

/// The routes by which somebody's things are made or reached. The tests of this file go by each.
const OWNED: [&str; 6] = [
    "inventory.orders.release",
    "inventory.orders.reserve",
    "inventory.release",
    "inventory.reserve",
    "orders.create",
    "orders.read",
];

#[test]
fn every_route_whose_rule_names_an_owner_is_tested_here() {
    let tables = ServiceKind::TABLE.into_iter().flat_map(|(service, ..)| route_table(service));
    let owned = tables.filter(|entry| match entry.owner {
        OwnerRule::Creator | OwnerRule::Owner | OwnerRule::OwnerOr(_) => true,
        // What an upstream decides stands in the upstream's own table.
        OwnerRule::Nobody | OwnerRule::Upstream => false,
    });
    let names: BTreeSet<&str> = owned.map(|entry| entry.name).collect();
    assert_eq!(names, BTreeSet::from(OWNED));
}

/// An id of the right form that was never issued.
const NEVER: &str = "12345678-9abc-8000-8000-000000001234";

#[test]
fn behind_the_gateway_orders_belong_to_the_client_certificate() {
    for driver in DRIVERS {
        let mesh = retaining(profile("S3"), driver, 4);
        let (gateway, one, other) =
            (&mesh.gateway, mesh.client("bench-runner"), mesh.client("bench-ui"));
        let key: Fields<'_> = &[("idempotency-key", b"k")];
        let id = order(&one, gateway, key);
        assert_eq!(order(&one, gateway, key), id, "a repeat");
        assert_ne!(order(&other, gateway, key), id, "another client's key");

        let mine = read(&one, gateway, &id, &[]);
        assert_eq!(mine.status, 200);
        let mine: Value = serde_json::from_slice(&mine.body).unwrap();
        assert_eq!(mine["client"], "bench-runner");
        // Past the gateway the owner is the same, and so is what a stranger sees.
        assert_eq!(read(&one, &mesh.orders, &id, &[]).status, 200);
        let unknown = seen(&read(&other, gateway, NEVER, &[]));
        assert_eq!(unknown.0, 404);
        assert_eq!(seen(&read(&other, gateway, &id, &[])), unknown);
        // What the client says of itself is not what the gateway says.
        let pretending: Fields<'_> = &[("X-Tollgate-Client", b"bench-runner")];
        assert_eq!(seen(&read(&other, gateway, &id, pretending)), unknown);
        for _ in 0..4 {
            order(&other, gateway, &[]);
        }
        assert_eq!(read(&one, gateway, &id, &[]).status, 410);
        assert_eq!(seen(&read(&other, gateway, &id, &[])), unknown, "gone, as if it never was");

        assert_eq!(reserve(&one, gateway, "r", 1, &[]), 201);
        assert_eq!(reserve(&one, gateway, "r", 2, &[]), 409, "other content");
        assert_eq!(reserve(&other, gateway, "r", 2, &[]), 201, "another's name");
        assert_eq!(release(&other, gateway, &format!("{RESERVATIONS}/r"), &[]), 204);
        assert_eq!(reserve(&one, gateway, "r", 1, &[]), 201, "still held");
    }
}

#[test]
fn reservations_of_orders_are_out_of_reach_of_clients() {
    for label in ["S0", "S3", "S5"] {
        let mesh = Mesh::start(profile(label), DriverChoice::Auto);
        let client = mesh.client("bench-runner");
        let scopes = "orders.read orders.write inventory.read inventory.write orders.read.all";
        let token = bearer(&mesh.signer.sign(&claims("bench-runner", scopes)).unwrap());
        let fields: Fields<'_> = &[("authorization", &token)];
        let id = order(&client, &mesh.gateway, fields);
        let api = format!("{RESERVATIONS}/{id}");
        let internal = format!("{INTERNAL}/{id}");
        assert_eq!(release(&client, &mesh.gateway, &api, fields), 404, "{label}");
        assert_eq!(release(&client, &mesh.gateway, &internal, fields), 404, "{label}");
        assert_eq!(reserve(&client, &mesh.gateway, &id, 1, fields), 409, "{label}: barred above");
        let body = json!({"orderId": id, "items": [{"sku": "SKU-2000", "quantity": 1}]});
        let made = ask(&client, &mesh.gateway, ("POST", INTERNAL), fields, &body);
        assert_eq!(made.status, 404, "{label}: no gateway forwards it");
        // Past the gateway whoever is known is asked for a name, where names are enforced.
        let expected = match label {
            "S0" => 204,
            "S3" => 404,
            _ => 403,
        };
        assert_eq!(release(&client, &mesh.inventory, &internal, fields), expected, "{label}");
        assert_eq!(read(&client, &mesh.gateway, &id, fields).status, 200, "{label}");
    }
    let lab = Lab::new();
    let all = start(lab.config(AllConfig::default(), profile("S0")));
    let client = lab.client(Transport::Plain, None);
    assert_eq!(release(&client, &all, &format!("{INTERNAL}/x"), &[]), 404, "in one process");
}

#[test]
fn only_a_forwarder_is_believed_and_it_never_speaks_for_itself() {
    for driver in DRIVERS {
        let mesh = Mesh::start(profile("S3"), driver);
        let (orders, forwarder, direct) =
            (&mesh.orders, mesh.client("gateway"), mesh.client("bench-runner"));
        let named: Fields<'_> = &[(FIELD, b"bench-ui")];
        let id = order(&forwarder, orders, named);
        assert_eq!(read(&forwarder, orders, &id, named).status, 200);
        let ui = mesh.client("bench-ui");
        assert_eq!(read(&ui, orders, &id, &[]).status, 200, "the same owner");
        assert_eq!(read(&forwarder, orders, &id, &[(FIELD, b"bench-runner")]).status, 404);
        assert_eq!(read(&forwarder, orders, &id, &[]).status, 404, "nobody");
        // It may call, and its word about others is nothing.
        assert_eq!(read(&direct, orders, &id, named).status, 404);
        assert_eq!(read(&direct, orders, &id, &[(FIELD, b"a"), (FIELD, b"b")]).status, 404);

        // Without a name it is nobody's, not the forwarder's.
        let nobodys = order(&forwarder, orders, &[]);
        let nobody = read(&forwarder, orders, &nobodys, &[]);
        let nobody: Value = serde_json::from_slice(&nobody.body).unwrap();
        assert_eq!(nobody["client"], "anonymous");
        assert_eq!(read(&forwarder, orders, &nobodys, &[(FIELD, b"gateway")]).status, 404);
        assert_eq!(read(&direct, orders, &nobodys, &[]).status, 404);

        for bad in [
            &[(FIELD, &b"bench-ui"[..]), (FIELD, b"bench-ui")][..],
            &[("X-Tollgate-Client", b"bench-ui"), (FIELD, b"bench-runner")],
            &[(FIELD, b"")],
            &[(FIELD, b"Bench UI")],
            &[(FIELD, b"bench-ui, bench-runner")],
        ] {
            let refused = read(&forwarder, orders, &id, bad);
            assert_eq!(refused.status, 400, "{bad:?}");
            assert!(String::from_utf8_lossy(&refused.body).contains("bad-client-field"));
        }
    }
}

#[test]
fn a_forwarders_claim_grants_nothing() {
    let mesh = Mesh::start(profile("S5"), DriverChoice::Auto);
    let orders = &mesh.orders;
    let token = |client, scopes| bearer(&mesh.signer.sign(&claims(client, scopes)).unwrap());
    let (read_only, full) =
        (token("bench-runner", "orders.read"), token("bench-runner", "orders.read orders.write"));
    let named = (FIELD, &b"bench-runner"[..]);
    let body = json!({"customerId": "c", "itemSkus": ["SKU-1000"], "totalAmount": 1});
    let post = |client: &str, fields: Fields<'_>| {
        ask(&mesh.client(client), orders, ("POST", "/api/orders"), fields, &body).status
    };
    assert_eq!(post("gateway", &[named]), 401, "no token");
    assert_eq!(post("gateway", &[named, ("authorization", &read_only)]), 403, "no scope");
    assert_eq!(post("stranger", &[named, ("authorization", &full)]), 403, "no caller");
    assert_eq!(post("gateway", &[(FIELD, b"stranger"), ("authorization", &full)]), 201);

    // Where a token was verified the owner is its client, whatever a forwarder says.
    let gateway = mesh.client("gateway");
    let id = order(&gateway, orders, &[(FIELD, b"bench-ui"), ("authorization", &full)]);
    assert_eq!(read(&gateway, orders, &id, &[("authorization", &read_only)]).status, 200);
    let ui = token("bench-ui", "orders.read");
    let as_ui = read(&gateway, orders, &id, &[(FIELD, b"bench-runner"), ("authorization", &ui)]);
    assert_eq!(as_ui.status, 404);
}

#[test]
fn without_mutual_tls_the_field_is_not_believed() {
    for label in ["S0", "S1", "S2"] {
        let mesh = Mesh::start(profile(label), DriverChoice::Auto);
        let client = mesh.client("gateway");
        let token = bearer(&mesh.signer.sign(&claims("gateway", "")).unwrap());
        let field = ("authorization", &token[..]);
        let id = order(&client, &mesh.orders, &[field, (FIELD, b"bench-ui"), (FIELD, b"x")]);
        let got = read(&client, &mesh.orders, &id, &[field, (FIELD, b"bench-runner")]);
        assert_eq!(got.status, 200, "{label}");
        let got: Value = serde_json::from_slice(&got.body).unwrap();
        let owner = if label == "S2" { "gateway" } else { "anonymous" };
        assert_eq!(got["client"], owner, "{label}");
    }
}

#[test]
fn with_tokens_an_order_is_its_clients_or_of_who_reads_all() {
    for label in ["S2", "S4", "S5", "plain+token"] {
        let mesh = retaining(profile(label), DriverChoice::Auto, 2);
        let (gateway, runner, ui) =
            (&mesh.gateway, mesh.client("bench-runner"), mesh.client("bench-ui"));
        let write = "orders.read orders.write";
        let token = |client, scopes| bearer(&mesh.signer.sign(&claims(client, scopes)).unwrap());
        let (own, other) = (token("bench-runner", write), token("bench-ui", write));
        let all = token("bench-ui", "orders.read orders.read.all");
        // A client called as another kind of owner is called: still two.
        let get = |id: &str, token: &[u8]| {
            // A token comes from its own client.
            let client = if token == own { &runner } else { &ui };
            read(client, gateway, id, &[("authorization", token)])
        };
        let id = order(&runner, gateway, &[("authorization", &own)]);
        let unknown = seen(&get(NEVER, &other));
        assert_eq!(unknown.0, 404, "{label}");
        assert_eq!(get(&id, &own).status, 200, "{label}");
        assert_eq!(get(&id, &all).status, 200, "{label}");
        assert_eq!(seen(&get(&id, &other)), unknown, "{label}");
        assert_eq!(get(NEVER, &all).status, 404, "{label}");
        let mut altered = id.clone().into_bytes();
        altered[0] = if altered[0] == b'0' { b'1' } else { b'0' };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(get(&altered, &all).status, 404, "{label}: no such id");
        for _ in 0..2 {
            order(&ui, gateway, &[("authorization", &other)]);
        }
        assert_eq!(get(&id, &own).status, 410, "{label}");
        assert_eq!(get(&id, &all).status, 410, "{label}");
        assert_eq!(seen(&get(&id, &other)), unknown, "{label}: gone, as if it never was");
    }
}

/// An upstream that answers one request for each connection, and tells what it got.
fn canned() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let _ = tell.send(String::from_utf8(head).unwrap());
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (url, told)
}

#[test]
fn the_gateway_forwards_client_name_and_certificate() {
    for (driver, forwards_certificate) in DRIVERS.into_iter().flat_map(|d| [(d, false), (d, true)])
    {
        let (url, told) = canned();
        let lab = Lab::new();
        let settings = GatewayConfig {
            outbound: OutboundConfig { profile: Some(profile("S0")), ..OutboundConfig::default() },
            client_cert_field: forwards_certificate,
            ..before_orders(url)
        };
        let mut config = lab.config(settings, profile("S3"));
        config.driver = driver;
        let gateway = start(config);
        let client = lab.client(Transport::Mutual, Some("bench-ui"));
        let lies: Fields<'_> = &[
            ("X-Tollgate-Client", b"bench-runner"),
            ("Client-Cert", b":AAAA:"),
            ("Client-Cert-Chain", b":AAAA:"),
        ];
        assert_eq!(read(&client, &gateway, "1", lies).status, 200);
        let head = told.recv_timeout(SOON).unwrap().to_ascii_lowercase();
        let values = |name: &str| -> Vec<String> {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(field, _)| *field == name).map(|(_, v)| v.to_owned()).collect()
        };
        assert_eq!(values(FIELD), ["bench-ui"], "{head}");
        let pem = String::from_utf8(lab.read("clients/bench-ui.crt")).unwrap();
        let base64: String =
            pem.lines().take_while(|line| !line.contains("-----END")).skip(1).collect();
        let expected = forwards_certificate.then(|| format!(":{}:", base64.to_ascii_lowercase()));
        assert_eq!(values("client-cert"), expected.into_iter().collect::<Vec<_>>(), "{head}");
        assert!(values("client-cert-chain").is_empty(), "{head}");
    }
}
