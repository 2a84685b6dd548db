//! Regular expressions with Go's syntax and meaning, on the `regex` crate (S5.2).
//!
//! Pure. [`syntax`] reads Go's syntax and writes an equivalent pattern in which every class, flag and group is
//! spelled out; [`class`] knows the character classes. A pattern that Go refuses is refused. Limits on length, depth
//! and compiled size keep a hostile filter from costing more than a moment; they are tighter than Go's own.

mod class;
mod syntax;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// The compiled size that a pattern may have, in bytes.
const SIZE_LIMIT: usize = 10 << 20;

/// Enough for `syntax::MAX_DEPTH` groups with all they are wrapped in.
const NEST_LIMIT: u32 = 2_000;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    /// The index of the group that tags are ordered by (S4.5); 0, the whole match, never is.
    order_group: Option<usize>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, RegexError> {
        let compile = |alphabet| {
            let written = syntax::translate(text, alphabet)?;
            let regex = RegexBuilder::new(&written.pattern)
                .size_limit(SIZE_LIMIT)
                .nest_limit(NEST_LIMIT)
                .build()
                .map_err(|_| RegexError::TooLarge)?;
            Ok(Self { regex, order_group: written.order_group })
        };
        match compile(syntax::Alphabet::Unicode) {
            // A class such as `\pL` takes hundreds of times the room that its ASCII part takes, and tags are ASCII.
            Err(RegexError::TooLarge) => compile(syntax::Alphabet::Ascii),
            other => other,
        }
    }

    /// Whether any part of the text matches: the search is not anchored (S5.2).
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What the group named `order`, or else the first group, captured; the whole text where there is no group
    /// (S4.5). `None` where the text does not match or the group took no part in the match.
    pub(super) fn order_text<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self.order_group {
            Some(group) => self.regex.captures(text)?.get(group).map(|found| found.as_str()),
            None => self.regex.is_match(text).then_some(text),
        }
    }
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegexError {
    /// A backslash with something behind it that has no meaning.
    #[error("`{0}` is no escape sequence")]
    Escape(String),
    /// A backslash as the last character.
    #[error("the pattern ends with a backslash; `\\\\` stands for one")]
    TrailingBackslash,
    /// A range that runs backwards, or an unknown class name.
    #[error("`{0}` is no character class or range")]
    Class(String),
    /// `[` without `]`.
    #[error("`{0}` has no closing `]`")]
    MissingBracket(String),
    /// `(` without `)`.
    #[error("a `(` has no closing `)`")]
    MissingParen,
    /// `)` without `(`.
    #[error("a `)` has no opening `(`")]
    UnexpectedParen,
    /// `(?` with something behind it that RE2 does not know, such as look-around.
    #[error("`{0}` is not supported; groups are `(…)`, `(?:…)`, `(?P<name>…)`, and flags are `i`, `m`, `s`, `U`")]
    Group(String),
    /// A group's name with other characters than letters, digits and `_`.
    #[error("`{0}` is no name of a group")]
    GroupName(String),
    /// A repetition with nothing before it.
    #[error("`{0}` has nothing to repeat")]
    NothingToRepeat(String),
    /// `a**`, `a{2}{3}`.
    #[error("`{0}` repeats a repetition; put the inner one into `(?:…)`")]
    NestedRepeat(String),
    /// More than 1,000 repetitions, alone or by nesting, or a lower end above the upper one.
    #[error("`{0}` is no count of repetitions, or exceeds 1,000 together with those inside")]
    RepeatCount(String),
    /// Groups nested deeper than 200 levels.
    #[error("groups are nested more than {} deep", syntax::MAX_DEPTH)]
    TooDeep,
    /// The translated or compiled pattern exceeds its limit.
    #[error("the pattern takes too much room once compiled; use smaller repetition counts or classes")]
    TooLarge,
}
