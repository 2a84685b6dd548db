//! From a stored delivery to the work that it wakes. Reads no forge and no registry.

use std::collections::BTreeSet;

use super::list_image;
use super::queue::Failure;
use super::service::{Service, Watched, numbered};
use crate::forge::RepositoryName;
use crate::server::webhooks::parse::Wake;
use crate::store::work::{Ask, Kind, Next, Priority};

/// Reads the delivery with this key and asks for what it wakes.
///
/// # Errors
/// Where the store cannot be read or written.
pub async fn deliver(service: &Service, key: &str) -> Result<Next, Failure> {
    let Some(payload) = service.store.delivery(key).await?.and_then(|stored| stored.payload) else {
        return Ok(Next::Done);
    };
    let wakes: Vec<Wake> =
        serde_json::from_slice(&payload).map_err(|error| Failure::Ours(format!("cannot read a delivery: {error}")))?;
    let mut asks = Vec::new();
    for wake in &wakes {
        asks.extend(woken(service, wake).await?);
    }
    let mut known = BTreeSet::new();
    asks.retain(|ask: &Ask| known.insert((ask.kind.as_str(), ask.key.clone())));
    service.store.handled(key, &asks, service.now()).await?;
    Ok(Next::Done)
}

/// What one wake asks for; nothing where it is about what nobody watches.
///
/// # Errors
/// Where the store cannot be read.
pub async fn woken(service: &Service, wake: &Wake) -> Result<Vec<Ask>, Failure> {
    let watched = |host: &str, name: &RepositoryName| service.named(host, name);
    Ok(match wake {
        Wake::Image { host, repository, .. } => {
            let image = format!("{host}/{repository}");
            let users = service.store.repositories_using(&image).await?;
            users.into_iter().map(|(_, used)| list_image::ask(&used, service.now())).collect()
        }
        Wake::Branch { host, name, .. } | Wake::Repository { host, name } => {
            watched(host, name).map(|it| service.ask_scan(it, Priority::Pulls)).into_iter().collect()
        }
        Wake::Renamed { host, from, to } => {
            let found = watched(host, from).or_else(|| watched(host, to));
            found.map(|it| service.ask_scan(it, Priority::Pulls)).into_iter().collect()
        }
        Wake::Comment { host, name, number } => {
            watched(host, name).map(|it| read(service, it, *number)).into_iter().collect()
        }
        Wake::Pull { host, name, number } => match watched(host, name) {
            Some(it) => {
                let mut asks = vec![service.ask_scan(it, Priority::Pulls)];
                // Reviews and pushes change what a merge waits for.
                asks.extend(try_merges(service, it, Some(*number)).await?);
                asks
            }
            None => Vec::new(),
        },
        Wake::Issue { host, name, number } => {
            watched(host, name).map(|it| read(service, it, *number)).into_iter().collect()
        }
        Wake::Status { host, name, .. } => match watched(host, name) {
            Some(it) => try_merges(service, it, None).await?,
            None => Vec::new(),
        },
    })
}

fn read(service: &Service, watched: &Watched, thread: i64) -> Ask {
    service.ask_of(watched, Kind::ReadComments, numbered(&watched.key, thread))
}

/// The merges that were asked for in a repository, all or of one pull request by its number on the forge.
async fn try_merges(service: &Service, watched: &Watched, thread: Option<i64>) -> Result<Vec<Ask>, Failure> {
    let only = match thread {
        Some(thread) => match service.store.pull_of_forge_number(&watched.key, thread).await? {
            Some((number, _)) => Some(number),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let requests = service.store.merge_requests(&watched.key).await?;
    let wanted = requests.iter().filter(|request| only.is_none_or(|only| request.number == only));
    Ok(wanted
        .map(|request| service.ask_of(watched, Kind::TryMerge, numbered(&watched.key, request.number)))
        .collect())
}
