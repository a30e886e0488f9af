//! What everything rests on: notes, proofs, plan, environment, and the slices that were taken
//! once more. Folded, since few readers need it and those who do need all of it.

use super::table::TextTable;
use crate::answer;
use crate::figures::{NOTHING, count, duration, percent, thousands, time};
use crate::markup::{Markup, element};
use crate::run::{Run, Slice};

/// The sections.
pub(super) fn sections(run: &Run) -> Markup {
    let mut all = Markup::from(element("h2").holds("What this rests on"));
    let notes = answer::notes(run);
    let items = notes.iter().map(|note| element("li").holds(note.as_str()));
    all.push(element("ul").class("notes").holds_all(items));
    all.push(folded("Environment", environment(run)));
    all.push(folded("Plan", plan(run)));
    all.push(folded("Bounds of validity", bounds(run)));
    let held = run.proofs.iter().filter(|proof| proof.holds).count();
    let summary = format!("Proofs: {held} of {} held", count(run.proofs.len() as u64, "proof"));
    all.push(folded(&summary, proofs(run)));
    let repeated: Vec<&Slice> = run.slices.iter().filter(|s| !s.disturbances.is_empty()).collect();
    let summary = format!("Disturbed slices: {} of {}", repeated.len(), run.slices.len());
    all.push(folded(&summary, disturbed(run, &repeated)));
    all
}

fn folded(summary: &str, inside: Markup) -> Markup {
    if inside.is_empty() {
        return Markup::none();
    }
    element("details").holds(element("summary").holds(summary)).holds(inside).into()
}

/// Names and values, one below the other.
fn pairs(pairs: Vec<(&str, String)>) -> Markup {
    let known = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let row = |(name, value): (&str, String)| {
        element("div").holds(element("dt").holds(name)).holds(element("dd").holds(value))
    };
    element("dl").holds_all(known.map(row)).into()
}

fn yes(value: bool) -> String {
    if value { "yes".into() } else { "no".into() }
}

fn or_unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "unknown".into())
}

fn environment(run: &Run) -> Markup {
    let environment = &run.environment;
    pairs(vec![
        ("Processor", environment.cpu_model.clone()),
        ("Processors online", environment.cpus.to_string()),
        ("Virtual machine", yes(environment.virtual_machine)),
        ("Kernel", format!("Linux {}", environment.kernel)),
        ("Frequency governor", or_unknown(environment.governor.clone())),
        ("IRQ_TIME_ACCOUNTING", or_unknown(environment.irq_time_accounting.map(yes))),
        ("Driver of the generator", environment.generator_driver.clone()),
        ("Drivers of the servers", environment.server_drivers.join(", ")),
        ("tollgate", environment.version.clone()),
        ("Commit", or_unknown(environment.commit.clone())),
        ("Optimised build", yes(environment.optimised)),
    ])
}

fn cores(cores: &[usize]) -> String {
    let list: Vec<String> = cores.iter().map(ToString::to_string).collect();
    if list.is_empty() { "not known".into() } else { list.join(", ") }
}

fn tags(run: &Run) -> String {
    run.plan.tag_texts().collect::<Vec<_>>().join(", ")
}

