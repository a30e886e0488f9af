//! Waiting until a file of a folder changes, by inotify on the folder: an editor or a deployment
//! puts a new file in the place of the old one, which a watch on the file would not see.
//!
//! Owns the system calls and the reading of their events. Nothing ticks: the thread that waits
//! sleeps in the kernel. Refuses to say what changed in the file, and to tell of one that is still
//! being written.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

/// A new file under its name, a written one that was closed, or another mode: whoever refused a
/// file for its mode wants to know.
const CHANGES: u32 = libc::IN_CLOSE_WRITE | libc::IN_MOVED_TO | libc::IN_ATTRIB;

/// Bytes of an event before the name: watch, mask, cookie and the length of the name.
const EVENT_BYTES: usize = size_of::<libc::inotify_event>();

/// A folder that is watched.
#[derive(Debug)]
pub struct FolderWatch {
    events: Arc<File>,
    buffer: Vec<u8>,
    /// The part of `buffer` that was read and not yet looked at.
    unread: std::ops::Range<usize>,
}

/// Ends the watch when it is dropped, so that the thread that waits goes on.
#[derive(Debug)]
pub struct FolderWatchEnd {
    events: Arc<File>,
    watch: libc::c_int,
}

impl FolderWatch {
    /// Begins to watch a folder: what changes from now on is seen.
    ///
    /// # Errors
    /// When it is no folder, or this user has too many watches.
    pub fn new(folder: &Path) -> io::Result<(FolderWatch, FolderWatchEnd)> {
        let path = CString::new(folder.as_os_str().as_bytes())?;
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened and belongs to nobody else.
        let events = Arc::new(unsafe { File::from_raw_fd(fd) });
        // SAFETY: the pointer is to a live string with an end, which the kernel only reads.
        let watch =
            unsafe { libc::inotify_add_watch(fd, path.as_ptr(), CHANGES | libc::IN_ONLYDIR) };
        if watch < 0 {
            return Err(io::Error::last_os_error());
        }
        let end = FolderWatchEnd { events: Arc::clone(&events), watch };
        Ok((FolderWatch { events, buffer: vec![0; 4096], unread: 0..0 }, end))
    }

    /// Waits until the file of this name is a new one, was written and closed, or has another mode.
    /// False once the watch has ended: by [`FolderWatchEnd`], or because the folder is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn changed(&mut self, name: &OsStr) -> io::Result<bool> {
        loop {
            while let Some((mask, changed)) = self.next_event() {
                if mask & libc::IN_IGNORED != 0 {
                    return Ok(false);
                }
                // Where events were lost, the file may have changed.
                if mask & libc::IN_Q_OVERFLOW != 0 || changed == name.as_bytes() {
                    return Ok(true);
                }
            }
            match (&*self.events).read(&mut self.buffer) {
                Ok(read) => self.unread = 0..read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next event that was read: its mask, and the name of the file it is about.
    fn next_event(&mut self) -> Option<(u32, &[u8])> {
        let event = &self.buffer[self.unread.clone()];
        let word = |at: usize| Some(u32::from_ne_bytes(event.get(at..at + 4)?.try_into().ok()?));
        let (mask, length) = (word(4)?, word(12)? as usize);
        let name = event.get(EVENT_BYTES..EVENT_BYTES + length)?;
        // The name is padded with zeros.
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(length);
        self.unread.start += EVENT_BYTES + length;
        Some((mask, &name[..end]))
    }
}

impl Drop for FolderWatchEnd {
    fn drop(&mut self) {
        // SAFETY: the call takes no pointer; a watch that is gone only yields an error.
        unsafe { libc::inotify_rm_watch(self.events.as_raw_fd(), self.watch) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_file_that_is_replaced_or_written_is_seen_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("wanted"), "0").unwrap();
        let (mut watch, end) = FolderWatch::new(folder.path()).unwrap();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            while watch.changed(OsStr::new("wanted")).unwrap() {
                tell.send(()).unwrap();
            }
        });
        for _ in 0..3 {
            fs::write(path("other"), "1").unwrap();
            fs::write(path("new"), "1").unwrap();
            fs::rename(path("new"), path("wanted")).unwrap();
            told.recv_timeout(SOON).unwrap();
            fs::write(path("wanted"), "2").unwrap();
            told.recv_timeout(SOON).unwrap();
            fs::set_permissions(path("wanted"), fs::Permissions::from_mode(0o600)).unwrap();
            told.recv_timeout(SOON).unwrap();
        }
        drop(end);
        thread.join().unwrap();
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Disconnected), "nothing else was seen");
    }

    #[test]
    fn a_folder_that_goes_away_ends_the_watch() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watch, _end) = FolderWatch::new(folder.path()).unwrap();
        drop(folder);
        assert!(!watch.changed(OsStr::new("x")).unwrap());
        assert!(FolderWatch::new(Path::new("/nowhere/at/all")).is_err());
    }
}
