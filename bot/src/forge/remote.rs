//! One repository of a forge, with the mirror of it that is kept here: fetched once, worked on, pushed to.
//!
//! Owns how branches move there: by the real `git push` with a lease on the head that the decision saw. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::mirror::{Fetched, Mirror, MirrorError, Remote};
use super::place::{BaseBranch, Branches, ByBranch, Place};
use super::push::{PushOutcome, push};
use super::{Answer, BranchMove, ErrorKind, Forge, ForgeError, ForgePull, NewPull, PullEdit, RepositoryName};
use crate::plan::hex;

/// Where the mirror of the repository `key` is, below the folder of all mirrors.
#[must_use]
pub fn mirror_folder(folder: &Path, key: &str) -> PathBuf {
    folder.join(&hex(&Sha256::digest(key))[..32])
}

/// A repository that was fetched just now.
pub struct Mirrored {
    key: String,
    name: RepositoryName,
    forge: Arc<dyn Forge>,
    mirror: Arc<Mirror>,
    objects: gix::ThreadSafeRepository,
    base: BaseBranch,
    branches: BTreeMap<String, gix::ObjectId>,
}

impl Mirrored {
    /// Fetches `base` and our branches of the repository `name` into its mirror below `folder`.
    ///
    /// # Errors
    /// Why there is no mirror.
    pub async fn fetch(
        forge: &Arc<dyn Forge>,
        name: &RepositoryName,
        key: &str,
        folder: &Path,
        remote: Remote,
        base: &str,
    ) -> Result<Self, MirrorError> {
        let folder = mirror_folder(folder, key);
        let wanted = base.to_owned();
        let (doing, host) = (format!("fetch {name}"), forge.host().to_owned());
        let fetched = tokio::task::spawn_blocking(move || {
            let mirror = Mirror::open_or_make(&folder, remote)?;
            let fetched = mirror.fetch(&wanted)?;
            let objects = mirror.repository()?.into_sync();
            Ok::<_, MirrorError>((mirror, fetched, objects))
        });
        let (mirror, Fetched { base: id, branches }, objects) = fetched.await.map_err(|fault| ForgeError {
            kind: ErrorKind::Protocol,
            what: doing,
            host,
            message: fault.to_string(),
        })??;
        Ok(Self {
            key: key.to_owned(),
            name: name.clone(),
            forge: Arc::clone(forge),
            mirror: Arc::new(mirror),
            objects,
            base: BaseBranch { name: base.to_owned(), id },
            branches,
        })
    }

    /// The base as it was fetched.
    #[must_use]
    pub fn base(&self) -> &BaseBranch {
        &self.base
    }
}

#[async_trait]
impl Place for Mirrored {
    fn identity(&self) -> &str {
        &self.key
    }

    fn repository(&self) -> gix::Repository {
        self.objects.to_thread_local()
    }

    fn branches(&self) -> Result<Branches, gix::Error> {
        Ok(Branches { heads: self.branches.clone(), checked_out: BTreeMap::new(), has_history: false })
    }

    async fn pulls(&self, base: &str, branches: &BTreeSet<String>) -> Answer<Option<ByBranch>> {
        let open = self.forge.open_pulls(&self.name).await?;
        let mut found: ByBranch =
            open.into_iter().filter(|pull| pull.base == base).map(|pull| (pull.branch.clone(), pull)).collect();
        for branch in branches {
            if !found.contains_key(branch)
                && let Some(pull) = self.forge.pull_of_branch(&self.name, branch, base).await?
            {
                found.insert(branch.clone(), pull);
            }
        }
        Ok(Some(found))
    }

    async fn move_branches(&self, moves: &[BranchMove], _: Timestamp) -> Vec<Result<(), String>> {
        match push(self.mirror.folder(), self.mirror.remote(), moves).await {
            Ok(outcomes) => outcomes
                .into_iter()
                .zip(moves)
                .map(|(outcome, BranchMove { branch, .. })| match outcome {
                    PushOutcome::Moved => Ok(()),
                    PushOutcome::Stale => {
                        Err(format!("somebody pushed to `{branch}` just now, so it was left as it is"))
                    }
                    PushOutcome::Refused(why) => Err(format!("the forge does not let `{branch}` be moved: {why}")),
                    PushOutcome::Failed(why) => Err(format!("cannot move `{branch}`: {why}")),
                })
                .collect(),
            Err(error) => moves.iter().map(|_| Err(error.to_string())).collect(),
        }
    }

    fn max_body(&self) -> usize {
        self.forge.capabilities().max_body
    }

    async fn open(&self, new: &NewPull) -> Answer<ForgePull> {
        self.forge.open_pull(&self.name, new).await
    }

    async fn edit(&self, number: i64, edit: &PullEdit) -> Answer<()> {
        self.forge.edit_pull(&self.name, number, edit).await
    }
}
