//! Reads Go's regular expression syntax and writes an equivalent pattern for the `regex` crate (S5.2).
//!
//! Pure. Does not recurse. What it writes uses only literals, classes as lists of ranges, groups, repetitions and
//! assertions with their flags beside them, so that no difference between the two dialects can slip through.

use std::fmt::Write as _;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{
    RegexError,
    class::{self, ClassBuilder},
};

/// How deep groups may nest. Go allows trees 1,000 nodes high, of which a group takes up to four.
pub(super) const MAX_DEPTH: usize = 200;

/// The most repetitions, alone or multiplied by nesting.
const MAX_REPEAT: u32 = 1_000;

/// The most bytes a translation may have.
const MAX_WRITTEN: usize = 1 << 20;

/// Which characters classes keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// All: exact on every text.
    Unicode,
    /// Only those that can occur in a tag, and their neighbours: exact on ASCII texts.
    Ascii,
}

/// A translated pattern.
pub(super) struct Translation {
    /// For the `regex` crate, without flags.
    pub(super) pattern: String,
    /// The number of the group named `order`, else of the first group.
    pub(super) order_group: Option<usize>,
}

/// Translates a pattern.
pub(super) fn translate(text: &str, alphabet: Alphabet) -> Result<Translation, RegexError> {
    let mut parser = Parser {
        rest: text,
        alphabet,
        flags: Flags::default(),
        frames: vec![Frame::new("(?:", Flags::default())],
        groups: 0,
        named_order: None,
        written: 0,
    };
    parser.run()?;
    let frame = parser.frames.pop().ok_or(RegexError::MissingParen)?;
    if !parser.frames.is_empty() {
        return Err(RegexError::MissingParen);
    }
    let order_group = parser.named_order.or((parser.groups > 0).then_some(1));
    Ok(Translation { pattern: frame.close().text, order_group })
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// `i`
    fold: bool,
    /// `m`
    lines: bool,
    /// `s`
    dot_all: bool,
    /// `U`
    lazy: bool,
}

/// A piece that a repetition can apply to.
struct Item {
    text: String,
    /// The product of the repetition counts on the costliest path inside.
    repeats: u32,
}

/// An open group, or the whole pattern.
struct Frame {
    opening: &'static str,
    /// In force again behind the group.
    outer_flags: Flags,
    alternatives: Vec<Vec<Item>>,
    items: Vec<Item>,
}

impl Frame {
    fn new(opening: &'static str, outer_flags: Flags) -> Self {
        Self { opening, outer_flags, alternatives: Vec::new(), items: Vec::new() }
    }

    fn close(mut self) -> Item {
        self.alternatives.push(self.items);
        let mut text = String::from(self.opening);
        let mut repeats = 1;
        for (at, items) in self.alternatives.iter().enumerate() {
            if at > 0 {
                text.push('|');
            }
            for item in items {
                text.push_str(&item.text);
                repeats = repeats.max(item.repeats);
            }
        }
        text.push(')');
        Item { text, repeats }
    }
}

