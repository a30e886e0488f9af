//! Times HTTP/1.1 alone: reading a request's head and body, plain and chunked, and writing the
//! answer, plain and chunked, with the code that servers run.
//!
//! Left out: everything beneath and above it. One connection's state is used again and again, and
//! is hot in the cache. Must not be compared with a parser's benchmark: framing, limits and the
//! rules of RFC 9112 are in here, and heads of clients differ. Run with `cargo bench --bench http`.

#![expect(missing_docs, reason = "criterion's macro makes an undocumented function")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use proto_http::{FieldLines, Limits, Next, OutgoingBody, OutgoingResponse, Server};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const JSON: FieldLines = FieldLines::new("content-type: application/json\r\n");
const BODY: &[u8] = &[b'x'; 1024];

/// One exchange: the head is read, the body to its end, and `answer` written.
fn exchange(
    server: &mut Server,
    input: &[u8],
    out: &mut Vec<u8>,
    answer: impl Fn(&mut Server, &mut Vec<u8>),
) {
    out.clear();
    let mut spent = server.head(input).expect("a good head").expect("a whole head");
    while !server.body_done() {
        spent += server.body(black_box(&input[spent..])).expect("a good body").consumed;
    }
    assert_eq!(spent, input.len());
    answer(server, out);
    assert_eq!(server.next(), Next::Continue);
}

fn whole(body: &'static [u8]) -> impl Fn(&mut Server, &mut Vec<u8>) {
    move |server, out| {
        let body = OutgoingBody::Bytes(body);
        server.respond(
            out,
            DATE,
            &OutgoingResponse { status: 200, lines: JSON, fields: &[], body },
        );
    }
}

/// The same body in pieces of 128 bytes.
fn in_chunks(server: &mut Server, out: &mut Vec<u8>) {
    let answer =
        OutgoingResponse { status: 200, lines: JSON, fields: &[], body: OutgoingBody::Chunked };
    server.respond(out, DATE, &answer);
    for piece in BODY.chunks(128) {
        server.respond_piece(out, piece);
    }
    server.respond_end(out);
}

fn get(further: &str) -> Vec<u8> {
    format!("GET /api/ping HTTP/1.1\r\nHost: localhost:8443\r\n{further}\r\n").into_bytes()
}

fn post(framing: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /api/ping HTTP/1.1\r\nHost: localhost:8443\r\n{framing}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// `BODY` in chunks of `size` bytes (RFC 9112 section 7.1).
fn chunked(size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in BODY.chunks(size) {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

fn http(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http");
    let token = format!(
        "User-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer {}\r\n",
        "t".repeat(420)
    );
    let plain = post("Content-Length: 1024", BODY);
    let one_chunk = post("Transfer-Encoding: chunked", &chunked(1024));
    let many_chunks = post("Transfer-Encoding: chunked", &chunked(64));
    let cases = [
        ("get, answer of 100 bytes", get("")),
        ("get with token, answer of 100 bytes", get(&token)),
        ("post 1 KB, answer of 100 bytes", plain),
        ("post 1 KB in one chunk", one_chunk),
        ("post 1 KB in 16 chunks", many_chunks),
    ];
    let (mut server, mut out) = (Server::new(Limits::default()), Vec::with_capacity(4096));
    for (name, input) in &cases {
        let answer = whole(&BODY[..100]);
        group.bench_function(*name, |bencher| {
            bencher.iter(|| exchange(&mut server, black_box(input), &mut out, &answer));
        });
    }
    let input = get("");
    group.bench_function("get, answer of 1 KB", |bencher| {
        let answer = whole(BODY);
        bencher.iter(|| exchange(&mut server, black_box(&input), &mut out, &answer));
    });
    group.bench_function("get, answer of 1 KB in 8 chunks", |bencher| {
        bencher.iter(|| exchange(&mut server, black_box(&input), &mut out, in_chunks));
    });
    group.finish();
}

criterion_group!(benches, http);
criterion_main!(benches);
