//! The JSON of the orders service.
//!
//! Owns what an order must look like and the bounds of each member. Members that are not known are
//! ignored. An amount is kept as the text it came as: a binary fraction would not be what was
//! ordered.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::edge::json::{Invalid, number, push_string, push_time, required, text};
use crate::inventory::name::SkuName;
use crate::orders::id::{OrderId, TEXT_BYTES};
use crate::orders::record::{AMOUNT_BYTES_MAX, CUSTOMER_BYTES_MAX, SKUS_MAX, StoredOrder};

/// An order as it was asked for.
#[derive(Clone, Debug)]
pub struct OrderBody<'a> {
    /// 1 to 128 bytes, without control characters.
    pub customer: Cow<'a, str>,
    /// 1 to 100 names of SKUs; a SKU that stands n times is ordered n times.
    pub skus: Vec<Cow<'a, str>>,
    /// A finite number of at least 0, as given.
    pub amount: &'a str,
}

#[derive(Deserialize)]
struct OrderMembers<'a> {
    #[serde(borrow, rename = "customerId")]
    customer_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "itemSkus")]
    item_skus: Option<&'a RawValue>,
    #[serde(borrow, rename = "totalAmount")]
    total_amount: Option<&'a RawValue>,
}

/// Reads `{"customerId": "..", "itemSkus": ["..", ..], "totalAmount": 9.50}`.
///
/// # Errors
/// What is wrong.
pub fn read_order(body: &[u8]) -> Result<OrderBody<'_>, Invalid> {
    let members: OrderMembers<'_> =
        serde_json::from_slice(body).map_err(|e| Invalid::syntax(&e))?;
    Ok(OrderBody {
        customer: customer(required(members.customer_id, "customerId")?)?,
        skus: skus(required(members.item_skus, "itemSkus")?)?,
        amount: amount(required(members.total_amount, "totalAmount")?)?,
    })
}

/// Appends the response to an order that was taken.
pub fn write_created(out: &mut Vec<u8>, id: OrderId) {
    out.extend_from_slice(b"{\"orderId\":\"");
    out.extend_from_slice(id.text(&mut [0; TEXT_BYTES]).as_bytes());
    out.extend_from_slice(b"\",\"accepted\":true}");
}

/// Appends an order.
pub fn write_order(out: &mut Vec<u8>, id: OrderId, order: &StoredOrder<'_>) {
    out.extend_from_slice(b"{\"orderId\":\"");
    out.extend_from_slice(id.text(&mut [0; TEXT_BYTES]).as_bytes());
    out.extend_from_slice(b"\",\"customerId\":");
    push_string(out, order.customer);
    out.extend_from_slice(b",\"itemSkus\":");
    let mut separator = b'[';
    for sku in order.skus() {
        out.push(separator);
        push_string(out, sku);
        separator = b',';
    }
    out.extend_from_slice(b"],\"totalAmount\":");
    out.extend_from_slice(order.amount);
    out.extend_from_slice(b",\"client\":");
    push_string(out, order.client);
    out.extend_from_slice(b",\"createdAt\":");
    push_time(out, order.created_ms);
    out.push(b'}');
}

/// Appends the reservation that an order asks inventory for: one piece for each line.
pub fn write_reservation<S: AsRef<str>>(out: &mut Vec<u8>, order: &str, skus: &[S]) {
    out.extend_from_slice(b"{\"orderId\":");
    push_string(out, order.as_bytes());
    out.extend_from_slice(b",\"items\":");
    let mut separator = b'[';
    for sku in skus {
        out.push(separator);
        out.extend_from_slice(b"{\"sku\":");
        push_string(out, sku.as_ref().as_bytes());
        out.extend_from_slice(b",\"quantity\":1}");
        separator = b',';
    }
    out.extend_from_slice(b"]}");
}

fn customer(value: &RawValue) -> Result<Cow<'_, str>, Invalid> {
    let text = text(value).ok_or_else(|| Invalid::new("customerId must be a string"))?;
    if text.trim().is_empty() {
        return Err(Invalid::new("customerId is empty"));
    }
    if text.len() > CUSTOMER_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Invalid::new(format!(
            "customerId must be at most {CUSTOMER_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(text)
}

fn skus(value: &RawValue) -> Result<Vec<Cow<'_, str>>, Invalid> {
    let items: Vec<&RawValue> = serde_json::from_str(value.get())
        .map_err(|_| Invalid::new("itemSkus must be an array of strings"))?;
    if items.is_empty() {
        return Err(Invalid::new("itemSkus is empty; at least one is needed"));
    }
    if items.len() > SKUS_MAX {
        return Err(Invalid::new(format!("itemSkus has more than {SKUS_MAX} entries")));
    }
    items.into_iter().enumerate().map(|(at, value)| sku(at, value)).collect()
}

fn sku(at: usize, value: &RawValue) -> Result<Cow<'_, str>, Invalid> {
    let sku =
        text(value).ok_or_else(|| Invalid::new(format!("itemSkus[{at}] must be a string")))?;
    match SkuName::parse(&sku) {
        Ok(_) => Ok(sku),
        Err(bad) => Err(Invalid::new(format!("itemSkus[{at}]: {bad}"))),
    }
}

