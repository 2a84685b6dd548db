//! `leadsman serve`: the bot service.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::{Context, Outcome};
use crate::clock;
use crate::config::{Config, Environment};
use crate::desk::Desk;
use crate::desk::readiness::Workers as Alive;
use crate::output::Exit;
use crate::output::error::CliError;
use crate::serve::{Setup, begin, hook_sources, jitter};
use crate::server::access::Access;
use crate::server::metrics::WorkLevels;
use crate::server::{Parts, Server, metrics};
use crate::store::Store;
use crate::store::work::Count;
use crate::work::handler::Worker;
use crate::work::queue::{Settings, Workers};

/// How often it is told how much work there is.
const LEVELS: std::time::Duration = std::time::Duration::from_secs(15);

/// Watches repositories and keeps their pull requests right
///
/// Runs until it is told to end: asks the registries, keeps one pull request for each workload that has something newer,
/// and merges them when people say so in a comment. Webhooks of forges and registries make it look at once; without them it
/// looks from time to time. Its pages are at the address that it listens at.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  leadsman serve\n  leadsman serve --config /etc/leadsman/leadsman.yaml --data /var/lib/leadsman"
)]
pub(super) struct Args {
    /// Where the store and mirrors are kept, instead of `data_dir` of the configuration or your data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load()?.config;
    if config.repositories.is_empty() {
        return Err(CliError::usage("there is nothing to watch, for `repositories` is empty")
            .hint("name some in the configuration: `repositories: [{local: /srv/git/fleet}]`"));
    }
    let data = args.data.clone().or_else(|| config.data_folder()).ok_or_else(|| {
        CliError::usage("there is no data folder, for there is no home").hint("name one with `--data DIR`")
    })?;
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        CliError::failed(format!("cannot listen at `{listen}`")).because(&error).hint("change `server.listen`")
    })?;
    let options = config.service_registry_options(&context.environment)?;
    let registry = leadsman_scanner::registry::Registry::new(options).map_err(|error| {
        CliError::usage("in the configuration: `registries` cannot be used as it is").because(&error)
    })?;
    let holder = format!("process {}, `leadsman serve`, since {:.0}", std::process::id(), clock::now());
    let store = Store::open(&data, &holder).await.map_err(|error| CliError::failed(error.to_string()))?;
    let environment = context.environment.clone();
    let running = Running { config, environment, data, store: Arc::new(store), registry, listener };
    running.run(|text| context.note(text), end_of_process()).await
}

/// A service that is about to run.
pub(super) struct Running {
    pub(super) config: Config,
    pub(super) environment: Environment,
    pub(super) data: PathBuf,
    pub(super) store: Arc<Store>,
    pub(super) registry: leadsman_scanner::registry::Registry,
    pub(super) listener: TcpListener,
}

impl Running {
    /// Serves and works until `end` is ready, then lets what runs end.
    /// `say` is told where it listens once it does.
    pub(super) async fn run(self, say: impl FnOnce(&str), end: impl Future<Output = ()>) -> Outcome {
        let Self { config, environment, data, store, registry, listener } = self;
        let address = listener.local_addr().map_err(|error| CliError::failed("cannot listen").because(&error))?;
        let setup = Setup {
            config: &config,
            environment: &environment,
            data: &data,
            store: Arc::clone(&store),
            registry,
            clock: clock::now,
            jitter,
        };
        let service = Arc::new(setup.service()?);
        let sources = hook_sources(&config, &environment)?;
        let hosts: BTreeSet<String> = service.watched.values().map(|it| it.forge.host().to_owned()).collect();
        let metrics = metrics::install(hosts.into_iter().chain(config.registries.keys().cloned()))
            .map_err(|error| CliError::failed("cannot record metrics").because(&error))?;
        let alive = Alive::default();
        let desk = Arc::new(Desk::new(Arc::clone(&service), alive.clone()));
        let own = config.server.public_url.as_ref().and_then(|url| url::Url::parse(url.as_str()).ok());
        let access = config.server.pages.then(|| Access {
            loopback: true,
            token: None,
            public: false,
            hosts: own.iter().map(crate::forge::http::host_of).collect(),
        });
        let mut form_key = [0; 32];
        getrandom::fill(&mut form_key).map_err(|error| CliError::failed(format!("there is no randomness: {error}")))?;
        let parts = Parts {
            inbox: Arc::clone(&desk) as _,
            views: Arc::clone(&desk) as _,
            actions: Arc::clone(&desk) as _,
            readiness: desk,
            sources,
            access,
            metrics,
            clock: clock::now,
            form_key,
        };
        let server = Server::new(parts)
            .map_err(|error| CliError::failed(format!("cannot read the templates of pages: {error}")))?;
        begin(&service).await?;
        say(&format!(
            "watching {} at http://{address}/",
            crate::output::text::count(service.watched.len(), "repository", "repositories",)
        ));
        tracing::info!(%address, repositories = service.watched.len(), version = crate::serve::VERSION, "serving");
        let settings =
            Settings { tasks: usize::from(config.workers), ..Settings::new(format!("serve-{}", std::process::id())) };
        let workers = Workers::new(Arc::clone(&store), Worker(Arc::clone(&service)), settings, Arc::new(clock::now));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
            // An error means that whoever would say so is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let working = tokio::spawn({
            let (alive, until) = (alive.run(), until(stopped.clone()));
            async move {
                let _alive = alive;
                workers.run(until).await
            }
        });
        let serving = tokio::spawn(server.serve(listener, until(stopped)));
        tokio::select! {
            () = end => {}
            () = tell_levels(&store) => {}
        }
        tracing::info!("ending");
        let _ = stop.send(true);
        serving.await.map_err(|error| CliError::failed("the server broke off").because(&error))?;
        let tally = working.await.map_err(|error| CliError::failed("the workers broke off").because(&error))?;
        tracing::info!(done = tally.done, failed = tally.failed, put_off = tally.put_off, "ended");
        Ok(Exit::Done)
    }
}

/// Says now and then how much work there is; never ends.
async fn tell_levels(store: &Store) {
    loop {
        let now = clock::now();
        match store.work_counts(now).await {
            Ok(counts) => {
                let sum = |count: fn(&Count) -> u64| counts.iter().map(count).sum();
                let oldest = counts.iter().filter_map(|count| count.oldest_due).min();
                let overdue = oldest.map_or(0, |due| now.duration_since(due).as_secs().max(0));
                metrics::levels(WorkLevels {
                    waiting: sum(|count| count.due + count.later),
                    running: sum(|count| count.running),
                    put_off: 0,
                    parked: sum(|count| count.parked),
                    overdue_seconds: u64::try_from(overdue).unwrap_or_default(),
                });
            }
            Err(error) => tracing::warn!(%error, "cannot count the work"),
        }
        tokio::time::sleep(LEVELS).await;
    }
}

/// Ready when the process is asked to end: by Ctrl-C, or as service managers do.
pub(super) async fn end_of_process() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
