//! The dashboard issue on a real Gitea: when it is opened and changed, what may be said there, and what a lost store
//! learns from it.

#![allow(clippy::unwrap_used, reason = "a test that fails should end")]

use std::path::Path;
use std::sync::Arc;

use leadsman::config::{Environment, Loaded};
use leadsman::serve::{Setup, begin};
use leadsman::store::Store;
use leadsman::store::work::{Kind, Priority};
use leadsman::work::decisions;
use leadsman::work::handler::Worker;
use leadsman::work::queue::{Settings, Workers};
use leadsman::work::service::{Service, numbered};
use leadsman_scanner::registry::{DockerConfig, Registry, RegistryOptions};
use leadsman_tests::gitea::{Account, Gitea};
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use serde_json::{Value, json};

const FILE: &str = "apps/podinfo.yaml";

const CONFIG: &str = ".leadsman.yaml";

fn release(host: &str) -> String {
    format!(
        "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: podinfo\n  namespace: web\n  \
         annotations:\n    fluxcd.io/automated: \"true\"\n    filter.fluxcd.io/chart-image: semver:~6\nspec:\n  values:\n    image:\n      \
         repository: {host}/demo/podinfo\n      tag: 6.0.0\n"
    )
}

/// A repository on Gitea, a registry, and somebody who may do everything there.
struct World {
    server: Arc<Gitea>,
    registry: Distribution,
    name: String,
    person: Account,
    token: tempfile::NamedTempFile,
}

impl World {
    fn new(called: &str, config: &str) -> Self {
        let registry = Distribution::start(Access::Anonymous).unwrap();
        for tag in ["6.0.0", "6.1.0"] {
            let times = Times { config: Some("2026-01-02T03:04:00Z"), ..Times::default() };
            Pusher::new(registry.address, None).image("demo/podinfo", Some(tag), Format::Oci, times).unwrap();
        }
        let server = Gitea::shared();
        let name = server.repository(called, &[(FILE, &release(&registry.host())), (CONFIG, config)]);
        let person = server.person(&format!("ada-{called}"));
        server.invite(&name, &person, "admin");
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), &server.bot.token).unwrap();
        Self { server, registry, name, person, token }
    }

    /// A service with this data folder.
    async fn service(&self, data: &Path) -> Arc<Service> {
        let url = self.server.url();
        let host = url.trim_start_matches("http://");
        let text = format!(
            "forges:\n  \"{host}\":\n    url: {url}\n    token_file: {}\nrepositories:\n  - forge: \"{host}\"\n    \
             name: {}\n",
            self.token.path().display(),
            self.name
        );
        let file = data.join("leadsman.yaml");
        std::fs::write(&file, text).unwrap();
        let environment = Environment::of(Vec::<(String, String)>::new());
        let config = Loaded::load(Some(&file), &environment).unwrap().config;
        let options = RegistryOptions { docker_config: DockerConfig::Off, proxy: false, ..RegistryOptions::default() };
        let setup = Setup {
            config: &config,
            environment: &environment,
            data,
            store: Arc::new(Store::open(data, "a test").await.unwrap()),
            registry: Registry::new(options).unwrap(),
            clock: leadsman::clock::now,
            jitter: || 0.5,
        };
        let service = Arc::new(setup.service().unwrap());
        begin(&service).await.unwrap();
        service
    }

    /// The open issues, newest first.
    fn issues(&self) -> Vec<Value> {
        let path = format!("/repos/{}/issues?state=open&type=issues", self.name);
        self.server.call(&self.server.admin, "GET", &path, &Value::Null).as_array().unwrap().clone()
    }

    /// The only one: its number and text.
    fn issue(&self) -> (i64, String) {
        let issues = self.issues();
        assert_eq!(issues.len(), 1, "{issues:#?}");
        assert_eq!(issues[0]["user"]["login"], self.server.bot.login.as_str());
        (issues[0]["number"].as_i64().unwrap(), issues[0]["body"].as_str().unwrap().to_owned())
    }

    /// The open pull requests.
    fn pulls(&self) -> Vec<Value> {
        let path = format!("/repos/{}/pulls?state=open", self.name);
        self.server.call(&self.server.admin, "GET", &path, &Value::Null).as_array().unwrap().clone()
    }

    /// Says something, and has it read and done. What the bot said last, after it.
    async fn say(&self, service: &Arc<Service>, number: i64, text: &str) -> Option<String> {
        let written = self.server.comment(&self.person, &self.name, number, text);
        let watched = service.watched.values().next().unwrap();
        let ask = service.ask_of(watched, Kind::ReadComments, numbered(&watched.key, number));
        service.store.ask(&[ask], service.now()).await.unwrap();
        work(service).await;
        let path = format!("/repos/{}/issues/{number}/comments", self.name);
        let all = self.server.call(&self.server.admin, "GET", &path, &Value::Null);
        let mut after = all.as_array().unwrap().iter().filter(|it| it["id"].as_i64().unwrap() > written);
        after.next_back().map(|it| it["body"].as_str().unwrap().to_owned())
    }
}

