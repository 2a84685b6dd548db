//! Gitea and Forgejo, by their API version 1.
//!
//! Owns which calls are sent and which of their fields are read; `docs/forges.md` lists both with the right each needs.
//! Decides nothing, repeats nothing. What answers mean is in `gitea/wire.rs` and `gitea/merging.rs`, how they come in
//! [`super::http`].
//!
//! Invariants: a list is read whole or is an error, never cut; who is meant is told by the account's number, for names
//! can be given to others; a merge carries the head that it was decided on (C3.3) and never asks to be forced.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gix::ObjectId;
use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::http::{Call, Http, HttpOptions, Reply};
use super::{
    Answer, Capabilities, Check, Comment, Conversation, ErrorKind, Forge, ForgePull, Hooks, Issues, MergeAnswer,
    MergeMethod, Merging, NewPull, Permission, Person, PullEdit, PullState, Pulls, Reaction, Repositories,
    RepositoryInfo, RepositoryName, Review, Rules,
};
use crate::plan::BRANCH_PREFIX;
use wire::{Branch, Collaborator, CombinedStatus, Label, Pull, PullReview};

mod merging;
mod wire;

/// What Gitea can and cannot do.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "Gitea",
    pull_request: "pull request",
    slash_commands: true,
    reactions: true,
    issues: true,
    rules: true,
    reviews: true,
    merge_methods: &[MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase],
    // It has no limit of its own but the database's; this is what other forges take and people still read.
    max_body: 65_536,
};

/// How many entries are asked for at once: the most that Gitea gives unless set up otherwise.
const PAGE: usize = 50;

/// How many pages of a list are read.
const MAX_PAGES: usize = 100;

/// The largest answer that lists something, in bytes: bodies are as long as people make them.
const MAX_LIST: usize = 64 << 20;

/// How long a pull request must be unmergeable, with its head and base where they were, before that is a conflict. The
/// API does not tell a conflict from one that is still being looked for, which takes well under a second per pull request.
const CONFLICT_AFTER: Duration = Duration::from_secs(30);

/// How many pull requests are remembered as perhaps in conflict.
const MAX_DOUBTFUL: usize = 10_000;

/// The colour of labels that are made.
const LABEL_COLOUR: &str = "#1d76db";

/// One Gitea, seen with one token.
#[derive(Debug)]
pub struct Gitea {
    http: Http,
    clock: fn() -> Timestamp,
    myself: OnceCell<Person>,
    doubtful: Mutex<HashMap<(RepositoryName, i64), Doubt>>,
}

/// Where a pull request was when it was first seen unmergeable.
#[derive(Debug)]
struct Doubt {
    head: String,
    base: String,
    since: Timestamp,
}

impl Gitea {
    /// Prepares the client; nothing is sent.
    ///
    /// # Errors
    /// As for [`Http::new`].
    pub fn new(options: HttpOptions) -> Answer<Self> {
        let clock = options.clock;
        Ok(Self { http: Http::new(options)?, clock, myself: OnceCell::new(), doubtful: Mutex::default() })
    }

    /// The connections, for what else speaks with this forge.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Where git fetches and pushes: below the configured address, whatever the forge says, because the token goes there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the name is none.
    pub fn clone_url(&self, repository: &RepositoryName) -> Answer<String> {
        let (owner, name) = self.split(repository, "fetch")?;
        let name = format!("{name}.git");
        let url = self.http.address(&[owner, &name]);
        url.map(String::from).ok_or_else(|| self.bad_name(repository, "fetch"))
    }

    fn bad_name(&self, repository: &RepositoryName, doing: &str) -> super::ForgeError {
        let what = format!("{doing} {}", super::http::printable(&repository.0, 100));
        self.http.error(ErrorKind::Invalid, &what, "that is no name of a repository, which look like `owner/name`")
    }

