//! What the service is told besides registries: forges, repositories, where it listens, how often it looks.
//!
//! Data, and what the types cannot say ([`check`]). Secrets are named, never held: [`super::secret`] reads them when they
//! are needed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use super::repository::is_branch;
use super::tree::{Fault, Node, Origin};
use super::values::{ServiceUrl, Span};

/// A forge: its address, and what it and the service know each other by.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForgeConfig {
    /// What runs there.
    pub kind: ForgeKind,
    /// Its address, such as `https://git.example.com/gitea`. `https://` and the host it is configured as if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<ServiceUrl>,
    /// A file that holds the bot's access token; white space at its end is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The name of an environment variable that holds the bot's access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The secrets that its webhooks are signed with: several while one is being replaced.
    pub webhook_secrets: Vec<SecretSource>,
    /// A file of PEM certificates that its certificate may be signed by, besides the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// What a forge runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    /// Gitea or Forgejo.
    #[default]
    Gitea,
}

/// Where a secret stands: in a file or in a variable, one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSource {
    /// A file that holds it; white space at its end is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The name of an environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

/// A repository that is watched: one of a forge, by `forge` and `name`, or one on this machine, by `local`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryEntry {
    /// The forge, as it is named below `forges`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forge: Option<String>,
    /// Its name there, such as `acme/fleet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The folder of a git repository on this machine, bare or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<PathBuf>,
    /// The branch that pull requests are for. The repository's own configuration or the default branch if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// Where the service listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port. Others than loopback belong behind something that speaks TLS.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The address that others reach the service by, such as `https://leadsman.example.com`: it goes into webhooks and
    /// links. Neither is made if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<ServiceUrl>,
    /// Whether there are pages for people besides webhooks, health and metrics.
    pub pages: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), public_url: None, pages: true }
    }
}

/// Webhooks of registries.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryWebhooks {
    /// The secrets that registries and build jobs send along or sign with: several while one is being replaced. Without
    /// one, no such webhook is taken.
    pub secrets: Vec<SecretSource>,
}

/// How often is looked, though nothing was heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Each image in use.
    pub images: Span,
    /// Each repository.
    pub repositories: Span,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { images: Span::from_secs(15 * 60), repositories: Span::from_secs(60 * 60) }
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The shortest time between two looks at the same thing.
const LEAST_PERIOD: Span = Span::from_secs(60);

