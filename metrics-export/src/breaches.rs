//! Broken validity bounds in words: one sentence for each bound and cause, the cause before its
//! effects, and the same breach of many variants as one line. It refuses to judge: whether a bound
//! is broken is decided where it is measured.

use std::collections::BTreeSet;

use crate::figures::{percent, thousands, time};
use crate::run::{BoundId, Breach, BreachScope, Cause, Run, RunCommand};

/// The most labels that a line of several variants names.
const LABELS_MAX: usize = 4;

/// The flags that an advice names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    rate: &'static str,
    connections: &'static str,
    cores: &'static str,
    /// What else helps a generator that is late.
    late: &'static str,
    /// What else helps to tell other programs from the server.
    server: &'static str,
    /// Where errors are explained.
    errors: &'static str,
}

/// The flags of `matrix`, `flame` and `calibrate`.
pub const MATRIX: Flags = Flags {
    rate: "--rates",
    connections: "--connections",
    cores: "--generator-cores",
    late: "or stop what else runs",
    server: "",
    errors: ": see the logs of the servers",
};

/// The flags of `run` and `capacity`.
pub const RUN: Flags = Flags {
    rate: "--rate",
    connections: "-c",
    cores: "--cores",
    late: "give it more threads (-t), or --wait spin",
    server: ", or name the server's processes with --server-pid",
    errors: "",
};

/// What breaches are grouped among.
pub struct Among<'a> {
    /// How many variants or slices there are.
    pub total: usize,
    /// What they are: `variants` or `slices`.
    pub noun: &'a str,
    /// The name of a variant for people, from its id.
    pub label: &'a dyn Fn(&str) -> String,
    /// The flags of the command.
    pub flags: Flags,
}

/// The flags of a command.
fn flags(command: RunCommand) -> Flags {
    match command {
        RunCommand::Run | RunCommand::Capacity => RUN,
        RunCommand::Matrix => MATRIX,
    }
}

/// What broke the validity of a run, the causes first, each bound in as few lines as it needs.
#[must_use]
pub fn of_run(run: &Run) -> Vec<String> {
    let among = Among {
        total: run.plan.variants.len(),
        noun: "variants",
        label: &|id| run.label(id).to_owned(),
        flags: flags(run.command),
    };
    lines(&run.validity.breaches, &among)
}

