//! What one slice leaves: times as histograms, and counts of everything else. Workers each fill
//! one of their own; they are added up after the slice. Nothing is back-filled and no wrong reply
//! is a sample. It refuses to judge: whether a slice is valid is decided elsewhere.
//!
//! All histograms have the same bounds, so that any two can be added. A value beyond them is
//! recorded as the bound and counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::traffic::check::Errors;

/// The longest time that a histogram tells apart, in ns: one hour, as the public tools have it.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Significant decimal digits of a histogram's values.
pub const LATENCY_DIGITS: u8 = 3;

/// A histogram of nanoseconds with the bounds that all of them share.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS)
        .expect("the bounds are constants that the histogram accepts")
}

/// One slice of one target, as the generator saw it.
#[derive(Clone, Debug)]
pub struct SliceRecord {
    /// From the intended send time to the whole answer, ns; good replies only.
    pub response: Histogram<u64>,
    /// From the actual send to the whole answer, ns; good replies only. A connection that had to
    /// be opened for the request is not in here, but it is in `response`.
    pub service: Histogram<u64>,
    /// How late the generator itself took a due request up, ns: its own fault, and never the
    /// target's. Waiting for a free connection is the target's, and is in `response`. Open loop.
    pub lateness: Histogram<u64>,
    /// Time of each TCP connect, ns.
    pub connect: Histogram<u64>,
    /// Time of each TLS handshake, ns, after the connect.
    pub handshake: Histogram<u64>,
    /// Values beyond [`LATENCY_NS_MAX`], recorded there.
    pub saturated: u64,
    /// Requests that the slice meant to send: each is one of `ok`, `errors` or `dropped`.
    pub requests_asked: u64,
    /// Requests whose bytes were handed to the kernel.
    pub requests_sent: u64,
    /// Those of `sent` that were sent before the slice's time was over.
    pub sent_in_window: u64,
    /// Requests had send times of their own; otherwise each waited for the reply before.
    pub open_loop: bool,
    /// Good replies: the number of samples.
    pub requests_answered: u64,
    /// Good replies that arrived before the slice's time was over; `window_ns` is its length.
    pub answered_in_window: u64,
    /// Requests without a good reply, by kind.
    pub errors: Errors,
    /// Open loop: requests that found the queue full and were never sent.
    pub dropped: u64,
    /// Open loop: the most requests that waited for a connection at one time, per worker.
    pub queue_high_water: u64,
    /// Mean of unanswered requests (sent or queued) as each request became due, for each quarter
    /// of the slice: a target that cannot keep up makes it grow.
    pub in_flight: [Mean; 4],
    /// Replies by status, the wrong ones too.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes on the wire, TLS included, TCP and IP headers left out.
    pub wire: WireBytes,
    /// What became of connections.
    pub connections: Connections,
    /// What each kind of TLS connection used in the slice had agreed on.
    pub tls: Vec<TlsProof>,
    /// The length of the slice, ns: asked and achieved rates are taken over it.
    pub window_ns: u64,
    /// From the slice's begin until the last answer was in or given up, ns; of several lanes, the
    /// time of this one's turns.
    pub wall_ns: u64,
    /// CPU time of the generator's threads over `wall_ns`, ns.
    pub generator_cpu_ns: u64,
    /// The servers' CPU between blocks, one reading before each pair of passes and one after the
    /// last; empty where a slice has one lane.
    pub cpu_readings: Vec<BlockReading>,
    /// What each clock of the lane counted for it in the slice, ns; empty where a slice has one
    /// lane.
    pub server_cpu_ns: Vec<u64>,
    /// What these readings took, ns.
    pub reading_ns: u64,
    /// How many workers took part.
    pub workers: usize,
    /// What the event loops stood on: `io_uring` or `epoll`.
    pub driver: &'static str,
    /// The slice was ended before its time by a request to stop.
    pub interrupted: bool,
}

impl SliceRecord {
    /// The share of the workers' cores that the generator used.
    pub fn generator_share(&self) -> f64 {
        let available = self.wall_ns as f64 * self.workers.max(1) as f64;
        if available == 0.0 { 0.0 } else { self.generator_cpu_ns as f64 / available }
    }

    /// A record of nothing, to add to.
    pub fn empty() -> SliceRecord {
        SliceRecord::over([(); 5].map(|()| histogram()))
    }

    /// Makes it a record of nothing again, in the same memory; the driver and the number of
    /// workers stay.
    pub(crate) fn clear(&mut self) {
        let none = Histogram::new(0).expect("no digits are allowed");
        let histograms = [
            &mut self.response,
            &mut self.service,
            &mut self.lateness,
            &mut self.connect,
            &mut self.handshake,
        ];
        let kept = histograms.map(|histogram| {
            histogram.reset();
            std::mem::replace(histogram, none.clone())
        });
        let (driver, workers) = (self.driver, self.workers);
        *self = SliceRecord { driver, workers, ..SliceRecord::over(kept) };
    }

