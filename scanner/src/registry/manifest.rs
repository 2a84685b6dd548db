//! Reads manifests, indexes and configurations of images for their creation time and labels (S6.2).
//!
//! Pure: the time is a parameter. Docker schema 2, manifest lists, OCI manifests and indexes; anything else is said to
//! be unsupported.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use serde::Deserialize;

use crate::reference::Digest;

use super::error::printable;
use super::platform::Platform;

/// The kinds that are asked for.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Both an annotation and a label.
const CREATED: &str = "org.opencontainers.image.created";

/// The label that came before it.
const BUILD_DATE: &str = "org.label-schema.build-date";

/// The labels that are kept.
const LABELS: &str = "org.opencontainers.image.";

/// How many labels are kept, and how long each may be; longer ones are left out.
pub(super) const MAX_LABELS: usize = 32;
const MAX_LABEL: usize = 2_048;

/// When an image says it was made, by source. Kept apart because what counts as the future depends on when one asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Created {
    /// The annotation of the index or manifest.
    pub annotation: Option<Timestamp>,
    /// The label.
    pub label: Option<Timestamp>,
    /// The configuration's own field.
    pub config: Option<Timestamp>,
}

impl Created {
    /// The creation time seen from `now` (S6.2): the annotation, else the later of label and configuration, for labels
    /// are inherited from base images. A time at or before 1980-01-02 or more than a day ahead counts as none.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<Timestamp> {
        let usable = |time: &Timestamp| is_usable(*time, now);
        self.annotation.filter(usable).or_else(|| self.label.filter(usable).max(self.config.filter(usable)))
    }
}

fn is_usable(time: Timestamp, now: Timestamp) -> bool {
    // 1980-01-02T00:00:00Z: what reproducible builds write lies before it.
    const FIRST: i64 = 315_619_200;
    let last = now.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    time.as_second() > FIRST && time <= last
}

/// Reads RFC 3339, and the plain dates that some builds put into labels.
fn read_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let date: civil::Date = text.parse().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// What a manifest leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Manifest {
    /// An index, and the manifest of the wanted platform in it.
    Index { annotations: Annotations, child: Digest },
    /// One image; `config` is `None` where it is no image's configuration, and so has neither time nor labels.
    Image { annotations: Annotations, config: Option<Digest> },
}

/// The annotations that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    pub(super) created: Option<Timestamp>,
    pub(super) labels: BTreeMap<String, String>,
}

impl Annotations {
    fn read(all: BTreeMap<String, Text>) -> Self {
        let created = all.get(CREATED).and_then(|text| read_time(&text.0));
        Self { created, labels: keep_labels(all) }
    }
}

fn keep_labels(all: BTreeMap<String, Text>) -> BTreeMap<String, String> {
    let kept = |key: &str, value: &str| {
        key.starts_with(LABELS) && key.len() <= 128 && !value.is_empty() && value.len() <= MAX_LABEL
    };
    let named = all.into_iter().filter(|(key, value)| kept(key, &value.0));
    named.map(|(key, value)| (key, value.0)).take(MAX_LABELS).collect()
}

