//! The one place that reads the clock. Everything that decides takes the time as a parameter.

use jiff::Timestamp;

/// The time now, in UTC.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::now()
}
