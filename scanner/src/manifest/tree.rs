//! The tree of a manifest: every document of a file, each node with its place in the text.
//!
//! Pure. Invariants:
//! 1. Nodes lie in one arena in the order of the text, so a node's children follow it directly and the node behind
//!    its last descendant is its `next`. Of a mapping, keys and values alternate.
//! 2. Byte ranges are those of the text that was parsed, byte-order mark included, and always on character bounds.
//! 3. An alias points at a node before it that does not contain it: following aliases ends.
//! 4. Expanded by its aliases the whole tree stays within [`super::Limits`], in size and in depth: code that walks it
//!    may recurse.

use std::ops::Range;

use super::scalar::{CoreType, Scalar, Style};

/// A node of a [`Tree`]. Ids are only meaningful within the tree that gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A scalar, also an empty value.
    Scalar,
    /// A mapping.
    Mapping,
    /// A sequence.
    Sequence,
    /// An alias, `*name`.
    Alias,
}

/// How a mapping or sequence is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// By indentation.
    Block,
    /// In brackets, as JSON does.
    Flow,
}

/// The shape of a node, in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar(Style),
    Mapping(Layout),
    Sequence(Layout),
    Alias,
}

pub(super) const NONE: u32 = u32::MAX;

/// One node. Twenty-eight bytes: there are a hundred thousand of them in a large file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) line: u32,
    pub(super) column: u32,
    /// The node behind the last descendant.
    pub(super) next: u32,
    /// Scalar: index of its value in `owned`, or [`NONE`] where the text itself is the value. Alias: the anchored node.
    pub(super) extra: u32,
    pub(super) shape: Shape,
    pub(super) tag: TagKind,
    pub(super) anchored: bool,
    /// A mapping with a merge key.
    pub(super) merges: bool,
}

/// The explicit tag of a node, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagKind {
    None,
    Core(CoreType),
}

/// An anchor of the text.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    /// The parser's number for it; ascending.
    pub(super) id: usize,
    pub(super) node: NodeId,
    /// The name without `&`.
    pub(super) name: Range<u32>,
    /// Nodes below and with it, aliases expanded.
    pub(super) nodes: u32,
    /// Levels below it, aliases expanded.
    pub(super) height: u32,
    /// False while the parser is inside it.
    pub(super) closed: bool,
}

/// One document of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its number in the file, from 0; broken and empty ones count.
    pub index: u32,
    /// Its node; `None` where it could not be read (S1.3). An empty document has an empty scalar.
    pub root: Option<NodeId>,
    /// Its bytes, from its `---` (for the first one: from the start of the text) to the next document.
    pub bytes: Range<usize>,
    /// Whether it holds `{{` outside quotes, block scalars and comments (S1.3).
    pub template: bool,
    /// Whether it is no valid YAML, repeats a key or exceeds a limit. Diagnostics say why.
    pub broken: bool,
    pub(super) nodes: Range<u32>,
}

/// All documents of one text.
#[derive(Debug)]
pub struct Tree<'t> {
    pub(super) text: &'t str,
    pub(super) nodes: Vec<Node>,
    pub(super) owned: Vec<Box<str>>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) aliases: Vec<NodeId>,
    pub(super) documents: Vec<Document>,
}

impl<'t> Tree<'t> {
    /// The text this tree was read from.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The documents in the order of the text.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Every node of a document in the order of the text.
    pub fn nodes_of(&self, document: &Document) -> impl Iterator<Item = NodeId> + use<> {
        document.nodes.clone().map(NodeId)
    }

    /// The document a node belongs to.
    #[must_use]
    pub fn document_of(&self, id: NodeId) -> Option<&Document> {
        let behind = self.documents.partition_point(|document| document.nodes.start <= id.0);
        self.documents[..behind].iter().rev().find(|document| document.nodes.contains(&id.0))
    }

    /// What the node is, aliases not followed.
    #[must_use]
    pub fn kind(&self, id: NodeId) -> Kind {
        match self.node(id).shape {
            Shape::Scalar(_) => Kind::Scalar,
            Shape::Mapping(_) => Kind::Mapping,
            Shape::Sequence(_) => Kind::Sequence,
            Shape::Alias => Kind::Alias,
        }
    }

