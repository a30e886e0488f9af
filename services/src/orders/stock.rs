//! Where orders takes its stock from: the inventory service, or a stock in the same process.
//!
//! Owns how a response of inventory, or none, is understood: reserved, refused, or failed, and then
//! whether something may be reserved that nobody will use. It refuses to give such stock up: it is
//! released in the background until inventory says so ([`Stock::release`]), by the deadline of
//! a graceful shutdown at the latest. What stays reserved then is logged with its order's id.
//!
//! A reservation is named by the id of its order, so sending it twice reserves once. It is
//! therefore sent again, once, when a connection ended without a response.

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use authn::Owner;
use proto_http::{OutgoingBody, OutgoingRequest};
use runtime::{Call, ClientError, Core, Upstream};
use serde::Deserialize;

use crate::inventory::for_orders::RESERVATIONS;
use crate::inventory::name::{OrderRef, SkuName};
use crate::inventory::refusal::{ReservationRefusal, kind};
use crate::inventory::store::{Inventory, Name, Released};
use crate::orders::model::write_reservation;
use crate::refresh::watched::WatchReader;
use crate::transport::token::{OwnToken, TokenRefresher};

/// The largest response of inventory that is read.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// Reservations of one core that may be on their way back at a time.
const RETURNS_MAX: usize = 4096;
/// The pause between tries while the service is shutting down.
const LAST_PAUSE: Duration = Duration::from_millis(50);
/// Pauses between tries to give a reservation back: some ten minutes in all.
const RETURN_PAUSES: [Duration; 9] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(180),
    Duration::from_secs(300),
];

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReserveOutcome {
    /// All of it is reserved.
    Reserved,
    /// Nothing is reserved: the stock is not there.
    Refused(ReservationRefusal),
    /// There is no response that could be used.
    Failed(StockFailure),
}

/// Why there was no usable response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockFailure {
    /// What to answer: 502, 503 or 504 (RFC 9110 sections 15.6.3 to 15.6.5).
    pub status: u16,
    /// What failed, for the client.
    pub detail: &'static str,
    /// Whether something may be reserved all the same.
    pub maybe_reserved: bool,
}

/// The stock as one core reaches it.
#[derive(Clone)]
pub struct Stock(Rc<StockSource>);

enum StockSource {
    Local(Arc<Inventory>),
    Remote(Remote),
}

/// The inventory service, over connections of this core.
struct Remote {
    core: Core,
    upstream: Upstream,
    /// The service's own token; none where inventory does not look at it.
    token: Option<(WatchReader<OwnToken>, Arc<TokenRefresher>)>,
    /// Reservations on their way back.
    returns: Cell<usize>,
}

/// What is read of a problem that inventory answers with.
#[derive(Deserialize)]
struct ProblemBody<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    detail: Cow<'a, str>,
}

impl Stock {
    /// A stock in this process.
    #[must_use]
    pub fn local(inventory: Arc<Inventory>) -> Stock {
        Stock(Rc::new(StockSource::Local(inventory)))
    }

    /// The inventory service.
    #[must_use]
    pub fn remote(
        core: &Core,
        upstream: Upstream,
        refresher: Option<Arc<TokenRefresher>>,
    ) -> Stock {
        let token = refresher.map(|refresher| (WatchReader::new(refresher.token()), refresher));
        let returns = Cell::new(0);
        Stock(Rc::new(StockSource::Remote(Remote { core: core.clone(), upstream, token, returns })))
    }

