//! Background load that a calibration makes itself, so that the meter is proved beside it.
//!
//! It owns how much there is and which bounds of validity it asks for. It refuses to start
//! processes: whoever owns them does.

use std::time::Duration;

use metrics_export::run::Bounds;

use crate::experiment::stack::RunningServers;
use crate::traffic::error::ContextError;

/// What other programs may use beside the load that was made.
const BEYOND_SHARE: f64 = 0.05;

/// Part of the requests is sent after the load has left the core, and outside of the slice.
const ACHIEVED_SHARE_MIN: f64 = 0.9;

/// A core is busy for a time, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreLoad {
    /// For how many ms, in processor time.
    pub busy_ms: u32,
    /// Of how many.
    pub every_ms: u32,
}

/// What starts such load.
pub trait BackgroundLoad {
    /// Starts it on these cores, in a process of its own. Dropping the result ends it.
    ///
    /// # Errors
    /// What could not be started.
    fn start(
        &mut self,
        cores: &[usize],
        load: CoreLoad,
    ) -> Result<Box<dyn RunningServers>, ContextError>;
}

impl CoreLoad {
    fn share(self) -> f64 {
        f64::from(self.busy_ms) / f64::from(self.every_ms)
    }

    /// How late a request may be sent: the load has the core for so long, and once more where it
    /// comes to its end late.
    fn lateness(self) -> Duration {
        Duration::from_millis(2 * u64::from(self.busy_ms))
    }

    /// The bounds of validity, widened by what the load takes.
    pub(super) fn bounds(self) -> Bounds {
        Bounds {
            background_share_max: self.share() + BEYOND_SHARE,
            lateness_p99_ns_max: self.lateness().as_nanos() as u64,
            achieved_share_min: ACHIEVED_SHARE_MIN,
            ..Bounds::default()
        }
    }

    /// The same as what would be typed.
    pub(super) fn flags(self) -> String {
        format!(
            "--max-foreign {:.0}% --max-lateness-p99 {}ms --min-achieved {:.0}%",
            self.bounds().background_share_max * 100.0,
            self.lateness().as_millis(),
            ACHIEVED_SHARE_MIN * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_widened_by_the_load() {
        for (busy_ms, flags) in [
            (1, "--max-foreign 10% --max-lateness-p99 2ms --min-achieved 90%"),
            (4, "--max-foreign 25% --max-lateness-p99 8ms --min-achieved 90%"),
        ] {
            let load = CoreLoad { busy_ms, every_ms: 20 };
            assert_eq!(load.flags(), flags);
            assert_eq!(load.bounds().errors_max, Bounds::default().errors_max);
        }
    }
}
