//! Where pull requests live.
//!
//! Owns reading and moving branches, and building the commits that stand on them. Decides nothing: what is to be
//! moved from where to where is said by [`crate::pulls`], and every move is a compare-and-swap from the head that the
//! decision was made on, so that a person's push between our read and our write survives.

pub mod commit;
pub mod local;