    /// Reserves one unit for each SKU given, all or nothing, in the name of `order`.
    pub async fn reserve(&self, order: &str, skus: &[Cow<'_, str>]) -> ReserveOutcome {
        match &*self.0 {
            StockSource::Local(inventory) => reserve_here(inventory, order, skus),
            StockSource::Remote(remote) => remote.reserve(order, skus).await,
        }
    }

    /// Releases what is, or may be, reserved for `order`: at once where the stock is here, else
    /// in the background, again and again until inventory confirms it.
    pub fn release(&self, order: &str) {
        match &*self.0 {
            StockSource::Local(inventory) => {
                if release_here(inventory, order) == Released::Busy {
                    tracing::error!(order, "a reservation could not be given back");
                }
            }
            StockSource::Remote(remote) => {
                if remote.returns.get() >= RETURNS_MAX {
                    tracing::error!(order, "too many reservations to give back; one is left held");
                    return;
                }
                remote.returns.set(remote.returns.get() + 1);
                let (stock, order) = (self.clone(), order.to_string());
                let left = order.clone();
                let cut = move || {
                    tracing::error!(order = left, "shut down before a reservation was given back");
                };
                remote.core.spawn_owed(async move { stock.keep_releasing(&order).await }, cut);
            }
        }
    }

    async fn keep_releasing(&self, order: &str) {
        let StockSource::Remote(remote) = &*self.0 else {
            return;
        };
        let mut pauses = RETURN_PAUSES.into_iter();
        while !remote.release(order).await {
            if remote.core.draining() {
                remote.core.sleep(LAST_PAUSE).await;
            } else if let Some(pause) = pauses.next() {
                remote.core.sleep_while_serving(pause).await;
            } else {
                tracing::error!(order, "inventory did not take a reservation back; it stays held");
                break;
            }
        }
        remote.returns.set(remote.returns.get() - 1);
    }
}

impl Remote {
    async fn reserve(&self, order: &str, skus: &[Cow<'_, str>]) -> ReserveOutcome {
        let mut body = Vec::with_capacity(64 + skus.len() * 40);
        write_reservation(&mut body, order, skus);
        match self.send("POST", RESERVATIONS.as_bytes(), OutgoingBody::Bytes(&body)).await {
            Err(Unsent::Client(ClientError::Closed | ClientError::Lost(_))) => {
                let sent =
                    self.send("POST", RESERVATIONS.as_bytes(), OutgoingBody::Bytes(&body)).await;
                after_lost_answer(self.taken(sent).await)
            }
            sent => self.taken(sent).await,
        }
    }

    async fn taken(&self, sent: Result<Call, Unsent>) -> ReserveOutcome {
        match sent {
            Ok(call) => self.understand(call).await,
            Err(Unsent::NoToken) => {
                let detail = "this service has no token of its own yet; try again shortly";
                ReserveOutcome::Failed(StockFailure { status: 503, detail, maybe_reserved: false })
            }
            Err(Unsent::Client(error)) => {
                tracing::debug!(%error, "inventory gave no response");
                ReserveOutcome::Failed(failure(&error))
            }
        }
    }

    async fn understand(&self, mut call: Call) -> ReserveOutcome {
        let status = call.status();
        let body = call.body(RESPONSE_BYTES_MAX).await;
        let (status, detail, maybe_reserved) = match status {
            // The status says it all; a body that is cut off changes nothing.
            200 | 201 => return ReserveOutcome::Reserved,
            409 => match body.ok().and_then(refusal) {
                Some(refusal) => return ReserveOutcome::Refused(refusal),
                None => (502, "the inventory service gave a response that makes no sense", true),
            },
            401 | 403 => {
                if let Some((_, refresher)) = &self.token {
                    refresher.ask_refresh();
                }
                tracing::warn!(status, "inventory refused this service's credentials");
                (502, "the inventory service refused the credentials of this service", false)
            }
            503 => (503, "the inventory service is busy; nothing was reserved", false),
            504 => (504, "the inventory service did not answer in time", true),
            _ => (502, "the inventory service gave a response that makes no sense", true),
        };
        ReserveOutcome::Failed(StockFailure { status, detail, maybe_reserved })
    }

    /// Whether nothing is reserved for the order any more.
    async fn release(&self, order: &str) -> bool {
        let target = [RESERVATIONS.as_bytes(), b"/", order.as_bytes()].concat();
        let Ok(mut call) = self.send("DELETE", &target, OutgoingBody::None).await else {
            return false;
        };
        let status = call.status();
        // Read to its end, so that the connection is kept.
        let _ = call.body(RESPONSE_BYTES_MAX).await;
        matches!(status, 204 | 404)
    }

    async fn send(
        &self,
        method: &str,
        target: &[u8],
        body: OutgoingBody<'_>,
    ) -> Result<Call, Unsent> {
        let token = match &self.token {
            Some((token, _)) => Some(token.get().ok_or(Unsent::NoToken)?),
            None => None,
        };
        let json: (&str, &[u8]) = ("content-type", b"application/json");
        let authorization = token.as_ref().map(|token| token.authorization());
        let with_token = [("authorization", authorization.unwrap_or_default()), json];
        let fields = if authorization.is_some() { &with_token[..] } else { &with_token[1..] };
        let ask = OutgoingRequest { method, target, host: b"", fields, body };
        self.upstream.send(&ask).await.map_err(Unsent::Client)
    }
}

/// Why there is no response.
enum Unsent {
    NoToken,
    Client(ClientError),
}

/// What the second try came to. The first may have been done before its response was lost, so a
/// failure of the second, even one that reserved nothing itself, leaves open what the first one
/// reserved.
fn after_lost_answer(taken: ReserveOutcome) -> ReserveOutcome {
    match taken {
        ReserveOutcome::Failed(failure) => {
            ReserveOutcome::Failed(StockFailure { maybe_reserved: true, ..failure })
        }
        decided @ (ReserveOutcome::Reserved | ReserveOutcome::Refused(_)) => decided,
    }
}

fn failure(error: &ClientError) -> StockFailure {
    let (detail, maybe_reserved) = match error {
        ClientError::ConnectTimeout => ("the inventory service took no connection in time", false),
        ClientError::Exhausted | ClientError::Uploads => {
            ("every connection to the inventory service is in use", false)
        }
        // Trust fails before a request is read. Any other fault may have spoilt the response only.
        ClientError::Tls(error) => {
            let detail = "the inventory service and this one do not trust each other";
            (detail, !is_certificate_rejected(error.inner()))
        }
        ClientError::NoAddress | ClientError::Refused(_) | ClientError::Unreachable(_) => {
            ("the inventory service cannot be reached", false)
        }
        ClientError::ResponseTimeout => ("the inventory service did not answer in time", true),
        ClientError::Closed | ClientError::Lost(_) => {
            ("the inventory service closed the connection unanswered", true)
        }
        ClientError::Protocol(_) | ClientError::TooLarge => {
            ("the inventory service gave a response that makes no sense", true)
        }
    };
    StockFailure { status: error.status(), detail, maybe_reserved }
}

/// Whether a fault of TLS says that one end refused the other's certificate.
fn is_certificate_rejected(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::AlertReceived(
                Alert::AccessDenied
                    | Alert::BadCertificate
                    | Alert::CertificateExpired
                    | Alert::CertificateRequired
                    | Alert::CertificateRevoked
                    | Alert::CertificateUnknown
                    | Alert::HandshakeFailure
                    | Alert::UnknownCA
                    | Alert::UnsupportedCertificate
            )
    )
}

/// The refusal that a problem of inventory stands for; `None` if the stock is not the reason.
fn refusal(body: &[u8]) -> Option<ReservationRefusal> {
    let told: ProblemBody<'_> = serde_json::from_slice(body).ok()?;
    let (kind, title) = match told.kind.strip_prefix("urn:tollgate:problem:")? {
        kind::OUT_OF_STOCK => (kind::OUT_OF_STOCK, "Out Of Stock"),
        kind::UNKNOWN_SKU => (kind::UNKNOWN_SKU, "Unknown SKU"),
        _ => return None,
    };
    Some(ReservationRefusal { status: 409, kind, title, detail: told.detail.into_owned() })
}

fn reserve_here(inventory: &Inventory, order: &str, skus: &[Cow<'_, str>]) -> ReserveOutcome {
    let broken =
        StockFailure { status: 502, detail: "the order cannot be reserved", maybe_reserved: false };
    let mut request = inventory.request();
    for sku in skus {
        match SkuName::parse(sku) {
            Ok(sku) => request.add(sku, 1),
            Err(_) => return ReserveOutcome::Failed(broken),
        }
    }
    let Some(name) = name_here(inventory, order) else {
        return ReserveOutcome::Failed(broken);
    };
    match ReservationRefusal::of(inventory.reserve(name, &request)) {
        None => ReserveOutcome::Reserved,
        Some(refusal) if matches!(refusal.kind, kind::OUT_OF_STOCK | kind::UNKNOWN_SKU) => {
            ReserveOutcome::Refused(refusal)
        }
        Some(_) => {
            let detail = "the stock is busy; nothing was reserved";
            ReserveOutcome::Failed(StockFailure { status: 503, detail, maybe_reserved: false })
        }
    }
}

fn release_here(inventory: &Inventory, order: &str) -> Released {
    name_here(inventory, order).map_or(Released::Nothing, |name| inventory.release(name))
}

/// What an order's reservation is called in this process, where nobody but this service reserves
/// for orders.
fn name_here<'a>(inventory: &Inventory, order: &'a str) -> Option<Name<'a>> {
    let order = OrderRef::parse(order).ok()?;
    Some(Name { holder: inventory.orders(Owner::Nobody), order })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::inventory::handler::open;

