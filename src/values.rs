//! The values that flags take: each parser turns the text of one into the type that it means, or
//! into a usage error that names the flag, says what it takes, and shows what it was given.
//!
//! It knows texts only. It refuses to open a file, to look up a name and to ask what this machine
//! has; what depends on that is checked where it is used.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authn::{Algorithm, Profile};
use loadgen::command::capacity::{Quantile, Slo};
use loadgen::traffic::check::Expect;
use loadgen::traffic::schedule::{ArrivalPattern, RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN, Rate};
use runtime::DriverChoice;
use runtime::url::Url;
use rustls::pki_types::ServerName;

use crate::Failure;

/// Larger than any machine's; keeps a slip of the finger from filling the memory.
const CORE_NUMBER_MAX: usize = 4_095;

/// A time as people write it: `250ms`, `1s`, `1.5s`, `2m`.
pub(crate) fn duration(option: &str, text: &str) -> Result<Duration, Failure> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => f64::NAN,
    };
    let starts_well = number.starts_with(|c: char| c.is_ascii_digit());
    number
        .parse::<f64>()
        .ok()
        .filter(|_| starts_well)
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| {
            Failure::usage(format!(
                "{option} takes a time with its unit, such as 250ms, 10s or 2m, not {text:?}."
            ))
        })
}

/// A time that may be none at all, which needs no unit.
pub(crate) fn duration_or_zero(option: &str, text: &str) -> Result<Duration, Failure> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        _ => duration(option, text),
    }
}

/// A share as people write it: `1%`, `99.5%`.
pub(crate) fn percent(option: &str, text: &str) -> Result<f64, Failure> {
    let number = text.strip_suffix('%').filter(|digits| {
        digits.starts_with(|c: char| c.is_ascii_digit()) && !digits.contains(['e', 'E'])
    });
    number
        .and_then(|digits| digits.parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| {
            Failure::usage(format!("{option} takes a share from 0% to 100%, not {text:?}."))
        })
}

/// A whole number.
pub(crate) fn whole(option: &str, text: &str) -> Result<u64, Failure> {
    digits(text)
        .ok_or_else(|| Failure::usage(format!("{option} takes a whole number, not {text:?}.")))
}

/// Digits only: no sign, no space.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// One of a few words, each with what it means.
pub(crate) fn choice<T: Copy>(
    option: &str,
    text: &str,
    choices: &[(&str, T)],
) -> Result<T, Failure> {
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let (last, others) = words.split_last().unwrap_or((&"", &[]));
        Failure::usage(format!("{option} takes {} or {last}, not {text:?}.", others.join(", ")))
    })
}

/// How arrivals are spread over time.
pub(crate) fn pattern(text: &str) -> Result<ArrivalPattern, Failure> {
    let choices = [ArrivalPattern::Constant, ArrivalPattern::Poisson]
        .map(|pattern| (pattern.as_str(), pattern));
    choice("--arrivals", text, &choices)
}

/// A rate that can be kept, in requests per second.
pub(crate) fn rate(option: &str, per_second: f64) -> Result<Rate, Failure> {
    Rate::per_second(per_second).ok_or_else(|| {
        Failure::usage(format!(
            "{option} takes {RATE_PER_SECOND_MIN} to {RATE_PER_SECOND_MAX} requests per second, \
             not {per_second}."
        ))
    })
}

/// A limit of response time as people write it: `p99=2ms`.
pub(crate) fn slo(text: &str) -> Result<Slo, Failure> {
    let (name, limit) = text.split_once('=').unwrap_or((text, ""));
    let wrong = || {
        Failure::usage(format!(
            "--slo takes p50, p90, p99, p99.9 or max with a time, such as p99=2ms, not {text:?}."
        ))
    };
    let quantile = Quantile::parse(name).ok_or_else(wrong)?;
    let limit = duration("--slo", limit).map_err(|_| wrong())?;
    Ok(Slo { quantile, limit })
}

/// The seed that was given, else one of now; it is stored with the run.
pub(crate) fn seed(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_nanos() as u64
    })
}

/// The profile: as given, else `SEC_PROFILE`, else the default. An unknown name is an error.
pub(crate) fn profile(given: Option<&str>) -> Result<Profile, Failure> {
    let environment = std::env::var("SEC_PROFILE").ok();
    Profile::choose(given, environment.as_deref()).map_err(Failure::usage)
}

