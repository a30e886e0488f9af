//! What does not start, and the sentence it ends with.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpListener;

use authn::Profile;
use services::{GatewayConfig, OrdersConfig, ServiceConfig, ServiceRole};

use support::{Lab, NOWHERE, before_orders};

/// Changes a gateway's configuration and returns why it does not start.
fn refusal(label: &str, change: impl FnOnce(&Lab, &mut ServiceConfig)) -> String {
    let lab = Lab::new();
    lab.signer();
    let mut config = lab.config(GatewayConfig::default(), Profile::parse(label).unwrap());
    change(&lab, &mut config);
    match services::start(config) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

/// Sets the settings that only a gateway has.
fn gateway(settings: GatewayConfig) -> impl FnOnce(&Lab, &mut ServiceConfig) {
    move |_, config| config.role = settings.into()
}

#[track_caller]
fn says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
    }
}

#[test]
fn plain_http_stays_on_loopback_unless_forced() {
    for label in ["S0", "plain+token", "plain+scopes"] {
        let error = refusal(label, |_, config| config.listen = "0.0.0.0:0".parse().unwrap());
        says(&error, &["plain HTTP", "0.0.0.0", "--allow-insecure"]);
    }
    let lab = Lab::new();
    lab.signer();
    let mut config = lab.config(GatewayConfig::default(), Profile::parse("S0").unwrap());
    config.listen = "0.0.0.0:0".parse().unwrap();
    config.allow_insecure = true;
    assert!(config.warnings()[0].contains("PLAIN HTTP"));
    assert!(services::start(config).is_ok());
}

#[test]
fn every_plain_profile_warns_and_tokens_in_the_clear_warn_twice() {
    let warnings = |label: &str| {
        let settings = OrdersConfig::new(NOWHERE);
        ServiceConfig::new(settings, Profile::parse(label).unwrap()).warnings()
    };
    assert_eq!(warnings("S0").len(), 1);
    assert_eq!(warnings("plain+token").len(), 2);
    assert!(warnings("plain+scopes")[1].contains("UNENCRYPTED"));
    for label in ["S1", "S2", "S3", "S4", "S5"] {
        assert!(warnings(label).is_empty(), "{label}");
    }
}

#[test]
fn files_are_named_with_what_is_wrong() {
    let missing = refusal("S1", |lab, config| {
        config.server_cert = Some(lab.path().join("none.crt"));
    });
    says(&missing, &["none.crt", "does not exist"]);
    let other = refusal("S1", |lab, config| {
        config.server_key = Some(lab.path().join("certs/orders.key"));
    });
    says(&other, &["orders.key", "does not belong"]);
    let garbage = refusal("S3", |lab, config| {
        lab.write("garbage.pem", b"nothing");
        config.client_ca = Some(lab.path().join("garbage.pem"));
    });
    says(&garbage, &["garbage.pem", "no certificate"]);
    let list = |text: &'static str| {
        refusal("S5", move |lab, config| {
            lab.write("list.toml", text.as_bytes());
            config.client_certificates = Some(lab.path().join("list.toml"));
        })
    };
    says(&list("\n[[client]]\nname = \"a\"\n"), &["list.toml", "clients' certificates", "line 3"]);
    says(&list("client = [{ id = \"a\", certificates = [\"A B\"] }]"), &["list.toml", "A B"]);
    let stateless = refusal("S1", |_, config| config.state = None);
    says(&stateless, &["--server-cert", "--state"]);
}

#[test]
fn upstream_addresses_must_fit_the_profile() {
    let set = |address: &str| gateway(before_orders(address));
    says(&refusal("S3", set("http://127.0.0.1:1")), &["--orders", "https", "--upstream-profile"]);
    says(&refusal("S0", set("https://127.0.0.1:1")), &["--orders", "speaks http"]);
    says(&refusal("S1", set("https://127.0.0.1:1/base")), &["scheme, host and port"]);
    says(&refusal("S1", set("https://127.0.0.1:x")), &["--orders"]);
}

#[test]
fn invalid_fields_and_intervals_are_rejected_with_the_reason() {
    let field = |name: &str| {
        let forward_fields = vec![name.to_string()];
        refusal("S0", gateway(GatewayConfig { forward_fields, ..GatewayConfig::default() }))
    };
    says(&field("Content-Length"), &["--forward-field", "Content-Length", "never goes on"]);
    says(&field("X-Tollgate-Client"), &["--forward-field", "never for a client"]);
    says(&field("a b"), &["--forward-field", "not the name of a field"]);
    let mut short = GatewayConfig::default();
    short.outbound.resolve_interval = std::time::Duration::from_millis(10);
    let interval = refusal("S0", gateway(short));
    says(&interval, &["--resolve-interval", "1s or more"]);
}

#[test]
fn a_taken_port_and_a_missing_service_are_named() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    says(&refusal("S0", |_, config| config.listen = addr), &[&addr.to_string(), "taken"]);
    says(&refusal("S0", |_, config| config.role = ServiceRole::Results), &["not built"]);
    says(&refusal("S0", |_, config| config.cores = Some(vec![999])), &["999"]);
}
