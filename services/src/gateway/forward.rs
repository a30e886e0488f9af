//! Forwarding one request to an upstream and its response back, streamed with back-pressure, each
//! small message in one write.
//!
//! ```text
//!   route collects, or body small -> collected --> send ---+--> small: collected -> one write
//!   route streams -------------------> pieces ---> begin ---+--> else: head, piece, flush, .., end
//! ```
//! A body is collected before an upstream connection is taken, so that a client that stalls holds
//! none. Streamed ones hold one for as long as they last: at most half of them may.
//!
//! When the client goes, the call is dropped, and with it the upstream's connection unless its
//! response was complete. An upstream that breaks in the middle of a response breaks the client's
//! connection too: a cut response must not look like a whole one.

use proto_http::{BodyLength, Method, OutgoingBody, OutgoingRequest, Version};
use runtime::{BodyError, Broken, Call, ClientError, Exchange, Request, Upstream};

use super::client::ClientIdentity;
use super::fields::{Direction, LetThrough, names_us};
use super::forwarded::ForwardedHeader;
use super::lists::{Field, FieldLists};
use crate::edge::problem::{self, Problem};

/// Responses up to here are collected and leave in one write with their head; a TLS record is as
/// large.
const WHOLE_BYTES_MAX: usize = 16 * 1024;

/// Bodies of a known length up to here are collected on routes that stream, too.
const COLLECTED_BYTES_MAX: usize = 64 * 1024;

/// How this gateway signs what it forwards (RFC 9110 section 7.6.3).
const PSEUDONYM: &[u8] = b"tollgate";
const VIA_10: &[u8] = b"1.0 tollgate";
const VIA_11: &[u8] = b"1.1 tollgate";

/// One upstream of this gateway on one core.
#[derive(Debug)]
pub(super) struct UpstreamRoute {
    /// What it is called in errors: the service, never its address.
    name: &'static str,
    upstream: Option<Upstream>,
    /// Whether clients speak TLS to this gateway.
    tls: bool,
    /// Fields of clients that go on although others of their kind do not.
    through: LetThrough,
    lists: FieldLists,
}

impl UpstreamRoute {
    /// A hop to `upstream`; without one every request is answered 502.
    #[must_use]
    pub(super) fn new(
        name: &'static str,
        upstream: Option<Upstream>,
        tls: bool,
        through: LetThrough,
    ) -> UpstreamRoute {
        UpstreamRoute { name, upstream, tls, through, lists: FieldLists::default() }
    }

