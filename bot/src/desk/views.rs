//! The lists: repositories, one of them, work, and everything that is wrong.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::pull::{last_told, row};
use super::{Desk, reference};
use crate::server::access::Viewer;
use crate::server::pages::views::{
    ErrorRow, ErrorsView, Problem, PullView, RepositoriesView, RepositoryRef, RepositoryRow, RepositoryState,
    RepositoryView, WorkRow, WorkState, WorkView,
};
use crate::server::pages::{ViewError, Views};
use crate::store::StoreError;
use crate::store::problems;
use crate::store::repositories::{self, ConfigState};
use crate::store::shown::Overview;
use crate::store::work::{Lane, Listed, Standing};
use crate::work::decisions;
use crate::work::service::{ARCHIVED, EMPTY, Watched};

/// How much work is shown of all repositories.
const MAX_WORK: u32 = 200;

/// How much work is shown of one repository.
const MAX_OWN_WORK: u32 = 50;

/// How many errors are shown.
const MAX_ERRORS: usize = 200;

/// How many problems are shown of one repository.
const MAX_PROBLEMS: u32 = 100;

/// How many open pull requests are shown of one repository.
const MAX_OPEN: u32 = 500;

/// How many pull requests that were closed or merged are shown.
const MAX_CLOSED: u32 = 20;

impl From<StoreError> for ViewError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

#[async_trait]
impl Views for Desk {
    async fn repositories(&self, _: Viewer) -> Result<RepositoriesView, ViewError> {
        let known = self.known().await?;
        let mut overviews = self.service.store.overviews(self.service.now()).await?;
        let one = |watched: &Watched| {
            let overview = overviews.remove(&watched.key).unwrap_or_default();
            repository_row(watched, known.get(&watched.key), &overview)
        };
        let mut repositories: Vec<RepositoryRow> = self.service.watched.values().map(one).collect();
        repositories.sort_by(|one, other| one.repository.cmp(&other.repository));
        Ok(RepositoriesView { repositories })
    }

    async fn repository(&self, _: Viewer, repository: &RepositoryRef) -> Result<Option<RepositoryView>, ViewError> {
        let Some(watched) = self.find(repository) else { return Ok(None) };
        let (store, key, now) = (&self.service.store, &watched.key, self.service.now());
        let known = store.repository(key).await?;
        let overview = store.overviews(now).await?.remove(key).unwrap_or_default();
        let mut problems_found: Vec<Problem> = of_row(known.as_ref()).collect();
        problems_found.extend(store.problems(Some(key), MAX_PROBLEMS).await?.into_iter().map(problem));
        let requests = store.merge_requests(key).await?;
        let people = decisions::read(store, key, now).await?;
        let pulls = store.shown_pulls(key, MAX_OPEN, MAX_CLOSED).await?;
        let pulls = pulls.iter().map(|shown| {
            let request = requests.iter().find(|request| request.number == shown.number);
            let hold = people.pulls.get(&shown.number).and_then(|own| own.hold.as_ref());
            let waits_for = hold.map(|hold| format!("held by `{}`", hold.by)).or_else(|| shown.left_alone.clone());
            row(watched, shown, waits_for.or_else(|| request.map(last_told)))
        });
        let pulls = pulls.collect();
        let work = store.work_of(Some(&Lane::repository(key)), MAX_OWN_WORK, now).await?;
        let row = repository_row(watched, known.as_ref(), &overview);
        let base = known.as_ref().map(|known| known.watched.base.clone());
        Ok(Some(RepositoryView {
            row,
            pause_reason: overview.pause.filter(|reason| !reason.is_empty()),
            base: base.or_else(|| watched.base.clone()).unwrap_or_default(),
            url: known.map(|known| known.watched.url).filter(|url| !url.is_empty()),
            problems_found,
            pulls,
            work: in_order(work.into_iter().map(|work| self.work_row(work)).collect()),
        }))
    }

    async fn pull(&self, _: Viewer, repository: &RepositoryRef, number: i64) -> Result<Option<PullView>, ViewError> {
        let Some(watched) = self.find(repository) else { return Ok(None) };
        let Some(shown) = self.service.store.shown_pull(&watched.key, number).await? else { return Ok(None) };
        self.pull_view(watched, shown).await.map(Some)
    }

    async fn work(&self, _: Viewer) -> Result<WorkView, ViewError> {
        let (store, now) = (&self.service.store, self.service.now());
        let counts = store.work_counts(now).await?;
        let all: u64 = counts.iter().map(|count| count.running + count.due + count.later + count.parked).sum();
        let work = store.work(MAX_WORK, now).await?;
        let work = in_order(work.into_iter().map(|work| self.work_row(work)).collect());
        Ok(WorkView { more: all.saturating_sub(work.len() as u64), work })
    }

