//! What a story plays in: a repository on a forge, a registry, the service's own workers, and what people do there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gix::ObjectId;
use jiff::{SignedDuration, Timestamp};
use leadsman::config::{Config, Environment, Loaded};
use leadsman::forge::local::forge::local_person;
use leadsman::forge::{Check, CheckState, ForgePull, Person, PullState};
use leadsman::serve::{Setup, begin};
use leadsman::store::Store;
use leadsman::store::local::NewComment;
use leadsman::store::work::{Ask, Kind, Priority};
use leadsman::work::handler::Worker;
use leadsman::work::list_image;
use leadsman::work::queue::{Settings, Tally, Workers};
use leadsman::work::service::{Service, Watched, numbered};
use leadsman_scanner::registry::{DockerConfig, Registry, RegistryOptions};
use leadsman_tests::gitea::{Account, Gitea};
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::repository::{Repository, run};
use serde_json::json;

use crate::faults::{Faults, Faulty};

/// The file that stories are about.
pub(crate) const FILE: &str = "clusters/production/podinfo.yaml";

/// What a repository says of itself in most stories: a head counts as settled after a second.
pub(crate) const SETTLES_SOON: &str = "merge:\n  settle: 1s\n";

/// A release of `demo/podinfo` at `tag`.
pub(crate) fn release(host: &str, tag: &str) -> String {
    format!(
        "# kept as it is\napiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: podinfo\n  \
         namespace: web\n  annotations:\n    fluxcd.io/automated: \"true\"\n    \
         filter.fluxcd.io/chart-image: semver:~6\nspec:\n  values:\n    image:\n      repository: {host}/demo/podinfo\n      tag: {tag}   # a remark\n"
    )
}

/// The forge that a story plays on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum On {
    /// A bare repository on this machine.
    Local,
    /// A real Gitea.
    Gitea,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody who may do everything.
    Person,
    /// Somebody who may read, or, where everybody who is known may do everything, somebody unknown.
    Reader,
}

/// Where a story plays.
pub(crate) enum Stage {
    Local(Repository),
    Gitea { server: Arc<Gitea>, name: String, person: Account },
}

/// A service with one repository and a registry.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) registry: Distribution,
    pub(crate) service: Arc<Service>,
    pub(crate) faults: Arc<Faults>,
    /// What this world's clock is ahead of the real one, in milliseconds.
    ahead: Arc<AtomicI64>,
    config: String,
    data: tempfile::TempDir,
}

impl World {
    /// A repository with a release at 6.0.0, an image 6.1.0, and a service that has not begun.
    pub(crate) async fn new(on: On, called: &str) -> Self {
        Self::with(on, called, &[(".leadsman.yaml", SETTLES_SOON)], "").await
    }

    /// The same with more files, and with `more` after the service's own list of repositories.
    pub(crate) async fn with(on: On, called: &str, files: &[(&str, &str)], more: &str) -> Self {
        let registry = Distribution::start(Access::Anonymous).unwrap();
        let own = release(&registry.host(), "6.0.0");
        let files: Vec<(&str, &str)> = files.iter().copied().chain([(FILE, own.as_str())]).collect();
        let (stage, config) = match on {
            On::Local => {
                let work = Repository::new();
                for (path, text) in files {
                    work.write(path, text);
                }
                work.commit("a release");
                let bare = Repository::bare_clone_of(&work);
                let config = format!("repositories:\n  - local: {}\n{more}", bare.path().display());
                (Stage::Local(bare), config)
            }
            On::Gitea => {
                let server = Gitea::shared();
                let name = server.repository(called, &files);
                let person = server.person(&format!("writer-{called}"));
                server.invite(&name, &person, "admin");
                let url = server.url();
                let host = url.trim_start_matches("http://");
                let config = format!(
                    "forges:\n  \"{host}\":\n    kind: gitea\n    url: {url}\n    token_file: {{token}}\nrepositories:\n  \
                     - forge: \"{host}\"\n    name: {name}\n{more}"
                );
                (Stage::Gitea { server, name, person }, config)
            }
        };
        let data = tempfile::tempdir().unwrap();
        let (ahead, faults) = (Arc::new(AtomicI64::new(0)), Arc::new(Faults::default()));
        let store = store_in(data.path()).await;
        let service = service(&stage, data.path(), &config, &ahead, &faults, store).await;
        let world = Self { stage, registry, service, faults, ahead, config, data };
        world.push("6.0.0");
        world.push("6.1.0");
        begin(&world.service).await.unwrap();
        world
    }