    fn split<'a>(&self, repository: &'a RepositoryName, doing: &str) -> Answer<(&'a str, &'a str)> {
        let is_name = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match repository.0.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) => Ok((owner, name)),
            _ => Err(self.bad_name(repository, doing)),
        }
    }

    /// A call on a repository: `rest` is the path below it, `doing` says what is done there.
    fn call<'a>(
        &self,
        method: Method,
        route: &'static str,
        repository: &'a RepositoryName,
        rest: &[&'a str],
        doing: &str,
    ) -> Answer<Call<'a>> {
        let (owner, name) = self.split(repository, doing)?;
        let mut path = vec!["api", "v1", "repos", owner, name];
        path.extend(rest);
        Ok(Call::new(method, route, path, format!("{doing} {repository}")))
    }

    /// The entries of every page, in the order of the forge, until `enough` has seen what it looks for.
    async fn pages<T: DeserializeOwned>(&self, call: Call<'_>, enough: impl Fn(&[T]) -> bool) -> Answer<Vec<T>> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut call = call.clone().query("limit", PAGE.to_string()).query("page", page.to_string());
            call.limit = MAX_LIST;
            let reply = self.http.send(&call).await?;
            let entries: Option<Vec<T>> = self.http.parse(&call.what, &reply)?;
            let entries = entries.unwrap_or_default();
            let is_last = entries.is_empty() || is_last(&reply, all.len() + entries.len());
            all.extend(entries);
            if is_last || enough(&all) {
                return Ok(all);
            }
        }
        let message = format!("there are more than {MAX_PAGES} pages, which are not read");
        Err(self.http.error(ErrorKind::Protocol, &call.what, message))
    }

    async fn me(&self) -> Answer<&Person> {
        self.myself.get_or_try_init(|| self.ask_myself()).await
    }

    async fn ask_myself(&self) -> Answer<Person> {
        let call = Call::new(Method::GET, "user", vec!["api", "v1", "user"], "read who the token belongs to".into());
        Ok(self.http.json::<wire::User>(&call).await?.into())
    }

    /// A pull request in the words of all forges. Whether it is in conflict needs what was seen before.
    fn pull_from(&self, repository: &RepositoryName, pull: Pull) -> Answer<ForgePull> {
        let number = pull.number;
        let conflict = self.conflict_lasts(repository, &pull);
        pull.into_pull(conflict).map_err(|message| {
            self.http.error(ErrorKind::Protocol, &format!("read pull request {number} of {repository}"), message)
        })
    }

    fn conflict_lasts(&self, repository: &RepositoryName, pull: &Pull) -> bool {
        let key = (repository.clone(), pull.number);
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((head, base)) = pull.maybe_in_conflict() else {
            doubtful.remove(&key);
            return false;
        };
        let now = (self.clock)();
        match doubtful.get(&key) {
            Some(doubt) if doubt.head == head && doubt.base == base => {
                now.duration_since(doubt.since).unsigned_abs() >= CONFLICT_AFTER
            }
            _ => {
                if doubtful.len() >= MAX_DOUBTFUL {
                    doubtful.clear();
                }
                doubtful.insert(key, Doubt { head, base, since: now });
                false
            }
        }
    }

    /// The numbers of these labels, made where they do not exist.
    async fn label_ids(&self, repository: &RepositoryName, names: &[String]) -> Answer<Vec<i64>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.call(Method::GET, "repos/labels", repository, &["labels"], "list the labels of")?;
        let known: Vec<Label> = self.pages(call, |_| false).await?;
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            let id = match known.iter().find(|label| label.name == *name) {
                Some(label) => label.id,
                None => {
                    let call = self.call(Method::POST, "repos/labels", repository, &["labels"], "make a label in")?;
                    let body = json!({ "name": name, "color": LABEL_COLOUR });
                    self.http.json::<Label>(&call.body(body)).await?.id
                }
            };
            ids.push(id);
        }
        Ok(ids)
    }

    async fn add_labels(&self, repository: &RepositoryName, number: i64, names: &[String]) -> Answer<()> {
        let text = number.to_string();
        let call = self.call(
            Method::POST,
            "repos/issues/labels",
            repository,
            &["issues", &text, "labels"],
            &format!("label {number} in"),
        )?;
        // By their names in one call; what does not come back did not exist.
        let by_name: Answer<Vec<Label>> = self.http.json(&call.clone().body(json!({ "labels": names }))).await;
        let missing = match by_name {
            Ok(set) => names.iter().filter(|name| set.iter().all(|label| label.name != **name)).cloned().collect(),
            // Older forges take numbers only.
            Err(error) if error.kind == ErrorKind::Invalid => names.to_vec(),
            Err(error) => return Err(error),
        };
        if missing.is_empty() {
            return Ok(());
        }
        let ids = self.label_ids(repository, &missing).await?;
        self.http.send(&call.body(json!({ "labels": ids }))).await.map(|_| ())
    }
}

