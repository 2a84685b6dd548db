//! Text to tree, in one pass over the parser's events.
//!
//! Never panics, whatever the text. A broken document is left out and reported; the ones behind it are read (S1.3).
//! Sizes are bounded while reading, before anything is expanded (S1.4).

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use super::scalar::{CoreType, Style};
use super::tree::{
    Anchor, Document, Layout, NONE, Node, NodeId, Shape, TagKind, Tree, position_at, saturate, scalar_value,
};
use super::{Limits, template};
use crate::diagnostic::{Code, Diagnostic};

/// Mappings of up to this many keys are searched for repeated keys pair by pair, larger ones by sorting.
const FEW_KEYS: usize = 16;

/// Reads a text; `diagnostics` get what is wrong with it, without a file name.
pub(super) fn parse<'t>(text: &'t str, limits: &Limits, diagnostics: &mut Vec<Diagnostic>) -> Tree<'t> {
    let mut builder = Builder::new(text, limits, diagnostics);
    if builder.fits() {
        builder.run();
    }
    builder.finish()
}

/// A mapping or sequence that is not closed yet.
struct Frame {
    node: u32,
    /// Its anchor's index, or [`NONE`].
    anchor: u32,
    /// `expanded` when it began.
    expanded: u64,
    height: u32,
    /// Where its keys begin in `keys`.
    keys: usize,
    mapping: bool,
    /// In a mapping: whether the next node is a key.
    at_key: bool,
    /// The child added last, or [`NONE`].
    last_child: u32,
}

/// Why reading stops.
enum Stop {
    /// This document is broken.
    Document(Diagnostic),
    /// This file exceeds a limit.
    File(Diagnostic),
}

struct Builder<'t, 'd> {
    tree: Tree<'t>,
    limits: Limits,
    diagnostics: &'d mut Vec<Diagnostic>,
    /// Bytes of the byte-order mark, which the parser does not get to see.
    base: u32,
    frames: Vec<Frame>,
    /// Fingerprints and nodes of the keys of all open mappings.
    keys: Vec<(u64, u32)>,
    /// Nodes so far, aliases counted as what they stand for.
    expanded: u64,
    /// Where the arena ended when the current document began, while inside one.
    open: Option<Open>,
    /// The first repeated key of the current document.
    duplicate: Option<u32>,
}

/// How much there was when a document began.
struct Open {
    start: usize,
    nodes: usize,
    owned: usize,
    anchors: usize,
    aliases: usize,
}

impl<'t, 'd> Builder<'t, 'd> {
    fn new(text: &'t str, limits: &Limits, diagnostics: &'d mut Vec<Diagnostic>) -> Self {
        let tree = Tree {
            text,
            nodes: Vec::with_capacity(text.len() / 16),
            owned: Vec::new(),
            anchors: Vec::new(),
            aliases: Vec::new(),
            documents: Vec::new(),
        };
        let base = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Self {
            tree,
            limits: limits.clone(),
            diagnostics,
            base,
            frames: Vec::new(),
            keys: Vec::new(),
            expanded: 0,
            open: None,
            duplicate: None,
        }
    }

    /// Whether the text may be given to the parser at all.
    fn fits(&mut self) -> bool {
        let text = self.tree.text;
        if text.len() > self.limits.max_bytes {
            self.diagnostics.push(self.limits.too_large(text.len() as u64));
            self.tree.documents.push(whole(text));
            return false;
        }
        // The parser takes a NUL for the end of the text and would lose the rest.
        if let Some(at) = memchr::memchr(0, text.as_bytes()) {
            let (line, column) = position_at(text, at);
            let message = "the file holds a NUL byte, which YAML does not allow";
            self.diagnostics.push(
                Diagnostic::new(Code::InvalidYaml, "", message)
                    .at(line, column)
                    .hint("remove it, or save the file as UTF-8"),
            );
            self.tree.documents.push(whole(text));
            return false;
        }
        true
    }

    fn run(&mut self) {
        let mut parser = Parser::new_from_str_with_options(
            &self.tree.text[self.base as usize..],
            granit_parser::options! {
                emit_anchor_events: true,
                emit_comments: false,
                // Ours is counted over both, aliases expanded, and comes first.
                flow_nesting_limit: self.limits.max_depth as usize + 1,
                block_nesting_limit: self.limits.max_depth as usize + 1,
            },
        );
        while let Some(event) = parser.next_event() {
            let stop = match event {
                Ok((event, span)) => self.event(event, &span).err(),
                Err(error) => Some(self.scan_error(&error)),
            };
            let Some(stop) = stop else { continue };
            let (diagnostic, go_on) = match stop {
                Stop::Document(diagnostic) => (diagnostic, true),
                Stop::File(diagnostic) => (diagnostic, false),
            };
            self.abandon(diagnostic);
            if !go_on || !matches!(parser.proceed_next_document(), Ok(true)) {
                return;
            }
        }
    }

