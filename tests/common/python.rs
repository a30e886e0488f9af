//! Programs of strangers in Python: packages from PyPI in a virtual environment below `target/`,
//! made once. Where one cannot be made the test fails, for nothing was proved then.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter of an environment that has these packages, each pinned as `NAME==VERSION`, so
/// that only a change of ours can break a test. `import` is what must be there for it to be whole.
pub(crate) fn interpreter(packages: &[&str], import: &str) -> PathBuf {
    let name = format!("python-{}", packages.join("-").replace("==", "-"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = folder.join("bin/python");
    let whole = Command::new(&python).args(["-c", &format!("import {import}")]).output();
    if !whole.is_ok_and(|output| output.status.success()) {
        run(Path::new("python3"), &["-m", "venv", "--clear", &folder.to_string_lossy()]);
        run(&python, &[&["-m", "pip", "install", "--quiet", "--no-input"], packages].concat());
    }
    python
}

/// Runs a program to its end and returns what it printed, or ends the test with what it said.
pub(crate) fn run(program: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| {
        panic!("{} could not be started: {error}; install python3", program.display())
    });
    assert!(
        output.status.success(),
        "{} {words:?} failed; python3-venv and the network are needed once:\n{}\n{}",
        program.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
