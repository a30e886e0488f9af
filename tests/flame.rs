//! `tollgate flame` as a person meets it, with the real `perf` where that may record here: tables,
//! graph, folded stacks, and nothing that stays behind. Where it may not, and with programs that
//! only play `perf`, the sentence that says what is missing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::{TOLLGATE, send_signal, tollgate, wait};
use tempfile::TempDir;

/// Starting servers on a busy machine takes its time.
const WITHIN: Duration = Duration::from_secs(60);

/// Each run has four servers, a generator and `perf`: together they would only take each other's
/// time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// With so many samples a layer that has 8% of them is seen: all of them miss it once in ten
/// million runs. On a machine that is busy enough there may be fewer.
const SAMPLES_ENOUGH: u64 = 200;

/// Folders of one run: where it works, and where it leaves its results.
struct Place {
    work: TempDir,
    results: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Place {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let [work, results] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        Place { work, results, _turn }
    }

    fn result(&self, name: &str) -> PathBuf {
        self.results.path().join(name)
    }

    fn flame(&self, words: &[&str]) -> Command {
        let mut command = Command::new(TOLLGATE);
        command.args(["flame", "--workloads=ping"]).args(words);
        command.arg("-o").arg(self.result("flame.svg"));
        command.env("TMPDIR", self.work.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Neither files nor processes, which all have the folder in their command lines.
    fn is_left_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.work.path()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        let path = self.work.path().to_str().unwrap();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            assert!(!words.contains(path), "{process:?} still runs: {words:?}");
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Whether `perf` may record here, by its own word.
fn perf_may_record() -> bool {
    let words = ["stat", "-e", "cpu-clock", "--", "true"];
    Command::new("perf").args(words).output().is_ok_and(|output| output.status.success())
}

/// Runs the command, or checks that it says why it cannot and returns none.
fn recorded(place: &Place, words: &[&str]) -> Option<String> {
    let output = place.flame(words).output().unwrap();
    let said = said(&output);
    place.is_left_clean();
    if perf_may_record() {
        println!("perf may record here: recorded");
        assert_eq!(output.status.code(), Some(0), "{said}");
        return Some(said);
    }
    println!("perf may not record here: the sentence was looked at");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("linux-perf") || said.contains("perf_event_paranoid"), "{said}");
    assert!(!place.result("flame.svg").exists());
    None
}

/// The samples of the profile that was asked for.
fn samples(said: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(" samples by ")).unwrap();
    line.split(' ').next().unwrap().parse().unwrap()
}

/// A layer is in the tables of every recording that has samples enough.
fn shows(said: &str, layer: &str) {
    let samples = samples(said);
    assert!(samples > 0, "{said}");
    assert!(samples < SAMPLES_ENOUGH || said.contains(layer), "{layer:?} is not in\n{said}");
}

#[test]
fn two_profiles_are_recorded_and_compared() {
    let place = Place::new();
    let folded = place.result("folded");
    let words = ["--profile=S1", "--against=S0", "-d", "1s", "--frequency=4999", "--folded"];
    let words = [&words[..], &[folded.to_str().unwrap()]].concat();
    let Some(said) = recorded(&place, &words) else {
        return;
    };
    for words in ["S1 against S0", "CPU per request", "more, us", "\nall "] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    ["kernel: ", "TLS records", "runtime"].iter().for_each(|layer| shows(&said, layer));
    let svg = fs::read_to_string(place.result("flame.svg")).unwrap();
    assert!(svg.contains("Where the CPU of a request goes: S1 against S0"), "{svg}");
    assert!(svg.contains("difference") && svg.contains("data-n=\"gateway\""), "{svg}");
    let folded = fs::read_to_string(folded).unwrap();
    let counts = folded.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>());
    assert_eq!(counts.map(Result::unwrap).sum::<u64>(), samples(&said), "{said}");
}

#[test]
fn new_connections_show_their_handshakes() {
    let place = Place::new();
    let words = ["--profile=S3", "--new-connections", "-d", "1s", "--call-graph=dwarf"];
    if let Some(said) = recorded(&place, &words) {
        shows(&said, "TLS handshake");
        assert!(!said.contains("more, us"), "{said}");
    }
}

#[test]
fn ctrl_c_ends_everything() {
    if !perf_may_record() {
        println!("perf may not record here: there is nothing to interrupt");
        return;
    }
    let place = Place::new();
    let mut child = place.flame(&["--profile=S1", "-d", "8s"]).spawn().unwrap();
    wait_for_recording(&place, &mut child);
    send_signal(child.id(), "INT");
    let status = wait(&mut child, WITHIN).expect("it did not end");
    let said = said(&child.wait_with_output().unwrap());
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("nothing was written"), "{said}");
    assert!(!place.result("flame.svg").exists());
    place.is_left_clean();
}

