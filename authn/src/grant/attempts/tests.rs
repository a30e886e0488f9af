//! The counts against a list of everything that failed, and the bounds of their memory.

use proptest::prelude::*;

use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Fails as often as it may; how often that was.
fn fail(
    attempts: &mut FailedAttempts,
    id: &str,
    from: IpAddr,
    times: usize,
    now: Duration,
) -> usize {
    (0..times).filter(|_| attempts.begin(id, from, now).is_ok()).count()
}

#[test]
fn a_pair_has_ten_failures_a_minute() {
    let mut attempts = FailedAttempts::new().unwrap();
    let here = ip("192.0.2.1");
    assert_eq!(fail(&mut attempts, "a", here, 20, s(0)), 10);
    assert_eq!(attempts.begin("a", here, s(0)).unwrap_err(), s(61));
    assert_eq!(attempts.begin("a", here, s(60)).unwrap_err(), s(1));
    assert!(attempts.begin("a", here, s(61)).is_ok());
    // Others are not held up: another client here, the same one elsewhere.
    assert!(attempts.begin("b", here, s(1)).is_ok());
    assert!(attempts.begin("a", ip("192.0.2.2"), s(1)).is_ok());
}

#[test]
fn an_address_has_a_hundred_failures_a_minute() {
    let mut attempts = FailedAttempts::new().unwrap();
    let here = ip("192.0.2.1");
    let made: usize = (0..20).map(|n| fail(&mut attempts, &format!("c{n}"), here, 10, s(n))).sum();
    assert_eq!(made, 100);
    assert_eq!(attempts.begin("new", ip("::ffff:192.0.2.1"), s(19)).unwrap_err(), s(42));
    assert!(attempts.begin("new", ip("192.0.2.2"), s(19)).is_ok());
}

#[test]
fn an_ipv6_network_is_one_address() {
    let mut attempts = FailedAttempts::new().unwrap();
    for n in 0..10 {
        assert!(attempts.begin("a", ip(&format!("2001:db8::{n}")), s(0)).is_ok());
    }
    assert!(attempts.begin("a", ip("2001:db8::ffff:1"), s(0)).is_err());
    assert!(attempts.begin("a", ip("2001:db8:0:1::1"), s(0)).is_ok());
}

#[test]
fn a_client_that_proved_itself_keeps_its_own_allowance_for_an_hour() {
    let mut attempts = FailedAttempts::new().unwrap();
    let here = ip("192.0.2.1");
    let good = attempts.begin("good", here, s(0)).unwrap();
    attempts.proved(good, s(0));
    for minute in 0..61 {
        let now = s(minute * 61);
        (0..20).for_each(|n| {
            fail(&mut attempts, &format!("c{n}"), here, 10, now);
        });
        let allowed = attempts.begin("good", here, now);
        assert_eq!(allowed.is_ok(), now < s(3600), "{now:?}");
        if let Ok(attempt) = allowed {
            attempts.withdraw(attempt, now);
        }
    }
}

#[test]
fn proved_and_withdrawn_attempts_do_not_count() {
    let mut attempts = FailedAttempts::new().unwrap();
    let here = ip("192.0.2.1");
    for n in 0..500 {
        let attempt = attempts.begin("a", here, s(n / 100)).unwrap();
        if n % 2 == 0 {
            attempts.proved(attempt, s(n / 100));
        } else {
            attempts.withdraw(attempt, s(n / 100 + 1));
        }
    }
    assert_eq!(fail(&mut attempts, "a", here, 20, s(5)), 10);
}

#[test]
fn memory_is_bounded_and_who_is_held_up_stays_so() {
    let mut attempts = FailedAttempts::new().unwrap();
    let here = ip("192.0.2.1");
    assert_eq!(fail(&mut attempts, "a", here, 10, s(0)), 10);
    for n in 0..100_000_u32 {
        let _ = attempts.begin("b", IpAddr::V4(n.into()), s(0));
    }
    let places = |table: &AttemptTable| table.sets.iter().map(Vec::len).sum::<usize>();
    assert_eq!(places(&attempts.pairs), PAIR_SETS * WAYS);
    assert_eq!(places(&attempts.addresses), ADDRESS_SETS * WAYS);
    assert!(attempts.begin("a", here, s(1)).is_err());
}

proptest! {
    /// Whatever is tried from wherever, and whenever: never more failures than allowed in a minute,
    /// and never a refusal without as many.
    #[test]
    fn the_limits_hold_over_every_minute(
        steps in proptest::collection::vec((0_u8..14, 0_u8..2, 0_u64..60, 0_u8..12), 1..900),
    ) {
        let mut attempts = FailedAttempts::new().unwrap();
        let mut now_s = 0;
        let (mut pairs, mut places, mut proved) = (Vec::new(), Vec::new(), Vec::new());
        for (client, place, wait_s, luck) in steps {
            // Mostly bursts, and a pause now and then.
            now_s += if wait_s < 58 { u64::from(wait_s == 0) } else { wait_s };
            let from = IpAddr::V4([192, 0, 2, place].into());
            let recent = |at: u64| now_s - at <= 60;
            let own = pairs.iter().filter(|(c, p, at)| (*c, *p) == (client, place) && recent(*at));
            let own = own.count();
            let all = places.iter().filter(|(p, at)| *p == place && recent(*at)).count();
            let known = proved.contains(&(client, place));
            let allowed = own < 10 && (all < 100 || known);
            match attempts.begin(&client.to_string(), from, s(now_s)) {
                Ok(attempt) if luck == 0 => {
                    prop_assert!(allowed);
                    attempts.proved(attempt, s(now_s));
                    proved.push((client, place));
                }
                Ok(_failed) => {
                    prop_assert!(allowed);
                    pairs.push((client, place, now_s));
                    if all < 100 {
                        places.push((place, now_s));
                    }
                }
                Err(wait) => {
                    prop_assert!(!allowed);
                    prop_assert!(wait >= s(1) && wait <= s(61));
                }
            }
        }
    }
}
