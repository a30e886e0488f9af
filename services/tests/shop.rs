//! Orders and inventory as processes would run them, over real sockets in profile S0: the order
//! flow, contention for one SKU, repeats, requests cut off, and inventory gone.
//!
//! What security adds is tested elsewhere; here it is that nothing is sold twice or lost.
#![cfg(not(loom))]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use runtime::DriverChoice;
use runtime::blocking::{self, Response};
use runtime::url::Url;
use serde_json::{Value, json};
use services::{
    InventoryConfig, OrderStoreConfig, OrdersConfig, RunningService, ServiceConfig, ServiceRole,
    start,
};

const DEADLINE: Duration = Duration::from_secs(20);

fn config(role: impl Into<ServiceRole>) -> ServiceConfig {
    let profile = authn::Profile::parse("S0").expect("a profile");
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let mut config = ServiceConfig::new(role, profile);
    (config.listen, config.admin) = (free, free);
    config.workers = Some(2);
    config
}

fn inventory(stock: &[(&str, u64)]) -> RunningService {
    let stock = stock.iter().map(|&(name, n)| (name.to_string(), n)).collect();
    let settings = InventoryConfig { stock, ..InventoryConfig::default() };
    start(config(settings)).expect("inventory starts")
}

fn orders(inventory: SocketAddr, retained: usize) -> RunningService {
    let store = OrderStoreConfig { orders_retained: retained, ..OrderStoreConfig::default() };
    orders_keeping(inventory, store)
}

fn orders_keeping(inventory: SocketAddr, store: OrderStoreConfig) -> RunningService {
    let settings = OrdersConfig { store, ..OrdersConfig::new(inventory.to_string()) };
    start(config(settings)).expect("orders starts")
}

fn call(addr: SocketAddr, method: &str, path: &str, body: &str) -> Response {
    call_with(addr, method, path, &[], body)
}

fn call_with(
    addr: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &[u8])],
    body: &str,
) -> Response {
    let url = Url::parse(&format!("http://{addr}{path}")).expect("a URL");
    blocking::request(&url, None, method, fields, body.as_bytes(), DEADLINE, 1 << 16)
        .expect("an answer")
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

fn order(skus: &[&str]) -> String {
    json!({"customerId": "c-1", "itemSkus": skus, "totalAmount": 19.90}).to_string()
}

fn reservation(id: &str, sku: &str, quantity: u32) -> String {
    json!({"orderId": id, "items": [{"sku": sku, "quantity": quantity}]}).to_string()
}

/// Available and held of a SKU.
fn stock(addr: SocketAddr, sku: &str) -> (u64, u64) {
    let body = json_of(&call(addr, "GET", &format!("/api/inventory/{sku}"), ""));
    (body["quantity"].as_u64().expect("a number"), body["held"].as_u64().expect("a number"))
}

/// Waits until a SKU's levels are as expected: reservations are released in the background.
fn assert_comes_to(addr: SocketAddr, sku: &str, expected: (u64, u64)) {
    let until = Instant::now() + DEADLINE;
    while stock(addr, sku) != expected {
        assert!(Instant::now() < until, "{sku}: {:?}, not {expected:?}", stock(addr, sku));
        thread::sleep(Duration::from_millis(20));
    }
}

fn kind(response: &Response) -> String {
    assert_eq!(response.field("content-type"), Some(&b"application/problem+json"[..]));
    let kind = json_of(response)["type"].as_str().expect("a type").to_string();
    kind.trim_start_matches("urn:tollgate:problem:").to_string()
}

#[test]
fn an_order_is_created_read_and_its_stock_is_reserved() {
    let inventory = inventory(&[]);
    let orders = orders(inventory.addr(), 10);
    let at = orders.addr();
    let created = call(at, "POST", "/api/orders", &order(&["SKU-1000", "sku-1000", "SKU-2000"]));
    assert_eq!(created.status, 201);
    let id = json_of(&created)["orderId"].as_str().expect("an id").to_string();
    assert_eq!(json_of(&created)["accepted"], true);
    let location = format!("/api/orders/{id}");
    assert_eq!(created.field("location"), Some(location.as_bytes()));
    assert_eq!(stock(inventory.addr(), "SKU-1000"), (99_998, 2));
    assert_eq!(stock(inventory.addr(), "sku-2000"), (99_999, 1));

    let read = call(at, "GET", &location, "");
    assert_eq!(read.status, 200);
    let body = json_of(&read);
    assert_eq!(body["orderId"], id.as_str());
    assert_eq!(body["customerId"], "c-1");
    assert_eq!(body["itemSkus"], json!(["SKU-1000", "sku-1000", "SKU-2000"]));
    assert_eq!(body["totalAmount"], 19.9);
    assert_eq!(body["client"], "anonymous");

    // What orders holds is not the API's to give back; orders itself can.
    let of_the_api = format!("/api/inventory/reservations/{id}");
    assert_eq!(call(inventory.addr(), "DELETE", &of_the_api, "").status, 404);
    assert_eq!(stock(inventory.addr(), "SKU-1000"), (99_998, 2));
    let reservation = format!("/internal/inventory/reservations/{id}");
    assert_eq!(call(inventory.addr(), "DELETE", &reservation, "").status, 204);
    assert_eq!(call(inventory.addr(), "DELETE", &reservation, "").status, 204);
    assert_eq!(stock(inventory.addr(), "SKU-1000"), (100_000, 0));
}

#[test]
fn invalid_orders_are_rejected_with_the_reason() {
    let inventory = inventory(&[("few", 1)]);
    let orders = orders(inventory.addr(), 10);
    let at = orders.addr();
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(70_000));
    for (body, status, expected) in [
        ("{", 400, "bad-order"),
        ("{\"customerId\":\"c\",\"itemSkus\":[],\"totalAmount\":1}", 400, "bad-order"),
        (&order(&["few", "few"]), 409, "out-of-stock"),
        (&order(&["none"]), 409, "unknown-sku"),
        (&large, 413, "about:blank"),
    ] {
        let answer = call(at, "POST", "/api/orders", body);
        assert_eq!((answer.status, kind(&answer).as_str()), (status, expected), "{body:.60}");
    }
    assert_eq!(stock(inventory.addr(), "few"), (1, 0));
    for id in ["x", "00000000-0000-8000-8000-000000000000"] {
        let answer = call(at, "GET", &format!("/api/orders/{id}"), "");
        assert_eq!((answer.status, kind(&answer).as_str()), (404, "no-order"));
    }
}

