//! What all kinds of work share: the store, the forges, the registries, and the repositories that are watched.
//!
//! Owns the words in which work is named (keys, lanes) and the way from a repository's key to its forge, its branches
//! and its configuration. Decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use leadsman_scanner::registry::{Lists, Registry, TimeCache};
use leadsman_scanner::scan::ScanOptions;
use leadsman_scanner::source::commit::CommitError;
use tokio::sync::OnceCell;

use crate::config::repository::RepositoryConfig;
use crate::forge::local::Local;
use crate::forge::mirror::{self, MirrorError};
use crate::forge::place::{BaseBranch, Place};
use crate::forge::remote::Mirrored;
use crate::forge::{Answer, ErrorKind, Forge, Person, RepositoryInfo, RepositoryName};
use crate::render::Renderer;
use crate::render::comments::CommentRenderer;
use crate::render::dashboard::HeldBack;
use crate::store::Store;
use crate::store::work::{Ask, Kind, Lane, Priority};
use crate::work::pass::configuration;
use crate::work::queue::Failure;

/// Why an archived repository rests.
pub const ARCHIVED: &str = "it is archived, so nothing can be proposed there";

/// Why an empty repository rests.
pub const EMPTY: &str = "it has no commit yet";

/// A repository that is watched.
pub struct Watched {
    /// What the store knows it by: `gitea.example.com/acme/fleet`, or the absolute path of its git folder.
    pub key: String,
    /// Its name on its forge.
    pub name: RepositoryName,
    /// The branch that pull requests are for; none: its default branch.
    pub base: Option<String>,
    /// Its forge.
    pub forge: Arc<dyn Forge>,
    /// Where its commits are.
    pub source: Source,
}

/// Where the commits of a repository are.
pub enum Source {
    /// Here: it is a repository on this machine.
    Local(Arc<Local>),
    /// On a forge; a mirror is kept here.
    Remote {
        /// Where mirrors are kept.
        folder: PathBuf,
        /// Where git fetches and pushes, and as whom.
        remote: mirror::Remote,
    },
}

/// How often things are looked at though nothing called.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Each image's list of tags.
    pub images: SignedDuration,
    /// Each repository.
    pub repositories: SignedDuration,
}

/// Everything that work is done with.
pub struct Service {
    /// The store.
    pub store: Arc<Store>,
    /// The registries.
    pub registry: Registry,
    /// Lists of tags, as last read.
    pub lists: Lists,
    /// Creation times, as read once.
    pub times: TimeCache,
    /// The texts of pull requests.
    pub renderer: Renderer,
    /// The texts of comments.
    pub comments: CommentRenderer,
    /// How manifests are read; its time is not used.
    pub options: ScanOptions,
    /// How often to look.
    pub schedule: Schedule,
    /// The name that commands begin with.
    pub handle: String,
    /// The repositories, by key.
    pub watched: BTreeMap<String, Watched>,
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// A number from 0 to 1 by which periodic work is spread.
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// What is remembered between two looks and can be lost.
    pub memory: Memory,
}

/// What is remembered between two looks and can be lost.
#[derive(Default)]
pub struct Memory {
    configs: Mutex<HashMap<String, Arc<RepositoryConfig>>>,
    bots: Mutex<HashMap<String, Arc<OnceCell<Person>>>>,
    updated: Mutex<HashMap<(String, i64), Timestamp>>,
    held_back: Mutex<HashMap<String, Vec<HeldBack>>>,
}

/// A repository that was entered: its branches as they are now.
pub struct Site {
    /// Its branches.
    pub place: Arc<dyn Place>,
    /// The branch that pull requests are for.
    pub base: BaseBranch,
    /// Its page for people; empty where there is none.
    pub url: String,
}

/// Why a repository could not be entered.
pub enum Closed {
    /// Something failed, and may not the next time.
    Failed(Failure),
    /// Nothing can be done there until somebody changes it: it is archived, empty, gone.
    Resting(String),
}

impl Service {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// When to do again what is done every `interval`: a little earlier or later for each, so that not all is done at
    /// once.
    #[must_use]
    pub fn later(&self, interval: SignedDuration) -> Timestamp {
        let spread = interval.mul_f64(0.9 + 0.2 * (self.jitter)());
        let now = self.now();
        now.saturating_add(spread).unwrap_or(now)
    }

    /// The watched repository of that key.
    #[must_use]
    pub fn watched(&self, key: &str) -> Option<&Watched> {
        self.watched.get(key)
    }

    /// The watched repository of that name on the forge `host`.
    #[must_use]
    pub fn named(&self, host: &str, name: &RepositoryName) -> Option<&Watched> {
        self.watched.values().find(|watched| {
            watched.forge.host().eq_ignore_ascii_case(host) && watched.name.0.eq_ignore_ascii_case(&name.0)
        })
    }

    /// Who the bot is on the forge of `watched`; asked once.
    ///
    /// # Errors
    /// Where the forge does not say.
    pub async fn myself(&self, watched: &Watched) -> Answer<Person> {
        let cell = {
            let mut bots = self.memory.bots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(bots.entry(watched.forge.host().to_owned()).or_default())
        };
        cell.get_or_try_init(|| watched.forge.myself()).await.cloned()
    }

