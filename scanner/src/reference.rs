//! Image references, as container runtimes read them, and the canonical names every comparison uses (S2.5).
//!
//! Pure. Must not know where a reference came from. The grammar is that of the CNCF distribution project.

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The host that an image without one lives on.
pub const DEFAULT_HOST: &str = "docker.io";

/// Other spellings of [`DEFAULT_HOST`].
const DEFAULT_HOST_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// The longest repository name, with its host, that distribution accepts.
const MAX_NAME: usize = 255;

/// The longest tag.
const MAX_TAG: usize = 128;

/// The canonical name of an image: its host and repository, without tag and digest.
///
/// Displayed as `host/repository`, such as `docker.io/library/nginx`. Two spellings of one image are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    text: Box<str>,
    host: usize,
}

impl ImageName {
    /// The registry's host, with its port if it has one: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[..self.host]
    }

    /// The repository on that host: `library/nginx`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.text[self.host + 1..]
    }

    /// Both, as `host/repository`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads back what [`ImageName::as_str`] gave; `None` for anything else. Needs no list of known hosts, for the
    /// canonical form always begins with the host.
    #[must_use]
    pub fn from_canonical(text: &str) -> Option<Self> {
        let (host, _) = text.split_once('/')?;
        let name = Self::parse(text, &KnownHosts::new([host.to_owned()])).ok()?;
        (name.as_str() == text).then_some(name)
    }

    /// Parses a name that has neither tag nor digest, such as the value of `leadsman.dev/look-up.<container>` (S2.8).
    ///
    /// # Errors
    /// Where the text is no reference, or carries a tag or a digest.
    pub fn parse(text: &str, hosts: &KnownHosts) -> Result<Self, ReferenceError> {
        let reference = Reference::parse(text, hosts)?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(ReferenceError::NotAName(text.into()));
        }
        Ok(reference.name)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A content digest, `sha256:` and 64 lower-case hexadecimal digits. Nothing else counts as one (S5.4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

impl Digest {
    /// Parses `sha256:<64 hex>`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        is_sha256_hex(hex).then(|| Self(text.into()))
    }

    /// The digest of this content, as registries name content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(content).into())
    }

    /// The digest of these 32 bytes.
    #[must_use]
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        let mut text = String::with_capacity("sha256:".len() + 64);
        text.push_str("sha256:");
        for byte in hash {
            text.extend([byte >> 4, byte & 15].map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)])));
        }
        Self(text.into())
    }

    /// The digest with its `sha256:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits alone.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether the text is 64 lower-case hexadecimal digits.
pub(crate) fn is_sha256_hex(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether the text is a tag by distribution's grammar, `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}` (S5.4).
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Hosts that count as hosts though their names look like path elements: those the configuration names (S2.5).
#[derive(Debug, Clone, Default)]
pub struct KnownHosts(Vec<String>);

impl KnownHosts {
    /// The given hosts, besides those that look like hosts anyway.
    pub fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self(hosts.into_iter().collect())
    }

    fn contains(&self, host: &str) -> bool {
        self.0.iter().any(|known| known == host)
    }
}

/// A parsed image reference: canonical name, and tag and digest as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host and repository in canonical form.
    pub name: ImageName,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest the image is pinned to, if there is one.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses `[host/]repository[:tag][@digest]` (S2.5).
    ///
    /// # Errors
    /// Where the text does not follow distribution's grammar; the error says which part and what to write instead.
    pub fn parse(text: &str, hosts: &KnownHosts) -> Result<Self, ReferenceError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(ReferenceError::Scheme { scheme: scheme.into(), rest: rest.into() });
        }
        if let Some(rest) = text.strip_suffix('/') {
            return Err(ReferenceError::TrailingSlash(rest.into()));
        }
        if text.contains("${") {
            return Err(ReferenceError::Substitution(text.into()));
        }
        let (text, digest) = match text.split_once('@') {
            Some((before, digest)) => {
                let parsed = Digest::parse(digest).ok_or_else(|| ReferenceError::Digest(digest.into()))?;
                (before, Some(parsed))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(text);
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag(tag.into()));
        }
        Ok(Self { name: canonical(name, hosts)?, tag: tag.map(Into::into), digest })
    }
}

/// Splits `name:tag` at the last colon behind the last slash: a colon before it belongs to a port.
#[must_use]
pub fn split_tag(text: &str) -> (&str, Option<&str>) {
    let path = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[path..].find(':') {
        Some(colon) => (&text[..path + colon], Some(&text[path + colon + 1..])),
        None => (text, None),
    }
}

fn canonical(name: &str, hosts: &KnownHosts) -> Result<ImageName, ReferenceError> {
    let (host, repository) = match name.split_once('/') {
        Some((first, rest)) if is_host(first, hosts) => (first, rest),
        _ => (DEFAULT_HOST, name),
    };
    if !is_domain(host) {
        return Err(ReferenceError::Host(host.into()));
    }
    if !repository.split('/').all(is_path_component) {
        return Err(ReferenceError::Repository(repository.into()));
    }
    let lowered = host.to_ascii_lowercase();
    let host = if DEFAULT_HOST_ALIASES.contains(&lowered.as_str()) { DEFAULT_HOST } else { &lowered };
    let library = if host == DEFAULT_HOST && !repository.contains('/') { "library/" } else { "" };
    let text = format!("{host}/{library}{repository}");
    if text.len() > MAX_NAME {
        return Err(ReferenceError::TooLong(repository.into()));
    }
    Ok(ImageName { host: host.len(), text: text.into() })
}

