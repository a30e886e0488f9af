//! Numbers as people read them: few digits, a comma at each thousand, a real minus sign, the unit
//! beside the figure. It refuses to hide what it rounds: nothing that is not zero becomes "0".

pub mod plain;

use crate::run::Percentiles;

/// The minus sign, as wide as a plus.
const MINUS: char = '\u{2212}';

/// What stands where nothing was measured.
pub const NOTHING: &str = "\u{2013}";

/// Nanoseconds as microseconds with one place, for columns: `1,234.5`.
#[must_use]
pub fn us(ns: u64) -> String {
    let tenths = (ns + 50) / 100;
    format!("{}.{}", thousands(tenths / 10), tenths % 10)
}

/// The same, or a dash for what was not measured.
#[must_use]
pub fn us_or_nothing(ns: Option<u64>) -> String {
    ns.map_or(NOTHING.into(), us)
}

/// CPU time that was read. No request and no connection is served in no time: 0 was not read.
#[must_use]
pub fn cpu_read(ns: u64) -> Option<u64> {
    (ns > 0).then_some(ns)
}

/// A difference in microseconds with its sign. Two places below 10 us: a layer may cost a tenth of
/// a microsecond.
#[must_use]
pub fn signed_us(ns: i64) -> String {
    let sign = if ns < 0 { MINUS } else { '+' };
    let size = ns.unsigned_abs();
    if size < 9_995 {
        format!("{sign}{:.2}", size as f64 / 1_000.0)
    } else {
        format!("{sign}{}", us(size))
    }
}

/// Microseconds without a sign, with as many places as [`signed_us`] has.
#[must_use]
pub fn size_us(ns: u64) -> String {
    if ns < 9_995 { format!("{:.2}", ns as f64 / 1_000.0) } else { us(ns) }
}

/// A time with the unit that suits it and three digits: `251 µs`, `1.20 ms`, `3.00 s`.
#[must_use]
pub fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..999_500 => (ns as f64 / 1e3, "µs"),
        999_500..999_500_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let places = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.places$} {unit}")
}

/// A point of a distribution, or a dash where nothing was recorded.
#[must_use]
pub fn time_or_nothing(points: &Percentiles, ns: u64) -> String {
    points.known(ns).map_or(NOTHING.into(), time)
}

/// How long something went on: `250 ms`, `1 s`, `49 s`, `3 min 20 s`.
#[must_use]
pub fn duration(ns: u64) -> String {
    let seconds = (ns + 500_000_000) / 1_000_000_000;
    match ns {
        0..1_000_000_000 => format!("{} ms", (ns + 500_000) / 1_000_000),
        _ if seconds < 10 && !ns.is_multiple_of(1_000_000_000) => {
            format!("{:.1} s", ns as f64 / 1e9)
        }
        _ if seconds < 120 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A share in percent: two digits and never more than two places.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share.abs() * 100.0;
    let sign = if share < 0.0 { MINUS.to_string() } else { String::new() };
    let digits = match value {
        v if !v.is_finite() => return NOTHING.into(),
        v if v >= 999.5 => thousands(v.round() as u64),
        v if v >= 9.95 => format!("{v:.0}"),
        v if v >= 0.095 || v == 0.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    };
    format!("{sign}{digits}%")
}

/// The same with its sign: `+15%`.
#[must_use]
pub fn signed_percent(share: f64) -> String {
    let digits = percent(share);
    if share < 0.0 || !share.is_finite() { digits } else { format!("+{digits}") }
}

/// A rate that is kept in thousandths, as whole requests per second.
#[must_use]
pub fn rate(milli_per_s: u64) -> String {
    thousands((milli_per_s + 500) / 1_000)
}

/// Bytes as MiB with one place.
#[must_use]
pub fn mib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// A difference of whole numbers with its sign and a comma at each thousand: `+1,234`.
#[must_use]
pub fn signed_count(number: i64) -> String {
    let sign = if number < 0 { MINUS } else { '+' };
    format!("{sign}{}", thousands(number.unsigned_abs()))
}

/// A whole number with a comma at each thousand.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 slice`, `33 slices`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let table = [
            (us(88_340), "88.3"),
            (us(1_234_560), "1,234.6"),
            (signed_us(18_900), "+18.9"),
            (signed_us(-370), "−0.37"),
            (signed_us(9_996), "+10.0"),
            (signed_us(0), "+0.00"),
            (size_us(9_990), "9.99"),
            (time(0), "0 ns"),
            (time(999), "999 ns"),
            (time(1_000), "1.00 µs"),
            (time(251_000), "251 µs"),
            (time(999_600), "1.00 ms"),
            (time(1_204_000), "1.20 ms"),
            (time(38_076_000), "38.1 ms"),
            (time(999_600_000), "1.00 s"),
            (time(u64::MAX), "18446744074 s"),
            (duration(250_000_000), "250 ms"),
            (duration(1_000_000_000), "1 s"),
            (duration(1_500_000_000), "1.5 s"),
            (duration(200_000_000_000), "3 min 20 s"),
            (duration(120_000_000_000), "2 min"),
            (percent(0.149), "15%"),
            (percent(0.004), "0.4%"),
            (percent(0.000_04), "0.00%"),
            (percent(0.0), "0.0%"),
            (percent(f64::NAN), "–"),
            (signed_percent(-0.021), "−2.1%"),
            (signed_percent(12.5), "+1,250%"),
            (rate(1_482_400), "1,482"),
            (mib(3 << 20), "3.0"),
            (count(1, "slice"), "1 slice"),
            (count(1_033, "slice"), "1,033 slices"),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }
}
