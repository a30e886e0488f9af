//! A blocking HTTP client that trusts nothing and hides nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here takes longer on a machine that works.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// One connection, over TCP or anything on top of it.
pub(crate) struct Peer<S = TcpStream> {
    pub stream: S,
    bytes: Vec<u8>,
}

/// One response, as its bytes say.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn field(&self, lower_name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(lower_name).then(|| value.trim())
        })
    }
}

impl Peer {
    pub(crate) fn connect(addr: SocketAddr) -> Peer {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Peer::over(stream)
    }
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn over(stream: S) -> Peer<S> {
        Peer { stream, bytes: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request without a body and reads its response.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"));
        self.response().unwrap()
    }

    pub(crate) fn post(&mut self, target: &str, body: &[u8]) -> Response {
        let length = body.len();
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n");
        self.send([head.as_bytes(), body].concat());
        self.response().unwrap()
    }

    /// Reads the next response, interim ones included.
    pub(crate) fn response(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = find(&self.bytes, b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8(self.bytes.drain(..end).collect()).unwrap();
        let mut response =
            Response { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
        if response.field("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk()? {
                response.body.extend(chunk);
            }
        } else {
            let length = response.field("content-length").unwrap_or("0");
            response.body = self.take(length.parse().unwrap())?;
        }
        Ok(response)
    }

    /// Everything until the peer closes.
    pub(crate) fn rest(mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.bytes)?;
        Ok(self.bytes)
    }

    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let end = loop {
            if let Some(at) = find(&self.bytes, b"\r\n") {
                break at;
            }
            self.more()?;
        };
        let size = self.take(end + 2)?;
        let size = std::str::from_utf8(&size[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let mut data = self.take(size + 2)?;
        assert_eq!(data.split_off(size), b"\r\n");
        Ok((size > 0).then_some(data))
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.bytes.len() < count {
            self.more()?;
        }
        Ok(self.bytes.drain(..count).collect())
    }

    fn more(&mut self) -> io::Result<()> {
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.bytes.extend_from_slice(&block[..count]);
                Ok(())
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
