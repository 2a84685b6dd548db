//! Keeps the dashboard issue of a repository: how it stands, what is wrong, and what people decided about all of it.
//!
//! There is one, known by its hidden marker among the bot's own open issues. It is opened when there is something to say
//! and changed when the text is another one; what people wrote below the marker stays. Goes by the store, and by what the
//! last look held back.

use std::collections::BTreeMap;

use super::decisions::{self, People};
use super::queue::Failure;
use super::service::{Service, Watched, numbered};
use super::try_merge::Remembered;
use crate::config::repository::{self, ConfigError};
use crate::forge::{ErrorKind, ForgeError};
use crate::render::dashboard::{Dashboard, MARK, OpenPull, Problem, is_current};
use crate::render::{Voice, keep_below};
use crate::store::dashboards;
use crate::store::problems::{self, Found};
use crate::store::repositories::ConfigState;
use crate::store::work::{Kind, Lane, Next, Standing};

/// How many pull requests and problems are read; the issue shows fewer.
const MAX: u32 = 200;

/// Brings the issue of the repository with this key up to date.
///
/// # Errors
/// Where the forge or the store does not do its part.
pub async fn dashboard_issue(service: &Service, key: &str) -> Result<Next, Failure> {
    let Some(watched) = service.watched(key) else { return Ok(Next::Done) };
    if !watched.forge.capabilities().issues {
        return Ok(Next::Done);
    }
    // Each look asks for this again, once it is known what is held back.
    let Some(held_back) = service.held_back(key) else { return Ok(Next::Done) };
    let (store, now) = (&service.store, service.now());
    let people = decisions::read(store, key, now).await?;
    let pulls = open_pulls(service, watched, &people).await?;
    let problems = problems(service, watched).await?;
    let is_quiet = pulls.is_empty() && problems.is_empty() && people.repository == Default::default();
    if is_quiet && store.dashboard(key).await? == dashboards::Dashboard::None {
        return Ok(Next::Done);
    }
    let dashboard = Dashboard {
        pulls: &pulls,
        problems: &problems,
        held_back: &held_back,
        decisions: &people.repository,
        voice: Voice {
            capabilities: watched.forge.capabilities(),
            handle: &service.handle,
            slash: service.config(key).commands.slash,
        },
    };
    match write(service, watched, &dashboard, is_quiet).await {
        Ok(()) => Ok(Next::Done),
        Err(Written::Failed(failure)) => Err(failure),
        Err(Written::Refused(error)) => {
            // The pull requests do not wait for a right to issues, or for a repository to have any.
            tracing::warn!(repository = %key, %error, "cannot keep the dashboard issue");
            Ok(Next::Done)
        }
    }
}

/// Why the issue is not as it should be.
enum Written {
    /// The forge does not let it be written, and asking again would not help.
    Refused(ForgeError),
    Failed(Failure),
}

