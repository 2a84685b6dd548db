//! What Leadsman is tested with: real servers, made-up folders of manifests, and measuring.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test part that fails should end the test")]

pub mod browser;
pub mod corpus;
pub mod demo;
pub mod gitea;
pub mod measure;
pub mod program;
pub mod registry;
pub mod repository;
pub mod serve;

/// Whether this is the long run: every "N times" of the tests in full, instead of a short share.
#[must_use]
pub fn long() -> bool {
    std::env::var_os("LEADSMAN_LONG").is_some()
}
