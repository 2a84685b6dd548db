//! `leadsman demo`: everything on this machine, no account, no network.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leadsman_scanner::registry::{DockerConfig, HostOptions, Registry, RegistryOptions, TimeCache};
use leadsman_scanner::scan::{ScanOptions, Sources, scan};
use leadsman_scanner::source::commit::CommitFiles;

use tokio::net::TcpListener;

use super::serve::{Running, end_of_process};
use super::{Context, Outcome};
use crate::clock;
use crate::config::{Config, Environment, RepositoryEntry, SecretSource};
use crate::demo::{fleet, registry::SampleRegistry};
use crate::forge::local::Local;
use crate::forge::local::forge::local_person;
use crate::forge::place::BaseBranch;
use crate::output::error::CliError;
use crate::output::json::ScanView;
use crate::output::pulls::{self, PullView, RunView};
use crate::output::report::{self, Asked, ScanStyle};
use crate::output::text::escape;
use crate::output::{Exit, diff, style};
use crate::pulls::Wishes;
use crate::render::Renderer;
use crate::serve::{Setup, jitter};
use crate::store::local::NewComment;
use crate::store::work::Kind;
use crate::store::{Store, StoreError};
use crate::work::handler::Worker;
use crate::work::pass::{Look, Pass, pass};
use crate::work::queue::{Settings, Workers};
use crate::work::service::numbered;

/// The variable that the secret of the sample's webhooks stands in.
const SECRET: &str = "LEADSMAN_DEMO_SECRET";

/// Shows Leadsman at work on a sample, without account or network
///
/// The sample is a git repository and a registry on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  leadsman demo\n  leadsman demo --dir /tmp/leadsman-demo")]
pub(super) struct Args {
    /// Make the sample in this folder and leave it there; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the sample's temporary folder there
    #[arg(long)]
    keep: bool,
    /// Go on serving its pages until Ctrl-C, as is done at a terminal
    #[arg(long, conflicts_with = "once")]
    stay: bool,
    /// End after the tour, as is done where there is no terminal
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let (folder, temporary) = folder(args)?;
    let demo = Demo::set_up(&folder, context).await?;
    let kept = args.keep || args.dir.is_some();
    demo.show(kept).await?;
    demo.merge_one().await?;
    let stays = args.stay || (!args.once && std::io::stdin().is_terminal() && std::io::stdout().is_terminal());
    let outcome = if stays { demo.stay().await } else { demo.say_what_next(kept) };
    if let Some(temporary) = temporary {
        if args.keep {
            _ = temporary.keep();
        } else {
            // A temporary folder that cannot be removed is the system's to clean up.
            _ = temporary.close();
        }
    }
    outcome
}

/// The sample's folder, and the guard that removes it where it is to go.
fn folder(args: &Args) -> Result<(PathBuf, Option<tempfile::TempDir>), CliError> {
    let Some(folder) = &args.dir else {
        let temporary = tempfile::Builder::new().prefix("leadsman-demo-").tempdir();
        let temporary = temporary.map_err(|error| failed("make a temporary folder", &error))?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(&format!("make `{}`", folder.display()), &error))?;
    let empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !empty {
        return Err(CliError::usage(format!("`{}` is not empty", folder.display())).hint("name another folder"));
    }
    Ok((folder.clone(), None))
}

/// The sample's own environment: nothing of yours, and a secret that nobody else has to know.
fn environment() -> Environment {
    Environment::of([(SECRET, "of-the-sample-alone-0123456789")])
}

fn signature(secret: &str, body: &[u8]) -> String {
    use hmac::{Hmac, Mac as _};
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(body);
    crate::plan::hex(&mac.finalize().into_bytes())
}

fn failed(what: &str, error: &dyn std::error::Error) -> CliError {
    CliError::failed(format!("the demo could not {what}: {error}"))
}

struct Demo<'a> {
    context: &'a Context,
    path: PathBuf,
    forge: Local,
    folder: PathBuf,
    store: Arc<Store>,
    sample: SampleRegistry,
    registry: Registry,
    times: TimeCache,
}

impl<'a> Demo<'a> {
    async fn set_up(folder: &Path, context: &'a Context) -> Result<Self, CliError> {
        let now = clock::now();
        let path = folder.join("fleet.git");
        fleet::create(&path, now).map_err(|error| failed("make its repository", &error))?;
        let forge = Local::open(&path).map_err(|error| failed("open its repository", &error))?;
        let holder = format!("process {}, `leadsman demo`", std::process::id());
        let store = Store::open(&folder.join("data"), &holder).await;
        let store = store.map_err(|error| failed("open its store", &error))?;
        let sample = SampleRegistry::start().await.map_err(|error| failed("start its registry", &error))?;
        fleet::publish_all(&sample, now);
        let mirror = url::Url::parse(&format!("http://{}", sample.address()));
        let mirror = mirror.map_err(|error| failed("name its registry", &error))?;
        let registry = Registry::new(RegistryOptions {
            hosts: [(fleet::HOST.to_owned(), HostOptions { mirror: Some(mirror), ..HostOptions::default() })].into(),
            docker_config: DockerConfig::Off,
            proxy: false,
            ..RegistryOptions::default()
        });
        let registry = registry.map_err(|error| failed("set up its registry client", &error))?;
        let (store, folder) = (Arc::new(store), folder.to_owned());
        Ok(Self { context, path, forge, folder, store, sample, registry, times: TimeCache::in_memory() })
    }