/// The signature of tokens.
pub(crate) fn algorithm(text: &str) -> Result<Algorithm, Failure> {
    let choices =
        [("es256", Algorithm::Es256), ("eddsa", Algorithm::EdDsa), ("rs256", Algorithm::Rs256)];
    choice("--token-alg", &text.to_ascii_lowercase(), &choices)
}

/// The I/O driver that may be used.
pub(crate) fn driver(text: &str, require_io_uring: bool) -> Result<DriverChoice, Failure> {
    let epoll = choice("--driver", text, &[("auto", false), ("epoll", true)])?;
    match (epoll, require_io_uring) {
        (false, false) => Ok(DriverChoice::Auto),
        (false, true) => Ok(DriverChoice::RequireIoUring),
        (true, false) => Ok(DriverChoice::Epoll),
        (true, true) => {
            Err(Failure::usage("--driver epoll and --require-io-uring exclude each other."))
        }
    }
}

/// One worker thread unless more were asked for.
pub(crate) fn workers(given: Option<usize>) -> Result<usize, Failure> {
    match given.unwrap_or(1) {
        0 => Err(Failure::usage("--workers takes 1 or more.")),
        workers => Ok(workers),
    }
}

/// Cores as `0`, `0,2` or `0,2-3`.
pub(crate) fn cores(text: &str) -> Result<Vec<usize>, Failure> {
    let wrong = || Failure::usage(format!("Cores are given as 0 or 0,2-3, not as {text:?}."));
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = digits(first).ok_or_else(wrong)?;
        let last: usize = digits(last).ok_or_else(wrong)?;
        if first > last || last > CORE_NUMBER_MAX {
            return Err(wrong());
        }
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

/// Process ids as `4711` or `4711,4712`.
pub(crate) fn process_ids(option: &str, text: &str) -> Result<Vec<u32>, Failure> {
    let id = |part: &str| {
        part.trim()
            .parse()
            .ok()
            .filter(|id| *id > 0)
            .ok_or_else(|| Failure::usage(format!("{option} takes PID[,PID], not {text:?}.")))
    };
    text.split(',').map(id).collect()
}

/// An address with its port.
pub(crate) fn address(option: &str, text: &str) -> Result<SocketAddr, Failure> {
    SocketAddr::from_str(text).map_err(|error| {
        Failure::usage(format!(
            "{option} takes an address and a port such as 127.0.0.1:8443, not {text:?}."
        ))
        .because(error)
    })
}

/// A URL after a flag.
pub(crate) fn url(option: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|error| Failure::usage(format!("{option}: {error}.")).because(error))
}

/// A name that a certificate can have.
pub(crate) fn server_name(text: &str) -> Result<ServerName<'static>, Failure> {
    ServerName::try_from(text.to_owned()).map_err(|error| {
        Failure::usage(format!("--server-name takes a host name or an address, not {text:?}."))
            .because(error)
    })
}

/// Statuses that are good, as `expect_status` of targets.toml lists them. Interim responses answer
/// no request (RFC 9110 section 15.2).
pub(crate) fn expect_status(text: &str) -> Result<Expect, Failure> {
    let status = |part: &str| digits(part).filter(|status: &u16| part.len() == 3 && *status >= 200);
    let statuses: Option<Vec<u16>> = text.split(',').map(|part| status(part.trim())).collect();
    let statuses = statuses.ok_or_else(|| {
        Failure::usage(format!(
            "--expect-status takes whole numbers from 200 to 999, such as 304 or 200,404, not \
             {text:?}."
        ))
    })?;
    Ok(Expect::one_of(&statuses, 0))
}

