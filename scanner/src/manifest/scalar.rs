//! What a scalar means: the types of the YAML 1.2 core schema, and whether YAML 1.1 would agree (S1.4, S2.3, S7.2).
//!
//! Pure, and without regular expressions: every scalar of every manifest may pass through here.

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// A block scalar, `|`.
    Literal,
    /// A block scalar, `>`.
    Folded,
}

impl Style {
    /// Whether this is one of the two quoted styles.
    #[must_use]
    pub fn is_quoted(self) -> bool {
        matches!(self, Self::SingleQuoted | Self::DoubleQuoted)
    }

    /// Whether this is one of the two block styles.
    #[must_use]
    pub fn is_block(self) -> bool {
        matches!(self, Self::Literal | Self::Folded)
    }
}

/// A type of the YAML 1.2 core schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoreType {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` and `false`.
    Bool,
    /// Decimal, `0o17` and `0x1f`.
    Int,
    /// `1.10`, `1e3`, `.inf`, `.nan`.
    Float,
    /// Everything else.
    Str,
    /// A tag that the core schema does not know.
    Other,
}

/// One scalar: its value after unquoting, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scalar<'a> {
    /// The value: escapes resolved, lines folded, exactly what a reader of the YAML gets.
    pub value: &'a str,
    /// How it is written.
    pub style: Style,
    /// The type that an explicit tag such as `!!str` gives it.
    pub tag: Option<CoreType>,
}

impl Scalar<'_> {
    /// The scalar's type by the YAML 1.2 core schema (S1.4).
    #[must_use]
    pub fn core_type(&self) -> CoreType {
        match (self.tag, self.style) {
            (Some(tag), _) => tag,
            (None, Style::Plain) => plain_type(self.value),
            (None, _) => CoreType::Str,
        }
    }

    /// Whether this is a string by the YAML 1.2 core schema.
    #[must_use]
    pub fn is_string(&self) -> bool {
        self.core_type() == CoreType::Str
    }

    /// Whether this is null: `null`, `~` or an empty value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.core_type() == CoreType::Null
    }

    /// Whether every reader of YAML takes this for a string: quoted, tagged as one, or plain and without a second
    /// meaning in YAML 1.1 and 1.2.
    #[must_use]
    pub fn is_string_everywhere(&self) -> bool {
        match (self.tag, self.style) {
            (Some(tag), _) => tag == CoreType::Str,
            (None, Style::Plain) => is_string_when_plain(self.value),
            (None, _) => true,
        }
    }
}

/// The type that the YAML 1.2 core schema gives a plain, untagged scalar.
#[must_use]
pub fn plain_type(text: &str) -> CoreType {
    match text.as_bytes() {
        [] | b"~" | b"null" | b"Null" | b"NULL" => CoreType::Null,
        b"true" | b"True" | b"TRUE" | b"false" | b"False" | b"FALSE" => CoreType::Bool,
        [b'0', b'o', digits @ ..] if all(digits, |b| matches!(b, b'0'..=b'7')) => CoreType::Int,
        [b'0', b'x', digits @ ..] if all(digits, |b| b.is_ascii_hexdigit()) => CoreType::Int,
        bytes => number(bytes),
    }
}

/// Whether YAML 1.1 and YAML 1.2 both read this text, written without quotes, as a string (S7.2).
///
/// YAML 1.1 is taken as its common readers implement it, Go's and Python's: besides the core schema that is
/// `yes`, `no`, `on`, `off`, `y`, `n`, octal with a leading zero, binary, `_` between digits, base 60, dates, `<<`
/// and `=`.
#[must_use]
pub fn is_string_when_plain(text: &str) -> bool {
    if plain_type(text) != CoreType::Str {
        return false;
    }
    let bytes = text.as_bytes();
    // Everything below begins with one of these; most strings do not.
    match bytes[0] {
        b'0'..=b'9' | b'+' | b'-' | b'.' => !(is_old_number(bytes) || is_date(bytes)),
        b'y' | b'Y' | b'n' | b'N' | b'o' | b'O' => {
            !["y", "n", "yes", "no", "on", "off"].iter().any(|word| is_word(text, word))
        }
        b'<' | b'=' => !matches!(text, "<<" | "="),
        _ => true,
    }
}

/// Whether the text is the word in one of the spellings YAML 1.1 knows: lower, upper or title case.
fn is_word(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
        && (text.bytes().skip(1).all(|b| b.is_ascii_lowercase()) || text.bytes().all(|b| b.is_ascii_uppercase()))
}

fn all(bytes: &[u8], test: impl Fn(u8) -> bool) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| test(*b))
}

fn unsigned(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'+' | b'-', rest @ ..] => rest,
        _ => bytes,
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Decimal integers and floats of the core schema.
fn number(bytes: &[u8]) -> CoreType {
    if matches!(bytes, b".nan" | b".NaN" | b".NAN") {
        return CoreType::Float;
    }
    let bytes = unsigned(bytes);
    if matches!(bytes, b".inf" | b".Inf" | b".INF") {
        return CoreType::Float;
    }
    let whole = digits(bytes);
    let rest = &bytes[whole..];
    if rest.is_empty() {
        return if whole > 0 { CoreType::Int } else { CoreType::Str };
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => (digits(rest), &rest[digits(rest)..]),
        _ => (0, rest),
    };
    if whole + fraction == 0 {
        return CoreType::Str;
    }
    match rest {
        [] => CoreType::Float,
        [b'e' | b'E', exponent @ ..] if all(unsigned(exponent), |b| b.is_ascii_digit()) => CoreType::Float,
        _ => CoreType::Str,
    }
}