    /// The configuration of a repository as it was last read and valid; the default before that.
    #[must_use]
    pub fn config(&self, key: &str) -> Arc<RepositoryConfig> {
        let configs = self.memory.configs.lock().unwrap_or_else(PoisonError::into_inner);
        configs.get(key).cloned().unwrap_or_default()
    }

    /// Reads the configuration of a repository, unless this process knows it: who may write a command must not depend on
    /// whether a scan came first.
    ///
    /// # Errors
    /// Where it cannot be read or used; then nobody may do anything there.
    pub async fn know_config(&self, watched: &Watched) -> Result<(), Failure> {
        let is_known = {
            let configs = self.memory.configs.lock().unwrap_or_else(PoisonError::into_inner);
            configs.contains_key(&watched.key)
        };
        if is_known {
            return Ok(());
        }
        let site = match self.enter(watched).await {
            Ok(site) => site,
            Err(Closed::Failed(failure)) => return Err(failure),
            Err(Closed::Resting(why)) => return Err(Failure::Ours(why)),
        };
        let config = configuration(&site.place.repository(), &site.base);
        let config = config.map_err(|error| Failure::Ours(error.to_string()))?;
        self.keep_config(&watched.key, config.unwrap_or_default());
        Ok(())
    }

    /// Keeps the configuration of a repository.
    pub fn keep_config(&self, key: &str, config: Arc<RepositoryConfig>) {
        let mut configs = self.memory.configs.lock().unwrap_or_else(PoisonError::into_inner);
        configs.insert(key.to_owned(), config);
    }

    /// What the last look at a repository held back; none before the first look of this process.
    #[must_use]
    pub fn held_back(&self, key: &str) -> Option<Vec<HeldBack>> {
        let held_back = self.memory.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        held_back.get(key).cloned()
    }

    /// Keeps what a look at a repository held back.
    pub fn keep_held_back(&self, key: &str, what: Vec<HeldBack>) {
        let mut held_back = self.memory.held_back.lock().unwrap_or_else(PoisonError::into_inner);
        held_back.insert(key.to_owned(), what);
    }

    /// Whether a pull request changed since this was last asked about it.
    #[must_use]
    pub fn has_changed(&self, key: &str, thread: i64, updated_at: Timestamp) -> bool {
        let mut updated = self.memory.updated.lock().unwrap_or_else(PoisonError::into_inner);
        updated.insert((key.to_owned(), thread), updated_at) != Some(updated_at)
    }

    /// Reads the branches of a repository as they are now.
    ///
    /// # Errors
    /// Why it cannot be entered.
    pub async fn enter(&self, watched: &Watched) -> Result<Site, Closed> {
        match &watched.source {
            Source::Local(local) => {
                let base = local.base(watched.base.as_deref()).map_err(|error| Closed::Resting(error.to_string()))?;
                let place: Arc<dyn Place> = Arc::<Local>::clone(local);
                Ok(Site { place, base, url: String::new() })
            }
            Source::Remote { folder, remote } => {
                let told = watched.forge.repository(&watched.name).await;
                let RepositoryInfo { default_branch, archived, empty, url, .. } = match told {
                    Ok(info) => info,
                    Err(error) if matches!(error.kind, ErrorKind::NotFound) => {
                        return Err(Closed::Resting(error.to_string()));
                    }
                    Err(error) => return Err(Closed::Failed(error.into())),
                };
                if archived {
                    return Err(Closed::Resting(ARCHIVED.into()));
                }
                if empty {
                    return Err(Closed::Resting(EMPTY.into()));
                }
                let base = watched.base.clone().unwrap_or(default_branch);
                let Watched { key, name, forge, .. } = watched;
                let mirrored = Mirrored::fetch(forge, name, key, folder, remote.clone(), &base).await?;
                let base = mirrored.base().clone();
                Ok(Site { place: Arc::new(mirrored), base, url })
            }
        }
    }

    /// Asks for work on a repository, now.
    #[must_use]
    pub fn ask_of(&self, watched: &Watched, kind: Kind, key: String) -> Ask {
        Ask::new(kind, key, Lane::repository(&watched.key), self.now()).on(watched.forge.host())
    }

    /// Asks for a scan of a repository, now, at the priority of whoever waits for it.
    #[must_use]
    pub fn ask_scan(&self, watched: &Watched, priority: Priority) -> Ask {
        self.ask_of(watched, Kind::ScanRepository, watched.key.clone()).with(priority)
    }
}

/// The key of work about a thread or a pull request of a repository.
#[must_use]
pub fn numbered(repository: &str, number: i64) -> String {
    format!("{repository}#{number}")
}

/// The repository and number of such a key; none where it is no such key.
#[must_use]
pub fn parts(key: &str) -> Option<(&str, i64)> {
    let (repository, number) = key.rsplit_once('#')?;
    Some((repository, number.parse().ok()?))
}

impl From<MirrorError> for Closed {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Forge(error) => Self::Failed(error.into()),
            error @ (MirrorError::NoBranch { .. } | MirrorError::TooLarge { .. }) => Self::Resting(error.to_string()),
            error @ MirrorError::Disk { .. } => Self::Failed(Failure::Ours(error.to_string())),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Ours(error.to_string())
    }
}
