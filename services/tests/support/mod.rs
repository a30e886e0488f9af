//! A state directory with an authority, certificates and clients, services started from it on free
//! ports, and a client that brings what it is told to. It refuses to hide an answer: callers see
//! status, fields and body.

#![expect(clippy::unwrap_used, reason = "a test helper may panic")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test file uses another part of this one"
)]

pub(crate) mod mesh;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use authn::material::{CertifiedKey, ClientMaterial, certificates};
use authn::pki::{Authority, CertificateRequest, Revoked, serial_of};
use authn::tls::{ServerTrust, TlsOptions, client_config};
use authn::{Algorithm, NewClaims, Profile, ScopeSet, Signer, Transport};
use metrics_export::prometheus::Scrape;
use runtime::DriverChoice;
use runtime::blocking::{self, Response};
use runtime::url::Url;
use rustls::pki_types::UnixTime;
use services::{GatewayConfig, RunningService, ServiceConfig, ServiceKind, ServiceRole};
use tempfile::TempDir;

/// The issuer that all tests agree on; nobody listens there.
pub(crate) const ISSUER: &str = "https://issuer.test";

/// An upstream that nobody is asked for: port 1 is nobody's.
pub(crate) const NOWHERE: &str = "127.0.0.1:1";

/// For whatever takes no time.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A state directory.
pub(crate) struct Lab {
    dir: TempDir,
    authority: Authority,
}

impl Lab {
    /// With an authority and certificates for every service and client.
    pub(crate) fn new() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create("test authority", now()).unwrap();
        let lab = Lab { dir, authority };
        lab.write("ca/ca.crt", lab.authority.cert_pem().as_bytes());
        for (_, name, _) in ServiceKind::TABLE {
            lab.issue(&format!("certs/{name}"), name, true);
        }
        for name in ["bench-runner", "bench-ui", "service-order", "stranger"] {
            lab.issue(&format!("clients/{name}"), name, false);
        }
        lab
    }

    /// Issues a certificate for `name` into `path`.crt and `path`.key.
    pub(crate) fn issue(&self, path: &str, name: &str, server: bool) {
        let request = CertificateRequest {
            name,
            dns: if server { &["localhost"] } else { &[] },
            ips: if server { &[IpAddr::V4(Ipv4Addr::LOCALHOST)] } else { &[] },
            spiffe: true,
            server,
            client: true,
            days: 1,
        };
        let issued = self.authority.issue(&request, now()).unwrap();
        self.write(&format!("{path}.crt"), issued.cert_pem.as_bytes());
        self.write(&format!("{path}.key"), issued.key_pem.as_bytes());
    }

    /// Revokes the certificates of these clients.
    pub(crate) fn revoke(&self, clients: &[&str]) {
        let revoked: Vec<Revoked> = clients
            .iter()
            .map(|name| Revoked {
                serial: serial_of(&self.read(&format!("clients/{name}.crt"))).unwrap(),
                at: now(),
            })
            .collect();
        let list = self.authority.revocation_list(&revoked, 1, now(), 1).unwrap();
        self.write("ca/ca.crl", list.as_bytes());
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path().join(path)).unwrap()
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        // Services refuse keys that others may read.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// One worker on free loopback ports; tokens are verified with `jwks.json`.
    pub(crate) fn config(&self, role: impl Into<ServiceRole>, profile: Profile) -> ServiceConfig {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let mut config = ServiceConfig::new(role, profile);
        config.listen = any;
        config.admin = any;
        config.state = Some(self.path().to_path_buf());
        config.workers = Some(1);
        config.issuer = Some(ISSUER.to_string());
        config.jwks = Some(services::KeySource::File(self.path().join("jwks.json")));
        config
    }

    /// A signer whose public key is put into `jwks.json`.
    pub(crate) fn signer(&self) -> Signer {
        let (_, signer) = Signer::generate(Algorithm::Es256).unwrap();
        let keys = authn::KeySet::of([&signer]).unwrap();
        self.write("jwks.json", keys.to_json().as_bytes());
        signer
    }

    /// TLS as a client of the shop: `name` is whose certificate it shows under mutual TLS.
    pub(crate) fn client(&self, transport: Transport, name: Option<&str>) -> Client {
        let identity = name.map(|name| {
            let chain = self.read(&format!("clients/{name}.crt"));
            CertifiedKey::from_pem(&chain, &self.read(&format!("clients/{name}.key"))).unwrap()
        });
        let effective = match (transport, &identity) {
            (Transport::Mutual, None) => Transport::Tls,
            _ => transport,
        };
        let material =
            ClientMaterial { roots: certificates(&self.read("ca/ca.crt")).unwrap(), identity };
        let options = TlsOptions::default();
        let tls = client_config(&material, effective, &options, &ServerTrust::Path).unwrap();
        Client { tls }
    }
}

