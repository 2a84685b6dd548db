//! Repositories on this machine as a forge: the store keeps what a forge would, git the rest.
//!
//! Owns who people are here: one person, `local`, who may do everything, because only this machine can reach the pages
//! that speak for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gix::ObjectId;

use super::Local;
use super::merge::Merge;
use crate::clock;
use crate::forge::{
    Answer, BranchMove, Capabilities, Check, Comment, Conversation, ErrorKind, Forge, ForgeError, ForgePull, Issues,
    MergeAnswer, MergeMethod, Mergeable, Merging, NewPull, Permission, Person, PullEdit, PullState, Pulls, Reaction,
    Repositories, RepositoryInfo, RepositoryName, Review, Rules,
};
use crate::pulls::State;
use crate::store::local::{LocalPull, NewComment};
use crate::store::{Store, StoreError};

/// The host by which errors and the store name this forge.
pub const HOST: &str = "local";

/// What it can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "Local",
    pull_request: "pull request",
    slash_commands: true,
    reactions: true,
    issues: false,
    rules: false,
    reviews: false,
    merge_methods: &[MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase],
    max_body: 65_536,
};

/// Whoever is at this machine.
#[must_use]
pub fn local_person() -> Person {
    Person { id: 1, login: "local".into() }
}

/// The bot itself.
#[must_use]
pub fn bot_person() -> Person {
    Person { id: 2, login: "leadsman".into() }
}

/// Some repositories on this machine.
pub struct LocalForge {
    store: Arc<Store>,
    repositories: BTreeMap<String, Arc<Local>>,
    /// Where pages show them, without a slash at the end.
    pages: String,
}

impl LocalForge {
    /// A forge of these repositories, whose pages are below `pages`.
    #[must_use]
    pub fn new(store: Arc<Store>, repositories: Vec<Arc<Local>>, pages: String) -> Self {
        let repositories = repositories.into_iter().map(|local| (local.identity().to_owned(), local)).collect();
        Self { store, repositories, pages }
    }

    fn find(&self, what: &str, name: &RepositoryName) -> Answer<&Arc<Local>> {
        self.repositories.get(&name.0).ok_or_else(|| {
            error(ErrorKind::NotFound, what, "it is not among the configured repositories, nor their name".into())
        })
    }

    async fn local_pull(&self, what: &str, name: &RepositoryName, number: i64) -> Answer<LocalPull> {
        let found = self.store.local_pull(&name.0, number).await.map_err(|error| stored(what, &error))?;
        found.ok_or_else(|| error(ErrorKind::NotFound, what, format!("there is no pull request {number}")))
    }

    fn told(&self, name: &RepositoryName, pull: LocalPull) -> Answer<ForgePull> {
        let local = self.find("read a pull request", name)?;
        let head = local.branches().ok().and_then(|branches| branches.get(&pull.branch).copied());
        Ok(ForgePull {
            number: pull.number,
            state: match pull.state {
                State::Open => PullState::Open,
                State::Merged => PullState::Merged,
                State::Declined | State::Closed => PullState::Closed,
            },
            title: pull.title,
            body: pull.body,
            author: bot_person(),
            branch: pull.branch,
            same_repository: true,
            head: head.or(pull.head).unwrap_or_else(|| ObjectId::null(gix::hash::Kind::Sha1)),
            base: pull.base,
            labels: Vec::new(),
            // Conflicts are found by merging.
            mergeable: Mergeable::Yes,
            merge_commit: None,
            closed_by: None,
            url: format!("{}/pulls/{}", self.pages, pull.number),
            updated_at: pull.updated_at,
        })
    }
}

fn error(kind: ErrorKind, what: &str, message: String) -> ForgeError {
    ForgeError { kind, what: what.to_owned(), host: HOST.into(), message }
}

fn stored(what: &str, source: &StoreError) -> ForgeError {
    error(ErrorKind::Unavailable, what, source.to_string())
}

#[async_trait]
impl Repositories for LocalForge {
    async fn repository(&self, name: &RepositoryName) -> Answer<RepositoryInfo> {
        let what = format!("look at {name}");
        let local = self.find(&what, name)?;
        let base = local.base(None).map_err(|base| error(ErrorKind::Invalid, &what, base.to_string()))?;
        Ok(RepositoryInfo {
            id: 0,
            name: name.clone(),
            default_branch: base.name,
            archived: false,
            empty: false,
            clone_url: name.0.clone(),
            url: self.pages.clone(),
        })
    }

    async fn myself(&self) -> Answer<Person> {
        Ok(bot_person())
    }
}

#[async_trait]
impl Pulls for LocalForge {
    async fn open_pulls(&self, repository: &RepositoryName) -> Answer<Vec<ForgePull>> {
        let open = self.store.local_open_pulls(&repository.0).await;
        let open = open.map_err(|error| stored("list pull requests", &error))?;
        open.into_iter().map(|pull| self.told(repository, pull)).collect()
    }

    async fn pull(&self, repository: &RepositoryName, number: i64) -> Answer<ForgePull> {
        let pull = self.local_pull("read a pull request", repository, number).await?;
        self.told(repository, pull)
    }

    async fn pull_of_branch(&self, repository: &RepositoryName, branch: &str, base: &str) -> Answer<Option<ForgePull>> {
        let open = self.open_pulls(repository).await?;
        Ok(open.into_iter().rfind(|pull| pull.branch == branch && pull.base == base))
    }

    async fn open_pull(&self, _: &RepositoryName, new: &NewPull) -> Answer<ForgePull> {
        let what = format!("open a pull request from `{}`", new.branch);
        Err(error(ErrorKind::Invalid, &what, "local pull requests are written to the store with their branches".into()))
    }

