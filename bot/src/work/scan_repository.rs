//! Reads one commit of a repository and turns what the scan found into what planning goes by.
//!
//! Owns the translation between the scanner's words and the plan's, and nothing else: what a container's status is was
//! decided by the scanner, what follows from it is decided by [`crate::plan`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use leadsman_scanner::diagnostic::Level;
use leadsman_scanner::reference::Digest;
use leadsman_scanner::scan::{self, Finding, Latest, Progress, Report, ScanOptions, Sources};
use leadsman_scanner::source::commit::CommitFiles;
use leadsman_scanner::source::{self, Files};
use leadsman_scanner::status::{Status, Verdict};

use crate::plan::{Change, Evidence, Key, Observed, Outlook, PassedOver, Proposed, Version};
use crate::render::is_higher;
use crate::work::reconcile_pulls::Edited;

/// How many tags that were not taken are told of, per container.
const PASSED_OVER: usize = 3;

/// One commit, scanned.
pub struct ScannedCommit {
    files: CommitFiles,
    options: ScanOptions,
    report: Report,
    /// Where each file's findings are, by its path, and its number in the source.
    places: HashMap<String, (usize, Range<usize>)>,
}

impl ScannedCommit {
    /// Scans `files`: details and reasons are asked for, because people judge pull requests by them.
    pub async fn scan(
        files: CommitFiles,
        sources: Sources<'_>,
        options: ScanOptions,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Self {
        let options = ScanOptions { details: true, explain: true, ..options };
        let report = scan::scan(&files, Some(sources), &options, &|_| true, progress).await;
        let place =
            |file: &scan::ReportedFile| (files.name(file.index).to_owned(), (file.index, file.findings.clone()));
        let places = report.files.iter().map(place).collect();
        Self { files, options, report, places }
    }

    /// What the scan found, as the scanner tells it.
    #[must_use]
    pub fn into_report(self) -> Report {
        self.report
    }

    /// The containers of automated workloads, in the order of the report.
    #[must_use]
    pub fn observed(&self) -> Vec<Observed> {
        self.report.findings.iter().filter_map(observed).collect()
    }

    /// The files and folders with a fault: it is not known in full what they hold.
    #[must_use]
    pub fn unreadable(&self) -> BTreeSet<String> {
        let faults = self.report.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
        faults.map(|diagnostic| diagnostic.file.clone()).collect()
    }

    /// The text of a file with the given changes written into it (S7), and what changed along with them (S7.4).
    ///
    /// # Errors
    /// Why a change cannot be written; then none is.
    pub fn edit(&self, key: &Key, proposed: &[Proposed]) -> Result<Edited, String> {
        let (index, range) = self.places.get(&key.path).ok_or_else(|| format!("`{}` is gone", key.path))?;
        let mut buffer = Vec::new();
        let text = self.files.read(*index, &mut buffer).and_then(|()| source::decode(&buffer));
        let text = text.map_err(|diagnostic| diagnostic.message)?;

        // What is proposed may stand for a container that could not be looked up this time.
        let mut findings = self.report.findings[range.clone()].to_vec();
        let mut positions = BTreeSet::new();
        for Proposed { change, .. } in proposed {
            let position = findings.iter().position(|finding| is_about(finding, key, change));
            let position = position.ok_or_else(|| format!("`{}` is no longer as it was", change.container))?;
            findings[position].status = Some(Status::Update);
            findings[position].latest = Some(Latest {
                tag: change.to.tag.clone(),
                digest: change.to.digest.as_deref().and_then(Digest::parse),
                created: None,
                labels: Vec::new(),
            });
            positions.insert(position);
        }
        let wanted = |finding: &Finding| proposed.iter().any(|one| is_about(finding, key, &one.change));
        let edit = scan::edit_file(text, &findings, &wanted, &self.options);
        if let Some(refusal) = edit.refused.iter().find(|refusal| positions.contains(&refusal.position)) {
            return Err(format!("`{}`: {}", findings[refusal.position].container.name, refusal.reason));
        }
        if positions.iter().any(|position| !edit.applied.contains(position)) {
            return Err("the file would not hold what is proposed".into());
        }
        let follows = edit.also_changed.into_iter().map(|also| also.path).collect();
        Ok(Edited { text: edit.text.into_bytes(), follows })
    }
}

fn is_about(finding: &Finding, key: &Key, change: &Change) -> bool {
    let container = &finding.container;
    container.workload.id.as_str() == key.workload
        && container.document as usize == change.document
        && *container.name == *change.container
        && container.tag.as_deref() == Some(&change.from.tag)
        && container.digest.as_ref().map(Digest::as_str) == change.from.digest.as_deref()
}

/// What planning goes by for one container; none where the workload is not automated.
fn observed(finding: &Finding) -> Option<Observed> {
    let container = &finding.container;
    let status = finding.status?;
    if status == Status::NotAutomated {
        return None;
    }
    let digest = |digest: &Digest| digest.as_str().to_owned();
    let current = container
        .tag
        .as_deref()
        .map(|tag| Version { tag: tag.to_owned(), digest: container.digest.as_ref().map(digest) });
    let words = || match &finding.message {
        Some(message) => format!("{status}: {message}"),
        None => status.to_string(),
    };
    let outlook = match (&current, &container.image, &finding.latest) {
        (Some(current), Some(image), Some(latest)) if status == Status::Update => Outlook::Update(Box::new(Proposed {
            change: Change {
                document: container.document as usize,
                container: container.name.to_string(),
                image: image.as_str().to_owned(),
                from: current.clone(),
                to: Version {
                    tag: latest.tag.clone(),
                    digest: current.digest.as_ref().and(latest.digest.as_ref()).map(digest),
                },
            },
            evidence: evidence(finding, latest),
        })),
        // A failure says nothing about whether there is an update: what was proposed stays.
        _ if status.is_failure() => Outlook::Unknown(words()),
        _ => Outlook::Settled(words()),
    };
    Some(Observed {
        key: Key { path: finding.file.to_string(), workload: container.workload.id.as_str().to_owned() },
        document: container.document as usize,
        container: container.name.to_string(),
        current,
        outlook,
    })
}

fn evidence(finding: &Finding, latest: &Latest) -> Evidence {
    let labels: BTreeMap<&str, &str> =
        latest.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let label = |name: &str| labels.get(format!("org.opencontainers.image.{name}").as_str()).map(|v| (*v).to_owned());
    // Times are absolute and in UTC, so that the same image always gives the same text.
    let created = latest.created.map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string());
    Evidence {
        filter: finding.container.steering.filter.to_string(),
        created,
        digest: latest.digest.as_ref().map(|digest| digest.as_str().to_owned()),
        source: label("source"),
        revision: label("revision"),
        previous_revision: None,
        flags: finding.flags.iter().map(ToString::to_string).collect(),
        passed_over: passed_over(finding, latest),
    }
}

/// The tags that people will ask about: higher ones that the filter left out, and those that a rule left out.
fn passed_over(finding: &Finding, latest: &Latest) -> Vec<PassedOver> {
    finding
        .reasons
        .iter()
        .filter(|reason| match reason.verdict {
            Verdict::Filter => is_higher(&reason.tag, &latest.tag),
            Verdict::Ignored => is_higher(&reason.tag, &latest.tag),
            Verdict::Variant | Verdict::TooYoung | Verdict::Unavailable => true,
            Verdict::Selected
            | Verdict::Current
            | Verdict::Older
            | Verdict::Latest
            | Verdict::Artifact
            | Verdict::Downgrade
            | Verdict::NoVersion
            | Verdict::NoNumber
            | Verdict::NoText
            | Verdict::NoCreationTime => false,
        })
        .take(PASSED_OVER)
        .map(|reason| PassedOver { tag: reason.tag.clone(), why: reason.message.clone() })
        .collect()
}
