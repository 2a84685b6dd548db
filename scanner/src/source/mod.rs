//! placeholder

pub mod write;
