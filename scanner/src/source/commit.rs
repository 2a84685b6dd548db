//! Manifests as one commit of a git repository holds them.
//!
//! Reads the tree of a commit and yields the files that may be manifests (S1.1, S1.2), without a checkout: bare and
//! other repositories, packed and loose objects alike. Must not run anything and must not read configuration beyond
//! the repository's own file: [`open`] opens it isolated, so no includes, hooks, filters or `sshCommand` of its are
//! ever looked at. Contents are the blobs as committed: line ends are never converted.

use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind;
use thiserror::Error;

use crate::diagnostic::{Code, Diagnostic};

/// The largest manifest that is read, in bytes (S1.4).
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The deepest folder that is read (S1.4).
const MAX_DEPTH: usize = 128;

/// What the read objects may take in memory for looking them up again, in bytes.
const OBJECT_CACHE: usize = 8 * 1024 * 1024;

/// One file of a commit that may hold manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedFile {
    /// The path from the root of the tree, with `/`.
    pub path: String,
    /// The id of its blob: the same id means the same bytes.
    pub id: ObjectId,
    /// The blob's bytes, not checked for being text.
    pub bytes: Vec<u8>,
}

/// What a commit holds, as far as Leadsman reads it.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files with the suffix of a manifest and one of the marks, by ascending path.
    pub files: Vec<CommittedFile>,
    /// How many files have the suffix of a manifest and no mark (S1.3).
    pub passed_over: usize,
    /// Charts that were skipped, and files that could not be read.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why a repository or commit cannot be read at all.