fn is_host(first: &str, hosts: &KnownHosts) -> bool {
    first.contains(['.', ':']) || first == "localhost" || hosts.contains(first)
}

/// `domain[:port]` of distribution's grammar, IPv6 literals in brackets included.
fn is_domain(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
                return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            }
            _ => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    port.is_none_or(is_port)
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.parse::<u16>().is_ok() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Lower-case alphanumerics, separated by one of `.`, `_`, `__` or any number of dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    bytes
        .split(alphanumeric)
        .all(|separator| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-'))
}

/// Why a text is no image reference. Each message says what to write instead where that can be known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// `https://…` in front.
    #[error("`{scheme}://` does not belong into an image reference, write `{rest}`")]
    Scheme {
        /// What stood before `://`.
        scheme: String,
        /// What stood behind it.
        rest: String,
    },
    /// A slash at the end.
    #[error("a slash at the end does not belong into an image reference, write `{0}`")]
    TrailingSlash(String),
    /// A Flux post-build substitution, whose value is not in the file (S1.3).
    #[error("`{0}` holds a substitution (`${{…}}`) whose value is not in this file")]
    Substitution(String),
    /// The part behind `@`.
    #[error("`{0}` is no digest (`sha256:` and 64 hexadecimal digits)")]
    Digest(String),
    /// The part behind the colon.
    #[error("`{0}` is no tag (letters, digits, `_`, `.`, `-`, at most 128)")]
    Tag(String),
    /// The part before the first slash.
    #[error("`{0}` is no registry host")]
    Host(String),
    /// The repository path.
    #[error("`{0}` is no repository (lower-case letters, digits and single separators between slashes)")]
    Repository(String),
    /// Longer than registries accept.
    #[error("the repository name `{0}` is longer than 255 characters")]
    TooLong(String),
    /// A tag or digest where only a name belongs.
    #[error("`{0}` names a tag or a digest where only `host/repository` belongs")]
    NotAName(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text, &KnownHosts::new(["registry".to_owned()]))
    }

    #[test]
    fn names_become_canonical_s2_5() {
        for (text, name, tag) in [
            ("nginx", "docker.io/library/nginx", None),
            ("nginx:1.25", "docker.io/library/nginx", Some("1.25")),
            ("index.docker.io/nginx:1", "docker.io/library/nginx", Some("1")),
            ("registry-1.docker.io/bitnami/redis:7", "docker.io/bitnami/redis", Some("7")),
            ("bitnami/redis", "docker.io/bitnami/redis", None),
            ("localhost/x:1", "localhost/x", Some("1")),
            ("localhost:5000/a/b:1", "localhost:5000/a/b", Some("1")),
            ("registry/app:1", "registry/app", Some("1")),
            ("quay.io/org/bar:v1", "quay.io/org/bar", Some("v1")),
            ("QUAY.io/org/bar", "quay.io/org/bar", None),
            ("[::1]:5000/a:1", "[::1]:5000/a", Some("1")),
            ("a.b/c__d/e---f/g.h:_x", "a.b/c__d/e---f/g.h", Some("_x")),
        ] {
            let reference = parse(text).unwrap();
            assert_eq!(reference.name.as_str(), name, "{text}");
            assert_eq!(reference.tag.as_deref(), tag, "{text}");
        }
    }

    #[test]
    fn host_and_repository_are_apart() {
        let name = parse("localhost:5000/a/b").unwrap().name;
        assert_eq!((name.host(), name.repository()), ("localhost:5000", "a/b"));
    }

    #[test]
    fn canonical_names_are_read_back_s2_5() {
        for text in ["nginx", "registry/app", "[::1]:5000/a", "localhost/x"] {
            let name = parse(text).unwrap().name;
            assert_eq!(ImageName::from_canonical(name.as_str()), Some(name));
        }
        for text in ["", "nginx", "docker.io/nginx", "index.docker.io/library/nginx", "a.io/b:1"] {
            assert_eq!(ImageName::from_canonical(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_s2_4() {
        for text in [
            "foo:v1:v2",
            "https://quay.io/a",
            "quay.io/a/",
            "Foo",
            "a//b",
            "a..b",
            "a___b",
            "-a",
            "",
            "a:",
            ":1",
            "a b",
            "a@sha256:12",
            "host:x/a",
            "a.b:99999/c",
            "${REPO}/a:1",
            "a:${TAG}",
            "-a.b/c",
            "[::g]/a",
            "a\u{202e}:1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn digests_are_kept() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let reference = parse(&format!("a.io/b:1@{digest}")).unwrap();
        assert_eq!(reference.digest.unwrap().as_str(), digest);
        assert_eq!(parse(&format!("a.io/b@{digest}")).unwrap().tag, None);
    }

    #[test]
    fn content_has_the_digest_that_sha256sum_says() {
        let digest = Digest::of(b"{}");
        assert_eq!(digest.as_str(), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_eq!(Digest::parse(digest.as_str()), Some(digest));
    }

    #[test]
    fn hints_say_what_to_write() {
        assert_eq!(
            parse("https://quay.io/a").unwrap_err().to_string(),
            "`https://` does not belong into an image reference, write `quay.io/a`"
        );
    }
}
