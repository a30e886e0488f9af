//! TLS as bytes in, bytes out: one connection's rustls state behind four calls on slices.
//!
//! Owns the order in which rustls must be driven (ciphertext in, records processed, plaintext
//! out before more goes in) and its buffer bounds. Refuses everything else: no socket, no clock,
//! no configuration, no policy. Servers, the upstream client, the blocking client and the load
//! generator all drive this same pump.
//!
//! ```text
//!             feed(cipher, plain)                     write(plain, cipher)
//!   handshake ------------------> open <-----------------------------------> open
//!       |        ready() is true   |  close(cipher) -> close_notify is written
//!       | feed fails               |  peer_closed() -> the peer's close_notify was read
//!       v                          v
//!     failed: take(cipher) still holds the fatal alert for the peer
//! ```
//!
//! After every `feed`, failed ones included, whatever `take` yields must be sent: it is the next
//! handshake flight, a key update, or the alert that tells the peer what was wrong.
//!
//! A record is decrypted in the caller's buffer and encrypted straight behind what the caller has
//! to send. What rustls forces is one allocation and one copy for each record, either way.
//!
//! Memory is bounded: `feed` never leaves plaintext behind (it can append no more bytes than it
//! was given), `write` keeps nothing, and what is kept of an unfinished record (18 KB) or
//! handshake message (64 KB) is freed once it is whole. An idle connection keeps no buffer.

mod engine;
mod error;
mod failure;
mod hello;

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{
    CipherSuite, ClientConfig, HandshakeKind, InvalidMessage, ProtocolVersion, ServerConfig,
};

use engine::{Engine, Say};
pub use error::TlsError;
pub use failure::HandshakeFailure;
use hello::has_extended_master_secret;

/// The most that is kept of records whose handshake message has not ended, in bytes. That of a
/// single record is bounded by its own header, which rustls checks.
const HELD_BYTES_MAX: usize = 0xffff;

/// Length of a record's header, in bytes; the last two say how long the rest is.
const HEADER_BYTES: usize = 5;

/// One TLS connection without its socket.
pub struct Pump {
    engine: Engine,
    /// Part of a record or of a handshake message, until it is whole.
    held: Vec<u8>,
    /// What TLS itself has to say, until it is taken.
    due: Vec<u8>,
    failed: Option<Box<TlsError>>,
    /// Whether the server agreed on it; a client learns that from the first record.
    extended_master_secret: Option<bool>,
    cipher_bytes_in: u64,
    cipher_bytes_out: u64,
}

impl Pump {
    /// The server's end of a new connection.
    ///
    /// # Errors
    /// When the configuration cannot serve any connection.
    pub fn server(config: Arc<ServerConfig>) -> Result<Pump, TlsError> {
        let connection = UnbufferedServerConnection::new(config).map_err(TlsError)?;
        // A server of ours demands it.
        Ok(Pump::new(Engine::Server(connection), Some(true)))
    }

