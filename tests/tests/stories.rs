//! From a pushed image to a merged pull request, on each forge, with real parts: the service's own workers, a real
//! registry, real git.

#![allow(clippy::unwrap_used, reason = "a story that fails should end the test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use leadsman::config::{Config, Environment, Loaded};
use leadsman::forge::local::forge::local_person;
use leadsman::serve::{Setup, begin};
use leadsman::store::Store;
use leadsman::store::local::NewComment;
use leadsman::store::work::{Ask, Kind, Priority};
use leadsman::work::handler::Worker;
use leadsman::work::list_image;
use leadsman::work::queue::{Settings, Tally, Workers};
use leadsman::work::service::{Service, numbered};
use leadsman_scanner::registry::{DockerConfig, Registry, RegistryOptions};
use leadsman_tests::gitea::{Account, Gitea};
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::repository::Repository;

/// What the clock of all stories is ahead of the real one, in seconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn clock() -> Timestamp {
    leadsman::clock::now() + SignedDuration::from_secs(AHEAD.load(Ordering::Relaxed))
}

const FILE: &str = "clusters/production/podinfo.yaml";

fn release(host: &str, tag: &str) -> String {
    format!(
        "# kept as it is\napiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: podinfo\n  \
         namespace: web\n  annotations:\n    fluxcd.io/automated: \"true\"\n    \
         filter.fluxcd.io/chart-image: semver:~6\nspec:\n  values:\n    image:\n      repository: {host}/demo/podinfo\n      tag: {tag}   # a remark\n"
    )
}

/// Where a story plays.
enum Stage {
    Local(Repository),
    Gitea { server: Arc<Gitea>, name: String, person: Account },
}

/// A service with one repository and a registry.
struct World {
    stage: Stage,
    registry: Distribution,
    data: tempfile::TempDir,
    service: Arc<Service>,
}

impl World {
    async fn local() -> Self {
        let registry = Distribution::start(Access::Anonymous).unwrap();
        let work = Repository::new();
        work.write(FILE, &release(&registry.host(), "6.0.0"));
        work.commit("a release");
        let bare = Repository::bare_clone_of(&work);
        let config = format!("repositories:\n  - local: {}\n", bare.path().display());
        Self::new(Stage::Local(bare), registry, &config).await
    }

    async fn gitea(called: &str) -> Self {
        let registry = Distribution::start(Access::Anonymous).unwrap();
        let server = Gitea::shared();
        let name = server.repository(called, &[(FILE, &release(&registry.host(), "6.0.0"))]);
        let person = server.person(&format!("writer-{called}"));
        server.invite(&name, &person, "write");
        server.invite(&name, &server.bot, "admin");
        let token = registry.host().replace(':', "-");
        let file = std::env::temp_dir().join(format!("leadsman-token-{token}"));
        std::fs::write(&file, &server.bot.token).unwrap();
        let url = server.url();
        let host = url.trim_start_matches("http://");
        let config = format!(
            "forges:\n  \"{host}\":\n    kind: gitea\n    url: {url}\n    token_file: {}\nrepositories:\n  \
             - forge: \"{host}\"\n    name: {name}\n",
            file.display()
        );
        Self::new(Stage::Gitea { server, name, person }, registry, &config).await
    }

    async fn new(stage: Stage, registry: Distribution, config: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let world_service = service(data.path(), config).await;
        let world = Self { stage, registry, data, service: world_service };
        world.push("6.0.0");
        world.push("6.1.0");
        begin(&world.service).await.unwrap();
        world
    }

    fn push(&self, tag: &str) {
        let times = Times { config: Some("2026-01-02T03:04:00Z"), ..Times::default() };
        Pusher::new(self.registry.address, None).image("demo/podinfo", Some(tag), Format::Oci, times).unwrap();
    }

    fn key(&self) -> String {
        self.service.watched.keys().next().unwrap().clone()
    }

    /// Does everything that is due.
    async fn work(&self) -> Tally {
        let settings = Settings::new("story");
        let workers =
            Workers::new(Arc::clone(&self.service.store), Worker(Arc::clone(&self.service)), settings, Arc::new(clock));
        let tally = workers.run_until_idle().await.unwrap();
        for row in self.service.store.work(100, clock()).await.unwrap() {
            assert_eq!(row.last_error, None, "{row:?}");
        }
        tally
    }

    /// The registry says that an image was pushed.
    async fn image_was_pushed(&self) {
        for used in self.service.store.uses(&self.key()).await.unwrap() {
            self.service.store.ask(&[list_image::ask(&used, clock())], clock()).await.unwrap();
        }
    }

