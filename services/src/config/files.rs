//! Files of the state directory: read with a sentence when they cannot be, written so that a reader
//! sees the whole file or none and nobody but the owner sees a secret.
//!
//! It refuses to overwrite what another process made first: [`create_once`] then returns what is
//! there. It refuses a secret that others than its owner may read or change.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use runtime::files::{self, PRIVATE, loose_mode};

use crate::config::error::ServeError;

/// The largest file that is read here: certificates, keys, client lists.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The whole file.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    let size = fs::metadata(path).map_err(|error| ServeError::io(path, error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(ServeError::unusable(path, "it is larger than 4 MiB; is it the right file?"));
    }
    fs::read(path).map_err(|error| ServeError::io(path, error))
}

/// The whole file, or nothing where there is none.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ServeError> {
    match fs::exists(path) {
        Ok(false) => Ok(None),
        _ => read(path).map(Some),
    }
}

/// Makes a directory that only its owner enters, and those above it.
///
/// # Errors
/// A sentence that names the directory.
pub(crate) fn create_dir(path: &Path) -> Result<(), ServeError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| ServeError::io(path, error))
}

/// The whole of a file with a private key or a secret, which must be closed to others, and to the
/// group for writing.
///
/// # Errors
/// A sentence that names the file, with the command that closes it.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, ServeError> {
    let metadata = fs::metadata(path).map_err(|error| ServeError::io(path, error))?;
    match loose_mode(path, &metadata) {
        None => read(path),
        Some(command) => Err(ServeError::content(
            path,
            format!("others than its owner may use the secret in it; close it with: {command}"),
        )),
    }
}

/// As [`read_private`], or nothing where there is no file.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn read_private_if_there(path: &Path) -> Result<Option<Vec<u8>>, ServeError> {
    match fs::exists(path) {
        Ok(false) => Ok(None),
        _ => read_private(path).map(Some),
    }
}

/// Writes a file that only its owner reads, replacing what was there in one step.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ServeError> {
    files::write(path, bytes, PRIVATE).map_err(|error| ServeError::io(path, error))
}

/// Writes a file that only its owner reads unless there is one already, and returns what is there.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn create_once(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, ServeError> {
    match files::write_new(path, bytes, PRIVATE) {
        Ok(()) => Ok(bytes.to_vec()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_private(path),
        Err(error) => Err(ServeError::io(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_private_and_the_first_writer_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/secret");
        create_dir(path.parent().unwrap()).unwrap();
        assert_eq!(create_once(&path, b"first").unwrap(), b"first");
        assert_eq!(create_once(&path, b"second").unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write_private(&path, b"third").unwrap();
        assert_eq!(read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn writers_with_one_process_id_get_what_the_file_holds() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = dir.path().join(round.to_string());
            let got: Vec<Vec<u8>> = std::thread::scope(|scope| {
                let write = |byte: u8| create_once(&path, &[byte; 64]).unwrap();
                let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || write(n))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let holds = read(&path).unwrap();
            assert!(holds.len() == 64 && got.iter().all(|got| *got == holds));
        }
    }

    #[test]
    fn a_secret_that_others_may_use_is_refused_with_the_command_that_closes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_private(&path, b"key").unwrap();
        for (mode, refused) in [(0o600, false), (0o640, false), (0o644, true), (0o660, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read_private(&path) {
                Ok(bytes) => assert!(!refused && bytes == b"key", "{mode:o}"),
                Err(error) => {
                    let command = format!("chmod 640 {}", path.display());
                    assert!(refused && error.to_string().contains(&command), "{mode:o}: {error}");
                }
            }
        }
        assert!(read_private_if_there(&dir.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read(Path::new("/nowhere/ca.crt")).unwrap_err().to_string();
        assert!(error.starts_with("cannot use /nowhere/ca.crt: it does not exist"), "{error}");
        assert!(read_if_there(Path::new("/nowhere/ca.crt")).unwrap().is_none());
    }
}
