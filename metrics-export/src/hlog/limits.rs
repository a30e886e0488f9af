//! How much of a histogram log is read.

/// The largest log that is read, in bytes: hours of slices.
pub const LOG_BYTES_MAX: usize = 256 << 20;

/// The most intervals that [`super::read`] keeps at once; each takes up to half a megabyte.
pub(super) const INTERVALS_MAX: usize = 4_096;

/// The most different tags of a log.
pub(super) const TAGS_MAX: usize = 16;

/// Significant digits: a fourth would make a histogram ten times as large.
pub(super) const DIGITS_MAX: u32 = 3;
