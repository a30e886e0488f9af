//! A server whose routes misbehave in every way a test needs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto_http::OutgoingBody;
use runtime::WaitKind;
use runtime::{
    Broken, Core, CorePlan, CoreStats, DrainReport, DriverChoice, Endpoint, Exchange, Peer,
    Running, Service, StartError, launch, no_admin,
};

/// What `/echo` collects at most.
pub(crate) const ECHO_BYTES_MAX: usize = 64 * 1024;

/// What `/big` streams.
pub(crate) const BIG_BYTES: usize = 8 * 1024 * 1024;

/// What `/owing` was done in time, and what was not.
pub(crate) static OWED: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

pub(crate) const TEXT: [(&str, &[u8]); 1] = [("Content-Type", b"text/plain")];

/// The service; its session is what it saw of the peer.
pub(crate) struct Shop(pub Core);

impl Service for Shop {
    type Session = String;

    fn open(&self, peer: &Peer<'_>) -> String {
        match &peer.tls {
            None => "plain".to_owned(),
            Some(facts) => format!(
                "{} {} {} {:?} {}",
                facts.version,
                facts.suite,
                facts.group,
                facts.handshake,
                facts.certificates.map_or(0, <[_]>::len)
            ),
        }
    }

    async fn call(&self, session: &String, it: &mut Exchange<'_>) -> Result<(), Broken> {
        let path = String::from_utf8_lossy(it.request().path()).into_owned();
        match path.as_str() {
            "/ping" => it.reply().send(200, &TEXT, b"pong"),
            "/facts" => it.reply().send(200, &TEXT, session.as_bytes()),
            "/echo" => echo(it).await,
            "/stream" => stream(it).await?,
            "/sleep" => {
                self.0.sleep(millis(it)).await;
                it.reply().send(200, &TEXT, b"rested");
            }
            "/owing" => {
                let (core, work) = (self.0.clone(), millis(it));
                let done = async move {
                    core.sleep(work).await;
                    OWED[0].fetch_add(1, Ordering::Relaxed);
                };
                let cut = || {
                    OWED[1].fetch_add(1, Ordering::Relaxed);
                };
                self.0.spawn_owed(done, cut);
                it.reply().send(200, &TEXT, b"later");
            }
            "/patient" => {
                self.0.sleep_while_serving(millis(it)).await;
                it.reply().send(200, &TEXT, b"rested");
            }
            "/block" => {
                std::thread::sleep(millis(it));
                it.reply().send(200, &TEXT, b"blocked");
            }
            "/accepted" => {
                let count = self.0.stats().connections_accepted.value();
                it.reply().send(200, &TEXT, count.to_string().as_bytes());
            }
            "/sip" => sip(&self.0, it).await?,
            "/big" => big(it).await?,
            "/silent" => {}
            "/abandoned" => {
                it.reply().head(200, &TEXT, OutgoingBody::Chunked);
                it.reply().piece(b"half of");
                it.flush().await?;
                return Err(Broken::Abandoned);
            }
            "/half" => {
                it.reply().head(200, &TEXT, OutgoingBody::Chunked);
                it.reply().piece(b"half of");
                it.flush().await?;
                self.0.sleep(Duration::from_secs(60)).await;
                it.reply().end();
            }
            "/unread" => {
                it.reply().head(200, &TEXT, OutgoingBody::Chunked);
                loop {
                    it.reply().piece(&[b'x'; 64 * 1024]);
                    it.flush().await?;
                }
            }
            "/reset" => return Err(Broken::Reset),
            _ => it.reply().problem(404, "there is no such route"),
        }
        Ok(())
    }
}

/// Reads a body with a pause before each piece, as one who passes it on to somebody slow.
async fn sip(core: &Core, it: &mut Exchange<'_>) -> Result<(), Broken> {
    let pause = millis(it);
    let mut pieces = 0;
    while it.piece().await?.is_some() {
        pieces += 1;
        core.sleep(pause).await;
    }
    it.reply().send(200, &TEXT, format!("{pieces}").as_bytes());
    Ok(())
}

