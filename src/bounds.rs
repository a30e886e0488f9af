//! The bounds within which a measurement is valid, as flags: every command that measures has the
//! same set with the same defaults. What was typed is here turned into numbers; what a breach
//! means is the generator's.

use metrics_export::run::Bounds;

use crate::Failure;
use crate::matrix::duration;

/// What was typed for each bound; None where the default holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct BoundWords {
    pub(crate) max_lateness_p99: Option<String>,
    pub(crate) min_achieved: Option<String>,
    pub(crate) max_dropped: Option<String>,
    pub(crate) max_steal: Option<String>,
    pub(crate) max_foreign: Option<String>,
    pub(crate) max_throttled: Option<String>,
    pub(crate) max_errors: Option<String>,
    pub(crate) max_in_flight_growth: Option<String>,
}

impl BoundWords {
    /// The bounds that were meant.
    pub(crate) fn parse(&self) -> Result<Bounds, Failure> {
        let usual = Bounds::default();
        let lateness = self.max_lateness_p99.as_deref();
        let lateness = lateness.map(|text| duration("--max-lateness-p99", text)).transpose()?;
        let share = |option: &str, typed: &Option<String>, usual: f64| {
            typed.as_deref().map_or(Ok(usual), |text| percent(option, text))
        };
        let count = |option: &str, typed: &Option<String>, usual: u64| {
            typed.as_deref().map_or(Ok(usual), |text| whole(option, text))
        };
        Ok(Bounds {
            lateness_p99_ns_max: lateness
                .map_or(usual.lateness_p99_ns_max, |lateness| lateness.as_nanos() as u64),
            achieved_share_min: share(
                "--min-achieved",
                &self.min_achieved,
                usual.achieved_share_min,
            )?,
            dropped_max: count("--max-dropped", &self.max_dropped, usual.dropped_max)?,
            steal_share_max: share("--max-steal", &self.max_steal, usual.steal_share_max)?,
            foreign_share_max: share("--max-foreign", &self.max_foreign, usual.foreign_share_max)?,
            throttled_max: count("--max-throttled", &self.max_throttled, usual.throttled_max)?,
            errors_max: count("--max-errors", &self.max_errors, usual.errors_max)?,
            in_flight_growth_max: count(
                "--max-in-flight-growth",
                &self.max_in_flight_growth,
                usual.in_flight_growth_max,
            )?,
        })
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

fn whole(option: &str, text: &str) -> Result<u64, Failure> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| Failure::usage(format!("{option} takes a whole number, not {text:?}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_what_was_typed_and_else_the_usual() {
        assert_eq!(BoundWords::default().parse().unwrap(), Bounds::default());
        let words = BoundWords {
            max_lateness_p99: Some("2ms".into()),
            min_achieved: Some("95%".into()),
            max_errors: Some("7".into()),
            max_steal: Some("0.5%".into()),
            ..BoundWords::default()
        };
        let meant = words.parse().unwrap();
        assert_eq!((meant.lateness_p99_ns_max, meant.errors_max), (2_000_000, 7));
        assert_eq!((meant.achieved_share_min, meant.steal_share_max), (0.95, 0.005));
        assert_eq!(meant.foreign_share_max, Bounds::default().foreign_share_max);
    }

    #[test]
    fn other_words_are_usage_errors_that_name_the_flag() {
        for text in ["1", "%", "-1%", "101%", "1e1%", "x%", "NaN%", "inf%", " 1%"] {
            let error = percent("--max-steal", text).unwrap_err();
            assert!(error.message.contains("--max-steal"), "{text}");
        }
        for text in ["", "-1", "+1", "1.5", "99999999999999999999", "x"] {
            assert!(whole("--max-errors", text).is_err(), "{text}");
        }
        let words = BoundWords { max_lateness_p99: Some("soon".into()), ..BoundWords::default() };
        assert!(words.parse().unwrap_err().message.contains("--max-lateness-p99"));
    }
}
