//! `tollgate reference`: turns the options of the server of known cost into what they mean.

use std::time::Duration;

use services::reference::{self, Behaviour, PeriodicLoad, ReferenceConfig, RequestShare, Stall};

use crate::command::serve;
use crate::{Failure, cli, values};

/// Its requests are short, so that little is left to finish.
const DRAIN: Duration = Duration::from_millis(200);

/// Carries out `tollgate reference`; returns when the server was stopped.
pub(crate) fn command(typed: &cli::ReferenceArgs) -> Result<u8, Failure> {
    let config = config(typed)?;
    serve::log_to_stderr();
    reference::serve(&config).map_err(Failure::of)?;
    Ok(0)
}

fn config(typed: &cli::ReferenceArgs) -> Result<ReferenceConfig, Failure> {
    let config = ReferenceConfig {
        listen: values::address("--listen", &typed.listen)?,
        admin: values::address("--admin", &typed.admin)?,
        cores: typed.cores.as_deref().map(values::cores).transpose()?,
        driver: values::driver(&typed.driver, false)?,
        exit_with_stdin: typed.exit_with_stdin,
        drain: DRAIN,
        behaviour: Behaviour {
            busy: micros("--busy-us", typed.busy_us)?,
            after: micros("--after-us", typed.after_us)?,
            walk_kib: typed.walk_kib,
            delay: Duration::from_millis(typed.delay_ms),
            stall: stall(typed)?,
            stall_burns: typed.pause_burns,
            wrong: share("--wrong-percent", typed.wrong_percent)?,
            reset: share("--reset-percent", typed.reset_percent)?,
        },
        load: load(typed)?,
    };
    config.check().map_err(|error| Failure::usage(&error).because(error))?;
    Ok(config)
}

fn share(option: &str, percent: f64) -> Result<RequestShare, Failure> {
    RequestShare::percent(percent)
        .ok_or_else(|| Failure::usage(format!("{option} takes a number from 0 to 100.")))
}

/// A time in us. The clocks have a grain of a ns, so that it has three digits behind the point.
fn micros(option: &str, us: f64) -> Result<Duration, Failure> {
    let ns = us * 1e3;
    // What 0.3 us are in binary is off by less than this.
    if ns >= 0.0 && (ns - ns.round()).abs() < 1e-6 {
        return Ok(Duration::from_nanos(ns.round() as u64));
    }
    Err(Failure::usage(format!(
        "{option} takes a number of us, 0 or more, with at most three digits behind the point."
    )))
}

/// How busy it keeps its cores without any request.
fn load(typed: &cli::ReferenceArgs) -> Result<Option<PeriodicLoad>, Failure> {
    let millis = Duration::from_millis;
    match (typed.load_ms, typed.load_every_ms) {
        (None, None) => Ok(None),
        (Some(busy), Some(every)) => {
            Ok(Some(PeriodicLoad { busy: millis(busy), every: millis(every) }))
        }
        _ => Err(Failure::usage(
            "--load-ms and --load-every-ms go together: how long a core is busy, and how often.",
        )),
    }
}

/// When the core stands still, by the two ways to say so.
fn stall(typed: &cli::ReferenceArgs) -> Result<Option<Stall>, Failure> {
    let millis = Duration::from_millis;
    match (typed.stall, typed.pause_ms, typed.pause_every_ms) {
        (false, None, None) if typed.pause_burns => Err(Failure::usage(
            "--pause-burns says how a pause is spent; say how long it is with --pause-ms and \
             --pause-every-ms.",
        )),
        (false, None, None) => Ok(None),
        (true, None, None) => Ok(Some(Stall::ONCE_A_SECOND)),
        (false, Some(length), Some(every)) => {
            Ok(Some(Stall { length: millis(length), every: millis(every) }))
        }
        (true, ..) => Err(Failure::usage(
            "--stall means --pause-ms 100 --pause-every-ms 1000 and excludes both; leave it out.",
        )),
        (false, ..) => Err(Failure::usage(
            "--pause-ms and --pause-every-ms go together: how long a pause is, and how often one \
             begins.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use loadgen::command::calibrate::servers::SERVERS;

    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use crate::failure::FailureKind;

    fn typed(words: &[String]) -> cli::ReferenceArgs {
        let words = ["tollgate", "reference"].map(String::from).into_iter().chain(words.to_vec());
        match parse(words.collect()) {
            Parsed::Command(Command::Reference(typed)) => typed,
            _ => panic!("not understood as `reference`"),
        }
    }

    fn behaviour(words: &[&str]) -> Result<Behaviour, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        config(&typed(&words)).map(|config| config.behaviour)
    }

    #[test]
    fn options_become_behaviour() {
        let default = Behaviour::default();
        let stall = |length, every| {
            let (length, every) = (Duration::from_millis(length), Duration::from_millis(every));
            Behaviour { stall: Some(Stall { length, every }), ..default }
        };
        for (words, expected) in [
            (&[][..], default),
            (&["--busy-us=2"], Behaviour { busy: Duration::from_nanos(2_000), ..default }),
            (&["--busy-us=0.5"], Behaviour { busy: Duration::from_nanos(500), ..default }),
            (&["--busy-us=0.3"], Behaviour { busy: Duration::from_nanos(300), ..default }),
            (&["--after-us=50000"], Behaviour { after: Duration::from_millis(50), ..default }),
            (&["--walk-kib=256"], Behaviour { walk_kib: 256, ..default }),
            (&["--stall"], stall(100, 1_000)),
            (&["--pause-ms=5", "--pause-every-ms=100"], stall(5, 100)),
        ] {
            assert_eq!(behaviour(words).unwrap(), expected, "{words:?}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (words, said) in [
            (&["--busy-us=-1"][..], "--busy-us"),
            (&["--busy-us=nan"], "--busy-us"),
            (&["--busy-us=inf"], "--busy-us"),
            (&["--busy-us=0.0001"], "three digits"),
            (&["--busy-us=1e30"], "burn"),
            (&["--after-us=-0.5"], "--after-us"),
            (&["--after-us=100001"], "burn"),
            (&["--walk-kib=100000"], "walk"),
            (&["--pause-ms=5"], "go together"),
            (&["--pause-every-ms=5"], "go together"),
            (&["--stall", "--pause-ms=5", "--pause-every-ms=10"], "excludes"),
            (&["--stall", "--pause-ms=5"], "excludes"),
            (&["--pause-ms=10", "--pause-every-ms=10"], "10 ms of every 10 ms"),
            (&["--pause-ms=0", "--pause-every-ms=10"], "at least 1 ms"),
            (&["--pause-ms=1", "--pause-every-ms=10001"], "apart"),
            (&["--pause-burns"], "--pause-ms"),
            (&["--load-ms=1"], "go together"),
            (&["--load-ms=20", "--load-every-ms=20"], "20 ms of every 20 ms"),
        ] {
            let failure = behaviour(words).unwrap_err();
            assert!(failure.to_string().contains(said), "{words:?}: {failure}");
            assert_eq!(failure.kind(), FailureKind::Usage, "{words:?}");
        }
    }

    #[test]
    fn the_servers_of_a_calibration_are_understood() {
        for server in SERVERS {
            let behaviour = config(&typed(&server.words())).unwrap().behaviour;
            let plain = matches!(server.role, "base" | "group");
            assert_eq!(behaviour == Behaviour::default(), plain, "{}", server.role);
        }
    }
}
