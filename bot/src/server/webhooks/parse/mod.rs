//! From a payload to what is to be looked at again. Pure.
//!
//! A payload wakes, and no more: it names things, and their text, author and state are read from where they live
//! afterwards. So only names are taken out of it, each held to the shape that such names have; one that has another
//! shape is as good as none.

use leadsman_scanner::reference::{Digest, ImageName, is_tag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::forge::RepositoryName;

pub mod distribution;
pub mod generic;
pub mod gitea;

/// The longest name of a repository or branch that is believed, in bytes.
const MAX_NAME: usize = 1000;

/// One thing to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "wake", rename_all = "snake_case")]
pub enum Wake {
    /// An image was pushed or deleted.
    Image {
        /// Its registry, as manifests name it.
        host: String,
        /// Its repository there.
        repository: String,
        /// The tag; none: any may have changed.
        tag: Option<String>,
        /// The digest that was pushed.
        digest: Option<String>,
    },
    /// A repository was created or deleted, or its settings changed.
    Repository {
        /// Its forge.
        host: String,
        /// Its name.
        name: RepositoryName,
    },
    /// A repository has a new name.
    Renamed {
        /// Its forge.
        host: String,
        /// The name it had.
        from: RepositoryName,
        /// The name it has.
        to: RepositoryName,
    },
    /// A branch was made, moved or deleted.
    Branch {
        /// Its forge.
        host: String,
        /// Its repository.
        name: RepositoryName,
        /// The branch, without `refs/heads/`.
        branch: String,
    },
    /// A pull request or its reviews changed.
    Pull {
        /// Its forge.
        host: String,
        /// Its repository.
        name: RepositoryName,
        /// Its number.
        number: i64,
    },
    /// Somebody wrote on a pull request or an issue (C1.3).
    Comment {
        /// Its forge.
        host: String,
        /// Its repository.
        name: RepositoryName,
        /// The number of the pull request or issue.
        number: i64,
    },
    /// An issue changed.
    Issue {
        /// Its forge.
        host: String,
        /// Its repository.
        name: RepositoryName,
        /// Its number.
        number: i64,
    },
    /// A check of a commit changed.
    Status {
        /// Its forge.
        host: String,
        /// Its repository.
        name: RepositoryName,
        /// The commit's full id.
        sha: String,
    },
}

/// A signed payload that does not say what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot read the payload: {0}")]
pub struct Unreadable(pub String);

/// What a parser sees: checked, and not yet read.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What the source calls the event, in its header.
    pub event: &'a str,
    /// What was signed: the body, or what the source signs of it.
    pub body: &'a [u8],
    /// The host that this source is known by in the configuration, if it stands there.
    pub host: Option<&'a str>,
}

/// Reads JSON, with a message that holds none of it.
///
/// # Errors
/// Where it is no JSON of this shape.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a field is missing or has another type than it should",
            serde_json::error::Category::Eof => "the JSON ends too early",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "it is not JSON",
        };
        Unreadable(format!("{what}, at line {} column {}", error.line(), error.column()))
    })
}

/// The host in lower case, if it is one, with its port.
pub(crate) fn host(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b);
    (!text.is_empty() && text.len() <= 255 && text.bytes().all(plain)).then(|| text.to_ascii_lowercase())
}

/// The host of an address, with its port.
pub(crate) fn host_of(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let name = url.host_str()?;
    host(&url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}")))
}

/// The name of a repository, if it can be one.
pub(crate) fn repository(text: &str) -> Option<RepositoryName> {
    let odd = text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control);
    (!odd).then(|| RepositoryName(text.to_owned()))
}

/// The branch that a full ref names; none for tags and others.
pub(crate) fn branch(full: &str) -> Option<String> {
    let name = full.strip_prefix("refs/heads/")?;
    let odd = name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control);
    (!odd).then(|| name.to_owned())
}

/// A full commit id.
pub(crate) fn sha(text: &str) -> Option<String> {
    let right = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    right.then(|| text.to_ascii_lowercase())
}

/// An image to be looked at, unless its name is none. A tag or digest of another shape is left out: then the whole
/// image is looked at.
pub(crate) fn image(host_name: &str, repository: &str, tag: Option<&str>, digest: Option<&str>) -> Option<Wake> {
    let name = ImageName::from_canonical(&format!("{}/{repository}", host(host_name)?))?;
    Some(Wake::Image {
        host: name.host().to_owned(),
        repository: name.repository().to_owned(),
        tag: tag.filter(|tag| is_tag(tag)).map(str::to_owned),
        digest: digest.and_then(Digest::parse).map(|digest| digest.as_str().to_owned()),
    })
}

/// Whether a tag is where a signature, attestation or SBOM of another image is kept: `sha256-<64 hex>` with an ending
/// (cosign), or without one (the referrers of registries that have no API for them).
#[must_use]
pub fn is_companion(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("sha256-") else { return false };
    let (hex, ending) = rest.split_once('.').unwrap_or((rest, ""));
    hex.len() == 64
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
        && matches!(ending, "" | "sig" | "att" | "sbom" | "cosign" | "vex")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_their_shapes() {
        assert_eq!(host("Gitea.Example.com:3000").as_deref(), Some("gitea.example.com:3000"));
        assert_eq!(host_of("https://gitea.example.com/a/b").as_deref(), Some("gitea.example.com"));
        assert_eq!(host_of("http://[::1]:3000/a").as_deref(), Some("[::1]:3000"));
        for odd in ["", "a b", "a/b", "a@b", "ä.example", "a\nb"] {
            assert_eq!(host(odd), None, "{odd:?}");
        }
        assert_eq!(branch("refs/heads/leadsman/a-1").as_deref(), Some("leadsman/a-1"));
        assert_eq!(branch("refs/tags/v1"), None);
        assert_eq!(branch("refs/heads/"), None);
        assert_eq!(branch("refs/heads/a\u{7}"), None);
        assert_eq!(sha(&"A".repeat(40)), Some("a".repeat(40)));
        assert_eq!(sha("abc"), None);
        assert_eq!(sha(&"é".repeat(20)), None);
        assert_eq!(repository(&"a".repeat(MAX_NAME + 1)), None);
    }

    #[test]
    fn companions_are_known_by_their_tags() {
        let digest = "a".repeat(64);
        for ending in ["", ".sig", ".att", ".sbom"] {
            assert!(is_companion(&format!("sha256-{digest}{ending}")), "{ending}");
        }
        for tag in ["1.2.3", "sha256-abc.sig", &format!("sha256-{digest}.1"), &format!("sha-{digest}")] {
            assert!(!is_companion(tag), "{tag}");
        }
    }

    #[test]
    fn errors_hold_nothing_of_the_payload() {
        #[derive(Debug, Deserialize)]
        struct Shape {
            #[expect(dead_code, reason = "only its type counts")]
            number: i64,
        }
        for body in [r#"{"number": "s3cret"}"#, r#"{"s3cret"#, "s3cret", r#"{"s3cret": 1}"#] {
            let error = json::<Shape>(body.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