    /// How a mapping or sequence is written; `None` for scalars and aliases.
    #[must_use]
    pub fn layout(&self, id: NodeId) -> Option<Layout> {
        match self.node(id).shape {
            Shape::Mapping(layout) | Shape::Sequence(layout) => Some(layout),
            Shape::Scalar(_) | Shape::Alias => None,
        }
    }

    /// The bytes of the node in the text: with quotes and brackets, without tag and anchor.
    ///
    /// An empty value has an empty range; a block scalar's begins at its content, behind the header; a block mapping
    /// or sequence ends with its last descendant.
    #[must_use]
    pub fn span(&self, id: NodeId) -> Range<usize> {
        let node = self.node(id);
        node.start as usize..node.end as usize
    }

    /// Line and column of the node's start, both from 1, the column in code points.
    #[must_use]
    pub fn position(&self, id: NodeId) -> (u32, u32) {
        let node = self.node(id);
        (node.line, node.column)
    }

    /// The node an alias stands for; any other node itself.
    #[must_use]
    pub fn resolve(&self, id: NodeId) -> NodeId {
        match self.node(id).shape {
            // An anchor never stands on an alias, so one step is enough.
            Shape::Alias => NodeId(self.node(id).extra),
            _ => id,
        }
    }

    /// The scalar at a node, aliases followed; `None` for mappings and sequences.
    #[must_use]
    pub fn scalar(&self, id: NodeId) -> Option<Scalar<'_>> {
        let id = self.resolve(id);
        let node = self.node(id);
        let Shape::Scalar(style) = node.shape else { return None };
        let tag = match node.tag {
            TagKind::None => None,
            TagKind::Core(core) => Some(core),
        };
        Some(Scalar { value: self.value(node, style), style, tag })
    }

    /// The items of a sequence, aliases followed to it; nothing for other nodes.
    pub fn items(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let id = self.resolve(id);
        let end = if matches!(self.node(id).shape, Shape::Sequence(_)) { self.node(id).next } else { id.0 + 1 };
        let mut at = id.0 + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let item = NodeId(at);
                at = self.node(item).next;
                item
            })
        })
    }

    /// The pairs of key and value as a mapping writes them, merge keys among them; nothing for other nodes.
    /// Aliases are followed to the mapping, not within it.
    #[must_use]
    pub fn entries(&self, id: NodeId) -> Entries<'_> {
        let id = self.resolve(id);
        let end = if matches!(self.node(id).shape, Shape::Mapping(_)) { self.node(id).next } else { id.0 + 1 };
        Entries { nodes: &self.nodes, at: id.0 + 1, end }
    }

    /// The value of a key in a mapping, merge keys followed (S1.4): the mapping's own key first, then those of what
    /// it merges, in order. The value may be an alias. `None` where there is no such key or no mapping.
    #[must_use]
    pub fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        let id = self.resolve(id);
        for (name, value) in self.entries(id) {
            if self.is_key(name, key) {
                return Some(value);
            }
        }
        if !self.node(id).merges {
            return None;
        }
        self.merged(id).find_map(|source| self.get(source, key))
    }

    /// Like [`Tree::entries`], with merge keys replaced by what they merge: every key once, the mapping's own first.
    #[must_use]
    pub fn all_entries(&self, id: NodeId) -> Vec<(NodeId, NodeId)> {
        let id = self.resolve(id);
        if !self.node(id).merges {
            return self.entries(id).collect();
        }
        let mut seen = std::collections::HashSet::new();
        let mut all = Vec::new();
        self.collect_entries(id, &mut seen, &mut all);
        all
    }

    /// How many nodes the node consists of, itself included, aliases not followed.
    #[must_use]
    pub fn size(&self, id: NodeId) -> usize {
        (self.node(id).next - id.0) as usize
    }

    /// Whether reading this mapping involves merge keys.
    #[must_use]
    pub fn has_merge_keys(&self, id: NodeId) -> bool {
        self.node(self.resolve(id)).merges
    }

    /// The name of the anchor on this node, without `&`.
    #[must_use]
    pub fn anchor(&self, id: NodeId) -> Option<&'t str> {
        let found = self.anchor_of(id)?;
        self.text.get(found.name.start as usize..found.name.end as usize)
    }

    /// Whether any alias stands in the text.
    #[must_use]
    pub fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// Whether a node is a scalar without a YAML tag that stands in the text just as it is read, but for its quotes: no
    /// escapes, no line breaks.
    #[must_use]
    pub fn is_verbatim(&self, id: NodeId) -> bool {
        let source = &self.text[self.span(id)];
        self.scalar(id).is_some_and(|scalar| {
            let quotes = usize::from(scalar.style.is_quoted());
            scalar.tag.is_none()
                && !scalar.style.is_block()
                && source.len() == scalar.value.len() + 2 * quotes
                && source[quotes..].starts_with(scalar.value)
        })
    }

    /// All aliases of an anchored node, in the order of the text.
    pub fn aliases_of(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        // Aliases come behind their anchor.
        let first = self.aliases.partition_point(|alias| *alias < id);
        let anchored = self.node(id).anchored;
        self.aliases[first..].iter().copied().filter(move |alias| anchored && self.node(*alias).extra == id.0)
    }

    /// Line and column of a byte of the text, both from 1, the column in code points; a byte-order mark has no column.
    /// Takes time linear in the text: for nodes use [`Tree::position`].
    #[must_use]
    pub fn position_at(&self, byte: usize) -> (u32, u32) {
        position_at(self.text, byte)
    }

    /// Whether the key node is a scalar of this value.
    #[must_use]
    pub fn is_key(&self, key: NodeId, text: &str) -> bool {
        self.scalar(key).is_some_and(|scalar| scalar.value == text)
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(super) fn value<'a>(&'a self, node: &Node, style: Style) -> &'a str {
        scalar_value(self.text, &self.owned, node, style)
    }

    fn anchor_of(&self, id: NodeId) -> Option<&Anchor> {
        if !self.node(id).anchored {
            return None;
        }
        let at = self.anchors.binary_search_by_key(&id, |anchor| anchor.node).ok()?;
        self.anchors.get(at)
    }

    /// The mappings that the merge keys of a mapping name, in order.
    fn merged(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.entries(id).filter(|(key, _)| self.is_merge_key(*key)).flat_map(|(_, value)| {
            let value = self.resolve(value);
            let one = (self.kind(value) == Kind::Mapping).then_some(value);
            one.into_iter().chain(self.items(value).map(|item| self.resolve(item)))
        })
    }

    fn is_merge_key(&self, key: NodeId) -> bool {
        let node = self.node(key);
        node.shape == Shape::Scalar(Style::Plain) && node.tag == TagKind::None && self.value(node, Style::Plain) == "<<"
    }

    fn collect_entries<'a>(
        &'a self,
        id: NodeId,
        seen: &mut std::collections::HashSet<&'a str>,
        all: &mut Vec<(NodeId, NodeId)>,
    ) {
        for (key, value) in self.entries(id) {
            if self.is_merge_key(key) {
                continue;
            }
            if self.scalar(key).is_none_or(|scalar| seen.insert(scalar.value)) {
                all.push((key, value));
            }
        }
        if self.node(id).merges {
            for source in self.merged(id) {
                self.collect_entries(source, seen, all);
            }
        }
    }
}

