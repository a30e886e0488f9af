//! What can be said, what is refused and where, and what is answered.

use proptest::prelude::*;

use super::*;
use crate::verdict::compare::sample;

fn told(text: &str, run: &Run, baseline: Option<&Run>) -> (bool, String) {
    let threshold = Threshold::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let all = threshold.judge(run, baseline).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    let Judgement { holds, sentence, .. } = all.into_iter().next().unwrap();
    (holds, sentence)
}

fn run() -> Run {
    let variants = [("S0", 10.0), ("S1", 30.0), ("S4 uncached", 90.0), ("S4 cached", 40.0)];
    let mut run = sample::run(&variants, 1.0, 7);
    sample::cost(&mut run, "tls", [19.5, 20.0, 20.5]);
    sample::cost(&mut run, "jwt-cached", [0.5, 0.8, 1.1]);
    run
}

#[test]
fn valid_thresholds_are_evaluated() {
    let run = run();
    for (text, holds) in [
        ("S4.cpu_us_per_request > 39", true),
        ("s4 REPEAT.cpu_us_per_request > 39 us", true),
        ("s4-cached.CPU_us_per_request > 0.039 ms", true),
        ("\"S4 cached\".cpu_us_per_request < 41000 ns", true),
        ("'S4 uncached'.cpu_us_per_request >= 90", true),
        ("S1.cpu_us_per_request > S0.cpu_us_per_request + 20", false),
        ("S1.cpu_us_per_request >= S0.cpu_us_per_request + 20 us", true),
        ("S1.cpu_us_per_request-S0.cpu_us_per_request > 19", true),
        ("S1.cpu_us_per_request > 299% * S0.cpu_us_per_request", true),
        ("S1.cpu_us_per_request / S0.cpu_us_per_request > 3.1", false),
        ("2 * (S0.cpu_us_per_request + 5) <= S1.cpu_us_per_request", true),
        ("-S0.cpu_us_per_request < -9", true),
        ("10 - 2 - 3 < 5.5 and 12 / 2 / 3 < 2.5 and 1 + 2 * 3 > 6.5", true),
        ("S4 cached.response_p99_us > 2000", false),
        ("S4 cached.response_p99_us > 0.8 ms", true),
        ("S1.requests_per_s > 33000", true),
        ("S1.errors > 0 or S1.dropped > 0", false),
        ("S1.errors > 0 or S1.dropped <= 0 and 1 > 2", false),
        ("(S1.errors > 0 or S1.dropped <= 0) and 2 > 1", true),
        ("tls.cost_us >= 20", true),
        ("tls.cost_low_us > 20", false),
        ("tls.cost_high_us + jwt.cost_high_us > 21.5", true),
        ("S1.cpu_us_per_connection > 290", true),
    ] {
        assert_eq!(told(text, &run, None).0, holds, "{text}");
    }
}

#[test]
fn names_of_older_releases_are_answered_with_a_note() {
    let former = [("S0", 10.0), ("S4 first sight", 90.0), ("S4 repeat", 40.0)];
    let mut old = sample::run(&former, 1.0, 7);
    sample::cost(&mut old, "jwt-repeat", [0.5, 0.8, 1.1]);
    for (text, run, note) in [
        ("'S4 first sight'.cpu_us_per_request > 80", &run(), "is now called S4 uncached"),
        ("s4-repeat.cpu_us_per_request > 39", &run(), "\"s4-repeat\" is now called S4 cached"),
        ("jwt-repeat.cost_us > 0.5", &run(), "\"jwt-repeat\" is now called jwt-cached"),
        ("'S4 uncached'.cpu_us_per_request > 80", &old, "\"S4 uncached\" is S4 first sight"),
        ("S4.cpu_us_per_request < 41", &old, "\"S4\" is S4 repeat"),
        ("jwt-cached.cost_us > 0.5", &old, "\"jwt-cached\" is jwt-repeat"),
        ("s4-cached.cpu_us_per_request < 1.1 * baseline", &run(), ""),
    ] {
        let (holds, sentence) = told(text, run, Some(&old));
        assert!(holds && sentence.contains(note), "{text}: {sentence}");
    }
}

