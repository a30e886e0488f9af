//! From facts to findings: a table of checks, each with what it looks at and why that matters for
//! figures, and a function from facts to a verdict. Pure: no file, no clock. A check that does not
//! apply to a machine gives no finding.
//!
//! What *blocks* makes measuring impossible or its result invalid for sure; what *costs* leaves it
//! possible and makes figures less exact, slower, or fewer.

mod cores;
mod kernel;
mod system;

use serde::Serialize;

use super::facts::Facts;

/// How bad it is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Nothing can be measured, or nothing validly.
    Blocks,
    /// It costs accuracy or speed, or makes a side of the command impossible.
    Costs,
    /// As it should be.
    Good,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Blocks => "blocks",
            Status::Costs => "costs",
            Status::Good => "good",
        }
    }
}

/// One item of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) item: &'static str,
    pub(crate) status: Status,
    /// What is the case.
    pub(crate) says: String,
    /// Why it matters for figures.
    pub(crate) why: &'static str,
    /// What to do about it, where it is not good.
    pub(crate) fix: Option<String>,
}

/// Everything that can be said about these facts, in the order of the table.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let tables: [&[Check]; 3] = [kernel::CHECKS, cores::CHECKS, system::CHECKS];
    let finding = |check: &Check| {
        let CheckResult { status, says, fix } = (check.judge)(facts)?;
        Some(Finding { item: check.item, status, says, why: check.why, fix })
    };
    tables.into_iter().flatten().filter_map(finding).collect()
}

/// A row of a table.
struct Check {
    item: &'static str,
    why: &'static str,
    judge: fn(&Facts) -> Option<CheckResult>,
}

/// What a check comes to.
struct CheckResult {
    status: Status,
    says: String,
    fix: Option<String>,
}

fn good(says: impl Into<String>) -> Option<CheckResult> {
    Some(CheckResult { status: Status::Good, says: says.into(), fix: None })
}

fn costs(says: impl Into<String>, fix: impl Into<String>) -> Option<CheckResult> {
    Some(CheckResult { status: Status::Costs, says: says.into(), fix: Some(fix.into()) })
}

fn blocks(says: impl Into<String>, fix: impl Into<String>) -> Option<CheckResult> {
    Some(CheckResult { status: Status::Blocks, says: says.into(), fix: Some(fix.into()) })
}

impl Facts {
    /// A command that only root may give.
    fn sudo(&self, command: &str) -> String {
        if self.system.root { command.to_owned() } else { format!("sudo {command}") }
    }

    /// A command that writes a word into a file of the kernel's, given from the root.
    fn write(&self, word: &str, file: &str) -> String {
        let into = if self.system.root { "> /" } else { "| sudo tee /" };
        format!("echo {word} {into}{file}")
    }

    /// Major and minor number of the kernel; of zero where it does not tell.
    fn kernel(&self) -> (u32, u32) {
        let mut numbers =
            self.system.kernel.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// A filter of system calls is on.
    fn filtered(&self) -> bool {
        self.system.seccomp == Some(2)
    }
}

#[cfg(test)]
pub(super) mod tests;