/// A value that should be a text; anything else counts as empty, for one odd label should not hide an image.
#[derive(Debug, Default)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Text(String),
            Other(serde::de::IgnoredAny),
        }
        Ok(match Any::deserialize(deserializer)? {
            Any::Text(text) => Self(text),
            Any::Other(_) => Self::default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    manifests: Option<Vec<RawDescriptor>>,
    annotations: Option<BTreeMap<String, Text>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    platform: Option<RawPlatform>,
    annotations: Option<BTreeMap<String, Text>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// Why a manifest or configuration is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ManifestError {
    /// It is not what it should be.
    Malformed(String),
    /// It is something else than an image.
    Unsupported(String),
}

fn unsupported(what: impl Into<String>) -> ManifestError {
    ManifestError::Unsupported(what.into())
}

/// Reads a manifest or an index, and picks the entry of the platform, else the first image (S6.2).
///
/// # Errors
/// Where it is neither.
pub(super) fn read(body: &[u8], platform: &Platform) -> Result<Manifest, ManifestError> {
    let raw: RawManifest = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    let annotations = Annotations::read(raw.annotations.unwrap_or_default());
    match (raw.config, raw.manifests) {
        (Some(config), None) => {
            let is_image = config.media_type.as_deref().is_none_or(is_config);
            let digest = Digest::parse(&config.digest)
                .ok_or_else(|| unsupported("a configuration digest other than SHA-256"))?;
            Ok(Manifest::Image { annotations, config: is_image.then_some(digest) })
        }
        (None, Some(entries)) => Ok(Manifest::Index { annotations, child: pick(&entries, platform)? }),
        (Some(_), Some(_)) => Err(unsupported("a manifest that is also an index")),
        (None, None) if raw.schema_version == Some(1) => Err(unsupported("a manifest of Docker's schema 1")),
        (None, None) => {
            let kind = raw.media_type.unwrap_or_else(|| "an answer without media type".into());
            Err(unsupported(printable(&kind, 100)))
        }
    }
}

/// Whether a configuration of this media type is an image's.
fn is_config(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
            // Written by old builders.
            | "application/octet-stream"
            | "text/html"
    )
}

fn pick(entries: &[RawDescriptor], platform: &Platform) -> Result<Digest, ManifestError> {
    let images = entries.iter().filter(|entry| !is_attestation(entry));
    let fit = |entry: &RawDescriptor| {
        let found = entry.platform.as_ref();
        found.map_or(0, |found| platform.fit(&found.os, &found.architecture, found.variant.as_deref()))
    };
    // `max_by_key` gives the last of equals, and the first is wanted.
    let best = images.rev().max_by_key(|entry| fit(entry)).ok_or_else(|| unsupported("an index without images"))?;
    Digest::parse(&best.digest).ok_or_else(|| unsupported("an index with digests other than SHA-256"))
}

fn is_attestation(entry: &RawDescriptor) -> bool {
    entry.platform.as_ref().is_some_and(|found| found.os == "unknown" && found.architecture == "unknown")
        || entry.annotations.as_ref().is_some_and(|all| all.contains_key("vnd.docker.reference.type"))
}

#[derive(Deserialize)]
struct RawConfig {
    created: Option<Text>,
    config: Option<RawSettings>,
}

#[derive(Deserialize)]
struct RawSettings {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, Text>>,
}

/// Creation times and labels of an image's configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) created: Option<Timestamp>,
    pub(super) label: Option<Timestamp>,
    pub(super) labels: BTreeMap<String, String>,
}

/// Reads an image's configuration.
///
/// # Errors
/// Where it is none.
pub(super) fn read_config(body: &[u8]) -> Result<Config, ManifestError> {
    let raw: RawConfig = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    let labels = raw.config.and_then(|config| config.labels).unwrap_or_default();
    let label = [CREATED, BUILD_DATE].iter().find_map(|key| read_time(&labels.get(*key)?.0));
    Ok(Config { created: raw.created.and_then(|text| read_time(&text.0)), label, labels: keep_labels(labels) })
}

