//! `tollgate run` and `tollgate capacity` against everything that can be wrong: what was typed, the
//! files it names, the way to the server, the server itself. Each is a sentence, an exit code, and
//! an end in time. The servers are played by hand.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use authn::Transport;
use authn::material::{CertifiedKey, ServerMaterial, certificates};
use authn::pki::{Authority, CertificateRequest, Issued};
use authn::tls::{TlsOptions, server_config};
use rustls::pki_types::UnixTime;
use rustls::{ServerConnection, StreamOwned};

use common::play::{OK, Play, play};
use common::{json, tollgate};

/// Generous: a machine may be busy. A hang would last as long as the 60 s that are asked for below.
const WITHIN: Duration = Duration::from_secs(30);

/// Both commands, with options that make them short where they get that far.
const COMMANDS: [&[&str]; 2] = [
    &["run", "-d", "200ms", "--warmup", "100ms", "--timeout", "500ms", "-c", "2"],
    &["capacity", "--slice", "100ms", "--warmup", "100ms", "--timeout", "500ms", "-c", "2"],
];

/// Runs both commands with these words, and checks how each ends and what it says.
fn expect(words: &[&str], code: i32, parts: &[&str]) {
    for command in COMMANDS {
        let folder = tempfile::tempdir().unwrap();
        let result = folder.path().join("result");
        let output = ["-o", result.to_str().unwrap()];
        let begun = Instant::now();
        let ended = tollgate(&[command, words, &output].concat());
        let shown = fs::read_to_string(&result).unwrap_or_default();
        let said = format!("{}{shown}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(code), "{} {words:?}: {said}", command[0]);
        let acts = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!said.contains(acts), "{} {words:?} writes to a terminal: {said:?}", command[0]);
        assert!(!said.contains("hush"), "{} {words:?} shows a secret: {said}", command[0]);
        for part in parts {
            assert!(said.contains(part), "{} {words:?} does not say {part:?}: {said}", command[0]);
        }
        assert!(begun.elapsed() < WITHIN, "{words:?} took {:?}", begun.elapsed());
        if code == 2 {
            assert!(!result.exists(), "{words:?} left a result");
        }
    }
}

#[test]
fn what_was_typed_wrongly_is_named() {
    let url = "http://127.0.0.1:1/";
    for (words, part) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--timeout", "soon"], "soon"),
        (&["--warmup", "-1s"], "-1s"),
        (&["--arrivals", "bursts"], "bursts"),
        (&["--wait", "patiently"], "patiently"),
        (&["--driver", "kqueue"], "kqueue"),
        (&["--cores", "4000"], "4000"),
        (&["--cores", "x"], "x"),
        (&["--threads", "0"], "--threads"),
        (&["--connections", "many"], "many"),
        (&["--requests-per-connection", "0"], "--requests-per-connection"),
        (&["--body", "a", "--body-file", "b"], "--body-file"),
        (&["--header", "no colon"], "Name: value"),
        (&["--connect-to", "localhost"], "HOST:PORT"),
        (&["--connect-to", "::1"], "HOST:PORT"),
        (&["--server-name", "not a name"], "not a name"),
        (&["--server-pid", "1,x"], "1,x"),
        (&["--server-pid", "1", "--metrics-url", "http://h/"], "exclude each other"),
        (&["--metrics-url", "https://h/metrics"], "http URL"),
        (&["--cert", "only.crt"], "--key"),
        (&["--token-url", "http://h/"], "--client-id"),
        (&["--scope", "a"], "--token-url"),
        (&["--token-param", "audience=a"], "--token-url"),
        (&["--token-param", "audience"], "K=V"),
        (&["--token-param", "grant_type=password"], "grant_type"),
        (&["--token-param", "Client_Secret=hush"], "Client_Secret"),
        (&["-H", "Authorization: Bearer hush"], "--token-file"),
        (&["--header=aUTHORIZATION:hush"], "--token-file"),
        (&["-H", "Proxy-Authorization: Basic hush"], "-H @FILE"),
        (&["-H", "cookie: a=hush"], "-H @FILE"),
        (&["-H", "X-API-Key : hush"], "-H @FILE"),
        (&["--max-lateness-p99", "1"], "--max-lateness-p99"),
        (&["--min-achieved", "0.99"], "--min-achieved"),
        (&["--max-dropped", "none"], "--max-dropped"),
        (&["--max-steal", "200%"], "--max-steal"),
        (&["--max-foreign", "-1%"], "--max-foreign"),
        (&["--max-throttled", "1.5"], "--max-throttled"),
        (&["--max-errors", "few"], "--max-errors"),
        (&["--max-in-flight-growth", "-2"], "--max-in-flight-growth"),
        (&["--output-format", "xml"], "xml"),
    ] {
        expect(&[&[url], words].concat(), 2, &[part]);
    }
    for wrong in ["ftp://h/", "http://", "h:80", "http://u:p@h/", "http://[::1", "http://h/a b"] {
        expect(&[wrong], 2, &["URL"]);
    }
}

