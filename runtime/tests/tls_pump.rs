//! Two pumps joined in memory: whatever way the bytes between them are cut, the same plaintext
//! arrives, the facts agree at both ends, and failures are named on the side they reach.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]

mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use proptest::prelude::*;
use runtime::tls::{Handshake, Pump, TlsError};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use support::{Pki, localhost};

/// Both ends and what is on the wire between them.
struct Pair {
    client: Pump,
    server: Pump,
    at_client: Vec<u8>,
    at_server: Vec<u8>,
    cuts: Box<dyn Iterator<Item = usize>>,
}

impl Pair {
    fn new(client: Pump, server: Pump) -> Pair {
        Pair {
            client,
            server,
            at_client: Vec::new(),
            at_server: Vec::new(),
            cuts: Box::new(std::iter::repeat(usize::MAX)),
        }
    }

    /// Carries bytes both ways until neither side has any left.
    fn settle(&mut self) -> Result<(), (&'static str, TlsError)> {
        loop {
            let mut wire = Vec::new();
            self.client.take(&mut wire);
            let server = carry(&mut self.server, &wire, &mut self.at_server, &mut self.cuts);
            let mut back = Vec::new();
            self.server.take(&mut back);
            let client = carry(&mut self.client, &back, &mut self.at_client, &mut self.cuts);
            server.map_err(|error| ("server", error))?;
            client.map_err(|error| ("client", error))?;
            if wire.is_empty() && back.is_empty() {
                return Ok(());
            }
        }
    }

    /// Lets one end write `plain` and the other read it.
    fn says(&mut self, to_server: bool, plain: &[u8]) {
        let (from, to, at) = if to_server {
            (&mut self.client, &mut self.server, &mut self.at_server)
        } else {
            (&mut self.server, &mut self.client, &mut self.at_client)
        };
        let mut wire = Vec::new();
        from.write(plain, &mut wire).unwrap();
        carry(to, &wire, at, &mut self.cuts).unwrap();
    }
}

fn carry(
    to: &mut Pump,
    wire: &[u8],
    plain: &mut Vec<u8>,
    cuts: &mut dyn Iterator<Item = usize>,
) -> Result<(), TlsError> {
    let mut wire = wire.to_vec();
    let mut rest = &mut wire[..];
    while !rest.is_empty() {
        let size = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (piece, later) = rest.split_at_mut(size);
        to.feed(piece, plain)?;
        rest = later;
    }
    Ok(())
}

fn pair(pki: &Pki, mutual: bool, identity: bool) -> Pair {
    let client = Pump::client(pki.client(identity, false), localhost()).unwrap();
    Pair::new(client, Pump::server(pki.server(mutual)).unwrap())
}

#[test]
fn facts_agree_at_both_ends() {
    let pki = Pki::new();
    for mutual in [false, true] {
        let mut pair = pair(&pki, mutual, mutual);
        assert!(pair.client.facts().is_none(), "nothing is agreed on yet");
        pair.settle().unwrap();
        let (client, server) = (pair.client.facts().unwrap(), pair.server.facts().unwrap());
        assert_eq!(client.version, "TLSv1.3");
        assert_eq!(client.suite, "TLS_AES_256_GCM_SHA384");
        assert_eq!(client.group, "X25519");
        assert_eq!(client.handshake, Handshake::Full);
        assert_eq!((client.suite, client.group), (server.suite, server.group));
        assert_eq!(client.certificates.unwrap().len(), 1, "the server's certificate");
        assert_eq!(server.certificates.is_some(), mutual);
        assert_eq!(client.cipher_bytes_out, server.cipher_bytes_in);
        assert_eq!(server.cipher_bytes_out, client.cipher_bytes_in);
    }
}

#[test]
fn tls_1_2_is_named_as_such() {
    let pki = Pki::new();
    let server = Pump::server(pki.server_with(true, &[&rustls::version::TLS12])).unwrap();
    let mut pair = Pair::new(Pump::client(pki.client(true, false), localhost()).unwrap(), server);
    pair.settle().unwrap();
    let facts = pair.server.facts().unwrap();
    assert_eq!(facts.version, "TLSv1.2");
    assert!(facts.suite.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", facts.suite);
    assert!(facts.certificates.is_some());
    pair.cuts = Box::new([1, 3, 700].into_iter().cycle());
    let body = [b'x'; 40_000];
    pair.says(true, &body);
    pair.says(false, &body);
    assert!(pair.at_server == body && pair.at_client == body);
    pair.client.close(&mut Vec::new());
    let mut wire = Vec::new();
    pair.server.close(&mut wire);
    pair.client.feed(&mut wire, &mut pair.at_client).unwrap();
    assert!(pair.client.peer_closed());
}

#[test]
fn a_second_connection_resumes_only_where_allowed() {
    let pki = Pki::new();
    for resumption in [false, true] {
        let server = pki.server(false);
        let client = pki.client(false, resumption);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let pump = Pump::client(client.clone(), localhost()).unwrap();
            let mut pair = Pair::new(pump, Pump::server(server.clone()).unwrap());
            pair.settle().unwrap();
            let (client, server) = (pair.client.facts().unwrap(), pair.server.facts().unwrap());
            assert_eq!(client.handshake, server.handshake);
            kinds.push(client.handshake);
        }
        let second = if resumption { Handshake::Resumed } else { Handshake::Full };
        assert_eq!(kinds, [Handshake::Full, second]);
    }
}

