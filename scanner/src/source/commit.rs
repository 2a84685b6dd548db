//! Manifests as one commit of a git repository holds them.
//!
//! Reads the tree of a commit and yields the files that may be manifests (S1.1, S1.2), without a checkout: bare and
//! other repositories, packed and loose objects alike. Must not run anything and must not read configuration beyond
//! the repository's own file: [`open`] opens it isolated, so no includes, hooks, filters or `sshCommand` of its are
//! ever looked at. Contents are the blobs as committed: line ends are never converted.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind;
use thiserror::Error;

use super::{CHART, CHART_TEMPLATES, CHART_VALUES, Files, is_manifest_name};
use crate::diagnostic::{Code, Diagnostic};

/// The largest manifest that is read, in bytes (S1.4).
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The deepest folder that is read (S1.4).
const MAX_DEPTH: usize = 128;

/// What the read objects may take in memory for looking them up again, in bytes.
const OBJECT_CACHE: usize = 8 * 1024 * 1024;

/// The files of one commit that may hold manifests.
pub struct CommitFiles {
    files: Vec<CommittedFile>,
    diagnostics: Vec<Diagnostic>,
    shared: gix::ThreadSafeRepository,
    /// Readers not in use now: each holds a cache, and serves one thread at a time.
    readers: Mutex<Vec<gix::Repository>>,
}

/// One file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedFile {
    /// The path from the root of the tree, with `/`.
    pub path: String,
    /// The id of its blob: the same id means the same bytes.
    pub id: ObjectId,
}

/// Why a repository or commit cannot be read at all.
#[derive(Debug, Error)]
pub enum CommitError {
    /// There is no repository, or it is damaged.
    #[error("cannot open `{}` as a git repository: {source}", .path.display())]
    Open {
        /// The path that was given.
        path: PathBuf,
        /// What git's own reader says.
        source: Box<gix::Error>,
    },
    /// The commit or its root tree is missing or damaged.
    #[error("cannot read commit `{id}`: {source}; `git fsck` shows what the repository lacks")]
    Commit {
        /// The commit that was asked for.
        id: ObjectId,
        /// What git's own reader says.
        source: Box<gix::Error>,
    },
}

/// Opens the repository at `path` (a work tree's root, a `.git` folder, or a bare repository) isolated from the
/// configuration of user and system.
///
/// # Errors
/// Where `path` is no repository, or its own configuration cannot be read.
pub fn open(path: &Path) -> Result<gix::Repository, CommitError> {
    let mut repository = gix::open::Options::isolated()
        .open(path)
        .map_err(|source| CommitError::Open { path: path.into(), source: Box::new(source) })?
        .to_thread_local();
    repository.object_cache_size_if_unset(OBJECT_CACHE);
    Ok(repository)
}

impl CommitFiles {
    /// Lists every file of `commit` that may hold manifests, by ascending path: suffix `.yaml`, `.yml` or `.json`
    /// (S1.1), outside of charts (S1.2), no symbolic link and no submodule. A folder that cannot be read becomes a
    /// diagnostic; the others are listed.
    ///
    /// # Errors
    /// Where the commit itself or its root tree cannot be read.
    pub fn list(repository: &gix::Repository, commit: ObjectId) -> Result<Self, CommitError> {
        let fail = |source| CommitError::Commit { id: commit, source: Box::new(source) };
        let root = repository.find_commit(commit).map_err(fail)?.tree_id().map_err(fail)?.detach();
        repository.find_tree(root).map_err(fail)?;

        let mut walk = Walk { repository, files: Vec::new(), diagnostics: Vec::new() };
        let mut folders = vec![Folder { path: String::new(), id: root, depth: 0 }];
        while let Some(folder) = folders.pop() {
            walk.folder(&folder, &mut folders);
        }
        let Walk { repository: _, mut files, mut diagnostics } = walk;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        diagnostics.sort_by(|a, b| a.file.cmp(&b.file));
        let shared = repository.clone().into_sync();
        Ok(Self { files, diagnostics, shared, readers: Mutex::default() })
    }

    /// The files, by ascending path.
    #[must_use]
    pub fn files(&self) -> &[CommittedFile] {
        &self.files
    }

    fn reader(&self) -> gix::Repository {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| self.shared.to_thread_local())
    }
}

