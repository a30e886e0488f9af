//! What holds for all bytes: no panic, the same events however they are cut, and both halves
//! understanding each other, joined in memory.

mod common;

use common::{ClientRun, ServerRun, small_limits};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proto_http::{
    BodyLength, Client, FieldLines, Limits, Method, Next, OutgoingBody, OutgoingRequest,
    OutgoingResponse, Server, imf_fixdate,
};

/// Pieces of requests, some of them wrong; put together at random they are often nearly right.
const REQUEST_PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "PUT /a HTTP/1.0\r\n",
    "GET / HTTP/2.0\r\n",
    "Host: a\r\n",
    "Host: a b\r\n",
    "Content-Length: 7\r\n",
    "Content-Length: +7\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    "X: y\n",
    "X : y\r\n",
    " y\r\n",
    "Y: ",
    "5\r\nhello\r\n",
    "3;a=b\r\nabc\r\n",
    "0\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "HTTP/1.1",
    " ",
];

const RESPONSE_PARTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.0 200\r\n",
    "HTTP/3.0 200 OK\r\n",
    "Content-Length: 7\r\n",
    "Content-Length: 7, 7\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "X: y\n",
    "X : y\r\n",
    " y\r\n",
    "5\r\nhello\r\n",
    "0\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
];

fn parts(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        9 => select(parts).prop_map(|part| part.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..4),
    ];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Cuts bytes at the given places, which may lie anywhere.
fn cut<'b>(bytes: &'b [u8], places: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn places() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    vec(any::<prop::sample::Index>(), 0..8)
}

/// Ends any head, so that an error in its last line is found whether that line came whole or not.
const END: &[u8] = b"\r\n\r\n";

fn serve(pieces: &[&[u8]]) -> Vec<String> {
    let mut run = ServerRun::new(small_limits());
    pieces.iter().chain([&END]).for_each(|piece| run.feed(piece));
    run.lines
}

fn receive(pieces: &[&[u8]], method: Method) -> Vec<String> {
    let mut run = ClientRun::new(small_limits(), method);
    pieces.iter().chain([&END]).for_each(|piece| run.feed(piece));
    run.eof();
    run.lines
}

