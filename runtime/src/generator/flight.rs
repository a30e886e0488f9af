//! What the io_uring driver has in flight for a connection, kept with that connection.

/// What the kernel has in hand for one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    /// A multishot receive.
    pub(super) receiving: bool,
    /// Its cancellation.
    pub(super) cancelling: bool,
    /// A poll for writability.
    pub(super) polling: bool,
}
