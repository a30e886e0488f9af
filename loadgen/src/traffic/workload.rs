//! What is asked, as data: the workloads of the reference shop, and one for any URL of a user's.
//! It checks that what a user gave can go on the wire as it is, and refuses to know where requests
//! go and when.

use std::fmt;
use std::sync::Arc;

use crate::traffic::check::Expect;

/// The SKUs that the reference shop starts with.
pub const SKUS: [&str; 3] = ["SKU-1000", "SKU-2000", "SKU-3000"];

/// Items in an order: they make its body about 1 KB long.
pub(crate) const ORDER_ITEMS: usize = 80;

/// Bytes of a unique id: it has the shape of a UUID.
pub(crate) const UNIQUE_BYTES: usize = 36;

/// One kind of request, and what a good reply to it is.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The name in flags and results.
    pub name: String,
    /// The method, e.g. `GET`.
    pub method: String,
    /// Path and query, the request target in origin form (RFC 9112 section 3.2.1).
    pub path: Vec<Piece>,
    /// Fields besides Host, Content-Length, Authorization and Connection, in order. One of those
    /// that stands here takes the place of the generated one.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body; empty for none.
    pub body: Vec<Piece>,
    /// What a good reply is.
    pub expect: Expect,
    /// What each request takes from the stock of the reference shop: SKU and quantity.
    pub stock: Vec<(&'static str, u64)>,
    /// Requests that are sent in turn after this one, and then this one again. What is a good
    /// reply is said by the first; their own `others` are not looked at.
    pub others: Vec<Workload>,
}

/// A stretch of a path or body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// The same in every request.
    Text(Vec<u8>),
    /// 36 characters that no other request of the run has.
    Unique,
    /// One of these, evenly spread. In a body all must have the same length.
    Choice(Arc<[Box<str>]>),
}

impl Piece {
    fn text(text: impl Into<Vec<u8>>) -> Piece {
        Piece::Text(text.into())
    }

    /// Bytes that this stretch always has; `None` if that varies.
    pub(crate) fn width(&self) -> Option<usize> {
        match self {
            Piece::Text(text) => Some(text.len()),
            Piece::Unique => Some(UNIQUE_BYTES),
            Piece::Choice(list) => {
                let width = list.first()?.len();
                list.iter().all(|choice| choice.len() == width).then_some(width)
            }
        }
    }
}

impl Workload {
    /// `POST /api/orders` with a body of about 1 KB; every order is a customer's own.
    pub fn orders_create() -> Workload {
        let items: Vec<String> =
            (0..ORDER_ITEMS).map(|item| format!("\"{}\"", SKUS[item % SKUS.len()])).collect();
        let stock = SKUS.iter().enumerate().map(|(index, sku)| {
            let taken = (0..ORDER_ITEMS).filter(|item| item % SKUS.len() == index).count();
            (*sku, taken as u64)
        });
        let body = vec![
            Piece::text("{\"customerId\":\"customer-"),
            Piece::Unique,
            Piece::text(format!("\",\"itemSkus\":[{}],\"totalAmount\":1234.56}}", items.join(","))),
        ];
        Workload {
            stock: stock.collect(),
            ..Workload::post("orders-create", "/api/orders", body, Expect::one_of(&[201], 2))
        }
    }

    /// `GET /api/orders/{id}` over orders made earlier.
    pub fn orders_read(ids: Arc<[Box<str>]>) -> Workload {
        Workload {
            name: "orders-read".into(),
            method: "GET".into(),
            path: vec![Piece::text("/api/orders/"), Piece::Choice(ids)],
            fields: Vec::new(),
            body: Vec::new(),
            expect: Expect::one_of(&[200], 2),
            stock: Vec::new(),
            others: Vec::new(),
        }
    }

    /// `POST /api/inventory/reservations` of one item each, every one under its own order id.
    pub fn inventory_reserve() -> Workload {
        let body = vec![
            Piece::text("{\"orderId\":\""),
            Piece::Unique,
            Piece::text(format!("\",\"items\":[{{\"sku\":\"{}\",\"quantity\":1}}]}}", SKUS[0])),
        ];
        let expect = Expect::one_of(&[200, 201], 2);
        Workload {
            stock: vec![(SKUS[0], 1)],
            ..Workload::post("inventory-reserve", "/api/inventory/reservations", body, expect)
        }
    }