    #[test]
    fn a_refusal_survives_its_problem_document() {
        let inventory = open(&[("SKU-1000".to_string(), 1)]).expect("good");
        let skus: Vec<Cow<'_, str>> = vec!["SKU-1000".into(), "sku-1000".into()];
        let ReserveOutcome::Refused(first) = reserve_here(&inventory, "o", &skus) else {
            panic!("short")
        };
        assert_eq!(refusal(first.problem().to_json().as_bytes()), Some(first.clone()));
        assert!(first.detail.contains("SKU-1000"));
        let unknown = reserve_here(&inventory, "p", &["nothing".into()]);
        let ReserveOutcome::Refused(unknown) = unknown else { panic!("unknown") };
        assert_eq!(refusal(unknown.problem().to_json().as_bytes()), Some(unknown));
    }

    #[test]
    fn other_problems_are_no_refusals() {
        for body in [
            &b""[..],
            b"{}",
            b"{\"type\":\"about:blank\",\"detail\":\"x\"}",
            b"{\"type\":\"urn:tollgate:problem:in-progress\",\"detail\":\"x\"}",
        ] {
            assert_eq!(refusal(body), None);
        }
    }

    #[test]
    fn released_stock_is_available_again() {
        let inventory = open(&[]).expect("good");
        let skus: Vec<Cow<'_, str>> = vec!["SKU-1000".into(); 3];
        assert_eq!(reserve_here(&inventory, "o", &skus), ReserveOutcome::Reserved);
        let sku = inventory.sku(SkuName::parse("SKU-1000").expect("good")).expect("there");
        assert_eq!(sku.available(), 99_997);
        assert_eq!(release_here(&inventory, "o"), Released::Now);
        assert_eq!(sku.available(), 100_000);
    }

