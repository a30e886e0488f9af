//! rustls's unbuffered connection, either end: ciphertext is processed where it lies, and what is
//! to be sent is appended where the caller wants it.
//!
//! Owns every mention of that API, because the next major version of rustls drops it. The buffered
//! one copies all that comes in once more and keeps 4 KiB a connection for it. Refuses to keep
//! bytes: what it does not spend the caller offers again.

use std::mem;
use std::ops::Deref;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};
use rustls::{CommonState, Error};

/// The most that a record adds to what it carries, in bytes: header, TLS 1.2's explicit nonce,
/// TLS 1.3's content type, and tag.
const OVERHEAD_BYTES: usize = 5 + 8 + 1 + 16;

/// How much one record carries, in bytes.
const RECORD_BYTES: usize = 16 * 1024;

/// One end of a connection.
pub(super) enum Engine {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What there is to say once the handshake lets us speak.
#[derive(Clone, Copy)]
pub(super) enum Say<'a> {
    Nothing,
    Data(&'a [u8]),
    CloseNotify,
}

/// How far one step of rustls went.
enum TlsProgress {
    /// There may be more to do.
    More,
    /// Nothing can be done without more input; what was to be said is said.
    Open,
    /// Nothing can be done, and nothing may be said.
    Mute,
}

impl Engine {
    /// Processes `input` in place until it yields no more: plaintext is appended to `plain`, what
    /// has to be sent to `wire`. Returns how many bytes are spent. The rest is part of a record or
    /// of a handshake message: it must be offered again as it is now, with what follows it.
    pub(super) fn read(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let mut spent = 0;
        loop {
            let (discard, step) = self.step(&mut input[spent..], Say::Nothing, plain, wire)?;
            spent += discard;
            // With nothing left on either side rustls need not be asked once more.
            let done = spent == input.len() && !self.wants_write();
            if done || !matches!(step, TlsProgress::More) {
                return Ok(spent);
            }
        }
    }

    /// Appends the records that say `what` to `wire`, after what rustls itself has to send.
    /// `held` is what [`Engine::read`] has not spent.
    pub(super) fn say(
        &mut self,
        what: Say<'_>,
        held: &mut [u8],
        wire: &mut Vec<u8>,
    ) -> Result<(), Error> {
        loop {
            // An unfinished record yields nothing: it was processed as far as it goes.
            match self.step(held, what, &mut Vec::new(), wire)?.1 {
                TlsProgress::More => {}
                TlsProgress::Open => return Ok(()),
                TlsProgress::Mute => return Err(Error::HandshakeNotComplete),
            }
        }
    }

    /// Appends what rustls itself has to send to `wire`: flights, alerts.
    pub(super) fn flush(&mut self, wire: &mut Vec<u8>) -> Result<(), Error> {
        while self.wants_write() {
            // What is to be sent comes before any look at the input.
            self.step(&mut [], Say::Nothing, &mut Vec::new(), wire)?;
        }
        Ok(())
    }

    #[inline]
    fn step(
        &mut self,
        input: &mut [u8],
        say: Say<'_>,
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(usize, TlsProgress), Error> {
        match self {
            Engine::Client(client) => {
                step(&mut client.process_tls_records(input), say, plain, wire)
            }
            Engine::Server(server) => {
                step(&mut server.process_tls_records(input), say, plain, wire)
            }
        }
    }
}

impl Deref for Engine {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Engine::Client(client) => client,
            Engine::Server(server) => server,
        }
    }
}

/// Takes the status by reference: moving it was measured to cost more than all else in here,
/// because the processor waits for what rustls has just written in smaller parts.
#[inline]
fn step<Data>(
    status: &mut UnbufferedStatus<'_, '_, Data>,
    say: Say<'_>,
    plain: &mut Vec<u8>,
    wire: &mut Vec<u8>,
) -> Result<(usize, TlsProgress), Error> {
    let mut spent = status.discard;
    let step = match &mut status.state {
        Ok(ConnectionState::ReadTraffic(traffic)) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                plain.extend_from_slice(record.payload);
                spent += record.discard;
            }
            TlsProgress::More
        }
        Ok(ConnectionState::WriteTraffic(traffic)) => {
            speak(traffic, say, wire)?;
            TlsProgress::Open
        }
        Ok(ConnectionState::EncodeTlsData(data)) => {
            append(wire, 0, |room| data.encode(room).map_err(Short::from))?;
            TlsProgress::More
        }
        Ok(ConnectionState::PeerClosed) => TlsProgress::More,
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => TlsProgress::Mute,
        other => match mem::replace(other, Ok(ConnectionState::Closed))? {
            ConnectionState::TransmitTlsData(sent) => {
                sent.done();
                TlsProgress::More
            }
            // Early data, which no configuration here asks for or accepts.
            _ => return Err(Error::General("rustls offers what was not asked for".into())),
        },
    };
    Ok((spent, step))
}

#[inline]
fn speak<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    say: Say<'_>,
    wire: &mut Vec<u8>,
) -> Result<(), Error> {
    match say {
        Say::Nothing => Ok(()),
        Say::Data(plain) => {
            let records = plain.len() / RECORD_BYTES + 1;
            append(wire, plain.len() + records * OVERHEAD_BYTES, |room| {
                traffic.encrypt(plain, room).map_err(Short::from)
            })
        }
        Say::CloseNotify => append(wire, 2 + OVERHEAD_BYTES, |room| {
            traffic.queue_close_notify(room).map_err(Short::from)
        }),
    }
}

/// Why rustls did not fill the room it was given.
enum Short {
    Room(usize),
    Failed(Error),
}

impl From<EncodeError> for Short {
    fn from(error: EncodeError) -> Short {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Short::Room(required_size)
            }
            EncodeError::AlreadyEncoded => Short::Failed(Error::EncryptError),
        }
    }
}

impl From<EncryptError> for Short {
    fn from(error: EncryptError) -> Short {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Short::Room(required_size)
            }
            EncryptError::EncryptExhausted => Short::Failed(Error::EncryptError),
        }
    }
}

/// Lets `fill` write behind what `wire` holds, where it gets `room` bytes or as many as it asks
/// for.
#[inline]
fn append(
    wire: &mut Vec<u8>,
    mut room: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, Short>,
) -> Result<(), Error> {
    let start = wire.len();
    loop {
        wire.resize(start + room, 0);
        match fill(&mut wire[start..]) {
            Ok(written) => {
                wire.truncate(start + written);
                return Ok(());
            }
            Err(Short::Room(required)) => room = required,
            Err(Short::Failed(error)) => {
                wire.truncate(start);
                return Err(error);
            }
        }
    }
}
