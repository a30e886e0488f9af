//! From simulated slices to the record, the terminal text and the directory.

use std::fs;

use metrics_export::run::{Environment, Verdict};

use super::*;
use crate::experiment::tests::{Silent, Simulation};
use crate::plan::Axes;
use crate::report::{self, Paint};
use crate::verdict::instructions;

fn matrix(protocol: Protocol) -> Matrix {
    with_axes(&Axes::default(), protocol)
}

fn with_axes(axes: &Axes, protocol: Protocol) -> Matrix {
    let profiles: Vec<Profile> = Profile::NAMED.iter().map(|(_, profile)| *profile).collect();
    let cells = axes.cells(&[]).unwrap();
    Matrix {
        subjects: Subjects::Stack(Topology::Mesh),
        variants: Matrix::variants_of(&profiles, &[], &cells),
        builds: Vec::new(),
        cells,
        protocol,
        bounds: Bounds::default(),
        cores: Cores { servers: vec![0], generator: vec![1] },
        runs: PathBuf::new(),
        annotations: Annotations::default(),
        driver: DriverChoice::Auto,
        capacity: None,
    }
}

fn environment() -> Environment {
    Environment {
        cpu_model: "Simulated CPU".into(),
        cpus: 2,
        kernel: "6.18.0".into(),
        irq_time_accounting: Some(false),
        generator_driver: "io_uring".into(),
        server_drivers: vec!["io_uring".into()],
        version: "0.1.0".into(),
        optimised: true,
        ..Environment::default()
    }
}

fn simulated(matrix: &Matrix, change: impl FnOnce(&mut Simulation)) -> Run {
    let mut simulation = Simulation::new(&matrix.variants);
    change(&mut simulation);
    let layers = matrix.layers();
    let experiment = Experiment {
        variants: &matrix.variants,
        cells: &matrix.cells,
        layers: &layers,
        protocol: &matrix.protocol,
        bounds: &matrix.bounds,
        measured_cores: 2,
    };
    let findings = experiment.run(&mut simulation, &mut Silent::default()).unwrap();
    let now = Duration::from_secs(1_700_000_000);
    matrix.record(&findings, environment(), now, Duration::from_secs(200))
}

/// Compares with a file, or writes it when `TOLLGATE_BLESS` is set.
fn golden(name: &str, found: &str) {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), found, "{path}");
}

#[test]
fn the_matrix_is_the_baseline_twice_and_tokens_in_two_forms() {
    let matrix = matrix(Protocol::standard(1));
    let names: Vec<&str> = matrix.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(
        names,
        [
            "S0",
            "S0 control",
            "S1",
            "S2 uncached",
            "S2 cached",
            "S3",
            "S4 uncached",
            "S4 cached",
            "S5 uncached",
            "S5 cached"
        ]
    );
}

