//! A fault of this program must not take with it what was measured: work that may panic is called
//! through here, and whoever calls it keeps what there is. It hides no fault: the sentence goes
//! into the result or ends the command.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does some work and turns a panic of it into a sentence. What the work changed until then may be
/// unfinished: use only what is whole after each step, such as a list of finished slices.
///
/// # Errors
/// That it panicked, and with what words.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| sentence(&*panic))
}

/// What a panic says, as a sentence.
#[must_use]
pub fn sentence(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "this is a fault of tollgate itself, please report it: {}",
        words.unwrap_or("it gave no reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        let empty: Vec<u8> = Vec::new();
        let why = caught(|| empty[std::hint::black_box(3)]).unwrap_err();
        assert!(why.contains("fault of tollgate") && why.contains("len is 0"), "{why}");
        assert!(caught(|| panic!("short words")).unwrap_err().ends_with(": short words"));
    }
}
