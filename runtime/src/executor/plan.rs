//! Which cores a process uses. Pinning never widens the mask the process was given.

use crate::executor::driver::DriverChoice;
use crate::executor::error::{StartError, WORKERS_MAX};
use crate::system::sys;

/// Which processors get an executor, and on what driver.
#[derive(Clone, Debug)]
pub struct CorePlan {
    pub(crate) cpus: Vec<usize>,
    pub(crate) choice: DriverChoice,
    pub(crate) stage_timing: bool,
}

impl CorePlan {
    /// `workers` executors (by default one per processor) on `cores` (by default all that the
    /// process may use, in ascending order). More workers than processors share them in turn.
    ///
    /// # Errors
    /// When a processor is not allowed to this process, or there would be no worker.
    pub fn new(
        workers: Option<usize>,
        cores: Option<&[usize]>,
        choice: DriverChoice,
    ) -> Result<CorePlan, StartError> {
        let allowed = sys::allowed_cpus().map_err(StartError::Affinity)?;
        let chosen = match cores {
            Some(cores) => {
                if let Some(&cpu) = cores.iter().find(|cpu| !allowed.contains(cpu)) {
                    return Err(StartError::CoreNotAllowed { cpu, allowed });
                }
                cores.to_vec()
            }
            None => allowed,
        };
        let workers = workers.unwrap_or(chosen.len());
        if workers == 0 || workers > WORKERS_MAX || chosen.is_empty() {
            return Err(StartError::Workers(workers));
        }
        let cpus = chosen.iter().copied().cycle().take(workers).collect();
        Ok(CorePlan { cpus, choice, stage_timing: false })
    }

    /// The same, with the steps of requests timed or not: see [`crate::observe::stages`].
    #[must_use]
    pub fn with_stage_timing(self, stage_timing: bool) -> CorePlan {
        CorePlan { stage_timing, ..self }
    }

    /// How many executors there will be.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.cpus.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_stays_inside_the_inherited_mask() {
        let allowed = sys::allowed_cpus().unwrap();
        let plan = CorePlan::new(None, None, DriverChoice::Auto).unwrap();
        assert_eq!(plan.cpus, allowed);
        let plan = CorePlan::new(Some(1), Some(&allowed[..1]), DriverChoice::Auto).unwrap();
        assert_eq!(plan.cpus, allowed[..1]);
        let plan = CorePlan::new(Some(3), Some(&allowed[..1]), DriverChoice::Auto).unwrap();
        assert_eq!(plan.workers(), 3);
        let error = CorePlan::new(None, Some(&[9999]), DriverChoice::Auto).unwrap_err();
        assert!(error.to_string().contains("9999"), "{error}");
        assert!(CorePlan::new(Some(0), None, DriverChoice::Auto).is_err());
        assert!(CorePlan::new(None, Some(&[]), DriverChoice::Auto).is_err());
    }
}