    /// The client's end of a new connection to `name`. Its first flight is ready in [`take`].
    ///
    /// # Errors
    /// When the configuration cannot make any connection.
    ///
    /// [`take`]: Pump::take
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Pump, TlsError> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(TlsError)?;
        Ok(Pump::new(Engine::Client(connection), None))
    }

    /// Takes in all of `cipher` as it came from the socket, in pieces of any size, and appends
    /// the plaintext that it completes to `plain`: at most as many bytes as were given. What
    /// `cipher` holds afterwards means nothing: it was decrypted in place.
    /// What follows the peer's `close_notify` is ignored (RFC 8446 section 6.1).
    ///
    /// # Errors
    /// When the peer broke the protocol, was refused, or refused us by an alert. The connection
    /// is over then; [`Pump::take`] yields the alert to send, and every further call fails alike.
    pub fn feed(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        self.sound()?;
        self.cipher_bytes_in += cipher.len() as u64;
        self.decrypt(cipher, plain).map_err(|error| {
            self.held = Vec::new();
            self.failed.insert(Box::new(TlsError(error))).as_ref().clone()
        })
    }

    /// Encrypts `plain` and appends the records to `cipher`.
    ///
    /// # Errors
    /// Before the handshake is done: nothing is queued here in secret. After a failure, and once
    /// both ends have closed.
    pub fn write(&mut self, plain: &[u8], cipher: &mut Vec<u8>) -> Result<(), TlsError> {
        self.sound()?;
        if !self.ready() {
            return Err(TlsError(rustls::Error::HandshakeNotComplete));
        }
        self.say(Say::Data(plain), cipher)
    }

    /// Whether [`Pump::take`] would yield anything.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.due.is_empty() || self.engine.wants_write()
    }

    /// Appends everything that has to be sent to `cipher`; returns how many bytes that was.
    pub fn take(&mut self, cipher: &mut Vec<u8>) -> usize {
        let before = cipher.len();
        cipher.extend_from_slice(&std::mem::take(&mut self.due));
        // Cannot fail: it only moves what rustls has encoded already.
        let _ = self.engine.flush(cipher);
        let taken = cipher.len() - before;
        self.cipher_bytes_out += taken as u64;
        taken
    }

    /// Ends TLS: appends `close_notify` (and whatever was still to be sent) to `cipher`.
    /// Before the handshake is done, and after a failure, there is nothing to say.
    pub fn close(&mut self, cipher: &mut Vec<u8>) {
        self.take(cipher);
        if self.failed.is_none() && self.ready() {
            // Fails only where both ends have said it already.
            let _ = self.say(Say::CloseNotify, cipher);
        }
    }

    /// Whether the handshake is done and plaintext may be written. A client of TLS 1.3 is ready
    /// before the server has judged its certificate: a refusal arrives with a later [`feed`].
    ///
    /// [`feed`]: Pump::feed
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.engine.is_handshaking()
    }

    /// Whether the peer sent `close_notify`. An end of the stream without it is a truncation,
    /// which matters to a body that is delimited by the end of the connection.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        // With all plaintext taken out, rustls stops reading for no other reason.
        self.ready() && !self.engine.wants_read()
    }

    /// Whether nothing of what came in is unfinished: no part of a record or message is kept, and
    /// the peer has not closed.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty() && self.failed.is_none() && !self.peer_closed()
    }

    /// What was agreed on, once [`Pump::ready`]; before that `None`.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts<'_>> {
        if !self.ready() {
            return None;
        }
        let group = self.engine.negotiated_key_exchange_group();
        let version = self.engine.protocol_version()?;
        Some(TlsFacts {
            version: version_name(version),
            suite: suite_name(self.engine.negotiated_cipher_suite()?.suite()),
            group: group.and_then(|group| group.name().as_str()).unwrap_or("none"),
            handshake: match self.engine.handshake_kind()? {
                HandshakeKind::Resumed => Handshake::Resumed,
                HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => Handshake::Full,
            },
            extended_master_secret: version == ProtocolVersion::TLSv1_3
                || self.extended_master_secret != Some(false),
            certificates: self.engine.peer_certificates(),
            cipher_bytes_in: self.cipher_bytes_in,
            cipher_bytes_out: self.cipher_bytes_out,
        })
    }

    /// The memory that an unfinished record or handshake message takes, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    fn new(engine: Engine, extended_master_secret: Option<bool>) -> Pump {
        Pump {
            engine,
            extended_master_secret,
            held: Vec::new(),
            due: Vec::new(),
            failed: None,
            cipher_bytes_in: 0,
            cipher_bytes_out: 0,
        }
    }

    fn sound(&self) -> Result<(), TlsError> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(error.as_ref().clone()))
    }

    fn say(&mut self, what: Say<'_>, cipher: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.wants_write() {
            self.take(cipher);
        }
        let before = cipher.len();
        let said = self.engine.say(what, &mut self.held, cipher);
        self.cipher_bytes_out += (cipher.len() - before) as u64;
        said.map_err(TlsError)
    }

    fn decrypt(&mut self, cipher: &mut [u8], plain: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let mut rest = cipher;
        while !self.held.is_empty() && !rest.is_empty() {
            let (next, later) = rest.split_at_mut(missing(&self.held).min(rest.len()));
            self.held.extend_from_slice(next);
            if self.extended_master_secret.is_none() {
                self.extended_master_secret = has_extended_master_secret(&self.held);
            }
            let spent = self.engine.read(&mut self.held, plain, &mut self.due)?;
            if spent == self.held.len() {
                self.held = Vec::new();
            } else {
                self.held.drain(..spent);
            }
            rest = later;
        }
        if !rest.is_empty() {
            if self.extended_master_secret.is_none() {
                self.extended_master_secret = has_extended_master_secret(rest);
            }
            let spent = self.engine.read(rest, plain, &mut self.due)?;
            self.held.extend_from_slice(&rest[spent..]);
        }
        if self.peer_closed() {
            self.held = Vec::new();
        }
        if self.held.len() > HELD_BYTES_MAX {
            return Err(InvalidMessage::MessageTooLarge.into());
        }
        Ok(())
    }
}

/// How many bytes complete the record at the front of `held`, as far as its header tells. All
/// there are, if it is complete: then it is part of a handshake message that goes on.
fn missing(held: &[u8]) -> usize {
    let end = match held {
        [_, _, _, high, low, ..] => HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low])),
        _ => HEADER_BYTES,
    };
    end.checked_sub(held.len()).filter(|missing| *missing > 0).unwrap_or(usize::MAX)
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").field("facts", &self.facts()).finish_non_exhaustive()
    }
}

/// What a finished handshake agreed on: the proof that a measured connection was what its label
/// says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFacts<'a> {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite's IANA name.
    pub suite: &'static str,
    /// The key-exchange group's IANA name; `none` where a resumption made no exchange.
    pub group: &'static str,
    /// Whether certificates were exchanged anew.
    pub handshake: Handshake,
    /// Whether the session's secret is bound to its whole handshake: always in TLS 1.3, in 1.2
    /// with the extended master secret (RFC 7627).
    pub extended_master_secret: bool,
    /// What the peer presented, its own certificate first; `None` if it presented nothing. Also
    /// known to a resumed session, which did not check them again.
    pub certificates: Option<&'a [CertificateDer<'static>]>,
    /// Bytes fed in so far, handshake included.
    pub cipher_bytes_in: u64,
    /// Bytes taken out so far, handshake included.
    pub cipher_bytes_out: u64,
}

/// How a TLS session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// With certificates and signatures.
    Full,
    /// From an earlier session's secret.
    Resumed,
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        other => other.as_str().unwrap_or("unknown"),
    }
}

fn suite_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("unknown"),
    }
}
