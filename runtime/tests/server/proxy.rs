//! A service that passes requests on: the upstream client, seen from inside a server.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proto_http::{OutgoingBody, OutgoingRequest};
use runtime::{
    Broken, Call, ClientError, Core, DriverChoice, Endpoint, Exchange, Peer, Service, Upstream,
    UpstreamConfig,
};

use crate::shop::{TEXT, Up};

/// Collects bodies and passes whole requests on; `/stream` is passed on piece by piece, and
/// `/drop/..` drops the response before its body.
pub(crate) struct Proxy(Upstream);

impl Proxy {
    pub(crate) fn start(
        choice: DriverChoice,
        upstream: SocketAddr,
        change: impl Fn(&mut UpstreamConfig) + Send + Sync + 'static,
    ) -> Up {
        let make = move |core: &Core| {
            let mut config = UpstreamConfig::new(vec![upstream], "backend");
            change(&mut config);
            Proxy(Upstream::new(core, config))
        };
        let endpoint = Endpoint::new("127.0.0.1:0".parse().unwrap(), None);
        Up::start(choice, endpoint, make).unwrap()
    }

    async fn whole(&self, it: &mut Exchange<'_>) -> Result<Call, ClientError> {
        let (request, body, _) = it.parts();
        let method = String::from_utf8_lossy(request.method_name()).into_owned();
        let mut call = self
            .0
            .send(&OutgoingRequest {
                method: &method,
                target: request.target(),
                host: b"",
                fields: &[],
                body: if body.is_empty() { OutgoingBody::None } else { OutgoingBody::Bytes(body) },
            })
            .await?;
        if !request.path().starts_with(b"/drop") {
            call.body(1024 * 1024).await?;
        }
        Ok(call)
    }

    async fn streamed(&self, it: &mut Exchange<'_>) -> Result<(), ClientError> {
        let ask = OutgoingRequest {
            method: "POST",
            target: b"/stream",
            host: b"",
            fields: &[],
            body: OutgoingBody::Chunked,
        };
        let mut call = self.0.begin(&ask).await?;
        while let Some(piece) = it.piece().await.map_err(|_| ClientError::Closed)? {
            call.write(piece).await?;
        }
        call.finish_request().await?;
        call.response().await?;
        it.reply().head(call.status(), &TEXT, OutgoingBody::Chunked);
        while let Some(piece) = call.piece().await? {
            it.reply().piece(piece);
            it.flush().await.map_err(|_| ClientError::Closed)?;
        }
        it.reply().end();
        Ok(())
    }
}

impl Service for Proxy {
    type Session = ();

    fn open(&self, _: &Peer<'_>) {}

    async fn call(&self, (): &(), it: &mut Exchange<'_>) -> Result<(), Broken> {
        if it.request().path() == b"/stream" {
            return self.streamed(it).await.map_err(|_| Broken::Abandoned);
        }
        if it.body(1024 * 1024).await.is_err() {
            return Ok(());
        }
        match self.whole(it).await {
            Ok(call) => {
                let (head, _, body) = call.parts();
                it.reply().send(head.status, &TEXT, body);
            }
            Err(error) => {
                let text = error.to_string();
                it.reply().send(error.status(), &TEXT, text.as_bytes());
            }
        }
        Ok(())
    }
}

/// A backend of threads and blocking sockets: `serve` is given each connection with its number.
pub(crate) struct Backend {
    pub addr: SocketAddr,
    connections: Arc<AtomicU64>,
}

impl Backend {
    pub(crate) fn start(serve: impl Fn(u64, TcpStream) + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU64::new(0));
        let count = connections.clone();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                thread::spawn(move || serve(number, stream.unwrap()));
            }
        });
        Backend { addr, connections }
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}
