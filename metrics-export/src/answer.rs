//! What a run says, in sentences: whether to believe it, and what each layer costs.
//!
//! Pages, tables and comments say the same in their own dress, so that the words are made here,
//! once. No sentence claims more than its interval: a cost that is not told from zero has a bound
//! and no figure.

use crate::figures::{count, percent, signed_count, signed_percent, signed_us, size_us, thousands};
use crate::run::{Cost, Per, Run, VariantResult, Verdict};

/// The id of the A/A control among the costs; it is no layer.
pub const CONTROL: &str = "a-a";

/// The costs of a cell that are layers, in the order of the record.
pub fn layers<'a>(run: &'a Run, cell: &'a str) -> impl Iterator<Item = &'a Cost> + Clone {
    run.costs.iter().filter(move |cost| cost.cell == cell && cost.id != CONTROL)
}

/// What the layers of a cell add to the median service time, in the order of the record.
pub fn service_times<'a>(run: &'a Run, cell: &'a str) -> impl Iterator<Item = &'a Cost> + Clone {
    run.service_times.iter().filter(move |cost| cost.cell == cell && cost.id != CONTROL)
}

/// The A/A control of a cell.
#[must_use]
pub fn control<'a>(run: &'a Run, cell: &str) -> Option<&'a Cost> {
    run.costs.iter().find(|cost| cost.cell == cell && cost.id == CONTROL)
}

/// In a word whether to believe the run: `INTERRUPTED` does not take `INVALID`'s place.
#[must_use]
pub fn verdict_word(run: &Run) -> &'static str {
    let proved = run.proofs.iter().all(|proof| proof.holds);
    match (run.validity.valid, proved) {
        (false, _) => "INVALID",
        (true, false) => "UNVERIFIED",
        (true, true) => "VALID",
    }
}

/// The sentence that goes with [`verdict_word`].
#[must_use]
pub fn verdict_sentence(run: &Run) -> String {
    let held = run.proofs.iter().filter(|proof| proof.holds).count();
    let proofs = format!("{held} of {} held", count(run.proofs.len() as u64, "proof"));
    match verdict_word(run) {
        "INVALID" if run.proofs.is_empty() => "Do not use these figures.".into(),
        "VALID" if run.proofs.is_empty() => "Every bound held.".into(),
        "INVALID" => format!("Do not use these figures. {proofs}."),
        "UNVERIFIED" => format!("A slice was not what its label says. {proofs}."),
        _ => format!("Every bound held; {proofs}."),
    }
}

/// Proofs that failed, as sentences.
pub fn failed_proofs(run: &Run) -> impl Iterator<Item = String> + '_ {
    run.proofs.iter().filter(|proof| !proof.holds).map(|proof| {
        format!("{}: {}; found {}", run.label(&proof.variant), proof.claim, proof.found)
    })
}

/// What a reader should know beside the figures, as sentences.
#[must_use]
pub fn notes(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    if run.validity.slices_repeated > 0 {
        let repeated = count(run.validity.slices_repeated, "disturbed slice");
        let verb = if run.validity.slices_repeated == 1 { "was" } else { "were" };
        notes.push(format!("{repeated} {verb} taken once more."));
    }
    if (1..3).contains(&run.plan.instances) {
        notes.push(format!(
            "Only {} of every process: luck of memory layout is hardly averaged out.",
            count(run.plan.instances.into(), "instance"),
        ));
    }
    let limited = |result: &VariantResult| {
        result.connecting.as_ref().is_some_and(|found| found.generator_limited)
    };
    if run.results.iter().any(limited) {
        notes.push(
            "Connections per second marked with * are the generator's limit: its core was busy \
             all the time. CPU per connection is the figure to compare."
                .into(),
        );
    }
    if !run.environment.optimised {
        notes.push("This build is not optimised: build with --release.".into());
    }
    notes.push(
        match run.environment.irq_time_accounting {
            Some(false) => {
                "Softirq work is billed to the task that it interrupts (no IRQ_TIME_ACCOUNTING); \
                 on loopback each side pays for delivery to the other."
            }
            Some(true) => {
                "Softirq work is not in the CPU of the services (IRQ_TIME_ACCOUNTING); see how \
                 busy the cores were."
            }
            None => "The kernel does not say whether softirq work is billed to tasks.",
        }
        .into(),
    );
    notes.extend(run.validity.notes.iter().cloned());
    notes
}

