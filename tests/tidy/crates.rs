//! Which crate may use which, what belongs to one crate alone, and where `unsafe` may stand.

use std::fs;

use crate::{Source, report, root, sources};

/// The crates and what each may use from this workspace, as drawn in ARCHITECTURE.md.
pub(crate) const ARROWS: [(&str, &[&str]); 7] = [
    ("proto-http", &[]),
    ("authn", &[]),
    ("metrics-export", &[]),
    ("runtime", &["proto-http"]),
    ("services", &["authn", "metrics-export", "proto-http", "runtime"]),
    ("loadgen", &["authn", "metrics-export", "proto-http", "runtime"]),
    (".", &["authn", "loadgen", "metrics-export", "proto-http", "runtime", "services"]),
];

/// Names that only one room may say, and that room.
const OWNED_NAMES: [(&str, &str); 4] = [
    ("monoio", "runtime/"),
    ("io_uring::", "runtime/"),
    ("ring::", "authn/"),
    ("postgres_protocol", "services/src/results/"),
];

#[test]
fn unsafe_code_stays_in_the_runtime() {
    for (folder, _) in ARROWS.iter().filter(|(folder, _)| *folder != "runtime") {
        let top = if *folder == "." { "src/main.rs" } else { "src/lib.rs" };
        let text = fs::read_to_string(root().join(folder).join(top)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{folder}/{top} lets unsafe in");
    }
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| s.path.starts_with("runtime/src")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let reason = lines[at.saturating_sub(6)..at].iter().any(|l| l.contains("SAFETY:"));
            if code.contains("unsafe {") && !reason {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    report("unsafe blocks without a SAFETY comment", &found);
}

#[test]
fn crates_use_only_what_the_arrows_allow() {
    let members: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (folder, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        for line in section.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if members.contains(&name) {
                assert!(allowed.contains(&name), "{folder} may not use {name}");
            }
        }
    }
}

#[test]
fn each_name_is_said_only_in_its_room() {
    let mut found = Vec::new();
    // The peers' servers below benches/ are a workspace of their own, which nothing here uses.
    let ours = |s: &&Source| s.path.contains("src/") && !s.path.starts_with("benches/");
    for source in sources().iter().filter(ours) {
        for (name, room) in OWNED_NAMES.iter().filter(|(_, room)| !source.path.starts_with(room)) {
            for (at, line) in source.code().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let said = code.match_indices(name).any(|(start, _)| {
                    !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                });
                // rustls names its own ring provider; that is a choice, not a use of ring.
                if said && !code.contains('"') && !code.contains("crypto::ring") {
                    found.push(format!("{}:{}: {name} belongs to {room}", source.path, at + 1));
                }
            }
        }
    }
    report("names outside their room", &found);
}
