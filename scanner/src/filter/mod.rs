//! Filters: which tags an image may go to (S4.4, S5).
//!
//! Pure. Knows no creation times and chooses nothing: [`crate::choose`] does. A filter is parsed once and shared by
//! cheap clones; looking at a tag needs no memory, but for long pre-releases.

mod constraint;
mod glob;
mod regex;
pub(crate) mod version;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use semver::Version;
use thiserror::Error;

use self::{constraint::Constraint, regex::Pattern};
pub use self::{constraint::ConstraintError, regex::RegexError};
use crate::{reference, status::Verdict};

/// The longest filter, in bytes. It bounds what reading a hostile one can cost.
pub const MAX_FILTER: usize = 4096;

/// What a filter is written in (S4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterKind {
    /// `semver:`, a version constraint.
    Semver,
    /// `glob:` or no prefix.
    Glob,
    /// `regexp:` or `regex:`.
    Regex,
}

/// Prefixes are exact and case-sensitive; without one, a filter is a glob (S4.4).
const PREFIXES: [(&str, FilterKind); 4] = [
    ("semver:", FilterKind::Semver),
    ("regexp:", FilterKind::Regex),
    ("regex:", FilterKind::Regex),
    ("glob:", FilterKind::Glob),
];

fn split_prefix(text: &str) -> (FilterKind, &str) {
    PREFIXES
        .iter()
        .find_map(|(prefix, kind)| Some((*kind, text.strip_prefix(prefix)?)))
        .unwrap_or((FilterKind::Glob, text))
}

/// A parsed filter.
#[derive(Clone)]
pub struct Filter(Arc<Parsed>);

struct Parsed {
    text: String,
    matcher: Matcher,
}

enum Matcher {
    Semver(Constraint),
    /// The text behind the prefix is the pattern.
    Glob,
    Regex(Pattern),
}

/// Why a filter cannot be parsed. Such a filter matches nothing (S4.4).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The part behind `semver:`.
    #[error("the version constraint of the filter cannot be read: {0}")]
    Semver(#[source] ConstraintError),
    /// The part behind `regexp:` or `regex:`.
    #[error("the regular expression of the filter cannot be read: {0}")]
    Regex(#[source] RegexError),
    /// Longer than [`MAX_FILTER`].
    #[error("the filter is longer than {MAX_FILTER} bytes")]
    TooLong,
}

/// Why a tag is left out by its filter, or by the rules that hold before any filter (S5.3, S5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// [`Verdict::Filter`], [`Verdict::Latest`] or [`Verdict::Artifact`].
    pub verdict: Verdict,
    /// The reason in a sentence, without the tag.
    pub message: Cow<'static, str>,
}