    /// The same, and everything done that there is to do: one pull request is open, for 6.1.0.
    pub(crate) async fn begun(on: On, called: &str) -> (Self, ForgePull) {
        let world = Self::new(on, called).await;
        world.work().await;
        let pull = world.only().await;
        assert!(pull.title.contains("6.1.0"), "{}", pull.title);
        (world, pull)
    }

    /// The service begins anew with the same store: what was in memory is lost.
    pub(crate) async fn restart(&mut self) {
        let store = Arc::clone(&self.service.store);
        self.service = service(&self.stage, self.data.path(), &self.config, &self.ahead, &self.faults, store).await;
        begin(&self.service).await.unwrap();
    }

    /// Another process whose data folder is empty.
    pub(crate) async fn lose_data(&mut self) {
        let data = tempfile::tempdir().unwrap();
        let store = store_in(data.path()).await;
        self.service = service(&self.stage, data.path(), &self.config, &self.ahead, &self.faults, store).await;
        self.data = data;
        begin(&self.service).await.unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.service.now()
    }

    /// The clock goes on by so many seconds.
    pub(crate) fn advance(&self, seconds: i64) {
        self.ahead.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    /// At least a whole second passes, so that what comes next is later on every forge.
    pub(crate) async fn a_moment(&self) {
        match self.stage {
            Stage::Local(_) => self.advance(2),
            Stage::Gitea { .. } => tokio::time::sleep(Duration::from_millis(1200)).await,
        }
    }

    pub(crate) fn push(&self, tag: &str) {
        let times = Times { config: Some("2026-01-02T03:04:00Z"), ..Times::default() };
        Pusher::new(self.registry.address, None).image("demo/podinfo", Some(tag), Format::Oci, times).unwrap();
    }

    pub(crate) fn watched(&self) -> &Watched {
        let is_meant = |watched: &&Watched| match &self.stage {
            Stage::Local(repository) => Path::new(&watched.key) == repository.path().canonicalize().unwrap(),
            Stage::Gitea { name, .. } => watched.name.0 == *name,
        };
        self.service.watched.values().find(is_meant).unwrap()
    }

    pub(crate) fn key(&self) -> &str {
        &self.watched().key
    }

    /// Does everything that is due, whatever comes of it.
    pub(crate) async fn try_work(&self) -> Tally {
        let service = Arc::clone(&self.service);
        let workers = Workers::new(
            Arc::clone(&self.service.store),
            Worker(Arc::clone(&self.service)),
            Settings::new("story"),
            Arc::new(move || service.now()),
        );
        workers.run_until_idle().await.unwrap()
    }

    /// Does everything that is due, and nothing fails.
    pub(crate) async fn work(&self) -> Tally {
        let tally = self.try_work().await;
        for row in self.service.store.work(100, self.now()).await.unwrap() {
            assert_eq!(row.last_error, None, "{row:?}");
        }
        tally
    }

    /// Looks at the repository, and does what comes of it.
    pub(crate) async fn look(&self) {
        let ask = self.service.ask_scan(self.watched(), Priority::Scan);
        self.service.store.ask(&[ask], self.now()).await.unwrap();
        self.work().await;
    }

    /// The registry says that the image was pushed, and what comes of it is done.
    pub(crate) async fn image_was_pushed(&self, tag: &str) {
        self.ask_for_image(tag).await;
        self.work().await;
    }

    /// The registry says that the image was pushed. Nothing is done yet.
    pub(crate) async fn ask_for_image(&self, tag: &str) {
        self.push(tag);
        for used in self.service.store.uses(self.key()).await.unwrap() {
            self.service.store.ask(&[list_image::ask(&used, self.now())], self.now()).await.unwrap();
        }
    }

    /// Somebody comments, and the forge tells of it; the comment's id. Nothing is done yet.
    pub(crate) async fn say_as(&self, who: Who, number: i64, text: &str) -> i64 {
        let id = match &self.stage {
            Stage::Local(_) => {
                let person = match who {
                    Who::Person => local_person(),
                    Who::Reader => Person { id: 99, login: "stranger".into() },
                };
                let new = NewComment { repository: self.key(), number, author: &person, body: text };
                self.service.store.add_local_comment(new, self.now()).await.unwrap().id
            }
            Stage::Gitea { server, name, person } => {
                let person = if who == Who::Person { person } else { &server.reader };
                server.comment(person, name, number, text)
            }
        };
        self.forge_tells(number).await;
        id
    }

    /// The forge tells of something on this pull request.
    pub(crate) async fn forge_tells(&self, number: i64) {
        let watched = self.watched();
        let ask: Ask = self.service.ask_of(watched, Kind::ReadComments, numbered(&watched.key, number));
        self.service.store.ask(&[ask], self.now()).await.unwrap();
    }

    /// Somebody comments on what is there for a moment, and it is done. What the bot then wrote or changed.
    pub(crate) async fn ask(&self, number: i64, text: &str) -> Vec<String> {
        self.ask_as(Who::Person, number, text).await
    }

    pub(crate) async fn ask_as(&self, who: Who, number: i64, text: &str) -> Vec<String> {
        let before = self.said(number).await;
        self.a_moment().await;
        self.say_as(who, number, text).await;
        self.work().await;
        let after = self.said(number).await;
        after.into_iter().filter(|text| !before.contains(text)).collect()
    }

    /// As [`World::ask`], where one answer comes.
    pub(crate) async fn answer(&self, number: i64, text: &str) -> String {
        let mut answers = self.ask(number, text).await;
        assert_eq!(answers.len(), 1, "{text}: {answers:#?}");
        answers.remove(0)
    }

    /// What the bot said, oldest first.
    pub(crate) async fn said(&self, number: i64) -> Vec<String> {
        let watched = self.watched();
        let me = self.service.myself(watched).await.unwrap();
        let all = self.faults.quietly(watched.forge.comments(&watched.name, number, 0)).await.unwrap();
        all.into_iter().filter(|comment| comment.author.id == me.id).map(|comment| comment.body).collect()
    }

    /// The open pull requests.
    pub(crate) async fn open(&self) -> Vec<ForgePull> {
        let watched = self.watched();
        self.faults.quietly(watched.forge.open_pulls(&watched.name)).await.unwrap()
    }

    /// The only open pull request.
    pub(crate) async fn only(&self) -> ForgePull {
        let mut open = self.open().await;
        let row = self.service.store.repository(self.key()).await.unwrap();
        let error = row.and_then(|row| row.last_error);
        assert_eq!(open.len(), 1, "{open:#?}, {error:?}");
        open.remove(0)
    }

    /// How a pull request stands.
    pub(crate) async fn state(&self, number: i64) -> PullState {
        let watched = self.watched();
        self.faults.quietly(watched.forge.pull(&watched.name, number)).await.unwrap().state
    }

    /// What was told of the repository as a whole.
    pub(crate) async fn trouble(&self) -> Option<String> {
        self.service.store.repository(self.key()).await.unwrap().and_then(|row| row.last_error)
    }

    /// Whether the branch is there.
    pub(crate) fn has(&self, branch: &str) -> bool {
        match &self.stage {
            Stage::Local(repository) => !repository.git(&["for-each-ref", &format!("refs/heads/{branch}")]).is_empty(),
            Stage::Gitea { server, name, .. } => server.head(name, branch).is_some(),
        }
    }

    /// The commit that a branch is at.
    pub(crate) fn head(&self, branch: &str) -> ObjectId {
        let id = match &self.stage {
            Stage::Local(repository) => repository.git(&["rev-parse", branch]),
            Stage::Gitea { server, name, .. } => server.head(name, branch).unwrap(),
        };
        ObjectId::from_hex(id.as_bytes()).unwrap()
    }

    /// The commit before the one that a branch is at.
    pub(crate) fn parent(&self, branch: &str) -> ObjectId {
        let id = match &self.stage {
            Stage::Local(repository) => repository.git(&["rev-parse", &format!("{branch}^")]),
            Stage::Gitea { server, name, .. } => {
                let path = format!("/repos/{name}/git/commits/{}", self.head(branch));
                let commit = server.call(&server.admin, "GET", &path, &json!(null));
                commit["parents"][0]["sha"].as_str().unwrap().to_owned()
            }
        };
        ObjectId::from_hex(id.as_bytes()).unwrap()
    }

    /// How many commits the base has.
    pub(crate) fn history(&self) -> usize {
        match &self.stage {
            Stage::Local(repository) => repository.git(&["rev-list", "--count", "main"]).parse().unwrap(),
            Stage::Gitea { server, name, .. } => {
                let path = format!("/repos/{name}/commits?stat=false&files=false&limit=50");
                server.call(&server.admin, "GET", &path, &json!(null)).as_array().unwrap().len()
            }
        }
    }

    pub(crate) fn text(&self, branch: &str, path: &str) -> String {
        match &self.stage {
            Stage::Local(repository) => repository.git(&["show", &format!("{branch}:{path}")]) + "\n",
            Stage::Gitea { server, name, .. } => server.file(name, branch, path),
        }
    }

    /// The tag that the release is at on a branch, all else being as it was.
    #[track_caller]
    pub(crate) fn tag(&self, branch: &str) -> String {
        let text = self.text(branch, FILE);
        let line = text.lines().find(|line| line.trim().starts_with("tag:")).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// Somebody commits a file to a branch.
    pub(crate) fn commit(&self, branch: &str, path: &str, text: &str) {
        match &self.stage {
            Stage::Local(repository) => {
                let folder = tempfile::tempdir().unwrap();
                let from = repository.path().to_str().unwrap();
                run(folder.path(), &["clone", "--quiet", "--branch", branch, from, "work"]);
                let work = folder.path().join("work");
                let file = work.join(path);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, text).unwrap();
                run(&work, &["add", "--all"]);
                run(&work, &["commit", "--quiet", "--message", "by a person"]);
                run(&work, &["push", "--quiet", "origin", branch]);
            }
            Stage::Gitea { server, name, person } => {
                drop(server.commit(person, name, branch, "by a person", &[(path, text)]));
            }
        }
    }

    /// A build server says how a check stands.
    pub(crate) async fn status(&self, commit: ObjectId, name: &str, state: CheckState) {
        match &self.stage {
            Stage::Local(_) => {
                let check = Check { name: name.into(), state, url: None, at: self.now() };
                self.service.store.set_local_status(self.key(), commit, &check).await.unwrap();
            }
            Stage::Gitea { server, name: repository, .. } => {
                let state = match state {
                    CheckState::Pending => "pending",
                    CheckState::Success => "success",
                    _ => "failure",
                };
                server.status(repository, &commit.to_string(), name, state);
            }
        }
    }

    /// Somebody closes or reopens a pull request on the forge's own pages.
    pub(crate) async fn set_open(&self, pull: &ForgePull, open: bool) {
        match &self.stage {
            Stage::Local(repository) => {
                let branch = format!("refs/heads/{}", pull.branch);
                if open {
                    repository.git(&["update-ref", &branch, &pull.head.to_string()]);
                } else {
                    repository.git(&["update-ref", "-d", &branch]);
                }
            }
            Stage::Gitea { server, name, person } => {
                let state = if open { "open" } else { "closed" };
                let path = format!("/repos/{name}/pulls/{}", pull.number);
                server.call(person, "PATCH", &path, &json!({ "state": state }));
            }
        }
    }

    /// Asks for a merge of this very head, and waits until the forge has worked out what it thinks of it.
    pub(crate) async fn merge(&self, pull: &ForgePull) {
        self.ask(pull.number, &format!("/merge {}", pull.head)).await;
        for _ in 0..20 {
            if self.state(pull.number).await == PullState::Merged {
                return;
            }
            self.wait_a_little().await;
        }
        panic!("it is not merged: {:#?}", self.said(pull.number).await);
    }

    /// What is due in some seconds is done.
    pub(crate) async fn wait_a_little(&self) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.advance(20);
        self.work().await;
    }
}

