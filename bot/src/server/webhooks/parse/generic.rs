//! What a CI job sends after it pushed an image: `{"image": "registry.example.com/team/app", "tag": "1.2.3"}`. Pure.

use leadsman_scanner::reference::{KnownHosts, Reference};
use serde::Deserialize;

use super::{Message, Unreadable, Wake, image, is_companion, json};

#[derive(Deserialize)]
struct Push {
    image: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// The image that was pushed. A tag may stand in `image` as well; the field `tag` goes first.
///
/// # Errors
/// Where it is no JSON, or `image` is no reference.
pub fn parse(message: &Message<'_>) -> Result<Vec<Wake>, Unreadable> {
    let push: Push = json(message.body)?;
    let wrong =
        |what: &str| Unreadable(format!("`{what}`; send `{{\"image\": \"host/repository\", \"tag\": \"1.2.3\"}}`"));
    let hosts = KnownHosts::new(message.host.map(str::to_owned));
    let reference = Reference::parse(&push.image, &hosts).map_err(|_| wrong("image` is no image reference"))?;
    let tag = push.tag.as_deref().filter(|tag| !tag.is_empty()).or(reference.tag.as_deref());
    if tag.is_some_and(|tag| !leadsman_scanner::reference::is_tag(tag)) {
        return Err(wrong("tag` is no tag"));
    }
    if tag.is_some_and(is_companion) {
        return Ok(Vec::new());
    }
    let digest = push.digest.as_deref().or(reference.digest.as_ref().map(|digest| digest.as_str()));
    Ok(image(reference.name.host(), reference.name.repository(), tag, digest).into_iter().collect())
}
