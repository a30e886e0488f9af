//! The chunked transfer coding (RFC 9112 section 7.1), read as a machine that takes one byte at a
//! time outside the data and whole slices inside it.
//!
//! It owns where data begins and ends. It refuses whatever another reader might count differently:
//! a size that is not plain hexadecimal, a bare CR or LF, data that outlasts its size, and
//! extensions or trailers without end. Extensions and trailers are checked and dropped. A lenient
//! client forgives what leaves no doubt about the data: LF alone, white space after a size, and
//! trailer lines of whatever form.
//!
//! ```text
//! Size -> [SizeSpace] -> [Extension] -> SizeLf -> Data -> DataCr -> DataLf -> Size
//!                                         | size 0
//!                                         v
//!              EndLf <- TrailerStart <-> TrailerName -> TrailerValue -> TrailerLf
//! ```

use crate::{Body, Error, Limits};

/// Hexadecimal digits of a chunk size: as many as 64 bits have.
const SIZE_DIGITS_MAX: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    Size,
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Failed(Error),
}

/// One chunked body being read.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: ChunkState,
    lenient: bool,
    /// Digits of the size being read.
    digits: u8,
    /// The size being read, then what is left of the chunk.
    left: u64,
    /// Bytes of data promised by all chunks so far.
    total: u64,
    extension_bytes: usize,
    trailer_bytes: usize,
}