/// Whether a list ends with the page whose last entry is the `seen`th.
fn is_last(reply: &Reply, seen: usize) -> bool {
    match reply.number("x-total-count") {
        Some(total) => seen as u64 >= total,
        None => reply.headers.get("link").is_some_and(|link| {
            // Without either header only an empty page tells the end: a forge may give fewer at once than asked for.
            !link.to_str().unwrap_or_default().contains("rel=\"next\"")
        }),
    }
}

#[async_trait]
impl Repositories for Gitea {
    async fn repository(&self, name: &RepositoryName) -> Answer<RepositoryInfo> {
        let call = self.call(Method::GET, "repos", name, &[], "read")?;
        let wire::Repository { id, full_name, default_branch, archived, empty, html_url } =
            self.http.json(&call).await?;
        let name = RepositoryName(full_name);
        let clone_url = self.clone_url(&name)?;
        Ok(RepositoryInfo { id, name, default_branch, archived, empty, clone_url, url: html_url })
    }

    async fn myself(&self) -> Answer<Person> {
        self.ask_myself().await
    }
}

#[async_trait]
impl Pulls for Gitea {
    async fn open_pulls(&self, repository: &RepositoryName) -> Answer<Vec<ForgePull>> {
        let me = self.me().await?;
        let call = self.call(Method::GET, "repos/pulls", repository, &["pulls"], "list the open pull requests of")?;
        // Forges that do not know `poster` list all.
        let call = call.query("state", "open").query("poster", &*me.login);
        let all: Vec<Pull> = self.pages(call, |_| false).await?;
        let ours =
            |pull: &Pull| pull.user.id == me.id && pull.same_repository() && pull.branch().starts_with(BRANCH_PREFIX);
        all.into_iter().filter(ours).map(|pull| self.pull_from(repository, pull)).collect()
    }

    async fn pull(&self, repository: &RepositoryName, number: i64) -> Answer<ForgePull> {
        let text = number.to_string();
        let doing = format!("read pull request {number} of");
        let call = self.call(Method::GET, "repos/pulls/one", repository, &["pulls", &text], &doing)?;
        let pull = self.http.json(&call).await?;
        self.pull_from(repository, pull)
    }

