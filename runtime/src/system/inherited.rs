//! What the process inherited and nobody can see later: whether its standard output was closed.
//! The standard library opens /dev/null in the place of a closed one before `main`, and a result
//! that is written there is lost without an error.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether the process was started with a closed standard output.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}

extern "C" fn look() {
    // SAFETY: F_GETFD takes no argument and only asks whether the descriptor is open.
    if unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1 {
        STDOUT_CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Called by the loader before `main`, and so before the standard library's own start.
// SAFETY: the section holds pointers to functions that the loader calls once, on the only thread.
// `look` needs nothing that is set up later: one system call, and one static.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[cfg(test)]
mod tests {
    #[test]
    fn an_open_standard_output_is_not_taken_for_closed() {
        assert!(!super::stdout_was_closed());
    }
}
