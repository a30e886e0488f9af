//! Servers that several variants have in common, such as a target and its A/A control: whose turn
//! is divided, whose CPU must be told apart, and where it cannot be. It refuses to run a slice.

use runtime::CpuClock;

use super::{AttachedVariant, LiveBench};
use crate::experiment::SliceRequest;
use crate::machine::process::{CpuSource, Process};

/// The clocks of these servers; none where one of them has none.
pub(super) fn clocks(servers: &[Process]) -> Vec<CpuClock> {
    let clock = |server: &Process| match &server.cpu {
        CpuSource::Pid(pid) => CpuClock::of_process(*pid).ok(),
        CpuSource::ControlGroup(folder) => CpuClock::of_control_group(folder).ok(),
        CpuSource::Metrics(_) => None,
    };
    servers.iter().map(clock).collect::<Option<_>>().unwrap_or_default()
}

impl LiveBench<'_> {
    /// Why the variants of a cell cannot take turns: servers that answer for several of them need a
    /// clock that is read when turns change.
    pub(super) fn one_figure(&self, cell: usize) -> Option<String> {
        let all = self.setup.variants.iter().zip(&self.running);
        let own: Vec<_> = all.filter(|(variant, _)| variant.cell == cell).collect();
        own.iter().enumerate().find_map(|(place, (variant, running))| {
            let without_clock = running.clocks.is_empty();
            let (other, _) = own[..place].iter().find(|(_, other)| other.shares_with(running))?;
            without_clock.then(|| {
                format!(
                    "the CPU of {} and of {} is one figure, which cannot be read between blocks",
                    other.label, variant.label
                )
            })
        })
    }

    /// How many of these variants have each turn of a pass: an A/A control that has its baseline's
    /// servers has them right after it, so that they are asked once in a pass, as all others are.
    pub(super) fn turns(&self, requests: &[SliceRequest]) -> Vec<usize> {
        let (variants, running) = (self.setup.variants, &self.running);
        let mut turns: Vec<usize> = Vec::new();
        for (place, request) in requests.iter().enumerate() {
            let same = |before: usize| {
                let is_control = variants[request.variant].role.control
                    && variants[request.variant].role.baseline() == variants[before].role;
                is_control && running[request.variant].shares_with(&running[before])
            };
            match (place.checked_sub(1).map(|place| requests[place].variant), turns.last_mut()) {
                (Some(before), Some(turn)) if same(before) => *turn += 1,
                _ => turns.push(1),
            }
        }
        turns
    }

    /// Whether a server of a variant answered others of these too.
    pub(super) fn is_shared(&self, own: &SliceRequest, all: &[SliceRequest]) -> bool {
        let others = all.iter().filter(|other| other.variant != own.variant);
        let running = |request: &SliceRequest| &self.running[request.variant];
        others.into_iter().any(|other| running(own).shares_with(running(other)))
    }
}

impl AttachedVariant {
    /// Whether a server of both is the same.
    fn shares_with(&self, other: &AttachedVariant) -> bool {
        let others = other.site.processes();
        let is_theirs = |own: &Process| others.iter().any(|other| other.cpu == own.cpu);
        self.site.processes().iter().any(is_theirs)
    }
}
