//! That a slice was what its label says, asserted from the servers' counters and from the
//! client's connections.
//!
//! Before and after a slice every process's metrics page is read; what happened in between must
//! match the variant: TLS version and kind of handshake, client certificates, how each token was
//! looked at, how far the policy went, and that as many requests arrived as were sent. Of servers
//! that are not ours only the client's side can be asserted. Pure: the pages are handed in. A
//! claim that cannot be verified because a counter is missing does not hold.

use authn::{Profile, TokenCheck, Transport};
use metrics_export::prometheus::Scrape;
use metrics_export::run::{Handshakes, SliceKind};

use crate::experiment::SliceProof;
use crate::plan::{HandshakeKind, PlannedCell, Subject, TokenSupply, Variant};
use crate::traffic::record::SliceRecord;

const CONNECTIONS: &str = "tollgate_connections_total";
const TOKENS: &str = "tollgate_token_verifications_total";
const DECISIONS: &str = "tollgate_policy_decisions_total";
const REQUESTS: &str = "http_server_request_duration_seconds_count";

/// The version that every TLS connection must have.
const TLS_VERSION: &str = "TLSv1.3";

/// How many tokens a service may look at anew in a slice of repeats: its peer's own token is
/// replaced before it ends, and each core sees the new one once.
const NEW_TOKENS_MAX: f64 = 8.0;

/// Full handshakes in a slice of resumed ones: one for each connection that is open at a time,
/// and as many again for those that ran out of tickets.
const FULL_BEFORE_RESUMED_MAX: u64 = 16;

/// The pages of one process around a slice.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    /// The service's name.
    pub service: String,
    /// Read before the slice.
    pub before: Scrape,
    /// Read after it.
    pub after: Scrape,
}

/// What the slice sent where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    /// The variant.
    pub variant: &'a Variant,
    /// Its cell.
    pub cell: &'a PlannedCell,
    /// What the slice did.
    pub kind: SliceKind,
    /// The generator's record.
    pub record: &'a SliceRecord,
    /// The services that each request passes once, the first being the one that the generator
    /// talks to.
    pub path: &'a [&'a str],
}

/// Checks all claims about a slice.
#[must_use]
pub(crate) fn proofs(sent: &Sent<'_>, pages: &[Pages]) -> Vec<SliceProof> {
    let mut proofs = vec![client_transport(sent), client_certificate(sent)];
    if let Subject::Profile(profile) = sent.variant.subject {
        proofs.push(server_transport(sent, profile, pages));
        proofs.push(requests(sent, pages));
        proofs.push(tokens(sent, pages));
        proofs.push(policy(sent, profile, pages));
    }
    proofs.push(replies(sent));
    if sent.kind == SliceKind::Connect {
        proofs.push(new_connections(sent, pages));
    }
    proofs
}

/// New connections in the slice by their handshake, as the server that was addressed counted them.
#[must_use]
pub(crate) fn server_handshakes(sent: &Sent<'_>, pages: &[Pages]) -> Option<Handshakes> {
    let first = sent.path.first()?;
    let of = |kind: &str| {
        // A kind that never happened has no series.
        let count = between(pages, first, CONNECTIONS, &[("handshake", kind)]);
        count.map_or(0, |count| count.max(0.0) as u64)
    };
    between(pages, first, CONNECTIONS, &[])?;
    Some(Handshakes { none: of("none"), full: of("full"), resumed: of("resumed") })
}

/// No order was refused, and no other reply was wrong.
fn replies(sent: &Sent<'_>) -> SliceProof {
    let statuses: Vec<String> = sent
        .record
        .statuses
        .iter()
        .map(|(status, count)| format!("{count} of status {status}"))
        .collect();
    let found = format!("{}; errors: {}", statuses.join(", "), sent.record.errors.total());
    let holds = sent.record.accounted() && !sent.record.statuses.contains_key(&409);
    SliceProof { claim: "no order was refused because stock ran out", holds, found }
}

/// Each request had a connection of its own, and each of those the handshake that was asked for:
/// full, or resumed but for the first of each place, which had nothing to resume.
fn new_connections(sent: &Sent<'_>, pages: &[Pages]) -> SliceProof {
    let record = sent.record;
    let connections = &record.connections;
    let opened = connections.opened;
    let arrived = server_handshakes(sent, pages);
    let seen = arrived.map_or_else(
        || "the server counts none".into(),
        |seen| {
            format!(
                "the server saw {} plain, {} full, {} resumed",
                seen.none, seen.full, seen.resumed
            )
        },
    );
    let (full, resumed) = (connections.handshakes_full, connections.handshakes_resumed);
    let all_arrived = arrived.is_none_or(|seen| {
        let count = seen.none + seen.full + seen.resumed;
        count >= record.requests_answered && count <= opened && seen.resumed <= resumed
    });
    let as_asked = match (sent.variant.subject.is_plain(), sent.cell.handshake) {
        (true, _) => full + resumed == 0,
        (false, HandshakeKind::Full) if sent.variant.subject.resumes() => {
            full + resumed >= record.requests_answered
        }
        (false, HandshakeKind::Full) => full >= record.requests_answered && resumed == 0,
        (false, HandshakeKind::Resumed) => {
            resumed + FULL_BEFORE_RESUMED_MAX >= record.requests_answered
                && full <= FULL_BEFORE_RESUMED_MAX
        }
    };
    let claim = match sent.cell.handshake {
        HandshakeKind::Full => "every request had a new connection",
        HandshakeKind::Resumed => "every request had a new connection, resumed where it could be",
    };
    let holds = opened >= record.requests_answered && all_arrived && as_asked;
    let ok = record.requests_answered;
    let found = format!(
        "{ok} requests, {opened} connections opened, {full} full and {resumed} resumed handshakes; \
         {seen}"
    );
    SliceProof { claim, holds, found }
}

