//! What TLS costs in user space, in memory: small records each way and whole handshakes through
//! two pumps, beside rustls driven as directly as it can be.
//!
//! Without arguments it prints allocations. Instructions come from valgrind, which multiplies
//! time by fifty but counts the same on a busy machine:
//! `valgrind --tool=callgrind TARGET/release/deps/tls_pump-* WHAT COUNT`, with two counts; the
//! difference divided by theirs is one exchange. The names of [`CASES`] are what WHAT may be;
//! what each end took is with the functions that are never inlined (`callgrind_annotate
//! --inclusive=yes`).

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::sync::Arc;

use runtime::allocations::{self, Counting};
use runtime::tls::Pump;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use support::{Pki, localhost};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUEST: [u8; 120] = [b'q'; 120];
const ANSWER: [u8; 240] = [b'a'; 240];

/// One end of a connection, however it is driven.
trait End {
    fn client(config: Arc<ClientConfig>) -> Self;
    fn server(config: Arc<ServerConfig>) -> Self;
    fn ready(&self) -> bool;
    fn feed(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>);
    fn write(&mut self, plain: &[u8], cipher: &mut Vec<u8>);
    fn take(&mut self, cipher: &mut Vec<u8>);
}

impl End for Box<Pump> {
    fn client(config: Arc<ClientConfig>) -> Self {
        Box::new(Pump::client(config, localhost()).unwrap())
    }

    fn server(config: Arc<ServerConfig>) -> Self {
        Box::new(Pump::server(config).unwrap())
    }

    fn ready(&self) -> bool {
        Pump::ready(self)
    }

    #[inline(never)]
    fn feed(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>) {
        Pump::feed(self, cipher, plain).unwrap();
    }

    #[inline(never)]
    fn write(&mut self, plain: &[u8], cipher: &mut Vec<u8>) {
        Pump::write(self, plain, cipher).unwrap();
    }

    fn take(&mut self, cipher: &mut Vec<u8>) {
        Pump::take(self, cipher);
    }
}

/// rustls's buffered connection, with the fewest calls that its documentation allows.
impl End for Box<Connection> {
    fn client(config: Arc<ClientConfig>) -> Self {
        Box::new(ClientConnection::new(config, localhost()).unwrap().into())
    }

    fn server(config: Arc<ServerConfig>) -> Self {
        Box::new(ServerConnection::new(config).unwrap().into())
    }

    fn ready(&self) -> bool {
        !self.is_handshaking()
    }

    #[inline(never)]
    fn feed(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>) {
        let mut rest = &*cipher;
        while !rest.is_empty() {
            self.read_tls(&mut rest).unwrap();
            let count = self.process_new_packets().unwrap().plaintext_bytes_to_read();
            let start = plain.len();
            plain.resize(start + count, 0);
            self.reader().read_exact(&mut plain[start..]).unwrap();
        }
    }

    #[inline(never)]
    fn write(&mut self, plain: &[u8], cipher: &mut Vec<u8>) {
        self.writer().write_all(plain).unwrap();
        End::take(self, cipher);
    }

    fn take(&mut self, cipher: &mut Vec<u8>) {
        while self.wants_write() {
            self.write_tls(cipher).unwrap();
        }
    }
}

struct Pair<E> {
    client: E,
    server: E,
}

/// What goes over the wire, and what comes of it.
#[derive(Default)]
struct Buffers {
    wire: Vec<u8>,
    plain: Vec<u8>,
}

impl Buffers {
    fn clear(&mut self) {
        self.wire.clear();
        self.plain.clear();
    }
}

impl<E: End> Pair<E> {
    #[inline(never)]
    fn shake(configs: &Configs, buffers: &mut Buffers) -> Pair<E> {
        let mut client = E::client(configs.client.clone());
        let mut server = E::server(configs.server.clone());
        while !(client.ready() && server.ready()) {
            buffers.clear();
            client.take(&mut buffers.wire);
            server.feed(&mut buffers.wire, &mut buffers.plain);
            buffers.clear();
            server.take(&mut buffers.wire);
            client.feed(&mut buffers.wire, &mut buffers.plain);
        }
        Pair { client, server }
    }

