//! A workload made ready for one target: a request laid out once, with gaps that are filled in per
//! request without allocation. It refuses to decide what a good request is.
//!
//! Only a few places vary: the token, a unique id, and a choice from a list. In a body they have a
//! fixed width, so that Content-Length is a constant; a template where nothing varies is rendered
//! once and sent as it is. Several requests that are sent in turn are one template.

use std::sync::Arc;

use proto_http::Method;

use crate::traffic::check::Expect;
use crate::traffic::random::Random;
use crate::traffic::workload::{Piece, Workload, WorkloadError, check};

/// A workload made ready for one target: bytes with gaps.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Vec<TemplatePart>,
    pub(crate) expect: Expect,
    pub(crate) method: Method,
    pub(crate) varies: bool,
}

#[derive(Clone, Debug)]
enum TemplatePart {
    Text(Vec<u8>),
    Token,
    Close,
    Unique,
    Choice(Arc<[Box<str>]>),
    /// Whole requests, one at a time.
    InTurn(Vec<Vec<TemplatePart>>),
}

/// What the gaps of a worker's requests are filled with.
#[derive(Debug)]
pub(crate) struct Filling {
    prefix: [u8; 19],
    count: u64,
    turn: usize,
    random: Random,
}

impl Filling {
    /// `unique` must differ between workers and between slices against the same server, or ids
    /// repeat; `seed` makes the choices.
    pub(crate) fn new(unique: u64, seed: u64) -> Filling {
        let mut names = Random::new(unique);
        let mut prefix = *b"00000000-0000-4000-";
        let places = (0..8).chain(9..13).chain(15..18);
        fill_hex(&mut prefix, places, names.next_u64());
        Filling { prefix, count: 0, turn: 0, random: Random::new(seed) }
    }

    fn unique(&mut self, out: &mut Vec<u8>) {
        let mut rest = *b"8000-000000000000";
        self.count += 1;
        fill_hex(&mut rest, (1..4).chain(5..17), self.count);
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(&rest);
    }
}

/// Writes `value` in hexadecimal over the named places, the lowest digit at the last of them.
fn fill_hex(text: &mut [u8], places: impl DoubleEndedIterator<Item = usize>, mut value: u64) {
    for place in places.rev() {
        text[place] = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

impl Template {
    /// Checks a workload and lays its requests out. `host` is the Host field of the target.
    pub(crate) fn new(workload: &Workload, host: &str) -> Result<Template, WorkloadError> {
        let mut template = Template::of_one(workload, host)?;
        if workload.others.is_empty() {
            return Ok(template);
        }
        let mut turns = vec![std::mem::take(&mut template.parts)];
        for other in &workload.others {
            let other = Template::of_one(other, host)?;
            if (other.method == Method::Head) != (template.method == Method::Head) {
                return Err(WorkloadError::MixedHead);
            }
            turns.push(other.parts);
        }
        Ok(Template { parts: vec![TemplatePart::InTurn(turns)], varies: true, ..template })
    }

    fn of_one(workload: &Workload, host: &str) -> Result<Template, WorkloadError> {
        check(workload)?;
        let given =
            |name: &str| workload.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name));
        let mut template = Template {
            parts: Vec::new(),
            expect: workload.expect,
            method: method_of(&workload.method),
            varies: false,
        };
        template.text(format!("{} ", workload.method).as_bytes());
        template.pieces(&workload.path);
        template.text(b" HTTP/1.1\r\n");
        if !given("host") {
            template.text(format!("Host: {host}\r\n").as_bytes());
        }
        for (name, value) in &workload.fields {
            template.text(name.as_bytes());
            template.text(b": ");
            template.text(value);
            template.text(b"\r\n");
        }
        if !given("authorization") {
            template.parts.push(TemplatePart::Token);
        }
        let length: usize = workload.body.iter().filter_map(Piece::width).sum();
        // RFC 9110 section 8.6: a length is sent with methods that anticipate content even when
        // there is none.
        if length > 0 || matches!(workload.method.as_str(), "POST" | "PUT" | "PATCH") {
            template.text(format!("Content-Length: {length}\r\n").as_bytes());
        }
        template.parts.push(TemplatePart::Close);
        template.text(b"\r\n");
        template.pieces(&workload.body);
        Ok(template)
    }

    /// Writes one request. `last` says that the connection is closed after it.
    pub(crate) fn render(
        &self,
        out: &mut Vec<u8>,
        token: Option<&str>,
        last: bool,
        filling: &mut Filling,
    ) {
        render(&self.parts, out, token, last, filling);
    }

    fn text(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            Some(TemplatePart::Text(before)) => before.extend_from_slice(text),
            _ => self.parts.push(TemplatePart::Text(text.to_vec())),
        }
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.text(text),
                Piece::Unique => self.parts.push(TemplatePart::Unique),
                Piece::Choice(list) => self.parts.push(TemplatePart::Choice(Arc::clone(list))),
            }
            self.varies |= !matches!(piece, Piece::Text(_));
        }
    }
}

