//! Asks registries for tags, digests, creation times and labels of images: the only network code of this crate.
//!
//! Owns connections, credentials and limits. Must not decide anything about versions, nor know manifests of
//! workloads. Invariants:
//! - every address passes the address guard before it is dialled, redirects and token servers included;
//! - credentials go only to their host and to the token server that it named;
//! - every answer is bounded in size, every chain of pages in length, every question in time;
//! - nothing a registry says leaves here unchecked: tags and digests follow their grammar (S5.4), messages are escaped;
//! - an error is about one image, and no other image suffers from it, unless its host is down.

mod auth;
mod cache;
pub mod challenge;
mod credentials;
mod error;
mod guard;
mod host;
pub mod link;
mod look;
mod manifest;
mod options;
mod platform;
mod probe;
mod question;
mod retry;
mod tags;
mod transport;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Method, StatusCode};
use thiserror::Error;
use url::Url;

pub use self::cache::TimeCache;
pub use self::error::{Part, RegistryError, RegistryErrorKind, printable};
pub use self::look::{TagLook, TagTime};
pub use self::manifest::Created;
pub use self::options::{Credentials, DockerConfig, HostOptions, RegistryOptions};
pub use self::platform::{Platform, PlatformError};
pub use self::probe::{Access, Probe};
pub use self::tags::TagList;

use self::host::Host;
use self::manifest::{Annotations, Manifest, ManifestError};
use self::options::limits;
use self::question::{Budget, Call, Question, Shared};
use self::tags::{PageError, read_page};
use self::transport::{Reply, Transport, authority};
use crate::reference::{Digest, ImageName};

use self::error::RegistryErrorKind as Kind;

/// How many hosts are remembered before those nobody asks are forgotten.
const HOSTS: usize = 4_096;

/// Asks registries. Cheap to clone: all clones share connections, tokens and limits.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

/// The answer to a question for tags that knows an earlier answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// The list is as it was when the ETag was given.
    Unchanged,
    /// The list as it is now.
    Tags(TagList),
}

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

/// Options that cannot hold together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A mirror that is no address of a registry.
    #[error(
        "the mirror `{mirror}` of `{host}` is no address of a registry, write one such as `https://mirror.example`"
    )]
    Mirror {
        /// Whose mirror it is.
        host: String,
        /// What is written.
        mirror: String,
    },
    /// A mirror in plain HTTP that nobody allowed.
    #[error(
        "the mirror `{mirror}` of `{host}` is plain HTTP: write `https://`, or set `insecure: true` for `{authority}`"
    )]
    PlainMirror {
        /// Whose mirror it is.
        host: String,
        /// What is written.
        mirror: String,
        /// The entry that would allow it.
        authority: String,
    },
}

impl Registry {
    /// A client with these options. Opens no connection and reads no file.
    ///
    /// # Errors
    /// Where a mirror is no address, or one in plain HTTP that is not allowed.
    pub fn new(mut options: RegistryOptions) -> Result<Self, OptionsError> {
        options.attempts = options.attempts.max(1);
        let transport = Transport::new(&options);
        for (host, mirror) in options.hosts.iter().filter_map(|(host, options)| Some((host, options.mirror.as_ref()?)))
        {
            let (host, shown) = (host.clone(), mirror.to_string());
            if mirror.host().is_none() || !matches!(mirror.scheme(), "http" | "https") || !mirror.username().is_empty()
            {
                return Err(OptionsError::Mirror { host, mirror: shown });
            }
            if mirror.scheme() == "http" && !transport.may_be_plain(mirror) {
                return Err(OptionsError::PlainMirror { host, mirror: shown, authority: authority(mirror) });
            }
        }
        let shared = Shared { options, transport, docker: tokio::sync::OnceCell::new() };
        Ok(Self { inner: Arc::new(Inner { shared, hosts: Mutex::default() }) })
    }

