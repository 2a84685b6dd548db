//! Finds documents that are templates: `{{` outside quotes, block scalars and comments (S1.3).
//!
//! A document that could be read is judged by its tree. One that could not, by its lines: most templates are no YAML.

use std::ops::Range;

use memchr::memmem;

use super::tree::{Shape, Tree, position_at};
use crate::diagnostic::{Code, Diagnostic};

/// Marks the templates among the documents. A template that is no YAML is no error: its diagnostic gives way.
pub(super) fn mark(tree: &mut Tree<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let text = tree.text();
    let finder = memmem::Finder::new("{{");
    if finder.find(text.as_bytes()).is_none() {
        return;
    }
    for at in 0..tree.documents.len() {
        let document = &tree.documents[at];
        let bytes = document.bytes.clone();
        let found =
            finder.find_iter(&text.as_bytes()[bytes.clone()]).map(|offset| bytes.start + offset).find(|offset| {
                if document.broken { is_bare(text, &bytes, *offset) } else { is_structure(tree, at, *offset) }
            });
        let Some(found) = found else { continue };
        tree.documents[at].template = true;
        let (line, column) = position_at(text, found);
        if tree.documents[at].broken {
            let lines = position_at(text, bytes.start).0..=position_at(text, bytes.end).0;
            diagnostics.retain(|diagnostic| {
                diagnostic.code != Code::InvalidYaml || !diagnostic.line.is_some_and(|line| lines.contains(&line))
            });
        }
        let message = "the document is a template (`{{`): it is not edited";
        diagnostics.push(Diagnostic::new(Code::Template, "", message).at(line, column));
    }
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
}

/// Whether the bytes at `offset` are neither in a quoted or block scalar nor in a comment.
fn is_structure(tree: &Tree<'_>, document: usize, offset: usize) -> bool {
    let nodes = &tree.documents[document].nodes;
    let nodes = &tree.nodes[nodes.start as usize..nodes.end as usize];
    let behind = nodes.partition_point(|node| node.start as usize <= offset);
    let text = tree.text();
    let mut from = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    // The last scalar before the place either holds it or has ended; what lies between is punctuation or comment.
    if let Some((node, shape)) = nodes[..behind].iter().rev().find_map(|node| match node.shape {
        Shape::Scalar(style) => Some((node, Some(style))),
        Shape::Alias => Some((node, None)),
        Shape::Mapping(_) | Shape::Sequence(_) => None,
    }) {
        if offset < node.end as usize {
            return shape.is_some_and(|style| !style.is_quoted() && !style.is_block());
        }
        from = from.max(node.end as usize);
    }
    !text[from..offset].contains('#')
}

/// The same for a document without a tree, by its lines: good enough to tell a template from a slip of the pen.
fn is_bare(text: &str, document: &Range<usize>, offset: usize) -> bool {
    let line_start = text[document.start..offset].rfind('\n').map_or(document.start, |at| document.start + at + 1);
    !is_in_quotes_or_comment(&text[line_start..offset])
        && !is_in_block_scalar(&text[document.start..line_start], &text[line_start..offset])
}

fn is_in_quotes_or_comment(before: &str) -> bool {
    let mut quote = None;
    let mut last = ' ';
    for char in before.chars() {
        match (quote, char) {
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            // An apostrophe within a word opens nothing.
            (None, '"' | '\'') if !last.is_alphanumeric() => quote = Some(char),
            (None, '#') if last.is_whitespace() => return true,
            (None, _) => {}
        }
        last = char;
    }
    quote.is_some()
}

/// Whether a line above, less indented than this one, ends in the header of a block scalar.
fn is_in_block_scalar(above: &str, line: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let mut depth = indent(line);
    for line in above.lines().rev() {
        if line.trim().is_empty() || indent(line) >= depth {
            continue;
        }
        depth = indent(line);
        let content = line.split(" #").next().unwrap_or(line).trim_end();
        let header = content.trim_end_matches(|char: char| matches!(char, '+' | '-') || char.is_ascii_digit());
        if [": |", ": >", "- |", "- >"].iter().any(|end| header.ends_with(end)) {
            return true;
        }
        if depth == 0 {
            return false;
        }
    }
    false
}
