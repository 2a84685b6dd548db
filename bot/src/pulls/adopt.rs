//! Finds pull requests by what their branches say, where the store does not know them: its folder was lost, or an
//! older copy of it was put back.
//!
//! Reads only. What a person did is never taken for ours: a commit must stand alone on a commit of the base, change
//! one file, and carry the print of just what it changes there. The text of that change is proved elsewhere, by
//! [`Recognise`].

use std::collections::BTreeSet;

use gix::ObjectId;
use gix::bstr::ByteSlice as _;

use crate::forge::commit::{PLAN_TRAILER, with_file};
use crate::forge::place::{BaseBranch, stands_in};
use crate::plan::{Branch, Evidence, Key, Proposed, content_print};
use crate::pulls::{Head, OurHead, Pull, State, Surveyed};
use crate::store::Record;
use crate::work::recognise::Recognised;

/// The largest file that is looked into, in bytes; the scanner reads no larger ones either (S1.4).
const MAX_FILE: u64 = 16 << 20;

/// Says which tags and digests lead from one text of a file to another, given its path and the two.
pub type Recognise<'a> = dyn Fn(&str, &str, &str) -> Option<Vec<Recognised>> + Sync + 'a;

/// A commit that says it is ours.
struct Claim {
    parent: ObjectId,
    path: String,
    old: String,
    new: String,
    print: String,
    message: String,
}

/// The pull requests of `base` whose branch holds a commit that is ours by what it is, though the store does not know
/// it: to be recorded, each with its head. One that is open in the store at an older head keeps its number.
#[must_use]
pub fn adopt(
    repository: &gix::Repository,
    base: &BaseBranch,
    pulls: &[Pull],
    surveyed: &Surveyed,
    recognise: &Recognise<'_>,
) -> Vec<Record> {
    let foreign = surveyed.heads.iter().filter_map(|(branch, head)| match head {
        Head::Foreign { id } => Some((branch, *id)),
        Head::Ours { .. } | Head::Missing => None,
    });
    foreign
        .filter_map(|(branch, id)| {
            let Claim { parent, path, old, new, print, message } = claim(repository, base.id, id)?;
            let recognised = recognise(&path, &old, &new)?;
            let workloads: BTreeSet<&String> = recognised.iter().map(|it| &it.workload).collect();
            let (key, proposed) = workloads.into_iter().find_map(|workload| {
                let key = Key { path: path.clone(), workload: workload.clone() };
                let own = recognised.iter().filter(|it| it.workload == *workload);
                let changes: Vec<_> = own.clone().map(|it| it.change.clone()).collect();
                let is_ours =
                    content_print(&path, &changes) == print && Branch::of(&base.name, &key).as_str() == branch;
                let proposed = own.map(|it| Proposed {
                    change: it.change.clone(),
                    evidence: Evidence { filter: it.filter.clone(), ..Evidence::default() },
                });
                is_ours.then(|| (key, proposed.collect()))
            })?;
            let open = pulls.iter().find(|pull| pull.state == State::Open && pull.branch == *branch);
            let (title, body) = message.split_once('\n').unwrap_or((&message, ""));
            Some(Record {
                number: open.map(|pull| pull.number),
                key,
                branch: branch.clone(),
                proposed,
                title: title.trim().to_owned(),
                body: body.trim().to_owned(),
                // None of ours, so that the next description replaces this one.
                text_print: String::new(),
                head: Some((id, OurHead { base: parent, content_print: print })),
            })
        })
        .collect()
}

/// Reads the commit at `id`: none if it says nothing, or cannot be ours.
fn claim(repository: &gix::Repository, base: ObjectId, id: ObjectId) -> Option<Claim> {
    let commit = repository.find_commit(id).ok()?;
    let message = commit.message_raw().ok()?.to_str().ok()?.to_owned();
    let print =
        message.trim_end().lines().next_back()?.strip_prefix(PLAN_TRAILER)?.strip_prefix(':')?.trim().to_owned();
    let parents: Vec<_> = commit.parent_ids().map(gix::Id::detach).collect();
    let [parent] = parents[..] else { return None };
    if !stands_in(repository, base, parent) {
        return None;
    }
    let before = repository.find_commit(parent).ok()?.tree_id().ok()?.detach();
    let after = commit.tree_id().ok()?.detach();
    let mut path = Vec::new();
    let (old, new) = difference(repository, before, after, &mut path)?;
    let path = path.join("/");
    // Neither a mode nor anything else beside this file has changed. The tree need not be written to be compared.
    if with_file(&repository.clone().with_object_memory(), before, &path, new).ok()? != after {
        return None;
    }
    let text = |id: ObjectId| {
        let is_small = repository.find_header(id).ok()?.size() <= MAX_FILE;
        let blob = is_small.then(|| repository.find_blob(id))?.ok()?;
        String::from_utf8(blob.data.clone()).ok()
    };
    Some(Claim { parent, path, old: text(old)?, new: text(new)?, print, message })
}

/// The blobs of the only file that differs between two trees, whose path is put into `path`; none where several do,
/// or one came, went or became something else.
fn difference(
    repository: &gix::Repository,
    before: ObjectId,
    after: ObjectId,
    path: &mut Vec<String>,
) -> Option<(ObjectId, ObjectId)> {
    let (before, after) = (repository.find_tree(before).ok()?, repository.find_tree(after).ok()?);
    let mut found = None;
    let (mut old, mut new) = (before.iter(), after.iter());
    loop {
        let (old, new) = match (old.next(), new.next()) {
            (None, None) => break,
            (Some(old), Some(new)) => (old.ok()?, new.ok()?),
            _ => return None,
        };
        if old.filename() != new.filename() || old.mode() != new.mode() {
            return None;
        }
        if old.oid() != new.oid() && found.replace((old, new)).is_some() {
            return None;
        }
    }
    let (old, new) = found?;
    path.push(old.filename().to_str().ok()?.to_owned());
    let (is_tree, is_file) = (old.mode().is_tree(), old.mode().is_blob());
    let (old, new) = (old.oid().to_owned(), new.oid().to_owned());
    if is_tree { difference(repository, old, new, path) } else { is_file.then_some((old, new)) }
}
