//! Manifests in folders: which files there are, in an order that is always the same (S1.1, S1.2).
//!
//! A folder gives the answer that its commit would: what git ignores, `.git`, nested repositories and charts are left
//! out, hidden files are read, symbolic links are not followed. Only a path that was named directly may be a link, or
//! ignored: it is wanted.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder};

use super::{CHART, CHART_TEMPLATES, CHART_VALUES, Files, is_manifest_name, read_file};
use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::Limits;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Which of the given paths it was found under, from 0.
    pub root: usize,
    /// How outputs call it, with `/`: relative to the given path. Where several paths are given, with that path in
    /// front, so that no two files have one name; a file that is named directly is called as it was named.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The manifests at and below some paths.
#[derive(Debug, Default)]
pub struct FolderFiles {
    /// The files, path by path, within one by their names. None of them twice.
    pub files: Vec<FileEntry>,
    /// Skipped charts (`chart-skipped`), and what could not be read (`unreadable-file`).
    pub diagnostics: Vec<Diagnostic>,
    /// Bounds for each file (S1.4).
    pub limits: Limits,
}

impl Files for FolderFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.files[index].name
    }

    fn root(&self, index: usize) -> usize {
        self.files[index].root
    }

    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<(), Diagnostic> {
        let FileEntry { name, path, .. } = &self.files[index];
        read_file(path, name, &self.limits, buffer)
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

/// Finds the manifests at and below the given paths (S1.1, S1.2).
///
/// A path that does not exist and a directory that cannot be read become diagnostics; the rest is found.
#[must_use]
pub fn walk(paths: &[PathBuf]) -> FolderFiles {
    let mut found = FolderFiles::default();
    let mut seen = HashSet::new();
    for (root, path) in paths.iter().enumerate() {
        let given = shown(path);
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => {
                let message = format!("cannot read `{given}`: {error}");
                found.diagnostics.push(Diagnostic::new(Code::UnreadableFile, given, message));
                continue;
            }
        };
        let start = found.files.len();
        if real.is_dir() {
            let prefix = if paths.len() > 1 { directory(&given) } else { String::new() };
            Root { root, path, real: &real, prefix }.walk(&mut found);
        } else if real.is_file() {
            found.files.push(FileEntry { root, name: given, path: path.clone() });
        } else {
            let message = format!("`{given}` is neither a file nor a directory");
            found.diagnostics.push(Diagnostic::new(Code::UnreadableFile, given, message));
        }
        found.files[start..].sort_by(|a, b| a.name.cmp(&b.name));
        if paths.len() > 1 {
            let own = found.files.split_off(start);
            found.files.extend(own.into_iter().filter(|entry| {
                let rest = entry.path.strip_prefix(path).unwrap_or(Path::new(""));
                // Joining nothing would add a slash.
                seen.insert(if rest.as_os_str().is_empty() { real.clone() } else { real.join(rest) })
            }));
        }
    }
    found.diagnostics.sort_by(|a, b| (&a.file, &a.message).cmp(&(&b.file, &b.message)));
    found
}

/// One directory that was named.
struct Root<'a> {
    root: usize,
    path: &'a Path,
    /// The same without links, for git's rules of the directories above.
    real: &'a Path,
    prefix: String,
}

impl Root<'_> {
    fn walk(&self, found: &mut FolderFiles) {
        let in_repository = self.real.ancestors().any(|directory| directory.join(".git").exists());
        let skipped = Arc::new(Mutex::new(Vec::new()));
        if let Some(why) = chart(self.real) {
            found.diagnostics.push(skip(&self.prefix_or_dot(), why));
            return;
        }
        let walk = WalkBuilder::new(self.real)
            .hidden(false)
            .ignore(false)
            .follow_links(false)
            // Outside a repository a `.gitignore` says what a commit would leave out, but those above say nothing.
            .require_git(in_repository)
            .parents(in_repository)
            .filter_entry({
                let skipped = Arc::clone(&skipped);
                move |entry| keep(entry, in_repository, &skipped)
            })
            .build();
        for entry in walk {
            match entry {
                Ok(entry) => {
                    let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
                    if is_file && entry.file_name().to_str().is_some_and(is_manifest_name) {
                        let rest = entry.path().strip_prefix(self.real).unwrap_or(entry.path());
                        let name = format!("{}{}", self.prefix, shown(rest));
                        found.files.push(FileEntry { root: self.root, name, path: self.path.join(rest) });
                    }
                }
                Err(error) => found.diagnostics.push(self.unreadable(&error)),
            }
        }
        let skipped = std::mem::take(&mut *skipped.lock().unwrap_or_else(PoisonError::into_inner));
        for (path, why) in skipped {
            found.diagnostics.push(skip(&self.name(&path), why));
        }
    }

    fn name(&self, path: &Path) -> String {
        format!("{}{}", self.prefix, shown(path.strip_prefix(self.real).unwrap_or(path)))
    }

    fn prefix_or_dot(&self) -> String {
        self.prefix.strip_suffix('/').filter(|prefix| !prefix.is_empty()).unwrap_or(".").into()
    }

    fn unreadable(&self, error: &ignore::Error) -> Diagnostic {
        let name = path_of(error).map_or_else(|| self.prefix_or_dot(), |path| self.name(path));
        let name = if name.is_empty() { ".".into() } else { name };
        let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
        let message = format!("cannot read `{name}`: {reason}");
        Diagnostic::new(Code::UnreadableFile, name, message).hint("nothing below it was looked at")
    }
}

/// Whether to go on into an entry. Called for every entry but the root.
fn keep(entry: &DirEntry, in_repository: bool, skipped: &Mutex<Vec<(PathBuf, &'static str)>>) -> bool {
    if entry.file_name() == ".git" {
        return false;
    }
    if entry.depth() == 0 || !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return true;
    }
    let path = entry.path();
    // A repository within a repository has commits of its own.
    if in_repository && path.join(".git").exists() {
        return false;
    }
    let Some(why) = chart(path) else { return true };
    skipped.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), why));
    false
}

/// Why a directory belongs to a chart, if it does (S1.2).
fn chart(directory: &Path) -> Option<&'static str> {
    if directory.join(CHART).is_file() && directory.join(CHART_VALUES).is_file() {
        return Some("is a Helm chart (`Chart.yaml` and `values.yaml`)");
    }
    let in_chart = directory.file_name().is_some_and(|name| name == CHART_TEMPLATES)
        && directory.parent().is_some_and(|parent| parent.join(CHART).is_file());
    in_chart.then_some("holds the templates of a Helm chart")
}

fn skip(name: &str, why: &str) -> Diagnostic {
    Diagnostic::new(Code::ChartSkipped, name, format!("`{name}` {why}: skipped with all below it"))
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

/// A path as outputs write it, with `/`.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}

fn directory(given: &str) -> String {
    match given.trim_end_matches('/') {
        "." => String::new(),
        "" => "/".into(),
        given => format!("{}/", given.strip_prefix("./").unwrap_or(given)),
    }
}
