//! What the system lets this process do, found out by doing it: rings of io_uring with the flags
//! and operations that are of use here, the driver that servers would run on, and the counters
//! that `perf` reads. Each trial makes what it needs, uses it once and takes it down again, within
//! a second.
//!
//! Owns the trials and the kinds of refusal. Refuses to say what a refusal means or how it could
//! be lifted: that takes the system's settings, which are read elsewhere.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, opcode, types};

use crate::executor::driver::{Driver, DriverChoice, Executor};
use crate::generator::{Dial, Event, EventLoop, Wait};

/// What came of a trial.
pub type Trial = Result<(), Refusal>;

/// Why the kernel did not do what was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// EPERM: forbidden by a setting, a filter of system calls, or a missing capability.
    Forbidden,
    /// EACCES: forbidden by a security module, or for lack of rights.
    Denied,
    /// ENOSYS, EINVAL and their like: this kernel has no such thing, or says that it has not.
    Missing,
    /// ENOMEM: no memory may be locked for it.
    NoMemory,
    /// Anything else.
    Other(io::ErrorKind),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Forbidden => f.write_str("a setting or a filter of system calls forbids it"),
            Refusal::Denied => f.write_str("a security module or a lack of rights forbids it"),
            Refusal::Missing => f.write_str("this kernel has no such thing"),
            Refusal::NoMemory => f.write_str("no memory may be locked for it"),
            Refusal::Other(kind) => write!(f, "{kind}"),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(libc::EPERM) => Refusal::Forbidden,
            Some(libc::EACCES) => Refusal::Denied,
            Some(libc::ENOMEM) => Refusal::NoMemory,
            Some(libc::ENOSYS | libc::EINVAL | libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP) => {
                Refusal::Missing
            }
            _ if error.kind() == io::ErrorKind::InvalidInput => Refusal::Missing,
            _ => Refusal::Other(error.kind()),
        }
    }
}

/// What works of io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// A ring without flags.
    pub plain: Trial,
    /// COOP_TASKRUN and SINGLE_ISSUER, the flags of servers (Linux 6.0).
    pub cooperative: Trial,
    /// SINGLE_ISSUER and DEFER_TASKRUN, the flags of the generator's ring (Linux 6.1).
    pub deferred: Trial,
    /// Such a ring with a ring of provided buffers (Linux 5.19).
    pub provided_buffers: Trial,
    /// A multishot receive into those buffers (Linux 6.0).
    pub multishot_receive: Trial,
    /// A multishot accept (Linux 5.19).
    pub multishot_accept: Trial,
}

/// Entries of a ring that is only tried.
const ENTRIES: u32 = 8;

/// The longest wait for something that takes microseconds where it works.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Tries io_uring.
#[must_use]
pub fn rings() -> Rings {
    let with = |flags: fn(&mut io_uring::Builder)| -> Trial {
        let mut builder = IoUring::builder();
        flags(&mut builder);
        builder.build(ENTRIES)?;
        Ok(())
    };
    let plain = with(|_| ());
    let loop_on_ring = || Ok(EventLoop::new(DriverChoice::RequireIoUring)?);
    Rings {
        plain,
        cooperative: with(|ring| _ = ring.setup_coop_taskrun().setup_single_issuer()),
        deferred: with(|ring| _ = ring.setup_single_issuer().setup_defer_taskrun()),
        provided_buffers: loop_on_ring().map(drop),
        multishot_receive: loop_on_ring().and_then(receive),
        multishot_accept: plain.and_then(|()| Ok(accept()?)),
    }
}

/// The driver that a server which may choose would run on; None where there is none at all.
#[must_use]
pub fn server_driver() -> Option<Driver> {
    // An executor belongs to the thread that makes it.
    let chosen = || Executor::new(DriverChoice::Auto).ok().map(|(_, driver)| driver);
    thread::spawn(chosen).join().ok().flatten()
}

/// Whether a byte that a peer sends arrives through the loop.
fn receive(mut io: EventLoop) -> Trial {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    io.open(&Dial { addr: listener.local_addr()?, source: None, tls: None })?;
    let until = Instant::now() + TIMEOUT;
    let mut peer = None;
    let mut events = Vec::new();
    while Instant::now() < until {
        io.poll(Wait::Sleep, Some(until), &mut events)?;
        for event in events.drain(..) {
            match event {
                Event::Connected(_) => {
                    let (mut accepted, _) = listener.accept()?;
                    accepted.write_all(b"x")?;
                    peer = Some(accepted);
                }
                Event::Received(_) => return Ok(()),
                // Where the kernel knows no such receive it refuses it only now.
                Event::Closed(..) if peer.is_some() => return Err(Refusal::Missing),
                Event::Closed(..) => return Err(Refusal::Other(io::ErrorKind::NotConnected)),
            }
        }
    }
    Err(Refusal::Other(io::ErrorKind::TimedOut))
}

