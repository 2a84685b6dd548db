//! Writes what was chosen into the text of one file, and says what could not be written.
//!
//! The text may have changed since the scan: a choice holds only for a container that still has the workload, name,
//! image, tag and digest it had.

use std::collections::HashSet;

use super::{Finding, ScanOptions};
use crate::detect::{Container, detect};
use crate::edit::{AlsoChanged, Update, apply};
use crate::manifest;
use crate::status::Status;

/// A file's new text, and what became of each update.
#[derive(Debug)]
pub struct FileEdit {
    /// The text with every applied update in it; the text that was given where none is.
    pub text: String,
    /// Positions, in the findings that were given, of the updates that are in the text.
    pub applied: Vec<usize>,
    /// The updates that are not.
    pub refused: Vec<Refusal>,
    /// Places outside every container that follow an anchor and changed along (S7.4).
    pub also_changed: Vec<AlsoChanged>,
}

/// An update that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its position in the findings that were given.
    pub position: usize,
    /// `edit-refused`, `shared-anchor` or `shared-tag`.
    pub status: Status,
    /// Why.
    pub reason: String,
}

/// Writes the updates among `findings`, which are all of one file, into its text (S7).
///
/// `wanted` narrows them. An update that is not wanted is written all the same where it shares its place with a wanted
/// one: both ask for the same tag there.
#[must_use]
pub fn edit_file(
    text: &str,
    findings: &[Finding],
    wanted: &dyn Fn(&Finding) -> bool,
    options: &ScanOptions,
) -> FileEdit {
    let manifest = manifest::parse(text, &options.limits);
    let detected = detect(&manifest, &options.detect);
    let mut positions = Vec::new();
    let mut updates: Vec<Update<'_>> = Vec::new();
    let mut refused = Vec::new();
    let place = |finding: &Finding| finding.container.tag_place.as_ref().map(|place| place.node);
    let is_update = |finding: &Finding| finding.status == Some(Status::Update);
    let places: HashSet<_> = findings.iter().filter(|it| is_update(it) && wanted(it)).map(place).collect();
    let mut cursor = 0;
    for (position, finding) in findings.iter().enumerate() {
        if !is_update(finding) || !places.contains(&place(finding)) {
            continue;
        }
        let Some(latest) = &finding.latest else { continue };
        // Both lists have one order, so the search starts where the last one ended.
        let mut all = (cursor..detected.containers.len()).chain(0..cursor);
        let Some(at) = all.find(|at| is_same(&detected.containers[*at], &finding.container)) else {
            let reason = "the file has changed since it was read, and the image is no longer there as it was".into();
            refused.push(Refusal { position, status: Status::EditRefused, reason });
            continue;
        };
        cursor = at + 1;
        let container = &detected.containers[at];
        if let Some(reason) = container.uneditable {
            refused.push(Refusal { position, status: Status::EditRefused, reason: reason.to_string() });
            continue;
        }
        positions.push(position);
        updates.push(Update { container, tag: &latest.tag, digest: latest.digest.as_ref() });
    }
    let edited = apply(&manifest, &detected.containers, &updates);
    refused.extend(edited.refused.into_iter().map(|refusal| Refusal {
        position: positions[refusal.index],
        status: refusal.status,
        reason: refusal.reason,
    }));
    refused.sort_by_key(|refusal| refusal.position);
    FileEdit {
        text: edited.text,
        applied: edited.applied.into_iter().map(|index| positions[index]).collect(),
        refused,
        also_changed: edited.also_changed,
    }
}

fn is_same(now: &Container, then: &Container) -> bool {
    now.name == then.name
        && now.tag == then.tag
        && now.digest == then.digest
        && now.image == then.image
        && now.workload.id == then.workload.id
        && now.steering.filter == then.steering.filter
}
