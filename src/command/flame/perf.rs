//! Linux `perf` as a child process: what it can do here, a recording, and its text.
//!
//! It owns every sentence about what is missing. A recording lasts as long as its standard input
//! is open: `perf` follows a `cat` that reads it, so that it ends in order when that is closed,
//! and with us however we end. Hardware counters are used where there are some, else the kernel's
//! CPU clock.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::fold::FIELDS;
use crate::process::held::OwnChild;
use crate::{Failure, values};

/// `perf` has attached itself to a handful of processes after this long, or never will.
const ATTACHED_WITHIN: Duration = Duration::from_secs(20);

/// What `perf record` says when it takes samples.
const BEGUN: &str = "Events enabled";

/// How long it may take to write what it has when it is told to end.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

/// How often a child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How the callers of a sampled function are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallGraph {
    /// By frame pointers: cheap, and blind where machine code or a library keeps none.
    FramePointers,
    /// By a copy of the top of the stack, which is unwound afterwards.
    Dwarf,
}

impl CallGraph {
    pub(super) fn parse(name: &str) -> Result<CallGraph, Failure> {
        let choices = [("dwarf", CallGraph::Dwarf), ("fp", CallGraph::FramePointers)];
        values::choice("--call-graph", name, &choices)
    }

    /// As `perf record` takes it. The futures of a request need more than the usual 8 KiB.
    const fn option(self) -> &'static str {
        match self {
            CallGraph::FramePointers => "fp",
            CallGraph::Dwarf => "dwarf,16384",
        }
    }
}

/// How to sample.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// `cycles`, or `cpu-clock` where there are no hardware counters.
    pub(super) event: &'static str,
    /// Samples of each core and second.
    pub(super) frequency: u32,
    pub(super) call_graph: CallGraph,
}

/// The best event that `perf` can sample here.
///
/// # Errors
/// That there is no `perf`, or why it may not look.
pub(super) fn event() -> Result<&'static str, Failure> {
    let counted = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "cycles,cpu-clock", "--", "true"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(&error))?;
    let said = String::from_utf8_lossy(&counted.stderr);
    if !counted.status.success() {
        return Err(refused(&said));
    }
    let counts = |line: &str| line.starts_with(|c: char| c.is_ascii_digit());
    let cycles = said.lines().any(|line| line.contains(",cycles") && counts(line));
    Ok(if cycles { "cycles" } else { "cpu-clock" })
}

