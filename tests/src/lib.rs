//! What Leadsman is tested with: real servers, made-up folders of manifests, and measuring.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test part that fails should end the test")]

pub mod corpus;
pub mod repository;