fn amount(value: &RawValue) -> Result<&str, Invalid> {
    let text = number(value).ok_or_else(|| Invalid::new("totalAmount must be a number"))?;
    if text.len() > AMOUNT_BYTES_MAX {
        let most = format!("totalAmount must be at most {AMOUNT_BYTES_MAX} characters long");
        return Err(Invalid::new(most));
    }
    // JSON numbers beyond f64 read as infinite.
    let sound = text.parse::<f64>().is_ok_and(|amount| amount.is_finite() && amount >= 0.0);
    if sound { Ok(text) } else { Err(Invalid::new("totalAmount must be finite and at least 0")) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use authn::{OwnerKey, Prf};

    use super::*;
    use crate::orders::id::{Ids, SlotUse};
    use crate::orders::record::Draft;

    #[test]
    fn an_order_is_read_and_unknown_members_are_ignored() {
        let body = r#"{"totalAmount":19.90,"pad":"xxxx","itemSkus":["SKU-1","b","SKU\u002d1"],
            "customerId":"Grün \"7\""}"#;
        let order = read_order(body.as_bytes()).expect("good");
        assert_eq!(order.customer, "Grün \"7\"");
        assert_eq!(order.skus, ["SKU-1", "b", "SKU-1"]);
        assert_eq!(order.amount, "19.90");
    }

    #[test]
    fn invalid_bodies_are_rejected_with_the_member() {
        let long = format!("\"{}\"", "x".repeat(129));
        let many = format!("[{}]", vec!["\"a\""; 101].join(","));
        let digits = "1".repeat(41);
        for (customer, skus, amount, wanted) in [
            ("", "[\"a\"]", "1", "customerId is missing"),
            ("null", "[\"a\"]", "1", "customerId is missing"),
            ("7", "[\"a\"]", "1", "customerId must be a string"),
            ("\" \"", "[\"a\"]", "1", "customerId is empty"),
            (&long, "[\"a\"]", "1", "customerId must be at most 128"),
            ("\"\\u0007\"", "[\"a\"]", "1", "without control characters"),
            ("\"c\"", "", "1", "itemSkus is missing"),
            ("\"c\"", "\"a\"", "1", "itemSkus must be an array"),
            ("\"c\"", "[]", "1", "itemSkus is empty"),
            ("\"c\"", "[\"a\",5]", "1", "itemSkus[1] must be a string"),
            ("\"c\"", "[\"a\",\"\"]", "1", "itemSkus[1]: a SKU is"),
            ("\"c\"", &many, "1", "more than 100"),
            ("\"c\"", "[\"a\"]", "", "totalAmount is missing"),
            ("\"c\"", "[\"a\"]", "\"1\"", "totalAmount must be a number"),
            ("\"c\"", "[\"a\"]", "-0.01", "finite and at least 0"),
            ("\"c\"", "[\"a\"]", "1e999", "finite and at least 0"),
            ("\"c\"", "[\"a\"]", &digits, "at most 40"),
        ] {
            let members = [("customerId", customer), ("itemSkus", skus), ("totalAmount", amount)];
            let members = members.iter().filter(|(_, value)| !value.is_empty());
            let members: Vec<_> = members.map(|(name, v)| format!("\"{name}\":{v}")).collect();
            let body = format!("{{{}}}", members.join(","));
            let error = read_order(body.as_bytes()).expect_err(&body);
            assert!(error.as_str().contains(wanted), "{body}: {error}");
        }
        assert!(read_order(b"{\"customerId\":\"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn an_order_is_written_as_it_was_received() {
        let skus = ["SKU-1", "b"];
        let draft =
            Draft { created_ms: 1, client: "me", customer: "c\"", amount: "9.50", skus: &skus };
        let mut record = Vec::new();
        let owner = OwnerKey::from_bits(5);
        draft.write(owner, &mut record).expect("within bounds");
        let ids = Ids::new(1, Prf::with_key([1, 2]));
        let id = ids.id(owner, SlotUse { shard: 0, slot: 0, attempt: 1 });
        let mut out = Vec::new();
        write_order(&mut out, id, &StoredOrder::read(&record).expect("whole"));
        let mut buffer = [0; TEXT_BYTES];
        let expected = format!(
            "{{\"orderId\":\"{}\",\"customerId\":\"c\\\"\",\"itemSkus\":[\"SKU-1\",\"b\"],\
             \"totalAmount\":9.50,\"client\":\"me\",\"createdAt\":\"1970-01-01T00:00:00.001Z\"}}",
            id.text(&mut buffer)
        );
        assert_eq!(String::from_utf8(out), Ok(expected));
    }

    #[test]
    fn a_reservation_asks_for_one_unit_a_line() {
        let mut out = Vec::new();
        write_reservation(&mut out, "o", &["a", "a"]);
        let wanted =
            r#"{"orderId":"o","items":[{"sku":"a","quantity":1},{"sku":"a","quantity":1}]}"#;
        assert_eq!(out, wanted.as_bytes());
    }
}
