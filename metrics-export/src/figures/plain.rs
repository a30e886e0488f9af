//! The same in plain ASCII, for the columns of a terminal: a hyphen for a minus, and for what was
//! not measured.

use super::thousands;

/// What stands where nothing was measured.
pub const NOTHING: &str = "-";

/// Microseconds with one place.
#[must_use]
pub fn us(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

/// Microseconds with one place, or a hyphen.
#[must_use]
pub fn us_or_nothing(ns: Option<u64>) -> String {
    ns.map_or(NOTHING.into(), us)
}

/// Microseconds with two places.
#[must_use]
pub fn us_two_places(ns: u64) -> String {
    format!("{:.2}", ns as f64 / 1e3)
}

/// Microseconds with as many places as still mean something.
#[must_use]
pub fn us_significant(ns: u64) -> String {
    let us = ns as f64 / 1e3;
    match us {
        us if us < 100.0 => format!("{us:.2}"),
        us if us < 10_000.0 => format!("{us:.1}"),
        us => format!("{us:.0}"),
    }
}

/// Whole microseconds.
#[must_use]
pub fn whole_us(ns: u64) -> String {
    thousands((ns + 500) / 1000)
}

/// Whole microseconds, or a hyphen.
#[must_use]
pub fn whole_us_or_nothing(ns: Option<u64>) -> String {
    ns.map_or(NOTHING.into(), whole_us)
}

/// A difference in microseconds with its sign. Two places below 10 us: a layer may cost a tenth of
/// a microsecond.
#[must_use]
pub fn signed_us(ns: i64) -> String {
    let us = ns as f64 / 1e3;
    if us.abs() < 10.0 { format!("{us:+.2}") } else { format!("{us:+.1}") }
}

/// A difference in microseconds with its sign, or a hyphen.
#[must_use]
pub fn signed_us_or_nothing(ns: Option<i64>) -> String {
    ns.map_or(NOTHING.into(), signed_us)
}

/// A difference in microseconds with its sign and two places.
#[must_use]
pub fn signed_us_two_places(ns: i64) -> String {
    format!("{:+.2}", ns as f64 / 1e3)
}

/// A time in ms or s, whole where it is.
#[must_use]
pub fn duration(ns: u64) -> String {
    match ns {
        ns if ns.is_multiple_of(1_000_000_000) => format!("{} s", ns / 1_000_000_000),
        ns => format!("{} ms", ns / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_terminal_are_ascii() {
        assert_eq!((us(1_250), us_or_nothing(None)), ("1.2".into(), "-".into()));
        assert_eq!(us_two_places(1_234_567), "1234.57");
        let significant = [1_234, 123_456, 12_345_678].map(us_significant);
        assert_eq!(significant, ["1.23", "123.5", "12346"]);
        assert_eq!((whole_us(1_234_500), whole_us_or_nothing(None)), ("1,235".into(), "-".into()));
        assert_eq!([-120, 9_900, 12_340].map(signed_us), ["-0.12", "+9.90", "+12.3"]);
        assert_eq!(signed_us_or_nothing(None), "-");
        assert_eq!(signed_us_two_places(12_340), "+12.34");
        assert_eq!([2_000_000_000, 1_500_000_000].map(duration), ["2 s", "1500 ms"]);
    }
}