/// Does everything that is due.
async fn work(service: &Arc<Service>) {
    let worker = Worker(Arc::clone(service));
    let clock = Arc::new(leadsman::clock::now);
    let workers = Workers::new(Arc::clone(&service.store), worker, Settings::new("test"), clock);
    workers.run_until_idle().await.unwrap();
    for row in service.store.work(100, service.now()).await.unwrap() {
        assert_eq!(row.last_error, None, "{row:?}");
    }
}

async fn scan(service: &Arc<Service>) {
    let watched = service.watched.values().next().unwrap();
    service.store.ask(&[service.ask_scan(watched, Priority::Scan)], service.now()).await.unwrap();
    work(service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_configuration_is_said_once() {
    let world = World::new("misconfigured", "limits:\n  opne: 3\n");
    let data = tempfile::tempdir().unwrap();
    let service = world.service(data.path()).await;
    work(&service).await;
    let (number, body) = world.issue();
    assert!(body.contains(".leadsman.yaml:2:3") && body.contains("opne"), "{body}");
    assert_eq!(world.pulls(), Vec::<Value>::new());
    let before = world.issues();
    scan(&service).await;
    assert_eq!(world.issues(), before, "nothing is written twice");

    world.server.commit(&world.person, &world.name, "main", "Mend it", &[(CONFIG, "limits:\n  open: 3\n")]);
    scan(&service).await;
    let (same, body) = world.issue();
    assert_eq!(same, number);
    assert!(!body.contains("opne"), "{body}");
    let pulls = world.pulls();
    assert_eq!(pulls.len(), 1);
    assert!(body.contains(&format!("- #{} ", pulls[0]["number"])), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_to_say_opens_no_issue() {
    let world = World::new("quiet", "");
    let quiet = release(&world.registry.host()).replace("6.0.0", "6.1.0");
    world.server.commit(&world.person, &world.name, "main", "Up to date", &[(FILE, &quiet)]);
    let data = tempfile::tempdir().unwrap();
    let service = world.service(data.path()).await;
    work(&service).await;
    scan(&service).await;
    assert_eq!(world.issues(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_decide_there_outlives_the_store_c1_6() {
    let world = World::new("decided", "");
    let data = tempfile::tempdir().unwrap();
    let service = world.service(data.path()).await;
    work(&service).await;
    let (number, body) = world.issue();
    let pull = world.pulls()[0]["number"].as_i64().unwrap();
    assert!(body.contains(&format!("- #{pull} ")), "{body}");

    // People's own words below the marker stay.
    let path = format!("/repos/{}/issues/{number}", world.name);
    let noted = format!("{body}\nAsk Ada first.\n");
    world.server.call(&world.server.admin, "PATCH", &path, &json!({ "body": noted }));

    world.say(&service, pull, "/hold before the talk is over").await;
    assert_eq!(world.say(&service, number, "/pause freeze").await, None);
    let (_, body) = world.issue();
    assert!(body.contains("freeze") && body.contains("before the talk is over"), "{body}");
    assert!(body.trim_end().ends_with("Ask Ada first."), "{body}");
    let said = world.say(&service, number, "/status").await.unwrap();
    assert!(said.contains("freeze"), "{said}");
    let said = world.say(&service, number, "/merge").await.unwrap();
    assert!(said.contains("on a pull request only"), "{said}");
    let said = world.say(&service, number, "/unignore minor").await.unwrap();
    assert!(said.contains("takes a number"), "{said}");
    let before = (world.issue(), world.pulls());

    // The store is lost: a new one learns all of it, and nothing is written.
    let other = tempfile::tempdir().unwrap();
    let anew = world.service(other.path()).await;
    let key = anew.watched.keys().next().unwrap().clone();
    work(&anew).await;
    let decided = decisions::read(&anew.store, &key, anew.now()).await.unwrap();
    let pause = decided.repository.pause.clone().unwrap();
    assert_eq!((pause.by.as_str(), pause.reason.as_deref()), (world.person.login.as_str(), Some("freeze")));
    let (ours, _) = anew.store.pull_of_forge_number(&key, pull).await.unwrap().unwrap();
    let hold = decided.pulls[&ours].hold.clone().unwrap();
    assert_eq!(hold.reason.as_deref(), Some("before the talk is over"));
    assert_eq!((world.issue(), world.pulls()), before);

    // Taken back, it does not come again from what the issue said.
    world.say(&anew, number, "/resume").await;
    scan(&anew).await;
    assert_eq!(decisions::read(&anew.store, &key, anew.now()).await.unwrap().repository.pause, None);
    assert!(!world.issue().1.contains("freeze"));
}
