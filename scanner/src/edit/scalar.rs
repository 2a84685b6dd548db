//! One scalar's source text, re-written in part (S7.1, S7.2).
//!
//! Owns the mapping from a range of a scalar's value to the bytes that stand for it, and the question whether a plain
//! scalar has to be put in quotes. Must not know of files, trees or containers.

use std::ops::Range;

use crate::manifest::scalar::is_string_when_plain;

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// Without quotes.
    Plain,
    /// In `'…'`.
    Single,
    /// In `"…"`.
    Double,
}

/// What a plain scalar is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// It is put in double quotes where YAML would read its new text as no string (S7.2).
    QuotedWhereNeeded,
    /// It has the YAML tag of strings, so it is one without quotes.
    Stays,
    /// It stands in JSON, where a string has quotes.
    Quoted,
}

/// A change within a scalar: these bytes of its value become this text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'t> {
    /// Byte range within the value.
    pub(crate) range: Range<usize>,
    /// What stands there afterwards: characters of tags and digests only.
    pub(crate) text: &'t str,
}

/// A scalar after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// The new source text, quotes included.
    pub(crate) source: String,
    /// The new value.
    pub(crate) value: String,
}

/// Puts the parts, which are in order and apart, into the scalar written as `source` with the value `value`, keeping
/// its quoting, or a plain one as `plain` says (S7.1, S7.2).
///
/// # Errors
/// Why the scalar cannot be changed: it goes over several lines, or is written in a way whose bytes cannot be told.
pub(crate) fn rewrite(
    source: &str,
    quoting: Quoting,
    plain: Plain,
    value: &str,
    parts: &[Part<'_>],
) -> Result<Rewritten, String> {
    if source.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return Err("its text goes over several lines".into());
    }
    let new_value = replaced(value, parts, Some).ok_or_else(cannot_tell)?;
    let source = match quoting {
        Quoting::Plain => {
            if source != value {
                return Err(cannot_tell());
            }
            let quoted = match plain {
                Plain::QuotedWhereNeeded => needs_quotes(&new_value),
                Plain::Stays => false,
                Plain::Quoted => true,
            };
            if quoted { double_quoted(&new_value) } else { new_value.clone() }
        }
        Quoting::Single | Quoting::Double => {
            let units = decode(source, quoting).ok_or_else(cannot_tell)?;
            if units.value != value {
                return Err(cannot_tell());
            }
            replaced(source, parts, |offset| units.source_offset(offset)).ok_or_else(cannot_tell)?
        }
    };
    Ok(Rewritten { source, value: new_value })
}

fn cannot_tell() -> String {
    "its text is written so that the bytes of the tag cannot be told".into()
}

/// The text with the parts put in, their offsets first mapped by `place`.
fn replaced(text: &str, parts: &[Part<'_>], place: impl Fn(usize) -> Option<usize>) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut done = 0;
    for part in parts {
        let (start, end) = (place(part.range.start)?, place(part.range.end)?);
        if end < start {
            return None;
        }
        out.push_str(text.get(done..start)?);
        out.push_str(part.text);
        done = end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

/// A quoted scalar's value, with where its bytes come from.
struct Decoded {
    value: String,
    /// `(value offset, source offset)` wherever the distance between the two changes, in order.
    steps: Vec<(usize, usize)>,
    /// Value ranges of characters that are written as escapes: no offset strictly inside can be mapped.
    escapes: Vec<Range<usize>>,
}

impl Decoded {
    fn source_offset(&self, offset: usize) -> Option<usize> {
        if offset > self.value.len() || self.escapes.iter().any(|escape| escape.start < offset && offset < escape.end) {
            return None;
        }
        let step = self.steps.partition_point(|(value, _)| *value <= offset).checked_sub(1)?;
        let (value, source) = self.steps[step];
        Some(source + (offset - value))
    }
}

/// Reads a quoted scalar of one line; `None` where it is none.
fn decode(source: &str, quoting: Quoting) -> Option<Decoded> {
    let quote = if quoting == Quoting::Single { '\'' } else { '"' };
    let body = source.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut decoded = Decoded { value: String::with_capacity(body.len()), steps: vec![(0, 1)], escapes: Vec::new() };
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        let (character, length) = match (quoting, c) {
            (Quoting::Single, '\'') => (rest.starts_with("''").then_some('\'')?, 2),
            (Quoting::Double, '"') => return None,
            (Quoting::Double, '\\') => escape(&rest[1..])?,
            _ => (c, 0),
        };
        let start = decoded.value.len();
        decoded.value.push(character);
        if length == 0 {
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[length..];
            decoded.escapes.push(start..decoded.value.len());
            decoded.steps.push((decoded.value.len(), 1 + body.len() - rest.len()));
        }
    }
    Some(decoded)
}

/// The character that an escape in double quotes stands for, and the length of the escape with its backslash.
/// `text` begins behind the backslash.
fn escape(text: &str) -> Option<(char, usize)> {
    let digits = match text.as_bytes().first()? {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        simple => {
            let character = match simple {
                b'0' => '\0',
                b'a' => '\u{7}',
                b'b' => '\u{8}',
                b't' | b'\t' => '\t',
                b'n' => '\n',
                b'v' => '\u{b}',
                b'f' => '\u{c}',
                b'r' => '\r',
                b'e' => '\u{1b}',
                b' ' | b'"' | b'/' | b'\\' => char::from(*simple),
                b'N' => '\u{85}',
                b'_' => '\u{a0}',
                b'L' => '\u{2028}',
                b'P' => '\u{2029}',
                _ => return None,
            };
            return Some((character, 2));
        }
    };
    let code = hex(text.get(1..=digits)?)?;
    if !(0xd800..0xdc00).contains(&code) {
        return Some((char::from_u32(code)?, digits + 2));
    }
    // JSON writes characters beyond 16 bits as two escapes.
    let low = hex(text.get(5..)?.strip_prefix("\\u")?.get(..4)?)?;
    if digits != 4 || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00))?, 12))
}

