//! The local forge: a git repository on this machine, whose pull requests are branches and rows of the store.
//!
//! Owns the refs below `refs/heads/leadsman/`. Must not move a ref that any work tree has checked out, nor one that
//! is not where the decision saw it: every move names the id it starts from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use gix::refs::{FullName, Target};
use jiff::Timestamp;
use leadsman_scanner::source::commit::{self, CommitError};
use thiserror::Error;

use crate::forge::commit::bot;
use crate::forge::place::{BaseBranch, Branches, ByBranch, Place};
use crate::forge::{Answer, BranchMove, ErrorKind, ForgeError, ForgePull, NewPull, PullEdit};
use crate::plan::BRANCH_PREFIX;

pub mod forge;
pub mod merge;

/// How many refs are moved in one transaction. Each holds a lock file while it is prepared.
const REFS_AT_ONCE: usize = 200;

/// From what age on a lock on one of our branches is taken for a leftover, in seconds. Whoever moves a branch holds its
/// lock for milliseconds; only a hook could hold it longer.
const STALE_LOCK: i64 = 600;

/// A git repository on this machine.
pub struct Local {
    shared: gix::ThreadSafeRepository,
    identity: String,
}

/// Why there is no base to work on. All of these are wrong use, not faults.
#[derive(Debug, Error)]
pub enum BaseError {
    /// `HEAD` names no branch.
    #[error("`HEAD` of the repository is detached, so it names no base branch: say which with `--base BRANCH`")]
    Detached,
    /// `HEAD` names one of our own branches.
    #[error("`HEAD` of the repository is on `{0}`, a branch of Leadsman: say the base with `--base BRANCH`")]
    OurOwn(String),
    /// The branch does not exist, or has no commit yet.
    #[error("the repository has no branch `{0}`: say the base with `--base BRANCH`")]
    Missing(String),
    /// The branch is there and cannot be read.
    #[error("cannot read the branch `{branch}`: {source}")]
    Unreadable {
        /// The branch that was asked for.
        branch: String,
        /// What git's own reader says.
        source: Box<gix::Error>,
    },
}

/// Why a branch could not be moved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoveError {
    /// Some work tree has it checked out.
    #[error("`{branch}` is checked out in `{}`; switch that work tree to another branch", .work_tree.display())]
    CheckedOut {
        /// The branch.
        branch: String,
        /// The work tree's folder.
        work_tree: PathBuf,
    },
    /// Somebody has locked it, or was killed before it was unlocked again.
    #[error(
        "`{branch}` is locked by the file `{}`: if no git is at work there, one was killed; {todo}", .file.display()
    )]
    Locked {
        /// The branch.
        branch: String,
        /// The lock.
        file: PathBuf,
        /// What to do about it.
        todo: &'static str,
    },
    /// It is not where it was, or cannot be written.
    #[error("cannot move `{branch}`: {reason}")]
    Refused {
        /// The branch.
        branch: String,
        /// What git's own writer says.
        reason: String,
    },
}

impl Local {
    /// Opens the repository at `path`: a work tree's root, a `.git` folder, or a bare repository.
    ///
    /// # Errors
    /// Where `path` is no repository.
    pub fn open(path: &Path) -> Result<Self, CommitError> {
        let repository = commit::open(path)?;
        let folder = repository.common_dir();
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        Ok(Self { shared: repository.into_sync(), identity: folder.to_string_lossy().into_owned() })
    }

    /// The repository itself, for this thread.
    #[must_use]
    pub fn repository(&self) -> gix::Repository {
        self.shared.to_thread_local()
    }

    /// What the store knows this repository by: the absolute path of its git folder, the same for all its work trees.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The base: the branch `named`, or else the one that `HEAD` names.
    ///
    /// # Errors
    /// Where there is none, or where `HEAD` is on a branch of Leadsman's own.
    pub fn base(&self, named: Option<&str>) -> Result<BaseBranch, BaseError> {
        let name = match named {
            Some(name) => name.strip_prefix("refs/heads/").unwrap_or(name).to_owned(),
            None => {
                let unreadable = |source| BaseError::Unreadable { branch: "HEAD".into(), source: Box::new(source) };
                let head = self.repository().head_name().map_err(unreadable)?.ok_or(BaseError::Detached)?;
                let name = head.shorten().to_str_lossy().into_owned();
                if name.starts_with(BRANCH_PREFIX) {
                    return Err(BaseError::OurOwn(name));
                }
                name
            }
        };
        let unreadable = |source| BaseError::Unreadable { branch: name.clone(), source: Box::new(source) };
        let full = FullName::try_from(format!("refs/heads/{name}")).map_err(|_| BaseError::Missing(name.clone()))?;
        let repository = self.repository();
        let found = repository.try_find_reference(&full).map_err(unreadable)?;
        let id = found.ok_or_else(|| BaseError::Missing(name.clone()))?.peel_to_id().map_err(unreadable)?.detach();
        Ok(BaseBranch { name, id })
    }