    /// `GET /api/ping`: the edge alone.
    pub fn ping() -> Workload {
        Workload {
            expect: Expect::one_of(&[200], 2),
            ..Workload::custom("ping", "GET", "/api/ping", Vec::new(), Vec::new())
        }
    }

    /// Any request; a good reply is any 2xx.
    pub fn custom(
        name: &str,
        method: &str,
        path: &str,
        fields: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    ) -> Workload {
        Workload {
            name: name.into(),
            method: method.into(),
            path: vec![Piece::text(path)],
            fields,
            body: if body.is_empty() { Vec::new() } else { vec![Piece::Text(body)] },
            expect: Expect::success(),
            stock: Vec::new(),
            others: Vec::new(),
        }
    }

    fn post(name: &str, path: &str, body: Vec<Piece>, expect: Expect) -> Workload {
        Workload {
            name: name.into(),
            method: "POST".into(),
            path: vec![Piece::text(path)],
            fields: vec![("Content-Type".into(), b"application/json".to_vec())],
            body,
            expect,
            stock: Vec::new(),
            others: Vec::new(),
        }
    }
}

/// Why a workload cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadError {
    /// The method is not a token, or is CONNECT, which opens a tunnel and gets no reply to time.
    Method(String),
    /// The path does not begin with `/` or has bytes that a request line cannot carry.
    Path,
    /// A field's name or value has bytes that it cannot carry.
    Field(String),
    /// A field that the generator must write itself.
    Reserved(String),
    /// A list to choose from is empty, or in a body its entries differ in length.
    Choice,
    /// HEAD stands beside another method: their replies are not read alike.
    MixedHead,
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkloadError::Method(method) => {
                write!(out, "the method {method:?} cannot be used: give one like GET or POST")
            }
            WorkloadError::Path => out.write_str(
                "the path must begin with / and must not hold spaces or control characters: \
                 percent-encode them",
            ),
            WorkloadError::Field(name) => write!(
                out,
                "the header {name:?} cannot be sent: write it as `Name: value`, without line breaks"
            ),
            WorkloadError::Reserved(name) => write!(
                out,
                "the header {name:?} is written by tollgate itself: leave it out (the body's \
                 length is counted, and --requests-per-connection decides when to close)"
            ),
            WorkloadError::Choice => out.write_str(
                "a list to choose from is empty, or its entries differ in length within a body",
            ),
            WorkloadError::MixedHead => out.write_str(
                "HEAD cannot stand beside other methods, because its replies have no body: \
                 measure it in a run of its own",
            ),
        }
    }
}

impl std::error::Error for WorkloadError {}

/// A request head that cannot be mistaken for two: what a user gave goes on the wire as it is.
pub(crate) fn check(workload: &Workload) -> Result<(), WorkloadError> {
    let method = &workload.method;
    if method.is_empty() || !method.bytes().all(is_token_byte) || method == "CONNECT" {
        return Err(WorkloadError::Method(method.clone()));
    }
    let mut path = workload.path.iter().flat_map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Unique => Vec::new(),
        Piece::Choice(list) => list.iter().flat_map(|choice| choice.bytes()).collect(),
    });
    let begins =
        matches!(workload.path.first(), Some(Piece::Text(text)) if text.first() == Some(&b'/'));
    if !begins || path.any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(WorkloadError::Path);
    }
    for (name, value) in &workload.fields {
        if ["content-length", "connection", "transfer-encoding"]
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved))
        {
            return Err(WorkloadError::Reserved(name.clone()));
        }
        let sound = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        if name.is_empty() || !name.bytes().all(is_token_byte) || !value.iter().all(sound) {
            return Err(WorkloadError::Field(name.clone()));
        }
    }
    let lists = workload.path.iter().chain(&workload.body);
    let empty = lists.into_iter().any(|piece| matches!(piece, Piece::Choice(l) if l.is_empty()));
    if empty || workload.body.iter().any(|piece| piece.width().is_none()) {
        return Err(WorkloadError::Choice);
    }
    Ok(())
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
