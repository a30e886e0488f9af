//! The log as a whole: what is written, what is dropped, and that both are told.

use std::fs;
use std::path::Path;
use std::process::Command;

use authn::Profile;
use serde_json::Value;

use super::*;
use crate::config::InventoryConfig;

const SOURCE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

fn config(target: AuditTarget, lines_per_s_max: u32) -> ServiceConfig {
    let mut config = ServiceConfig::new(InventoryConfig::default(), Profile::parse("S0").unwrap());
    config.audit = AuditConfig { target, lines_per_s_max, ..AuditConfig::default() };
    config
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refused() -> AuditEvent {
    AuditEvent::new(AuditAction::RequestRefused)
}

/// How many events a log accounts for: those written, and those that it says were dropped.
fn accounted(lines: &[Value]) -> u64 {
    let count = |line: &Value| match line["decision"] == "dropped" {
        true => line["count"].as_u64().unwrap(),
        false => 1,
    };
    lines.iter().map(count).sum()
}

#[test]
fn beyond_the_rate_events_are_counted_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let log = AuditLog::start(&config(AuditTarget::File(path.clone()), 10)).unwrap();
    for _ in 0..100 {
        log.record(SOURCE, refused);
    }
    log.record_own(AuditEvent::new(AuditAction::Ended));
    log.end();
    let (lines, dropped) = (lines(&path), log.dropped().unwrap());
    assert!(dropped >= 80, "at most two seconds can have begun: {dropped}");
    assert_eq!(accounted(&lines), 101);
    assert_eq!(lines.last().unwrap()["decision"], "ended");
}

#[test]
fn a_disk_without_room_costs_lines_and_nothing_else() {
    let log = AuditLog::start(&config(AuditTarget::File("/dev/full".into()), 1000)).unwrap();
    for _ in 0..5 {
        log.record(SOURCE, refused);
    }
    log.end();
    assert_eq!(log.dropped(), Some(5));
}

#[test]
fn a_writer_that_stands_still_drops_and_tells_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Both ends: opening it for reading and writing waits for nobody.
    let reader = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let log = AuditLog::start(&config(AuditTarget::File(path), 1_000_000)).unwrap();
    let start = Instant::now();
    for _ in 0..5000 {
        log.record(SOURCE, refused);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "nobody waits for it");
    log.end();
    // A pipe holds 64 KiB by default, some 700 lines.
    assert!(log.dropped().unwrap() > 1000);
    drop(reader);
}

#[test]
fn nothing_is_recorded_where_there_is_no_log() {
    let mut config = config(AuditTarget::File("/does/not/exist".into()), 10);
    assert!(AuditLog::start(&config).is_err());
    config.audit.level = AuditLevel::Off;
    let log = AuditLog::start(&config).unwrap();
    log.record(SOURCE, || panic!("it is not even made"));
    assert_eq!(log.dropped(), None);
}
