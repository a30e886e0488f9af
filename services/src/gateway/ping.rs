//! Ping: the smallest request that passes every layer, answered without calling anybody. It reads a
//! body to its end, counts it and keeps nothing.

use std::sync::Arc;

use authn::{Callers, OwnerRule, Permit, Route, Scope};
use proto_http::Method;
use runtime::{Broken, Exchange};

use crate::edge::dispatch::routes;
use crate::edge::fields::JSON;
use crate::edge::problem;
use crate::route::Param;
use crate::telemetry::CoreCounters;

/// About 100 bytes, as a small response of a real service has. The count of body bytes comes
/// between.
const BEFORE: &[u8] =
    br#"{"message":"pong","service":"tollgate","answeredBy":"the edge, no upstream","bodyBytes":"#;
const AFTER: &[u8] = b"}";

/// Room for the response: 20 digits are the longest count.
const RESPONSE_BYTES_MAX: usize = BEFORE.len() + 20 + AFTER.len();

routes! {
    impl Ping {
        /// Answers.
        PingRead = "ping.read", Method::Get, "/api/ping",
            (Some(Scope::OrdersRead), Callers::Any, &[]), OwnerRule::Nobody => ping;
        /// Reads the body and answers how long it was.
        PingWrite = "ping.write", Method::Post, "/api/ping",
            (Some(Scope::OrdersRead), Callers::Any, &[]), OwnerRule::Nobody => ping;
    }
}

/// The routes of ping on one core.
#[derive(Debug)]
pub struct Ping {
    counters: Arc<CoreCounters>,
}

impl Ping {
    /// Ping that counts body bytes in `counters`.
    #[must_use]
    pub fn new(counters: Arc<CoreCounters>) -> Ping {
        Ping { counters }
    }
}

async fn ping<R: Route>(
    ping: &Ping,
    _permit: Permit<'_, R>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    let mut body_bytes = 0;
    loop {
        match exchange.piece().await {
            Ok(Some(piece)) => body_bytes += piece.len() as u64,
            Ok(None) => break,
            Err(error) => {
                problem::body_refused(exchange, error);
                return Ok(());
            }
        }
    }
    ping.counters.body_read(body_bytes);
    let mut digits = itoa::Buffer::new();
    let mut response = [0; RESPONSE_BYTES_MAX];
    let mut length = 0;
    for part in [BEFORE, digits.format(body_bytes).as_bytes(), AFTER] {
        response[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    exchange.reply().lines(JSON).send(200, &[], &response[..length]);
    Ok(())
}
