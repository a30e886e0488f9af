//! The routes of the orders service: taking an order and reading it.
//!
//! ```text
//! read body -> key new? -> begin (the order has its id) -> reserve -> keep -> 201
//!     | 400      | 409 422       | 503                       | 409        | 503: released
//!                | 201: a repeat                             | 502 503 504: released if it may
//!                                                                         be reserved
//! ```
//! Owns the order of these steps and what is undone when one fails. It refuses to keep an order
//! without its stock, or stock without their order; and to tell anybody of an order that is neither
//! his own nor his to read: for him it is not there.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use authn::policy::Reach;
use authn::{Callers, Owner, OwnerKey, OwnerRule, Permit, Prf, Scope};
use proto_http::Method;
use runtime::{Broken, Exchange, Request};

use crate::config::error::ServeError;
use crate::edge::dispatch::routes;
use crate::edge::fields::{JSON, JSON_NOW};
use crate::edge::problem::{Problem, body_refused, required_body};
use crate::orders::id::{OrderId, TEXT_BYTES};
use crate::orders::idempotency::{Begun, Claim, Idempotency, IdempotencyKey};
use crate::orders::model::{OrderBody, read_order, write_created, write_order};
use crate::orders::record::Draft;
use crate::orders::stock::{ReserveOutcome, Stock, StockFailure};
use crate::orders::store::{Miss, OrderReader, Orders, Pending, Writer};
use crate::route::Param;

const PATH: &[u8] = b"/api/orders/";

/// Who orders: the gateway for its clients, or the runner itself.
const CALLERS: Callers = Callers::Named(&["gateway", "bench-runner"]);

/// Who brings other clients' tokens and names clients of its own.
const FORWARDERS: &[&str] = &["gateway"];

routes! {
    impl OrdersApp {
        /// Takes an order.
        OrderCreate = "orders.create", Method::Post, "/api/orders",
            (Some(Scope::OrdersWrite), CALLERS, FORWARDERS), OwnerRule::Creator => create;
        /// Reads an order of one's own; with the scope to read all, anybody's.
        OrderRead = "orders.read", Method::Get, "/api/orders/{id}",
            (Some(Scope::OrdersRead), CALLERS, FORWARDERS),
            OwnerRule::OwnerOr(Scope::OrdersReadAll) => read;
    }
}

/// What the cores of the orders service share, and the shards they are about to take.
pub struct OrdersShared {
    orders: Arc<Orders>,
    keys: Arc<Idempotency>,
    owners: Prf,
    /// Touched once per core, at its start.
    writers: Mutex<Vec<Option<Writer>>>,
}

impl OrdersShared {
    /// A store of the newest `retained` orders for so many workers.
    ///
    /// # Errors
    /// When the system gives no randomness for the ids.
    pub fn new(
        retained: usize,
        workers: usize,
        keys: Idempotency,
    ) -> Result<OrdersShared, ServeError> {
        let prf = || Prf::random().map_err(ServeError::start);
        let (orders, writers) = Orders::new(retained, workers, prf()?);
        let writers = Mutex::new(writers.into_iter().map(Some).collect());
        Ok(OrdersShared { orders, keys: Arc::new(keys), owners: prf()?, writers })
    }

    /// The store.
    #[must_use]
    pub fn orders(&self) -> &Arc<Orders> {
        &self.orders
    }

    /// The service on the worker of this number.
    ///
    /// # Panics
    /// When a worker asks twice, or is none of those the store was made for.
    #[must_use]
    pub fn app(&self, worker: usize, stock: Stock) -> OrdersApp {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writers.get_mut(worker).and_then(Option::take);
        let writer = writer.expect("each worker starts once");
        OrdersApp {
            orders: Arc::clone(writer.orders()),
            writer: RefCell::new(writer),
            keys: Arc::clone(&self.keys),
            owners: self.owners,
            stock,
            found: RefCell::default(),
            response: RefCell::default(),
        }
    }
}

