//! `tollgate flame`: where the CPU of a request goes. It records the servers of one profile, or of
//! two in turn, with Linux `perf` under the load that `matrix` makes, prints what each layer costs
//! a request, and draws a flame graph.
//!
//! The flow and the sentences are here. It measures nothing by itself: what a request costs is
//! what the bench of `matrix` reads in the kernel's CPU accounting, and `perf` only shares it out.

mod fold;
mod layers;
mod perf;
mod session;
mod tables;

use std::time::Duration;

use loadgen::command::matrix::Matrix;
use loadgen::report::cores;
use loadgen::traffic::schedule::Rate;
use metrics_export::breaches::{self, Among};
use metrics_export::flame::{FlameGraph, FlameProfile};
use metrics_export::run::SliceKind;

use crate::cli::{Command, Parsed};
use crate::command::matrix;
use crate::failure::FailureKind;
use crate::io::output::OutputFile;
use crate::io::stdout;
use crate::process::held::WorkFolder;
use crate::process::interrupt;
use crate::process::state::StateDir;
use crate::values::duration;
use crate::{Failure, cli};

use perf::{CallGraph, Sampling};
use session::{FlameSession, VariantRecording};

/// A recorded slice is no shorter: with less there is nothing to see.
const DURATION_MIN: Duration = Duration::from_millis(100);

/// The most samples of a second that the kernel takes by default is 100,000 for a machine.
const FREQUENCY_MAX: u32 = 20_000;

/// The share of the samples that should have been taken, below which it is said.
const KEPT_MIN: f64 = 0.9;

/// A share of nameless samples above this is worth a word.
const NAMELESS_MAX: f64 = 0.05;

/// Where the graph and the folded stacks go; the tables are printed.
struct Places {
    graph: OutputFile,
    folded: OutputFile,
}

/// Carries out `tollgate flame`.
pub(crate) fn command(typed: &cli::FlameArgs) -> Result<u8, Failure> {
    let (words, matrix) = plan(typed)?;
    let sampling = sampling(typed)?;
    let places = Places {
        graph: OutputFile::open_there(Some(&typed.output))?,
        folded: OutputFile::open_there(typed.folded.as_deref())?,
    };
    let shutdown = interrupt::begin()?;
    let sampling = Sampling { event: perf::event()?, ..sampling };
    // Keys, certificates and recordings live as long as the command.
    let (folder, recordings) = (WorkFolder::create()?, WorkFolder::create_large()?);
    let launcher = matrix::launcher(&words, &matrix, StateDir::create(folder.path())?)?;
    let kind = kind(typed);
    eprintln!("{}", announcement(typed, &matrix, &sampling));
    let session = FlameSession {
        matrix: &matrix,
        sampling: &sampling,
        kind,
        folder: recordings.path(),
        shutdown: shutdown.watch(),
    };
    let (taken, failure) = match session.run(launcher) {
        Ok(Some(ended)) => ended,
        Err(failure) if shutdown.received().is_none() => return Err(failure),
        _ => {
            eprintln!("Interrupted: nothing was written.");
            return Ok(FailureKind::Interrupted.exit_code());
        }
    };
    tell(typed, &matrix, &sampling, &taken, places)?;
    failure.map_or(Ok(0), Err)
}

/// The variants as `matrix` would have them, in one cell and without its control.
fn plan(typed: &cli::FlameArgs) -> Result<(cli::MatrixArgs, Matrix), Failure> {
    if typed.against.as_ref().is_some_and(|against| against == &typed.profile) {
        return Err(Failure::usage("--profile and --against name the same profile."));
    }
    let words = match cli::parse(typed.matrix()) {
        Parsed::Command(Command::Matrix(words)) => *words,
        Parsed::Usage(text) | Parsed::Help(text) => return Err(Failure::usage(text)),
        Parsed::Command(_) => return Err(Failure::usage("This is no load.")),
    };
    let mut matrix = matrix::plan(&words)?;
    let wanted = 1 + usize::from(typed.against.is_some());
    matrix.variants.retain(|variant| !variant.role.control);
    if matrix.cells.len() != 1 || matrix.variants.len() != wanted {
        return Err(Failure::usage("Each option takes one value here, and no list."));
    }
    if typed.new_connections && typed.rate.is_some() {
        return Err(Failure::usage("--new-connections is a closed loop: leave --rate out."));
    }
    let whole = duration("--duration", &typed.duration)?;
    if whole < DURATION_MIN {
        return Err(Failure::usage("--duration takes 100ms or more."));
    }
    // Every variant has two turns.
    let turn = whole / 2;
    let protocol = &mut matrix.protocol;
    (protocol.slice, protocol.closed_slice, protocol.handshake_slice) = (turn, turn, turn);
    Ok((words, matrix))
}

