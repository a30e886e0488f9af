//! Every profile with no credentials, wrong ones and good ones, on both I/O drivers, seen by curl
//! through a running stack. The expectations stand in one table.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Curl, DRIVERS, Fetched, PROFILES, Up};

/// What a client comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// Nothing but the CA's certificate, to know the server.
    Bare,
    /// A good certificate, no token.
    CertificateOnly,
    /// A good token, no certificate.
    TokenOnly,
    /// A certificate from another CA, and a good token.
    StrangeCertificate,
    /// A good certificate and a token with one character changed.
    BrokenToken,
    /// A good certificate and a token that may only read inventory.
    WrongScope,
    /// A good certificate of a service that may not call the gateway, and a good token.
    WrongCaller,
    /// A good certificate and a good token.
    Good,
}

/// What such a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// An answer with this status.
    Status(u16),
    /// No answer: the TLS handshake fails.
    NoHandshake,
}

use Comes::*;
use Gets::{NoHandshake, Status};

/// What each profile in `PROFILES` gives, in that order, to `POST /api/orders`.
const TABLE: [(Comes, [Gets; 6]); 8] = {
    const OK: Gets = Status(201);
    const NO: Gets = Status(401);
    const BAN: Gets = Status(403);
    [
        (Bare, [OK, OK, NO, NoHandshake, NoHandshake, NoHandshake]),
        (CertificateOnly, [OK, OK, NO, OK, NO, NO]),
        (TokenOnly, [OK, OK, OK, NoHandshake, NoHandshake, NoHandshake]),
        (StrangeCertificate, [OK, OK, OK, NoHandshake, NoHandshake, NoHandshake]),
        (BrokenToken, [OK, OK, NO, OK, NO, NO]),
        (WrongScope, [OK, OK, OK, OK, OK, BAN]),
        (WrongCaller, [OK, OK, OK, OK, OK, BAN]),
        (Good, [OK, OK, OK, OK, OK, OK]),
    ]
};

const ORDER: &str = r#"{"customerId":"c-1","itemSkus":["SKU-1000"],"totalAmount":12.5}"#;

#[test]
fn every_profile_admits_by_its_table() {
    for (at, profile) in PROFILES.iter().enumerate() {
        for driver in DRIVERS {
            let up = Up::start(profile, &["--driver", driver]);
            let stranger = Stranger::make();
            for (comes, expected) in TABLE {
                let got = send(&up, &stranger, comes);
                let said = format!("{profile} on {driver}, {comes:?}: {got:?}");
                match expected[at] {
                    Status(status) => assert_eq!((got.exit, got.status), (0, status), "{said}"),
                    NoHandshake => assert!(got.exit != 0 && got.status == 0, "{said}"),
                }
                check_refusal(&got, &said);
            }
            check_driver(&up, driver);
        }
    }
}

/// Refusals follow RFC 6750, section 3, and RFC 9457.
fn check_refusal(got: &Fetched, said: &str) {
    if !matches!(got.status, 401 | 403) {
        return;
    }
    assert_eq!(got.field("content-type"), Some("application/problem+json"), "{said}");
    assert_eq!(got.json()["status"], got.status, "{said}");
    let challenge = got.field("www-authenticate");
    if got.status == 401 {
        assert!(challenge.is_some_and(|c| c.starts_with("Bearer")), "{said}");
    }
}

fn check_driver(up: &Up, asked: &str) {
    for service in ["auth", "inventory", "orders", "gateway"] {
        let epoll = up.metric(service, "tollgate_runtime_info", &["driver=\"epoll\""]);
        if asked == "epoll" {
            assert_eq!(epoll, 1.0, "{service} does not say that it runs on epoll");
        }
    }
}

fn send(up: &Up, stranger: &Stranger, comes: Comes) -> Fetched {
    // In S0 there is no certificate to present: curl ignores it on http URLs.
    let curl = up.curl("gateway", "/api/orders").json(ORDER);
    let curl = match comes {
        Bare | TokenOnly => curl,
        StrangeCertificate => stranger.present(curl),
        WrongCaller => {
            let mut curl = curl;
            curl.arg("--cert").arg(up.state().join("certs/inventory.crt"));
            curl.arg("--key").arg(up.state().join("certs/inventory.key"));
            curl
        }
        _ => up.with_certificate(curl, "bench-runner"),
    };
    let curl = match comes {
        Bare | CertificateOnly => curl,
        BrokenToken => curl.bearer(&broken(&up.token(None))),
        WrongScope => curl.bearer(&up.token(Some("inventory.read"))),
        _ => curl.bearer(&up.token(None)),
    };
    curl.run()
}

/// The token with one character of its payload changed.
fn broken(token: &str) -> String {
    let middle = token.find('.').unwrap() + 10;
    let other = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..middle], &token[middle + 1..])
}

/// A client whose certificate comes from a CA that nobody here knows, made by openssl.
struct Stranger {
    folder: tempfile::TempDir,
}

impl Stranger {
    fn make() -> Stranger {
        let folder = tempfile::tempdir().unwrap();
        let output = std::process::Command::new("openssl")
            .current_dir(folder.path())
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=stranger"])
            .args(["-addext", "extendedKeyUsage=clientAuth"])
            .args(["-addext", "subjectAltName=URI:spiffe://tollgate/bench-runner"])
            .args(["-keyout", "stranger.key", "-out", "stranger.crt"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Stranger { folder }
    }

    fn present(&self, mut curl: Curl) -> Curl {
        curl.arg("--cert").arg(self.folder.path().join("stranger.crt"));
        curl.arg("--key").arg(self.folder.path().join("stranger.key"));
        curl
    }
}
