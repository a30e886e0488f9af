//! `tollgate reference`: turns the options of the server of known cost into what they mean.

use std::time::Duration;

use services::reference::{self, Behaviour, ReferenceConfig, RequestShare};

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
            busy: Duration::from_micros(typed.busy_us),
            delay: Duration::from_millis(typed.delay_ms),
            stall: typed.stall,
            wrong: share("--wrong-percent", typed.wrong_percent)?,
            reset: share("--reset-percent", typed.reset_percent)?,
        },
    };
    config.check().map_err(|error| Failure::usage(&error).because(error))?;
    Ok(config)
}

fn share(option: &str, percent: f64) -> Result<RequestShare, Failure> {
    RequestShare::percent(percent)
        .ok_or_else(|| Failure::usage(format!("{option} takes a number from 0 to 100.")))
}