/// Whether one submission accepts two connections.
fn accept() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut ring = IoUring::new(ENTRIES)?;
    let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).build();
    // SAFETY: the entry points to no memory, and the listener it names is open beyond the ring:
    // it was made before it, and locals are dropped in reverse.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    for _ in 0..2 {
        let _peer = TcpStream::connect(address)?;
        let time = types::Timespec::new().nsec(TIMEOUT.subsec_nanos());
        ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&time))?;
        let done = ring.completion().next().ok_or(io::ErrorKind::TimedOut)?;
        if done.result() < 0 {
            return Err(io::Error::from_raw_os_error(-done.result()));
        }
        // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
        drop(unsafe { OwnedFd::from_raw_fd(done.result()) });
        if !cqueue::more(done.flags()) {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    Ok(())
}

/// What this process may have counted about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterAccess {
    /// The clock, in our own code only.
    pub clock: Trial,
    /// The clock, in the kernel's code as well.
    pub kernel_clock: Trial,
    /// Processor cycles, counted by the processor.
    pub cycles: Trial,
}

/// Tries the counters that `perf` reads.
#[must_use]
pub fn counters() -> CounterAccess {
    /// `PERF_TYPE_SOFTWARE`, `PERF_COUNT_SW_CPU_CLOCK`.
    const CLOCK: (u32, u64) = (1, 0);
    /// `PERF_TYPE_HARDWARE`, `PERF_COUNT_HW_CPU_CYCLES`.
    const CYCLES: (u32, u64) = (0, 0);
    let opened = |event, kernel| Ok(open_counter(event, kernel).map(drop)?);
    CounterAccess {
        clock: opened(CLOCK, false),
        kernel_clock: opened(CLOCK, true),
        cycles: opened(CYCLES, false),
    }
}

/// The first version of `perf_event_attr` (perf_event_open(2)), which every later kernel takes.
#[repr(C)]
struct CounterOptions {
    kind: u32,
    bytes: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_and_breakpoint: [u32; 2],
    address: u64,
}

/// Opens a counter of the calling thread that does not count yet.
fn open_counter((kind, config): (u32, u64), kernel: bool) -> io::Result<OwnedFd> {
    const DISABLED: u64 = 1;
    const EXCLUDE_KERNEL_AND_HYPERVISOR: u64 = 1 << 5 | 1 << 6;
    /// `PERF_FLAG_FD_CLOEXEC`.
    const CLOSE_ON_EXEC: libc::c_ulong = 8;
    let options = CounterOptions {
        kind,
        bytes: size_of::<CounterOptions>() as u32,
        config,
        sample_period: 0,
        sample_type: 0,
        read_format: 0,
        flags: if kernel { DISABLED } else { DISABLED | EXCLUDE_KERNEL_AND_HYPERVISOR },
        wakeup_and_breakpoint: [0; 2],
        address: 0,
    };
    let (this_thread, any_core, no_group): (libc::pid_t, libc::c_int, libc::c_int) = (0, -1, -1);
    // SAFETY: the pointer is to one live structure that names its own size, which the kernel only
    // reads; all other arguments are numbers.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const options,
            this_thread,
            any_core,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    match i32::try_from(fd) {
        // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What builds on something cannot work where that does not.
    #[test]
    fn trials_agree_with_each_other_and_with_the_driver() {
        let rings = rings();
        if rings.plain.is_err() {
            assert!(rings.cooperative.is_err() && rings.multishot_accept.is_err(), "{rings:?}");
        }
        if rings.deferred.is_err() {
            assert!(rings.provided_buffers.is_err(), "{rings:?}");
        }
        if rings.provided_buffers.is_err() {
            assert!(rings.multishot_receive.is_err(), "{rings:?}");
        }
        let expected = match (rings.cooperative, rings.plain) {
            (Ok(()), _) => Driver::IoUring,
            (Err(_), Ok(())) => Driver::IoUringPlain,
            _ => Driver::Epoll,
        };
        assert_eq!(server_driver(), Some(expected));
    }

    #[test]
    fn counting_the_kernel_takes_more_rights_than_counting_oneself() {
        let counters = counters();
        if counters.clock.is_err() {
            assert!(counters.kernel_clock.is_err(), "{counters:?}");
        }
    }

    #[test]
    fn refusals_are_distinguished() {
        let of = |errno| Refusal::from(io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::EPERM), Refusal::Forbidden);
        assert_eq!(of(libc::EACCES), Refusal::Denied);
        assert_eq!(of(libc::ENOSYS), Refusal::Missing);
        assert_eq!(of(libc::EINVAL), Refusal::Missing);
        assert_eq!(of(libc::ENOMEM), Refusal::NoMemory);
        assert_eq!(of(libc::EMFILE), Refusal::Other(io::Error::from_raw_os_error(24).kind()));
    }
}
