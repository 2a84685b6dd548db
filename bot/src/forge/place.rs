//! One repository with its branches and pull requests, wherever they are: what the keeper of pull requests works on.
//!
//! Owns the difference between a repository on this machine, whose pull requests are branches and rows of the store, and
//! one on a forge, of which there is a mirror here. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use async_trait::async_trait;
use gix::ObjectId;
use jiff::Timestamp;

use crate::forge::{Answer, BranchMove, ForgePull, NewPull, PullEdit};

/// The branch that pull requests are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseBranch {
    /// Its name, without `refs/heads/`.
    pub name: String,
    /// The commit at its head.
    pub id: ObjectId,
}

/// The branches of Leadsman in one repository, as they were at one time.
#[derive(Debug, Clone, Default)]
pub struct Branches {
    /// The head of each branch below `leadsman/`, without `refs/heads/`.
    pub heads: BTreeMap<String, ObjectId>,
    /// Branches that a work tree has checked out, and where.
    pub checked_out: BTreeMap<String, PathBuf>,
    /// Whether the history of the base is here in full; a mirror has its end only.
    pub has_history: bool,
}

/// What a forge says of pull requests from branches of Leadsman: the newest of each branch.
pub type ByBranch = BTreeMap<String, ForgePull>;

/// A repository whose pull requests are to be kept right.
#[async_trait]
pub trait Place: Send + Sync {
    /// What the store knows this repository by.
    fn identity(&self) -> &str;

    /// The repository that has the objects of base and branches, and takes those of new commits.
    fn repository(&self) -> gix::Repository;

    /// The branches of Leadsman.
    ///
    /// # Errors
    /// Where refs cannot be read.
    fn branches(&self) -> Result<Branches, gix::Error>;

    /// What the forge says of the pull requests into `base`: all that are open, and the newest of each of `branches`
    /// that has no open one. None where pull requests are known by their branches alone.
    async fn pulls(&self, base: &str, branches: &BTreeSet<String>) -> Answer<Option<ByBranch>>;

    /// Carries out `moves`, each alone or not at all, and says for each why not where it was not done. A branch that is
    /// already where it should go counts as moved.
    async fn move_branches(&self, moves: &[BranchMove], now: Timestamp) -> Vec<Result<(), String>>;

    /// The longest body of a pull request, in bytes.
    fn max_body(&self) -> usize;

    /// Opens a pull request on the forge.
    async fn open(&self, new: &NewPull) -> Answer<ForgePull>;

    /// Changes a pull request on the forge.
    async fn edit(&self, number: i64, edit: &PullEdit) -> Answer<()>;
}

/// The commits reachable from `tip` and from none of `known`.
///
/// # Errors
/// Where a commit cannot be read.
pub fn reachable(
    repository: &gix::Repository,
    tip: ObjectId,
    known: &BTreeSet<ObjectId>,
) -> Result<HashSet<ObjectId>, gix::Error> {
    let hidden = known.iter().copied().filter(|id| repository.has_object(id));
    let walk = repository.rev_walk([tip]).with_hidden(hidden).all()?;
    walk.map(|commit| commit.map(|commit| commit.id)).collect()
}

/// Whether `commit` stands in the history of `base`, as far as that is here: where only its end is, a commit whose own
/// parents are not here counts, for it is one that the base had when it was fetched.
#[must_use]
pub fn stands_in(repository: &gix::Repository, base: ObjectId, commit: ObjectId) -> bool {
    if commit == base || repository.merge_base(commit, base).is_ok_and(|found| found.is_some_and(|id| id == commit)) {
        return true;
    }
    repository.is_shallow().unwrap_or(false)
        && repository.shallow_commits().ok().flatten().is_some_and(|ends| ends.iter().any(|end| *end == commit))
}