    fn event(&mut self, event: Event<'t>, span: &Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(value, style, _, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::SingleQuoted,
                    ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                let mut node = self.node(span, Shape::Scalar(style));
                node.tag = tag_kind(tag.as_deref());
                // The parser writes `~` for a value that is not there.
                let empty = style == Style::Plain && node.start == node.end;
                if empty {
                    self.behind_indicator(&mut node);
                } else if scalar_value(self.tree.text, &[], &node, style) != value {
                    node.extra = saturate(self.tree.owned.len());
                    self.tree.owned.push(value.into_owned().into_boxed_str());
                }
                self.add(node)?;
            }
            Event::MappingStart(layout, _, tag) => self.open(span, Shape::Mapping(convert(layout)), tag.as_deref())?,
            Event::SequenceStart(layout, _, tag) => {
                self.open(span, Shape::Sequence(convert(layout)), tag.as_deref())?;
            }
            Event::MappingEnd | Event::SequenceEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span)?,
            Event::Anchor(id, _) => self.anchor(id, span),
            Event::DocumentStart(..) => self.open_document(self.offset(span.start.byte_offset()) as usize),
            Event::DocumentEnd => self.close_document(),
            _ => {}
        }
        Ok(())
    }

    fn offset(&self, byte: Option<usize>) -> u32 {
        saturate(byte.unwrap_or_default()) + self.base
    }

    fn node(&self, span: &Span, shape: Shape) -> Node {
        Node {
            start: self.offset(span.start.byte_offset()),
            end: self.offset(span.end.byte_offset()),
            line: saturate(span.start.line()),
            column: saturate(span.start.col()) + 1,
            next: saturate(self.tree.nodes.len()) + 1,
            extra: NONE,
            shape,
            tag: TagKind::None,
            anchored: false,
            merges: false,
        }
    }

    /// The parser places a value that is not there before its `:`; here it stands behind, where one would go.
    fn behind_indicator(&self, node: &mut Node) {
        let is_value = self.frames.last().is_some_and(|frame| frame.mapping && !frame.at_key);
        if is_value && self.tree.text.as_bytes().get(node.start as usize) == Some(&b':') {
            node.start += 1;
            node.end += 1;
            node.column += 1;
        }
    }

    /// Adds a node to the arena and to the mapping or sequence that is open.
    fn add(&mut self, node: Node) -> Result<(), Stop> {
        self.expanded += 1;
        if self.expanded > u64::from(self.limits.max_nodes) {
            return Err(self.too_many_nodes(&node));
        }
        let id = saturate(self.tree.nodes.len());
        if let Some(frame) = self.frames.last_mut() {
            frame.last_child = id;
            let is_key = frame.mapping && frame.at_key;
            frame.at_key = !frame.at_key;
            if is_key {
                let key = match node.shape {
                    Shape::Scalar(style) => Some(scalar_value(self.tree.text, &self.tree.owned, &node, style)),
                    Shape::Alias => self.tree.scalar(NodeId(node.extra)).map(|scalar| scalar.value),
                    Shape::Mapping(_) | Shape::Sequence(_) => None,
                };
                if let Some(key) = key {
                    self.keys.push((fingerprint(key), id));
                    if key == "<<" && node.shape == Shape::Scalar(Style::Plain) && node.tag == TagKind::None {
                        self.tree.nodes[frame.node as usize].merges = true;
                    }
                }
            }
        }
        self.tree.nodes.push(node);
        Ok(())
    }

    fn open(&mut self, span: &Span, shape: Shape, tag: Option<&Tag>) -> Result<(), Stop> {
        let mut node = self.node(span, shape);
        node.tag = tag_kind(tag);
        if self.frames.len() >= self.limits.max_depth as usize {
            return Err(self.too_deep(&node));
        }
        let id = saturate(self.tree.nodes.len());
        let expanded = self.expanded;
        self.add(node)?;
        self.frames.push(Frame {
            node: id,
            anchor: NONE,
            expanded,
            height: 0,
            keys: self.keys.len(),
            mapping: matches!(shape, Shape::Mapping(_)),
            at_key: true,
            last_child: NONE,
        });
        Ok(())
    }

    fn close(&mut self, span: &Span) {
        let Some(frame) = self.frames.pop() else { return };
        if let Some(parent) = self.frames.last_mut() {
            parent.height = parent.height.max(frame.height + 1);
        }
        if frame.anchor != NONE {
            let anchor = &mut self.tree.anchors[frame.anchor as usize];
            anchor.closed = true;
            anchor.nodes = u32::try_from(self.expanded - frame.expanded).unwrap_or(u32::MAX);
            anchor.height = frame.height + 1;
        }
        if frame.mapping {
            if let Some(duplicate) = self.repeated_key(frame.keys) {
                self.duplicate = Some(self.duplicate.map_or(duplicate, |first| first.min(duplicate)));
            }
            self.keys.truncate(frame.keys);
        }
        let next = saturate(self.tree.nodes.len());
        let end = match self.tree.nodes[frame.node as usize].shape {
            // The parser closes a block where the next thing begins; here it ends with what it holds.
            Shape::Mapping(Layout::Block) | Shape::Sequence(Layout::Block) if frame.last_child != NONE => {
                self.tree.nodes[frame.last_child as usize].end
            }
            _ => self.offset(span.end.byte_offset()),
        };
        let node = &mut self.tree.nodes[frame.node as usize];
        node.next = next;
        node.end = end.max(node.start);
    }

    fn alias(&mut self, id: usize, span: &Span) -> Result<(), Stop> {
        let mut node = self.node(span, Shape::Alias);
        let found = self.tree.anchors.binary_search_by_key(&id, |anchor| anchor.id);
        let Some(anchor) = found.ok().and_then(|at| self.tree.anchors.get(at)) else {
            return Err(self.broken(&node, "the alias names an anchor that is not in this document"));
        };
        if !anchor.closed {
            return Err(self.broken(&node, "the alias stands inside the node that it names"));
        }
        let (nodes, height) = (anchor.nodes, anchor.height);
        node.extra = anchor.node.0;
        if self.frames.len() + height as usize > self.limits.max_depth as usize {
            return Err(self.too_deep(&node));
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.height = frame.height.max(height);
        }
        // One of them is counted where the node is added.
        self.expanded += u64::from(nodes.saturating_sub(1));
        self.tree.aliases.push(NodeId(saturate(self.tree.nodes.len())));
        self.add(node)
    }

    /// The parser tells of an anchor right behind the node that has it.
    fn anchor(&mut self, id: usize, span: &Span) {
        let Some(last) = self.tree.nodes.len().checked_sub(1) else { return };
        let node = &mut self.tree.nodes[last];
        node.anchored = true;
        let scalar = matches!(node.shape, Shape::Scalar(_));
        let name = self.offset(span.start.byte_offset()) + 1..self.offset(span.end.byte_offset());
        if !scalar && let Some(frame) = self.frames.last_mut() {
            frame.anchor = saturate(self.tree.anchors.len());
        }
        let node = NodeId(saturate(last));
        self.tree.anchors.push(Anchor { id, node, name, nodes: 1, height: 0, closed: scalar });
    }

    /// The first key of the innermost mapping that repeats an earlier one.
    fn repeated_key(&mut self, from: usize) -> Option<u32> {
        let keys = &mut self.keys[from..];
        let tree = &self.tree;
        let text = |id: u32| tree.scalar(NodeId(id)).map_or("", |scalar| scalar.value);
        if keys.len() <= FEW_KEYS {
            for (at, (print, id)) in keys.iter().enumerate() {
                if keys[..at].iter().any(|(other, earlier)| other == print && text(*earlier) == text(*id)) {
                    return Some(*id);
                }
            }
            return None;
        }
        keys.sort_unstable_by(|a, b| (a.0, text(a.1), a.1).cmp(&(b.0, text(b.1), b.1)));
        keys.windows(2)
            .filter(|pair| pair[0].0 == pair[1].0 && text(pair[0].1) == text(pair[1].1))
            .map(|pair| pair[1].1)
            .min()
    }

    fn open_document(&mut self, start: usize) {
        let start = if self.tree.documents.is_empty() { 0 } else { start };
        let start = self.end_document_before(start);
        self.open = Some(Open {
            start,
            nodes: self.tree.nodes.len(),
            owned: self.tree.owned.len(),
            anchors: self.tree.anchors.len(),
            aliases: self.tree.aliases.len(),
        });
    }

    fn close_document(&mut self) {
        let Some(open) = self.open.take() else { return };
        if let Some(id) = self.duplicate.take() {
            let key = self.tree.scalar(NodeId(id)).map_or("", |scalar| scalar.value);
            let (line, column) = self.tree.position(NodeId(id));
            let message = format!("the key `{key}` stands twice in one mapping");
            let diagnostic = Diagnostic::new(Code::DuplicateKey, "", message)
                .at(line, column)
                .hint("remove one of the two; until then nothing in this file is edited");
            self.open = Some(open);
            self.abandon(diagnostic);
            return;
        }
        let nodes = saturate(open.nodes)..saturate(self.tree.nodes.len());
        let root = (nodes.start < nodes.end).then_some(NodeId(nodes.start));
        self.push_document(open.start, root, nodes, false);
    }

    /// Leaves out the document that was being read, and says why.
    fn abandon(&mut self, diagnostic: Diagnostic) {
        let open = self.open.take().unwrap_or_else(|| {
            let line = diagnostic.line.unwrap_or(1);
            Open {
                start: if self.tree.documents.is_empty() { 0 } else { line_start(self.tree.text, line) },
                nodes: self.tree.nodes.len(),
                owned: self.tree.owned.len(),
                anchors: self.tree.anchors.len(),
                aliases: self.tree.aliases.len(),
            }
        });
        self.tree.nodes.truncate(open.nodes);
        self.tree.owned.truncate(open.owned);
        self.tree.anchors.truncate(open.anchors);
        self.tree.aliases.truncate(open.aliases);
        self.frames.clear();
        self.keys.clear();
        self.duplicate = None;
        let nodes = saturate(open.nodes)..saturate(open.nodes);
        self.push_document(open.start, None, nodes, true);
        self.diagnostics.push(diagnostic);
    }

    /// Ends the last document where the next one starts, and returns that place: documents follow each other, whatever
    /// places the parser names.
    fn end_document_before(&mut self, start: usize) -> usize {
        let Some(before) = self.tree.documents.last_mut() else { return start };
        let start = start.max(before.bytes.start);
        before.bytes.end = start;
        start
    }

    fn push_document(&mut self, start: usize, root: Option<NodeId>, nodes: std::ops::Range<u32>, broken: bool) {
        let start = self.end_document_before(start);
        let index = saturate(self.tree.documents.len());
        let bytes = start..self.tree.text.len();
        self.tree.documents.push(Document { index, root, bytes, template: false, broken, nodes });
    }

    fn finish(mut self) -> Tree<'t> {
        template::mark(&mut self.tree, self.diagnostics);
        self.tree
    }

    fn scan_error(&self, error: &ScanError) -> Stop {
        let line = saturate(error.marker().line()).max(1);
        let column = saturate(error.marker().col()) + 1;
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return Stop::File(self.limits.too_deep().at(line, column));
        }
        Stop::Document(Diagnostic::new(Code::InvalidYaml, "", error.info()).at(line, column))
    }

    fn broken(&self, node: &Node, message: &str) -> Stop {
        Stop::Document(Diagnostic::new(Code::InvalidYaml, "", message).at(node.line, node.column))
    }

    fn too_deep(&self, node: &Node) -> Stop {
        Stop::File(self.limits.too_deep().at(node.line, node.column))
    }

    fn too_many_nodes(&self, node: &Node) -> Stop {
        Stop::File(self.limits.too_many_nodes().at(node.line, node.column))
    }
}

