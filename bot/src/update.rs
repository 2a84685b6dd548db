//! Writes what a scan chose into the files on disk.
//!
//! Owns how many threads write, and what happens when a file changed in the meantime: it is read again, and what still
//! holds is written (S7.5). How a text is edited is the scanner's; so is how a file is replaced.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use leadsman_scanner::diagnostic::Diagnostic;
use leadsman_scanner::scan::{FileEdit, Finding, Refusal, Report, ScanOptions, edit_file};
use leadsman_scanner::source::folder::{FileEntry, FolderFiles};
use leadsman_scanner::source::write::{Fingerprint, Staged, Synced, WriteError, Writer};
use leadsman_scanner::source::{Files, decode};
use leadsman_scanner::status::Status;
use thiserror::Error;

/// How often a file is read again because somebody else wrote it.
const ATTEMPTS: usize = 3;

/// Threads that write: while one waits for the disk, others prepare what it shall write next.
const WRITERS: usize = 4;

/// Files that a thread writes before it syncs the first of them, so that the disk's journal is written once for all.
/// Each is open for so long.
const BATCH: usize = 32;

/// What is done with the new texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are written.
    Write,
    /// They are thrown away.
    DryRun,
    /// They are thrown away, and the differences kept.
    Diff,
}

/// What became of one file.
#[derive(Debug)]
pub struct Updated {
    /// The file's number in the source.
    pub index: usize,
    /// Findings, as indices of the report, whose tags are written (or would be).
    pub applied: Vec<usize>,
    /// Findings whose tags are not, with the reason. Their status becomes that of the refusal.
    pub refused: Vec<(usize, Status, String)>,
    /// The text before and after, with [`Mode::Diff`].
    pub texts: Option<(String, String)>,
}

/// Writes the updates among the report's findings that are `wanted`, file by file on several threads. The result is in
/// the order of the report; only files with updates are in it.
#[must_use]
pub fn update(
    files: &FolderFiles,
    roots: &[PathBuf],
    report: &Report,
    options: &ScanOptions,
    wanted: &(dyn Fn(&Finding) -> bool + Sync),
    mode: Mode,
) -> (Vec<Updated>, Vec<WriteError>) {
    let is_wanted = |finding: &Finding| finding.status == Some(Status::Update) && wanted(finding);
    let todo: Vec<_> =
        report.files.iter().filter(|file| report.findings[file.findings.clone()].iter().any(is_wanted)).collect();
    let writers: Vec<Writer> = roots.iter().map(|root| Writer::new(tree_of(root))).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(todo.len())));
    let work = || {
        while let Some(batch) = todo.chunks(BATCH).nth(next.fetch_add(1, Ordering::Relaxed)) {
            let jobs = batch.iter().map(|file| {
                let entry = &files.files[file.index];
                let findings = &report.findings[file.findings.clone()];
                let (index, start, writer) = (file.index, file.findings.start, &writers[entry.root]);
                Job { files, entry, index, findings, start, writer, options, wanted, mode }
            });
            let updated = run(jobs.collect());
            done.lock().unwrap_or_else(PoisonError::into_inner).extend(updated);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..WRITERS.min(todo.len().div_ceil(BATCH)) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|updated| updated.index);
    let faults = writers.into_iter().flat_map(Writer::finish).collect();
    (done, faults)
}

