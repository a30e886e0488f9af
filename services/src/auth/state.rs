//! What the authorization server keeps in the state directory: signing keys, the list of clients,
//! and the secrets handed to clients. Everything missing is made at the first start.
//!
//! It refuses to make an RSA key (import one as `auth/rs256.pem`) and never writes a secret into
//! the list of clients, which holds salted hashes.

use std::fs;
use std::path::{Path, PathBuf};

use authn::grant::ClientRegistry;
use authn::material::pkcs8_to_pem;
use authn::{Algorithm, Signer};

use crate::config::error::ServeError;
use crate::config::files;

/// The signing keys: the first one signs, all of them are published.
///
/// # Errors
/// A file that cannot be read, written or used.
pub fn signers(state: &Path, signing: Algorithm) -> Result<Vec<Signer>, ServeError> {
    let dir = state.join("auth");
    files::create_dir(&dir)?;
    let mut all = vec![signer(&dir, signing)?];
    for other in Algorithm::ALL.into_iter().filter(|other| *other != signing) {
        let path = dir.join(key_file(other));
        if let Some(pem) = files::read_private_if_there(&path)? {
            all.push(load(&path, other, &pem)?);
        } else if other != Algorithm::Rs256 {
            all.push(signer(&dir, other)?);
        }
    }
    Ok(all)
}

const fn key_file(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es256 => "es256.key",
        Algorithm::EdDsa => "eddsa.key",
        Algorithm::Rs256 => "rs256.pem",
    }
}

fn signer(dir: &Path, algorithm: Algorithm) -> Result<Signer, ServeError> {
    let path = dir.join(key_file(algorithm));
    let pem = match files::read_private_if_there(&path)? {
        Some(pem) => pem,
        None => {
            let (der, _) =
                Signer::generate(algorithm).map_err(|error| ServeError::content(&path, error))?;
            files::create_once(&path, pkcs8_to_pem(&der).as_bytes())?
        }
    };
    load(&path, algorithm, &pem)
}

fn load(path: &Path, algorithm: Algorithm, pem: &[u8]) -> Result<Signer, ServeError> {
    Signer::from_pem(algorithm, pem, None).map_err(|error| ServeError::content(path, error))
}

/// Where the registered clients stand.
pub(super) fn clients_path(state: &Path) -> PathBuf {
    state.join("auth/clients.toml")
}

/// The registered clients, as the file has them now.
///
/// # Errors
/// A file that cannot be read or used, or that others than its owner may change.
pub(super) fn read_clients(path: &Path) -> Result<ClientRegistry, ServeError> {
    let text = files::read_private(path)?;
    ClientRegistry::parse(&text).map_err(|error| ServeError::content(path, error))
}

/// Sees to it that there is a list of clients: one of an older version is converted, and without
/// any the shop's clients are made.
///
/// # Errors
/// A file that cannot be read, written or used.
pub(super) fn prepare_clients(state: &Path) -> Result<(), ServeError> {
    let path = clients_path(state);
    if files::read_if_there(&path)?.is_some() {
        return Ok(());
    }
    let legacy = state.join("auth/clients.json");
    match files::read_if_there(&legacy)? {
        Some(json) => convert_clients(&legacy, &json, &path),
        None => make_clients(state, &path),
    }
}

/// Writes the list anew in TOML, and moves the old one out of the way afterwards: a start that was
/// cut short leaves either one list or both, of which the new one counts.
fn convert_clients(legacy: &Path, json: &[u8], path: &Path) -> Result<(), ServeError> {
    let registry =
        ClientRegistry::parse_legacy(json).map_err(|error| ServeError::content(legacy, error))?;
    files::write_private(path, registry.to_toml().as_bytes())?;
    let kept = legacy.with_extension("json.converted");
    fs::rename(legacy, &kept).map_err(|error| ServeError::io(&kept, error))?;
    tracing::info!(
        list = %path.display(),
        kept = %kept.display(),
        "the list of clients was converted; token_ttl_s, which had no effect, was left out"
    );
    Ok(())
}

/// Makes the shop's clients. The list is written last: as long as it is missing, a start that was
/// cut short is simply done again.
fn make_clients(state: &Path, path: &Path) -> Result<(), ServeError> {
    let dir = state.join("clients");
    files::create_dir(&dir)?;
    let (registry, secrets) =
        ClientRegistry::of_the_shop().map_err(|error| ServeError::content(path, error))?;
    for (client, secret) in secrets {
        files::write_private(&dir.join(format!("{client}.secret")), secret.as_bytes())?;
    }
    files::write_private(path, registry.to_toml().as_bytes())
}