#[test]
fn the_documentation_has_every_metric() {
    let text = include_str!("../../../../docs/compare.md");
    for metric in &metric::ALL {
        let name = metric.name;
        assert!(text.contains(&format!("`{name}`")), "docs/compare.md does not tell of `{name}`");
    }
    let examples = text.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    for line in examples.lines() {
        assert!(Threshold::parse(line).is_ok(), "{line}");
    }
}

#[test]
fn syntax_errors_name_their_column() {
    for (text, column, word) in [
        ("", 1, "a figure was expected"),
        ("S4.cpu_us_per_request >", 24, "a figure was expected"),
        ("S4.cpu_us_per_request", 1, "compare it"),
        ("S4 > 3", 4, "a dot and a metric"),
        ("S4.cpu > 3", 4, "\"cpu\" is no metric; there are cpu_us_per_request"),
        ("S4. > 3", 5, "a metric was expected"),
        ("S4.cpu_us_per_request = 3", 23, "only >, >=, < and <="),
        ("S4.cpu_us_per_request > 3 && 1 > 0", 27, "the words `and` and `or`"),
        ("S4.cpu_us_per_request > 3 § 4", 27, "means nothing"),
        ("S4.cpu_us_per_request > 3kg", 26, "\"kg\" is no unit"),
        ("S4.cpu_us_per_request > 1.2.3", 25, "is no number"),
        ("S4.cpu_us_per_request > (3", 27, "the bracket of column 25"),
        ("S4.cpu_us_per_request > 3)", 26, "an operator was expected"),
        ("1 < 2 < 3", 7, "one comparison"),
        ("\"S4.cpu_us_per_request > 3", 1, "never closed"),
        ("S4.cpu_us_per_request and 1 > 0", 1, "this is a figure"),
        ("(1 > 0) + 2 > 3", 4, "a comparison is no figure"),
        ("baseline > 3", 1, "which figure of the baseline"),
        ("S1.errors + S1.dropped > baseline", 26, "names several"),
        ("S1.cpu_us_per_request > baseline + 5%", 34, "only multiply"),
        ("S1.cpu_us_per_request > 5%", 23, "only multiply"),
        ("S1.errors > 3 us", 11, "a count and a time cannot be compared"),
        ("S1.errors * S1.dropped > 3", 11, "give no figure"),
        ("é.errors > 3 ! 4", 14, "only >, >="),
    ] {
        let error = Threshold::parse(text).expect_err(text);
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.sentence.contains(word), "{text}: {error}");
    }
    let deep = format!("{}1{} > 2", "(".repeat(200), ")".repeat(200));
    assert!(Threshold::parse(&deep).unwrap_err().sentence.contains("levels"));
    let long = format!("1 > 2{}", " ".repeat(TEXT_BYTES_MAX));
    assert!(Threshold::parse(&long).unwrap_err().sentence.contains("bytes"));
}

#[test]
fn unknown_names_are_refused_before_the_run() {
    let mut run = run();
    for (text, has_baseline, word) in [
        ("S9.errors > 0", false, "no variant \"S9\" here; there are S0, S1, S4 uncached"),
        ("S1.errors > baseline", false, "--baseline"),
    ] {
        let threshold = Threshold::parse(text).unwrap();
        let error = threshold.check(&Named::of(&run.plan), has_baseline).unwrap_err();
        assert!(error.sentence.contains(word), "{error}");
        assert_eq!(threshold.judge(&run, None).unwrap_err(), error);
    }
    run.results[1].closed_loop = None;
    for (text, word) in [
        ("S1.requests_per_s > 0", "no closed loop was run"),
        ("mtls.cost_us > 0", "no layer \"mtls\"; it has tls, jwt-cached"),
    ] {
        let threshold = Threshold::parse(text).unwrap();
        assert_eq!(threshold.check(&Named::of(&run.plan), false), Ok(()), "{text}");
        let error = threshold.judge(&run, None).unwrap_err();
        assert!(error.sentence.contains(word), "{error}");
    }
}