#[test]
fn a_large_body_goes_through_in_both_directions() {
    let body: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    // Whole, in reads of a page, and in reads that hold several records.
    for size in [usize::MAX, 4096, 60_000] {
        let mut pair = pair(&Pki::new(), false, false);
        pair.settle().unwrap();
        pair.cuts = Box::new(std::iter::repeat(size));
        pair.says(true, &body);
        assert!(pair.at_server == body, "client to server");
        pair.says(false, &body);
        assert!(pair.at_client == body, "server to client");
    }
}

#[test]
fn close_notify_is_distinguished_from_data() {
    let mut pair = pair(&Pki::new(), false, false);
    pair.settle().unwrap();
    let mut wire = Vec::new();
    pair.server.write(b"last", &mut wire).unwrap();
    pair.server.close(&mut wire);
    wire.extend_from_slice(b"bytes after the end mean nothing");
    assert!(!pair.client.peer_closed());
    pair.client.feed(&mut wire, &mut pair.at_client).unwrap();
    assert_eq!(pair.at_client, b"last");
    assert!(pair.client.peer_closed());
    assert!(!pair.server.peer_closed());
}

#[test]
fn plaintext_before_the_handshake_is_refused_not_kept() {
    let mut pair = pair(&Pki::new(), false, false);
    let error = pair.client.write(b"early", &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("handshake"), "{error}");
    pair.settle().unwrap();
    assert!(pair.at_server.is_empty());
}

#[test]
fn a_request_behind_the_last_handshake_message_is_read_with_it() {
    for mutual in [false, true] {
        let mut pair = pair(&Pki::new(), mutual, mutual);
        let mut wire = Vec::new();
        pair.client.take(&mut wire);
        pair.server.feed(&mut wire, &mut pair.at_server).unwrap();
        wire.clear();
        pair.server.take(&mut wire);
        pair.client.feed(&mut wire, &mut pair.at_client).unwrap();
        assert!(pair.client.ready() && !pair.server.ready());
        wire.clear();
        pair.client.write(b"request", &mut wire).unwrap();
        pair.client.close(&mut wire);
        pair.server.feed(&mut wire, &mut pair.at_server).unwrap();
        assert!(pair.server.ready() && pair.server.peer_closed());
        assert_eq!(pair.at_server, b"request");
    }
}

#[test]
fn a_failure_is_final_and_reported_once() {
    let mut pair = pair(&Pki::new(), false, false);
    pair.settle().unwrap();
    let mut wire = Vec::new();
    pair.client.write(b"whole", &mut wire).unwrap();
    pair.client.write(b"garbled", &mut wire).unwrap();
    *wire.last_mut().unwrap() ^= 1;
    let error = pair.server.feed(&mut wire, &mut pair.at_server).unwrap_err();
    assert_eq!(pair.at_server, b"whole", "what came before is good");
    let mut alert = Vec::new();
    assert!(pair.server.wants_write() && pair.server.take(&mut alert) > 0);
    let refused = pair.client.feed(&mut alert, &mut pair.at_client).unwrap_err();
    assert_eq!(refused.alert(), Some("bad_record_mac"));
    // Neither more input nor output changes anything.
    wire.clear();
    pair.client.close(&mut wire);
    assert!(wire.is_empty() && !pair.client.peer_closed());
    assert_eq!(pair.server.feed(&mut [0; 3], &mut Vec::new()).unwrap_err(), error);
    assert_eq!(pair.server.write(b"more", &mut wire).unwrap_err(), error);
    pair.server.close(&mut wire);
    assert!(wire.is_empty() && !pair.server.wants_write());
}

/// A peer that is rustls itself, with the parts of TLS that a pump answers but does not begin.
struct Peer(Connection);

impl Peer {
    /// Hands over what the peer has to say, and reads what the pump has.
    fn exchange(&mut self, pump: &mut Pump) -> (Vec<u8>, Vec<u8>) {
        let (mut wire, mut at_pump, mut at_peer) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            wire.clear();
            while self.0.wants_write() {
                self.0.write_tls(&mut wire).unwrap();
            }
            let silent = wire.is_empty() && !pump.wants_write();
            // A byte at a time: whatever is unfinished is kept.
            wire.chunks_mut(1).for_each(|byte| pump.feed(byte, &mut at_pump).unwrap());
            wire.clear();
            pump.take(&mut wire);
            self.hear(&wire, &mut at_peer);
            if silent {
                return (at_pump, at_peer);
            }
        }
    }

    fn hear(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) {
        while !wire.is_empty() {
            self.0.read_tls(&mut wire).unwrap();
            self.0.process_new_packets().unwrap();
            // An error says that there is no more for now.
            let _ = self.0.reader().read_to_end(plain);
        }
    }
}

