//! Edits manifests byte by byte.

mod scalar;
mod verify;

pub use scalar::needs_quotes;