#[derive(Debug, Error)]
pub enum CommitError {
    /// There is no repository, or it is damaged.
    #[error("cannot open `{}` as a git repository: {source:#}", .path.display())]
    Open {
        /// The path that was given.
        path: PathBuf,
        /// What git's own reader says.
        source: Box<gix::Error>,
    },
    /// The commit or its root tree is missing or damaged.
    #[error("cannot read commit `{id}`: {source:#}; `git fsck` shows what the repository lacks")]
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

/// Reads every file of `commit` that may hold manifests: suffix `.yaml`, `.yml` or `.json` (S1.1), outside of charts
/// (S1.2), no symbolic link and no submodule. With `marked_only`, files without any of the marks of S1.3 are counted
/// and passed over.
///
/// A file or folder that cannot be read becomes a diagnostic; the others are read.
///
/// # Errors
/// Where the commit itself or its root tree cannot be read.
pub fn read(repository: &gix::Repository, commit: ObjectId, marked_only: bool) -> Result<Listing, CommitError> {
    let fail = |source| CommitError::Commit { id: commit, source: Box::new(source) };
    let root = repository.find_commit(commit).map_err(fail)?.tree_id().map_err(fail)?.detach();
    repository.find_tree(root).map_err(fail)?;

    let mut reader = Reader { repository, marked_only, listing: Listing::default() };
    let mut folders = vec![Folder { path: String::new(), id: root, depth: 0 }];
    while let Some(folder) = folders.pop() {
        reader.folder(&folder, &mut folders);
    }
    let mut listing = reader.listing;
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    listing.diagnostics.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(listing)
}

struct Folder {
    path: String,
    id: ObjectId,
    depth: usize,
}

struct Reader<'repo> {
    repository: &'repo gix::Repository,
    marked_only: bool,
    listing: Listing,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &Folder, folders: &mut Vec<Folder>) {
        let tree = match self.repository.find_tree(folder.id) {
            Ok(tree) => tree,
            Err(error) => return self.unreadable(&folder.path, &format!("its tree cannot be read: {error:#}")),
        };
        let entries = match tree.decode() {
            Ok(tree) => tree.entries,
            Err(error) => return self.unreadable(&folder.path, &format!("its tree is damaged: {error:#}")),
        };
        let has = |name: &str| entries.iter().any(|entry| entry.filename == name && !entry.mode.is_tree());
        let chart = has("Chart.yaml");
        if chart && has("values.yaml") {
            let path = if folder.path.is_empty() { "." } else { &folder.path };
            return self.listing.diagnostics.push(Diagnostic::new(
                Code::ChartSkipped,
                path,
                "a Helm chart (`Chart.yaml` beside `values.yaml`), skipped with all below it",
            ));
        }
        for entry in &entries {
            let Ok(name) = entry.filename.to_str() else {
                let path = join(&folder.path, &entry.filename.to_str_lossy());
                if is_manifest_name(entry.filename) || entry.mode.is_tree() {
                    self.unreadable(&path, "its name is not UTF-8");
                }
                continue;
            };
            match entry.mode.kind() {
                EntryKind::Tree if chart && name == "templates" => {}
                EntryKind::Tree if folder.depth == MAX_DEPTH => {
                    self.listing.diagnostics.push(Diagnostic::new(
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
                EntryKind::Blob | EntryKind::BlobExecutable if is_manifest_name(entry.filename) => {
                    self.file(join(&folder.path, name), entry.oid.to_owned());
                }
                EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link | EntryKind::Commit => {}
            }
        }
    }

    fn file(&mut self, path: String, id: ObjectId) {
        // The size stands in the object's header: a huge blob is refused before it is unpacked.
        match self.repository.find_header(id) {
            Ok(header) if header.size() > MAX_FILE => {
                return self.listing.diagnostics.push(Diagnostic::new(
                    Code::LimitExceeded,
                    path,
                    format!("{} bytes, more than the {MAX_FILE} that are read", header.size()),
                ));
            }
            Ok(_) => {}
            Err(error) => return self.unreadable(&path, &format!("its blob cannot be read: {error:#}")),
        }
        let bytes = match self.repository.find_blob(id) {
            Ok(mut blob) => blob.take_data(),
            Err(error) => return self.unreadable(&path, &format!("its blob cannot be read: {error:#}")),
        };
        if self.marked_only && !has_mark(&bytes) {
            self.listing.passed_over += 1;
        } else {
            self.listing.files.push(CommittedFile { path, id, bytes });
        }
    }

    fn unreadable(&mut self, path: &str, message: &str) {
        self.listing.diagnostics.push(Diagnostic::new(Code::UnreadableFile, path, message));
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn is_manifest_name(name: &[u8]) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|suffix| name.ends_with(suffix.as_bytes()))
}

fn has_mark(bytes: &[u8]) -> bool {
    ["fluxcd.io/", "flux.weave.works/", "leadsman.dev/"]
        .iter()
        .any(|mark| memchr::memmem::find(bytes, mark.as_bytes()).is_some())
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

    fn paths(listing: &Listing) -> Vec<&str> {
        listing.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn manifests_are_found_by_suffix_and_mark_s1_1() {
        let (_folder, repository, id) = commit(&[
            ("b/two.yml", MARKED, EntryKind::BlobExecutable),
            ("a.yaml", MARKED, EntryKind::Blob),
            ("c.json", MARKED, EntryKind::Blob),
            (".hidden/d.yaml", MARKED, EntryKind::Blob),
            ("readme.md", MARKED, EntryKind::Blob),
            ("plain.yaml", "kind: Service\n", EntryKind::Blob),
        ]);
        let listing = read(&repository, id, true).unwrap();
        assert_eq!(paths(&listing), [".hidden/d.yaml", "a.yaml", "b/two.yml", "c.json"]);
        assert_eq!(listing.passed_over, 1);
        assert_eq!(listing.files[1].bytes, MARKED.as_bytes());
        assert_eq!(read(&repository, id, false).unwrap().files.len(), 5);
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
        let listing = read(&repository, id, true).unwrap();
        assert_eq!(paths(&listing), ["half/Chart.yaml", "half/other/a.yaml", "templates/a.yaml"]);
        let skipped: Vec<_> = listing.diagnostics.iter().map(|d| (d.code, d.file.as_str())).collect();
        assert_eq!(skipped, [(Code::ChartSkipped, "charts/app")]);
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_the_rest_is_read_s1_4() {
        let big = "#".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
        let deep = format!("{}a.yaml", "d/".repeat(MAX_DEPTH + 1));
        let (folder, repository, id) = commit(&[
            ("big.yaml", &big, EntryKind::Blob),
            (&deep, MARKED, EntryKind::Blob),
            ("gone.yaml", "# fluxcd.io/ gone", EntryKind::Blob),
            ("good.yaml", MARKED, EntryKind::Blob),
        ]);
        let gone = repository.write_blob("# fluxcd.io/ gone").unwrap().to_string();
        std::fs::remove_file(folder.path().join("objects").join(&gone[..2]).join(&gone[2..])).unwrap();
        let listing = read(&open(folder.path()).unwrap(), id, true).unwrap();
        assert_eq!(paths(&listing), ["good.yaml"]);
        let codes: Vec<_> = listing.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, [Code::LimitExceeded, Code::LimitExceeded, Code::UnreadableFile]);
    }

    #[test]
    fn a_folder_that_is_no_repository_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot open `"), "{error}");
    }
}
