//! placeholder

pub mod commit;
pub mod write;
