//! What the client of a refused token learns, and what the operator does: one response for every
//! reason, and a metric that tells the reasons apart.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use authn::jwt::TTL_MAX_DEFAULT;
use authn::{Algorithm, NewClaims, Profile, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::blocking::Response;

use support::{DRIVERS, Lab, NOWHERE, bearer, before_orders, claims, start};

/// Tokens that are refused, each with the code of its reason.
fn refused(signer: &Signer) -> Vec<(&'static str, String)> {
    let good = claims("bench-runner", "orders.read");
    let sign = |claims: NewClaims<'_>| signer.sign(&claims).unwrap();
    let (_, stranger) = Signer::generate(Algorithm::Es256).unwrap();
    let token = sign(good);
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let with_header = |from: &str, to: &str| {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        let changed = URL_SAFE_NO_PAD.encode(text.replace(from, to));
        format!("{changed}.{payload}.{signature}")
    };
    let soon = good.issued_at + 60;
    let lasting = good.issued_at + TTL_MAX_DEFAULT.as_secs() + 1;
    vec![
        ("malformed", "x".into()),
        ("too_long", "x".repeat(authn::jwt::TOKEN_BYTES_MAX + 1)),
        ("header", with_header("{", "[{")),
        ("type", with_header("at+jwt", "JWT")),
        ("critical", with_header("{", r#"{"crit":["x"],"#)),
        ("key_id_missing", with_header("kid", "id")),
        ("algorithm", with_header("ES256", "none")),
        ("algorithm", with_header("ES256", "HS256")),
        ("unknown_key", stranger.sign(&good).unwrap()),
        ("signature", format!("{header}.{}.{signature}", payload.replacen('J', "I", 1))),
        ("issuer", sign(NewClaims { issuer: "https://elsewhere.example", ..good })),
        ("audience", sign(NewClaims { audience: "elsewhere", ..good })),
        ("expired", sign(NewClaims { issued_at: 1_000, expires_at: 2_000, ..good })),
        ("not_yet_valid", sign(NewClaims { issued_at: soon, expires_at: soon + 60, ..good })),
        ("lifetime", sign(NewClaims { expires_at: lasting, ..good })),
        ("claims", sign(NewClaims { client_id: "", ..good })),
    ]
}

fn told(answer: &Response) -> (u16, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let challenge = text(answer.field("www-authenticate").unwrap());
    (answer.status, challenge, text(&answer.body))
}

#[test]
fn the_client_is_not_told_why_and_the_metric_is() {
    let lab = Lab::new();
    let signer = lab.signer();
    for driver in DRIVERS {
        let profile = Profile::parse("S2").unwrap();
        let mut config = lab.config(before_orders(NOWHERE), profile);
        config.driver = driver;
        let server = start(config);
        let client = lab.client(profile.transport, None);
        let url = format!("{}/api/ping", server.url());
        let mut first = None;
        for (reason, token) in refused(&signer) {
            let series =
                format!(r#"tollgate_token_verifications_total{{result="{reason}",cache="miss"}}"#);
            let counted = || {
                let page = String::from_utf8(server.admin_get("/metrics").body).unwrap();
                let line = page.lines().find_map(|line| line.strip_prefix(&series));
                line.unwrap_or_else(|| panic!("no {series}")).trim().parse::<u64>().unwrap()
            };
            let before = counted();
            let answer = client.get(&url, &[("authorization", &bearer(&token))]).unwrap();
            assert_eq!(counted(), before + 1, "{reason}");
            let told = told(&answer);
            assert_eq!(told.0, 401, "{reason}");
            assert_eq!(told.1, r#"Bearer realm="tollgate", error="invalid_token""#, "{reason}");
            let first = first.get_or_insert_with(|| told.clone());
            assert_eq!(told, *first, "{reason}: every reason has the same response");
        }
        let alone = client.get(&url, &[("authorization", b"Bearer")]).unwrap();
        let invalid_request = r#"Bearer realm="tollgate", error="invalid_request""#;
        assert_eq!((told(&alone).0, &*told(&alone).1), (400, invalid_request));
        let query = client.get(&format!("{url}?access_token=x"), &[]).unwrap();
        assert_eq!((told(&query).0, &*told(&query).1), (400, invalid_request));
        let none = client.get(&url, &[]).unwrap();
        assert_eq!((told(&none).0, &*told(&none).1), (401, r#"Bearer realm="tollgate""#));
    }
}
