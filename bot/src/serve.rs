//! Puts the service together from its configuration, and runs it.
//!
//! Owns no decision: which forge speaks for which host, where secrets come from, what is asked for at the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leadsman_scanner::detect::DetectOptions;
use leadsman_scanner::registry::{Lists, Registry};
use leadsman_scanner::scan::ScanOptions;
use url::Url;

use crate::config::{Config, Environment, ForgeKind, read_templates};
use crate::forge::gitea::Gitea;
use crate::forge::http::{HttpOptions, Metered};
use crate::forge::local::Local;
use crate::forge::local::forge::LocalForge;
use crate::forge::{Forge, RepositoryName, mirror};
use crate::output::error::CliError;
use crate::render::comments::CommentRenderer;
use crate::render::{Renderer, TEMPLATES};
use crate::server::webhooks::{HookKind, Source as HookSource, secret::Secrets};
use crate::store::Store;
use crate::store::work::{Ask, Kind, Lane};
use crate::work::service::{Memory, Schedule, Service, Source, Watched};

/// The version that the store remembers: parked work is tried again by a new one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the service is made from.
pub struct Setup<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Where secrets may be.
    pub environment: &'a Environment,
    /// The data folder.
    pub data: &'a Path,
    /// The store in it.
    pub store: Arc<Store>,
    /// The registries.
    pub registry: Registry,
    /// The time.
    pub clock: fn() -> Timestamp,
    /// A number from 0 to 1, another one each time.
    pub jitter: fn() -> f64,
}

impl Setup<'_> {
    /// The service. Speaks with nobody yet.
    ///
    /// # Errors
    /// Where a secret, a template or a local repository cannot be read.
    pub fn service(self) -> Result<Service, CliError> {
        let Self { config, environment, data, store, registry, clock, jitter } = self;
        let own = match &config.templates_dir {
            Some(folder) => read_templates(folder, TEMPLATES)?,
            None => BTreeMap::new(),
        };
        let broken = |error: minijinja::Error| CliError::failed(format!("cannot read the templates: {error}"));
        let renderer = Renderer::with_overrides(&own).map_err(broken)?;
        for notice in renderer.notices() {
            tracing::warn!(%notice, "a template of your own is not used");
        }
        let watched = watched(config, environment, data, &store)?;
        let detect = DetectOptions { hosts: config.known_hosts(), ..DetectOptions::default() };
        let options = ScanOptions {
            detect,
            max_timed_tags: config.max_new_tags as usize,
            platform: config.platform(),
            ..ScanOptions::new(clock())
        };
        let every = |length: Duration| SignedDuration::try_from(length).unwrap_or(SignedDuration::from_hours(1));
        Ok(Service {
            store,
            registry,
            lists: Lists::default(),
            times: config.times(),
            renderer,
            comments: CommentRenderer::new().map_err(broken)?,
            options,
            schedule: Schedule {
                images: every(config.schedule.images.duration()),
                repositories: every(config.schedule.repositories.duration()),
            },
            handle: config.handle.clone(),
            watched,
            clock: Arc::new(clock),
            jitter: Arc::new(jitter),
            memory: Memory::default(),
        })
    }
}

/// The repositories that are configured, by key.
fn watched(
    config: &Config,
    environment: &Environment,
    data: &Path,
    store: &Arc<Store>,
) -> Result<BTreeMap<String, Watched>, CliError> {
    let mut watched = BTreeMap::new();
    let mut locals = Vec::new();
    for entry in &config.repositories {
        if let Some(path) = &entry.local {
            let local = Local::open(path).map_err(|error| CliError::usage(error.to_string()))?;
            locals.push((Arc::new(local), entry.base.clone()));
        }
    }
    let pages = config.server.public_url.as_ref().map_or_else(
        || format!("http://{}", config.server.listen),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    );
    let here = locals.iter().map(|(local, _)| Arc::clone(local)).collect();
    let forge: Arc<dyn Forge> = Arc::new(LocalForge::new(Arc::clone(store), here, pages));
    for (local, base) in locals {
        let key = local.identity().to_owned();
        let name = RepositoryName(key.clone());
        watched
            .insert(key.clone(), Watched { key, name, base, forge: Arc::clone(&forge), source: Source::Local(local) });
    }
    let mut forges: BTreeMap<&str, Arc<Gitea>> = BTreeMap::new();
    for entry in &config.repositories {
        let (Some(host), Some(name)) = (&entry.forge, &entry.name) else { continue };
        let Some(described) = config.forges.get(host) else { continue };
        if !forges.contains_key(host.as_str()) {
            forges.insert(host, Arc::new(gitea(config, environment, host)?));
        }
        let Some(gitea) = forges.get(host.as_str()) else { continue };
        let name = RepositoryName(name.clone());
        let key = format!("{}/{name}", gitea.host());
        let refused = |error: crate::forge::ForgeError| CliError::usage(error.to_string());
        let url = gitea.clone_url(&name).map_err(refused)?;
        let url = Url::parse(&url).map_err(|error| CliError::usage(format!("`{url}` is no address: {error}")))?;
        let remote = mirror::Remote {
            ca: described.ca.clone(),
            insecure: url.scheme() == "http",
            ..mirror::Remote::new(url, described.token(environment, host)?)
        };
        let forge: Arc<dyn Forge> = Arc::<Gitea>::clone(gitea);
        let source = Source::Remote { folder: mirrors(data), remote };
        watched.insert(key.clone(), Watched { key, name, base: entry.base.clone(), forge, source });
    }
    Ok(watched)
}

