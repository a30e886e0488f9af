//! The one way to write a file: whole or not at all, under a name that nobody can guess, which is
//! then renamed to the one that was asked for.
//!
//! Owns what the target may be. A regular file is replaced in one step. A device or a pipe is
//! written directly, and so is what stands below `/proc`. A link is followed where it is this
//! user's or root's. Refuses the link of anybody else, a pipe that nobody reads, and to write a
//! secret anywhere but into a regular file of its own mode.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt, MetadataExt as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::system::process::user_id;

/// The mode of what only its owner may read: keys, secrets, tokens.
pub const PRIVATE: u32 = 0o600;

/// The mode of results, less what the user's mask takes away.
pub const PUBLIC: u32 = 0o644;

/// Links that are followed one after the other; the kernel's own limit.
const LINKS_MAX: usize = 40;

/// A pipe whose reader takes nothing for this long is given up.
const STALL_MAX: Duration = Duration::from_secs(10);

/// How often a full pipe is tried again.
const STALL_POLL: Duration = Duration::from_millis(2);

/// Bits of a mode that let others than the owner and the group do anything, or the group write.
const LOOSE: u32 = 0o027;

/// A place that can be written to, which was found out before the work whose result it takes.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    mode: u32,
    place: Destination,
}

#[derive(Debug)]
enum Destination {
    /// A regular file, or nothing yet; the mode of what is there.
    Regular(PathBuf, Option<u32>),
    /// A device or a pipe, open already.
    Stream(File),
    Stdout,
    Stderr,
}

impl Output {
    /// Finds out whether `path` can be written to. Nothing that is there changes.
    ///
    /// # Errors
    /// Why it cannot be; it never waits for a pipe's reader.
    pub fn open(path: &Path, mode: u32) -> io::Result<Output> {
        let output = Output::resolve(path, mode)?;
        if let Destination::Regular(target, _) = &output.place {
            let (draft, _) = create_beside(target, mode)?;
            fs::remove_file(draft)?;
        }
        Ok(output)
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// What the operating system says; a regular file is then as it was before.
    pub fn write(self, bytes: &[u8]) -> io::Result<()> {
        match self.place {
            Destination::Stdout => {
                io::stdout().write_all(bytes).and_then(|()| io::stdout().flush())
            }
            Destination::Stderr => io::stderr().write_all(bytes),
            Destination::Stream(file) => write_stream(file, bytes),
            Destination::Regular(target, existing) => {
                // What was closed to others is not opened to them by being written again.
                let draft = write_beside(&target, bytes, self.mode & existing.unwrap_or(0o777))?;
                fs::rename(&draft, &target).inspect_err(|_| _ = fs::remove_file(&draft))
            }
        }
    }

    fn resolve(path: &Path, mode: u32) -> io::Result<Output> {
        let place = match path.to_str() {
            Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Destination::Stdout,
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => Destination::Stderr,
            _ => place(path)?,
        };
        if mode & 0o077 == 0 && !matches!(place, Destination::Regular(..)) {
            return Err(io::Error::other("a secret is written to a regular file only"));
        }
        Ok(Output { path: path.to_path_buf(), mode, place })
    }
}

/// Writes a file with at most this mode, replacing what was there in one step.
///
/// # Errors
/// As of [`Output::open`] and [`Output::write`].
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    Output::resolve(path, mode)?.write(bytes)
}

/// Writes a file with this mode unless there is one already.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where another was first, or what the operating system says.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = write_beside(path, bytes, mode)?;
    // Unlike a rename, a link fails where another process was faster.
    let linked = fs::hard_link(&draft, path);
    // A left-over is harmless, and the link's own result is the one that counts.
    let _ = fs::remove_file(&draft);
    linked
}

