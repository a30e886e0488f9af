//! Which replies are good, and the kinds of those that are not. A wrong reply is an error, never
//! a sample. Pure; it refuses to look at times.

use std::fmt;

/// Lowest and highest status that a response can have: RFC 9110 section 15 names those up to 599,
/// and servers send others of three digits.
const STATUS_MIN: u16 = 100;
const STATUS_MAX: u16 = 999;

/// What a good reply of a workload looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The statuses that a good reply may have.
    pub statuses: Statuses,
    /// The fewest bytes that the body of a good reply has.
    pub body_bytes_min: u64,
}

impl Expect {
    /// Any 2xx status with any body. Redirects are not followed, so a 3xx is a wrong reply.
    pub fn success() -> Expect {
        Expect { statuses: Statuses::range(200, 299), body_bytes_min: 0 }
    }

    /// One of these statuses, and a body of at least so many bytes.
    pub fn one_of(statuses: &[u16], body_bytes_min: u64) -> Expect {
        let statuses = statuses.iter().fold(Statuses::none(), |set, status| set.with(*status));
        Expect { statuses, body_bytes_min }
    }

    /// Tells what is wrong with a reply that arrived whole.
    #[inline]
    pub fn judge(&self, status: u16, body_bytes: u64) -> Result<(), ErrorKind> {
        if !self.statuses.contains(status) {
            return Err(ErrorKind::Status);
        }
        if body_bytes < self.body_bytes_min {
            return Err(ErrorKind::ShortBody);
        }
        Ok(())
    }
}

/// A set of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses {
    bits: [u64; 15],
}

impl Statuses {
    /// The empty set.
    pub fn none() -> Statuses {
        Statuses { bits: [0; 15] }
    }

    /// All from `first` to `last`, both included.
    pub fn range(first: u16, last: u16) -> Statuses {
        (first..=last).fold(Statuses::none(), Statuses::with)
    }

    /// The same set with one more; a number that is no status changes nothing.
    pub fn with(mut self, status: u16) -> Statuses {
        if let Some((word, bit)) = Statuses::place(status) {
            self.bits[word] |= bit;
        }
        self
    }

    /// Whether the status belongs to the set.
    #[inline]
    pub fn contains(&self, status: u16) -> bool {
        Statuses::place(status).is_some_and(|(word, bit)| self.bits[word] & bit != 0)
    }

    #[inline]
    fn place(status: u16) -> Option<(usize, u64)> {
        if !(STATUS_MIN..=STATUS_MAX).contains(&status) {
            return None;
        }
        let index = usize::from(status - STATUS_MIN);
        Some((index / 64, 1 << (index % 64)))
    }
}

/// Why a request has no good reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum ErrorKind {
    /// The target refused the TCP connection.
    Refused,
    /// The TCP connection could not be made for another reason.
    Connect,
    /// The connection or its handshake took longer than the time-out.
    ConnectTimeout,
    /// The TLS handshake failed; the first one's alert is kept.
    Tls,
    /// No whole reply within the time-out, counted from the send, or from the intended time for
    /// a request that was never sent because no connection became free.
    Timeout,
    /// The target closed the connection before the reply was whole.
    Closed,
    /// The connection was reset, or failed in another way, before the reply was whole.
    Reset,
    /// The reply is not HTTP.
    Malformed,
    /// A whole reply with a status that is not expected.
    Status,
    /// A whole reply whose body is shorter than a good one's.
    ShortBody,
    /// Not answered when the slice was over and the wait for stragglers as well.
    Unfinished,
    /// A connection that was lost or refused while no request was waiting on it, and could not be
    /// made again. Not a request.
    Reconnect,
}

impl ErrorKind {
    /// Every kind, in the order of reports.
    pub const ALL: [ErrorKind; 12] = [
        ErrorKind::Refused,
        ErrorKind::Connect,
        ErrorKind::ConnectTimeout,
        ErrorKind::Tls,
        ErrorKind::Timeout,
        ErrorKind::Closed,
        ErrorKind::Reset,
        ErrorKind::Malformed,
        ErrorKind::Status,
        ErrorKind::ShortBody,
        ErrorKind::Unfinished,
        ErrorKind::Reconnect,
    ];

