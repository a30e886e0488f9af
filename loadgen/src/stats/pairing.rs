//! What belongs to what in two runs: cells by their id, variants by cell and role.

use metrics_export::run::{PlannedVariant, Run};

use crate::plan::Role;

/// One variant in both runs.
pub(crate) struct Pair<'a> {
    /// The cell's label in the run after.
    pub(crate) cell: &'a str,
    pub(crate) a: &'a PlannedVariant,
    pub(crate) b: &'a PlannedVariant,
}

/// Every variant of `b` that `a` has as well. A/A controls are left out: they are noise by design.
pub(crate) fn pairs<'a>(a: &'a Run, b: &'a Run) -> impl Iterator<Item = Pair<'a>> {
    b.plan.variants.iter().filter(|planned| !is_control(b, planned)).filter_map(move |now| {
        let before = counterpart(b, now, a)?;
        let cell = b.plan.cells.iter().find(|cell| cell.id == now.cell);
        Some(Pair { cell: cell.map_or("", |cell| &cell.label), a: before, b: now })
    })
}

/// The cell of `other` that is measured like this one of `run`: the one with the same id, or the
/// only one on both sides, whose ids say nothing.
pub(crate) fn cell<'a>(run: &Run, id: &str, other: &'a Run) -> Option<&'a str> {
    match (run.plan.cells.as_slice(), other.plan.cells.as_slice()) {
        ([_], [only]) => Some(&only.id),
        (_, cells) => cells.iter().find(|cell| cell.id == id).map(|cell| cell.id.as_str()),
    }
}

/// The variant of `other` that is the same as this one of `run`.
pub(crate) fn counterpart<'a>(
    run: &Run,
    planned: &PlannedVariant,
    other: &'a Run,
) -> Option<&'a PlannedVariant> {
    role(other, cell(run, &planned.cell, other)?, &role_of(planned))
}

/// The variant that is this within a cell.
pub(crate) fn role<'a>(run: &'a Run, cell: &str, role: &Role) -> Option<&'a PlannedVariant> {
    let own = |planned: &&PlannedVariant| planned.cell == cell && role_of(planned) == *role;
    run.plan.variants.iter().find(own)
}

/// What a variant is within its cell, as a record of any version names it.
pub(crate) fn role_of(planned: &PlannedVariant) -> Role {
    Role::from(planned.role.as_str())
}

/// What a variant is taken to within its run: the baseline of its cell, which is the variant with
/// an A/A control, or else S0. None for the baseline itself.
pub(crate) fn reference<'a>(run: &'a Run, variant: &str) -> Option<&'a PlannedVariant> {
    let planned = run.planned(variant)?;
    let own = || run.plan.variants.iter().filter(|other| other.cell == planned.cell);
    let control = own().find(|other| is_control(run, other));
    let baseline = control.map_or("s0".into(), |control| role_of(control).baseline());
    let baseline = role(run, &planned.cell, &baseline);
    baseline.filter(|baseline| baseline.id != variant && !is_control(run, planned))
}

/// Whether a variant is another one once more.
pub(crate) fn is_control(run: &Run, planned: &PlannedVariant) -> bool {
    let own = role_of(planned);
    own.control && role(run, &planned.cell, &own.baseline()).is_some()
}
