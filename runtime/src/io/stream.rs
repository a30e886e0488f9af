//! One TCP connection, plain or under TLS, with the deadline of whatever it waits for.
//!
//! Reads append to the caller's buffer and writes empty it, so that bytes are copied only where
//! rustls forces it: a plain read goes from the kernel straight behind what the buffer holds.
//! It decides nothing about HTTP and never retries.
//!
//! Writes go through the ring, which submits those of many connections with one system call: a
//! direct `send` for each was measured to cost a tenth more, and a third more where it wakes
//! another process on the same core. But the ring submits only when no task is left to run, so
//! where requests are work, the first answer would wait for the last: with 16 handshakes at a
//! time, client and server worked by turns and the handshake cost a quarter more. There a write
//! is handed to the socket at once, and waits only for what the socket does not take.
//!
//! Reads and writes own the buffer while they are in flight: a future that is dropped half way
//! loses the bytes, so these are to be awaited, not raced. A deadline ends them instead.

mod error;

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use monoio::buf::{IoBuf, SliceMut};
use rustls::ServerConfig;

use crate::io::buffer::{BUFFER_BYTES, BUFFER_BYTES_LARGE, BodyRoom};
use crate::io::deadline::{WaitKind, Watch, WatchedSocket};
use crate::io::health;
use crate::io::local::Local;
use crate::io::socket::Socket;
use crate::observe::stats::StatsRef;
use crate::system::sys::{self, ConnectionHealth};
use crate::tls::{Pump, TlsError, TlsFacts};

pub use self::error::StreamError;

/// One connection, either end.
pub(crate) struct Stream {
    tcp: WatchedSocket<Socket>,
    tls: Option<Box<Pump>>,
    local: Rc<Local>,
    counted: Option<StatsRef>,
}

/// For writing the alert that ends a connection, in milliseconds: it is shorter than one segment,
/// and who takes nothing any more need not hear of it.
const ALERT_MS: u64 = 1000;

/// For writing what else TLS has to say during a wait whose deadline ends reads only.
const PENDING_MS: u64 = 10_000;

/// How long a read keeps its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Until the connection counts as idle.
    Short,
    /// Until its deadline.
    Whole,
}

impl Stream {
    /// An accepted connection; under TLS the handshake is still to be made.
    pub(crate) fn accepted(
        local: Rc<Local>,
        tcp: impl Into<Socket>,
        tls: Option<Arc<ServerConfig>>,
        counted: StatsRef,
    ) -> Result<Stream, TlsError> {
        let pump = tls.map(Pump::server).transpose()?;
        Ok(Stream::new(local, tcp.into(), pump, Some(counted)))
    }

    /// A connection that was made; with a pump the handshake is still to be made.
    pub(crate) fn connected(
        local: Rc<Local>,
        tcp: impl Into<Socket>,
        pump: Option<Pump>,
    ) -> Stream {
        Stream::new(local, tcp.into(), pump, None)
    }

    fn new(local: Rc<Local>, tcp: Socket, pump: Option<Pump>, counted: Option<StatsRef>) -> Stream {
        Stream { tcp: local.deadlines.watch(tcp), tls: pump.map(Box::new), local, counted }
    }

    /// Makes the TLS handshake, at most `limit_ms`; nothing to do on a plain connection. What
    /// the peer sent behind its last handshake message is appended to `plain`. What a long message
    /// makes us hold until it ends counts as a body's memory, of which all may take `memory_max`.
    pub(crate) async fn handshake(
        &mut self,
        plain: &mut Vec<u8>,
        limit_ms: u64,
        memory_max: usize,
    ) -> Result<(), StreamError> {
        let mut memory = BodyRoom::new(self.local.stats.clone());
        self.tcp.watch().set(WaitKind::Handshake, limit_ms);
        self.send_pending().await?;
        while self.tls.as_ref().is_some_and(|pump| !pump.ready()) {
            if self.fill(plain, Hold::Whole).await? == 0 {
                return Err(StreamError::Closed);
            }
            let held = self.tls.as_ref().map_or(0, |pump| pump.held_bytes());
            if held > BUFFER_BYTES && !memory.hold(held, memory_max) {
                return Err(StreamError::Closed);
            }
        }
        self.tcp.watch().clear();
        Ok(())
    }

