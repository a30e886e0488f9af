//! One connection: its socket, its TLS pump, what it received and what it has yet to send.
//!
//! Owns the steps that are the same for every driver. Refuses to wait: it is told when the socket
//! is ready, or handed the bytes, and leaves notes (`unread`, `blocked`) of what it still wants.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::buffers::Queue;
use super::flight::Flight;
use super::{CloseReason, Counters, Dial, Event, QUEUED_BYTES_MAX, RECEIVED_BYTES_MAX, Token, sys};
use crate::tls::{Pump, TlsFacts};

/// Full reads in one turn before the other connections get theirs.
const READS_PER_TURN: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ConnectionPhase {
    #[default]
    Closed,
    Connecting,
    Handshaking,
    Open,
}

/// See the module.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) socket: Option<Socket>,
    phase: ConnectionPhase,
    pump: Option<Box<Pump>>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    inbox: Queue,
    outbox: Queue,
    counters: Counters,
    started: Option<Instant>,
    /// A write failed: told once everything that had arrived before was read.
    broken: Option<CloseReason>,
    /// The socket may hold bytes although no further readiness will be reported.
    pub(super) unread: bool,
    /// The peer's end was reported: there is an end of the stream to be read.
    ended: bool,
    /// The epoll driver has it on its list of those to be read without an event.
    pub(super) resuming: bool,
    /// TCP took no more: something is queued until the socket is writable.
    pub(super) blocked: bool,
    /// What the io_uring driver has in flight for this connection.
    pub(super) flight: Flight,
}

/// Where a connection's news go.
pub(super) struct EventSink<'a> {
    pub(super) token: Token,
    pub(super) events: &'a mut Vec<Event>,
}

impl EventSink<'_> {
    fn received(&mut self) {
        if !matches!(self.events.last(), Some(Event::Received(last)) if *last == self.token) {
            self.events.push(Event::Received(self.token));
        }
    }
}

impl Connection {
    /// Makes the socket and begins to connect.
    pub(super) fn dial(&mut self, dial: &Dial) -> io::Result<()> {
        let domain = Domain::for_address(dial.addr);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = dial.source {
            bind_source(&socket, SocketAddr::new(source, 0))?;
        }
        self.tls.clone_from(&dial.tls);
        self.phase = ConnectionPhase::Connecting;
        self.started = Some(Instant::now());
        match socket.connect(&SockAddr::from(dial.addr)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// The socket became writable for the first time, or failed to.
    pub(super) fn connected(
        &mut self,
        failed: bool,
        report: &mut EventSink<'_>,
    ) -> Result<(), CloseReason> {
        if failed && let Some(error) = self.socket_error() {
            return Err(error);
        }
        self.counters.connect = self.started.map(|started| started.elapsed());
        let Some((config, name)) = self.tls.take() else {
            self.phase = ConnectionPhase::Open;
            report.events.push(Event::Connected(report.token));
            return Ok(());
        };
        self.phase = ConnectionPhase::Handshaking;
        let mut pump = Pump::client(config, name).map_err(tls)?;
        pump.take(self.outbox.tail());
        self.pump = Some(Box::new(pump));
        self.flush()
    }

    pub(super) fn connecting(&self) -> bool {
        self.phase == ConnectionPhase::Connecting
    }

    pub(super) fn send(&mut self, plain: &[u8]) -> Result<bool, CloseReason> {
        if self.phase != ConnectionPhase::Open || self.broken.is_some() {
            return Ok(false);
        }
        let waiting = self.outbox.len();
        if waiting > 0 && waiting + plain.len() > QUEUED_BYTES_MAX {
            return Ok(false);
        }
        if let Some(pump) = &mut self.pump {
            pump.write(plain, self.outbox.tail()).map_err(tls)?;
            if waiting == 0 {
                self.flush()?;
            }
        } else if waiting > 0 {
            self.outbox.tail().extend_from_slice(plain);
        } else {
            let written = self.write(plain)?;
            self.outbox.tail().extend_from_slice(&plain[written..]);
        }
        Ok(true)
    }

    /// Writes what is queued, as far as TCP takes it.
    pub(super) fn flush(&mut self) -> Result<(), CloseReason> {
        self.blocked = false;
        if self.outbox.len() == 0 {
            return Ok(());
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        let written = self.write(outbox.unspent());
        outbox.spend(*written.as_ref().unwrap_or(&0));
        self.outbox = outbox;
        written.map(|_| ())
    }

    /// Hands `bytes` to TCP until it takes no more; returns how many it took.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, CloseReason> {
        let Some(socket) = &self.socket else {
            return Ok(bytes.len());
        };
        let mut written = 0;
        while written < bytes.len() {
            match socket.send_with_flags(&bytes[written..], libc::MSG_NOSIGNAL) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) => match CloseReason::from_io(&error) {
                    // An answer may have come before the reset: the reader tells the end.
                    CloseReason::Reset => {
                        self.broken = Some(CloseReason::Reset);
                        self.unread = true;
                        self.counters.bytes_out += written as u64;
                        return Ok(bytes.len());
                    }
                    reason => return Err(reason),
                },
            }
        }
        self.counters.bytes_out += written as u64;
        Ok(written)
    }

