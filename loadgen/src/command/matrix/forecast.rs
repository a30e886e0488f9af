//! How narrow the intervals of a run will be, from less than a minute of it: one instance, a few
//! rounds, no result. It refuses to promise what it did not see: what instances differ by is an
//! assumption, and said to be one.

use std::fmt::Write as _;
use std::time::Duration;

use metrics_export::run::Per;

use crate::experiment::{Failure, Findings};
use crate::plan::{Protocol, StopRule};
use crate::stats::{self, Layer, Observation};

use super::Matrix;

/// How long the rounds of a forecast take, restart and warm-up not included.
const LOOK: Duration = Duration::from_secs(20);

/// Fewer rounds than this do not tell how slices scatter.
const ROUNDS_MIN: u32 = 6;

/// The lengths of a run that are forecast.
const MINUTES: [u32; 3] = [1, 4, 15];

/// What instances of one program differ by, as a share: nothing of it shows within one instance.
/// Measured over the stacks of this project (docs/methodology.md, "Blocks").
const LAYOUT_SHARE: f64 = 0.01;

/// The standard deviation of a normal sample over its median absolute deviation.
const NORMAL_PER_DEVIATION: f64 = 1.4826;

/// What was seen, and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The standard deviation of a slice's log-ratio of two variants.
    pub slice_share: f64,
    /// The baseline's request, ns of server CPU.
    pub baseline_ns: f64,
    /// For each length of a run.
    pub lengths: Vec<ForecastLength>,
}

/// What a run of some length will resolve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastLength {
    /// How long it takes.
    pub minutes: u32,
    /// Its rounds, three on each instance.
    pub rounds: u32,
    /// Half of a simultaneous interval, as a share of a request.
    pub half_share: f64,
}

impl Forecast {
    /// The forecast as lines for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "A slice's ratio of two variants scatters by {:.1}%; instances are taken to differ by \
             {:.0}%.\n",
            self.slice_share * 100.0,
            LAYOUT_SHARE * 100.0
        );
        for ForecastLength { minutes, rounds, half_share } in &self.lengths {
            let unit = if *minutes == 1 { "minute" } else { "minutes" };
            let _ = writeln!(
                out,
                "After {minutes} {unit} (--rounds {rounds}): intervals of about \u{b1}{:.1}% of a \
                 request, \u{b1}{:.2} us",
                half_share * 100.0,
                half_share * self.baseline_ns / 1e3,
            );
        }
        out
    }
}

/// The protocol of half a minute: one instance, and as many rounds as fit.
pub(super) fn protocol(matrix: &Matrix) -> Protocol {
    let of_round = matrix.protocol.slice * matrix.variants.len() as u32;
    let fitting = (LOOK.as_secs_f64() / of_round.as_secs_f64()) as u32;
    let rounds = fitting.max(ROUNDS_MIN);
    Protocol { rounds, instances: 1, stop: StopRule::default(), ..matrix.protocol.clone() }
}

/// What findings of [`protocol`], which took so long, say of longer runs.
pub(super) fn of(
    findings: &Findings,
    layers: &[Layer],
    observe: impl Fn(&Layer) -> Vec<Observation>,
    baseline_ns: f64,
    elapsed: Duration,
) -> Result<Forecast, Failure> {
    let ratios = layers.iter().filter(|layer| layer.per == Per::Request && layer.terms.len() == 2);
    let variances: Vec<f64> = ratios.filter_map(|layer| variance(&observe(layer))).collect();
    let rounds = findings.slices.iter().map(|slice| slice.round + 1).max().unwrap_or(0);
    if variances.is_empty() || rounds == 0 {
        return Err(Failure::new(
            "so short a look gave no ratios to forecast from: the CPU of two variants is needed",
        ));
    }
    let slice_share = stats::median(&variances).unwrap_or(0.0).sqrt();
    // The first instance has the closed loops too, so that the forecast is on the safe side.
    let per_round = elapsed.as_secs_f64() / f64::from(rounds);
    let length = |minutes: u32| {
        let rounds = (f64::from(minutes) * 60.0 / per_round).max(3.0) as u32;
        let instances = f64::from(rounds / 3).max(2.0);
        let variance = LAYOUT_SHARE.powi(2) + slice_share.powi(2) / 3.0;
        let critical = stats::simultaneous_critical(layers.len(), instances - 1.0);
        let half_share = critical * (variance / instances).sqrt();
        ForecastLength { minutes, rounds, half_share }
    };
    Ok(Forecast { slice_share, baseline_ns, lengths: MINUTES.map(length).into() })
}

/// The variance that a normal sample with this median absolute deviation has: a slice that the
/// machine disturbed is one of many in a run, whose estimate forgets it, and must not decide here.
fn variance(observations: &[Observation]) -> Option<f64> {
    let values: Vec<f64> = observations.iter().map(|seen| seen.value).collect();
    let centre = stats::median(&values).filter(|_| values.len() >= 3)?;
    let errors: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    stats::median(&errors).map(|deviation| (NORMAL_PER_DEVIATION * deviation).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observations(values: &[f64]) -> Vec<Observation> {
        let seen = values.iter().zip(0..);
        seen.map(|(value, round)| Observation { round, instance: 0, value: *value }).collect()
    }

    #[test]
    fn longer_runs_have_narrower_intervals() {
        let layers = stats::layers(&["s0", "s0-control", "s1"].map(Into::into));
        let mut findings = Findings::default();
        findings.slices.push(metrics_export::run::Slice { round: 5, ..slice() });
        let observe = |_: &Layer| observations(&[0.02, -0.02, 0.02, -0.02, 0.02, -0.02]);
        let minute = Duration::from_secs(60);
        let forecast = of(&findings, &layers, observe, 80_000.0, minute / 2).unwrap();
        assert!((forecast.slice_share - 0.0297).abs() < 1e-4, "{forecast:?}");
        let rounds: Vec<u32> = forecast.lengths.iter().map(|length| length.rounds).collect();
        assert_eq!(rounds, [12, 48, 180], "five seconds each");
        let half: Vec<f64> = forecast.lengths.iter().map(|length| length.half_share).collect();
        assert!(half[0] > 2.0 * half[1] && half[1] > 1.8 * half[2], "{half:?}");
        let text = forecast.text();
        assert!(text.contains("After 4 minutes (--rounds 48)"), "{text}");
        assert!(text.starts_with("A slice's ratio of two variants scatters by 3.0%"), "{text}");
    }

    #[test]
    fn without_ratios_there_is_no_forecast() {
        let layers = stats::layers(&["s0", "s0-control"].map(Into::into));
        let none = |_: &Layer| Vec::new();
        let failure = of(&Findings::default(), &layers, none, 0.0, LOOK).unwrap_err();
        assert!(failure.to_string().contains("no ratios"), "{failure}");
    }

    fn slice() -> metrics_export::run::Slice {
        crate::experiment::tests::blank_slice("s0", &request(), 1)
    }

    fn request() -> crate::experiment::SliceRequest {
        crate::experiment::SliceRequest {
            variant: 0,
            load: crate::experiment::SliceLoad::Closed,
            instance: 0,
            round: 0,
            position: 0,
            attempt: 0,
            warmup: false,
        }
    }
}
