//! The few system calls that neither std, socket2 nor monoio offer in safe form.
//!
//! Every `unsafe` of the server half stands in this file, each behind a function that is safe to
//! call with any argument. Nothing here decides anything.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};

/// Shuts one or both directions of the socket `fd` down, so that reads and writes that wait on
/// it complete. The result does not matter: a socket that cannot be shut is closed already.
pub(crate) fn shutdown(fd: RawFd, how: Shutdown) {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: shutdown takes no pointer; a number that is no socket only yields an error.
    unsafe { libc::shutdown(fd, how) };
}

/// Makes the last close of the socket `fd` a reset, or an orderly end again: with a reset, what was
/// not sent is dropped, and the peer is told so (RST), however this process ends. The result does
/// not matter: a socket that takes no option is closed already.
pub(crate) fn reset_on_close(fd: RawFd, reset: bool) {
    let linger = libc::linger { l_onoff: reset.into(), l_linger: 0 };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    let value = (&raw const linger).cast();
    // SAFETY: the pointer and the size are those of one live structure, which the kernel only
    // reads; a number that is no socket only yields an error.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, value, size) };
}

/// The processor time of the calling thread so far, in ns, to the moment.
pub(crate) fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The clock of the processor time of all threads of a process, also of those that have ended.
///
/// # Errors
/// There is no such process.
pub(crate) fn process_cpu_clock(pid: u32) -> io::Result<libc::clockid_t> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut clock = 0;
    // SAFETY: the pointer is to one live number, which the call fills.
    let error = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if error == 0 { Ok(clock) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// What a clock of [`process_cpu_clock`] says, in ns; None once its process is gone.
pub(crate) fn process_cpu_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to one live time, which the kernel fills or leaves as it is.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (result == 0).then(|| nanoseconds(time))
}

/// The time since some moment before this process, in ns, which never goes back.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// What one of the kernel's clocks says; both of the above it knows since 2.6.12, and both count up
/// from zero.
#[inline]
fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to one live time, which the kernel fills.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    nanoseconds(time)
}