#[test]
fn numbers_outside_their_range_are_named() {
    let url = "http://127.0.0.1:1/";
    for (words, part) in [
        (&["capacity", url, "--slo", "p99"][..], "p99=2ms"),
        (&["capacity", url, "--slo", "p42=1ms"], "p42"),
        (&["capacity", url, "--confirm", "0"], "--confirm"),
        (&["capacity", url, "--resolution", "0%"], "--resolution"),
        (&["capacity", url, "--max-generator", "x"], "--max-generator"),
        (&["run", url, "--rate", "-1"], "--rate takes 0.001 to 100000000"),
        (&["run", url, "-R", "NaN"], "--rate takes 0.001 to 100000000"),
        (&["run", url, "-n", "0"], "--requests takes 1 or more"),
        (&["run", url, "-c", "0"], "connections"),
        (&["run", url, "-d", "0s"], "--duration"),
        (&["run", url, "--timeout", "0s"], "--timeout"),
        (&["capacity", url, "-c", "0"], "connections"),
        (&["capacity", url, "--slice", "0ms"], "--slice"),
        (&["matrix", "-R", "1e-9"], "0.001 to 100000000"),
        (&["matrix", "-c", "0"], "--connections"),
        (&["matrix", "--rounds", "0"], "rounds"),
        (&["matrix", "--instances", "0"], "instances"),
        (&["calibrate", "-R", "1e12"], "0.001 to 100000000"),
        (&["run", url, "--rate", "1", "--qps", "1"], "--qps"),
    ] {
        let output = tollgate(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pki = Pki::new();
    let (good, other) = (pki.client(1, false), pki.client(1, false));
    let expired = pki.client(1, true);
    let ca = write("ca.crt", pki.authority.cert_pem());
    let (cert, key) = (write("a.crt", &good.cert_pem), write("a.key", &good.key_pem));
    let other_key = write("b.key", &other.key_pem);
    let (old, old_key) = (write("old.crt", &expired.cert_pem), write("old.key", &expired.key_pem));
    let (garbage, empty) = (write("garbage", "not PEM"), write("empty", ""));
    let requests = write("requests", "{\"path\": \"/a\"}\n{\"path\": oops}\n");
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let url = "https://127.0.0.1:1/";
    let with = |words: &[&str], parts: &[&str]| {
        expect(&[&[url, "--cacert", &ca], words].concat(), 1, parts);
    };
    expect(&[url, "--cacert", &missing], 1, &["missing", "No such file"]);
    expect(&[url, "--cacert", &garbage], 1, &["authorities", "BEGIN CERTIFICATE"]);
    with(&["--cert", &missing, "--key", &key], &["missing"]);
    with(&["--cert", &garbage, "--key", &key], &["--cert", "BEGIN CERTIFICATE"]);
    with(&["--cert", &cert, "--key", &garbage], &["--key", "private key"]);
    with(&["--cert", &cert, "--key", &other_key], &["does not belong to the certificate"]);
    with(
        &["--cert", &old, "--key", &old_key],
        &["--cert", "the certificate ended on", "issue a new one"],
    );
    with(&["--token-file", &missing], &["missing"]);
    with(&["--token-file", &empty], &["empty"]);
    let quoted = write("quoted", "\"hush\"\n");
    with(&["--token-file", &quoted], &["quoted", "in quotes"]);
    let two = write("two", "hush\nhush\n");
    with(&["--token-file", &two], &["two", "several lines"]);
    let client = ["--token-url", url, "--client-id", "a", "--client-secret-file"];
    with(&[&client[..], &[&two]].concat(), &["two", "several lines"]);
    with(&["--body-file", &missing], &["missing"]);
    with(&["--header", &format!("@{missing}")], &["missing"]);
    with(&["--requests-file", &requests], &["requests, line 2", "JSON"]);
    with(&["--requests-file", &empty], &["holds no request"]);
}

#[test]
fn an_unreachable_server_is_reported_with_what_to_do() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("http://{nobody}/");
    expect(&[&refused], 1, &["connection refused", "whether the server runs"]);
    expect(&["http://nowhere.invalid/"], 1, &["nowhere.invalid has no address", "--connect-to"]);
    let elsewhere = ["http://127.0.0.1/", "--connect-to", "nowhere.invalid:80"];
    expect(&elsewhere, 1, &["--connect-to", "nowhere.invalid has no address"]);
    let there = play(|s| s.write_all(OK).is_ok());
    expect(&[&there, "--server-pid", "4194303"], 1, &["4194303", "--server-pid"]);
    let metrics = format!("http://{nobody}/metrics");
    expect(&[&there, "--metrics-url", &metrics], 1, &["metrics of", "--metrics-url"]);
    expect(&[&there, "--metrics-url", &there], 1, &["Prometheus metrics page"]);
}

/// A target that notices whether it was ever called.
fn uncalled() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (directory, file, fifo) = (path(""), path("file"), path("fifo"));
    fs::write(&file, "kept").unwrap();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (listener, url) = uncalled();
    for place in [&directory, &path("file/x"), &fifo] {
        for words in [
            &["run", &url, "-o", place][..],
            &["run", &url, "--hlog", place],
            &["capacity", &url, "-o", place],
            &["calibrate", "--quick", "-o", place],
            &["flame", "-o", place],
            &["flame", "-o", &path("graph"), "--folded", place],
        ] {
            let output = tollgate(words);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
            assert!(said.contains(place.as_str()) && output.stdout.is_empty(), "{words:?}: {said}");
        }
    }
    let output = tollgate(&["flame", "-o", &path("missing/x")]);
    assert!(output.status.code() == Some(1) && !folder.path().join("missing").exists());
    let output = tollgate(&["matrix", "--quick", "-o", &file]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains(&file), "{said}");
    assert!(listener.accept().is_err(), "the target was called");
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert!(!folder.path().join("graph").exists());
}

