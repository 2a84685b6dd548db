//! What pages show, as data: one struct per page, which its template and its JSON twin are both made from.
//!
//! Text in here is as it came from outside; templates escape it. Times are UTC. Nothing in here is a secret, and nothing
//! is of another repository than the one that was asked for, but on the three lists.

use std::fmt::Write as _;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diff::FileDiff;
use crate::forge::{self, RepositoryName};

/// A repository, as addresses of pages name it: `gitea.example.com/acme/fleet`, `local/home/me/fleet/.git`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct RepositoryRef {
    /// Its forge; `local` for one on this machine.
    pub host: String,
    /// Its name there.
    #[schemars(with = "String")]
    pub name: RepositoryName,
    /// The address of its page, without the host.
    pub path: String,
}

impl RepositoryRef {
    /// The repository `name` of the forge `host`.
    #[must_use]
    pub fn new(host: impl Into<String>, name: RepositoryName) -> Self {
        let host = host.into();
        let path = format!("/repositories/{}/{}", segment(&host), segment(name.0.strip_prefix('/').unwrap_or(&name.0)));
        Self { host, name, path }
    }

    /// The repository that an address names, from its host and the rest.
    #[must_use]
    pub(super) fn from_address(host: &str, rest: &str) -> Self {
        // The names of local repositories are absolute paths.
        let name = if host == "local" { format!("/{rest}") } else { rest.to_owned() };
        Self::new(host, RepositoryName(name))
    }

    /// The address of a pull request's page.
    #[must_use]
    pub fn pull_path(&self, number: i64) -> String {
        format!("{}/-/pulls/{number}", self.path)
    }
}

/// Part of an address, with slashes kept and all else encoded that is not plain.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// How a repository stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepositoryState {
    /// Looked after.
    Watched,
    /// Known, and not looked at yet.
    New,
    /// Nothing is opened or merged, because somebody said so.
    Paused,
    /// Nothing can be written to it.
    Archived,
    /// It has no commit.
    Empty,
    /// Its configuration is not valid: nothing is opened, moved or merged.
    Misconfigured,
    /// It cannot be read.
    Failing,
}

/// The list of repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoriesView {
    /// Those that the viewer may see, in order.
    pub repositories: Vec<RepositoryRow>,
}

/// One repository in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryRow {
    /// Which it is.
    pub repository: RepositoryRef,
    /// How it stands.
    pub state: RepositoryState,
    /// The most important thing that is wrong, in one sentence.
    pub problem: Option<String>,
    /// How many things are wrong.
    pub problems: u32,
    /// How many pull requests of ours are open.
    pub open_pulls: u32,
    /// How many releases and other workloads are watched.
    pub workloads: u32,
    /// When it was last scanned.
    #[schemars(with = "Option<String>")]
    pub last_scan: Option<Timestamp>,
    /// When it is scanned next.
    #[schemars(with = "Option<String>")]
    pub next_scan: Option<Timestamp>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RepositoryView {
    /// What the list says of it.
    #[serde(flatten)]
    pub row: RepositoryRow,
    /// Why it is paused, if somebody said so.
    pub pause_reason: Option<String>,
    /// The branch that pull requests are for.
    pub base: String,
    /// Its page on the forge, where there is one.
    pub url: Option<String>,
    /// What is wrong, most important first.
    pub problems_found: Vec<Problem>,
    /// Open pull requests, then those closed or merged lately.
    pub pulls: Vec<PullRow>,
    /// Its work that waits, runs or is parked.
    pub work: Vec<WorkRow>,
}

/// Something that is wrong and that somebody can mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// Where: a file and line, an image, a host.
    pub place: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
    /// Since when.
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
}

/// Whether a pull request is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// It can be merged.
    Open,
    /// Closed without being merged.
    Closed,
    /// Merged.
    Merged,
}

impl From<forge::PullState> for PullState {
    fn from(state: forge::PullState) -> Self {
        match state {
            forge::PullState::Open => Self::Open,
            forge::PullState::Closed => Self::Closed,
            forge::PullState::Merged => Self::Merged,
        }
    }
}

/// One pull request in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PullRow {
    /// Its number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// Whether it is open.
    pub state: PullState,
    /// What it waits for, in a few words.
    pub waits_for: Option<String>,
    /// When it last changed.
    #[schemars(with = "String")]
    pub updated_at: Timestamp,
    /// The address of its page, without the host.
    pub path: String,
}

