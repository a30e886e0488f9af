//! `--builds`: which builds of tollgate are compared. Each program is asked for its version before
//! anything is started.
//!
//! It refuses names that no role can have, a file that is no tollgate, and a tollgate that is older
//! than this one: this one would start it with options, and read metrics, that it may not have.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use loadgen::plan::{Role, RoleOption};
use metrics_export::run::Build;

use crate::process::held::OwnChild;
use crate::{Failure, cli};

/// How many builds are compared: variants of all of them run at once.
const BUILDS_MIN: usize = 2;
const BUILDS_MAX: usize = 4;

/// The longest name: it stands behind the profile's in every table.
const NAME_LETTERS_MAX: usize = 12;

/// Words that roles and conditions have already, beside the names of profiles.
const TAKEN: [&str; 6] = ["cached", "uncached", "repeat", "control", "again", "baseline"];

/// A program that does not say its version within this time is no tollgate.
const VERSION_WITHIN: Duration = Duration::from_secs(5);

/// A version is a line; of more than this nothing is read.
const VERSION_BYTES_MAX: u64 = 1024;

/// A build and where its program is.
#[derive(Debug)]
pub(super) struct NamedBuild {
    /// What the record says of it.
    pub(super) build: Build,
    /// Its program, absolute.
    pub(super) program: PathBuf,
}

/// The builds that were typed, the reference first; none where there is no `--builds`.
pub(super) fn list(typed: &cli::MatrixArgs) -> Result<Vec<NamedBuild>, Failure> {
    let Some(text) = &typed.builds else { return Ok(Vec::new()) };
    if typed.factorial {
        return Err(Failure::usage(
            "--builds compares builds under --profiles: leave --factorial out.",
        ));
    }
    let named = parse(text)?;
    named.into_iter().map(|(name, path)| ask(name, path)).collect()
}

/// Names and paths as typed.
fn parse(text: &str) -> Result<Vec<(&str, &str)>, Failure> {
    let refuse = |sentence: String| Err(Failure::usage(format!("--builds {sentence}.")));
    let mut named: Vec<(&str, &str)> = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let Some((name, path)) = part.split_once('=').filter(|(_, path)| !path.is_empty()) else {
            return refuse(format!("takes NAME=PATH,NAME=PATH, not {part:?}"));
        };
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
        if RoleOption::new(name).is_none() || !begins || name.len() > NAME_LETTERS_MAX {
            return refuse(format!(
                "takes names of up to {NAME_LETTERS_MAX} lower-case letters and digits that begin \
                 with a letter, such as old=PATH,new=PATH, not {name:?}"
            ));
        }
        if TAKEN.contains(&name) || Role::from(name) != Role::target(name) {
            return refuse(format!("cannot name a build {name:?}, which has a meaning already"));
        }
        if named.iter().any(|(known, _)| *known == name) {
            return refuse(format!("names {name:?} twice"));
        }
        named.push((name, path));
    }
    if !(BUILDS_MIN..=BUILDS_MAX).contains(&named.len()) {
        return refuse(format!("takes {BUILDS_MIN} to {BUILDS_MAX} builds, not {}", named.len()));
    }
    Ok(named)
}

/// Finds the program of a build and asks it for its version.
fn ask(name: &str, path: &str) -> Result<NamedBuild, Failure> {
    let about = |sentence: String| Failure::failed(format!("--builds {name}={path}: {sentence}"));
    let program = program(Path::new(path)).map_err(about)?;
    let said = first_line_of_version(&program).map_err(|why| {
        about(format!(
            "this is no tollgate: {why}. Name the program of one, such as \
                       target/release/tollgate."
        ))
    })?;
    let Some((version, commit)) = version_of(&said) else {
        return Err(about(format!(
            "this is no tollgate: --version says {said:?}. Name the program of one, such as \
             target/release/tollgate."
        )));
    };
    let own = env!("CARGO_PKG_VERSION");
    if numbers(version) < numbers(own) {
        return Err(about(format!(
            "this is tollgate {version}, and a build must be {own} or later, as this one is: \
             compare the two with the `matrix` of the older one."
        )));
    }
    let (version, commit) = (version.to_owned(), commit.map(String::from));
    Ok(NamedBuild { build: Build { name: name.to_owned(), version, commit }, program })
}

