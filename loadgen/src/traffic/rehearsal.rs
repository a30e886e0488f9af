//! A request's way through the generator in memory: the very template, session and recorder that
//! a worker uses, without its sockets, its clock and its schedule. For benchmarks of the
//! generator's own cost; it refuses to be a generator.
//!
//! ```
//! use loadgen::traffic::{rehearsal::Rehearsal, workload::Workload};
//! let mut rehearsal = Rehearsal::new(&Workload::ping(), "localhost", Some("token"))?;
//! assert!(rehearsal.request(1_000).starts_with(b"GET /api/ping HTTP/1.1\r\n"));
//! let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"pong\":true}";
//! assert!(rehearsal.reply(reply, 6_000));
//! let record = rehearsal.record();
//! assert_eq!((record.requests_answered, record.service.max()), (1, 5_003)); // to three digits
//! # Ok::<(), loadgen::traffic::workload::WorkloadError>(())
//! ```

use crate::traffic::record::SliceRecord;
use crate::traffic::recorder::Recorder;
use crate::traffic::schedule::WorkerShare;
use crate::traffic::session::VirtualConnection;
use crate::traffic::template::{Filling, Template};
use crate::traffic::tokens::{TokenView, Tokens};
use crate::traffic::workload::{Workload, WorkloadError};

/// One connection's requests, one after the other. Times are ns since a slice began.
pub struct Rehearsal {
    template: Template,
    tokens: TokenView,
    filling: Filling,
    session: VirtualConnection,
    recorder: Recorder,
    request: Vec<u8>,
}

impl Rehearsal {
    /// Makes the workload ready for a server of this Host.
    ///
    /// # Errors
    /// The workload makes no request.
    pub fn new(
        workload: &Workload,
        host: &str,
        token: Option<&str>,
    ) -> Result<Rehearsal, WorkloadError> {
        Ok(Rehearsal {
            template: Template::new(workload, host)?,
            tokens: TokenView::new(
                &token.map_or_else(Tokens::none, Tokens::one),
                WorkerShare { index: 0, count: 1 },
            ),
            filling: Filling::new(1, 1),
            session: VirtualConnection::new(),
            recorder: Recorder::new("none"),
            request: Vec::new(),
        })
    }

    /// Lays the next request out and takes it as sent. What is constant is laid out once, as a
    /// worker does it.
    pub fn request(&mut self, now_ns: u64) -> &[u8] {
        if self.template.varies || self.request.is_empty() {
            self.request.clear();
            let token = self.tokens.next();
            self.template.render(&mut self.request, token, false, &mut self.filling);
        }
        self.session.sent(self.template.method, now_ns, now_ns);
        &self.request
    }

    /// Reads and judges a whole reply and records it. False if it is not whole, not HTTP, or not
    /// a good one.
    pub fn reply(&mut self, reply: &[u8], now_ns: u64) -> bool {
        match self.session.received(reply, &self.template.expect) {
            Ok((_, Some(progress))) => {
                let times = self.session.times(now_ns);
                self.recorder.reply(progress.status, progress.verdict, times, true);
                progress.verdict.is_ok()
            }
            _ => false,
        }
    }

    /// What was recorded so far; the next record begins empty.
    pub fn record(&mut self) -> SliceRecord {
        self.recorder.take()
    }
}
