//! The record that a worker writes while a slice runs: the same memory slice after slice, so that
//! recording allocates nothing and touches no fresh page. It refuses to hand out half a slice.

use std::time::Duration;

use hdrhistogram::Histogram;
use runtime::generator::Counters;
use runtime::tls::{Handshake, TlsFacts};

use crate::traffic::check::ErrorKind;
use crate::traffic::record::{SliceRecord, TlsProof, add_proof};

/// Statuses have three digits.
const STATUS_SLOTS: usize = 1000;

/// One worker's record of the slice that runs.
pub(crate) struct Recorder {
    /// What is counted directly; its statuses stay empty until the slice is over.
    pub(crate) slice: SliceRecord,
    statuses: Box<[u64]>,
}

impl Recorder {
    pub(crate) fn new(driver: &'static str) -> Recorder {
        let mut slice = SliceRecord::empty();
        slice.driver = driver;
        slice.workers = 1;
        Recorder { slice, statuses: vec![0; STATUS_SLOTS].into() }
    }

    /// A reply arrived whole: response and service time in ns, and whether it is a good one.
    #[inline]
    pub(crate) fn reply(
        &mut self,
        status: u16,
        verdict: Result<(), ErrorKind>,
        (response_ns, service_ns): (u64, u64),
        in_window: bool,
    ) {
        if let Some(count) = self.statuses.get_mut(usize::from(status)) {
            *count += 1;
        }
        match verdict {
            Ok(()) => {
                let slice = &mut self.slice;
                slice.requests_answered += 1;
                slice.answered_in_window += u64::from(in_window);
                note(&mut slice.response, response_ns, &mut slice.saturated);
                note(&mut slice.service, service_ns, &mut slice.saturated);
            }
            Err(kind) => self.slice.errors.add(kind, || describe(kind, status)),
        }
    }

    /// The generator took a request up so long after its intended time.
    #[inline]
    pub(crate) fn late(&mut self, ns: u64) {
        note(&mut self.slice.lateness, ns, &mut self.slice.saturated);
    }

    /// A connection was opened.
    pub(crate) fn opened(&mut self, counters: &Counters, facts: Option<&TlsFacts<'_>>) {
        let slice = &mut self.slice;
        slice.connections.opened += 1;
        let times =
            [(&mut slice.connect, counters.connect), (&mut slice.handshake, counters.handshake)];
        for (histogram, time) in times {
            if let Some(time) = time {
                note(histogram, nanoseconds(time), &mut slice.saturated);
            }
        }
        match facts.map(|facts| facts.handshake) {
            Some(Handshake::Full) => slice.connections.handshakes_full += 1,
            Some(Handshake::Resumed) => slice.connections.handshakes_resumed += 1,
            None => {}
        }
    }

    /// A connection takes part in the slice.
    pub(crate) fn used(&mut self, facts: Option<&TlsFacts<'_>>) {
        if let Some(facts) = facts {
            let proof = TlsProof {
                version: facts.version,
                suite: facts.suite,
                group: facts.group,
                resumed: facts.handshake == Handshake::Resumed,
                extended_master_secret: facts.extended_master_secret,
                connections: 1,
            };
            add_proof(&mut self.slice.tls, &proof);
        }
    }

    /// Hands the slice out and begins an empty one in the same memory.
    pub(crate) fn take(&mut self) -> SliceRecord {
        let slice = &mut self.slice;
        for (status, count) in self.statuses.iter_mut().enumerate() {
            if *count > 0 {
                slice.statuses.insert(status as u16, std::mem::take(count));
            }
        }
        let taken = slice.clone();
        slice.clear();
        taken
    }
}

/// Records a time, or the bound if it lies beyond, and counts that.
#[inline]
fn note(histogram: &mut Histogram<u64>, ns: u64, saturated: &mut u64) {
    if histogram.record(ns).is_err() {
        histogram.saturating_record(ns);
        *saturated += 1;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// RFC 9110 section 15.4: those that send a client elsewhere. 304 answers a condition.
pub(crate) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn describe(kind: ErrorKind, status: u16) -> String {
    match kind {
        ErrorKind::Status if is_redirect(status) => {
            format!("status {status}; redirects are not followed")
        }
        _ => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::record::LATENCY_NS_MAX;

    #[test]
    fn a_wrong_reply_is_counted_and_not_timed() {
        let mut recorder = Recorder::new("epoll");
        recorder.reply(200, Ok(()), (20, 10), true);
        recorder.reply(302, Err(ErrorKind::Status), (20, 10), true);
        recorder.reply(200, Ok(()), (LATENCY_NS_MAX * 4, 30), false);
        let slice = recorder.take();
        assert_eq!((slice.requests_answered, slice.answered_in_window, slice.saturated), (2, 1, 1));
        assert_eq!((slice.response.len(), slice.service.max()), (2, 30));
        assert_eq!(slice.statuses.into_iter().collect::<Vec<_>>(), [(200, 2), (302, 1)]);
        let example = slice.errors.example(ErrorKind::Status);
        assert_eq!(example, Some("status 302; redirects are not followed"));
        assert_eq!(describe(ErrorKind::Status, 304), "status 304", "which is no redirect");
    }

    #[test]
    fn the_next_slice_begins_empty() {
        let mut recorder = Recorder::new("epoll");
        recorder.reply(200, Ok(()), (20, 10), true);
        recorder.late(5);
        recorder.take();
        let slice = recorder.take();
        assert_eq!(
            (slice.requests_answered, slice.response.len(), slice.lateness.len()),
            (0, 0, 0)
        );
        assert!(slice.statuses.is_empty());
        assert_eq!((slice.driver, slice.workers), ("epoll", 1));
    }
}
