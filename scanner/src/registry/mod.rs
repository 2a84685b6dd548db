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
mod lists;
mod look;
mod manifest;
mod metadata;
mod options;
mod pages;
mod platform;
mod probe;
mod question;
mod retry;
mod tags;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use url::Url;

pub use self::cache::TimeCache;
pub use self::error::{Part, RegistryError, RegistryErrorKind, printable};
pub use self::lists::Lists;
pub use self::look::{TagLook, TagTime};
pub use self::manifest::Created;
pub use self::metadata::Metadata;
pub use self::options::{Credentials, DockerConfig, HostOptions, RegistryOptions};
pub use self::pages::Listing;
pub use self::platform::{Platform, PlatformError};
pub use self::probe::{Access, Probe};
pub use self::tags::TagList;

use self::host::Host;
use self::options::limits;
use self::question::{Budget, Question, Shared};
use self::transport::{Transport, authority};
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
        self.ask(image, None, async |question| pages::list_tags(question, etag).await).await
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
        self.ask(image, budget, async |question| metadata::digest(question, tag).await).await
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
        self.ask(image, budget, async |question| metadata::metadata(question, reference, platform).await).await
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
