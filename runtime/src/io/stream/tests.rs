//! What ends a write of TLS's own whose peer takes nothing.

use std::net::{TcpListener, TcpStream as StdStream};
use std::time::{Duration, Instant};

use monoio::net::TcpStream;

use super::*;
use crate::executor::core::Core;
use crate::executor::driver::{DriverChoice, Executor};
use crate::observe::stats::CoreStats;

/// What a peer that takes nothing does to a write of TLS's own while the deadline of a read is
/// set: the kind that ended it.
fn ends_by(choice: DriverChoice, prepare: impl FnOnce(&Stream)) -> StreamError {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (tcp, _) = listener.accept().unwrap();
    let (mut executor, driver) = Executor::new(choice).unwrap();
    executor.block_on(async {
        let stats: Arc<[CoreStats]> = Arc::from([CoreStats::default()]);
        let core = Core::new(0, None, driver, &stats);
        core.local.deadlines.expect(100);
        tcp.set_nonblocking(driver == crate::Driver::Epoll).unwrap();
        let tcp = TcpStream::from_std(tcp).unwrap();
        let stream = Stream::accepted(core.local.clone(), tcp, None, core.local.stats.clone());
        let mut stream = stream.unwrap();
        while stream.send_now(&[0; 65536]).unwrap() > 0 {}
        prepare(&stream);
        stream.drain(&mut vec![0; 31], None).await.unwrap_err()
    })
}

#[test]
fn an_alert_does_not_wait_for_a_peer_that_takes_nothing() {
    for choice in [DriverChoice::Auto, DriverChoice::Epoll] {
        let start = Instant::now();
        let error = ends_by(choice, |stream| stream.watch().set(WaitKind::Linger, 200));
        assert!(matches!(error, StreamError::Deadline(WaitKind::Linger)), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn the_deadline_of_a_read_is_set_aside_for_a_write() {
    for choice in [DriverChoice::Auto, DriverChoice::Epoll] {
        // A head's deadline would end the read only, and the write never.
        let error = ends_by(choice, |stream| {
            stream.watch().set(WaitKind::Head, 0);
            let aside = stream.watch().set_aside(200).unwrap();
            assert!(stream.watch().set_aside(200).is_none(), "a write's ends writes");
            stream.watch().restore(aside);
            assert!(stream.watch().set_aside(200).is_some());
        });
        assert!(matches!(error, StreamError::Deadline(WaitKind::Write)), "{error:?}");
    }
}
