//! How long to wait before a question is put again.
//!
//! Pure: chance and the server's clock are parameters.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The first wait; each further one doubles.
const FIRST: Duration = Duration::from_millis(250);

/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait before attempt `attempt` + 1 (from 1), shortened by up to a half: `jitter` is a number from 0 to 1.
#[must_use]
pub(super) fn backoff(attempt: u32, jitter: f64) -> Duration {
    let full = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST);
    full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// What a `Retry-After` header means: seconds, or a date. A date counts from the answer's own `Date`, so that a wrong
/// clock on either side does no harm; without it, a date says nothing.
#[must_use]
pub(super) fn retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit is longer than anything waits.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let at = http_date(header)?;
    let now = http_date(date?.trim())?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 ", None), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", date), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:07 GMT", date), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(retry_after("soon", date), None);
        assert_eq!(retry_after("-1", date), None);
        assert!(retry_after("99999999999999999999999", None) > Some(Duration::from_secs(1_000_000)));
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        assert_eq!(backoff(1, 0.0), Duration::from_millis(250));
        assert_eq!(backoff(2, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(2, 1.0), Duration::from_millis(250));
        assert_eq!(backoff(u32::MAX, 0.0), LONGEST);
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "\\PC{0,60}", date in "\\PC{0,60}") {
            if let Some(wait) = retry_after(&header, Some(&date)) {
                prop_assert!(wait < Duration::MAX);
            }
        }
    }
}