#[test]
fn a_post_without_body_length_is_411() {
    let inventory = inventory(&[]);
    let orders = orders(inventory.addr(), 100);
    for (addr, line) in [
        (orders.addr(), "POST /api/orders"),
        (inventory.addr(), "POST /api/inventory/reservations"),
        (inventory.addr(), "PUT /api/inventory/SKU-1000"),
    ] {
        let mut stream = TcpStream::connect(addr).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        write!(stream, "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 411 Length Required"), "{line}: {answer}");
        assert!(answer.contains("application/problem+json"), "{line}: {answer}");
    }
}

#[test]
fn only_the_newest_orders_are_kept() {
    let inventory = inventory(&[("few", 6)]);
    let orders = orders(inventory.addr(), 3);
    let at = orders.addr();
    let create = || call(at, "POST", "/api/orders", &order(&["few"]));
    let paths: Vec<String> = (0..6)
        .map(|_| String::from_utf8(create().field("location").expect("one").to_vec()))
        .map(|path| path.expect("text"))
        .collect();
    // Those that are refused push nothing out.
    (0..9).for_each(|_| assert_eq!(create().status, 409));
    let status = |path: &String| call(at, "GET", path, "").status;
    assert_eq!(paths.iter().map(status).collect::<Vec<_>>(), [410, 410, 410, 200, 200, 200]);
}