fn mirrors(data: &Path) -> PathBuf {
    data.join("mirrors")
}

/// The client of a configured forge.
///
/// # Errors
/// Where its token or certificates cannot be read, or its address is none.
pub fn gitea(config: &Config, environment: &Environment, host: &str) -> Result<Gitea, CliError> {
    let Some(forge) = config.forges.get(host) else {
        return Err(CliError::usage(format!("`{host}` is no configured forge")));
    };
    match forge.kind {
        ForgeKind::Gitea => {}
    }
    forge.check_ca(host)?;
    let address = forge.address(host);
    let url = Url::parse(&address).map_err(|error| CliError::usage(format!("`{address}` is no address: {error}")))?;
    let options = HttpOptions {
        insecure: url.scheme() == "http",
        ca: forge.ca.clone(),
        observer: Arc::new(Metered),
        ..HttpOptions::new(url, forge.token(environment, host)?)
    };
    Gitea::new(options).map_err(|error| CliError::usage(error.to_string()))
}

/// Who sends webhooks, as configured.
///
/// # Errors
/// Where a secret cannot be read.
pub fn hook_sources(config: &Config, environment: &Environment) -> Result<Vec<HookSource>, CliError> {
    let weak = |error: crate::server::webhooks::secret::WeakSecret| CliError::usage(error.to_string());
    let mut sources = Vec::new();
    for (host, forge) in &config.forges {
        let secrets = forge.webhook_secrets(environment, host)?;
        if secrets.is_empty() {
            continue;
        }
        let name = host.clone();
        // What the forge is asked by, which may have another port than what it is configured as.
        let address = Url::parse(&forge.address(host)).ok();
        let asked = address.as_ref().map(crate::forge::http::host_of);
        let secrets = Secrets::new(&name, secrets).map_err(weak)?;
        sources.push(HookSource { name, kind: HookKind::Gitea, host: asked, secrets });
    }
    let secrets = config.registry_webhooks.secrets(environment)?;
    if !secrets.is_empty() {
        for kind in [HookKind::Distribution, HookKind::Generic] {
            let name = kind.row().name.to_owned();
            let secrets = Secrets::new(&name, secrets.clone()).map_err(weak)?;
            sources.push(HookSource { name, kind, host: None, secrets });
        }
    }
    Ok(sources)
}

/// Asks for what is to be done from the start: a look at each repository, and periodic work.
///
/// # Errors
/// Where the store cannot be written.
pub async fn begin(service: &Service) -> Result<(), CliError> {
    let failed = |error: crate::store::StoreError| CliError::failed(error.to_string());
    let now = service.now();
    service.store.unpark_for_version(VERSION).await.map_err(failed)?;
    let mut asks: Vec<Ask> =
        service.watched.values().map(|watched| service.ask_scan(watched, crate::store::work::Priority::Scan)).collect();
    asks.push(Ask::new(Kind::Sweep, "store", Lane::service("sweep"), now));
    service.store.ask(&asks, now).await.map_err(failed)?;
    // What is no longer configured is not looked at again.
    for row in service.store.repositories().await.map_err(failed)? {
        let key = &row.watched.repository;
        if row.gone_at.is_none() && !service.watched.contains_key(key) {
            service.store.unwatch(key, "it is no longer configured", now).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// A number from 0 to 1, another one each time: spreads what many would do at once, and decides nothing.
#[must_use]
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // The upper 53 bits fill a double.
    (RandomState::new().build_hasher().finish() >> 11) as f64 / (1_u64 << 53) as f64
}
