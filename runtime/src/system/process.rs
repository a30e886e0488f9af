//! What the process asks of the operating system once, at its start and at its end: the limit of
//! open files, the signals that stop it, and the parent that it must not outlive.
//!
//! Owns these calls. Refuses to decide what stopping means: it only says that, and why.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[cfg(not(target_os = "linux"))]
compile_error!("tollgate needs Linux: it stands on epoll, io_uring and the accounts in /proc");

/// Raises the limit of open files as far as this process may; returns the limit then in force.
/// The default of 1024 is less than the connections of one busy server.
///
/// # Errors
/// When the kernel refuses to tell or to change it.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to one live limit, which the kernel fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to one live limit, which the kernel only reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Whether the process was started with a closed standard output, where what is printed is lost.
#[must_use]
pub fn stdout_was_closed() -> bool {
    crate::system::inherited::stdout_was_closed()
}

/// The limit of open files now in force.
///
/// # Errors
/// When the kernel refuses to tell.
pub fn file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to one live limit, which the kernel fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

/// The processors that this thread may run on, in ascending order: what the process inherited,
/// which nothing here ever widens.
///
/// # Errors
/// When the kernel does not tell.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    crate::system::sys::allowed_cpus()
}

/// The user whose rights this process has.
#[must_use]
pub fn user_id() -> u32 {
    // SAFETY: the call takes no pointer and always succeeds.
    unsafe { libc::geteuid() }
}

/// Binds the calling thread to one processor.
///
/// # Errors
/// When there is no such processor, or it is not allowed to this process.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    crate::system::sys::pin_to(cpu)
}

/// The processor time that the calling thread has used so far, in ns. It is the clock behind the
/// kernel's own CPU accounting of a thread, and reading it costs a system call.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    crate::system::sys::thread_cpu_ns()
}

/// The signal that asked the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager, or `kill`.
    Terminate,
}

impl Signal {
    /// What a shell reports for a process that this signal ended.
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        128 + self.number()
    }

    const fn number(self) -> i32 {
        match self {
            Signal::Interrupt => SIGINT,
            Signal::Terminate => SIGTERM,
        }
    }

    fn from_number(number: usize) -> Option<Signal> {
        [Signal::Interrupt, Signal::Terminate].into_iter().find(|s| s.number() as usize == number)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        })
    }
}

/// The process's signals, from now on in our hands: the first SIGINT or SIGTERM is told, the
/// second ends the process at once, whatever it is doing.
#[derive(Debug)]
pub struct Shutdown {
    signals: Signals,
    /// The first signal's number, zero until then.
    first: Arc<AtomicUsize>,
}

impl Shutdown {
    /// Takes the signals over. Call it early: until then each of them ends the process.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install() -> io::Result<Shutdown> {
        let first = Arc::new(AtomicUsize::new(0));
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let number = signal.number();
            // The order matters: the first signal finds the exit disarmed and arms it.
            let armed = Arc::clone(&armed);
            let exit = Arc::clone(&armed);
            signal_hook::flag::register_conditional_shutdown(number, signal.exit_code(), exit)?;
            signal_hook::flag::register(number, armed)?;
            signal_hook::flag::register_usize(number, Arc::clone(&first), number as usize)?;
        }
        let signals = Signals::new([SIGINT, SIGTERM])?;
        Ok(Shutdown { signals, first })
    }

    /// Takes the signals over as [`Shutdown::install`] does, for a process that must not leave
    /// something behind: the second signal calls `clean` and then ends the process, the third ends
    /// it at once.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn install_with(clean: impl FnOnce() + Send + 'static) -> io::Result<Shutdown> {
        let first = Arc::new(AtomicUsize::new(0));
        let armed = Arc::new(AtomicBool::new(false));
        // A byte for each signal: flags alone would make one of two that come close together.
        let (mut reader, writer) = UnixStream::pair()?;
        for signal in [Signal::Interrupt, Signal::Terminate] {
            let number = signal.number();
            let exit = Arc::clone(&armed);
            signal_hook::flag::register_conditional_shutdown(number, signal.exit_code(), exit)?;
            signal_hook::flag::register_usize(number, Arc::clone(&first), number as usize)?;
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
        }
        let last = Arc::clone(&first);
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if reader.read_exact(&mut [0; 2]).is_ok() {
                armed.store(true, Ordering::Relaxed);
                clean();
                let signal = Signal::from_number(last.load(Ordering::Relaxed));
                let code = signal.map_or(Signal::Interrupt.exit_code(), Signal::exit_code);
                signal_hook::low_level::exit(code);
            }
        })?;
        let signals = Signals::new([SIGINT, SIGTERM])?;
        Ok(Shutdown { signals, first })
    }

    /// Waits for the first signal.
    pub fn wait(&mut self) -> Signal {
        loop {
            if let Some(signal) = self.received() {
                return signal;
            }
            // A wake-up without a signal is possible, and harmless.
            self.signals.wait().for_each(drop);
        }
    }

    /// The signal that came, if one has.
    #[must_use]
    pub fn received(&self) -> Option<Signal> {
        Signal::from_number(self.first.load(Ordering::Relaxed))
    }

    /// A handle to ask [`Shutdown::received`] of on other threads, at the cost of one load.
    #[must_use]
    pub fn watch(&self) -> ShutdownWatch {
        ShutdownWatch { first: Arc::clone(&self.first) }
    }
}