impl Chunked {
    pub(crate) fn new(lenient: bool) -> Self {
        Self {
            state: ChunkState::Size,
            lenient,
            digits: 0,
            left: 0,
            total: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Reads up to and over one run of data, and then as far as no second run begins, so that a
    /// body of one chunk that is all there takes one call.
    pub(crate) fn piece(&mut self, input: &[u8], limits: &Limits) -> Result<Body, Error> {
        let mut at = 0;
        let mut data = 0..0;
        while at < input.len() {
            match self.state {
                ChunkState::Data if data.is_empty() => {
                    let length = self.left.min((input.len() - at) as u64);
                    data = at..at + length as usize;
                    at = data.end;
                    self.left -= length;
                    if self.left == 0 {
                        self.state = ChunkState::DataCr;
                    }
                }
                ChunkState::Data | ChunkState::Done | ChunkState::Failed(_) => break,
                state => match self.step(state, input[at], limits) {
                    Ok(next) => {
                        self.state = next;
                        at += 1;
                    }
                    Err(error) => self.state = ChunkState::Failed(error),
                },
            }
        }
        match self.state {
            // Data before the mistake is handed out first: that is what would have happened had the
            // mistake arrived later.
            ChunkState::Failed(error) if data.is_empty() => Err(error),
            _ => Ok(Body { consumed: at, data, done: self.is_done() }),
        }
    }

    fn step(&mut self, state: ChunkState, byte: u8, limits: &Limits) -> Result<ChunkState, Error> {
        match state {
            ChunkState::Size => self.size(byte, limits),
            ChunkState::SizeSpace => {
                self.count_extension(limits)?;
                match byte {
                    // RFC 9112 section 7.1.1: white space before the semicolon is bad, but parsed.
                    b' ' | b'\t' => Ok(ChunkState::SizeSpace),
                    b';' => Ok(ChunkState::Extension),
                    b'\r' if self.lenient => Ok(ChunkState::SizeLf),
                    b'\n' if self.lenient => self.begin_data(limits),
                    _ => Err(Error::ChunkSize),
                }
            }
            ChunkState::Extension if byte == b'\r' => Ok(ChunkState::SizeLf),
            ChunkState::Extension if byte == b'\n' && self.lenient => self.begin_data(limits),
            ChunkState::Extension => {
                self.count_extension(limits)?;
                if is_text(byte) { Ok(ChunkState::Extension) } else { Err(Error::ChunkSize) }
            }
            ChunkState::SizeLf if byte == b'\n' => self.begin_data(limits),
            ChunkState::SizeLf => Err(Error::ChunkSize),
            ChunkState::DataCr if byte == b'\r' => Ok(ChunkState::DataLf),
            ChunkState::DataLf if byte == b'\n' => Ok(ChunkState::Size),
            ChunkState::DataCr if byte == b'\n' && self.lenient => Ok(ChunkState::Size),
            ChunkState::DataCr | ChunkState::DataLf => Err(Error::ChunkEnd),
            _ => self.trailer(state, byte, limits),
        }
    }

    fn size(&mut self, byte: u8, limits: &Limits) -> Result<ChunkState, Error> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(ChunkState::SizeLf),
            b'\n' if self.digits > 0 && self.lenient => return self.begin_data(limits),
            b';' | b' ' | b'\t' if self.digits > 0 => {
                self.count_extension(limits)?;
                return Ok(if byte == b';' {
                    ChunkState::Extension
                } else {
                    ChunkState::SizeSpace
                });
            }
            _ => return Err(Error::ChunkSize),
        };
        if self.digits == SIZE_DIGITS_MAX {
            return Err(Error::ChunkSize);
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(ChunkState::Size)
    }

    fn begin_data(&mut self, limits: &Limits) -> Result<ChunkState, Error> {
        self.digits = 0;
        if self.left == 0 {
            return Ok(ChunkState::TrailerStart);
        }
        self.total = self.total.saturating_add(self.left);
        if self.total > limits.body_bytes_max {
            return Err(Error::BodyTooLarge);
        }
        Ok(ChunkState::Data)
    }

    /// RFC 9112 section 7.1.2: trailers are field lines. Nothing in them may change the framing, so
    /// nothing in them is kept.
    fn trailer(
        &mut self,
        state: ChunkState,
        byte: u8,
        limits: &Limits,
    ) -> Result<ChunkState, Error> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > limits.trailer_bytes_max {
            return Err(Error::TrailerTooLarge);
        }
        if self.lenient {
            return lenient_trailer(state, byte);
        }
        match (state, byte) {
            (ChunkState::TrailerStart, b'\r') => Ok(ChunkState::EndLf),
            (ChunkState::EndLf, b'\n') => Ok(ChunkState::Done),
            (ChunkState::TrailerName, b':') => Ok(ChunkState::TrailerValue),
            (ChunkState::TrailerStart | ChunkState::TrailerName, _) if is_token(byte) => {
                Ok(ChunkState::TrailerName)
            }
            (ChunkState::TrailerValue, b'\r') => Ok(ChunkState::TrailerLf),
            (ChunkState::TrailerValue, _) if is_text(byte) => Ok(ChunkState::TrailerValue),
            (ChunkState::TrailerLf, b'\n') => Ok(ChunkState::TrailerStart),
            _ => Err(Error::Trailer),
        }
    }

    fn count_extension(&mut self, limits: &Limits) -> Result<(), Error> {
        self.extension_bytes += 1;
        if self.extension_bytes > limits.chunk_extension_bytes_max {
            return Err(Error::ChunkExtensionTooLong);
        }
        Ok(())
    }
}

/// Trailer lines are dropped, so that only their ends matter.
fn lenient_trailer(state: ChunkState, byte: u8) -> Result<ChunkState, Error> {
    match (state, byte) {
        (ChunkState::TrailerStart, b'\r') => Ok(ChunkState::EndLf),
        (ChunkState::TrailerStart | ChunkState::EndLf, b'\n') => Ok(ChunkState::Done),
        (ChunkState::EndLf, _) | (_, 0) => Err(Error::Trailer),
        (_, b'\n') => Ok(ChunkState::TrailerStart),
        _ => Ok(ChunkState::TrailerValue),
    }
}