/// Opens a log to append to: a regular file that its owner alone reads, made where there is none,
/// or a device or a pipe, which then takes what it can at once. No link is followed.
///
/// # Errors
/// What the operating system says; a pipe that nobody reads is refused.
pub fn append_private(path: &Path) -> io::Result<File> {
    strangers_links(path.parent().unwrap_or(Path::new("")))?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(PRIVATE).custom_flags(flags);
    let file = options.open(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.mode() & 0o777 != PRIVATE {
        file.set_permissions(fs::Permissions::from_mode(PRIVATE))?;
    }
    Ok(file)
}

/// Makes a directory for its owner alone, under a name that nobody can guess.
///
/// # Errors
/// What the operating system says.
pub fn private_folder(parent: &Path, prefix: &str) -> io::Result<PathBuf> {
    let folder = parent.join(format!("{prefix}{}", random_name()));
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

/// A name that nobody can guess. In containers that share a directory every process may be number
/// 1, so that a process id tells nothing apart.
#[must_use]
pub fn random_name() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// The command that closes a file with a secret to those whom it is open to: others, and the group
/// for writing. None where it is closed; a group that reads is a usual way to hand a key over.
#[must_use]
pub fn loose_mode(path: &Path, metadata: &Metadata) -> Option<String> {
    let mode = metadata.permissions().mode();
    // A device or a pipe holds no secret, and has the mode that the system needs.
    (metadata.is_file() && mode & LOOSE != 0)
        .then(|| format!("chmod {:03o} {}", mode & 0o740, quoted(path)))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What stands at a path, after its links.
fn place(path: &Path) -> io::Result<Destination> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        strangers_links(folder)?;
        if !folder.is_dir() {
            let missing = format!("there is no directory {}", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, missing));
        }
        let folder = fs::canonicalize(folder)?;
        let here = folder.join(name);
        let found = match fs::symlink_metadata(&here) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Destination::Regular(here, None));
            }
            Err(error) => return Err(error),
        };
        // A link below /proc leads to an open file, and has no path that could be renamed to.
        if folder.starts_with("/proc") {
            return open_stream(&here, libc::O_APPEND).map(Destination::Stream);
        }
        if found.is_symlink() {
            strangers_link(&here, &found)?;
            path = folder.join(fs::read_link(&here)?);
            continue;
        }
        return found_place(here, &found, &folder);
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

fn found_place(here: PathBuf, found: &Metadata, folder: &Path) -> io::Result<Destination> {
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        let stream = open_stream(&here, libc::O_NOFOLLOW)?;
        // Between the look and the opening a stranger may have put a file there.
        return match stream.metadata()?.is_file() {
            true => Err(io::Error::other("it changed while it was opened; try again")),
            false => Ok(Destination::Stream(stream)),
        };
    }
    let (user, around) = (user_id(), fs::metadata(folder)?);
    let sticky = around.mode() & 0o1000 != 0;
    if sticky && user != 0 && ![found.uid(), around.uid()].contains(&user) {
        return Err(io::Error::other("it is another user's file, in a folder that all share"));
    }
    Ok(Destination::Regular(here, Some(found.mode() & 0o777)))
}

/// Opens what is no regular file, without waiting for anybody.
fn open_stream(path: &Path, flags: i32) -> io::Result<File> {
    let flags = flags | libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().write(true).custom_flags(flags).open(path).map_err(|error| {
        let is = |kind: fn(&fs::FileType) -> bool| {
            fs::metadata(path).is_ok_and(|found| kind(&found.file_type()))
        };
        match error.raw_os_error() {
            Some(libc::ENXIO) if is(FileTypeExt::is_fifo) => {
                io::Error::other("nobody reads this pipe; start its reader first")
            }
            Some(libc::ENXIO) if is(FileTypeExt::is_socket) => {
                io::Error::other("it is a socket, which no file can be written to")
            }
            _ => error,
        }
    })
}

