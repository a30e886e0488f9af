//! Lists of fields that messages are put together in, kept so that forwarding allocates nothing.

use std::cell::RefCell;

/// A name and a value.
pub(super) type Field<'a> = (&'a str, &'a [u8]);

/// Emptied lists of fields, kept for the next message so that forwarding allocates nothing.
#[derive(Debug, Default)]
pub(super) struct FieldLists(RefCell<Vec<Vec<Field<'static>>>>);

/// Lists kept; a core has seldom more requests between begin and send.
const LISTS_MAX: usize = 64;

impl FieldLists {
    /// An empty list.
    pub(super) fn take<'a>(&self) -> Vec<Field<'a>> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a list back.
    pub(super) fn give(&self, mut list: Vec<Field<'_>>) {
        list.clear();
        // An empty list borrows nothing; collecting it in place is how safe code says so.
        let list: Vec<Field<'static>> = list.into_iter().map(|_| ("", b"".as_slice())).collect();
        let mut kept = self.0.borrow_mut();
        if kept.len() < LISTS_MAX {
            kept.push(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_memory() {
        let lists = FieldLists::default();
        let text = String::from("x");
        let mut list: Vec<Field<'_>> = lists.take();
        list.extend((0..40).map(|_| (text.as_str(), text.as_bytes())));
        let room = list.capacity();
        lists.give(list);
        assert_eq!(lists.take().capacity(), room);
    }
}
