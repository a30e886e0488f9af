//! Calendar dates from seconds since 1970, in UTC. No clock is read here, and no time zone is
//! looked up.

use jiff::Timestamp;
use jiff::tz::Offset;

/// `2026-01-31T23:59:59Z` (RFC 3339).
#[must_use]
pub fn rfc3339(unix_s: u64) -> String {
    moment(unix_s).to_string()
}

/// `20260131-235959`: sorts by time and needs no quoting in a shell.
#[must_use]
pub fn compact(unix_s: u64) -> String {
    Offset::UTC.to_datetime(moment(unix_s)).strftime("%Y%m%d-%H%M%S").to_string()
}

/// What lies beyond the calendar, which ends with the year 9999, is its last second.
fn moment(unix_s: u64) -> Timestamp {
    let last = Timestamp::MAX.as_second();
    Timestamp::constant(i64::try_from(unix_s).unwrap_or(last).min(last), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (unix_s, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix_s), expected);
        }
        assert_eq!(compact(951_782_399), "20000228-235959");
        assert!(rfc3339(u64::MAX).starts_with("9999-12-30T"));
    }
}
