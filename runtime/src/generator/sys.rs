//! The system calls of the generator that neither std nor socket2 offer in safe form.
//!
//! Every function here is safe to call with any argument. Nothing here decides anything.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use socket2::Socket;

/// What a socket is registered for: both directions and the peer's end, edge-triggered. One
/// registration serves a connection for life, and no change of interest costs a call.
const INTEREST: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;

/// Reads once into the free room of `bytes`.
pub(super) fn receive(socket: &Socket, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let count = socket.recv(bytes.spare_capacity_mut())?;
    let filled = bytes.len() + count;
    assert!(filled <= bytes.capacity(), "the kernel wrote no more than the room it was given");
    // SAFETY: the room holds `filled` bytes (asserted), and recv initialised the first `count`
    // behind the old length.
    unsafe { bytes.set_len(filled) };
    Ok(count)
}

/// Leaves the choice of a bound socket's port until the destination is known
/// (`IP_BIND_ADDRESS_NO_PORT`, ip(7)).
pub(super) fn bind_address_no_port(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let option = libc::IP_BIND_ADDRESS_NO_PORT;
    // SAFETY: the pointer and the size are those of one live integer, which is only read.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, option, (&raw const on).cast(), size)
    };
    check(set).map(|_| ())
}

/// Lets this thread's timers fire when they are due: by default the kernel delays them by up to
/// 50 microseconds to batch wake-ups (`PR_SET_TIMERSLACK`).
pub(super) fn precise_timers() {
    // SAFETY: this option takes one integer and no pointer. A refusal costs precision only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize) };
}

pub(super) fn epoll_create() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    // SAFETY: the kernel just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Registers `socket`; its events carry `data`. Closing the socket takes it out again.
pub(super) fn epoll_add(epoll: &OwnedFd, socket: &Socket, data: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: INTEREST, u64: data };
    let (epoll, socket) = (epoll.as_raw_fd(), socket.as_raw_fd());
    // SAFETY: the pointer is to one live event, which the call only reads.
    check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &raw mut event) })
        .map(|_| ())
}

/// Waits for events with the precision of a nanosecond; `None` waits without end. Returns how
/// many of `events` are filled.
///
/// # Errors
/// `Unsupported` before Linux 5.11: use [`epoll_wait_ms`].
pub(super) fn epoll_wait(
    epoll: &OwnedFd,
    events: &mut [libc::epoll_event],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    if timeout == Some(Duration::ZERO) {
        return epoll_wait_ms(epoll, events, 0);
    }
    let time = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `events` is live and exclusively borrowed, with the count given; `time` is null or
    // points to a value that lives to the end of this function; a null mask leaves signals be.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX),
            time,
            std::ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    check(libc::c_int::try_from(count).unwrap_or(-1)).map(|count| count as usize)
}

/// The same for any Linux, in milliseconds; a negative number waits without end.
pub(super) fn epoll_wait_ms(
    epoll: &OwnedFd,
    events: &mut [libc::epoll_event],
    timeout_ms: i32,
) -> io::Result<usize> {
    let room = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `events` is live and exclusively borrowed, and has at least `room` elements.
    let count =
        unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), room, timeout_ms) };
    check(count).map(|count| count as usize)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
