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

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use monoio::buf::{IoBuf, SliceMut};
use monoio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::buffer::{BUFFER_BYTES, BUFFER_BYTES_LARGE};
use crate::cores::{Core, Local, StatsRef};
use crate::deadline::{Kind, Watch};
use crate::socket::Socket;
use crate::sys;
use crate::tls::{Pump, TlsError, TlsFacts};

/// One connection, either end.
pub struct Stream {
    // Declared before the socket: the watch must go first.
    watch: Watch,
    tcp: Socket,
    tls: Option<Box<Pump>>,
    local: Rc<Local>,
    counted: Option<StatsRef>,
    written: u64,
    holds: bool,
}

impl Stream {
    /// Connects to `addr` and, where `tls` is given, finishes the handshake, all within
    /// `connect_ms` (and one sweep). Small writes leave at once (TCP_NODELAY).
    ///
    /// # Errors
    /// When there is no connection by then; the error says why.
    pub async fn connect(
        core: &Core,
        addr: SocketAddr,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        connect_ms: u64,
    ) -> Result<Stream, StreamError> {
        let limit = Duration::from_millis(connect_ms);
        // A timer is safe here: a connect that is given up has no bytes to lose, and shutting a
        // socket that is still connecting would make io_uring connect it anew.
        let tcp = monoio::time::timeout(limit, TcpStream::connect_addr(addr))
            .await
            .map_err(|_| StreamError::Deadline(Kind::Handshake))??;
        tcp.set_nodelay(true)?;
        let pump = match tls {
            Some((config, name)) => Some(Pump::client(config, name)?),
            None => None,
        };
        let mut stream = Stream::new(core.local.clone(), tcp.into(), pump, None);
        if stream.tls.is_some() {
            let mut plain = Vec::new();
            stream.handshake(&mut plain, connect_ms).await?;
        }
        Ok(stream)
    }

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

    fn new(local: Rc<Local>, tcp: Socket, pump: Option<Pump>, counted: Option<StatsRef>) -> Stream {
        Stream {
            watch: local.deadlines.watch(tcp.as_raw_fd()),
            tcp,
            tls: pump.map(Box::new),
            local,
            counted,
            written: 0,
            holds: false,
        }
    }

    /// Makes the TLS handshake, at most `limit_ms`; nothing to do on a plain connection. What
    /// the peer sent behind its last handshake message is appended to `plain`.
    pub(crate) async fn handshake(
        &mut self,
        plain: &mut Vec<u8>,
        limit_ms: u64,
    ) -> Result<(), StreamError> {
        self.watch.set(Kind::Handshake, limit_ms);
        self.send_pending().await?;
        while self.tls.as_ref().is_some_and(|pump| !pump.ready()) {
            if self.read_cipher(plain).await? == 0 {
                return Err(StreamError::Closed);
            }
        }
        self.watch.clear();
        Ok(())
    }

