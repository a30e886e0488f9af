//! Findings as text that fits 100 columns, and as JSON. The status is a word, which colour only
//! repeats.

use std::fmt::Write as _;

use loadgen::report::{Paint, wrapped};
use serde::Serialize;

use super::drift::DriftTable;
use super::judge::{Finding, Status};

/// For people: what is worst stands first.
pub(crate) fn text(findings: &[Finding], paint: Paint) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.status);
    let mut out = wrapped(&summary(findings), "");
    out.push('\n');
    for finding in sorted {
        let Finding { item, status, says, why, fix } = finding;
        let head = format!("{:<6}  {item:<13}  ", status.as_str());
        let sentence = wrapped(&format!("{says} ({why})"), &head);
        let word = status.as_str();
        // The first place where the word stands is the head.
        out.push_str(&sentence.replacen(word, &paint.wrap(colour(*status), word), 1));
        if let Some(fix) = fix {
            let indent = " ".repeat(head.len());
            let _ = write!(out, "{}", wrapped(&format!("fix: {fix}"), &indent));
        }
    }
    out
}

/// How many of each kind, in one sentence.
fn summary(findings: &[Finding]) -> String {
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let (blocks, costs) = (count(Status::Blocks), count(Status::Costs));
    let items = |count: usize| if count == 1 { "1 item".into() } else { format!("{count} items") };
    match (blocks, costs) {
        (0, 0) => "Nothing blocks measuring, and nothing costs accuracy or speed.".into(),
        (0, costs) => {
            format!("Nothing blocks measuring; what costs accuracy or speed: {}.", items(costs))
        }
        (blocks, 0) => format!("What blocks measuring: {}.", items(blocks)),
        (blocks, costs) => format!(
            "What blocks measuring: {}; what costs accuracy or speed: {}.",
            items(blocks),
            items(costs)
        ),
    }
}

fn colour(status: Status) -> &'static str {
    match status {
        Status::Blocks => "31",
        Status::Costs => "33",
        Status::Good => "32",
    }
}

/// Whether measuring is impossible, or its result invalid for sure.
pub(crate) fn blocked(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.status == Status::Blocks)
}

/// For programs.
pub(crate) fn json(
    findings: &[Finding],
    drift: Option<&DriftTable>,
) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct DoctorReport<'a> {
        version: u32,
        blocked: bool,
        findings: &'a [Finding],
        drift: Option<&'a DriftTable>,
    }
    let answer = DoctorReport { version: 1, blocked: blocked(findings), findings, drift };
    serde_json::to_string_pretty(&answer).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::drift::tests::known;
    use super::super::judge::{judge, tests::sound};
    use super::*;

    #[test]
    fn the_worst_stands_first_and_colour_only_repeats_the_word() {
        let mut facts = sound();
        facts.system.governor = Some("powersave".into());
        facts.system.run_time_kept = false;
        let findings = judge(&facts);
        let plain = text(&findings, Paint::Plain);
        let words: Vec<&str> =
            plain.lines().skip(2).filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(words[0], "blocks");
        assert!(words.iter().position(|w| *w == "costs") < words.iter().position(|w| *w == "good"));
        assert!(plain.starts_with("What blocks measuring: 1 item; "), "{plain}");
        let coloured = text(&findings, Paint::Colour);
        assert!(coloured.contains("\x1b[31mblocks\x1b[0m"));
        let escapes = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"];
        assert_eq!(escapes.iter().fold(coloured, |text, escape| text.replace(escape, "")), plain);
    }

    #[test]
    fn json_has_the_same_figures() {
        let mut facts = sound();
        facts.system.cores_allowed = vec![0];
        let findings = judge(&facts);
        let read = |drift| -> serde_json::Value {
            serde_json::from_str(&json(&findings, drift).unwrap()).unwrap()
        };
        let table = known();
        let answer = read(Some(&table));
        assert_eq!(answer["blocked"], true);
        let found = answer["findings"].as_array().unwrap();
        assert_eq!(found.len(), findings.len());
        let cores = found.iter().find(|finding| finding["item"] == "cores").unwrap();
        assert_eq!(cores["status"], "blocks");
        assert!(cores["fix"].as_str().unwrap().contains("taskset"));
        assert_eq!(answer["drift"]["rows"].as_array().map(Vec::len), Some(2));
        assert!(read(None)["drift"].is_null());
    }
}
