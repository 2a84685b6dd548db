//! Where pull requests live: what every forge can say and do, in one vocabulary.
//!
//! Owns the words (pull requests, comments, checks, permissions), one narrow trait per consumer, what a forge cannot do
//! as data ([`Capabilities`]), and the errors, which say what follows from them ([`ErrorKind`]). Decides nothing: what is
//! to be moved from where to where is said by [`crate::pulls`], and every move is a compare-and-swap from the head that
//! the decision was made on, so that a person's push between our read and our write survives.
//!
//! No call repeats itself: a failed one puts its work off ([`ForgeError::put_off`]), and what may have taken effect is
//! looked up before it is done again.

use std::fmt;

use async_trait::async_trait;
use gix::ObjectId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub mod commit;
pub mod gitea;
pub mod http;
pub mod local;
pub mod mirror;
pub mod place;
pub mod push;
pub mod remote;

/// A repository on its forge, such as `acme/fleet`; for a local one, the absolute path of its git folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryName(pub String);

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What the forge says of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryInfo {
    /// Its id, which stays when it is renamed.
    pub id: i64,
    /// Its name now: another one than was asked for if it was renamed or moved.
    pub name: RepositoryName,
    /// The branch that pull requests are for unless configured.
    pub default_branch: String,
    /// Whether nothing can be written.
    pub archived: bool,
    /// Whether there is no commit yet.
    pub empty: bool,
    /// Where git fetches and pushes.
    pub clone_url: String,
    /// The page for people.
    pub url: String,
}

/// An account, known by its number: names can be given to others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Person {
    /// Its number on the forge.
    pub id: i64,
    /// Its name, without `@`.
    pub login: String,
}

/// What somebody may do in a repository, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Nothing beyond what strangers may.
    None,
    /// Read, and write comments.
    Read,
    /// Sort and label.
    Triage,
    /// Push and merge.
    Write,
    /// Settings that do not destroy.
    Maintain,
    /// Everything.
    Admin,
}

/// Whether a pull request can be merged, as the forge last worked it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mergeable {
    /// Without conflicts.
    Yes,
    /// Not without somebody mending a conflict.
    Conflict,
    /// The forge is still working it out.
    Unknown,
}

/// Whether a pull request is open on its forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// It can be merged.
    Open,
    /// It was closed without being merged.
    Closed,
    /// The base has it.
    Merged,
}

/// A pull request as its forge tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgePull {
    /// Its number on the forge.
    pub number: i64,
    /// Whether it is open.
    pub state: PullState,
    /// Its title.
    pub title: String,
    /// Its body, as written.
    pub body: String,
    /// Who opened it.
    pub author: Person,
    /// The branch it would merge, without `refs/heads/`.
    pub branch: String,
    /// Whether that branch is in the base repository; one in a fork is never ours.
    pub same_repository: bool,
    /// The commit that branch is at, as the pull request knows it.
    pub head: ObjectId,
    /// The branch it would merge into.
    pub base: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Whether it can be merged.
    pub mergeable: Mergeable,
    /// The commit that merging made, once merged.
    pub merge_commit: Option<ObjectId>,
    /// Who closed or merged it, where the forge says.
    pub closed_by: Option<Person>,
    /// Its page for people.
    pub url: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A pull request to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// The branch to be merged, which exists.
    pub branch: String,
    /// The branch to merge into.
    pub base: String,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
    /// The names of its labels; those that do not exist are made.
    pub labels: Vec<String>,
}

/// What is to be changed of a pull request; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullEdit {
    /// Its title.
    pub title: Option<String>,
    /// Its body.
    pub body: Option<String>,
    /// Labels to be added.
    pub add_labels: Vec<String>,
    /// Whether it is to be open.
    pub open: Option<bool>,
}

/// A comment on a pull request or an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its number; later ones have higher ones.
    pub id: i64,
    /// Who wrote it.
    pub author: Person,
    /// Its text, as written.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last changed; [`Comment::created_at`] where it never was.
    pub updated_at: Timestamp,
}

impl Comment {
    /// Whether somebody changed it since it was written (C1.3). Forges store whole seconds.
    #[must_use]
    pub fn was_edited(&self) -> bool {
        self.updated_at.as_second() > self.created_at.as_second()
    }
}

/// A reaction to a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Seen, being worked on.
    Eyes,
    /// Done.
    ThumbsUp,
    /// Refused, where a comment would be too much.
    ThumbsDown,
}

