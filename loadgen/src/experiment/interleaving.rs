//! What interleaving did to a cell: how much more a request costs than in slices that a variant had
//! for itself, whether layers cost the same in both, and whether slices are independent. Pure.

use metrics_export::run::{Cost, Interleaving, Per, Slice, SliceKind};

use crate::experiment::CellView;
use crate::experiment::findings::rounds_of;
use crate::plan::{PlannedCell, Role};
use crate::stats::{
    CONTROL, Estimate, Layer, LayerInput, Observation, estimate, median, observations,
};

/// Fewer slices than this tell nothing of how one follows another.
const SLICES_MIN: usize = 8;

/// What interleaving did to this cell; None where it was not interleaved. `costs` are those of
/// `layers`, from interleaved slices, and `undisturbed` the same from whole ones.
pub(super) fn interleaving(
    whole: &WholeSlices<'_>,
    cell: &PlannedCell,
    layers: &[Layer],
    costs: &[Cost],
    undisturbed: &[Cost],
    seed: u64,
) -> Option<Interleaving> {
    let view = &whole.0;
    let Estimate { centre, interval } = estimate(&extra(view), seed)?;
    let baseline = layers.iter().find(|layer| layer.id == CONTROL).map(|layer| &layer.reference);
    let (costs_compared, costs_agreeing) = agreement(costs, undisturbed);
    let baseline = baseline.map_or_else(Vec::new, |role| whole.costs(role));
    Some(Interleaving {
        cell: cell.id.clone(),
        requests_per_block_milli: (requests_per_block(view)? * 1e3).round() as u64,
        undisturbed_ns: median(&baseline).unwrap_or(0.0).round() as u64,
        extra_share: centre.exp_m1(),
        extra_low: interval.map(|interval| interval.low.exp_m1()),
        extra_high: interval.map(|interval| interval.high.exp_m1()),
        reading_share: reading_share(view),
        costs_compared,
        costs_agreeing,
        autocorrelation: autocorrelation(view, layers),
    })
}

/// The slices that each variant of a cell had for itself, one for each instance.
pub(super) struct WholeSlices<'a>(pub CellView<'a>);

impl WholeSlices<'_> {
    fn slices(&self, role: &Role) -> Vec<&Slice> {
        let variant = self.0.variant(role);
        let counted = |id| self.0.findings.counted(id, SliceKind::Open);
        let own = variant.into_iter().flat_map(|variant| counted(variant.id.as_str()));
        own.filter(|slice| slice.is_whole()).collect()
    }

    pub(super) fn costs(&self, role: &Role) -> Vec<f64> {
        self.slices(role).into_iter().filter_map(Slice::cpu_ns_per_request).collect()
    }
}

impl LayerInput for WholeSlices<'_> {
    fn figures(&self, role: &Role, per: Per, round: u32) -> Vec<f64> {
        let slices = if per == Per::Request { self.slices(role) } else { Vec::new() };
        let found = slices.into_iter().find(|slice| slice.round == round);
        found.and_then(Slice::cpu_ns_per_request).into_iter().collect()
    }

    fn rounds(&self) -> Vec<(u32, u32)> {
        let roles = self.0.variants().map(|variant| &variant.role);
        rounds_of(roles.flat_map(|role| self.slices(role)))
    }
}

fn interleaved<'a>(view: &'a CellView<'_>, id: &'a str) -> impl Iterator<Item = &'a Slice> {
    view.findings.counted(id, SliceKind::Open).filter(|slice| !slice.is_whole())
}