    async fn edit_pull(&self, repository: &RepositoryName, number: i64, edit: &PullEdit) -> Answer<()> {
        let what = format!("change pull request {number}");
        let pull = self.local_pull(&what, repository, number).await?;
        let local = self.find(&what, repository)?;
        let here = local.branches().ok().and_then(|branches| branches.get(&pull.branch).copied());
        let (state, from, to) = match (edit.open, pull.state) {
            (Some(false), State::Open) => (State::Declined, here, None),
            (Some(true), State::Declined | State::Closed) => (State::Open, None, pull.head),
            _ => return Ok(()),
        };
        // A pull request without its branch is closed, and one whose branch came back is open again: so the branch goes
        // first. One that a person committed to stays: it is theirs.
        let is_ours = here.is_none() || here == pull.head;
        if is_ours && from != to {
            let step = BranchMove { branch: pull.branch, from, to, why: "leadsman: it was asked for".into() };
            let moved = local.apply(&[step], clock::now()).into_iter().collect::<Result<Vec<()>, _>>();
            moved.map_err(|moved| error(ErrorKind::Conflict, &what, moved.to_string()))?;
        }
        let set = self.store.set_local_state(&repository.0, number, state, clock::now()).await;
        set.map_err(|error| stored(&what, &error))
    }
}

#[async_trait]
impl Conversation for LocalForge {
    async fn comments(&self, repository: &RepositoryName, number: i64, after: i64) -> Answer<Vec<Comment>> {
        let comments = self.store.local_comments(&repository.0, number, after).await;
        comments.map_err(|error| stored("read comments", &error))
    }

    async fn comment(&self, repository: &RepositoryName, number: i64, body: &str) -> Answer<Comment> {
        let new = NewComment { repository: &repository.0, number, author: &bot_person(), body };
        let comment = self.store.add_local_comment(new, clock::now()).await;
        comment.map_err(|error| stored("write a comment", &error))
    }

    async fn edit_comment(&self, _: &RepositoryName, comment: i64, body: &str) -> Answer<()> {
        let changed = self.store.change_local_comment(comment, Some(body), clock::now()).await;
        changed.map_err(|error| stored("change a comment", &error))
    }

    async fn delete_comment(&self, _: &RepositoryName, comment: i64) -> Answer<()> {
        let changed = self.store.change_local_comment(comment, None, clock::now()).await;
        changed.map_err(|error| stored("delete a comment", &error))
    }

    async fn react(&self, _: &RepositoryName, comment: i64, reaction: Reaction) -> Answer<()> {
        let name = match reaction {
            Reaction::Eyes => "eyes",
            Reaction::ThumbsUp => "+1",
            Reaction::ThumbsDown => "-1",
        };
        self.store.react_locally(comment, name).await.map_err(|error| stored("react to a comment", &error))
    }

    async fn permission(&self, _: &RepositoryName, person: &Person) -> Answer<Permission> {
        Ok(if *person == local_person() { Permission::Admin } else { Permission::None })
    }
}

#[async_trait]
impl Merging for LocalForge {
    async fn checks(&self, repository: &RepositoryName, commit: ObjectId) -> Answer<Vec<Check>> {
        let checks = self.store.local_statuses(&repository.0, commit).await;
        checks.map_err(|error| stored("read commit statuses", &error))
    }

    async fn rules(&self, _: &RepositoryName, _: &str) -> Answer<Rules> {
        Ok(Rules::default())
    }

    async fn reviews(&self, _: &RepositoryName, _: i64) -> Answer<Vec<Review>> {
        Ok(Vec::new())
    }

    async fn merge(
        &self,
        repository: &RepositoryName,
        number: i64,
        head: ObjectId,
        method: MergeMethod,
        message: Option<&str>,
    ) -> Answer<MergeAnswer> {
        let what = format!("merge pull request {number}");
        let pull = self.local_pull(&what, repository, number).await?;
        match pull.state {
            State::Open => {}
            State::Merged => return Ok(MergeAnswer::Merged),
            State::Declined | State::Closed => return Ok(MergeAnswer::Drop("it is closed".into())),
        }
        let local = Arc::clone(self.find(&what, repository)?);
        let base = local.base(Some(&pull.base)).map_err(|base| error(ErrorKind::NotFound, &what, base.to_string()))?;
        let now = clock::now();
        let title = format!("{} (#{number})", pull.title);
        let message = message.map_or(title, ToOwned::to_owned);
        let branch = pull.branch;
        let merged = tokio::task::spawn_blocking(move || {
            local.merge_into(&base, Merge { branch: &branch, head, method, message: &message, now })
        });
        let answer = merged.await.map_err(|fault| error(ErrorKind::Unavailable, &what, fault.to_string()))?;
        if answer == MergeAnswer::Merged {
            let set = self.store.set_local_state(&repository.0, number, State::Merged, now).await;
            set.map_err(|error| stored(&what, &error))?;
        }
        Ok(answer)
    }
}

#[async_trait]
impl Issues for LocalForge {
    async fn find_issue(&self, _: &RepositoryName, _: &str) -> Answer<Option<(i64, String)>> {
        Ok(None)
    }

    async fn open_issue(&self, name: &RepositoryName, _: &str, _: &str) -> Answer<i64> {
        Err(error(ErrorKind::Invalid, &format!("open an issue in {name}"), "there are none: see its page".into()))
    }

    async fn edit_issue(&self, name: &RepositoryName, _: i64, _: &str, _: &str) -> Answer<()> {
        Err(error(ErrorKind::Invalid, &format!("change an issue in {name}"), "there are none: see its page".into()))
    }
}

impl Forge for LocalForge {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn host(&self) -> &str {
        HOST
    }
}