/// A server that asks for a certificate was shown one at every full handshake, and answered; one
/// that does not was shown none. A resumed session has shown it before.
fn client_certificate(sent: &Sent<'_>) -> SliceProof {
    let connections = &sent.record.connections;
    let (presented, full) = (connections.certificates_presented, connections.handshakes_full);
    let (claim, holds) = if sent.variant.subject.has_certificate() {
        ("a client certificate was presented and accepted", presented >= full)
    } else {
        ("no client certificate was presented", presented == 0)
    };
    let holds = holds && (sent.record.requests_answered > 0 || sent.record.requests_sent == 0);
    let ok = sent.record.requests_answered;
    let found = format!("presented at {presented} of {full} full handshakes, {ok} good replies");
    SliceProof { claim, holds, found }
}

/// As the generator's own connections tell it.
fn client_transport(sent: &Sent<'_>) -> SliceProof {
    let tls = &sent.record.tls;
    let found: Vec<String> = tls
        .iter()
        .map(|proof| {
            let resumed = if proof.resumed { " resumed" } else { "" };
            let unbound = match proof.extended_master_secret {
                true => "",
                false => " without extended master secret",
            };
            let (version, suite, group) = (&proof.version, &proof.suite, &proof.group);
            format!("{} connections {version} {suite} {group}{resumed}{unbound}", proof.connections)
        })
        .collect();
    let connections = &sent.record.connections;
    let ours = sent.variant.subject.profile().is_some();
    let resumption =
        sent.cell.handshake == HandshakeKind::Resumed || sent.variant.subject.resumes();
    let right = |version: &str, resumed: bool| {
        (!ours || version == TLS_VERSION) && (resumption || !resumed)
    };
    let holds = if sent.variant.subject.is_plain() {
        tls.is_empty() && connections.handshakes_full + connections.handshakes_resumed == 0
    } else {
        // Of a stranger's versions there must be one, or two things would be measured as one.
        let same =
            tls.iter().all(|proof| proof.version == tls[0].version && proof.suite == tls[0].suite);
        !tls.is_empty()
            && same
            && tls.iter().all(|proof| right(proof.version, proof.resumed))
            && (resumption || connections.handshakes_resumed == 0)
    };
    let claim = if ours {
        "the generator's connections are the profile's"
    } else {
        "all connections agreed on the same"
    };
    let found = if found.is_empty() { "connections without TLS".into() } else { found.join(", ") };
    SliceProof { claim, holds, found }
}

/// As every service tells it, of all connections since it was started.
fn server_transport(sent: &Sent<'_>, profile: Profile, pages: &[Pages]) -> SliceProof {
    let resumption = sent.cell.handshake == HandshakeKind::Resumed;
    let mut wrong = Vec::new();
    let mut connections = 0.0;
    for page in pages {
        for sample in page.after.samples.iter().filter(|sample| sample.name == CONNECTIONS) {
            let label = |key: &str| {
                let found = sample.labels.iter().find(|(name, _)| name == key);
                found.map_or("", |(_, value)| value.as_str())
            };
            connections += sample.value;
            if sample.value > 0.0 && !fits(profile, resumption, &label) {
                wrong.push(format!(
                    "{} at {}: TLS {}, handshake {}, client certificate {}",
                    sample.value,
                    page.service,
                    label("tls_version"),
                    label("handshake"),
                    label("client_certificate"),
                ));
            }
        }
    }
    let first = pages.iter().find(|page| sent.path.first() == Some(&page.service.as_str()));
    let arrived = first.and_then(|page| page.after.sum(CONNECTIONS, &[])).unwrap_or(0.0);
    let holds = wrong.is_empty() && arrived > 0.0;
    let found = match (wrong.is_empty(), arrived > 0.0) {
        (false, _) => wrong.join("; "),
        (true, true) => format!("{connections} connections at all services, all as they must be"),
        (true, false) => "no connection was counted by the service that was measured".into(),
    };
    SliceProof { claim: "every service's connections are the profile's", holds, found }
}

