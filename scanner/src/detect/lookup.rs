//! Keys and items of a release's values, found fast however large its mappings and however many its aliases are.

use std::collections::HashMap;

use crate::manifest::{Kind, NodeId, Tree};

/// Mappings and lists below this many nodes are searched; larger ones get an index at the first question.
const SMALL: usize = 256;

/// Answers as [`Tree::get`] and [`Tree::items`] do.
pub(super) struct Lookup<'a, 't> {
    pub(super) tree: &'a Tree<'t>,
    keys: HashMap<NodeId, HashMap<&'a str, NodeId>>,
    items: HashMap<NodeId, Vec<NodeId>>,
}

impl<'a, 't> Lookup<'a, 't> {
    pub(super) fn new(tree: &'a Tree<'t>) -> Self {
        Self { tree, keys: HashMap::new(), items: HashMap::new() }
    }

    /// The value of a key, merge keys followed.
    pub(super) fn get(&mut self, map: NodeId, key: &str) -> Option<NodeId> {
        let tree = self.tree;
        let map = tree.resolve(map);
        if tree.kind(map) != Kind::Mapping {
            return None;
        }
        if tree.size(map) < SMALL && !tree.has_merge_keys(map) {
            return tree.get(map, key);
        }
        let index = self.keys.entry(map).or_insert_with(|| {
            let entries = tree.all_entries(map).into_iter();
            entries.filter_map(|(key, value)| Some((tree.scalar(key)?.value, value))).collect()
        });
        index.get(key).copied()
    }

    /// An item of a list, or how many there are.
    pub(super) fn item(&mut self, list: NodeId, index: usize) -> Result<NodeId, usize> {
        let tree = self.tree;
        let list = tree.resolve(list);
        let items = self.items.entry(list).or_insert_with(|| tree.items(list).collect());
        items.get(index).copied().ok_or(items.len())
    }
}
