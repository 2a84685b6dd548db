//! What people decided, from the store's rows to what a plan goes by.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::forge::Person;
use crate::plan::{Hold, Ignore, Pause, PullDecisions, RepositoryDecisions, Scope, Version};
use crate::store::decisions::{Decided, Level, Verb};
use crate::store::{Store, StoreError};

/// What people decided about a repository and its pull requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// About the whole repository.
    pub repository: RepositoryDecisions,
    /// About single pull requests, by our number.
    pub pulls: BTreeMap<i64, PullDecisions>,
}

/// Reads what is in force at `now`.
///
/// # Errors
/// Where the store cannot be read.
pub async fn read(store: &Store, repository: &str, now: Timestamp) -> Result<People, StoreError> {
    let mut people = People::default();
    for Decided { number, verb, until, reason, by, made_at } in store.decisions(repository, now).await? {
        let by = by.login;
        let reason = (!reason.is_empty()).then_some(reason);
        match (verb, number) {
            (Verb::Hold, Some(number)) => {
                people.pulls.entry(number).or_default().hold = Some(Hold { until, by, reason });
            }
            (Verb::Pause, _) => people.repository.pause = Some(Pause { by, reason, since: made_at }),
            (Verb::Ignore { level, image, tag }, number) => {
                let scope = match (level, tag) {
                    (Level::This, Some(tag)) => Scope::This(version(&tag)),
                    (Level::Patch, _) => Scope::Patch,
                    (Level::Minor, _) => Scope::Minor,
                    (Level::Major, _) => Scope::Major,
                    (Level::Image | Level::This, _) => Scope::Image,
                };
                let ignore = Ignore { scope, image: Some(image), container: None, until, by, reason };
                match number {
                    Some(number) => people.pulls.entry(number).or_default().ignores.push(ignore),
                    None => people.repository.ignores.push(ignore),
                }
            }
            // A repository is paused, not held.
            (Verb::Hold, None) => {}
        }
    }
    Ok(people)
}

/// The rows of what a marker says about a whole repository: the way back from [`read`].
#[must_use]
pub fn rows_of_repository(decided: &RepositoryDecisions, now: Timestamp) -> Vec<Decided> {
    let RepositoryDecisions { ignores, pause } = decided;
    let ignores = ignores.iter().filter_map(|ignore| row_of_ignore(None, ignore, now));
    let pause = pause.iter().map(|Pause { by, reason, since }| Decided {
        number: None,
        verb: Verb::Pause,
        until: None,
        reason: reason.clone().unwrap_or_default(),
        by: somebody(by),
        made_at: *since,
    });
    ignores.chain(pause).collect()
}

/// The rows of what a marker says about the pull request with our `number`.
#[must_use]
pub fn rows_of_pull(number: i64, decided: &PullDecisions, now: Timestamp) -> Vec<Decided> {
    let PullDecisions { ignores, hold } = decided;
    let ignores = ignores.iter().filter_map(|ignore| row_of_ignore(Some(number), ignore, now));
    let hold = hold.iter().filter(|hold| hold.counts(now)).map(|Hold { until, by, reason }| Decided {
        number: Some(number),
        verb: Verb::Hold,
        until: *until,
        reason: reason.clone().unwrap_or_default(),
        by: somebody(by),
        made_at: now,
    });
    ignores.chain(hold).collect()
}

/// None where it has lapsed, or is about no image, as no command makes one.
fn row_of_ignore(number: Option<i64>, ignore: &Ignore, now: Timestamp) -> Option<Decided> {
    let Ignore { scope, image, container: _, until, by, reason } = ignore;
    let (level, tag) = match scope {
        Scope::This(version) => (Level::This, Some(version_text(version))),
        Scope::Patch => (Level::Patch, None),
        Scope::Minor => (Level::Minor, None),
        Scope::Major => (Level::Major, None),
        Scope::Image => (Level::Image, None),
    };
    let row = Decided {
        number,
        verb: Verb::Ignore { level, image: image.clone()?, tag },
        until: *until,
        reason: reason.clone().unwrap_or_default(),
        by: somebody(by),
        made_at: now,
    };
    until.is_none_or(|until| now < until).then_some(row)
}

/// Markers know names only.
fn somebody(login: &str) -> Person {
    Person { id: 0, login: login.to_owned() }
}

/// A version as a decision's row keeps it: `tag`, or `tag@sha256:…` where a digest is pinned.
fn version(text: &str) -> Version {
    match text.split_once('@') {
        Some((tag, digest)) => Version { tag: tag.to_owned(), digest: Some(digest.to_owned()) },
        None => Version { tag: text.to_owned(), digest: None },
    }
}

/// The other way round.
#[must_use]
pub fn version_text(version: &Version) -> String {
    match &version.digest {
        Some(digest) => format!("{}@{digest}", version.tag),
        None => version.tag.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at};

    fn ignore(scope: Scope) -> Ignore {
        let image = Some("docker.io/library/app".to_owned());
        Ignore { scope, image, container: None, until: Some(at(99)), by: "ada".into(), reason: None }
    }

    #[tokio::test]
    async fn what_a_marker_says_comes_back_as_it_was() {
        let store = Opened::new().await;
        let version = Version { tag: "1.2.0".into(), digest: Some("sha256:00".into()) };
        let repository = RepositoryDecisions {
            ignores: vec![ignore(Scope::Major), ignore(Scope::This(version))],
            pause: Some(Pause { by: "grace".into(), reason: Some("freeze".into()), since: at(3) }),
        };
        let hold = Hold { until: None, by: "ada".into(), reason: Some("later".into()) };
        let pull = PullDecisions { ignores: vec![ignore(Scope::Image)], hold: Some(hold) };
        let lapsed = PullDecisions { ignores: vec![Ignore { until: Some(at(9)), ..ignore(Scope::Minor) }], hold: None };
        let rows =
            [rows_of_repository(&repository, at(10)), rows_of_pull(4, &pull, at(10)), rows_of_pull(5, &lapsed, at(10))];
        for row in rows.concat() {
            store.decide("r", &row).await.unwrap();
        }
        let mut people = read(&store, "r", at(10)).await.unwrap();
        people.repository.ignores.sort_by_key(|ignore| matches!(ignore.scope, Scope::This(_)));
        assert_eq!(people, People { repository, pulls: BTreeMap::from([(4, pull)]) });
    }
}
