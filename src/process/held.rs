//! What must not outlive this process: the children that it started, and the folders with keys
//! that it made for a run. Both go when their owners are dropped, and all of them go at the second
//! Ctrl-C, which drops nobody.
//!
//! A process that is killed drops nothing either. Its folder is removed by the next command that
//! needs one: the kernel lets go of the folder's lock when its owner ends, however that was. A
//! folder is touched only if it is this user's, closed to others, and its lock is free.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use runtime::files::private_folder;
use runtime::process::{Shutdown, user_id};

use crate::Failure;

/// How the names of folders begin; nothing is concluded from it but which ones are looked at.
const PREFIX: &str = "tollgate-work-";

/// The file whose lock the owner of a folder holds.
const LOCK: &str = "lock";

static HELD: Mutex<Held> = Mutex::new(Held { children: Vec::new(), folders: Vec::new() });

struct Held {
    children: Vec<Weak<Mutex<Child>>>,
    folders: Vec<PathBuf>,
}

/// Takes over the signals of a command that starts children: the first one is told, the second
/// kills the children, removes the folders and ends the process.
pub(crate) fn shutdown() -> Result<Shutdown, Failure> {
    Shutdown::install_with(clean).map_err(Failure::of)
}

fn clean() {
    let held = lock(&HELD);
    let children: Vec<_> = held.children.iter().filter_map(Weak::upgrade).collect();
    for child in &children {
        let _ = lock(child).kill();
    }
    for child in &children {
        let _ = lock(child).wait();
    }
    for folder in &held.folders {
        let _ = fs::remove_dir_all(folder);
    }
    // Nothing is started or made any more: the process is about to end.
    std::mem::forget(held);
}

/// Waits for the end of the process where a second signal has begun to end it: a command that sees
/// its children killed has not failed.
pub(crate) fn wait_for_cleaning() {
    drop(lock(&HELD));
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process that a second Ctrl-C kills. Only its own process is ever signalled, because it
/// is waited for through this value alone.
#[derive(Debug)]
pub(crate) struct OwnChild(Arc<Mutex<Child>>);

impl OwnChild {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<OwnChild> {
        let mut held = lock(&HELD);
        let child = Arc::new(Mutex::new(command.spawn()?));
        held.children.retain(|known| known.strong_count() > 0);
        held.children.push(Arc::downgrade(&child));
        Ok(OwnChild(child))
    }

    pub(crate) fn id(&self) -> u32 {
        lock(&self.0).id()
    }

    pub(crate) fn take_stdin(&self) -> Option<ChildStdin> {
        lock(&self.0).stdin.take()
    }

    pub(crate) fn take_stdout(&self) -> Option<ChildStdout> {
        lock(&self.0).stdout.take()
    }

    /// How it ended, if it has.
    pub(crate) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        lock(&self.0).try_wait()
    }

    /// Ends it at once, if it still runs.
    pub(crate) fn kill(&self) {
        let mut child = lock(&self.0);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A folder for keys, logs and recordings of one run, closed to others.
#[derive(Debug)]
pub(crate) struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    /// A folder in memory where the system has such a place for this user, else a temporary one.
    /// What dead owners left behind is removed first.
    pub(crate) fn create() -> Result<WorkFolder, Failure> {
        let (runtime, temporary) = (runtime_folder(), std::env::temp_dir());
        runtime.iter().chain([&temporary]).for_each(|base| sweep(base));
        WorkFolder::below(runtime.as_deref().unwrap_or(&temporary))
    }

    /// A temporary folder for what may be too large for memory.
    pub(crate) fn create_large() -> Result<WorkFolder, Failure> {
        WorkFolder::below(&std::env::temp_dir())
    }

    fn below(base: &Path) -> Result<WorkFolder, Failure> {
        let failed = |error: io::Error| {
            let base = base.display();
            Failure::failed(format!("A temporary directory could not be made in {base}: {error}."))
        };
        let mut held = lock(&HELD);
        let path = private_folder(base, PREFIX).map_err(failed)?;
        held.folders.push(path.clone());
        drop(held);
        let locked = || {
            // The lock gets its name when it is held, or a sweeper could take it first.
            let unnamed = path.join("lock.new");
            let file = File::create_new(&unnamed)?;
            file.try_lock()?;
            fs::rename(&unnamed, path.join(LOCK)).map(|()| file)
        };
        match locked() {
            Ok(file) => Ok(WorkFolder { path, _lock: file }),
            Err(error) => {
                let_go(&path);
                Err(failed(error))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let_go(&self.path);
    }
}

fn let_go(folder: &Path) {
    // What cannot be removed now is removed by the next command.
    let _ = fs::remove_dir_all(folder);
    lock(&HELD).folders.retain(|known| known != folder);
}

/// The user's own folder in memory, if it is what the XDG base directory specification asks for.
fn runtime_folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    (folder.is_absolute() && is_own(&folder)).then_some(folder)
}

/// Whether it is a directory of this user that nobody else enters.
fn is_own(folder: &Path) -> bool {
    fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == user_id() && found.mode() & 0o077 == 0)
}

/// Removes the folders of owners that are gone.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else {
        return;
    };
    for entry in entries.flatten() {
        let folder = entry.path();
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !named || !is_own(&folder) {
            continue;
        }
        // Held until the folder is gone, so that two sweepers do not meet.
        if let Ok(file) = File::open(folder.join(LOCK))
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn only_folders_of_dead_owners_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let living = WorkFolder::below(base.path()).unwrap();
        let make = |name: &str, lock: Option<&str>, mode: u32| {
            let folder = base.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("a.key"), "key").unwrap();
            if let Some(lock) = lock {
                fs::write(folder.join(lock), "").unwrap();
            }
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            folder
        };
        let dead = make("tollgate-work-dead", Some(LOCK), 0o700);
        let kept = [
            make("tollgate-work-beginning", Some("lock.new"), 0o700),
            make("tollgate-work-open", Some(LOCK), 0o755),
            make("tollgate-other", Some(LOCK), 0o700),
        ];
        let link = base.path().join("tollgate-work-link");
        std::os::unix::fs::symlink(&kept[2], &link).unwrap();
        sweep(base.path());
        assert!(!dead.exists() && living.path().join(LOCK).exists() && link.is_symlink());
        assert!(kept.iter().all(|folder| folder.join("a.key").exists()));
        let path = living.path().to_path_buf();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(living);
        assert!(!path.exists());
    }

    #[test]
    fn a_child_is_killed_once_and_its_end_is_remembered() {
        let child = OwnChild::spawn(Command::new("cat").stdin(Stdio::piped())).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        let begun = Instant::now();
        child.kill();
        child.kill();
        assert!(!child.try_wait().unwrap().unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
