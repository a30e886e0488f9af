//! PEM text (RFC 7468, RFC 1421) and bare DER: the blocks of a file, in every form that OpenSSL's
//! tools write or read.
//!
//! Owns what may stand around a block (any text, a byte order mark, white space, CRLF), how long
//! its lines may be, and its headers. Refuses a block that is asked for and is not whole; one that
//! is not asked for is not looked at. What a block means is `material`'s to decide.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::error::Error;

/// One block that was asked for.
pub(crate) struct PemBlock {
    /// What stands behind BEGIN.
    pub label: String,
    /// Whether its headers say that it is encrypted (RFC 1421 section 4.6.1.1).
    pub encrypted: bool,
    /// Its contents; empty where it is encrypted. They may be a private key.
    pub der: Zeroizing<Vec<u8>>,
}

/// The blocks of a file.
pub(crate) struct PemBlocks {
    /// Those that were asked for, in their order.
    pub wanted: Vec<PemBlock>,
    /// The labels of all others.
    pub others: Vec<String>,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DASHES: &[u8] = b"-----";

/// Reads the blocks of a PEM text whose label is asked for.
///
/// # Errors
/// [`Error::Pem`] for one that is not whole.
pub(crate) fn blocks(text: &[u8], asked: impl Fn(&str) -> bool) -> Result<PemBlocks, Error> {
    let mut found = PemBlocks { wanted: Vec::new(), others: Vec::new() };
    let mut lines = lines(text);
    // Room for all of it, so that no part of a key is left behind by growing.
    let mut body = PemBody { base64: Vec::with_capacity(text.len()).into(), ..PemBody::default() };
    while let Some((number, line)) = lines.next() {
        let Some(label) = marker(line, b"BEGIN ") else { continue };
        let asked = asked(&label);
        let broken =
            |how: &str| Error::Pem(format!("the {label} that begins in line {number} {how}"));
        body.begin();
        loop {
            let (_, line) = lines.next().ok_or_else(|| broken("has no END line"))?;
            match marker(line, b"END ") {
                Some(end) if end == label => break,
                Some(_) => return Err(broken("ends as something else")),
                None if marker(line, b"BEGIN ").is_some() => return Err(broken("has no END line")),
                None if asked => body.take(line),
                None => {}
            }
        }
        if !asked {
            found.others.push(label);
            continue;
        }
        let der = match body.encrypted {
            true => Zeroizing::default(),
            false => Zeroizing::new(
                STANDARD
                    .decode(&*body.base64)
                    .map_err(|_| broken("is not base64; copy it again"))?,
            ),
        };
        found.wanted.push(PemBlock { encrypted: body.encrypted, label, der });
    }
    Ok(found)
}

/// The whole file, if it is no text but one element of DER.
pub(crate) fn bare_der(file: &[u8]) -> Option<&[u8]> {
    let mut reader = crate::certificate::x509::DerReader::new(file);
    reader.expect(der::Tag::Sequence)?;
    reader.is_done().then_some(file)
}

/// What stands between BEGIN and END.
#[derive(Default)]
struct PemBody {
    base64: Zeroizing<Vec<u8>>,
    in_headers: bool,
    encrypted: bool,
}

impl PemBody {
    fn begin(&mut self) {
        self.base64.clear();
        (self.in_headers, self.encrypted) = (false, false);
    }

    fn take(&mut self, line: &[u8]) {
        // No base64 has a colon. Headers go on until an empty line (RFC 1421 section 4.4).
        if line.contains(&b':') {
            self.in_headers = true;
            self.encrypted |= line.starts_with(b"Proc-Type:")
                && line.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED);
        } else if line.is_empty() {
            self.in_headers = false;
        } else if !self.in_headers {
            self.base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// The lines with their numbers from 1, without white space and byte order marks around them.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // A carriage return ends a line too; with a line feed behind it that is one line more, empty,
    // which would end headers.
    let mut number = 0;
    let mut rest = (!text.is_empty()).then_some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, after) = match end {
            Some(at) if text[at..].starts_with(b"\r\n") => (&text[..at], Some(&text[at + 2..])),
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        number += 1;
        let line = line.trim_ascii();
        Some((number, line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii()))
    })
}

/// The label of a line `-----BEGIN LABEL-----`, or of an END line.
fn marker(line: &[u8], word: &[u8]) -> Option<String> {
    let label = line.strip_prefix(DASHES)?.strip_prefix(word)?.strip_suffix(DASHES)?;
    let fit = !label.is_empty() && label.iter().all(|byte| matches!(byte, 0x20..=0x7e));
    fit.then(|| String::from_utf8_lossy(label).into_owned())
}
