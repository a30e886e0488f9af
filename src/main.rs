//! The `tollgate` command: parses what was typed and hands it to the part that does it. Nothing is
//! decided here beyond which exit code a result becomes.

#![forbid(unsafe_code)]

// First, because its macros are for all that follow.
#[macro_use]
mod terminal;

mod bounds;
mod calibrate;
mod capacity;
mod cli;
mod compare;
mod descriptors;
mod doctor;
mod flame;
mod held;
mod matrix;
mod output;
mod pki;
mod reference;
mod report;
mod request;
mod restarts;
mod run;
mod serve;
mod stack;
mod state;
mod stdout;
mod token;
mod up;

use std::process::ExitCode;

use cli::{Command, Parsed};

/// Exit codes that scripts can rely on; `docs/cli.md` lists them.
pub(crate) mod exit {
    /// The command ran and something in it failed.
    pub(crate) const FAILED: u8 = 1;
    /// What was typed could not be understood.
    pub(crate) const USAGE: u8 = 2;
}

fn main() -> ExitCode {
    let command = match cli::parse_raw(std::env::args_os()) {
        Parsed::Command(command) => command,
        Parsed::Help(text) => return ended(stdout::print(&format!("{text}\n")).map(|()| 0)),
        Parsed::Usage(text) => {
            eprintln!("{text}");
            return ExitCode::from(exit::USAGE);
        }
    };
    if !cfg!(target_os = "linux") {
        eprintln!("tollgate: needs Linux (io_uring or epoll, /proc); this is another system.");
        return ExitCode::from(exit::FAILED);
    }
    let outcome = match command {
        Command::Serve(typed) => serve::command(*typed),
        Command::Up(typed) => up::command(&typed),
        Command::Token(typed) => token::command(&typed),
        Command::Pki(typed) => pki::command(typed),
        Command::Run(typed) => run::command(*typed),
        Command::Capacity(typed) => capacity::command(*typed),
        Command::Matrix(typed) => matrix::command(*typed),
        Command::Report(typed) => report::command(&typed),
        Command::Compare(typed) => compare::command(&typed),
        Command::Flame(typed) => flame::command(&typed),
        Command::Calibrate(typed) => calibrate::command(&typed),
        Command::Doctor(typed) => doctor::command(&typed),
        Command::Reference(typed) => reference::command(&typed),
    };
    ended(outcome)
}

fn ended(outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(0) if terminal::failed() => {
            eprintln!("tollgate: standard output could not be written.");
            ExitCode::from(exit::FAILED)
        }
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("tollgate: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// Why a command stopped: a sentence for people and the exit code for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened and what to do about it.
    pub(crate) message: String,
    /// The process's exit code.
    pub(crate) code: u8,
}

impl Failure {
    /// The command was understood but could not be carried out.
    pub(crate) fn failed(message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: exit::FAILED }
    }

    /// The command was not understood.
    pub(crate) fn usage(message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: exit::USAGE }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
