//! The order that a choice is made in: what a tag is compared by, and how ties end (S4.5, S6.1).
//!
//! Pure. The order is total over different tags, so the same input gives the same choice.

use std::cmp::Ordering;

use jiff::Timestamp;
use semver::Version;

use super::policy::{Order, Policy};
use crate::{
    filter::version::{self, Form},
    status::Verdict,
};

/// What a tag is compared by. All keys of one choice are of one kind.
#[derive(Debug)]
pub(super) enum Key<'a> {
    Version(Version),
    Time(Timestamp),
    Number(Number<'a>),
    Text(&'a str),
}

impl<'a> Key<'a> {
    /// The key of a tag; `version` is what the filter parsed, if it did, and `time` what counts as creation time.
    ///
    /// # Errors
    /// The verdict on a tag that has none, and so is left out.
    pub(super) fn of(
        policy: &Policy,
        tag: &'a str,
        version: Option<Version>,
        time: Option<Timestamp>,
        dates: bool,
    ) -> Result<Self, Verdict> {
        match policy.order {
            Order::Semver => version
                .or_else(|| version::parse(tag).filter(|_| dates || !version::starts_like_a_date(tag)))
                .map(Key::Version)
                .ok_or(Verdict::NoVersion),
            Order::Created => time.map(Key::Time).ok_or(Verdict::NoCreationTime),
            Order::Numerical => {
                policy.filter.order_text(tag).and_then(Number::find).map(Key::Number).ok_or(Verdict::NoNumber)
            }
            Order::Alphabetical => policy.filter.order_text(tag).map(Key::Text).ok_or(Verdict::NoText),
        }
    }

    /// Which is newer, without regard to ties. Keys of different kinds never meet.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Version(a), Self::Version(b)) => version::compare(a, b),
            (Self::Time(a), Self::Time(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

/// A number of any length, with or without a fraction, as it stands in a tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Number<'a> {
    /// Without leading zeros.
    whole: &'a str,
    /// Without trailing zeros.
    fraction: &'a str,
}

impl<'a> Number<'a> {
    /// The only number in a text. `None` where there is none, or more than one: which is meant, nobody has said.
    fn find(text: &'a str) -> Option<Self> {
        let is_digit = |c: char| c.is_ascii_digit();
        let (whole, rest) = split_digits(&text[text.find(is_digit)?..]);
        let (fraction, rest) = match rest.strip_prefix('.').map(split_digits) {
            Some((fraction, rest)) if !fraction.is_empty() => (fraction, rest),
            _ => ("", rest),
        };
        (!rest.contains(is_digit))
            .then(|| Self { whole: whole.trim_start_matches('0'), fraction: fraction.trim_end_matches('0') })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.whole.len(), self.whole, self.fraction).cmp(&(other.whole.len(), other.whole, other.fraction))
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How tags with equal keys are ordered; the current tag has a say in it.
#[derive(Debug)]
pub(super) struct Ties<'a> {
    current: &'a str,
    form: Form,
}

impl<'a> Ties<'a> {
    pub(super) fn new(current: &'a str) -> Self {
        Self { current, form: Form::of(current) }
    }

    /// Compares tags with their keys; the greater one comes first. Only equal tags are equal.
    pub(super) fn rank(&self, a: (&Key<'_>, &str), b: (&Key<'_>, &str)) -> Ordering {
        let is_current = |tag| tag == self.current;
        a.0.compare(b.0).then_with(|| match a.0 {
            // Same `v`, same number of parts, descending text.
            Key::Version(_) => {
                let likeness = |tag| {
                    let form = Form::of(tag);
                    (is_current(tag), form.prefixed == self.form.prefixed, form.parts == self.form.parts, tag)
                };
                likeness(a.1).cmp(&likeness(b.1))
            }
            // Ascending text, whatever is current.
            Key::Time(_) => b.1.cmp(a.1),
            // Staying is better than moving for nothing.
            Key::Number(_) | Key::Text(_) => is_current(a.1).cmp(&is_current(b.1)).then_with(|| b.1.cmp(a.1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_s4_5() {
        let ascending =
            ["x0", "1", "1.05", "v1.1", "build-9", "10", "99999999999999999999998", "99999999999999999999999"];
        for pair in ascending.windows(2) {
            assert!(Number::find(pair[0]) < Number::find(pair[1]), "{pair:?}");
        }
        assert_eq!(Number::find("007.50"), Number::find("7.5"));
        for text in ["", "main", "1.2.3", "build-1-2", "1-"] {
            assert_eq!(Number::find(text).is_some(), text == "1-", "{text}");
        }
    }
}
