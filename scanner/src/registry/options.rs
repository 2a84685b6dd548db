//! What a [`Registry`](super::Registry) is told: hosts, credentials, limits. Data only.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// A user name and the secret that goes with it.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user; `<token>` means that the secret is an identity token, as docker's helpers say it.
    pub username: String,
    /// The password or token.
    pub password: SecretString,
}

/// What is configured for one host, by the host's name as images write it (`docker.io`, `localhost:5000`).
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Where the host's images are asked for instead. A path in it goes before the repository:
    /// `https://harbor.example/hub` asks `harbor.example` for `hub/library/nginx`. The mirror's own entry, by its host
    /// and port, has its credentials, CA and limits.
    pub mirror: Option<Url>,
    /// Credentials for this host; they overrule docker's.
    pub credentials: Option<Credentials>,
    /// A PEM file with certificates to trust for this host, besides the system's. Makes a loopback host speak TLS.
    pub ca: Option<PathBuf>,
    /// Plain HTTP instead of TLS.
    pub insecure: bool,
    /// How many images are asked for at a time; 16 where nothing is said.
    pub concurrency: Option<usize>,
    /// The most requests per second; no limit where nothing is said.
    pub rate: Option<u32>,
}

/// Where docker's `config.json` is read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DockerConfig {
    /// `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`, as docker itself does.
    #[default]
    Standard,
    /// This file.
    At(PathBuf),
    /// It is not read.
    Off,
}

/// How registries are asked.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// What is configured for single hosts.
    pub hosts: BTreeMap<String, HostOptions>,
    /// Whether loopback and private addresses may be dialled. Link-local and metadata addresses never are.
    pub allow_private: bool,
    /// Hosts, by name or address without port, that may be at a private address though `allow_private` is off. The
    /// hosts of configured mirrors belong to them.
    pub allowed_private: BTreeSet<String>,
    /// Where docker's credentials are.
    pub docker_config: DockerConfig,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` hold. The proxy then resolves names, so that the address guard
    /// sees only addresses written as such. Loopback hosts are never asked by a proxy.
    pub proxy: bool,
    /// The time for one question about one image in all, from its turn on.
    pub timeout: Duration,
    /// The time for a connection to be made.
    pub connect_timeout: Duration,
    /// The time between two signs of life within an answer.
    pub idle_timeout: Duration,
    /// The time for a credential helper to answer before it is killed.
    pub helper_timeout: Duration,
    /// How often a question is put at most while it fails in passing; at least 1.
    pub attempts: u32,
    /// A number from 0 to 1 by which waits between attempts differ, so that many do not come back at once.
    pub jitter: fn() -> f64,
    /// The program's name and version.
    pub user_agent: String,
}

impl Default for RegistryOptions {
    /// The command line's: private addresses allowed, docker's credentials, 60 s per question.
    fn default() -> Self {
        Self {
            hosts: BTreeMap::new(),
            allow_private: true,
            allowed_private: BTreeSet::new(),
            docker_config: DockerConfig::default(),
            proxy: true,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(20),
            helper_timeout: Duration::from_secs(10),
            attempts: 3,
            jitter,
            user_agent: concat!("leadsman/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// Chance enough for spreading retries: the keys of a fresh hash map.
fn jitter() -> f64 {
    f64::from(RandomState::new().build_hasher().finish() as u32) / f64::from(u32::MAX)
}

/// The sizes and counts that no answer may exceed, in bytes after decompression.
pub(super) mod limits {
    pub(in super::super) const TAGS_PAGE: usize = 8 << 20;
    pub(in super::super) const MANIFEST: usize = 4 << 20;
    pub(in super::super) const CONFIG: usize = 8 << 20;
    pub(in super::super) const TOKEN: usize = 64 << 10;
    pub(in super::super) const ROOT: usize = 64 << 10;
    pub(in super::super) const PAGES: usize = 1_000;
    pub(in super::super) const TAGS: usize = 100_000;
    /// The largest page that is asked for.
    pub(in super::super) const PAGE_SIZE: u32 = 1_000;
    pub(in super::super) const CONCURRENCY: usize = 16;
}