/// Two settings have a section each, under their own names and within the page.
#[test]
fn settings_of_variants_differ() {
    let axes = Axes { workloads: vec!["ping".into(), "orders-create".into()], ..Axes::default() };
    let run = simulated(&with_axes(&axes, Protocol::standard(42)), |_| ());
    assert_eq!(run.floors.len(), 2);
    assert_eq!(Run::from_json(&run.to_json()).unwrap(), run);
    let costs = run.costs.iter().filter(|cost| cost.id == "tls");
    assert_eq!(costs.map(|cost| cost.cell.as_str()).collect::<Vec<_>>(), ["ping", "orders-create"]);
    let text = report::text(&run, Paint::Plain);
    assert!(text.contains("\nping\n") && text.contains("\norders-create\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn a_valid_run_reads_as_expected() {
    let matrix = matrix(Protocol::standard(42));
    let mut run = simulated(&matrix, |_| ());
    matrix.judge_by_counts(&mut run, &Stored::read(instructions::tests::TEXT));
    assert!(run.validity.valid && run.complete);
    assert_eq!(Run::from_json(&run.to_json()).unwrap(), run);
    let text = report::text(&run, Paint::Plain);
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    golden("valid.txt", &text);
    // The simulated truth, in the words of the record.
    let cost = |id: &str| run.costs.iter().find(|cost| cost.id == id).unwrap();
    assert_eq!(cost("tls").verdict, Verdict::Resolved);
    assert!((cost("tls").estimate_ns.unwrap() - 6_000).abs() < 150, "{:?}", cost("tls"));
    assert!((cost("jwt-uncached").estimate_ns.unwrap() - 114_000).abs() < 600);
    assert!(cost("certificate").rounds == 36 && cost("certificate-connection").rounds == 36);
}

#[test]
fn a_disturbed_run_says_so_first_and_exits_3() {
    let run = simulated(&matrix(Protocol::quick(42)), |simulation| simulation.errors = 3);
    assert!(!run.validity.valid);
    let text = report::text(&run, Paint::Plain);
    assert!(text.starts_with("INVALID"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    golden("invalid.txt", &text);
    assert!(report::text(&run, Paint::Colour).starts_with("\x1b[1;31mINVALID"));
    let outcome = outcome(run);
    assert_eq!(outcome.exit_code(), 3);
}

fn outcome(run: Run) -> MatrixOutcome {
    MatrixOutcome { run, directory: PathBuf::new(), failure: None, misplaced: None }
}

#[test]
fn exit_codes_rank_interruption_before_proof_before_validity() {
    let run = simulated(&matrix(Protocol::quick(42)), |simulation| {
        simulation.disturbed = Some(25);
    });
    let failed = outcome(run);
    assert_eq!(failed.exit_code(), 1, "a check that failed is not forgotten");
    let run = simulated(&matrix(Protocol::quick(42)), |simulation| {
        simulation.interrupt_after = 30;
    });
    assert!(!run.results.is_empty() && run.costs.iter().all(|cost| cost.low_ns.is_none()));
    assert!(report::text(&run, Paint::Plain).starts_with("INTERRUPTED"));
    assert_eq!(outcome(run).exit_code(), 130);
}

#[test]
fn a_run_that_failed_is_recorded_with_its_reason() {
    let run = simulated(&matrix(Protocol::quick(42)), |simulation| {
        simulation.fails = Some((70, false));
    });
    // Warm-up, a whole slice of each variant, two rounds, and the warm-up of the second instance;
    // of the interleaved slice that failed there is nothing.
    assert!(!run.complete && !run.results.is_empty());
    assert_eq!(run.slices.len(), 20 + 10 + 2 * (10 + 6));
    assert!(run.validity.notes.iter().any(|note| note.contains("process 7")), "{run:?}");
    let failed = MatrixOutcome { failure: Some("it failed".into()), ..outcome(run) };
    assert_eq!(failed.exit_code(), 1);
}

#[test]
fn a_run_that_has_no_place_is_kept_elsewhere() {
    let file = std::env::temp_dir().join(format!("tollgate-no-place-{}", std::process::id()));
    fs::write(&file, "").unwrap();
    let run = simulated(&matrix(Protocol::quick(42)), |_| ());
    assert!(directory::check(&file).unwrap_err().to_string().contains("--output"));
    let (place, why) = directory::write_somewhere(&file, &run, &[]);
    let why = why.unwrap();
    assert!(why.contains("--output") && why.contains(place.to_str().unwrap()), "{why}");
    let text = fs::read_to_string(place.join("run.json")).unwrap();
    assert_eq!(Run::from_json(&text).unwrap(), run);
    fs::remove_dir_all(place.parent().unwrap()).unwrap();
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_directory_appears_whole_and_is_never_overwritten() {
    let runs = std::env::temp_dir().join(format!("tollgate-runs-{}", std::process::id()));
    let run = simulated(&matrix(Protocol::quick(42)), |_| ());
    let logs: Vec<(&str, &[u8])> = vec![("s0", b"log")];
    let place = directory::write(&runs, &run, &logs).unwrap();
    let text = fs::read_to_string(place.join("run.json")).unwrap();
    assert_eq!(Run::from_json(&text).unwrap(), run);
    let rows = fs::read_to_string(place.join("slices.csv")).unwrap();
    assert_eq!(rows.lines().count(), run.slices.len() + 1);
    assert_eq!(fs::read(place.join("s0.hlog")).unwrap(), b"log");
    let again = directory::write(&runs, &run, &logs).unwrap_err();
    assert!(again.to_string().contains("--output"), "{again}");
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 1, "no draft is left behind");
    fs::remove_dir_all(&runs).unwrap();
}