/// The lines of these breaches.
#[must_use]
pub fn lines(breaches: &[Breach], among: &Among<'_>) -> Vec<String> {
    let mut groups: Vec<Vec<&Breach>> = Vec::new();
    for breach in breaches {
        match groups.iter_mut().find(|group| is_same_kind(group[0], breach)) {
            Some(group) => group.push(breach),
            None => groups.push(vec![breach]),
        }
    }
    groups.sort_by_key(|group| rank(group[0]));
    let mut lines: Vec<String> = Vec::new();
    for group in groups {
        let line = line(&group, among);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The place of a bound in the order of cause and effect; unknown bounds come last.
fn rank(breach: &Breach) -> usize {
    let at = breach.id().and_then(|id| BoundId::ALL.iter().position(|known| *known == id));
    at.unwrap_or(BoundId::ALL.len())
}

/// Whether two breaches can share a line.
fn is_same_kind(a: &Breach, b: &Breach) -> bool {
    let of_several = |breach: &Breach| breach.scope != BreachScope::Run;
    let known = |breach: &Breach| breach.id().is_some() && breach.measured.is_some();
    known(a)
        && known(b)
        && of_several(a)
        && of_several(b)
        && a.bound == b.bound
        && a.cause == b.cause
}

fn line(group: &[&Breach], among: &Among<'_>) -> String {
    let (first, count) = (group[0], group.len());
    if count == 1 || first.id().is_none() {
        return first.sentence.clone();
    }
    let measured = group.iter().filter_map(|breach| breach.measured);
    let low = measured.clone().fold(f64::INFINITY, f64::min);
    let high = measured.fold(f64::NEG_INFINITY, f64::max);
    let fact = fact_between(first, (low, high), &details(group));
    let advice = advice(first, among.flags);
    let (labels, Among { total, noun, .. }) = (labels(group, among), among);
    format!("{count} of {total} {noun}{labels}: {fact}.{advice}")
}

/// Which variants a line is about, unless it is about all of them.
fn labels(group: &[&Breach], among: &Among<'_>) -> String {
    let known: Vec<String> =
        group.iter().filter_map(|breach| breach.variant()).map(among.label).collect();
    if known.is_empty() || group.len() == among.total {
        return String::new();
    }
    let named = &known[..known.len().min(LABELS_MAX)];
    let more = known.len() - named.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(" ({}{rest})", named.join(", "))
}

/// All details of a group, each once.
fn details(group: &[&Breach]) -> String {
    let parts = group.iter().filter_map(|breach| breach.detail.as_deref());
    let parts: BTreeSet<&str> = parts.flat_map(|detail| detail.split(", ")).collect();
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

/// What happened, without what to do and without a full stop.
#[must_use]
pub fn fact(breach: &Breach) -> String {
    let measured = breach.measured.unwrap_or_default();
    fact_between(breach, (measured, measured), breach.detail.as_deref().unwrap_or_default())
}

/// What happened and what to do. `label` is what people call the variant, and `more` is advice that
/// the bound alone does not give.
#[must_use]
pub fn sentence(breach: &Breach, label: &str, flags: Flags, more: &str) -> String {
    let text = format!("{}.{}{more}", fact(breach), advice(breach, flags));
    match breach.scope {
        BreachScope::Variant(_) => format!("{label}: {text}"),
        BreachScope::Run => capital(&text),
        BreachScope::Slice => text,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn fact_between(breach: &Breach, (low, high): (f64, f64), detail: &str) -> String {
    let Some(bound) = breach.id() else { return breach.sentence.clone() };
    let limit = amount(bound, breach.limit.unwrap_or_default());
    let (low, high) = (amount(bound, low), amount(bound, high));
    let found = if low == high { low } else { format!("{low} to {high}") };
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    match bound {
        BoundId::BackgroundShare => {
            format!("other programs used {found} of the measured cores, limit {limit}")
        }
        BoundId::StealShare => {
            format!("the hypervisor took {found} of the measured cores, limit {limit}")
        }
        BoundId::Throttled => {
            format!("the control group was throttled {found} times, limit {limit}")
        }
        BoundId::SharedCore if breach.scope == BreachScope::Slice => {
            "the server ran on a generator core".into()
        }
        BoundId::SharedCore => format!("the server ran on a generator core in {found} slices"),
        BoundId::ServerCpu => breach.detail.clone().unwrap_or_default(),
        BoundId::IdleCpu => format!(
            "while nothing was asked of them the servers used {found} of the CPU of their \
             requests, limit {limit}"
        ),
        BoundId::Lateness => format!("send lateness p99 {found}, limit {limit}"),
        BoundId::AchievedShare => {
            format!("{found} of the requested rate was achieved, limit {limit}")
        }
        BoundId::Dropped => {
            format!("{found} requests found the queue full and were never sent, limit {limit}")
        }
        BoundId::InFlightGrowth => {
            format!("unanswered requests grew by {found}{detail}, limit {limit}")
        }
        BoundId::Errors => {
            format!("{found} requests have no good response{detail}, limit {limit}")
        }
    }
}

/// What to do, with a space before it; empty where nothing helps.
fn advice(breach: &Breach, flags: Flags) -> String {
    let Flags { rate, connections, cores, late, server, errors } = flags;
    let by_generator = breach.cause == Some(Cause::Generator);
    match breach.id() {
        None | Some(BoundId::ServerCpu) => String::new(),
        Some(BoundId::BackgroundShare) => {
            format!(" Stop them, or keep them off these cores (see tollgate doctor){server}.")
        }
        Some(BoundId::StealShare) => " Use a machine with cores of its own, or measure when its \
                                      neighbours are idle (see tollgate doctor)."
            .into(),
        Some(BoundId::Throttled) => " Raise its CPU limit (see tollgate doctor).".into(),
        Some(BoundId::IdleCpu) => " It is in the cost of their requests, and more of it the more \
                                   variants take turns: stop what they do beside, or measure them \
                                   one at a time (--block whole)."
            .into(),
        Some(BoundId::SharedCore) => format!(
            " Each takes time from the other: pin the server to other cores (taskset -acp CORES \
             PID), or give the generator others ({cores})."
        ),
        Some(BoundId::Lateness) => format!(
            " The generator was disturbed or overloaded: give it a core of its own ({cores}), \
             lower {rate}, {late}."
        ),
        Some(BoundId::AchievedShare) if by_generator => format!(
            " The generator sent the rest too late: give it a core of its own ({cores}), lower \
             {rate}, {late}."
        ),
        Some(BoundId::AchievedShare | BoundId::Dropped) => format!(
            " The target cannot keep up over so many connections: lower {rate} or give more \
             connections ({connections})."
        ),
        Some(BoundId::InFlightGrowth) => format!(
            " The target falls behind, and a longer run would show longer times: lower {rate}."
        ),
        Some(BoundId::Errors) => format!(" They are not in the times{errors}."),
    }
}

/// A measured value or a limit in the unit of its bound.
fn amount(bound: BoundId, value: f64) -> String {
    match bound {
        BoundId::BackgroundShare
        | BoundId::StealShare
        | BoundId::IdleCpu
        | BoundId::AchievedShare => percent(value),
        BoundId::Lateness => time(value as u64).replace('\u{b5}', "u"),
        _ => thousands(value.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breach(bound: BoundId, variant: &str, measured: f64, limit: f64) -> Breach {
        let cause = match bound {
            BoundId::BackgroundShare | BoundId::StealShare => Cause::Machine,
            BoundId::Lateness => Cause::Generator,
            _ => Cause::Target,
        };
        let scope = match variant {
            "" => BreachScope::Run,
            id => BreachScope::Variant(id.into()),
        };
        let mut breach = Breach {
            bound: bound.to_string(),
            scope,
            cause: Some(cause),
            measured: Some(measured),
            limit: Some(limit),
            ..Breach::default()
        };
        breach.sentence = sentence(&breach, &variant.to_uppercase(), MATRIX, "");
        breach
    }

    fn among(total: usize) -> Among<'static> {
        Among { total, noun: "variants", label: &|id| id.to_uppercase(), flags: MATRIX }
    }

    #[test]
    fn the_cause_comes_before_its_effects() {
        let breaches = [
            breach(BoundId::Dropped, "s1", 3.0, 0.0),
            breach(BoundId::Lateness, "s1", 150_000.0, 100_000.0),
            breach(BoundId::StealShare, "", 0.03, 0.01),
            breach(BoundId::BackgroundShare, "", 0.05, 0.02),
        ];
        let lines = lines(&breaches, &among(2));
        assert!(
            lines[0].starts_with("Other programs used 5.0% of the measured cores"),
            "{lines:?}"
        );
        assert!(lines[1].starts_with("The hypervisor took 3.0%"), "{lines:?}");
        assert!(lines[2].starts_with("S1: send lateness p99 150 us, limit 100 us."), "{lines:?}");
        assert!(lines[3].starts_with("S1: 3 requests found the queue full"), "{lines:?}");
    }

    #[test]
    fn the_same_breach_of_all_variants_is_one_line() {
        let late = |id: &str, ms: f64| breach(BoundId::Lateness, id, ms * 1e6, 1e5);
        let breaches = [late("s0", 8.0), late("s1", 12.0), late("s2", 9.5)];
        let all = lines(&breaches, &among(3));
        assert_eq!(all.len(), 1);
        let start = "3 of 3 variants: send lateness p99 8.00 ms to 12.0 ms, limit 100 us. The \
                     generator was disturbed";
        assert!(all[0].starts_with(start), "{all:?}");
        let some = lines(&breaches, &among(10));
        assert!(some[0].starts_with("3 of 10 variants (S0, S1, S2): send lateness"), "{some:?}");
    }

    #[test]
    fn a_line_of_many_variants_names_the_first_ones_and_all_kinds_of_errors() {
        let of = |at: u32| {
            let kinds = if at == 0 { "status, timeout" } else { "status" };
            let breach = breach(BoundId::Errors, &format!("v{at}"), f64::from(at + 1), 0.0);
            Breach { detail: Some(kinds.into()), ..breach }
        };
        let breaches: Vec<Breach> = (0..6).map(of).collect();
        let lines = lines(&breaches, &among(10));
        let start = "6 of 10 variants (V0, V1, V2, V3 and 2 more): 1 to 6 requests have no good \
                     response (status, timeout), limit 0.";
        assert!(lines[0].starts_with(start), "{lines:?}");
    }

    #[test]
    fn different_causes_of_one_bound_keep_their_lines() {
        let mut short = breach(BoundId::AchievedShare, "s0", 0.9, 0.99);
        let behind = breach(BoundId::AchievedShare, "s1", 0.95, 0.99);
        short.cause = Some(Cause::Generator);
        assert_eq!(lines(&[short, behind], &among(2)).len(), 2);
    }

    #[test]
    fn a_breach_of_version_2_keeps_its_sentence() {
        let text = r#"[{"bound": "lateness_p99_ns_max", "variant": "s1", "sentence": "S1: late."},
            {"bound": "lateness_p99_ns_max", "variant": "s2", "sentence": "S2: late."},
            {"bound": "steal_share_max", "variant": null, "sentence": "Steal."}]"#;
        let breaches: Vec<Breach> = serde_json::from_str(text).unwrap();
        assert_eq!(breaches[0].scope, BreachScope::Variant("s1".into()));
        assert_eq!(lines(&breaches, &among(2)), ["Steal.", "S1: late.", "S2: late."]);
    }

    #[test]
    fn a_breach_is_read_as_it_was_written() {
        let written = breach(BoundId::Lateness, "s1", 150_000.0, 100_000.0);
        let text = serde_json::to_string(&written).unwrap();
        assert!(text.contains(r#""scope":{"variant":"s1"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Breach>(&text).unwrap(), written);
    }
}