/// The orders service on one core.
pub struct OrdersApp {
    orders: Arc<Orders>,
    /// Borrowed between awaits only.
    writer: RefCell<Writer>,
    keys: Arc<Idempotency>,
    /// Makes the keys under which owners are known here.
    owners: Prf,
    stock: Stock,
    /// An order that was found, and a response being written; borrowed for no longer than that.
    found: RefCell<Vec<u8>>,
    response: RefCell<Vec<u8>>,
}

impl OrdersApp {
    /// Does everything that a new order takes.
    async fn create_order(
        &self,
        owner: Owner<'_>,
        key: Option<&[u8]>,
        body: &[u8],
    ) -> Result<OrderId, Refused> {
        let client = owner.name().unwrap_or(Owner::NOBODY);
        let owner = owner.key(&self.owners);
        let order = read_order(body)
            .map_err(|invalid| refused(400, "bad-order", "Bad Order", invalid.as_str()))?;
        let claim = match self.claim(owner, key, body)? {
            Claimed::Nothing => None,
            Claimed::New(claim) => Some(claim),
            Claimed::Repeat(id) => return Ok(id),
        };
        let pending = self.writer.borrow_mut().begin(owner).ok_or_else(|| {
            let detail = "too many orders are being taken at this moment; try again shortly";
            refused(503, "busy", "Busy", detail)
        })?;
        let id = self.reserve_and_keep(client, &order, pending).await?;
        if let Some(claim) = claim {
            claim.keep(id, Instant::now());
        }
        Ok(id)
    }

    /// Claims the idempotency key, if there is one. Dropped, the claim gives the key free.
    fn claim(
        &self,
        owner: OwnerKey,
        key: Option<&[u8]>,
        body: &[u8],
    ) -> Result<Claimed<'_>, Refused> {
        let Some(key) = key else {
            return Ok(Claimed::Nothing);
        };
        let key = IdempotencyKey::parse(key).ok_or_else(|| {
            let detail = "Idempotency-Key must be 1 to 255 visible ASCII characters";
            refused(400, "bad-idempotency-key", "Bad Idempotency Key", detail)
        })?;
        match self.keys.begin(owner, key, body, Instant::now()) {
            Begun::New(claim) => Ok(Claimed::New(claim)),
            Begun::Repeat(id) => Ok(Claimed::Repeat(id)),
            Begun::Mismatch => {
                let detail = "this Idempotency-Key was used for another body; use a new one";
                Err(refused(422, "idempotency-key-reused", "Idempotency Key Reused", detail))
            }
            Begun::InProgress => {
                let detail = "the first request with this Idempotency-Key is still being done";
                Err(refused(409, "in-progress", "In Progress", detail))
            }
            Begun::Busy => {
                let detail = "there is no room for another Idempotency-Key at this moment";
                Err(refused(503, "busy", "Busy", detail))
            }
        }
    }

    async fn reserve_and_keep(
        &self,
        client: &str,
        order: &OrderBody<'_>,
        pending: Pending,
    ) -> Result<OrderId, Refused> {
        let mut buffer = [0; TEXT_BYTES];
        let id = pending.id().text(&mut buffer);
        let taken = self.stock.reserve(id, &order.skus).await;
        let why = match taken {
            ReserveOutcome::Reserved => {
                let draft = Draft {
                    created_ms: unix_ms(),
                    client,
                    customer: &order.customer,
                    amount: order.amount,
                    skus: &order.skus,
                };
                return self.writer.borrow_mut().keep(pending, &draft).map_err(|unkept| {
                    tracing::error!(?unkept, "an order could not be kept");
                    self.stock.release(id);
                    refused(503, "not-kept", "Not Kept", "there is no room to keep the order")
                });
            }
            ReserveOutcome::Refused(refusal) => {
                refused(refusal.status, refusal.kind, refusal.title, &refusal.detail)
            }
            ReserveOutcome::Failed(StockFailure { status, detail, maybe_reserved }) => {
                if maybe_reserved {
                    self.stock.release(id);
                }
                let (kind, title) = match status {
                    503 => ("inventory-busy", "Inventory Busy"),
                    504 => ("inventory-late", "Inventory Late"),
                    _ => ("bad-inventory", "Bad Inventory"),
                };
                refused(status, kind, title, detail)
            }
        };
        self.writer.borrow_mut().abandon(pending);
        Err(why)
    }
}