    /// A record of nothing over these histograms, which are empty.
    fn over(histograms: [Histogram<u64>; 5]) -> SliceRecord {
        let [response, service, lateness, connect, handshake] = histograms;
        SliceRecord {
            response,
            service,
            lateness,
            connect,
            handshake,
            saturated: 0,
            requests_asked: 0,
            requests_sent: 0,
            sent_in_window: 0,
            open_loop: false,
            requests_answered: 0,
            answered_in_window: 0,
            errors: Errors::default(),
            dropped: 0,
            queue_high_water: 0,
            in_flight: [Mean::default(); 4],
            statuses: BTreeMap::new(),
            wire: WireBytes::default(),
            connections: Connections::default(),
            tls: Vec::new(),
            window_ns: 0,
            wall_ns: 0,
            generator_cpu_ns: 0,
            cpu_readings: Vec::new(),
            server_cpu_ns: Vec::new(),
            reading_ns: 0,
            workers: 0,
            driver: "",
            interrupted: false,
        }
    }

    /// Adds what another worker saw of the same slice.
    pub fn merge_worker(&mut self, other: &SliceRecord) {
        self.add_counts(other);
        self.workers += other.workers;
        self.window_ns = self.window_ns.max(other.window_ns);
        self.wall_ns = self.wall_ns.max(other.wall_ns);
    }

    /// Adds another slice of the same variant: lengths add up, workers do not.
    pub fn merge_slice(&mut self, other: &SliceRecord) {
        self.add_counts(other);
        self.workers = self.workers.max(other.workers);
        self.window_ns += other.window_ns;
        self.wall_ns += other.wall_ns;
    }

    fn add_counts(&mut self, other: &SliceRecord) {
        for (mine, theirs) in [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.lateness, &other.lateness),
            (&mut self.connect, &other.connect),
            (&mut self.handshake, &other.handshake),
        ] {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        self.saturated += other.saturated;
        self.requests_asked += other.requests_asked;
        self.requests_sent += other.requests_sent;
        self.sent_in_window += other.sent_in_window;
        self.open_loop |= other.open_loop;
        self.requests_answered += other.requests_answered;
        self.answered_in_window += other.answered_in_window;
        self.errors.merge(&other.errors);
        self.dropped += other.dropped;
        self.queue_high_water = self.queue_high_water.max(other.queue_high_water);
        for (mine, theirs) in self.in_flight.iter_mut().zip(&other.in_flight) {
            mine.sum += theirs.sum;
            mine.count += theirs.count;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.wire.sent += other.wire.sent;
        self.wire.received += other.wire.received;
        self.connections.merge(&other.connections);
        for proof in &other.tls {
            add_proof(&mut self.tls, proof);
        }
        self.generator_cpu_ns += other.generator_cpu_ns;
        add_readings(&mut self.cpu_readings, &other.cpu_readings);
        // One worker reads the clocks.
        self.server_cpu_ns.extend(&other.server_cpu_ns);
        self.reading_ns += other.reading_ns;
        self.driver = if self.driver.is_empty() { other.driver } else { self.driver };
        self.interrupted |= other.interrupted;
    }

    /// The achieved rate. Open loop: requests sent within the slice's time, to hold
    /// against the rate that was asked for (the last replies are due after that time, and a short
    /// slice must not be blamed for them). Closed loop: good replies within the slice's time.
    pub fn achieved_per_second(&self) -> f64 {
        let count = if self.open_loop { self.sent_in_window } else { self.answered_in_window };
        per_second(count, self.window_ns)
    }

    /// Requests that became due per second of the slice's time: in an open loop what was asked
    /// for, unless the slice was interrupted.
    pub fn intended_per_second(&self) -> f64 {
        per_second(self.requests_asked, self.window_ns)
    }

    /// Whether every intended request is accounted for; it is a defect of the generator if not.
    pub fn accounted(&self) -> bool {
        self.requests_asked == self.requests_answered + self.errors.requests() + self.dropped
    }

    /// How many more requests were unanswered in the last quarter of the slice than in the first,
    /// on average. Zero when there were too few to tell.
    pub fn in_flight_growth(&self) -> f64 {
        let [first, .., last] = &self.in_flight;
        match (first.value(), last.value()) {
            (Some(first), Some(last)) => last - first,
            _ => 0.0,
        }
    }
}

fn per_second(count: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { count as f64 * 1e9 / ns as f64 }
}

/// A mean that can be added to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mean {
    /// Sum of the values.
    pub sum: u64,
    /// Number of the values.
    pub count: u64,
}

impl Mean {
    /// Takes one more value in.
    #[inline]
    pub fn add(&mut self, value: u64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean, if there was any value.
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

/// What the servers of a lane had used for it, and what they had answered, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockReading {
    /// Their processor time, ns; None where a process was gone.
    pub cpu_ns: Option<u64>,
    /// Good replies since the slice began.
    pub answered: u64,
}

/// Adds the readings of another worker, who took them at the same turns.
fn add_readings(all: &mut Vec<BlockReading>, other: &[BlockReading]) {
    let none = BlockReading { cpu_ns: Some(0), answered: 0 };
    all.resize(all.len().max(other.len()), none);
    for (mine, theirs) in all.iter_mut().zip(other) {
        mine.cpu_ns = mine.cpu_ns.zip(theirs.cpu_ns).map(|(a, b)| a + b);
        mine.answered += theirs.answered;
    }
}

/// Bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireBytes {
    /// From the generator to the target.
    pub sent: u64,
    /// From the target to the generator.
    pub received: u64,
}

