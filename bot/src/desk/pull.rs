//! The page of one pull request: what the store knows, what git holds, and on this machine what a forge would say.

use std::sync::Arc;

use gix::ObjectId;
use leadsman_scanner::source::commit;

use super::{Desk, PATIENCE, changes, is_here, reference, told};
use crate::commands::grammar::Grammar;
use crate::forge::local::forge::HOST;
use crate::forge::remote::mirror_folder;
use crate::forge::{Check, Comment, ForgeError};
use crate::merge::decide::{Decided, Note, Verdict};
use crate::merge::reason::Reason;
use crate::pulls::{Pull, State};
use crate::server::pages::ViewError;
use crate::server::pages::diff::FileDiff;
use crate::server::pages::views::{CheckView, CommentView, HistoryRow, PullRow, PullState, PullView, Wait};
use crate::store::history::Past;
use crate::store::merges::MergeRequest;
use crate::store::shown::ShownPull;
use crate::work::service::{Source, Watched};
use crate::work::try_merge::{Gathered, Remembered, gather};

/// How many comments are shown: the last ones.
const MAX_COMMENTS: usize = 200;

/// How much of a comment is shown, in bytes.
const MAX_COMMENT: usize = 64 << 10;

/// How many checks are shown.
const MAX_CHECKS: usize = 200;

/// How many decisions are shown: the last ones.
const MAX_HISTORY: usize = 100;

/// What is asked of the forge for a page, of repositories on this machine only.
struct Told {
    author: String,
    head: ObjectId,
    comments: Vec<CommentView>,
    checks: Vec<Check>,
}

impl From<ForgeError> for ViewError {
    fn from(error: ForgeError) -> Self {
        Self(error.to_string())
    }
}

impl Desk {
    /// The page of a pull request.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) async fn pull_view(&self, watched: &Watched, shown: ShownPull) -> Result<PullView, ViewError> {
        let (service, store, key) = (&self.service, &self.service.store, &watched.key);
        let request = store.merge_request(key, shown.number).await?;
        let known = store.pull(key, shown.number).await?.map(|(pull, _)| pull);
        let history = store.history_of_pull(key, Some(shown.number)).await?;
        let base = store.repository(key).await?.and_then(|row| row.head);
        let forge = if is_here(watched) { Some(self.asked_of_forge(watched, &shown).await?) } else { None };
        let head = forge.as_ref().map(|forge| forge.head).or(shown.head).filter(|head| !head.is_null());

        let is_open = shown.state == State::Open;
        let slow = async {
            // Never closed.
            let _turn = self.pulls.acquire().await;
            let diff = match (known, head) {
                (Some(known), Some(head)) => diff(watched, known, head, base).await,
                _ => Vec::new(),
            };
            let waits = match (is_open, is_here(watched)) {
                (false, _) => Vec::new(),
                (true, true) => self.waits(watched, shown.number, request.as_ref()).await,
                (true, false) => remembered(request.as_ref()),
            };
            (diff, waits)
        };
        let (diff, waits) = tokio::time::timeout(PATIENCE, slow).await.unwrap_or_else(|_| {
            let what = "what it waits for could not be found out in time; load the page again".into();
            (Vec::new(), vec![Wait { what, given: false, by: None }])
        });

        let (author, comments, checks) = match forge {
            Some(Told { author, comments, checks, .. }) => (author, comments, checks),
            None => (service.handle.clone(), Vec::new(), Vec::new()),
        };
        let repository = reference(watched);
        let waits_for = waits.iter().find(|wait| !wait.given).map(|wait| wait.what.clone());
        let mut row = row(watched, &shown, None);
        row.waits_for = waits_for.filter(|_| is_open);
        Ok(PullView {
            row,
            author,
            branch: shown.branch,
            base: shown.base,
            head: head.map(|head| head.to_string()).unwrap_or_default(),
            body: shown.body,
            url: shown.url.filter(|_| repository.host != HOST),
            repository,
            diff,
            comments,
            takes_comments: is_here(watched),
            waits,
            merge_asked_by: request.map(|request| request.by.login).filter(|_| is_open),
            checks: checks.into_iter().take(MAX_CHECKS).map(check).collect(),
            history: history.into_iter().rev().take(MAX_HISTORY).map(past).collect(),
        })
    }

    async fn asked_of_forge(&self, watched: &Watched, shown: &ShownPull) -> Result<Told, ViewError> {
        let (forge, name) = (&watched.forge, &watched.name);
        let told = forge.pull(name, shown.thread).await?;
        let me = self.service.myself(watched).await?;
        let mut reactions = self.service.store.local_reactions(&watched.key, shown.thread).await?;
        let said = forge.comments(name, shown.thread, 0).await?;
        let skipped = said.len().saturating_sub(MAX_COMMENTS);
        let comment = |Comment { id, author, body, created_at, .. }: Comment| CommentView {
            id,
            ours: author.id == me.id,
            author: author.login,
            body: body[..body.floor_char_boundary(MAX_COMMENT)].to_owned(),
            at: created_at,
            reactions: reactions.remove(&id).unwrap_or_default().iter().map(|name| emoji(name)).collect(),
        };
        let comments = said.into_iter().skip(skipped).map(comment).collect();
        let checks = forge.checks(name, told.head).await?;
        Ok(Told { author: told.author.login, head: told.head, comments, checks })
    }

    /// What a merge waits for, as it is judged now.
    async fn waits(&self, watched: &Watched, number: i64, request: Option<&MergeRequest>) -> Vec<Wait> {
        let last = request.map(Remembered::of).unwrap_or_default();
        let asked = request.map(|request| (request, &last));
        let grammar = self.service.grammar(watched);
        match gather(&self.service, watched, number, asked).await {
            Ok(Some(Gathered { decided, .. })) => {
                let mut waits = vec![asked_for(request, &grammar)];
                waits.extend(judged(&decided, &grammar));
                waits
            }
            Ok(None) => Vec::new(),
            Err(failure) => {
                let error = told(failure);
                tracing::warn!(repository = %watched.key, number, error, "cannot tell what a merge waits for");
                let what = "what it waits for cannot be found out now; the log says why".into();
                vec![Wait { what, given: false, by: None }]
            }
        }
    }
}

