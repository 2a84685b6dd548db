//! Notifications of registries that speak the format of CNCF distribution:
//! <https://distribution.github.io/distribution/about/notifications>. Pure.
//!
//! One request carries several events, of pulls and of layers too. Only pushes of images wake; those of signatures,
//! attestations, SBOMs and charts, which are pushed beside images, do not.

use serde::Deserialize;

use super::{Message, Unreadable, Wake, image, is_companion, json};

#[derive(Deserialize)]
struct Envelope {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    action: String,
    target: Option<Target>,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    host: String,
}

/// The images that were pushed, each tag once.
///
/// # Errors
/// Where it is no notification.
pub fn parse(message: &Message<'_>) -> Result<Vec<Wake>, Unreadable> {
    let Envelope { events } = json(message.body)?;
    let mut wakes: Vec<Wake> = events.iter().filter_map(|event| pushed(message.host, event)).collect();
    wakes.sort();
    wakes.dedup();
    Ok(wakes)
}

fn pushed(configured: Option<&str>, event: &Event) -> Option<Wake> {
    let target = event.target.as_ref()?;
    let tag = target.tag.as_deref().filter(|tag| !tag.is_empty());
    if event.action != "push" || !is_image(target) || tag.is_some_and(is_companion) {
        return None;
    }
    let host = configured.or(event.request.as_ref().map(|request| request.host.as_str()))?;
    image(host, &target.repository, tag, target.digest.as_deref())
}

/// Whether it is a manifest or index of an image, as far as a notification tells: layers and what hangs on images
/// have other types.
fn is_image(target: &Target) -> bool {
    let manifest = matches!(
        target.media_type.as_str(),
        "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
            | "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws"
    );
    let other = target.artifact_type.as_deref().is_some_and(|kind| {
        !kind.is_empty()
            && !matches!(
                kind,
                "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
            )
    });
    manifest && !other
}
