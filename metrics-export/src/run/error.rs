//! Why a text is no record that this build reads.

use std::fmt;

use serde::Deserialize;

use super::{SCHEMA, SCHEMA_VERSION, SCHEMA_VERSION_MIN};

/// Why a record cannot be read.
#[derive(Debug)]
pub enum RecordError {
    /// It is something else.
    NotARecord(serde_json::Error),
    /// It has the schema of another record.
    OtherSchema(String),
    /// It was written by a later release, with this version.
    Newer(u32),
    /// It has a version from before those that are read.
    Older(u32),
    /// The text stops within the record.
    Truncated(serde_json::Error),
    /// A member of it is missing, or is not what it must be.
    Damaged(serde_json::Error),
}

/// What every version of the record has.
#[derive(Deserialize)]
struct Head {
    schema: String,
    schema_version: u32,
}

impl RecordError {
    /// Checks that this build reads the record's schema and version.
    pub(super) fn check_head(text: &str) -> Result<(), RecordError> {
        let head: Head = serde_json::from_str(text).map_err(|error| match error.is_eof() {
            true if !text.trim().is_empty() => RecordError::Truncated(error),
            _ => RecordError::NotARecord(error),
        })?;
        match head.schema_version {
            _ if head.schema != SCHEMA => Err(RecordError::OtherSchema(head.schema)),
            version if version > SCHEMA_VERSION => Err(RecordError::Newer(version)),
            version if version < SCHEMA_VERSION_MIN => Err(RecordError::Older(version)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = format!("{SCHEMA} versions {SCHEMA_VERSION_MIN} to {SCHEMA_VERSION}");
        match self {
            RecordError::NotARecord(error) => write!(out, "this is no record of a run: {error}"),
            RecordError::OtherSchema(schema) => {
                write!(out, "this record is {schema}, and this build reads {versions}")
            }
            RecordError::Newer(version) => write!(
                out,
                "this record is {SCHEMA} version {version}, and this build reads {versions}; use \
                 the build that wrote it or a later one"
            ),
            RecordError::Older(version) => write!(
                out,
                "this record is {SCHEMA} version {version}, and this build reads {versions}; use \
                 the build that wrote it"
            ),
            RecordError::Truncated(error) => {
                write!(out, "the record is truncated: {error}; copy it once more")
            }
            RecordError::Damaged(error) => write!(out, "the record is damaged: {error}"),
        }
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecordError::NotARecord(error)
            | RecordError::Truncated(error)
            | RecordError::Damaged(error) => Some(error),
            RecordError::OtherSchema(_) | RecordError::Newer(_) | RecordError::Older(_) => None,
        }
    }
}
