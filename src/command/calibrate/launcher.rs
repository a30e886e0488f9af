//! Starts servers of known cost for a calibration, and background load: `tollgate reference` with
//! the settings of either, on free ports.

use std::path::PathBuf;
use std::time::Duration;

use loadgen::command::calibrate::servers::{self, KnownServer};
use loadgen::command::calibrate::{BackgroundLoad, CoreLoad, GROUP, THREADS};
use loadgen::experiment::stack::{self, Requests, RunningServers, Started};
use loadgen::machine::process::{CpuSource, Process};
use loadgen::plan::{PlannedCell, Variant};
use loadgen::traffic::error::ContextError;
use loadgen::traffic::tokens::Tokens;
use loadgen::traffic::trust::Trust;
use runtime::url::Url;

use crate::Failure;
use crate::process::stack::ProcessStack;

use super::group::Group;

/// The generator has closed its connections before a server is stopped.
const DRAIN: Duration = Duration::from_millis(200);

/// Starts reference servers.
pub(super) struct ReferenceLauncher {
    /// Where their logs are.
    logs: PathBuf,
    /// Options of every server.
    options: Vec<String>,
}

/// A running server. Its group can be taken away only after its last process, and fields are
/// dropped in their order.
struct ReferenceServers {
    stack: ProcessStack,
    _group: Option<Group>,
}

impl RunningServers for ReferenceServers {
    fn fallen(&self) -> Option<String> {
        self.stack.fallen()
    }
}

/// Starts `tollgate reference` on free ports.
fn start(own: &[String], log: PathBuf) -> Result<ProcessStack, Failure> {
    let any = "127.0.0.1:0";
    let words = ["reference", "--exit-with-stdin", "--listen", any, "--admin", any];
    let words: Vec<String> = words.map(String::from).into_iter().chain(own.to_vec()).collect();
    ProcessStack::lone("reference", &words, log, DRAIN)
}

impl ReferenceLauncher {
    pub(super) fn new(logs: PathBuf, cores: &[usize], driver: &str) -> ReferenceLauncher {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let cores = cores.join(",");
        let options = [["--cores", &cores], ["--driver", driver]];
        let options = options.as_flattened().iter().map(|word| (*word).to_owned()).collect();
        ReferenceLauncher { logs, options }
    }

    fn start_server(&self, variant: &Variant, server: &KnownServer) -> Result<Started, Failure> {
        let mut own = self.options.clone();
        own.extend(server.words());
        let stack = start(&own, self.logs.join(format!("{}.log", variant.id)))?;
        let member = &stack.members()[0];
        let cpu = CpuSource::Pid(member.pid);
        let process = |service: &str, cpu| Process { service: service.into(), cpu, admin: None };
        let mut processes = vec![Process { admin: Some(member.admin), ..process(THREADS, cpu) }];
        let group = if server.own_group { Group::of(member.pid) } else { None };
        processes.extend(
            group
                .as_ref()
                .map(|group| process(GROUP, CpuSource::ControlGroup(group.folder().to_path_buf()))),
        );
        Ok(Started {
            url: Url::parse(&member.url).map_err(Failure::of)?,
            stock_url: None,
            connect_to: None,
            server_name: None,
            trust: Trust::default(),
            tokens: Tokens::none(),
            processes,
            requests: Requests::Own(Box::new(servers::workload())),
            keep: Box::new(ReferenceServers { stack, _group: group }),
        })
    }
}

impl stack::Stack for ReferenceLauncher {
    fn start(
        &mut self,
        variant: &Variant,
        _cell: &PlannedCell,
        _instance: u32,
    ) -> Result<Started, ContextError> {
        let server = servers::server(variant)
            .ok_or_else(|| ContextError::new(format!("{} is no reference server", variant.id)))?;
        self.start_server(variant, server).map_err(ContextError::of)
    }
}

/// Starts processes that keep cores busy.
pub(super) struct LoadLauncher {
    /// Where their logs are.
    pub(super) logs: PathBuf,
}

impl BackgroundLoad for LoadLauncher {
    fn start(
        &mut self,
        cores: &[usize],
        load: CoreLoad,
    ) -> Result<Box<dyn RunningServers>, ContextError> {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let own = [
            ("--cores", cores.join(",")),
            ("--load-ms", load.busy_ms.to_string()),
            ("--load-every-ms", load.every_ms.to_string()),
        ];
        let own: Vec<String> =
            own.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        let stack = start(&own, self.logs.join("load.log")).map_err(ContextError::of)?;
        Ok(Box::new(ReferenceServers { stack, _group: None }))
    }
}
