//! More demand than stock, from two sides at once, through sockets, with requests repeated and cut
//! off. Exactly the stock is sold, and stock is conserved: what was accepted plus what is left is
//! what was there.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use common::{Curl, DRIVERS, Up};

const STOCK: u64 = 400;
const SIDES: u64 = 2;
const ASKED_BY_EACH_SIDE: u64 = 600;

#[test]
fn exactly_the_stock_is_reserved() {
    for driver in DRIVERS {
        let stock = format!("SKU-HOT={STOCK}");
        let up = Up::start("S0", &["--driver", driver, "--workers", "2", "--stock", &stock]);
        let address = up.url("inventory").trim_start_matches("http://").to_owned();
        let sides: Vec<_> = (0..SIDES)
            .map(|side| {
                let address = address.clone();
                thread::spawn(move || hammer(side, &address))
            })
            .collect();
        let mut answers: HashMap<String, bool> = HashMap::new();
        let mut unknown = Vec::new();
        for side in sides {
            let (known, cut) = side.join().unwrap();
            answers.extend(known);
            unknown.extend(cut);
        }
        // A request that was cut off may or may not have been carried out. Its repeat tells: it is
        // answered as the first one was.
        let mut connection = Connection::open(&address);
        for id in unknown {
            let accepted = connection.reserve(&id);
            answers.insert(id, accepted);
        }
        let accepted = answers.values().filter(|accepted| **accepted).count() as u64;
        assert_eq!(answers.len() as u64, SIDES * ASKED_BY_EACH_SIDE);
        assert_eq!(accepted, STOCK, "on {driver}");
        assert_eq!(available(&up), 0, "on {driver}");

        // Everything is released, half of it twice: the stock is as it was.
        for (id, _) in answers.iter().filter(|(_, accepted)| **accepted) {
            assert_eq!(connection.release(id), 204, "{id} on {driver}");
        }
        for (id, _) in answers.iter().filter(|(_, accepted)| **accepted).take(50) {
            let repeated = connection.release(id);
            assert!(matches!(repeated, 204 | 404 | 410), "{id} on {driver}: {repeated}");
        }
        assert_eq!(available(&up), STOCK, "on {driver}");
    }
}

fn available(up: &Up) -> u64 {
    let got = Curl::new(&format!("{}/api/inventory/SKU-HOT", up.url("inventory"))).run();
    got.json()["quantity"].as_u64().unwrap()
}

/// Asks for one piece many times. Each third id is asked for twice, each fifth request is cut off
/// right after it was sent. Returns what is known and what is not.
fn hammer(side: u64, address: &str) -> (Vec<(String, bool)>, Vec<String>) {
    let mut connection = Connection::open(address);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..ASKED_BY_EACH_SIDE {
        let id = format!("order-{side}-{n}");
        if n % 5 == 4 {
            connection.send_reserve(&id);
            connection = Connection::open(address);
            unknown.push(id);
            continue;
        }
        let accepted = connection.reserve(&id);
        if n % 3 == 0 {
            assert_eq!(connection.reserve(&id), accepted, "{id} was answered in two ways");
        }
        known.push((id, accepted));
    }
    (known, unknown)
}

/// A kept-alive connection that speaks just enough HTTP for this test, in bytes one can see.
struct Connection {
    stream: TcpStream,
}

impl Connection {
    fn open(address: &str) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream }
    }

    fn send_reserve(&mut self, id: &str) {
        let body =
            format!("{{\"orderId\":\"{id}\",\"items\":[{{\"sku\":\"SKU-HOT\",\"quantity\":1}}]}}");
        let request = format!(
            "POST /api/inventory/reservations HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    /// True when the reservation was accepted, false when stock was short.
    fn reserve(&mut self, id: &str) -> bool {
        self.send_reserve(id);
        match self.status() {
            200 | 201 => true,
            409 => false,
            other => panic!("{id}: status {other}"),
        }
    }

    fn release(&mut self, id: &str) -> u16 {
        let request =
            format!("DELETE /api/inventory/reservations/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).unwrap();
        self.status()
    }

    /// Reads one whole answer and returns its status.
    fn status(&mut self) -> u16 {
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if let Some(at) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(answer[..at].to_vec()).unwrap().to_lowercase();
                let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                    rest.split("\r\n").next().unwrap_or_default().parse::<usize>().unwrap()
                });
                if answer.len() >= at + 4 + length {
                    return head.split(' ').nth(1).unwrap().parse().unwrap();
                }
            }
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "the connection ended inside an answer");
            answer.extend_from_slice(&piece[..read]);
        }
    }
}