fn hex(digits: &str) -> Option<u32> {
    // `from_str_radix` would also take a sign.
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// The text as a scalar in double quotes.
pub(crate) fn double_quoted(text: &str) -> String {
    use std::fmt::Write;

    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a plain scalar of this text would be read as anything but the string `text`, by YAML 1.1 or 1.2, in block
/// or flow context (S7.2). Cautious about characters: in doubt it is true.
#[must_use]
pub fn needs_quotes(text: &str) -> bool {
    !is_plain(text) || !is_string_when_plain(text)
}

/// Whether the characters can stand without quotes, also between `{` and `}`.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    !"-?:,[]{}#&*!|>'\"%@`".contains(first)
        && !text.starts_with("...")
        && !text.ends_with([':', ' '])
        && !first.is_whitespace()
        && !text.contains([',', '[', ']', '{', '}'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_reads_as_no_string_needs_quotes_s7_2() {
        for text in [
            // The empty scalar, null and the keys with a meaning.
            "",
            "~",
            "null",
            "Null",
            "NULL",
            "=",
            "<<",
            // Booleans of 1.1 and 1.2.
            "y",
            "Y",
            "n",
            "N",
            "yes",
            "Yes",
            "YES",
            "no",
            "No",
            "NO",
            "on",
            "On",
            "ON",
            "off",
            "Off",
            "OFF",
            "true",
            "True",
            "TRUE",
            "false",
            "False",
            "FALSE",
            // Integers.
            "0",
            "1",
            "42",
            "+1",
            "-1",
            "007",
            "0755",
            "08",
            "1_000",
            "1__0",
            "0b1",
            "0b1_0",
            "0B1",
            "0o7",
            "0o17",
            "0O7",
            "0x1f",
            "0X1F",
            "0x_1f",
            "-0x1f",
            "20240627",
            "123456789012345678901234567890",
            "1_",
            "1:20",
            "190:20:30",
            "-1:20",
            "1_0:59",
            "20:9",
            // Floats.
            "1.9",
            "1.10",
            "1.",
            ".5",
            "-.5",
            "+1.0",
            "1e3",
            "1E3",
            "1e+3",
            "1.5e-3",
            "1.e5",
            "12e5",
            "0e0",
            "1_000.5",
            ".inf",
            ".Inf",
            ".INF",
            "-.inf",
            "+.INF",
            ".nan",
            ".NaN",
            ".NAN",
            "190:20:30.15",
            "1:20.",
            // Times.
            "2024-06-27",
            "2024-6-7",
            "2001-12-14t21:59:43.10-05:00",
            "2001-12-14 21:59:43.10 -5",
            "2001-12-15 2:59:43",
            "2001-12-14T21:59:43Z",
            // Characters that mean something else.
            "-",
            "- a",
            "-a",
            "?",
            "? a",
            ":",
            "a:",
            "a: b",
            "a #b",
            "#a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "'a",
            "\"a",
            "%a",
            "@a",
            "`a",
            "a,b",
            "a]",
            "[a",
            "{a",
            "a}",
            " a",
            "a ",
            "a\tb",
            "a\nb",
            "---",
            "...",
            "a\u{2028}b",
            "\u{feff}a",
        ] {
            assert!(needs_quotes(text), "{text:?}");
        }
    }

    #[test]
    fn ordinary_tags_and_images_stay_plain_s7_2() {
        for text in [
            "1.2.3",
            "v1",
            "v1.10",
            "1.10.0",
            "1.2.3-alpine",
            "latest",
            "master-abc1234",
            "946427ff-foo",
            "af14eb2",
            "1.19-alpine",
            "2024.06.27",
            "2024-06",
            "2024-06-27-abc",
            "20240627-1",
            "_1",
            "__",
            "1e",
            "e3",
            "1e3a",
            "1e3.5",
            "0x",
            "0xg",
            "0b2",
            "0o8",
            "nope",
            "none",
            "yess",
            "nullable",
            "inf",
            "nan",
            "infinity",
            ".infx",
            "1.2e",
            "+",
            "a:1",
            "nginx:1.25",
            "quay.io/a/b:1.10",
            "localhost:5000/a:1",
            "1:60",
            "1:1:99",
            "1:200",
            "a@sha256:00",
            "1-2",
            "01-02-03",
            "1.2.",
            "a#b",
            "a b",
            "é",
            "1..2",
            "x1_0",
            "0.1.0",
            "1.9.",
            "r9",
            "0a",
        ] {
            assert!(!needs_quotes(text), "{text:?}");
        }
    }

    fn change(source: &str, quoting: Quoting, value: &str, old: &str, new: &str) -> Result<String, String> {
        let start = value.rfind(old).unwrap();
        let part = Part { range: start..start + old.len(), text: new };
        rewrite(source, quoting, Plain::QuotedWhereNeeded, value, &[part]).map(|rewritten| {
            assert_eq!(rewritten.value, format!("{}{new}{}", &value[..start], &value[start + old.len()..]));
            rewritten.source
        })
    }

    #[test]
    fn a_scalar_keeps_its_quoting_s7_2() {
        use Quoting::{Double, Single};
        for (source, quoting, value, old, new, expected) in [
            ("1.9", Quoting::Plain, "1.9", "1.9", "1.10", r#""1.10""#),
            ("1.9", Quoting::Plain, "1.9", "1.9", "1.9.1", "1.9.1"),
            ("a:1", Quoting::Plain, "a:1", "1", "1.10", "a:1.10"),
            ("1:a", Quoting::Plain, "1:a", "a", "20", r#""1:20""#),
            ("'1.9'", Single, "1.9", "1.9", "1.10", "'1.10'"),
            ("'a''b:1'", Single, "a'b:1", "1", "2", "'a''b:2'"),
            (r#""a:1""#, Double, "a:1", "1", "2", r#""a:2""#),
            (r#""quay.io\/a:1""#, Double, "quay.io/a:1", "1", "2", r#""quay.io\/a:2""#),
            (r#""a\x3a\u0031""#, Double, "a:1", "1", "2", r#""a\x3a2""#),
            (r#""\U0001f600\t\ud83d\ude00é:1 ""#, Double, "😀\t😀é:1 ", "1", "2", r#""\U0001f600\t\ud83d\ude00é:2 ""#),
        ] {
            assert_eq!(change(source, quoting, value, old, new).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn two_parts_of_one_scalar_change_together_s2_6() {
        let value = "v1@sha256:00";
        let parts = [Part { range: 0..2, text: "v2" }, Part { range: 3..12, text: "sha256:11" }];
        let rewritten = rewrite(value, Quoting::Plain, Plain::QuotedWhereNeeded, value, &parts).unwrap();
        assert_eq!(rewritten.source, "v2@sha256:11");
        assert_eq!(rewritten.source, rewritten.value);
    }

    #[test]
    fn what_cannot_be_told_is_refused_s7_4() {
        use Quoting::{Double, Single};
        for (source, quoting, value) in [
            ("a\n  :1", Quoting::Plain, "a :1"),
            ("'a\n:1'", Single, "a :1"),
            ("\"a\\\n:1\"", Double, "a:1"),
            ("b:1", Quoting::Plain, "a:1"),
            ("'b:1'", Single, "a:1"),
            ("'a:1", Single, "a:1"),
            ("'a':1'", Single, "a':1"),
            (r#""a\q:1""#, Double, "aq:1"),
            (r#""a\u+041:1""#, Double, "aA:1"),
            (r#""\ud83d:1""#, Double, "?:1"),
            (r#""\ud83d\u0041:1""#, Double, "?:1"),
        ] {
            assert!(change(source, quoting, value, "1", "2").is_err(), "{source}");
        }
        // An offset inside an escaped character.
        let part = Part { range: 1..2, text: "x" };
        assert!(rewrite(r#""\u00e9""#, Double, Plain::QuotedWhereNeeded, "é", std::slice::from_ref(&part)).is_err());
        assert!(rewrite("é", Quoting::Plain, Plain::QuotedWhereNeeded, "é", &[part]).is_err());
    }

    #[test]
    fn a_tag_of_strings_makes_quotes_needless_s7_2() {
        let part = Part { range: 0..3, text: "1.10" };
        let rewritten = rewrite("1.9", Quoting::Plain, Plain::Stays, "1.9", std::slice::from_ref(&part)).unwrap();
        assert_eq!(rewritten.source, "1.10");
        let part = Part { text: "v2", ..part };
        let rewritten = rewrite("1.9", Quoting::Plain, Plain::Quoted, "1.9", &[part]).unwrap();
        assert_eq!(rewritten.source, "\"v2\"");
    }

    #[test]
    fn quoting_escapes_what_it_must() {
        assert_eq!(double_quoted("a\"b\\c\n\u{1}é"), r#""a\"b\\c\n\u0001é""#);
    }
}
