//! The bench of `tollgate matrix` with a look at the other side: what the servers themselves
//! counted over each slice. The slice is the live bench's own; only pages are read around it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use metrics_export::prometheus::{ACCEPT, Scrape};
use metrics_export::run::SliceKind;
use runtime::blocking;
use runtime::url::Url;

use crate::experiment::bench::LiveBench;
use crate::experiment::stack::{Stack, Started};
use crate::experiment::{Bench, Failure, InterleavedRequest, Measured, SliceRequest};
use crate::plan::{PlannedCell, Variant};
use crate::traffic::error::ContextError;

/// The longest wait for a page, which a stalled server answers late.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The largest page that is read.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// What a reference server says that it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerCounts {
    /// Requests, whatever they were answered.
    pub requests: u64,
    /// Processor time of its loops.
    pub loop_ns: u64,
    /// Loops after a response was written, and their processor time in all.
    pub after_loops: u64,
    /// See above.
    pub after_loop_ns: u64,
    /// Processor time of its walks through memory.
    pub walk_ns: u64,
    /// Answers that were delayed, and for how long in all.
    pub delays: u64,
    /// See above.
    pub delayed_ns: u64,
    /// Times that it stood still, and for how long in all.
    pub stalls: u64,
    /// See above.
    pub stalled_ns: u64,
    /// Answers with a wrong status.
    pub wrong_status: u64,
    /// Answers with a body that was too short.
    pub wrong_body: u64,
    /// Connections that it reset.
    pub resets: u64,
}

impl ServerCounts {
    /// Reads a page; None unless it is that of a reference server.
    fn of(page: &Scrape) -> Option<ServerCounts> {
        let kind = |kind| page.sum("reference_wrong_total", &[("kind", kind)]);
        let count = |name: &str| page.sum(&format!("reference_{name}_total"), &[]);
        let ns = |name: &str| Some((count(&format!("{name}_seconds"))? * 1e9).round() as u64);
        Some(ServerCounts {
            requests: count("requests")? as u64,
            loop_ns: ns("loop")?,
            after_loops: count("after_loops")? as u64,
            after_loop_ns: ns("after_loop")?,
            walk_ns: ns("walk")?,
            delays: count("delays")? as u64,
            delayed_ns: ns("delayed")?,
            stalls: count("stalls")? as u64,
            stalled_ns: ns("stalled")?,
            wrong_status: kind("status")? as u64,
            wrong_body: kind("short_body")? as u64,
            resets: count("resets")? as u64,
        })
    }

    fn since(&self, earlier: &ServerCounts) -> ServerCounts {
        ServerCounts {
            requests: self.requests - earlier.requests,
            loop_ns: self.loop_ns - earlier.loop_ns,
            after_loops: self.after_loops - earlier.after_loops,
            after_loop_ns: self.after_loop_ns - earlier.after_loop_ns,
            walk_ns: self.walk_ns - earlier.walk_ns,
            delays: self.delays - earlier.delays,
            delayed_ns: self.delayed_ns - earlier.delayed_ns,
            stalls: self.stalls - earlier.stalls,
            stalled_ns: self.stalled_ns - earlier.stalled_ns,
            wrong_status: self.wrong_status - earlier.wrong_status,
            wrong_body: self.wrong_body - earlier.wrong_body,
            resets: self.resets - earlier.resets,
        }
    }
}

/// Where the pages of the running variants are, as the stack told.
type Pages = Rc<RefCell<BTreeMap<String, SocketAddr>>>;

/// A stack that remembers where the pages are.
pub(super) struct PageTracker<'a> {
    inner: &'a mut dyn Stack,
    pages: Pages,
}

impl<'a> PageTracker<'a> {
    pub(super) fn new(inner: &'a mut dyn Stack) -> PageTracker<'a> {
        PageTracker { inner, pages: Pages::default() }
    }

    pub(super) fn pages(&self) -> Pages {
        Rc::clone(&self.pages)
    }
}

impl Stack for PageTracker<'_> {
    fn start(
        &mut self,
        variant: &Variant,
        cell: &PlannedCell,
        instance: u32,
    ) -> Result<Started, ContextError> {
        let started = self.inner.start(variant, cell, instance)?;
        let page = started.processes.iter().find_map(|process| process.admin);
        let page = page.ok_or_else(|| ContextError::new("a reference server has a page"))?;
        self.pages.borrow_mut().insert(variant.id.clone(), page);
        Ok(started)
    }
}

