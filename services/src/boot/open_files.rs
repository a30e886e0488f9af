//! How the limit of open files is shared out: every connection is a file, and so are listeners,
//! rings and whatever the service reads.
//!
//! It owns the arithmetic. Clients get what is left after a reserve for connections to upstreams,
//! the admin listener and the process itself; so they can never take what those need.

use runtime::{ServerLimits, UpstreamConfig};

use crate::boot::launch::plan;
use crate::config::ServiceConfig;
use crate::config::error::ServeError;

/// Files that are neither a client's nor an upstream's: standard streams, listeners and rings of a
/// few workers, the admin listener's connections, files that are read.
const OWN: usize = 64;

/// Connections that the admin listener has at any rate.
const ADMIN_MIN: usize = 2;

/// Files that a process of so many workers has open by itself, which no small limit makes fewer.
fn held(workers: usize) -> usize {
    13 + 5 * workers
}

/// The process's part of the reserve: up to five workers need no more than [`OWN`].
fn own(workers: usize) -> usize {
    OWN.max(34 + 6 * workers)
}

/// Who may have how many files open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    /// Connections of clients, over all cores.
    connections: usize,
    /// Connections of one core to one upstream.
    upstream_connections: usize,
    /// Connections to the admin listener.
    admin_connections: usize,
}

impl Shares {
    /// Shares out `limit` files where `connections` of clients are wanted, as many as
    /// `upstream_connections` by each of `pools`, and by the process itself what so many workers
    /// need.
    fn of(
        limit: usize,
        connections: usize,
        (pools, upstream_connections): (usize, usize),
        workers: usize,
    ) -> Shares {
        let (held, own) = (held(workers), own(workers));
        let upstreams = pools.saturating_mul(upstream_connections);
        let reserve = (limit / 4).min(upstreams.saturating_add(own));
        // A quarter of a small limit is less than the process has open itself.
        let reserve = reserve.max(held + ADMIN_MIN + pools);
        let connections = connections.min(limit.saturating_sub(reserve)).max(1);
        let own = own.min(reserve / 2).max(held + ADMIN_MIN);
        let left = limit.saturating_sub(connections + own);
        let each = left.checked_div(pools).map_or(upstream_connections, |each| each.max(1));
        Shares {
            connections,
            upstream_connections: upstream_connections.min(each),
            admin_connections: (own.min(OWN) / 4).min(own - held),
        }
    }
}

/// Caps the limits of `config` so that they fit the limit of open files, and logs them.
///
/// # Errors
/// When the cores of the configuration cannot be had.
pub(super) fn fit(config: &mut ServiceConfig) -> Result<(), ServeError> {
    let limit = match runtime::process::file_limit() {
        Ok(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is not known");
            return Ok(());
        }
    };
    let upstreams = config.role.upstreams().count();
    let workers = plan(config)?.workers();
    let wanted = config.limits.connections_max.unwrap_or(ServerLimits::default().connections_max);
    let each = config.role.outbound().and_then(|outbound| outbound.connections_max);
    let each = each.unwrap_or(UpstreamConfig::CONNECTIONS_MAX);
    let shares = Shares::of(limit, wanted, (upstreams * workers, each), workers);
    config.limits.connections_max = Some(shares.connections);
    if let Some(outbound) = config.role.outbound_mut() {
        outbound.connections_max = Some(shares.upstream_connections);
    }
    config.limits.admin_connections_max = Some(shares.admin_connections);
    let (service, connections) = (config.kind().name(), shares.connections);
    let (upstream_connections, admin_connections) =
        (shares.upstream_connections, shares.admin_connections);
    tracing::info!(
        service,
        open_files = limit,
        connections,
        upstream_connections,
        admin_connections,
        "what may be open at a time"
    );
    if connections < wanted || upstream_connections < each {
        tracing::warn!(
            service,
            "the limit of open files ({limit}) leaves room for {connections} of {wanted} \
             connections and for {upstream_connections} of {each} from a core to an upstream; \
             raise it (ulimit -n, LimitNOFILE)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_keeps_a_quarter_for_everything_else() {
        let shares = Shares::of(256, 16_384, (1, 1024), 1);
        let expected = Shares { connections: 192, upstream_connections: 32, admin_connections: 8 };
        assert_eq!(shares, expected);
        assert_eq!(Shares::of(1024, 16_384, (6, 1024), 2).connections, 768);
    }

    #[test]
    fn a_large_limit_keeps_what_upstreams_may_take_and_64() {
        let shares = Shares::of(20_000, 100_000, (2, 1024), 1);
        let expected = Shares {
            connections: 20_000 - 2 * 1024 - 64,
            upstream_connections: 1024,
            admin_connections: 16,
        };
        assert_eq!(shares, expected);
        assert_eq!(Shares::of(20_000, 100_000, (0, 1024), 5).connections, 20_000 - 64);
        assert_eq!(Shares::of(20_000, 100_000, (0, 1024), 16).connections, 20_000 - 130);
    }

    #[test]
    fn limits_that_fit_are_unchanged() {
        let shares = Shares::of(usize::MAX, 16_384, (48, 1024), 16);
        assert_eq!((shares.connections, shares.upstream_connections), (16_384, 1024));
        // Few clients leave upstreams more than the reserve.
        assert_eq!(Shares::of(4096, 100, (3, 1024), 1).upstream_connections, 1024);
    }

    #[test]
    fn everything_together_fits_any_limit() {
        for limit in (64..2000).chain([4096, 65_536, 1 << 20]) {
            for (pools, workers) in [(0, 1), (1, 1), (3, 1), (6, 2), (4, 4)] {
                let shares = Shares::of(limit, 16_384, (pools, 1024), workers);
                let upstreams = if pools == 0 { 0 } else { pools * shares.upstream_connections };
                let process = held(workers) + shares.admin_connections;
                let all = shares.connections + upstreams + process;
                assert!(all <= limit, "{limit} with {pools}: {shares:?}");
            }
        }
    }
}
