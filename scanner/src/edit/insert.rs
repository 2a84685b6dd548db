//! New entries in mappings, written as their siblings are (S7.7).
//!
//! Owns where the text of a new entry goes and what it looks like. Must not decide which entries are wanted. Whatever
//! is not plainly a place for an entry is refused; what is written passes through [`super::verify`] like every edit.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::scalar::{double_quoted, needs_quotes};
use super::verify::{Meaning, Node, Splice, splice};
use crate::manifest::{Kind, Layout, Manifest, NodeId, Style, Tree};

/// How often an edit that fails its check is tried again without the insertion that seems to be at fault.
const ROUNDS: usize = 8;

/// Entries to add to one mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insertion {
    /// The mapping.
    pub mapping: NodeId,
    /// The key behind whose entry the new ones go; `None`: behind the last.
    pub after: Option<NodeId>,
    /// The new entries, in order. None of the keys may stand in the mapping yet.
    pub entries: Vec<Entry>,
}

/// A new key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

/// The value of a new entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A mapping of strings to strings that is not empty.
    Mapping(Vec<(String, String)>),
}

/// A text with new entries, and what became of each insertion. Insertions are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// The text with every applied insertion in it; the text that was given where none is.
    pub text: String,
    /// The insertions that are in the text, in order.
    pub applied: Vec<usize>,
    /// The insertions that are not, in order, each with its reason.
    pub refused: Vec<(usize, String)>,
}

/// Adds entries to a text, each insertion whole or not at all, and verifies the result (S7.7, S7.3).
#[must_use]
pub fn insert(manifest: &Manifest<'_>, insertions: &[Insertion]) -> Inserted {
    let tree = &manifest.tree;
    let mut refused = BTreeMap::new();
    let mut splices = Vec::new();
    let mut mappings = HashSet::new();
    for (index, insertion) in insertions.iter().enumerate() {
        let planned = match () {
            () if manifest.is_broken() => Err("a document of this file cannot be read".into()),
            () if !mappings.insert(insertion.mapping) => Err("another insertion goes into the same mapping".into()),
            () => plan(tree, insertion),
        };
        match planned {
            Ok(splice) => splices.push((index, splice)),
            Err(reason) => {
                refused.insert(index, reason);
            }
        }
    }
    splices.sort_by_key(|(_, splice)| splice.range.start);
    let mut text = None;
    let mut rounds = 0;
    while text.is_none() && !splices.is_empty() {
        let changes: Vec<&Splice> = splices.iter().map(|(_, splice)| splice).collect();
        match splice(tree.text(), &changes) {
            Ok(verified) => text = Some(verified.into_text()),
            Err(mismatch) => {
                let reason = format!("the file with its new entries would not read as intended: {}", mismatch.reason);
                // The last one before the first difference is at fault; after a few rounds nobody knows.
                rounds += 1;
                let suspect = splices.partition_point(|(_, splice)| splice.range.start <= mismatch.at).max(1) - 1;
                let guilty = if rounds < ROUNDS { suspect..suspect + 1 } else { 0..splices.len() };
                refused.extend(splices.drain(guilty).map(|(index, _)| (index, reason.clone())));
            }
        }
    }
    Inserted {
        text: text.unwrap_or_else(|| tree.text().to_owned()),
        applied: (0..insertions.len()).filter(|index| !refused.contains_key(index)).collect(),
        refused: refused.into_iter().collect(),
    }
}

fn plan(tree: &Tree<'_>, insertion: &Insertion) -> Result<Splice, String> {
    let mapping = insertion.mapping;
    let Some(layout) = tree.layout(mapping).filter(|_| tree.kind(mapping) == Kind::Mapping) else {
        return Err("entries can be added to a mapping only".into());
    };
    if tree.anchor(mapping).is_some() || tree.has_merge_keys(mapping) {
        return Err("the mapping is shared by an anchor or has a merge key".into());
    }
    for entry in &insertion.entries {
        if tree.get(mapping, &entry.key).is_some() {
            return Err(format!("the key `{}` is there already", entry.key));
        }
    }
    let siblings: Vec<(NodeId, NodeId)> = tree.entries(mapping).collect();
    let after = match insertion.after {
        None => siblings.len(),
        Some(key) => 1 + siblings.iter().position(|(other, _)| *other == key).ok_or("the sibling is not there")?,
    };
    if siblings.first().is_some_and(|(key, _)| tree.kind(*key) != Kind::Scalar) {
        return Err("the mapping has a key that is no scalar".into());
    }
    let siblings = &siblings[..after];
    let place = match (layout, siblings.last()) {
        (Layout::Block, Some(_)) => Place::block(tree, siblings),
        (Layout::Flow, Some(_)) => Place::flow(tree, mapping, siblings),
        (Layout::Flow, None) if tree.entries(mapping).next().is_none() => Place::empty(tree, mapping),
        (_, None) => None,
    };
    let place = place.ok_or("the text around it leaves no clear place for an entry")?;
    let nodes = insertion.entries.iter().flat_map(nodes).collect();
    Ok(Splice {
        text: place.text(&insertion.entries),
        range: place.range,
        meaning: Meaning::Inserted { mapping: tree.span(mapping).start, after, nodes },
    })
}