async fn store_in(data: &Path) -> Arc<Store> {
    Arc::new(Store::open(data, "a story").await.unwrap())
}

async fn service(
    stage: &Stage,
    data: &Path,
    config: &str,
    ahead: &Arc<AtomicI64>,
    faults: &Arc<Faults>,
    store: Arc<Store>,
) -> Arc<Service> {
    let token = data.join("token");
    if let Stage::Gitea { server, .. } = stage {
        std::fs::write(&token, &server.bot.token).unwrap();
    }
    let file = data.join("leadsman.yaml");
    std::fs::write(&file, config.replace("{token}", &token.display().to_string())).unwrap();
    let environment = Environment::of(Vec::<(String, String)>::new());
    let loaded = Loaded::load(Some(&file), &environment).unwrap();
    let config: Config = loaded.config;
    let options = RegistryOptions { docker_config: DockerConfig::Off, proxy: false, ..RegistryOptions::default() };
    let setup = Setup {
        config: &config,
        environment: &environment,
        data,
        store,
        registry: Registry::new(options).unwrap(),
        clock: leadsman::clock::now,
        jitter: || 0.5,
    };
    let mut service = setup.service().unwrap();
    let ahead = Arc::clone(ahead);
    service.clock =
        Arc::new(move || leadsman::clock::now() + SignedDuration::from_millis(ahead.load(Ordering::Relaxed)));
    for watched in service.watched.values_mut() {
        watched.forge = Arc::new(Faulty { inner: Arc::clone(&watched.forge), faults: Arc::clone(faults) });
    }
    Arc::new(service)
}