#[test]
fn a_sentence_has_both_sides_and_what_a_short_name_means() {
    let (_, said) = told("S4.cpu_us_per_request > 1.1 * S1.cpu_us_per_request", &run(), None);
    assert!(said.contains("40.00 us is > 33.00 us"), "{said}");
    assert!(said.contains("S1.cpu_us_per_request 30.00 us"), "{said}");
    assert!(said.contains("\"S4\" is S4 cached"), "{said}");
    assert!(said.contains("more than noise: the difference is"), "{said}");
    let (_, said) = told("jwt.cost_us > 1", &run(), None);
    assert!(said.contains("0.80 us is not > 1.00 us"), "{said}");
    assert!(said.contains("within noise: the limit lies in the cost's interval [0.50, 1.10]"));
    let (_, said) = told("S1.response_p99_us > 1", &run(), None);
    assert!(!said.contains("noise"), "nothing is known of a percentile's: {said}");
}

#[test]
fn a_regression_within_noise_is_noted() {
    let now = run();
    let before = |us: f64| sample::run(&[("S0", 10.0), ("S4 cached", us)], 1.0, 3);
    for (us, holds, noise) in [
        (39.99, true, "; within noise"),
        (36.0, true, "; more than the noise within the runs"),
        (44.0, false, "; more than the noise within the runs"),
    ] {
        let text = "S4.cpu_us_per_request > baseline";
        let (found, said) = told(text, &now, Some(&before(us)));
        assert_eq!(found, holds, "{said}");
        assert!(said.contains(noise), "{us}: {said}");
        assert!(said.contains("taken to S0 of the same run"), "{said}");
    }
    let (holds, said) = told("S4.cpu_us_per_request > 1.05 * baseline", &now, Some(&before(36.0)));
    assert!(holds && said.contains("(baseline run: S4.cpu_us_per_request 36.00 us)"), "{said}");
}

#[test]
fn each_cell_is_judged_alone() {
    let both = sample::two_cells(&run());
    let threshold = Threshold::parse("S1.cpu_us_per_request > 29").unwrap();
    let all = threshold.judge(&both, None).unwrap();
    let cells: Vec<&str> = all.iter().map(|judgement| judgement.cell.as_str()).collect();
    assert_eq!(cells, ["ping", "orders"]);
    assert!(all.iter().all(|judgement| judgement.holds));
    let one = Threshold::parse("ping-s1.cpu_us_per_request > 29").unwrap();
    assert_eq!(one.judge(&both, None).unwrap().len(), 1);
    let across = Threshold::parse("ping-s1.errors > orders-s1.errors").unwrap();
    let error = across.check(&Named::of(&both.plan), false).unwrap_err();
    assert!(error.sentence.contains("different settings"), "{error}");
}

/// Words of the language, so that random expressions are often nearly right.
const WORDS: [&str; 22] = [
    "S4",
    "S4 cached",
    "tls",
    ".",
    "cpu_us_per_request",
    "cost_us",
    "errors",
    "baseline",
    "and",
    "or",
    ">",
    "<=",
    "+",
    "-",
    "*",
    "/",
    "(",
    ")",
    "1.05",
    "20 us",
    "%",
    "\"",
];

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        check_any(&text);
    }

    #[test]
    fn any_words_are_answered_or_refused(
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..24),
        blank in any::<bool>(),
    ) {
        check_any(&words.join(if blank { " " } else { "" }));
    }
}

fn check_any(text: &str) {
    let characters = text.chars().count();
    match Threshold::parse(text) {
        Err(error) => assert!((1..=characters + 1).contains(&error.column), "{text}: {error}"),
        Ok(threshold) => {
            let run = run();
            if let Ok(all) = threshold.judge(&run, Some(&run)) {
                assert!(all.iter().all(|judgement| !judgement.sentence.is_empty()), "{text}");
            }
        }
    }
}