/// Numbers that only YAML 1.1 has: with `_`, binary, octal behind signs, base 60.
fn is_old_number(bytes: &[u8]) -> bool {
    let bytes = unsigned(bytes);
    if !bytes.first().is_some_and(|b| b.is_ascii_digit() || *b == b'.') {
        return false;
    }
    if bytes.contains(&b':') {
        // `190:20:30` and `190:20:30.15`.
        let mut parts = bytes.split(|b| *b == b':');
        let first = parts.next().is_some_and(|part| all(part, |b| b.is_ascii_digit() || b == b'_'));
        let mut seen_fraction = false;
        return first
            && parts.all(|part| {
                let whole = digits(part);
                let fraction = &part[whole..];
                let last = std::mem::replace(&mut seen_fraction, !fraction.is_empty());
                !last
                    && (1..=2).contains(&whole)
                    && (whole == 1 || part[0] < b'6')
                    && matches!(fraction, [] | [b'.', ..])
                    && fraction.iter().skip(1).all(|b| b.is_ascii_digit() || *b == b'_')
            });
    }
    let plain: Vec<u8> = bytes.iter().copied().filter(|b| *b != b'_').collect();
    match plain.as_slice() {
        [b'0', b'b' | b'B', rest @ ..] => all(rest, |b| matches!(b, b'0' | b'1')),
        [b'0', b'o' | b'O', rest @ ..] => all(rest, |b| matches!(b, b'0'..=b'7')),
        [b'0', b'x' | b'X', rest @ ..] => all(rest, |b| b.is_ascii_hexdigit()),
        plain => number(plain) != CoreType::Str,
    }
}

/// `2024-06-27`, also with a time behind it.
fn is_date(bytes: &[u8]) -> bool {
    let year = digits(bytes);
    let Some([b'-', rest @ ..]) = bytes.get(year..) else { return false };
    let month = digits(rest);
    let Some([b'-', rest @ ..]) = rest.get(month..) else { return false };
    let day = digits(rest);
    year == 4
        && (1..=2).contains(&month)
        && (1..=2).contains(&day)
        && matches!(&rest[day..], [] | [b'T' | b't' | b' ' | b'\t', b'0'..=b'9' | b' ' | b'\t', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_core_types_s1_4() {
        for (text, expected) in [
            ("", CoreType::Null),
            ("~", CoreType::Null),
            ("null", CoreType::Null),
            ("nULL", CoreType::Str),
            ("true", CoreType::Bool),
            ("yes", CoreType::Str),
            ("0", CoreType::Int),
            ("-19", CoreType::Int),
            ("007", CoreType::Int),
            ("0o17", CoreType::Int),
            ("0o18", CoreType::Str),
            ("0x1F", CoreType::Int),
            ("0x", CoreType::Str),
            ("1.10", CoreType::Float),
            ("1.", CoreType::Float),
            (".5", CoreType::Float),
            (".", CoreType::Str),
            ("-", CoreType::Str),
            ("+", CoreType::Str),
            ("1e3", CoreType::Float),
            ("1e", CoreType::Str),
            ("1.5E-3", CoreType::Float),
            ("-.inf", CoreType::Float),
            (".nan", CoreType::Float),
            ("-.nan", CoreType::Str),
            ("1.2.3", CoreType::Str),
            ("1_000", CoreType::Str),
            ("2024-06-27", CoreType::Str),
            ("v1", CoreType::Str),
        ] {
            assert_eq!(plain_type(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_needs_quotes_is_known_s7_2() {
        for text in [
            "1.10",
            "1e3",
            "0755",
            "2024-06-27",
            "yes",
            "No",
            "ON",
            "off",
            "y",
            "N",
            "null",
            "~",
            "1_000",
            "0x1f",
            "0b11",
            "0o17",
            "0XFF",
            "190:20:30",
            "190:20:30.15",
            "1_0.5",
            "+1_0",
            ".inf",
            "<<",
            "=",
            "2001-1-1",
            "2001-12-14t21:59:43.10-05:00",
            "true",
            "",
            "1__0",
        ] {
            assert!(!is_string_when_plain(text), "{text:?}");
        }
        for text in [
            "1.2.3",
            "v1.10",
            "1.10-alpine",
            "yEs",
            "yesterday",
            "nope",
            "office",
            "_1",
            "0b12",
            "0xfg",
            "af14eb2",
            "1:99:00",
            "2024-06",
            "20240-06-27",
            "2024-06-27-1",
            "2024-06-271",
            "1.2.3_4",
            "1e3x",
            "-a",
            "latest",
            "1:2:",
            ":1",
        ] {
            assert!(is_string_when_plain(text), "{text:?}");
        }
    }
}
