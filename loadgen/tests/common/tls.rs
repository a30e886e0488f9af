//! A TLS server of a few lines, rustls over blocking sockets, with a certificate made on the spot.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use authn::{
    Transport,
    material::{CertifiedKey, ClientMaterial, ServerMaterial, certificates},
    pki::{Authority, Request},
    tls::{TlsOptions, client_config, server_config},
};
use loadgen::target::{Source, Target, TlsTarget};
use rustls::{ServerConnection, StreamOwned, pki_types::ServerName};

/// Starts a server that lasts as long as the test program, and tells how to reach it.
pub fn serve() -> Target {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let authority = Authority::create("test CA", now_s).unwrap();
    let request = Request {
        name: "server",
        dns: &["localhost"],
        ips: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        spiffe: false,
        server: true,
        client: false,
        days: 1,
    };
    let issued = authority.issue(&request, now_s).unwrap();
    let identity =
        CertifiedKey::from_pem(issued.cert_pem.as_bytes(), issued.key_pem.as_bytes()).unwrap();
    let roots = certificates(authority.cert_pem().as_bytes()).unwrap();
    let options = TlsOptions { resumption: false };
    let material = ServerMaterial { identity, client_ca: roots.clone(), crls: Vec::new() };
    let server = server_config(Some(&material), Transport::Tls, &options).unwrap().unwrap();
    let material = ClientMaterial { roots, identity: None };
    let config = client_config(&material, Transport::Tls, &options, false).unwrap().unwrap();
    let addr = listen(server);
    Target {
        name: format!("https://{addr}"),
        addresses: vec![addr],
        host: addr.to_string(),
        tls: Some(TlsTarget { config, name: ServerName::try_from("localhost").unwrap() }),
        source: Source::Auto,
    }
}

fn listen(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || converse(StreamOwned::new(connection, socket)));
        }
    });
    addr
}

/// Answers each request without a body, one at a time, until the client leaves.
fn converse(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    stream.sock.set_nodelay(true).unwrap();
    let (mut piece, mut seen) = ([0; 4096], 0);
    while let Ok(count) = stream.read(&mut piece[seen..])
        && count > 0
    {
        seen += count;
        if piece[..seen].ends_with(b"\r\n\r\n") {
            seen = 0;
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    }
}
