//! What steers a choice: the filter, the order, the minimum age and what is allowed (S4.5).

use std::{fmt, str::FromStr};

use jiff::SignedDuration;
use thiserror::Error;

use crate::filter::{Filter, FilterKind};

/// By what tags are ordered, the newest first (S6.1, S4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// By precedence of versions.
    Semver,
    /// By creation time.
    Created,
    /// By the number that the tag, or the group of the filter, holds.
    Numerical,
    /// By the text of the tag, or of the group of the filter.
    Alphabetical,
}

impl Order {
    /// Every order.
    pub const ALL: &'static [Self] = &[Self::Semver, Self::Created, Self::Numerical, Self::Alphabetical];

    /// The word that annotations and outputs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Semver => "semver",
            Self::Created => "created",
            Self::Numerical => "numerical",
            Self::Alphabetical => "alphabetical",
        }
    }

    /// The order of a kind of filter where no annotation names one (S6.1).
    #[must_use]
    pub fn of(kind: FilterKind) -> Self {
        match kind {
            FilterKind::Semver => Self::Semver,
            FilterKind::Glob | FilterKind::Regex => Self::Created,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no order; write `semver`, `created`, `numerical` or `alphabetical`")]
pub struct OrderError(String);

impl FromStr for Order {
    type Err = OrderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let order = Self::ALL.iter().find(|order| order.as_str() == text);
        order.copied().ok_or_else(|| OrderError(text.to_owned()))
    }
}

/// What one container's choice goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which tags may be chosen.
    pub filter: Filter,
    /// Which of them comes first.
    pub order: Order,
    /// How old a tag must be (S6.7). `None`: any age.
    pub min_age: Option<SignedDuration>,
    /// A lower tag than the current one may be chosen (S6.4).
    pub allow_downgrade: bool,
    /// A tag of another variant may be chosen (S6.6).
    pub allow_variant: bool,
    /// Where no matching tag has a creation time, the time at which each was first seen counts instead. For callers
    /// that keep a store; the others leave this off and get [`Status::NoCreationTime`](crate::status::Status) (S6.3).
    pub first_seen_stands_in: bool,
}

impl Policy {
    /// The filter with its own order, and nothing else asked for or allowed.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Self {
            order: Order::of(filter.kind()),
            filter,
            min_age: None,
            allow_downgrade: false,
            allow_variant: false,
            first_seen_stands_in: false,
        }
    }

    /// Whether choosing needs creation times, of the tags of [`super::shortlist`] and of the current one (S6.3).
    #[must_use]
    pub fn needs_times(&self) -> bool {
        self.order == Order::Created || self.min_age.is_some()
    }
}

/// A text that is no age.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no age; write a number and `m`, `h`, `d` or `w`, such as `3d`")]
pub struct AgeError(String);

/// Parses an age: a whole number and `m`, `h`, `d` (24 hours) or `w` (S4.5).
///
/// # Errors
/// For any other text, and for more than a hundred years.
pub fn parse_age(text: &str) -> Result<SignedDuration, AgeError> {
    const CENTURY: i64 = 100 * 366 * 86_400;
    let error = || AgeError(text.to_owned());
    let unit = match text.as_bytes().last() {
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        Some(b'w') => 7 * 86_400,
        _ => return Err(error()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    let count: i64 = digits.parse().map_err(|_| error())?;
    let seconds = count.checked_mul(unit).filter(|seconds| *seconds <= CENTURY).ok_or_else(error)?;
    Ok(SignedDuration::from_secs(seconds))
}

/// Writes a duration for people, rounded down: whole weeks as weeks, else days, hours or minutes, as [`parse_age`]
/// reads them.
pub(super) fn write_age(age: SignedDuration) -> String {
    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    const WEEK: i64 = 7 * DAY;
    match age.as_secs().max(0) {
        seconds if seconds >= WEEK && seconds % WEEK == 0 => format!("{}w", seconds / WEEK),
        seconds if seconds >= 2 * DAY || seconds == DAY => format!("{}d", seconds / DAY),
        seconds if seconds >= 2 * HOUR || seconds == HOUR => format!("{}h", seconds / HOUR),
        seconds => format!("{}m", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_s4_5() {
        for (text, seconds) in [("0m", 0), ("90m", 5_400), ("12h", 43_200), ("3d", 259_200), ("2w", 1_209_600)] {
            assert_eq!(parse_age(text).unwrap(), SignedDuration::from_secs(seconds), "{text}");
        }
        for text in
            ["", "d", "3", "3s", "3 d", " 3d", "-3d", "+3d", "3D", "1.5d", "3d12h", "9223372036854775807w", "5300w"]
        {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ages_are_written_as_people_write_them() {
        for text in ["0m", "90m", "12h", "3d", "2w", "36h", "1h", "1d", "1w"] {
            assert_eq!(write_age(parse_age(text).unwrap()), text);
        }
        assert_eq!(write_age(SignedDuration::from_secs(60 * 59)), "59m");
        assert_eq!(write_age(SignedDuration::from_secs(86_400 * 9 + 5)), "9d");
    }

    #[test]
    fn orders_have_words_s4_5() {
        for order in Order::ALL {
            assert_eq!(order.as_str().parse::<Order>().unwrap(), *order);
        }
        assert!("Semver".parse::<Order>().is_err());
    }
}