    async fn show(&self, kept: bool) -> Result<(), CliError> {
        let look = self.context.ui.out;
        self.heading("A fleet in git, and a registry", "")?;
        let (path, address) = (self.path.display(), self.sample.address());
        let goes =
            if kept { String::new() } else { look.paint(style::DIM, "  (removed at the end; `--keep` leaves it)") };
        self.print(&format!("{path}{goes}\n{} at http://{address}\n\n", fleet::HOST))?;

        self.heading("What is newer?", "leadsman scan")?;
        self.print(&self.scan().await?)?;

        self.heading("One branch and one pull request for each release", "leadsman run --once --local fleet.git")?;
        let first = self.pass().await?;
        self.print(&(pulls::table(&first, look) + "\n"))?;

        let shown = first.pulls.iter().find(|pull| pull.changes.len() > 1).or_else(|| first.pulls.first());
        if let Some(pull) = shown {
            self.heading("Nothing but the tags changes", &format!("git diff main {}", pull.branch))?;
            self.print(&self.diff(pull, &first.base)?)?;
            self.heading("What people read", "")?;
            self.print(&pulls::text_of(pull, look))?;
        }

        self.print("\n")?;
        self.heading("Again: nothing changes", "leadsman run --once --local fleet.git")?;
        self.print(&pulls::summary(&self.pass().await?))?;

        self.print("\n")?;
        self.heading("demo/podinfo:6.5.5 is published: the branch moves on", "leadsman run --once --local fleet.git")?;
        fleet::publish(&self.sample, "demo/podinfo", "6.5.5", clock::now());
        let second = self.pass().await?;
        self.print(&(pulls::table(&second, look) + "\n"))?;
        if let Some(moved) = second.pulls.iter().find(|pull| pull.action == "moved") {
            self.print(&self.diff(moved, &second.base)?)?;
        }
        Ok(())
    }