/// The figure of a layer: `+18.9 µs`, or a bound where it is not told from zero.
#[must_use]
pub fn figure(run: &Run, cost: &Cost) -> String {
    match (cost.verdict, cost.estimate_ns) {
        (Verdict::Resolved, Some(ns)) => format!("{}\u{a0}µs", signed_us(ns)),
        (Verdict::WithinNoise, _) => match bound_ns(run, cost) {
            Some(bound) => format!("<\u{a0}{}\u{a0}µs", size_us(bound)),
            None => "not told".into(),
        },
        _ => "not told".into(),
    }
}

/// What a layer costs, in one sentence.
#[must_use]
pub fn sentence(run: &Run, cost: &Cost) -> String {
    let subject = capital(&cost.label);
    match (cost.verdict, cost.estimate_ns) {
        (Verdict::Resolved, Some(ns)) => {
            let place = if cost.per == Per::Request { "a request" } else { "a new connection" };
            let verb = if ns < 0 { "takes" } else { "adds" };
            let from = if ns < 0 { "off" } else { "to" };
            format!(
                "{subject} {verb} {}\u{a0}µs of server CPU {from} {place}{}{}.",
                size_us(ns.unsigned_abs()),
                share(run, cost, ns),
                surely(cost),
            )
        }
        (Verdict::WithinNoise, _) => {
            format!("{subject}: no cost that is distinguishable from noise{}.", surely(cost))
        }
        _ => format!("{subject}: {}.", cost.words),
    }
}

/// What judges a small cost beside or in place of CPU time, in one sentence; nothing for others.
#[must_use]
pub fn instruction_evidence(cost: &Cost) -> Option<String> {
    let counted = cost.counted.as_ref()?;
    let time = match cost.verdict {
        Verdict::Resolved => "small, but resolved by CPU time",
        Verdict::WithinNoise => "below what CPU time resolves here",
        Verdict::TooFewRounds => "too few rounds for CPU time",
    };
    let of = counted.reference_instructions;
    Some(format!(
        "{time}; counted in memory: {} instructions of {} ({}) on the way of a {} through one \
         service, release {}.",
        signed_count(counted.instructions),
        thousands(of),
        signed_percent(counted.instructions as f64 / of.max(1) as f64),
        counted.request,
        counted.release,
    ))
}

fn share(run: &Run, cost: &Cost, ns: i64) -> String {
    if cost.reference_ns == 0 {
        return String::new();
    }
    let share = ns.unsigned_abs() as f64 / cost.reference_ns as f64;
    let word = if ns < 0 { "less" } else { "more" };
    let reference = run.plan.builds.first().map_or("without", |build| &build.name);
    format!(", {} {word} than {reference}", percent(share))
}

fn surely(cost: &Cost) -> String {
    // The simultaneous interval is the one that the verdict was taken on.
    let ends = cost.family_low_ns.zip(cost.family_high_ns).or(cost.low_ns.zip(cost.high_ns));
    ends.map_or(String::new(), |(low, high)| {
        format!(
            " ({} interval: {} to {}\u{a0}µs)",
            percent(cost.level),
            signed_us(low),
            signed_us(high)
        )
    })
}

/// What a layer costs at most where its cost is not told from zero: neither the interval nor the
/// noise floor can exclude less.
fn bound_ns(run: &Run, cost: &Cost) -> Option<u64> {
    let low = cost.family_low_ns.or(cost.low_ns)?;
    let high = cost.family_high_ns.or(cost.high_ns)?;
    let floor = run.floor(&cost.cell).filter(|_| cost.per == Per::Request).map_or(0, |f| f.ns);
    Some(low.unsigned_abs().max(high.unsigned_abs()).max(floor))
}

/// What the A/A control of a cell says, in one sentence.
#[must_use]
pub fn floor_sentence(run: &Run, cell: &str) -> String {
    match (control(run, cell), run.floor(cell)) {
        (Some(control), Some(floor)) => format!(
            "The baseline was measured against itself and differed by {} µs{}: {}. Differences \
             below {} µs, {} of its request, are noise in this run.",
            control.estimate_ns.map_or("an unknown number of".into(), signed_us),
            surely(control),
            control.words,
            size_us(floor.ns),
            percent(floor.share),
        ),
        (Some(control), None) => {
            format!("The baseline was measured against itself: {}.", control.words)
        }
        (None, _) => "No A/A control was run: there is no noise floor.".into(),
    }
}