fn sampling(typed: &cli::FlameArgs) -> Result<Sampling, Failure> {
    if !(1..=FREQUENCY_MAX).contains(&typed.frequency) {
        return Err(Failure::usage(format!("--frequency takes 1 to {FREQUENCY_MAX}.")));
    }
    let call_graph = CallGraph::parse(&typed.call_graph)?;
    Ok(Sampling { event: "", frequency: typed.frequency, call_graph })
}

fn kind(typed: &cli::FlameArgs) -> SliceKind {
    match (typed.new_connections, &typed.rate) {
        (true, _) => SliceKind::Connect,
        (false, Some(_)) => SliceKind::Open,
        (false, None) => SliceKind::Closed,
    }
}

/// The variants' names: `S4 uncached against S1`.
fn names(matrix: &Matrix) -> String {
    let labels: Vec<&str> =
        matrix.variants.iter().rev().map(|variant| variant.label.as_str()).collect();
    labels.join(" against ")
}

/// What the servers are asked, and how.
fn load(typed: &cli::FlameArgs, matrix: &Matrix) -> String {
    let cell = &matrix.cells[0];
    match kind(typed) {
        SliceKind::Connect => "a new connection for each request".into(),
        SliceKind::Open => {
            let rate = cell.rate.map_or(0.0, Rate::as_f64);
            format!("{}, {rate} requests/s, {} connections", cell.workload, cell.connections)
        }
        SliceKind::Closed => {
            format!("{}, closed loop, {} connections", cell.workload, cell.connections)
        }
    }
}

fn announcement(typed: &cli::FlameArgs, matrix: &Matrix, sampling: &Sampling) -> String {
    let mut out = format!(
        "{}: {}; each recorded for {}, and measured as long without perf; servers on {}, \
         generator on {}.",
        names(matrix),
        load(typed, matrix),
        typed.duration,
        cores(&matrix.cores.servers),
        cores(&matrix.cores.generator),
    );
    if sampling.event == "cpu-clock" {
        out += "\nThere are no hardware counters here: perf samples by the kernel's CPU clock, \
                and code that runs with interrupts off is charged to where they come on again.";
    }
    if cfg!(debug_assertions) {
        out += "\nThis is a debug build: nobody should use its figures (cargo build --release).";
    }
    out
}

/// Prints the tables and writes the files.
fn tell(
    typed: &cli::FlameArgs,
    matrix: &Matrix,
    sampling: &Sampling,
    taken: &[VariantRecording],
    places: Places,
) -> Result<(), Failure> {
    let variants = || matrix.variants.iter().zip(taken);
    if let Some((variant, _)) = variants().find(|(_, taken)| taken.folded.stacks.total() == 0) {
        return Err(Failure::failed(format!(
            "perf took no sample of {}: give it more load or time (--duration), or a higher \
             --frequency.",
            variant.label
        )));
    }
    let profiles: Vec<FlameProfile<'_>> = variants()
        .map(|(variant, taken)| FlameProfile {
            name: &variant.label,
            stacks: &taken.folded.stacks,
            request_us: taken.plain.us(),
        })
        .collect();
    let Some((profile, against)) = profiles.split_last() else {
        return Err(Failure::failed("Nothing was recorded."));
    };
    let lines = lines(typed, matrix, sampling, &profiles);
    let mut text = format!("{}\n{}\n\n", names(matrix), lines.join("\n"));
    text += &format!("{}\n", tables::by_layers(&profiles));
    if typed.top > 0 {
        text += &format!("{}\n", tables::by_functions(&profiles, typed.top));
    }
    for (variant, taken) in variants() {
        notes(&variant.label, taken, typed.frequency)
            .iter()
            .for_each(|note| text += &format!("{note}\n"));
    }
    let against = against.first();
    let flame = FlameGraph {
        title: &format!("Where the CPU of a request goes: {}", names(matrix)),
        lines: &lines,
        profile: *profile,
        against: against.copied(),
        layer: &|name| layers::of_frame(name).map(|layer| layer as usize),
        legend: &tables::legend(profile, against),
    };
    let graph = places.graph.deliver_beside(flame.svg().as_bytes());
    let folded = places.folded.deliver_beside(profile.stacks.folded().as_bytes());
    let written = graph.and(folded);
    if written.is_ok() {
        text += &format!("Written to {}\n", typed.output);
    }
    stdout::print(&text).and(written)
}

