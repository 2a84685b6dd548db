//! One full pass over a local repository: scan the base, then bring its pull requests up to date.

use jiff::Timestamp;
use leadsman_scanner::scan::{Progress, Report, ScanOptions, Sources};
use leadsman_scanner::source::commit::{CommitError, CommitFiles};
use thiserror::Error;

use crate::forge::place::{BaseBranch, Place};
use crate::pulls::Wishes;
use crate::render::Renderer;
use crate::store::{Store, StoreError};
use crate::work::recognise::recognise;
use crate::work::reconcile_pulls::{ReconcileError, Reconciled, Scanned, reconcile_pulls};
use crate::work::scan_repository::ScannedCommit;

/// Why a pass could not be made at all.
#[derive(Debug, Error)]
pub enum PassError {
    /// The base commit cannot be read.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Branches or the store cannot be read or written.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The texts that come with Leadsman are broken.
    #[error("cannot read the templates of pull requests: {0}")]
    Templates(#[from] minijinja::Error),
}

/// What a pass found and did.
pub struct Pass {
    /// The base.
    pub base: BaseBranch,
    /// What was found.
    pub report: Report,
    /// What was done, by key.
    pub pulls: Vec<Reconciled>,
}

impl Pass {
    /// How many files, containers and pull requests failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.report.failures() + self.pulls.iter().filter(|pull| pull.error.is_some()).count()
    }
}

/// Makes one pass over `base` of `place`. When tags were first seen comes from the store, whatever `sources` say.
///
/// # Errors
/// Where the base, the branches or the store cannot be read or written. What fails for one file, container or pull
/// request alone is said in the result.
pub async fn pass(
    place: &dyn Place,
    base: BaseBranch,
    store: &Store,
    sources: Sources<'_>,
    options: ScanOptions,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Pass, PassError> {
    let now: Timestamp = options.now;
    let renderer = Renderer::new()?;
    let files = CommitFiles::list(&place.repository(), base.id)?;
    let told_by = options.clone();
    let sights = store.sights().await?;
    let sources = Sources { sights: Some(&sights), ..sources };
    let commit = ScannedCommit::scan(files, sources, options, progress).await;
    // Before anything is done by them.
    store.keep_sights(&sights, now).await?;
    let tell = |_: &str, old: &str, new: &str| recognise(old, new, &told_by);
    let edit = |key: &_, proposed: &[_]| commit.edit(key, proposed);
    let scanned = Scanned {
        observed: commit.observed(),
        unreadable: commit.unreadable(),
        edit: &edit,
        wishes: &Wishes::default(),
        labels: &[],
        recognise: &tell,
    };
    let pulls = reconcile_pulls(place, store, &renderer, &base, scanned, now).await?;
    Ok(Pass { base, report: commit.into_report(), pulls })
}