/// Which differences between two variants could be told from none in a cell of this run: half of
/// each cost's simultaneous interval, and never less than the noise floor. None without intervals.
#[must_use]
pub fn resolution_sentence(run: &Run, cell: &str) -> Option<String> {
    let floor_ns = run.floor(cell).map_or(0, |floor| floor.ns);
    let costs = layers(run, cell).filter(|cost| cost.per == Per::Request);
    let resolved: Vec<(u64, f64)> = costs
        .filter_map(|cost| {
            let half_ns = cost.family_high_ns?.abs_diff(cost.family_low_ns?) / 2;
            let ns = half_ns.max(floor_ns);
            Some((ns, ns as f64 / cost.reference_ns.max(1) as f64))
        })
        .collect();
    let least = resolved.iter().min_by_key(|(ns, _)| *ns)?;
    let most = resolved.iter().max_by_key(|(ns, _)| *ns)?;
    let of =
        |(ns, share): &(u64, f64)| format!("{} µs, {} of a request", size_us(*ns), percent(*share));
    let to = if least.0 == most.0 { String::new() } else { format!(" ({} at worst)", of(most)) };
    Some(format!("Differences of {}{to}, can be resolved here.", of(least)))
}

/// What interleaving did to a cell, as sentences; none where it was not interleaved.
#[must_use]
pub fn interleaving_sentences(run: &Run, cell: &str) -> Vec<String> {
    let Some(found) = run.interleaving.iter().find(|found| found.cell == cell) else {
        return Vec::new();
    };
    let planned = run.plan.cells.iter().find(|planned| planned.id == cell);
    let block = planned.and_then(|planned| planned.block_ns).map_or_else(
        || "blocks".to_owned(),
        |ns| format!("blocks of {} ms", (ns as f64 / 1e5).round() / 10.0),
    );
    let ends = found.extra_low.zip(found.extra_high).map_or(String::new(), |(low, high)| {
        format!(" (95% interval: {} to {})", signed_percent(low), signed_percent(high))
    });
    let mut sentences = vec![format!(
        "Variants took turns in {block}, {:.1} requests each. Undisturbed, the baseline's request \
         costs {} µs. Interleaved, where caches are colder, the cost of a request differs by {} \
         from that{ends}.",
        found.requests_per_block_milli as f64 / 1e3,
        size_us(found.undisturbed_ns),
        signed_percent(found.extra_share),
    )];
    if let Some(ns) = idle_ns_per_request(run, cell) {
        sentences.push(format!(
            "While nothing is asked of it, a variant's stack uses at most {} µs for each of its \
             requests.",
            size_us(ns),
        ));
    }
    sentences.push(format!(
        "Reading their CPU between blocks took {} of the generator's time.",
        percent(found.reading_share)
    ));
    if found.costs_compared > 0 {
        let own = layers(run, cell)
            .filter(|cost| cost.per == Per::Request)
            .filter_map(|cost| Some(format!("{} {}", cost.label, signed_us(cost.undisturbed_ns?))));
        let own = own.collect::<Vec<_>>().join("; ");
        let own = if own.is_empty() { own } else { format!(": {own} µs") };
        sentences.push(format!(
            "Of {} costs of layers, {} agree with those of undisturbed slices, whose intervals are \
             wider{own}.",
            found.costs_compared, found.costs_agreeing,
        ));
    }
    sentences
}

/// What idle servers use for each request at the rate that a variant has in interleaved slices: the
/// most of any variant of the cell.
fn idle_ns_per_request(run: &Run, cell: &str) -> Option<u64> {
    let in_cell = |id: &str| run.planned(id).is_some_and(|planned| planned.cell == cell);
    let turns = run.plan.variants.iter().filter(|planned| planned.cell == cell).count();
    let rate = run.plan.cells.iter().find(|planned| planned.id == cell)?.rate_milli_per_s as f64;
    let results = run.results.iter().filter(|result| in_cell(&result.variant));
    let most = results.filter_map(|result| result.idle_cpu_ns_per_s).max()?;
    (rate > 0.0).then(|| (most as f64 * turns as f64 * 1e3 / rate).round() as u64)
}