fn whole(text: &str) -> Document {
    Document { index: 0, root: None, bytes: 0..text.len(), template: false, broken: true, nodes: 0..0 }
}

fn convert(layout: StructureStyle) -> Layout {
    match layout {
        StructureStyle::Block => Layout::Block,
        StructureStyle::Flow => Layout::Flow,
    }
}

fn tag_kind(tag: Option<&Tag>) -> TagKind {
    let Some(tag) = tag else { return TagKind::None };
    TagKind::Core(match tag.core_suffix() {
        Some("str") => CoreType::Str,
        Some("null") => CoreType::Null,
        Some("bool") => CoreType::Bool,
        Some("int") => CoreType::Int,
        Some("float") => CoreType::Float,
        // A lone `!` makes a string of a scalar.
        None if tag.handle() == "!" && tag.suffix().is_empty() => CoreType::Str,
        None if tag.handle().is_empty() && tag.suffix() == "!" => CoreType::Str,
        _ => CoreType::Other,
    })
}

/// Where a line begins, from 1, as the parser counts: a lone carriage return ends a line too.
fn line_start(text: &str, line: u32) -> usize {
    let bytes = text.as_bytes();
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', bytes)
        .filter(|at| bytes[*at] == b'\n' || bytes.get(at + 1) != Some(&b'\n'))
        .map(|at| at + 1);
    let Some(skip) = (line as usize).checked_sub(2) else { return 0 };
    ends.nth(skip).unwrap_or(text.len())
}

/// A hash of a key; only its speed matters, for equal prints are compared in full, and large mappings are sorted.
fn fingerprint(key: &str) -> u64 {
    key.bytes().fold(key.len() as u64, |hash, byte| {
        (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95)
    })
}
