//! What a pull request changes, read from git objects. Bounded: in files, in what is read of them, and in folders.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice};
use gix::objs::tree::EntryMode;

use crate::pulls::Pull;
use crate::server::pages::diff::FileDiff;

/// How many files are shown.
const MAX_FILES: usize = 100;

/// The largest file that is compared, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How much is compared over all files, in bytes.
const MAX_ALL: u64 = 8 << 20;

/// How many folders are read.
const MAX_FOLDERS: usize = 2000;

/// How many commits are looked at to find one of ours.
const MAX_COMMITS: usize = 50;

/// What `head` changes against the commit that its branch was made on, by path. `base` is the head of the branch that
/// it is for, where that is known.
///
/// # Errors
/// Where an object cannot be read, such as in a mirror that has not got it yet.
pub(super) fn changes(
    repository: &gix::Repository,
    pull: &Pull,
    head: ObjectId,
    base: Option<ObjectId>,
) -> Result<Vec<FileDiff>, gix::Error> {
    let Some(before) = made_on(repository, pull, head, base)? else { return Ok(Vec::new()) };
    let tree = |id: ObjectId| -> Result<ObjectId, gix::Error> { Ok(repository.find_commit(id)?.tree_id()?.detach()) };
    let mut walk = Walk { repository, files: Vec::new(), left: MAX_ALL, folders: MAX_FOLDERS };
    walk.folder("", Some(tree(before)?), Some(tree(head)?))?;
    Ok(walk.files)
}

/// The commit that the branch was made on: known for our own heads; for people's, where the branch left the base, or,
/// once the base has all of it, below the first of our commits.
fn made_on(
    repository: &gix::Repository,
    pull: &Pull,
    head: ObjectId,
    base: Option<ObjectId>,
) -> Result<Option<ObjectId>, gix::Error> {
    if let Some(ours) = pull.heads.get(&head) {
        return Ok(Some(ours.base));
    }
    if let Some(base) = base
        && let Ok(Some(fork)) = repository.merge_base(head, base)
        && fork != head
    {
        return Ok(Some(fork.detach()));
    }
    let mut commit = repository.find_commit(head)?;
    let above = commit.parent_ids().next().map(gix::Id::detach);
    for _ in 0..MAX_COMMITS {
        let Some(parent) = commit.parent_ids().next().map(gix::Id::detach) else { break };
        if let Some(ours) = pull.heads.get(&parent) {
            return Ok(Some(ours.base));
        }
        let Ok(next) = repository.find_commit(parent) else { break };
        commit = next;
    }
    Ok(above)
}

struct Walk<'a> {
    repository: &'a gix::Repository,
    files: Vec<FileDiff>,
    /// How much may still be compared, in bytes.
    left: u64,
    /// How many folders may still be read.
    folders: usize,
}

type Entries = BTreeMap<BString, (EntryMode, ObjectId)>;

impl Walk<'_> {
    fn folder(&mut self, path: &str, before: Option<ObjectId>, after: Option<ObjectId>) -> Result<(), gix::Error> {
        if self.folders == 0 {
            return Ok(());
        }
        self.folders -= 1;
        let (before, after) = (self.entries(before)?, self.entries(after)?);
        let mut names: Vec<&BString> = before.keys().chain(after.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (old, new) = (before.get(name).copied(), after.get(name).copied());
            if old == new {
                continue;
            }
            if self.files.len() >= MAX_FILES {
                break;
            }
            let path = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            let folder = |entry: Option<(EntryMode, ObjectId)>| entry.filter(|it| it.0.is_tree()).map(|it| it.1);
            let file = |entry: Option<(EntryMode, ObjectId)>| entry.filter(|it| !it.0.is_tree());
            if folder(old).is_some() || folder(new).is_some() {
                self.folder(&path, folder(old), folder(new))?;
            }
            if file(old).is_some() || file(new).is_some() {
                self.file(&path, file(old), file(new))?;
            }
        }
        Ok(())
    }

    fn entries(&self, tree: Option<ObjectId>) -> Result<Entries, gix::Error> {
        let Some(tree) = tree else { return Ok(Entries::new()) };
        let mut entries = Entries::new();
        for entry in self.repository.find_tree(tree)?.iter() {
            let entry = entry.map_err(gix::Error::from_error)?;
            entries.insert(entry.filename().to_owned(), (entry.mode(), entry.object_id()));
        }
        Ok(entries)
    }

    fn file(
        &mut self,
        path: &str,
        before: Option<(EntryMode, ObjectId)>,
        after: Option<(EntryMode, ObjectId)>,
    ) -> Result<(), gix::Error> {
        let (before, after) = (self.text(before)?, self.text(after)?);
        self.files.push(match (before, after) {
            (Some(before), Some(after)) => FileDiff::new(path, &before, &after),
            // Too large, or no text.
            _ => FileDiff { path: path.to_owned(), added: 0, removed: 0, hunks: Vec::new(), cut: true },
        });
        Ok(())
    }

    /// The text of a file, empty where there is none; none where it cannot be shown.
    fn text(&mut self, entry: Option<(EntryMode, ObjectId)>) -> Result<Option<String>, gix::Error> {
        let Some((mode, id)) = entry else { return Ok(Some(String::new())) };
        if mode.is_commit() {
            return Ok(Some(format!("commit {id} of another repository\n")));
        }
        let size = self.repository.find_header(id)?.size();
        if size > MAX_FILE || size > self.left {
            return Ok(None);
        }
        self.left -= size;
        let blob = self.repository.find_blob(id)?;
        let text = (!blob.data.contains(&0)).then(|| blob.data.to_str_lossy().into_owned());
        Ok(text)
    }
}