/// The settings of a gateway in front of an orders service.
pub(crate) fn before_orders(orders: impl ToString) -> GatewayConfig {
    GatewayConfig { orders: Some(orders.to_string()), ..GatewayConfig::default() }
}

/// Claims that every service accepts, to be changed by the test.
pub(crate) fn claims<'a>(client: &'a str, scopes: &str) -> NewClaims<'a> {
    NewClaims {
        issuer: ISSUER,
        audience: ServiceConfig::AUDIENCE,
        subject: client,
        client_id: client,
        scopes: ScopeSet::parse(scopes).unwrap(),
        issued_at: now().as_secs(),
        expires_at: now().as_secs() + 300,
        token_id: "test",
    }
}

pub(crate) fn now() -> UnixTime {
    UnixTime::now()
}

/// Starts a service on the driver the machine has, and waits until it is ready.
pub(crate) fn start(config: ServiceConfig) -> Server {
    let server = start_unready(config);
    let deadline = Instant::now() + SOON;
    loop {
        let answer = server.admin_get("/readyz");
        if answer.status == 200 {
            return server;
        }
        let reasons = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(Instant::now() < deadline, "not ready: {reasons}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn start_unready(config: ServiceConfig) -> Server {
    let tls = config.profile.transport != Transport::Plain;
    Server { started: services::start(config).unwrap(), tls }
}

/// The drivers to test with: epoll is always there, io_uring where the kernel permits it.
pub(crate) const DRIVERS: [DriverChoice; 2] = [DriverChoice::Auto, DriverChoice::Epoll];

/// A service that runs in this process.
pub(crate) struct Server {
    started: RunningService,
    tls: bool,
}

impl Server {
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.started.addr().port())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.started.addr()
    }

    pub(crate) fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.started.admin().unwrap())
    }

    pub(crate) fn admin_get(&self, path: &str) -> Response {
        Client { tls: None }.get(&self.admin_url(path), &[]).unwrap()
    }

    /// The sum of a metric over all series with these labels; zero if there is none.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let answer = self.admin_get("/metrics");
        assert_eq!(answer.status, 200);
        let page = Scrape::parse(std::str::from_utf8(&answer.body).unwrap()).unwrap();
        page.sum(name, labels).unwrap_or_default() as u64
    }

    pub(crate) fn drain(self) -> runtime::DrainReport {
        self.started.drain(SOON)
    }
}

/// Sends raw bytes and reads until the server closes or `enough` says so.
pub(crate) fn raw(server: &Server, request: &[u8], enough: impl Fn(&[u8]) -> bool) -> String {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request).unwrap();
    let mut all = Vec::new();
    let mut buffer = [0; 64 * 1024];
    while !enough(&all) {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8(all).unwrap()
}

pub(crate) fn until_closed(_: &[u8]) -> bool {
    false
}

/// A client with its TLS, or none.
#[derive(Clone)]
pub(crate) struct Client {
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Client {
    pub(crate) fn get(
        &self,
        url: &str,
        fields: &[(&str, &[u8])],
    ) -> Result<Response, blocking::Error> {
        self.request("GET", url, fields, b"")
    }

    pub(crate) fn request(
        &self,
        method: &str,
        url: &str,
        fields: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Response, blocking::Error> {
        let url = Url::parse(url).unwrap();
        blocking::request(&url, self.tls.clone(), method, fields, body, SOON, 64 * 1024 * 1024)
    }
}

/// The value of `Authorization` for a token.
pub(crate) fn bearer(token: &str) -> Vec<u8> {
    format!("Bearer {token}").into_bytes()
}
