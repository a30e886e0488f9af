//! The reference server on one core: its response, what it does beside it, and its admin pages.
//!
//! The order is: count, stand still, burn, then reset or answer wrongly if it is time, else wait
//! and answer. All that is shared between requests belongs to the core.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use metrics_export::prometheus::Page;
use proto_http::Method;
use runtime::process::thread_cpu_ns;
use runtime::{Broken, Core, Exchange, Peer, Service};

use crate::edge::admin::{program_facts, send_metrics};
use crate::edge::fields::{JSON, TEXT_NOW};
use crate::edge::problem;
use crate::telemetry::{connections, page};

use super::Behaviour;
use super::burn::burn;
use super::counts::{Counts, Ledger};
use super::every::Every;

const PATH: &[u8] = b"/api/ping";

/// As long as the gateway's own response.
const ANSWER: &[u8] =
    b"{\"message\":\"pong\",\"service\":\"reference\",\"answeredBy\":\"a server of known cost\",\
      \"bodyBytes\":0}";

/// A whole response, but no good one: shorter than any that is expected.
const ANSWER_SHORT: &[u8] = b"{";

/// How often, and for how long, a core stands still.
const STALL_EVERY: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_millis(100);

/// One core's server.
#[derive(Debug)]
pub(super) struct ReferenceServer {
    behaviour: Behaviour,
    counts: Arc<Counts>,
    wrong: Every,
    reset: Every,
    /// When the core stands still next.
    stall_at: Cell<Instant>,
    /// Whether the next wrong response is one by its status.
    by_status: Cell<bool>,
}

impl ReferenceServer {
    pub(super) fn new(behaviour: Behaviour, counts: Arc<Counts>) -> ReferenceServer {
        ReferenceServer {
            behaviour,
            counts,
            wrong: Every::new(behaviour.wrong),
            reset: Every::new(behaviour.reset),
            stall_at: Cell::new(Instant::now() + STALL_EVERY),
            by_status: Cell::new(true),
        }
    }

    /// Lets the core stand still to the end of the tenth of a second that begins at every mark.
    /// Requests notice; without any there would be nobody to notice.
    fn stall(&self) {
        let now = Instant::now();
        let mut mark = self.stall_at.get();
        while now >= mark {
            if now < mark + STALL {
                thread::sleep(mark + STALL - now);
                self.counts.stalls.add(1);
                self.counts.stalled_ns.add(now.elapsed().as_nanos() as u64);
            }
            mark += STALL_EVERY;
        }
        self.stall_at.set(mark);
    }

    async fn delay(&self, core: &Core) {
        let start = Instant::now();
        core.sleep(self.behaviour.delay).await;
        self.counts.delays.add(1);
        self.counts.delayed_ns.add(start.elapsed().as_nanos() as u64);
    }

    fn respond(&self, exchange: &mut Exchange<'_>) {
        if !self.wrong.is_due() {
            return exchange.reply().lines(JSON).send(200, &[], ANSWER);
        }
        if self.by_status.replace(!self.by_status.get()) {
            self.counts.wrong_status.add(1);
            exchange.reply().lines(JSON).send(500, &[], ANSWER);
        } else {
            self.counts.wrong_body.add(1);
            exchange.reply().lines(JSON).send(200, &[], ANSWER_SHORT);
        }
    }
}

impl Service for ReferenceServer {
    type Session = ();

    fn open(&self, _peer: &Peer<'_>) {}

    async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        if exchange.request().path() != PATH || exchange.request().method() != Method::Get {
            problem::not_found(exchange);
            return Ok(());
        }
        self.counts.requests.add(1);
        if self.behaviour.stall {
            self.stall();
        }
        if !self.behaviour.busy.is_zero() {
            self.counts.loop_ns.add(burn(self.behaviour.busy, thread_cpu_ns));
        }
        if self.reset.is_due() {
            self.counts.resets.add(1);
            return Err(Broken::Reset);
        }
        if !self.behaviour.delay.is_zero() {
            self.delay(exchange.core()).await;
        }
        self.respond(exchange);
        Ok(())
    }
}

/// The admin pages: alive, ready, and what was counted.
#[derive(Debug)]
pub(super) struct ReferenceAdmin {
    core: Core,
    ledger: Arc<Ledger>,
}

impl ReferenceAdmin {
    pub(super) fn new(core: &Core, ledger: Arc<Ledger>) -> ReferenceAdmin {
        ReferenceAdmin { core: core.clone(), ledger }
    }

    fn metrics(&self) -> Page {
        let mut page = Page::new();
        program_facts(&mut page, &self.core);
        self.ledger.add(&mut page);
        connections::add(&mut page, self.core.all_stats());
        page::process_figures(&mut page);
        page
    }
}

impl Service for ReferenceAdmin {
    type Session = ();

    fn open(&self, _peer: &Peer<'_>) {}

    async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        let request = exchange.request();
        match (request.method(), request.path()) {
            (Method::Get, b"/livez" | b"/readyz") => {
                exchange.reply().lines(TEXT_NOW).send(200, &[], b"ready\n");
            }
            (Method::Get, b"/metrics") => send_metrics(exchange, &self.metrics()),
            _ => problem::not_found(exchange),
        }
        Ok(())
    }
}
