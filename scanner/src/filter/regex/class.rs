//! Character classes of Go's regular expressions, as sets of code points (S5.2).
//!
//! Pure. `\d`, `\s`, `\w` and the POSIX classes are ASCII in Go; Unicode classes go by the names that Go knows,
//! which are fewer than the `regex` crate's. Case folding is Unicode's simple folding in both.

use regex_syntax::{
    Parser,
    hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind},
};

/// Names that Go takes in `\p{…}`, in its canonical spelling, each with the query that the `regex` crate takes for it.
/// Recorded from Go by `tests/recorders`.
const UNICODE_NAMES: &str = include_str!("unicode-classes.tsv");

/// What is gathered while a class is read. Folding is put off to the end: it costs the same for one range or many.
#[derive(Default)]
pub(super) struct ClassBuilder {
    ranges: Vec<ClassUnicodeRange>,
    /// Taken as they are: negated groups, which are folded before they are negated.
    finished: Vec<ClassUnicodeRange>,
}

impl ClassBuilder {
    /// Adds code points from `low` to `high`. Surrogates, which no text holds, are left out.
    pub(super) fn push(&mut self, low: u32, high: u32) {
        for (low, high) in [(low, high.min(0xD7FF)), (low.max(0xE000), high)] {
            if let (true, Some(low), Some(high)) = (low <= high, char::from_u32(low), char::from_u32(high)) {
                self.ranges.push(ClassUnicodeRange::new(low, high));
            }
        }
    }

    /// Adds a named class, or all that is not in it.
    pub(super) fn push_group(&mut self, group: &ClassUnicode, negated: bool, fold: bool) {
        if !negated {
            self.ranges.extend_from_slice(group.ranges());
            return;
        }
        let mut group = group.clone();
        if fold {
            fold_case(&mut group);
        }
        group.negate();
        self.finished.extend_from_slice(group.ranges());
    }

    /// The whole class.
    pub(super) fn build(self, negated: bool, fold: bool) -> ClassUnicode {
        let mut class = ClassUnicode::new(self.ranges);
        if fold {
            fold_case(&mut class);
        }
        class.union(&ClassUnicode::new(self.finished));
        if negated {
            class.negate();
        }
        class
    }
}

fn fold_case(class: &mut ClassUnicode) {
    // Fails only where the crate is built without its case tables, which Cargo.toml rules out.
    let _ = class.try_case_fold_simple();
}

/// One code point, with all that it folds to where `fold` says so.
pub(super) fn single(c: u32, fold: bool) -> ClassUnicode {
    let mut builder = ClassBuilder::default();
    builder.push(c, c);
    builder.build(false, fold)
}

fn ascii(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(*low, *high)))
}

/// `d`, `s`, `w` and, negated, `D`, `S`, `W`.
pub(super) fn perl(letter: char) -> Option<(ClassUnicode, bool)> {
    let ranges: &[_] = match letter.to_ascii_lowercase() {
        'd' => &[('0', '9')],
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return None,
    };
    Some((ascii(ranges), letter.is_ascii_uppercase()))
}

/// The name between `[:` and `:]`, with its `^`.
pub(super) fn posix(name: &str) -> Option<(ClassUnicode, bool)> {
    let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let ranges: &[_] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    Some((ascii(ranges), negated))
}

/// The name behind `\p`, without braces, with its `^`; `None` where Go knows no such class.
pub(super) fn unicode(name: &str) -> Option<(ClassUnicode, bool)> {
    let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let name = canonical(name);
    let query = UNICODE_NAMES.lines().find_map(|line| match line.split_once('\t') {
        Some((known, query)) if known == name => Some(query),
        _ => None,
    })?;
    let class = match Parser::new().parse(&format!(r"\p{{{query}}}")).ok().map(|hir| hir.into_kind()) {
        Some(HirKind::Class(Class::Unicode(class))) => class,
        Some(HirKind::Literal(literal)) => {
            ClassUnicode::new(std::str::from_utf8(&literal.0).ok()?.chars().map(|c| ClassUnicodeRange::new(c, c)))
        }
        // Surrogates: a class that Go knows and no text can match.
        _ => ClassUnicode::empty(),
    };
    Some((class, negated))
}

/// Go compares names without regard to case, spaces, hyphens and underscores.
fn canonical(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')) {
        out.push(if out.is_empty() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    }
    out
}
