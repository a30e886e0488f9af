//! What a variant costs at so many requests per connection.
//!
//! A request costs c(request) and a new connection c(connection); at N requests per connection
//! each request bears c(request) + c(connection)/N. A layer that is dear per connection and cheap
//! per request, such as a client certificate, is dear or cheap by N alone. Both terms are medians
//! of the record, and no interval is made up for their sum. c(connection) is what a connection
//! with one small request on it costs, so that the sum is a little too large, for all alike.

use crate::run::{CpuSourceKind, Run};

/// The numbers of requests per connection that are shown; None is a connection that never ends.
pub const REQUESTS: [Option<u64>; 5] = [Some(1), Some(10), Some(100), Some(1_000), None];

/// The role that others are compared with where it was run: the issue is what comes on top of TLS.
const BASELINE_ROLE: &str = "s1";

/// The two terms of a variant's cost: server CPU in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of a request on a kept connection.
    pub request_ns: u64,
    /// Of a new connection.
    pub connection_ns: u64,
}

impl Terms {
    /// Server CPU that each request bears, in ns. No requests on a connection are taken for one.
    #[must_use]
    pub fn per_request_ns(self, requests: Option<u64>) -> f64 {
        let shared = requests.map_or(0.0, |n| self.connection_ns as f64 / n.max(1) as f64);
        self.request_ns as f64 + shared
    }

    /// From so many requests on, they have cost more than their connection. None where requests
    /// cost nothing.
    #[must_use]
    pub fn even_at(self) -> Option<u64> {
        (self.request_ns > 0).then(|| self.connection_ns.div_ceil(self.request_ns))
    }
}

/// The variants of a cell that have both terms.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakEven {
    /// The id of the variant that the others are compared with.
    pub baseline: String,
    /// In the order of the plan, the baseline among them.
    pub rows: Vec<BreakEvenRow>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakEvenRow {
    /// Its id.
    pub variant: String,
    /// What it costs.
    pub terms: Terms,
    /// By how much it costs more than the baseline at each of [`REQUESTS`], as a share.
    pub more_shares: [f64; REQUESTS.len()],
}

/// The break-even table of a cell; None where fewer than two variants have both terms.
#[must_use]
pub fn of_cell(run: &Run, cell: &str) -> Option<BreakEven> {
    let planned = run.plan.variants.iter().filter(|variant| variant.cell == cell);
    let found: Vec<(&str, &str, Terms)> = planned
        .filter_map(|planned| {
            let result = run.result(&planned.id)?;
            let connection_ns = result.connecting.as_ref()?.cpu_ns_per_connection;
            let terms = Terms { request_ns: result.cpu_ns_per_request, connection_ns };
            (planned.cpu_source != CpuSourceKind::None).then_some((
                planned.id.as_str(),
                planned.role.as_str(),
                terms,
            ))
        })
        .collect();
    let baseline = found.iter().find(|(_, role, _)| *role == BASELINE_ROLE).or(found.first())?;
    let row = |&(variant, _, terms): &(&str, &str, Terms)| BreakEvenRow {
        variant: variant.to_owned(),
        terms,
        more_shares: REQUESTS.map(|n| more_share(terms, baseline.2, n)),
    };
    (found.len() > 1)
        .then(|| BreakEven { baseline: baseline.0.into(), rows: found.iter().map(row).collect() })
}

/// By how much a variant costs more than another at so many requests per connection, as a share.
#[must_use]
pub fn more_share(variant: Terms, baseline: Terms, requests: Option<u64>) -> f64 {
    variant.per_request_ns(requests) / baseline.per_request_ns(requests) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_connection_is_shared_by_its_requests() {
        let terms = Terms { request_ns: 100_000, connection_ns: 250_000 };
        let found = [Some(0), Some(1), Some(10), Some(1_000), None]
            .map(|requests| terms.per_request_ns(requests));
        assert_eq!(found, [350_000.0, 350_000.0, 125_000.0, 100_250.0, 100_000.0]);
        assert_eq!(terms.even_at(), Some(3));
        assert_eq!(Terms { request_ns: 0, ..terms }.even_at(), None);
    }

    #[test]
    fn a_certificate_is_dear_for_one_request_and_free_for_many() {
        let found = of_cell(&testing::full(), "").unwrap();
        assert_eq!(found.baseline, "s1");
        let rows: Vec<&str> = found.rows.iter().map(|row| row.variant.as_str()).collect();
        assert_eq!(rows, ["s0", "s1", "s3"]);
        let [at_one, .., forever] = found.rows[2].more_shares;
        // (90 + 200) / (90 + 125) and 90 / 90.
        assert!((at_one - 75.0 / 215.0).abs() < 1e-9, "{at_one}");
        assert_eq!(forever, 0.0);
        assert_eq!(found.rows[1].more_shares, [0.0; 5]);
    }

    #[test]
    fn one_variant_breaks_even_with_nothing() {
        let mut run = testing::full();
        run.results.retain(|result| result.variant == "s1");
        assert_eq!(of_cell(&run, ""), None);
        assert_eq!(of_cell(&run, "elsewhere"), None);
    }
}
