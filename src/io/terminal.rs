//! The edge where text leaves for a terminal: standard output, standard error and the log. Names in
//! records, a server's words and the contents of certificates are in it, so that everything is made
//! printable here, and nowhere has to be remembered.
//!
//! Owns the macros `print!`, `println!`, `eprint!` and `eprintln!` of this crate, which shadow the
//! standard ones for that reason. They do not panic where the standard ones do: output that could
//! not be written is known to [`failed`].

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use loadgen::report::Paint;
use metrics_export::printable::{printable, printable_painted};
use metrics_export::run::Run;

use crate::io::stdout;

/// Whether something that belongs on standard output did not get there.
static FAILED: AtomicBool = AtomicBool::new(false);

#[expect(unused_macros, reason = "shadows the one that would write past this edge")]
macro_rules! print {
    ($($part:tt)*) => { $crate::io::terminal::out(format_args!($($part)*), "") };
}
macro_rules! println {
    () => { $crate::io::terminal::out(format_args!(""), "\n") };
    ($($part:tt)*) => { $crate::io::terminal::out(format_args!($($part)*), "\n") };
}
#[expect(unused_macros, reason = "shadows the one that would write past this edge")]
macro_rules! eprint {
    ($($part:tt)*) => { $crate::io::terminal::err(format_args!($($part)*), "") };
}
macro_rules! eprintln {
    ($($part:tt)*) => { $crate::io::terminal::err(format_args!($($part)*), "\n") };
}

/// Writes to standard output.
pub(crate) fn out(text: fmt::Arguments<'_>, end: &str) {
    let text = format!("{text}{end}");
    if stdout::write(printable(&text).as_bytes()).is_err() {
        FAILED.store(true, Ordering::Relaxed);
    }
}

/// Writes to standard error; there is nobody to tell when that fails.
pub(crate) fn err(text: fmt::Arguments<'_>, end: &str) {
    let text = format!("{text}{end}");
    let _ = io::stderr().lock().write_all(printable(&text).as_bytes());
}

/// Whether [`out`] failed since the program began.
pub(crate) fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// A text in colours that was made here of what [`shown`] gave.
pub(crate) fn in_colours(text: &str, paint: Paint) -> Cow<'_, str> {
    match paint {
        Paint::Plain => printable(text),
        Paint::Colour => printable_painted(text),
    }
}

/// The record as it is shown: in colours a name must not be able to add any.
pub(crate) fn shown(run: &Run, paint: Paint) -> Cow<'_, Run> {
    match paint {
        Paint::Plain => Cow::Borrowed(run),
        Paint::Colour => Cow::Owned(run.printable()),
    }
}

/// Standard error for the log, whose lines arrive whole.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().lock().write_all(printable(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
