//! Reads and parses many files at once, and keeps only what was detected in them.
//!
//! Each file's text and tree are dropped before its thread takes the next one, so memory holds one file per thread
//! and the containers of all. The order of the result does not depend on the threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ScanOptions;
use crate::detect::across::Across;
use crate::detect::{Container, Detected, detect};
use crate::diagnostic::Diagnostic;
use crate::filter::Filter;
use crate::manifest;
use crate::source::{self, Files};

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
    /// Its containers, by document, then S2.2.
    pub containers: Vec<Container>,
}

/// What one thread made of one file that it did not pass over.
struct Outcome {
    index: usize,
    /// `None` where the file could not be read.
    detected: Option<Detected>,
    diagnostics: Vec<Diagnostic>,
}

/// Reads every file of the source on [`ScanOptions::threads`] threads (S1 to S4).
///
/// Faults become diagnostics; nothing stops the rest.
#[must_use]
pub fn read(files: &dyn Files, options: &ScanOptions) -> Read {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = Vec::new();
        let mut filters = HashMap::new();
        let mut found: Vec<Outcome> = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= files.len() {
                return found;
            }
            buffer.clear();
            let mut outcome = read_one(files, index, &mut buffer, options);
            for container in
                outcome.iter_mut().flat_map(|outcome| &mut outcome.detected).flat_map(|it| &mut it.containers)
            {
                share(&mut filters, &mut container.steering.policy.filter);
            }
            found.extend(outcome);
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
    outcomes.sort_unstable_by_key(|outcome| outcome.index);
    gather(files, outcomes)
}

/// Keeps one filter of those that were written alike: a thousand releases have a handful of them.
fn share(filters: &mut HashMap<String, Filter>, filter: &mut Filter) {
    match filters.get(filter.text()) {
        Some(known) => *filter = known.clone(),
        None => {
            filters.insert(filter.text().to_owned(), filter.clone());
        }
    }
}

/// `None` where the file is passed over (S1.3).
fn read_one(files: &dyn Files, index: usize, buffer: &mut Vec<u8>, options: &ScanOptions) -> Option<Outcome> {
    let name = files.name(index);
    let fault = |diagnostic| Outcome {
        index,
        detected: None,
        diagnostics: vec![Diagnostic { file: name.into(), ..diagnostic }],
    };
    if let Err(diagnostic) = files.read(index, buffer) {
        return Some(fault(diagnostic));
    }
    if !options.all && !source::has_mark(buffer) {
        return None;
    }
    let text = match source::decode(buffer) {
        Ok(text) => text,
        Err(diagnostic) => return Some(fault(diagnostic)),
    };
    let manifest = manifest::parse(text, &options.limits);
    let mut detected = detect(&manifest, &options.detect);
    for container in &mut detected.containers {
        let least = &mut container.steering.policy.min_age;
        *least = least.or(options.min_age);
    }
    let diagnostics = manifest.diagnostics.into_iter().chain(std::mem::take(&mut detected.diagnostics));
    let diagnostics = diagnostics.map(|diagnostic| Diagnostic { file: name.into(), ..diagnostic }).collect();
    Some(Outcome { index, detected: Some(detected), diagnostics })
}

fn gather(files: &dyn Files, outcomes: Vec<Outcome>) -> Read {
    let mut read = Read { diagnostics: files.diagnostics().to_vec(), ..Read::default() };
    let mut across: Vec<Across> = Vec::new();
    for Outcome { index, detected, diagnostics } in outcomes {
        read.diagnostics.extend(diagnostics);
        let Some(detected) = detected else { continue };
        read.parsed += 1;
        read.workloads += detected.workloads.len();
        let name = files.name(index);
        let root = files.root(index);
        if across.len() <= root {
            across.resize_with(root + 1, Across::default);
        }
        across[root].add(name, &detected.workloads);
        if !detected.containers.is_empty() {
            read.files.push(ReadFile { index, name: name.into(), containers: detected.containers });
        }
    }
    read.diagnostics.extend(across.into_iter().flat_map(Across::finish));
    read.diagnostics.sort_by(|a, b| (&a.file, a.line, a.column, a.code).cmp(&(&b.file, b.line, b.column, b.code)));
    read
}