    /// How many requests were sent so far, those for tokens and behind redirects included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.inner.shared.transport.requests()
    }

    /// The image's tags: one request per thousand tags.
    ///
    /// # Errors
    /// Where the list cannot be read whole: half a list is never an answer (S6.3).
    pub async fn tags(&self, image: &ImageName) -> Result<TagList, RegistryError> {
        match self.tags_unless(image, None).await? {
            Listing::Tags(list) => Ok(list),
            // Without an ETag to compare with, a registry that says so has said nothing.
            Listing::Unchanged => Ok(TagList::default()),
        }
    }

    /// The image's tags, unless they are as they were when the registry gave this ETag ([`TagList::etag`]).
    ///
    /// # Errors
    /// As for [`Registry::tags`].
    pub async fn tags_unless(&self, image: &ImageName, etag: Option<&str>) -> Result<Listing, RegistryError> {
        self.ask(image, None, async |question| list_tags(question, etag).await).await
    }

    /// What a tag points at: the index where there is one (S2.6). One HEAD request.
    ///
    /// # Errors
    /// Where the registry does not say.
    pub async fn digest(&self, image: &ImageName, tag: &str) -> Result<Digest, RegistryError> {
        self.digest_within(image, tag, None).await
    }

    async fn digest_within(
        &self,
        image: &ImageName,
        tag: &str,
        budget: Option<&Budget>,
    ) -> Result<Digest, RegistryError> {
        self.ask(image, budget, async |question| {
            let call = Call { method: Method::HEAD, ..manifest_call(question, tag) };
            match question.call(&call).await {
                Ok(reply) => {
                    if let Some(digest) = Digest::parse(reply.header("docker-content-digest")) {
                        return Ok(digest);
                    }
                }
                // Some registries know no HEAD.
                Err(Kind::Unexpected { status: 405 | 501, .. }) => {}
                Err(error) => return Err(error),
            }
            Ok(manifest(question, tag).await?.digest)
        })
        .await
    }

    /// The digest, creation time and labels of the image behind a tag or a digest: two requests, three for an index,
    /// one less where the kind of image has no configuration to read.
    ///
    /// # Errors
    /// Where they cannot be read whole. [`RegistryError::is_lasting`] tells what asking again cannot mend.
    pub async fn metadata(
        &self,
        image: &ImageName,
        reference: &str,
        platform: &Platform,
    ) -> Result<Metadata, RegistryError> {
        self.metadata_within(image, reference, platform, None).await
    }

    async fn metadata_within(
        &self,
        image: &ImageName,
        reference: &str,
        platform: &Platform,
        budget: Option<&Budget>,
    ) -> Result<Metadata, RegistryError> {
        self.ask(image, budget, async |question| metadata(question, reference, platform).await).await
    }

    /// The time that all questions of one look may take together: as if each of the host's permits were used for one
    /// time limit.
    fn budget(&self, image: &ImageName, questions: usize) -> Budget {
        let options = &self.inner.shared.options;
        let permits = options.hosts.get(image.host()).and_then(|host| host.concurrency).unwrap_or(limits::CONCURRENCY);
        Budget::new(options.timeout.saturating_mul(u32::try_from(permits.min(questions).max(1)).unwrap_or(u32::MAX)))
    }

    async fn ask<T>(
        &self,
        image: &ImageName,
        budget: Option<&Budget>,
        question: impl AsyncFnOnce(&mut Question<'_>) -> Result<T, Kind>,
    ) -> Result<T, RegistryError> {
        let error = |host: &str, kind| RegistryError { host: host.into(), image: image.clone(), kind };
        let (host, prefix) = self.endpoint(image.host()).map_err(|kind| error(image.host(), kind))?;
        let repository = format!("{prefix}{}", image.repository());
        let answer = question::ask(&self.inner.shared, &host, &repository, budget, question).await;
        answer.map_err(|kind| error(&host.name, kind))
    }

    /// Where the images of a host are asked for, and the path that goes before their repositories.
    fn endpoint(&self, name: &str) -> Result<(Arc<Host>, String), Kind> {
        let options = &self.inner.shared.options;
        let own = options.hosts.get(name);
        let mirror = own.and_then(|own| own.mirror.as_ref());
        let key = mirror.map_or_else(|| name.to_owned(), authority);
        let prefix = mirror.map(|mirror| mirror.path().trim_matches('/')).filter(|path| !path.is_empty());
        let prefix = prefix.map(|path| format!("{path}/")).unwrap_or_default();
        let mut hosts = self.inner.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Ok((Arc::clone(host), prefix));
        }
        let base = match mirror {
            Some(mirror) => {
                let mut base = mirror.clone();
                base.set_path("/");
                base.set_query(None);
                base.set_fragment(None);
                base
            }
            None => self.base(name)?,
        };
        if hosts.len() >= HOSTS {
            hosts.retain(|_, host| Arc::strong_count(host) > 1);
        }
        let host = Arc::new(Host::new(key.clone(), base, options.hosts.get(&key)));
        hosts.insert(key, Arc::clone(&host));
        Ok((host, prefix))
    }

    /// TLS, except for loopback hosts without a CA of their own and hosts that are configured so.
    fn base(&self, name: &str) -> Result<Url, Kind> {
        let address = if name == "docker.io" { "registry-1.docker.io" } else { name };
        let refused = |_| Kind::Refused { reason: format!("`{}` is no host that can be asked", printable(name, 100)) };
        let own = self.inner.shared.options.hosts.get(name);
        let plain = Url::parse(&format!("http://{address}/")).map_err(refused)?;
        let is_plain = match own {
            Some(own) if own.insecure => true,
            Some(own) if own.ca.is_some() => false,
            _ => guard::is_loopback(&plain),
        };
        if is_plain { Ok(plain) } else { Url::parse(&format!("https://{address}/")).map_err(refused) }
    }
}

