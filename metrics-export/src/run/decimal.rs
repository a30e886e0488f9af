//! How exact shares and statistics are kept: to nine digits behind the point, so that reading a
//! record gives the very numbers that were written. With all 17 digits of a double it need not: the
//! usual reader of JSON is then off by the last bit now and then.

/// A billionth; and from here on numbers are kept as they are.
const SCALE: f64 = 1e9;
const WHOLE_FROM: f64 = 1e6;

/// A number as a record keeps it.
#[must_use]
pub fn kept(value: f64) -> f64 {
    if value.abs() < WHOLE_FROM { (value * SCALE).round() / SCALE } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for step in 1..10_000 {
            let exact = (f64::from(step) * 0.123_456_789_012_345).sin();
            let value = kept(exact);
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), value, "{text}");
            assert!((value - exact).abs() < 1e-9);
        }
        assert_eq!(kept(f64::MAX), f64::MAX);
        assert!(kept(f64::NAN).is_nan());
    }
}
