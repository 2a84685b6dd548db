//! The places that change along when an anchored scalar does (S7.4).
//!
//! Must not judge them: whether a follower may change is decided where the containers are known.

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
