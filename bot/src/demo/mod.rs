//! The demo: a sample fleet and a sample registry on this machine, no account, no network.
//!
//! Owns samples only. What it shows is made by the same parts that `leadsman run` uses.

pub mod fleet;
pub mod registry;
