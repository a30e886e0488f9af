//! A service of the shop in memory, one connection to it, and requests for it: what benchmarks,
//! instruction counts and the allocation test drive. Each profile runs the code that `tollgate
//! serve` runs, from the bytes that come off a socket to the bytes that go onto it.
//!
//! It keeps the client's work (laying out, encrypting, judging) apart from the server's, so that
//! whoever measures can leave it out. It refuses to measure anything itself.

#![allow(
    dead_code,
    missing_docs,
    clippy::allow_attributes,
    reason = "each program uses another part of this one"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use authn::material::{CertifiedKey, ClientMaterial, ServerMaterial};
use authn::pki::{Authority, CertificateRequest};
use authn::tls::{ServerTrust, TlsOptions, client_config, server_config};
use authn::{
    Algorithm, Expected, KeySet, NewClaims, Prf, Profile, Scope, ScopeSet, Signer, TokenCache,
    TokenCheck, Transport, Verifier,
};
use runtime::memory::{MemoryConnection, MemoryServer};
use runtime::tls::Pump;
use runtime::{Core, ServerLimits};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, ServerConfig};
use services::edge::dispatch::App;
use services::edge::guard::Guard;
use services::edge::instrumented::Instrumented;
use services::gateway::{Gateway, Upstreams};
use services::inventory::handler::InventoryApp;
use services::inventory::name::SkuName;
use services::inventory::sku::QUANTITY_MAX;
use services::inventory::store::Inventory;
use services::orders::handler::{OrdersApp, OrdersShared};
use services::orders::idempotency::Idempotency;
use services::orders::stock::Stock;
use services::refresh::keys::KeyRing;
use services::telemetry::{CoreCounters, Telemetry};
use services::transport::outbound::Outbound;
use services::{GatewayConfig, OrderStoreConfig, ServiceConfig};

const ISSUER: &str = "https://issuer.test";
/// Whom every route of the shop serves, by certificate and by token.
const CLIENT: &str = "bench-runner";
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
const SKU: &str = "SKU-1000";
/// Bytes of the body of the larger ping.
const BODY_BYTES: usize = 1024;
/// What is remembered of orders and reservations: little, so that it is all in use early on.
const RETAINED: usize = 1024;
/// Tokens that are sent in turn where none is to be known.
const TOKENS: u64 = 16;
/// Verified tokens that are kept, as by default.
const CACHED: usize = ServiceConfig::TOKEN_CACHE_ENTRIES;

/// One kind of request and the service that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BenchRequest {
    /// `GET /api/ping` of the gateway.
    PingGet,
    /// `POST /api/ping` of the gateway with a body of 1 KB.
    PingPost,
    /// `GET /api/orders/{id}` of orders.
    OrdersRead,
    /// `POST /api/inventory/reservations` of inventory, each for another order.
    InventoryReserve,
}

impl BenchRequest {
    pub(crate) const ALL: [(&str, BenchRequest); 4] = [
        ("ping", BenchRequest::PingGet),
        ("ping-post", BenchRequest::PingPost),
        ("orders-read", BenchRequest::OrdersRead),
        ("inventory-reserve", BenchRequest::InventoryReserve),
    ];
}

/// Which tokens are sent where the profile looks at them; the forms of `tollgate matrix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// One, which the server knows after the first request.
    Cached,
    /// Several in turn to a server that keeps none.
    Uncached,
}

/// Keys and certificates of everybody.
pub(crate) struct Lab {
    server: ServerMaterial,
    client: ClientMaterial,
    signer: Signer,
    now: UnixTime,
}

impl Lab {
    pub(crate) fn new(algorithm: Algorithm) -> Lab {
        let now = UnixTime::now();
        let authority = Authority::create("bench authority", now).expect("an authority");
        let issue = |name, dns: &[&str], server| {
            let (ips, spiffe, client, days) = (&[][..], true, true, 1);
            let request = CertificateRequest { name, dns, ips, spiffe, server, client, days };
            let issued = authority.issue(&request, now).expect("a certificate");
            CertifiedKey::from_pem(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes())
                .expect("a pair")
        };
        let roots = vec![authority.certificate().clone()];
        Lab {
            server: ServerMaterial {
                identity: issue("gateway", &["localhost"], true),
                client_ca: roots.clone(),
                crls: Vec::new(),
            },
            client: ClientMaterial { roots, identity: Some(issue(CLIENT, &[], false)) },
            signer: signer(algorithm),
            now,
        }
    }