fn render(
    parts: &[TemplatePart],
    out: &mut Vec<u8>,
    token: Option<&str>,
    last: bool,
    filling: &mut Filling,
) {
    for part in parts {
        match part {
            TemplatePart::Text(text) => out.extend_from_slice(text),
            TemplatePart::Token => {
                if let Some(token) = token {
                    out.extend_from_slice(b"Authorization: Bearer ");
                    out.extend_from_slice(token.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
            }
            TemplatePart::Close => {
                if last {
                    out.extend_from_slice(b"Connection: close\r\n");
                }
            }
            TemplatePart::Unique => filling.unique(out),
            TemplatePart::Choice(list) => {
                let draw = u128::from(filling.random.next_u64()) * list.len() as u128;
                let index = (draw >> 64) as usize;
                out.extend_from_slice(list[index].as_bytes());
            }
            TemplatePart::InTurn(requests) => {
                let turn = filling.turn % requests.len();
                filling.turn = turn + 1;
                render(&requests[turn], out, token, last, filling);
            }
        }
    }
}

/// Only a few methods change how a reply is read (RFC 9112 section 6.3).
fn method_of(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        _ => Method::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::workload::{ORDER_ITEMS, UNIQUE_BYTES};

    fn rendered(workload: &Workload, token: Option<&str>, last: bool) -> String {
        let template = Template::new(workload, "shop.example").unwrap();
        let mut out = Vec::new();
        template.render(&mut out, token, last, &mut Filling::new(7, 1));
        String::from_utf8(out).unwrap()
    }

    fn body_of(request: &str) -> (&str, usize) {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        (body, length)
    }

    #[test]
    fn a_plain_request_is_laid_out_as_written() {
        let mut workload = Workload::ping();
        assert_eq!(
            rendered(&workload, None, false),
            "GET /api/ping HTTP/1.1\r\nHost: shop.example\r\n\r\n"
        );
        assert!(!Template::new(&workload, "x").unwrap().varies);
        workload.fields.push(("Accept".into(), b"*/*".to_vec()));
        assert_eq!(
            rendered(&workload, Some("t0k"), true),
            "GET /api/ping HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\
             Authorization: Bearer t0k\r\nConnection: close\r\n\r\n"
        );
        workload.fields.push(("host".into(), b"other".to_vec()));
        workload.fields.push(("authorization".into(), b"Basic eA==".to_vec()));
        assert_eq!(
            rendered(&workload, Some("t0k"), false),
            "GET /api/ping HTTP/1.1\r\nAccept: */*\r\nhost: other\r\n\
             authorization: Basic eA==\r\n\r\n"
        );
    }

    #[test]
    fn bodies_have_their_content_length() {
        for workload in [Workload::orders_create(), Workload::inventory_reserve()] {
            let request = rendered(&workload, Some("token"), false);
            let (body, length) = body_of(&request);
            assert_eq!(body.len(), length, "{}", workload.name);
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
        let request = rendered(&Workload::orders_create(), None, false);
        let (_, length) = body_of(&request);
        assert!((900..1100).contains(&length), "{length} bytes are not about 1 KB");
        let order: serde_json::Value = serde_json::from_str(body_of(&request).0).unwrap();
        assert_eq!(order["itemSkus"].as_array().unwrap().len(), ORDER_ITEMS);
        let taken: u64 = Workload::orders_create().stock.iter().map(|(_, units)| units).sum();
        assert_eq!(taken as usize, ORDER_ITEMS);
        let empty = Workload::custom("u", "POST", "/", Vec::new(), Vec::new());
        assert!(rendered(&empty, None, false).contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn unique_ids_are_uuids_that_do_not_repeat() {
        let mut seen = std::collections::HashSet::new();
        for worker in 0..3 {
            let mut filling = Filling::new(worker, 1);
            for _ in 0..1000 {
                let mut id = Vec::new();
                filling.unique(&mut id);
                assert_eq!(id.len(), UNIQUE_BYTES);
                let dashes: Vec<usize> =
                    (0..36).filter(|place| !id[*place].is_ascii_hexdigit()).collect();
                assert_eq!(dashes, [8, 13, 18, 23]);
                assert!(seen.insert(id));
            }
        }
    }

    #[test]
    fn choices_are_spread_evenly() {
        let ids: Arc<[Box<str>]> = ["a", "b", "c", "d"].map(Box::from).into();
        let template = Template::new(&Workload::orders_read(ids), "x").unwrap();
        let mut filling = Filling::new(1, 1);
        let mut counts = [0; 4];
        let mut out = Vec::new();
        for _ in 0..4000 {
            out.clear();
            template.render(&mut out, None, false, &mut filling);
            counts[usize::from(out["GET /api/orders/".len()] - b'a')] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }

    #[test]
    fn several_requests_are_sent_in_turn() {
        let of =
            |method: &str, path: &str| Workload::custom("u", method, path, Vec::new(), Vec::new());
        let mut workload = of("GET", "/a");
        workload.others = vec![of("POST", "/b"), of("GET", "/c")];
        let template = Template::new(&workload, "h").unwrap();
        assert!(template.varies);
        let mut filling = Filling::new(1, 1);
        let mut out = Vec::new();
        for _ in 0..4 {
            template.render(&mut out, Some("t"), false, &mut filling);
        }
        let sent = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = sent.lines().filter(|line| line.ends_with("HTTP/1.1")).collect();
        let [a, b, c] = ["GET /a HTTP/1.1", "POST /b HTTP/1.1", "GET /c HTTP/1.1"];
        assert_eq!(lines, [a, b, c, a]);
        assert_eq!(sent.matches("Authorization: Bearer t\r\n").count(), 4);
        workload.others.push(of("HEAD", "/d"));
        assert_eq!(Template::new(&workload, "h").err(), Some(WorkloadError::MixedHead));
        workload.others = vec![of("GET", "no-slash")];
        assert_eq!(Template::new(&workload, "h").err(), Some(WorkloadError::Path));
    }

    #[test]
    fn what_would_break_a_request_is_refused() {
        let with = |method: &str, path: &str, name: &str, value: &str| {
            let fields = vec![(name.to_owned(), value.as_bytes().to_vec())];
            Template::new(&Workload::custom("u", method, path, fields, Vec::new()), "h").err()
        };
        assert_eq!(with("GET", "/a?b=c", "X-A", "\u{e9} b"), None);
        assert_eq!(with("GE T", "/", "a", "b"), Some(WorkloadError::Method("GE T".into())));
        assert_eq!(with("CONNECT", "/", "a", "b"), Some(WorkloadError::Method("CONNECT".into())));
        assert_eq!(with("GET", "a", "a", "b"), Some(WorkloadError::Path));
        assert_eq!(with("GET", "/a b", "a", "b"), Some(WorkloadError::Path));
        assert_eq!(with("GET", "/", "a:", "b"), Some(WorkloadError::Field("a:".into())));
        assert_eq!(with("GET", "/", "a", "b\r\nc: d"), Some(WorkloadError::Field("a".into())));
        for reserved in ["Content-Length", "connection", "Transfer-Encoding"] {
            let error = Some(WorkloadError::Reserved(reserved.into()));
            assert_eq!(with("GET", "/", reserved, "1"), error);
        }
        let none: Arc<[Box<str>]> = Arc::new([]);
        let error = Template::new(&Workload::orders_read(none), "h").err();
        assert_eq!(error, Some(WorkloadError::Choice));
    }
}
