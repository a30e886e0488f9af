//! The report of a run as one HTML file that needs nothing beside itself: no network, no script,
//! no font. It says first whether to believe it, then what each layer costs, then everything that
//! this rests on.
//!
//! Every figure comes from the record and the histogram logs. Labels, URLs and sentences of the
//! record are words and never markup ([`crate::markup`] sees to it), and a content security policy
//! in the page forbids scripts and requests, should that ever fail. What was not measured has no
//! section.

mod appendix;
mod connections;
mod costs;
mod cpu;
mod figure;
mod load;
mod table;
mod times;
mod view;

use crate::answer;
use crate::breaches;
use crate::figures::{duration, thousands};
use crate::markup::{Markup, element};
use crate::run::{CallPath, Cell, Run, RunCommand, SubjectKind};
use crate::spectrum::Spectrum;

use view::PageCell;

/// Everything that the page looks like.
const STYLE: &str = include_str!("html/style.css");

/// What a page may do: show its own style.
const POLICY: &str = "<meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\">\
    <meta name=\"color-scheme\" content=\"light dark\">\
    <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
    style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">";

/// Breaches that are shown at once; the others are folded.
const BREACHES_SHOWN: usize = 5;

/// The page. `spectra` are the distributions that the histogram logs hold; a variant without one
/// is named in the page.
#[must_use]
pub fn report(run: &Run, spectra: &[Spectrum]) -> String {
    let head = element("head")
        .holds(Markup::constant(POLICY))
        .holds(element("title").holds(format!("{}: {}", title(run), answer::verdict_word(run))))
        .holds(element("style").holds(Markup::constant(STYLE)));
    let cells: Vec<&Cell> = run.plan.cells.iter().collect();
    let several = cells.len() > 1;
    let mut page = element("main").holds(header(run)).holds(verdict(run));
    if several {
        page = page.holds(contents(&cells));
    }
    for (at, cell) in cells.iter().enumerate() {
        let view = PageCell { run, spectra, cell };
        page = page.holds(section_of_cell(&view, several.then_some(at)));
    }
    let page = page.holds(appendix::sections(run)).holds(footer(run));
    let document =
        element("html").with("lang", "en").holds(head).holds(element("body").holds(page));
    format!("<!doctype html>\n{}\n", Markup::from(document))
}

fn title(run: &Run) -> String {
    run.plan.label.clone().unwrap_or_else(|| match run.plan.subject {
        SubjectKind::Stack if run.plan.has_layers() => "What each layer of security costs".into(),
        SubjectKind::Stack => "What each build costs".into(),
        _ => match run.command {
            RunCommand::Matrix => "What each variant costs".into(),
            RunCommand::Run => "What one URL does under load".into(),
            RunCommand::Capacity => "What one URL can do".into(),
        },
    })
}

fn header(run: &Run) -> Markup {
    let environment = &run.environment;
    let when = run.started_at.replace('T', " ").replace('Z', " UTC");
    let mut facts = vec![
        format!("tollgate {}", run.command),
        when,
        duration(run.elapsed_ns),
        environment.cpu_model.clone(),
    ];
    facts.extend(run.plan.environment.clone());
    facts.extend(run.plan.tag_texts());
    facts.extend(run.plan.builds.iter().map(ToString::to_string));
    element("header")
        .holds(element("h1").holds(title(run)))
        .holds(element("p").class("facts").holds(facts_of(&facts)))
        .into()
}

/// Short facts in a row, apart by dots; those that are empty are left out.
fn facts_of(facts: &[String]) -> Markup {
    let known = facts.iter().filter(|fact| !fact.is_empty());
    known.map(|fact| Markup::from(element("span").holds(fact.as_str()))).collect()
}