    async fn pull_of_branch(&self, repository: &RepositoryName, branch: &str, base: &str) -> Answer<Option<ForgePull>> {
        let me = self.me().await?;
        let doing = format!("look up the pull request of `{branch}` in");
        let mut path = vec!["pulls", base];
        path.extend(branch.split('/'));
        let call = self.call(Method::GET, "repos/pulls/branch", repository, &path, &doing)?;
        // This finds some pull request of the branch: none means that there is none, and an open one is the newest.
        let found: Pull = match self.http.json(&call).await {
            Ok(found) => found,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if found.state() == PullState::Open {
            return self.pull_from(repository, found).map(Some);
        }
        let call = self.call(Method::GET, "repos/pulls", repository, &["pulls"], &doing)?;
        let call = call.query("state", "all").query("poster", &*me.login).query("base_branch", base);
        let oldest = found.number;
        let of_branch = |pull: &&Pull| pull.branch() == branch && pull.base() == base && pull.same_repository();
        // Newest first: the first that fits, or the one that was found already.
        let enough = |seen: &[Pull]| seen.iter().any(|pull| of_branch(&pull) || pull.number <= oldest);
        let listed: Vec<Pull> = self.pages(call, enough).await?;
        let newest = listed.into_iter().filter(|pull| of_branch(&pull)).max_by_key(|pull| pull.number);
        self.pull_from(repository, newest.filter(|pull| pull.number > oldest).unwrap_or(found)).map(Some)
    }

    async fn open_pull(&self, repository: &RepositoryName, new: &NewPull) -> Answer<ForgePull> {
        let NewPull { branch, base, title, body, labels } = new;
        let labels = self.label_ids(repository, labels).await?;
        let doing = format!("open a pull request for `{branch}` in");
        let call = self.call(Method::POST, "repos/pulls", repository, &["pulls"], &doing)?;
        let body = json!({ "head": branch, "base": base, "title": title, "body": body, "labels": labels });
        let pull = self.http.json(&call.body(body)).await?;
        self.pull_from(repository, pull)
    }

    async fn edit_pull(&self, repository: &RepositoryName, number: i64, edit: &PullEdit) -> Answer<()> {
        let PullEdit { title, body, add_labels, open } = edit;
        let mut change = serde_json::Map::new();
        let mut set = |name: &str, value: Option<Value>| value.map(|value| change.insert(name.into(), value));
        set("title", title.as_ref().map(|text| json!(text)));
        set("body", body.as_ref().map(|text| json!(text)));
        set("state", open.map(|open| json!(if open { "open" } else { "closed" })));
        if !change.is_empty() {
            let text = number.to_string();
            let doing = format!("change pull request {number} of");
            let call = self.call(Method::PATCH, "repos/pulls/one", repository, &["pulls", &text], &doing)?;
            self.http.send(&call.body(Value::Object(change))).await?;
        }
        if add_labels.is_empty() { Ok(()) } else { self.add_labels(repository, number, add_labels).await }
    }
}

#[async_trait]
impl Conversation for Gitea {
    async fn comments(&self, repository: &RepositoryName, number: i64, after: i64) -> Answer<Vec<Comment>> {
        let text = number.to_string();
        let doing = format!("read the comments on {number} in");
        // Comments come in one answer, not in pages.
        let mut call =
            self.call(Method::GET, "repos/issues/comments", repository, &["issues", &text, "comments"], &doing)?;
        call.limit = MAX_LIST;
        let all: Option<Vec<wire::IssueComment>> = self.http.json(&call).await?;
        let all = all.unwrap_or_default().into_iter().map(Comment::from);
        let mut comments: Vec<_> = all.filter(|comment| comment.id > after).collect();
        comments.sort_by_key(|comment| comment.id);
        Ok(comments)
    }

    async fn comment(&self, repository: &RepositoryName, number: i64, body: &str) -> Answer<Comment> {
        let text = number.to_string();
        let path = ["issues", &text, "comments"];
        let call =
            self.call(Method::POST, "repos/issues/comments", repository, &path, &format!("comment on {number} in"))?;
        Ok(self.http.json::<wire::IssueComment>(&call.body(json!({ "body": body }))).await?.into())
    }

    async fn edit_comment(&self, repository: &RepositoryName, comment: i64, body: &str) -> Answer<()> {
        let text = comment.to_string();
        let path = ["issues", "comments", &text];
        let doing = format!("change comment {comment} in");
        let call = self.call(Method::PATCH, "repos/issues/comments/one", repository, &path, &doing)?;
        self.http.send(&call.body(json!({ "body": body }))).await.map(|_| ())
    }