#[test]
fn an_idempotency_key_makes_one_order_of_many_requests() {
    let inventory = inventory(&[("few", 2)]);
    let orders = orders(inventory.addr(), 100);
    let at = orders.addr();
    let post = |key: &str, body: &str| {
        call_with(at, "POST", "/api/orders", &[("Idempotency-Key", key.as_bytes())], body)
    };
    let first = post("k", &order(&["few"]));
    let again = post("k", &order(&["few"]));
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(first.field("location"), again.field("location"));
    let other = post("k", &order(&["few", "few"]));
    assert_eq!((other.status, kind(&other).as_str()), (422, "idempotency-key-reused"));
    let bad = post(&"k".repeat(256), &order(&["few"]));
    assert_eq!((bad.status, kind(&bad).as_str()), (400, "bad-idempotency-key"));
    // A refusal gives the key free.
    assert_eq!(post("l", &order(&["few", "few"])).status, 409);
    assert_eq!(call(inventory.addr(), "PUT", "/api/inventory/few", "{\"quantity\":9}").status, 200);
    assert_eq!(post("l", &order(&["few", "few"])).status, 201);
    assert_eq!(stock(inventory.addr(), "few"), (7, 3));
}

#[test]
fn rejections_and_other_owners_evict_no_key_of_a_share() {
    let inventory = inventory(&[("none", 0)]);
    let store = OrderStoreConfig { idempotency_keys: 12, ..OrderStoreConfig::default() };
    let orders = orders_keeping(inventory.addr(), store);
    let post = |key: &str, sku: &str| {
        let fields = [("Idempotency-Key", key.as_bytes())];
        let made = call_with(orders.addr(), "POST", "/api/orders", &fields, &order(&[sku]));
        (made.status, made.body)
    };
    let first = post("first", "SKU-1000");
    assert_eq!(first.0, 201);
    for n in 0..200 {
        assert_eq!(post(&format!("refused-{}", n % 20), "none").0, 409);
    }
    assert_eq!(post("first", "SKU-1000"), first);
    // The share is three keys: the oldest of four is new again, and it alone.
    let second = post("second", "SKU-1000");
    assert_eq!((post("third", "SKU-1000").0, post("fourth", "SKU-1000").0), (201, 201));
    assert_eq!(post("second", "SKU-1000"), second);
    assert_ne!(post("first", "SKU-1000"), first);
}

