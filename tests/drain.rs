//! Stopping under load: a request that a service took is answered, the process ends with 0 and in
//! time, and clients are told that their connection ends.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Curl, DRIVERS, Served, send_signal, wait};

const CLIENTS: usize = 16;

/// What the clients saw in all.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    /// An answer had begun and did not end, or was no answer.
    broken: AtomicU64,
    /// The request was not taken: nothing of an answer came before the connection ended.
    refused: AtomicU64,
    /// The server said `Connection: close`.
    told: AtomicU64,
}

#[test]
fn no_request_in_flight_is_lost() {
    for driver in DRIVERS {
        let start = |service: &str, option: &str, value: &str| {
            Served::start(service, &["--driver", driver, "--workers", "2", option, value])
        };
        let inventory = start("inventory", "--stock", "SKU-BIG=1000000");
        let inventory_url = format!("http://{}", inventory.listen);
        let orders = start("orders", "--inventory", &inventory_url);
        let orders_url = format!("http://{}", orders.listen);
        let mut gateway = start("gateway", "--orders", &orders_url);

        let seen = Arc::new(Seen::default());
        let over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (address, seen, over) = (gateway.listen.clone(), seen.clone(), over.clone());
                thread::spawn(move || client(&address, &seen, &over))
            })
            .collect();
        thread::sleep(Duration::from_millis(700));
        let before = seen.answered.load(Ordering::Relaxed);
        let begun = Instant::now();
        send_signal(gateway.child.id(), "TERM");
        let status = wait(&mut gateway.child, Duration::from_secs(15)).expect("still running");
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(status.code(), Some(0), "on {driver}");
        assert!(took < Duration::from_secs(8), "stopping took {took:?} on {driver}");
        assert!(before > 200, "only {before} requests were answered before the stop");
        assert_eq!(seen.broken.load(Ordering::Relaxed), 0, "answers were cut off on {driver}");
        assert!(seen.told.load(Ordering::Relaxed) > 0, "nobody was told on {driver}");
        // The stock tells how many orders were carried out; each of them was answered.
        let stock = Curl::new(&format!("{inventory_url}/api/inventory/SKU-BIG")).run();
        let sold = 1_000_000 - stock.json()["quantity"].as_u64().unwrap();
        assert_eq!(sold, seen.answered.load(Ordering::Relaxed), "on {driver}");
    }
}

/// Sends orders one after the other and on to a new connection when the old one is over, until the
/// server refuses connections.
fn client(address: &str, seen: &Seen, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            return;
        };
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        while let Ok(closes) = exchange(&mut stream, seen) {
            seen.answered.fetch_add(1, Ordering::Relaxed);
            if closes {
                seen.told.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
}

/// One order. `Ok(true)`: answered, and the connection ends here.
fn exchange(stream: &mut TcpStream, seen: &Seen) -> io::Result<bool> {
    let body = r#"{"customerId":"c","itemSkus":["SKU-BIG"],"totalAmount":1}"#;
    let request = format!(
        "POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = Vec::new();
    let result =
        stream.write_all(request.as_bytes()).and_then(|()| read_answer(stream, &mut answer));
    match result {
        Ok(()) if answer.starts_with(b"HTTP/1.1 201") => {
            let head = String::from_utf8_lossy(&answer).to_lowercase();
            Ok(head.contains("\r\nconnection: close\r\n"))
        }
        _ if answer.is_empty() => {
            seen.refused.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        _ => {
            eprintln!("not an answer: {:?}", String::from_utf8_lossy(&answer));
            seen.broken.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        if let Some(at) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..at]).to_lowercase();
            let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().unwrap_or_default().parse::<usize>().unwrap_or(0)
            });
            if answer.len() >= at + 4 + length {
                return Ok(());
            }
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
}
