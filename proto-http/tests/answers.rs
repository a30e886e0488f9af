//! What is written: the answers of `tests/data/answers.txt` byte by byte, 100 Continue, bodies
//! nobody reads, the end of a connection, and requests.

mod common;

use common::{small_limits, unescape, vectors};
use proto_http::{
    Client, Error, FieldLines, Limits, Next, OutgoingBody, OutgoingRequest, OutgoingResponse,
    Server, imf_fixdate,
};

const ANSWERS: &str = include_str!("data/answers.txt");
const DATE: [u8; 29] = *b"Thu, 01 Jan 1970 00:00:00 GMT";
const OK: OutgoingResponse<'_> = OutgoingResponse {
    status: 200,
    lines: FieldLines::NONE,
    fields: &[],
    body: OutgoingBody::None,
};

#[test]
fn answers() {
    for vector in vectors(ANSWERS) {
        let [(answer, lines), (next, _)] = &vector.sections[..] else {
            panic!("{} has an answer and a next step", vector.name);
        };
        let mut server = Server::new(small_limits());
        // An error is answered by what the vector says, as a service would.
        let _ = server.head(&vector.bytes);
        let out = respond(&mut server, answer);
        let expected: Vec<u8> = lines.iter().flat_map(|line| unescape(line)).collect();
        let (out, expected) = (out.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(out, expected, "{}", vector.name);
        assert_eq!(format!("{:?}", server.next()), *next, "{}", vector.name);
    }
}

/// Answers as a vector says: `status kind pieces`.
fn respond(server: &mut Server, answer: &str) -> Vec<u8> {
    let mut words = answer.splitn(3, ' ');
    let status = words.next().and_then(|word| word.parse().ok()).expect("a status comes first");
    let kind = words.next().expect("a kind comes second");
    let text = words.next().unwrap_or_default();
    let (fields, body): (&[(&str, &[u8])], _) = match kind {
        "none" => (&[], OutgoingBody::None),
        "bytes" => (&[], OutgoingBody::Bytes(text.as_bytes())),
        "exact5" => (&[], OutgoingBody::Exact(5)),
        "chunked" => (&[], OutgoingBody::Chunked),
        "dated" => {
            (&[("date", b"Sun, 06 Nov 1994 08:49:37 GMT")], OutgoingBody::Bytes(text.as_bytes()))
        }
        "fields" => (
            &[
                ("Location", b"/a\r\nSet-Cookie: b"),
                ("content-length", b"7"),
                ("Transfer-Encoding", b"gzip"),
                ("CONNECTION", b"upgrade"),
                ("Content-Type", b"text/plain"),
            ],
            OutgoingBody::Bytes(text.as_bytes()),
        ),
        other => panic!("no such kind: {other}"),
    };
    let mut out = Vec::new();
    server.respond(&mut out, &imf_fixdate(0), &OutgoingResponse { status, fields, body, ..OK });
    if matches!(body, OutgoingBody::Exact(_) | OutgoingBody::Chunked) {
        text.split('|').for_each(|piece| server.respond_piece(&mut out, piece.as_bytes()));
        server.respond_end(&mut out);
    }
    out
}

#[test]
fn continue_is_written_once_and_only_to_who_waits() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut server = Server::new(Limits::default());
    let mut out = Vec::new();
    assert!(!server.continue_100(&mut out), "nobody asked");
    server.head(head).expect("the head is good").expect("and complete");
    assert!(server.continue_100(&mut out));
    assert!(!server.continue_100(&mut out));
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(server.body(b"hi").expect("the body is good").done);
    server.respond(&mut out, &DATE, &OK);
    assert_eq!(server.next(), Next::Continue);

    server.head(head).expect("the head is good").expect("and complete");
    server.body(b"h").expect("the body has begun");
    assert!(!server.continue_100(&mut out), "the client did not wait");
}

#[test]
fn an_unread_body_is_read_off_up_to_a_limit() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (chunks, expected) in [(1, Next::Continue), (3, Next::Close)] {
        let mut server = Server::new(small_limits());
        server.head(head).expect("the head is good").expect("and complete");
        server.respond(&mut Vec::new(), &DATE, &OK);
        assert_eq!(server.next(), Next::Drain);
        let rest = [b"5\r\nhello\r\n".repeat(chunks), b"0\r\n\r\nGET".to_vec()].concat();
        let mut at = 0;
        while server.next() == Next::Drain {
            let piece = server.body(&rest[at..]).expect("the body is good");
            assert!(piece.consumed > 0);
            at += piece.consumed;
        }
        assert_eq!(server.next(), expected, "{chunks} chunks");
        if expected == Next::Continue {
            assert_eq!(&rest[at..], b"GET");
        }
    }
}

