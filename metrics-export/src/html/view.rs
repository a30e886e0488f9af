//! One cell of a run, and how its variants look: each profile has a colour and each form of it a
//! dash, in every chart alike.

use crate::run::{Cell, CpuSourceKind, PlannedVariant, Run, VariantResult};
use crate::spectrum::Spectrum;

/// What the sections of a cell are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageCell<'a> {
    pub(super) run: &'a Run,
    pub(super) spectra: &'a [Spectrum],
    pub(super) cell: &'a Cell,
}

/// A colour and a dash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesStyle {
    pub(super) colour: usize,
    pub(super) dash: usize,
}

impl<'a> PageCell<'a> {
    /// The variants of the cell as planned.
    pub(super) fn planned(&self) -> impl Iterator<Item = &'a PlannedVariant> + Clone + use<'a> {
        let cell = &self.cell.id;
        self.run.plan.variants.iter().filter(move |variant| variant.cell == *cell)
    }

    /// The variants that have figures, in the order of the plan.
    pub(super) fn results(
        &self,
    ) -> impl Iterator<Item = (&'a PlannedVariant, &'a VariantResult)> + Clone + use<'a> {
        let run = self.run;
        self.planned().filter_map(move |planned| Some((planned, run.result(&planned.id)?)))
    }

    /// Whether any of them has slices: what a search measured stands in its capacity.
    pub(super) fn has_slices(&self) -> bool {
        self.results().any(|(_, result)| result.slices > 0)
    }

    /// Those of them whose servers' CPU is known.
    pub(super) fn with_cpu(
        &self,
    ) -> impl Iterator<Item = (&'a PlannedVariant, &'a VariantResult)> + Clone + use<'a> {
        self.results().filter(|(planned, result)| {
            planned.cpu_source != CpuSourceKind::None && result.cpu_ns_per_request > 0
        })
    }

    /// How a variant is drawn.
    pub(super) fn look(&self, variant: &str) -> SeriesStyle {
        let mut groups: Vec<(&str, usize)> = Vec::new();
        for planned in self.planned() {
            let group = planned.profile.as_deref().unwrap_or(&planned.id);
            let place = groups.iter().position(|(known, _)| *known == group);
            let colour = place.unwrap_or_else(|| {
                groups.push((group, 0));
                groups.len() - 1
            });
            let dash = groups[colour].1;
            groups[colour].1 += 1;
            if planned.id == variant {
                return SeriesStyle { colour, dash };
            }
        }
        SeriesStyle { colour: 0, dash: 0 }
    }

    /// The distributions of one kind of time, in the order of the plan.
    pub(super) fn spectra_of(&self, tag: &str) -> Vec<&'a Spectrum> {
        let of = |id: &str| self.spectra.iter().find(|s| s.variant == id && s.tag == tag);
        self.planned().filter_map(|planned| of(&planned.id)).filter(|s| s.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_profile_has_one_colour_and_its_forms_have_dashes() {
        let run = testing::full();
        let view = PageCell { run: &run, spectra: &[], cell: &run.plan.cells[0] };
        let look = |variant| {
            let SeriesStyle { colour, dash } = view.look(variant);
            (colour, dash)
        };
        let looks = ["s0", "s0-control", "s1", "s2-uncached", "s3"].map(look);
        assert_eq!(looks, [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0)]);
        assert_eq!(view.results().count(), 5);
    }
}
