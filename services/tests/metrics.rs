//! The counters that a measured run rests on: what is counted, exactly how often, and under which
//! labels.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use authn::{Profile, Signer, Transport};
use metrics_export::prometheus::Scrape;
use services::{GatewayConfig, InventoryConfig};

use support::{Lab, NOWHERE, Server, bearer, before_orders, claims, now, start};

const TOKENS: &str = "tollgate_token_verifications_total";
const DECISIONS: &str = "tollgate_policy_decisions_total";
const REQUESTS: &str = "http_server_request_duration_seconds_count";

fn gateway(lab: &Lab, label: &str, cache: bool) -> Server {
    let mut config = lab.config(before_orders(NOWHERE), Profile::parse(label).unwrap());
    config.token_cache = cache;
    start(config)
}

fn ping(lab: &Lab, server: &Server, label: &str, certificate: Option<&str>, token: &str) -> u16 {
    let client = lab.client(Profile::parse(label).unwrap().transport, certificate);
    let authorization = bearer(token);
    let fields: [(&str, &[u8]); 1] = [("authorization", &authorization)];
    client.get(&format!("{}/api/ping", server.url()), &fields).unwrap().status
}

fn token(signer: &Signer, id: &str, scope: &str) -> String {
    let claims = claims("bench-runner", scope);
    signer.sign(&authn::NewClaims { token_id: id, ..claims }).unwrap()
}

#[test]
fn tokens_are_counted_by_cache_and_result() {
    let lab = Lab::new();
    let signer = lab.signer();
    let with_cache = gateway(&lab, "S2", true);
    let without = gateway(&lab, "S2", false);
    for server in [&with_cache, &without] {
        let repeated = token(&signer, "repeated", "orders.read");
        for _ in 0..3 {
            assert_eq!(ping(&lab, server, "S2", None, &repeated), 200);
        }
        for id in ["one", "two"] {
            let unique = token(&signer, id, "orders.read");
            assert_eq!(ping(&lab, server, "S2", None, &unique), 200);
        }
        assert_eq!(ping(&lab, server, "S2", None, "x.y.z"), 401);
    }
    let count = |server: &Server, result, cache| {
        server.metric(TOKENS, &[("result", result), ("cache", cache)])
    };
    assert_eq!(count(&with_cache, "ok", "hit"), 2);
    assert_eq!(count(&with_cache, "ok", "miss"), 3);
    assert_eq!(count(&with_cache, "ok", "off"), 0);
    assert_eq!(with_cache.metric(TOKENS, &[("cache", "miss")]), 4);
    assert_eq!(count(&without, "ok", "off"), 5);
    assert_eq!(without.metric(TOKENS, &[("cache", "off")]), 6);
    assert_eq!(without.metric(TOKENS, &[("cache", "hit")]), 0);
    assert_eq!(with_cache.metric(DECISIONS, &[("decision", "token_verified")]), 5);
    assert_eq!(with_cache.metric(DECISIONS, &[("decision", "token_refused")]), 1);
}

#[test]
fn scopes_certificates_and_tls_are_counted() {
    let lab = Lab::new();
    let signer = lab.signer();
    let server = gateway(&lab, "S5", true);
    let runner = Some("bench-runner");
    let (good, unscoped) =
        (token(&signer, "a", "orders.read"), token(&signer, "b", "inventory.read"));
    for _ in 0..4 {
        assert_eq!(ping(&lab, &server, "S5", runner, &good), 200);
    }
    assert_eq!(ping(&lab, &server, "S5", runner, &unscoped), 403);
    // A certificate of the authority is caller enough for ping, but the token is another's.
    assert_eq!(ping(&lab, &server, "S5", Some("stranger"), &good), 403);
    assert_eq!(server.metric(DECISIONS, &[("decision", "enforced")]), 4);
    assert_eq!(server.metric(DECISIONS, &[("decision", "sender_refused")]), 1);
    assert_eq!(server.metric(DECISIONS, &[("decision", "scope_missing")]), 1);
    let ok = [("kind", "full"), ("result", "ok")];
    assert_eq!(server.metric("tollgate_tls_handshakes_total", &ok), 6);
    assert_eq!(server.metric("tollgate_tls_client_certificates_total", &[]), 6);
    let kind = [("tls_version", "TLSv1.3"), ("client_certificate", "named")];
    assert_eq!(server.metric("tollgate_connections_total", &kind), 6);

    let plain = lab.client(Profile::parse("S1").unwrap().transport, None);
    assert!(plain.get(&format!("{}/api/ping", server.url()), &[]).is_err());
    let failed = [("result", "failed")];
    assert_eq!(server.metric("tollgate_tls_handshakes_total", &failed), 1);
}

