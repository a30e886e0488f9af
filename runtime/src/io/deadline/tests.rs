//! A write that waits, under sweeps at times that the test makes up; and when sweeps come, under
//! the executor's clock.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::RawFd;

use socket2::SockRef;

use super::*;
use crate::executor::driver::{DriverChoice, Executor};

/// Calls `body` with a registry and a socket whose peer has read nothing of all that fits.
fn with_full_socket(demand: Demand, body: impl FnOnce(&Deadlines, &Watch, TcpStream)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The peer takes little at a time, so that there is something left for all its steps.
    SockRef::from(&listener).set_recv_buffer_size(32 * 1024).unwrap();
    let writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (reader, _) = listener.accept().unwrap();
    let (mut executor, _) = Executor::new(DriverChoice::Epoll).unwrap();
    executor.block_on(async {
        let deadlines = Deadlines::new(|_| {});
        let writer = deadlines.watch(writer);
        writer.watch().demand(demand);
        while let Ok(count) = sys::send_now(&writer.socket, &[0; 65536]) {
            writer.watch().has_written(count);
        }
        body(&deadlines, writer.watch(), reader);
    });
}

/// Reads until the writer has news of it.
fn read_some(watch: &Watch, reader: &mut TcpStream) {
    let before = sys::unacknowledged(watch.slot.fd);
    assert!(before > 0, "nothing is left to be read");
    let mut bytes = vec![0; 8 * 1024];
    while sys::unacknowledged(watch.slot.fd) >= before {
        assert!(reader.read(&mut bytes).unwrap() > 0);
    }
}

#[test]
fn a_write_lasts_as_long_as_its_peer_takes_some_of_it() {
    let demand = Demand { bytes_per_s: 1, window_ms: 5000, write_ms: 1000 };
    with_full_socket(demand, |deadlines, watch, mut reader| {
        let start = Moment::now();
        let sweep = |ms| deadlines.sweep(start + Duration::from_millis(ms));
        watch.set(WaitKind::Write, 1000);
        for ms in (0..5000).step_by(500) {
            sweep(ms);
            assert_eq!(watch.fired(), None, "after {ms} ms");
            read_some(watch, &mut reader);
        }
        sweep(5000);
        assert_eq!(watch.fired(), None);
        sweep(7600);
        assert_eq!(watch.fired(), Some(WaitKind::Write), "it has taken nothing since");
    });
}

#[test]
fn without_a_rate_a_write_has_its_time_in_all() {
    with_full_socket(Demand::default(), |deadlines, watch, mut reader| {
        let start = Moment::now();
        watch.set(WaitKind::Write, 1000);
        deadlines.sweep(start + Duration::from_millis(500));
        read_some(watch, &mut reader);
        deadlines.sweep(start + Duration::from_millis(2600));
        assert_eq!(watch.fired(), Some(WaitKind::Write));
    });
}

#[test]
fn a_peer_that_takes_too_little_is_found_while_the_write_waits() {
    let demand = Demand { bytes_per_s: 10_000_000, window_ms: 1000, write_ms: 30_000 };
    with_full_socket(demand, |deadlines, watch, mut reader| {
        let start = Moment::now();
        let sweep = |ms| deadlines.sweep(start + Duration::from_millis(ms));
        // Not waited for: its silence says nothing.
        for ms in (0..5000).step_by(250) {
            sweep(ms);
        }
        watch.set(WaitKind::Write, 30_000);
        for ms in (5000..6000).step_by(250) {
            sweep(ms);
            assert_eq!(watch.fired(), None, "after {ms} ms");
        }
        read_some(watch, &mut reader);
        sweep(6250);
        assert_eq!(watch.fired(), Some(WaitKind::Write));
    });
}

#[test]
fn an_upstream_that_still_takes_a_request_is_not_late_with_its_response() {
    with_full_socket(Demand::progress(1000), |deadlines, watch, mut reader| {
        let start = Moment::now();
        let sweep = |ms| deadlines.sweep(start + Duration::from_millis(ms));
        watch.set(WaitKind::Response, 1000);
        for ms in (0..5000).step_by(500) {
            sweep(ms);
            assert_eq!(watch.fired(), None, "after {ms} ms");
            read_some(watch, &mut reader);
        }
        sweep(5000);
        sweep(7600);
        assert_eq!(watch.fired(), Some(WaitKind::Response));
    });
}

#[test]
fn a_socket_leaves_the_registry_before_its_number_can_be_given_to_another() {
    let (mut executor, _) = Executor::new(DriverChoice::Epoll).unwrap();
    executor.block_on(async {
        let deadlines = Deadlines::new(|_| {});
        let (_, socket) = std::os::unix::net::UnixStream::pair().unwrap();
        let watched = deadlines.watch(Closes(socket, deadlines.clone()));
        assert!(!deadlines.is_empty());
        drop(watched);
    });
}

/// A socket that looks when it is closed.
struct Closes(std::os::unix::net::UnixStream, Rc<Deadlines>);