/// How one check stands on one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Not finished.
    Pending,
    /// Passed.
    Success,
    /// Finished without an opinion.
    Neutral,
    /// Not run, on purpose.
    Skipped,
    /// Failed, cancelled or timed out.
    Failure,
}

/// A check or commit status. Of several runs of one name only the newest is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name or context.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// Its page, where there is one.
    pub url: Option<String>,
    /// When it came to stand so.
    pub at: Timestamp,
}

/// What must hold before a branch takes a merge, as the forge enforces it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Names or patterns (`ci/*`) of checks that must pass; each must match one check at least. `*` alone means every
    /// check there is, and that there is one.
    pub required_checks: Vec<String>,
    /// How many approvals it needs.
    pub required_approvals: u32,
    /// Whether a review that asks for changes blocks.
    pub blocked_by_rejection: bool,
    /// Whether an approval of an older commit does not count ([`Review::stale`]).
    pub stale_approvals_ignored: bool,
    /// Whether the branch must hold the base's head.
    pub must_be_up_to_date: bool,
    /// Whether the bot is not among those who may merge.
    pub bot_may_not_merge: bool,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opinion {
    /// It may be merged.
    Approved,
    /// It may not, before something changes.
    Rejected,
    /// Neither.
    Commented,
}

/// The review that counts of each person: the newest with an opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Who reviewed.
    pub author: Person,
    /// What they say.
    pub opinion: Opinion,
    /// The commit they looked at.
    pub commit: Option<ObjectId>,
    /// Whether it counts: its author may review officially, and nobody dismissed it.
    pub counts: bool,
    /// Whether commits were pushed since ([`Rules::stale_approvals_ignored`]).
    pub stale: bool,
}

/// How a merge is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethod {
    /// A merge commit.
    Merge,
    /// One new commit.
    Squash,
    /// The commits put on top of the base.
    Rebase,
}

/// What a forge did with a request to merge (C3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeAnswer {
    /// It is merged.
    Merged,
    /// Not now; worth asking again. With what the forge said.
    Again(String),
    /// Not this head; asking again would not help. With what the forge said.
    Drop(String),
}

/// What a forge can and cannot do, as data: differences between forges are written nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Its name for people.
    pub name: &'static str,
    /// What it calls a pull request.
    pub pull_request: &'static str,
    /// Whether `/word` at the start of a line is free for commands (C1.1).
    pub slash_commands: bool,
    /// Whether comments take reactions.
    pub reactions: bool,
    /// Whether issues exist, for the dashboard issue.
    pub issues: bool,
    /// Whether branches have rules that it enforces.
    pub rules: bool,
    /// Whether people review.
    pub reviews: bool,
    /// Which ways of merging it has.
    pub merge_methods: &'static [MergeMethod],
    /// The longest body of a pull request, in bytes.
    pub max_body: usize,
}

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The token is missing, wrong or over.
    Unauthorized,
    /// The token may not do this.
    Forbidden,
    /// It is not there, or the token may not know of it.
    NotFound,
    /// It is not as it was when this was decided: look again.
    Conflict,
    /// The forge does not take what was sent.
    Invalid,
    /// Too many requests: nothing more before this time.
    Limited {
        /// When to go on.
        until: Timestamp,
    },
    /// The forge is down, slow or not reachable: no fault of the work.
    Unavailable,
    /// An answer that cannot be read.
    Protocol,
}

/// A call that did not do what it should.
#[derive(Debug, Clone, Error)]
#[error("cannot {what} on `{host}`: {message}")]
pub struct ForgeError {
    /// What follows from it.
    pub kind: ErrorKind,
    /// What was being done, to what: `open a pull request in acme/fleet`.
    pub what: String,
    /// The forge's host.
    pub host: String,
    /// What the forge said, shortened and without secrets, and what to do about it.
    pub message: String,
}

impl ForgeError {
    /// Whether the host is to be put off for everyone, because the fault is not of this work's making, and until when
    /// where the forge said.
    #[must_use]
    pub fn put_off(&self) -> Option<Option<Timestamp>> {
        match self.kind {
            ErrorKind::Limited { until } => Some(Some(until)),
            ErrorKind::Unavailable => Some(None),
            _ => None,
        }
    }
}

/// What calls return.
pub type Answer<T> = Result<T, ForgeError>;

/// One step of one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchMove {
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// Where it must be now; none: it must not exist.
    pub from: Option<ObjectId>,
    /// Where it goes; none: it is deleted.
    pub to: Option<ObjectId>,
    /// Why, for logs.
    pub why: String,
}

