//! What results mean to somebody who decides: two runs compared, conditions kept or not, and what
//! instruction counts say beside them. Pure: it refuses to measure.

pub mod compare;
pub(crate) mod instructions;
pub mod threshold;
