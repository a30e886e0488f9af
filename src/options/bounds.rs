//! The bounds within which a measurement is valid, from what was typed: every command that measures
//! has the same flags with the same defaults. What a breach means is the generator's.

use metrics_export::run::Bounds;

use crate::Failure;
use crate::cli::BoundArgs;
use crate::values::{duration, percent, whole};

/// The bounds that were meant.
pub(crate) fn parse(typed: BoundArgs) -> Result<Bounds, Failure> {
    let usual = Bounds::default();
    let lateness = given("--max-lateness-p99", typed.max_lateness_p99, duration)?;
    Ok(Bounds {
        lateness_p99_ns_max: lateness
            .map_or(usual.lateness_p99_ns_max, |lateness| lateness.as_nanos() as u64),
        achieved_share_min: given("--min-achieved", typed.min_achieved, percent)?
            .unwrap_or(usual.achieved_share_min),
        dropped_max: given("--max-dropped", typed.max_dropped, whole)?.unwrap_or(usual.dropped_max),
        steal_share_max: given("--max-steal", typed.max_steal, percent)?
            .unwrap_or(usual.steal_share_max),
        background_share_max: given("--max-foreign", typed.max_foreign, percent)?
            .unwrap_or(usual.background_share_max),
        throttled_max: given("--max-throttled", typed.max_throttled, whole)?
            .unwrap_or(usual.throttled_max),
        errors_max: given("--max-errors", typed.max_errors, whole)?.unwrap_or(usual.errors_max),
        in_flight_growth_max: given("--max-in-flight-growth", typed.max_in_flight_growth, whole)?
            .unwrap_or(usual.in_flight_growth_max),
        idle_cpu_share_max: given("--max-idle-cpu", typed.max_idle_cpu, percent)?
            .or(usual.idle_cpu_share_max),
    })
}

/// The value of a flag, if it was given.
fn given<T>(
    option: &str,
    typed: Option<String>,
    parse: fn(&str, &str) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    typed.map(|text| parse(option, &text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_given_and_else_the_defaults() {
        assert_eq!(parse(BoundArgs::default()).unwrap(), Bounds::default());
        let typed = BoundArgs {
            max_lateness_p99: Some("2ms".into()),
            min_achieved: Some("95%".into()),
            max_errors: Some("7".into()),
            max_steal: Some("0.5%".into()),
            ..BoundArgs::default()
        };
        let meant = parse(typed).unwrap();
        assert_eq!((meant.lateness_p99_ns_max, meant.errors_max), (2_000_000, 7));
        assert_eq!((meant.achieved_share_min, meant.steal_share_max), (0.95, 0.005));
        assert_eq!(meant.background_share_max, Bounds::default().background_share_max);
    }

    #[test]
    fn other_texts_are_refused_with_the_flag() {
        let typed = BoundArgs { max_lateness_p99: Some("soon".into()), ..BoundArgs::default() };
        assert!(parse(typed).unwrap_err().to_string().contains("--max-lateness-p99"));
    }
}