impl From<ForgeError> for Written {
    fn from(error: ForgeError) -> Self {
        match error.kind {
            ErrorKind::Forbidden | ErrorKind::NotFound => Self::Refused(error),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<crate::store::StoreError> for Written {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

async fn write(service: &Service, watched: &Watched, said: &Dashboard<'_>, is_quiet: bool) -> Result<(), Written> {
    let Watched { key, name, forge, .. } = watched;
    let text = service.renderer.dashboard(said);
    let text = text.map_err(|error| {
        Written::Failed(Failure::Ours(format!("cannot write the text of the dashboard issue: {error}")))
    })?;
    let number = match forge.find_issue(name, MARK).await? {
        Some((number, body)) => {
            let body = body.replace("\r\n", "\n");
            if !is_current(&body, &text) {
                let body = keep_below(&text.body, &body, forge.capabilities().max_body);
                forge.edit_issue(name, number, &text.title, &body).await?;
            }
            Some(number)
        }
        None if is_quiet => None,
        None => Some(forge.open_issue(name, &text.title, &text.body).await?),
    };
    service.store.keep_dashboard(key, number).await?;
    if let Some(number) = number {
        // What is written there, where no webhook tells of it.
        let ask = service.ask_of(watched, Kind::ReadComments, numbered(key, number));
        service.store.ask(&[ask], service.now()).await?;
    }
    Ok(())
}

/// The pull requests that are open, each with what it waits for.
///
/// # Errors
/// Where the store cannot be read.
async fn open_pulls(service: &Service, watched: &Watched, people: &People) -> Result<Vec<OpenPull>, Failure> {
    let (store, key) = (&service.store, &watched.key);
    let asked: BTreeMap<i64, Remembered> =
        store.merge_requests(key).await?.iter().map(|request| (request.number, Remembered::of(request))).collect();
    let pulls = store.shown_pulls(key, MAX, 0).await?;
    let pulls = pulls.into_iter().map(|pull| {
        let hold = people.pulls.get(&pull.number).and_then(|decided| decided.hold.as_ref());
        let waits = match (hold, &pull.left_alone, asked.get(&pull.number)) {
            (Some(hold), ..) => hold.words(),
            (None, Some(why), _) => format!("left alone, for {why}"),
            (None, None, Some(Remembered { words, .. })) if words.is_empty() => {
                "somebody asked for it to be merged".to_owned()
            }
            (None, None, Some(Remembered { words, .. })) => format!("to be merged: {}", words.join("; ")),
            (None, None, None) => "waits for somebody to merge it".to_owned(),
        };
        OpenPull { number: pull.thread, title: pull.title, waits }
    });
    Ok(pulls.collect())
}

/// What needs a look, the gravest first.
///
/// # Errors
/// Where the store cannot be read.
pub async fn problems(service: &Service, watched: &Watched) -> Result<Vec<Problem>, Failure> {
    let (store, key) = (&service.store, &watched.key);
    let row = store.repository(key).await?;
    let found = store.problems(Some(key), MAX).await?;
    let mut problems: Vec<Problem> = found.into_iter().map(|problems::Problem { found, .. }| problem(found)).collect();
    if let Some(row) = row {
        if let Some(error) = row.last_error {
            problems.insert(0, Problem::Other(format!("the last look at the repository failed: {error}")));
        }
        let is_told = problems.iter().any(|problem| matches!(problem, Problem::Configuration(_)));
        if let (ConfigState::Invalid(why), false) = (row.config, is_told) {
            problems.insert(0, Problem::Other(why));
        }
    }
    for work in store.work_of(Some(&Lane::repository(key)), MAX, service.now()).await? {
        if matches!(work.standing, Standing::Parked(_)) && work.kind != Kind::DashboardIssue {
            let what = match work.key.rsplit_once('#') {
                Some((_, number)) => format!("`{}` of {number}", work.kind),
                None => format!("`{}`", work.kind),
            };
            problems.push(Problem::Parked { what, message: work.last_error.unwrap_or_default() });
        }
    }
    Ok(problems)
}

/// Something that a scan found to be wrong.
fn problem(Found { place, message }: Found) -> Problem {
    if place.is_empty() {
        return Problem::Other(message);
    }
    match place_in_configuration(&place) {
        Some((line, column)) => Problem::Configuration(ConfigError { line, column, message }),
        None => Problem::File { path: place, message },
    }
}

/// Line and column of `.leadsman.yaml:3:7`.
fn place_in_configuration(place: &str) -> Option<(u32, u32)> {
    let (line, column) = place.strip_prefix(repository::FILE)?.strip_prefix(':')?.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// A fault of the configuration as the store keeps it: the way back from what [`problems()`] tells.
#[must_use]
pub fn found(error: &ConfigError) -> Found {
    let ConfigError { line, column, message } = error;
    Found { place: format!("{}:{line}:{column}", repository::FILE), message: message.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_configuration_keeps_its_place() {
        let error = ConfigError { line: 3, column: 7, message: "unknown key `x`".into() };
        assert_eq!(problem(found(&error)), Problem::Configuration(error));
        let other = |place: &str| problem(Found { place: place.into(), message: "m".into() });
        assert_eq!(other(""), Problem::Other("m".into()));
        for place in ["a.yaml:3", ".leadsman.yaml", ".leadsman.yaml:3", ".leadsman.yaml:a:b", "x/.leadsman.yaml:1:2"] {
            assert_eq!(other(place), Problem::File { path: place.into(), message: "m".into() });
        }
    }
}
