//! What one client may take of a service: the flags that say it, and a limit of open files that
//! clients alone would use up.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Curl, DRIVERS, Served, TOLLGATE, tollgate};

/// Few enough that a test can use them up.
const OPEN_FILES: usize = 200;

/// The gateway with room for so few files.
fn gateway(driver: &str, orders: &str) -> Served {
    let limited = format!("ulimit -n {OPEN_FILES} && exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh", TOLLGATE]);
    command.args(["serve", "gateway", "--profile", "S0", "--driver", driver, "--orders", orders]);
    Served::run(command.stderr(Stdio::piped()))
}

#[test]
fn clients_leave_files_to_upstreams_and_to_the_admin_listener() {
    for driver in DRIVERS {
        let inventory = Served::start("inventory", &["--driver", driver]);
        let inventory = format!("http://{}", inventory.listen);
        let orders = Served::start("orders", &["--driver", driver, "--inventory", &inventory]);
        let mut gateway = gateway(driver, &format!("http://{}", orders.listen));
        let mut said = BufReader::new(gateway.child.stderr.take().unwrap()).lines();
        let logged = said.find_map(|line| line.ok().filter(|line| line.contains("open_files=")));
        let logged = logged.expect("the shares are logged");
        assert!(
            logged.contains("open_files=200") && logged.contains("connections=150"),
            "{logged}"
        );

        let idle: Vec<TcpStream> =
            (0..OPEN_FILES + 20).map(|_| TcpStream::connect(&gateway.listen).unwrap()).collect();
        let refused = || -> usize {
            let page = Curl::new(&format!("http://{}/metrics", gateway.admin)).run();
            let name = "tollgate_connections_refused_total ";
            page.body.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap()
        };
        let start = Instant::now();
        while refused() < OPEN_FILES + 20 - 150 {
            assert!(start.elapsed() < Duration::from_secs(20), "{} were refused", refused());
            thread::sleep(Duration::from_millis(10));
        }
        let live = Curl::new(&format!("http://{}/livez", gateway.admin)).run();
        assert_eq!(live.status, 200, "{live:?}");
        drop(idle);
        // As soon as there is room for a client there is room for what it asks.
        let unknown = format!("http://{}/api/orders/1", gateway.listen);
        let answered = || Curl::new(&unknown).run().status;
        while answered() != 404 {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", answered());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn caps_that_make_no_sense_are_refused() {
    for (words, part) in [
        (&["gateway", "--body-memory", "64MB"][..], "--body-memory takes bytes"),
        (&["gateway", "--profile", "S0", "--body-memory", "65535"], "--body-memory must be 65536"),
        (&["gateway", "--profile", "S1", "--body-memory", "65536"], "must be 131072"),
        (&["gateway", "--min-rate", "-1"], "--min-rate"),
        (&["gateway", "--connections-per-address", "0"], "--connections-per-address must be 1"),
        (&["gateway", "--requests-per-address", "0"], "--requests-per-address must be 1"),
        (&["inventory", "--requests-per-address", "1"], "it belongs to: gateway"),
        (&["inventory", "--connections-per-address", "1"], "it belongs to: gateway"),
    ] {
        let output = tollgate(&[&["serve"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
}