/// The value of a scalar: the text itself wherever nothing had to be unescaped or folded.
pub(super) fn scalar_value<'a>(text: &'a str, owned: &'a [Box<str>], node: &Node, style: Style) -> &'a str {
    if node.extra != NONE {
        return owned.get(node.extra as usize).map_or("", |value| value);
    }
    let quote = usize::from(style.is_quoted());
    text.get(node.start as usize + quote..node.end as usize - quote).unwrap_or_default()
}

/// The pairs of a mapping, see [`Tree::entries`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    nodes: &'a [Node],
    at: u32,
    end: u32,
}

impl Iterator for Entries<'_> {
    type Item = (NodeId, NodeId);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = self.at;
        let value = self.nodes[key as usize].next;
        self.at = self.nodes[value as usize].next;
        Some((NodeId(key), NodeId(value)))
    }
}

/// Line and column of a byte, both from 1, the column in code points.
pub(super) fn position_at(text: &str, byte: usize) -> (u32, u32) {
    let before = text.get(..byte).unwrap_or(text);
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    let bytes = before.as_bytes();
    // YAML also ends lines with a lone carriage return.
    let line_ends = memchr::memchr_iter(b'\n', bytes).count()
        + memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count();
    let line_start = memchr::memrchr2(b'\n', b'\r', bytes).map_or(0, |at| at + 1);
    let column = before[line_start..].chars().count();
    (saturate(line_ends + 1), saturate(column + 1))
}

pub(super) fn saturate(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
