//! Whether costs add up, where all nine combinations of transport and token check were run.
//!
//! If they do, the cost of a combination in ns is that of the baseline, plus its transport's, plus
//! its token check's. What is left over beside that is an interaction, and there are four of them:
//! two transports that are not plain times two checks that do something. Each is a sum of four
//! variants relative to the baseline, and the four are one family.

use authn::profile::{Profile, TokenCheck, Transport};
use metrics_export::run::{Additivity, Verdict};

use super::Per;
use super::family::{Estimated, estimate_all};
use super::layers::{self, Layer, LayerInput};
use crate::plan::{Role, TokenForm};

/// The forms of the tokens.
const FORMS: [TokenForm; 2] = [TokenForm::Uncached, TokenForm::Cached];

/// The test for each form of the tokens that was run in all combinations, in enough rounds.
/// `seed` drives resampling.
#[must_use]
pub fn additivity(cell: &str, input: &impl LayerInput, seed: u64) -> Vec<Additivity> {
    let floor = super::estimate_family(&[layers::control("s0")], cell, input, seed).floor;
    let share = floor.map(|floor| floor.share);
    let test = |form: &TokenForm| {
        let layers = interactions(*form);
        let estimated =
            estimate_all(layers.iter().map(|layer| (layer, input as &dyn LayerInput)), seed);
        judge(cell, *form, &estimated, share)
    };
    FORMS.iter().filter_map(test).collect()
}

fn judge(
    cell: &str,
    form: TokenForm,
    estimated: &[Estimated],
    floor_share: Option<f64>,
) -> Option<Additivity> {
    let costs = estimated.iter().map(|estimated| estimated.cost(cell, floor_share));
    let interactions: Vec<_> = costs.collect();
    let mut statistic = 0.0;
    let mut critical = 0.0;
    for estimated in estimated {
        // By the margin, because layers of fewer rounds have a larger critical value.
        let found = estimated.statistic()?.min(f64::MAX);
        if critical == 0.0 || found / estimated.critical > statistic / critical {
            (statistic, critical) = (found, estimated.critical);
        }
    }
    let left: Vec<&str> = interactions
        .iter()
        .filter(|cost| cost.verdict == Verdict::Resolved)
        .map(|cost| cost.label.as_str())
        .collect();
    Some(Additivity {
        cell: cell.into(),
        form: form.as_str().into(),
        statistic,
        critical,
        additive: left.is_empty(),
        words: words(&left),
        interactions,
    })
}

fn words(left: &[&str]) -> String {
    if left.is_empty() {
        return "costs of transport and token check add up, as far as this run can tell".into();
    }
    format!(
        "costs do not add up for {}: together they cost something else than the sum of both",
        left.join(", ")
    )
}

fn interactions(form: TokenForm) -> Vec<Layer> {
    let role = |transport, token| {
        let form = (token != TokenCheck::Ignore).then_some(form);
        Role::profile(Profile::new(transport, token), form)
    };
    let mut layers = Vec::new();
    for (transport, transport_id, transport_label) in
        [(Transport::Tls, "tls", "TLS"), (Transport::Mutual, "mtls", "mutual TLS")]
    {
        for (token, token_id, token_label) in
            [(TokenCheck::Verify, "token", "token"), (TokenCheck::VerifyScopes, "scopes", "scopes")]
        {
            let terms = [
                (1, role(transport, token)),
                (-1, role(transport, TokenCheck::Ignore)),
                (-1, role(Transport::Plain, token)),
                (1, role(Transport::Plain, TokenCheck::Ignore)),
            ];
            layers.push(layers::sum(
                &format!("{transport_id}-{token_id}"),
                &format!("{transport_label} and {token_label}"),
                Per::Request,
                &terms,
            ));
        }
    }
    layers
}
