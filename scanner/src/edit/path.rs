//! Paths as annotations write them: keys joined by dots, `\.` for a dot within a key, `[0]` for an index (S3.1).

use std::fmt::Write as _;

/// Adds a key to a path in the notation of S3.1: dots join, `\.` is a dot within a key.
pub(crate) fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    for c in key.chars() {
        if matches!(c, '.' | '\\' | '[') {
            path.push('\\');
        }
        path.push(c);
    }
}

/// Adds a list index to a path in the notation of S3.1.
pub(crate) fn push_index(path: &mut String, index: usize) {
    // Writing to a `String` cannot fail.
    let _ = write!(path, "[{index}]");
}