/// The tree that links below a path must not leave: the path itself where it is a folder; for a file the working
/// directory, or the file's own folder where it lies elsewhere.
pub(crate) fn tree_of(root: &Path) -> PathBuf {
    if root.is_dir() {
        return root.to_owned();
    }
    match root.parent() {
        Some(parent) if root.is_absolute() || root.starts_with("..") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// One file to be updated.
struct Job<'a> {
    files: &'a FolderFiles,
    entry: &'a FileEntry,
    index: usize,
    findings: &'a [Finding],
    /// The place of the first finding in the report.
    start: usize,
    writer: &'a Writer,
    options: &'a ScanOptions,
    wanted: &'a (dyn Fn(&Finding) -> bool + Sync),
    mode: Mode,
}

/// Updates the files of these jobs: all are written before the first is synced, and all synced before the first takes
/// its place. One that somebody else wrote meanwhile has further attempts.
fn run(mut jobs: Vec<Job<'_>>) -> Vec<Updated> {
    let mut done = Vec::with_capacity(jobs.len());
    let mut attempt = 0;
    while !jobs.is_empty() {
        attempt += 1;
        let written: Vec<_> = jobs.into_iter().map(|job| (job.write(), job)).collect();
        let synced: Vec<_> = written.into_iter().map(|(written, job)| (written.and_then(Written::sync), job)).collect();
        jobs = Vec::new();
        for (synced, job) in synced {
            match synced.and_then(Written::put_in_place) {
                Ok(updated) => done.push(updated),
                Err(Fault::Changed(_)) if attempt < ATTEMPTS => jobs.push(job),
                Err(fault) => done.push(job.refused(&fault)),
            }
        }
    }
    done
}

impl<'a> Job<'a> {
    /// Makes the new text and, where it is to be written, writes it beside the file.
    fn write(&self) -> Result<Written<Staged<'a>>, Fault> {
        let mut bytes = Vec::new();
        self.files.read(self.index, &mut bytes).map_err(Fault::unreadable)?;
        let text = decode(&bytes).map_err(Fault::unreadable)?;
        let FileEdit { text: new, applied, refused, also_changed: _ } =
            edit_file(text, self.findings, self.wanted, self.options);
        let is_changed = self.mode == Mode::Write && new != text;
        let file =
            is_changed.then(|| self.writer.stage(&self.entry.path, Fingerprint::of(&bytes), &new)).transpose()?;
        let refused =
            refused.into_iter().map(|Refusal { position, status, reason }| (self.start + position, status, reason));
        let updated = Updated {
            index: self.index,
            applied: applied.into_iter().map(|position| self.start + position).collect(),
            refused: refused.collect(),
            texts: (self.mode == Mode::Diff).then(|| (text.to_owned(), new)),
        };
        Ok(Written { file, updated })
    }

    /// All that was wanted in the file is refused.
    fn refused(&self, fault: &Fault) -> Updated {
        let is_wanted = |finding: &Finding| finding.status == Some(Status::Update) && (self.wanted)(finding);
        let all = self.findings.iter().enumerate().filter(|(_, finding)| is_wanted(finding));
        let refused =
            all.map(|(position, _)| (self.start + position, Status::EditRefused, fault.to_string())).collect();
        Updated { index: self.index, applied: Vec::new(), refused, texts: None }
    }
}

/// What was made of a file, and its new content on the way there, if it is written at all.
struct Written<F> {
    file: Option<F>,
    updated: Updated,
}

impl<'w> Written<Staged<'w>> {
    fn sync(self) -> Result<Written<Synced<'w>>, Fault> {
        Ok(Written { file: self.file.map(Staged::sync).transpose()?, updated: self.updated })
    }
}

impl Written<Synced<'_>> {
    fn put_in_place(self) -> Result<Updated, Fault> {
        self.file.map(Synced::put_in_place).transpose()?;
        Ok(self.updated)
    }
}

/// Why a file could not be updated.
#[derive(Debug, Error)]
enum Fault {
    /// Somebody wrote it; worth another try.
    #[error("{0}")]
    Changed(WriteError),
    /// Another try would not help.
    #[error("{0}")]
    Lasting(String),
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        match error {
            error @ WriteError::Changed { .. } => Self::Changed(error),
            error => Self::Lasting(error.to_string()),
        }
    }
}

impl Fault {
    fn unreadable(diagnostic: Diagnostic) -> Self {
        Self::Lasting(diagnostic.message)
    }
}