fn fits<'a>(profile: Profile, resumption: bool, label: &impl Fn(&str) -> &'a str) -> bool {
    let (version, handshake) = (label("tls_version"), label("handshake"));
    let handshaken = handshake == "full" || (resumption && handshake == "resumed");
    let certificate = label("client_certificate");
    match profile.transport {
        Transport::Plain => version == "none" && handshake == "none",
        Transport::Tls => version == TLS_VERSION && handshaken && certificate == "none",
        Transport::Mutual => version == TLS_VERSION && handshaken && certificate == "named",
    }
}

/// As many requests as were sent arrived at each service of the path.
fn requests(sent: &Sent<'_>, pages: &[Pages]) -> SliceProof {
    let mut found = Vec::new();
    let mut holds = true;
    for service in sent.path {
        let arrived = between(pages, service, REQUESTS, &[]);
        found.push(format!("{service} {}", shown(arrived)));
        holds &= arrived.is_some_and(|arrived| enough(sent, arrived));
    }
    let claim = "as many requests arrived as were sent";
    SliceProof {
        claim,
        holds,
        found: format!("sent {}, {}", sent.record.requests_sent, found.join(", ")),
    }
}

/// How each token was looked at.
fn tokens(sent: &Sent<'_>, pages: &[Pages]) -> SliceProof {
    let by_orders = sent.path.contains(&"orders");
    let mut found = Vec::new();
    let mut holds = true;
    for service in sent.path {
        let of = |labels: &[(&str, &str)]| between(pages, service, TOKENS, labels);
        let [hit, miss, off] =
            ["hit", "miss", "off"].map(|cache| of(&[("result", "ok"), ("cache", cache)]));
        let (Some(all), Some(hit), Some(miss), Some(off)) = (of(&[]), hit, miss, off) else {
            holds = false;
            found.push(format!("{service} counts no tokens"));
            continue;
        };
        let refused = all - hit - miss - off;
        found.push(format!("{service} {hit} hits, {miss} misses, {off} without a cache"));
        holds &= refused == 0.0
            && match (sent.variant.tokens, sent.variant.token_cache) {
                (TokenSupply::None, _) => all == 0.0,
                (_, false) => enough(sent, off) && hit == 0.0 && miss == 0.0,
                // A pool larger than the cache: by the time a token comes round it is gone. Orders
                // calls inventory with a token of its own, and the stock was filled with one.
                (TokenSupply::Unique(_), true) if *service == "inventory" && by_orders => {
                    enough(sent, hit + miss) && miss <= NEW_TOKENS_MAX && off == 0.0
                }
                (TokenSupply::Unique(_), true) => {
                    enough(sent, hit + miss) && hit <= NEW_TOKENS_MAX && off == 0.0
                }
                (TokenSupply::One, true) => {
                    enough(sent, hit + miss) && miss <= NEW_TOKENS_MAX && off == 0.0
                }
            };
    }
    let claim = match (sent.variant.tokens, sent.variant.token_cache) {
        (TokenSupply::None, _) => "no token was looked at",
        (_, false) => "every token was verified, none from a cache",
        (TokenSupply::Unique(_), true) => "every token was new to the cache",
        (TokenSupply::One, true) => "every token was verified before and found in the cache",
    };
    SliceProof { claim, holds, found: found.join(", ") }
}

/// How far the policy went.
fn policy(sent: &Sent<'_>, profile: Profile, pages: &[Pages]) -> SliceProof {
    let (decision, claim) = match profile.token {
        TokenCheck::Ignore => ("open", "no token was asked for"),
        TokenCheck::Verify => ("token_verified", "a token was asked for, and no scope"),
        TokenCheck::VerifyScopes => ("enforced", "token, scope and caller were checked"),
    };
    let mut found = Vec::new();
    let mut holds = true;
    for service in sent.path {
        let all = between(pages, service, DECISIONS, &[]);
        let right = between(pages, service, DECISIONS, &[("decision", decision)]);
        holds &= match (all, right) {
            (Some(all), Some(right)) => enough(sent, right) && all == right,
            _ => false,
        };
        found.push(format!("{service} {} {decision} of {}", shown(right), shown(all)));
    }
    SliceProof { claim, holds, found: found.join(", ") }
}

/// Whether a count at a service matches what was sent. A single server that serves all routes
/// counts its calls to itself as well. Requests that failed may have been counted or not.
fn enough(sent: &Sent<'_>, count: f64) -> bool {
    let at_least = sent.record.requests_answered as f64;
    let failed = sent.record.errors.total() as f64;
    let at_most = sent.record.requests_sent as f64 + failed;
    count >= at_least && (count <= at_most || sent.path == ["all"])
}

/// How much a counter of a service rose; None when the service has no such counter. One whose
/// labels had no series before began at nothing.
fn between(pages: &[Pages], service: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let page = pages.iter().find(|page| page.service == service)?;
    let after = page.after.sum(name, labels)?;
    Some(after - page.before.sum(name, labels).unwrap_or(0.0))
}

fn shown(count: Option<f64>) -> String {
    count.map_or_else(|| "nothing counted".into(), |count| count.to_string())
}

#[cfg(test)]
mod tests;
