//! The flags for the bounds of validity, which every command that measures has.

use super::flags::group;

macro_rules! bound_flags {
    ($then:ident $($before:tt)*) => {
        $then! {
            $($before)*
            bounds: BoundArgs {
                /// invalid when sent later than this at p99 (default: 100us)
                #[argh(option)]
                max_lateness_p99: Option<String>,
                /// invalid when less of the requested rate was achieved (default: 99%)
                #[argh(option)]
                min_achieved: Option<String>,
                /// invalid when more requests found the queue full (default: 0)
                #[argh(option)]
                max_dropped: Option<String>,
                /// invalid when the hypervisor took more of the cores (default: 1%)
                #[argh(option)]
                max_steal: Option<String>,
                /// invalid when other programs used more of the cores (default: 2%)
                #[argh(option)]
                max_foreign: Option<String>,
                /// invalid when the control group was throttled more often (default: 0)
                #[argh(option)]
                max_throttled: Option<String>,
                /// invalid when more requests failed (default: 0)
                #[argh(option)]
                max_errors: Option<String>,
                /// invalid when unanswered requests grew by more (default: 10)
                #[argh(option)]
                max_in_flight_growth: Option<String>,
                /// invalid when idle servers used more of a request's CPU (default: 0.2%)
                #[argh(option)]
                max_idle_cpu: Option<String>,
            }
        }
    };
}

bound_flags! {
    group
    /// What was typed for each bound of validity; None where the default holds.
    #[derive(Clone, Debug, Default)]
}

pub(super) use bound_flags;
