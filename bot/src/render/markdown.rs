//! Text from outside, made harmless in Markdown and in plain text.
//!
//! Names, paths, labels and tags come from manifests and registries. Whatever they hold, they must not mention people,
//! close issues, run quick actions, bring HTML, break tables or hide text.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// The longest value that is shown, in characters.
const MAX_VALUE: usize = 400;

/// The longest link that is made, in bytes.
const MAX_LINK: usize = 1000;

/// A space of no width: it parts `@` from a name and `#` from a number, and is not seen.
const PART: char = '\u{200b}';

/// The value on one line, without characters that control or hide, cut to a bearable length.
#[must_use]
pub fn plain(value: &str) -> String {
    let mut text: String = value.chars().take(MAX_VALUE).map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect();
    if value.chars().nth(MAX_VALUE).is_some() {
        text.push('…');
    }
    text
}

/// Control characters, line ends, and those that turn the direction of text or have no width.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The value as a part of plain text that a forge reads too, such as a title or a commit's message: mentions and
/// closing words do nothing.
#[must_use]
pub fn inert(value: &str) -> String {
    let value = plain(value);
    let mut text = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        match c {
            '@' | '#' | '!' => text.extend([c, PART]),
            '-' if is_reference(&value, at) => text.extend([c, PART]),
            '/' if value[..at].trim().is_empty() => text.extend([PART, c]),
            _ => text.push(c),
        }
    }
    text
}

/// Whether the dash at this place is that of `GH-1`, which means the first issue as `#1` does.
fn is_reference(value: &str, dash: usize) -> bool {
    let before = value.as_bytes()[..dash].last_chunk::<2>();
    before.is_some_and(|letters| letters.eq_ignore_ascii_case(b"gh"))
        && value[dash + 1..].starts_with(|c: char| c.is_ascii_digit())
}

/// The value as a part of a Markdown paragraph, shown as it is written.
#[must_use]
pub fn text(value: &str) -> String {
    let value = plain(value);
    let mut out = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' | '#' | '!' => out.extend([c, PART]),
            ':' if value[at + 1..].starts_with('/') => out.extend([c, PART]),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => out.extend(['\\', c]),
            '-' if is_reference(&value, at) => out.extend([c, PART]),
            '+' | '-' | '=' if value[..at].trim().is_empty() => out.extend(['\\', c]),
            // White space does not keep a forge from taking it for a command (C1.7).
            '/' if value[..at].trim().is_empty() => out.extend([PART, c]),
            _ => out.push(c),
        }
    }
    out
}

/// The value as a code span, shown as it is written, for use outside of tables.
#[must_use]
pub fn code(value: &str) -> String {
    let value = plain(value);
    if value.trim().is_empty() {
        return "(empty)".into();
    }
    let longest = value.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A space at both ends is taken off again by the reader, and keeps a backtick of the value from the fence.
    let pad = if value.starts_with(['`', ' ']) || value.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{value}{pad}{fence}")
}

/// A sentence of our own in which outside text stands between backticks: those parts become code spans, the others
/// are shown as they are written.
#[must_use]
pub fn sentence(value: &str) -> String {
    sentence_with(value, code)
}

/// Like [`sentence`], within a table.
#[must_use]
pub fn cell_sentence(value: &str) -> String {
    sentence_with(value, cell)
}

fn sentence_with(value: &str, code: fn(&str) -> String) -> String {
    let part = |(at, part): (usize, &str)| match (at % 2, part) {
        (_, "") => String::new(),
        (0, part) => text(part),
        (_, part) => code(part),
    };
    plain(value).split('`').enumerate().map(part).collect()
}

/// The value as a code span within a table, where a bar would end the cell.
#[must_use]
pub fn cell(value: &str) -> String {
    // A backslash of the value must not pair with the one that keeps the bar from ending the cell.
    code(value).replace("\\|", &format!("\\{PART}|")).replace('|', "\\|")
}

/// How many lines of outside text are quoted.
const MAX_LINES: usize = 100;

/// A text of several lines, such as release notes, as a quote in which each line is shown as it is written: nothing in
/// it acts, and none of its lines begins with a command of anybody's (C1.7).
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut lines: Vec<_> = value
        .lines()
        .take(MAX_LINES)
        .map(|line| text(line.trim()))
        .map(|line| if line.is_empty() { ">".to_owned() } else { format!("> {line}") })
        .collect();
    if value.lines().nth(MAX_LINES).is_some() {
        lines.push("> …".into());
    }
    lines.join("\n")
}

/// A line of a comment as a block of code, with its number before it and carets below the marked bytes. No line of the
/// block begins with outside text, so that whoever reads lines one by one finds no command in it (C1.7).
#[must_use]
pub fn marked(number: usize, line: &str, at: std::ops::Range<usize>) -> String {
    let shown = |range: std::ops::Range<usize>| plain(line.get(range).unwrap_or_default());
    let number = number.to_string();
    let gap = " ".repeat(number.len());
    let before = " ".repeat(shown(0..at.start).width());
    let carets = "^".repeat(shown(at).width().max(1));
    format!("```text\n{number} | {}\n{gap} | {before}{carets}\n```", plain(line))
}

/// The value as a link, if it is nothing but an `https` or `http` address; else as a code span.
#[must_use]
pub fn link(value: &str) -> String {
    if is_link(value) { format!("<{value}>") } else { code(value) }
}

/// Whether a value is an address that may be linked: no credentials, and no character that Markdown or HTML knows.
#[must_use]
pub fn is_link(value: &str) -> bool {
    let Some(rest) = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://")) else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&+,;=%".contains(&b);
    value.len() <= MAX_LINK
        && rest.bytes().all(is_plain)
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b))
}

