//! A TLS server of a few lines, rustls over blocking sockets, with a certificate made on the spot.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use authn::Transport;
use authn::material::{CertifiedKey, ClientMaterial, ServerMaterial, certificates};
use authn::pki::{Authority, CertificateRequest};
use authn::tls::{ServerTrust, TlsOptions, client_config, server_config};
use loadgen::traffic::target::{Source, Target, TlsTarget};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ServerConnection, StreamOwned};

/// Starts a server that lasts as long as the test program; tells how to reach it, and counts what
/// it answers.
pub(crate) fn serve() -> (Target, Arc<AtomicU64>) {
    let now = UnixTime::now();
    let authority = Authority::create("test CA", now).unwrap();
    let request = CertificateRequest {
        name: "server",
        dns: &["localhost"],
        ips: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        spiffe: false,
        server: true,
        client: false,
        days: 1,
    };
    let issued = authority.issue(&request, now).unwrap();
    let identity =
        CertifiedKey::from_pem(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes()).unwrap();
    let roots = certificates(authority.cert_pem().as_bytes()).unwrap();
    let options = TlsOptions { resumption: false };
    let material = ServerMaterial { identity, client_ca: roots.clone(), crls: Vec::new() };
    let server = server_config(Some(&material), Transport::Tls, &options).unwrap().unwrap();
    let material = ClientMaterial { roots, identity: None };
    let config =
        client_config(&material, Transport::Tls, &options, &ServerTrust::Path).unwrap().unwrap();
    let answered = Arc::new(AtomicU64::new(0));
    let addr = listen(server, Arc::clone(&answered));
    let target = Target {
        name: format!("https://{addr}"),
        addresses: vec![addr],
        host: addr.to_string(),
        tls: Some(TlsTarget { config, name: ServerName::try_from("localhost").unwrap() }),
        source: Source::Auto,
    };
    (target, answered)
}

fn listen(config: Arc<rustls::ServerConfig>, answered: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let answered = Arc::clone(&answered);
            thread::spawn(move || converse(StreamOwned::new(connection, socket), &answered));
        }
    });
    addr
}

/// Answers each request without a body, one at a time, until the client leaves.
fn converse(mut stream: StreamOwned<ServerConnection, TcpStream>, answered: &AtomicU64) {
    stream.sock.set_nodelay(true).unwrap();
    let (mut piece, mut seen) = ([0; 4096], 0);
    while let Ok(count) = stream.read(&mut piece[seen..])
        && count > 0
    {
        seen += count;
        if piece[..seen].ends_with(b"\r\n\r\n") {
            seen = 0;
            answered.fetch_add(1, Ordering::Relaxed);
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    }
}
