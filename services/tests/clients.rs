//! Clients at the token endpoint through real sockets, on both drivers: each way to prove who they
//! are, by strangers' tools where there are any; what failed attempts cost; and their list as a
//! file that changes, breaks, or comes from an older version.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use authn::grant::{
    ClientSecret, PasswordHash, TokenResponse, basic_authorization, generate_secret,
};
use authn::{Algorithm, Expected, KeySet, Profile, Signer};
use runtime::DriverChoice;
use runtime::blocking::Response;
use services::AuthConfig;

use support::{Client, DRIVERS, ISSUER, Lab, SOON, Server, now, start};

const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");
const GOOD: &str = "grant_type=client_credentials";

fn auth(lab: &Lab, label: &str, driver: DriverChoice) -> Server {
    let settings = AuthConfig { token_ttl: Duration::from_secs(120), ..AuthConfig::default() };
    let mut config = lab.config(settings, Profile::parse(label).unwrap());
    config.driver = driver;
    config.leeway = Duration::ZERO;
    start(config)
}

fn client(lab: &Lab, label: &str, name: Option<&str>) -> Client {
    lab.client(Profile::parse(label).unwrap().transport, name)
}

fn ask(client: &Client, server: &Server, basic: Option<(&str, &str)>, form: &str) -> Response {
    post(client, server, "token", basic, form)
}

fn post(
    client: &Client,
    server: &Server,
    endpoint: &str,
    basic: Option<(&str, &str)>,
    form: &str,
) -> Response {
    let authorization = basic.map(|(id, secret)| basic_authorization(id, secret));
    let mut fields = vec![FORM];
    fields.extend(authorization.as_ref().map(|value| ("authorization", value.as_bytes())));
    let url = format!("{}/oauth2/{endpoint}", server.url());
    client.request("POST", &url, &fields, form.as_bytes()).unwrap()
}

fn secret(lab: &Lab, client: &str) -> String {
    String::from_utf8(lab.read(&format!("clients/{client}.secret"))).unwrap()
}

/// One client `job` with these members.
fn job(lab: &Lab, members: &str) {
    let text = format!("[[clients]]\nid = \"job\"\nscopes = [\"orders.read\"]\n{members}\n");
    lab.write("auth/clients.toml", text.as_bytes());
}

/// A random secret, and the members of an entry that has it.
fn random_secret() -> (String, String) {
    let new = generate_secret().unwrap();
    let hash = ClientSecret::Random(new.hash);
    let members = format!("auth_methods = [\"client_secret_basic\"]\nsecret = \"{hash}\"\n");
    (new.secret.to_string(), members)
}

fn wait_s(answer: &Response) -> u64 {
    let value = std::str::from_utf8(answer.field("retry-after").unwrap()).unwrap();
    value.parse().unwrap()
}

#[test]
fn guessing_a_secret_is_held_up_and_nobody_else_is() {
    let lab = Lab::new();
    for driver in DRIVERS {
        let server = auth(&lab, "S2", driver);
        let client = client(&lab, "S2", None);
        let order = secret(&lab, "service-order");
        let runner = secret(&lab, "bench-runner");
        assert_eq!(ask(&client, &server, Some(("service-order", &order)), GOOD).status, 200);
        for _ in 0..10 {
            let wrong = ask(&client, &server, Some(("bench-runner", "guess")), GOOD);
            assert_eq!((wrong.status, wrong.field("retry-after")), (401, None));
        }
        for guess in ["guess", &runner] {
            let held_up = ask(&client, &server, Some(("bench-runner", guess)), GOOD);
            assert_eq!(held_up.status, 429);
            assert!((1..=61).contains(&wait_s(&held_up)));
            assert!(held_up.body.starts_with(br#"{"error":"temporarily_unavailable""#));
        }
        // Then the whole address is: an unknown id is told so too, a client that was there is not.
        let deadline = Instant::now() + SOON;
        for n in 0.. {
            let id = format!("nobody{}", n / 10);
            if ask(&client, &server, Some((&id, "guess")), GOOD).status == 429 {
                assert!(n >= 80, "held up after {n} more");
                break;
            }
            assert!(n < 100 && Instant::now() < deadline, "the address is never held up");
        }
        assert_eq!(ask(&client, &server, Some(("new", "guess")), GOOD).status, 429);
        for _ in 0..20 {
            assert_eq!(ask(&client, &server, Some(("service-order", &order)), GOOD).status, 200);
        }
    }
}

/// Makes an assertion with openssl and sends it with curl; prints the response and its status.
const SIGN_AND_SEND: &str = r#"
b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
head=$(printf '{"alg":"RS256","typ":"JWT"}' | b64)
claims=$(printf '{"iss":"job","sub":"job","aud":"%s","iat":%d,"exp":%d,"jti":"%s"}' \
    "$AUD" "$now" $((now + 60)) "$JTI" | b64)
signature=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -binary -sign "$KEY" | b64)
curl --silent --show-error --cacert "$CA" --write-out '\n%{http_code}' "$URL/oauth2/token" \
    --data grant_type=client_credentials \
    --data client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    --data "client_assertion=$head.$claims.$signature"
"#;

struct Assertions {
    url: String,
    key: PathBuf,
    ca: PathBuf,
}

impl Assertions {
    /// The status and the body of the response.
    fn send(&self, audience: &str, id: &str) -> (String, String) {
        let output = Command::new("sh")
            .args(["-euc", SIGN_AND_SEND])
            .env("URL", &self.url)
            .env("KEY", &self.key)
            .env("CA", &self.ca)
            .env("AUD", audience)
            .env("JTI", id)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_string(), body.to_string())
    }
}

