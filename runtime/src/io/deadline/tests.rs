//! A write that waits, under sweeps at times that the test makes up.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

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
