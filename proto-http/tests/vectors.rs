//! The vectors of `tests/data`, each in every way its bytes can be cut in two.

mod common;

use std::collections::BTreeSet;

use common::{ClientRun, ServerRun, Vector, cuts, small_limits, vectors};
use proto_http::{Client, Limits, Method, Server};

const REQUESTS: &str = include_str!("data/requests.txt");
const RESPONSES: &str = include_str!("data/responses.txt");

fn expected(vector: &Vector) -> &[String] {
    &vector.sections[0].1
}

#[test]
fn requests() {
    for vector in vectors(REQUESTS) {
        for cut in cuts(&vector.bytes) {
            let mut run = ServerRun::new(small_limits());
            cut.iter().for_each(|part| run.feed(part));
            let lengths: Vec<_> = cut.iter().map(|part| part.len()).collect();
            assert_eq!(run.lines, expected(&vector), "{}, cut {lengths:?}", vector.name);
        }
    }
}

#[test]
fn responses() {
    for vector in vectors(RESPONSES) {
        let (method, _) = vector.name.split_once(": ").expect("a response has a method");
        for cut in cuts(&vector.bytes) {
            let mut run = ClientRun::new(small_limits(), Method::from_bytes(method.as_bytes()));
            cut.iter().for_each(|part| run.feed(part));
            run.eof();
            let lengths: Vec<_> = cut.iter().map(|part| part.len()).collect();
            assert_eq!(run.lines, expected(&vector), "{}, cut {lengths:?}", vector.name);
        }
    }
}

/// No error is without a vector that provokes it, and no status without an error.
#[test]
fn every_error_has_a_vector() {
    let lines = |file| vectors(file).into_iter().flat_map(|vector| expected(&vector).to_vec());
    let errors: BTreeSet<String> = lines(REQUESTS)
        .chain(lines(RESPONSES))
        .filter_map(|line| Some(line.strip_prefix("error ")?.rsplit(' ').next()?.to_owned()))
        .collect();
    let statuses: BTreeSet<String> = lines(REQUESTS)
        .filter_map(|line| Some(line.strip_prefix("error ")?.split(' ').next()?.to_owned()))
        .collect();
    // LengthRequired is asked for by a route; see `RequestHead::require_length`.
    assert_eq!(errors.len(), 32, "{errors:?}");
    let all = ["400", "413", "414", "417", "431", "501", "505"];
    assert_eq!(statuses.iter().collect::<Vec<_>>(), all);
}

#[test]
fn connection_options_of_all_fields_are_collected_and_forgotten_with_their_head() {
    let mut server = Server::new(Limits::default());
    let mut run = |head: &[u8]| {
        server.head(head).expect("it is well formed").expect("it is complete");
        let request = server.request();
        let options = request.connection_options().iter();
        let options: Vec<Vec<u8>> = options.map(|option| option.of(head).to_vec()).collect();
        server = Server::new(Limits::default());
        options
    };
    let head = b"GET / HTTP/1.1\r\nConnection: X-One ,close, te\r\nHost: a\r\n\
                 connection: keep-alive\r\nConnection:\tx-two\r\n\r\n";
    assert_eq!(run(head), [&b"X-One"[..], b"te", b"x-two"]);
    assert!(run(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_empty());

    let mut client = Client::new(Limits::default());
    for (head, count) in [("Connection: a,b\r\n", 2), ("", 0), ("Connection: c\r\n", 1)] {
        client.requested(Method::Get);
        let head = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\n\r\n");
        client.head(head.as_bytes()).expect("it is well formed").expect("it is complete");
        assert_eq!(client.response().connection_options().len(), count);
    }
}

#[test]
fn a_body_that_is_announced_and_must_not_follow_is_noticed() {
    for (method, head, withheld) in [
        (Method::Head, "200 OK\r\nContent-Length: 5\r\n", true),
        (Method::Head, "404 Not Found\r\nTransfer-Encoding: chunked\r\n", true),
        (Method::Head, "200 OK\r\nContent-Length: 0\r\n", false),
        (Method::Head, "200 OK\r\n", false),
        (Method::Get, "204 No Content\r\nContent-Length: 5\r\n", true),
        (Method::Get, "204 No Content\r\nTransfer-Encoding: chunked\r\n", true),
        (Method::Get, "204 No Content\r\n", false),
        (Method::Get, "304 Not Modified\r\nContent-Length: 5\r\n", true),
        (Method::Get, "304 Not Modified\r\nContent-Length: 0\r\n", false),
        (Method::Get, "200 OK\r\nContent-Length: 5\r\n", false),
    ] {
        let mut client = Client::new(Limits::default());
        client.requested(method);
        let bytes = format!("HTTP/1.1 {head}\r\n");
        client.head(bytes.as_bytes()).expect("it is well formed").expect("it is complete");
        assert_eq!(client.response().body_withheld, withheld, "{method:?} {head}");
    }
}
