//! The routes of the API of inventory: reading and setting a stock, reserving, releasing.
//!
//! Owns the way from a request to the store and back; a reservation is its owner's. Reserving and
//! reading allocate nothing; a refusal may. It refuses to decide anything: the store does, the
//! model reads.

use std::cell::RefCell;
use std::sync::Arc;

use authn::{Callers, OwnerRule, Permit, Prf, Scope};
use proto_http::Method;
use runtime::{Broken, Exchange};

use crate::config::error::ServeError;
use crate::edge::dispatch::routes;
use crate::edge::fields::{JSON, JSON_NOW};
use crate::edge::json::Invalid;
use crate::edge::problem::{Problem, body_refused, required_body};
use crate::inventory::model::{read_quantity, read_reservation, write_reserved, write_sku};
use crate::inventory::name::{OrderRef, SkuName};
use crate::inventory::refusal::{ReservationRefusal, kind};
use crate::inventory::sku::QUANTITY_MAX;
use crate::inventory::store::{
    DEFAULT_STOCK, Holder, Inventory, Name, RESERVATIONS_RETAINED, Released, Reserved, SKUS_MAX,
};
use crate::route::{Param, Routed};

/// Who works with the stock: orders by its certificate, its client by the token where there is no
/// certificate.
const CALLERS: Callers = Callers::Named(&["gateway", "orders", "service-order", "bench-runner"]);

/// Who brings other clients' tokens and names clients of its own.
const FORWARDERS: &[&str] = &["gateway"];

routes! {
    impl InventoryApp {
        /// Reserves for an order, all or nothing.
        Reserve = "inventory.reserve", Method::Post, "/api/inventory/reservations",
            (Some(Scope::InventoryWrite), CALLERS, FORWARDERS), OwnerRule::Creator => reserve;
        /// Gives an order's reservation back.
        Release = "inventory.release", Method::Delete, "/api/inventory/reservations/{orderId}",
            (Some(Scope::InventoryWrite), CALLERS, FORWARDERS), OwnerRule::Owner => release;
        /// Reads how much there is of a SKU.
        StockRead = "inventory.read", Method::Get, "/api/inventory/{sku}",
            (Some(Scope::InventoryRead), CALLERS, FORWARDERS), OwnerRule::Nobody => read;
        /// Sets how much is available of a SKU.
        StockSet = "inventory.set", Method::Put, "/api/inventory/{sku}",
            (Some(Scope::InventoryWrite), CALLERS, FORWARDERS), OwnerRule::Nobody => set;
    }
}

/// The inventory of the API on one core.
pub struct InventoryApp {
    pub(super) inventory: Arc<Inventory>,
    /// Responses are written here; borrowed for no longer than that.
    response: RefCell<Vec<u8>>,
}

impl InventoryApp {
    /// The routes over a stock that all cores share.
    #[must_use]
    pub fn new(inventory: Arc<Inventory>) -> InventoryApp {
        InventoryApp { inventory, response: RefCell::default() }
    }
}

/// The stock at the start: the built-in one, changed and added to by `stock` (`--stock SKU=N`).
///
/// # Errors
/// When a name or a quantity is out of bounds.
pub fn open(stock: &[(String, u64)]) -> Result<Arc<Inventory>, ServeError> {
    let holders = Prf::random().map_err(ServeError::start)?;
    let inventory = Inventory::new(SKUS_MAX, RESERVATIONS_RETAINED, holders);
    let built_in = DEFAULT_STOCK.iter().map(|&(name, quantity)| (name, u64::from(quantity)));
    let given = stock.iter().map(|(name, quantity)| (name.as_str(), *quantity));
    for (name, quantity) in built_in.chain(given) {
        let named = format!("--stock {name}={quantity}");
        let wrong = |why: String| ServeError::config(format!("{named}: {why}"));
        let sku = SkuName::parse(name).map_err(|bad| ServeError::config_of(&named, bad))?;
        let quantity = u32::try_from(quantity).ok().filter(|&quantity| quantity <= QUANTITY_MAX);
        let quantity =
            quantity.ok_or_else(|| wrong(format!("the most is {QUANTITY_MAX} of one SKU")))?;
        let sku = inventory.skus().insert(sku).and_then(|place| inventory.skus().at(place));
        let sku = sku.ok_or_else(|| wrong(format!("there are {SKUS_MAX} SKUs already")))?;
        sku.set(quantity).expect("within bounds, and nothing is held yet");
    }
    Ok(Arc::new(inventory))
}

async fn reserve(
    app: &InventoryApp,
    permit: Permit<'_, Reserve>,
    _param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    reserve_as::<Reserve>(app, app.inventory.client(permit.creator()), exchange).await
}

/// Reads a reservation of route `R` and makes it in the name of `holder`.
pub(super) async fn reserve_as<R: Routed>(
    app: &InventoryApp,
    holder: Holder,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    if let Err(error) = required_body::<R>(exchange).await {
        body_refused(exchange, error);
        return Ok(());
    }
    let (_, body, reply) = exchange.parts();
    let mut request = app.inventory.request();
    let order = match read_reservation(body, |sku, quantity| request.add(sku, quantity)) {
        Ok(order) => order,
        Err(invalid) => {
            bad_body(exchange, kind::BAD_RESERVATION, &invalid);
            return Ok(());
        }
    };
    let reserved = app.inventory.reserve(Name { holder, order: order.as_ref() }, &request);
    if let Reserved::Made = reserved {
        let mut response = app.response.borrow_mut();
        response.clear();
        write_reserved(&mut response, order.as_ref());
        reply.lines(JSON).send(201, &[], &response);
        return Ok(());
    }
    drop(order);
    if let Some(refusal) = ReservationRefusal::of(reserved) {
        refuse(exchange, &refusal);
    }
    Ok(())
}

