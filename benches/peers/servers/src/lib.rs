//! What the peer servers share: their command line, their TLS configuration and the keys of tokens.
//! Everything comes from one folder that `peers.py` fills. A mistake ends the process with a
//! sentence: this is a bench, not a product.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::crypto::ring::default_provider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The issuer of every token of the bench.
pub const ISSUER: &str = "https://issuer.example";
/// The audience of every token of the bench.
pub const AUDIENCE: &str = "tollgate";
/// The scope that S5 asks for.
pub const SCOPE: &str = "orders.read";

/// What a peer is told: `PROFILE LISTEN FOLDER ALGORITHM ANSWER [no-tickets]`.
pub struct Settings {
    pub profile: String,
    pub listen: SocketAddr,
    pub folder: PathBuf,
    pub algorithm: String,
    pub answer: String,
    pub tickets: bool,
}

impl Settings {
    /// Reads the command line.
    pub fn from_arguments() -> Settings {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [profile, listen, folder, algorithm, answer, rest @ ..] = words.as_slice() else {
            panic!("usage: PROFILE LISTEN FOLDER ALGORITHM ANSWER [no-tickets]");
        };
        Settings {
            profile: profile.clone(),
            listen: listen.parse().expect("LISTEN is an address with a port"),
            folder: folder.into(),
            algorithm: algorithm.clone(),
            answer: answer.clone(),
            tickets: rest.is_empty(),
        }
    }

    /// The TLS side of the profile; none for S0.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        let mutual = match self.profile.as_str() {
            "S0" => return None,
            "S1" | "S2" => false,
            "S3" | "S4" | "S5" => true,
            other => panic!("there is no profile {other}"),
        };
        Some(Arc::new(server_config(&self.folder, mutual, self.tickets)))
    }

    /// Whether requests must bring a token.
    pub fn wants_token(&self) -> bool {
        matches!(self.profile.as_str(), "S2" | "S4" | "S5")
    }

    /// Whether the token's scopes are looked at.
    pub fn wants_scope(&self) -> bool {
        self.profile == "S5"
    }
}

/// TLS 1.3 with ring, for the server of the folder.
pub fn server_config(folder: &Path, mutual: bool, tickets: bool) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has TLS 1.3");
    let builder = if mutual {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(folder), provider);
        builder.with_client_cert_verifier(verifier.build().expect("the CA can be used"))
    } else {
        builder.with_no_client_auth()
    };
    let (chain, key) = identity(folder, "server");
    let mut config = builder.with_single_cert(chain, key).expect("the server's key fits");
    if !tickets {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config
}

/// The other end of [`server_config`], which resumes nothing.
pub fn client_config(folder: &Path) -> ClientConfig {
    let (chain, key) = identity(folder, "client");
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has TLS 1.3")
        .with_root_certificates(roots(folder))
        .with_client_auth_cert(chain, key)
        .expect("the client's key fits");
    config.resumption = rustls::client::Resumption::disabled();
    config
}

fn roots(folder: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let file = folder.join("ca.crt");
    roots.add(CertificateDer::from_pem_file(file).expect("ca.crt can be read")).expect("a CA");
    Arc::new(roots)
}

fn identity(folder: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_file(folder.join(format!("{name}.crt")));
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key")));
    (vec![certificate.expect("a certificate can be read")], key.expect("a key can be read"))
}

/// A member of the folder's key whose `kid` is this algorithm, decoded.
pub fn key_member(folder: &Path, algorithm: &str, member: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(key_text(folder, algorithm, member)).expect("members are base64url")
}

/// The same as it stands in the key set.
pub fn key_text(folder: &Path, algorithm: &str, member: &str) -> String {
    let text = fs::read(folder.join("jwks.json")).expect("jwks.json can be read");
    let set: serde_json::Value = serde_json::from_slice(&text).expect("jwks.json is JSON");
    let keys = set["keys"].as_array().expect("a key set has keys");
    let key = keys.iter().find(|key| key["kid"] == algorithm);
    let text = key.and_then(|key| key[member].as_str());
    text.unwrap_or_else(|| panic!("jwks.json has no {member} of {algorithm}")).to_owned()
}
