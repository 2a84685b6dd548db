//! Reads what the branches of pull requests are at.
//!
//! Reads only. A commit is ours if the store knows it, or if it merges the base into one of those and changes nothing
//! else: such a merge is no person's edit.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use gix::ObjectId;

use crate::forge::commit::with_file;
use crate::forge::place::{BaseBranch, Branches, ByBranch, reachable, stands_in};
use crate::pulls::{Head, OurHead, Pull, Surveyed};

/// Looks at every one of `branches`, whose commits are in `repository`. `on_forge` is what the forge says of their pull
/// requests, where it knows any.
///
/// # Errors
/// Where refs or commits cannot be read.
pub fn survey(
    repository: &gix::Repository,
    base: &BaseBranch,
    branches: &Branches,
    on_forge: Option<&ByBranch>,
    pulls: &[Pull],
) -> Result<Surveyed, gix::Error> {
    let bases: BTreeSet<ObjectId> = pulls.iter().flat_map(|pull| pull.heads.values()).map(|head| head.base).collect();
    let arrived = match on_forge {
        // The forge knows what was merged.
        Some(_) => HashSet::new(),
        None if bases.iter().all(|id| *id == base.id) => HashSet::new(),
        None => reachable(repository, base.id, &bases)?,
    };
    let mut by_branch: BTreeMap<&str, Vec<&Pull>> = BTreeMap::new();
    for pull in pulls {
        by_branch.entry(&pull.branch).or_default().push(pull);
    }
    let mut files = Files { repository, base: base.id, known: BTreeMap::new() };
    let mut heads = BTreeMap::new();
    for (branch, &id) in &branches.heads {
        let candidates = by_branch.get(branch.as_str()).map_or(&[][..], Vec::as_slice);
        let ours = candidates.iter().rev().find_map(|pull| {
            let head = pull.heads.get(&id).cloned().or_else(|| merge_of_base(repository, base.id, pull, id))?;
            Some((pull, head))
        });
        let head = match ours {
            Some((pull, OurHead { base, content_print })) => {
                Head::Ours { id, content_print, outdated: !files.same(base, &pull.key.path) }
            }
            None => Head::Foreign { id },
        };
        heads.insert(branch.clone(), head);
    }
    let states = on_forge.map(|pulls| pulls.iter().map(|(branch, pull)| (branch.clone(), pull.state)).collect());
    Ok(Surveyed { heads, arrived, checked_out: branches.checked_out.clone(), states })
}

/// If `id` merges a commit of the base into one of our heads of `pull`, and holds nothing but the two: that head, as
/// if it stood on that commit of the base.
fn merge_of_base(repository: &gix::Repository, base: ObjectId, pull: &Pull, id: ObjectId) -> Option<OurHead> {
    let commit = repository.find_commit(id).ok()?;
    let parents: Vec<_> = commit.parent_ids().map(gix::Id::detach).collect();
    let [first, second] = parents[..] else { return None };
    let head = pull.heads.get(&first)?;
    if !stands_in(repository, base, second) {
        return None;
    }
    let path = &pull.key.path;
    let blob = blob_at(repository, first, path)?;
    let base_tree = repository.find_commit(second).ok()?.tree_id().ok()?.detach();
    // Writing the tree costs nothing where the merge has just it, and the tree is needed to compare.
    let expected = with_file(&repository.clone().with_object_memory(), base_tree, path, blob).ok()?;
    (commit.tree_id().ok()?.detach() == expected)
        .then(|| OurHead { base: second, content_print: head.content_print.clone() })
}

/// The blob at `path` in `commit`.
fn blob_at(repository: &gix::Repository, commit: ObjectId, path: &str) -> Option<ObjectId> {
    let tree = repository.find_commit(commit).ok()?.tree().ok()?;
    Some(tree.lookup_entry(path.split('/')).ok()??.object_id())
}

/// Compares files of former bases with those of the base now, each looked up once.
struct Files<'a> {
    repository: &'a gix::Repository,
    base: ObjectId,
    known: BTreeMap<(ObjectId, String), Option<ObjectId>>,
}

impl Files<'_> {
    fn same(&mut self, former: ObjectId, path: &str) -> bool {
        former == self.base || self.blob(former, path) == self.blob(self.base, path)
    }

    fn blob(&mut self, commit: ObjectId, path: &str) -> Option<ObjectId> {
        let repository = self.repository;
        *self.known.entry((commit, path.to_owned())).or_insert_with(|| blob_at(repository, commit, path))
    }
}
