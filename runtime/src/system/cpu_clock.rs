//! The processor time of a server, in readings so cheap that they can be taken every few
//! milliseconds: one system call each, and no file that is opened for it. It refuses to say what
//! the time was used for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sys;

/// The line with the processor time is the first of `cpu.stat`.
const TEXT_BYTES: usize = 256;

/// The processor time of a process or of a control group, by the scheduler's own accounting. What a
/// thread has used since it was last switched out, or since the last tick, may not be in it yet: it
/// is exact for a server that sleeps. Two of the same process or folder are equal.
#[derive(Clone, Debug)]
pub struct CpuClock(Accounting);

#[derive(Clone, Debug)]
enum Accounting {
    /// Of all threads of a process, also of those that have ended.
    Process(libc::clockid_t),
    /// Of all processes of a control group.
    ControlGroup { folder: PathBuf, counter: Arc<File>, version: CounterFormat },
}

/// How a control group writes its processor time.
#[derive(Clone, Copy, Debug)]
enum CounterFormat {
    /// `cpuacct.usage`: ns.
    One,
    /// `cpu.stat`: a line `usage_usec N`.
    Two,
}

impl CpuClock {
    /// The clock of a process.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of_process(pid: u32) -> io::Result<CpuClock> {
        sys::process_cpu_clock(pid).map(|clock| CpuClock(Accounting::Process(clock)))
    }

    /// The clock of a control group, by its folder.
    ///
    /// # Errors
    /// The folder has neither `cpuacct.usage` nor `cpu.stat`.
    pub fn of_control_group(folder: &Path) -> io::Result<CpuClock> {
        let open = |name: &str| File::open(folder.join(name)).map(Arc::new);
        let (counter, version) = match open("cpuacct.usage") {
            Ok(counter) => (counter, CounterFormat::One),
            Err(_) => (open("cpu.stat")?, CounterFormat::Two),
        };
        Ok(CpuClock(Accounting::ControlGroup { folder: folder.into(), counter, version }))
    }

    /// What was used so far, in ns; None once the process or the group is gone.
    #[must_use]
    pub fn ns(&self) -> Option<u64> {
        match &self.0 {
            Accounting::Process(clock) => sys::process_cpu_ns(*clock),
            Accounting::ControlGroup { counter, version, .. } => {
                let mut bytes = [0; TEXT_BYTES];
                let length = counter.read_at(&mut bytes, 0).ok()?;
                version.parse(std::str::from_utf8(&bytes[..length]).ok()?)
            }
        }
    }
}

impl PartialEq for CpuClock {
    fn eq(&self, other: &CpuClock) -> bool {
        match (&self.0, &other.0) {
            (Accounting::Process(own), Accounting::Process(other)) => own == other,
            (
                Accounting::ControlGroup { folder, .. },
                Accounting::ControlGroup { folder: other, .. },
            ) => folder == other,
            _ => false,
        }
    }
}

impl Eq for CpuClock {}

impl CounterFormat {
    fn parse(self, text: &str) -> Option<u64> {
        match self {
            CounterFormat::One => text.trim().parse().ok(),
            CounterFormat::Two => {
                let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
                line?.trim().parse::<u64>().ok()?.checked_mul(1_000)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_that_of_a_process_or_of_a_control_group() {
        let own = CpuClock::of_process(std::process::id()).unwrap();
        let before = own.ns().unwrap();
        while sys::thread_cpu_ns() < 2_000_000 {}
        while own.ns().unwrap() == before {}
        assert_eq!(own, CpuClock::of_process(std::process::id()).unwrap());
        assert!(CpuClock::of_process(u32::MAX).is_err());

        let folder = std::env::temp_dir().join(format!("tollgate-clock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let error = CpuClock::of_control_group(&folder).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("cpu.stat", "usage_usec 12\nuser_usec 5\n");
        let second = CpuClock::of_control_group(&folder).unwrap();
        assert_eq!(second.ns(), Some(12_000));
        write("cpu.stat", "usage_usec 345\nuser_usec 5\n");
        assert_eq!(second.ns(), Some(345_000), "a kept descriptor sees the counter of now");
        write("cpu.stat", "nr_periods 0\n");
        assert_eq!(second.ns(), None);
        write("cpuacct.usage", "7123456\n");
        let first = CpuClock::of_control_group(&folder).unwrap();
        assert_eq!(first.ns(), Some(7_123_456));
        assert_eq!(first, second, "one group");
        assert_ne!(first, own);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
