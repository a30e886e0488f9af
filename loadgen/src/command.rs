//! The commands that measure, without their flags: a run of one URL, the search for a capacity, the
//! matrix of variants, and the calibration of the meter itself.

pub mod calibrate;
pub mod capacity;
pub mod matrix;
pub mod run;
pub mod single;
