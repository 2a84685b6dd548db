//! The configuration of the program: its types, their documentation and defaults, and how a value is found.
//!
//! Looked for in this order: `--config`, `LEADSMAN_CONFIG`, `leadsman.yaml` in the user's configuration folder. Never in
//! the tree that is scanned nor in the working directory: a pull request must not bring a mirror or a certificate
//! authority of its own. Every value can be given as a `LEADSMAN_…` variable, which wins over the file. Secrets are
//! named here, never held: a file or a variable has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leadsman_scanner::registry::TimeCache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod glob;
mod load;
mod registries;
pub mod repository;
mod secret;
mod service;
mod templates;
mod tree;
mod values;

pub use glob::{NamePattern, PathPattern};
pub use load::{Environment, Loaded, Setting, Source, user_folder};
pub use service::{
    ForgeConfig, ForgeKind, LogFormat, RegistryWebhooks, RepositoryEntry, Schedule, SecretSource, Server,
};
pub use templates::read_templates;
pub use tree::Origin;
pub use values::{Label, MirrorUrl, Platform, ServiceUrl, Span};

/// The file's name in the user's configuration folder.
pub const FILE_NAME: &str = "leadsman.yaml";

/// The configuration of Leadsman. Every key may also be given as an environment variable: `LEADSMAN_` and the key in
/// upper case (`LEADSMAN_PLATFORM`), with `__` between nested keys (`LEADSMAN_SERVER__LISTEN`), a map or a list as one JSON
/// value (`LEADSMAN_REGISTRIES`). A variable wins over the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Leadsman configuration")]
pub struct Config {
    /// Registries by host, such as `docker.io` or `registry.example.com:5000`: mirrors, credentials, certificate
    /// authorities and limits. A host named here counts as a host in image references even without a dot or port.
    pub registries: BTreeMap<String, Registry>,
    /// Whose creation time counts for an image of many platforms: `os/architecture`, or `os/architecture/variant`.
    pub platform: Platform,
    /// An order by creation time asks each matching tag for its time once. An image with more new matching tags than
    /// this is `too-many-tags` instead.
    #[schemars(range(min = 1))]
    pub max_new_tags: u32,
    /// The longest that listing the tags of one image may take, with pages, retries and waiting; and again the longest
    /// that reading their creation times may take.
    pub image_timeout: Span,
    /// Where creation times are kept between runs. The user's cache folder if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
    /// Where the store is kept. The user's data folder if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// A folder of templates that are used in place of those that come with Leadsman, by the same names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates_dir: Option<PathBuf>,
    /// Forges by host, such as `gitea.example.com`.
    pub forges: BTreeMap<String, ForgeConfig>,
    /// The repositories that `leadsman serve` watches.
    pub repositories: Vec<RepositoryEntry>,
    /// Where `leadsman serve` listens.
    pub server: Server,
    /// Webhooks of registries and build jobs.
    pub registry_webhooks: RegistryWebhooks,
    /// How often `leadsman serve` looks by itself.
    pub schedule: Schedule,
    /// Pieces of work that `leadsman serve` does at a time.
    #[schemars(range(min = 1, max = 64))]
    pub workers: u16,
    /// Hosts of registries, without port, that `leadsman serve` may ask at private addresses. All others must be at
    /// public ones, because any repository may name any host. Hosts of mirrors are allowed anyway.
    pub allow_private_registries: Vec<String>,
    /// The name that commands begin with: `@leadsman merge`.
    pub handle: String,
    /// How `leadsman serve` writes a line of its log. What is logged is said by `LEADSMAN_LOG`.
    pub log_format: LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registries: BTreeMap::new(),
            platform: Platform::default(),
            max_new_tags: 500,
            image_timeout: Span::from_secs(60),
            cache_dir: None,
            data_dir: None,
            templates_dir: None,
            forges: BTreeMap::new(),
            repositories: Vec::new(),
            server: Server::default(),
            registry_webhooks: RegistryWebhooks::default(),
            schedule: Schedule::default(),
            workers: 4,
            allow_private_registries: Vec::new(),
            handle: "leadsman".to_owned(),
            log_format: LogFormat::default(),
        }
    }
}

/// What is special about one registry host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Ask this registry instead, such as `http://127.0.0.1:5000`. It gets the credentials of its own entry, never
    /// those of the host it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorUrl>,
    /// The user name. Without one, docker's configuration and its credential helpers are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file that holds the password or token; white space at its end is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The name of an environment variable that holds the password or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// A file of PEM certificates that this host's certificate may be signed by, besides the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Speak plain HTTP instead of TLS. Loopback hosts are spoken to so anyway.
    pub insecure: bool,
    /// Images of this host that are asked for at a time; 16 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: Option<u16>,
    /// Requests per second to this host at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rate: Option<u32>,
}

impl Config {
    /// The JSON Schema of the configuration file.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    /// The longest that one image may take.
    #[must_use]
    pub fn image_timeout(&self) -> Duration {
        self.image_timeout.duration()
    }

    /// What is known of creation times from earlier runs (S6.3); it ends with the program where there is no home.
    #[must_use]
    pub fn times(&self) -> TimeCache {
        self.cache_folder().map_or_else(TimeCache::in_memory, |folder| TimeCache::at(folder.join("image-times")))
    }

    /// Where caches lie: `cache_dir`, or the user's cache folder; `None` where there is no home.
    #[must_use]
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.cache_dir.clone().or_else(|| user_folder(etcetera::BaseStrategy::cache_dir))
    }

    /// Where the store lies: `data_dir`, or the user's data folder; `None` where there is no home.
    #[must_use]
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.data_dir.clone().or_else(|| user_folder(etcetera::BaseStrategy::data_dir))
    }
}

/// Files that the configuration names are relative to the folder it lies in.
fn absolute(base: &Path, path: &mut Option<PathBuf>) {
    if let Some(path) = path
        && path.is_relative()
    {
        *path = base.join(&*path);
    }
}

#[cfg(test)]
mod tests;
