//! placeholder

pub mod clock;
pub mod forge;
pub mod plan;
pub mod pulls;
pub mod render;
pub mod store;
pub mod work;