/// Refuses a folder on whose way a link of somebody else lies.
fn strangers_links(folder: &Path) -> io::Result<()> {
    for part in folder.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match fs::symlink_metadata(part) {
            Ok(found) if found.is_symlink() => strangers_link(part, &found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Root is trusted as it is anyway: the system's own links are its.
fn strangers_link(link: &Path, found: &Metadata) -> io::Result<()> {
    match found.uid() {
        owner if owner == user_id() || owner == 0 => Ok(()),
        owner => Err(io::Error::other(format!(
            "{} is a link of another user (number {owner}), which is not followed; give the path \
             that it leads to",
            link.display()
        ))),
    }
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let (draft, mut file) = create_beside(path, mode)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| _ = fs::remove_file(&draft))?;
    Ok(draft)
}

/// A new file beside `path`. It is nobody else's, because it must not have been there.
fn create_beside(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let name = format!(".tollgate-{}.new", random_name());
    let draft = path.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    Ok((draft, file))
}

/// Writes to what may be full for a while.
fn write_stream(mut file: File, mut bytes: &[u8]) -> io::Result<()> {
    let mut deadline = Instant::now() + STALL_MAX;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                deadline = Instant::now() + STALL_MAX;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(io::Error::other("its reader takes nothing any more"));
                }
                thread::sleep(STALL_POLL);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn fifo(folder: &Path) -> PathBuf {
        let path = folder.join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[test]
    fn a_file_is_replaced_whole_and_never_more_open_than_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let output = Output::open(&path, PUBLIC).unwrap();
        assert!(names(folder.path()).is_empty());
        output.write(b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, b"two", PUBLIC).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        write(&path, b"key", PRIVATE).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"key".to_vec(), 0o600));
        assert_eq!(names(folder.path()), ["result.json"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let circle = folder.path().join("circle");
        symlink(&circle, &circle).unwrap();
        let pipe = fifo(folder.path());
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let missing = folder.path().join("missing/file");
        for path in [folder.path(), &file.join("below"), &missing, &circle, &pipe, &socket] {
            assert!(Output::open(path, PUBLIC).is_err(), "{}", path.display());
        }
        let error = Output::open(&pipe, PUBLIC).unwrap_err();
        assert!(error.to_string().contains("nobody reads this pipe"), "{error}");
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn pipes_and_devices_are_written_directly() {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path());
        let reader = {
            let path = path.clone();
            thread::spawn(move || {
                let mut all = Vec::new();
                File::open(path).unwrap().read_to_end(&mut all).unwrap();
                all
            })
        };
        // The reader opens its end when it gets to it.
        let deadline = Instant::now() + Duration::from_secs(20);
        let output = loop {
            match Output::open(&path, PUBLIC) {
                Ok(output) => break output,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        // More than a pipe holds.
        let long = vec![b'x'; 300_000];
        output.write(&long).unwrap();
        assert!(reader.join().unwrap() == long);
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
        write(Path::new("/dev/null"), b"gone", PUBLIC).unwrap();
        assert!(Output::open(Path::new("/dev/full"), PUBLIC).unwrap().write(b"x").is_err());
        assert!(write(Path::new("/dev/null"), b"key", PRIVATE).is_err());
    }

    #[test]
    fn an_own_link_is_followed_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
        symlink("target", &link).unwrap();
        write(&link, b"through", PUBLIC).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"through");
        assert!(link.is_symlink());
    }

    #[test]
    fn the_link_of_a_stranger_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
        fs::create_dir(&target).unwrap();
        symlink("target", &link).unwrap();
        if std::os::unix::fs::lchown(&link, Some(65_534), None).is_err() {
            println!("only root can make another user's link: the rest was looked at");
            return;
        }
        for path in [&link, &link.join("below")] {
            let error = write(path, b"x", PUBLIC).unwrap_err().to_string();
            assert!(error.contains("another user"), "{error}");
        }
        assert!(names(&target).is_empty());
    }

    #[test]
    fn an_open_file_below_proc_is_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "before\n").unwrap();
        let open = OpenOptions::new().append(true).open(&path).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&open);
        write(Path::new(&format!("/dev/fd/{number}")), b"after\n", PUBLIC).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before\nafter\n");
    }

    #[test]
    fn the_first_writer_of_a_new_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("once");
        write_new(&path, b"first", PRIVATE).unwrap();
        let error = write_new(&path, b"second", PRIVATE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"first".to_vec(), 0o600));
        assert_eq!(names(folder.path()), ["once"]);
    }

    #[test]
    fn a_loose_mode_comes_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a key");
        fs::write(&path, "").unwrap();
        for (mode, fixed) in [
            (0o600, None),
            (0o640, None),
            (0o400, None),
            (0o440, None),
            (0o644, Some("640")),
            (0o604, Some("600")),
            (0o601, Some("600")),
            (0o602, Some("600")),
            (0o620, Some("600")),
            (0o660, Some("640")),
            (0o666, Some("640")),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = loose_mode(&path, &fs::metadata(&path).unwrap());
            let fixed = fixed.map(|mode| format!("chmod {mode} '{}'", path.display()));
            assert_eq!(said, fixed, "{mode:o}");
        }
    }
}
