//! `tollgate calibrate`: turns what was typed into a calibration, hands it servers of known cost,
//! and prints the answer.

mod group;
mod launcher;

use loadgen::command::calibrate::{
    Calibration, CalibrationPart, CalibrationReport, EarlierCalibration, markdown, text,
};
use loadgen::traffic::schedule::Rate;

use crate::io::inputs;
use crate::io::output::OutputFile;
use crate::options::cores;
use crate::process::held::WorkFolder;
use crate::process::interrupt;
use crate::{Failure, cli, values};

use launcher::{LoadLauncher, ReferenceLauncher};

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CalibrateFormat {
    Text,
    Json,
    Markdown,
}

const FORMATS: [(&str, CalibrateFormat); 3] = [
    ("text", CalibrateFormat::Text),
    ("json", CalibrateFormat::Json),
    ("markdown", CalibrateFormat::Markdown),
];

/// The fewest rounds of an experiment that have an interval.
const ROUNDS_MIN: u32 = loadgen::stats::ROUNDS_MIN as u32;

/// Carries out `tollgate calibrate`.
pub(crate) fn command(typed: &cli::CalibrateArgs) -> Result<u8, Failure> {
    let format = values::choice("--output-format", &typed.output_format, &FORMATS)?;
    let calibration = calibration(typed)?;
    let place = OutputFile::open(typed.output.as_deref())?;
    let shutdown = interrupt::begin()?;
    let folder = WorkFolder::create()?;
    let cores = &calibration.cores.servers;
    let mut launcher = ReferenceLauncher::new(folder.path().to_path_buf(), cores, &typed.driver);
    let mut load = LoadLauncher { logs: folder.path().to_path_buf() };
    eprintln!("{}", calibration.announcement());
    let (report, failure) = calibration
        .run(&mut launcher, &mut load, &|| shutdown.received().is_some())
        .map_err(|failure| match shutdown.received() {
            Some(_) => Failure::interrupted(),
            None => Failure::sentence(failure),
        })?;
    place.deliver(answer(&report, format).as_bytes())?;
    match failure {
        None => Ok(report.exit_code()),
        Some(failure) => Err(Failure::failed(format!("It ended before its time: {failure}."))),
    }
}

fn calibration(typed: &cli::CalibrateArgs) -> Result<Calibration, Failure> {
    let earlier = typed.resume.as_deref().map(earlier).transpose()?;
    let begun = earlier.as_ref().map(EarlierCalibration::settings);
    let usual = if typed.quick { Calibration::ROUNDS_QUICK } else { Calibration::ROUNDS };
    let rounds = typed.rounds.or(begun.map(|(_, rounds, _)| rounds)).unwrap_or(usual);
    if typed.experiments == Some(0) {
        return Err(Failure::usage("--experiments takes 1 or more."));
    }
    if rounds < ROUNDS_MIN {
        return Err(Failure::usage(format!(
            "--rounds takes {ROUNDS_MIN} or more: fewer give no interval."
        )));
    }
    let calibration = Calibration {
        parts: parts(typed.parts.as_deref())?,
        experiments: typed.experiments,
        rounds,
        rate: rate(typed.rate, begun.map(|(_, _, milli)| milli))?,
        quick: typed.quick,
        seed: values::seed(typed.seed.or(begun.map(|(seed, _, _)| seed))),
        cores: cores::split(typed.server_cores.as_deref(), typed.generator_cores.as_deref())?,
        driver: values::driver(&typed.driver, false)?,
        commit: option_env!("TOLLGATE_COMMIT").map(String::from),
        earlier: None,
    };
    if let Some(earlier) = &earlier {
        earlier
            .check(&calibration)
            .map_err(|error| Failure::usage(format!("--resume: {error}.")).because(error))?;
    }
    Ok(Calibration { earlier, ..calibration })
}

