//! The CPU of the servers of all lanes while they take turns. A clock is read when a turn of one of
//! its lanes begins: what it counted since then belongs to the lane that had it before. Servers of
//! one lane alone are read once in a pair of passes, those that several lanes share at each of
//! their turns. It refuses to read while a lane has no turn to take.

use std::time::Instant;

use runtime::CpuClock;

use super::lane::Lane;
use super::nanoseconds;
use crate::traffic::record::BlockReading;
use crate::traffic::slice::LaneSpec;

/// The clocks of all servers, each of them once.
pub(super) struct ServerClocks {
    servers: Vec<WatchedServer>,
    /// For each lane the places of its servers, and what they used for it, ns.
    accounts: Vec<Vec<Account>>,
    /// A clock could not be read: its process is gone.
    gone: bool,
}

/// What answers for one lane or for several.
struct WatchedServer {
    clock: CpuClock,
    shared: bool,
    /// When it was last read, and for whom it has worked since.
    read: Option<(u64, usize)>,
}

#[derive(Clone, Copy)]
struct Account {
    server: usize,
    used_ns: u64,
}

impl ServerClocks {
    /// The clocks of these lanes. Only one worker of several reads them.
    pub(super) fn of(lanes: &[LaneSpec], reads: bool) -> ServerClocks {
        let mut servers: Vec<WatchedServer> = Vec::new();
        let mut account = |clock: &CpuClock| {
            let known = servers.iter().position(|server| server.clock == *clock);
            match known {
                Some(place) => servers[place].shared = true,
                None => {
                    servers.push(WatchedServer { clock: clock.clone(), shared: false, read: None })
                }
            }
            Account { server: known.unwrap_or(servers.len() - 1), used_ns: 0 }
        };
        let clocks = |lane: &LaneSpec| if reads { lane.clocks.clone() } else { Vec::new() };
        let accounts =
            lanes.iter().map(|lane| clocks(lane).iter().map(&mut account).collect()).collect();
        ServerClocks { servers, accounts, gone: false }
    }

    /// The turn of a lane begins, in a pair of passes.
    pub(super) fn turn_begins(&mut self, lanes: &mut [Lane], lane: usize, pair: usize) {
        let began = Instant::now();
        let first = lanes[lane].recorder.slice.cpu_readings.len() <= pair;
        for place in 0..self.accounts[lane].len() {
            let server = self.accounts[lane][place].server;
            if first || self.servers[server].shared {
                self.read(server, lane);
            }
        }
        self.note(&mut lanes[lane], lane, pair + 1);
        lanes[lane].recorder.slice.reading_ns += nanoseconds(began.elapsed());
    }

    /// The last of so many pairs is over.
    pub(super) fn end(&mut self, lanes: &mut [Lane], pairs: usize) {
        for server in 0..self.servers.len() {
            self.read(server, 0);
        }
        for (place, lane) in lanes.iter_mut().enumerate() {
            self.note(lane, place, pairs + 1);
            let used = self.accounts[place].iter().map(|account| account.used_ns);
            lane.recorder.slice.server_cpu_ns = used.collect();
        }
    }

    /// Bills what a server used to the lane that it worked for; from now on it works for another.
    fn read(&mut self, server: usize, next: usize) {
        let WatchedServer { clock, read, .. } = &mut self.servers[server];
        let Some(now_ns) = clock.ns() else {
            self.gone = true;
            return;
        };
        if let Some((before_ns, lane)) = read.replace((now_ns, next)) {
            let account = self.accounts[lane].iter_mut().find(|own| own.server == server);
            let used_ns = now_ns.saturating_sub(before_ns);
            account.into_iter().for_each(|own| own.used_ns += used_ns);
        }
    }

    /// Brings the readings of a lane to so many. Where a pair had no turn of it, the reading is
    /// repeated: nothing was asked of its servers.
    fn note(&self, lane: &mut Lane, place: usize, count: usize) {
        let used_ns = self.accounts[place].iter().map(|account| account.used_ns).sum();
        let slice = &mut lane.recorder.slice;
        let cpu_ns = (!self.gone).then_some(used_ns);
        let reading = BlockReading { cpu_ns, answered: slice.requests_answered };
        slice.cpu_readings.resize(count.max(slice.cpu_readings.len()), reading);
    }
}