/// What became of connections. Those that were opened to get ready, before the slice's time
/// began, count as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Held open from an earlier slice.
    pub kept: u64,
    /// Opened with success, before or in the slice.
    pub opened: u64,
    /// Those of `opened` that were opened within the slice's time.
    pub opened_in_slice: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Closed by the target.
    pub closed_by_target: u64,
    /// Those of `closed_by_target` that carried no request at that time.
    pub closed_idle: u64,
    /// Closed by the generator, because bytes came that no request had asked for.
    pub unsolicited: u64,
    /// Full TLS handshakes.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes.
    pub handshakes_resumed: u64,
    /// Times that the target asked for a client certificate and was given one.
    pub certificates_presented: u64,
}

impl Connections {
    /// What a reader should know of idle connections, as sentences.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.closed_idle > 0 {
            notes.push(format!(
                "the target closed {} idle connections: each is opened again when a request needs \
                 it, or after a pause that doubles from 10 ms to 1 s",
                self.closed_idle
            ));
        }
        if self.unsolicited > 0 {
            notes.push(format!(
                "on {} connections the target sent bytes after a whole reply that no request had \
                 asked for: the replies count, and the connections were closed",
                self.unsolicited
            ));
        }
        notes
    }

    pub(crate) fn merge(&mut self, other: &Connections) {
        self.kept += other.kept;
        self.opened += other.opened;
        self.opened_in_slice += other.opened_in_slice;
        self.failed += other.failed;
        self.closed_by_target += other.closed_by_target;
        self.closed_idle += other.closed_idle;
        self.unsolicited += other.unsolicited;
        self.handshakes_full += other.handshakes_full;
        self.handshakes_resumed += other.handshakes_resumed;
        self.certificates_presented += other.certificates_presented;
    }
}

/// What the connections of a slice had agreed on, with how many agreed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsProof {
    /// Protocol version, `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// Cipher suite by its IANA name.
    pub suite: &'static str,
    /// Key exchange group by its IANA name; `none` where a resumption made no exchange.
    pub group: &'static str,
    /// The session was resumed.
    pub resumed: bool,
    /// Its secret is bound to the whole handshake; false for TLS 1.2 without RFC 7627.
    pub extended_master_secret: bool,
    /// How many connections of the slice, kept or opened.
    pub connections: u64,
}

/// Counts `proof` among those of its kind.
pub(crate) fn add_proof(proofs: &mut Vec<TlsProof>, proof: &TlsProof) {
    let known = proofs.iter_mut().find(|known| {
        known.version == proof.version
            && known.suite == proof.suite
            && known.group == proof.group
            && known.resumed == proof.resumed
            && known.extended_master_secret == proof.extended_master_secret
    });
    match known {
        Some(known) => known.connections += proof.connections,
        None => proofs.push(*proof),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up_and_keep_the_length() {
        let mut worker = SliceRecord::empty();
        worker.requests_asked = 10;
        worker.requests_answered = 10;
        worker.answered_in_window = 9;
        worker.window_ns = 1_000_000_000;
        worker.workers = 1;
        worker.response.record(50_000).unwrap();
        worker.statuses.insert(200, 10);
        let mut all = SliceRecord::empty();
        all.merge_worker(&worker);
        all.merge_worker(&worker);
        assert_eq!((all.requests_asked, all.workers, all.window_ns), (20, 2, 1_000_000_000));
        assert_eq!(all.achieved_per_second(), 18.0);
        assert_eq!(all.statuses[&200], 20);
        assert_eq!(all.response.len(), 2);
        assert!(all.accounted());
        all.merge_slice(&worker);
        assert_eq!((all.workers, all.window_ns), (2, 2_000_000_000));
    }

    #[test]
    fn growth_is_the_last_quarter_against_the_first() {
        let mut record = SliceRecord::empty();
        assert_eq!(record.in_flight_growth(), 0.0);
        record.in_flight[0].add(2);
        record.in_flight[3].add(10);
        record.in_flight[3].add(20);
        assert_eq!(record.in_flight_growth(), 13.0);
    }

    #[test]
    fn proofs_of_one_kind_are_one_row() {
        let proof = TlsProof {
            version: "TLSv1.3",
            suite: "TLS_AES_128_GCM_SHA256",
            group: "x25519",
            resumed: false,
            extended_master_secret: true,
            connections: 1,
        };
        let mut proofs = Vec::new();
        add_proof(&mut proofs, &proof);
        add_proof(&mut proofs, &proof);
        add_proof(&mut proofs, &TlsProof { resumed: true, ..proof });
        assert_eq!(proofs.len(), 2);
        assert_eq!(proofs[0].connections, 2);
    }
}
