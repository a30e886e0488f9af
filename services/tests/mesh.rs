//! The whole shop through real sockets under every profile: a token from the authorization server,
//! an order through gateway, orders and inventory, and the same in one process.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use authn::grant::{TokenResponse, basic_authorization};
use authn::{Profile, TokenCheck, Transport};
use runtime::blocking::Response;
use services::{AllConfig, GatewayConfig, InventoryConfig, OutboundConfig, ServiceConfig};

use support::mesh::Mesh;
use support::{Client, DRIVERS, Lab, NOWHERE, Server, bearer, before_orders, start};

const JSON: (&str, &[u8]) = ("content-type", b"application/json");

/// The services of one topology; `edge` is where clients call.
struct Shop {
    lab: Lab,
    profile: Profile,
    auth: Server,
    edge: Option<Server>,
    behind: Vec<Server>,
}

impl Shop {
    fn mesh(profile: Profile, change: impl Fn(&mut ServiceConfig)) -> Shop {
        let Mesh { lab, profile, gateway, orders, inventory, auth, .. } =
            Mesh::with(profile, change);
        Shop { profile, auth, edge: Some(gateway), behind: vec![orders, inventory], lab }
    }

    fn single(profile: Profile) -> Shop {
        let lab = Lab::new();
        let auth = start(lab.config(AllConfig::default(), profile));
        Shop { profile, auth, edge: None, behind: Vec::new(), lab }
    }

    fn edge(&self) -> &Server {
        self.edge.as_ref().unwrap_or(&self.auth)
    }

    fn client(&self) -> Client {
        self.lab.client(self.profile.transport, Some("bench-runner"))
    }

    fn token(&self) -> Vec<u8> {
        let secret = String::from_utf8(self.lab.read("clients/bench-runner.secret")).unwrap();
        let authorization = basic_authorization("bench-runner", &secret);
        let fields: [(&str, &[u8]); 2] = [
            ("authorization", authorization.as_bytes()),
            ("content-type", b"application/x-www-form-urlencoded"),
        ];
        let url = format!("{}/oauth2/token", self.auth.url());
        let form = b"grant_type=client_credentials";
        let answer = self.client().request("POST", &url, &fields, form).unwrap();
        assert_eq!(answer.status, 200);
        bearer(&TokenResponse::parse(&answer.body).unwrap().token)
    }

    fn call(&self, method: &str, path: &str, token: &[u8], body: &[u8]) -> Response {
        let fields = [("authorization", token), JSON];
        let url = format!("{}{path}", self.edge().url());
        self.client().request(method, &url, &fields, body).unwrap()
    }
}

fn json(answer: &Response) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn order_and_read(shop: &Shop, context: &str) {
    let token = shop.token();
    let body =
        br#"{"customerId":"c","itemSkus":["SKU-1000","sku-1000","SKU-2000"],"totalAmount":9.5}"#;
    let created = shop.call("POST", "/api/orders", &token, body);
    assert_eq!(created.status, 201, "{context}: {}", json(&created));
    let id = json(&created)["orderId"].as_str().unwrap().to_string();
    let place = format!("/api/orders/{id}");
    assert_eq!(created.field("location"), Some(place.as_bytes()), "{context}");
    let read = shop.call("GET", &place, &token, b"");
    assert_eq!((read.status, json(&read)["customerId"].as_str()), (200, Some("c")), "{context}");
    let stock = shop.call("GET", "/api/inventory/SKU-1000", &token, b"");
    assert_eq!(stock.status, 200, "{context}");
    assert!(json(&stock).to_string().contains("99998"), "{context}: {}", json(&stock));
    let short = br#"{"customerId":"c","itemSkus":["NONE"],"totalAmount":1}"#;
    let refused = shop.call("POST", "/api/orders", &token, short);
    assert_eq!(refused.status, 409, "{context}");
    assert_eq!(refused.field("content-type"), Some(b"application/problem+json".as_slice()));
    let bad = shop.call("POST", "/api/orders", &token, b"{}");
    assert_eq!(bad.status, 400, "{context}");
}

#[test]
fn an_order_goes_through_the_mesh_under_every_profile() {
    for driver in DRIVERS {
        for profile in Profile::ALL {
            let context = format!("{} on {driver:?}", profile.label());
            let shop = Shop::mesh(profile, |config| config.driver = driver);
            order_and_read(&shop, &context);
            if profile.token != TokenCheck::Ignore {
                for server in &shop.behind {
                    let name = "tollgate_token_verifications_total";
                    assert!(server.metric(name, &[("result", "ok")]) > 0, "{context}");
                }
            }
            if profile.transport == Transport::Mutual {
                for server in &shop.behind {
                    let named = [("client_certificate", "named")];
                    let all = server.metric("tollgate_connections_total", &[]);
                    assert_eq!(server.metric("tollgate_connections_total", &named), all);
                }
            }
        }
    }
}