/// What the types cannot say about the service's part of the configuration.
pub(super) fn check(config: &Config, root: &Node) -> Result<(), Fault> {
    let fault = |path: &[&str], message: String| {
        let origin = root.get(path).map_or(Origin::Default, |node| node.origin.clone());
        let mut fault = Fault::new(message).at(&origin);
        fault.path = path.iter().map(|key| (*key).to_owned()).collect();
        fault
    };
    for (host, forge) in &config.forges {
        let at = |key| ["forges", host.as_str(), key];
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(fault(&["forges", host], format!("`{host}` is no host of a forge"))
                .hint("write the host alone, with its port if it has one, such as `gitea.example.com`"));
        }
        if host == "local" {
            let hint = "repositories on this machine need no forge: write `repositories: [{local: /srv/git/fleet}]`";
            return Err(fault(&["forges", host], "`local` is no host of a forge".into()).hint(hint));
        }
        match (&forge.token_file, &forge.token_env) {
            (Some(_), Some(_)) => {
                return Err(fault(&at("token_env"), "`token_file` and `token_env` are both given; keep one".into()));
            }
            (None, None) => {
                return Err(fault(&["forges", host], "a forge without `token_file` or `token_env`".into())
                    .hint("make a token for the bot's own account there, and name the file that holds it"));
            }
            _ => {}
        }
        for (number, secret) in forge.webhook_secrets.iter().enumerate() {
            secret
                .check()
                .map_err(|message| fault(&["forges", host, "webhook_secrets", &number.to_string()], message.into()))?;
        }
    }
    for (number, secret) in config.registry_webhooks.secrets.iter().enumerate() {
        let at = ["registry_webhooks", "secrets", &number.to_string()];
        secret.check().map_err(|message| fault(&at, message.into()))?;
    }
    let mut seen = BTreeSet::new();
    for (number, entry) in config.repositories.iter().enumerate() {
        let number = number.to_string();
        let at = ["repositories", number.as_str()];
        let wrong = |message: String| fault(&at, message);
        let RepositoryEntry { forge, name, local, base } = entry;
        let identity = match (forge, name, local) {
            (Some(forge), Some(name), None) => {
                if !config.forges.contains_key(forge) {
                    let known = config.forges.keys().map(String::as_str);
                    let near = crate::output::text::nearest(forge, known.clone());
                    let hint = match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if config.forges.is_empty() => "add it below `forges`, with its token".to_owned(),
                        None => format!("configured are {}", crate::output::text::listed(known)),
                    };
                    return Err(fault(
                        &["repositories", &number, "forge"],
                        format!("`{forge}` is no configured forge"),
                    )
                    .hint(hint));
                }
                let parts: Vec<&str> = name.split('/').collect();
                let is_word = |part: &&str| {
                    !part.is_empty()
                        && !part.starts_with('.')
                        && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                };
                if parts.len() < 2 || !parts.iter().all(is_word) {
                    return Err(fault(
                        &["repositories", &number, "name"],
                        format!("`{name}` is no name of a repository: write `owner/name`"),
                    ));
                }
                // Forges tell names apart without regard to case.
                (forge.clone(), name.to_lowercase())
            }
            (None, None, Some(folder)) => ("local".to_owned(), folder.to_string_lossy().into_owned()),
            (Some(_), None, None) => return Err(wrong("a repository of a forge without `name`".into())),
            (None, Some(_), None) => return Err(wrong("a repository of a forge without `forge`".into())),
            (None, None, None) => {
                return Err(wrong("a repository needs `forge` and `name`, or `local`".into()));
            }
            (_, _, Some(_)) => {
                return Err(wrong(
                    "`local` stands alone: a repository on this machine has no `forge` and `name`".into(),
                ));
            }
        };
        if let Some(base) = base.as_ref().filter(|base| !is_branch(base)) {
            let message = format!("`{base}` is no name of a branch: write it without `refs/heads/`");
            return Err(fault(&["repositories", &number, "base"], message));
        }
        if !seen.insert((identity.clone(), base.clone())) {
            return Err(wrong(format!("`{}` stands here twice; keep one", identity.1)));
        }
    }
    if config.workers == 0 || config.workers > 64 {
        return Err(fault(&["workers"], "must be from 1 to 64".into()));
    }
    for (key, period) in [("images", config.schedule.images), ("repositories", config.schedule.repositories)] {
        if period.duration() < LEAST_PERIOD.duration() {
            return Err(fault(&["schedule", key], format!("`{period}` is too often: at least `{LEAST_PERIOD}`")));
        }
    }
    for host in &config.allow_private_registries {
        if host.is_empty() || host.contains(['/', ':', '@', '*', ' ']) {
            return Err(fault(&["allow_private_registries"], format!("`{host}` is no host without port")));
        }
    }
    let is_handle = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let handle = &config.handle;
    if handle.is_empty() || handle.len() > 39 || !handle.chars().all(is_handle) || handle.starts_with('-') {
        return Err(fault(&["handle"], format!("`{handle}` is no handle: letters, digits and `-`, without `@`")));
    }
    Ok(())
}

impl SecretSource {
    fn check(&self) -> Result<(), &'static str> {
        match (&self.file, &self.env) {
            (Some(_), Some(_)) => Err("`file` and `env` are both given; keep one"),
            (None, None) => Err("a secret needs `file` or `env`"),
            _ => Ok(()),
        }
    }
}

impl ForgeConfig {
    /// The forge's address, without a slash at its end; `host` is what it is configured as.
    #[must_use]
    pub fn address(&self, host: &str) -> String {
        self.url.as_ref().map_or_else(|| format!("https://{host}"), |url| url.as_str().to_owned())
    }
}
