//! The kinds of waits that have a deadline.

use std::net::Shutdown;

/// What a socket waits for when its deadline expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// The TLS handshake to finish.
    Handshake,
    /// The rest of a request head of which something has arrived.
    Head,
    /// The rest of a request body.
    Body,
    /// The next request.
    Idle,
    /// The peer to take what is written to it.
    Write,
    /// The peer to close after its last answer.
    Linger,
    /// An upstream's response.
    Response,
    /// No wait of its own: the peer moved less than it must while a body or a write waited for it.
    Rate,
}

impl WaitKind {
    /// All kinds, in the order of [`WaitKind::index`].
    pub const ALL: [WaitKind; 8] = [
        WaitKind::Handshake,
        WaitKind::Head,
        WaitKind::Body,
        WaitKind::Idle,
        WaitKind::Write,
        WaitKind::Linger,
        WaitKind::Response,
        WaitKind::Rate,
    ];

    /// The place of this kind in [`WaitKind::ALL`] and in `CoreStats::deadlines`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name for labels: lower case, one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            WaitKind::Handshake => "handshake",
            WaitKind::Head => "head",
            WaitKind::Body => "body",
            WaitKind::Idle => "idle",
            WaitKind::Write => "write",
            WaitKind::Linger => "linger",
            WaitKind::Response => "response",
            WaitKind::Rate => "rate",
        }
    }

    /// Which directions end. Where an answer (408) may still be due, writing stays possible.
    pub(crate) fn shuts(self) -> Shutdown {
        match self {
            WaitKind::Head | WaitKind::Body | WaitKind::Idle => Shutdown::Read,
            WaitKind::Handshake
            | WaitKind::Write
            | WaitKind::Linger
            | WaitKind::Response
            | WaitKind::Rate => Shutdown::Both,
        }
    }
}
