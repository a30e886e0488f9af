//! The peer bench's own arithmetic: its statistics, verdicts and parsers are held against cases
//! that can be worked out by hand. No server is started and nothing is measured; python3 is all it
//! needs.

use std::path::Path;
use std::process::Command;

#[test]
fn the_peer_bench_reckons_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    // -B: a test leaves nothing behind in the tree.
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "-v", "test_peers"])
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("python3 could not be started: {error}; install it"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let ran = said.lines().filter(|line| line.ends_with(" ok")).count();
    assert!(ran > 15, "only {ran} tests ran:\n{said}");
}
