//! What only shows when several files are seen together (S1.6).
//!
//! Keeps a few words per workload, never a tree. Files are added in any order; what is said comes in their order.

use std::collections::HashMap;
use std::sync::Arc;

use super::{WorkloadId, WorkloadInfo, WorkloadKind};
use crate::diagnostic::{Code, Diagnostic};

/// Collects the workloads of one configured path, file by file.
#[derive(Debug, Default)]
pub struct Across {
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    file: Arc<str>,
    workload: Arc<WorkloadInfo>,
}

impl Across {
    /// Notes the workloads of a file.
    pub fn add(&mut self, file: &str, workloads: &[Arc<WorkloadInfo>]) {
        let file: Arc<str> = file.into();
        let seen = |workload: &Arc<WorkloadInfo>| Seen { file: Arc::clone(&file), workload: Arc::clone(workload) };
        self.seen.extend(workloads.iter().map(seen));
    }

    /// What is to be said of them together: `duplicate-release` and `annotations-elsewhere`.
    #[must_use]
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.seen.sort_by(|a, b| {
            (&a.file, a.workload.line, a.workload.column).cmp(&(&b.file, b.workload.line, b.workload.column))
        });
        let mut diagnostics = Vec::new();
        self.duplicates(&mut diagnostics);
        self.elsewhere(&mut diagnostics);
        diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        diagnostics
    }

    /// Two releases that claim one name. One id in several files is one release per cluster, and normal.
    fn duplicates(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut first: HashMap<(bool, &str), &Seen> = HashMap::new();
        for seen in &self.seen {
            let workload = &seen.workload;
            let Some(release) = &workload.release else { continue };
            // The old operator told its releases apart by their names alone.
            let old = workload.kind == WorkloadKind::FluxHelmRelease;
            let claims = [(false, Some(&**release)), (true, old.then_some(&*workload.name))];
            for (by_name, claim) in claims {
                let Some(claim) = claim else { continue };
                let Some(earlier) = first.get(&(by_name, claim)) else {
                    first.insert((by_name, claim), seen);
                    continue;
                };
                if earlier.workload.id == workload.id && earlier.file != seen.file {
                    continue;
                }
                let what = if by_name { "name" } else { "Helm release" };
                let message = format!(
                    "`{}` and `{}` (`{}`) have the same {what} `{claim}`",
                    workload.id, earlier.workload.id, earlier.file
                );
                diagnostics.push(
                    Diagnostic::new(Code::DuplicateRelease, &*seen.file, message)
                        .at(workload.line, workload.column)
                        .hint("give one of them another name, for each would undo what the other does"),
                );
                break;
            }
        }
    }

    /// Values in one layer, the annotations that would automate them in another.
    fn elsewhere(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut automated: HashMap<&WorkloadId, &Seen> = HashMap::new();
        for seen in self.seen.iter().filter(|seen| seen.workload.automated && !seen.workload.has_containers) {
            automated.entry(&seen.workload.id).or_insert(seen);
        }
        for seen in self.seen.iter().filter(|seen| !seen.workload.automated && seen.workload.has_containers) {
            let Some(other) = automated.get(&seen.workload.id) else { continue };
            let message = format!(
                "the images of `{}` stand here and its annotations in `{}`: each file is read alone",
                seen.workload.id, other.file
            );
            diagnostics.push(
                Diagnostic::new(Code::AnnotationsElsewhere, &*seen.file, message)
                    .at(seen.workload.line, seen.workload.column)
                    .hint("put the annotations into this file too"),
            );
        }
    }
}
