//! Values that background threads renew and every core reads, and the hand-over between them.
//!
//! It owns when they are renewed. It refuses to make a request wait for a thread.

pub mod file_watch;
pub mod keys;
pub mod refresher;
pub mod watched;