/// A pump and a peer at either end.
fn with_a_peer(pki: &Pki) -> [(Pump, Peer); 2] {
    let mut half_early = Arc::unwrap_or_clone(pki.server(false));
    half_early.send_half_rtt_data = true;
    let server = ServerConnection::new(Arc::new(half_early)).unwrap();
    let client = ClientConnection::new(pki.client(false, false), localhost()).unwrap();
    [
        (Pump::client(pki.client(false, false), localhost()).unwrap(), Peer(server.into())),
        (Pump::server(pki.server(false)).unwrap(), Peer(client.into())),
    ]
}

#[test]
fn new_keys_are_taken_and_answered_between_data() {
    for (mut pump, mut peer) in with_a_peer(&Pki::new()) {
        peer.exchange(&mut pump);
        for round in 0..3 {
            peer.0.writer().write_all(b"old ").unwrap();
            peer.0.refresh_traffic_keys().unwrap();
            peer.0.writer().write_all(b"new").unwrap();
            assert_eq!(peer.exchange(&mut pump).0, b"old new", "round {round}");
            // The answer goes out before the next data, in one write.
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            pump.write(b"answer", &mut wire).unwrap();
            assert!(wire.len() > b"answer".len() + 40, "two records");
            peer.hear(&wire, &mut plain);
            assert_eq!(plain, b"answer", "round {round}");
        }
    }
}

#[test]
fn data_before_our_last_handshake_message_is_read() {
    let [(mut client, mut server), _] = with_a_peer(&Pki::new());
    server.0.writer().write_all(b"half a round trip early").unwrap();
    let mut wire = Vec::new();
    client.take(&mut wire);
    server.hear(&wire, &mut Vec::new());
    let (mut flight, mut plain) = (Vec::new(), Vec::new());
    while server.0.wants_write() {
        server.0.write_tls(&mut flight).unwrap();
    }
    assert!(server.0.is_handshaking(), "the client has not answered");
    client.feed(&mut flight, &mut plain).unwrap();
    assert!(client.ready());
    assert_eq!(plain, b"half a round trip early");
}

#[test]
fn a_missing_client_certificate_is_an_alert_with_a_name() {
    let mut pair = pair(&Pki::new(), true, false);
    let (side, error) = pair.settle().unwrap_err();
    assert_eq!((side, error.alert()), ("server", None));
    assert!(error.to_string().contains("presented no certificate"), "{error}");
    // The alert was taken and carried in the same round: the client, which was ready before the
    // server judged it, learns why.
    assert!(pair.client.ready());
    let error = pair.client.feed(&mut [0], &mut Vec::new()).unwrap_err();
    assert_eq!(error.alert(), Some("certificate_required"));
    assert!(error.to_string().contains("client certificate"), "{error}");
}

#[test]
fn an_unknown_ca_and_a_wrong_name_are_distinguished() {
    let pki = Pki::new();
    let stranger = Pki::new().client(false, false);
    let wrong = ServerName::try_from("other.example").unwrap();
    for (config, name, needle) in [
        (stranger, localhost(), "did not sign it"),
        (pki.client(false, false), wrong, "not valid for name"),
    ] {
        let client = Pump::client(config, name).unwrap();
        let mut pair = Pair::new(client, Pump::server(pki.server(false)).unwrap());
        let (side, error) = pair.settle().unwrap_err();
        assert_eq!(side, "client");
        assert!(error.to_string().contains(needle), "{error}");
        let mut alert = Vec::new();
        assert!(pair.client.take(&mut alert) > 0, "the server is told");
        assert!(pair.server.feed(&mut alert, &mut Vec::new()).unwrap_err().alert().is_some());
    }
}

#[test]
fn plain_http_on_a_tls_port_is_refused_with_an_alert() {
    let mut server = Pump::server(Pki::new().server(false)).unwrap();
    let error = server.feed(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    let mut alert = Vec::new();
    server.take(&mut alert);
    assert_eq!(alert[0], 21, "an alert record");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_split_gives_the_same_plaintext(
        cuts in prop::collection::vec(1_usize..600, 1..40),
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 1..5),
    ) {
        let mut pair = pair(&Pki::new(), true, true);
        pair.cuts = Box::new(cuts.into_iter().cycle());
        pair.settle().unwrap();
        for message in &messages {
            pair.says(true, message);
            pair.says(false, message);
        }
        let all = messages.concat();
        prop_assert_eq!(&pair.at_server, &all);
        prop_assert_eq!(&pair.at_client, &all);
    }
}