/// With a capital letter in front.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Build;
    use crate::testing;

    #[test]
    fn each_layer_has_one_sentence_and_one_figure() {
        let run = testing::full();
        let said: Vec<(String, String)> =
            layers(&run, "").map(|cost| (figure(&run, cost), sentence(&run, cost))).collect();
        let expected = [
            (
                "+10.0 µs",
                "TLS adds 10.0 µs of server CPU to a request, 12% more than without (95% \
                 interval: +6.80 to +13.2 µs).",
            ),
            (
                "< 2.20 µs",
                "Client certificate: no cost that is distinguishable from noise \
                 (95% interval: −2.20 to +1.20 µs).",
            ),
            ("not told", "Policy, cached: no interval: 3 rounds, and 8 are needed."),
            (
                "+95.0 µs",
                "TLS adds 95.0 µs of server CPU to a new connection, 317% more than without \
                 (95% interval: +89.8 to +100.2 µs).",
            ),
        ];
        assert_eq!(said.len(), expected.len());
        for ((figure, sentence), expected) in said.iter().zip(expected) {
            let (figure, sentence) =
                (figure.replace('\u{a0}', " "), sentence.replace('\u{a0}', " "));
            assert_eq!((figure.as_str(), sentence.as_str()), expected);
        }
    }

    #[test]
    fn what_can_be_resolved_is_half_an_interval_or_the_floor() {
        let run = testing::full();
        let said = resolution_sentence(&run, "").unwrap();
        assert_eq!(
            said,
            "Differences of 2.00 µs, 2.5% of a request (3.20 µs, 4.0% of a request at worst), can \
             be resolved here."
        );
        assert_eq!(resolution_sentence(&run, "ping"), None);
    }

    #[test]
    fn interleaving_is_told_with_its_price() {
        let run = testing::full();
        assert_eq!(
            interleaving_sentences(&run, ""),
            [
                "Variants took turns in blocks of 2 ms, 8.0 requests each. Undisturbed, the \
                 baseline's request costs 74.0 µs. Interleaved, where caches are colder, the cost \
                 of a request differs by +8.0% from that (95% interval: +6.0% to +10%).",
                "While nothing is asked of it, a variant's stack uses at most 0.06 µs for each of \
                 its requests.",
                "Reading their CPU between blocks took 0.02% of the generator's time.",
                "Of 8 costs of layers, 8 agree with those of undisturbed slices, whose intervals \
                 are wider: TLS +9.50; client certificate +9.50; policy, cached +9.50 µs.",
            ]
        );
        assert!(interleaving_sentences(&run, "ping").is_empty());
    }

    #[test]
    fn a_build_is_compared_with_the_first_one() {
        let mut run = testing::full();
        let build = |name: &str, commit: Option<&str>| Build {
            name: name.into(),
            version: "0.1.0".into(),
            commit: commit.map(String::from),
        };
        assert!(run.plan.has_layers() && run.plan.build_texts().is_empty());
        run.plan.builds = vec![build("old", Some("0123456")), build("new", None)];
        assert!(!run.plan.has_layers());
        let texts = "old = tollgate 0.1.0 (0123456), new = tollgate 0.1.0";
        assert_eq!(run.plan.build_texts(), texts);
        let cost = layers(&run, "").next().unwrap();
        assert!(sentence(&run, cost).contains("12% more than old ("), "{}", sentence(&run, cost));
    }

    #[test]
    fn a_small_layer_has_instruction_evidence() {
        let run = testing::full();
        let said: Vec<String> = layers(&run, "").filter_map(instruction_evidence).collect();
        let expected = "below what CPU time resolves here; counted in memory: −12 instructions of \
                        9,800 (−0.1%) on the way of a ping through one service, release 0.1.0.";
        assert_eq!(said, [expected]);
    }

    #[test]
    fn the_verdict_is_no_better_than_the_worst_of_bounds_and_proofs() {
        let run = testing::full();
        assert_eq!(verdict_word(&run), "VALID");
        assert_eq!(verdict_sentence(&run), "Every bound held; 2 of 2 proofs held.");
        let mut broken = testing::broken(run);
        assert_eq!(verdict_word(&broken), "INVALID");
        broken.validity.valid = true;
        assert_eq!(verdict_word(&broken), "UNVERIFIED");
        let failed: Vec<String> = failed_proofs(&broken).collect();
        assert_eq!(failed, ["S1: token verified; found 1,482 verified"]);
    }

    #[test]
    fn the_noise_floor_is_explained() {
        let mut run = testing::full();
        let said = floor_sentence(&run, "");
        assert!(said.contains("differed by +0.40 µs") && said.contains("below 2.00 µs"), "{said}");
        assert!(floor_sentence(&run, "ping").contains("No A/A control"));
        run.floors.clear();
        assert!(!floor_sentence(&run, "").contains("below"));
    }
}
