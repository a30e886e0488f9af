//! What other programs run on the measured cores, thread by thread.
//!
//! Clock ticks are too coarse for a slice of a quarter second, and this kernel interface is exact:
//! every thread's run time. Threads of the measured servers and of this process are known and left
//! out, and so are the kernel's softirq threads, which carry our own packets. Servers of other
//! variants are *not* left out: they should sleep, and this is how one learns when they do not.

use std::collections::HashMap;
use std::fs;

use super::parse;

/// With more threads than this a scan would take longer than it is worth, and there is none.
const THREADS_MAX: usize = 4_000;

/// Run time of every foreign thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads {
    run_ns: HashMap<(u32, u32), u64>,
}

/// Reads all threads but those of `known` processes and our own; None when there are too many.
pub(super) fn read(known: &[u32]) -> Option<Threads> {
    let own = std::process::id();
    let mut threads = Threads::default();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == own || known.contains(&pid) {
            continue;
        }
        // A process may end at any time; what is gone is skipped.
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let Some(tid) = task.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let path = format!("/proc/{pid}/task/{tid}/schedstat");
            let text = fs::read_to_string(path).unwrap_or_default();
            if let Some(run_ns) = parse::run_ns(&text) {
                threads.run_ns.insert((pid, tid), run_ns);
            }
        }
        if threads.run_ns.len() > THREADS_MAX {
            return None;
        }
    }
    Some(threads)
}

impl Threads {
    /// What ran on `cores` since an earlier reading. A thread's whole time is put to the core that
    /// it ran on last; only threads that ran are looked up.
    pub(super) fn run_ns_since(&self, earlier: &Threads, cores: &[usize]) -> u64 {
        let ran = self.run_ns.iter().filter_map(|(id, now)| {
            // A thread that is new since then has run all of its time since then.
            let before = earlier.run_ns.get(id).copied().unwrap_or(0);
            let ran = now.saturating_sub(before);
            (ran > 0).then_some((*id, ran))
        });
        ran.filter(|((pid, tid), _)| {
            let stat = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat"));
            // One that has ended since cannot say where it ran, and counts.
            stat.map_or(true, |stat| {
                !parse::is_softirq_thread(&stat)
                    && parse::last_core(&stat).is_none_or(|core| cores.contains(&core))
            })
        })
        .map(|(_, ran)| ran)
        .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ran_are_counted_from_their_last_reading() {
        let at = |pairs: &[((u32, u32), u64)]| Threads { run_ns: pairs.iter().copied().collect() };
        // Ids beyond any real one: they cannot say where they ran, and count.
        let (old, new, idle) = ((u32::MAX, 1), (u32::MAX, 2), (u32::MAX, 3));
        let before = at(&[(old, 100), (idle, 7)]);
        let after = at(&[(old, 150), (idle, 7), (new, 30)]);
        assert_eq!(after.run_ns_since(&before, &[0]), 80);
    }

    #[test]
    fn our_own_threads_are_left_out() {
        let own = std::process::id();
        let threads = read(&[]).unwrap();
        assert!(threads.run_ns.keys().all(|(pid, _)| *pid != own));
    }
}
