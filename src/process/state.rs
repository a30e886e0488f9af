//! The state directory: where keys, certificates, secrets and logs of one stack live. It is private
//! to its owner (0700; keys and secrets 0600) and locked by the one command that runs the stack.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use runtime::files::{self, PRIVATE};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// The folders of a state directory with keys, certificates and secrets.
const KEPT: [&str; 4] = ["ca", "certs", "clients", "auth"];

/// A state directory that exists. `tollgate pki init` and `tollgate up` make it.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
}

/// Holds the directory for one running stack; the kernel lets go of it when the process ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

impl StateDir {
    /// Makes the directory where it is missing and refuses one that others may read.
    pub(crate) fn create(root: &Path) -> Result<StateDir, Failure> {
        for folder in [root.to_path_buf(), root.join("logs"), root.join("auth")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
                Failure::failed(format!("Could not make the directory {}: {error}.", show(&folder)))
                    .because(error)
            })?;
        }
        let root = fs::canonicalize(root).map_err(|error| {
            Failure::failed(format!("Could not open {}: {error}.", show(root))).because(error)
        })?;
        let mode = fs::metadata(&root).map_err(Failure::of)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Failure::failed(format!(
                "The state directory {} can be read by others (mode {:o}). \
                 Make it private: chmod 700 {}",
                show(&root),
                mode & 0o777,
                show(&root)
            )));
        }
        Ok(StateDir { root })
    }

    /// Opens a directory that must be there already.
    pub(crate) fn open(root: &Path) -> Result<StateDir, Failure> {
        if !root.is_dir() {
            return Err(Failure::failed(format!(
                "There is no state directory {}. Start a stack with: tollgate up --state {}",
                show(root),
                show(root)
            )));
        }
        let root = fs::canonicalize(root).map_err(Failure::of)?;
        Ok(StateDir { root })
    }

    /// A directory of its own at `root` with the same keys, certificates and secrets.
    pub(crate) fn copy(&self, root: &Path) -> Result<StateDir, Failure> {
        let copy = StateDir::create(root)?;
        for folder in KEPT {
            copy_folder(&self.root.join(folder), &copy.root.join(folder)).map_err(|error| {
                Failure::failed(format!("Could not copy the keys to {}: {error}.", show(root)))
                    .because(error)
            })?;
        }
        Ok(copy)
    }

    /// Takes the directory for this process, or says which process has it.
    pub(crate) fn lock(&self) -> Result<StateLock, Failure> {
        let path = self.root.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| {
                Failure::failed(format!("Could not open {}: {error}.", show(&path))).because(error)
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                return Err(Failure::failed(format!(
                    "The state directory {} is in use by process {}. Stop that one first, or give \
                     this one another directory with --state.",
                    show(&self.root),
                    owner.trim()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::failed(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(
            |error| {
                Failure::failed(format!("Could not write {}: {error}.", show(&path))).because(error)
            },
        )?;
        Ok(StateLock { _file: file })
    }

    /// The directory itself, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the directory.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// The certificate of the stack's CA, PEM.
    pub(crate) fn ca_cert(&self) -> PathBuf {
        self.root.join("ca/ca.crt")
    }

    /// A file of a client: `crt`, `key`, `secret` or `header`.
    pub(crate) fn client(&self, name: &str, kind: &str) -> PathBuf {
        self.root.join(format!("clients/{name}.{kind}"))
    }

    /// Writes what only the owner may read.
    pub(crate) fn write_private(&self, below: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        write(&self.root.join(below), bytes, PRIVATE)
    }

    /// The running stack, as `up` wrote it down.
    pub(crate) fn stack(&self) -> Result<StackFile, Failure> {
        let path = self.root.join("stack.json");
        let bytes = fs::read(&path).map_err(|_| {
            Failure::failed(format!(
                "No stack runs on {} (there is no stack.json). \
                 Start one with: tollgate up --state {}",
                show(&self.root),
                show(&self.root)
            ))
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::failed(format!("{} is not a stack file of tollgate: {error}.", show(&path)))
                .because(error)
        })
    }
}

/// What `DIR/stack.json` says of a running stack. It names secrets by path and holds none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StackFile {
    /// The security profile's label.
    pub(crate) profile: String,
    /// The process that runs the stack.
    pub(crate) pid: u32,
    /// Each service, in the order in which they were started.
    pub(crate) services: Vec<StackService>,
    /// PEM file with the CA's certificate.
    pub(crate) ca: PathBuf,
    /// The clients that the stack knows.
    pub(crate) clients: Vec<StackClient>,
}

/// One service of a running stack.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StackService {
    /// Its name after `tollgate serve`.
    pub(crate) name: String,
    /// Where it serves.
    pub(crate) url: String,
    /// Where its health and metrics are.
    pub(crate) admin_url: String,
    /// Its process.
    pub(crate) pid: u32,
}

/// One client of a running stack: paths only.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StackClient {
    /// Its OAuth2 client id, and the name in its certificate.
    pub(crate) name: String,
    /// PEM file with its certificate chain.
    pub(crate) cert: PathBuf,
    /// PEM file with its private key.
    pub(crate) key: PathBuf,
    /// File with its secret; none for a client that has no secret.
    pub(crate) secret: Option<PathBuf>,
}

/// Writes a file of the state whole or not at all, making its directory where that is missing.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .and_then(|()| files::write(path, bytes, mode))
        .map_err(|error| {
            Failure::failed(format!("Could not write {}: {error}.", show(path))).because(error)
        })?;
    Ok(path.to_path_buf())
}

/// Copies the files of a folder, with their modes; a folder that is not there has none.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn show(path: &Path) -> std::path::Display<'_> {
    path.display()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_first_owner() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(&folder.path().join("s")).unwrap();
        let held = state.lock().unwrap();
        let refused = state.lock().unwrap_err();
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        state.lock().unwrap();
    }

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("s");
        StateDir::create(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(StateDir::create(&root).unwrap_err().to_string().contains("chmod 700"));
    }

    #[test]
    fn a_copy_has_the_same_keys_and_is_as_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(&folder.path().join("s")).unwrap();
        state.write_private("auth/es256.key", b"key").unwrap();
        let copy = state.copy(&state.path("builds/new")).unwrap();
        let path = copy.path("auth/es256.key");
        assert_eq!(fs::read(&path).unwrap(), b"key");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(copy.root(), state.root());
    }

    #[test]
    fn private_files_are_private_from_their_first_byte() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(&folder.path().join("s")).unwrap();
        let path = state.write_private("clients/a.secret", b"x").unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
