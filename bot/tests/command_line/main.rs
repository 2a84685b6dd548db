//! The program as a user runs it: arguments in, output and exit code out.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod harness;
mod registry;

mod configuration;
mod filter;
mod reference;
mod scanning;
mod surface;
