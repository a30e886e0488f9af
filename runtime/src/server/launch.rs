//! Starting a server: sockets first, then a thread per core, then the news that all is up.
//!
//! Nothing is served unless everything could be started: a taken port or a refused ring is an
//! error of [`launch`], never of a thread that dies in silence. A core that panics later takes
//! the process down with it, because its share of the connections would hang for ever.

use std::cell::Cell;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use crate::executor::core::Core;
use crate::executor::driver::{Driver, DriverChoice, Executor};
use crate::executor::error::StartError;
use crate::executor::plan::CorePlan;
use crate::limits::CoreLimits;
use crate::observe::stats::{CoreStats, StatsRef};
use crate::server::address_counts::AddressCounts;
use crate::server::connection::{Endpoint, EndpointState};
use crate::server::error::Broken;
use crate::server::exchange::Exchange;
use crate::server::listener::{self, Listener, Opened};
use crate::server::service::{Peer, Service};
use crate::server::shutdown::{self, Running};
use crate::system::sys;

/// Starts a server on every core of `plan`: `main` on all of them with a service each, made by
/// `make` on the core's own thread; `admin`, if there is one, on the first core only.
///
/// # Errors
/// When an address is taken or cannot be bound, the driver is refused, or no thread can be had.
pub fn launch<S: Service, A: Service>(
    plan: CorePlan,
    main: Endpoint,
    admin: Option<Endpoint>,
    make: impl Fn(&Core) -> S + Send + Sync + 'static,
    make_admin: impl FnOnce(&Core) -> A + Send + 'static,
) -> Result<Running, StartError> {
    let workers = plan.workers();
    let (sockets, addr) = listener::listen(main.addr, workers)?;
    let mut admin_share = None;
    let mut admin_addr = None;
    if let Some(endpoint) = admin {
        let (mut sockets, addr) = listener::listen(endpoint.addr, 1)?;
        admin_addr = Some(addr);
        admin_share =
            sockets.pop().map(|socket| (EndpointShare::new(endpoint, socket), make_admin));
    }
    let stats: Arc<[CoreStats]> =
        (0..workers).map(|_| CoreStats::timing(plan.stage_timing)).collect();
    let make = Arc::new(make);
    let open_everywhere = Arc::new(AtomicUsize::new(0));
    let addresses = main.limits.counts_addresses().then(Arc::<AddressCounts>::default);
    let (ready, started) = mpsc::sync_channel(workers);
    let mut controls = Vec::with_capacity(workers);
    let mut threads = Vec::with_capacity(workers);
    for (index, socket) in sockets.into_iter().enumerate() {
        let (control, control_of_core) = UnixStream::pair().map_err(StartError::Thread)?;
        controls.push(control);
        let worker = CoreThread {
            index,
            cpu: plan.cpus[index],
            choice: plan.choice,
            stats: stats.clone(),
            control: control_of_core,
            ready: ready.clone(),
        };
        let share = EndpointShare {
            open_everywhere: open_everywhere.clone(),
            addresses: addresses.clone(),
            ..EndpointShare::new(main.clone(), socket)
        };
        let make = make.clone();
        let admin = admin_share.take();
        let body = move || worker.run(share, move |core| make(core), admin);
        let builder = thread::Builder::new().name(format!("core-{index}"));
        threads.push(builder.spawn(body).map_err(StartError::Thread)?);
    }
    drop(ready);
    let mut driver = Driver::IoUring;
    for _ in 0..workers {
        let gone = |_| StartError::Thread(io::ErrorKind::BrokenPipe.into());
        driver = weaker(driver, started.recv().map_err(gone)??);
    }
    Ok(Running { addr, admin: admin_addr, driver, stats, controls, threads })
}

/// What a result must say if the cores differ.
fn weaker(a: Driver, b: Driver) -> Driver {
    let rank = |driver| match driver {
        Driver::Epoll => 0,
        Driver::IoUringPlain => 1,
        Driver::IoUring => 2,
    };
    if rank(b) < rank(a) { b } else { a }
}

/// One core's share of an endpoint, on its way to the core's thread.
struct EndpointShare {
    endpoint: Endpoint,
    socket: TcpListener,
    open_everywhere: Arc<AtomicUsize>,
    addresses: Option<Arc<AddressCounts>>,
}

impl EndpointShare {
    fn new(endpoint: Endpoint, socket: TcpListener) -> EndpointShare {
        EndpointShare { endpoint, socket, open_everywhere: Arc::default(), addresses: None }
    }

    fn open<S: Service>(self, service: S, core: &Core, stats: StatsRef) -> Opened<S> {
        let limits = CoreLimits::from(&self.endpoint.limits);
        core.local.deadlines.expect(limits.shortest_ms());
        let endpoint = Rc::new(EndpointState {
            service,
            core: core.clone(),
            tls: self.endpoint.tls,
            limits: Rc::new(limits),
            stats,
            open_everywhere: self.open_everywhere,
            addresses: self.addresses,
            open: Cell::new(0),
            closed: Cell::new(0),
        });
        let listener = Listener::new(self.socket);
        monoio::spawn(listener.clone().run(endpoint.clone()));
        Opened { endpoint, listener }
    }
}

/// What a core's thread is given.
struct CoreThread {
    index: usize,
    cpu: usize,
    choice: DriverChoice,
    stats: Arc<[CoreStats]>,
    control: UnixStream,
    ready: SyncSender<Result<Driver, StartError>>,
}

impl CoreThread {
    fn run<S: Service, A: Service>(
        self,
        main: EndpointShare,
        make: impl FnOnce(&Core) -> S,
        admin: Option<(EndpointShare, impl FnOnce(&Core) -> A)>,
    ) {
        let _abort = AbortOnPanic;
        // Not being pinned costs speed, not correctness; `Core::cpu` tells.
        let cpu = sys::pin_to(self.cpu).ok().map(|()| self.cpu);
        let (mut executor, driver) = match Executor::new(self.choice) {
            Ok(built) => built,
            Err(error) => {
                // Nobody listens any more if another core failed before.
                let _ = self.ready.send(Err(error));
                return;
            }
        };
        let core = Core::new(self.index, cpu, driver, &self.stats);
        let clean = executor.block_on(async move {
            let main = main.open(make(&core), &core, core.local.stats.clone());
            let admin = admin.map(|(share, make)| {
                // Scrapes and probes are not traffic: they are counted where nobody looks.
                let apart = StatsRef { all: Arc::from([CoreStats::default()]), index: 0 };
                share.open(make(&core), &core, apart)
            });
            let _ = self.ready.send(Ok(driver));
            drop(self.ready);
            shutdown::serve_until_told(&core, main, admin, self.control).await
        });
        if !clean {
            // The kernel may still write into buffers of operations that did not end in time;
            // the process is about to exit, so they are left to it.
            std::mem::forget(executor);
        }
    }
}

/// Turns the panic of one core into the end of the process.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("a core panicked, and its connections with it; the process ends now");
            std::process::abort();
        }
    }
}

/// The admin service of a server that has none.
#[derive(Debug)]
pub struct NoAdmin;

impl Service for NoAdmin {
    type Session = ();

    fn open(&self, _: &Peer<'_>) {}

    async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        exchange.reply().problem(404, "there is nothing here");
        Ok(())
    }
}

/// For [`launch`] without an admin endpoint.
pub fn no_admin(_: &Core) -> NoAdmin {
    NoAdmin
}