/// A running `perf record`.
pub(super) struct Recording {
    child: OwnChild,
    /// Open for as long as shall be recorded.
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Recording {
    /// Begins to record processes into a file, and returns once `perf` has attached itself.
    pub(super) fn start(
        sampling: &Sampling,
        pids: &[u32],
        data: &Path,
    ) -> Result<Recording, Failure> {
        let log = data.with_extension("log");
        let said = File::create(&log).map_err(|error| unwritten(&log, &error))?;
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let mut command = Command::new("perf");
        command
            // Nothing is put into a cache in the user's home.
            .args(["record", "--no-buildid-cache", "-e", sampling.event])
            // With a delay it says when it begins.
            .args(["-D", "1"])
            .args(["-F", &sampling.frequency.to_string()])
            .args(["--call-graph", sampling.call_graph.option()])
            .args(["-p", &pids.join(","), "-o"])
            .arg(data)
            .args(["--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(said)
            // Ctrl-C reaches us only, who then end the recording.
            .process_group(0);
        let child = OwnChild::spawn(&mut command).map_err(|error| not_started(&error))?;
        let stdin = child.take_stdin();
        let recording = Recording { child, stdin, log };
        recording.attach()?;
        Ok(recording)
    }

    /// Waits until samples are taken.
    fn attach(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + ATTACHED_WITHIN;
        while !self.said().contains(BEGUN) {
            if self.child.try_wait().map_err(Failure::of)?.is_some() {
                return Err(refused(&self.said()));
            }
            if Instant::now() >= deadline {
                let said = self.said();
                return Err(Failure::failed(format!("perf did not begin to record. {said}")));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends the recording and waits until it is written.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        drop(self.stdin.take());
        match wait(&self.child, WRITTEN_WITHIN, &|| false)? {
            Some(status) if status.success() => Ok(()),
            Some(_) => Err(refused(&self.said())),
            None => Err(Failure::failed("perf did not end when it was told to.")),
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if matches!(wait(&self.child, WRITTEN_WITHIN, &|| false), Ok(None)) {
            self.child.kill();
        }
    }
}

/// The text of a recording; none when the end was asked for while it was made.
pub(super) fn script(
    data: &Path,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<String>, Failure> {
    let (text, log) = (data.with_extension("txt"), data.with_extension("log"));
    let create = |path: &Path| File::create(path).map_err(|error| unwritten(path, &error));
    let mut command = Command::new("perf");
    command
        // Without `--no-inline` a program is started for each of thousands of addresses.
        .args(["script", "--no-inline", "-F", FIELDS, "-i"])
        .arg(data)
        .stdin(Stdio::null())
        .stdout(create(&text)?)
        .stderr(create(&log)?)
        .process_group(0);
    let child = OwnChild::spawn(&mut command).map_err(|error| not_started(&error))?;
    match wait(&child, Duration::MAX, interrupted)? {
        Some(status) if status.success() => {
            let bytes = fs::read(&text).map_err(Failure::of)?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Some(_) => Err(refused(&fs::read_to_string(&log).unwrap_or_default())),
        None => {
            child.kill();
            Ok(None)
        }
    }
}

/// Waits for a child's end; none if it did not come in time, or something else did.
fn wait(
    child: &OwnChild,
    within: Duration,
    interrupted: &dyn Fn() -> bool,
) -> Result<Option<ExitStatus>, Failure> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(Failure::of)? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= within || interrupted() {
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn not_started(error: &io::Error) -> Failure {
    Failure::failed(match error.kind() {
        io::ErrorKind::NotFound => "There is no `perf` here: install it (Debian: apt-get install \
             linux-perf; Ubuntu: linux-tools-generic)."
            .to_owned(),
        _ => format!("perf could not be started: {error}."),
    })
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("Could not write {}: {error}.", path.display()))
}

/// What `perf` said, as a sentence with what to do.
fn refused(said: &str) -> Failure {
    let paranoid = setting("perf_event_paranoid");
    Failure::failed(refusal(said, paranoid))
}

/// A setting of the kernel, where it can be read.
pub(super) fn setting(name: &str) -> Option<i32> {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
}

fn refusal(said: &str, paranoid: Option<i32>) -> String {
    let forbidden = ["ermission", "not permitted", "perf_event_paranoid", "EACCES", "EPERM"];
    if forbidden.iter().any(|word| said.contains(word)) {
        let level = paranoid.map_or("not known".to_owned(), |level| level.to_string());
        return format!(
            "perf may not record here: kernel.perf_event_paranoid is {level}, and it takes 1 or \
             less, root, or CAP_PERFMON (sysctl kernel.perf_event_paranoid=1). In a container \
             seccomp must allow perf_event_open too."
        );
    }
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    format!("perf could not record: {}", last.unwrap_or("it did not say why."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn missing_tools_are_named_with_what_to_do() {
        let gone = not_started(&io::ErrorKind::NotFound.into());
        assert!(gone.to_string().contains("linux-perf"), "{gone}");
        let forbidden = "Error:\nAccess to performance monitoring and observability operations is \
                         limited.\nConsider adjusting /proc/sys/kernel/perf_event_paranoid setting";
        let said = refusal(forbidden, Some(3));
        assert!(said.contains("perf_event_paranoid is 3"), "{said}");
        assert!(refusal("Operation not permitted", None).contains("is not known"));
        assert_eq!(refusal("Error:\nBad thing.\n\n", Some(1)), "perf could not record: Bad thing.");
        assert!(refusal("", None).ends_with("it did not say why."));
    }

    #[test]
    fn ways_to_find_callers_are_named() {
        assert_eq!(CallGraph::parse("fp").unwrap(), CallGraph::FramePointers);
        assert_eq!(CallGraph::parse("dwarf").unwrap(), CallGraph::Dwarf);
        assert_eq!(CallGraph::parse("lbr").unwrap_err().kind(), FailureKind::Usage);
    }
}