/// A pull request in a list; `waits_for` is told where it is open.
pub(super) fn row(watched: &Watched, shown: &ShownPull, waits_for: Option<String>) -> PullRow {
    let state = match shown.state {
        State::Open => PullState::Open,
        State::Merged => PullState::Merged,
        State::Declined | State::Closed => PullState::Closed,
    };
    PullRow {
        number: shown.thread,
        title: shown.title.clone(),
        state,
        waits_for: waits_for.filter(|_| shown.state == State::Open),
        updated_at: shown.updated_at,
        path: reference(watched).pull_path(shown.thread),
    }
}

/// What a request waited for when it was last looked at, in a few words.
pub(super) fn last_told(request: &MergeRequest) -> String {
    let told = Remembered::of(request).told;
    let asked = format!("`{}` asked for the merge", request.by.login);
    if told.is_empty() { asked } else { format!("{asked}: {}", told.join(", ").replace('-', " ")) }
}

fn remembered(request: Option<&MergeRequest>) -> Vec<Wait> {
    request.map(|request| Wait { what: last_told(request), given: false, by: None }).into_iter().collect()
}

fn asked_for(request: Option<&MergeRequest>, grammar: &Grammar) -> Wait {
    let what = "somebody asks for the merge".to_owned();
    match request {
        Some(request) => Wait { what: format!("`{}` asked for the merge", request.by.login), given: true, by: None },
        None => {
            let by = format!("somebody with write access, by `{}`", grammar.spell("merge"));
            Wait { what, given: false, by: Some(by) }
        }
    }
}

fn judged(decided: &Decided, grammar: &Grammar) -> Vec<Wait> {
    let missing = |reason: &Reason| Wait { what: reason.words(), given: false, by: Some(reason.who(grammar)) };
    let mut waits: Vec<Wait> = match &decided.verdict {
        Verdict::Wait(reasons) => reasons.iter().map(missing).collect(),
        Verdict::Drop(reason) => vec![missing(reason)],
        Verdict::Merge { .. } => {
            let what = "everything else that a merge waits for is given".into();
            vec![Wait { what, given: true, by: None }]
        }
    };
    waits.extend(decided.notes.iter().map(Note::words).map(|what| Wait { what, given: true, by: None }));
    waits
}

fn check(Check { name, state, url, at }: Check) -> CheckView {
    // Repositories on this machine have no rules that would require any.
    CheckView { name, state: state.into(), required: false, url, at }
}

fn past(Past { at, event }: Past) -> HistoryRow {
    let by = event.by.map(|by| by.login).filter(|login| !event.reason.contains(login.as_str()));
    let reason = by.map_or_else(|| event.reason.clone(), |by| format!("{} (`{by}`)", event.reason));
    HistoryRow { at, action: event.action, reason }
}

fn emoji(reaction: &str) -> String {
    let known = [("eyes", "👀"), ("+1", "👍"), ("-1", "👎")];
    known.iter().find(|(name, _)| *name == reaction).map_or(reaction, |(_, emoji)| emoji).to_owned()
}

/// What `head` changes; nothing where the objects are not here, such as before a mirror was made.
async fn diff(watched: &Watched, known: Pull, head: ObjectId, base: Option<ObjectId>) -> Vec<FileDiff> {
    let key = watched.key.clone();
    let objects: Box<dyn FnOnce() -> Option<gix::Repository> + Send> = match &watched.source {
        Source::Local(local) => {
            let local = Arc::clone(local);
            Box::new(move || Some(local.repository()))
        }
        Source::Remote { folder, .. } => {
            let folder = mirror_folder(folder, &key);
            Box::new(move || commit::open(&folder).ok())
        }
    };
    let read = tokio::task::spawn_blocking(move || match objects() {
        Some(objects) => changes::changes(&objects, &known, head, base),
        None => Ok(Vec::new()),
    });
    match read.await {
        Ok(Ok(files)) => files,
        Ok(Err(error)) => {
            tracing::info!(repository = key, %error, "cannot show what a pull request changes");
            Vec::new()
        }
        Err(fault) => {
            tracing::error!(repository = key, %fault, "cannot show what a pull request changes");
            Vec::new()
        }
    }
}