    /// Appends what arrives next to `buffer` and returns how many bytes that was; 0 is the end.
    /// A buffer without spare room is given some. Waits at most `limit_ms` (and one sweep).
    ///
    /// # Errors
    /// When the connection or its TLS broke, or the time was up.
    pub async fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        limit_ms: u64,
    ) -> Result<usize, StreamError> {
        self.watch.set(Kind::Response, limit_ms);
        let result = self.fill(buffer).await;
        self.watch.clear();
        result
    }

    /// Writes all of `buffer` and empties it. Waits at most `limit_ms`, and a millisecond more
    /// for every 64 bytes.
    ///
    /// # Errors
    /// When the connection broke or the time was up.
    pub async fn write(&mut self, buffer: &mut Vec<u8>, limit_ms: u64) -> Result<(), StreamError> {
        let result = match &mut self.tls {
            None => self.drain(buffer, limit_ms).await,
            Some(pump) => {
                let mut cipher = self.local.buffers.take();
                let written = pump.write(buffer, &mut cipher);
                buffer.clear();
                written?;
                let result = self.drain(&mut cipher, limit_ms).await;
                self.local.buffers.give(cipher);
                result
            }
        };
        result.map_err(|error| self.reason(error))
    }

    /// As [`Stream::read`], under the deadline the caller has set on [`Stream::watch`].
    pub(crate) async fn fill(&mut self, buffer: &mut Vec<u8>) -> Result<usize, StreamError> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(BUFFER_BYTES);
        }
        if self.tls.is_some() {
            let before = buffer.len();
            while buffer.len() == before {
                if self.peer_closed() || self.read_cipher(buffer).await? == 0 {
                    return self.end();
                }
            }
            return Ok(buffer.len() - before);
        }
        let (result, bytes) = self.receive(std::mem::take(buffer)).await;
        *buffer = bytes;
        match result {
            Ok(0) => self.end(),
            Ok(n) => {
                self.count_in(n);
                Ok(n)
            }
            Err(error) => Err(self.reason(error.into())),
        }
    }

    /// As [`Stream::fill`], but gives up, and its buffers free, when it has waited for a while:
    /// `None` then.
    pub(crate) async fn fill_soon(
        &mut self,
        buffer: &mut Vec<u8>,
    ) -> Option<Result<usize, StreamError>> {
        self.holds = true;
        let result = self.fill(buffer).await;
        self.holds = false;
        match result {
            Err(StreamError::Io(error)) if error.raw_os_error() == Some(libc::ECANCELED) => None,
            result => Some(result),
        }
    }

    /// Waits until there is something to read, without holding a buffer meanwhile.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.tcp.readable().await
    }

    /// Writes the last of `buffer`, under TLS together with close_notify. With `half_close` the
    /// peer is told at once (FIN) while its own bytes can still be read.
    pub(crate) async fn write_last(
        &mut self,
        buffer: &mut Vec<u8>,
        limit_ms: u64,
        half_close: bool,
    ) -> Result<(), StreamError> {
        match &mut self.tls {
            None => self.drain(buffer, limit_ms).await?,
            Some(pump) => {
                let mut cipher = self.local.buffers.take();
                let written = pump.write(buffer, &mut cipher);
                pump.close(&mut cipher);
                buffer.clear();
                let drained = self.drain(&mut cipher, limit_ms).await;
                self.local.buffers.give(cipher);
                written?;
                drained?;
            }
        }
        if half_close {
            sys::shutdown(self.tcp.as_raw_fd(), Shutdown::Write);
        }
        Ok(())
    }

    /// Makes the close of this connection a reset.
    pub(crate) fn reset_on_close(&self) {
        sys::reset_on_close(self.tcp.as_raw_fd());
    }

    /// The slot of this connection's deadline.
    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// What the TLS handshake agreed on; `None` on a plain connection or before it is done.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts<'_>> {
        self.tls.as_ref().and_then(|pump| pump.facts())
    }

    /// Whether an end of this stream is known to be the peer's will: under TLS only
    /// close_notify says so.
    #[must_use]
    pub fn ended_properly(&self) -> bool {
        self.tls.as_ref().is_none_or(|pump| pump.peer_closed())
    }

    /// How many bytes the socket has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether an idle connection can still be used.
    pub(crate) fn quiet(&self) -> bool {
        sys::liveness(&self.tcp) == sys::Liveness::Quiet
    }

    fn peer_closed(&self) -> bool {
        self.tls.as_ref().is_some_and(|pump| pump.peer_closed())
    }

    /// Reads once behind what `bytes` holds.
    async fn receive(&mut self, bytes: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let (start, end) = (bytes.len(), bytes.capacity());
        let slice = SliceMut::new(bytes, start, end);
        let (result, slice) = if self.holds {
            let handle = self.watch.hold();
            let read = self.tcp.cancelable_read(slice, handle).await;
            self.watch.release();
            read
        } else {
            self.tcp.read(slice).await
        };
        self.local.has_read();
        (result, slice.into_inner())
    }

    /// Reads once from the socket and feeds TLS; returns how many wire bytes came.
    async fn read_cipher(&mut self, plain: &mut Vec<u8>) -> Result<usize, StreamError> {
        let spare = plain.capacity() - plain.len();
        // Who makes room for more than a page expects a large body: full records then.
        let cipher = if spare > BUFFER_BYTES {
            Vec::with_capacity(spare.min(BUFFER_BYTES_LARGE))
        } else {
            self.local.buffers.take()
        };
        let (result, mut cipher) = self.receive(cipher).await;
        let fed = match (&result, &mut self.tls) {
            (Ok(1..), Some(pump)) => pump.feed(&mut cipher, plain),
            _ => Ok(()),
        };
        self.local.buffers.give(cipher);
        let count = result.map_err(|error| self.reason(error.into()))?;
        self.count_in(count);
        if let Err(error) = fed {
            // The alert tells the peer what was wrong; our own error is the one that counts.
            let _ = self.send_pending().await;
            return Err(StreamError::Tls(error));
        }
        if self.tls.as_ref().is_some_and(|pump| pump.wants_write()) {
            self.send_pending().await?;
        }
        Ok(count)
    }

    /// Sends what TLS itself has to say: handshake flights, key updates, alerts.
    async fn send_pending(&mut self) -> Result<(), StreamError> {
        let Some(pump) = &mut self.tls else {
            return Ok(());
        };
        let mut cipher = self.local.buffers.take();
        pump.take(&mut cipher);
        let sent = self.send_now(&cipher)?;
        let result = self.drain_rest(&mut cipher, sent).await;
        self.local.buffers.give(cipher);
        result.map_err(|error| self.reason(error))
    }

    /// Writes all of `bytes` under a deadline.
    async fn drain(&mut self, bytes: &mut Vec<u8>, limit_ms: u64) -> Result<(), StreamError> {
        let sent = if self.local.prompt.get() { self.send_now(bytes)? } else { 0 };
        if sent == bytes.len() {
            bytes.clear();
            return Ok(());
        }
        let start_ms = self.watch.now_ms();
        let length = bytes.len() as u64;
        self.watch.set_after(Kind::Write, start_ms, limit_ms, length);
        let result = self.drain_rest(bytes, sent).await;
        self.watch.clear();
        result
    }

    /// As much as the socket takes without waiting.
    fn send_now(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.tcp.send_now(bytes) {
            Ok(sent) => {
                self.count_out(sent);
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what follows the first `sent` bytes, under the deadline that is set already.
    async fn drain_rest(&mut self, bytes: &mut Vec<u8>, sent: usize) -> Result<(), StreamError> {
        let mut sent = sent;
        while sent < bytes.len() {
            let owned = std::mem::take(bytes);
            let (result, slice) = self.tcp.write(owned.slice(sent..)).await;
            *bytes = slice.into_inner();
            match result? {
                0 => return Err(StreamError::Closed),
                n => {
                    self.count_out(n);
                    sent += n;
                }
            }
        }
        bytes.clear();
        Ok(())
    }

    /// The end of the stream, or the deadline that brought it about.
    fn end(&self) -> Result<usize, StreamError> {
        match self.watch.fired() {
            Some(kind) => Err(StreamError::Deadline(kind)),
            None => Ok(0),
        }
    }

    /// A struck deadline shuts the socket; what the kernel says then is only its consequence.
    fn reason(&self, error: StreamError) -> StreamError {
        match self.watch.fired() {
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
        self.written += n as u64;
        if let Some(stats) = &self.counted {
            stats.bytes_out.add(n as u64);
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("fd", &self.tcp.as_raw_fd())
            .field("tls", &self.facts())
            .finish_non_exhaustive()
    }
}

/// Why a connection is of no more use.
#[derive(Debug)]
pub enum StreamError {
    /// The peer closed it in the middle of something.
    Closed,
    /// This wait took too long, and the connection was shut.
    Deadline(Kind),
    /// TLS failed.
    Tls(TlsError),
    /// The kernel says no.
    Io(io::Error),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        StreamError::Io(error)
    }
}

impl From<TlsError> for StreamError {
    fn from(error: TlsError) -> Self {
        StreamError::Tls(error)
    }
}

impl std::error::Error for StreamError {}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Closed => f.write_str("the peer closed the connection"),
            StreamError::Deadline(kind) => {
                write!(f, "the connection was shut by its {} deadline", kind.as_str())
            }
            StreamError::Tls(error) => error.fmt(f),
            StreamError::Io(error) => write!(f, "the connection broke: {error}"),
        }
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