    /// Forwards the request of `client`, whose permit the caller holds, and its response. A body is
    /// collected, at most `body_bytes_max` of it; without that limit it is streamed.
    pub(super) async fn forward(
        &self,
        client: ClientIdentity<'_>,
        body_bytes_max: Option<usize>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Broken> {
        let Some(upstream) = &self.upstream else {
            let detail = format!("this gateway was started without the {} service", self.name);
            refuse(exchange, 502, "no-upstream", "No Upstream", &detail);
            return Ok(());
        };
        if is_circular(&exchange.request()) {
            let detail = "this gateway forwarded the request before; an upstream leads back here";
            refuse(exchange, 508, "loop", "Loop Detected", detail);
            return Ok(());
        }
        let length = exchange.request().length();
        let sent = match collected_max(length, body_bytes_max) {
            _ if length == BodyLength::Empty => self.send(upstream, client, exchange).await,
            Some(max) => match exchange.body(max).await {
                Ok(()) => self.send(upstream, client, exchange).await,
                Err(error) => Err(Failed::Body(error)),
            },
            None => Box::pin(self.stream(upstream, client, exchange)).await,
        };
        match sent {
            Ok(call) => self.relay(exchange, call).await,
            Err(Failed::Upstream(error)) => {
                self.failed(exchange, &error);
                Ok(())
            }
            Err(Failed::Body(BodyError::Closed)) => Err(Broken::Peer),
            Err(Failed::Body(error)) => {
                problem::body_refused(exchange, error);
                Ok(())
            }
        }
    }

    /// Sends a request whose body has been collected.
    async fn send(
        &self,
        upstream: &Upstream,
        client: ClientIdentity<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Call, Failed> {
        let seen = ForwardedHeader::new(exchange.peer().ip(), self.tls);
        let (request, body, _) = exchange.parts();
        let body = match request.length() {
            BodyLength::Empty => OutgoingBody::None,
            _ => OutgoingBody::Bytes(body),
        };
        let mut fields = self.lists.take();
        self.request_fields(&request, &seen, client, &mut fields);
        let result = upstream.send(&ask(&request, &fields, body)).await;
        self.lists.give(fields);
        result.map_err(Failed::Upstream)
    }

    /// Sends a request whose body is passed on as it arrives: what the upstream does not take is
    /// not read from the client either.
    async fn stream(
        &self,
        upstream: &Upstream,
        client: ClientIdentity<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Call, Failed> {
        let seen = ForwardedHeader::new(exchange.peer().ip(), self.tls);
        let request = exchange.request();
        let body = match request.length() {
            BodyLength::Exact(length) => OutgoingBody::Exact(length),
            _ => OutgoingBody::Chunked,
        };
        let mut fields = self.lists.take();
        self.request_fields(&request, &seen, client, &mut fields);
        let begun = upstream.begin(&ask(&request, &fields, body)).await;
        self.lists.give(fields);
        let mut call = begun.map_err(Failed::Upstream)?;
        let written = loop {
            match exchange.piece().await.map_err(Failed::Body)? {
                Some(piece) => match call.write(piece).await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                None => break call.finish_request().await,
            }
        };
        // An upstream may answer and close before it has read everything: then its response counts,
        // and only without one the error of writing does.
        match (call.response().await, written) {
            (Ok(()), _) => Ok(call),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(Failed::Upstream(error)),
        }
    }

    /// Passes the response on.
    async fn relay(&self, exchange: &mut Exchange<'_>, mut call: Call) -> Result<(), Broken> {
        let head = call.head();
        let (status, length) = (head.status, head.length);
        if exchange.request().method() == Method::Head {
            let body = match announced_length(&call) {
                Some(length) => OutgoingBody::Exact(length),
                None => OutgoingBody::Chunked,
            };
            self.answer_head(exchange, &call, body);
            exchange.reply().end();
            return Ok(());
        }
        let whole = match length {
            BodyLength::Empty => Ok(true),
            BodyLength::Exact(length) if length <= WHOLE_BYTES_MAX as u64 => {
                call.body(WHOLE_BYTES_MAX).await.map(|_| true)
            }
            _ => call.buffered().map(|body| body.is_some()),
        };
        match whole {
            Ok(true) => {
                let (_, _, body) = call.parts();
                let body = match length {
                    BodyLength::Empty => OutgoingBody::None,
                    _ => OutgoingBody::Bytes(body),
                };
                self.answer_head(exchange, &call, body);
                Ok(())
            }
            Ok(false) => {
                let body = match length {
                    BodyLength::Exact(length) => OutgoingBody::Exact(length),
                    _ => OutgoingBody::Chunked,
                };
                self.answer_head(exchange, &call, body);
                Box::pin(self.relay_pieces(exchange, call, status)).await
            }
            // Nothing has been sent to the client yet.
            Err(error) => {
                self.failed(exchange, &error);
                Ok(())
            }
        }
    }

    async fn relay_pieces(
        &self,
        exchange: &mut Exchange<'_>,
        mut call: Call,
        status: u16,
    ) -> Result<(), Broken> {
        loop {
            match call.piece().await {
                Ok(Some(piece)) => {
                    exchange.reply().piece(piece);
                    exchange.flush().await?;
                }
                Ok(None) => {
                    exchange.reply().end();
                    return Ok(());
                }
                Err(error) => {
                    let upstream = self.name;
                    tracing::warn!(upstream, status, %error, "a response was cut off");
                    return Err(Broken::Abandoned);
                }
            }
        }
    }

    /// Responds with the response's status and fields.
    fn answer_head(&self, exchange: &mut Exchange<'_>, call: &Call, body: OutgoingBody<'_>) {
        let mut fields = self.lists.take();
        let (head, bytes, _) = call.parts();
        let options = head.connection_options();
        for (name, value) in call.fields() {
            if self.through.passes(Direction::Response, name, options, bytes)
                && let Ok(name) = std::str::from_utf8(name)
            {
                fields.push((name, value));
            }
        }
        exchange.reply().head(call.status(), &fields, body);
        self.lists.give(fields);
    }

    /// The request's fields that go on, and what this gateway says of itself and of the client.
    fn request_fields<'a>(
        &self,
        request: &Request<'a>,
        seen: &'a ForwardedHeader,
        client: ClientIdentity<'a>,
        fields: &mut Vec<Field<'a>>,
    ) {
        let (options, bytes) = (request.head().connection_options(), request.bytes());
        for (name, value) in request.fields() {
            if self.through.passes(Direction::Request, name, options, bytes)
                && let Ok(name) = std::str::from_utf8(name)
            {
                fields.push((name, value));
            }
        }
        fields.push(("via", if request.version() == Version::Http10 { VIA_10 } else { VIA_11 }));
        fields.push(("forwarded", seen.as_bytes()));
        fields.extend(client.fields());
    }

    /// Reports what failed at the upstream: 502 it cannot be used, 503 there is no room left, 504
    /// it is late.
    fn failed(&self, exchange: &mut Exchange<'_>, error: &ClientError) {
        let name = self.name;
        tracing::debug!(upstream = name, %error, "forwarding failed");
        match error.status() {
            503 => {
                let detail = match error {
                    ClientError::Uploads => {
                        format!("too many uploads to the {name} service are under way")
                    }
                    _ => format!("every connection to the {name} service is in use"),
                };
                let title = "Upstream Busy";
                Problem { status: 503, kind: Some("upstream-busy"), title, detail: &detail }
                    .respond_with(exchange, &[("retry-after", b"1")]);
            }
            504 => {
                let detail = format!("the {name} service did not answer in time");
                refuse(exchange, 504, "upstream-late", "Upstream Late", &detail);
            }
            _ => {
                let what = match error {
                    ClientError::Refused(_)
                    | ClientError::Unreachable(_)
                    | ClientError::NoAddress => "cannot be reached",
                    ClientError::Tls(_) => "and this gateway do not trust each other (TLS)",
                    ClientError::Closed | ClientError::Lost(_) => {
                        "closed the connection before it answered"
                    }
                    _ => "gave a response that cannot be passed on",
                };
                let detail = format!("the {name} service {what}");
                refuse(exchange, 502, "bad-upstream", "Bad Upstream", &detail);
            }
        }
    }
}

/// How much of a body of this length is collected at most; `None` if it is streamed.
fn collected_max(length: BodyLength, body_bytes_max: Option<usize>) -> Option<usize> {
    match length {
        BodyLength::Exact(length) if length <= COLLECTED_BYTES_MAX as u64 => {
            body_bytes_max.or(Some(COLLECTED_BYTES_MAX))
        }
        _ => body_bytes_max,
    }
}

/// Why there is no response.
enum Failed {
    /// The upstream's side.
    Upstream(ClientError),
    /// The body could not be read from the client.
    Body(BodyError),
}

fn refuse(
    exchange: &mut Exchange<'_>,
    status: u16,
    kind: &'static str,
    title: &'static str,
    detail: &str,
) {
    Problem { status, kind: Some(kind), title, detail }.respond(exchange);
}

/// The request as it goes on: same method and target.
fn ask<'a>(
    request: &Request<'a>,
    fields: &'a [Field<'a>],
    body: OutgoingBody<'a>,
) -> OutgoingRequest<'a> {
    OutgoingRequest {
        // Routes have known methods only, which are ASCII.
        method: std::str::from_utf8(request.method_name()).unwrap_or_default(),
        target: origin_form(request),
        host: b"",
        fields,
        body,
    }
}

/// Path and query as sent: a target in absolute form named this gateway, not the upstream.
fn origin_form<'a>(request: &Request<'a>) -> &'a [u8] {
    let target = request.target();
    let length = request.path().len() + request.query().map_or(0, |query| query.len() + 1);
    &target[target.len().saturating_sub(length)..]
}

/// Whether this gateway forwarded the request before.
fn is_circular(request: &Request<'_>) -> bool {
    let mut via = request.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"via"));
    via.any(|(_, value)| names_us(value, PSEUDONYM))
}

/// What `Content-Length` says in answer to a HEAD.
fn announced_length(call: &Call) -> Option<u64> {
    std::str::from_utf8(call.field("content-length")?).ok()?.parse().ok()
}