impl Files for CommitFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.files[index].path
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<(), Diagnostic> {
        let CommittedFile { path, id } = &self.files[index];
        let repository = self.reader();
        let result = read_blob(&repository, path, *id, buffer);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(repository);
        result
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

fn read_blob(repository: &gix::Repository, path: &str, id: ObjectId, buffer: &mut Vec<u8>) -> Result<(), Diagnostic> {
    let unreadable = |error: gix::Error| {
        Diagnostic::new(Code::UnreadableFile, path, format!("its blob `{id}` cannot be read: {error}"))
            .hint("`git fsck` shows what the repository lacks")
    };
    // The size stands in the object's header: a huge blob is refused before it is unpacked.
    let size = repository.find_header(id).map_err(unreadable)?.size();
    if size > MAX_FILE {
        let message = format!("{size} bytes, more than the {MAX_FILE} that are read");
        return Err(Diagnostic::new(Code::LimitExceeded, path, message));
    }
    buffer.extend_from_slice(&repository.find_blob(id).map_err(unreadable)?.data);
    Ok(())
}

struct Folder {
    path: String,
    id: ObjectId,
    depth: usize,
}

struct Walk<'repo> {
    repository: &'repo gix::Repository,
    files: Vec<CommittedFile>,
    diagnostics: Vec<Diagnostic>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Folder, folders: &mut Vec<Folder>) {
        let tree = match self.repository.find_tree(folder.id) {
            Ok(tree) => tree,
            Err(error) => return self.unreadable(&folder.path, &format!("its tree cannot be read: {error}")),
        };
        let entries = match tree.decode() {
            Ok(tree) => tree.entries,
            Err(error) => return self.unreadable(&folder.path, &format!("its tree is damaged: {error}")),
        };
        let has = |name: &str| entries.iter().any(|entry| entry.filename == name && !entry.mode.is_tree());
        let chart = has(CHART);
        if chart && has(CHART_VALUES) {
            let path = if folder.path.is_empty() { "." } else { &folder.path };
            return self.diagnostics.push(Diagnostic::new(
                Code::ChartSkipped,
                path,
                "a Helm chart (`Chart.yaml` beside `values.yaml`), skipped with all below it",
            ));
        }
        for entry in &entries {
            let Ok(name) = entry.filename.to_str() else {
                let path = join(&folder.path, &entry.filename.to_str_lossy());
                if is_manifest_name(&entry.filename.to_str_lossy()) || entry.mode.is_tree() {
                    self.unreadable(&path, "its name is not UTF-8");
                }
                continue;
            };
            match entry.mode.kind() {
                EntryKind::Tree if chart && name == CHART_TEMPLATES => {}
                EntryKind::Tree if folder.depth == MAX_DEPTH => {
                    self.diagnostics.push(Diagnostic::new(
                        Code::LimitExceeded,
                        join(&folder.path, name),
                        format!("deeper than {MAX_DEPTH} folders, not read"),
                    ));
                }
                EntryKind::Tree => folders.push(Folder {
                    path: join(&folder.path, name),
                    id: entry.oid.to_owned(),
                    depth: folder.depth + 1,
                }),
                EntryKind::Blob | EntryKind::BlobExecutable if is_manifest_name(name) => {
                    self.files.push(CommittedFile { path: join(&folder.path, name), id: entry.oid.to_owned() });
                }
                EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link | EntryKind::Commit => {}
            }
        }
    }

    fn unreadable(&mut self, path: &str, message: &str) {
        self.diagnostics.push(Diagnostic::new(Code::UnreadableFile, path, message));
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKED: &str = "metadata: {annotations: {fluxcd.io/automated: 'true'}}\n";

    /// A repository with one commit of `files` (`path`, content, kind).
    fn commit(files: &[(&str, &str, EntryKind)]) -> (tempfile::TempDir, gix::Repository, ObjectId) {
        let folder = tempfile::tempdir().unwrap();
        let repository = gix::init_bare(folder.path()).unwrap();
        let mut paths: Vec<_> = files.iter().map(|f| (f.0.to_owned(), f.1.as_bytes().to_vec(), f.2)).collect();
        paths.sort();
        let tree = write_tree(&repository, &paths);
        let who = gix::actor::SignatureRef { name: "t".into(), email: "t@example.com".into(), time: "0 +0000" };
        let id = repository.new_commit_as(who, who, "files", tree, None::<ObjectId>).unwrap().id;
        (folder, repository, id)
    }

    fn write_tree(repository: &gix::Repository, files: &[(String, Vec<u8>, EntryKind)]) -> ObjectId {
        let mut entries = Vec::new();
        let mut below: std::collections::BTreeMap<String, Vec<(String, Vec<u8>, EntryKind)>> = Default::default();
        for (path, content, kind) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    below.entry(folder.into()).or_default().push((rest.into(), content.clone(), *kind));
                }
                None => entries.push(gix::objs::tree::Entry {
                    mode: (*kind).into(),
                    filename: path.as_str().into(),
                    oid: repository.write_blob(content).unwrap().detach(),
                }),
            }
        }
        for (folder, files) in below {
            let oid = write_tree(repository, &files);
            entries.push(gix::objs::tree::Entry { mode: EntryKind::Tree.into(), filename: folder.into(), oid });
        }
        entries.sort();
        repository.write_object(gix::objs::Tree { entries }).unwrap().detach()
    }

    fn paths(files: &CommitFiles) -> Vec<&str> {
        files.files().iter().map(|file| file.path.as_str()).collect()
    }

    fn content(files: &CommitFiles, index: usize) -> Result<String, Code> {
        let mut buffer = Vec::new();
        files.read(index, &mut buffer).map_err(|diagnostic| diagnostic.code)?;
        Ok(String::from_utf8(buffer).unwrap())
    }

    #[test]
    fn manifests_are_found_by_suffix_s1_1() {
        let (_folder, repository, id) = commit(&[
            ("b/two.yml", MARKED, EntryKind::BlobExecutable),
            ("a.yaml", MARKED, EntryKind::Blob),
            ("c.json", MARKED, EntryKind::Blob),
            (".hidden/d.yaml", "x: 1\n", EntryKind::Blob),
            ("readme.md", MARKED, EntryKind::Blob),
        ]);
        let files = CommitFiles::list(&repository, id).unwrap();
        assert_eq!(paths(&files), [".hidden/d.yaml", "a.yaml", "b/two.yml", "c.json"]);
        assert_eq!((content(&files, 0).unwrap().as_str(), content(&files, 1).unwrap().as_str()), ("x: 1\n", MARKED));
    }

    #[test]
    fn charts_templates_and_links_are_skipped_s1_2() {
        let (_folder, repository, id) = commit(&[
            ("charts/app/Chart.yaml", MARKED, EntryKind::Blob),
            ("charts/app/values.yaml", MARKED, EntryKind::Blob),
            ("charts/app/sub/a.yaml", MARKED, EntryKind::Blob),
            ("half/Chart.yaml", MARKED, EntryKind::Blob),
            ("half/templates/a.yaml", MARKED, EntryKind::Blob),
            ("half/other/a.yaml", MARKED, EntryKind::Blob),
            ("templates/a.yaml", MARKED, EntryKind::Blob),
            ("link.yaml", "templates/a.yaml", EntryKind::Link),
        ]);
        let files = CommitFiles::list(&repository, id).unwrap();
        assert_eq!(paths(&files), ["half/Chart.yaml", "half/other/a.yaml", "templates/a.yaml"]);
        let skipped: Vec<_> = files.diagnostics().iter().map(|d| (d.code, d.file.as_str())).collect();
        assert_eq!(skipped, [(Code::ChartSkipped, "charts/app")]);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_rest_is_read_s1_4() {
        let big = "#".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
        let deep = format!("{}a.yaml", "d/".repeat(MAX_DEPTH + 1));
        let (folder, repository, id) = commit(&[
            ("big.yaml", &big, EntryKind::Blob),
            (&deep, MARKED, EntryKind::Blob),
            ("gone.yaml", "gone", EntryKind::Blob),
            ("good.yaml", MARKED, EntryKind::Blob),
        ]);
        let gone = repository.write_blob("gone").unwrap().to_string();
        std::fs::remove_file(folder.path().join("objects").join(&gone[..2]).join(&gone[2..])).unwrap();
        let files = CommitFiles::list(&open(folder.path()).unwrap(), id).unwrap();
        assert_eq!(paths(&files), ["big.yaml", "gone.yaml", "good.yaml"]);
        assert_eq!(files.diagnostics()[0].code, Code::LimitExceeded);
        let results: Vec<_> = (0..3).map(|index| content(&files, index)).collect();
        assert_eq!(results, [Err(Code::LimitExceeded), Err(Code::UnreadableFile), Ok(MARKED.to_owned())]);
    }

    #[test]
    fn a_folder_that_is_no_repository_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot open `"), "{error}");
    }
}