    /// The clock when this was made.
    pub(crate) fn now(&self) -> UnixTime {
        self.now
    }

    /// A token for everything, valid for a day; another for each number.
    pub(crate) fn token(&self, number: u64) -> String {
        let scopes =
            [Scope::OrdersRead, Scope::OrdersWrite, Scope::InventoryRead, Scope::InventoryWrite];
        let claims = NewClaims {
            issuer: ISSUER,
            audience: ServiceConfig::AUDIENCE,
            subject: CLIENT,
            client_id: CLIENT,
            scopes: scopes.into_iter().fold(ScopeSet::EMPTY, ScopeSet::with),
            issued_at: self.now.as_secs() - 10,
            expires_at: self.now.as_secs() - 10 + 86_400,
            token_id: &format!("token-{number:016}"),
        };
        self.signer.sign(&claims).expect("a token")
    }

    pub(crate) fn verifier(&self) -> Verifier {
        let keys = KeySet::of([&self.signer]).expect("a key set");
        Expected::new(ISSUER, ServiceConfig::AUDIENCE).verifier(keys)
    }

    pub(crate) fn server_tls(&self, transport: Transport) -> Option<Arc<ServerConfig>> {
        server_config(Some(&self.server), transport, &TlsOptions::default()).expect("good material")
    }

    pub(crate) fn client_tls(&self, transport: Transport) -> Option<Arc<ClientConfig>> {
        client_config(&self.client, transport, &TlsOptions::default(), &ServerTrust::Path)
            .expect("good material")
    }

    /// Both ends of a TLS connection whose handshake is done.
    pub(crate) fn pumps(&self, transport: Transport) -> (Pump, Pump) {
        let config = self.server_tls(transport).expect("a transport with TLS");
        let mut server = Pump::server(config).expect("a configuration");
        let mut client = self.client_pump(transport).expect("a transport with TLS");
        let (mut cipher, mut plain) = (Vec::new(), Vec::new());
        while !(server.ready() && client.ready() && !client.wants_write()) {
            client.take(&mut cipher);
            server.feed(&mut cipher, &mut plain).expect("a client that is trusted");
            cipher.clear();
            server.take(&mut cipher);
            client.feed(&mut cipher, &mut plain).expect("a server that is trusted");
            cipher.clear();
        }
        (server, client)
    }

    /// The client's end of a new TLS connection; none on a plain one.
    pub(crate) fn client_pump(&self, transport: Transport) -> Option<Pump> {
        let name = ServerName::try_from("localhost").expect("a name");
        self.client_tls(transport).map(|config| Pump::client(config, name).expect("good"))
    }

    /// Starts a service and connects to it.
    fn call<A: App>(
        &self,
        core: &Core,
        profile: Profile,
        cached: usize,
        make: impl FnOnce(&Core, &Arc<CoreCounters>) -> A,
    ) -> Caller {
        let counters = Telemetry::new(A::ROUTES).core();
        let app = make(core, &counters);
        let (keys, cache) = match profile.token {
            TokenCheck::Ignore => (KeyRing::unused(), None),
            TokenCheck::Verify | TokenCheck::VerifyScopes => {
                let cache = (cached > 0).then(|| TokenCache::new(cached, [1, 2]));
                (KeyRing::own(self.verifier()), cache)
            }
        };
        let guard = Guard::new(profile, Arc::new(keys), cache, counters);
        let (tls, limits) = (self.server_tls(profile.transport), ServerLimits::default());
        let server = MemoryServer::new(core, Instrumented::new(app, guard), tls, limits);
        let connection = server.connect(PEER).expect("a connection");
        Caller::new(connection, self.client_pump(profile.transport))
    }
}

