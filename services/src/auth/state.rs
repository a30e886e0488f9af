//! What the authorization server keeps in the state directory: signing keys, the list of clients,
//! and the secrets handed to clients. Everything missing is made at the first start.
//!
//! It refuses to make an RSA key (import one as `auth/rs256.pem`) and never writes a secret into
//! the list of clients, which holds salted hashes.

use std::path::Path;

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

/// The registered clients.
///
/// # Errors
/// A file that cannot be read, written or used.
pub(super) fn clients(state: &Path) -> Result<ClientRegistry, ServeError> {
    let path = state.join("auth/clients.json");
    if files::read_if_there(&path)?.is_none() {
        make_clients(state, &path)?;
    }
    ClientRegistry::parse(&files::read(&path)?).map_err(|error| ServeError::content(&path, error))
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
    files::write_private(path, registry.to_json().as_bytes())
}