#[test]
fn a_client_is_known_by_an_assertion_that_openssl_signed_and_curl_sent() {
    let lab = Lab::new();
    let path = |name: &str| lab.path().join(name);
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(path("job.key"))
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let signer = Signer::from_pem(Algorithm::Rs256, &lab.read("job.key"), None).unwrap();
    let jwks = KeySet::of([&signer]).unwrap().to_json();
    job(&lab, &format!("auth_methods = [\"private_key_jwt\"]\njwks = '{jwks}'"));
    for driver in DRIVERS {
        let server = auth(&lab, "S2", driver);
        let (key, ca) = (path("job.key"), path("ca/ca.crt"));
        let assertions = Assertions { url: server.url(), key, ca };
        // One that is made in the second of the start may be from before it.
        let deadline = Instant::now() + SOON;
        let mut sent = 0;
        let body = loop {
            sent += 1;
            let (status, body) = assertions.send(ISSUER, &sent.to_string());
            if status == "200" {
                break body;
            }
            assert!(body.contains("before the server's start"), "{status} {body}");
            assert!(Instant::now() < deadline, "{status} {body}");
        };
        assert!(TokenResponse::parse(body.as_bytes()).is_ok(), "{body}");
        let (status, body) = assertions.send(ISSUER, &sent.to_string());
        assert!(status == "401" && body.contains("has been used"), "{status} {body}");
        let endpoint = format!("{ISSUER}/oauth2/token");
        assert_eq!(assertions.send(&endpoint, "endpoint").0, "200");
        let (status, body) = assertions.send(&format!("{ISSUER}/oauth2/revoke"), "other");
        assert!(status == "401" && body.contains("aud of the assertion"), "{status} {body}");
        // It is never held up, whatever others guess.
        let guesser = client(&lab, "S2", None);
        for _ in 0..11 {
            ask(&guesser, &server, Some(("job", "guess")), GOOD);
        }
        assert_eq!(ask(&guesser, &server, Some(("job", "guess")), GOOD).status, 429);
        assert_eq!(assertions.send(ISSUER, "after").0, "200");
    }
}