    fn sources(&self) -> Sources<'_> {
        Sources { registry: &self.registry, times: &self.times, sights: None, lists: None }
    }

    async fn scan(&self) -> Result<String, CliError> {
        let look = self.context.ui.out;
        let base = self.base()?;
        let files = CommitFiles::list(&self.forge.repository(), base.id).map_err(|error| failed("read it", &error))?;
        let now = clock::now();
        let started = Instant::now();
        let report = scan(&files, Some(self.sources()), &ScanOptions::new(now), &|_| true, &|_| {}).await;
        let view = ScanView::of(report, false, |finding| finding.container.steering.automated);
        let table = report::scan_table(&view, ScanStyle { details: false, now }, look);
        Ok(format!("{table}\n{}\n", report::summary(&view, Asked::For(started.elapsed()), look)))
    }

    async fn pass(&self) -> Result<RunView, CliError> {
        let options = ScanOptions::new(clock::now());
        let renderer = Renderer::new().map_err(|error| failed("read its templates", &error))?;
        let pass: Result<Pass, _> = pass(Look {
            place: &self.forge,
            base: &self.base()?,
            store: &self.store,
            sources: self.sources(),
            options: &options,
            renderer: &renderer,
            voice: None,
            wishes: &Wishes::default(),
            progress: &|_| {},
        })
        .await;
        Ok(RunView::of(self.forge.identity(), pass.map_err(|error| failed("make its pass", &error))?))
    }

    fn base(&self) -> Result<BaseBranch, CliError> {
        self.forge.base(None).map_err(|error| failed("find its base", &error))
    }

    /// What the branch of a pull request changes.
    fn diff(&self, pull: &PullView, base: &str) -> Result<String, CliError> {
        let text = |branch: &str| {
            let id = self.forge.base(Some(branch)).ok()?.id;
            let repository = self.forge.repository();
            let tree = repository.find_commit(id).ok()?.tree().ok()?;
            let blob = tree.lookup_entry(pull.file.split('/')).ok()??.object().ok()?;
            String::from_utf8(blob.data.clone()).ok()
        };
        let (Some(old), Some(new)) = (text(base), text(&pull.branch)) else {
            return Err(CliError::failed(format!("the demo could not read `{}` of `{}`", pull.file, pull.branch)));
        };
        Ok(diff::unified(&pull.file, &old, &new, self.context.ui.out) + "\n")
    }

    /// Somebody writes `/merge` under the first pull request.
    async fn merge_one(&self) -> Result<(), CliError> {
        let config = self.config();
        let setup = Setup {
            config: &config,
            environment: &environment(),
            data: &self.folder.join("data"),
            store: Arc::clone(&self.store),
            registry: self.registry.clone(),
            clock: clock::now,
            jitter,
        };
        let service = Arc::new(setup.service()?);
        let stored = |error: StoreError| failed("use its store", &error);
        let Some(watched) = service.watched.values().next() else { return Ok(()) };
        let Some(pull) = self.store.local_open_pulls(&watched.key).await.map_err(stored)?.into_iter().next() else {
            return Ok(());
        };
        let look = self.context.ui.out;
        self.print("\n")?;
        self.heading(&format!("Somebody writes `/merge` under #{}", pull.number), "")?;
        let body = "/merge";
        let author = local_person();
        let new = NewComment { repository: &watched.key, number: pull.number, author: &author, body };
        self.store.add_local_comment(new, clock::now()).await.map_err(stored)?;
        let ask = service.ask_of(watched, Kind::ReadComments, numbered(&watched.key, pull.number));
        self.store.ask(&[ask], clock::now()).await.map_err(stored)?;
        // No check is expected there, so the head has to have been there for a second.
        for _ in 0..20 {
            let worker = Worker(Arc::clone(&service));
            let workers = Workers::new(Arc::clone(&self.store), worker, Settings::new("demo"), Arc::new(clock::now));
            workers.run_until_idle().await.map_err(stored)?;
            if self.store.merge_request(&watched.key, pull.number).await.map_err(stored)?.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        for comment in self.store.local_comments(&watched.key, pull.number, 0).await.map_err(stored)? {
            let words = comment.body.lines().filter(|line| !line.is_empty() && !line.starts_with("<!--"));
            let words: Vec<String> = words.map(|line| escape(line).into_owned()).collect();
            self.print(&format!("{}  {}\n", look.paint(style::PLACE, &comment.author.login), words.join("\n    ")))?;
        }
        Ok(())
    }

    fn config(&self) -> Config {
        let entry = RepositoryEntry { local: Some(self.path.clone()), ..RepositoryEntry::default() };
        let mut config = Config { repositories: vec![entry], ..Config::default() };
        // Nothing of it is to be left anywhere else.
        config.cache_dir = Some(self.folder.join("cache"));
        config.registry_webhooks.secrets = vec![SecretSource { env: Some(SECRET.into()), file: None }];
        config
    }

    /// Serves the sample until it is told to end, and says where to look and what to try.
    async fn stay(&self) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| failed("listen", &error))?;
        let address = listener.local_addr().map_err(|error| failed("listen", &error))?;
        let environment = environment();
        let secret = environment.get(SECRET).unwrap_or_default().to_owned();
        #[expect(clippy::disallowed_methods, reason = "it speaks with this very process")]
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        let client = client.map_err(|error| failed("tell of pushes", &error))?;
        self.sample.on_push(Box::new(move |repository, tag| {
            let body = serde_json::json!({ "image": format!("{}/{repository}", fleet::HOST), "tag": tag }).to_string();
            let request = client
                .post(format!("http://{address}/webhooks/registry/generic"))
                .header("X-Leadsman-Signature-256", format!("sha256={}", signature(&secret, body.as_bytes())))
                .body(body);
            tokio::spawn(async move {
                if let Err(error) = request.send().await {
                    tracing::warn!(%error, "the service was not told of a push");
                }
            });
        }));
        self.print("\n")?;
        self.heading("Yours to try", "")?;
        let registry = self.sample.address();
        self.print(&format!(
            "look around         http://{address}/\n\
             push a newer image  curl -X POST http://{registry}/push/shop/worker:2.3.11\n\
             merge               open a pull request there, and write /merge, /hold, /explain or /help below it\n\
             clone it            git clone {}\n\
             end                 Ctrl-C\n",
            self.path.display()
        ))?;
        let mut config = self.config();
        config.workers = 2;
        let running = Running {
            config,
            environment,
            data: self.folder.join("data"),
            store: Arc::clone(&self.store),
            registry: self.registry.clone(),
            listener,
        };
        running.run(|_| (), end_of_process()).await
    }

    fn say_what_next(&self, kept: bool) -> Outcome {
        self.heading("What next?", "")?;
        let mut out = String::new();
        if kept {
            out += &format!("look around       git -C {} log --all --graph --stat\n", self.path.display());
        } else {
            out += "look around       leadsman demo --dir leadsman-demo\n";
        }
        out += "your own fleet    leadsman scan PATH\n";
        out += "with its edits    leadsman update --diff PATH\n";
        out += "as branches       leadsman run --once --local REPO\n";
        out += "try a filter      leadsman filter 'semver:~1.2' 1.2.0 1.2.7 1.3.0\n";
        self.print(&out)?;
        Ok(Exit::Done)
    }

    /// A line that says what comes, and the command that would show it.
    fn heading(&self, text: &str, command: &str) -> Result<(), CliError> {
        let look = self.context.ui.out;
        let command = if command.is_empty() { String::new() } else { format!("   $ {command}") };
        self.print(&format!(
            "{}{}\n",
            look.paint(style::HEADING, &format!("── {text}")),
            look.paint(style::DIM, &command)
        ))
    }

    fn print(&self, text: &str) -> Result<(), CliError> {
        self.context.print(text)
    }
}
