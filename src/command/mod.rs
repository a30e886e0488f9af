//! The subcommands, a module each: from what was typed to what is done and printed. It owns the
//! exit code of a result. It refuses to measure: that is loadgen's.

pub(crate) mod calibrate;
pub(crate) mod capacity;
pub(crate) mod compare;
pub(crate) mod doctor;
pub(crate) mod flame;
pub(crate) mod matrix;
pub(crate) mod pki;
pub(crate) mod reference;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod up;
