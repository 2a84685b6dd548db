//! A line of a file with a mark under the place that a message is about.
//!
//! Reads files to show them, never to decide. A file that cannot be read again is shown by its name alone.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use leadsman_scanner::diagnostic::{Diagnostic, Level};

use super::text::{escape, escape_line, width, wrap};
use super::{Look, style};

/// Columns of a line that are shown where the terminal does not say.
const MAX_COLUMNS: usize = 160;

/// Where something stands: a file as it is named to people, and how to read the line again.
#[derive(Debug, Clone)]
pub struct Place {
    /// The name that is printed.
    pub name: String,
    /// Line and column from 1, the column in code points.
    pub position: Option<(u32, u32)>,
    /// The line's text, without its end.
    pub line: Option<String>,
}

impl Place {
    /// The place in a text at hand.
    #[must_use]
    pub fn in_text(name: impl Into<String>, text: &str, line: u32, column: u32) -> Self {
        let shown = text.lines().nth(line.saturating_sub(1) as usize).map(ToOwned::to_owned);
        Self { name: name.into(), position: Some((line, column)), line: shown }
    }

    /// The place in a file on disk.
    #[must_use]
    pub fn in_file(name: impl Into<String>, path: &Path, position: Option<(u32, u32)>) -> Self {
        let line = position.and_then(|(line, _)| read_line(path, line));
        Self { name: name.into(), position, line }
    }
}

/// The n-th line from 1, at most 64 KiB of it, from the first 64 MiB of a regular file.
fn read_line(path: &Path, line: u32) -> Option<String> {
    const MAX_FILE: u64 = 64 << 20;
    const MAX_LINE: u64 = 64 << 10;
    let file = std::fs::File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut reader = BufReader::new(file.take(MAX_FILE));
    for _ in 1..line {
        reader.skip_until(b'\n').ok()?;
    }
    let mut bytes = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    (!bytes.is_empty()).then(|| text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The place, its line and the mark, as lines.
#[must_use]
pub fn excerpt(place: &Place, look: Look) -> String {
    let arrow = look.paint(style::PLACE, "-->");
    let name = escape(&place.name);
    let Some((line, column)) = place.position else { return format!("  {arrow} {name}\n") };
    let mut out = format!("  {arrow} {name}:{line}:{column}\n");
    let Some(text) = &place.line else { return out };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let bar = look.paint(style::PLACE, "|");
    let room = look.width.unwrap_or(MAX_COLUMNS).saturating_sub(number.len() + 4).max(20);
    let (shown, mark) = window(text, column as usize, room);
    let number = look.paint(style::PLACE, &number);
    let caret = look.paint(style::ERROR, "^");
    out.push_str(&format!("{margin} {bar}\n{number} {bar} {shown}\n{margin} {bar} {}{caret}\n", " ".repeat(mark)));
    out
}

/// The part of the line around the column that fits into `room`, escaped, and how far the mark stands in.
fn window(line: &str, column: usize, room: usize) -> (String, usize) {
    let chars: Vec<char> = line.chars().collect();
    let at = column.saturating_sub(1).min(chars.len());
    let text = |range: &[char]| escape_line(&range.iter().collect::<String>());
    let mut start = 0;
    while start < at && width(&text(&chars[start..at])) + 2 > room * 2 / 3 {
        start += 1 + (at - start) / 8;
    }
    let mut shown = if start > 0 { "…".to_owned() } else { String::new() };
    let lead = width(&shown);
    let mark = lead + width(&text(&chars[start..at]));
    let mut used = lead;
    for c in &chars[start..] {
        let piece = text(&[*c]);
        used += width(&piece);
        if used > room - 1 {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    (shown, mark)
}

/// A diagnostic with its place and its line; `path` is where its file is, `None` where it lies in no folder.
#[must_use]
pub fn diagnostic(diagnostic: &Diagnostic, path: Option<&Path>, look: Look) -> String {
    let (word, color) = match diagnostic.level {
        Level::Error => ("error", style::ERROR),
        Level::Warning => ("warning", style::WARNING),
        Level::Info => ("info", style::PLACE),
    };
    let code = format!("[{}]:", diagnostic.code.as_str());
    let message = wrap(&format!("{word}{code} {}", escape(&diagnostic.message)), "", look.width);
    let text = message.get(word.len() + code.len()..).unwrap_or_default();
    let mut out = format!("{}{}{text}", look.paint(color, word), look.paint(style::DIM, &code));
    let position = diagnostic.line.zip(diagnostic.column);
    let place = match path {
        Some(path) => Place::in_file(path.strip_prefix(".").unwrap_or(path).to_string_lossy(), path, position),
        None => Place { name: diagnostic.file.clone(), position, line: None },
    };
    out.push_str(&excerpt(&place, look));
    if let Some(hint) = &diagnostic.hint {
        let hint = wrap(&format!("hint: {}", escape(hint)), "  ", look.width);
        out.push_str(&hint.replacen("hint:", &look.paint(style::GOOD, "hint:"), 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, line: u32, column: u32, width: Option<usize>) -> String {
        excerpt(&Place::in_text("a.yaml", text, line, column), Look { color: false, width })
    }

    #[test]
    fn a_file_in_no_folder_is_named() {
        let mut message = Diagnostic::new(leadsman_scanner::diagnostic::Code::UnquotedTag, "apps/a.yaml", "no quotes");
        (message.line, message.column) = (Some(3), Some(7));
        let text = diagnostic(&message, None, Look::PLAIN);
        assert_eq!(text, "warning[unquoted-tag]: no quotes\n  --> apps/a.yaml:3:7\n");
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        assert_eq!(at("a: 1\nimage: x:1\n", 2, 8, None), "  --> a.yaml:2:8\n  |\n2 | image: x:1\n  |        ^\n");
    }

    #[test]
    fn the_mark_counts_code_points_and_their_width() {
        assert_eq!(at("日本: x", 1, 5, None), "  --> a.yaml:1:5\n  |\n1 | 日本: x\n  |       ^\n");
        assert_eq!(at("\ta: \u{202e}x", 1, 6, None).lines().nth(3).unwrap(), "  |             ^");
    }

    #[test]
    fn long_lines_show_what_is_around_the_place() {
        let line = format!("{}HERE{}", "x".repeat(5_000), "y".repeat(5_000));
        let text = at(&line, 1, 5_001, Some(80));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| width(line) <= 80), "{text}");
        let mark = lines[3].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[2].chars().skip(mark).take(4).collect::<String>(), "HERE");
    }

    #[test]
    fn a_place_past_the_end_or_without_a_line_is_named_alone() {
        assert_eq!(at("a", 9, 1, None), "  --> a.yaml:9:1\n");
        let gone = Place::in_file("gone.yaml", Path::new("/nonexistent/gone.yaml"), Some((3, 1)));
        assert_eq!(excerpt(&gone, Look::PLAIN), "  --> gone.yaml:3:1\n");
        assert_eq!(at("ab", 1, 40, None).lines().nth(3).unwrap(), "  |   ^");
    }
}