#[test]
fn a_malformed_body_ends_the_connection_whenever_it_is_found() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for answered_first in [false, true] {
        let mut server = Server::new(Limits::default());
        server.head(head).expect("the head is good").expect("and complete");
        let mut out = Vec::new();
        if answered_first {
            server.respond(&mut out, &DATE, &OK);
        }
        assert_eq!(server.body(b"hello"), Err(Error::ChunkSize));
        assert_eq!(server.body(b""), Err(Error::ChunkSize), "it stays wrong");
        assert!(!server.body_done());
        if !answered_first {
            server.respond(&mut out, &DATE, &OK);
            assert!(out.windows(17).any(|window| window == b"Connection: close"));
        }
        assert_eq!(server.next(), Next::Close);
        assert_eq!(server.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(None), "closed");
    }
}

#[test]
fn close_after_sends_connection_close() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for before_head in [false, true] {
        let mut server = Server::new(Limits::default());
        let mut out = Vec::new();
        if before_head {
            server.close_after();
        }
        server.head(head).expect("the head is good").expect("and complete");
        server.close_after();
        server.respond(&mut out, &DATE, &OK);
        assert!(out.ends_with(b"\r\nConnection: close\r\n\r\n"));
        assert_eq!(server.next(), Next::Close);
    }
    let mut server = Server::new(Limits::default());
    assert_eq!(server.next(), Next::Continue, "idle");
    server.close_after();
    assert_eq!(server.next(), Next::Close, "idle, and told to close");
}

#[test]
fn lines_stand_before_the_fields() {
    const LINES: FieldLines = FieldLines::new("content-type: text/plain\r\nvary: accept\r\n");
    let mut server = Server::new(Limits::default());
    server.head(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").expect("good").expect("complete");
    let mut out = Vec::new();
    let fields: &[(&str, &[u8])] = &[("location", b"/b")];
    server.respond(&mut out, &imf_fixdate(0), &OutgoingResponse { lines: LINES, fields, ..OK });
    let expected = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                    content-type: text/plain\r\nvary: accept\r\nlocation: /b\r\n\
                    Content-Length: 0\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

#[test]
fn the_head_can_be_read_while_it_is_answered() {
    let head = b"GET /a HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n";
    let mut server = Server::new(Limits::default());
    server.head(head).expect("the head is good").expect("and complete");
    let (request, responder) = server.parts();
    let value = request.field(head, "x-y").expect("the field is there");
    let mut out = Vec::new();
    let answer = OutgoingResponse { body: OutgoingBody::Bytes(value), ..OK };
    responder.respond(&mut out, &DATE, &answer);
    assert!(out.ends_with(b"\r\n\r\nz"));
    assert_eq!(request.require_length().map_err(Error::status), Err(411));
}

#[test]
fn requests() {
    let table: &[(&str, OutgoingBody<'_>, &str)] = &[
        ("GET", OutgoingBody::None, "GET /a HTTP/1.1\r\nHost: b\r\nX: y\r\n\r\n"),
        (
            "POST",
            OutgoingBody::None,
            "POST /a HTTP/1.1\r\nHost: b\r\nX: y\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "BREW",
            OutgoingBody::Bytes(b"hi"),
            "BREW /a HTTP/1.1\r\nHost: b\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "PUT",
            OutgoingBody::Exact(2),
            "PUT /a HTTP/1.1\r\nHost: b\r\nX: y\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "PUT",
            OutgoingBody::Chunked,
            "PUT /a HTTP/1.1\r\nHost: b\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n\r\n",
        ),
    ];
    for (method, body, expected) in table {
        let mut client = Client::new(Limits::default());
        let mut out = Vec::new();
        let fields: &[(&str, &[u8])] = &[("X", b"y"), ("Connection", b"close")];
        let ask = OutgoingRequest { method, target: b"/a", host: b"b", fields, body: *body };
        client.request(&mut out, &ask);
        client.request_piece(&mut out, b"hi");
        client.request_end(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), *expected);
    }
}

#[test]
fn a_request_cut_short_spends_the_connection() {
    let mut client = Client::new(Limits::default());
    let body = OutgoingBody::Exact(5);
    let ask = OutgoingRequest { method: "PUT", target: b"/", host: b"a", fields: &[], body };
    let mut out = Vec::new();
    client.request(&mut out, &ask);
    client.request_piece(&mut out, b"he");
    let early = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    client.head(early).expect("the head is good").expect("and complete");
    assert!(client.body_done() && !client.reusable(), "the request is not complete");
    client.request_end(&mut out);
    assert!(!client.reusable(), "and never will be");
}