/// Waits until `perf` writes: four seconds before it is told to end, and long before the last turn.
fn wait_for_recording(place: &Place, child: &mut Child) {
    let deadline = Instant::now() + WITHIN;
    let recording = |folder: fs::DirEntry| folder.path().join("perf.data").exists();
    while !fs::read_dir(place.work.path()).unwrap().flatten().any(recording) {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        assert!(Instant::now() < deadline, "nothing is recorded");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A folder with a program that is called `perf` and is not.
fn played(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let perf = folder.path().join("perf");
    fs::write(&perf, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&perf, Permissions::from_mode(0o755)).unwrap();
    folder
}

fn with_perf(folder: &Path, system: bool) -> Output {
    let place = Place::new();
    let path = if system { "/usr/bin:/bin" } else { "" };
    let path = format!("{}:{path}", folder.display());
    let words = ["--profile=S0", "-d", "200ms", "-c", "2"];
    let output = place.flame(&words).env("PATH", path).output().unwrap();
    place.is_left_clean();
    assert!(!place.result("flame.svg").exists());
    output
}

#[test]
fn missing_parts_are_reported() {
    let empty = tempfile::tempdir().unwrap();
    let output = with_perf(empty.path(), false);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("linux-perf"), "{output:?}");

    let forbidden = "echo 'Error: No permission to enable cycles event.' >&2; exit 255";
    let output = with_perf(played(forbidden).path(), true);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("kernel.perf_event_paranoid is"), "{output:?}");

    // It counts, and then it records nothing.
    let idle = r#"
        case "$1" in
            record) while [ "$1" != -o ]; do shift; done; echo data > "$2";
                echo 'Events enabled' >&2; cat > "$2.in"; rm "$2.in";;
            *) echo '<not supported>,,cycles,0,0.00,,' >&2;;
        esac"#;
    let output = with_perf(played(idle).path(), true);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no sample of S0") && said.contains("CPU clock"), "{said}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (words, named) in [
        (&["--profile=S9"][..], "S9"),
        (&["--profile=S1", "--against=S1"], "same profile"),
        (&["--profile=S1,S2"], "no list"),
        (&["--workloads=dance"], "dance"),
        (&["--workloads=ping,orders-read"], "no list"),
        (&["--duration=1ms"], "100ms"),
        (&["--duration=soon"], "soon"),
        (&["--frequency=0"], "--frequency"),
        (&["--call-graph=lbr"], "lbr"),
        (&["--rate=fast"], "fast"),
        (&["--new-connections", "--rate=100"], "--new-connections"),
        (&["--tokens=unique:300", "--token-cache=on"], "unique:8192"),
    ] {
        let output = tollgate(&[&["flame"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(named), "{words:?}: {}", said(&output));
    }
    let output = tollgate(&["flame", "-o", "/no/such/folder/flame.svg"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("/no/such/folder"), "{output:?}");
}

/// The table of layers attributes CPU by the beginnings of function names. A name that moved leaves
/// its beginning behind, and its CPU silently counts for another layer.
#[test]
fn every_own_name_in_the_table_of_layers_is_a_function_of_the_program() {
    let table = include_str!("../src/command/flame/layers.rs");
    let table = table.split("const IN_PROGRAM").nth(1).unwrap();
    let table = table.split("];").next().unwrap();
    let crates = ["authn", "proto_http", "runtime", "services"];
    let is_ours = |word: &&str| crates.contains(&word.split("::").next().unwrap());
    let words = table.split(|c: char| c.is_whitespace() || c == '"');
    let names: Vec<&str> = words.filter(is_ours).collect();
    assert!(names.len() > 15, "only {names:?} are names of ours");

    let output = Command::new("nm").arg("-C").arg(TOLLGATE).output().unwrap();
    let symbols = String::from_utf8_lossy(&output.stdout);
    let functions: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.splitn(3, ' ').nth(2))
        .map(|name| name.trim_start_matches(['<', '&', '*']))
        .collect();
    let gone: Vec<&str> = names
        .into_iter()
        .filter(|name| !functions.iter().any(|function| function.starts_with(name)))
        .collect();
    assert!(gone.is_empty(), "no function of the program begins with {gone:?}");
}
