//! Merging: which head may be merged, and whether now.
//!
//! [`pin`] says which head a request means (C3.1), [`decide`] whether to wait, merge or drop (C3.2, C3.5); both are
//! pure. [`reason`] holds every reason with its words for people. Whoever asks the forge and merges stands elsewhere,
//! and always passes the head of the verdict on (C3.3).

pub mod decide;
pub mod pin;
pub mod reason;
#[cfg(test)]
mod tests;