#[test]
fn an_order_is_created_in_one_process_under_every_profile() {
    for profile in Profile::ALL {
        let shop = Shop::single(profile);
        order_and_read(&shop, profile.label());
        let ping = shop.call("GET", "/api/ping", &shop.token(), b"");
        assert_eq!(ping.status, 200);
        if profile.token == TokenCheck::Ignore {
            assert_eq!(shop.call("GET", "/api/runs", b"", b"").status, 501);
        } else {
            assert_eq!(shop.call("GET", "/api/runs", b"", b"").status, 401);
        }
    }
}

#[test]
fn upstreams_check_again_for_themselves() {
    let shop = Shop::mesh(Profile::parse("S5").unwrap(), |_| {});
    let orders = &shop.behind[0];
    // Past the gateway a client of the shop is still asked for everything.
    let stranger = shop.lab.client(Transport::Mutual, Some("stranger"));
    let url = format!("{}/api/orders/1", orders.url());
    assert_eq!(stranger.get(&url, &[]).unwrap().status, 401);
    let token = shop.token();
    let fields: [(&str, &[u8]); 1] = [("authorization", &token)];
    assert_eq!(stranger.get(&url, &fields).unwrap().status, 403);
    let nobody = shop.lab.client(Transport::Tls, None);
    assert!(nobody.get(&url, &fields).is_err(), "the handshake fails");
    // And through the gateway only those it knows come that far.
    let url = format!("{}/api/orders/1", shop.edge().url());
    assert_eq!(stranger.get(&url, &fields).unwrap().status, 403);
    let before = orders.metric("tollgate_requests_total", &[]);
    assert_eq!(stranger.get(&url, &fields).unwrap().status, 403);
    assert_eq!(orders.metric("tollgate_requests_total", &[]), before, "nothing was forwarded");
}

#[test]
fn a_token_comes_from_a_certificate_of_its_client_as_listed() {
    let list = br#"
        [[client]]
        id = "https://idp.example/nightly"
        certificates = ["bench-ui"]
    "#;
    let lab = Lab::new();
    let signer = lab.signer();
    lab.write("client-certificates.toml", list);
    let mut config = lab.config(before_orders(NOWHERE), Profile::parse("S5").unwrap());
    config.client_certificates = Some(lab.path().join("client-certificates.toml"));
    let listed = start(config);
    let built_in = start(lab.config(before_orders(NOWHERE), Profile::parse("S5").unwrap()));
    let table = [
        ("bench-ui", "https://idp.example/nightly", 200, 403),
        ("bench-runner", "https://idp.example/nightly", 403, 403),
        ("bench-ui", "bench-ui", 200, 200),
        ("bench-ui", "bench-runner", 403, 403),
    ];
    for (certificate, client_id, with_list, without) in table {
        let token = bearer(&signer.sign(&support::claims(client_id, "orders.read")).unwrap());
        let client = lab.client(Transport::Mutual, Some(certificate));
        for (server, expected) in [(&listed, with_list), (&built_in, without)] {
            let url = format!("{}/api/ping", server.url());
            let answer = client.get(&url, &[("authorization", &token)]).unwrap();
            assert_eq!(answer.status, expected, "{certificate} {client_id}");
            let body = String::from_utf8(answer.body).unwrap();
            assert_eq!(body.contains("sender-refused"), expected == 403, "{body}");
        }
    }
}

#[test]
fn another_transport_towards_upstreams() {
    let s2 = Profile::parse("S2").unwrap();
    let lab = Lab::new();
    let signer = lab.signer();
    let plain = Profile::parse("plain+token").unwrap();
    let inventory = start(lab.config(InventoryConfig::default(), plain));
    let settings = GatewayConfig {
        inventory: Some(inventory.url()),
        outbound: OutboundConfig { profile: Some(plain), ..OutboundConfig::default() },
        ..GatewayConfig::default()
    };
    let gateway = start(lab.config(settings, s2));
    let token = bearer(&signer.sign(&support::claims("bench-runner", "inventory.read")).unwrap());
    let fields: [(&str, &[u8]); 1] = [("authorization", &token)];
    let url = format!("{}/api/inventory/SKU-1000", gateway.url());
    let client = lab.client(s2.transport, None);
    assert_eq!(client.get(&url, &fields).unwrap().status, 200);
}
