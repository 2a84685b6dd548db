//! What people do not want, as the scan is told it: so that the next best tag is chosen in place of an ignored one (S6.9).
//!
//! Owns the translation only; what an entry is about is decided by [`crate::config::repository`] and [`crate::plan`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use leadsman_scanner::detect::Container;
use leadsman_scanner::reference::Digest;
use leadsman_scanner::scan::Skip;

use crate::config::repository::RepositoryConfig;
use crate::plan::{Change, Key, PullDecisions, RepositoryDecisions, Scope, Version};

/// What the configuration, the repository's decisions and those of single pull requests leave out.
#[must_use]
pub fn ignored(
    config: Arc<RepositoryConfig>,
    repository: RepositoryDecisions,
    pulls: BTreeMap<Key, PullDecisions>,
    now: Timestamp,
) -> Option<Skip> {
    let nothing = config.ignore.is_empty()
        && repository.ignores.is_empty()
        && pulls.values().all(|decisions| decisions.ignores.is_empty());
    if nothing {
        return None;
    }
    Some(Skip::new(move |file, container, tag| {
        let key = Key { path: file.to_owned(), workload: container.workload.id.as_str().to_owned() };
        let change = step(container, tag)?;
        let decided = pulls.get(&key).map_or(&[][..], |decisions| &decisions.ignores);
        config.ignores(&key, &change, now).or_else(|| {
            let mut ignores = decided.iter().chain(&repository.ignores);
            // A digest is not known before a tag is chosen, so one version is meant by its tag here.
            let is_meant = |scope: &Scope| match scope {
                Scope::This(version) => version.digest.is_none(),
                Scope::Patch | Scope::Minor | Scope::Major | Scope::Image => true,
            };
            Some(ignores.find(|ignore| is_meant(&ignore.scope) && ignore.applies(&change, now))?.words())
        })
    }))
}

/// The step of a container to a tag.
fn step(container: &Container, tag: &str) -> Option<Change> {
    Some(Change {
        document: container.document as usize,
        container: container.name.to_string(),
        image: container.image.as_ref()?.as_str().to_owned(),
        from: Version {
            tag: container.tag.as_deref()?.to_owned(),
            digest: container.digest.as_ref().map(Digest::as_str).map(ToOwned::to_owned),
        },
        to: Version { tag: tag.to_owned(), digest: None },
    })
}