#[test]
fn a_result_that_cannot_be_written_is_printed_and_kept() {
    let url = play(|s| s.write_all(OK).is_ok());
    let folder = tempfile::tempdir().unwrap();
    for (flag, printed) in [("-o", true), ("--hlog", false)] {
        let output = common::command(&[])
            .args(["run", &url, "-d", "100ms", "-c", "1", "--warmup", "0"])
            .args(["--output-format", "json", flag, "/dev/full"])
            .env("TMPDIR", folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(json(&output)["requests"]["ok"].as_u64().unwrap() > 0, "{said}");
        assert!(said.contains("/dev/full"), "{said}");
        let kept = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert!(said.contains(kept.to_str().unwrap()), "{said}");
        let bytes = fs::read(&kept).unwrap();
        assert_eq!(bytes == output.stdout, printed);
        assert!(printed || String::from_utf8(bytes).unwrap().contains("Tag=response"));
        fs::remove_file(&kept).unwrap();
    }
}

/// What is wrong, by its name, and what is said about it.
const WRONG: [(&str, Play, &[&str]); 11] = [
    (
        "slowly",
        |s| {
            thread::sleep(Duration::from_secs(60));
            s.write_all(OK).is_ok()
        },
        &["no reply in time", "no reply within 500ms"],
    ),
    (
        "nothing",
        |_| {
            thread::sleep(Duration::from_secs(60));
            false
        },
        &["no reply in time"],
    ),
    ("garbage", |s| s.write_all(b"220 mail.example ESMTP\r\n\r\n").is_ok(), &["malformed reply"]),
    (
        "endless headers",
        |s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\n");
            while s.write_all(b"X-Padding: 01234567890123456789\r\n").is_ok() {}
            false
        },
        &["malformed reply"],
    ),
    (
        "an endless body",
        |s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while s.write_all(b"4\r\nmore\r\n").is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
            false
        },
        &["no reply in time"],
    ),
    (
        "a body byte by byte",
        |s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            while s.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            false
        },
        &["no reply in time"],
    ),
    ("its end", |_| false, &["closed before the reply was whole"]),
    (
        "a cut body",
        |s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut");
            false
        },
        &["closed before the reply was whole"],
    ),
    (
        "a redirect",
        |s| s.write_all(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").is_ok(),
        &["status 302", "redirects are not followed"],
    ),
    (
        "a refused token",
        |s| s.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").is_ok(),
        &["status 401"],
    ),
    (
        "a refused client",
        |s| s.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").is_ok(),
        &["status 403"],
    ),
];