fn cases(cases: u32) -> ProptestConfig {
    // A failing case becomes a vector, in sight, rather than a seed.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn requests_do_not_depend_on_cuts(bytes in parts(REQUEST_PARTS), places in places()) {
        let whole = serve(&[&bytes]);
        prop_assert_eq!(serve(&cut(&bytes, &places)), &whole[..]);
        prop_assert_eq!(serve(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn responses_do_not_depend_on_cuts(
        bytes in parts(RESPONSE_PARTS),
        places in places(),
        method in select(&[Method::Get, Method::Head, Method::Connect][..]),
    ) {
        let whole = receive(&[&bytes], method);
        prop_assert_eq!(receive(&cut(&bytes, &places), method), &whole[..]);
        prop_assert_eq!(receive(&bytes.chunks(1).collect::<Vec<_>>(), method), whole);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..600), places in places()) {
        serve(&cut(&bytes, &places));
        receive(&cut(&bytes, &places), Method::Get);
    }
}

/// A body and how it is sent.
#[derive(Clone, Debug)]
enum Sent {
    None,
    Bytes(Vec<u8>),
    Exact(Vec<Vec<u8>>),
    Chunked(Vec<Vec<u8>>),
}

impl Sent {
    fn body(&self) -> OutgoingBody<'_> {
        match self {
            Self::None => OutgoingBody::None,
            Self::Bytes(bytes) => OutgoingBody::Bytes(bytes),
            Self::Exact(pieces) => {
                OutgoingBody::Exact(pieces.iter().map(|piece| piece.len() as u64).sum())
            }
            Self::Chunked(_) => OutgoingBody::Chunked,
        }
    }

    fn pieces(&self) -> &[Vec<u8>] {
        match self {
            Self::None | Self::Bytes(_) => &[],
            Self::Exact(pieces) | Self::Chunked(pieces) => pieces,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            other => other.pieces().concat(),
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let bytes = || vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(Sent::None),
        bytes().prop_map(Sent::Bytes),
        vec(bytes(), 0..4).prop_map(Sent::Exact),
        vec(bytes(), 0..4).prop_map(Sent::Chunked),
    ]
}

#[derive(Clone, Debug)]
struct Exchange {
    method: &'static str,
    request: Sent,
    status: u16,
    response: Sent,
    value: String,
    /// The server answers before it has read the body.
    hasty: bool,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let methods = &["GET", "HEAD", "POST", "PUT", "DELETE", "BREW"][..];
    let statuses = &[200, 201, 204, 304, 404, 500][..];
    let value = "[!-~]([ !-~]{0,20}[!-~])?";
    (select(methods), sent(), select(statuses), sent(), value, any::<bool>()).prop_map(
        |(method, request, status, response, value, hasty)| Exchange {
            method,
            request,
            status,
            response,
            value,
            hasty,
        },
    )
}

/// Both halves, joined by two buffers.
struct Pair {
    client: Client,
    server: Server,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
}

impl Pair {
    /// Sends the request, in pieces, and reads it on the other side.
    fn ask(&mut self, exchange: &Exchange) {
        let fields: &[(&str, &[u8])] = &[("X-Value", exchange.value.as_bytes())];
        let (method, body) = (exchange.method, exchange.request.body());
        let ask = OutgoingRequest { method, target: b"/p?q", host: b"a:1", fields, body };
        self.client.request(&mut self.to_server, &ask);
        for piece in exchange.request.pieces() {
            self.client.request_piece(&mut self.to_server, piece);
        }
        self.client.request_end(&mut self.to_server);

        let taken = self.server.head(&self.to_server).expect("good").expect("complete");
        let (request, bytes) = (self.server.request(), &self.to_server[..]);
        assert_eq!(request.method_name.of(bytes), method.as_bytes());
        assert_eq!((request.path(bytes), request.query(bytes)), (&b"/p"[..], Some(&b"q"[..])));
        assert_eq!(request.field(bytes, "x-value"), Some(exchange.value.as_bytes()));
        assert_eq!(request.field(bytes, "host"), Some(&b"a:1"[..]));
        self.to_server.drain(..taken);
    }

    /// Reads what is there of the request's body.
    fn read_request(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while !self.server.body_done() {
            let piece = self.server.body(&self.to_server).expect("the body is good");
            body.extend_from_slice(&self.to_server[piece.data]);
            self.to_server.drain(..piece.consumed);
        }
        body
    }

    fn answer(&mut self, exchange: &Exchange) -> Next {
        let fields: &[(&str, &[u8])] = &[("X-Value", exchange.value.as_bytes())];
        let (status, body) = (exchange.status, exchange.response.body());
        let answer = OutgoingResponse { status, lines: FieldLines::NONE, fields, body };
        self.server.respond(&mut self.to_client, &imf_fixdate(0), &answer);
        for piece in exchange.response.pieces() {
            self.server.respond_piece(&mut self.to_client, piece);
        }
        self.server.respond_end(&mut self.to_client);
        self.server.next()
    }

    fn read_response(&mut self, exchange: &Exchange) -> Vec<u8> {
        let taken = self.client.head(&self.to_client).expect("good").expect("complete");
        let (response, bytes) = (self.client.response(), &self.to_client[..]);
        assert_eq!(response.status, exchange.status);
        assert_eq!(response.field(bytes, "x-value"), Some(exchange.value.as_bytes()));
        assert!(response.length != BodyLength::UntilClose);
        self.to_client.drain(..taken);
        let mut body = Vec::new();
        while !self.client.body_done() {
            let piece = self.client.body(&self.to_client).expect("the body is good");
            body.extend_from_slice(&self.to_client[piece.data]);
            self.to_client.drain(..piece.consumed);
        }
        body
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn both_halves_understand_each_other(exchanges in vec(exchange(), 1..5)) {
        let limits = Limits { drain_bytes_max: 10_000, ..Limits::default() };
        let mut pair = Pair {
            client: Client::new(limits),
            server: Server::new(limits),
            to_server: Vec::new(),
            to_client: Vec::new(),
        };
        for exchange in &exchanges {
            prop_assert!(pair.client.reusable() && pair.server.is_idle());
            pair.ask(exchange);
            let next = if exchange.hasty {
                pair.answer(exchange);
                pair.read_request();
                pair.server.next()
            } else {
                prop_assert_eq!(pair.read_request(), exchange.request.bytes());
                pair.answer(exchange)
            };
            prop_assert_eq!(next, Next::Continue);
            let has_body = exchange.method != "HEAD" && !matches!(exchange.status, 204 | 304);
            let expected = if has_body { exchange.response.bytes() } else { Vec::new() };
            prop_assert_eq!(pair.read_response(exchange), expected);
            prop_assert!(pair.to_client.is_empty() && pair.to_server.is_empty());
        }
        prop_assert!(pair.client.reusable());
    }
}

/// Whatever came before on a connection, a head means what it means alone: also where it is the
/// same again, the same but for its end, or the same to another method.
#[test]
fn a_head_means_the_same_after_any_other() {
    let replies: [(Method, &str, usize); 8] = [
        (Method::Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2),
        (Method::Head, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0),
        (Method::Get, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes", 3),
        (Method::Get, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nok", 2),
        (Method::Get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0),
        (Method::Get, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 0),
        (Method::Get, "HTTP/1.1 204 No Content\r\n\r\n", 0),
        (Method::Get, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", 2),
    ];
    let read = |client: &mut Client, (method, reply, body): (Method, &str, usize), cut: usize| {
        let reply = reply.as_bytes();
        client.requested(method);
        let taken = match client.head(&reply[..cut]).unwrap() {
            Some(taken) => taken,
            None => client.head(reply).unwrap().expect("it is whole"),
        };
        let piece = client.body(&reply[taken..]).unwrap();
        assert_eq!((piece.data.len(), piece.done, client.reusable()), (body, true, true));
        (taken, format!("{:?}", client.response()))
    };
    for first in replies {
        for second in replies {
            for cut in 0..=second.1.len() {
                let mut kept = Client::new(Limits::default());
                for reply in [first, first, second] {
                    let alone = read(&mut Client::new(Limits::default()), reply, reply.1.len());
                    let cut = if reply.1 == second.1 { cut } else { reply.1.len() };
                    assert_eq!(read(&mut kept, reply, cut), alone, "{first:?}, {second:?}, {cut}");
                }
            }
        }
    }
}
