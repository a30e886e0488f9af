//! Whether an idle connection to an upstream may carry another request.
//!
//! It owns the look that is taken when a request is about to leave. One response too many, or the
//! body of a response that must have none, would be taken for the next request's response and go
//! to another client; so a connection on which anything has arrived is not used again. Under TLS
//! a record is not yet a byte of HTTP: session tickets and key updates may come at any time, and
//! are taken in. It refuses to judge what did arrive.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;

use crate::system::sys::{self, ConnectionHealth};
use crate::tls::Pump;

/// What is read at once, in bytes: a whole record and more than any row of tickets.
const READ_BYTES: usize = 18 * 1024;

/// Reads that may bring nothing but TLS's own messages; a peer that has more to say than 72 KB is
/// no longer worth listening to.
const READS_MAX: usize = 4;

/// What there is on an idle connection.
#[inline]
pub(crate) fn look(socket: &impl AsRawFd, tls: Option<&mut Pump>) -> ConnectionHealth {
    match (sys::connection_health(socket), tls) {
        (ConnectionHealth::Idle, Some(pump)) if !pump.is_idle() => ConnectionHealth::Ended,
        (ConnectionHealth::Unsolicited, Some(pump)) => take_in(socket, pump),
        (found, _) => found,
    }
}

/// Feeds `pump` with what has arrived. It is idle if it was TLS's own business and is complete.
#[cold]
fn take_in(socket: &impl AsRawFd, pump: &mut Pump) -> ConnectionHealth {
    let mut cipher = vec![0; READ_BYTES];
    let mut plain = Vec::new();
    for _ in 0..READS_MAX {
        match sys::receive_now(socket, &mut cipher) {
            Ok(count @ 1..) => {
                let fed = pump.feed(&mut cipher[..count], &mut plain);
                if !plain.is_empty() {
                    return ConnectionHealth::Unsolicited;
                }
                if fed.is_err() {
                    return ConnectionHealth::Ended;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && pump.is_idle() => {
                return ConnectionHealth::Idle;
            }
            _ => return ConnectionHealth::Ended,
        }
    }
    ConnectionHealth::Ended
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn one_byte_and_the_end_of_a_plain_connection_are_distinguished() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(look(&ours, None), ConnectionHealth::Idle);
        theirs.write_all(b"H").unwrap();
        assert_eq!(look(&ours, None), ConnectionHealth::Unsolicited);
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(look(&ours, None), ConnectionHealth::Ended);
    }
}
