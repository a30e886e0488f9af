//! What a TLS connection holds: little while it is idle, also after a burst, and never more than
//! a bounded part of what a hostile peer leaves unfinished. Counted by an allocator that counts.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use runtime::allocations::{self, Counting};
use runtime::tls::Pump;
use runtime::{Broken, Exchange, Peer, ServerLimits, Service, memory};

use support::{Pki, localhost};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// For all of an idle connection's user memory, in bytes. Its task and stream need 1 KiB more.
const IDLE_BYTES_MAX: i64 = 12 * 1024 - 1024;

/// For a connection whose handshake is done, with the bytes in flight that the kernel would hold.
const WAITING_BYTES_MAX: i64 = 7 * 1024;

/// For one whose handshake has only begun: its state, its task, and a page that it is read into.
const HALF_SENT_BYTES_MAX: i64 = 12 * 1024;

/// Carries what TLS has to say by itself until neither end has more.
fn settle(client: &mut Pump, server: &mut Pump) {
    let mut plain = Vec::new();
    while client.wants_write() || server.wants_write() {
        carry(client, server, &mut plain);
        carry(server, client, &mut plain);
    }
    assert!(client.ready() && server.ready() && plain.is_empty());
}

fn carry(from: &mut Pump, to: &mut Pump, plain: &mut Vec<u8>) {
    let mut wire = Vec::new();
    from.take(&mut wire);
    to.feed(&mut wire, plain).unwrap();
}

/// Sends `body` in pieces that cut every record.
fn send(from: &mut Pump, to: &mut Pump, body: &[u8]) {
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    from.write(body, &mut wire).unwrap();
    wire.chunks_mut(4000).for_each(|piece| to.feed(piece, &mut plain).unwrap());
    assert!(plain == body, "as it was sent");
}

/// What each end of a connection holds once the other is gone: `(client, server)`, in bytes.
fn held(pki: &Pki, mutual: bool, body: &[u8]) -> (i64, i64) {
    let (client, mut server) =
        (pki.client(mutual, false), Arc::unwrap_or_clone(pki.server(mutual)));
    // What is kept for a resumption is kept in the configuration.
    server.send_tls13_tickets = 0;
    let server = Arc::new(server);
    let measure = || {
        let start = allocations::held_bytes();
        let mut client = Box::new(Pump::client(client.clone(), localhost()).unwrap());
        let mut server = Box::new(Pump::server(server.clone()).unwrap());
        settle(&mut client, &mut server);
        send(&mut client, &mut server, body);
        send(&mut server, &mut client, body);
        let both = allocations::held_bytes() - start;
        drop(client);
        let server_alone = allocations::held_bytes() - start;
        drop(server);
        (both - server_alone, server_alone)
    };
    // What the configurations keep for all connections comes with the first.
    measure();
    measure()
}

#[test]
fn an_idle_connection_keeps_no_buffer() {
    let pki = Pki::new();
    for mutual in [false, true] {
        let fresh = held(&pki, mutual, &[]);
        let used = held(&pki, mutual, &[b'x'; 200_000]);
        println!("mutual {mutual}, (client, server): {fresh:?} bytes, {used:?} after a burst");
        for bytes in [fresh.0, fresh.1, used.0, used.1] {
            assert!(bytes <= IDLE_BYTES_MAX, "mutual {mutual}: {bytes} bytes");
        }
    }
}

/// A service that nobody asks anything.
struct Unasked;

impl Service for Unasked {
    type Session = ();

    fn open(&self, _: &Peer<'_>) {}

    async fn call(&self, (): &(), _: &mut Exchange<'_>) -> Result<(), Broken> {
        Ok(())
    }
}

#[test]
fn a_connection_waits_for_its_first_request_without_a_buffer() {
    let pki = Pki::new();
    memory::on_core(|core| {
        let tls = Some(pki.server(false));
        let server = memory::MemoryServer::new(core, Unasked, tls, ServerLimits::default());
        let connect = || {
            let start = allocations::held_bytes();
            let mut client = Pump::client(pki.client(false, false), localhost()).unwrap();
            let mut connection = server.connect("127.0.0.1:1".parse().unwrap()).unwrap();
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            while client.wants_write() {
                client.take(&mut wire);
                connection.send(&wire);
                wire.clear();
                connection.take(&mut wire);
                client.feed(&mut wire, &mut plain).unwrap();
                wire.clear();
            }
            assert!(client.ready() && connection.is_open());
            drop((client, wire));
            (allocations::held_bytes() - start, connection)
        };
        // The pool's buffers and what the configurations keep come with the first.
        let _first = connect();
        let (held, _second) = connect();
        println!("{held} bytes with what stands in for the kernel");
        assert!(held < WAITING_BYTES_MAX, "{held} bytes");
    })
    .unwrap();
}

#[test]
fn a_handshake_that_has_only_begun_holds_little() {
    let pki = Pki::new();
    memory::on_core(|core| {
        let tls = Some(pki.server(false));
        let server = memory::MemoryServer::new(core, Unasked, tls, ServerLimits::default());
        let connect = |sent: usize| {
            let mut client = Pump::client(pki.client(false, false), localhost()).unwrap();
            let mut hello = Vec::new();
            client.take(&mut hello);
            drop(client);
            let start = allocations::held_bytes();
            let mut connection = server.connect("127.0.0.1:1".parse().unwrap()).unwrap();
            for byte in &hello[..sent] {
                connection.send(&[*byte]);
            }
            assert!(connection.is_open());
            (allocations::held_bytes() - start, connection)
        };
        let mut kept = vec![connect(1).1];
        for sent in [0, 1, 5, 6, 100] {
            let (held, connection) = connect(sent);
            println!("{held} bytes after {sent} of a ClientHello");
            assert!(held < HALF_SENT_BYTES_MAX, "{held} bytes after {sent} of a ClientHello");
            kept.push(connection);
        }
    })
    .unwrap();
}

#[test]
fn a_message_without_an_end_is_held_to_a_bound() {
    let mut server = Pump::server(Pki::new().server(false)).unwrap();
    let start = allocations::held_bytes();
    // A ClientHello of 64 KiB, a byte a record: far more wire than message.
    let message = [1, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat(0));
    let (mut fed, mut most) = (0, 0);
    let error = message.take(100_000).find_map(|byte| {
        fed += 6;
        let result = server.feed(&mut [22, 3, 1, 0, 1, byte], &mut Vec::new());
        most = most.max(allocations::held_bytes() - start);
        result.err()
    });
    let said = error.unwrap().to_string();
    assert!(said.contains("larger than TLS allows"), "{said}");
    assert!(fed < 70_000, "{fed} bytes were taken in");
    assert!(most < 200_000, "{most} bytes were held");
    assert!(allocations::held_bytes() - start < 4096, "a failed connection keeps none of it");
}