/// What an idempotency key leads to.
enum Claimed<'a> {
    Nothing,
    New(Claim<'a>),
    Repeat(OrderId),
}

/// Why an order was not taken.
struct Refused {
    status: u16,
    kind: &'static str,
    title: &'static str,
    detail: Box<str>,
}

fn refused(status: u16, kind: &'static str, title: &'static str, detail: &str) -> Refused {
    Refused { status, kind, title, detail: detail.into() }
}

async fn create(
    app: &OrdersApp,
    permit: Permit<'_, OrderCreate>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    if let Err(error) = required_body::<OrderCreate>(exchange).await {
        body_refused(exchange, error);
        return Ok(());
    }
    let (request, body, _) = exchange.parts();
    let taken = match only_key(&request) {
        Ok(key) => app.create_order(permit.creator(), key, body).await,
        Err(why) => Err(why),
    };
    match taken {
        Ok(id) => created(app, exchange, id),
        Err(why) => {
            let problem = Problem {
                status: why.status,
                kind: Some(why.kind),
                title: why.title,
                detail: &why.detail,
            };
            let again = why.status == 503 || why.kind == "in-progress";
            let retry: &[(&str, &[u8])] = if again { &[("retry-after", b"1")] } else { &[] };
            problem.respond_with(exchange, retry);
        }
    }
    Ok(())
}

/// The idempotency key, if there is one. Of two it could not be known which one is meant.
fn only_key<'a>(request: &Request<'a>) -> Result<Option<&'a [u8]>, Refused> {
    let mut keys = request.fields().filter(|(name, _)| is_key(name)).map(|(_, value)| value);
    match (keys.next(), keys.next()) {
        (_, Some(_)) => {
            let detail = "Idempotency-Key stands more than once";
            Err(refused(400, "bad-idempotency-key", "Bad Idempotency Key", detail))
        }
        (key, None) => Ok(key),
    }
}

/// 201 with the order's place (RFC 9110 section 15.3.2). A repeat gets the same response.
fn created(app: &OrdersApp, exchange: &mut Exchange<'_>, id: OrderId) {
    let mut location = [0; PATH.len() + TEXT_BYTES];
    location[..PATH.len()].copy_from_slice(PATH);
    location[PATH.len()..].copy_from_slice(id.text(&mut [0; TEXT_BYTES]).as_bytes());
    let mut response = app.response.borrow_mut();
    response.clear();
    write_created(&mut response, id);
    exchange.reply().lines(JSON).send(201, &[("location", &location)], &response);
}

async fn read(
    app: &OrdersApp,
    permit: Permit<'_, OrderRead>,
    param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    let text = std::str::from_utf8(param.of(exchange.request().path())).unwrap_or_default();
    let mut found = app.found.borrow_mut();
    let Reach { owner, all } = permit.reach();
    let reader = OrderReader { owner: owner.key(&app.owners), all };
    let order = match OrderId::parse(text) {
        Some(id) => app.orders.find(id, reader, &mut found).map(|order| (id, order)),
        None => Err(Miss::NotFound),
    };
    let (status, kind, title, detail) = match order {
        Ok((id, order)) => {
            let mut response = app.response.borrow_mut();
            response.clear();
            write_order(&mut response, id, &order);
            exchange.reply().lines(JSON_NOW).send(200, &[], &response);
            return Ok(());
        }
        Err(Miss::NotFound) => (404, "no-order", "No Order", "there is no order of this id here"),
        Err(Miss::Gone) => {
            let detail = "the order was taken and is no longer kept: only the newest are";
            (410, "order-gone", "Order Gone", detail)
        }
    };
    Problem { status, kind: Some(kind), title, detail }.respond(exchange);
    Ok(())
}

fn is_key(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"idempotency-key")
}

/// Milliseconds since the Unix epoch; 0 on a machine whose clock is before it.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