/// The rate that was typed, or that of an earlier sitting in thousandths of a request per second.
fn rate(typed: Option<f64>, begun_milli: Option<u64>) -> Result<Rate, Failure> {
    match typed.or(begun_milli.map(|milli| milli as f64 / 1e3)) {
        None => Ok(Calibration::RATE),
        Some(per_s) if per_s < 1.0 => {
            Err(Failure::usage("--rate takes 1 request per second or more."))
        }
        Some(per_s) => values::rate("--rate", per_s),
    }
}

/// The earlier calibration in a file.
fn earlier(file: &str) -> Result<EarlierCalibration, Failure> {
    let bytes = inputs::read(file)?;
    EarlierCalibration::from_json(&String::from_utf8_lossy(&bytes))
        .map_err(|error| Failure::failed(format!("{file}: {error}.")).because(error))
}

/// The parts that were named, in the order in which they are taken.
fn parts(typed: Option<&str>) -> Result<Vec<CalibrationPart>, Failure> {
    let Some(typed) = typed else {
        return Ok(CalibrationPart::ALL.to_vec());
    };
    let part = |name: &str| {
        CalibrationPart::parse(name.trim()).ok_or_else(|| {
            let known = CalibrationPart::ALL.map(CalibrationPart::as_str).join(", ");
            Failure::usage(format!("--parts takes {known}, not {name:?}."))
        })
    };
    let mut parts =
        typed.split(',').map(part).collect::<Result<Vec<CalibrationPart>, Failure>>()?;
    parts.sort_unstable();
    parts.dedup();
    Ok(parts)
}

fn answer(report: &CalibrationReport, format: CalibrateFormat) -> String {
    match format {
        CalibrateFormat::Text => text(report),
        CalibrateFormat::Json => report.to_json(),
        CalibrateFormat::Markdown => markdown(report, &command_line()),
    }
}

/// What was typed, without the path of the program. None of it is a secret.
fn command_line() -> String {
    let words: Vec<String> = std::env::args().skip(1).collect();
    format!("tollgate {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use crate::failure::FailureKind;

    fn typed(words: &[&str]) -> cli::CalibrateArgs {
        let words = ["tollgate", "calibrate"].iter().chain(words).map(|word| (*word).to_owned());
        match parse(words.collect()) {
            Parsed::Command(Command::Calibrate(typed)) => typed,
            _ => panic!("not understood as `calibrate`"),
        }
    }

    #[test]
    fn parts_are_taken_in_their_own_order_and_once() {
        let found = parts(Some("added, stall,faults,stall")).unwrap();
        assert_eq!(
            found,
            [CalibrationPart::Faults, CalibrationPart::Stall, CalibrationPart::Added]
        );
        assert_eq!(parts(None).unwrap(), CalibrationPart::ALL);
    }

    #[test]
    fn what_makes_no_calibration_is_named() {
        for (words, word) in [
            (&["--parts=all"][..], "all"),
            (&["--parts="], "--parts"),
            (&["--experiments=0"], "--experiments"),
            (&["--rounds=7"], "--rounds"),
            (&["--rate=0"], "--rate"),
            (&["--rate=inf"], "--rate"),
            (&["--driver=kqueue"], "kqueue"),
            (&["--server-cores=4000"], "4000"),
        ] {
            let failure = calibration(&typed(words)).unwrap_err();
            assert!(failure.to_string().contains(word), "{words:?}: {failure}");
            assert_eq!(failure.kind(), FailureKind::Usage, "{words:?}");
        }
    }

    #[test]
    fn quick_is_a_tenth() {
        let experiments =
            |words| calibration(&typed(words)).unwrap().experiments_of(CalibrationPart::Added);
        assert_eq!([experiments(&["--quick"]), experiments(&[])], [10, 100]);
        assert_eq!(experiments(&["--quick", "--experiments=3"]), 3);
        assert_eq!(calibration(&typed(&["--quick"])).unwrap().rounds, ROUNDS_MIN);
    }
}