struct Parser<'a> {
    rest: &'a str,
    alphabet: Alphabet,
    flags: Flags,
    frames: Vec<Frame>,
    groups: usize,
    named_order: Option<usize>,
    written: usize,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), RegexError> {
        // Where the repetition just before this place began, if that is what stood there.
        let mut repetition: Option<&str> = None;
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let mut repeated = false;
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.advance(1);
                    let frame = self.frame()?;
                    let items = std::mem::take(&mut frame.items);
                    frame.alternatives.push(items);
                }
                '^' => self.assertion(1, r"\A", "(?m:^)")?,
                '$' => self.assertion(1, r"\z", "(?m:$)")?,
                '.' => {
                    self.advance(1);
                    let mut dot = ClassBuilder::default();
                    if !self.flags.dot_all {
                        dot.push('\n'.into(), '\n'.into());
                    }
                    self.push_class(dot.build(true, false))?;
                }
                '[' => self.bracket()?,
                '*' | '+' | '?' => {
                    self.advance(1);
                    let (min, max) = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(Repeat { min, max, counted: false }, before, repetition)?;
                    repeated = true;
                }
                '{' => match scan_counts(self.rest) {
                    None => {
                        self.advance(1);
                        self.literal('{'.into())?;
                    }
                    Some((counts, after)) => {
                        self.rest = after;
                        let repeat = counts.ok_or_else(|| RegexError::RepeatCount(self.since(before)))?;
                        self.repeat(repeat, before, repetition)?;
                        repeated = true;
                    }
                },
                '\\' => self.backslash()?,
                _ => {
                    self.advance(c.len_utf8());
                    self.literal(c.into())?;
                }
            }
            repetition = repeated.then_some(before);
        }
        Ok(())
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// The text between an earlier place and this one, for an error.
    fn since(&self, before: &str) -> String {
        before[..before.len() - self.rest.len()].to_owned()
    }

    fn frame(&mut self) -> Result<&mut Frame, RegexError> {
        self.frames.last_mut().ok_or(RegexError::UnexpectedParen)
    }

    fn push(&mut self, item: Item) -> Result<(), RegexError> {
        self.written += item.text.len();
        if self.written > MAX_WRITTEN {
            return Err(RegexError::TooLarge);
        }
        self.frame()?.items.push(item);
        Ok(())
    }

    fn assertion(&mut self, bytes: usize, whole: &str, lines: &str) -> Result<(), RegexError> {
        self.advance(bytes);
        let text = if self.flags.lines { lines } else { whole };
        self.push(Item { text: text.to_owned(), repeats: 1 })
    }

    fn literal(&mut self, c: u32) -> Result<(), RegexError> {
        self.push_class(class::single(c, self.flags.fold))
    }

    fn push_class(&mut self, mut class: ClassUnicode) -> Result<(), RegexError> {
        if self.alphabet == Alphabet::Ascii {
            class.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]));
        }
        self.push(Item { text: write_class(&class), repeats: 1 })
    }

    /// At `(`.
    fn open(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let outer = self.flags;
        let opening = match self.rest.strip_prefix("(?") {
            None => {
                self.advance(1);
                "("
            }
            Some(inner) => match group_name(inner) {
                Some(name) => {
                    let (name, after) = name.split_once('>').ok_or_else(|| RegexError::GroupName(before.to_owned()))?;
                    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                        return Err(RegexError::GroupName(name.to_owned()));
                    }
                    self.rest = after;
                    if name == "order" {
                        self.named_order.get_or_insert(self.groups + 1);
                    }
                    "("
                }
                None => {
                    self.rest = inner;
                    match self.read_flags(before)? {
                        ':' => "(?:",
                        _ => return Ok(()),
                    }
                }
            },
        };
        if opening == "(" {
            self.groups += 1;
        }
        if self.frames.len() > MAX_DEPTH {
            return Err(RegexError::TooDeep);
        }
        self.frames.push(Frame::new(opening, outer));
        Ok(())
    }

    /// Behind `(?`: letters up to `:` or `)`, which comes back. The flags hold from here on.
    fn read_flags(&mut self, before: &str) -> Result<char, RegexError> {
        let mut flags = self.flags;
        let mut on = true;
        let mut letter_seen = false;
        while let Some(c) = self.rest.chars().next() {
            self.advance(c.len_utf8());
            let flag = match c {
                'i' => &mut flags.fold,
                'm' => &mut flags.lines,
                's' => &mut flags.dot_all,
                'U' => &mut flags.lazy,
                '-' if on => {
                    (on, letter_seen) = (false, false);
                    continue;
                }
                ':' | ')' if on || letter_seen => {
                    self.flags = flags;
                    return Ok(c);
                }
                _ => break,
            };
            *flag = on;
            letter_seen = true;
        }
        Err(RegexError::Group(self.since(before)))
    }

    /// At `)`.
    fn close(&mut self) -> Result<(), RegexError> {
        self.advance(1);
        if self.frames.len() < 2 {
            return Err(RegexError::UnexpectedParen);
        }
        let frame = self.frames.pop().ok_or(RegexError::UnexpectedParen)?;
        self.flags = frame.outer_flags;
        let item = frame.close();
        self.frame()?.items.push(item);
        Ok(())
    }

    /// Applies a repetition to the last item; `before` begins with its sign, `earlier` with that of a repetition just
    /// before it.
    fn repeat(&mut self, repeat: Repeat, before: &str, earlier: Option<&str>) -> Result<(), RegexError> {
        let mut lazy = self.flags.lazy;
        if self.rest.starts_with('?') {
            self.advance(1);
            lazy = !lazy;
        }
        if let Some(earlier) = earlier {
            return Err(RegexError::NestedRepeat(self.since(earlier)));
        }
        let sign = self.since(before);
        let item = self.frame()?.items.pop().ok_or_else(|| RegexError::NothingToRepeat(sign.clone()))?;
        let repeats = if repeat.counted { repeat.product(item.repeats) } else { item.repeats };
        if repeat.counted && (repeat.min >= 2 || repeat.max >= Some(2)) && repeats > MAX_REPEAT {
            return Err(RegexError::RepeatCount(sign));
        }
        let mut text = format!("(?:{})", item.text);
        // Writing into a string cannot fail.
        let _ = match (repeat.min, repeat.max) {
            (0, None) => write!(text, "*"),
            (1, None) => write!(text, "+"),
            (0, Some(1)) => write!(text, "?"),
            (min, None) => write!(text, "{{{min},}}"),
            (min, Some(max)) => write!(text, "{{{min},{max}}}"),
        };
        if lazy {
            text.push('?');
        }
        self.written += text.len() - item.text.len();
        self.frame()?.items.push(Item { text, repeats });
        Ok(())
    }

    /// At a backslash outside of brackets.
    fn backslash(&mut self) -> Result<(), RegexError> {
        match self.rest.as_bytes().get(1) {
            Some(b'A') => self.assertion(2, r"\A", r"\A"),
            Some(b'z') => self.assertion(2, r"\z", r"\z"),
            Some(b'b') => self.assertion(2, r"(?-u:\b)", r"(?-u:\b)"),
            Some(b'B') => self.assertion(2, r"(?-u:\B)", r"(?-u:\B)"),
            Some(b'Q') => {
                let quoted = &self.rest[2..];
                let (quoted, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                self.rest = after;
                quoted.chars().try_for_each(|c| self.literal(c.into()))
            }
            _ => {
                let mut builder = ClassBuilder::default();
                if self.class_escape(&mut builder)? {
                    self.push_class(builder.build(false, self.flags.fold))
                } else {
                    let c = self.escape()?;
                    self.literal(c)
                }
            }
        }
    }

    /// At a backslash: `\d`, `\pN`, `\p{Greek}` and their like, added to a class. False for anything else.
    fn class_escape(&mut self, builder: &mut ClassBuilder) -> Result<bool, RegexError> {
        let before = self.rest;
        let mut chars = before.chars();
        chars.next();
        let Some(letter) = chars.next() else {
            return Ok(false);
        };
        let found = match letter {
            'p' | 'P' => {
                let behind = chars.as_str();
                let (name, after) = match behind.strip_prefix('{') {
                    Some(name) => name.split_once('}').ok_or_else(|| RegexError::Class(before.to_owned()))?,
                    None => behind.split_at(behind.chars().next().map_or(0, char::len_utf8)),
                };
                self.rest = after;
                let (class, negated) = class::unicode(name).ok_or_else(|| RegexError::Class(self.since(before)))?;
                (class, negated != (letter == 'P'))
            }
            _ => match class::perl(letter) {
                Some(found) => {
                    self.rest = chars.as_str();
                    found
                }
                None => return Ok(false),
            },
        };
        builder.push_group(&found.0, found.1, self.flags.fold);
        Ok(true)
    }

    /// At a backslash: an escape that stands for one character.
    fn escape(&mut self) -> Result<u32, RegexError> {
        let before = self.rest;
        self.advance(1);
        let c = self.next().ok_or(RegexError::TrailingBackslash)?;
        let value = match c {
            '0'..='7' if c == '0' || self.rest.starts_with(|next| matches!(next, '0'..='7')) => {
                let mut value = digit(c, 8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(next) = self.rest.chars().next().and_then(|next| digit(next, 8)) else {
                        break;
                    };
                    value = value * 8 + next;
                    self.advance(1);
                }
                Some(value)
            }
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c.into()),
            _ => None,
        };
        value.ok_or_else(|| RegexError::Escape(self.since(before)))
    }

    /// Behind `\x`: two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            return Some(digit(first, 16)? * 16 + digit(self.next()?, 16)?);
        }
        let mut value = None;
        loop {
            match self.next()? {
                '}' => return value,
                c => {
                    let sum = value.unwrap_or(0) * 16 + digit(c, 16)?;
                    value = Some(sum).filter(|sum| *sum <= u32::from(char::MAX));
                    value?;
                }
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.advance(c.len_utf8());
        Some(c)
    }

    /// At `[`.
    fn bracket(&mut self) -> Result<(), RegexError> {
        let whole = self.rest;
        self.advance(1);
        let negated = self.rest.starts_with('^');
        if negated {
            self.advance(1);
        }
        let mut builder = ClassBuilder::default();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.posix_class(&mut builder)? {
                continue;
            }
            if self.rest.starts_with('\\') && self.class_escape(&mut builder)? {
                continue;
            }
            let before = self.rest;
            let low = self.class_char(whole)?;
            let mut high = low;
            if let Some(after) = self.rest.strip_prefix('-')
                && !after.is_empty()
                && !after.starts_with(']')
            {
                self.rest = after;
                high = self.class_char(whole)?;
                if high < low {
                    return Err(RegexError::Class(self.since(before)));
                }
            }
            builder.push(low, high);
        }
        self.advance(1);
        self.push_class(builder.build(negated, self.flags.fold))
    }

    /// `[:name:]`, where the end may stand anywhere behind, also behind the bracket, as in Go.
    fn posix_class(&mut self, builder: &mut ClassBuilder) -> Result<bool, RegexError> {
        let Some((name, after)) = self.rest.strip_prefix("[:").and_then(|inner| inner.split_once(":]")) else {
            return Ok(false);
        };
        let (class, negated) = class::posix(name).ok_or_else(|| RegexError::Class(format!("[:{name}:]")))?;
        builder.push_group(&class, negated, self.flags.fold);
        self.rest = after;
        Ok(true)
    }

    fn class_char(&mut self, whole: &str) -> Result<u32, RegexError> {
        if self.rest.starts_with('\\') {
            return self.escape();
        }
        self.next().map(u32::from).ok_or_else(|| RegexError::MissingBracket(whole.to_owned()))
    }
}