    /// Appends what arrives next to `buffer` and returns how many bytes that was; 0 is the end.
    /// A buffer without spare room is given some. Waits at most `limit_ms` (and one sweep).
    ///
    /// # Errors
    /// When the connection or its TLS broke, or the time was up.
    pub(crate) async fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        limit_ms: u64,
    ) -> Result<usize, StreamError> {
        self.tcp.watch().set(WaitKind::Response, limit_ms);
        let result = self.fill(buffer, Hold::Whole).await;
        self.tcp.watch().clear();
        result
    }

    /// Writes all of `buffer`, which may be nothing, and empties it. Waits at most `limit_ms`, and
    /// a millisecond more for every 64 bytes.
    ///
    /// # Errors
    /// When the connection broke or the time was up.
    pub(crate) async fn write(
        &mut self,
        buffer: &mut Vec<u8>,
        limit_ms: u64,
    ) -> Result<(), StreamError> {
        self.seal(buffer)?;
        self.drain(buffer, Some(limit_ms)).await
    }

    /// Makes records of what `buffer` holds, under TLS; a plain connection's bytes stay as they
    /// are. [`Stream::drain`] then writes them.
    #[inline]
    pub(crate) fn seal(&mut self, buffer: &mut Vec<u8>) -> Result<(), TlsError> {
        match &mut self.tls {
            Some(pump) if !buffer.is_empty() => {
                let mut cipher = self.local.buffers.take();
                let written = pump.write(buffer, &mut cipher);
                self.local.buffers.give(std::mem::replace(buffer, cipher));
                written
            }
            _ => Ok(()),
        }
    }

    /// As [`Stream::read`], under the deadline the caller has set on [`Stream::watch`]. With
    /// [`Hold::Short`] it may be cancelled, and its buffers are free then:
    /// [`StreamError::is_cancelled`]. While a TLS handshake lasts it reads once, whatever that
    /// brings.
    pub(crate) async fn fill(
        &mut self,
        buffer: &mut Vec<u8>,
        hold: Hold,
    ) -> Result<usize, StreamError> {
        let handshake = self.tls.as_ref().is_some_and(|pump| !pump.ready());
        // What a handshake has room for, the connection would keep until its first request.
        if !handshake && buffer.capacity() == buffer.len() {
            buffer.reserve(BUFFER_BYTES);
        }
        let before = buffer.len();
        loop {
            if self.peer_closed() {
                return self.end();
            }
            let bytes = self.room(buffer);
            let (start, end) = (bytes.len(), bytes.capacity());
            let slice = SliceMut::new(bytes, start, end);
            let keep = if hold == Hold::Short { self.local.buffers.keep() } else { None };
            let (result, slice) = if hold == Hold::Whole || keep.is_some() {
                self.tcp.socket.read(slice).await
            } else {
                let handle = self.tcp.watch().hold();
                let read = self.tcp.socket.cancelable_read(slice, handle).await;
                self.tcp.watch().release();
                read
            };
            drop(keep);
            self.local.has_read();
            let count = match self.take_in(result, slice.into_inner(), buffer) {
                Ok(0) => return self.end(),
                Ok(count) => count,
                Err(error) => {
                    if let StreamError::Tls(_) = &error {
                        // The alert tells the peer what was wrong; our own error is the one that
                        // counts.
                        self.tcp.watch().set(WaitKind::Linger, ALERT_MS);
                        let _ = self.send_pending().await;
                    }
                    return Err(error);
                }
            };
            let Some(pump) = &self.tls else {
                return Ok(count);
            };
            if pump.wants_write() {
                self.send_pending().await?;
            }
            match buffer.len() - before {
                0 if handshake => return Ok(count),
                0 => self.tcp.watch().has_received(count),
                plain => return Ok(plain),
            }
        }
    }

    /// Waits until there is something to read, without holding a buffer meanwhile.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.tcp.socket.readable().await
    }

    /// Writes the last of `buffer`, under TLS together with close_notify. With `half_close` the
    /// peer is told at once (FIN) while its own bytes can still be read.
    pub(crate) async fn write_last(
        &mut self,
        buffer: &mut Vec<u8>,
        limit_ms: u64,
        half_close: bool,
    ) -> Result<(), StreamError> {
        let sealed = self.seal(buffer);
        if let Some(pump) = &mut self.tls {
            pump.close(buffer);
        }
        self.drain(buffer, Some(limit_ms)).await?;
        sealed?;
        if half_close {
            sys::shutdown(self.tcp.socket.as_raw_fd(), Shutdown::Write);
        }
        Ok(())
    }

    /// Makes every end of this connection a reset, by whomever or whatever it is ended; or not any
    /// more.
    pub(crate) fn set_abortive(&self, abortive: bool) {
        sys::reset_on_close(self.tcp.socket.as_raw_fd(), abortive);
        self.tcp.watch().set_abortive(abortive);
    }

    /// The slot of this connection's deadline.
    pub(crate) fn watch(&self) -> &Watch {
        self.tcp.watch()
    }

    /// What the TLS handshake agreed on; `None` on a plain connection or before it is done.
    #[must_use]
    pub(crate) fn facts(&self) -> Option<TlsFacts<'_>> {
        self.tls.as_ref().and_then(|pump| pump.facts())
    }

    /// Whether an end of this stream is known to be the peer's will: under TLS only
    /// close_notify says so.
    #[must_use]
    pub(crate) fn ended_properly(&self) -> bool {
        self.tls.as_ref().is_none_or(|pump| pump.peer_closed())
    }

    /// How many bytes the socket has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.tcp.watch().written()
    }

    /// What there is on this connection, on which nothing is awaited.
    #[inline]
    pub(crate) fn look(&mut self) -> ConnectionHealth {
        health::look(&self.tcp.socket, self.tls.as_deref_mut())
    }

    fn peer_closed(&self) -> bool {
        self.tls.as_ref().is_some_and(|pump| pump.peer_closed())
    }

    /// What the next read fills: the caller's own buffer, or under TLS one for records.
    #[inline]
    fn room(&self, buffer: &mut Vec<u8>) -> Vec<u8> {
        if self.tls.is_none() {
            return std::mem::take(buffer);
        }
        let spare = buffer.capacity() - buffer.len();
        // Who makes room for more than a page expects a large body: full records then.
        if spare > BUFFER_BYTES {
            Vec::with_capacity(spare.min(BUFFER_BYTES_LARGE))
        } else {
            self.local.buffers.take()
        }
    }

    /// Puts what a read brought where it belongs, under TLS by way of the pump; returns how many
    /// bytes came from the socket.
    #[inline]
    fn take_in(
        &mut self,
        result: io::Result<usize>,
        mut bytes: Vec<u8>,
        buffer: &mut Vec<u8>,
    ) -> Result<usize, StreamError> {
        let fed = match &mut self.tls {
            None => {
                *buffer = bytes;
                Ok(())
            }
            Some(pump) => {
                let came = matches!(result, Ok(1..));
                let fed = if came { pump.feed(&mut bytes, buffer) } else { Ok(()) };
                self.local.buffers.give(bytes);
                fed
            }
        };
        let count = result.map_err(|error| self.reason(error.into()))?;
        self.count_in(count);
        fed?;
        Ok(count)
    }

    /// Sends what TLS itself has to say: handshake flights, key updates, alerts.
    async fn send_pending(&mut self) -> Result<(), StreamError> {
        let Some(pump) = &mut self.tls else {
            return Ok(());
        };
        let mut cipher = self.local.buffers.take();
        pump.take(&mut cipher);
        let result = self.drain(&mut cipher, None).await;
        self.local.buffers.give(cipher);
        result
    }

    /// Writes all of `bytes`, which may be nothing, and empties them: within `limit_ms`, or without
    /// one at once. What is not taken then waits under the deadline that is set already, or under
    /// one of its own if that would not end a write.
    pub(crate) async fn drain(
        &mut self,
        bytes: &mut Vec<u8>,
        limit_ms: Option<u64>,
    ) -> Result<(), StreamError> {
        if bytes.is_empty() {
            // The deadline that is set belongs to another wait.
            return Ok(());
        }
        let at_once = limit_ms.is_none() || self.local.flush_now.get();
        let mut sent = if at_once { self.send_now(bytes)? } else { 0 };
        if let Some(limit_ms) = limit_ms
            && sent < bytes.len()
        {
            let start_ms = self.tcp.watch().now_ms();
            self.tcp.watch().set_after(WaitKind::Write, start_ms, limit_ms, bytes.len() as u64);
        }
        let waits = limit_ms.is_none() && sent < bytes.len();
        let set_aside = if waits { self.tcp.watch().set_aside(PENDING_MS) } else { None };
        while sent < bytes.len() {
            let owned = std::mem::take(bytes);
            let (result, slice) = self.tcp.socket.write(owned.slice(sent..)).await;
            *bytes = slice.into_inner();
            match result {
                Ok(0) => return Err(self.reason(StreamError::Closed)),
                Ok(count) => {
                    self.count_out(count);
                    sent += count;
                }
                Err(error) => return Err(self.reason(error.into())),
            }
        }
        if limit_ms.is_some() {
            self.tcp.watch().clear();
        }
        if let Some(deadline) = set_aside {
            self.tcp.watch().restore(deadline);
        }
        bytes.clear();
        Ok(())
    }

    /// As much as the socket takes without waiting.
    fn send_now(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.tcp.socket.send_now(bytes) {
            Ok(sent) => {
                self.count_out(sent);
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The end of the stream, or the deadline that brought it about.
    fn end(&self) -> Result<usize, StreamError> {
        match self.tcp.watch().fired() {
            Some(kind) => Err(StreamError::Deadline(kind)),
            None => Ok(0),
        }
    }

    /// An expired deadline shuts the socket; what the kernel says then is only its consequence.
    fn reason(&self, error: StreamError) -> StreamError {
        match self.tcp.watch().fired() {
            Some(kind) => StreamError::Deadline(kind),
            None => error,
        }
    }

    fn count_in(&self, n: usize) {
        if let Some(stats) = &self.counted {
            stats.bytes_in.add(n as u64);
        }
    }

    fn count_out(&mut self, n: usize) {
        self.tcp.watch().has_written(n);
        if let Some(stats) = &self.counted {
            stats.bytes_out.add(n as u64);
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("fd", &self.tcp.socket.as_raw_fd())
            .field("tls", &self.facts())
            .finish_non_exhaustive()
    }
}

/// Gives `buffer` room for `more` bytes, but at most [`BUFFER_BYTES_LARGE`] at a time.
pub(crate) fn make_room(buffer: &mut Vec<u8>, more: u64) {
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    let room = buffer.capacity() - buffer.len();
    let wanted = more.min(BUFFER_BYTES_LARGE);
    if room < wanted {
        buffer.reserve(wanted);
    }
}

#[cfg(test)]
mod tests;