    async fn delete_comment(&self, repository: &RepositoryName, comment: i64) -> Answer<()> {
        let text = comment.to_string();
        let path = ["issues", "comments", &text];
        let doing = format!("delete comment {comment} in");
        let call = self.call(Method::DELETE, "repos/issues/comments/one", repository, &path, &doing)?;
        match self.http.send(&call).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn react(&self, repository: &RepositoryName, comment: i64, reaction: Reaction) -> Answer<()> {
        let text = comment.to_string();
        let path = ["issues", "comments", &text, "reactions"];
        let doing = format!("react to comment {comment} in");
        let call = self.call(Method::POST, "repos/issues/comments/reactions", repository, &path, &doing)?;
        let content = match reaction {
            Reaction::Eyes => "eyes",
            Reaction::ThumbsUp => "+1",
            Reaction::ThumbsDown => "-1",
        };
        self.http.send(&call.body(json!({ "content": content }))).await.map(|_| ())
    }

    async fn permission(&self, repository: &RepositoryName, person: &Person) -> Answer<Permission> {
        let path = ["collaborators", &person.login, "permission"];
        let doing = format!("ask what `{}` may do in", person.login);
        let call = self.call(Method::GET, "repos/collaborators/permission", repository, &path, &doing)?;
        match self.http.json::<Collaborator>(&call).await {
            Ok(answer) => Ok(answer.permission_of(person)),
            Err(mut error) if error.kind == ErrorKind::Forbidden => {
                error.message.push_str("; only an administrator of a repository is told what others may do there");
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Merging for Gitea {
    async fn checks(&self, repository: &RepositoryName, commit: ObjectId) -> Answer<Vec<Check>> {
        let text = commit.to_string();
        let path = ["commits", &text, "status"];
        let doing = format!("read the checks of `{}` in", commit.to_hex_with_len(10));
        let call = self.call(Method::GET, "repos/commits/status", repository, &path, &doing)?;
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let call = call.clone().query("limit", PAGE.to_string()).query("page", page.to_string());
            let reply = self.http.send(&call).await?;
            let CombinedStatus { statuses } = self.http.parse(&call.what, &reply)?;
            let statuses = statuses.unwrap_or_default();
            let is_last = statuses.is_empty() || is_last(&reply, all.len() + statuses.len());
            all.extend(statuses);
            if is_last {
                return Ok(wire::checks(all));
            }
        }
        let message = format!("there are more than {MAX_PAGES} pages, which are not read");
        Err(self.http.error(ErrorKind::Protocol, &call.what, message))
    }

    async fn rules(&self, repository: &RepositoryName, base: &str) -> Answer<Rules> {
        let doing = format!("read the rules of `{base}` in");
        let mut path = vec!["branches"];
        path.extend(base.split('/'));
        let call = self.call(Method::GET, "repos/branches", repository, &path, &doing)?;
        let branch: Branch = self.http.json(&call).await?;
        if !branch.protected {
            return Ok(branch.rules(None));
        }
        let rule = &*branch.effective_branch_protection_name;
        if rule.is_empty() {
            let message = "the branch is protected, and only an administrator of the repository is told how; make the \
                           bot one";
            return Err(self.http.error(ErrorKind::Forbidden, &call.what, message));
        }
        // A rule's name is a pattern, which may hold slashes.
        let mut path = vec!["branch_protections"];
        path.extend(rule.split('/'));
        let call = self.call(Method::GET, "repos/branch_protections", repository, &path, &doing)?;
        Ok(branch.rules(Some(self.http.json(&call).await?)))
    }

    async fn reviews(&self, repository: &RepositoryName, number: i64) -> Answer<Vec<Review>> {
        let text = number.to_string();
        let path = ["pulls", &text, "reviews"];
        let doing = format!("read the reviews of {number} in");
        let call = self.call(Method::GET, "repos/pulls/reviews", repository, &path, &doing)?;
        let all: Vec<PullReview> = self.pages(call, |_| false).await?;
        Ok(wire::reviews(all))
    }

    async fn merge(
        &self,
        repository: &RepositoryName,
        number: i64,
        head: ObjectId,
        method: MergeMethod,
        message: Option<&str>,
    ) -> Answer<MergeAnswer> {
        let text = number.to_string();
        let path = ["pulls", &text, "merge"];
        let call = self.call(Method::POST, "repos/pulls/merge", repository, &path, &format!("merge {number} in"))?;
        let style = match method {
            MergeMethod::Merge => "merge",
            MergeMethod::Squash => "squash",
            MergeMethod::Rebase => "rebase",
        };
        // These names of fields are the ones that every version takes.
        let mut body = json!({ "Do": style, "head_commit_id": head.to_string() });
        if let Some(message) = message {
            let (title, rest) = message.split_once('\n').unwrap_or((message, ""));
            body["MergeTitleField"] = json!(title.trim());
            body["MergeMessageField"] = json!(rest.trim());
        }
        let reply = self.http.ask(&call.clone().body(body)).await?;
        let (kind, message) = self.http.refusal(&reply);
        // A limit of calls says nothing about this merge, whatever its status.
        let is_limit = matches!(kind, ErrorKind::Limited { .. }) && !reply.status.is_success();
        match merging::verdict(reply.status.as_u16(), &message) {
            Some(answer) if !is_limit => Ok(answer),
            _ => Err(self.http.error(kind, &call.what, message)),
        }
    }
}

#[async_trait]
impl Issues for Gitea {
    async fn find_issue(&self, repository: &RepositoryName, marker: &str) -> Answer<Option<(i64, String)>> {
        let me = self.me().await?;
        let call =
            self.call(Method::GET, "repos/issues", repository, &["issues"], "look for the dashboard issue in")?;
        let call = call.query("state", "open").query("type", "issues").query("created_by", &*me.login);
        let is_it = |issue: &wire::Issue| {
            issue.user.id == me.id && issue.body.as_ref().is_some_and(|body| body.contains(marker))
        };
        // Newest first.
        let all: Vec<wire::Issue> = self.pages(call, |seen| seen.iter().any(is_it)).await?;
        let newest = all.into_iter().filter(is_it).max_by_key(|issue| issue.number);
        Ok(newest.map(|issue| (issue.number, issue.body.unwrap_or_default())))
    }

    async fn open_issue(&self, repository: &RepositoryName, title: &str, body: &str) -> Answer<i64> {
        let call = self.call(Method::POST, "repos/issues", repository, &["issues"], "open an issue in")?;
        let made: wire::Made = self.http.json(&call.body(json!({ "title": title, "body": body }))).await?;
        Ok(made.number)
    }

    async fn edit_issue(&self, repository: &RepositoryName, number: i64, title: &str, body: &str) -> Answer<()> {
        let text = number.to_string();
        let doing = format!("change issue {number} of");
        let call = self.call(Method::PATCH, "repos/issues/one", repository, &["issues", &text], &doing)?;
        self.http.send(&call.body(json!({ "title": title, "body": body }))).await.map(|_| ())
    }
}

/// The events that Leadsman uses; the first and third stand for all events of their kind.
const EVENTS: [&str; 7] = ["pull_request", "push", "issues", "issue_comment", "repository", "status", "package"];

#[async_trait]
impl Hooks for Gitea {
    async fn hooks(&self, repository: &RepositoryName) -> Answer<Vec<String>> {
        let call = self.call(Method::GET, "repos/hooks", repository, &["hooks"], "list the webhooks of")?;
        let all: Vec<wire::Hook> = self.pages(call, |_| false).await?;
        Ok(all.into_iter().filter(|hook| hook.active).map(|hook| hook.config.url).collect())
    }

    async fn make_hook(&self, repository: &RepositoryName, url: &str, secret: &SecretString) -> Answer<()> {
        let call = self.call(Method::POST, "repos/hooks", repository, &["hooks"], "make a webhook in")?;
        let config = json!({ "url": url, "content_type": "json", "secret": secret.expose_secret() });
        let body = json!({ "type": "gitea", "active": true, "events": EVENTS, "config": config });
        self.http.send(&call.body(body)).await.map(|_| ())
    }
}

impl Forge for Gitea {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn host(&self) -> &str {
        self.http.host()
    }
}
