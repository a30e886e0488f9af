//! What the runtime counts about sockets, TLS and upstreams, added up over the cores and named.

use metrics_export::prometheus::Page;
use runtime::WaitKind;
use runtime::stats::{CoreStats, Counter};
use runtime::tls::HandshakeFailure;

/// Adds the families of connections, handshakes, bytes, deadlines and upstreams.
pub fn add(page: &mut Page, cores: &[CoreStats]) {
    let sum =
        |of: fn(&CoreStats) -> &Counter| -> u64 { cores.iter().map(|core| of(core).value()).sum() };

    page.gauge("tollgate_connections_open", "Connections open now.")
        .value(&[], sum(|core| &core.connections_open));
    page.counter("tollgate_connections_accepted_total", "Connections accepted.")
        .value(&[], sum(|core| &core.connections_accepted));
    page.counter("tollgate_connections_refused_total", "Connections beyond the limit.")
        .value(&[], sum(|core| &core.connections_refused));
    page.counter(
        "tollgate_address_refusals_total",
        "Connections closed and requests refused because their address had as many as it may.",
    )
    .value(&[("what", "connection")], sum(|core| &core.address_connections_refused))
    .value(&[("what", "request")], sum(|core| &core.address_requests_refused));
    page.gauge("tollgate_body_memory_bytes", "Memory of request bodies, beyond a page for each.")
        .value(&[], sum(|core| &core.body_bytes_held));
    page.counter("tollgate_bodies_refused_total", "Bodies that found no memory left for them.")
        .value(&[], sum(|core| &core.bodies_refused));
    page.counter("tollgate_accept_errors_total", "Accepts that failed.")
        .value(&[], sum(|core| &core.accept_errors));

    // Whether a handshake that failed would have been a resumed one is not known.
    page.counter("tollgate_tls_handshakes_total", "TLS handshakes by kind and result.")
        .value(&[("kind", "full"), ("result", "ok")], sum(|core| &core.handshakes_full))
        .value(&[("kind", "resumed"), ("result", "ok")], sum(|core| &core.handshakes_resumed))
        .value(&[("kind", "unknown"), ("result", "failed")], failed_handshakes(cores));
    handshake_failures(page, cores);
    page.counter(
        "tollgate_tls_client_certificates_total",
        "TLS handshakes that came with a client certificate.",
    )
    .value(&[], sum(|core| &core.handshakes_client_certificate));

    page.counter("tollgate_requests_total", "Requests whose head was read.")
        .value(&[], sum(|core| &core.requests));
    page.counter(
        "tollgate_requests_malformed_total",
        "Requests refused by the rules of HTTP before any route was looked for.",
    )
    .value(&[], sum(|core| &core.requests_malformed));
    page.counter("tollgate_network_bytes_total", "Bytes of accepted connections, TLS included.")
        .value(&[("direction", "in")], sum(|core| &core.bytes_in))
        .value(&[("direction", "out")], sum(|core| &core.bytes_out));

    let mut deadlines = page.counter("tollgate_deadlines_total", "Deadlines that expired.");
    for kind in WaitKind::ALL {
        let count = cores.iter().map(|core| core.deadlines[kind.index()].value());
        deadlines.value(&[("kind", kind.as_str())], count.sum::<u64>());
    }
    upstreams(page, sum);
}

fn failed_handshakes(cores: &[CoreStats]) -> u64 {
    cores.iter().map(CoreStats::all_handshakes_failed).sum()
}

fn handshake_failures(page: &mut Page, cores: &[CoreStats]) {
    let mut family = page.counter(
        "tollgate_tls_handshakes_failed_total",
        "TLS handshakes that failed, as server or as client of an upstream, by reason.",
    );
    type Failures = fn(&CoreStats) -> &[Counter; HandshakeFailure::ALL.len()];
    let sides: [(&str, Failures); 2] = [
        ("server", |core| &core.handshakes_failed),
        ("client", |core| &core.upstream_handshakes_failed),
    ];
    for (side, failures) in sides {
        for failure in HandshakeFailure::ALL {
            let count = cores.iter().map(|core| failures(core)[failure.index()].value());
            family.value(&[("side", side), ("reason", failure.label())], count.sum::<u64>());
        }
    }
}

fn upstreams(page: &mut Page, sum: impl Fn(fn(&CoreStats) -> &Counter) -> u64) {
    page.gauge("tollgate_upstream_connections_open", "Connections to upstreams, idle ones too.")
        .value(&[], sum(|core| &core.upstream_open));
    page.counter("tollgate_upstream_connections_total", "Connections to upstreams opened.")
        .value(&[], sum(|core| &core.upstream_opened));
    page.counter("tollgate_upstream_handshakes_total", "TLS handshakes with upstreams.")
        .value(&[], sum(|core| &core.upstream_handshakes));
    page.counter(
        "tollgate_upstream_unsolicited_total",
        "Times that an upstream said something unasked, which costs it its connections.",
    )
    .value(&[], sum(|core| &core.upstream_unsolicited));
    page.counter(
        "tollgate_upstream_requests_total",
        "Requests to upstreams, by what became of them.",
    )
    .value(&[("kind", "reused_connection")], sum(|core| &core.upstream_reused))
    .value(&[("kind", "retried")], sum(|core| &core.upstream_retried))
    .value(&[("kind", "failed")], sum(|core| &core.upstream_failed));
}
