//! placeholder
pub mod commit;