#[test]
fn a_server_with_wrong_responses_is_reported_in_time() {
    for (name, does, parts) in WRONG {
        let url = play(does);
        expect(&[&url, "--label", name], 1, &[&["INVALID"], parts].concat());
    }
}

#[test]
fn more_than_was_asked_for_is_noted_and_no_error() {
    let url = play(|s| s.write_all(&[OK, OK].concat()).is_ok());
    let output = tollgate(&["run", &url, "-d", "100ms", "-c", "1", "--warmup", "0"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("bytes after a whole reply that no request had asked for"), "{said}");
    assert!(said.contains(" good replies, 0 errors"), "{said}");
}

#[test]
fn statuses_come_with_what_to_do() {
    let unauthorized =
        play(|s| s.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").is_ok());
    let output = tollgate(&["run", &unauthorized, "-d", "100ms", "-c", "1", "--warmup", "0"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("--token-file"), "{said}");
}

#[test]
fn a_refused_token_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "hush-hush\n").unwrap();
    let there = play(|s| s.write_all(OK).is_ok());
    let refusing = play(|s| {
        let body = r#"{"error":"invalid_client","error_description":"who\u001b[2J are\u202e you"}"#;
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json";
        let reply = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        s.write_all(reply.as_bytes()).is_ok()
    });
    let silent = play(|_| {
        thread::sleep(Duration::from_secs(60));
        false
    });
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{nobody}/");
    let refused: &[&str] = &["no token from", "status 401", "invalid_client: who"];
    for (endpoint, parts) in [
        (&refusing, refused),
        (&silent, &["no token from", "the time ran out"]),
        (&there, &["no token from"]),
        (&nobody, &["no token from", "connection refused"]),
    ] {
        let secret = secret.to_str().unwrap();
        let client = ["--client-id", "bench", "--client-secret-file", secret];
        expect(&[&[&there, "--token-url", endpoint][..], &client].concat(), 1, parts);
    }
}

/// Replies to a token request with this body.
fn grant(stream: &mut TcpStream, body: &str) -> bool {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8";
    let reply = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(reply.as_bytes()).is_ok()
}

#[test]
fn every_form_of_a_token_response_serves_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "hush-hush\r\n").unwrap();
    let there = play(|s| s.write_all(OK).is_ok());
    let large = play(|s| {
        let others = "x".repeat(63 * 1024);
        grant(s, &format!(r#"{{"access_token":"abc","id_token":"{others}"}}"#))
    });
    let odd = play(|s| grant(s, r#"{"access_token":"abc","expires_in":0,"token_type":"BEARER"}"#));
    let endless = play(|s| grant(s, r#"{"access_token":"abc","expires_in":9223372036854775807}"#));
    for (endpoint, note) in
        [(&large, "good replies"), (&odd, "`expires_in`"), (&endless, "good replies")]
    {
        let secret = secret.to_str().unwrap();
        let client = ["--client-id", "bench", "--client-secret-file", secret];
        let rest = ["--token-param", "audience=a", "-d", "100ms", "-c", "1", "--warmup", "0"];
        let words = [&["run", &there, "--token-url", endpoint], &client[..], &rest].concat();
        let output = tollgate(&words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(note) && said.contains("0 errors"), "{words:?}: {output:?}");
    }
    let huge = play(|s| grant(s, &" ".repeat(64 * 1024 + 1)));
    let secret = secret.to_str().unwrap();
    let client = ["--token-url", &huge, "--client-id", "bench", "--client-secret-file", secret];
    expect(&[&[&there[..]], &client[..]].concat(), 1, &["larger than 64 KiB"]);
}

/// A certificate authority with what it issued.
struct Pki {
    authority: Authority,
    now_s: u64,
}

impl Pki {
    /// When a certificate of a day begins, which has ended by now or not.
    fn from(&self, expired: bool) -> UnixTime {
        let from_s = if expired { self.now_s - 86_400 * 10 } else { self.now_s };
        UnixTime::since_unix_epoch(Duration::from_secs(from_s))
    }

    fn new() -> Pki {
        let now_s = UnixTime::now().as_secs();
        let long_ago = UnixTime::since_unix_epoch(Duration::from_secs(now_s - 86_400 * 30));
        Pki { authority: Authority::create("test CA", long_ago).unwrap(), now_s }
    }

    fn client(&self, days: u32, expired: bool) -> Issued {
        let request = CertificateRequest {
            name: "client",
            dns: &[],
            ips: &[],
            spiffe: true,
            server: false,
            client: true,
            days,
        };
        let from = self.from(expired);
        self.authority.issue(&request, from).unwrap()
    }

    /// Starts a TLS server for `localhost` and returns its port.
    fn serve(&self, transport: Transport, expired: bool) -> u16 {
        let request = CertificateRequest {
            name: "server",
            dns: &["localhost"],
            ips: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            spiffe: false,
            server: true,
            client: false,
            days: 1,
        };
        let from = self.from(expired);
        let issued = self.authority.issue(&request, from).unwrap();
        let (cert, key) = (issued.cert_pem.as_bytes(), issued.key_pem.as_bytes());
        let material = ServerMaterial {
            identity: CertifiedKey::from_pem(cert, key).unwrap(),
            client_ca: certificates(self.authority.cert_pem().as_bytes()).unwrap(),
            crls: Vec::new(),
        };
        let options = TlsOptions { resumption: false };
        let config = server_config(Some(&material), transport, &options).unwrap().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                thread::spawn(move || answer(StreamOwned::new(tls, socket)));
            }
        });
        port
    }
}

fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|count| count > 0) {
        if stream.write_all(OK).is_err() {
            return;
        }
    }
}

