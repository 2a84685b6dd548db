//! Registries for tests: the real CNCF distribution, a server that fails in every way on demand, and a static one
//! that is fast enough to measure others against.

pub mod distribution;
pub mod http;
pub mod push;
pub mod static_registry;
pub mod token;
