//! The connections of one loop by number, with generations, so that a token that outlived its
//! connection finds nothing instead of a stranger.
//!
//! Owns slots and their reuse: a freed connection keeps its buffers for the next one, so that a
//! new connection per request does not allocate. Refuses to know what a connection is doing.

use std::io;

use super::connection::Connection;
use super::token::{INDEX_MAX, Token};

/// All connections of one loop.
#[derive(Default)]
pub(super) struct ConnectionTable {
    slots: Vec<TableSlot>,
    free: Vec<u32>,
}

struct TableSlot {
    generation: u32,
    used: bool,
    connection: Connection,
}

impl ConnectionTable {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A fresh token with an unused connection behind it.
    pub(super) fn allocate(&mut self) -> io::Result<Token> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() > INDEX_MAX => {
                return Err(io::Error::other("one event loop holds at most 16777216 connections"));
            }
            None => {
                let connection = Connection::default();
                self.slots.push(TableSlot { generation: 0, used: false, connection });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.used = true;
        Ok(Token { index, generation: slot.generation })
    }

    /// The connection behind a token that was allocated just now.
    pub(super) fn connection(&mut self, token: Token) -> &mut Connection {
        &mut self.slots[token.index()].connection
    }

    #[inline]
    pub(super) fn get(&self, token: Token) -> Option<&Connection> {
        let slot = self.slots.get(token.index())?;
        (slot.used && slot.generation == token.generation).then_some(&slot.connection)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(token.index())?;
        (slot.used && slot.generation == token.generation).then_some(&mut slot.connection)
    }

    /// Gives the slot back. A stale token changes nothing.
    pub(super) fn free(&mut self, token: Token) {
        if let Some(connection) = self.get_mut(token) {
            connection.reset();
            let slot = &mut self.slots[token.index()];
            slot.used = false;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(token.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_finds_nothing_and_frees_nothing() {
        let mut table = ConnectionTable::default();
        let first = table.allocate().unwrap();
        table.free(first);
        let second = table.allocate().unwrap();
        assert_eq!(first.index(), second.index(), "the slot is reused");
        assert!(table.get(first).is_none());
        table.free(first);
        assert!(table.get(second).is_some());
        assert_eq!(table.len(), 1);
    }
}