/// Tells whether the process was asked to stop. See [`Shutdown::watch`].
#[derive(Clone, Debug)]
pub struct ShutdownWatch {
    first: Arc<AtomicUsize>,
}

impl ShutdownWatch {
    /// A watch of a process that was told to stop, or never is.
    #[cfg(test)]
    pub(crate) fn fixed(stopping: bool) -> ShutdownWatch {
        let first = if stopping { SIGINT as usize } else { 0 };
        ShutdownWatch { first: Arc::new(AtomicUsize::new(first)) }
    }

    /// The signal that came, if one has.
    #[must_use]
    pub fn received(&self) -> Option<Signal> {
        Signal::from_number(self.first.load(Ordering::Relaxed))
    }
}

/// Takes over SIGINT and SIGTERM and waits for the first of them; a second one ends the process
/// at once.
///
/// # Errors
/// When the kernel refuses.
pub fn wait_for_shutdown() -> io::Result<Signal> {
    Ok(Shutdown::install()?.wait())
}

/// Calls `told` on a thread of its own after each SIGINT, SIGTERM or end of a child process; once
/// for several that come together. Whoever waits for it need not look every few milliseconds.
///
/// # Errors
/// When the kernel refuses, or no thread can be started.
pub fn on_signal_or_end_of_child(mut told: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGCHLD])?;
    thread::Builder::new().name("events".to_owned()).spawn(move || {
        for _ in signals.forever() {
            told();
        }
    })?;
    Ok(())
}

/// Calls `told` on a thread of its own after each SIGHUP, which no longer ends the process.
///
/// # Errors
/// When the kernel refuses, or no thread can be started.
pub fn on_hangup(mut told: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    thread::Builder::new().name("hangup".to_owned()).spawn(move || {
        for _ in signals.forever() {
            told();
        }
    })?;
    Ok(())
}

/// Sends this process SIGTERM as soon as its standard input ends, so that it stops in order, as if
/// it had been asked to. A parent that keeps the other end of that pipe open takes its children
/// with it, even when it is killed: the kernel closes the pipe.
///
/// # Errors
/// When no thread can be started.
pub fn terminate_when_stdin_closes() -> io::Result<()> {
    when_stdin_closes(|| {
        // It cannot fail for a signal that exists.
        let _ = signal_hook::low_level::raise(SIGTERM);
    })
}

/// Calls `closed` on a thread of its own as soon as standard input ends.
///
/// # Errors
/// When no thread can be started.
pub fn when_stdin_closes(closed: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let watcher = thread::Builder::new().name("stdin".to_owned());
    watcher.spawn(|| {
        let mut ignored = [0; 512];
        loop {
            match io::stdin().lock().read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        closed();
    })?;
    Ok(())
}