fn nodes(entry: &Entry) -> Vec<Node> {
    let mut nodes = vec![Node::Scalar(entry.key.clone())];
    match &entry.value {
        Value::Text(text) => nodes.push(Node::Scalar(text.clone())),
        Value::Mapping(entries) => {
            nodes.push(Node::MappingStart);
            nodes.extend(entries.iter().flat_map(|(key, value)| [key, value]).map(|text| Node::Scalar(text.clone())));
            nodes.push(Node::MappingEnd);
        }
    }
    nodes
}

/// How scalars are written here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    WhereNeeded,
    Single,
    Double,
}

impl Quotes {
    /// What the scalars are written like, the last one first. Quotes that a scalar cannot do without tell nothing.
    fn of(tree: &Tree<'_>, mut nodes: impl Iterator<Item = NodeId>) -> Self {
        let telling = nodes.find_map(|node| {
            let scalar = tree.scalar(node).filter(|_| tree.kind(node) == Kind::Scalar)?;
            (!needs_quotes(scalar.value)).then_some(scalar.style)
        });
        match telling {
            Some(Style::SingleQuoted) => Self::Single,
            Some(Style::DoubleQuoted) => Self::Double,
            _ => Self::WhereNeeded,
        }
    }

    /// Those of keys and of values. Where keys are in double quotes it is JSON, which knows no plain strings.
    fn of_entries(tree: &Tree<'_>, entries: &[(NodeId, NodeId)]) -> (Self, Self) {
        let keys = Self::of(tree, entries.iter().rev().map(|(key, _)| *key));
        let values = Self::of(tree, entries.iter().rev().map(|(_, value)| *value));
        (keys, if keys == Self::Double { keys } else { values })
    }

    fn write(self, text: &str) -> String {
        let printable = !text.chars().any(char::is_control);
        match self {
            Self::Single if printable => format!("'{}'", text.replace('\'', "''")),
            Self::WhereNeeded if !needs_quotes(text) => text.to_owned(),
            _ => double_quoted(text),
        }
    }
}

/// Where new entries go, and how they look.
#[derive(Debug)]
struct Place<'t> {
    /// The bytes that are replaced: none, or those between the last value and the end of its line.
    range: Range<usize>,
    /// What stands there and is written again, the comma added where one is missing.
    kept: String,
    layout: Look<'t>,
    keys: Quotes,
    values: Quotes,
    /// Between key and value.
    colon: &'t str,
}

#[derive(Debug)]
enum Look<'t> {
    /// Each on its own line; `behind` is the end of a line before which the entries are put.
    Lines {
        indentation: String,
        /// What a level of a mapping in it is indented by.
        step: String,
        line_end: &'t str,
        /// The entries begin on the line that is being written, not on a new one.
        at_start: bool,
        /// In brackets.
        flow: bool,
        trailing_comma: bool,
    },
    /// All on one line, in brackets.
    Line { comma: &'t str, first: bool },
}