#[inline]
fn nanoseconds(time: libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Hands `bytes` to the socket without waiting; returns how many it took.
pub(crate) fn send_now(socket: &impl AsRawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let fd = socket.as_raw_fd();
    // SAFETY: the pointer and the length are those of one live slice, which send only reads.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Takes what has arrived at the socket, without waiting; 0 is its end.
pub(crate) fn receive_now(socket: &impl AsRawFd, bytes: &mut [u8]) -> io::Result<usize> {
    let fd = socket.as_raw_fd();
    // SAFETY: the pointer and the length are those of one live, exclusively borrowed slice.
    let read =
        unsafe { libc::recv(fd, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Ends the TCP connection of `fd` at once and tells its peer so (RST); what waits on it completes
/// with an error. False if it is no TCP connection, or the kernel refuses.
pub(crate) fn abort(fd: RawFd) -> bool {
    let unspecified =
        libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let size = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the pointer and the size are those of one live structure, which the kernel only
    // reads; a number that is no socket only yields an error.
    unsafe { libc::connect(fd, &raw const unspecified, size) == 0 }
}

/// How many bytes that were written to the socket `fd` its peer has not acknowledged. None where
/// that cannot be told: a number that is no socket is nobody's.
pub(crate) fn unacknowledged(fd: RawFd) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ, which sockets call SIOCOUTQ, makes the kernel fill in one live integer.
    let result = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// What an idle socket has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionHealth {
    /// Open, and nothing has arrived.
    Idle,
    /// Closed or broken.
    Ended,
    /// Bytes have arrived that nobody asked for.
    Unsolicited,
}

/// Looks at an idle socket without waiting and without taking anything off it.
pub(crate) fn connection_health(socket: &impl AsRawFd) -> ConnectionHealth {
    let mut byte = [0_u8; 1];
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    let fd = socket.as_raw_fd();
    // SAFETY: the pointer and the length are those of one live, exclusively borrowed array.
    let read = unsafe { libc::recv(fd, byte.as_mut_ptr().cast(), byte.len(), flags) };
    if read > 0 {
        ConnectionHealth::Unsolicited
    } else if read < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
        ConnectionHealth::Idle
    } else {
        ConnectionHealth::Ended
    }
}

/// Whether this process, or the whole system, has no file descriptor left.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The processors this thread may run on, in ascending order.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: a set of processors is plain bits, for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the size it is told into the set it is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let bits = 8 * size_of::<libc::cpu_set_t>();
    // SAFETY: CPU_ISSET reads one bit of the set, and `cpu` is below the number of its bits.
    Ok((0..bits).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Binds the calling thread to one processor.
///
/// # Errors
/// When there is no such processor, or it is not allowed to this process.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    if cpu >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: a set of processors is plain bits, for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: CPU_SET writes one bit, and `cpu` was just checked to be below their number.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the kernel only reads the set, whose size it is told.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the allocator to give unused pages back to the system.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number and touches only memory that is not in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_an_allowed_processor_only() {
        let allowed = allowed_cpus().unwrap();
        assert!(!allowed.is_empty());
        std::thread::spawn(move || {
            let last = *allowed.last().unwrap();
            pin_to(last).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [last]);
        })
        .join()
        .unwrap();
        assert!(pin_to(usize::MAX).is_err());
    }

    #[test]
    fn shutdown_ends_a_read_and_harms_no_stranger() {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        shutdown(a.as_raw_fd(), Shutdown::Both);
        assert_eq!(a.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(b.read(&mut [0; 1]).unwrap(), 0);
        shutdown(-1, Shutdown::Read);
    }

    #[test]
    fn the_clock_of_a_process_is_that_of_all_its_threads() {
        let own = process_cpu_clock(std::process::id()).unwrap();
        let before = process_cpu_ns(own).unwrap();
        let burn = || {
            let start = thread_cpu_ns();
            while thread_cpu_ns() - start < 20_000_000 {}
        };
        let threads = [(); 2].map(|()| std::thread::spawn(burn));
        for thread in threads {
            thread.join().unwrap();
        }
        let used = process_cpu_ns(own).unwrap() - before;
        assert!(used >= 40_000_000, "{used} ns, and two threads that ended used 40 ms");
        assert!(process_cpu_clock(u32::MAX).is_err());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let clock = process_cpu_clock(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!(process_cpu_ns(clock), None, "the child is gone");
    }

    #[test]
    fn the_clock_of_a_thread_counts_its_work_and_not_its_sleep() {
        let start = thread_cpu_ns();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let slept = thread_cpu_ns();
        while thread_cpu_ns() < slept + 1_000_000 {}
        assert!(slept - start < 40_000_000, "{} ns", slept - start);
    }

    #[test]
    fn send_now_takes_what_fits_and_then_says_it_would_block() {
        let (a, mut b) = UnixStream::pair().unwrap();
        assert_eq!(send_now(&a, b"abc").unwrap(), 3);
        let mut bytes = [0; 3];
        b.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"abc");
        let block = vec![0; 65536];
        let error = loop {
            if let Err(error) = send_now(&a, &block) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_a_peer_has_not_read_is_counted_until_it_can_take_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut reader, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(writer.as_raw_fd()), 0);
        let block = vec![0; 65536];
        let mut sent = 0;
        while let Ok(count) = send_now(&writer, &block) {
            sent += count;
        }
        let full = unacknowledged(writer.as_raw_fd());
        assert!(full > 0 && full < sent as u64, "{full} of {sent}");
        writer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(io::copy(&mut reader, &mut io::sink()).unwrap(), sent as u64);
        // The last acknowledgement may take its time.
        while unacknowledged(writer.as_raw_fd()) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(unacknowledged(-1), 0);
    }

    #[test]
    fn memory_in_use_survives_a_trim() {
        let kept = vec![7_u8; 100_000];
        drop(vec![1_u8; 1_000_000]);
        trim_heap();
        assert!(kept.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn receive_now_takes_what_is_there_and_then_says_it_would_block() {
        let (a, mut b) = UnixStream::pair().unwrap();
        b.write_all(b"abc").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(receive_now(&a, &mut bytes).unwrap(), 3);
        assert_eq!(&bytes[..3], b"abc");
        let error = receive_now(&a, &mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(b);
        assert_eq!(receive_now(&a, &mut bytes).unwrap(), 0);
    }

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (a, listener.accept().unwrap().0)
    }

    #[test]
    fn an_aborted_connection_is_reset_and_wakes_who_waits_on_it() {
        let (mut a, mut b) = tcp_pair();
        assert!(abort(a.as_raw_fd()));
        assert_eq!(b.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(a.read(&mut [0]).is_err());
        assert!(!abort(-1), "no socket, no harm");
    }

    #[test]
    fn a_close_is_a_reset_only_while_that_is_wanted() {
        let (a, mut b) = tcp_pair();
        reset_on_close(a.as_raw_fd(), true);
        drop(a);
        assert_eq!(b.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let (a, mut b) = tcp_pair();
        reset_on_close(a.as_raw_fd(), true);
        reset_on_close(a.as_raw_fd(), false);
        drop(a);
        assert_eq!(b.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn idle_closed_and_unsolicited_are_distinguished() {
        let (a, b) = UnixStream::pair().unwrap();
        assert_eq!(connection_health(&a), ConnectionHealth::Idle);
        (&b).write_all(b"x").unwrap();
        assert_eq!(connection_health(&a), ConnectionHealth::Unsolicited);
        let (a, b) = UnixStream::pair().unwrap();
        drop(b);
        assert_eq!(connection_health(&a), ConnectionHealth::Ended);
    }
}
