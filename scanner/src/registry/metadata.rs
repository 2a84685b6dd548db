//! Finds out what a tag points at, and what that says of itself (S2.6, S6.2).
//!
//! Invariant: content that was asked for or announced by a digest has that digest, or is not taken.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;

use super::error::{Part, RegistryErrorKind as Kind};
use super::manifest::{self, Annotations, Created, Manifest, ManifestError};
use super::options::limits;
use super::platform::Platform;
use super::question::{Call, Question};
use crate::reference::Digest;

/// What is known of one image behind a tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What the tag points at: the index where there is one, never a platform's manifest (S2.6).
    pub digest: Digest,
    /// When the image says it was made; [`Created::at`] says what counts (S6.2).
    pub created: Created,
    /// The labels and annotations `org.opencontainers.image.…`, annotations first; at most 32 of 2 KiB each.
    pub labels: BTreeMap<String, String>,
}

/// What a tag points at, by HEAD where the registry knows that.
pub(super) async fn digest(question: &mut Question<'_>, tag: &str) -> Result<Digest, Kind> {
    let call = Call { method: Method::HEAD, ..manifest_call(question, tag) };
    match question.call(&call).await {
        Ok(reply) => {
            if let Some(digest) = Digest::parse(reply.header("docker-content-digest")) {
                return Ok(digest);
            }
        }
        Err(Kind::Unexpected { status: 405 | 501, .. } | Kind::Server { status: 501, .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(manifest(question, tag).await?.digest)
}

fn manifest_call(question: &Question<'_>, reference: &str) -> Call<'static> {
    let url = question.address(&format!("manifests/{reference}"));
    let accept = Some(manifest::ACCEPT);
    Call { method: Method::GET, url, accept, etag: None, part: Part::Manifest, limit: limits::MANIFEST }
}

/// A manifest or index as it was received.
struct Received {
    digest: Digest,
    body: Bytes,
    /// Whether the registry or the reference announced this very digest, so that the body is known to be whole.
    is_whole: bool,
}

impl Received {
    fn read(&self, platform: &Platform) -> Result<Manifest, Kind> {
        manifest::read(&self.body, platform).map_err(|error| unreadable(error, Part::Manifest, self.is_whole))
    }
}

/// Gets a manifest or index, and checks that it is what the reference or the registry says.
async fn manifest(question: &mut Question<'_>, reference: &str) -> Result<Received, Kind> {
    let reply = question.call(&manifest_call(question, reference)).await.map_err(|error| match error {
        // The registry has it in none of the kinds that are read.
        Kind::Unexpected { status: 406 | 415, .. } => Kind::Unsupported { what: "the kind of this image".into() },
        error => error,
    })?;
    let digest = Digest::of(&reply.body);
    let expected = Digest::parse(reference).or_else(|| Digest::parse(reply.header("docker-content-digest")));
    match expected {
        Some(expected) if expected != digest => Err(Kind::DigestMismatch { what: Part::Manifest, expected }),
        expected => Ok(Received { digest, body: reply.body, is_whole: expected.is_some() }),
    }
}

pub(super) async fn metadata(
    question: &mut Question<'_>,
    reference: &str,
    platform: &Platform,
) -> Result<Metadata, Kind> {
    let received = manifest(question, reference).await?;
    let (outer, image) = match received.read(platform)? {
        Manifest::Index { annotations, child } => {
            let child = manifest(question, child.as_str()).await?;
            (annotations, child.read(platform)?)
        }
        image => (Annotations::default(), image),
    };
    let Manifest::Image { annotations, config } = image else {
        return Err(Kind::Unsupported { what: "an index within an index".into() });
    };
    let config = match config {
        Some(config) => read_config(question, config).await?,
        None => manifest::Config::default(),
    };
    let created =
        Created { annotation: outer.created.or(annotations.created), label: config.label, config: config.created };
    let mut labels = config.labels;
    labels.extend(annotations.labels);
    labels.extend(outer.labels);
    while labels.len() > manifest::MAX_LABELS {
        labels.pop_last();
    }
    Ok(Metadata { digest: received.digest, created, labels })
}

async fn read_config(question: &mut Question<'_>, digest: Digest) -> Result<manifest::Config, Kind> {
    let url = question.address(&format!("blobs/{digest}"));
    let (part, limit) = (Part::Config, limits::CONFIG);
    let reply = question.call(&Call { method: Method::GET, url, accept: None, etag: None, part, limit }).await?;
    if Digest::of(&reply.body) != digest {
        return Err(Kind::DigestMismatch { what: part, expected: digest });
    }
    manifest::read_config(&reply.body).map_err(|error| unreadable(error, part, true))
}

/// Content that is whole and cannot be read stays so, and is no image; otherwise it may have been cut (S6.3).
fn unreadable(error: ManifestError, what: Part, is_whole: bool) -> Kind {
    match error {
        ManifestError::Malformed(reason) if is_whole => Kind::Unsupported { what: format!("{what} ({reason})") },
        ManifestError::Malformed(reason) => Kind::Malformed { what, reason },
        ManifestError::Unsupported(what) => Kind::Unsupported { what },
    }
}