    #[inline(never)]
    fn ask(&mut self, request: &[u8], buffers: &mut Buffers) {
        buffers.clear();
        self.client.write(request, &mut buffers.wire);
        self.server.feed(&mut buffers.wire, &mut buffers.plain);
        assert_eq!(buffers.plain.len(), request.len());
    }

    #[inline(never)]
    fn answer(&mut self, answer: &[u8], buffers: &mut Buffers) {
        buffers.clear();
        self.server.write(answer, &mut buffers.wire);
        self.client.feed(&mut buffers.wire, &mut buffers.plain);
        assert_eq!(buffers.plain.len(), answer.len());
    }
}

struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Configs {
    fn new(mutual: bool) -> Configs {
        let pki = Pki::new();
        let mut server = Arc::unwrap_or_clone(pki.server(mutual));
        server.send_tls13_tickets = 0;
        Configs { client: pki.client(mutual, false), server: Arc::new(server) }
    }
}

type Case = (&'static str, fn(u64));

const CASES: [Case; 12] = [
    ("records", |count| records::<Box<Pump>>(count, &REQUEST, &ANSWER)),
    ("bare-records", |count| records::<Box<Connection>>(count, &REQUEST, &ANSWER)),
    ("64", |count| crowd::<Box<Pump>>(64, count, &REQUEST, &ANSWER)),
    ("bare-64", |count| crowd::<Box<Connection>>(64, count, &REQUEST, &ANSWER)),
    ("crowd", |count| crowd::<Box<Pump>>(1000, count, &REQUEST, &ANSWER)),
    ("bare-crowd", |count| crowd::<Box<Connection>>(1000, count, &REQUEST, &ANSWER)),
    ("large", |count| records::<Box<Pump>>(count, &[b'q'; 64 * 1024], &ANSWER)),
    ("bare-large", |count| records::<Box<Connection>>(count, &[b'q'; 64 * 1024], &ANSWER)),
    ("handshakes", |count| handshakes::<Box<Pump>>(count, false)),
    ("bare-handshakes", |count| handshakes::<Box<Connection>>(count, false)),
    ("mutual", |count| handshakes::<Box<Pump>>(count, true)),
    ("bare-mutual", |count| handshakes::<Box<Connection>>(count, true)),
];

fn records<E: End>(count: u64, request: &[u8], answer: &[u8]) {
    crowd::<E>(1, count, request, answer);
}

/// Takes `size` connections in turn, each with caches as the others left them.
fn crowd<E: End>(size: usize, count: u64, request: &[u8], answer: &[u8]) {
    let (configs, mut buffers) = (Configs::new(false), Buffers::default());
    let shake = |_| Pair::shake(&configs, &mut buffers);
    let mut pairs: Vec<Pair<E>> = (0..size).map(shake).collect();
    let mut exchange = |turn: u64| {
        let pair = &mut pairs[turn as usize % size];
        pair.ask(request, &mut buffers);
        pair.answer(answer, &mut buffers);
    };
    (0..100.max(size as u64)).for_each(&mut exchange);
    let before = allocations::so_far();
    let start = cpu_ns();
    (0..count).for_each(&mut exchange);
    told(count, before, start);
}

fn handshakes<E: End>(count: u64, mutual: bool) {
    let (configs, mut buffers) = (Configs::new(mutual), Buffers::default());
    Pair::<E>::shake(&configs, &mut buffers);
    let before = allocations::so_far();
    let start = cpu_ns();
    for _ in 0..count {
        Pair::<E>::shake(&configs, &mut buffers);
    }
    told(count, before, start);
}

/// CPU time of this program so far: on a busy machine the only time that says something.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn told(count: u64, before: u64, start: u64) {
    let ns = (cpu_ns() - start) as f64 / count as f64;
    let each = (allocations::so_far() - before) as f64 / count as f64;
    println!("{each:.2} allocations, {ns:.0} ns at both ends together, {count} times");
}

fn main() {
    // Cargo adds an argument of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let what = words.first();
    let count = words.get(1).map_or(100, |count| count.parse().unwrap());
    for (name, run) in CASES {
        if what.is_none_or(|what| what == name) {
            print!("{name:>16}: ");
            run(count);
        }
    }
}
