//! The settings of the audit log.
//!
//! It owns their defaults and what is refused of them; it opens no file.

use std::path::PathBuf;

use crate::config::error::ServeError;

/// Which events go into the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditLevel {
    /// None: there is no log.
    Off,
    /// Refusals, tokens that were issued, and the service's own start, configuration and end.
    Refusals,
    /// These, and every request that was permitted.
    All,
}

impl AuditLevel {
    /// The levels by the word that stands for each.
    pub const TABLE: [(&'static str, AuditLevel); 3] =
        [("off", AuditLevel::Off), ("refusals", AuditLevel::Refusals), ("all", AuditLevel::All)];

    /// The word.
    #[must_use]
    pub fn label(self) -> &'static str {
        let found = Self::TABLE.iter().find(|(_, level)| *level == self);
        found.map_or("off", |(label, _)| label)
    }
}

/// Where the audit log is written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AuditTarget {
    /// The state directory's `logs/NAME.audit.jsonl`; standard error where there is none.
    #[default]
    Auto,
    /// Standard error.
    Stderr,
    /// A file.
    File(PathBuf),
}

/// Settings of the audit log.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// What is recorded.
    pub level: AuditLevel,
    /// Where.
    pub target: AuditTarget,
    /// The size of a file, in bytes, at which it is put away.
    pub file_bytes_max: u64,
    /// Files in all: the one that is written, and those that were put away.
    pub files_max: u32,
    /// Lines per second; half of them for one address.
    pub lines_per_s_max: u32,
}

impl AuditConfig {
    /// Default for [`AuditConfig::file_bytes_max`].
    pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
    /// Default for [`AuditConfig::files_max`].
    pub const FILES_MAX: u32 = 5;
    /// Default for [`AuditConfig::lines_per_s_max`]: some 300 kB a second at most.
    pub const LINES_PER_S_MAX: u32 = 1000;

    /// The smallest file: several of the longest lines.
    const FILE_BYTES_MIN: u64 = 64 * 1024;

    pub(super) fn check(&self) -> Result<(), ServeError> {
        if self.file_bytes_max < AuditConfig::FILE_BYTES_MIN {
            return Err(ServeError::config("--audit-log-size must be 64KiB or more"));
        }
        if !(1..=1000).contains(&self.files_max) {
            return Err(ServeError::config("--audit-log-files must be between 1 and 1000"));
        }
        if !(2..=1_000_000).contains(&self.lines_per_s_max) {
            return Err(ServeError::config(
                "--audit-rate must be between 2 and 1000000 lines a second; --audit off records \
                 nothing",
            ));
        }
        Ok(())
    }
}

impl Default for AuditConfig {
    fn default() -> AuditConfig {
        AuditConfig {
            level: AuditLevel::Refusals,
            target: AuditTarget::Auto,
            file_bytes_max: AuditConfig::FILE_BYTES_MAX,
            files_max: AuditConfig::FILES_MAX,
            lines_per_s_max: AuditConfig::LINES_PER_S_MAX,
        }
    }
}