fn group_name(inner: &str) -> Option<&str> {
    // Go looks for a name only where something stands behind the `<`.
    inner.strip_prefix("P<").or_else(|| inner.strip_prefix('<')).filter(|name| !name.is_empty())
}

fn digit(c: char, radix: u32) -> Option<u32> {
    c.to_digit(radix)
}

#[derive(Clone, Copy)]
struct Repeat {
    min: u32,
    max: Option<u32>,
    /// Written with numbers: only these count towards the limit.
    counted: bool,
}

impl Repeat {
    fn product(self, inner: u32) -> u32 {
        match self.max {
            // Nothing of what is inside is left.
            Some(0) => 1,
            max => max.unwrap_or(self.min).max(1).saturating_mul(inner),
        }
    }
}

/// `{n}`, `{n,}`, `{n,m}` and what stands behind; the counts are `None` where they are out of bounds. Anything else
/// makes the brace a literal.
fn scan_counts(text: &str) -> Option<(Option<Repeat>, &str)> {
    let (min, rest) = scan_count(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => scan_count(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    let fits = min <= MAX_REPEAT && max.is_none_or(|max| max <= MAX_REPEAT && min <= max);
    Some((fits.then_some(Repeat { min, max, counted: true }), rest))
}

/// A number without leading zeros; too large a one comes back as the largest.
fn scan_count(text: &str) -> Option<(u32, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

fn write_class(class: &ClassUnicode) -> String {
    match class.ranges() {
        // The crate has no literal for the empty class.
        [] => return "[a&&b]".to_owned(),
        [only] if only.start() == only.end() => return write_char(only.start()),
        _ => {}
    }
    let mut text = String::from("[");
    for range in class.ranges() {
        text.push_str(&write_char(range.start()));
        if range.start() != range.end() {
            text.push('-');
            text.push_str(&write_char(range.end()));
        }
    }
    text.push(']');
    text
}

fn write_char(c: char) -> String {
    if c.is_ascii_alphanumeric() { c.to_string() } else { format!(r"\x{{{:X}}}", u32::from(c)) }
}
