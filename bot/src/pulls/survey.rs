//! Reads what the branches of pull requests are at.
//!
//! Reads only. A commit is ours if the store knows it, or if it merges the base into one of those and changes nothing
//! else: such a merge is no person's edit.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;

use crate::forge::commit::with_file;
use crate::forge::local::{BaseBranch, Local};
use crate::pulls::{Head, OurHead, Pull, Surveyed};

/// Looks at every branch of Leadsman in `forge`.
///
/// # Errors
/// Where refs or commits cannot be read.
pub fn survey(forge: &Local, base: &BaseBranch, pulls: &[Pull]) -> Result<Surveyed, gix::Error> {
    let bases: BTreeSet<ObjectId> = pulls.iter().flat_map(|pull| pull.heads.values()).map(|head| head.base).collect();
    let arrived =
        if bases.iter().all(|id| *id == base.id) { Default::default() } else { forge.reachable(base.id, &bases)? };
    let mut by_branch: BTreeMap<&str, Vec<&Pull>> = BTreeMap::new();
    for pull in pulls {
        by_branch.entry(&pull.branch).or_default().push(pull);
    }
    let mut files = Files { forge, base: base.id, known: BTreeMap::new() };
    let mut heads = BTreeMap::new();
    for (branch, id) in forge.branches()? {
        let candidates = by_branch.get(branch.as_str()).map_or(&[][..], Vec::as_slice);
        let ours = candidates.iter().rev().find_map(|pull| {
            let head = pull.heads.get(&id).cloned().or_else(|| merge_of_base(forge, base.id, pull, id))?;
            Some((pull, head))
        });
        let head = match ours {
            Some((pull, OurHead { base, content_print })) => {
                Head::Ours { id, content_print, outdated: !files.same(base, &pull.key.path) }
            }
            None => Head::Foreign { id },
        };
        heads.insert(branch, head);
    }
    Ok(Surveyed { heads, arrived, checked_out: forge.checked_out() })
}

/// If `id` merges a commit of the base into one of our heads of `pull`, and holds nothing but the two: that head, as
/// if it stood on that commit of the base.
fn merge_of_base(forge: &Local, base: ObjectId, pull: &Pull, id: ObjectId) -> Option<OurHead> {
    let repository = forge.repository();
    let commit = repository.find_commit(id).ok()?;
    let parents: Vec<_> = commit.parent_ids().map(gix::Id::detach).collect();
    let [first, second] = parents[..] else { return None };
    let head = pull.heads.get(&first)?;
    if repository.merge_base(second, base).ok()??.detach() != second {
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
    forge: &'a Local,
    base: ObjectId,
    known: BTreeMap<(ObjectId, String), Option<ObjectId>>,
}

impl Files<'_> {
    fn same(&mut self, former: ObjectId, path: &str) -> bool {
        former == self.base || self.blob(former, path) == self.blob(self.base, path)
    }

    fn blob(&mut self, commit: ObjectId, path: &str) -> Option<ObjectId> {
        let repository = self.forge.repository();
        *self.known.entry((commit, path.to_owned())).or_insert_with(|| blob_at(repository, commit, path))
    }
}
