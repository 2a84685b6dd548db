//! Writes what a scan chose into the files on disk.
//!
//! Owns how many threads write, and what happens when a file changed in the meantime: it is read again, and what still
//! holds is written (S7.5). How a text is edited is the scanner's; so is how a file is replaced.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use leadsman_scanner::scan::{FileEdit, Finding, Refusal, Report, ReportedFile, ScanOptions, edit_file};
use leadsman_scanner::source::folder::FolderFiles;
use leadsman_scanner::source::write::{Fingerprint, Outcome, WriteError, Writer};
use leadsman_scanner::source::{Files, decode};
use leadsman_scanner::status::Status;

/// How often a file is read again because somebody else wrote it.
const ATTEMPTS: usize = 3;

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
/// the order of the report; only files with updates are in it. The errors are about folders whose files are written but
/// whose names may not survive a loss of power.
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
    let mut todo: Vec<&ReportedFile> =
        report.files.iter().filter(|file| report.findings[file.findings.clone()].iter().any(is_wanted)).collect();
    let (mut done, mut faults) = (Vec::new(), Vec::new());
    for attempt in 1..=ATTEMPTS {
        let round = Round { files, roots, report, options, wanted, mode };
        let (mut updated, changed) = round.run(&todo, &mut faults, attempt == ATTEMPTS);
        done.append(&mut updated);
        todo.retain(|file| changed.contains(&file.index));
        if todo.is_empty() {
            break;
        }
    }
    done.sort_by_key(|updated| updated.index);
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

/// One attempt at a number of files.
struct Round<'a> {
    files: &'a FolderFiles,
    roots: &'a [PathBuf],
    report: &'a Report,
    options: &'a ScanOptions,
    wanted: &'a (dyn Fn(&Finding) -> bool + Sync),
    mode: Mode,
}

impl Round<'_> {
    /// What became of the files, and the numbers of those that somebody else wrote meanwhile, which are worth another
    /// attempt unless this is the last.
    fn run(&self, todo: &[&ReportedFile], faults: &mut Vec<WriteError>, last: bool) -> (Vec<Updated>, HashSet<usize>) {
        let writers: Vec<Writer> = self.roots.iter().map(|root| Writer::new(tree_of(root))).collect();
        let next = AtomicUsize::new(0);
        let done = Mutex::new((Vec::with_capacity(todo.len()), Vec::new()));
        let work = || {
            while let Some(file) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (updated, mut outcomes) = self.file(file, &writers);
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.0.push(updated);
                done.1.append(&mut outcomes);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.options.threads.min(todo.len()) {
                scope.spawn(work);
            }
            work();
        });
        let (mut updated, mut outcomes) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        for writer in writers {
            let (mut left, mut errors) = writer.finish();
            outcomes.append(&mut left);
            faults.append(&mut errors);
        }
        let mut failed: HashMap<usize, WriteError> = HashMap::new();
        for Outcome { id, result } in outcomes {
            if let Err(error) = result {
                failed.insert(id, error);
            }
        }
        let again: HashSet<usize> = failed
            .iter()
            .filter(|(_, error)| !last && matches!(error, WriteError::Changed { .. }))
            .map(|(id, _)| *id)
            .collect();
        updated.retain(|file: &Updated| !again.contains(&file.index));
        for file in &mut updated {
            if let Some(error) = failed.get(&file.index) {
                let reason = error.to_string();
                file.refused.extend(file.applied.drain(..).map(|at| (at, Status::EditRefused, reason.clone())));
            }
        }
        (updated, again)
    }

    /// Edits one file and hands it to its writer, whose answers may be about other files.
    fn file(&self, file: &ReportedFile, writers: &[Writer]) -> (Updated, Vec<Outcome>) {
        let (index, start) = (file.index, file.findings.start);
        let findings = &self.report.findings[file.findings.clone()];
        let mut bytes = Vec::new();
        let text = self.files.read(index, &mut bytes).and_then(|()| decode(&bytes));
        let text = match text {
            Ok(text) => text,
            Err(diagnostic) => return (self.refuse(file, &diagnostic.message), Vec::new()),
        };
        let FileEdit { text: new, applied, refused, also_changed: _ } =
            edit_file(text, findings, self.wanted, self.options);
        let mut outcomes = Vec::new();
        if self.mode == Mode::Write && new != text {
            let entry = &self.files.files[index];
            outcomes = writers[entry.root].replace(index, &entry.path, &Fingerprint::of(&bytes), &new);
        }
        let refused =
            refused.into_iter().map(|Refusal { position, status, reason }| (start + position, status, reason));
        let updated = Updated {
            index,
            applied: applied.into_iter().map(|position| start + position).collect(),
            refused: refused.collect(),
            texts: (self.mode == Mode::Diff).then(|| (text.to_owned(), new)),
        };
        (updated, outcomes)
    }

    fn refuse(&self, file: &ReportedFile, reason: &str) -> Updated {
        let is_wanted = |at: &usize| {
            let finding = &self.report.findings[*at];
            finding.status == Some(Status::Update) && (self.wanted)(finding)
        };
        let refused = file.findings.clone().filter(is_wanted);
        let refused = refused.map(|at| (at, Status::EditRefused, reason.to_owned())).collect();
        Updated { index: file.index, applied: Vec::new(), refused, texts: None }
    }
}