fn signer(algorithm: Algorithm) -> Signer {
    match algorithm {
        Algorithm::Es256 | Algorithm::EdDsa => Signer::generate(algorithm).expect("a key").1,
        Algorithm::Rs256 => {
            let pem = include_bytes!("../../authn/tests/data/test_rsa.key");
            Signer::from_pem(algorithm, pem, None).expect("a key")
        }
    }
}

fn gateway(core: &Core, counters: &Arc<CoreCounters>) -> Gateway {
    // Ping calls nobody, so that nothing is told of upstreams.
    let (gateway, profile) = (GatewayConfig::default(), Profile::NAMED[0].1);
    let config = ServiceConfig::new(gateway.clone(), profile);
    let outbound = Outbound::load(&config).expect("no file is needed");
    let upstreams = Upstreams::resolve(profile, &gateway, &outbound).expect("there is none");
    Gateway::new(core, &upstreams, Arc::clone(counters))
}

fn orders(_: &Core, _: &Arc<CoreCounters>) -> OrdersApp {
    let keys = Idempotency::new(RETAINED, OrderStoreConfig::IDEMPOTENCY_TTL);
    OrdersShared::new(RETAINED, 1, keys).expect("randomness").app(0, Stock::local(stock()))
}

fn inventory(_: &Core, _: &Arc<CoreCounters>) -> InventoryApp {
    InventoryApp::new(stock())
}

/// An inventory with more than enough of one SKU.
fn stock() -> Arc<Inventory> {
    let inventory = Inventory::new(64, RETAINED, Prf::with_key([1, 2]));
    let name = SkuName::parse(SKU).expect("a good name");
    let place = inventory.skus().insert(name).expect("room");
    inventory.skus().at(place).expect("there").set(QUANTITY_MAX).expect("nothing is held");
    Arc::new(inventory)
}

/// A client of one connection.
struct Caller {
    connection: MemoryConnection,
    tls: Option<Pump>,
    cipher: Vec<u8>,
}

impl Caller {
    fn new(connection: MemoryConnection, tls: Option<Pump>) -> Caller {
        let mut caller = Caller { connection, tls, cipher: Vec::new() };
        while let Some(pump) = caller.tls.as_mut().filter(|pump| pump.wants_write()) {
            let mut flight = Vec::new();
            pump.take(&mut flight);
            caller.connection.send(&flight);
            assert!(caller.heard().is_empty(), "nobody has asked yet");
        }
        assert!(caller.connection.is_open(), "the handshake was refused");
        caller
    }

    /// The request as it goes over the wire.
    fn seal(&mut self, request: &[u8]) -> Vec<u8> {
        match &mut self.tls {
            None => request.to_vec(),
            Some(pump) => {
                let mut cipher = Vec::new();
                pump.write(request, &mut cipher).expect("the handshake is done");
                cipher
            }
        }
    }

    /// What the server has said since the last time, in plain text.
    fn heard(&mut self) -> Vec<u8> {
        let mut plain = Vec::new();
        match &mut self.tls {
            None => {
                self.connection.take(&mut plain);
            }
            Some(pump) => {
                self.cipher.clear();
                self.connection.take(&mut self.cipher);
                pump.feed(&mut self.cipher, &mut plain).expect("good records");
            }
        }
        plain
    }
}

/// One service, one connection, and one kind of request again and again.
pub(crate) struct Rig {
    caller: Caller,
    requests: Vec<Vec<u8>>,
    /// Where each request's own number begins, counted from its end.
    number: Option<usize>,
    asked: u64,
}

/// How every good answer of these begins.
const GOOD: &[u8] = b"HTTP/1.1 20";
/// What stands where a request has a number of its own.
const NUMBER: &str = "000000000000";

