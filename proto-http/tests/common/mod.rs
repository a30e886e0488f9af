//! What the tests share: vectors read from files, and both halves driven with bytes that arrive in
//! pieces, telling what happened as lines of text.

#![allow(dead_code, clippy::allow_attributes, reason = "each test uses its own part of it")]

use proto_http::{
    BodyLength, Client, FieldLines, Limits, Method, Next, OutgoingBody, OutgoingResponse,
    RequestHead, Server, Version, imf_fixdate,
};

/// One case of a vector file: `=== name`, bytes, and then sections that each begin with `---`.
pub(crate) struct Vector {
    pub name: String,
    pub bytes: Vec<u8>,
    /// What stands behind the dashes, and the lines below them.
    pub sections: Vec<(String, Vec<String>)>,
}

pub(crate) fn vectors(file: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("=== ") {
            vectors.push(Vector { name: name.into(), bytes: Vec::new(), sections: Vec::new() });
            continue;
        }
        let vector = vectors.last_mut().expect("a vector begins with its name");
        match (line.strip_prefix("---"), vector.sections.last_mut()) {
            (Some(title), _) => vector.sections.push((title.trim().into(), Vec::new())),
            (None, Some((_, lines))) => lines.push(line.into()),
            (None, None) => vector.bytes.extend(unescape(line)),
        }
    }
    vectors
}

/// Line ends of the file mean nothing; those of the protocol are written out.
pub(crate) fn unescape(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next().expect("an escape has a letter") {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [bytes.next(), bytes.next()].map(|d| d.expect("two digits"));
                    let digits = std::str::from_utf8(&digits).expect("digits are ASCII");
                    u8::from_str_radix(digits, 16).expect("digits are hexadecimal")
                }
                other => panic!("no such escape: {}", other as char),
            },
            byte => byte,
        });
    }
    out
}

/// Limits small enough to be reached within a vector.
pub(crate) fn small_limits() -> Limits {
    Limits {
        head_bytes_max: 256,
        target_bytes_max: 64,
        fields_max: 8,
        connection_options_max: 4,
        body_bytes_max: 64,
        chunk_extension_bytes_max: 8,
        trailer_bytes_max: 32,
        drain_bytes_max: 16,
        interim_responses_max: 2,
    }
}

/// Every way to cut bytes that a vector is tried with: whole, byte by byte, and in two everywhere.
pub(crate) fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let whole = std::iter::once(vec![bytes]);
    let single = std::iter::once(bytes.chunks(1).collect());
    whole.chain(single).chain((1..bytes.len().max(1)).map(move |at| {
        let (left, right) = bytes.split_at(at.min(bytes.len()));
        vec![left, right]
    }))
}

/// A server that reads every body whole and answers 200 with none.
pub(crate) struct ServerRun {
    pub server: Server,
    pub lines: Vec<String>,
    unread: Vec<u8>,
    body: Vec<u8>,
    asked: bool,
    closed: bool,
}

impl ServerRun {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            server: Server::new(limits),
            lines: Vec::new(),
            unread: Vec::new(),
            body: Vec::new(),
            asked: false,
            closed: false,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        while !self.closed && self.step() {}
    }

    fn step(&mut self) -> bool {
        if !self.asked {
            match self.server.head(&self.unread) {
                Ok(None) => return false,
                Ok(Some(taken)) => {
                    self.lines.push(describe(self.server.request(), &self.unread));
                    self.unread.drain(..taken);
                    self.asked = true;
                }
                Err(error) => self.refuse(error),
            }
            return true;
        }
        match self.server.body(&self.unread) {
            Ok(piece) => {
                self.body.extend_from_slice(&self.unread[piece.data.clone()]);
                self.unread.drain(..piece.consumed);
                if !piece.done {
                    return piece.consumed > 0;
                }
                if self.server.request().length != BodyLength::Empty {
                    self.lines.push(format!("body \"{}\"", self.body.escape_ascii()));
                }
                self.body.clear();
                self.answer();
            }
            Err(error) => {
                self.lines.push(format!("body \"{}\"", self.body.escape_ascii()));
                self.refuse(error);
            }
        }
        true
    }

    fn refuse(&mut self, error: proto_http::Error) {
        self.lines.push(format!("error {} {error:?}", error.status()));
        self.answer();
        assert!(self.closed, "an error ends the connection");
    }

    fn answer(&mut self) {
        let answer = OutgoingResponse {
            status: 200,
            lines: FieldLines::NONE,
            fields: &[],
            body: OutgoingBody::None,
        };
        self.server.respond(&mut Vec::new(), &imf_fixdate(0), &answer);
        self.asked = false;
        self.closed = match self.server.next() {
            Next::Continue => false,
            Next::Drain => panic!("the body was read"),
            Next::Close => true,
        };
    }
}

fn describe(head: &RequestHead, bytes: &[u8]) -> String {
    let version = if head.version == Version::Http10 { "1.0" } else { "1.1" };
    let mut line = format!(
        "{} {} {version} {:?}",
        head.method_name.of(bytes).escape_ascii(),
        head.path(bytes).escape_ascii(),
        head.length,
    );
    if let Some(query) = head.query(bytes) {
        line += &format!(" query={}", query.escape_ascii());
    }
    if let Some(authorization) = head.authorization {
        line += &format!(" authorization={}", authorization.of(bytes).escape_ascii());
    }
    for (flag, word) in [(head.expect_continue, " expect"), (!head.keep_alive, " close")] {
        line += if flag { word } else { "" };
    }
    line
}

/// A client that has asked once and reads the whole response.
pub(crate) struct ClientRun {
    pub client: Client,
    pub lines: Vec<String>,
    unread: Vec<u8>,
    body: Vec<u8>,
    has_head: bool,
    over: bool,
}

impl ClientRun {
    pub(crate) fn new(limits: Limits, method: Method) -> Self {
        let mut client = Client::new(limits);
        client.requested(method);
        Self {
            client,
            lines: Vec::new(),
            unread: Vec::new(),
            body: Vec::new(),
            has_head: false,
            over: false,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        while !self.over && self.step() {}
    }

    fn step(&mut self) -> bool {
        if !self.has_head {
            match self.client.head(&self.unread) {
                Ok(None) => return false,
                Ok(Some(taken)) => {
                    let head = self.client.response();
                    self.lines.push(format!("{} {:?}", head.status, head.length));
                    self.unread.drain(..taken);
                    self.has_head = true;
                }
                Err(error) => self.end(format!("error {error:?}")),
            }
            return true;
        }
        match self.client.body(&self.unread) {
            Ok(piece) => {
                self.body.extend_from_slice(&self.unread[piece.data.clone()]);
                self.unread.drain(..piece.consumed);
                if !piece.done {
                    return piece.consumed > 0;
                }
                self.end(if self.client.reusable() { "reusable" } else { "spent" }.into());
            }
            Err(error) => self.end(format!("error {error:?}")),
        }
        true
    }

    fn end(&mut self, line: String) {
        if !self.body.is_empty() {
            self.lines.push(format!("body \"{}\"", self.body.escape_ascii()));
        }
        assert_eq!(self.client.reusable(), line == "reusable");
        self.lines.push(line);
        self.over = true;
    }

    pub(crate) fn eof(&mut self) {
        if !self.over {
            let outcome = self.client.eof();
            self.end(outcome.map_or_else(|error| format!("error {error:?}"), |()| "eof".into()));
        }
        assert!(!self.client.reusable() || self.client.eof().is_ok());
    }
}
