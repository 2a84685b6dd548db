//! What a pull request changes in a file, as lines to show. Pure.

use schemars::JsonSchema;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

/// How many unchanged lines are shown around a change.
const CONTEXT: usize = 3;

/// How many lines of one file are shown.
const MAX_LINES: usize = 2000;

/// The longest line that is shown, in characters.
const MAX_LINE: usize = 1000;

/// The largest file that is compared, in bytes.
const MAX_FILE: usize = 4 << 20;

/// The changes of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileDiff {
    /// Its path.
    pub path: String,
    /// How many lines were added.
    pub added: usize,
    /// How many were removed.
    pub removed: usize,
    /// Its changed parts.
    pub hunks: Vec<Hunk>,
    /// Whether it is cut, or too large to be shown at all.
    pub cut: bool,
}

/// Lines that changed, and a few around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hunk {
    /// The lines, in order.
    pub lines: Vec<Line>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// It stayed.
    Same,
    /// It is gone.
    Removed,
    /// It is new.
    Added,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// What became of it.
    pub kind: LineKind,
    /// Its number before, from 1.
    pub old: Option<usize>,
    /// Its number after, from 1.
    pub new: Option<usize>,
    /// Its text, without its end.
    pub text: String,
}

impl FileDiff {
    /// What changed in the file at `path`.
    #[must_use]
    pub fn new(path: &str, before: &str, after: &str) -> Self {
        let mut file = Self { path: path.to_owned(), added: 0, removed: 0, hunks: Vec::new(), cut: false };
        if before.len().max(after.len()) > MAX_FILE {
            file.cut = true;
            return file;
        }
        let diff = TextDiff::from_lines(before, after);
        let mut left = MAX_LINES;
        for group in diff.grouped_ops(CONTEXT) {
            let mut hunk = Hunk { lines: Vec::new() };
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let kind = match change.tag() {
                    ChangeTag::Equal => LineKind::Same,
                    ChangeTag::Delete => LineKind::Removed,
                    ChangeTag::Insert => LineKind::Added,
                };
                file.added += usize::from(kind == LineKind::Added);
                file.removed += usize::from(kind == LineKind::Removed);
                if left == 0 {
                    file.cut = true;
                    continue;
                }
                left -= 1;
                let text = change.value().trim_end_matches(['\n', '\r']);
                hunk.lines.push(Line {
                    kind,
                    old: change.old_index().map(|at| at + 1),
                    new: change.new_index().map(|at| at + 1),
                    text: text.chars().take(MAX_LINE).collect(),
                });
            }
            if !hunk.lines.is_empty() {
                file.hunks.push(hunk);
            }
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_shown_with_what_is_around_it() {
        let before: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 10\n", "line ten\r\n");
        let file = FileDiff::new("a.yaml", &before, &after);
        assert_eq!((file.added, file.removed, file.cut, file.hunks.len()), (1, 1, false, 1));
        let lines = &file.hunks[0].lines;
        assert_eq!(lines.len(), 2 * CONTEXT + 2);
        assert_eq!((lines[3].kind, lines[3].old, lines[3].new), (LineKind::Removed, Some(10), None));
        assert_eq!((lines[4].kind, lines[4].old, lines[4].new), (LineKind::Added, None, Some(10)));
        assert_eq!(lines[4].text, "line ten");
        assert_eq!(FileDiff::new("a", "x", "x").hunks, []);
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let after: String = (0..MAX_LINES + 5).map(|n| format!("{n}\n")).collect();
        let file = FileDiff::new("a", "", &after);
        assert!(file.cut);
        assert_eq!((file.added, file.hunks[0].lines.len()), (MAX_LINES + 5, MAX_LINES));
        let long = FileDiff::new("a", "", &"x".repeat(MAX_LINE + 1));
        assert_eq!(long.hunks[0].lines[0].text.len(), MAX_LINE);
        assert!(FileDiff::new("a", "", &"x".repeat(MAX_FILE + 1)).cut);
    }
}
