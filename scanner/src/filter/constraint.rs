//! Version constraints with the meaning that Masterminds/semver 3.1.1 gives them (S5.3).
//!
//! Pure. Commas and spaces join comparators, `||` joins alternatives, `a - b` is a range. A text that is not covered
//! by its comparators to the last character is refused: the original reads `1.2.33.4` as `1.2.33` and `4`.

use std::cmp::Ordering;

use semver::Version;
use thiserror::Error;

use super::version;

/// A parsed constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constraint {
    /// Any of these must hold, and of each, all comparators.
    alternatives: Vec<Vec<Comparator>>,
    /// Whether a first number has so many digits that dates are meant (S5.3).
    names_a_date: bool,
}

/// Why a constraint cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// Nothing stands before, between or behind `||`.
    #[error("a constraint is missing; `*` stands for every release")]
    Empty,
    /// A place where a version has to stand.
    #[error("cannot read a version at `{0}`")]
    Version(String),
    /// Numbers and wildcards mixed in one part, too large a number, a pre-release with a leading zero.
    #[error("`{0}` is no version to compare with")]
    Bound(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparator {
    operator: Operator,
    bound: Version,
    precision: Precision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// Longer spellings come before those they begin with.
const OPERATORS: [(&str, Operator); 11] = [
    (">=", Operator::GreaterEqual),
    ("=>", Operator::GreaterEqual),
    ("<=", Operator::LessEqual),
    ("=<", Operator::LessEqual),
    ("!=", Operator::NotEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

/// How much of the bound is written out; the rest is absent or a wildcard, and 0 in the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Any,
    Major,
    Minor,
    Patch,
}

impl Constraint {
    pub(super) fn parse(text: &str) -> Result<Self, ConstraintError> {
        let text = write_out_ranges(text);
        let mut names_a_date = false;
        let alternatives =
            text.split("||").map(|part| parse_comparators(part, &mut names_a_date)).collect::<Result<_, _>>()?;
        Ok(Self { alternatives, names_a_date })
    }

    pub(super) fn matches(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|comparator| comparator.matches(version)))
    }

    /// Whether the constraint itself has a first number of six or more digits (S5.3).
    pub(super) fn names_a_date(&self) -> bool {
        self.names_a_date
    }

    /// Whether no comparator asks for pre-releases, so that none can match but by `!=` (S5.3).
    pub(super) fn wants_releases_only(&self) -> bool {
        self.alternatives.iter().flatten().all(|comparator| comparator.bound.pre.is_empty())
    }
}

/// The white space of constraints: ASCII, without the vertical tab.
fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\x0c'])
}

/// Puts `>= a, <= b` in the place of each `a - b`, with the white space around it.
fn write_out_ranges(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = skip_space(&text[at..]);
        if let Some((low, high, after)) = scan_range(rest) {
            out.push_str(&format!(">= {low}, <= {high}"));
            at = text.len() - skip_space(after).len();
            continue;
        }
        let step = text[at..].chars().next().map_or(1, char::len_utf8);
        out.push_str(&text[at..at + step]);
        at += step;
    }
    out
}

fn scan_range(text: &str) -> Option<(&str, &str, &str)> {
    let (low, after) = scan_bound(text)?;
    let after = skip_some_space(after)?.strip_prefix('-')?;
    let (high, after) = scan_bound(skip_some_space(after)?)?;
    Some((low.text, high.text, after))
}

fn skip_some_space(text: &str) -> Option<&str> {
    let rest = skip_space(text);
    (rest.len() < text.len()).then_some(rest)
}

fn parse_comparators(text: &str, names_a_date: &mut bool) -> Result<Vec<Comparator>, ConstraintError> {
    let mut rest = text;
    if skip_space(rest).is_empty() {
        return Err(ConstraintError::Empty);
    }
    let mut comparators = Vec::new();
    while !rest.is_empty() {
        rest = skip_space(rest);
        let (operator, after) = OPERATORS
            .iter()
            .find_map(|(spelling, operator)| Some((*operator, rest.strip_prefix(spelling)?)))
            .unwrap_or((Operator::Equal, rest));
        let place = skip_space(after);
        let (bound, after) = scan_bound(place).ok_or_else(|| ConstraintError::Version(place.into()))?;
        *names_a_date |= version::starts_like_a_date(bound.text);
        comparators.push(bound.comparator(operator).ok_or_else(|| ConstraintError::Bound(bound.text.into()))?);
        rest = skip_space(after);
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    comparators.shrink_to_fit();
    Ok(comparators)
}

/// A bound as it is written, in pieces that are not checked yet.
struct Bound<'a> {
    text: &'a str,
    parts: [Option<&'a str>; 3],
    pre: Option<&'a str>,
}

/// The longest text with the shape of a bound: `v`, up to three parts, pre-release, metadata.
fn scan_bound(text: &str) -> Option<(Bound<'_>, &str)> {
    // A single `|` is let through here, and refused as a number later, as it is no separator either.
    let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b'x' | b'X' | b'*' | b'|');
    let is_identifier = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let (first, mut rest) = take(text.strip_prefix('v').unwrap_or(text), is_part)?;
    let mut parts = [Some(first), None, None];
    for part in &mut parts[1..] {
        let Some((found, after)) = rest.strip_prefix('.').and_then(|after| take(after, is_part)) else {
            break;
        };
        (*part, rest) = (Some(found), after);
    }
    let mut identifiers = |mark: char| {
        let (_, mut after) = rest.strip_prefix(mark).and_then(|after| take(after, is_identifier))?;
        while let Some((_, further)) = after.strip_prefix('.').and_then(|after| take(after, is_identifier)) {
            after = further;
        }
        let found = &rest[mark.len_utf8()..rest.len() - after.len()];
        rest = after;
        Some(found)
    };
    let pre = identifiers('-');
    let _metadata = identifiers('+');
    Some((Bound { text: &text[..text.len() - rest.len()], parts, pre }, rest))
}

