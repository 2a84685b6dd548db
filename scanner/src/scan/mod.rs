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
mod sights;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use self::edit::{FileEdit, Refusal, edit_file};
pub use self::read::{Read, ReadFile, read};
pub use self::sights::Sights;
use crate::choose::Reason;
use crate::detect::{Container, DetectOptions};
use crate::diagnostic::{Diagnostic, Level};
use crate::manifest::Limits;
use crate::reference::{Digest, ImageName};
use crate::registry::{Lists, Platform, Registry, TimeCache};
use crate::source::{self, Files};
use crate::status::{Flag, Status};

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
    /// What detection needs to know.
    pub detect: DetectOptions,
    /// Bounds of a file (S1.4).
    pub limits: Limits,
    /// Threads that read and parse; at least one is used.
    pub threads: usize,
    /// Matching tags never seen before that may be asked for their time, per image (S6.3).
    pub max_timed_tags: usize,
    /// Whose creation time counts in an image of many platforms, where a container names none (S6.2).
    pub platform: Platform,
    /// How old a tag must be, for containers whose annotations do not say (S6.7).
    pub min_age: Option<SignedDuration>,
    /// Which tags people do not want (S6.9).
    pub skip: Option<Skip>,
    /// The time that counts as now.
    pub now: Timestamp,
}

/// Says of a tag of a container why people do not want it; none where nothing speaks against it (S6.9).
#[derive(Clone)]
pub struct Skip(Arc<Unwanted>);

type Unwanted = dyn Fn(&str, &Container, &str) -> Option<String> + Send + Sync;

impl Skip {
    /// By this function of the file, the container and the tag.
    pub fn new(unwanted: impl Fn(&str, &Container, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(unwanted))
    }

    /// Why this tag is not wanted in this container of this file.
    #[must_use]
    pub fn why(&self, file: &str, container: &Container, tag: &str) -> Option<String> {
        (self.0)(file, container, tag)
    }
}

impl fmt::Debug for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Skip")
    }
}

/// How far a scan goes to find newer tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ask {
    /// No registry is asked: statuses end where an answer would be needed.
    Nothing,
    /// The images of automated containers are looked up.
    #[default]
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
    /// The image's labels and annotations `org.opencontainers.image.…`, where they had to be asked for.
    pub labels: Vec<(String, String)>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Report {
    /// One entry per container, by file, document, then S2.2.
    pub findings: Vec<Finding>,
    /// The files that have findings, in the same order.
    pub files: Vec<ReportedFile>,
    /// By file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Counts over all of it.
    pub summary: Summary,
}

/// A file with findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedFile {
    /// Its number in the source.
    pub index: usize,
    /// Its findings, as a range of [`Report::findings`].
    pub findings: Range<usize>,
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

/// Who answers questions about images.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The registries.
    pub registry: &'a Registry,
    /// What is known of creation times, and what becomes known.
    pub times: &'a TimeCache,
    /// When tags were first seen, and what is seen now, for callers that keep it. It stands in where no matching tag
    /// has a creation time (S6.3), and counts for minimum ages (S6.7).
    pub sights: Option<&'a Sights>,
    /// Lists of tags that are kept between scans, for callers that renew them.
    pub lists: Option<&'a Lists>,
}

/// How far a scan has come, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Everything is read; this many different images are looked up now.
    Read {
        /// Images to look up.
        images: usize,
    },
    /// An image is through.
    LookedUp(&'a ImageName),
}

impl ScanOptions {
    /// The options of a plain scan at the time `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            all: false,
            ask: Ask::default(),
            details: false,
            explain: false,
            detect: DetectOptions::default(),
            limits: Limits::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_timed_tags: 500,
            platform: Platform::default(),
            min_age: None,
            skip: None,
            now,
        }
    }

    fn asks_about(&self, finding: &Finding) -> bool {
        match (self.ask, finding.status) {
            (Ask::Nothing, _) => false,
            (_, None) => true,
            (Ask::Everything, Some(status)) => status == Status::NotAutomated,
            (Ask::Automated, Some(_)) => false,
        }
    }
}

