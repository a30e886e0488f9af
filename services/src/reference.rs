//! A server whose added cost is known, so that a meter can be measured with it.
//!
//! It stands on the same runtime and the same HTTP path as the services of the shop and answers
//! `GET /api/ping` as the gateway does, in plain HTTP. Beyond that it does what it is configured
//! to: burn processor time before its response or after it, walk memory, wait, stall, answer
//! wrongly, reset connections. Whatever it does it counts where it is done, and publishes on its
//! metrics page, so that what was asked need not be believed.
//!
//! It refuses to listen beyond loopback: it is not a service, and it does harm on purpose.

mod app;
mod behaviour;
mod burn;
mod counts;
mod every;
mod load;
mod stall;
#[cfg(test)]
mod truth;
mod walk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use runtime::{CorePlan, DriverChoice, Endpoint};

use crate::boot::serve::until_signal;
use crate::boot::started::RunningService;
use crate::config::error::ServeError;

use app::{ReferenceAdmin, ReferenceServer};
use counts::Ledger;

pub use behaviour::Behaviour;
pub use every::RequestShare;
pub use load::PeriodicLoad;
pub use stall::Stall;

/// The name in the ready line and in logs.
const NAME: &str = "reference";

/// All settings of the server.
#[derive(Clone, Debug)]
pub struct ReferenceConfig {
    /// The listener, on loopback; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the metrics page is, on loopback too.
    pub admin: SocketAddr,
    /// The cores to run on, one worker each; all that the process may use if `None`.
    pub cores: Option<Vec<usize>>,
    /// Which I/O driver may be used.
    pub driver: DriverChoice,
    /// Ends the server when its standard input closes, so that it does not outlive its parent.
    pub exit_with_stdin: bool,
    /// How long a drain may take before connections are cut.
    pub drain: Duration,
    /// What it does beside answering.
    pub behaviour: Behaviour,
    /// How busy it keeps its cores without any request.
    pub load: Option<PeriodicLoad>,
}

impl ReferenceConfig {
    /// Checks the rules between settings.
    ///
    /// # Errors
    /// The first rule that is broken, as a sentence that says what to do.
    pub fn check(&self) -> Result<(), ServeError> {
        for address in [self.listen, self.admin] {
            if !address.ip().is_loopback() {
                return Err(ServeError::config(format!(
                    "the reference server does harm on purpose and {address} is not a loopback \
                     address: listen on 127.0.0.1"
                )));
            }
        }
        self.load.map_or(Ok(()), PeriodicLoad::check)?;
        self.behaviour.check()
    }
}

/// Runs the server until SIGTERM or SIGINT, then drains it.
///
/// # Errors
/// A sentence that says why it did not start.
pub fn serve(config: &ReferenceConfig) -> Result<(), ServeError> {
    until_signal(config.exit_with_stdin, config.drain, || start(config))
}

/// Starts the server and returns once it listens.
///
/// # Errors
/// A sentence that says why it did not start and what to do.
pub fn start(config: &ReferenceConfig) -> Result<RunningService, ServeError> {
    config.check()?;
    let failed = |error: runtime::StartError| ServeError::start(error);
    let plan = CorePlan::new(None, config.cores.as_deref(), config.driver).map_err(failed)?;
    let (main, admin) = (Endpoint::new(config.listen, None), Endpoint::new(config.admin, None));
    let ledger = Arc::new(Ledger::default());
    let (of_admin, behaviour) = (Arc::clone(&ledger), config.behaviour);
    let load = config.load.map_or(Ok(()), |load| load.start(config.cores.as_deref()));
    load.map_err(runtime::StartError::Thread).map_err(failed)?;
    let running = runtime::launch(
        plan,
        main,
        Some(admin),
        move |_core| ReferenceServer::new(behaviour, ledger.core()),
        move |core| ReferenceAdmin::new(core, of_admin),
    );
    Ok(RunningService::new(running.map_err(failed)?, NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_rejected() {
        let good = ReferenceConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            admin: "[::1]:0".parse().unwrap(),
            cores: None,
            driver: DriverChoice::Auto,
            exit_with_stdin: false,
            drain: Duration::ZERO,
            behaviour: Behaviour::default(),
            load: None,
        };
        assert!(good.check().is_ok());
        let greedy = Behaviour { busy: Duration::from_secs(1), ..Behaviour::default() };
        for (config, word) in [
            (ReferenceConfig { listen: "0.0.0.0:0".parse().unwrap(), ..good.clone() }, "loopback"),
            (ReferenceConfig { admin: "10.0.0.1:0".parse().unwrap(), ..good.clone() }, "loopback"),
            (ReferenceConfig { behaviour: greedy, ..good.clone() }, "burn"),
        ] {
            let sentence = config.check().unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
        }
    }
}