/// The absolute path of a file that can be executed.
fn program(path: &Path) -> Result<PathBuf, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file.".to_owned(),
        _ => format!("it could not be read: {error}."),
    };
    let program = fs::canonicalize(path).map_err(unreadable)?;
    let found = fs::metadata(&program).map_err(unreadable)?;
    if !found.is_file() {
        return Err("this is no file. Name the program itself.".into());
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Err("this file cannot be executed. Name the program itself.".into());
    }
    Ok(program)
}

/// The first line that a program prints for `--version`.
fn first_line_of_version(program: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = OwnChild::spawn(&mut command)
        .map_err(|error| format!("it could not be started ({error})"))?;
    let (send, receive) = mpsc::channel();
    if let Some(stdout) = child.take_stdout() {
        // The thread ends with what the program prints, or with the program.
        thread::spawn(move || {
            let mut said = Vec::new();
            let read = stdout.take(VERSION_BYTES_MAX).read_to_end(&mut said);
            let _ = send.send(read.map(|_| said));
        });
    }
    let said = receive.recv_timeout(VERSION_WITHIN);
    child.kill();
    let said = match said {
        Ok(Ok(said)) => String::from_utf8_lossy(&said).into_owned(),
        Ok(Err(error)) => return Err(format!("what it printed could not be read ({error})")),
        Err(_) => {
            let seconds = VERSION_WITHIN.as_secs();
            return Err(format!("--version was not answered within {seconds} s"));
        }
    };
    Ok(said.lines().next().unwrap_or_default().trim_end().to_owned())
}

/// Version and commit in what a tollgate prints: `tollgate 0.1.0 (0123456789ab)`.
fn version_of(line: &str) -> Option<(&str, Option<&str>)> {
    let rest = line.strip_prefix("tollgate ")?;
    let (version, commit) = match rest.split_once(' ') {
        None => (rest, None),
        Some((version, commit)) => {
            let commit = commit.strip_prefix('(')?.strip_suffix(')')?;
            let sound = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
            (version, Some(commit).filter(|commit| commit.chars().all(sound)))
        }
    };
    numbers(version).map(|_| (version, commit))
}

/// The numbers of a version, whose order is that of releases; what stands behind `-` or `+` is left
/// out.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let core = version.split(['-', '+']).next()?;
    let parts = core.split('.').map(|part| part.parse().ok());
    parts.collect::<Option<Vec<u32>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn builds_are_names_with_paths() {
        let named = parse("old=/a/tollgate, new=b=c").unwrap();
        assert_eq!(named, [("old", "/a/tollgate"), ("new", "b=c")]);
    }

    #[test]
    fn what_cannot_be_a_build_is_named() {
        for (text, word) in [
            ("", "NAME=PATH"),
            ("old", "NAME=PATH"),
            ("old=", "NAME=PATH"),
            ("old=a", "2 to 4"),
            ("a=1,b=1,c=1,d=1,e=1", "2 to 4"),
            ("old=a,old=b", "twice"),
            ("Old=a,new=b", "lower-case"),
            ("a-b=a,new=b", "lower-case"),
            ("../a=a,new=b", "lower-case"),
            ("1=a,new=b", "begin"),
            ("quitealongname=a,new=b", "12"),
            ("s0=a,new=b", "meaning"),
            ("control=a,new=b", "meaning"),
            ("cached=a,new=b", "meaning"),
            ("baseline=a,new=b", "meaning"),
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Usage, "{text}");
            let said = failure.to_string();
            assert!(said.starts_with("--builds ") && said.contains(word), "{text}: {said}");
        }
    }

    #[test]
    fn a_version_is_read_as_tollgate_prints_it() {
        let own = cli::version();
        assert_eq!(version_of(&own).unwrap().0, env!("CARGO_PKG_VERSION"));
        assert_eq!(version_of("tollgate 1.2.3"), Some(("1.2.3", None)));
        assert_eq!(version_of("tollgate 1.2.3 (abc)"), Some(("1.2.3", Some("abc"))));
        for other in ["", "tollgate", "tollgate x", "tollgate 1.2", "cat 1.2.3", "tollgate 1.2.3 x"]
        {
            assert_eq!(version_of(other), None, "{other}");
        }
        assert!(numbers("0.9.12") < numbers("0.10.0-rc.1"));
        assert!(numbers("0.10.0-rc.1") == numbers("0.10.0"));
    }

    #[test]
    fn a_program_is_a_file_that_can_be_executed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tollgate");
        assert!(program(&file).unwrap_err().contains("no such file"));
        assert!(program(folder.path()).unwrap_err().contains("no file"));
        fs::write(&file, "text").unwrap();
        assert!(program(&file).unwrap_err().contains("executed"));
    }
}