async fn release(
    app: &InventoryApp,
    permit: Permit<'_, Release>,
    param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    release_as(app, app.inventory.client(permit.owner()), param, exchange);
    Ok(())
}

/// Releases what `holder` has under the name in the path.
pub(super) fn release_as(
    app: &InventoryApp,
    holder: Holder,
    param: Param,
    exchange: &mut Exchange<'_>,
) {
    let order = std::str::from_utf8(param.of(exchange.request().path())).unwrap_or_default();
    let released = match OrderRef::parse(order) {
        Ok(order) => app.inventory.release(Name { holder, order }),
        Err(bad) => {
            let detail = bad.to_string();
            return problem(exchange, 400, "bad-order-id", "Bad Order Id", &detail);
        }
    };
    match released {
        Released::Now | Released::Before => exchange.reply().send(204, &[], b""),
        Released::Nothing => {
            let detail = "nothing is held for this order, and nothing will be: a reservation that \
                          arrives later is refused";
            problem(exchange, 404, "no-reservation", "No Reservation", detail);
        }
        Released::Busy => refuse(exchange, &busy()),
    }
}

async fn read(
    app: &InventoryApp,
    _permit: Permit<'_, StockRead>,
    param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    let name = std::str::from_utf8(param.of(exchange.request().path())).unwrap_or_default();
    let sku = SkuName::parse(name).ok().and_then(|name| app.inventory.sku(name));
    match sku {
        Some(sku) => {
            let mut response = app.response.borrow_mut();
            response.clear();
            write_sku(&mut response, sku.name(), &sku.levels());
            exchange.reply().lines(JSON_NOW).send(200, &[], &response);
        }
        None => {
            let detail = "there is no such SKU; PUT {\"quantity\": n} here makes it";
            problem(exchange, 404, kind::UNKNOWN_SKU, "Unknown SKU", detail);
        }
    }
    Ok(())
}

async fn set(
    app: &InventoryApp,
    _permit: Permit<'_, StockSet>,
    param: Param,
    exchange: &mut Exchange<'_>,
) -> Result<(), Broken> {
    if let Err(error) = required_body::<StockSet>(exchange).await {
        body_refused(exchange, error);
        return Ok(());
    }
    let (request, body, _) = exchange.parts();
    let name = std::str::from_utf8(param.of(request.path())).unwrap_or_default();
    let checked = SkuName::parse(name).map_err(|bad| Invalid::new(bad.to_string()));
    let (name, quantity) = match checked.and_then(|name| Ok((name, read_quantity(body)?))) {
        Ok(checked) => checked,
        Err(invalid) => {
            bad_body(exchange, "bad-stock", &invalid);
            return Ok(());
        }
    };
    let skus = app.inventory.skus();
    let known = skus.find(name);
    let Some(sku) = known.or_else(|| skus.insert(name)).and_then(|place| skus.at(place)) else {
        let detail = format!("there are {SKUS_MAX} SKUs already, and none can be added");
        problem(exchange, 409, "too-many-skus", "Too Many SKUs", &detail);
        return Ok(());
    };
    if sku.set(quantity).is_err() {
        let detail = "with as much as is held of this SKU, the sum could overflow; set less";
        problem(exchange, 409, "too-much-held", "Too Much Held", detail);
        return Ok(());
    }
    let mut response = app.response.borrow_mut();
    response.clear();
    write_sku(&mut response, sku.name(), &sku.levels());
    let status = if known.is_some() { 200 } else { 201 };
    exchange.reply().lines(JSON_NOW).send(status, &[], &response);
    Ok(())
}

fn busy() -> ReservationRefusal {
    ReservationRefusal::of(Reserved::Busy).expect("a refusal")
}

fn refuse(exchange: &mut Exchange<'_>, refusal: &ReservationRefusal) {
    let retry: &[(&str, &[u8])] = match refusal.kind {
        kind::BUSY | kind::IN_PROGRESS => &[("retry-after", b"1")],
        _ => &[],
    };
    refusal.problem().respond_with(exchange, retry);
}

fn bad_body(exchange: &mut Exchange<'_>, kind: &'static str, invalid: &Invalid) {
    problem(exchange, 400, kind, "Bad Request", invalid.as_str());
}

fn problem(
    exchange: &mut Exchange<'_>,
    status: u16,
    kind: &'static str,
    title: &'static str,
    detail: &str,
) {
    Problem { status, kind: Some(kind), title, detail }.respond(exchange);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_stock_at_the_start_is_the_built_in_one_with_changes() {
        let given = [("sku-1000".to_string(), 5), ("extra".to_string(), 7)];
        let inventory = open(&given).expect("good");
        for (name, quantity) in
            [("SKU-1000", 5), ("SKU-2000", 100_000), ("SKU-3000", 100_000), ("EXTRA", 7)]
        {
            let sku = inventory.sku(SkuName::parse(name).expect("good")).expect("there");
            assert_eq!(sku.available(), quantity, "{name}");
            assert!(sku.levels().is_conserved());
        }
        for (name, quantity) in [("a b", 1), ("a", 1_000_000_001), ("a", u64::MAX)] {
            assert!(open(&[(name.to_string(), quantity)]).is_err(), "{name}={quantity}");
        }
    }
}
