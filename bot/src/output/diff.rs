//! Unified diffs of manifests.
//!
//! Pure. Without colour the diff is exact, byte for byte, so that `git apply` takes it; on a coloured stream lines are
//! escaped, because there a person reads them.

use similar::{ChangeTag, TextDiff};

use super::text::escape_line;
use super::{Look, style};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The unified diff from one text to another, under the names `a/<file>` and `b/<file>`; empty where they are equal.
#[must_use]
pub fn unified(file: &str, old: &str, new: &str, look: Look) -> String {
    if old == new {
        return String::new();
    }
    let diff = TextDiff::configure().newline_terminated(true).diff_lines(old, new);
    let (before, after) = (header_name("a/", file), header_name("b/", file));
    let mut out = String::new();
    out.push_str(&look.paint(style::HEADING, &format!("--- {before}")));
    out.push('\n');
    out.push_str(&look.paint(style::HEADING, &format!("+++ {after}")));
    out.push('\n');
    let mut unified = diff.unified_diff();
    for hunk in unified.context_radius(CONTEXT).iter_hunks() {
        out.push_str(&look.paint(style::PLACE, &hunk.header().to_string()));
        out.push('\n');
        for change in hunk.iter_changes() {
            let (sign, color) = match change.tag() {
                ChangeTag::Equal => (' ', anstyle::Style::new()),
                ChangeTag::Delete => ('-', anstyle::AnsiColor::Red.on_default()),
                ChangeTag::Insert => ('+', anstyle::AnsiColor::Green.on_default()),
            };
            let value = change.value();
            let (line, ended) = value.strip_suffix('\n').map_or((value, false), |line| (line, true));
            let shown = if look.color { escape_line(line.strip_suffix('\r').unwrap_or(line)) } else { line.to_owned() };
            out.push_str(&look.paint(color, &format!("{sign}{shown}")));
            out.push('\n');
            if !ended {
                out.push_str("\\ No newline at end of file\n");
            }
        }
    }
    out
}

/// A file name as git writes it: quoted where it holds anything a header cannot.
fn header_name(prefix: &str, file: &str) -> String {
    let name = format!("{prefix}{file}");
    if name.chars().any(|c| super::text::is_unsafe(c) || c == '"' || c == '\\') {
        let quoted: String = name
            .bytes()
            .map(|byte| match byte {
                b'"' => "\\\"".to_owned(),
                b'\\' => "\\\\".to_owned(),
                b'\n' => "\\n".to_owned(),
                b'\t' => "\\t".to_owned(),
                0x20..=0x7e => char::from(byte).to_string(),
                byte => format!("\\{byte:03o}"),
            })
            .collect();
        return format!("\"{quoted}\"");
    }
    // Without a tab, a name with a space would end at the space.
    if name.contains(' ') { name + "\t" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOR: Look = Look { color: true, width: None };

    #[test]
    fn a_plain_diff_is_exact() {
        let diff = unified("a.yaml", "a: 1\r\nb: \x1b1\n", "a: 1\r\nb: 2", Look::PLAIN);
        assert_eq!(
            diff,
            "--- a/a.yaml\n+++ b/a.yaml\n@@ -1,2 +1,2 @@\n a: 1\r\n-b: \x1b1\n+b: 2\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn a_coloured_diff_is_escaped_and_says_the_same_without_colour() {
        let colored = unified("a.yaml", "b: \x1b1\r\n", "b: 2\r\n", COLOR);
        let plain = anstream::adapter::strip_str(&colored).to_string();
        assert_eq!(plain, "--- a/a.yaml\n+++ b/a.yaml\n@@ -1 +1 @@\n-b: \\x1b1\n+b: 2\n");
    }

    #[test]
    fn equal_texts_have_no_diff() {
        assert_eq!(unified("a", "x", "x", COLOR), "");
    }

    #[test]
    fn git_takes_plain_diffs_of_odd_names_and_line_ends() {
        let folder = tempfile::tempdir().unwrap();
        for (file, old, new) in [
            ("plain.yaml", "a: 1\nb: 2\n", "a: 1\nb: 3\n"),
            ("with space.yaml", "a: 1\r\n", "a: 2\r\n"),
            ("tab\tand\"quote.yaml", "a: 1", "a: 2"),
            ("ü\u{202e}.yaml", "\u{feff}a: 1\n\n\nx\n\n\ny\n", "\u{feff}a: 2\n\n\nx\n\n\ny"),
        ] {
            std::fs::write(folder.path().join(file), old).unwrap();
            std::fs::write(folder.path().join("the.diff"), unified(file, old, new, Look::PLAIN)).unwrap();
            let git = std::process::Command::new("git")
                .args(["apply", "the.diff"])
                .current_dir(folder.path())
                .env("GIT_CEILING_DIRECTORIES", folder.path().parent().unwrap())
                .output()
                .unwrap();
            assert!(git.status.success(), "{file}: {}", String::from_utf8_lossy(&git.stderr));
            assert_eq!(std::fs::read_to_string(folder.path().join(file)).unwrap(), new, "{file}");
        }
    }
}
