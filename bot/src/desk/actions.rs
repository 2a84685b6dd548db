//! What people ask for on pages, as work for the service. What it comes to is decided by whoever does that work.

use async_trait::async_trait;
use gix::ObjectId;

use super::{Desk, is_here, told};
use crate::forge::Check;
use crate::forge::local::forge::{HOST, local_person};
use crate::server::access::Viewer;
use crate::server::pages::views::RepositoryRef;
use crate::server::pages::{ActionError, Actions, NewStatus};
use crate::store::StoreError;
use crate::store::local::NewComment;
use crate::store::work::{Ask, Kind, Priority};
use crate::work::list_image;
use crate::work::queue::Failure;
use crate::work::service::{Source, Watched, numbered};

/// The longest name of a status, in bytes.
const MAX_STATUS_NAME: usize = 200;

/// The longest address of a status' page, in bytes.
const MAX_URL: usize = 2000;

/// How many statuses of different names one commit may have.
const MAX_STATUSES: usize = 200;

impl From<StoreError> for ActionError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Failure> for ActionError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(told(failure))
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, ActionError> {
    Err(ActionError::Refused(why.into()))
}

#[async_trait]
impl Actions for Desk {
    async fn comment(
        &self,
        viewer: Viewer,
        repository: &RepositoryRef,
        number: i64,
        body: &str,
    ) -> Result<(), ActionError> {
        let watched = self.find(repository).ok_or(ActionError::NotFound)?;
        if viewer != Viewer::Local || !is_here(watched) {
            return refused("comments are written on the forge itself, by who has an account there");
        }
        let (service, key) = (&self.service, &watched.key);
        if service.store.local_pull(key, number).await?.is_none() {
            return Err(ActionError::NotFound);
        }
        let ask = service.ask_of(watched, Kind::ReadComments, numbered(key, number)).with(Priority::Person);
        let new = NewComment { repository: key, number, author: &local_person(), body };
        service.store.say_locally(new, &[ask], service.now()).await?;
        Ok(())
    }

    async fn replay(&self, _: Viewer, kind: &str, key: &str) -> Result<(), ActionError> {
        let kind = Kind::of(kind).ok_or(ActionError::NotFound)?;
        let replayed = self.service.store.replay(kind, key, self.service.now()).await?;
        if replayed { Ok(()) } else { Err(ActionError::NotFound) }
    }

    async fn scan(&self, _: Viewer, repository: &RepositoryRef) -> Result<(), ActionError> {
        let watched = self.find(repository).ok_or(ActionError::NotFound)?;
        let (service, now) = (&self.service, self.service.now());
        let uses = service.store.uses(&watched.key).await?;
        let mut asks: Vec<Ask> = uses.iter().map(|used| list_image::ask(used, now).with(Priority::Person)).collect();
        asks.push(service.ask_scan(watched, Priority::Person));
        service.store.ask(&asks, now).await?;
        Ok(())
    }

    async fn set_status(&self, viewer: Viewer, status: NewStatus) -> Result<(), ActionError> {
        if viewer != Viewer::Local {
            return refused("statuses are taken from this machine only");
        }
        let NewStatus { repository, sha, name, state, url } = status;
        let watched = self.local_at(&repository).ok_or(ActionError::NotFound)?;
        let Source::Local(local) = &watched.source else { return Err(ActionError::NotFound) };
        let Ok(commit) = ObjectId::from_hex(sha.as_bytes()) else {
            return refused("`sha` is no commit id: send all 40 digits");
        };
        if local.repository().find_commit(commit).is_err() {
            return refused("the repository has no commit of that id");
        }
        if name.trim().is_empty() || name.len() > MAX_STATUS_NAME || name.chars().any(char::is_control) {
            return refused(format!("`name` has 1 to {MAX_STATUS_NAME} bytes, without control characters"));
        }
        let is_web = |url: &str| url.len() <= MAX_URL && (url.starts_with("https://") || url.starts_with("http://"));
        if url.as_deref().is_some_and(|url| !is_web(url)) {
            return refused(format!("`url` begins with `https://` or `http://` and has at most {MAX_URL} bytes"));
        }
        let (store, key, now) = (&self.service.store, &watched.key, self.service.now());
        let known = store.local_statuses(key, commit).await?;
        if known.len() >= MAX_STATUSES && known.iter().all(|check| check.name != name) {
            return refused(format!("the commit has {MAX_STATUSES} statuses already: use one of their names"));
        }
        store.set_local_status(key, commit, &Check { name, state: state.into(), url, at: now }).await?;
        let waiting = store.merge_requests(key).await?;
        let again = |number| self.service.ask_of(watched, Kind::TryMerge, numbered(key, number));
        let asks: Vec<Ask> = waiting.iter().map(|request| again(request.number)).collect();
        store.ask(&asks, now).await?;
        Ok(())
    }
}

impl Desk {
    /// The repository on this machine whose git folder, or the folder above it, is at this path.
    fn local_at(&self, path: &str) -> Option<&Watched> {
        let path = path.trim_end_matches('/');
        let is_at = |name: &str| name == path || name.strip_suffix("/.git") == Some(path);
        self.service.watched.values().find(|it| is_here(it) && it.forge.host() == HOST && is_at(&it.name.0))
    }
}