/// One pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PullView {
    /// Its repository.
    pub repository: RepositoryRef,
    /// What the list says of it.
    #[serde(flatten)]
    pub row: PullRow,
    /// Who opened it.
    pub author: String,
    /// The branch it would merge.
    pub branch: String,
    /// The branch it would merge into.
    pub base: String,
    /// The commit that branch is at, in full.
    pub head: String,
    /// Its body, in Markdown.
    pub body: String,
    /// Its page on the forge, where that is another one than this.
    pub url: Option<String>,
    /// What it changes.
    pub diff: Vec<FileDiff>,
    /// What was said, oldest first.
    pub comments: Vec<CommentView>,
    /// Whether comments are written here: true on the local forge, which has no pages of its own.
    pub takes_comments: bool,
    /// What it waits for before it is merged, or would wait for.
    pub waits: Vec<Wait>,
    /// Who asked for the merge, if somebody did.
    pub merge_asked_by: Option<String>,
    /// The checks of its head.
    pub checks: Vec<CheckView>,
    /// What Leadsman did and why, newest first.
    pub history: Vec<HistoryRow>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CommentView {
    /// Its number.
    pub id: i64,
    /// Who wrote it.
    pub author: String,
    /// Whether that is Leadsman.
    pub ours: bool,
    /// Its text, in Markdown.
    pub body: String,
    /// When it was written.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Reactions of the bot, as emoji.
    pub reactions: Vec<String>,
}

/// One thing that a merge waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wait {
    /// What it is.
    pub what: String,
    /// Whether it is given already.
    pub given: bool,
    /// Who can give it, where that is not plain.
    pub by: Option<String>,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Failed.
    Failure,
}

impl From<forge::CheckState> for CheckState {
    fn from(state: forge::CheckState) -> Self {
        match state {
            forge::CheckState::Pending => Self::Pending,
            forge::CheckState::Success => Self::Success,
            forge::CheckState::Neutral => Self::Neutral,
            forge::CheckState::Skipped => Self::Skipped,
            forge::CheckState::Failure => Self::Failure,
        }
    }
}

impl From<CheckState> for forge::CheckState {
    fn from(state: CheckState) -> Self {
        match state {
            CheckState::Pending => Self::Pending,
            CheckState::Success => Self::Success,
            CheckState::Neutral => Self::Neutral,
            CheckState::Skipped => Self::Skipped,
            CheckState::Failure => Self::Failure,
        }
    }
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckView {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// Whether the merge waits for it.
    pub required: bool,
    /// Its page.
    pub url: Option<String>,
    /// When it came to stand so.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// Something that was done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HistoryRow {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What.
    pub action: String,
    /// Why.
    pub reason: String,
}

/// The work that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WorkView {
    /// Parked first, then running, put off and waiting, by the time they are due.
    pub work: Vec<WorkRow>,
    /// How many more there are than are shown.
    pub more: u64,
}

/// Where a piece of work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkState {
    /// It failed too often; a person can replay it.
    Parked,
    /// Claimed by a worker.
    Running,
    /// Not before some time, because a host or an error said so.
    PutOff,
    /// Due, or due later.
    Waiting,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WorkRow {
    /// Its kind, such as `scan_repository`.
    pub kind: String,
    /// What of that kind: with the kind, its identity.
    pub key: String,
    /// Where it stands.
    pub state: WorkState,
    /// The repository it is about, if it is about one.
    pub repository: Option<RepositoryRef>,
    /// When it is due.
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// How often it failed.
    pub attempts: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Everything that is wrong, over all repositories that the viewer may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorsView {
    /// Most recent first.
    pub errors: Vec<ErrorRow>,
    /// How many more there are than are shown.
    pub more: u64,
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ErrorRow {
    /// The repository, unless it is about the service.
    pub repository: Option<RepositoryRef>,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_repositories_and_back() {
        for (host, name, path) in [
            ("gitea.example.com:3000", "acme/fleet", "/repositories/gitea.example.com:3000/acme/fleet"),
            ("local", "/home/me/a fleet/.git", "/repositories/local/home/me/a%20fleet/.git"),
            ("local", "/tmp/<b>?#é", "/repositories/local/tmp/%3Cb%3E%3F%23%C3%A9"),
        ] {
            let repository = RepositoryRef::new(host, RepositoryName(name.into()));
            assert_eq!(repository.path, path);
            assert_eq!(repository, RepositoryRef::from_address(host, name.trim_start_matches('/')));
            assert_eq!(repository.pull_path(7), format!("{path}/-/pulls/7"));
        }
    }
}