#[test]
fn a_certificate_that_curl_shows_proves_its_client_under_mutual_tls_only() {
    let lab = Lab::new();
    job(&lab, "auth_methods = [\"tls_client_auth\"]\ncertificates = [\"service-order\"]");
    let curl = |server: &Server, name: &str| {
        let file = |end: &str| lab.path().join(format!("clients/{name}.{end}"));
        let output = Command::new("curl")
            .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .arg("--cacert")
            .arg(lab.path().join("ca/ca.crt"))
            .arg("--cert")
            .arg(file("crt"))
            .arg("--key")
            .arg(file("key"))
            .args(["--data", "client_id=job", "--data", GOOD])
            .arg(format!("{}/oauth2/token", server.url()))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for driver in DRIVERS {
        let mutual = auth(&lab, "S5", driver);
        assert_eq!(curl(&mutual, "service-order"), "200");
        assert_eq!(curl(&mutual, "bench-runner"), "401");
        assert_eq!(curl(&mutual, "stranger"), "401");
        let tls = auth(&lab, "S2", driver);
        assert_eq!(curl(&tls, "service-order"), "401", "nobody asked for the certificate");
    }
}

#[test]
fn chosen_secrets_are_checked_beside_the_core_and_more_than_four_are_refused() {
    let lab = Lab::new();
    let hash = PasswordHash::derive(b"correct horse").unwrap();
    job(&lab, &format!("auth_methods = [\"client_secret_basic\"]\nsecret = \"{hash}\""));
    for driver in DRIVERS {
        let server = auth(&lab, "S2", driver);
        let client = client(&lab, "S2", None);
        let ask = |secret: &str| ask(&client, &server, Some(("job", secret)), GOOD);
        let (mut granted, mut busy) = (0, 0);
        let deadline = Instant::now() + 6 * SOON;
        // Eight at a time meet sooner or later, however late some of them come.
        while granted == 0 || busy == 0 {
            assert!(Instant::now() < deadline, "{granted} granted, {busy} refused");
            thread::scope(|scope| {
                let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| ask("correct horse"))).collect();
                // The one core still serves.
                let url = format!("{}/.well-known/jwks.json", server.url());
                assert_eq!(client.get(&url, &[]).unwrap().status, 200);
                for answer in asking.into_iter().map(|thread| thread.join().unwrap()) {
                    match answer.status {
                        200 => granted += 1,
                        503 => {
                            assert_eq!(wait_s(&answer), 1);
                            busy += 1;
                        }
                        other => panic!("{other}"),
                    }
                }
            });
        }
        assert_eq!(ask("wrong horse").status, 401);
    }
}

#[test]
fn the_list_is_read_again_when_it_changes_and_kept_when_it_breaks() {
    let lab = Lab::new();
    let (secret, members) = random_secret();
    let with = |ttl: &str| job(&lab, &format!("{members}{ttl}"));
    with("");
    for driver in DRIVERS {
        with("");
        let server = auth(&lab, "S2", driver);
        let client = client(&lab, "S2", None);
        let life = || {
            let answer = ask(&client, &server, Some(("job", &secret)), GOOD);
            (answer.status == 200)
                .then(|| TokenResponse::parse(&answer.body).unwrap().ttl.as_secs())
        };
        assert_eq!(life(), Some(120), "the flag's, where the list says nothing");
        with("token_ttl_s = 60");
        let deadline = Instant::now() + SOON;
        while life() != Some(60) {
            assert!(Instant::now() < deadline, "the list is never read again");
        }
        job(&lab, "broken = true");
        assert_eq!(life(), Some(60));
        lab.write("auth/clients.toml", b"");
        fs::remove_file(lab.path().join("auth/clients.toml")).unwrap();
        with("token_ttl_s = 30");
        while life() != Some(30) {
            assert!(Instant::now() < deadline + SOON, "the list is never read again");
        }
    }
}

#[test]
fn a_list_of_an_older_version_is_converted_once_and_kept() {
    let lab = Lab::new();
    // The secret is 0123456789.
    let legacy = r#"{"token_ttl_s": 600, "clients": [{"id": "service-order",
        "scope": "inventory.write", "secret": {"salt": "AAECAwQFBgcICQoLDA0ODw",
        "sha256": "QvbXb9gbAdfwnacLOWy8SGS3Ew-SN9RBVJ6gUILkJks"}}]}"#;
    lab.write("auth/clients.json", legacy.as_bytes());
    let client = client(&lab, "S2", None);
    let mut lists = Vec::new();
    for driver in DRIVERS {
        let server = auth(&lab, "S2", driver);
        let answer = ask(&client, &server, Some(("service-order", "0123456789")), GOOD);
        assert_eq!(TokenResponse::parse(&answer.body).unwrap().ttl.as_secs(), 120);
        assert!(!lab.path().join("auth/clients.json").exists());
        assert_eq!(lab.read("auth/clients.json.converted"), legacy.as_bytes());
        lists.push(lab.read("auth/clients.toml"));
    }
    assert_eq!(lists[0], lists[1], "it is converted once");
    assert!(!lab.path().join("clients/service-order.secret").exists(), "nothing else is made");
}

