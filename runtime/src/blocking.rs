//! One HTTP/1.1 request over a blocking socket, for what happens beside the traffic: fetching a
//! token, a key set, a metrics page.
//!
//! Owns the order of trying addresses and the one deadline over everything: look-up, connecting,
//! TLS, sending and every read are bounded by what is left of it, and by much less once the process
//! was told to stop. Refuses to keep connections, follow redirects, or hold a larger answer than it
//! was told.

mod clock;
mod error;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use proto_http::{BodyLength, Client, Limits, OutgoingBody, OutgoingRequest};
use rustls::ClientConfig;

use crate::tls::Pump;
use crate::url::Url;

use clock::RequestClock;

pub use clock::stop_with;
pub use error::Error;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: u16,
    /// Names and values as they were sent.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the first field of this name, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

/// Sends one request and reads its answer, all within `deadline`. Every address of the host is
/// tried until one accepts the connection. `tls` is needed for an `https` URL and unused else.
/// An answer whose body exceeds `body_max` bytes is an error.
///
/// # Errors
/// See [`Error`]. A status such as 404 is an answer, not an error.
pub fn request(
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
    method: &str,
    fields: &[(&str, &[u8])],
    body: &[u8],
    deadline: Duration,
    body_max: usize,
) -> Result<Response, Error> {
    let limits = Limits { body_bytes_max: body_max as u64, ..Limits::default() };
    exchange(Client::new(limits), url, tls, (method, fields, body), deadline)
}

/// The same, for a server of anybody's: the response is read as the generator reads those that it
/// measures ([`Client::lenient`]).
///
/// # Errors
/// As [`request`].
pub fn request_leniently(
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
    method: &str,
    fields: &[(&str, &[u8])],
    body: &[u8],
    deadline: Duration,
    body_max: usize,
) -> Result<Response, Error> {
    let limits = Limits { body_bytes_max: body_max as u64, ..Limits::LENIENT };
    exchange(Client::lenient(limits), url, tls, (method, fields, body), deadline)
}

/// Method, fields and body of a request.
type Asked<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a [u8]);

fn exchange(
    mut client: Client,
    url: &Url,
    tls: Option<Arc<ClientConfig>>,
    (method, fields, body): Asked<'_>,
    deadline: Duration,
) -> Result<Response, Error> {
    let clock = RequestClock::new(deadline);
    let pump = match (url.is_tls(), tls) {
        (true, None) => return Err(Error::NoTls),
        (true, Some(config)) => {
            let name = url.server_name().map_err(Error::Url)?;
            Some(Pump::client(config, name).map_err(Error::Tls)?)
        }
        (false, _) => None,
    };
    let stream = connect(&resolve_by(url, &clock)?, &clock)?;
    let mut wire =
        BlockingConnection { stream, pump, clock, plain: Vec::new(), cipher: Vec::new() };
    wire.handshake()?;

    let host = url.host_field();
    let mut out = Vec::new();
    let bodiless = body.is_empty() && !matches!(method, "POST" | "PUT" | "PATCH");
    client.request(
        &mut out,
        &OutgoingRequest {
            method,
            target: url.target.as_bytes(),
            host: host.as_bytes(),
            fields,
            body: if bodiless { OutgoingBody::None } else { OutgoingBody::Bytes(body) },
        },
    );
    wire.send(&out)?;
    let response = receive(&mut wire, &mut client)?;
    wire.close_notify();
    Ok(response)
}

fn receive(wire: &mut BlockingConnection, client: &mut Client) -> Result<Response, Error> {
    let taken = loop {
        if let Some(taken) = client.head(&wire.plain).map_err(protocol)? {
            break taken;
        }
        if wire.read("the answer's head")? == 0 {
            return Err(Error::Closed);
        }
    };
    let head = client.response();
    let until_close = head.length == BodyLength::UntilClose;
    let bytes = &wire.plain[..];
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut response = Response {
        status: head.status,
        fields: head
            .fields()
            .iter()
            .map(|field| (text(field.name.of(bytes)), field.value.of(bytes).to_vec()))
            .collect(),
        body: Vec::new(),
    };
    wire.plain.drain(..taken);
    loop {
        let mut spent = 0;
        while !client.body_done() {
            let piece = client.body(&wire.plain[spent..]).map_err(protocol)?;
            let data = spent + piece.data.start..spent + piece.data.end;
            response.body.extend_from_slice(&wire.plain[data]);
            spent += piece.consumed;
            if piece.consumed == 0 {
                break;
            }
        }
        wire.plain.drain(..spent);
        if client.body_done() {
            return Ok(response);
        }
        if wire.read("the answer's body")? == 0 {
            client.eof().map_err(|_| Error::Closed)?;
            // RFC 9112 section 9.8: without close_notify the end may be a stranger's doing.
            let whole = wire.pump.as_ref().is_none_or(Pump::peer_closed);
            return if until_close && whole { Ok(response) } else { Err(Error::Closed) };
        }
    }
}

fn protocol(error: proto_http::Error) -> Error {
    match error {
        proto_http::Error::BodyTooLarge => Error::TooLarge,
        other => Error::Protocol(other),
    }
}

