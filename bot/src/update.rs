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
use leadsman_scanner::source::write::{Fingerprint, WriteError, Writer};
use leadsman_scanner::source::{Files, decode};
use leadsman_scanner::status::Status;

/// How often a file is read again because somebody else wrote it.
const ATTEMPTS: usize = 3;

/// Threads that write; more than processors, because a journal that is written once serves all that wait for it.
const WRITERS: usize = 8;

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
        while let Some(file) = spread(next.fetch_add(1, Ordering::Relaxed), todo.len()).and_then(|at| todo.get(at)) {
            let entry = &files.files[file.index];
            let job = Job { files, entry, index: file.index, writer: &writers[entry.root], options, wanted, mode };
            let updated = job.run(&report.findings[file.findings.clone()], file.findings.start);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(updated);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..WRITERS.min(todo.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|updated| updated.index);
    let faults = writers.into_iter().flat_map(Writer::finish).collect();
    (done, faults)
}

/// The place of the `turn`th of `count` files, so that those that are written at a time lie far apart: a folder is locked
/// while one of its files takes its place, and neighbours would wait for each other. `None` after the last.
fn spread(turn: usize, count: usize) -> Option<usize> {
    let (whole, rest) = (count / WRITERS, count % WRITERS);
    let (row, column) = (turn / WRITERS, turn % WRITERS);
    let place = column * whole + column.min(rest) + row;
    (turn < count).then_some(place)
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
    writer: &'a Writer,
    options: &'a ScanOptions,
    wanted: &'a (dyn Fn(&Finding) -> bool + Sync),
    mode: Mode,
}

impl Job<'_> {
    /// `start` is the place of the first finding in the report.
    fn run(&self, findings: &[Finding], start: usize) -> Updated {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt(findings, start) {
                Ok(updated) => return updated,
                Err(Fault::Changed(error)) => reason = error.to_string(),
                Err(Fault::Lasting(text)) => {
                    reason = text;
                    break;
                }
            }
        }
        let is_wanted = |finding: &Finding| finding.status == Some(Status::Update) && (self.wanted)(finding);
        let all = findings.iter().enumerate().filter(|(_, finding)| is_wanted(finding));
        let refused = all.map(|(position, _)| (start + position, Status::EditRefused, reason.clone())).collect();
        Updated { index: self.index, applied: Vec::new(), refused, texts: None }
    }

    fn attempt(&self, findings: &[Finding], start: usize) -> Result<Updated, Fault> {
        let mut bytes = Vec::new();
        self.files.read(self.index, &mut bytes).map_err(Fault::unreadable)?;
        let text = decode(&bytes).map_err(Fault::unreadable)?;
        let FileEdit { text: new, applied, refused, also_changed: _ } =
            edit_file(text, findings, self.wanted, self.options);
        if self.mode == Mode::Write && new != text {
            self.writer.replace(&self.entry.path, &Fingerprint::of(&bytes), &new).map_err(|error| match error {
                error @ WriteError::Changed { .. } => Fault::Changed(error),
                error => Fault::Lasting(error.to_string()),
            })?;
        }
        let refused =
            refused.into_iter().map(|Refusal { position, status, reason }| (start + position, status, reason));
        Ok(Updated {
            index: self.index,
            applied: applied.into_iter().map(|position| start + position).collect(),
            refused: refused.collect(),
            texts: (self.mode == Mode::Diff).then(|| (text.to_owned(), new)),
        })
    }
}

/// Why a file could not be updated.
enum Fault {
    /// Somebody wrote it; worth another try.
    Changed(WriteError),
    /// Another try would not help.
    Lasting(String),
}

impl Fault {
    fn unreadable(diagnostic: Diagnostic) -> Self {
        Self::Lasting(diagnostic.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_turn_once() {
        for count in 0..50 {
            let mut places: Vec<usize> = (0..count + 9).filter_map(|turn| spread(turn, count)).collect();
            places.sort_unstable();
            assert_eq!(places, (0..count).collect::<Vec<_>>(), "{count} files");
        }
    }
}