/// What one server counted in one open-loop slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedSlice {
    /// The place of the variant.
    pub variant: usize,
    /// Whether the variant had the slice for itself.
    pub whole: bool,
    /// What was counted.
    pub counts: ServerCounts,
}

/// The live bench, and what the servers counted in every open-loop slice.
pub(super) struct Probe<'a> {
    live: LiveBench<'a>,
    variants: &'a [Variant],
    pages: Pages,
    read: BTreeMap<usize, ServerCounts>,
    /// What the servers counted, slice by slice, without those that warmed up.
    pub(super) counted: Vec<CountedSlice>,
}

impl<'a> Probe<'a> {
    pub(super) fn new(live: LiveBench<'a>, variants: &'a [Variant], pages: Pages) -> Probe<'a> {
        Probe { live, variants, pages, read: BTreeMap::new(), counted: Vec::new() }
    }

    /// The drivers of the servers and of the generator.
    pub(super) fn drivers(&self) -> (Vec<String>, String) {
        let servers = self.live.server_drivers.iter().cloned().collect();
        (servers, self.live.generator_driver.clone())
    }

    fn page(&self, variant: usize) -> Result<ServerCounts, Failure> {
        let id = &self.variants[variant].id;
        let failed = |why: String| Failure::new(format!("the page of {id} cannot be read: {why}"));
        let address = self.pages.borrow().get(id).copied();
        let address = address.ok_or_else(|| failed("it was not started".into()))?;
        let url = Url::parse(&format!("http://{address}/metrics"));
        let url = url.map_err(|error| failed(error.to_string()))?;
        let accept: [(&str, &[u8]); 1] = [("Accept", ACCEPT.as_bytes())];
        let answer =
            blocking::request(&url, None, "GET", &accept, b"", ANSWER_WITHIN, PAGE_BYTES_MAX)
                .map_err(|error| failed(error.to_string()))?;
        let page = Scrape::parse(&String::from_utf8_lossy(&answer.body))
            .map_err(|error| failed(error.to_string()))?;
        ServerCounts::of(&page).ok_or_else(|| failed("it is not that of a reference server".into()))
    }
}

impl Bench for Probe<'_> {
    fn restart(&mut self, instance: u32) -> Result<(), Failure> {
        self.read.clear();
        self.live.restart(instance)
    }

    fn slice(&mut self, request: &SliceRequest) -> Result<Measured, Failure> {
        let measured = self.live.slice(request)?;
        let now = self.page(request.variant)?;
        // Nobody else asks these servers, so that a slice begins with the figures of the last.
        let before = self.read.insert(request.variant, now).unwrap_or_default();
        if request.kind() == SliceKind::Open && !request.warmup {
            let counts = now.since(&before);
            self.counted.push(CountedSlice { variant: request.variant, whole: true, counts });
        }
        Ok(measured)
    }

    fn interleaved(&mut self, request: &InterleavedRequest) -> Result<Vec<Measured>, Failure> {
        let measured = self.live.interleaved(request)?;
        for one in request.slices(self.variants) {
            let now = self.page(one.variant)?;
            let before = self.read.insert(one.variant, now).unwrap_or_default();
            if !request.warmup {
                let counts = now.since(&before);
                self.counted.push(CountedSlice { variant: one.variant, whole: false, counts });
            }
        }
        Ok(measured)
    }

    /// Each server is a process of its own.
    fn inseparable(&self, _cell: usize) -> Option<String> {
        None
    }

    fn idle(&mut self, pause: Duration) -> Result<Vec<Option<u64>>, Failure> {
        self.live.idle(pause)
    }

    fn elapsed(&self) -> Duration {
        self.live.elapsed()
    }

    fn interrupted(&self) -> bool {
        self.live.interrupted()
    }
}
