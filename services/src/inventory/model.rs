//! The JSON of the inventory service.
//!
//! Owns what a body must look like and the bounds of each member. Members that are not known are
//! ignored. It refuses to keep lines: they go one by one to the caller, who resolves them at once.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::edge::json::{Invalid, number, push_number, push_string, required, text};
use crate::inventory::name::{BadName, OrderRef, SkuName};
use crate::inventory::reservation::ITEMS_MAX;
use crate::inventory::sku::{QUANTITY_MAX, StockLevels};

/// The most of one SKU that one line can reserve.
pub const LINE_QUANTITY_MAX: u32 = 1_000_000;

/// The order id of a body, checked.
#[derive(Clone, Debug)]
pub struct OrderText<'a>(Cow<'a, str>);

impl OrderText<'_> {
    /// The id.
    pub fn as_ref(&self) -> OrderRef<'_> {
        OrderRef::parse(&self.0).expect("checked when this was made")
    }
}

/// The members of a reservation.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ReservationMember {
    OrderId,
    Items,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    sku: Option<&'a RawValue>,
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Quantity<'a> {
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
}

/// Reads `{"orderId": "..", "items": [{"sku": "..", "quantity": 1}, ..]}`; every line is passed on.
///
/// # Errors
/// What is wrong. Lines before the fault have been passed on by then.
pub fn read_reservation<'a>(
    body: &'a [u8],
    line: impl FnMut(SkuName<'_>, u32),
) -> Result<OrderText<'a>, Invalid> {
    let mut lines = ReservationLines { line, count: 0, part: ItemsRead::Unread, fault: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_map(ReservationMembers(&mut lines));
    let order_id = read.and_then(|order_id| json.end().map(|()| order_id));
    let order_id = order_id.map_err(|error| lines.fault_or(&error))?;
    let order_id = required(order_id, "orderId")?;
    let order_id = text(order_id).ok_or_else(|| Invalid::new("orderId must be a string"))?;
    OrderRef::parse(&order_id).map_err(|bad| Invalid::new(format!("orderId: {bad}")))?;
    match (lines.part, lines.count) {
        (ItemsRead::Read, 0) => Err(Invalid::new("items is empty; at least one is needed")),
        (ItemsRead::Read, _) => Ok(OrderText(order_id)),
        _ => Err(Invalid::new("items is missing")),
    }
}

/// Reads `{"quantity": 100}`: 0 to [`QUANTITY_MAX`].
///
/// # Errors
/// What is wrong.
pub fn read_quantity(body: &[u8]) -> Result<u32, Invalid> {
    let body: Quantity<'_> = serde_json::from_slice(body).map_err(|e| Invalid::syntax(&e))?;
    let quantity = required(body.quantity, "quantity")?;
    whole(quantity, 0, QUANTITY_MAX).ok_or_else(|| {
        Invalid::new(format!("quantity must be a whole number from 0 to {QUANTITY_MAX}"))
    })
}

/// Appends the response to a reservation that was made.
pub fn write_reserved(out: &mut Vec<u8>, order: OrderRef<'_>) {
    out.extend_from_slice(b"{\"orderId\":");
    push_string(out, order.as_str().as_bytes());
    out.extend_from_slice(b",\"reserved\":true}");
}

/// Appends what there is of a SKU.
pub fn write_sku(out: &mut Vec<u8>, name: &str, levels: &StockLevels) {
    out.extend_from_slice(b"{\"sku\":");
    push_string(out, name.as_bytes());
    out.extend_from_slice(b",\"quantity\":");
    push_number(out, u64::from(levels.available));
    out.extend_from_slice(b",\"held\":");
    push_number(out, u64::from(levels.reserved));
    out.push(b'}');
}

/// How far the items of a body were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemsRead {
    Unread,
    Reading,
    Null,
    Read,
}

/// Reads the members of a body and gives the order id.
struct ReservationMembers<'l, F>(&'l mut ReservationLines<F>);

impl<'de, F: FnMut(SkuName<'_>, u32)> Visitor<'de> for ReservationMembers<'_, F> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut order_id = None;
        while let Some(member) = members.next_key()? {
            match member {
                ReservationMember::OrderId if order_id.is_some() => {
                    return Err(A::Error::duplicate_field("orderId"));
                }
                ReservationMember::OrderId => order_id = Some(members.next_value()?),
                ReservationMember::Items if self.0.part != ItemsRead::Unread => {
                    return Err(A::Error::duplicate_field("items"));
                }
                // Read where they stand: kept for later, they would be gone over twice.
                ReservationMember::Items => members.next_value_seed(&mut *self.0)?,
                ReservationMember::Other => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(order_id.flatten())
    }
}

/// Passes lines on until the first fault.
struct ReservationLines<F> {
    line: F,
    count: usize,
    part: ItemsRead,
    fault: Option<Invalid>,
}

impl<F: FnMut(SkuName<'_>, u32)> ReservationLines<F> {
    fn take(&mut self, item: &Item<'_>) -> Result<(), String> {
        if self.count == ITEMS_MAX {
            return Err(format!("items has more than {ITEMS_MAX} entries"));
        }
        let at = self.count;
        let sku = item.sku.ok_or_else(|| format!("items[{at}].sku is missing"))?;
        let sku = text(sku).ok_or_else(|| format!("items[{at}].sku must be a string"))?;
        let sku = SkuName::parse(&sku).map_err(|bad: BadName| format!("items[{at}].sku: {bad}"))?;
        let quantity = item.quantity.ok_or_else(|| format!("items[{at}].quantity is missing"))?;
        let quantity = whole(quantity, 1, LINE_QUANTITY_MAX).ok_or_else(|| {
            format!("items[{at}].quantity must be a whole number from 1 to {LINE_QUANTITY_MAX}")
        })?;
        (self.line)(sku, quantity);
        self.count += 1;
        Ok(())
    }

    /// What is wrong with a body that could not be read.
    fn fault_or(&mut self, error: &serde_json::Error) -> Invalid {
        let shape = "items must be an array of objects with sku and quantity";
        match self.fault.take() {
            Some(fault) => fault,
            None if self.part == ItemsRead::Reading && error.is_data() => Invalid::new(shape),
            None => Invalid::syntax(error),
        }
    }
}

