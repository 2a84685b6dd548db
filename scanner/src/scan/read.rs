//! Reads and parses many files at once, and keeps only what was detected in them.
//!
//! Each file's text and tree are dropped before its thread takes the next one, so memory holds one file per thread
//! and the containers of all. The order of the result does not depend on the threads.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::ScanOptions;
use crate::{
    detect::{self, Container, Release},
    diagnostic::{Code, Diagnostic},
    manifest,
    source::{self, Files},
};

/// What reading found: the containers of all files, not looked up yet.
#[derive(Debug, Default)]
pub struct Read {
    /// The files that hold containers, in the order of the source.
    pub files: Vec<ReadFile>,
    /// What was found wrong, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that were parsed.
    pub parsed: usize,
    /// Workloads in them.
    pub workloads: usize,
}

/// One file with containers.
#[derive(Debug)]
pub struct ReadFile {
    /// Its number in the source.
    pub index: usize,
    /// Its name in reports.
    pub name: Arc<str>,
    /// A print of its bytes: the same print means that places found in it still hold.
    pub print: u64,
    /// Its containers, by document, then S2.2.
    pub containers: Vec<Container>,
}

/// A print of a file's text, to see whether it is still the one that was read.
pub(super) fn print(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What one thread made of one file.
struct Outcome {
    file: Option<ReadFile>,
    diagnostics: Vec<Diagnostic>,
    releases: Vec<Release>,
    workloads: usize,
    parsed: bool,
}

/// Reads every file of the source on [`ScanOptions::threads`] threads (S1, S2, S3, S4).
///
/// Faults become diagnostics; nothing stops the rest.
pub fn read(files: &dyn Files, options: &ScanOptions) -> Read {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= files.len() {
                return found;
            }
            let outcome = read_one(files, index, &mut buffer, options);
            if outcome.parsed || !outcome.diagnostics.is_empty() {
                found.push((index, outcome));
            }
        }
    };
    let threads = options.threads.clamp(1, files.len().max(1));
    let mut outcomes = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut outcomes = work();
        for other in others {
            match other.join() {
                Ok(more) => outcomes.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    outcomes.sort_by_key(|(index, _)| *index);
    gather(files, outcomes.into_iter().map(|(_, outcome)| outcome))
}

fn read_one(files: &dyn Files, index: usize, buffer: &mut Vec<u8>, options: &ScanOptions) -> Outcome {
    let mut outcome =
        Outcome { file: None, diagnostics: Vec::new(), releases: Vec::new(), workloads: 0, parsed: false };
    buffer.clear();
    if let Err(diagnostic) = files.read(index, buffer) {
        outcome.diagnostics.push(diagnostic);
        return outcome;
    }
    if !options.all && !source::has_mark(buffer) {
        return outcome;
    }
    outcome.parsed = true;
    let text = match source::decode(buffer) {
        Ok(text) => text,
        Err(diagnostic) => {
            outcome.diagnostics.push(Diagnostic { file: files.name(index).into(), ..diagnostic });
            return outcome;
        }
    };
    let manifest = manifest::parse(text, &options.limits);
    let detected = detect::detect(&manifest, &options.detect);
    outcome.workloads = detected.workloads;
    outcome.releases = detected.releases;
    let name = files.name(index);
    let diagnostics = manifest.diagnostics.into_iter().chain(detected.diagnostics);
    outcome.diagnostics.extend(diagnostics.map(|diagnostic| Diagnostic { file: name.into(), ..diagnostic }));
    if !detected.containers.is_empty() {
        let print = print(text);
        outcome.file = Some(ReadFile { index, name: name.into(), print, containers: detected.containers });
    }
    outcome
}

fn gather(files: &dyn Files, outcomes: impl Iterator<Item = Outcome>) -> Read {
    let mut read = Read { diagnostics: files.diagnostics().to_vec(), ..Read::default() };
    let mut claimed = Claims::default();
    for outcome in outcomes {
        read.parsed += usize::from(outcome.parsed);
        read.workloads += outcome.workloads;
        read.diagnostics.extend(outcome.diagnostics);
        for release in outcome.releases {
            read.diagnostics.extend(claimed.claim(release));
        }
        read.files.extend(outcome.file);
    }
    read.diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    read
}
