//! Does one named path so many times, for `benches/instructions.py` to count its instructions under
//! valgrind. Without a name it prints the names.
//!
//! What is counted is what happens within `tollgate_counted_step`, which is the server's part:
//! keys, certificates, the client's work and a connection's first requests stay outside. It
//! measures no time and prints no figure; left out is what `request_path.rs` leaves out, and cache
//! misses and mispredicted branches besides. Counts must not be compared with those of another
//! processor: ring and the C library choose their code by what valgrind says the processor can do,
//! which is less than what a new one can.

mod support;

use std::process::ExitCode;

use authn::policy::authorize;
use authn::{
    Algorithm, Callers, Credentials, OwnerRule, Presented, Profile, Route, Scope, TokenCheck,
    Transport,
};
use proto_http::{FieldLines, Limits, OutgoingBody, OutgoingResponse, Server};
use runtime::memory::on_core;

use support::{BenchRequest, Lab, Rig, Tokens, request};

/// Steps that are done before any is counted: buffers have grown, caches and tables are in use.
const WARM_UP: u64 = 64;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// The only function whose instructions are counted; the script knows it by name.
#[inline(never)]
fn tollgate_counted_step(step: &mut dyn FnMut()) {
    step();
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Path {
    /// A request's way through a service under a profile.
    Request(BenchRequest, Profile, Tokens),
    /// A record of so many bytes in, and one out.
    Record(usize),
    /// Reading a request, the token included, and writing an answer of 100 bytes.
    Http,
    /// The policy's decision where it looks at everything.
    Authorize,
}

/// All names, in the order of the table.
fn paths() -> Vec<(String, Path)> {
    let mut paths = Vec::new();
    for (name, ask) in BenchRequest::ALL {
        for (label, profile) in Profile::NAMED {
            paths.push((format!("{label} {name}"), Path::Request(ask, profile, Tokens::Cached)));
        }
    }
    for (label, profile) in Profile::NAMED.iter().filter(|(label, _)| ["S2", "S4"].contains(label))
    {
        let path = Path::Request(BenchRequest::PingGet, *profile, Tokens::Uncached);
        paths.push((format!("{label} ping, uncached"), path));
    }
    paths.push(("http".to_string(), Path::Http));
    paths.push(("authorize".to_string(), Path::Authorize));
    for bytes in [128, 1024, 16 * 1024] {
        paths.push((format!("tls record, {bytes} bytes"), Path::Record(bytes)));
    }
    paths
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let paths = paths();
    if arguments.is_empty() {
        paths.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let [name, count] = &arguments[..] else {
        return usage("give the name of a path and how often, or nothing for the names");
    };
    let Some((_, path)) = paths.iter().find(|(known, _)| known == name) else {
        return usage("there is no such path; without arguments their names are printed");
    };
    let Ok(count) = count.parse() else {
        return usage("how often must be a whole number");
    };
    follow(*path, count);
    ExitCode::SUCCESS
}

fn usage(what: &str) -> ExitCode {
    eprintln!("steps: {what}");
    ExitCode::from(2)
}

fn follow(path: Path, count: u64) {
    match path {
        Path::Request(ask, profile, tokens) => requests(ask, profile, tokens, count),
        Path::Record(bytes) => records(bytes, count),
        Path::Http => exchanges(count),
        Path::Authorize => decisions(count),
    }
}

/// Does a step again and again, counted once it is warm.
fn step(number: u64, mut step: impl FnMut()) {
    if number < WARM_UP { step() } else { tollgate_counted_step(&mut step) }
}

fn requests(ask: BenchRequest, profile: Profile, tokens: Tokens, count: u64) {
    let lab = Lab::new(Algorithm::Es256);
    let served = on_core(|core| {
        let mut rig = Rig::new(core, &lab, profile, tokens, ask);
        for number in 0..WARM_UP + count {
            let wire = rig.request();
            step(number, || rig.serve(&wire));
            rig.judge(1);
        }
    });
    served.expect("an executor");
}

fn records(bytes: usize, count: u64) {
    let (mut server, mut client) = Lab::new(Algorithm::Es256).pumps(Transport::Tls);
    let sent = vec![b'x'; bytes];
    let (mut there, mut back, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..WARM_UP + count {
        there.clear();
        client.write(&sent, &mut there).expect("an open connection");
        step(number, || {
            plain.clear();
            back.clear();
            server.feed(&mut there, &mut plain).expect("a good record");
            server.write(&plain, &mut back).expect("an open connection");
        });
        assert_eq!(plain, sent);
    }
}

fn exchanges(count: u64) {
    let token = "t".repeat(420);
    let input = request("GET", "/api/ping", Some(&token), "");
    let (mut server, mut out) = (Server::new(Limits::default()), Vec::new());
    let lines = FieldLines::new("content-type: application/json\r\n");
    for number in 0..WARM_UP + count {
        step(number, || {
            out.clear();
            server.head(&input).expect("a good head").expect("a whole head");
            server.body(&[]).expect("no body");
            let body = OutgoingBody::Bytes(&[b'x'; 100]);
            server.respond(
                &mut out,
                DATE,
                &OutgoingResponse { status: 200, lines, fields: &[], body },
            );
            server.next();
        });
    }
    assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

/// A route that asks for everything a route can ask for.
struct Measured;

impl Route for Measured {
    const NAME: &'static str = "measured";
    const SCOPE: Option<Scope> = Some(Scope::OrdersRead);
    const CALLERS: Callers = Callers::Named(&["gateway", "bench-runner"]);
    const FORWARDERS: &'static [&'static str] = &["gateway"];
    const OWNER: OwnerRule = OwnerRule::Creator;
}

fn is_permitted(
    check: TokenCheck,
    transport: Transport,
    (credentials, presented): &(Credentials, Presented),
) -> bool {
    authorize::<Measured>(check, transport, credentials, presented).is_ok()
}

fn decisions(count: u64) {
    let lab = Lab::new(Algorithm::Es256);
    let access = lab.verifier().verify(lab.token(0).as_bytes(), lab.now()).expect("good");
    let identity = Some(authn::Identity { name: Some("bench-runner".into()) });
    let sender = authn::ClientCertificates::default().sender(identity.as_ref());
    let credentials = Credentials { identity, sender, ..Credentials::default() };
    let presented = Presented { access: Some(access.into()), ..Presented::default() };
    let brought = (credentials, presented);
    let (check, transport) = (TokenCheck::VerifyScopes, Transport::Mutual);
    let mut permitted = 0;
    for number in 0..WARM_UP + count {
        step(number, || permitted += u64::from(is_permitted(check, transport, &brought)));
    }
    assert_eq!(permitted, WARM_UP + count);
}