impl<'t> Place<'t> {
    /// Behind the last of some entries of a block mapping.
    fn block(tree: &Tree<'t>, siblings: &[(NodeId, NodeId)]) -> Option<Self> {
        let (key, value) = *siblings.last()?;
        let (keys, values) = Quotes::of_entries(tree, siblings);
        let text = tree.text();
        let key_start = tree.span(key).start;
        let indentation = indentation(text, key_start)?;
        let last = last_node(tree, value);
        let is_block =
            tree.scalar(last).is_some_and(|scalar| scalar.style.is_block()) && tree.kind(last) == Kind::Scalar;
        let end = tree.span(last).end.max(tree.span(key).end);
        let (at, at_start) = if is_block && text[..end].ends_with('\n') {
            (end, true)
        } else {
            let rest = line_rest(text, end);
            // Behind the value of a block mapping there is nothing on its line but a comment.
            let between = rest.trim_start_matches([' ', '\t']).trim_start_matches(':').trim_start();
            if !between.is_empty() && !between.starts_with('#') {
                return None;
            }
            (end + rest.len(), false)
        };
        let column = indentation.len();
        Some(Self {
            range: at..at,
            kept: String::new(),
            layout: Look::Lines {
                step: step(tree, key_start, column),
                indentation,
                line_end: line_end(text, key_start),
                at_start,
                flow: false,
                trailing_comma: false,
            },
            keys,
            values,
            colon: ": ",
        })
    }

    /// Behind the last of some entries of a flow mapping.
    fn flow(tree: &Tree<'t>, mapping: NodeId, siblings: &[(NodeId, NodeId)]) -> Option<Self> {
        let (key, value) = *siblings.last()?;
        let text = tree.text();
        let end = last_end(tree, value).max(tree.span(key).end);
        let colon = match text.get(tree.span(key).end..tree.span(value).start)? {
            ":" => ":",
            _ => ": ",
        };
        let rest = line_rest(text, end);
        let own_line = indentation(text, tree.span(key).start).filter(|indentation| !indentation.contains('-'));
        // A bracket that closes on the same line leaves no room for another line.
        let closes = end + rest.len() >= tree.span(mapping).end;
        let (range, kept, layout) = match own_line {
            Some(indentation) if !closes => {
                let trimmed = rest.trim_start_matches([' ', '\t']);
                let has_comma = trimmed.starts_with(',');
                let behind = trimmed.strip_prefix(',').unwrap_or(trimmed).trim_start_matches([' ', '\t']);
                if !behind.is_empty() && !behind.starts_with('#') {
                    return None;
                }
                let is_last = last_end(tree, mapping_last(tree, mapping)?) == last_end(tree, value);
                let kept = if has_comma { rest.to_owned() } else { format!(",{rest}") };
                let outer = line_indentation(text, tree.span(mapping).start);
                let step = indentation.strip_prefix(outer).filter(|step| !step.is_empty()).unwrap_or("  ").to_owned();
                let layout = Look::Lines {
                    indentation,
                    step,
                    line_end: line_end(text, tree.span(key).start),
                    at_start: false,
                    flow: true,
                    trailing_comma: has_comma || !is_last,
                };
                (end..end + rest.len(), kept, layout)
            }
            _ => {
                let comma = if colon == ":" { "," } else { ", " };
                (end..end, String::new(), Look::Line { comma, first: false })
            }
        };
        // One key tells JSON from YAML, also where it could not do without its quotes.
        let json = tree.scalar(key).is_some_and(|key| key.style == Style::DoubleQuoted);
        let (keys, values) = if json { (Quotes::Double, Quotes::Double) } else { Quotes::of_entries(tree, siblings) };
        Some(Self { range, kept, layout, keys, values, colon })
    }

    /// Between `{` and `}`.
    fn empty(tree: &Tree<'t>, mapping: NodeId) -> Option<Self> {
        let span = tree.span(mapping);
        let inside = tree.text().get(span.start + 1..span.end.checked_sub(1)?)?;
        if !inside.bytes().all(|b| b == b' ') {
            return None;
        }
        let at = span.start + 1 + inside.len() / 2;
        // JSON puts everything in double quotes, and there is no sibling to look at: the key before it tells.
        let json = tree.text()[..span.start].trim_end_matches([' ', '\t', ':']).ends_with('"');
        let quotes = if json { Quotes::Double } else { Quotes::WhereNeeded };
        let compact = json && tree.text()[..span.start].ends_with("\":");
        Some(Self {
            range: at..at,
            kept: String::new(),
            layout: Look::Line { comma: if compact { "," } else { ", " }, first: true },
            keys: quotes,
            values: quotes,
            colon: if compact { ":" } else { ": " },
        })
    }