/// Repositories themselves.
#[async_trait]
pub trait Repositories {
    /// What the forge says of one repository.
    async fn repository(&self, name: &RepositoryName) -> Answer<RepositoryInfo>;
    /// Who the bot is here.
    async fn myself(&self) -> Answer<Person>;
}

/// Pull requests, for who keeps the right ones open.
#[async_trait]
pub trait Pulls {
    /// All open pull requests of the bot from branches below `leadsman/` of the repository itself.
    async fn open_pulls(&self, repository: &RepositoryName) -> Answer<Vec<ForgePull>>;
    /// One pull request.
    async fn pull(&self, repository: &RepositoryName, number: i64) -> Answer<ForgePull>;
    /// The newest pull request from this branch of the repository itself into `base`, in any state.
    async fn pull_of_branch(&self, repository: &RepositoryName, branch: &str, base: &str) -> Answer<Option<ForgePull>>;
    /// Opens one. Where there is an open one from that branch already, that is a [`ErrorKind::Conflict`].
    async fn open_pull(&self, repository: &RepositoryName, new: &NewPull) -> Answer<ForgePull>;
    /// Changes one, in as few calls as the forge allows; none where there is nothing to change.
    async fn edit_pull(&self, repository: &RepositoryName, number: i64, edit: &PullEdit) -> Answer<()>;
}

/// Talk on pull requests and issues, which share one row of numbers.
#[async_trait]
pub trait Conversation {
    /// The comments with an id above `after`, oldest first.
    async fn comments(&self, repository: &RepositoryName, number: i64, after: i64) -> Answer<Vec<Comment>>;
    /// Writes a comment and returns it.
    async fn comment(&self, repository: &RepositoryName, number: i64, body: &str) -> Answer<Comment>;
    /// Changes a comment of the bot's.
    async fn edit_comment(&self, repository: &RepositoryName, comment: i64, body: &str) -> Answer<()>;
    /// Deletes a comment of the bot's; one that is gone already counts as deleted.
    async fn delete_comment(&self, repository: &RepositoryName, comment: i64) -> Answer<()>;
    /// Reacts to a comment; a second time is no error.
    async fn react(&self, repository: &RepositoryName, comment: i64, reaction: Reaction) -> Answer<()>;
    /// What somebody may do, asked now.
    async fn permission(&self, repository: &RepositoryName, person: &Person) -> Answer<Permission>;
}

/// Everything that a merge waits for, and the merge.
#[async_trait]
pub trait Merging {
    /// The checks on a commit, one per name.
    async fn checks(&self, repository: &RepositoryName, commit: ObjectId) -> Answer<Vec<Check>>;
    /// The rules of a base branch.
    async fn rules(&self, repository: &RepositoryName, base: &str) -> Answer<Rules>;
    /// The reviews of a pull request, one per person.
    async fn reviews(&self, repository: &RepositoryName, number: i64) -> Answer<Vec<Review>>;
    /// Merges a pull request at this head and no other (C3.3).
    async fn merge(
        &self,
        repository: &RepositoryName,
        number: i64,
        head: ObjectId,
        method: MergeMethod,
        message: Option<&str>,
    ) -> Answer<MergeAnswer>;
}

/// The dashboard issue.
#[async_trait]
pub trait Issues {
    /// The newest open issue of the bot whose body holds `marker`: its number and body.
    async fn find_issue(&self, repository: &RepositoryName, marker: &str) -> Answer<Option<(i64, String)>>;
    /// Opens one and returns its number.
    async fn open_issue(&self, repository: &RepositoryName, title: &str, body: &str) -> Answer<i64>;
    /// Changes one.
    async fn edit_issue(&self, repository: &RepositoryName, number: i64, title: &str, body: &str) -> Answer<()>;
}

/// Webhooks of a repository, for `leadsman setup webhook` and `leadsman doctor`.
#[async_trait]
pub trait Hooks {
    /// The addresses that active webhooks of the repository go to.
    async fn hooks(&self, repository: &RepositoryName) -> Answer<Vec<String>>;
    /// Makes a webhook for all events that Leadsman uses.
    async fn make_hook(&self, repository: &RepositoryName, url: &str, secret: &secrecy::SecretString) -> Answer<()>;
}

/// A forge in full.
pub trait Forge: Repositories + Pulls + Conversation + Merging + Issues + Send + Sync {
    /// What it can and cannot do.
    fn capabilities(&self) -> &'static Capabilities;
    /// Its host, such as `gitea.example.com:3000`; `local` for repositories on this machine.
    fn host(&self) -> &str;
}