/// Collects the body and sends it back.
async fn echo(it: &mut Exchange<'_>) {
    if it.body(ECHO_BYTES_MAX).await.is_ok() {
        let (request, body, reply) = it.parts();
        let kind = request.field("content-type").unwrap_or(b"none");
        reply.send(200, &[("X-Type", kind)], body);
    }
}

/// Sends the body back piece by piece as it comes.
async fn stream(it: &mut Exchange<'_>) -> Result<(), Broken> {
    it.reply().head(200, &TEXT, OutgoingBody::Chunked);
    while let Some(piece) = it.piece().await? {
        let piece = piece.to_vec();
        it.reply().piece(&piece);
        it.flush().await?;
    }
    it.reply().end();
    Ok(())
}

async fn big(it: &mut Exchange<'_>) -> Result<(), Broken> {
    let block = [b'x'; 64 * 1024];
    it.reply().head(200, &TEXT, OutgoingBody::Exact(BIG_BYTES as u64));
    for _ in 0..BIG_BYTES / block.len() {
        it.reply().piece(&block);
        it.flush().await?;
    }
    it.reply().end();
    Ok(())
}

/// The query as a number of milliseconds.
fn millis(it: &Exchange<'_>) -> Duration {
    let query = String::from_utf8_lossy(it.request().query().unwrap_or(b"0")).into_owned();
    Duration::from_millis(query.parse().unwrap_or(0))
}

/// A server that is up.
pub(crate) struct Up {
    running: Option<Running>,
    pub addr: SocketAddr,
}

impl Up {
    pub(crate) fn start<S: Service>(
        choice: DriverChoice,
        endpoint: Endpoint,
        make: impl Fn(&Core) -> S + Send + Sync + 'static,
    ) -> Result<Up, StartError> {
        let plan = CorePlan::new(Some(2), None, choice)?;
        let running = launch(plan, endpoint, None, make, no_admin)?;
        Ok(Up { addr: running.addr, running: Some(running) })
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// One counter, summed over the cores.
    pub(crate) fn sum(&self, counter: impl Fn(&CoreStats) -> u64) -> u64 {
        self.running().stats.iter().map(counter).sum()
    }

    pub(crate) fn expired(&self, kind: WaitKind) -> u64 {
        self.sum(|stats| stats.deadlines[kind.index()].value())
    }

    /// Waits until a counter has a value; connections end a moment after their peers do.
    pub(crate) fn eventually(
        &self,
        what: &str,
        expected: u64,
        counter: impl Fn(&CoreStats) -> u64,
    ) {
        let start = Instant::now();
        while self.sum(&counter) != expected {
            let value = self.sum(&counter);
            let late = start.elapsed() > Duration::from_secs(10);
            assert!(!late, "{what} is {value} and not {expected}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn drain(mut self, limit: Duration) -> DrainReport {
        self.running.take().unwrap().drain(limit)
    }
}

/// Whether io_uring's absence was told already.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Runs `case` with a shop on each driver; `limit` may change the endpoint.
pub(crate) fn on_each_driver(limit: impl Fn(&mut Endpoint), case: impl Fn(Up)) {
    with_each_driver(|choice| {
        let mut endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        limit(&mut endpoint);
        case(Up::start(choice, endpoint, |core| Shop(core.clone())).unwrap());
    });
}

/// Runs `case` for each driver this machine grants.
pub(crate) fn with_each_driver(case: impl Fn(DriverChoice)) {
    case(DriverChoice::Epoll);
    match Up::start(
        DriverChoice::RequireIoUring,
        Endpoint::new("127.0.0.1:0".parse().unwrap(), None),
        |core| Shop(core.clone()),
    ) {
        Ok(_) => case(DriverChoice::RequireIoUring),
        Err(error) => {
            if !TOLD.swap(true, Ordering::Relaxed) {
                eprintln!("only epoll is tested: {error}");
            }
        }
    }
}
