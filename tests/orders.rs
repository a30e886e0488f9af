//! The order flow through gateway, orders and inventory: what a client of the shop sees, from the
//! first order until the stock is sold out, on both I/O drivers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Curl, DRIVERS, Fetched, Up};

struct Shop {
    up: Up,
    token: String,
}

impl Shop {
    fn open(driver: &str, options: &[&str]) -> Shop {
        let up = Up::start("S5", &[&["--driver", driver], options].concat());
        let token = up.token(None);
        Shop { up, token }
    }

    fn curl(&self, path: &str) -> Curl {
        self.up.with_certificate(self.up.curl("gateway", path), "bench-runner").bearer(&self.token)
    }

    fn order(&self, skus: &[&str]) -> Fetched {
        let body = serde_json::json!({
            "customerId": "c-1", "itemSkus": skus, "totalAmount": 19.99
        });
        self.curl("/api/orders").json(&body.to_string()).run()
    }

    fn available(&self, sku: &str) -> u64 {
        let got = self.curl(&format!("/api/inventory/{sku}")).run();
        assert_eq!(got.status, 200, "{got:?}");
        got.json()["quantity"].as_u64().unwrap()
    }
}

#[test]
fn an_order_is_kept_and_its_stock_is_taken() {
    for driver in DRIVERS {
        let shop = Shop::open(driver, &[]);
        let before = shop.available("SKU-2000");
        let made = shop.order(&["SKU-2000", "sku-2000"]);
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.json()["orderId"].as_str().unwrap().to_owned();
        assert_eq!(made.json()["accepted"], true);
        assert_eq!(made.field("location"), Some(format!("/api/orders/{id}").as_str()));
        assert_eq!(shop.available("SKU-2000"), before - 2);

        let read = shop.curl(&format!("/api/orders/{id}")).run();
        assert_eq!(read.status, 200, "{read:?}");
        assert_eq!(read.json()["customerId"], "c-1");
        assert_eq!(read.json()["itemSkus"], serde_json::json!(["SKU-2000", "sku-2000"]));
    }
}

#[test]
fn invalid_orders_are_refused_with_a_reason() {
    let shop = Shop::open("auto", &["--stock", "SKU-LOW=1"]);
    let cases = [
        (r#"{"itemSkus":["SKU-1000"],"totalAmount":1}"#, 400, "customerId"),
        (r#"{"customerId":"c","itemSkus":[],"totalAmount":1}"#, 400, "itemSkus"),
        (r#"{"customerId":"c","itemSkus":["SKU-1000"],"totalAmount":-1}"#, 400, "totalAmount"),
        ("{", 400, "JSON"),
        (r#"{"customerId":"c","itemSkus":["SKU-LOW","SKU-LOW"],"totalAmount":1}"#, 409, "stock"),
        (r#"{"customerId":"c","itemSkus":["SKU-NONE"],"totalAmount":1}"#, 409, "unknown-sku"),
    ];
    for (body, status, word) in cases {
        let got = shop.curl("/api/orders").json(body).run();
        assert_eq!(got.status, status, "{body}: {got:?}");
        assert_eq!(got.field("content-type"), Some("application/problem+json"), "{got:?}");
        assert!(got.body.contains(word), "{body}: {got:?}");
    }
    assert_eq!(shop.available("SKU-LOW"), 1, "a refused order took stock");
    assert_eq!(shop.order(&["SKU-LOW"]).status, 201);
    assert_eq!(shop.order(&["SKU-LOW"]).status, 409);
}

#[test]
fn a_repeat_under_one_key_is_answered_as_the_first() {
    let shop = Shop::open("auto", &[]);
    let post = |key: &str, body: &str| {
        shop.curl("/api/orders").json(body).header(&format!("Idempotency-Key: {key}")).run()
    };
    let body = r#"{"customerId":"c","itemSkus":["SKU-3000"],"totalAmount":1}"#;
    let before = shop.available("SKU-3000");
    let first = post("k-1", body);
    let again = post("k-1", body);
    assert_eq!((first.status, again.status), (201, 201), "{first:?} {again:?}");
    assert_eq!(first.json()["orderId"], again.json()["orderId"]);
    assert_eq!(shop.available("SKU-3000"), before - 1);
    let other = post("k-1", r#"{"customerId":"d","itemSkus":["SKU-3000"],"totalAmount":1}"#);
    assert_eq!(other.status, 422, "{other:?}");
}

#[test]
fn missing_orders_are_distinguished() {
    let shop = Shop::open("auto", &["--orders-retained", "8"]);
    let first = shop.order(&["SKU-1000"]).json()["orderId"].as_str().unwrap().to_owned();
    for _ in 0..64 {
        assert_eq!(shop.order(&["SKU-1000"]).status, 201);
    }
    assert_eq!(shop.curl(&format!("/api/orders/{first}")).run().status, 410);
    let never = "/api/orders/00000000-0000-4000-8000-000000000000";
    assert_eq!(shop.curl(never).run().status, 404);
    let odd = shop.curl("/api/orders/not-an-id").run();
    assert!(matches!(odd.status, 400 | 404), "{odd:?}");
}

#[test]
fn methods_and_paths_that_are_not_there_are_refused() {
    let shop = Shop::open("auto", &[]);
    let got = shop.curl("/api/ping").method("DELETE").run();
    assert_eq!(got.status, 405, "{got:?}");
    assert!(got.field("allow").is_some_and(|allow| allow.contains("GET")), "{got:?}");
    assert_eq!(shop.curl("/api/nothing").run().status, 404);
    let runs = shop.curl("/api/runs").run();
    assert_eq!(runs.status, 502, "no results upstream was given: {runs:?}");
    let ping = shop.curl("/api/ping").json(r#"{"hello":"world"}"#).run();
    assert_eq!(ping.status, 200, "{ping:?}");
    assert!((60..200).contains(&ping.body.len()), "{ping:?}");
}
