//! Reads the tags of one image anew, for all repositories that use it, and wakes those where something changed.

use jiff::Timestamp;
use leadsman_scanner::reference::{KnownHosts, Reference};

use super::queue::Failure;
use super::service::Service;
use crate::store::images::Use;
use crate::store::work::{Ask, Kind, Lane, Next, Priority};

/// What stands between realm and image in the key of this work. No name of an image holds it.
const SEPARATOR: char = ' ';

/// Asks for an image to be listed at `now`.
#[must_use]
pub fn ask(used: &Use, now: Timestamp) -> Ask {
    let Use { realm, image } = used;
    let host = image.split('/').next().unwrap_or(image);
    Ask::new(Kind::ListImage, format!("{realm}{SEPARATOR}{image}"), Lane::image(realm, image), now).on(host)
}

/// Lists the image that the key names, and asks for scans where that brought something new.
///
/// # Errors
/// Where the registry does not answer, or the store cannot be read or written.
pub async fn list_image(service: &Service, key: &str) -> Result<Next, Failure> {
    let (realm, image) = key.split_once(SEPARATOR).unwrap_or(("", key));
    let users = service.store.repositories_using(image).await?;
    let users: Vec<_> = users.into_iter().filter(|(_, used)| used.realm == realm).collect();
    if users.is_empty() {
        return Ok(Next::Done);
    }
    let name = match Reference::parse(image, &KnownHosts::default()) {
        Ok(reference) => reference.name,
        Err(error) => return Err(Failure::Ours(format!("`{image}` is no image: {error}"))),
    };
    match service.lists.renew(&service.registry, &name).await {
        Ok(false) => {}
        Ok(true) => {
            let asks: Vec<Ask> = users
                .iter()
                .filter_map(|(repository, _)| service.watched(repository))
                .map(|watched| service.ask_scan(watched, Priority::Scan))
                .collect();
            service.store.ask(&asks, service.now()).await?;
        }
        Err(error) => {
            // Each scan that needs it tells people; here it is only tried again.
            tracing::info!(image, %error, "cannot list the tags of an image");
        }
    }
    Ok(Next::Again(service.later(service.schedule.images)))
}
