//! What a name in an expression means within a cell of a run. A variant answers to its label, its
//! role and its id, and to what older releases called it; `S4` means `S4 cached` where there is no
//! plain S4. Whatever is not its own name is noted.

use metrics_export::run::{Cost, Plan, PlannedVariant, Run};

use super::ThresholdError;
use super::metric::Of;
use super::tree::Expr;
use crate::plan::{Role, TokenForm};
use crate::stats::{current_key, pairing};

/// What is tried where a name leaves the tokens out: a cached one is what most requests carry.
const FORMS: [TokenForm; 2] = [TokenForm::Cached, TokenForm::Uncached];

/// A variant by all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The id of its cell.
    pub cell: &'a str,
    /// Its key in the record.
    pub id: &'a str,
    /// Its name for people.
    pub label: &'a str,
    /// What it is within its cell.
    pub role: Role,
}

impl<'a> Named<'a> {
    /// The variants of a plan.
    #[must_use]
    pub fn of(plan: &'a Plan) -> Vec<Named<'a>> {
        let named = |planned: &'a PlannedVariant| {
            let PlannedVariant { cell, id, label, .. } = planned;
            Named { cell, id, label, role: pairing::role_of(planned) }
        };
        plan.variants.iter().map(named).collect()
    }
}

/// Checks that every name of a variant is known in one cell, the same one for all.
pub(super) fn check(
    tree: &Expr,
    known: &[Named<'_>],
    has_baseline: bool,
) -> Result<(), ThresholdError> {
    let figures = tree.figures();
    if let Some((column, _)) = figures.iter().find(|(_, figure)| figure.of_baseline)
        && !has_baseline
    {
        return ThresholdError::at(
            *column,
            "there is no run to compare with: name one with --baseline RUN, a directory of an \
             earlier run",
        );
    }
    let of_variants = || figures.iter().filter(|(_, f)| !matches!(f.metric.of, Of::Layer(_)));
    let any_cell = |wanted: &dyn Fn(&str) -> bool| known.iter().any(|named| wanted(named.cell));
    let known_in = |cell: &str, name: &str| variant(known, cell, name).is_some();
    for (column, figure) in of_variants() {
        if !any_cell(&|cell| known_in(cell, &figure.name)) {
            let sentence = format!("no variant {:?} here; there are {}", figure.name, list(known));
            return ThresholdError::at(*column, sentence);
        }
    }
    let together = |cell: &str| of_variants().all(|(_, figure)| known_in(cell, &figure.name));
    match of_variants().next() {
        Some((column, _)) if !any_cell(&together) => ThresholdError::at(
            *column,
            "these variants were measured under different settings, and are not compared across \
             them",
        ),
        _ => Ok(()),
    }
}

/// The variant of a cell that answers to a name, by its place in the list.
pub(super) fn variant(known: &[Named<'_>], cell: &str, name: &str) -> Option<usize> {
    let wanted = plain(name);
    let place = |of: &dyn Fn(&Named<'_>) -> bool| {
        known.iter().position(|named| named.cell == cell && of(named))
    };
    let exact = |named: &Named<'_>| {
        [named.label, &named.role.to_string(), named.id].iter().any(|text| plain(text) == wanted)
    };
    let role = Role::in_cell(cell, &wanted).unwrap_or_else(|| Role::from(&wanted));
    let forms = FORMS.iter().filter(|_| role.token.is_none()).map(|form| role.with_token(*form));
    let mut meant = std::iter::once(role.clone()).chain(forms);
    place(&exact).or_else(|| meant.find_map(|role| place(&|named| named.role == role)))
}

/// The cost of a cell that answers to a name.
pub(super) fn layer<'a>(run: &'a Run, cell: &str, name: &str) -> Option<&'a Cost> {
    let own = || run.costs.iter().filter(move |cost| cost.cell == cell);
    let name = plain(current_key(name.trim()));
    let forms = FORMS.iter().map(|form| format!("{name}-{}", form.as_str()));
    std::iter::once(name.clone()).chain(forms).find_map(|wanted| {
        own().find(|cost| [current_key(&cost.id), &cost.label].iter().any(|n| plain(n) == wanted))
    })
}

/// What is noted where a name was completed, or is a former one.
pub(super) fn note(typed: &str, meant: &str) -> Option<String> {
    let name = plain(typed);
    if plain(meant).ends_with(&name) {
        return None;
    }
    let is_former = current_key(typed) != typed || Role::from(&name).to_string() != name;
    let is = if is_former { "is now called" } else { "is" };
    Some(format!("{typed:?} {is} {meant}"))
}

/// The ids of the layers of a run.
pub(super) fn layers(run: &Run) -> String {
    let mut ids: Vec<&str> = Vec::new();
    for cost in &run.costs {
        if !ids.contains(&cost.id.as_str()) {
            ids.push(&cost.id);
        }
    }
    if ids.is_empty() { "none".into() } else { ids.join(", ") }
}

fn list(known: &[Named<'_>]) -> String {
    let several = known.iter().any(|named| named.cell != known[0].cell);
    let names = known.iter().map(|named| {
        let name = if several { named.id } else { named.label };
        let quoted = several || name.contains(|c: char| !c.is_alphanumeric() && c != ' ');
        if quoted { format!("\"{name}\"") } else { name.to_owned() }
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A name without what people type in different ways.
fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '+'], "-")
}
