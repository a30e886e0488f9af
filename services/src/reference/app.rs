//! The reference server on one core: its response, what it does beside it, and its admin pages.
//!
//! The order is: count, stand still, walk, burn, then reset or answer wrongly if it is time, else
//! wait and answer; what is burnt after the response comes last. All that is shared between
//! requests belongs to the core.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

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
use super::stall::StallClock;
use super::walk::Walk;

const PATH: &[u8] = b"/api/ping";

/// As long as the gateway's own response.
const ANSWER: &[u8] =
    b"{\"message\":\"pong\",\"service\":\"reference\",\"answeredBy\":\"a server of known cost\",\
      \"bodyBytes\":0}";

/// A whole response, but no good one: shorter than any that is expected.
const ANSWER_SHORT: &[u8] = b"{";

/// One core's server.
#[derive(Debug)]
pub(super) struct ReferenceServer {
    behaviour: Behaviour,
    counts: Arc<Counts>,
    wrong: Every,
    reset: Every,
    /// The memory that requests walk, where they do.
    walk: Option<Walk>,
    /// When the core stands still, where it does.
    stalls: Option<StallClock>,
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
            walk: (behaviour.walk_kib > 0).then(|| Walk::new(behaviour.walk_kib)),
            stalls: behaviour.stall.map(|stall| StallClock::new(stall, Instant::now())),
            by_status: Cell::new(true),
        }
    }

    /// Lets the core stand still to the end of the stall that it is in. Requests notice; without
    /// any there would be nobody to notice.
    fn stand_still(&self, stalls: &StallClock) {
        let now = Instant::now();
        if let Some(end) = stalls.due(now) {
            if self.behaviour.stall_burns {
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            } else {
                thread::sleep(end - now);
            }
            self.counts.stalls.add(1);
            self.counts.stalled_ns.add(now.elapsed().as_nanos() as u64);
        }
    }

    /// What every request does before it is decided how it is answered.
    fn work(&self) {
        if let Some(stalls) = &self.stalls {
            self.stand_still(stalls);
        }
        if let Some(walk) = &self.walk {
            self.counts.walk_ns.add(walk.run(thread_cpu_ns));
        }
        if !self.behaviour.busy.is_zero() {
            self.counts.loop_ns.add(burn(self.behaviour.busy, thread_cpu_ns));
        }
    }

    /// Burns processor time when the kernel has taken the response, so that the client has it
    /// meanwhile. The connection's next request is not read before that is done, nor is that of any
    /// other connection of this core.
    async fn work_after(&self, exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        exchange.flush().await?;
        self.counts.after_loop_ns.add(burn(self.behaviour.after, thread_cpu_ns));
        self.counts.after_loops.add(1);
        Ok(())
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
        self.work();
        if self.reset.is_due() {
            self.counts.resets.add(1);
            return Err(Broken::Reset);
        }
        if !self.behaviour.delay.is_zero() {
            self.delay(exchange.core()).await;
        }
        self.respond(exchange);
        if !self.behaviour.after.is_zero() {
            self.work_after(exchange).await?;
        }
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
