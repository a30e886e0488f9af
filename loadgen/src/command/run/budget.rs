//! How many new connections a machine can make to one address of a target before it runs out of
//! ports. It is said before a run that uses connections up; it refuses nothing, because whose port
//! waits, and for how long, is up to both ends.

use std::fs;

use crate::command::run::RunOptions;
use crate::traffic::slice::Arrivals;

/// How long the kernel keeps a port of a closed connection (TCP_TIMEWAIT_LEN), in seconds.
const TIME_WAIT_S: u64 = 60;

/// What Linux has where `ip_local_port_range` cannot be read.
const PORTS_DEFAULT: u64 = 28_232;

/// The sentence for a run that opens a new connection every few requests; None for one that keeps
/// them, and for IPv4 loopback, where source addresses go round and never run out.
pub(super) fn of(options: &RunOptions) -> Option<String> {
    let each = u64::from(options.slice.requests_per_connection?.get());
    let address = match &options.connect_to {
        Some(addresses) => addresses.first()?.ip().to_string(),
        None => options.url.host.clone(),
    };
    let rotates = address == "localhost"
        || address.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback());
    if rotates {
        return None;
    }
    let ports = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let ports = ports.ok().and_then(|text| count(&text)).unwrap_or(PORTS_DEFAULT);
    Some(sentence(ports, each, asked(options)))
}

/// Requests per second that are asked for; None for as many as the target answers.
fn asked(options: &RunOptions) -> Option<f64> {
    match options.slice.arrivals {
        Arrivals::Open { rate, .. } => Some(rate.as_f64()),
        Arrivals::Closed => None,
    }
}

fn sentence(ports: u64, each: u64, rate: Option<f64>) -> String {
    let lasting = (ports / TIME_WAIT_S).max(1);
    let budget = format!(
        "Connection budget: {ports} ports, each taken for {TIME_WAIT_S} s after its connection: \
         {lasting} new connections a second can go on for ever, and {ports} can be made at once."
    );
    match rate.map(|rate| rate / each as f64) {
        Some(opened) if opened <= lasting as f64 => {
            format!("{budget} This run opens {opened:.0} a second.")
        }
        Some(opened) => format!(
            "{budget} This run opens {opened:.0} a second and runs out after {:.0} s: lower the \
             rate, or raise --requests-per-connection.",
            ports as f64 / opened
        ),
        None => format!(
            "{budget} A closed loop opens as many as the target takes: give a --rate of at most \
             {} requests/s, or keep it short.",
            lasting * each
        ),
    }
}

/// The ports of `ip_local_port_range`: first and last.
fn count(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (words.next()?.ok()?, words.next()?.ok()?);
    (last >= first).then(|| last - first + 1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use runtime::url::Url;

    use super::*;
    use crate::traffic::slice::SliceSpec;

    #[test]
    fn ports_are_counted() {
        assert_eq!(count("32768\t60999\n"), Some(28_232));
        assert_eq!(count("9 1"), None);
        assert_eq!(count("x"), None);
    }

    #[test]
    fn only_used_up_connections_beyond_loopback_have_a_budget() {
        let options = |url: &str, each| {
            let spec = SliceSpec {
                requests_per_connection: NonZeroU32::new(each),
                ..SliceSpec::new(Arrivals::Closed, 1, Duration::from_secs(1))
            };
            RunOptions::new(Url::parse(url).unwrap(), spec)
        };
        assert_eq!(of(&options("http://192.0.2.1/", 0)), None);
        assert_eq!(of(&options("http://127.0.0.9/", 1)), None);
        assert!(of(&options("http://192.0.2.1/", 1)).is_some());
        assert!(of(&options("http://[::1]/", 1)).is_some(), "::1 is one address");
        let mut elsewhere = options("http://192.0.2.1/", 1);
        elsewhere.connect_to = Some(vec!["127.0.0.1:80".parse().unwrap()]);
        assert_eq!(of(&elsewhere), None);
    }

    #[test]
    fn the_sentence_has_its_end() {
        assert!(sentence(6_000, 1, Some(100.0)).contains("opens 100 a second."));
        assert!(sentence(6_000, 2, Some(400.0)).contains("runs out after 30 s"));
        assert!(sentence(6_000, 10, None).contains("at most 1000 requests/s"));
    }
}
