//! Which tags are versions, and how versions are ordered (S5.3, S6.1).
//!
//! Pure. Precedence is that of the `semver` crate; this module adds the wider grammar that registries need
//! (`v1`, `1.2`, leading zeros), the rule about dates, and the natural order of pre-release identifiers.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

/// From this many digits on, a first number is a date or a commit and no version (S5.3).
const DATE_DIGITS: usize = 6;

/// Reads a tag as a version: optional `v`, one to three numbers, `-prerelease`, `+metadata` (S5.3).
///
/// Missing numbers are 0; build metadata is checked and dropped, for it has no part in precedence.
pub(crate) fn parse(text: &str) -> Option<Version> {
    let rest = text.strip_prefix('v').unwrap_or(text);
    let (rest, metadata) = split_at_mark(rest, b'+');
    let (numbers, pre) = split_at_mark(rest, b'-');
    if !metadata.is_none_or(is_identifiers) {
        return None;
    }
    let mut parts = [0; 3];
    for (at, number) in numbers.split('.').enumerate() {
        *parts.get_mut(at)? = parse_number(number)?;
    }
    let pre = match pre {
        None => Prerelease::EMPTY,
        Some("") => return None,
        Some(pre) => Prerelease::new(pre).ok()?,
    };
    let [major, minor, patch] = parts;
    Some(Version { major, minor, patch, pre, build: BuildMetadata::EMPTY })
}

fn split_at_mark(text: &str, mark: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|b| b == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Digits alone, leading zeros allowed, within 64 bits.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn is_identifiers(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// Whether the first number, behind an optional `v`, is so long that it is a date or a commit (S5.3).
pub(crate) fn starts_like_a_date(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    text.bytes().take_while(u8::is_ascii_digit).count() >= DATE_DIGITS
}

/// How many numbers a version is written with, and whether a `v` stands before them: what S6.1 calls its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// A lower-case `v` stands in front.
    pub(crate) prefixed: bool,
    /// One to three.
    pub(crate) parts: usize,
}

impl Form {
    /// The form of a text that [`parse`] takes.
    pub(crate) fn of(text: &str) -> Self {
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let parts = text[..end].split('.').count();
        Self { prefixed: text.starts_with('v'), parts }
    }
}

/// The order in which versions are chosen: precedence, with numbers inside pre-release identifiers compared as
/// numbers, so that `r9` comes before `r10` (S6.1). Total; equal only where the pre-releases are the same text.
pub(crate) fn compare(a: &Version, b: &Version) -> Ordering {
    (a.major, a.minor, a.patch)
        .cmp(&(b.major, b.minor, b.patch))
        .then_with(|| compare_prerelease(a.pre.as_str(), b.pre.as_str()))
}

fn compare_prerelease(a: &str, b: &str) -> Ordering {
    if a.is_empty() || b.is_empty() {
        // A release comes after all of its pre-releases.
        return a.is_empty().cmp(&b.is_empty());
    }
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match compare_identifier(a, b) {
                Ordering::Equal => {}
                different => return different,
            },
        }
    }
}

fn compare_identifier(a: &str, b: &str) -> Ordering {
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match (numeric(a), numeric(b)) {
        (true, true) => compare_digits(a, b),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => natural(a, b),
    }
}

/// Byte by byte, but a run of digits on both sides counts as one number. Equal numbers with different leading
/// zeros are told apart at the very end, so that different texts are never equal.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (a, after_a) = left.split_at(digits(left));
            let (b, after_b) = right.split_at(digits(right));
            let (a, b) = (without_zeros(a), without_zeros(b));
            match (a.len(), a).cmp(&(b.len(), b)) {
                Ordering::Equal => (left, right) = (after_a, after_b),
                different => return different,
            }
        } else if x == y {
            (left, right) = (&left[1..], &right[1..]);
        } else {
            return x.cmp(y);
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Compares two texts of digits as numbers of any length.
pub(crate) fn compare_digits(a: &str, b: &str) -> Ordering {
    let (a, b) = (without_zeros(a.as_bytes()), without_zeros(b.as_bytes()));
    (a.len(), a).cmp(&(b.len(), b))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_that_are_versions_s5_3() {
        for text in
            ["1", "v1", "1.2", "1.2.3", "01.002.3", "1.2.3-rc.1", "1-alpine3.18", "1.2.3+a.01", "18446744073709551615"]
        {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "v",
            "V1.0.0",
            "1.2.3.4",
            "release-1.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3+",
            "1..2",
            "1.2.",
            "18446744073709551616",
            "1.2.3-a_b",
            "x",
            "1.x",
            "1 ",
            "-1",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn long_first_numbers_are_dates_s5_3() {
        for text in ["20200101", "v20200101", "202001", "20200101.1", "20200101-rc"] {
            assert!(starts_like_a_date(text), "{text}");
        }
        for text in ["12345", "1.20200101", "v1", "x202001"] {
            assert!(!starts_like_a_date(text), "{text}");
        }
    }

    #[test]
    fn numbers_in_identifiers_count_as_numbers_s6_1() {
        let ascending = [
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-r9",
            "1.0.0-r9.1",
            "1.0.0-r10",
            "1.0.0-rc9",
            "1.0.0-rc10",
            "1.0.0",
            "1.0.1-0",
        ];
        for pair in ascending.windows(2) {
            let (a, b) = (parse(pair[0]).unwrap(), parse(pair[1]).unwrap());
            assert_eq!(compare(&a, &b), Ordering::Less, "{pair:?}");
        }
        assert_eq!(natural("debian-11-r3", "debian-11-r10"), Ordering::Less);
        assert_eq!(natural("rc-9", "rc9"), "rc-9".cmp("rc9"));
        assert_eq!(natural("r01", "r1"), Ordering::Less);
    }

    #[test]
    fn forms_s6_1() {
        assert_eq!(Form::of("v1.2-rc.1.2"), Form { prefixed: true, parts: 2 });
        assert_eq!(Form::of("1"), Form { prefixed: false, parts: 1 });
    }

    proptest! {
        // S6.1: three texts can never stand in a circle, which a rule of "only one number differs" would allow.
        #[test]
        fn natural_order_is_total_s6_1(a in "[ab01-]{0,5}", b in "[ab01-]{0,5}", c in "[ab01-]{0,5}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