impl Filter {
    /// Parses a filter as annotations hold it. Nothing is trimmed (S4.4).
    ///
    /// # Errors
    /// Where the constraint or the regular expression cannot be read. A glob always can.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_FILTER {
            return Err(FilterError::TooLong);
        }
        let (kind, body) = split_prefix(text);
        let matcher = match kind {
            FilterKind::Semver => Matcher::Semver(Constraint::parse(body).map_err(FilterError::Semver)?),
            FilterKind::Glob => Matcher::Glob,
            FilterKind::Regex => Matcher::Regex(Pattern::parse(body).map_err(FilterError::Regex)?),
        };
        Ok(Self(Arc::new(Parsed { text: text.to_owned(), matcher })))
    }

    /// The filter as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What the filter is written in.
    #[must_use]
    pub fn kind(&self) -> FilterKind {
        match self.0.matcher {
            Matcher::Semver(_) => FilterKind::Semver,
            Matcher::Glob => FilterKind::Glob,
            Matcher::Regex(_) => FilterKind::Regex,
        }
    }

    /// Whether the text, parsed or not, has white space that changes its meaning: before the prefix, or around what a
    /// glob or a regular expression says (S4.4). Constraints take white space around them.
    #[must_use]
    pub fn has_stray_space(text: &str) -> bool {
        let (kind, body) = split_prefix(text);
        kind != FilterKind::Semver && body.trim() != body
    }

    /// Whether the filter alone takes the tag (S5), by the rules about `latest` and artifacts too.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        self.examine(tag, self.admits_dates(None)).is_ok()
    }

    /// Whether the filter takes the tag for an image whose tag is `current`: where that one is a date, dates are
    /// versions (S5.3).
    ///
    /// # Errors
    /// The reason why not.
    pub fn judge(&self, tag: &str, current: Option<&str>) -> Result<(), Rejection> {
        match self.examine(tag, self.admits_dates(current)) {
            Ok(_) => Ok(()),
            Err(verdict) => Err(self.explain(tag, verdict, self.admits_dates(current))),
        }
    }

    /// What alphabetical order compares, and numerical order looks for a number in: the regular expression's group
    /// `order`, else its first group, else the whole tag (S4.5). `None` where that group took no part in the match.
    #[must_use]
    pub fn order_text<'a>(&self, tag: &'a str) -> Option<&'a str> {
        match &self.0.matcher {
            Matcher::Regex(pattern) => pattern.order_text(tag),
            Matcher::Semver(_) | Matcher::Glob => Some(tag),
        }
    }

    fn body(&self) -> &str {
        split_prefix(&self.0.text).1
    }

    /// Whether tags that begin with a date count as versions (S5.3).
    pub(crate) fn admits_dates(&self, current: Option<&str>) -> bool {
        current.is_some_and(version::starts_like_a_date)
            || matches!(&self.0.matcher, Matcher::Semver(constraint) if constraint.names_a_date())
    }

    /// Looks at a tag without making any text. A semver filter gives back the version it parsed.
    ///
    /// # Errors
    /// The verdict; [`Filter::explain`] makes a sentence of it.
    pub(crate) fn examine(&self, tag: &str, dates: bool) -> Result<Option<Version>, Verdict> {
        if is_artifact(tag) {
            return Err(Verdict::Artifact);
        }
        if tag.eq_ignore_ascii_case("latest") && !self.is_latest() {
            return Err(Verdict::Latest);
        }
        let taken = match &self.0.matcher {
            Matcher::Semver(constraint) => {
                let version = version::parse(tag).filter(|_| dates || !version::starts_like_a_date(tag));
                return match version {
                    Some(version) if constraint.matches(&version) => Ok(Some(version)),
                    _ => Err(Verdict::Filter),
                };
            }
            Matcher::Glob => glob::matches(self.body(), tag),
            Matcher::Regex(pattern) => pattern.is_match(tag),
        };
        if taken { Ok(None) } else { Err(Verdict::Filter) }
    }

    /// The sentence for a verdict of [`Filter::examine`] on the same tag.
    pub(crate) fn explain(&self, tag: &str, verdict: Verdict, dates: bool) -> Rejection {
        let body = self.body();
        let message = match (verdict, &self.0.matcher) {
            (Verdict::Latest, _) => "only a filter of exactly `latest` takes this tag".into(),
            (Verdict::Artifact, _) => "it names a signature, an attestation or an SBOM, not an image".into(),
            (_, Matcher::Semver(constraint)) => match version::parse(tag) {
                None => "it is no version".into(),
                Some(_) if !dates && version::starts_like_a_date(tag) => {
                    "its first number has six or more digits: a date or a commit, not a version".into()
                }
                Some(version) if !version.pre.is_empty() && constraint.wants_releases_only() => {
                    format!("it is a pre-release, and `{body}` asks for releases only").into()
                }
                Some(_) => format!("it does not satisfy `{body}`").into(),
            },
            (_, Matcher::Glob) => format!("it does not have the shape `{body}`").into(),
            (_, Matcher::Regex(_)) => format!("it does not match `{body}`").into(),
        };
        Rejection { verdict, message }
    }

    /// Whether the filter is exactly `latest` or `glob:latest` (S5.4).
    fn is_latest(&self) -> bool {
        matches!(self.0.matcher, Matcher::Glob) && self.body() == "latest"
    }
}

/// Whether the tag belongs to a signature, an attestation or an SBOM: `sha256-<64 hex>`, alone or with its ending
/// (S5.4).
fn is_artifact(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("sha256-") else {
        return false;
    };
    match rest.split_at_checked(64) {
        Some((hex, "" | ".sig" | ".att" | ".sbom")) => reference::is_sha256_hex(hex),
        _ => false,
    }
}

/// `glob:*`, which takes every tag but `latest` (S4.2).
impl Default for Filter {
    fn default() -> Self {
        Self(Arc::new(Parsed { text: "glob:*".to_owned(), matcher: Matcher::Glob }))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.text()).finish()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Filter {}
