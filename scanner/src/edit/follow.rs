//! The places that change along when an anchored scalar does (S7.4).
//!
//! Must not judge them: whether a follower may change is decided where the containers are known.

use std::collections::HashSet;
use std::ops::Range;

use super::path::{push_index, push_key};
use crate::manifest::{Document, Kind, NodeId, Tree};

/// A place outside every container's reference that follows an anchor and reads differently after an edit (S7.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoChanged {
    /// The line of the alias, from 1.
    pub line: u32,
    /// The column of the alias, from 1, in code points.
    pub column: u32,
    /// Where the alias stands, from the document's root, keys joined by dots as in S3.1: `spec.values.labels.version`.
    pub path: String,
}

/// An alias that stands for a changed scalar, or for a mapping or list that holds one.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) alias: NodeId,
    /// The node it stands for.
    pub(super) target: NodeId,
    pub(super) path: String,
}

/// Every alias in the document whose meaning changes with one of these scalars, which are in ascending order.
pub(super) fn followers(tree: &Tree<'_>, document: &Document, changed: &[NodeId]) -> Vec<Follower> {
    // Nodes lie in the order of the text, so what a node holds are the ids that follow it, up to the end of its span.
    let holds_change = |target: NodeId| {
        let first = changed.partition_point(|node| *node < target);
        changed.get(first).is_some_and(|node| {
            *node == target || (tree.kind(target) != Kind::Scalar && tree.span(*node).end <= tree.span(target).end)
        })
    };
    let mut aliases: Vec<(NodeId, NodeId)> = tree
        .nodes_of(document)
        .filter(|node| tree.kind(*node) == Kind::Alias)
        .map(|alias| (alias, tree.resolve(alias)))
        .filter(|(_, target)| holds_change(*target))
        .collect();
    if aliases.is_empty() {
        return Vec::new();
    }
    aliases.reverse();
    let mut found = Vec::new();
    if let Some(root) = document.root {
        walk(tree, root, &mut String::new(), &mut aliases, &mut found);
    }
    found
}

/// Takes the wanted aliases, the first one last, off as it comes by them.
fn walk(
    tree: &Tree<'_>,
    node: NodeId,
    path: &mut String,
    wanted: &mut Vec<(NodeId, NodeId)>,
    found: &mut Vec<Follower>,
) {
    let length = path.len();
    match tree.kind(node) {
        Kind::Alias => {
            if let Some((alias, target)) = wanted.pop_if(|(alias, _)| *alias == node) {
                found.push(Follower { alias, target, path: path.clone() });
            }
        }
        Kind::Mapping => {
            for (key, value) in tree.entries(node) {
                push_key(path, tree.scalar(key).map_or("?", |scalar| scalar.value));
                // A key can be an alias too.
                walk(tree, key, path, wanted, found);
                walk(tree, value, path, wanted, found);
                path.truncate(length);
                if wanted.is_empty() {
                    return;
                }
            }
        }
        Kind::Sequence => {
            for (at, item) in tree.items(node).enumerate() {
                push_index(path, at);
                walk(tree, item, path, wanted, found);
                path.truncate(length);
            }
        }
        Kind::Scalar => {}
    }
}

/// Ranges of the text, none within another.
#[derive(Debug, Default)]
pub(super) struct Regions(Vec<Range<usize>>);

impl Regions {
    /// The outermost of ranges that lie in each other or apart, as those of nodes do.
    pub(super) fn outermost(mut ranges: Vec<Range<usize>>) -> Self {
        ranges.sort_unstable_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut end = 0;
        ranges.retain(|range| {
            let outermost = range.start >= end;
            end = end.max(range.end);
            outermost
        });
        Self(ranges)
    }

    /// Whether what starts at this byte lies in one of them.
    pub(super) fn hold(&self, start: usize) -> bool {
        let behind = self.0.partition_point(|range| range.start <= start);
        behind > 0 && start < self.0[behind - 1].end
    }
}

/// What the keys of mappings are made of, in their own place or by aliases: who changes it renames a key (S7.4).
pub(super) fn parts_of_keys(tree: &Tree<'_>) -> Regions {
    let all = || tree.documents().iter().flat_map(|document| tree.nodes_of(document));
    let aliases: Vec<NodeId> = all().filter(|node| tree.kind(*node) == Kind::Alias).collect();
    if aliases.is_empty() {
        return Regions::default();
    }
    let mappings = all().filter(|node| tree.kind(*node) == Kind::Mapping);
    let mut open: Vec<NodeId> = mappings.flat_map(|mapping| tree.entries(mapping)).map(|(key, _)| key).collect();
    let mut seen = HashSet::new();
    let mut ranges = Vec::new();
    while let Some(node) = open.pop() {
        let target = tree.resolve(node);
        // A key that no alias stands for is a place of its own, which nobody changes.
        if target != node && seen.insert(target) {
            ranges.push(tree.span(target));
        }
        if tree.kind(target) != Kind::Scalar && (target == node || seen.contains(&target)) {
            let end = tree.span(target).end;
            let from = aliases.partition_point(|alias| *alias < target);
            let inside = aliases[from..].iter().take_while(|alias| tree.span(**alias).end <= end);
            open.extend(inside.filter(|alias| !seen.contains(&tree.resolve(**alias))));
        }
    }
    Regions::outermost(ranges)
}