/// Starting stock as `SKU=N`.
pub(crate) fn stock(text: &str) -> Result<(String, u64), Failure> {
    let found = text.split_once('=').and_then(|(sku, units)| Some((sku, digits(units)?)));
    let (sku, units) = found.ok_or_else(|| {
        Failure::usage(format!("--stock takes SKU=N such as SKU-1000=500, not {text:?}."))
    })?;
    Ok((sku.to_owned(), units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    /// Every one of these texts is refused as a usage error that holds `part`.
    fn refused<T: std::fmt::Debug>(
        parse: impl Fn(&str) -> Result<T, Failure>,
        texts: &[&str],
        part: &str,
    ) {
        for text in texts {
            let failure = parse(text).expect_err(text);
            assert_eq!(failure.kind(), FailureKind::Usage, "{text:?}");
            assert!(failure.to_string().contains(part), "{text:?}: {failure}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let good =
            [("250ms", 250_000), ("1s", 1_000_000), ("1.5s", 1_500_000), ("2m", 120_000_000)];
        for (text, micros) in good {
            assert_eq!(duration("-d", text).unwrap(), Duration::from_micros(micros), "{text}");
        }
        let wrong = ["", "10", "s", "-1s", "1d", "0s", "1e400s", "+1s", "1 s", "infs", "soon"];
        refused(|text| duration("-d", text), &wrong, "-d takes a time");
    }

    #[test]
    fn zero_needs_no_unit_where_it_is_allowed() {
        let parse = |text: &str| duration_or_zero("--warmup", text);
        for text in ["0", "0s"] {
            assert_eq!(parse(text).unwrap(), Duration::ZERO);
        }
        assert_eq!(parse("2m").unwrap(), Duration::from_secs(120));
        refused(parse, &["", "30", "-1s", "never"], "--warmup");
    }

    #[test]
    fn shares_and_numbers_have_no_sign() {
        assert_eq!(percent("--max-steal", "0.5%").unwrap(), 0.005);
        let wrong = ["1", "%", "-1%", "101%", "1e1%", "x%", "NaN%", "inf%", " 1%"];
        refused(|text| percent("--max-steal", text), &wrong, "--max-steal");
        let wrong = ["", "-1", "+1", "1.5", "99999999999999999999", "x"];
        refused(|text| whole("--max-errors", text), &wrong, "--max-errors");
    }

    #[test]
    fn a_rate_outside_its_range_is_refused_with_the_range() {
        for good in [0.001, 1.0, 1e8] {
            assert_eq!(rate("-R", good).unwrap().as_f64(), good);
        }
        for wrong in [0.0, -1.0, 1e-9, 0.0009, 1e9, f64::NAN, f64::INFINITY] {
            let failure = rate("-R", wrong).unwrap_err().to_string();
            assert!(failure.contains("0.001 to 100000000 requests"), "{failure}");
        }
    }

    #[test]
    fn a_limit_is_a_quantile_and_a_duration() {
        let two_ms = Duration::from_millis(2);
        assert_eq!(slo("p99=2ms").unwrap(), Slo { quantile: Quantile::P99, limit: two_ms });
        assert_eq!(slo("p99.9=2ms").unwrap().quantile, Quantile::P999);
        assert_eq!(slo("max=1.5s").unwrap().limit, Duration::from_millis(1_500));
        let wrong = ["", "p99", "p99=", "p99=2", "p98=2ms", "=2ms", "p99=0ms", "2ms"];
        refused(slo, &wrong, "p99=2ms");
    }

    #[test]
    fn a_choice_lists_its_words() {
        refused(pattern, &["", "Poisson"], "--arrivals takes constant or poisson, not ");
        refused(algorithm, &["none"], "--token-alg takes es256, eddsa or rs256, not \"none\".");
        assert_eq!(algorithm("ES256").unwrap(), Algorithm::Es256);
        assert!(driver("epoll", true).is_err());
    }

    #[test]
    fn cores_are_numbers_and_ranges() {
        assert_eq!(cores("0").unwrap(), [0]);
        assert_eq!(cores("3,0,1-2,1").unwrap(), [0, 1, 2, 3]);
        let wrong = ["", "a", "1-", "2-1", "-1", "+1", "0,,1", "0-99999999"];
        refused(cores, &wrong, "0,2-3");
    }

    #[test]
    fn stock_is_a_name_and_a_number() {
        assert_eq!(stock("SKU-1=20").unwrap(), ("SKU-1".into(), 20));
        refused(stock, &["SKU-1", "SKU-1=", "SKU-1=x", "SKU-1=-2"], "SKU=N");
    }

    #[test]
    fn expected_statuses_are_final_ones() {
        let expect = expect_status("304, 200,999").unwrap();
        let good = [200, 304, 999].map(|status| expect.judge(status, 0).is_ok());
        assert_eq!(good, [true; 3]);
        assert!(expect.judge(201, 0).is_err());
        let wrong = ["", "ok", "100", "1000", "+200", "0200", "200,", "2xx", "200-299", "-1"];
        refused(expect_status, &wrong, "from 200 to 999");
    }

    #[test]
    fn profiles_are_never_guessed() {
        refused(|text| profile(Some(text)), &["S6", ""], "");
        assert_eq!(profile(Some("S5")).unwrap().label(), "S5");
    }
}
