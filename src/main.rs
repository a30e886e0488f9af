//! The `tollgate` command: parses what was typed and hands it to the part that does it. Nothing is
//! decided here.

#![forbid(unsafe_code)]

// First, because its macros are for all that follow.
#[macro_use]
mod io;

mod cli;
mod command;
mod failure;
mod options;
mod process;
mod values;

use std::process::ExitCode;

use cli::{Command, Parsed};
use command::{
    calibrate, capacity, compare, doctor, flame, matrix, pki, reference, report, run, serve, token,
    up,
};
use failure::{Failure, FailureKind};
use io::{stdout, terminal};
use process::held;

fn main() -> ExitCode {
    let command = match cli::parse_raw(std::env::args_os()) {
        Parsed::Command(command) => command,
        Parsed::Help(text) => return ended(stdout::print(&format!("{text}\n")).map(|()| 0)),
        Parsed::Usage(text) => {
            eprintln!("{text}");
            return ExitCode::from(FailureKind::Usage.exit_code());
        }
    };
    if !cfg!(target_os = "linux") {
        eprintln!("tollgate: needs Linux (io_uring or epoll, /proc); this is another system.");
        return ExitCode::from(FailureKind::Failed.exit_code());
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
    held::wait_for_cleaning();
    ended(outcome)
}

fn ended(outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(0) if terminal::failed() => {
            eprintln!("tollgate: standard output could not be written.");
            ExitCode::from(FailureKind::Failed.exit_code())
        }
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("tollgate: {failure}");
            ExitCode::from(failure.kind().exit_code())
        }
    }
}