    async fn scan_now(&self) {
        let watched = self.service.watched.values().next().unwrap();
        self.service.store.ask(&[self.service.ask_scan(watched, Priority::Scan)], clock()).await.unwrap();
    }

    async fn say(&self, number: i64, text: &str) {
        match &self.stage {
            Stage::Local(_) => {
                let new = NewComment { repository: &self.key(), number, author: &local_person(), body: text };
                self.service.store.add_local_comment(new, clock()).await.unwrap();
            }
            Stage::Gitea { server, name, person } => drop(server.comment(person, name, number, text)),
        }
        let watched = self.service.watched.values().next().unwrap();
        let ask: Ask = self.service.ask_of(watched, Kind::ReadComments, numbered(&watched.key, number));
        self.service.store.ask(&[ask], clock()).await.unwrap();
    }

    /// What the bot said, oldest first.
    async fn said(&self, number: i64) -> Vec<String> {
        let watched = self.service.watched.values().next().unwrap();
        let me = self.service.myself(watched).await.unwrap();
        let all = watched.forge.comments(&watched.name, number, 0).await.unwrap();
        all.into_iter().filter(|comment| comment.author.id == me.id).map(|comment| comment.body).collect()
    }

    async fn open(&self) -> Vec<leadsman::forge::ForgePull> {
        let watched = self.service.watched.values().next().unwrap();
        watched.forge.open_pulls(&watched.name).await.unwrap()
    }

    fn file(&self, branch: &str) -> String {
        match &self.stage {
            Stage::Local(repository) => repository.git(&["show", &format!("{branch}:{FILE}")]) + "\n",
            Stage::Gitea { server, name, .. } => server.file(name, branch, FILE),
        }
    }

    fn image_host(&self) -> String {
        self.registry.host()
    }
}

async fn service(data: &Path, config: &str) -> Arc<Service> {
    let file = data.join("leadsman.yaml");
    std::fs::write(&file, config).unwrap();
    let environment = Environment::of(Vec::<(String, String)>::new());
    let loaded = Loaded::load(Some(&file), &environment).unwrap();
    let config: Config = loaded.config;
    let options = RegistryOptions { docker_config: DockerConfig::Off, proxy: false, ..RegistryOptions::default() };
    let setup = Setup {
        config: &config,
        environment: &environment,
        data,
        store: Arc::new(Store::open(data, "a story").await.unwrap()),
        registry: Registry::new(options).unwrap(),
        clock,
        jitter: || 0.5,
    };
    Arc::new(setup.service().unwrap())
}

/// The whole thread: found, opened, moved on, merged when green, nothing left to do.
async fn the_thread(world: World) {
    world.work().await;
    let pulls = world.open().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let first = &pulls[0];
    assert!(first.title.contains("6.1.0"), "{}", first.title);
    assert!(first.branch.starts_with("leadsman/web-podinfo-"), "{}", first.branch);
    assert_eq!(world.file(&first.branch), release(&world.image_host(), "6.1.0"), "one line and nothing else");

    // Nothing changed: nothing is done.
    world.scan_now().await;
    world.work().await;
    assert_eq!(world.open().await, pulls);

    // A newer image: the same pull request moves on.
    world.push("6.2.0");
    world.image_was_pushed().await;
    world.work().await;
    let moved = world.open().await;
    assert_eq!(moved.len(), 1);
    assert_eq!((moved[0].number, &moved[0].branch), (first.number, &first.branch));
    assert_ne!(moved[0].head, first.head);
    assert!(moved[0].title.contains("6.2.0"), "{}", moved[0].title);
    assert_eq!(world.file(&first.branch), release(&world.image_host(), "6.2.0"));

    // No check is expected: it waits for the head to settle, says so, and merges then.
    world.say(first.number, "/merge").await;
    world.work().await;
    let said = world.said(first.number).await;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(world.open().await.len(), 1);
    AHEAD.fetch_add(3700, Ordering::Relaxed);
    world.scan_now().await;
    world.work().await;
    assert_eq!(world.open().await, [], "{:#?}", world.said(first.number).await);
    assert_eq!(world.file("main"), release(&world.image_host(), "6.2.0"));
    let said = world.said(first.number).await;
    assert_eq!(said.len(), 1, "one comment, kept up to date: {said:#?}");
    assert!(said[0].contains("erged"), "{said:#?}");

    // And again: nothing.
    world.scan_now().await;
    world.work().await;
    assert_eq!(world.open().await, []);
    drop(world.data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_image_to_a_merge_on_the_local_forge() {
    the_thread(World::local().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_image_to_a_merge_on_gitea() {
    the_thread(World::gitea("thread").await).await;
}