/// RFC 9110 section 5.6.2: `tchar`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 section 5.5: the bytes of a field value.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize), Error> {
        read_as(false, input, limits)
    }

    fn read_as(lenient: bool, input: &[u8], limits: &Limits) -> Result<(Vec<u8>, usize), Error> {
        let mut machine = Chunked::new(lenient);
        let (mut out, mut at) = (Vec::new(), 0);
        loop {
            let body = machine.piece(&input[at..], limits)?;
            out.extend_from_slice(&input[at..][body.data]);
            at += body.consumed;
            if body.done {
                return Ok((out, at));
            }
            assert!(body.consumed > 0, "stuck at byte {at}");
        }
    }

    #[test]
    fn one_chunk_takes_one_call() {
        let body = Chunked::new(false).piece(b"5\r\nhello\r\n0\r\n\r\nGET", &Limits::default());
        assert_eq!(body, Ok(Body { consumed: 15, data: 3..8, done: true }));
    }

    #[test]
    fn sizes_are_hexadecimal_in_either_case() {
        let input = b"00A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n";
        assert_eq!(read(input, &Limits::default()).map(|(data, _)| data.len()), Ok(21));
    }

    #[test]
    fn a_size_of_seventeen_digits_is_refused() {
        let error = read(b"00000000000000001\r\na\r\n", &Limits::default());
        assert_eq!(error, Err(Error::ChunkSize));
        let error = read(b"ffffffffffffffff\r\na\r\n", &Limits::default());
        assert_eq!(error, Err(Error::BodyTooLarge));
    }

    #[test]
    fn the_body_limit_counts_all_chunks() {
        let limits = Limits { body_bytes_max: 4, ..Limits::default() };
        assert!(read(b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", &limits).is_ok());
        let error = read(b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", &limits);
        assert_eq!(error, Err(Error::BodyTooLarge));
    }

    #[test]
    fn extensions_and_trailers_have_limits() {
        let limits =
            Limits { chunk_extension_bytes_max: 4, trailer_bytes_max: 8, ..Limits::default() };
        assert!(read(b"1;abc\r\na\r\n0\r\n\r\n", &limits).is_ok());
        let error = read(b"1;ab\r\na\r\n1;b\r\na\r\n0\r\n\r\n", &limits);
        assert_eq!(error, Err(Error::ChunkExtensionTooLong), "counted over all chunks");
        assert!(read(b"0\r\na:bc\r\n\r\n", &limits).is_ok());
        assert_eq!(read(b"0\r\na:bcd\r\n\r\n", &limits), Err(Error::TrailerTooLarge));
    }

    #[test]
    fn data_before_a_mistake_is_handed_out_first() {
        let mut machine = Chunked::new(false);
        let body = machine.piece(b"2\r\nabX", &Limits::default()).expect("the data is good");
        assert_eq!(body, Body { consumed: 5, data: 3..5, done: false });
        assert_eq!(machine.piece(b"X", &Limits::default()), Err(Error::ChunkEnd));
        assert_eq!(machine.piece(b"\r\n", &Limits::default()), Err(Error::ChunkEnd));
    }

    #[test]
    fn a_lenient_reader_forgives_what_leaves_no_doubt_about_the_data() {
        let limits = Limits::default();
        for input in [
            "2  \r\nhi\r\n0\r\n\r\n",
            "2\t\nhi\n0\n\n",
            "2;a=\"b\"\nhi\r\n0;c\r\n\n",
            "2\r\nhi\r\n0\r\nA b: c\r\n folded\r\n?\n\r\n",
        ] {
            let found = read_as(true, input.as_bytes(), &limits);
            assert_eq!(found, Ok((b"hi".to_vec(), input.len())), "{input:?}");
            assert!(read(input.as_bytes(), &limits).is_err(), "{input:?} is not for the strict");
        }
        for input in
            ["2x\r\nhi\r\n", "+2\r\nhi\r\n", "\r\n", "2\r\nhi!\n0\n\n", "0\r\n\0: a\r\n\r\n"]
        {
            assert!(read_as(true, input.as_bytes(), &limits).is_err(), "{input:?}");
        }
    }
}