fn malformed(error: &serde_json::Error) -> ManifestError {
    ManifestError::Malformed(printable(&error.to_string(), 200))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn digest(text: &str) -> Digest {
        Digest::parse(text).unwrap()
    }

    #[test]
    fn the_annotation_comes_first_and_else_the_later_time_s6_2() {
        let now = time("2026-01-10T00:00:00Z");
        let (old, new) = (time("2024-01-01T00:00:00Z"), time("2025-01-01T00:00:00Z"));
        let created = |annotation, label, config| Created { annotation, label, config }.at(now);
        assert_eq!(created(Some(old), Some(new), Some(new)), Some(old));
        assert_eq!(created(None, Some(old), Some(new)), Some(new));
        assert_eq!(created(None, Some(new), Some(old)), Some(new));
        assert_eq!(created(None, None, None), None);
        let zero = time("1980-01-02T00:00:00Z");
        assert_eq!(created(Some(zero), None, Some(new)), Some(new));
        assert_eq!(created(None, Some(old), Some(time("0001-01-01T00:00:00Z"))), Some(old));
        assert_eq!(created(None, None, Some(time("2026-01-11T00:00:01Z"))), None);
        let tomorrow = time("2026-01-11T00:00:00Z");
        assert_eq!(created(None, None, Some(tomorrow)), Some(tomorrow));
    }

    #[test]
    fn an_index_gives_the_platform_else_the_first_image_s6_2() {
        let index = |entries: &str| format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        let entry = |digest: &str, os: &str, architecture: &str| {
            format!(r#"{{"digest":"{digest}","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#)
        };
        let child = |text: &str, platform: &str| match read(text.as_bytes(), &platform.parse().unwrap()) {
            Ok(Manifest::Index { child, .. }) => child,
            other => panic!("{other:?}"),
        };
        let attested = index(&[entry(A, "unknown", "unknown"), entry(B, "linux", "arm64")].join(","));
        assert_eq!(child(&attested, "linux/amd64"), digest(B));
        let both = index(&[entry(A, "linux", "arm64"), entry(B, "linux", "amd64")].join(","));
        assert_eq!(child(&both, "linux/amd64"), digest(B));
        assert_eq!(child(&both, "linux/arm64/v8"), digest(A));
        assert_eq!(child(&both, "windows/amd64"), digest(A));
        let empty = index(&entry(A, "unknown", "unknown"));
        assert!(matches!(read(empty.as_bytes(), &Platform::default()), Err(ManifestError::Unsupported(_))));
    }

    #[test]
    fn manifests_and_configurations_are_read_s6_2() {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{A}"}},
                "annotations":{{"org.opencontainers.image.created":"2025-01-01T00:00:00Z","x":5,
                "org.opencontainers.image.source":"https://x"}}}}"#
        );
        let Ok(Manifest::Image { annotations, config }) = read(text.as_bytes(), &Platform::default()) else { panic!() };
        assert_eq!(config, Some(digest(A)));
        assert_eq!(annotations.created, Some(time("2025-01-01T00:00:00Z")));
        assert_eq!(annotations.labels["org.opencontainers.image.source"], "https://x");
        let chart = text.replace("oci.image.config", "cncf.helm.config");
        assert!(matches!(read(chart.as_bytes(), &Platform::default()), Ok(Manifest::Image { config: None, .. })));

        let config = read_config(
            br#"{"created":"2025-02-01T00:00:00.123456789Z","config":{"Labels":{"org.label-schema.build-date":"20200504",
                "other":"x","org.opencontainers.image.version":"1"}}}"#,
        )
        .unwrap();
        assert_eq!(config.label, Some(time("2020-05-04T00:00:00Z")));
        assert_eq!(config.created, Some(time("2025-02-01T00:00:00.123456789Z")));
        assert_eq!(config.labels.len(), 1);
        assert_eq!(read_config(br#"{"config":{"Labels":null}}"#).unwrap(), Config::default());
        assert_eq!(read_config(br#"{"created":7,"config":null}"#).unwrap(), Config::default());
    }

    #[test]
    fn other_kinds_are_unsupported_s6_3() {
        for text in [
            r#"{"schemaVersion":1,"name":"a","history":[]}"#,
            r#"{"mediaType":"application/x\u001b"}"#,
            r#"{"config":{"digest":"sha512:00"}}"#,
            r#"{"manifests":[]}"#,
        ] {
            assert!(
                matches!(read(text.as_bytes(), &Platform::default()), Err(ManifestError::Unsupported(_))),
                "{text}"
            );
        }
        assert!(matches!(read(b"<html>", &Platform::default()), Err(ManifestError::Malformed(_))));
    }

    #[test]
    fn labels_are_bounded() {
        let many: Vec<String> = (0..100).map(|n| format!(r#""org.opencontainers.image.x{n}":"y""#)).collect();
        let long = format!(r#""org.opencontainers.image.a":"{}""#, "z".repeat(MAX_LABEL + 1));
        let text = format!(r#"{{"config":{{"Labels":{{{long},{}}}}}}}"#, many.join(","));
        let labels = read_config(text.as_bytes()).unwrap().labels;
        assert_eq!(labels.len(), MAX_LABELS);
        assert!(!labels.contains_key("org.opencontainers.image.a"));
    }
}