    /// All branches below `leadsman/`, without `refs/heads/`, and their heads.
    ///
    /// # Errors
    /// Where refs cannot be listed.
    pub fn branches(&self) -> Result<BTreeMap<String, ObjectId>, gix::Error> {
        let prefix = format!("refs/heads/{BRANCH_PREFIX}");
        let mut branches = BTreeMap::new();
        for reference in self.repository().references()?.prefixed(prefix.as_str())? {
            let mut reference = reference?;
            let name = reference.name().shorten().to_str_lossy().into_owned();
            let id = match reference.target().try_id() {
                Some(id) => id.to_owned(),
                None => reference.peel_to_id()?.detach(),
            };
            branches.insert(name, id);
        }
        Ok(branches)
    }

    /// The branches that work trees are on, or that they are in the middle of rebasing or bisecting, with the work
    /// tree's folder. A bare repository's own `HEAD` is none.
    #[must_use]
    pub fn checked_out(&self) -> BTreeMap<String, PathBuf> {
        let mut found = BTreeMap::new();
        let repository = self.repository();
        let common = repository.common_dir();
        if !repository.is_bare() {
            let work_tree = common.parent().unwrap_or(common).to_owned();
            branches_of_work_tree(common, &work_tree, &mut found);
        }
        for folder in fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten() {
            let folder = folder.path();
            let link = fs::read_to_string(folder.join("gitdir")).unwrap_or_default();
            let work_tree = Path::new(link.trim()).parent().unwrap_or(&folder).to_owned();
            branches_of_work_tree(&folder, &work_tree, &mut found);
        }
        found
    }

    /// Carries out `moves`, each alone or not at all, and says for each whether it was done. A branch that is already
    /// where it should go counts as moved. `at` is the time now, and in the reflog. Locks on these branches that are
    /// older than ten minutes are removed first.
    #[must_use]
    pub fn apply(&self, moves: &[BranchMove], at: Timestamp) -> Vec<Result<(), MoveError>> {
        let checked_out = self.checked_out();
        self.remove_stale_locks(moves, at);
        let mut results = Vec::with_capacity(moves.len());
        for chunk in moves.chunks(REFS_AT_ONCE) {
            let free = |step: &&BranchMove| !checked_out.contains_key(&step.branch);
            // One transaction is fast and all or nothing; where one ref refuses, the others go one by one.
            let together = self.edit(chunk.iter().filter(free), at).is_ok();
            results.extend(chunk.iter().map(|step| match checked_out.get(&step.branch) {
                Some(work_tree) => {
                    Err(MoveError::CheckedOut { branch: step.branch.clone(), work_tree: work_tree.clone() })
                }
                None if together => Ok(()),
                None => self.apply_one(step, at),
            }));
        }
        results
    }

    fn apply_one(&self, step: &BranchMove, at: Timestamp) -> Result<(), MoveError> {
        let Err(error) = self.edit([step], at) else { return Ok(()) };
        let repository = self.repository();
        let now = repository.try_find_reference(&format!("refs/heads/{}", step.branch));
        let now = now.ok().flatten().and_then(|reference| reference.target().try_id().map(ToOwned::to_owned));
        if now == step.to {
            return Ok(());
        }
        let branch = step.branch.clone();
        let own = self.lock_of(&branch);
        let packed = self.repository().common_dir().join("packed-refs.lock");
        if own.exists() {
            let todo = "wait ten minutes and run again, or remove the file";
            return Err(MoveError::Locked { branch, file: own, todo });
        }
        if packed.exists() {
            return Err(MoveError::Locked { branch, file: packed, todo: "then remove the file and run again" });
        }
        Err(MoveError::Refused { branch, reason: format!("{error}") })
    }

