//! The drift of this machine as a short Allan table: for people below the findings, and for
//! programs as members of the JSON. It refuses to judge: drift has no limit that a machine must
//! keep, and the exit code does not depend on it.

use std::fmt::Write as _;
use std::time::Duration;

use loadgen::machine::drift::DriftSamples;
use loadgen::report::Paint;
use loadgen::stats::allan_deviation;
use metrics_export::figures::plain::NOTHING;
use metrics_export::figures::{duration, percent};
use serde::Serialize;

/// What samples are averaged over, in ms: from a few samples to the length of a long slice.
const AVERAGED_MS: [u64; 5] = [2, 10, 50, 250, 1_000];

/// What follows from the table.
const CONCLUSION: &str = "\
Where the row of the socket pairs does not fall with time, longer slices do not
narrow intervals; measuring variants nearer to each other in time does.
";

/// How far equal work differs between neighbouring stretches of time.
#[derive(Debug, Serialize)]
pub(crate) struct DriftTable {
    core: usize,
    length_ns: u64,
    rows: [Row; 2],
}

/// One kind of work.
#[derive(Debug, Serialize)]
struct Row {
    work: &'static str,
    samples: usize,
    /// The mean CPU time of a sample.
    sample_cpu_ns: u64,
    deviations: Vec<Deviation>,
}

/// The overlapping Allan deviation over stretches of one length.
#[derive(Debug, Serialize)]
struct Deviation {
    averaged_over_ms: u64,
    /// Of the mean; None where too few stretches fit.
    share: Option<f64>,
}

impl DriftTable {
    /// From what was measured on this core.
    pub(crate) fn of(core: usize, samples: &DriftSamples) -> DriftTable {
        let row = |work, series_ns: &[f64]| Row {
            work,
            samples: series_ns.len(),
            sample_cpu_ns: (series_ns.iter().sum::<f64>() / series_ns.len().max(1) as f64) as u64,
            deviations: AVERAGED_MS
                .map(|ms| {
                    let stretch = samples.within(Duration::from_millis(ms));
                    let share = allan_deviation(series_ns, stretch);
                    Deviation { averaged_over_ms: ms, share }
                })
                .into(),
        };
        DriftTable {
            core,
            length_ns: samples.length.as_nanos() as u64,
            rows: [
                row("socket pairs", &samples.socket_pairs_ns),
                row("integer loop", &samples.integer_loop_ns),
            ],
        }
    }

    /// For people, with an empty line before it. It fits 80 columns.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let title = paint.wrap("1", "Drift of this machine (Allan deviation)");
        let mut out = format!(
            "\n{title}: how far the CPU time of equal work\n\
             differs between two neighbouring stretches of time; core {}, {}\n",
            self.core,
            // The last sample ends a little after the time that was asked for.
            duration((self.length_ns + 5_000_000) / 10_000_000 * 10_000_000),
        );
        let times = AVERAGED_MS.map(|ms| duration(ms * 1_000_000));
        line(&mut out, "averaged over", times.iter().map(String::as_str));
        for Row { work, deviations, .. } in &self.rows {
            let share = |deviation: &Deviation| deviation.share.map_or(NOTHING.into(), percent);
            let shares: Vec<String> = deviations.iter().map(share).collect();
            line(&mut out, work, shares.iter().map(String::as_str));
        }
        out + CONCLUSION
    }
}

/// A row of the table: its head to the left, its figures to the right.
fn line<'a>(out: &mut String, head: &str, figures: impl Iterator<Item = &'a str>) {
    let _ = write!(out, "{head:<13}");
    for figure in figures {
        let _ = write!(out, "{figure:>9}");
    }
    out.push('\n');
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A second in which kernel work rises by 2 ns with each of 500 samples, and the loop's samples
    /// are 90 and 110 in turn.
    pub(in crate::command::doctor) fn known() -> DriftTable {
        let samples = DriftSamples {
            length: Duration::from_secs(1),
            socket_pairs_ns: (0..500).map(|at| 501.0 + 2.0 * f64::from(at)).collect(),
            integer_loop_ns: [90.0, 110.0].repeat(250),
        };
        DriftTable::of(1, &samples)
    }

    #[test]
    fn the_table_has_a_row_for_each_kind_of_work() {
        // A rise of 2 a sample is one of 2 m between stretches of m samples, so 2 m / sqrt(2) of
        // 1,000; a stretch of 2 ms is one sample. Pairs of 90 and 110 are all alike.
        let expected = "
Drift of this machine (Allan deviation): how far the CPU time of equal work
differs between two neighbouring stretches of time; core 1, 1 s
averaged over     2 ms    10 ms    50 ms   250 ms      1 s
socket pairs      0.1%     0.7%     3.5%      18%        -
integer loop       14%     2.8%     0.6%     0.1%        -
Where the row of the socket pairs does not fall with time, longer slices do not
narrow intervals; measuring variants nearer to each other in time does.
";
        assert_eq!(known().text(Paint::Plain), expected);
        let coloured = known().text(Paint::Colour);
        assert!(coloured.contains("\x1b[1mDrift of this machine (Allan deviation)\x1b[0m:"));
    }

    #[test]
    fn lines_fit_80_columns_whatever_the_figures() {
        let mut table = known();
        (table.core, table.length_ns) = (4_095, 200_000_000_000);
        for row in &mut table.rows {
            row.deviations.iter_mut().for_each(|deviation| deviation.share = Some(1_234.5));
        }
        let text = table.text(Paint::Plain);
        assert_eq!(text.lines().find(|line| line.chars().count() > 80), None);
        assert!(text.contains(" 123,450%"), "{text}");
    }

    #[test]
    fn programs_get_shares_and_null_for_too_few_stretches() {
        let json = serde_json::to_value(known()).unwrap();
        assert_eq!((&json["core"], &json["length_ns"]), (&1.into(), &1_000_000_000_u64.into()));
        let row = &json["rows"][0];
        assert_eq!((&row["work"], &row["samples"]), (&"socket pairs".into(), &500.into()));
        assert_eq!(row["sample_cpu_ns"], 1_000);
        assert_eq!(row["deviations"][0]["averaged_over_ms"], 2);
        let share = row["deviations"][0]["share"].as_f64().unwrap();
        assert!((share - 2.0_f64.sqrt() / 1_000.0).abs() < 1e-9, "{share}");
        assert!(row["deviations"][4]["share"].is_null());
    }
}
