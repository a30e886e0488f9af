//! A connection that is kept from one request to the next, with or without TLS. It refuses to
//! repeat a request: what is lost with its connection is a result too.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::support::SOON;

/// A response as far as the matrix knows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The last part of a problem's `type`; empty for a response that is none.
    pub(crate) kind: String,
    /// Whether it says how to authenticate.
    pub(crate) challenged: bool,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection to one listener, opened when it is needed.
pub(crate) struct Kept {
    addr: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    stream: Option<Box<dyn Stream>>,
}

impl Kept {
    pub(crate) fn new(addr: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Kept {
        Kept { addr, tls, stream: None }
    }

    /// Sends one request and reads its response.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        stream.write_all(request)?;
        stream.flush()?;
        let (answer, is_kept) = read(&mut *stream)?;
        self.stream = is_kept.then_some(stream);
        Ok(answer)
    }

    fn open(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.addr)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::IpAddress(self.addr.ip().into());
        let tls = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Box::new(StreamOwned::new(tls, stream)))
    }
}

/// A response whose body has a length, and whether the connection goes on after it.
fn read(stream: &mut dyn Stream) -> io::Result<(Answer, bool)> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    let mut more = |all: &mut Vec<u8>| -> io::Result<()> {
        let count = stream.read(&mut piece)?;
        all.extend_from_slice(&piece[..count]);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    };
    let head = loop {
        match all.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break String::from_utf8(all[..end].to_vec()).unwrap(),
            None => more(&mut all)?,
        }
    };
    let field = |name: &str| {
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).next()
    };
    assert!(field("transfer-encoding").is_none(), "only lengths are read here: {head}");
    let length: usize = field("content-length").map_or(0, |length| length.parse().unwrap());
    let start = head.len() + 4;
    while all.len() < start + length {
        more(&mut all)?;
    }
    assert_eq!(all.len(), start + length, "one response to one request: {head}");
    let is_problem = field("content-type") == Some("application/problem+json");
    let kind = if is_problem { kind(&all[start..]) } else { String::new() };
    let status = head[9..12].parse().unwrap();
    let answer = Answer { status, kind, challenged: field("www-authenticate").is_some() };
    Ok((answer, !field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))))
}

fn kind(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    let kind = body["type"].as_str().unwrap();
    kind.trim_start_matches("urn:tollgate:problem:").to_owned()
}
