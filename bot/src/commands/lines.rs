//! Which lines of a comment can hold a command (C1.2).
//!
//! Read by a CommonMark parser with GitHub's additions, never line by line. A line counts where it is the start, or
//! follows a line break, of a plain paragraph at the top or in a list. Everything else commands nothing: code, quotes,
//! HTML, tables, headings, footnotes, formulas, and text with emphasis, strike-through or a link around it.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::html::OpenElements;

/// A line that can hold a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlainLine<'a> {
    /// Its number in the comment, from 1.
    pub(super) number: usize,
    /// As written, from its first character that is no white space or list marker to its end.
    pub(super) text: &'a str,
}

/// What a block does to the lines in it.
struct Block {
    /// Whether lines in it can hold commands.
    plain: bool,
    /// How many HTML elements were open when it began.
    elements: usize,
}

struct Walk<'a> {
    text: &'a str,
    blocks: Vec<Block>,
    /// How many of the blocks cannot hold commands.
    odd_blocks: usize,
    elements: OpenElements,
    /// How many spans of emphasis, links and the like are open.
    spans: usize,
    /// Whether the next piece of text is the first of its line.
    fresh: bool,
    found: Vec<PlainLine<'a>>,
    /// How far line ends were counted: up to which byte, and which line that is in.
    counted: (usize, usize),
}

/// The lines of a comment that can hold a command, in order.
pub(super) fn plain_lines(text: &str) -> Vec<PlainLine<'_>> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_MATH
        | Options::ENABLE_GFM;
    let mut walk = Walk {
        text,
        blocks: Vec::new(),
        odd_blocks: 0,
        elements: OpenElements::default(),
        spans: 0,
        fresh: true,
        found: Vec::new(),
        counted: (0, 1),
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        walk.take(&event, range);
    }
    walk.found
}

impl<'a> Walk<'a> {
    fn take(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(*tag),
            Event::Text(_) => {
                if std::mem::take(&mut self.fresh) {
                    self.first_text(range.start);
                }
            }
            Event::SoftBreak | Event::HardBreak => self.fresh = true,
            Event::InlineHtml(_) => {
                self.fresh = false;
                self.elements.read(&self.text[range]);
            }
            // Blocks of HTML are read as a whole, when they start.
            Event::Html(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::Rule => self.fresh = false,
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: Range<usize>) {
        let plain = match tag {
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. } => {
                self.spans += 1;
                self.fresh = false;
                return;
            }
            Tag::Paragraph | Tag::List(_) | Tag::Item => true,
            Tag::HtmlBlock => {
                self.elements.read(&self.text[range]);
                return;
            }
            _ => false,
        };
        self.fresh = true;
        self.odd_blocks += usize::from(!plain);
        self.blocks.push(Block { plain, elements: self.elements.depth() });
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image => {
                self.spans = self.spans.saturating_sub(1);
                return;
            }
            TagEnd::HtmlBlock => {}
            // A paragraph's end closes no `<details>` in it.
            TagEnd::Paragraph => {
                self.elements.end_paragraph();
                self.blocks.pop();
            }
            _ => {
                if let Some(block) = self.blocks.pop() {
                    self.odd_blocks -= usize::from(!block.plain);
                    self.elements.close_to(block.elements);
                }
            }
        }
        self.fresh = true;
    }

    fn first_text(&mut self, start: usize) {
        let outside = self.spans == 0 && self.elements.is_empty() && self.odd_blocks == 0;
        // The parser leaves a backslash out that takes its meaning from the character behind it.
        let escaped = self.text[..start].ends_with('\\');
        if !outside || escaped || self.looks_like_code(start) {
            return;
        }
        let number = self.line_of(start);
        let rest = &self.text[start..];
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        // A backslash at a line's end is a line break of Markdown.
        let broken = rest[line.len()..].chars().any(|c| !c.is_whitespace());
        let line = if broken { line.strip_suffix('\\').unwrap_or(line) } else { line };
        self.found.push(PlainLine { number, text: line.trim() });
    }

    /// Whether a line at the top is indented as code is, but stands in a paragraph, which indented code cannot
    /// interrupt. Who wrote it meant code.
    fn looks_like_code(&self, start: usize) -> bool {
        if self.blocks.len() > 1 {
            return false;
        }
        let line = self.text[..start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let columns = self.text[line..start].bytes().fold(0, |columns, byte| match byte {
            b'\t' => (columns / 4 + 1) * 4,
            _ => columns + 1,
        });
        columns >= 4
    }

    fn line_of(&mut self, offset: usize) -> usize {
        let (from, mut number) = self.counted;
        let mut bytes = self.text.as_bytes()[from..offset].iter().peekable();
        while let Some(byte) = bytes.next() {
            let ends = match byte {
                b'\n' => true,
                // Of the two characters of one line end, the second is counted.
                b'\r' => bytes.peek().is_none_or(|next| **next != b'\n'),
                _ => false,
            };
            number += usize::from(ends);
        }
        self.counted = (offset, number);
        number
    }
}