    fn text(&self, entries: &[Entry]) -> String {
        let mut out = self.kept.clone();
        match &self.layout {
            Look::Line { comma, first } => {
                for (at, entry) in entries.iter().enumerate() {
                    if at > 0 || !first {
                        out.push_str(comma);
                    }
                    self.key(&entry.key, &mut out);
                    match &entry.value {
                        Value::Text(text) => out.push_str(&self.values.write(text)),
                        Value::Mapping(inner) => {
                            out.push('{');
                            for (at, (key, value)) in inner.iter().enumerate() {
                                if at > 0 {
                                    out.push_str(comma);
                                }
                                self.key(key, &mut out);
                                out.push_str(&self.values.write(value));
                            }
                            out.push('}');
                        }
                    }
                }
            }
            Look::Lines { indentation, step, line_end, at_start, flow, trailing_comma } => {
                let mut lines = Vec::new();
                for (at, entry) in entries.iter().enumerate() {
                    let comma = if *flow && (at + 1 < entries.len() || *trailing_comma) { "," } else { "" };
                    let mut line = indentation.clone();
                    self.key(&entry.key, &mut line);
                    match &entry.value {
                        Value::Text(text) => lines.push(line + &self.values.write(text) + comma),
                        Value::Mapping(inner) => {
                            let open = if *flow { line + "{" } else { line.trim_end().to_owned() };
                            lines.push(open);
                            for (at, (key, value)) in inner.iter().enumerate() {
                                let comma = if *flow && at + 1 < inner.len() { "," } else { "" };
                                let mut line = format!("{indentation}{step}");
                                self.key(key, &mut line);
                                lines.push(line + &self.values.write(value) + comma);
                            }
                            if *flow {
                                lines.push(format!("{indentation}}}{comma}"));
                            }
                        }
                    }
                }
                for line in lines {
                    if *at_start {
                        out.extend([line.as_str(), line_end]);
                    } else {
                        out.extend([line_end, line.as_str()]);
                    }
                }
            }
        }
        out
    }

    fn key(&self, key: &str, out: &mut String) {
        out.push_str(&self.keys.write(key));
        out.push_str(self.colon);
    }
}

/// The text from `at` to the end of its line, without the line end.
fn line_rest(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())]
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1)
}

/// How the line at `at` ends; where it is the last one, how the line before it does.
fn line_end(text: &str, at: usize) -> &str {
    let end = text[at..]
        .find(['\n', '\r'])
        .map(|end| end + at)
        .or_else(|| text[..at].rfind('\n').map(|end| if text[..end].ends_with('\r') { end - 1 } else { end }));
    match end.map(|end| &text[end..]) {
        Some(rest) if rest.starts_with("\r\n") => &rest[..2],
        Some(rest) => &rest[..1],
        None => "\n",
    }
}

/// What the line of `at` begins with, as far as it is spaces and tabs.
fn line_indentation(text: &str, at: usize) -> &str {
    let line = text[line_start(text, at)..].trim_start_matches('\u{feff}');
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The indentation of a key that comes first on its line, dashes of lists before it counted as spaces.
fn indentation(text: &str, key: usize) -> Option<String> {
    let before = text[line_start(text, key)..key].trim_start_matches('\u{feff}');
    let is_clear = before.chars().all(|c| matches!(c, ' ' | '-')) && !before.ends_with('-');
    let is_tabs = before.chars().all(|c| matches!(c, ' ' | '\t'));
    (is_clear || is_tabs).then(|| before.replace('-', " "))
}

/// What a mapping is indented by below its key: as the one at `key` is below the line that opens it, else two spaces.
fn step(tree: &Tree<'_>, key: usize, column: usize) -> String {
    let text = tree.text();
    let mut at = line_start(text, key);
    while at > 0 {
        at = line_start(text, at - 1);
        let line = &text[at..];
        let outer = line.len() - line.trim_start_matches([' ', '-']).len();
        let is_content = !line.trim_start().starts_with('#') && !line_rest(text, at).trim().is_empty();
        if is_content && outer < column {
            return " ".repeat(column - outer);
        }
    }
    "  ".into()
}

/// The last node of a value in the text, itself where it is a scalar, an alias or in brackets.
fn last_node(tree: &Tree<'_>, value: NodeId) -> NodeId {
    let mut node = value;
    while tree.layout(node) == Some(Layout::Block) {
        let last = match tree.kind(node) {
            Kind::Mapping => tree.entries(node).last().map(|(_, value)| value),
            _ => tree.items(node).last(),
        };
        let Some(last) = last else { break };
        node = last;
    }
    node
}

fn last_end(tree: &Tree<'_>, value: NodeId) -> usize {
    tree.span(last_node(tree, value)).end
}

fn mapping_last(tree: &Tree<'_>, mapping: NodeId) -> Option<NodeId> {
    tree.entries(mapping).last().map(|(_, value)| value)
}
