//! The files of the audit log: lines are appended to one, which is put away when it is full.
//!
//! ```text
//!   NAME.audit.jsonl --full--> NAME.audit.jsonl.1 --> .2 --> ... --> removed
//! ```
//!
//! It owns their size, number and mode. It refuses to leave half a line: what could not be written
//! whole is taken back. It is used by one thread, which may wait for a disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use runtime::files::append_private;

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard error.
    Stderr,
    /// A file that grows.
    Log(LogFile),
}

impl Sink {
    /// Appends a line.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stderr => io::stderr().lock().write_all(line),
            Sink::Log(file) => file.append(line),
        }
    }

    /// Opens the file anew, which somebody may have moved away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Sink::Stderr => Ok(()),
            Sink::Log(file) => file.reopen(),
        }
    }
}

/// A file that grows up to a size, and those before it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// How long it is; nothing for a device or a pipe.
    bytes: Option<u64>,
    bytes_max: u64,
    files_max: u32,
}

impl LogFile {
    pub(super) fn open(path: &Path, bytes_max: u64, files_max: u32) -> io::Result<LogFile> {
        let (file, bytes) = open(path)?;
        Ok(LogFile { path: path.to_path_buf(), file, bytes, bytes_max, files_max })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.bytes.is_some_and(|bytes| bytes > 0 && bytes + length > self.bytes_max) {
            self.rotate()?;
        }
        let written = self.file.write_all(line);
        if let Some(bytes) = &mut self.bytes {
            match written {
                Ok(()) => *bytes += length,
                // Without room for the rest a part may stand there. If it cannot be taken back, the
                // error is told all the same.
                Err(_) => _ = self.file.set_len(*bytes),
            }
        }
        written
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.bytes) = open(&self.path)?;
        Ok(())
    }

    /// Puts the file away under the next name, the others one further, and the last one nowhere.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.files_max).rev() {
            let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
            match fs::rename(from, self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.files_max == 1 {
            self.file.set_len(0)?;
        }
        self.reopen()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = append_private(path)?;
    let found = file.metadata()?;
    let bytes = found.is_file().then_some(found.len());
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn lines(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_full_file_is_put_away_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut log = LogFile::open(&path, 4, 3).unwrap();
        for line in ["1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        let names = ["a.jsonl", "a.jsonl.1", "a.jsonl.2"].map(|name| folder.path().join(name));
        assert_eq!(names.clone().map(|path| lines(&path)), ["7\n", "5\n6\n", "3\n4\n"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        for path in names {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(log);
        let mut log = LogFile::open(&path, 4, 1).unwrap();
        (0..5).for_each(|_| log.append(b"8\n").unwrap());
        assert_eq!(lines(&path), "8\n8\n", "one file begins anew");
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_until_it_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a"), folder.path().join("moved"));
        let mut sink = Sink::Log(LogFile::open(&path, 1000, 3).unwrap());
        sink.append(b"1\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        sink.append(b"2\n").unwrap();
        sink.reopen().unwrap();
        sink.append(b"3\n").unwrap();
        assert_eq!([lines(&moved), lines(&path)], ["1\n2\n", "3\n"]);
    }

    #[test]
    fn a_loose_file_is_closed_and_a_link_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("link"));
        fs::write(&path, "1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        LogFile::open(&path, 1000, 3).unwrap().append(b"2\n").unwrap();
        assert_eq!(lines(&path), "1\n2\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        symlink(&path, &link).unwrap();
        assert!(LogFile::open(&link, 1000, 3).is_err());
        assert!(LogFile::open(folder.path(), 1000, 3).is_err());
    }

    #[test]
    fn a_full_device_is_an_error() {
        let mut log = LogFile::open(Path::new("/dev/full"), 1000, 3).unwrap();
        let error = log.append(b"1\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
