//! The name of one connection of one loop, as callers and the kernel carry it.

/// One connection of one loop. Stale once the connection is closed; every call is harmless then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Token {
    /// The connection's place among those open at the same time, counted from zero and reused:
    /// for a caller's table beside the loop's.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The low 24 bits of what a driver gets back from the kernel are the index, the next 32 the
    /// generation; the top 8 bits are left to the driver.
    pub(super) fn to_bits(self) -> u64 {
        u64::from(self.index) | u64::from(self.generation) << INDEX_BITS
    }

    pub(super) fn from_bits(bits: u64) -> Token {
        let index = bits & (INDEX_MAX as u64);
        Token { index: index as u32, generation: (bits >> INDEX_BITS) as u32 }
    }
}

const INDEX_BITS: u32 = 24;
/// 16 million connections: far more than one loop can have open files.
pub(super) const INDEX_MAX: usize = (1 << INDEX_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        for (index, generation) in [(0, 0), (7, 1), (INDEX_MAX as u32, u32::MAX)] {
            let token = Token { index, generation };
            let with_kind = token.to_bits() | 0xff << 56;
            assert_eq!(Token::from_bits(token.to_bits()), token);
            assert_eq!(Token::from_bits(with_kind), token, "the driver's bits are ignored");
        }
    }
}