fn verdict(run: &Run) -> Markup {
    let word = answer::verdict_word(run);
    let good = word == "VALID";
    let mut said: Vec<String> = Vec::new();
    if !run.complete {
        said.push("The run was interrupted: these are the slices that were finished.".into());
    }
    said.extend(breaches::of_run(run));
    said.extend(answer::failed_proofs(run).map(|proof| format!("Unverified: {proof}")));
    let mut all = element("section")
        .class(if good { "verdict good" } else { "verdict bad" })
        .with("aria-label", "Whether to believe this run")
        .holds(
            element("p")
                .holds(element("strong").holds(word))
                .holds(" ")
                .holds(answer::verdict_sentence(run)),
        );
    let (first, rest) = said.split_at(said.len().min(BREACHES_SHOWN));
    if !first.is_empty() {
        all = all.holds(list(first));
    }
    if !rest.is_empty() {
        let summary = element("summary").holds(format!("{} more", thousands(rest.len() as u64)));
        all = all.holds(element("details").holds(summary).holds(list(rest)));
    }
    all.into()
}

fn list(sentences: &[String]) -> Markup {
    element("ul")
        .holds_all(sentences.iter().map(|sentence| element("li").holds(prose(sentence))))
        .into()
}

/// A sentence in which options of the command line are not broken at their dashes.
fn prose(sentence: &str) -> Markup {
    let mut all = Markup::none();
    for word in sentence.split_inclusive(' ') {
        if word.starts_with("--") {
            all.push(element("span").class("option").holds(word));
        } else {
            all.push(word);
        }
    }
    all
}

fn contents(cells: &[&Cell]) -> Markup {
    let link = |(at, cell): (usize, &&Cell)| {
        let link = element("a").with("href", format!("#cell-{at}")).holds(name(cell));
        element("li").holds(link)
    };
    element("nav")
        .with("aria-label", "Settings")
        .holds(element("h2").holds("Settings"))
        .holds(element("ol").holds_all(cells.iter().enumerate().map(link)))
        .into()
}

fn name(cell: &Cell) -> &str {
    if cell.label.is_empty() { &cell.workload } else { &cell.label }
}

/// Everything about one cell; with its number where there are several.
fn section_of_cell(view: &PageCell<'_>, number: Option<usize>) -> Markup {
    let mut all = element("section").class("cell");
    if let Some(number) = number {
        let heading = element("h2").with("id", format!("cell-{number}")).class("cell-name");
        all = all.holds(heading.holds(name(view.cell)));
    }
    all.holds(setting(view))
        .holds(costs::answer(view))
        .holds(costs::ladder(view))
        .holds(cpu::section(view))
        .holds(times::section(view))
        .holds(connections::section(view))
        .holds(load::section(view))
        .holds(costs::noise(view))
        .into()
}

/// What the figures hold for, in one line.
fn setting(view: &PageCell<'_>) -> Markup {
    let cell = view.cell;
    let path = match (view.run.plan.subject, cell.call_path) {
        (SubjectKind::Stack, CallPath::Gateway) => ", through the gateway".into(),
        (SubjectKind::Stack, path) => format!(", {path}"),
        _ => String::new(),
    };
    let rate = match cell.rate_milli_per_s {
        0 if view.run.command != RunCommand::Matrix => cell.rate_source.clone(),
        0 => "no open loop".into(),
        rate => format!("{} requests/s ({})", crate::figures::rate(rate), cell.rate_source),
    };
    let connections = match cell.requests_per_connection {
        None => format!("{} connections, kept", thousands(cell.connections)),
        Some(requests) => format!(
            "{} connections of {} requests",
            thousands(cell.connections),
            thousands(requests.into())
        ),
    };
    let own = || view.planned().find_map(|planned| planned.request.clone()).unwrap_or_default();
    let workload = match (cell.workload.as_str(), view.run.command) {
        ("target", RunCommand::Matrix) => String::new(),
        ("target", _) => own(),
        (name, _) => name.to_owned(),
    };
    let facts = [workload, format!("{}{path}", cell.protocol), rate, connections];
    element("p").class("facts").holds(facts_of(&facts)).into()
}

fn footer(run: &Run) -> Markup {
    let environment = &run.environment;
    let commit = environment.commit.as_ref().map_or(String::new(), |c| format!(" ({c})"));
    element("footer")
        .holds(format!(
            "Run {} \u{b7} tollgate {}{commit} \u{b7} made from run.json and the histogram \
             logs beside it",
            run.id, environment.version
        ))
        .into()
}

#[cfg(test)]
mod tests;
