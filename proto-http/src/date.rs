//! The one form in which HTTP writes dates.

/// A date as RFC 9110 section 5.6.7 wants it, from seconds since 1970. The year has four digits, so
/// time ends with 9999.
///
/// ```
/// assert_eq!(&proto_http::imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn imf_fixdate(unix_s: u64) -> [u8; 29] {
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    const UNIX_S_MAX: u64 = 253_402_300_799;
    let unix_s = unix_s.min(UNIX_S_MAX);
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let mut put = |at: usize, number: u64| {
        out[at] = b'0' + (number / 10 % 10) as u8;
        out[at + 1] = b'0' + (number % 10) as u8;
    };
    put(5, day);
    put(12, year / 100);
    put(14, year % 100);
    put(17, second / 3600);
    put(20, second / 60 % 60);
    put(23, second % 60);
    let weekday = (days % 7) as usize * 3;
    out[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    let month = (month as usize - 1) * 3;
    out[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    out
}

/// Year, month and day of a day since 1970: Howard Hinnant's `civil_from_days`, in which years
/// begin in March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_FROM_MARCH_0000_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leaps = day_of_era / 1460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (unix_s, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(String::from_utf8_lossy(&imf_fixdate(unix_s)), date);
        }
    }
}
