//! The answer of a calibration as a table for a terminal and as a section of a Markdown page. Pure.

use crate::report::cores;
use std::fmt::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::report::CalibrationReport;
use crate::report::COLUMNS_MAX;

/// For a terminal, at most 100 columns wide.
#[must_use]
pub fn text(report: &CalibrationReport) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS_MAX)
        .set_header(["part", "what", "found", "bound", "verdict"]);
    for column in [0, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(11)));
        }
    }
    let mut part = None;
    for row in &report.rows {
        let name = if part == Some(row.part) { "" } else { row.part.as_str() };
        part = Some(row.part);
        table.add_row([name, &row.what, &row.found, &row.bound, row.verdict.as_str()]);
    }
    let lines: Vec<String> =
        table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{}\n\n{}\n", lines.join("\n"), capital(&report.sentence()))
}

/// As a section of a page; `command` is what made it.
#[must_use]
pub fn markdown(report: &CalibrationReport, command: &str) -> String {
    let mut out = String::new();
    let environment = &report.environment;
    let build = if environment.optimised { "release" } else { "debug" };
    let commit = environment.commit.as_deref().unwrap_or("unknown");
    let vm = if environment.virtual_machine { ", a virtual machine" } else { "" };
    let accounting = match environment.irq_time_accounting {
        Some(true) => "kept apart from tasks",
        Some(false) => "billed to the task that it interrupts",
        None => "billed in a way that is not known",
    };
    let sittings = match report.sittings {
        0 | 1 => String::new(),
        more => format!(" and {more} sittings"),
    };
    let _ = write!(
        out,
        "`{command}`\n\n{} in {:.0} minutes{sittings} on {} ({} CPUs{vm}), Linux {}, softirq \
         {accounting}; servers on {} ({}), generator on {} ({}); seed {}; tollgate {} ({build}, \
         commit {commit}).\n\n",
        report.started_at,
        (report.elapsed_ns as f64 / 60e9).ceil(),
        environment.cpu_model,
        environment.cpus,
        environment.kernel,
        cores(&report.server_cores),
        environment.server_drivers.join(", "),
        cores(&report.generator_cores),
        environment.generator_driver,
        report.seed,
        environment.version,
    );
    out.push_str("| part | what | found | bound | verdict |\n|---|---|---|---|---|\n");
    for row in &report.rows {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            row.part.as_str(),
            row.what,
            row.found,
            row.bound,
            row.verdict.as_str()
        );
    }
    let _ = writeln!(out, "\n{}", capital(&report.sentence()));
    out
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::RowVerdict;
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_table_has_every_row_and_fits_the_page() {
        let mut report = report(&[RowVerdict::Pass, RowVerdict::Disturbed]);
        report.rows[0].what = "a rather long description of what was looked at in the row".into();
        report.rows[0].found = "quite a long finding with [several, figures] in it".into();
        let text = text(&report);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.matches("93.1 ms").count(), 1);
        assert!(text.contains("disturbed") && text.contains("1 passed"), "{text}");
    }

    #[test]
    fn markdown_names_its_source() {
        let page = markdown(&report(&[RowVerdict::Fail]), "tollgate calibrate --seed 7");
        assert!(page.starts_with("`tollgate calibrate --seed 7`"), "{page}");
        for part in ["2 minutes", "seed 7", "| stall | response p99 | 93.1 ms |", "| FAIL |"] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
    }
}