/// What stands above the graph and the tables.
fn lines(
    typed: &cli::FlameArgs,
    matrix: &Matrix,
    sampling: &Sampling,
    profiles: &[FlameProfile<'_>],
) -> Vec<String> {
    let shown = profiles.iter().rev();
    let costs: Vec<String> =
        shown.clone().map(|p| format!("{} {:.2} us", p.name, p.request_us)).collect();
    let samples: Vec<String> = shown.map(|p| p.stacks.total().to_string()).collect();
    let fewest = profiles.iter().map(|profile| profile.stacks.total()).min().unwrap_or(0);
    let mut lines = vec![
        format!("{}, {}.", load(typed, matrix), topology(typed)),
        format!(
            "CPU per request, by the kernel's CPU accounting and without perf: {}.",
            costs.join(", ")
        ),
        format!(
            "{} samples by {} at {} Hz; a share of 10% is known to {:.1} points (95%).",
            samples.join(" and "),
            sampling.event,
            sampling.frequency,
            100.0 * 1.96 * (0.09 / fewest.max(1) as f64).sqrt()
        ),
    ];
    if let [against, profile] = profiles {
        lines.push(format!(
            "A frame is as wide as its cost under {}; red costs more than under {}, blue less.",
            profile.name, against.name
        ));
    }
    lines
}

/// Whose CPU it is.
fn topology(typed: &cli::FlameArgs) -> &'static str {
    match typed.topology.as_deref() {
        Some("single") => "of the one process that serves all",
        _ => "of all services together",
    }
}

/// What must be known about a recording before it is believed.
fn notes(label: &str, taken: &VariantRecording, frequency: u32) -> Vec<String> {
    let folded = &taken.folded;
    let mut notes = Vec::new();
    if taken.plain.requests > 0 && taken.sampled.requests > 0 {
        let more = 100.0 * (taken.sampled.us() / taken.plain.us() - 1.0);
        notes.push(format!(
            "{label}: a request cost {more:+.1}% under perf, from where the shares are."
        ));
    }
    let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let kept = folded.stacks.total();
    let due = (taken.sampled.cpu_ns as f64 / 1e9 * f64::from(frequency)) as u64;
    if share(kept, due) < KEPT_MIN {
        notes.push(format!(
            "{label}: perf kept {kept} of some {due} samples, and what was lost may not be like \
             what was kept: leave the machine alone, or lower --frequency."
        ));
    }
    if folded.kernel == 0 {
        notes.push(format!(
            "{label}: no sample is of the kernel: kernel.perf_event_paranoid is {}, and it takes \
             1 or less, or root. The kernel's part is missing from every table.",
            perf::setting("perf_event_paranoid").unwrap_or_default()
        ));
    } else if share(folded.kernel_nameless, folded.kernel) > NAMELESS_MAX {
        notes.push(format!(
            "{label}: the kernel hides the names of its functions: kernel.kptr_restrict is {}; \
             as root, sysctl kernel.kptr_restrict=0.",
            perf::setting("kptr_restrict").unwrap_or_default()
        ));
    }
    if share(folded.program_nameless, folded.program) > NAMELESS_MAX {
        notes.push(format!(
            "{label}: this program has no symbols, so that its functions have no names: it was \
             stripped; use what cargo build --release makes."
        ));
    }
    let among = Among {
        total: taken.plain_slices,
        noun: "slices",
        label: &str::to_owned,
        flags: breaches::MATRIX,
    };
    let disturbances = breaches::lines(&taken.disturbances, &among);
    if !disturbances.is_empty() {
        notes.push(format!("{label}: disturbed: {}", disturbances.join(" ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use metrics_export::flame::Stacks;
    use metrics_export::run::Breach;

    use super::session::Sum;
    use super::*;

    /// A recording of 100 samples in the kernel and 100 in the program.
    fn taken(change: impl Fn(&mut VariantRecording)) -> Vec<String> {
        let mut taken = VariantRecording::default();
        (taken.folded.kernel, taken.folded.program) = (100, 100);
        taken.folded.stacks.add(vec!["gateway".into()], 200);
        taken.plain = Sum { cpu_ns: 1_000_000, requests: 100 };
        taken.sampled = Sum { cpu_ns: 220_000_000, requests: 20_000 };
        change(&mut taken);
        notes("S4", &taken, 1_000)
    }

    #[test]
    fn a_recording_reports_its_cost_and_gaps() {
        let sound = taken(|_| {});
        assert_eq!(sound, ["S4: a request cost +10.0% under perf, from where the shares are."]);
        type Change = fn(&mut VariantRecording);
        let changes: [(Change, &str); 5] = [
            (|taken| taken.folded.stacks = Stacks::default(), "kept 0 of some 220 samples"),
            (|taken| taken.folded.kernel = 0, "kernel.perf_event_paranoid is"),
            (|taken| taken.folded.kernel_nameless = 6, "kernel.kptr_restrict is"),
            (|taken| taken.folded.program_nameless = 6, "it was stripped"),
            (
                |taken| taken.disturbances = ["b.", "a.", "b."].map(Breach::of_sentence).into(),
                "disturbed: b. a.",
            ),
        ];
        for (change, word) in changes {
            let notes = taken(change);
            assert!(notes.len() == 2 && notes[1].contains(word), "{word}: {notes:?}");
        }
        let few = taken(|taken| {
            (taken.folded.kernel_nameless, taken.folded.program_nameless) = (5, 5);
        });
        assert_eq!(few.len(), 1, "{few:?}");
    }
}
