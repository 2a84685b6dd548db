//! The pipeline: files to containers, containers to questions for registries, answers to findings.
//!
//! Owns the order of the steps and what is shared between containers (one look-up per image, one edit per file).
//! Decides nothing about a single container: that is [`crate::detect`], [`crate::choose`] and [`crate::edit`].
//!
//! Invariants: a fault of one file, image or container leaves all others as they would be without it, and the report
//! is ordered by file, document, then S2.2, however many threads took part.

mod edit;
mod look_up;
mod read;

use std::sync::Arc;

use jiff::Timestamp;

pub use self::{
    edit::{FileEdit, edit_file},
    look_up::{LookUps, Progress, look_up},
    read::{Read, read},
};
use crate::{
    choose::Reason,
    detect::Container,
    diagnostic::{Diagnostic, Level},
    reference::Digest,
    registry::Registry,
    source::Files,
    status::{Flag, Status},
};

/// What is asked of a scan.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Report on every file and list containers that are not automated (S1.3, S4.1).
    pub all: bool,
    /// What registries are asked.
    pub ask: Ask,
    /// Ask for the digest and creation time of each newest tag, though the order needs none.
    pub details: bool,
    /// Keep the reason for or against every tag (S6.8).
    pub explain: bool,
    /// Namespace of workloads that name none (S1.5).
    pub default_namespace: String,
    /// Threads that read and parse; at least one is used.
    pub threads: usize,
    /// Matching tags never seen before that may be asked for their time, per image (S6.3).
    pub max_timed_tags: usize,
    /// The time that counts as now.
    pub now: Timestamp,
}

/// How far a scan goes to find newer tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// No registry is asked: statuses end where an answer would be needed.
    Nothing,
    /// The images of automated containers are looked up.
    Automated,
    /// The images of all containers are looked up.
    Everything,
}

/// One container, and everything the scan found out about it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The file, relative to the path that was scanned, with `/`.
    pub file: Arc<str>,
    /// What the manifest says.
    pub container: Container,
    /// The first status that holds (S6).
    pub status: Option<Status>,
    /// What is worth knowing beside it.
    pub flags: Vec<Flag>,
    /// Why the status is what it is, where the word alone does not say it.
    pub message: Option<String>,
    /// The tag that was chosen, or held back by the status.
    pub latest: Option<Latest>,
    /// The reason for or against every tag, best first; empty unless asked for.
    pub reasons: Vec<Reason>,
}

/// A tag that was found, with what was asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// The tag.
    pub tag: String,
    /// What it points at, where that had to be asked for.
    pub digest: Option<Digest>,
    /// When its image was made, where that had to be asked for and is known (S6.2).
    pub created: Option<Timestamp>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Report {
    /// One entry per container, by file, document, then S2.2.
    pub findings: Vec<Finding>,
    /// By file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Counts over all of it.
    pub summary: Summary,
}

/// Counts over a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that were parsed.
    pub files: usize,
    /// Workloads in them.
    pub workloads: usize,
    /// Containers that are listed.
    pub containers: usize,
    /// Containers whose status is `update`.
    pub updates: usize,
    /// Different images that were looked up.
    pub images: usize,
    /// Requests sent to registries and their token servers.
    pub registry_requests: u64,
}

impl Report {
    /// How many containers, files and documents failed: what makes the exit code 1.
    #[must_use]
    pub fn failures(&self) -> usize {
        let findings = self.findings.iter().filter(|finding| finding.status.is_some_and(Status::is_failure)).count();
        findings + self.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error).count()
    }
}

/// Runs the whole pipeline over `files`.
///
/// `progress` hears of every image that was looked up. With [`Ask::Nothing`] no registry is needed.
pub async fn scan(
    files: &dyn Files,
    registry: Option<&Registry>,
    options: &ScanOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Report {
    let read = read(files, options);
    look_up(read, files, registry, options, progress).await
}
