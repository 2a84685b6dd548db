//! What people decided, from the store's rows to what a plan goes by.

use std::collections::BTreeMap;

use jiff::Timestamp;

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
