//! Why a reservation was not made, in the words of a response.
//!
//! Owns the kinds of problem that inventory names. Orders reads them back from a response of a
//! remote inventory, or takes them as they are from one in memory.

use crate::edge::problem::Problem;
use crate::inventory::store::Reserved;

/// The problem kinds of inventory; what a caller may rely on.
pub mod kind {
    /// There is too little of a SKU.
    pub const OUT_OF_STOCK: &str = "out-of-stock";
    /// A name is no SKU's.
    pub const UNKNOWN_SKU: &str = "unknown-sku";
    /// The reservation was released, before or after it was made.
    pub const GIVEN_BACK: &str = "given-back";
    /// The name was used for another reservation.
    pub const NAME_REUSED: &str = "order-id-reused";
    /// The same reservation is being decided.
    pub const IN_PROGRESS: &str = "in-progress";
    /// No memory to decide it in.
    pub const BUSY: &str = "busy";
    /// The body is not what it must be.
    pub const BAD_RESERVATION: &str = "bad-reservation";
}

/// A refusal in words. Nothing is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationRefusal {
    /// The HTTP status.
    pub status: u16,
    /// One of [`kind`].
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// What was wrong this time.
    pub detail: String,
}

impl ReservationRefusal {
    /// The words for a response; `None` when the reservation was made.
    pub fn of(reserved: Reserved<'_>) -> Option<ReservationRefusal> {
        let (status, kind, title, detail) = match reserved {
            Reserved::Made => return None,
            Reserved::Short(sku) => {
                let detail = format!("there is too little of {}; nothing was reserved", sku.name());
                (409, kind::OUT_OF_STOCK, "Out Of Stock", detail)
            }
            Reserved::Unknown(line) => {
                let detail = format!("line {line} (from 0) names no SKU; nothing was reserved");
                (409, kind::UNKNOWN_SKU, "Unknown SKU", detail)
            }
            Reserved::Released => {
                let detail = "the reservation of this order was given back; use another order id";
                (409, kind::GIVEN_BACK, "Given Back", detail.to_string())
            }
            Reserved::Mismatch => {
                let detail = "this order id was used for another reservation; use another one";
                (409, kind::NAME_REUSED, "Order Id Reused", detail.to_string())
            }
            Reserved::InProgress => {
                let detail = "the reservation of this order is being decided; ask again";
                (409, kind::IN_PROGRESS, "In Progress", detail.to_string())
            }
            Reserved::TooMany => {
                let detail = "too many lines; nothing was reserved".to_string();
                (400, kind::BAD_RESERVATION, "Bad Reservation", detail)
            }
            Reserved::Busy => {
                let detail = "too many reservations are being decided; nothing was reserved";
                (503, kind::BUSY, "Busy", detail.to_string())
            }
        };
        Some(ReservationRefusal { status, kind, title, detail })
    }

    /// The body of the response.
    pub fn problem(&self) -> Problem<'_> {
        Problem {
            status: self.status,
            kind: Some(self.kind),
            title: self.title,
            detail: &self.detail,
        }
    }
}