fn take(text: &str, wanted: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let end = text.bytes().take_while(|b| wanted(*b)).count();
    (end > 0).then(|| text.split_at(end))
}

impl Bound<'_> {
    fn comparator(&self, operator: Operator) -> Option<Comparator> {
        let is_wildcard = |part: &str| matches!(part, "x" | "X" | "*");
        let mut numbers = [0; 3];
        let mut written = 0;
        for part in self.parts.into_iter().map_while(|part| part.filter(|part| !is_wildcard(part))) {
            numbers[written] = version::parse_number(part)?;
            written += 1;
        }
        let precision = match written {
            0 => Precision::Any,
            1 => Precision::Major,
            2 => Precision::Minor,
            _ => Precision::Patch,
        };
        let [major, minor, patch] = numbers;
        let mut bound = Version::new(major, minor, patch);
        // A bare wildcard drops its pre-release.
        if let Some(pre) = self.pre
            && precision != Precision::Any
        {
            bound.pre = semver::Prerelease::new(pre).ok()?;
        }
        Some(Comparator { operator, bound, precision })
    }
}

impl Comparator {
    fn matches(&self, version: &Version) -> bool {
        let (bound, precision) = (&self.bound, self.precision);
        let exact_not_equal = self.operator == Operator::NotEqual && precision == Precision::Patch;
        if !version.pre.is_empty() && bound.pre.is_empty() && !exact_not_equal {
            return false;
        }
        let order = version.cmp_precedence(bound);
        match self.operator {
            Operator::Equal if precision == Precision::Patch => order.is_eq(),
            Operator::Equal | Operator::Tilde => order.is_ge() && self.tilde(version),
            Operator::NotEqual => self.not_equal(version, order),
            Operator::Greater => self.greater(version, order),
            Operator::Less => order.is_lt(),
            Operator::GreaterEqual => order.is_ge(),
            Operator::LessEqual => self.less_equal(version, order),
            Operator::Caret => order.is_ge() && self.caret(version),
        }
    }

    fn not_equal(&self, version: &Version, order: Ordering) -> bool {
        let bound = &self.bound;
        match self.precision {
            Precision::Any | Precision::Patch => order.is_ne(),
            Precision::Major => version.major != bound.major,
            Precision::Minor => {
                (version.major, version.minor) != (bound.major, bound.minor) || version.pre != bound.pre
            }
        }
    }

    /// `>11` needs 12, `>11.1` needs 11.2.
    fn greater(&self, version: &Version, order: Ordering) -> bool {
        let bound = &self.bound;
        match self.precision {
            Precision::Patch => order.is_gt(),
            Precision::Any => version.major > 0 || order.is_gt(),
            Precision::Major => version.major > bound.major,
            Precision::Minor => (version.major, version.minor) > (bound.major, bound.minor),
        }
    }

    /// `<=11` includes 11.2.3.
    fn less_equal(&self, version: &Version, order: Ordering) -> bool {
        let bound = &self.bound;
        match self.precision {
            Precision::Patch => order.is_le(),
            Precision::Major => version.major <= bound.major,
            Precision::Any | Precision::Minor => (version.major, version.minor) <= (bound.major, bound.minor),
        }
    }

    /// The upper end of `~`: the same minor version, or the same major version where no minor one is written. A bound
    /// of three zeros has no upper end.
    fn tilde(&self, version: &Version) -> bool {
        let bound = &self.bound;
        match self.precision {
            Precision::Any => true,
            Precision::Major => version.major == bound.major,
            Precision::Patch if (bound.major, bound.minor, bound.patch) == (0, 0, 0) => true,
            Precision::Minor | Precision::Patch => (version.major, version.minor) == (bound.major, bound.minor),
        }
    }

    /// The upper end of `^`: the leftmost number that is not 0 stays.
    fn caret(&self, version: &Version) -> bool {
        let bound = &self.bound;
        if bound.major > 0 || self.precision == Precision::Major {
            return version.major == bound.major;
        }
        if version.major > 0 {
            return false;
        }
        if bound.minor > 0 || self.precision == Precision::Minor {
            return version.minor == bound.minor;
        }
        version.patch == bound.patch
    }
}
