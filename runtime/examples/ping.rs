//! The smallest server: 103 bytes of JSON on `/api/ping`, plain or under TLS.
//!
//! It is what the speed of this crate is measured with, so it does nothing else: no token, no
//! policy, no store. `ping --listen ADDR [--epoll] [--cores 0,1] [--tls CERT KEY [CLIENT_CA]]`
//! serves until it is interrupted, then drains.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto_http::Method;
use runtime::{
    Broken, CorePlan, DriverChoice, Endpoint, Exchange, Peer, Service, launch, no_admin,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// 103 bytes, a usual small answer.
const BODY: &[u8] = b"{\"id\":\"o-1234567890\",\"status\":\"accepted\",\"items\":3,\
    \"total\":1999,\"currency\":\"EUR\",\"customer\":\"client-1\"}";
const JSON: [(&str, &[u8]); 1] = [("Content-Type", b"application/json")];
const BODY_BYTES_MAX: usize = 1024 * 1024;

struct Ping;

impl Service for Ping {
    type Session = ();

    fn open(&self, _: &Peer<'_>) {}

    async fn call(&self, (): &(), exchange: &mut Exchange<'_>) -> Result<(), Broken> {
        let request = exchange.request();
        if request.path() != b"/api/ping" {
            exchange.reply().problem(404, "there is only /api/ping");
        } else if request.method() == Method::Post {
            // An error of the body is answered by the server itself.
            if exchange.body(BODY_BYTES_MAX).await.is_ok() {
                exchange.reply().send(200, &JSON, BODY);
            }
        } else {
            exchange.reply().send(200, &JSON, BODY);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut addr: SocketAddr = "127.0.0.1:8080".parse()?;
    let mut choice = DriverChoice::Auto;
    let mut cores: Option<Vec<usize>> = None;
    let mut tls = None;
    let mut args = std::env::args().skip(1).peekable();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--listen" => addr = value()?.parse()?,
            "--epoll" => choice = DriverChoice::Epoll,
            "--cores" => {
                cores = Some(value()?.split(',').map(str::parse).collect::<Result<_, _>>()?)
            }
            "--tls" => {
                let (cert, key) = (value()?, value()?);
                let ca = args.next_if(|next| !next.starts_with("--"));
                tls = Some(tls_config(&cert, &key, ca.as_deref())?);
            }
            _ => return Err(format!("{arg} is not known").into()),
        }
    }
    let plan = CorePlan::new(None, cores.as_deref(), choice)?;
    let running = launch(plan, Endpoint::new(addr, tls), None, |_| Ping, no_admin)?;
    println!("listening on {} with {}", running.addr, running.driver);
    Signals::new([SIGINT, SIGTERM])?.forever().next();
    println!("{:?}", running.drain(Duration::from_secs(5)));
    Ok(())
}

fn tls_config(
    cert: &str,
    key: &str,
    client_ca: Option<&str>,
) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(ca)? {
                roots.add(certificate?)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