impl<'de, F: FnMut(SkuName<'_>, u32)> DeserializeSeed<'de> for &mut ReservationLines<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.part = ItemsRead::Reading;
        json.deserialize_option(self)
    }
}

impl<'de, F: FnMut(SkuName<'_>, u32)> Visitor<'de> for &mut ReservationLines<F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.part = ItemsRead::Null;
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<Item<'de>>()? {
            if let Err(fault) = self.take(&item) {
                self.fault = Some(Invalid::new(fault));
                return Err(A::Error::custom("a fault was found"));
            }
        }
        self.part = ItemsRead::Read;
        Ok(())
    }
}

/// A whole number within bounds, written without fraction or exponent.
fn whole(value: &RawValue, min: u32, max: u32) -> Option<u32> {
    number(value)?.parse().ok().filter(|quantity| (min..=max).contains(quantity))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<(String, Vec<(String, u32)>), String> {
        let mut lines = Vec::new();
        let order = read_reservation(body.as_bytes(), |sku, quantity| {
            lines.push((sku.as_str().to_string(), quantity));
        });
        let order = order.map_err(|invalid| invalid.to_string())?;
        Ok((order.as_ref().as_str().to_string(), lines))
    }

    #[test]
    fn a_reservation_is_read_and_unknown_members_are_ignored() {
        let body = r#" {"note":{"a":[1]},"items":[{"sku":"SKU\u002d1","quantity":2,"x":null},
            {"quantity":1000000,"sku":"b"}],"orderId":"o-1"} "#;
        let (order, lines) = read(body).expect("good");
        assert_eq!(order, "o-1");
        assert_eq!(lines, [("SKU-1".to_string(), 2), ("b".to_string(), 1_000_000)]);
    }

    #[test]
    fn invalid_bodies_are_rejected_with_the_member() {
        let line = r#"{"sku":"a","quantity":1}"#;
        let many = vec![line; 101].join(",");
        for (body, wanted) in [
            ("", "EOF"),
            ("[]", "JSON object"),
            ("{} x", "trailing characters"),
            ("{\"items\":[]}", "orderId is missing"),
            ("{\"orderId\":null,\"items\":[]}", "orderId is missing"),
            ("{\"orderId\":5,\"items\":[]}", "orderId must be a string"),
            ("{\"orderId\":\"a b\",\"items\":[]}", "orderId: an order id is"),
            ("{\"orderId\":\"a\",\"orderId\":\"b\",\"items\":[]}", "duplicate field"),
            ("{\"orderId\":\"a\"}", "items is missing"),
            ("{\"orderId\":\"a\",\"items\":null}", "items is missing"),
            ("{\"items\":[],\"items\":[]}", "duplicate field"),
            ("{\"orderId\":\"a\",\"items\":[{", "EOF"),
            ("{\"orderId\":\"a\",\"items\":{}}", "items must be an array"),
            ("{\"orderId\":\"a\",\"items\":[7]}", "items must be an array of objects"),
            ("{\"orderId\":\"a\",\"items\":[]}", "items is empty"),
            ("{\"orderId\":\"a\",\"items\":[{}]}", "items[0].sku is missing"),
            ("{\"orderId\":\"a\",\"items\":[{\"sku\":1}]}", "items[0].sku must be a string"),
            ("{\"orderId\":\"a\",\"items\":[{\"sku\":\"/\"}]}", "items[0].sku: a SKU is"),
            (&format!("{{\"orderId\":\"a\",\"items\":[{many}]}}"), "more than 100"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.contains(wanted), "{body}: {error}");
        }
        for quantity in ["0", "1000001", "-1", "1.0", "1e2", "\"1\"", "99999999999999999999"] {
            let items = format!("[{line},{{\"sku\":\"a\",\"quantity\":{quantity}}}]");
            let error = read(&format!("{{\"orderId\":\"a\",\"items\":{items}}}"));
            let wanted = "items[1].quantity must be a whole number from 1 to 1000000";
            assert_eq!(error.expect_err(quantity), wanted);
        }
    }

    #[test]
    fn a_quantity_is_read() {
        assert_eq!(read_quantity(b"{\"quantity\":0}"), Ok(0));
        assert_eq!(read_quantity(b"{\"quantity\":1000000000,\"x\":1}"), Ok(QUANTITY_MAX));
        for bad in ["{}", "{\"quantity\":1000000001}", "{\"quantity\":-1}", "{\"quantity\":1.5}"] {
            assert!(read_quantity(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_json() {
        let mut out = Vec::new();
        write_reserved(&mut out, OrderRef::parse("o~1").expect("good"));
        assert_eq!(out, br#"{"orderId":"o~1","reserved":true}"#);
        out.clear();
        let levels = StockLevels { available: 7, reserved: 3, supplied: 10, committed: 0 };
        write_sku(&mut out, "SKU-1000", &levels);
        assert_eq!(out, br#"{"sku":"SKU-1000","quantity":7,"held":3}"#);
    }
}