    /// Reads what the socket holds, within this turn's fair share. `ended` says that the peer's
    /// end was reported, so that a short read does not mean that the socket is empty.
    pub(super) fn read(
        &mut self,
        ended: bool,
        scratch: &mut [u8],
        report: &mut EventSink<'_>,
    ) -> Result<(), CloseReason> {
        self.unread = true;
        self.ended |= ended;
        for _ in 0..READS_PER_TURN {
            if self.paused() {
                return Ok(());
            }
            let Some(socket) = &self.socket else {
                return Ok(());
            };
            let (room, read) = match &self.pump {
                None => self.inbox.read_from(socket),
                Some(_) => (scratch.len(), io::Read::read(&mut &*socket, scratch)),
            };
            let count = match read {
                Ok(0) => return Err(self.end_of_stream()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unread = false;
                    return Ok(());
                }
                Err(error) => return Err(CloseReason::from_io(&error)),
            };
            if self.pump.is_some() {
                self.take_in(&mut scratch[..count], report)?;
            } else {
                self.counters.bytes_in += count as u64;
                report.received();
            }
            // A short read emptied the socket: asking again would only cost a call.
            if count < room && !self.ended {
                self.unread = false;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes in `bytes` as they came from the wire; TLS decrypts them where they lie.
    pub(super) fn take_in(
        &mut self,
        bytes: &mut [u8],
        report: &mut EventSink<'_>,
    ) -> Result<(), CloseReason> {
        self.counters.bytes_in += bytes.len() as u64;
        let Some(pump) = &mut self.pump else {
            self.inbox.tail().extend_from_slice(bytes);
            report.received();
            return Ok(());
        };
        let before = self.inbox.len();
        let fed = pump.feed(bytes, self.inbox.tail());
        let ready = pump.ready();
        let ended = pump.peer_closed();
        if pump.wants_write() {
            pump.take(self.outbox.tail());
            let flushed = if self.blocked { Ok(()) } else { self.flush() };
            if fed.is_ok() {
                flushed?;
            }
        }
        if ready && self.phase == ConnectionPhase::Handshaking && fed.is_ok() {
            self.phase = ConnectionPhase::Open;
            let total = self.started.map(|started| started.elapsed());
            self.counters.handshake =
                total.zip(self.counters.connect).map(|(total, connect)| total - connect);
            report.events.push(Event::Connected(report.token));
        }
        if self.inbox.len() > before {
            report.received();
        }
        fed.map_err(tls)?;
        if ended { Err(CloseReason::Eof) } else { Ok(()) }
    }

    /// What the end of the byte stream means here.
    pub(super) fn end_of_stream(&mut self) -> CloseReason {
        match self.broken.take() {
            Some(reason) => reason,
            None if self.pump.is_some() => CloseReason::Truncated,
            None => CloseReason::Eof,
        }
    }

    fn socket_error(&self) -> Option<CloseReason> {
        match self.socket.as_ref()?.take_error() {
            Ok(error) => error.as_ref().map(CloseReason::from_io),
            Err(error) => Some(CloseReason::from_io(&error)),
        }
    }

    /// Whether the peer is not to be read from until the caller has consumed something.
    pub(super) fn paused(&self) -> bool {
        self.inbox.len() >= RECEIVED_BYTES_MAX
    }

    /// Whether bytes are expected at all.
    pub(super) fn reading(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Handshaking | ConnectionPhase::Open)
    }

    pub(super) fn received(&self) -> &[u8] {
        self.inbox.unspent()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.inbox.spend(count);
    }

    pub(super) fn queued(&self) -> usize {
        self.outbox.len()
    }

    pub(super) fn facts(&self) -> Option<TlsFacts<'_>> {
        self.pump.as_ref().and_then(|pump| pump.facts())
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Ends TLS in order, as far as one write does it.
    pub(super) fn send_close_notify(&mut self) {
        if self.phase == ConnectionPhase::Open && self.broken.is_none() && self.pump.is_some() {
            if let Some(pump) = &mut self.pump {
                pump.close(self.outbox.tail());
            }
            // The connection ends either way.
            let _ = self.flush();
        }
    }

    /// Closes the socket and keeps the rest for the caller to read.
    pub(super) fn shut(&mut self) {
        self.socket = None;
        self.phase = ConnectionPhase::Closed;
        self.unread = false;
        self.blocked = false;
    }

    /// As new, but for the buffers.
    pub(super) fn reset(&mut self) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut outbox = std::mem::take(&mut self.outbox);
        inbox.spend(usize::MAX);
        outbox.spend(usize::MAX);
        *self = Connection { inbox, outbox, ..Connection::default() };
    }
}

fn tls(error: crate::tls::TlsError) -> CloseReason {
    CloseReason::Tls(Box::new(error))
}

/// Binds to an address and lets the kernel choose the port only when the destination is known, so
/// that each pair of addresses has all ports to itself.
fn bind_source(socket: &Socket, source: SocketAddr) -> io::Result<()> {
    sys::bind_address_no_port(socket)?;
    socket.bind(&SockAddr::from(source))
}