#[test]
fn answers_are_counted_by_route_and_never_by_path() {
    let lab = Lab::new();
    let server = gateway(&lab, "S0", true);
    let client = lab.client(Profile::parse("S0").unwrap().transport, None);
    let call = |method: &str, path: &str, body: &[u8]| {
        client.request(method, &format!("{}{path}", server.url()), &[], body).unwrap()
    };
    for body in [b"".as_slice(), b"0123456789", &[7; 100_000]] {
        let answer = call("POST", "/api/ping", body);
        assert_eq!(answer.status, 200);
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(told["bodyBytes"], body.len());
    }
    assert!((90..=110).contains(&call("GET", "/api/ping", b"").body.len()));
    assert_eq!(call("HEAD", "/api/ping", b"").status, 200);
    assert_eq!(call("PUT", "/api/ping", b"").status, 405);
    assert_eq!(call("GET", "/secret-path", b"").status, 404);
    assert_eq!(call("GET", "/api/orders/1%2f2", b"").status, 404);
    let ping = |method| [("http_route", "/api/ping"), ("http_request_method", method)];
    assert_eq!(server.metric(REQUESTS, &ping("POST")), 3);
    assert_eq!(server.metric(REQUESTS, &ping("GET")), 2);
    assert_eq!(server.metric(REQUESTS, &[("http_route", "unmatched")]), 3);
    assert_eq!(server.metric("tollgate_ping_body_bytes_total", &[]), 100_010);
    assert_eq!(server.metric("tollgate_requests_total", &[]), 8);
    let page = server.admin_get("/metrics");
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("secret-path"));
    for name in ["tollgate_build_info", "process_cpu_seconds_total", "tollgate_runtime_info"] {
        assert!(text.contains(name), "{name}");
    }
    assert!(text.contains(r#"profile="S0""#));
}

const STAGES: [&str; 5] = ["parse", "token", "policy", "handler", "encode"];

fn page(server: &Server) -> Scrape {
    let answer = server.admin_get("/metrics");
    Scrape::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap()
}

#[test]
fn steps_are_timed_once_a_request_and_are_part_of_the_whole() {
    let lab = Lab::new();
    let signer = lab.signer();
    for driver in support::DRIVERS {
        let mut config = lab.config(before_orders(NOWHERE), Profile::parse("S2").unwrap());
        config.driver = driver;
        config.stage_timing = true;
        let server = start(config);
        let good = token(&signer, "a", "orders.read");
        for _ in 0..5 {
            assert_eq!(ping(&lab, &server, "S2", None, &good), 200);
        }
        assert_eq!(ping(&lab, &server, "S2", None, "x.y.z"), 401);
        let client = lab.client(Profile::parse("S2").unwrap().transport, None);
        assert_eq!(client.get(&format!("{}/nowhere", server.url()), &[]).unwrap().status, 404);

        let page = page(&server);
        let of = |name: &str, stage| page.sum(name, &[("stage", stage)]).unwrap();
        let counts = STAGES.map(|stage| of("tollgate_stage_duration_seconds_count", stage));
        // A refused request has no handler, and one that no route takes has no token either.
        assert_eq!(counts, [7.0, 6.0, 6.0, 5.0, 7.0]);
        let sums = STAGES.map(|stage| of("tollgate_stage_duration_seconds_sum", stage));
        assert!(sums.iter().all(|sum| *sum > 0.0), "{sums:?}");
        let whole = page.sum("http_server_request_duration_seconds_sum", &[]).unwrap();
        let parts: f64 = sums.iter().sum();
        assert!(parts <= whole + 1e-9, "{sums:?} are more than {whole}");
        assert!(page.sum("tollgate_stage_timing_overhead_seconds", &[]).unwrap() > 0.0);
    }
}

#[test]
fn nothing_is_timed_unless_that_is_asked_for() {
    let lab = Lab::new();
    let server = gateway(&lab, "S0", true);
    let client = lab.client(Profile::parse("S0").unwrap().transport, None);
    assert_eq!(client.get(&format!("{}/api/ping", server.url()), &[]).unwrap().status, 200);
    let text = server.admin_get("/metrics").body;
    assert!(!String::from_utf8(text).unwrap().contains("tollgate_stage"));
}

/// How many handshakes failed on one side, for one reason and in all.
fn failed(server: &Server, side: &str, reason: &str) -> [u64; 2] {
    let name = "tollgate_tls_handshakes_failed_total";
    let of_side = ("side", side);
    [server.metric(name, &[of_side, ("reason", reason)]), server.metric(name, &[of_side])]
}

#[test]
fn a_revoked_certificate_is_a_failed_handshake_and_the_list_has_an_end() {
    let lab = Lab::new();
    lab.signer();
    lab.revoke(&["bench-ui"]);
    let server = gateway(&lab, "S3", true);
    let client = lab.client(Transport::Mutual, Some("bench-ui"));
    assert!(client.get(&format!("{}/api/ping", server.url()), &[]).is_err());
    assert_eq!(failed(&server, "server", "certificate_revoked"), [1, 1]);
    assert_eq!(failed(&server, "client", "certificate_revoked"), [0, 0]);
    let end_s = server.metric("tollgate_crl_not_after_seconds", &[]);
    let day = now().as_secs()..=now().as_secs() + 86_400;
    assert!(day.contains(&end_s), "{end_s}");
}

#[test]
fn an_upstream_of_another_authority_is_a_failed_handshake_of_the_client() {
    let (lab, stranger) = (Lab::new(), Lab::new());
    let profile = Profile::parse("S1").unwrap();
    let upstream = start(stranger.config(InventoryConfig::default(), profile));
    let config = lab.config(before_inventory(&upstream.url()), profile);
    let server = start(config);
    let client = lab.client(Transport::Tls, None);
    let asked = client.get(&format!("{}/api/inventory/SKU-1", server.url()), &[]);
    assert_eq!(asked.unwrap().status, 502);
    // Both authorities have the same name, so that only the signature tells them apart.
    let [signature, all] = failed(&server, "client", "certificate_signature");
    assert!(signature > 0 && signature == all, "{signature} of {all}");
    assert_eq!(failed(&upstream, "server", "alert"), [all, all]);
}

/// A gateway in front of one inventory.
fn before_inventory(url: &str) -> GatewayConfig {
    GatewayConfig { inventory: Some(url.to_owned()), ..before_orders(NOWHERE) }
}