#[test]
fn resources_narrow_the_audiences_and_scopes_the_permissions() {
    let lab = Lab::new();
    let (secret, members) = random_secret();
    job(
        &lab,
        &format!(
            "{members}audiences = [\"gateway\"]\n[clients.resources]\n\
             \"https://shop.example/orders\" = [\"gateway\", \"orders\"]"
        ),
    );
    for driver in DRIVERS {
        let server = auth(&lab, "S2", driver);
        let client = client(&lab, "S2", None);
        let jwks = client.get(&format!("{}/.well-known/jwks.json", server.url()), &[]).unwrap();
        let accepted = |form: &str| {
            let answer = ask(&client, &server, Some(("job", &secret)), form);
            let token = TokenResponse::parse(&answer.body).unwrap().token;
            let by = |audience: &&&str| {
                let keys = KeySet::parse(&jwks.body).unwrap();
                let expected =
                    Expected { leeway: Duration::ZERO, ..Expected::new(ISSUER, **audience) };
                expected.verifier(keys).verify(token.as_bytes(), now()).is_ok()
            };
            ["gateway", "orders", "tollgate"].iter().filter(by).copied().collect::<Vec<_>>()
        };
        assert_eq!(accepted(GOOD), ["gateway"]);
        let resource = format!("{GOOD}&resource=https%3A%2F%2Fshop.example%2Forders");
        assert_eq!(accepted(&resource), ["gateway", "orders"]);
        for (form, error) in [
            ("resource=https://x.example", "invalid_target"),
            ("scope=orders.write", "invalid_scope"),
        ] {
            let form = format!("{GOOD}&{form}");
            let answer = ask(&client, &server, Some(("job", &secret)), &form);
            let body = String::from_utf8(answer.body).unwrap();
            assert!(answer.status == 400 && body.contains(error), "{body}");
        }
    }
}

#[test]
fn a_client_revokes_its_own_tokens_and_learns_of_them() {
    let lab = Lab::new();
    let (secret, members) = random_secret();
    let entry = |(id, scope): (&str, &str)| {
        let audiences = "audiences = [\"elsewhere\"]";
        format!("[[clients]]\nid = \"{id}\"\nscopes = [\"{scope}\"]\n{audiences}\n{members}")
    };
    let list = [("job", "orders.read"), ("gate", "tokens.introspect"), ("other", "orders.read")];
    let list: String = list.map(entry).concat();
    lab.write("auth/clients.toml", list.as_bytes());
    for driver in DRIVERS {
        let server = auth(&lab, "S2", driver);
        let client = client(&lab, "S2", None);
        let issue = || {
            let answer = ask(&client, &server, Some(("job", &secret)), GOOD);
            TokenResponse::parse(&answer.body).unwrap().token.to_string()
        };
        let about = |endpoint: &str, id: &str, form: &str| {
            let answer = post(&client, &server, endpoint, Some((id, &secret)), form);
            assert_eq!(answer.field("cache-control"), Some(b"no-store".as_slice()));
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            (answer.status, body)
        };
        let (token, kept) = (issue(), issue());
        let form = format!("token={token}&token_type_hint=access_token");
        let inactive = (200, serde_json::json!({"active": false}));
        for id in ["job", "gate"] {
            let (status, body) = about("introspect", id, &form);
            assert_eq!(
                (status, &body["active"], &body["client_id"]),
                (200, &true.into(), &"job".into())
            );
            assert_eq!(body["aud"], "elsewhere");
        }
        assert_eq!(about("introspect", "other", &form), inactive);
        assert_eq!(about("introspect", "gate", "token=a.b.c"), inactive);

        let (status, body) = about("revoke", "other", &form);
        assert_eq!((status, &body["error"]), (400, &"unauthorized_client".into()));
        assert_eq!(about("introspect", "job", &form).1["active"], true);
        for form in [&form, &form, "token=a.b.c"] {
            assert_eq!(about("revoke", "job", form), (200, serde_json::json!({})));
        }
        assert_eq!(about("introspect", "job", &form), inactive);
        assert_eq!(about("introspect", "gate", &form), inactive);
        assert_eq!(about("introspect", "job", &format!("token={kept}")).1["active"], true);

        for endpoint in ["introspect", "revoke"] {
            let (status, body) = about(endpoint, "job", "x=y");
            assert_eq!((status, &body["error"]), (400, &"invalid_request".into()));
            let wrong = post(&client, &server, endpoint, Some(("job", "x")), &form);
            assert_eq!(wrong.status, 401);
            assert_eq!(post(&client, &server, endpoint, None, &form).status, 401);
        }
    }
}
