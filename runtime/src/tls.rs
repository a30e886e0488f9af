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
//! Memory is bounded: `feed` never leaves plaintext behind (it can append no more bytes than it
//! was given), `write` drains each piece before the next, and rustls bounds what it keeps of an
//! unfinished record (18 KB) or handshake message (64 KB).

mod error;

use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection, HandshakeKind, ProtocolVersion,
    ServerConfig, ServerConnection,
};

pub use error::TlsError;

/// How much plaintext is handed to rustls before the records made of it are taken out: what a
/// single `write` may hold inside, in bytes. Four full records.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// One TLS connection without its socket.
pub struct Pump {
    connection: Connection,
    peer_closed: bool,
    cipher_bytes_in: u64,
    cipher_bytes_out: u64,
}

impl Pump {
    /// The server's end of a new connection.
    ///
    /// # Errors
    /// When the configuration cannot serve any connection.
    pub fn server(config: Arc<ServerConfig>) -> Result<Pump, TlsError> {
        let connection = ServerConnection::new(config).map_err(TlsError)?;
        Ok(Pump::new(Connection::Server(connection)))
    }

    /// The client's end of a new connection to `name`. Its first flight is ready in [`take`].
    ///
    /// # Errors
    /// When the configuration cannot make any connection.
    ///
    /// [`take`]: Pump::take
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Pump, TlsError> {
        let connection = ClientConnection::new(config, name).map_err(TlsError)?;
        Ok(Pump::new(Connection::Client(connection)))
    }

    /// Takes in all of `cipher` as it came from the socket, in pieces of any size, and appends
    /// the plaintext that it completes to `plain`: at most as many bytes as were given.
    /// What follows the peer's `close_notify` is ignored (RFC 8446 section 6.1).
    ///
    /// # Errors
    /// When the peer broke the protocol, was refused, or refused us by an alert. The connection
    /// is over then; [`Pump::take`] yields the alert to send.
    pub fn feed(&mut self, mut cipher: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        self.cipher_bytes_in += cipher.len() as u64;
        while !cipher.is_empty() {
            match self.connection.read_tls(&mut cipher) {
                // rustls takes no more: the peer has closed, the rest means nothing.
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(TlsError(rustls::Error::General(FULL.into()))),
            }
            let state = self.connection.process_new_packets().map_err(TlsError)?;
            self.peer_closed = state.peer_has_closed();
            if state.plaintext_bytes_to_read() > 0 {
                self.drain(plain);
            }
        }
        Ok(())
    }

    /// Encrypts `plain` and appends the records to `cipher`.
    ///
    /// # Errors
    /// Before the handshake is done: nothing is queued here in secret.
    pub fn write(&mut self, plain: &[u8], cipher: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.connection.is_handshaking() {
            return Err(TlsError(rustls::Error::HandshakeNotComplete));
        }
        for piece in plain.chunks(BUFFER_BYTES_MAX) {
            let mut rest = piece;
            while !rest.is_empty() {
                let taken = self.connection.writer().write(rest).unwrap_or(0);
                if taken == 0 && !self.wants_write() {
                    return Err(TlsError(rustls::Error::General(FULL.into())));
                }
                rest = &rest[taken..];
                self.take(cipher);
            }
        }
        Ok(())
    }

    /// Whether [`Pump::take`] would yield anything.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Appends everything that has to be sent to `cipher`; returns how many bytes that was.
    pub fn take(&mut self, cipher: &mut Vec<u8>) -> usize {
        let before = cipher.len();
        while self.connection.wants_write() {
            // Writing to a Vec cannot fail, and rustls offers all chunks at once.
            if self.connection.write_tls(cipher).unwrap_or(0) == 0 {
                break;
            }
        }
        let taken = cipher.len() - before;
        self.cipher_bytes_out += taken as u64;
        taken
    }

    /// Says goodbye: appends `close_notify` (and whatever was still to be sent) to `cipher`.
    pub fn close(&mut self, cipher: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.take(cipher);
    }

    /// Whether the handshake is done and plaintext may be written. A client of TLS 1.3 is ready
    /// before the server has judged its certificate: a refusal arrives with a later [`feed`].
    ///
    /// [`feed`]: Pump::feed
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether the peer sent `close_notify`. An end of the stream without it is a truncation,
    /// which matters to a body that is delimited by the end of the connection.
    #[must_use]
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// What was agreed on, once [`Pump::ready`]; before that `None`.
    #[must_use]
    pub fn facts(&self) -> Option<TlsFacts<'_>> {
        if !self.ready() {
            return None;
        }
        let group = self.connection.negotiated_key_exchange_group();
        Some(TlsFacts {
            version: version_name(self.connection.protocol_version()?),
            suite: suite_name(self.connection.negotiated_cipher_suite()?.suite()),
            group: group.and_then(|group| group.name().as_str()).unwrap_or("none"),
            handshake: match self.connection.handshake_kind()? {
                HandshakeKind::Resumed => Handshake::Resumed,
                HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => Handshake::Full,
            },
            certificates: self.connection.peer_certificates(),
            cipher_bytes_in: self.cipher_bytes_in,
            cipher_bytes_out: self.cipher_bytes_out,
        })
    }

    fn new(mut connection: Connection) -> Pump {
        connection.set_buffer_limit(Some(BUFFER_BYTES_MAX));
        Pump { connection, peer_closed: false, cipher_bytes_in: 0, cipher_bytes_out: 0 }
    }

    fn drain(&mut self, plain: &mut Vec<u8>) {
        let mut reader = self.connection.reader();
        // An error only says that nothing is left for now; the end was seen by `peer_closed`.
        while let Ok(chunk) = reader.fill_buf() {
            let taken = chunk.len();
            if taken == 0 {
                return;
            }
            plain.extend_from_slice(chunk);
            reader.consume(taken);
        }
    }
}

const FULL: &str = "a TLS record or message is larger than the protocol allows";

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