#[test]
fn tls_that_fails_names_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (pki, stranger) = (Pki::new(), Pki::new());
    let ca = write("ca.crt", pki.authority.cert_pem());
    let other_ca = write("other-ca.crt", stranger.authority.cert_pem());
    let unknown = stranger.client(1, false);
    let (cert, key) = (write("c.crt", &unknown.cert_pem), write("c.key", &unknown.key_pem));
    let plain = pki.serve(Transport::Tls, false);
    let mutual = pki.serve(Transport::Mutual, false);
    let old = pki.serve(Transport::Tls, true);
    let url = |port: u16| format!("https://localhost:{port}/");

    expect(&[&url(plain), "--cacert", &other_ca], 1, &["peer's certificate was refused"]);
    expect(&[&url(old), "--cacert", &ca], 1, &["peer's certificate was refused", "expired"]);
    let name = ["--server-name", "elsewhere.example"];
    expect(&[&[url(plain).as_str(), "--cacert", &ca], &name[..]].concat(), 1, &["certificate"]);
    expect(&[&url(mutual), "--cacert", &ca], 1, &["alert", "wants a client certificate"]);
    let identity = ["--cert", &cert, "--key", &key];
    expect(&[&[url(mutual).as_str(), "--cacert", &ca], &identity[..]].concat(), 1, &["alert"]);
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = http.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in http.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    expect(&[&url(port), "--cacert", &ca], 1, &["does not speak TLS"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = url(silent.local_addr().unwrap().port());
    expect(&[&silent, "--cacert", &ca], 1, &["did not answer in time", "--timeout"]);

    // And with everything right it works, by way of an address that the URL does not name.
    let to = format!("127.0.0.1:{plain}");
    let output = tollgate(&[
        "run",
        "https://elsewhere.example/",
        "--connect-to",
        &to,
        "--server-name",
        "localhost",
        "--cacert",
        &ca,
        "-d",
        "200ms",
        "-c",
        "2",
        "--output-format",
        "json",
    ]);
    let result = json(&output);
    assert!(result["requests"]["ok"].as_u64().unwrap() > 0, "{result}");
    assert_eq!(result["requests"]["errors"], 0, "{result}");
}

/// A server that openssl plays in a folder, by its configuration; ends with this.
struct Openssl(Child, u16);

impl Openssl {
    fn serve(folder: &Path, arguments: &str) -> Openssl {
        let weak = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n\
                    Options = -ExtendedMasterSecret\n";
        fs::write(folder.join("weak.cnf"), weak).unwrap();
        let mut child = Command::new("openssl")
            .args("s_server -accept 127.0.0.1:0 -cert own.crt -key own.key -www".split(' '))
            .args(arguments.split(' '))
            .current_dir(folder)
            .env("OPENSSL_CONF", folder.join("weak.cnf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the openssl program; install the package openssl");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .filter_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok())
            .next();
        Openssl(child, port.expect("openssl says where it listens"))
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A stranger's server need not be what a service of ours would talk to: its certificate may be
/// its own CA's, and TLS 1.2 may lack the extended master secret. The result says so.
#[test]
fn a_strangers_server_is_measured_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let own = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key \
               -out own.crt -days 2 -subj /CN=own -addext subjectAltName=DNS:localhost";
    let made = Command::new("openssl")
        .args(own.split_whitespace())
        .current_dir(folder.path())
        .output()
        .expect("this test needs the openssl program; install the package openssl");
    assert!(made.status.success(), "{made:?}");
    let cert = folder.path().join("own.crt");
    for (arguments, unbound) in [("-tls1_2", true), ("-tls1_3", false)] {
        let server = Openssl::serve(folder.path(), arguments);
        let url = format!("https://localhost:{}/", server.1);
        let short = ["--warmup", "0", "-d", "100ms", "-c", "1", "--output-format", "json"];
        let words = [&["run", &url, "--cacert", cert.to_str().unwrap()][..], &short].concat();
        let result = json(&tollgate(&words));
        assert!(result["requests"]["ok"].as_u64().unwrap() > 0, "{result}");
        let notes = result["notes"].to_string();
        assert_eq!(notes.contains("RFC 7627"), unbound, "{arguments}: {notes}");
    }
}
