//! Where an expression is judged: one cell of a run, beside the run that `baseline` means, and what
//! its names lead to there. It judges nothing.

use std::fmt;

use metrics_export::run::{PlannedVariant, Run};

use super::Named;
use super::metric::Of;
use super::names;
use super::tree::Figure;
use crate::stats::pairing;

/// One cell of a run, and the run that `baseline` means.
#[derive(Clone, Copy)]
pub(super) struct CellScope<'a> {
    pub(super) run: &'a Run,
    pub(super) baseline: Option<&'a Run>,
    pub(super) cell: &'a str,
}

/// What a name led to.
pub(super) enum Referent<'a> {
    Variant(&'a Run, &'a PlannedVariant),
    Layer(&'a metrics_export::run::Cost),
}

/// What a run does not have, as a sentence.
#[derive(Debug)]
pub(super) struct MissingFigure(String);

impl fmt::Display for MissingFigure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for MissingFigure {}

fn missing(sentence: impl Into<String>) -> MissingFigure {
    MissingFigure(sentence.into())
}

impl<'a> CellScope<'a> {
    /// The variant or layer that a figure is of.
    pub(super) fn find(&self, figure: &Figure) -> Result<Referent<'a>, MissingFigure> {
        let whose = if figure.of_baseline { "the baseline run" } else { "this run" };
        let mut run = self.run;
        let mut cell = self.cell;
        if figure.of_baseline {
            let baseline =
                self.baseline.ok_or_else(|| missing("there is no run to compare with"))?;
            cell = pairing::cell(self.run, self.cell, baseline)
                .ok_or_else(|| missing("the baseline run was not measured under these settings"))?;
            run = baseline;
        }
        if matches!(figure.metric.of, Of::Layer(_)) {
            return names::layer(run, cell, &figure.name).map(Referent::Layer).ok_or_else(|| {
                let known = names::layers(run);
                missing(format!("{whose} has no layer {:?}; it has {known}", figure.name))
            });
        }
        let place = names::variant(&Named::of(&self.run.plan), self.cell, &figure.name);
        place
            .and_then(|place| {
                pairing::role(run, cell, &pairing::role_of(&self.run.plan.variants[place]))
            })
            .map(|planned| Referent::Variant(run, planned))
            .ok_or_else(|| missing(format!("{whose} has no variant {:?}", figure.name)))
    }

    /// The value of a figure over the whole run.
    pub(super) fn figure(&self, figure: &Figure) -> Result<f64, MissingFigure> {
        let whose = if figure.of_baseline { "the baseline run's " } else { "" };
        let metric = figure.metric;
        let (value, label) = match (self.find(figure)?, metric.of) {
            (Referent::Layer(cost), Of::Layer(of)) => (of(cost), cost.id.as_str()),
            (Referent::Variant(run, planned), Of::Variant(of) | Of::Slices(_, of)) => {
                (run.result(&planned.id).and_then(of), planned.label.as_str())
            }
            _ => (None, figure.name.as_str()),
        };
        value.ok_or_else(|| {
            missing(format!("{whose}{label} has no {}: {}", metric.name, metric.missing))
        })
    }
}