    /// Where git locks a branch.
    fn lock_of(&self, branch: &str) -> PathBuf {
        self.repository().common_dir().join(format!("refs/heads/{branch}.lock"))
    }

    /// Removes what killed processes left on the branches that are about to move.
    fn remove_stale_locks(&self, moves: &[BranchMove], now: Timestamp) {
        for step in moves.iter().filter(|step| step.branch.starts_with(BRANCH_PREFIX)) {
            let lock = self.lock_of(&step.branch);
            let changed = fs::symlink_metadata(&lock).and_then(|data| data.modified());
            let age = changed.ok().and_then(|time| Timestamp::try_from(time).ok()).map(|time| now.duration_since(time));
            if age.is_some_and(|age| age.as_secs() > STALE_LOCK) {
                match fs::remove_file(&lock) {
                    Ok(()) => tracing::warn!(lock = %lock.display(), "removed a lock that a killed process left"),
                    Err(error) => tracing::warn!(lock = %lock.display(), %error, "could not remove an old lock"),
                }
            }
        }
    }

    fn edit<'a>(&self, moves: impl IntoIterator<Item = &'a BranchMove>, at: Timestamp) -> Result<(), gix::Error> {
        let edits: Result<Vec<_>, gix::Error> = moves.into_iter().map(ref_edit).collect();
        let time = gix::date::Time::new(at.as_second(), 0);
        let mut buffer = gix::date::parse::TimeBuf::default();
        let committer = bot(time);
        self.repository().edit_references_as(edits?, Some(committer.to_ref(&mut buffer)))?;
        Ok(())
    }
}

#[async_trait]
impl Place for Local {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn repository(&self) -> gix::Repository {
        self.shared.to_thread_local()
    }

    fn branches(&self) -> Result<Branches, gix::Error> {
        Ok(Branches { heads: Self::branches(self)?, checked_out: self.checked_out(), has_history: true })
    }

    async fn pulls(&self, _: &str, _: &BTreeSet<String>) -> Answer<Option<ByBranch>> {
        Ok(None)
    }

    async fn move_branches(&self, moves: &[BranchMove], now: Timestamp) -> Vec<Result<(), String>> {
        self.apply(moves, now).into_iter().map(|moved| moved.map_err(|error| error.to_string())).collect()
    }

    fn max_body(&self) -> usize {
        forge::CAPABILITIES.max_body
    }

    async fn open(&self, new: &NewPull) -> Answer<ForgePull> {
        Err(self.not_here(&format!("open a pull request from `{}`", new.branch)))
    }

    async fn edit(&self, number: i64, _: &PullEdit) -> Answer<()> {
        Err(self.not_here(&format!("change pull request {number}")))
    }
}

impl Local {
    /// Pull requests of a local repository are in the store, and written there before branches move.
    fn not_here(&self, what: &str) -> ForgeError {
        ForgeError {
            kind: ErrorKind::Invalid,
            what: format!("{what} in {}", self.identity),
            host: "local".into(),
            message: "its pull requests are kept in the store".into(),
        }
    }
}

fn ref_edit(step: &BranchMove) -> Result<RefEdit, gix::Error> {
    let expected = match step.from {
        Some(id) => PreviousValue::MustExistAndMatch(Target::Object(id)),
        None => PreviousValue::MustNotExist,
    };
    let change = match step.to {
        Some(id) => Change::Update {
            log: LogChange {
                mode: RefLog::AndReference,
                force_create_reflog: false,
                message: step.why.as_str().into(),
            },
            expected,
            new: Target::Object(id),
        },
        None => Change::Delete { expected, log: RefLog::AndReference },
    };
    let name = FullName::try_from(format!("refs/heads/{}", step.branch)).map_err(gix::Error::from_error)?;
    Ok(RefEdit::new(name, change))
}

/// Reads what one work tree is on. `git_dir` is its own git folder.
fn branches_of_work_tree(git_dir: &Path, work_tree: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for file in ["HEAD", "rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"] {
        let Ok(text) = fs::read_to_string(git_dir.join(file)) else { continue };
        let text = text.trim();
        let name = text.strip_prefix("ref:").map_or(text, str::trim);
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        found.entry(name.to_owned()).or_insert_with(|| work_tree.to_owned());
    }
}
