//! Whose turn it is in a slice, and what is billed when turns change: the generator's time and
//! processor time to the lane that had its turn, and the servers' CPU. It refuses to send anything.

use runtime::process::thread_cpu_ns;

use super::lane::Lane;
use super::nanoseconds;
use super::servers::ServerClocks;
use crate::traffic::schedule::blocks::Blocks;

/// The block under way.
pub(super) struct Turns<'w> {
    blocks: &'w Blocks,
    servers: ServerClocks,
    block: usize,
    lane: usize,
    /// When the block is over.
    ends_ns: u64,
    /// When the turn was taken, on the slice's clock and on that of this thread.
    taken_ns: u64,
    taken_cpu_ns: u64,
}

impl<'w> Turns<'w> {
    pub(super) fn new(blocks: &'w Blocks, servers: ServerClocks) -> Turns<'w> {
        let lane = blocks.lane(0);
        let ends_ns = nanoseconds(blocks.length(lane));
        Turns { blocks, servers, block: 0, lane, ends_ns, taken_ns: 0, taken_cpu_ns: 0 }
    }

    /// The lane that gets traffic.
    #[inline]
    pub(super) fn lane(&self) -> usize {
        self.lane
    }

    /// Whether another block begins by then.
    #[inline]
    pub(super) fn is_over(&self, ns: u64) -> bool {
        ns >= self.ends_ns && self.block + 1 < self.blocks.count()
    }

    /// How long the block is.
    pub(super) fn length_ns(&self) -> u64 {
        nanoseconds(self.blocks.length(self.blocks.lane(self.block)))
    }

    /// Whether there are turns to take.
    fn takes_turns(&self) -> bool {
        self.blocks.count() > 1
    }

    /// The first turn begins.
    pub(super) fn begin(&mut self, lanes: &mut [Lane]) {
        self.taken_cpu_ns = thread_cpu_ns();
        self.read_servers(lanes);
    }

    /// The block in which `due_ns` lies begins; the time until `now_ns` was the lane's before.
    pub(super) fn follow(&mut self, lanes: &mut [Lane], due_ns: u64, now_ns: u64) {
        while self.is_over(due_ns) {
            self.block += 1;
            self.ends_ns += self.length_ns();
        }
        self.change(lanes, now_ns);
    }

    /// The next block begins now, however late; false if there is none.
    pub(super) fn next(&mut self, lanes: &mut [Lane], now_ns: u64) -> bool {
        if self.block + 1 == self.blocks.count() {
            return false;
        }
        self.block += 1;
        self.ends_ns = now_ns.saturating_add(self.length_ns());
        self.change(lanes, now_ns);
        true
    }

    fn change(&mut self, lanes: &mut [Lane], now_ns: u64) {
        self.bill(lanes, now_ns);
        self.lane = self.blocks.lane(self.block);
        self.read_servers(lanes);
    }

    /// Bills the generator's time since the turn was taken.
    pub(super) fn bill(&mut self, lanes: &mut [Lane], now_ns: u64) {
        let cpu_ns = thread_cpu_ns();
        let slice = &mut lanes[self.lane].recorder.slice;
        slice.wall_ns += now_ns.saturating_sub(self.taken_ns);
        slice.generator_cpu_ns += cpu_ns.saturating_sub(self.taken_cpu_ns);
        (self.taken_ns, self.taken_cpu_ns) = (now_ns, cpu_ns);
    }

    /// Reads the servers of the lane whose turn begins. They have slept since their last turn.
    fn read_servers(&mut self, lanes: &mut [Lane]) {
        if self.takes_turns() {
            self.servers.turn_begins(lanes, self.lane, self.blocks.pair(self.block));
        }
    }

    /// The time of all blocks of a lane, as a share of the slice.
    pub(super) fn share_of(&self, lane: usize) -> f64 {
        self.blocks.duration_of(lane).as_secs_f64() / self.blocks.duration().as_secs_f64()
    }

    /// Reads the servers of all lanes once more, after the last turn.
    pub(super) fn end(&mut self, lanes: &mut [Lane], now_ns: u64) {
        self.bill(lanes, now_ns);
        if self.takes_turns() {
            self.servers.end(lanes, self.blocks.pair(self.blocks.count() - 1) + 1);
        }
    }
}