/// A JSON text that may stand in an HTML comment: it holds nothing that ends one.
#[must_use]
pub fn in_comment(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // These stand in JSON's strings only, where the escape means the same.
        if matches!(c, '<' | '>' | '&' | '@' | '`') || is_hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_acts_in_markdown() {
        assert_eq!(text("@octocat fixes #1"), "@\u{200b}octocat fixes #\u{200b}1");
        assert_eq!(text("</td><script>"), "&lt;/td&gt;&lt;script&gt;");
        assert_eq!(text("/close"), "\u{200b}/close");
        assert_eq!(text("a\n/close"), "a\u{fffd}/close");
        assert_eq!(text("[x](javascript:y)"), "\\[x\\](javascript:y)");
        assert_eq!(text("see https://a"), "see https:\u{200b}//a");
        assert_eq!(text("- [ ] a_b-c"), "\\- \\[ \\] a\\_b-c");
        assert_eq!(text("\u{202e}abc"), "\u{fffd}abc");
        assert_eq!(inert("@octocat closes #1"), "@\u{200b}octocat closes #\u{200b}1");
        assert_eq!(text(&"x".repeat(MAX_VALUE + 1)).chars().count(), MAX_VALUE + 1);
    }

    #[test]
    fn commands_references_and_mentions_of_others_do_nothing_c1_7() {
        assert_eq!(text("  /approve"), "  \u{200b}/approve");
        assert_eq!(text("\u{a0}/approve"), "\u{a0}\u{200b}/approve");
        assert_eq!(inert("\t/approve"), "\u{fffd}/approve");
        assert_eq!(inert(" /approve"), " \u{200b}/approve");
        assert_eq!(text("fixes GH-1, gh-2, GH-x, éGH-3"), "fixes GH-\u{200b}1, gh-\u{200b}2, GH-x, éGH-\u{200b}3");
        assert_eq!(inert("closes acme/fleet#1 and !2"), "closes acme/fleet#\u{200b}1 and !\u{200b}2");
        assert_eq!(text("fixes https://a/b/issues/1"), "fixes https:\u{200b}//a/b/issues/1");
        assert_eq!(text("GH-"), "GH-");
    }

    #[test]
    fn release_notes_change_nothing_c1_7() {
        let notes = "# 1.2.0\n\n  /merge\r\n/approve\n@octocat fixes #1\n<!-- /merge\n> a\n```\n/close\n    /lgtm";
        let shown = quoted(notes);
        assert!(shown.lines().all(|line| line.starts_with('>')), "{shown}");
        for line in shown.lines() {
            let line = line.trim_start_matches(['>', ' ']);
            assert!(!line.starts_with(['/', '`', '#']) || line.starts_with("#\u{200b}"), "{shown}");
        }
        assert!(!shown.contains("@octocat") && !shown.contains("#1") && !shown.contains("<!--"), "{shown}");
        let long = quoted(&"/merge\n".repeat(1000));
        assert_eq!(long.lines().count(), MAX_LINES + 1);
        assert!(!long.contains("> /merge"));
    }

    #[test]
    fn a_place_is_marked_whatever_is_in_the_line_c1_4() {
        assert_eq!(marked(3, "/merge please", 7..13), "```text\n3 | /merge please\n  |        ^^^^^^\n```");
        assert_eq!(marked(12, "/hold 👍 x", 11..12), "```text\n12 | /hold 👍 x\n   |          ^\n```");
        assert_eq!(marked(1, "```", 0..0), "```text\n1 | ```\n  | ^\n```");
        assert_eq!(marked(1, "é", 1..9), "```text\n1 | é\n  | ^\n```");
        assert!(!marked(1, "a\u{202e}b\nc", 0..1).contains('\u{202e}'));
        assert_eq!(marked(1, "a\nb", 0..1).lines().count(), 4);
    }

    #[test]
    fn code_spans_hold_any_text() {
        assert_eq!(code("app"), "`app`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("``"), "``` `` ```");
        assert_eq!(code(" x"), "`  x `");
        assert_eq!(code(""), "(empty)");
        assert_eq!(cell("a|b"), "`a\\|b`");
        assert_eq!(cell("a\\|b"), "`a\\\u{200b}\\|b`");
    }

    #[test]
    fn sentences_keep_their_code() {
        assert_eq!(sentence("it does not satisfy `~2.3`"), "it does not satisfy `~2.3`");
        assert_eq!(sentence("`a*` and *b* @c"), "`a*` and \\*b\\* @\u{200b}c");
        assert_eq!(cell_sentence("`a|b` or a|b"), "`a\\|b` or a\\|b");
        assert_eq!(sentence("odd `<b>"), "odd `<b>`");
    }

    #[test]
    fn only_plain_addresses_become_links() {
        assert_eq!(link("https://github.com/a/b"), "<https://github.com/a/b>");
        for value in [
            "javascript:alert(1)",
            "https://a/)[x](y",
            "https://user:secret@host/",
            "https://a b",
            "https://",
            "https://a>b",
            "ftp://a",
        ] {
            assert!(link(value).starts_with('`'), "{value}");
        }
    }

    #[test]
    fn a_marker_cannot_be_ended_from_outside() {
        let json = serde_json::json!({"path": "a --> <b>.yaml @x \u{202e}"}).to_string();
        let hidden = in_comment(&json);
        assert!(!hidden.contains('>') && !hidden.contains('@') && !hidden.contains('\u{202e}'), "{hidden}");
        let back: serde_json::Value = serde_json::from_str(&hidden).unwrap();
        assert_eq!(back, serde_json::from_str::<serde_json::Value>(&json).unwrap());
    }
}
