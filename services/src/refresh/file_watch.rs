//! A background thread that reads a file again when it changes, and not before.
//!
//! It owns the thread and the alarm when the new content cannot be used: what was read last stays
//! in force. It refuses to look at the clock: nothing ticks while the file stays as it is.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use runtime::watch::{FolderWatch, FolderWatchEnd};

use crate::config::error::ServeError;

/// The handle of a watching thread, which ends when the handle is dropped.
#[derive(Debug)]
pub struct FileWatch {
    _end: FolderWatchEnd,
}

impl FileWatch {
    /// Watches `path`, which need not be there, and calls `read` after each change. Begin before
    /// the file is read for the first time, so that no change falls in between.
    ///
    /// # Errors
    /// When its folder cannot be watched, or no thread can be had.
    pub fn start(
        path: &Path,
        mut read: impl FnMut() -> Result<(), ServeError> + Send + 'static,
    ) -> Result<FileWatch, ServeError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_owned();
        let (mut watch, end) =
            FolderWatch::new(folder).map_err(|error| ServeError::io(folder, error))?;
        let path: PathBuf = path.to_owned();
        let work = move || {
            loop {
                match watch.changed(&name) {
                    Ok(true) => match read() {
                        Ok(()) => tracing::info!(file = %path.display(), "read again"),
                        Err(error) => alarm(&format!("{error}; the one before stays in force")),
                    },
                    Ok(false) => {
                        if !path.parent().is_some_and(Path::exists) {
                            alarm(&format!("{} is no longer watched", path.display()));
                        }
                        return;
                    }
                    Err(error) => {
                        return alarm(&format!("{} is no longer watched: {error}", path.display()));
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("file-watch".to_string()).spawn(work);
        thread.map_err(|error| ServeError::start_of("no thread to watch a file: ", error))?;
        Ok(FileWatch { _end: end })
    }
}

/// Says on standard error, whatever the level of the log, what an operator must fix.
pub(crate) fn alarm(what: &str) {
    let _ = writeln!(io::stderr(), "ALARM: {what}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_change_is_read_also_after_one_that_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let (tell, told) = mpsc::channel();
        let own = path.clone();
        let watch = FileWatch::start(&path, move || {
            let text = fs::read_to_string(&own).unwrap();
            tell.send(text.clone()).unwrap();
            if text == "broken" { Err(ServeError::config("it is broken")) } else { Ok(()) }
        })
        .unwrap();
        for text in ["one", "broken", "two"] {
            runtime::files::write(&path, text.as_bytes(), runtime::files::PRIVATE).unwrap();
            assert_eq!(told.recv_timeout(SOON).as_deref(), Ok(text));
        }
        drop(watch);
        assert_eq!(told.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