/// Reads all pages of the list.
async fn list_tags(question: &mut Question<'_>, etag: Option<&str>) -> Result<Listing, Kind> {
    let mut list = TagList::default();
    let mut seen = std::collections::HashSet::new();
    let (mut url, reply) = first_page(question, etag).await?;
    if etag.is_some() && reply.status == StatusCode::NOT_MODIFIED {
        return Ok(Listing::Unchanged);
    }
    let given = reply.header("etag");
    let given = (!given.is_empty() && given.len() <= 256).then(|| given.to_owned());
    let mut next = add_page(&url, &reply, &mut list)?;
    if next.is_none() {
        list.etag = given;
    }
    while let Some(target) = next {
        let before = list.len() + list.dropped;
        let last = list.last().map(ToOwned::to_owned);
        if seen.is_empty() {
            seen.insert(url.to_string());
        }
        if !seen.insert(target.to_string()) {
            return Err(Kind::Paging { reason: "a page leads back to one that was read".into() });
        }
        if seen.len() > limits::PAGES {
            return Err(Kind::Paging { reason: format!("it has more than {} pages", limits::PAGES) });
        }
        url = target;
        let reply = question.call(&tags_call(url.clone(), None)).await?;
        next = add_page(&url, &reply, &mut list)?;
        if next.is_some() && list.len() + list.dropped > before && list.last().map(ToOwned::to_owned) == last {
            return Err(Kind::Paging { reason: "two pages end with the same tag".into() });
        }
    }
    list.shrink();
    Ok(Listing::Tags(list))
}

/// The first page, in the largest size that the host takes.
async fn first_page(question: &mut Question<'_>, etag: Option<&str>) -> Result<(Url, Reply), Kind> {
    let before = question.host.page_size();
    loop {
        let size = question.host.page_size();
        let mut url = question.address("tags/list");
        if let Some(size) = size {
            url.set_query(Some(&format!("n={size}")));
        }
        match question.call(&tags_call(url.clone(), etag)).await {
            Ok(reply) => return Ok((url, reply)),
            Err(Kind::Unexpected { status: 400 | 413 | 414 | 416 | 422, .. }) if question.host.shrink_page(size) => {}
            Err(error) => {
                // It was not the size that was refused.
                question.host.restore_page(before);
                return Err(error);
            }
        }
    }
}

fn tags_call(url: Url, etag: Option<&str>) -> Call<'_> {
    Call { method: Method::GET, url, accept: None, etag, part: Part::Tags, limit: limits::TAGS_PAGE }
}

/// Adds a page to the list: where the next one is.
fn add_page(url: &Url, reply: &Reply, list: &mut TagList) -> Result<Option<Url>, Kind> {
    read_page(&reply.body, list).map_err(|error| match error {
        PageError::Malformed(reason) => Kind::Malformed { what: Part::Tags, reason },
        PageError::TooMany => Kind::TooManyTags { limit: limits::TAGS },
    })?;
    let mut links = reply.headers.get_all(reqwest::header::LINK).iter();
    let Some(target) = links.find_map(|value| link::next(value.to_str().ok()?)) else { return Ok(None) };
    link::resolve(url, target).map(Some).map_err(|error| Kind::Paging { reason: error.to_string() })
}

fn manifest_call(question: &Question<'_>, reference: &str) -> Call<'static> {
    let url = question.address(&format!("manifests/{reference}"));
    let accept = Some(manifest::ACCEPT);
    Call { method: Method::GET, url, accept, etag: None, part: Part::Manifest, limit: limits::MANIFEST }
}

/// A manifest or index as it was received.
struct Received {
    digest: Digest,
    body: bytes::Bytes,
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
    let reply = question.call(&manifest_call(question, reference)).await?;
    let digest = Digest::of(&reply.body);
    let expected = Digest::parse(reference).or_else(|| Digest::parse(reply.header("docker-content-digest")));
    match expected {
        Some(expected) if expected != digest => Err(Kind::DigestMismatch { what: Part::Manifest, expected }),
        expected => Ok(Received { digest, body: reply.body, is_whole: expected.is_some() }),
    }
}

async fn metadata(question: &mut Question<'_>, reference: &str, platform: &Platform) -> Result<Metadata, Kind> {
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