/// For each instance and variant the logarithm of its cost interleaved to its cost undisturbed.
/// Variants of one instance are one unit of evidence, since they were taken at the same time.
fn extra(view: &CellView<'_>) -> Vec<Observation> {
    let mut found = Vec::new();
    for variant in view.variants() {
        let whole = view.findings.counted(&variant.id, SliceKind::Open);
        for whole in whole.filter(|slice| slice.is_whole()) {
            let own = interleaved(view, &variant.id).filter(|own| own.instance == whole.instance);
            let own: Vec<f64> = own.filter_map(Slice::cpu_ns_per_request).collect();
            if let (Some(own), Some(whole_ns)) = (median(&own), whole.cpu_ns_per_request()) {
                let value = (own / whole_ns).ln();
                let Slice { round, instance, .. } = *whole;
                found.push(Observation { round, instance, value });
            }
        }
    }
    found.retain(|observation| observation.value.is_finite());
    found
}

fn requests_per_block(view: &CellView<'_>) -> Option<f64> {
    let (mut requests, mut blocks) = (0.0, 0.0);
    for slice in view.variants().flat_map(|variant| interleaved(view, &variant.id)) {
        let block_ns = slice.blocks.as_ref().map_or(0, |blocks| blocks.block_ns);
        requests += slice.requests_asked as f64;
        blocks += slice.duration_ns as f64 / block_ns.max(1) as f64;
    }
    (blocks > 0.0).then(|| requests / blocks)
}

/// What reading the servers' CPU took of the time of all slices.
fn reading_share(view: &CellView<'_>) -> f64 {
    let (mut reading, mut all) = (0.0, 0.0);
    for slice in view.variants().flat_map(|variant| interleaved(view, &variant.id)) {
        reading += slice.blocks.as_ref().map_or(0.0, |blocks| blocks.reading_ns as f64);
        all += slice.duration_ns as f64;
    }
    if all > 0.0 { reading / all } else { 0.0 }
}

/// How many layers per request have an interval from whole slices, and how many of these hold the
/// cost of interleaved ones.
fn agreement(costs: &[Cost], undisturbed: &[Cost]) -> (u64, u64) {
    let mut counts = (0, 0);
    for (undisturbed, cost) in undisturbed.iter().zip(costs) {
        let interval = undisturbed.family_low_ns.zip(undisturbed.family_high_ns);
        let compared = cost.per == Per::Request && cost.id != CONTROL;
        if let (true, Some((low, high)), Some(ns)) = (compared, interval, cost.estimate_ns) {
            counts = (counts.0 + 1, counts.1 + u64::from((low..=high).contains(&ns)));
        }
    }
    counts
}

/// The correlation of a slice's value with the next one's, the mean of all layers per request.
fn autocorrelation(view: &CellView<'_>, layers: &[Layer]) -> Option<f64> {
    let layers = layers.iter().filter(|layer| layer.per == Per::Request);
    let of_layer = |layer: &Layer| {
        let values: Vec<f64> =
            observations(layer, view).iter().map(|observation| observation.value).collect();
        lag_one(&values)
    };
    let found: Vec<f64> = layers.filter_map(of_layer).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

fn lag_one(values: &[f64]) -> Option<f64> {
    if values.len() < SLICES_MIN {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let errors: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let square: f64 = errors.iter().map(|error| error * error).sum();
    let product: f64 = errors.windows(2).map(|pair| pair[0] * pair[1]).sum();
    (square > 0.0).then(|| product / square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::bootstrap;
    use crate::traffic::random::Random;

    #[test]
    fn values_that_follow_each_other_are_correlated() {
        let mut random = Random::new(5);
        let white: Vec<f64> = (0..2_000).map(|_| bootstrap::normal(&mut random)).collect();
        assert!(lag_one(&white).unwrap().abs() < 0.05);
        let mut level = 0.0;
        let red: Vec<f64> = white
            .iter()
            .map(|step| {
                level = 0.8 * level + step;
                level
            })
            .collect();
        assert!((lag_one(&red).unwrap() - 0.8).abs() < 0.05);
        assert_eq!(lag_one(&[1.0; 7]), None, "too few");
        assert_eq!(lag_one(&[1.0; 20]), None, "no spread");
    }
}
