//! Fills a registry by its own API: images of every kind that is read, with their creation times in every place.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use leadsman_scanner::reference::Digest;
use serde_json::{Value, json};

use super::http::send;

const OCTETS: &str = "application/octet-stream";

/// Docker's or the OCI's kinds of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Manifests of Docker's schema 2, and manifest lists.
    Docker,
    /// Manifests and indexes of the OCI.
    Oci,
}

impl Format {
    fn manifest(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
        }
    }

    fn index(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::Oci => "application/vnd.oci.image.index.v1+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.container.image.v1+json",
            Self::Oci => "application/vnd.oci.image.config.v1+json",
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// Where an image says when it was made. Each is an RFC 3339 time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times<'a> {
    /// The annotation `org.opencontainers.image.created` (of OCI manifests and indexes).
    pub annotation: Option<&'a str>,
    /// The label of that name.
    pub label: Option<&'a str>,
    /// The field of the configuration.
    pub config: Option<&'a str>,
}

/// A registry to fill.
#[derive(Debug, Clone)]
pub struct Pusher {
    address: SocketAddr,
    authorization: Option<String>,
}

/// A manifest in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Its digest.
    pub digest: Digest,
    size: usize,
}

impl Pusher {
    /// A pusher to the registry at this address. `authorization` is sent as it is.
    #[must_use]
    pub fn new(address: SocketAddr, authorization: Option<String>) -> Self {
        Self { address, authorization }
    }

    /// Pushes an image under a tag, or only by its digest.
    ///
    /// # Errors
    /// Where the registry refuses it.
    pub fn image(&self, repository: &str, tag: Option<&str>, format: Format, times: Times<'_>) -> Result<Pushed> {
        let mut config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Labels": {"org.opencontainers.image.source": "https://example.com/source", "other": "x"}}});
        if let Some(time) = times.config {
            config["created"] = time.into();
        }
        if let Some(time) = times.label {
            config["config"]["Labels"]["org.opencontainers.image.created"] = time.into();
        }
        // Images that differ only in their tag are one image.
        config["config"]["Env"] = json!([format!("TAG={}", tag.unwrap_or_default())]);
        let config = serde_json::to_vec(&config)?;
        let layer = b"layer";
        self.blob(repository, &config)?;
        self.blob(repository, layer)?;
        let mut manifest = json!({"schemaVersion": 2, "mediaType": format.manifest(),
            "config": {"mediaType": format.config(), "digest": Digest::of(&config).as_str(), "size": config.len()},
            "layers": [{"mediaType": format.layer(), "digest": Digest::of(layer).as_str(), "size": layer.len()}]});
        annotate(&mut manifest, times.annotation);
        self.manifest(repository, tag, format.manifest(), &manifest)
    }

    /// Pushes an index of these platforms (`os/architecture`) under a tag.
    ///
    /// # Errors
    /// Where the registry refuses it.
    pub fn index(
        &self,
        repository: &str,
        tag: &str,
        format: Format,
        annotation: Option<&str>,
        entries: &[(&str, &Pushed)],
    ) -> Result<Pushed> {
        let entries: Vec<Value> = entries
            .iter()
            .map(|(platform, pushed)| {
                let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
                json!({"mediaType": format.manifest(), "digest": pushed.digest.as_str(), "size": pushed.size,
                    "platform": {"os": os, "architecture": architecture}})
            })
            .collect();
        let mut index = json!({"schemaVersion": 2, "mediaType": format.index(), "manifests": entries});
        annotate(&mut index, annotation);
        self.manifest(repository, Some(tag), format.index(), &index)
    }

    /// Pushes any manifest.
    ///
    /// # Errors
    /// Where the registry refuses it.
    pub fn manifest(&self, repository: &str, tag: Option<&str>, kind: &str, manifest: &Value) -> Result<Pushed> {
        let body = serde_json::to_vec(manifest)?;
        let digest = Digest::of(&body);
        let target = format!("/v2/{repository}/manifests/{}", tag.unwrap_or(digest.as_str()));
        self.send("PUT", &target, kind, &body, 201)?;
        Ok(Pushed { digest, size: body.len() })
    }

    /// Pushes a blob.
    ///
    /// # Errors
    /// Where the registry refuses it.
    pub fn blob(&self, repository: &str, content: &[u8]) -> Result<Digest> {
        let digest = Digest::of(content);
        let headers = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), OCTETS, b"", 202)?;
        let location = headers.into_iter().find(|(name, _)| name == "location").context("no place to upload to")?.1;
        let target =
            location.split_once("://").and_then(|(_, rest)| rest.find('/').map(|slash| rest[slash..].to_owned()));
        let target = target.unwrap_or(location);
        let joint = if target.contains('?') { '&' } else { '?' };
        self.send("PUT", &format!("{target}{joint}digest={digest}"), OCTETS, content, 201)?;
        Ok(digest)
    }

    fn send(&self, method: &str, target: &str, kind: &str, body: &[u8], wanted: u16) -> Result<Vec<(String, String)>> {
        let mut headers = vec![("Content-Type", kind)];
        headers.extend(self.authorization.as_deref().map(|value| ("Authorization", value)));
        let answer = send(self.address, method, target, &headers, body)?;
        if answer.status != wanted {
            bail!("{method} {target}: status {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer.headers)
    }
}

fn annotate(manifest: &mut Value, created: Option<&str>) {
    if let Some(time) = created {
        manifest["annotations"] = json!({"org.opencontainers.image.created": time});
    }
}
