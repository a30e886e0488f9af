//! The trait through which whoever owns processes starts the servers of a variant.
//!
//! The generator knows no service and starts none: it is handed URLs, key material and process
//! ids, measures, and drops them again.

use std::fmt;
use std::net::SocketAddr;

use runtime::url::Url;
use rustls::pki_types::ServerName;

use crate::machine::process::Process;
use crate::plan::{PlannedCell, Variant};
use crate::traffic::error::ContextError;
use crate::traffic::tokens::Tokens;
use crate::traffic::trust::Trust;
use crate::traffic::workload::Workload;

/// Starts the servers of one variant at a time. Several variants run at once: they are all
/// started before the first slice, and only one of them gets traffic at any time.
pub trait Stack {
    /// Starts new processes for `variant` and returns when all of them are ready. `instance`
    /// counts the restarts of an experiment from 0. Servers that are not ours to start are only
    /// reached anew.
    ///
    /// # Errors
    /// A sentence that says what could not be started, and what to do.
    fn start(
        &mut self,
        variant: &Variant,
        cell: &PlannedCell,
        instance: u32,
    ) -> Result<Started, ContextError>;
}

/// The running servers of one variant. Dropping it stops them.
pub struct Started {
    /// Whom the generator talks to, such as `https://127.0.0.1:40001`.
    pub url: Url,
    /// Where the shop's stock is set, where that is not the same server.
    pub stock_url: Option<Url>,
    /// Where to connect instead of the URL's own addresses.
    pub connect_to: Option<Vec<SocketAddr>>,
    /// The name that the server's certificate must have, also sent as SNI; None for the URL's.
    pub server_name: Option<ServerName<'static>>,
    /// Trust and client certificate, for https. Its configuration is made once a variant, so that
    /// no session is shared between variants.
    pub trust: Trust,
    /// Access tokens as the variant asks for, all valid for longer than the experiment or renewed.
    pub tokens: Tokens,
    /// Every service process.
    pub processes: Vec<Process>,
    /// What is asked of them.
    pub requests: Requests,
    /// Whatever must live as long as the servers run; its drop stops them.
    pub keep: Box<dyn RunningServers>,
}

/// What keeps servers running.
pub trait RunningServers {
    /// A sentence about a server that ended by itself; None as long as all run, and of servers that
    /// are not ours.
    fn fallen(&self) -> Option<String> {
        None
    }
}

/// Servers that are not ours.
impl RunningServers for () {}

/// What is asked of the servers of a variant.
pub enum Requests {
    /// The workload of the cell: these are the shop's own services, whose stock is refilled and
    /// whose pages prove what happened. Connections are measured with a ping where there is one.
    Shop {
        /// The services that a request of the cell's workload passes once, the first being the one
        /// that is addressed.
        path: Vec<&'static str>,
    },
    /// A request of its own.
    Own(Box<Workload>),
}

impl fmt::Debug for Started {
    /// Leaves the tokens out: they are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("host", &self.url.host_field())
            .field("trust", &self.trust)
            .field("tokens", &self.tokens)
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}