#[test]
fn more_demand_than_stock_accepts_exactly_the_stock() {
    let inventory = inventory(&[("hot", 150)]);
    let orders = orders(inventory.addr(), 1000);
    let at = orders.addr();
    let accepted: usize = thread::scope(|scope| {
        let run = || {
            let one = |_| match call(at, "POST", "/api/orders", &order(&["hot"])).status {
                201 => true,
                409 => false,
                other => panic!("{other}"),
            };
            (0..100).map(one).filter(|&accepted| accepted).count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(accepted, 150);
    assert_eq!(stock(inventory.addr(), "hot"), (0, 150));
}

#[test]
fn stock_is_conserved_over_repeated_aborted_and_released_reservations() {
    let inventory = inventory(&[("hot", 100)]);
    let at = inventory.addr();
    let path = "/api/inventory/reservations";
    let held: usize = thread::scope(|scope| {
        let run = |worker: usize| {
            let mut held = 0;
            for n in 0..100 {
                let id = format!("o-{worker}-{n}");
                let body = reservation(&id, "hot", 1);
                if n % 3 == 0 {
                    // Cut off without waiting for the answer, then asked again.
                    let mut cut = TcpStream::connect(at).expect("a connection");
                    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: ");
                    let _ = write!(cut, "{head}{}\r\n\r\n{body}", body.len());
                }
                // Both answers are the first one, whoever gave it.
                let first = decided(at, path, &body);
                assert_eq!(decided(at, path, &body), first);
                let was_held = first == 201;
                held += usize::from(was_held);
                if was_held && n % 5 == 0 {
                    let id = format!("{path}/{id}");
                    assert_eq!(call(at, "DELETE", &id, "").status, 204);
                    assert_eq!(call(at, "DELETE", &id, "").status, 204);
                    held -= 1;
                }
            }
            held
        };
        let threads: Vec<_> = (0..2).map(|worker| scope.spawn(move || run(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    let held = held as u64;
    assert_eq!(stock(at, "hot"), (100 - held, held));
    assert_eq!(held, 100, "demand was higher than the stock");
}

#[test]
fn a_release_that_comes_first_bars_its_reservation() {
    let inventory = inventory(&[]);
    let at = inventory.addr();
    let path = "/api/inventory/reservations";
    assert_eq!(call(at, "DELETE", "/api/inventory/reservations/late", "").status, 404);
    let answer = call(at, "POST", path, &reservation("late", "SKU-1000", 1));
    assert_eq!((answer.status, kind(&answer).as_str()), (409, "given-back"));
    assert_eq!(stock(at, "SKU-1000"), (100_000, 0));
}

#[test]
fn without_inventory_orders_answers_502() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = gone.local_addr().expect("an address");
    drop(gone);
    let orders = orders(addr, 10);
    let answer = call(orders.addr(), "POST", "/api/orders", &order(&["SKU-1000"]));
    assert_eq!((answer.status, kind(&answer).as_str()), (502, "bad-inventory"));
}

/// A stand-in between orders and inventory passes requests on and swallows the answers: orders must
/// not know, and must give back.
#[test]
fn a_reservation_whose_response_is_lost_is_released() {
    let inventory = inventory(&[("few", 5)]);
    let at = inventory.addr();
    let thief = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = thief.local_addr().expect("an address");
    thread::spawn(move || {
        for stolen in 0.. {
            let Ok((mut client, _)) = thief.accept() else {
                return;
            };
            // The reservation and its repeat lose their answers; what follows gets through.
            thread::spawn(move || pass(&mut client, at, stolen < 2));
        }
    });
    let orders = orders(addr, 10);
    let answer = call(orders.addr(), "POST", "/api/orders", &order(&["few", "few"]));
    assert_eq!((answer.status, kind(&answer).as_str()), (502, "bad-inventory"));
    assert_comes_to(at, "few", (5, 0));
    let again = call(orders.addr(), "POST", "/api/orders", &order(&["few", "few"]));
    assert_eq!(again.status, 201);
    assert_eq!(stock(at, "few"), (3, 2));
}

/// Releases get no answer until the service is told to end: its last tries get through.
#[test]
fn pending_releases_finish_before_the_service_ends() {
    for driver in [DriverChoice::Auto, DriverChoice::Epoll] {
        let inventory = inventory(&[("few", 5)]);
        let at = inventory.addr();
        let thief = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (stolen, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let address = thief.local_addr().expect("an address").to_string();
        let mut config = config(OrdersConfig::new(address));
        config.driver = driver;
        let (count, opened) = (Arc::clone(&stolen), Arc::clone(&open));
        thread::spawn(move || {
            while let Ok((mut client, _)) = thief.accept() {
                count.fetch_add(1, Ordering::Relaxed);
                let lose = !opened.load(Ordering::Relaxed);
                // The reservation is done and its answers are lost; releases are lost themselves.
                if !lose || count.load(Ordering::Relaxed) <= 2 {
                    thread::spawn(move || pass(&mut client, at, lose));
                }
            }
        });
        let orders = start(config).expect("orders starts");
        let answer = call(orders.addr(), "POST", "/api/orders", &order(&["few", "few"]));
        assert_eq!(answer.status, 502);
        let until = Instant::now() + DEADLINE;
        while stolen.load(Ordering::Relaxed) < 5 {
            assert!(Instant::now() < until, "no try to give back");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(stock(at, "few"), (3, 2), "{driver:?}");
        open.store(true, Ordering::Relaxed);
        assert_eq!(orders.drain(DEADLINE).cut, 0);
        assert_eq!(stock(at, "few"), (5, 0), "{driver:?}");
    }
}

/// The status of a reservation that is not being decided any more: the one that was cut off may be.
fn decided(at: SocketAddr, path: &str, body: &str) -> u16 {
    loop {
        let answer = call(at, "POST", path, body);
        if answer.status != 409 || kind(&answer) != "in-progress" {
            return answer.status;
        }
    }
}

/// Passes one request on and its answer back, unless it is to be lost.
fn pass(client: &mut TcpStream, at: SocketAddr, lose: bool) {
    use std::io::Read;
    let mut server = TcpStream::connect(at).expect("inventory");
    let mut buffer = [0; 65_536];
    loop {
        let Ok(n @ 1..) = client.read(&mut buffer) else {
            return;
        };
        server.write_all(&buffer[..n]).expect("inventory takes it");
        let Ok(n @ 1..) = server.read(&mut buffer) else {
            return;
        };
        if lose {
            return;
        }
        client.write_all(&buffer[..n]).expect("orders takes it");
    }
}