    async fn errors(&self, _: Viewer) -> Result<ErrorsView, ViewError> {
        let (store, now) = (&self.service.store, self.service.now());
        let mut errors = Vec::new();
        for host in store.hosts_put_off(now).await? {
            let message = format!("{}; nothing is asked of it until {}", host.error, host.until);
            errors.push(ErrorRow { repository: None, problem: at(Some(host.host), message) });
        }
        for (key, known) in &self.known().await? {
            let repository = self.service.watched(key).map(reference);
            let own = of_row(Some(known)).filter(|_| repository.is_some());
            errors.extend(own.map(|problem| ErrorRow { repository: repository.clone(), problem }));
        }
        let parked = store.work(MAX_WORK, now).await?.into_iter().filter(|work| is_parked(work.standing));
        for work in parked {
            let row = self.work_row(work);
            let error = row.last_error.unwrap_or_else(|| "it failed too often".into());
            let problem = at(Some(format!("{} {}", row.kind, row.key)), error);
            errors.push(ErrorRow { repository: row.repository, problem });
        }
        for found in store.problems(None, u32::try_from(MAX_ERRORS * 10).unwrap_or(u32::MAX)).await? {
            let Some(watched) = self.service.watched(&found.repository) else { continue };
            errors.push(ErrorRow { repository: Some(reference(watched)), problem: problem(found) });
        }
        // What has no time holds now.
        errors.sort_by_key(|error| error.problem.since.map(|since| std::cmp::Reverse(since.as_millisecond())));
        let more = errors.len().saturating_sub(MAX_ERRORS) as u64;
        errors.truncate(MAX_ERRORS);
        Ok(ErrorsView { errors, more })
    }
}

impl Desk {
    async fn known(&self) -> Result<BTreeMap<String, repositories::RepositoryRow>, ViewError> {
        let rows = self.service.store.repositories().await?;
        Ok(rows.into_iter().map(|row| (row.watched.repository.clone(), row)).collect())
    }

    fn work_row(&self, work: Listed) -> WorkRow {
        let (state, due_at) = match work.standing {
            Standing::Running => (WorkState::Running, None),
            Standing::Due => (WorkState::Waiting, None),
            Standing::Later(at) => (WorkState::Waiting, Some(at)),
            Standing::PutOff(until) => (WorkState::PutOff, Some(until)),
            Standing::Parked(until) => (WorkState::Parked, Some(until)),
        };
        let watched = Lane::repository_of(&work.lane).and_then(|key| self.service.watched(key));
        WorkRow {
            kind: work.kind.as_str().to_owned(),
            key: work.key,
            state,
            repository: watched.map(reference),
            due_at,
            attempts: work.attempts,
            last_error: work.last_error,
        }
    }
}

fn is_parked(standing: Standing) -> bool {
    matches!(standing, Standing::Parked(_))
}

/// Parked first, then running, put off and waiting, by the time they are due; what is due now before the rest.
fn in_order(mut work: Vec<WorkRow>) -> Vec<WorkRow> {
    let rank = |state: WorkState| match state {
        WorkState::Parked => 0,
        WorkState::Running => 1,
        WorkState::PutOff => 2,
        WorkState::Waiting => 3,
    };
    work.sort_by_key(|row| (rank(row.state), row.due_at));
    work
}

fn at(place: Option<String>, message: String) -> Problem {
    Problem { place, message, since: None }
}

fn problem(found: problems::Problem) -> Problem {
    let problems::Problem { found, since, .. } = found;
    Problem { place: Some(found.place).filter(|place| !place.is_empty()), message: found.message, since: Some(since) }
}

/// What is wrong with a repository as a whole.
fn of_row(known: Option<&repositories::RepositoryRow>) -> impl Iterator<Item = Problem> + use<> {
    let entered = known.and_then(|known| known.last_error.clone()).map(|error| at(None, error));
    let config = known.and_then(|known| match &known.config {
        ConfigState::Invalid(error) => Some(at(None, error.clone())),
        ConfigState::Unread | ConfigState::None | ConfigState::Valid => None,
    });
    entered.into_iter().chain(config)
}

fn repository_row(
    watched: &Watched,
    known: Option<&repositories::RepositoryRow>,
    overview: &Overview,
) -> RepositoryRow {
    let state = match known {
        None => RepositoryState::New,
        Some(known) => match (known.last_error.as_deref(), &known.config) {
            (Some(ARCHIVED), _) => RepositoryState::Archived,
            (Some(EMPTY), _) => RepositoryState::Empty,
            (Some(_), _) => RepositoryState::Failing,
            (None, ConfigState::Invalid(_)) => RepositoryState::Misconfigured,
            (None, _) if overview.pause.is_some() => RepositoryState::Paused,
            (None, _) if known.last_scan_at.is_none() => RepositoryState::New,
            (None, _) => RepositoryState::Watched,
        },
    };
    let whole: Vec<String> = of_row(known).map(|problem| problem.message).collect();
    let problems = overview.problems.saturating_add(u32::try_from(whole.len()).unwrap_or(u32::MAX));
    let first = overview.first_problem.as_ref().map(|(place, message)| format!("{place}: {message}"));
    RepositoryRow {
        repository: reference(watched),
        state,
        problem: whole.into_iter().next().or(first),
        problems,
        open_pulls: overview.open_pulls,
        workloads: overview.workloads,
        last_scan: known.and_then(|known| known.last_scan_at),
        next_scan: overview.next_scan,
    }
}