impl AsRawFd for Closes {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Drop for Closes {
    fn drop(&mut self) {
        assert!(self.1.is_empty(), "the slot goes first");
    }
}

/// Runs `body` with a registry whose period is 10 ms, on each driver.
fn with_each_driver<F: Future<Output = ()>>(body: impl Fn(Rc<Deadlines>) -> F) {
    for choice in [DriverChoice::Auto, DriverChoice::Epoll] {
        let (mut executor, _) = Executor::new(choice).unwrap();
        executor.block_on(async {
            let deadlines = Deadlines::new(|_| {});
            deadlines.expect(LIMIT_MS);
            body(deadlines).await;
        });
    }
}

/// The shortest limit of these registries.
const LIMIT_MS: u64 = 80;

fn watched(deadlines: &Rc<Deadlines>) -> WatchedSocket<std::os::unix::net::UnixStream> {
    deadlines.watch(std::os::unix::net::UnixStream::pair().unwrap().0)
}

/// Waits until the sweep waits for longer than a period.
async fn until_long(deadlines: &Deadlines) {
    let start = Moment::now();
    while !deadlines.pause.is_long() {
        assert!(Moment::now().ns_since(start) < 10_000_000_000, "it goes on every period");
        monoio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How often there was a sweep.
#[derive(Default)]
struct Sweeps(Cell<u64>);

impl Housekeeping for Sweeps {
    fn sweep(&self, _: u64) -> u64 {
        self.0.set(self.0.get() + 1);
        NEVER
    }
}

#[test]
fn idle_sockets_are_left_alone_until_their_deadline() {
    with_each_driver(|deadlines| async move {
        let sweeps = Rc::new(Sweeps::default());
        let counted: Rc<dyn Housekeeping> = sweeps.clone();
        deadlines.keep(Rc::downgrade(&counted));
        let sockets: Vec<_> = (0..64).map(|_| watched(&deadlines)).collect();
        sockets.iter().for_each(|socket| socket.watch().set(WaitKind::Idle, 1000));
        monoio::time::sleep(Duration::from_millis(900)).await;
        assert!(sweeps.0.get() <= 4, "{} sweeps", sweeps.0.get());
        assert!(sockets.iter().all(|socket| socket.watch().fired().is_none()));
        while sockets.iter().any(|socket| socket.watch().fired().is_none()) {
            monoio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(sweeps.0.get() <= 8, "{} sweeps", sweeps.0.get());
    });
}

#[test]
fn a_short_deadline_that_begins_in_a_long_wait_expires_in_time() {
    with_each_driver(|deadlines| async move {
        let (idle, busy) = (watched(&deadlines), watched(&deadlines));
        idle.watch().set(WaitKind::Idle, 75_000);
        for pause_ms in [0, 35, 70] {
            until_long(&deadlines).await;
            monoio::time::sleep(Duration::from_millis(pause_ms)).await;
            let start = Moment::now();
            busy.watch().set(WaitKind::Response, LIMIT_MS);
            busy.watch().slot.fired.set(None);
            while busy.watch().fired().is_none() {
                monoio::time::sleep(Duration::from_millis(1)).await;
            }
            let took_ms = Moment::now().ns_since(start) / 1_000_000;
            // Two periods are 20 ms; the rest is for a busy machine.
            assert!((LIMIT_MS..LIMIT_MS + 1000).contains(&took_ms), "{took_ms} ms");
        }
        assert_eq!(idle.watch().fired(), None);
    });
}

#[test]
fn the_coarse_clock_is_true_after_a_long_wait() {
    with_each_driver(|deadlines| async move {
        let socket = watched(&deadlines);
        socket.watch().set(WaitKind::Idle, 75_000);
        until_long(&deadlines).await;
        monoio::time::sleep(Duration::from_millis(50)).await;
        let now_ms = Moment::now().as_ms();
        socket.watch().set(WaitKind::Idle, 75_000);
        assert!(!deadlines.pause.is_long());
        assert!(socket.watch().slot.at_ms.get() >= now_ms + 75_000);
        // It goes on every period as long as there is traffic, which costs no timer.
        for _ in 0..20 {
            deadlines.note(Moment::now());
            assert!(!deadlines.pause.is_long());
            monoio::time::sleep(Duration::from_millis(2)).await;
        }
        until_long(&deadlines).await;
    });
}

#[test]
fn whatever_makes_a_deadline_nearer_ends_a_long_wait() {
    with_each_driver(|deadlines| async move {
        let socket = watched(&deadlines);
        let watch = socket.watch();
        watch.set(WaitKind::Head, 20_000);
        let aside = watch.set_aside(60_000).unwrap();
        until_long(&deadlines).await;
        watch.restore(aside);
        assert!(!deadlines.pause.is_long());
        until_long(&deadlines).await;
        watch.set(WaitKind::Idle, 75_000);
        until_long(&deadlines).await;
        deadlines.hasten(WaitKind::Idle, 20);
        assert!(!deadlines.pause.is_long());
        while watch.fired().is_none() {
            monoio::time::sleep(Duration::from_millis(1)).await;
        }
        until_long(&deadlines).await;
        let _handle = watch.hold();
        assert!(!deadlines.pause.is_long());
        watch.release();
    });
}

#[test]
fn the_sweep_says_when_it_is_needed_next() {
    with_full_socket(Demand::progress(1000), |deadlines, watch, _| {
        let start = Moment::now();
        let sweep = |ms| deadlines.sweep(start + Duration::from_millis(ms));
        let now_ms = |ms| (start + Duration::from_millis(ms)).as_ms();
        watch.set(WaitKind::Idle, 75_000);
        assert_eq!(sweep(100), now_ms(100), "something was read in this period");
        assert_eq!(sweep(200), watch.slot.at_ms.get());
        let _handle = watch.hold();
        assert_eq!(sweep(300), now_ms(200) + 1000, "the buffer of a read that waits");
        watch.release();
        watch.set(WaitKind::Response, 30_000);
        assert_eq!(sweep(400), now_ms(400), "a rate is counted every period");
        watch.clear();
        assert_eq!(sweep(500), NEVER);
    });
}