/// The addresses of a URL's host, within `deadline`.
///
/// # Errors
/// When there are none, or none in time.
pub fn resolve(url: &Url, deadline: Duration) -> Result<Vec<SocketAddr>, Error> {
    resolve_by(url, &RequestClock::new(deadline))
}

/// The system's resolver knows no deadline.
fn resolve_by(url: &Url, clock: &RequestClock) -> Result<Vec<SocketAddr>, Error> {
    if url.host.parse::<std::net::IpAddr>().is_ok() {
        return url.resolve().map_err(Error::Url);
    }
    let question = url.clone();
    clock.wait_for("the host's address", move || question.resolve())?.map_err(Error::Url)
}

/// Tries each address with an equal share of the time that is left, so that one which swallows
/// packets does not cost the others theirs. The last failure is told.
fn connect(addresses: &[SocketAddr], clock: &RequestClock) -> Result<TcpStream, Error> {
    const DOING: &str = "the connection";
    let mut failure = Error::Timeout(DOING);
    for (tried, &address) in addresses.iter().enumerate() {
        let share = clock.left(DOING)? / (addresses.len() - tried) as u32;
        match clock.wait_for(DOING, move || TcpStream::connect_timeout(&address, share))? {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| Error::Io(error.kind()))?;
                return Ok(stream);
            }
            Err(error) => {
                failure = match error.kind() {
                    io::ErrorKind::ConnectionRefused => Error::Refused(address),
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(DOING),
                    kind => Error::Connect(address, kind),
                }
            }
        }
    }
    Err(failure)
}

/// The connection, plain or TLS, with what was read from it.
struct BlockingConnection {
    stream: TcpStream,
    pump: Option<Pump>,
    clock: RequestClock,
    plain: Vec<u8>,
    cipher: Vec<u8>,
}

impl BlockingConnection {
    fn handshake(&mut self) -> Result<(), Error> {
        const DOING: &str = "the TLS handshake";
        self.flush(DOING)?;
        while self.pump.as_ref().is_some_and(|pump| !pump.ready()) {
            if self.fill(DOING)? == 0 {
                return Err(Error::ClosedInHandshake);
            }
        }
        Ok(())
    }

    fn send(&mut self, plain: &[u8]) -> Result<(), Error> {
        const DOING: &str = "the request to be sent";
        match &mut self.pump {
            Some(pump) => pump.write(plain, &mut self.cipher).map_err(Error::Tls)?,
            None => self.cipher.extend_from_slice(plain),
        }
        match self.flush(DOING) {
            // The peer may have answered and closed before it read everything: let it speak.
            Err(Error::Reset) => Ok(()),
            other => other,
        }
    }

    /// Reads more plaintext; zero at the end.
    fn read(&mut self, doing: &'static str) -> Result<usize, Error> {
        let before = self.plain.len();
        loop {
            let ended = self.pump.as_ref().is_some_and(Pump::peer_closed);
            if ended || self.fill(doing)? == 0 {
                return Ok(0);
            }
            if self.plain.len() > before {
                return Ok(self.plain.len() - before);
            }
        }
    }

    /// One read from the socket; zero at its end.
    fn fill(&mut self, doing: &'static str) -> Result<usize, Error> {
        let mut buffer = [0; READ_BYTES];
        let count = loop {
            let turn = self.clock.turn(doing)?;
            let read = self
                .stream
                .set_read_timeout(Some(turn))
                .and_then(|()| self.stream.read(&mut buffer));
            match read {
                Err(error) if is_turn_over(&error) => {}
                other => break other.map_err(|error| Error::from_io(&error, doing))?,
            }
        };
        let Some(pump) = &mut self.pump else {
            self.plain.extend_from_slice(&buffer[..count]);
            return Ok(count);
        };
        let fed = pump.feed(&mut buffer[..count], &mut self.plain);
        // The alert of a failure goes out if it can; the failure is what is told.
        let flushed = self.flush(doing);
        fed.map_err(Error::Tls)?;
        flushed.map(|()| count)
    }

    /// Writes what TLS and the caller have to say.
    fn flush(&mut self, doing: &'static str) -> Result<(), Error> {
        if let Some(pump) = &mut self.pump {
            pump.take(&mut self.cipher);
        }
        let mut written = 0;
        while written < self.cipher.len() {
            let turn = self.clock.turn(doing)?;
            let wrote = self
                .stream
                .set_write_timeout(Some(turn))
                .and_then(|()| self.stream.write(&self.cipher[written..]));
            match wrote {
                Ok(0) => return Err(Error::Reset),
                Ok(count) => written += count,
                Err(error) if is_turn_over(&error) => {}
                Err(error) => return Err(Error::from_io(&error, doing)),
            }
        }
        self.cipher.clear();
        Ok(())
    }

    fn close_notify(&mut self) {
        if let Some(pump) = &mut self.pump {
            pump.close(&mut self.cipher);
            // The answer is here; whether the peer hears this changes nothing.
            let _ = self.flush("the end");
        }
    }
}

/// Whether a read or a write only came to the end of its turn; the clock says whether of all turns.
fn is_turn_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
