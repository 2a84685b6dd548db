//! placeholder

pub mod clock;
pub mod forge;
pub mod plan;