fn plan(run: &Run) -> Markup {
    let plan = &run.plan;
    let share = f64::from(plan.operating_share_milli) / 1e3;
    let operating = match plan.operating_share_milli {
        0 => String::new(),
        _ => format!("{} of the slowest variant's capacity", percent(share)),
    };
    let length = |ns| if ns == 0 { NOTHING.into() } else { duration(ns) };
    let mut all = pairs(vec![
        ("Environment", plan.environment.clone().unwrap_or_default()),
        ("Tags", tags(run)),
        ("Protocols", plan.protocols.join(", ")),
        ("Subject", plan.subject.to_string()),
        ("Builds", plan.build_texts()),
        ("Topology", plan.topology.map(|topology| topology.to_string()).unwrap_or_default()),
        ("Arrivals", plan.arrivals.map_or(NOTHING.into(), |pattern| pattern.to_string())),
        ("The generator waits by", plan.generator_wait.to_string()),
        ("Rounds", plan.rounds.to_string()),
        ("Instances of every process", plan.instances.to_string()),
        ("Stop rule", plan.stop_rule.clone()),
        ("Slice", length(plan.slice_ns)),
        ("Warm-up", length(plan.warmup_ns)),
        ("Closed-loop slice", length(plan.closed_slice_ns)),
        ("Slice of new connections", length(plan.handshake_slice_ns)),
        ("Operating point", operating),
        ("Seed", plan.seed.to_string()),
        ("Short form", yes(plan.quick)),
        ("Cores of the servers", cores(&plan.server_cores)),
        ("Cores of the generator", cores(&plan.generator_cores)),
    ]);
    let columns = ["variant", "id", "profile", "tokens", "cache", "request", "CPU from"];
    let mut table = TextTable::new("Variants", &columns).words(columns.len());
    for variant in &plan.variants {
        table.row([
            variant.label.clone(),
            variant.id.clone(),
            variant.profile.clone().unwrap_or(NOTHING.into()),
            variant.tokens.to_string(),
            variant.token_cache.map_or(NOTHING.into(), yes),
            variant.request.clone().unwrap_or(NOTHING.into()),
            variant.cpu_source.to_string(),
        ]);
    }
    all.push(table.draw());
    all.push(cells(run));
    all
}

fn cells(run: &Run) -> Markup {
    let columns = ["setting", "tokens signed with", "new handshakes", "workers", "rate from"];
    let mut table = TextTable::new("Settings", &columns).words(4).sentences(4);
    for cell in &run.plan.cells {
        table.row([
            super::name(cell).to_owned(),
            cell.token_algorithm.clone(),
            cell.handshake.to_string(),
            if cell.workers == 0 { NOTHING.into() } else { cell.workers.to_string() },
            cell.rate_source.clone(),
        ]);
    }
    table.draw()
}

fn bounds(run: &Run) -> Markup {
    let bounds = &run.validity.bounds;
    let most = |what: String| format!("at most {what}");
    let mut all = vec![
        ("Lateness of the generator, p99", most(time(bounds.lateness_p99_ns_max))),
        (
            "Sent in time of what was requested",
            format!("at least {}", percent(bounds.achieved_share_min)),
        ),
        ("Dropped requests", most(thousands(bounds.dropped_max))),
        ("Time taken by the hypervisor", most(percent(bounds.steal_share_max))),
        ("Cores used by other programs", most(percent(bounds.background_share_max))),
        ("Times throttled", most(thousands(bounds.throttled_max))),
        ("Failed requests", most(thousands(bounds.errors_max))),
        ("Growth of unanswered requests", most(thousands(bounds.in_flight_growth_max))),
    ];
    let idle = bounds.idle_cpu_share_max.map(|share| ("CPU of idle servers", most(percent(share))));
    all.extend(idle);
    pairs(all)
}

fn proofs(run: &Run) -> Markup {
    let columns = ["variant", "what was checked", "held", "found", "slices"];
    let mut table = TextTable::new("Proofs", &columns).words(4).sentences(3);
    for proof in &run.proofs {
        table.row([
            run.label(&proof.variant).to_owned(),
            proof.claim.clone(),
            yes(proof.holds),
            proof.found.clone(),
            thousands(proof.slices),
        ]);
    }
    table.draw()
}

fn disturbed(run: &Run, slices: &[&Slice]) -> Markup {
    let columns = ["variant", "kind", "round", "attempt", "counts", "what disturbed it"];
    let mut table = TextTable::new("Disturbed slices", &columns).words(5).sentences(5);
    for slice in slices {
        table.row([
            run.label(&slice.variant).to_owned(),
            slice.kind.as_str().to_owned(),
            (slice.round + 1).to_string(),
            (slice.attempt + 1).to_string(),
            yes(slice.counts),
            slice.disturbances.join("; "),
        ]);
    }
    table.draw()
}
