//! The kinds of waits that have a deadline.

use std::net::Shutdown;

/// What a socket waits for when its deadline strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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

impl Kind {
    /// All kinds, in the order of [`Kind::index`].
    pub const ALL: [Kind; 8] = [
        Kind::Handshake,
        Kind::Head,
        Kind::Body,
        Kind::Idle,
        Kind::Write,
        Kind::Linger,
        Kind::Response,
        Kind::Rate,
    ];

    /// The place of this kind in [`Kind::ALL`] and in `CoreStats::deadlines`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name for labels: lower case, one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Handshake => "handshake",
            Kind::Head => "head",
            Kind::Body => "body",
            Kind::Idle => "idle",
            Kind::Write => "write",
            Kind::Linger => "linger",
            Kind::Response => "response",
            Kind::Rate => "rate",
        }
    }

    /// Which directions end. Where an answer (408) may still be due, writing stays possible.
    pub(crate) fn shuts(self) -> Shutdown {
        match self {
            Kind::Head | Kind::Body | Kind::Idle => Shutdown::Read,
            Kind::Handshake | Kind::Write | Kind::Linger | Kind::Response | Kind::Rate => {
                Shutdown::Both
            }
        }
    }
}
