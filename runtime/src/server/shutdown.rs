//! Ending a server: told by the main thread, done by each core, within a deadline.
//!
//! ```text
//!   serving --drain--> no new connections; answers say `Connection: close`;
//!                      idle peers get a last moment, then FIN; owed work is done
//!           --all gone, or the deadline (what is left is cut)--> drained --> ended
//! ```
//!
//! The admin endpoint goes on until every core is drained, so that probes see what happens. The
//! two sides speak over a socket pair: eight bytes tell the core how many milliseconds it has,
//! sixteen tell the main thread how it went, and the end of the stream ends the core, at once if
//! it was not drained before: a [`Running`] that is dropped stops its server.

use std::fmt;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use monoio::io::{AsyncReadRentExt, AsyncWriteRentExt};

use crate::executor::core::Core;
use crate::executor::driver::Driver;
use crate::limits::wait_kind::WaitKind;
use crate::limits::{self, DRAIN_HANDSHAKE_MS, DRAIN_IDLE_MS};
use crate::observe::stats::CoreStats;
use crate::server::listener::Opened;
use crate::server::service::Service;
use crate::system::clock::Moment;

/// A server that is up. Dropping it stops the server at once; see [`Running::drain`].
pub struct Running {
    /// The address it listens on.
    pub addr: SocketAddr,
    /// The address of its admin endpoint, if it has one.
    pub admin: Option<SocketAddr>,
    /// The driver in use; the weakest one if the cores differ.
    pub driver: Driver,
    /// The counters of all cores.
    pub stats: Arc<[CoreStats]>,
    pub(crate) controls: Vec<UnixStream>,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that ended by themselves after the drain began.
    pub finished: u64,
    /// Connections that the deadline cut.
    pub cut: u64,
}

/// How much longer than its deadline a core may take to say that it is drained.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a draining core looks whether it is done.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How long a draining core still takes in connections whose SYN came before the drain began: the
/// client believes itself connected once it has our answer, and its own arrives half a round trip
/// later. Closing before would reset it.
const LAST_ARRIVALS: Duration = Duration::from_millis(50);

/// How long cut connections may take to notice before the core gives up waiting for them.
const CUT_MAX: Duration = Duration::from_secs(1);

impl Running {
    /// Stops accepting, lets what is in flight finish for at most `limit`, cuts the rest, and
    /// ends all cores.
    #[must_use = "the report says whether requests were cut"]
    pub fn drain(mut self, limit: Duration) -> DrainReport {
        let limit_ms = limits::as_ms(limit);
        for control in &mut self.controls {
            // A core that is gone has nothing left to drain.
            let _ = control.write_all(&limit_ms.to_le_bytes());
        }
        let mut sum = DrainReport::default();
        for control in &mut self.controls {
            let _ = control.set_read_timeout(limit.checked_add(REPORT_TIMEOUT));
            let mut report = [0; 16];
            if control.read_exact(&mut report).is_ok() {
                let (finished, cut) = report.split_at(8);
                sum.finished += u64::from_le_bytes(finished.try_into().expect("eight of sixteen"));
                sum.cut += u64::from_le_bytes(cut.try_into().expect("eight of sixteen"));
            }
        }
        self.controls.clear();
        for thread in self.threads.drain(..) {
            // A panic has ended the process already.
            let _ = thread.join();
        }
        sum
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addr", &self.addr)
            .field("admin", &self.admin)
            .field("driver", &self.driver)
            .field("cores", &self.threads.len())
            .finish_non_exhaustive()
    }
}

/// A core's main task. Returns whether everything on it has ended, so that its executor can be
/// dropped.
pub(crate) async fn serve_until_told<S: Service, A: Service>(
    core: &Core,
    main: Opened<S>,
    admin: Option<Opened<A>>,
    control: UnixStream,
) -> bool {
    let adopted = control
        .set_nonblocking(core.driver == Driver::Epoll)
        .and_then(|()| monoio::net::UnixStream::from_std(control));
    if let Ok(mut control) = adopted {
        let (told, limit) = control.read_exact(vec![0; 8]).await;
        if told.is_ok() {
            let limit_ms = u64::from_le_bytes(limit.try_into().expect("eight were read"));
            let report = drain(core, &main, Duration::from_millis(limit_ms)).await;
            let mut bytes = report.finished.to_le_bytes().to_vec();
            bytes.extend_from_slice(&report.cut.to_le_bytes());
            // Without anybody who listens the core ends just so.
            let _ = control.write_all(bytes).await;
            let _ = control.read_exact(vec![0; 1]).await;
        }
    }
    end(core, main, admin).await
}

async fn drain<S: Service>(core: &Core, main: &Opened<S>, limit: Duration) -> DrainReport {
    let local = &core.local;
    let start = Instant::now();
    let closed_before = main.endpoint.closed.get();
    local.draining.set(true);
    main.listener.keep_out();
    local.deadlines.note(Moment::now());
    local.deadlines.hasten(WaitKind::Idle, DRAIN_IDLE_MS);
    local.deadlines.hasten(WaitKind::Handshake, DRAIN_HANDSHAKE_MS);
    let mut listening = true;
    let busy = || main.endpoint.open.get() > 0 || !local.owed.borrow().is_empty();
    while (listening || busy()) && start.elapsed() < limit {
        monoio::time::sleep(POLL_INTERVAL).await;
        if listening && start.elapsed() >= LAST_ARRIVALS {
            main.listener.close(&main.endpoint);
            listening = false;
        }
        local.deadlines.sweep(Moment::now());
    }
    let report = DrainReport {
        finished: main.endpoint.closed.get() - closed_before,
        cut: main.endpoint.open.get() as u64,
    };
    if report.cut > 0 {
        local.deadlines.cut();
    }
    report
}

/// Closes and cuts everything, and waits until it has been noticed.
async fn end<S: Service, A: Service>(
    core: &Core,
    main: Opened<S>,
    admin: Option<Opened<A>>,
) -> bool {
    let local = core.local.clone();
    local.draining.set(true);
    // Whoever is owed something learns that it is too late.
    let owed = local.owed.take();
    owed.into_values().for_each(|cut| cut());
    main.listener.close(&main.endpoint);
    if let Some(admin) = &admin {
        admin.listener.close(&admin.endpoint);
    }
    let start = Instant::now();
    let done = || {
        local.tasks.get() == 0
            && main.listener.stopped()
            && admin.as_ref().is_none_or(|admin| admin.listener.stopped())
    };
    while !done() && start.elapsed() < CUT_MAX {
        local.deadlines.cut();
        monoio::time::sleep(POLL_INTERVAL).await;
    }
    let done = done();
    // The services go, and with them the connections they keep to others.
    drop((main, admin));
    // One more turn, so that what was closed by that reaches the kernel.
    monoio::time::sleep(POLL_INTERVAL).await;
    done && local.deadlines.is_empty()
}
