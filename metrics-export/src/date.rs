//! Calendar dates from seconds since 1970, in UTC. No clock is read here.

/// `2026-01-31T23:59:59Z` (RFC 3339).
#[must_use]
pub fn rfc3339(unix_s: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(unix_s);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `20260131-235959`: sorts by time and needs no quoting in a shell.
#[must_use]
pub fn compact(unix_s: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(unix_s);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Year, month, day, hour, minute, second. The year is counted from March, so that the leap day
/// is its last day and month lengths follow one rule.
fn civil(unix_s: u64) -> [u64; 6] {
    const DAYS_PER_400_YEARS: u64 = 146_097;
    const DAYS_FROM_MARCH_OF_YEAR_0_TO_1970: u64 = 719_468;
    let days = unix_s / 86_400 + DAYS_FROM_MARCH_OF_YEAR_0_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let leap_days_before = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days_before) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let second_of_day = unix_s % 86_400;
    [year, month, day, second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60]
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
    }
}
