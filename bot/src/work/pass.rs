//! One full pass over a repository: scan the base, then bring its pull requests up to date.

use std::sync::Arc;

use jiff::Timestamp;
use leadsman_scanner::scan::{Progress, Report, ScanOptions, Sources};
use leadsman_scanner::source::commit::{CommitError, CommitFiles};
use thiserror::Error;

use crate::config::repository::{self, ConfigError, RepositoryConfig};
use crate::forge::Capabilities;
use crate::forge::place::{BaseBranch, Place};
use crate::pulls::Wishes;
use crate::render::{Renderer, Voice};
use crate::store::{Store, StoreError};
use crate::work::decisions;
use crate::work::ignored::ignored;
use crate::work::recognise::recognise;
use crate::work::reconcile_pulls::{ReconcileError, Reconciled, Scanned, reconcile_pulls};
use crate::work::scan_repository::ScannedCommit;

/// Why a pass could not be made at all.
#[derive(Debug, Error)]
pub enum PassError {
    /// The base commit cannot be read.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The repository's own configuration cannot be used: nothing is opened, moved or merged.
    #[error("`{}` cannot be used, so nothing was done: {}", repository::FILE, told(.0))]
    Config(Vec<ConfigError>),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Branches or the store cannot be read or written.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

fn told(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What a pass is made with.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The repository.
    pub place: &'a dyn Place,
    /// The branch that pull requests are for.
    pub base: &'a BaseBranch,
    /// The store.
    pub store: &'a Store,
    /// The registries. When tags were first seen comes from the store, whatever stands here.
    pub sources: Sources<'a>,
    /// How manifests are read.
    pub options: &'a ScanOptions,
    /// The texts.
    pub renderer: &'a Renderer,
    /// Whose forge it is and the name that commands begin with; none where nobody listens.
    pub voice: Option<(&'static Capabilities, &'a str)>,
    /// What people asked for just now; holds and the like come from the store.
    pub wishes: &'a Wishes,
    /// Is told how far it has come.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

/// What a pass found and did.
pub struct Pass {
    /// The base.
    pub base: BaseBranch,
    /// The repository's configuration; none where it has none.
    pub config: Option<Arc<RepositoryConfig>>,
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

/// Scans the base as its configuration says, and does nothing.
///
/// # Errors
/// Where the base or the store cannot be read, or the configuration not be used.
pub async fn scan(look: Look<'_>) -> Result<(ScannedCommit, Option<Arc<RepositoryConfig>>), PassError> {
    let Look { place, base, store, sources, options, progress, .. } = look;
    let (files, config) = {
        let objects = place.repository();
        (CommitFiles::list(&objects, base.id)?, configuration(&objects, base)?)
    };
    let min_age = config.as_ref().and_then(|config| config.minimum_age).and_then(|age| age.duration().try_into().ok());
    let now = options.now;
    let people = decisions::read(store, place.identity(), now).await?;
    let known = store.pulls(place.identity(), &base.name).await?;
    let by_key = known.into_iter().filter_map(|pull| Some((pull.key, people.pulls.get(&pull.number)?.clone())));
    let skip = ignored(config.clone().unwrap_or_default(), people.repository.clone(), by_key.collect(), now);
    let options = ScanOptions { min_age: min_age.or(options.min_age), skip, ..options.clone() };
    let sights = store.sights().await?;
    let sources = Sources { sights: Some(&sights), ..sources };
    let commit = ScannedCommit::scan(files, sources, options, progress).await;
    // Before anything is done by them.
    store.keep_sights(&sights, now).await?;
    Ok((commit, config))
}

/// Makes one pass.
///
/// # Errors
/// Where the base, the branches or the store cannot be read or written, or the configuration not be used. What fails for
/// one file, container or pull request alone is said in the result.
pub async fn pass(look: Look<'_>) -> Result<Pass, PassError> {
    let Look { place, base, store, renderer, options, voice, wishes, .. } = look;
    let now: Timestamp = options.now;
    let (commit, config) = scan(look).await?;
    let rules = config.clone().unwrap_or_default();
    let people = decisions::read(store, place.identity(), now).await?;
    let tell = |_: &str, old: &str, new: &str| recognise(old, new, options);
    let edit = |key: &_, proposed: &[_]| commit.edit(key, proposed);
    let labels: Vec<String> = rules.labels.iter().map(|label| label.as_str().to_owned()).collect();
    let scanned = Scanned {
        observed: commit.observed(),
        unreadable: commit.unreadable(),
        edit: &edit,
        config: &rules,
        people: &people,
        wishes,
        labels: &labels,
        voice: voice.map(|(capabilities, handle)| Voice { capabilities, handle, slash: rules.commands.slash }),
        recognise: &tell,
    };
    let pulls = reconcile_pulls(place, store, renderer, base, scanned, now).await?;
    Ok(Pass { base: base.clone(), config, report: commit.into_report(), pulls })
}

/// The configuration at the root of the base; none where there is no such file.
///
/// # Errors
/// [`PassError::Config`] where it cannot be read or used.
pub fn configuration(objects: &gix::Repository, base: &BaseBranch) -> Result<Option<Arc<RepositoryConfig>>, PassError> {
    let fault = |message: String| PassError::Config(vec![ConfigError { line: 1, column: 1, message }]);
    let blob = objects
        .find_commit(base.id)
        .ok()
        .and_then(|commit| commit.tree().ok())
        .and_then(|tree| tree.lookup_entry([repository::FILE]).ok().flatten());
    let Some(entry) = blob else { return Ok(None) };
    if !entry.mode().is_blob() {
        return Err(fault("it is no regular file: make it one".into()));
    }
    let size = objects.find_header(entry.object_id()).map_err(|error| fault(error.to_string()))?.size();
    if size > repository::MAX_FILE as u64 {
        return Err(fault(format!("it is larger than {} KiB: shorten it", repository::MAX_FILE >> 10)));
    }
    let blob = objects.find_blob(entry.object_id()).map_err(|error| fault(error.to_string()))?;
    let text = std::str::from_utf8(&blob.data).map_err(|_| fault("it is not UTF-8".into()))?;
    RepositoryConfig::parse(text).map(|config| Some(Arc::new(config))).map_err(PassError::Config)
}