impl Rig {
    /// Starts the service that answers `ask` under this profile, and connects.
    pub(crate) fn new(
        core: &Core,
        lab: &Lab,
        profile: Profile,
        tokens: Tokens,
        ask: BenchRequest,
    ) -> Rig {
        let cached = if tokens == Tokens::Cached { CACHED } else { 0 };
        let mut caller = match ask {
            BenchRequest::PingGet | BenchRequest::PingPost => {
                lab.call(core, profile, cached, gateway)
            }
            BenchRequest::OrdersRead => lab.call(core, profile, cached, orders),
            BenchRequest::InventoryReserve => lab.call(core, profile, cached, inventory),
        };
        let count = match (profile.token, tokens) {
            (TokenCheck::Ignore, _) => 0,
            (_, Tokens::Cached) => 1,
            (_, Tokens::Uncached) => TOKENS,
        };
        let tokens: Vec<String> = (0..count).map(|number| lab.token(number)).collect();
        let first = tokens.first().map(String::as_str);
        let (method, path, body) = match ask {
            BenchRequest::PingGet => ("GET", "/api/ping".to_string(), String::new()),
            BenchRequest::PingPost => ("POST", "/api/ping".to_string(), "x".repeat(BODY_BYTES)),
            BenchRequest::OrdersRead => ("GET", order(&mut caller, first), String::new()),
            BenchRequest::InventoryReserve => {
                ("POST", "/api/inventory/reservations".to_string(), reservation())
            }
        };
        let text = |token| request(method, &path, token, &body);
        let requests = match tokens.is_empty() {
            true => vec![text(None)],
            false => tokens.iter().map(|token| text(Some(token.as_str()))).collect(),
        };
        let number = body.find(NUMBER).map(|at| body.len() - at);
        Rig { caller, requests, number, asked: 0 }
    }

    /// The next request as it goes over the wire: the client's work.
    pub(crate) fn request(&mut self) -> Vec<u8> {
        let turn = (self.asked % self.requests.len() as u64) as usize;
        let request = &mut self.requests[turn];
        self.asked += 1;
        if let Some(number) = self.number {
            let start = request.len() - number;
            let digits = format!("{:0width$}", self.asked, width = NUMBER.len());
            request[start..start + NUMBER.len()].copy_from_slice(digits.as_bytes());
        }
        self.caller.seal(request)
    }

    /// What the server does with it.
    pub(crate) fn serve(&mut self, wire: &[u8]) {
        self.caller.connection.send(wire);
    }

    /// Takes what was answered and sees to it that it is `count` good answers: the client's work.
    pub(crate) fn judge(&mut self, count: usize) {
        let heard = self.caller.heard();
        let good = heard.windows(GOOD.len()).filter(|window| *window == GOOD).count();
        assert_eq!(good, count, "{}", String::from_utf8_lossy(&heard));
    }

    /// The lengths of one request and of its answer, in plain text.
    pub(crate) fn lengths(&mut self) -> (usize, usize) {
        let wire = self.request();
        self.serve(&wire);
        (self.requests[0].len(), self.caller.heard().len())
    }
}

/// A request as the load generator lays it out.
pub(crate) fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost:8443\r\n");
    if !body.is_empty() {
        text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    if let Some(token) = token {
        text += &format!("Authorization: Bearer {token}\r\n");
    }
    text += "\r\n";
    text += body;
    text.into_bytes()
}

/// One piece for an order with a number of its own.
fn reservation() -> String {
    format!(r#"{{"orderId":"order-{NUMBER}","items":[{{"sku":"{SKU}","quantity":1}}]}}"#)
}

/// Makes an order of about 1 KB and returns the path to read it from.
fn order(caller: &mut Caller, token: Option<&str>) -> String {
    let skus = vec![format!("\"{SKU}\""); 80].join(",");
    let body = format!(r#"{{"customerId":"customer-1","itemSkus":[{skus}],"totalAmount":9.50}}"#);
    let wire = caller.seal(&request("POST", "/api/orders", token, &body));
    caller.connection.send(&wire);
    let answer = String::from_utf8(caller.heard()).expect("text");
    let path = answer.lines().find_map(|line| line.strip_prefix("location: "));
    path.unwrap_or_else(|| panic!("an order is refused: {answer}")).to_string()
}
