//! The byte queue of a connection, one for what was received and one for what has yet to be sent.
//!
//! Owns its growth and its shrinking. Refuses to bound what is left in it; the connection does
//! that.

use std::io;

use socket2::Socket;

use super::sys;

/// How much room the first read of a connection has; it doubles while reads fill it.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;
/// Memory above this is given back to the allocator when the queue is empty.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Bytes appended at the end and spent from the front; empty ones hold no memory until used.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    /// What lies before it is spent.
    start: usize,
    /// How much room the next read gets.
    room: usize,
}

impl Queue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// What is not spent.
    #[inline]
    pub(super) fn unspent(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Where to append. Nothing else may be done to it.
    #[inline]
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Spends the first `count` bytes, or all there are.
    pub(super) fn spend(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > KEPT_BYTES_MAX {
                self.bytes.shrink_to(READ_BYTES_MIN);
            }
        } else if self.start > KEPT_BYTES_MAX.max(self.len()) {
            // Less is moved than was spent, so a long stream costs no more than its length.
            self.compact();
        }
    }

    /// One read straight into the queue. Returns how many bytes there was room for as well: a
    /// read that did not fill it has emptied the socket.
    pub(super) fn read_from(&mut self, socket: &Socket) -> (usize, io::Result<usize>) {
        self.make_room();
        let room = self.bytes.capacity() - self.bytes.len();
        let read = sys::receive(socket, &mut self.bytes);
        if matches!(read, Ok(count) if count == room) {
            self.room = room.saturating_mul(2);
        }
        (room, read)
    }

    fn make_room(&mut self) {
        self.room = self.room.clamp(READ_BYTES_MIN, READ_BYTES_MAX);
        if self.bytes.capacity() - self.bytes.len() < self.room {
            self.compact();
            self.bytes.reserve(self.room);
        }
    }

    fn compact(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in_and_memory_stays_bounded() {
        let mut queue = Queue::default();
        let (mut next_in, mut next_out) = (0_u32, 0_u32);
        for round in 0..20_000_usize {
            for _ in 0..20 {
                queue.tail().push(next_in as u8);
                next_in += 1;
            }
            // Always something is left, so that only compaction frees what is spent.
            let count = (queue.len() - 1).min(round % 41);
            for byte in &queue.unspent()[..count] {
                assert_eq!(*byte, next_out as u8);
                next_out += 1;
            }
            queue.spend(count);
        }
        assert_eq!(queue.len() as u32, next_in - next_out);
        assert!(queue.bytes.capacity() < 8 * KEPT_BYTES_MAX, "{}", queue.bytes.capacity());
        queue.tail().resize(1 << 20, 0);
        queue.spend(usize::MAX);
        assert_eq!(queue.len(), 0);
        assert!(queue.bytes.capacity() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn reads_get_more_room_while_they_fill_it() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Socket::from(std::os::fd::OwnedFd::from(near));
        far.write_all(&[1; 100_000]).unwrap();
        let mut queue = Queue::default();
        let (first, read) = queue.read_from(&near);
        assert_eq!((first, read.unwrap()), (READ_BYTES_MIN, READ_BYTES_MIN));
        let (second, _) = queue.read_from(&near);
        assert!(second >= 2 * READ_BYTES_MIN, "{second}");
        while queue.len() < 100_000 {
            queue.read_from(&near).1.unwrap();
        }
        assert!(queue.room <= 2 * READ_BYTES_MAX + queue.bytes.capacity());
        assert!(queue.unspent().iter().all(|byte| *byte == 1));
    }
}
