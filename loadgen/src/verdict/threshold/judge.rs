//! Whether an expression holds for a run, as a sentence with the figures of both sides.

use metrics_export::run::Run;

use super::metric::{Dimension, Of};
use super::names;
use super::noise;
use super::scene::{CellScope, Referent};
use super::tree::{Expr, ExprKind, Figure, Relation};
use super::{Judgement, Named, Threshold, ThresholdError};

/// Judges a threshold in each cell that has all of its names.
pub(super) fn judge(
    threshold: &Threshold,
    run: &Run,
    baseline: Option<&Run>,
) -> Result<Vec<Judgement>, ThresholdError> {
    let figures = threshold.tree.figures();
    let names = Named::of(&run.plan);
    let mut judgements = Vec::new();
    let mut refused = None;
    for cell in &run.plan.cells {
        let scene = CellScope { run, baseline, cell: &cell.id };
        let known = |figure: &Figure| names::variant(&names, &cell.id, &figure.name).is_some();
        let of_layer = |figure: &Figure| matches!(figure.metric.of, Of::Layer(_));
        if !figures.iter().all(|(_, figure)| of_layer(figure) || known(figure)) {
            continue;
        }
        let found = figures.iter().try_for_each(|(column, figure)| {
            scene
                .figure(figure)
                .map(drop)
                .or_else(|why| ThresholdError::at(*column, why.to_string()))
        });
        match found {
            Ok(()) => judgements.push(scene.judgement(threshold, &cell.label)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        // A figure that is missing in one cell must not pass for a threshold that was kept there.
        Some(error) => Err(error),
        None => Ok(judgements),
    }
}

impl CellScope<'_> {
    fn judgement(&self, threshold: &Threshold, label: &str) -> Judgement {
        let mut sentences = Vec::new();
        let holds = self.truth(&threshold.tree, &mut sentences);
        let mut notes: Vec<String> = Vec::new();
        for (_, figure) in threshold.tree.figures() {
            let meant = self.find(figure).ok().map(|found| match found {
                Referent::Variant(_, planned) => planned.label.clone(),
                Referent::Layer(cost) => cost.id.clone(),
            });
            let note = meant.and_then(|meant| names::note(&figure.name, &meant));
            notes.extend(note.filter(|note| !notes.contains(note)));
        }
        if !notes.is_empty() {
            sentences.push(format!("Here {}.", notes.join(", ")));
        }
        Judgement {
            expression: threshold.text.clone(),
            cell: label.to_owned(),
            holds,
            sentence: sentences.join(" "),
        }
    }

    /// Every comparison is said, also those that no longer decide.
    fn truth(&self, node: &Expr, sentences: &mut Vec<String>) -> bool {
        match &node.kind {
            ExprKind::Both(parts) => {
                let (left, right) =
                    (self.truth(&parts[0], sentences), self.truth(&parts[1], sentences));
                left && right
            }
            ExprKind::Either(parts) => {
                let (left, right) =
                    (self.truth(&parts[0], sentences), self.truth(&parts[1], sentences));
                left || right
            }
            ExprKind::Compare(order, parts) => {
                let (holds, sentence) = self.comparison(*order, parts);
                sentences.push(sentence);
                holds
            }
            _ => false,
        }
    }

    fn comparison(&self, order: Relation, parts: &[Expr; 2]) -> (bool, String) {
        let value = |part: &Expr| part.value(&|figure| self.figure(figure).ok());
        let (Some(left), Some(right)) = (value(&parts[0]), value(&parts[1])) else {
            return (false, "A figure is missing.".into());
        };
        let holds = order.holds(left, right);
        let dimension = match parts[0].dimension() {
            Dimension::Number => parts[1].dimension(),
            dimension => dimension,
        };
        let against =
            if holds { order.as_str().to_owned() } else { format!("not {}", order.as_str()) };
        let mut sentence = format!(
            "{} is {against} {}{}",
            dimension.show(left),
            dimension.show(right),
            self.operands(parts),
        );
        if let Some(noise) = noise::words(self, order, parts, dimension) {
            sentence.push_str("; ");
            sentence.push_str(&noise);
        }
        sentence.push('.');
        (holds, sentence)
    }

    /// The figures that a side was computed from, where it is more than one figure.
    fn operands(&self, parts: &[Expr; 2]) -> String {
        let mut shown: Vec<String> = Vec::new();
        for part in parts.iter().filter(|part| !matches!(part.kind, ExprKind::Figure(_))) {
            for (_, figure) in part.figures() {
                let Ok(value) = self.figure(figure) else { continue };
                let whose = if figure.of_baseline { "baseline run: " } else { "" };
                let value = figure.metric.dimension.show(value);
                let one = format!("{whose}{}.{} {value}", figure.name, figure.metric.name);
                if !shown.contains(&one) {
                    shown.push(one);
                }
            }
        }
        if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
    }
}
