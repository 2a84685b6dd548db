//! Real parts, stories, cases and benchmarks for Leadsman.

pub mod registry;
