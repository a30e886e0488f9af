//! Figures as text.

/// Microseconds with one place.
pub(super) fn us(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1000.0)
}

/// Whole microseconds.
pub(super) fn whole_us(ns: u64) -> String {
    thousands((ns + 500) / 1000)
}

/// Whole microseconds, or a dash for what was not measured.
pub(super) fn whole_us_or_dash(ns: Option<u64>) -> String {
    ns.map_or("-".into(), whole_us)
}

/// Microseconds, or a dash for what was not measured.
pub(super) fn us_or_dash(ns: Option<u64>) -> String {
    ns.map_or("-".into(), us)
}

/// Microseconds with a sign.
pub(super) fn signed(ns: Option<i64>) -> String {
    ns.map_or("-".into(), |ns| {
        // Two places below 10 us: a layer may cost a tenth of a microsecond.
        let us = ns as f64 / 1000.0;
        if us.abs() < 10.0 { format!("{us:+.2}") } else { format!("{us:+.1}") }
    })
}

/// A whole number with a comma at each thousand.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
