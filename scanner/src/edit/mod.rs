//! Edits manifests byte by byte: new tags and digests for containers, and new entries in mappings.
//!
//! Pure: text in, text out. Owns what may be changed and what comes along with it; must not choose tags and must not
//! touch files. A text is never written anew from its tree: the bytes of the tags are replaced, and all others stay
//! (S7.1). Every edited text has been parsed again and compared by value; there is no other way out (S7.3).

mod apply;
mod follow;
mod insert;
pub(crate) mod path;
mod scalar;
mod verify;

pub use apply::{Edited, Refused, Update, apply};
pub use follow::AlsoChanged;
pub use insert::{Entry, Inserted, Insertion, Value, insert};
pub use scalar::needs_quotes;
