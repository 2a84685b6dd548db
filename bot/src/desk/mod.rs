//! Between the HTTP side and the service: hands deliveries on, makes what pages show, and turns what people ask for
//! there into work. It translates and decides nothing.
//!
//! The store answers first. A forge is asked only where that costs nothing, on this machine, so that no visitor of a
//! page makes calls to others on our account; of repositories elsewhere the page shows what was last seen, and leads
//! there for the rest. Everything that is shown is bounded.
//!
//! All repositories of a service have one owner, so whoever may see pages sees all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::forge::local::forge::HOST;
use crate::server::pages::views::RepositoryRef;
use crate::work::queue::Failure;
use crate::work::service::{Service, Source, Watched};
use readiness::Workers;

mod actions;
mod changes;
mod inbox;
mod pull;
pub mod readiness;
mod views;

/// How many pages with a pull request are made at a time: each reads git and may ask registries.
const PULLS_AT_ONCE: usize = 4;

/// How long one page may wait for what it gathers.
const PATIENCE: Duration = Duration::from_secs(15);

/// Answers the HTTP side on behalf of a service.
pub struct Desk {
    service: Arc<Service>,
    workers: Workers,
    /// Bounds what pages of pull requests make the service do.
    pulls: Semaphore,
}

impl Desk {
    /// A desk for this service. Whoever runs its work says so with a clone of `workers`.
    #[must_use]
    pub fn new(service: Arc<Service>, workers: Workers) -> Self {
        Self { service, workers, pulls: Semaphore::new(PULLS_AT_ONCE) }
    }

    /// The watched repository that an address names. Names on this machine are paths, and mean what they say; elsewhere
    /// letter case does not count.
    fn find(&self, repository: &RepositoryRef) -> Option<&Watched> {
        let RepositoryRef { host, name, .. } = repository;
        let exact = self.service.watched.values().find(|it| it.forge.host() == host && it.name == *name);
        exact.or_else(|| (host != HOST).then(|| self.service.named(host, name)).flatten())
    }
}

fn is_here(watched: &Watched) -> bool {
    matches!(watched.source, Source::Local(_))
}

fn reference(watched: &Watched) -> RepositoryRef {
    RepositoryRef::new(watched.forge.host(), watched.name.clone())
}

fn told(failure: Failure) -> String {
    match failure {
        Failure::Ours(error) | Failure::PutOff { error, .. } => error,
    }
}