    /// The name used in results.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Refused => "refused",
            ErrorKind::Connect => "connect",
            ErrorKind::ConnectTimeout => "connect_timeout",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Closed => "closed",
            ErrorKind::Reset => "reset",
            ErrorKind::Malformed => "malformed",
            ErrorKind::Status => "status",
            ErrorKind::ShortBody => "short_body",
            ErrorKind::Unfinished => "unfinished",
            ErrorKind::Reconnect => "reconnect",
        }
    }

    /// What a user reads.
    pub fn describe(self) -> &'static str {
        match self {
            ErrorKind::Refused => "connection refused",
            ErrorKind::Connect => "connection not possible",
            ErrorKind::ConnectTimeout => "connection timed out",
            ErrorKind::Tls => "TLS handshake failed",
            ErrorKind::Timeout => "no reply in time",
            ErrorKind::Closed => "closed before the reply was whole",
            ErrorKind::Reset => "connection reset",
            ErrorKind::Malformed => "malformed reply",
            ErrorKind::Status => "unexpected status",
            ErrorKind::ShortBody => "body too short",
            ErrorKind::Unfinished => "unanswered at the end",
            ErrorKind::Reconnect => "idle connection lost for good",
        }
    }
}

/// Errors by kind, with the first sentence that was heard of each.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    counts: [u64; ErrorKind::ALL.len()],
    examples: [Option<Box<str>>; ErrorKind::ALL.len()],
}

impl Errors {
    /// Counts one. `example` is asked for only when it is the first of its kind.
    pub fn add(&mut self, kind: ErrorKind, example: impl FnOnce() -> String) {
        let slot = kind as usize;
        self.counts[slot] += 1;
        if self.examples[slot].is_none() {
            self.examples[slot] = Some(example().into_boxed_str());
        }
    }

    /// Counts `count` at once, without a sentence.
    pub fn add_many(&mut self, kind: ErrorKind, count: u64) {
        self.counts[kind as usize] += count;
    }

    /// How many of one kind there were.
    pub fn of(&self, kind: ErrorKind) -> u64 {
        self.counts[kind as usize]
    }

    /// The first sentence that was heard of a kind.
    pub fn example(&self, kind: ErrorKind) -> Option<&str> {
        self.examples[kind as usize].as_deref().filter(|text| !text.is_empty())
    }

    /// All errors.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Those errors that are requests without a good reply.
    pub fn requests(&self) -> u64 {
        self.total() - self.of(ErrorKind::Reconnect)
    }

    /// The kinds that happened, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, n)| *n > 0)
    }

    /// Adds those of another worker or slice; the earlier sentences stay.
    pub fn merge(&mut self, other: &Errors) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        for (mine, theirs) in self.examples.iter_mut().zip(&other.examples) {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, count)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{count} {}", kind.describe())?;
            if let Some(example) = self.example(kind) {
                write!(out, " ({example})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_judged() {
        let created = Expect::one_of(&[200, 201], 2);
        let cases = [
            (Expect::success(), 200, 0, Ok(())),
            (Expect::success(), 299, 0, Ok(())),
            (Expect::success(), 302, 9, Err(ErrorKind::Status)),
            (Expect::success(), 199, 9, Err(ErrorKind::Status)),
            (created, 201, 2, Ok(())),
            (created, 200, 1, Err(ErrorKind::ShortBody)),
            (created, 204, 2, Err(ErrorKind::Status)),
            (created, 0, 2, Err(ErrorKind::Status)),
            (created, 65_535, 2, Err(ErrorKind::Status)),
        ];
        for (expect, status, body, verdict) in cases {
            assert_eq!(expect.judge(status, body), verdict, "{status} {body}");
        }
        let all = Statuses::range(0, u16::MAX);
        assert!(all.contains(100) && all.contains(999));
        assert!(!all.contains(99) && !all.contains(1000));
    }

    #[test]
    fn kinds_are_listed_at_their_own_place() {
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }

    #[test]
    fn errors_keep_the_first_sentence_and_add_up() {
        let mut errors = Errors::default();
        errors.add(ErrorKind::Status, || "409 Conflict".into());
        errors.add(ErrorKind::Status, || unreachable!("only the first is written out"));
        errors.add_many(ErrorKind::Reconnect, 3);
        let mut all = Errors::default();
        all.merge(&errors);
        all.merge(&errors);
        assert_eq!((all.total(), all.requests()), (10, 4));
        assert_eq!(
            all.to_string(),
            "4 unexpected status (409 Conflict), 6 idle connection lost for good"
        );
    }
}