/// Runs the whole pipeline over `files`: read, detect, look up, choose, and try the edits.
///
/// Without sources nothing is asked. `narrow` says which containers are looked at further; `progress` hears how
/// far it is. Updates that could not be written have the status that says so, though nothing is written here.
pub async fn scan(
    files: &dyn Files,
    sources: Option<Sources<'_>>,
    options: &ScanOptions,
    narrow: &(dyn Fn(&Container) -> bool + Sync),
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Report {
    let read = read(files, options);
    let mut report = Report {
        findings: Vec::with_capacity(read.files.iter().map(|file| file.containers.len()).sum()),
        files: Vec::with_capacity(read.files.len()),
        diagnostics: read.diagnostics,
        summary: Summary { files: read.parsed, workloads: read.workloads, ..Summary::default() },
    };
    for ReadFile { index, name, containers } in read.files {
        let start = report.findings.len();
        report.findings.extend(containers.into_iter().map(|container| Finding::new(&name, container)));
        report.files.push(ReportedFile { index, findings: start..report.findings.len() });
    }
    if let Some(sources) = sources {
        let before = sources.registry.requests();
        let asked: Vec<usize> = (0..report.findings.len())
            .filter(|index| {
                let finding = &report.findings[*index];
                options.asks_about(finding) && narrow(&finding.container)
            })
            .collect();
        report.summary.images = look_up::look_up(&mut report.findings, &asked, sources, options, progress).await;
        report.summary.registry_requests = sources.registry.requests() - before;
    }
    report.try_edits(files, options);
    report.summary.containers = report.findings.len();
    report.summary.updates = report.findings.iter().filter(|it| it.status == Some(Status::Update)).count();
    report
}

impl Finding {
    fn new(file: &Arc<str>, mut container: Container) -> Self {
        let (status, message) = container.settled.take().unzip();
        Self {
            file: Arc::clone(file),
            status,
            message: message.flatten(),
            flags: container.flags.clone(),
            latest: None,
            reasons: Vec::new(),
            container,
        }
    }
}

impl Report {
    /// Writes every file's updates in memory, so that what cannot be written is known before anyone relies on it.
    fn try_edits(&mut self, files: &dyn Files, options: &ScanOptions) {
        let mut buffer = Vec::new();
        for file in &self.files {
            let findings = &mut self.findings[file.findings.clone()];
            if !needs_trying(findings) {
                continue;
            }
            buffer.clear();
            let text = files.read(file.index, &mut buffer).and_then(|()| source::decode(&buffer));
            let refused = match text {
                Ok(text) => edit_file(text, findings, &|_| true, options).refused,
                Err(diagnostic) => {
                    let all = findings.iter().enumerate().filter(|(_, it)| it.status == Some(Status::Update));
                    let refuse = |(position, _)| Refusal {
                        position,
                        status: Status::EditRefused,
                        reason: diagnostic.message.clone(),
                    };
                    all.map(refuse).collect()
                }
            };
            for Refusal { position, status, reason } in refused {
                findings[position].status = Some(status);
                findings[position].message = Some(reason);
            }
        }
    }
}

/// Whether the edits of a file may meet an obstacle: no need to read it again where its updates all stand alone.
fn needs_trying(findings: &[Finding]) -> bool {
    let mut updates = findings.iter().filter(|finding| finding.status == Some(Status::Update)).peekable();
    if updates.peek().is_none() {
        return false;
    }
    if !updates.all(|finding| finding.container.stands_alone && finding.container.uneditable.is_none()) {
        return true;
    }
    let mut named: Vec<_> = findings.iter().flat_map(|finding| finding.container.reference.iter()).collect();
    named.sort_unstable();
    named.windows(2).any(|pair| pair[0] == pair[1])
}