    #[test]
    fn a_lost_response_may_have_reserved_whatever_the_retry_returns() {
        let second = ReserveOutcome::Failed(failure(&ClientError::Exhausted));
        let ReserveOutcome::Failed(left) = after_lost_answer(second) else { panic!("failed") };
        assert!(left.maybe_reserved && left.status == 503);
        assert_eq!(after_lost_answer(ReserveOutcome::Reserved), ReserveOutcome::Reserved);
    }

    #[test]
    fn only_a_rejected_certificate_proves_that_a_request_was_not_read() {
        use rustls::{AlertDescription, CertificateError, Error};
        assert!(is_certificate_rejected(&Error::InvalidCertificate(CertificateError::Expired)));
        assert!(is_certificate_rejected(&Error::AlertReceived(
            AlertDescription::CertificateRequired
        )));
        assert!(!is_certificate_rejected(&Error::DecryptError), "the answer was spoilt on its way");
        assert!(!is_certificate_rejected(&Error::AlertReceived(AlertDescription::BadRecordMac)));
    }

    #[test]
    fn a_failure_reports_whether_stock_may_be_reserved() {
        assert!(!failure(&ClientError::Exhausted).maybe_reserved);
        assert!(!failure(&ClientError::ConnectTimeout).maybe_reserved);
        assert!(failure(&ClientError::ResponseTimeout).maybe_reserved);
        assert!(failure(&ClientError::Closed).maybe_reserved);
        assert_eq!(failure(&ClientError::ResponseTimeout).status, 504);
        assert_eq!(failure(&ClientError::Exhausted).status, 503);
        assert_eq!(failure(&ClientError::Closed).status, 502);
    }
}
