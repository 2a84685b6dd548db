//! What pages show and do, on a real repository, a real store, a registry, and the service that does the work.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leadsman::clock;
use leadsman::demo::{fleet, registry::SampleRegistry};
use leadsman::desk::{Desk, readiness::Workers};
use leadsman::forge::gitea::Gitea;
use leadsman::forge::http::HttpOptions;
use leadsman::forge::local::Local;
use leadsman::forge::local::forge::LocalForge;
use leadsman::forge::mirror::Remote;
use leadsman::forge::{Forge, RepositoryName};
use leadsman::render::Renderer;
use leadsman::render::comments::CommentRenderer;
use leadsman::server::access::{Access, Viewer};
use leadsman::server::health::Readiness;
use leadsman::server::pages::diff::LineKind;
use leadsman::server::pages::views::{
    CheckState, PullState, PullView, RepositoryRef, RepositoryRow, RepositoryState, WorkState,
};
use leadsman::server::pages::{ActionError, Actions, NewStatus, Views};
use leadsman::server::webhooks::parse::Wake;
use leadsman::server::webhooks::{Accepted, Delivery, HookKind, Inbox};
use leadsman::server::{Parts, Server, metrics};
use leadsman::store::Store;
use leadsman::store::work::{Ask, Kind, Lane, MAX_ATTEMPTS, Next, Priority};
use leadsman::work::handler::Worker;
use leadsman::work::queue::{Failure, Handler};
use leadsman::work::service::{Memory, Schedule, Service, Source, Watched};
use leadsman_scanner::registry::{DockerConfig, HostOptions, Lists, Registry, RegistryOptions, TimeCache};
use leadsman_scanner::scan::ScanOptions;
use leadsman_tests::repository::Repository;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const FILE: &str = "clusters/production/podinfo.yaml";
const IMAGE: &str = "registry.example.com/demo/podinfo";

thread_local! {
    /// How far the service of the test on this thread is ahead of the clock.
    static AHEAD: Cell<SignedDuration> = const { Cell::new(SignedDuration::ZERO) };
}

fn now() -> Timestamp {
    clock::now() + AHEAD.get()
}

fn release(filter: &str) -> String {
    format!(
        "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: podinfo\n  namespace: web\n  annotations:\n    \
         fluxcd.io/automated: \"true\"\n    filter.fluxcd.io/chart-image: {filter}\nspec:\n  values:\n    image:\n      \
         repository: {IMAGE}\n      tag: 6.5.0\n"
    )
}

/// A fleet of one release, of which the registry has something newer, and the desk of the service that looks after it.
struct World {
    repository: Repository,
    _data: tempfile::TempDir,
    _registry: SampleRegistry,
    service: Arc<Service>,
    desk: Arc<Desk>,
    workers: Workers,
    key: String,
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With repositories of this name on a forge that nobody can reach.
    async fn with(remote: &[&str]) -> Self {
        let repository = Repository::new();
        repository.write(FILE, &release("semver:~6.5"));
        repository.commit("the fleet");
        let data = tempfile::tempdir().unwrap();
        let sample = SampleRegistry::start().await.unwrap();
        fleet::publish_all(&sample, now());
        let mirror = Some(format!("http://{}", sample.address()).parse().unwrap());
        let registry = Registry::new(RegistryOptions {
            hosts: [(fleet::HOST.to_owned(), HostOptions { mirror, ..HostOptions::default() })].into(),
            docker_config: DockerConfig::Off,
            proxy: false,
            ..RegistryOptions::default()
        });
        let store = Arc::new(Store::open(data.path(), "a test").await.unwrap());
        let local = Arc::new(Local::open(repository.path()).unwrap());
        let key = local.identity().to_owned();
        let forge: Arc<dyn Forge> =
            Arc::new(LocalForge::new(Arc::clone(&store), vec![Arc::clone(&local)], "http://localhost".into()));
        let mut watched = BTreeMap::new();
        let name = RepositoryName(key.clone());
        watched.insert(
            key.clone(),
            Watched { key: key.clone(), name, base: Some("main".into()), forge, source: Source::Local(local) },
        );
        for name in remote {
            let one = elsewhere(name, data.path()).await;
            watched.insert(one.key.clone(), one);
        }
        let service = Arc::new(Service {
            store,
            registry: registry.unwrap(),
            lists: Lists::default(),
            times: TimeCache::in_memory(),
            renderer: Renderer::new().unwrap(),
            comments: CommentRenderer::new().unwrap(),
            options: ScanOptions::new(now()),
            schedule: Schedule { images: SignedDuration::from_mins(5), repositories: SignedDuration::from_hours(1) },
            handle: "leadsman".into(),
            watched,
            clock: now,
            jitter: || 0.5,
            memory: Memory::default(),
        });
        let workers = Workers::default();
        let desk = Arc::new(Desk::new(Arc::clone(&service), workers.clone()));
        Self { repository, _data: data, _registry: sample, service, desk, workers, key }
    }

    fn here(&self) -> RepositoryRef {
        RepositoryRef::new("local", RepositoryName(self.key.clone()))
    }

    /// Does what is due until nothing is.
    async fn work_off(&self) {
        let worker = Worker(Arc::clone(&self.service));
        let store = &self.service.store;
        while let Some(claim) = store.claim("a test", Duration::from_secs(60), now()).await.unwrap() {
            match worker.run(&claim).await {
                Ok(next) => drop(store.finish(&claim, next, now()).await.unwrap()),
                Err(Failure::Ours(error)) => drop(store.fail(&claim, &error, now(), 0.5).await.unwrap()),
                Err(Failure::PutOff { host, until, error }) => {
                    store.put_off(&claim, &host, until, &error, now(), 0.5).await.unwrap();
                }
            }
        }
    }

    async fn scan(&self) {
        self.desk.scan(Viewer::Local, &self.here()).await.unwrap();
        self.work_off().await;
    }

    async fn row(&self) -> RepositoryRow {
        let all = self.desk.repositories(Viewer::Local).await.unwrap().repositories;
        all.into_iter().find(|row| row.repository == self.here()).unwrap()
    }

    async fn pull(&self, number: i64) -> PullView {
        self.desk.pull(Viewer::Local, &self.here(), number).await.unwrap().unwrap()
    }

    async fn say(&self, body: &str) {
        self.desk.comment(Viewer::Local, &self.here(), 1, body).await.unwrap();
    }

    fn status(&self, sha: &str, state: CheckState) -> NewStatus {
        let repository = self.repository.path().canonicalize().unwrap();
        let repository = repository.to_str().unwrap().to_owned();
        NewStatus { repository, sha: sha.to_owned(), name: "ci/test".into(), state, url: None }
    }
}

/// A repository on a forge that does not answer.
async fn elsewhere(name: &str, data: &Path) -> Watched {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}");
    let forge: Arc<dyn Forge> = Arc::new(Gitea::new(HttpOptions::new(url.parse().unwrap(), "a token".into())).unwrap());
    let remote = Remote::new(format!("{url}/{name}").parse().unwrap(), "a token".into());
    let key = format!("{}/{name}", forge.host());
    let source = Source::Remote { folder: data.join("mirrors"), remote };
    Watched { key, name: RepositoryName(name.into()), base: None, forge, source }
}

fn waits(pull: &PullView) -> Vec<(bool, &str)> {
    pull.waits.iter().map(|wait| (wait.given, wait.what.as_str())).collect()
}

#[tokio::test]
async fn a_repository_is_shown_as_its_last_scan_left_it() {
    let world = World::new().await;
    let row = world.row().await;
    assert_eq!((row.state, row.last_scan, row.open_pulls), (RepositoryState::New, None, 0));

    world.scan().await;
    let row = world.row().await;
    assert_eq!((row.state, row.open_pulls, row.workloads, row.problems), (RepositoryState::Watched, 1, 1, 0));
    assert!(row.last_scan.is_some() && row.next_scan > row.last_scan, "{row:?}");

    let view = world.desk.repository(Viewer::Public, &world.here()).await.unwrap().unwrap();
    assert_eq!((view.row, view.base.as_str(), view.url), (row, "main", None));
    assert_eq!((view.pulls.len(), view.pulls[0].number, view.pulls[0].state), (1, 1, PullState::Open));
    assert!(view.work.iter().all(|work| work.repository == Some(world.here())), "{:?}", view.work);
    assert!(view.work.iter().any(|work| work.kind == "scan_repository" && work.state == WorkState::Waiting));

    let other = RepositoryRef::new("local", RepositoryName(world.key.to_uppercase()));
    assert_eq!(world.desk.repository(Viewer::Local, &other).await.unwrap(), None, "paths mean what they say");
    assert_eq!(world.desk.pull(Viewer::Local, &world.here(), 2).await.unwrap(), None);
}

#[tokio::test]
async fn a_pull_request_is_shown_with_what_it_changes_and_waits_for() {
    let world = World::new().await;
    world.scan().await;
    let (branch, head) = world.repository.proposal();
    let pull = world.pull(1).await;
    assert_eq!((&pull.branch, &pull.head, pull.base.as_str()), (&branch, &head, "main"));
    assert_eq!((pull.author.as_str(), pull.takes_comments, &pull.url), ("leadsman", true, &None));
    let [file] = &pull.diff[..] else { panic!("{:?}", pull.diff) };
    assert_eq!((file.path.as_str(), file.added, file.removed, file.cut), (FILE, 1, 1, false));
    let changed: Vec<(LineKind, &str)> = file.hunks[0]
        .lines
        .iter()
        .filter(|line| line.kind != LineKind::Same)
        .map(|line| (line.kind, line.text.trim()))
        .collect();
    assert_eq!(changed, [(LineKind::Removed, "tag: 6.5.0"), (LineKind::Added, "tag: 6.5.4")]);
    assert_eq!(waits(&pull)[0], (false, "somebody asks for the merge"));
    assert!(pull.waits[0].by.as_ref().unwrap().contains("`/merge`"), "{:?}", pull.waits);
    assert!(pull.comments.is_empty() && pull.checks.is_empty());
    assert_eq!(pull.history.last().unwrap().action, "opened");

    // A person's commit on top, and the base moved on: what the branch holds is shown, and nothing of the base.
    world.repository.write("README.md", "of the base\n");
    world.repository.commit("on the base");
    world.repository.git(&["switch", "--quiet", &branch]);
    world.repository.write("NOTES.md", "a person was here\n");
    world.repository.commit("by a person");
    world.repository.git(&["switch", "--quiet", "main"]);
    world.scan().await;
    let pull = world.pull(1).await;
    let paths: Vec<(&str, usize, usize)> =
        pull.diff.iter().map(|file| (file.path.as_str(), file.added, file.removed)).collect();
    assert_eq!(paths, [("NOTES.md", 1, 0), (FILE, 1, 1)]);
}

#[tokio::test]
async fn a_merge_is_asked_for_waits_and_happens_on_pages_c3_1_c3_2() {
    let world = World::new().await;
    world.scan().await;
    let (_, head) = world.repository.proposal();
    // What a work tree has checked out is not moved.
    world.repository.git(&["switch", "--quiet", "--detach"]);
    world.say(&format!("/merge {}", &head[..12])).await;
    let work = world.desk.work(Viewer::Local).await.unwrap().work;
    let read = work.iter().find(|row| row.kind == "read_comments").unwrap();
    assert_eq!((&read.key, read.state), (&format!("{}#1", world.key), WorkState::Waiting));

    world.work_off().await;
    let pull = world.pull(1).await;
    assert_eq!(pull.merge_asked_by.as_deref(), Some("local"));
    assert_eq!(waits(&pull)[0], (true, "`local` asked for the merge"));
    // No check is there, so a while is waited whether one appears (C3.2).
    assert!(pull.row.waits_for.as_ref().unwrap().starts_with("no check is expected"), "{:?}", pull.waits);
    let [asked, answer] = &pull.comments[..] else { panic!("{:?}", pull.comments) };
    assert_eq!((asked.author.as_str(), asked.ours, &asked.reactions[..]), ("local", false, &["👀".to_owned()][..]));
    assert_eq!((answer.author.as_str(), answer.ours), ("leadsman", true));
    let listed = world.desk.repository(Viewer::Local, &world.here()).await.unwrap().unwrap().pulls;
    assert_eq!(listed[0].waits_for.as_deref(), Some("`local` asked for the merge: settling"));

    let set = |state| world.desk.set_status(Viewer::Local, world.status(&head, state));
    set(CheckState::Failure).await.unwrap();
    world.work_off().await;
    let pull = world.pull(1).await;
    assert!(waits(&pull).contains(&(false, "the check `ci/test` failed")), "{:?}", pull.waits);
    assert_eq!((pull.checks.len(), pull.checks[0].state), (1, CheckState::Failure));

    AHEAD.set(SignedDuration::from_mins(2));
    set(CheckState::Success).await.unwrap();
    world.work_off().await;
    let pull = world.pull(1).await;
    let left = (pull.row.state, &pull.merge_asked_by, pull.waits.len());
    assert_eq!(left, (PullState::Merged, &None, 0), "{:?}", pull.history);
    assert_eq!(pull.head, head);
    assert_eq!(pull.diff.len(), 1, "what was merged is still shown");
    assert!(world.repository.git(&["show", &format!("main:{FILE}")]).contains("tag: 6.5.4"));
    assert!(pull.history.iter().any(|row| row.action == "merged"), "{:?}", pull.history);
    assert!(pull.history.windows(2).all(|pair| pair[0].at >= pair[1].at), "newest first");
}

#[tokio::test]
async fn what_is_wrong_is_shown_with_its_place_and_since_when() {
    let world = World::new().await;
    world.repository.write("clusters/bad.yaml", &release("semver:!!").replace("podinfo\n", "other\n"));
    world.repository.write("clusters/broken.yaml", &format!("{}      more: [}}\n", release("semver:~6.5")));
    world.repository.commit("two faults");
    world.scan().await;
    let first = world.desk.repository(Viewer::Local, &world.here()).await.unwrap().unwrap().problems_found;
    let place = |at: usize| first[at].place.as_deref().unwrap_or_default();
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(place(0).starts_with("clusters/broken.yaml:"), "{first:?}");
    assert!(place(1).starts_with("clusters/bad.yaml:") && first[1].message.contains("filter-invalid"), "{first:?}");
    let row = world.row().await;
    assert_eq!((row.state, row.problems), (RepositoryState::Watched, 2));
    assert!(row.problem.unwrap().starts_with("clusters/broken.yaml:"));

    std::fs::remove_file(world.repository.path().join("clusters/broken.yaml")).unwrap();
    world.repository.commit("one less");
    world.scan().await;
    let errors = world.desk.errors(Viewer::Public).await.unwrap();
    assert_eq!((errors.errors.len(), errors.more), (1, 0), "{errors:?}");
    assert_eq!(errors.errors[0].repository, Some(world.here()));
    assert_eq!(errors.errors[0].problem, first[1], "it keeps the time since when");

    world.repository.write(".leadsman.yaml", "merge: [\n");
    world.repository.commit("a configuration that cannot be used");
    world.scan().await;
    let row = world.row().await;
    assert_eq!(row.state, RepositoryState::Misconfigured);
    assert!(row.problem.unwrap().contains(".leadsman.yaml"));
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_shown_and_hurts_nobody_else() {
    let world = World::with(&["acme/fleet"]).await;
    let key = world.service.watched.keys().find(|key| key.ends_with("acme/fleet")).unwrap().clone();
    let (host, _) = key.split_once('/').unwrap();
    let there = RepositoryRef::new(host, RepositoryName("Acme/Fleet".into()));
    world.desk.scan(Viewer::Operator, &there).await.unwrap();
    world.scan().await;
    let rows = world.desk.repositories(Viewer::Local).await.unwrap().repositories;
    let states: Vec<RepositoryState> = rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [RepositoryState::Failing, RepositoryState::Watched], "{rows:?}");
    let view = world.desk.repository(Viewer::Local, &there).await.unwrap().unwrap();
    assert_eq!((view.problems_found.len(), view.work[0].state), (1, WorkState::PutOff), "{view:?}");
    let errors = world.desk.errors(Viewer::Local).await.unwrap().errors;
    assert!(errors.iter().any(|error| error.problem.place.as_deref() == Some(host)), "{errors:?}");
    assert!(errors.iter().any(|error| error.repository == Some(view.row.repository.clone())), "{errors:?}");
    // Replayed, it is due at once.
    world.desk.replay(Viewer::Local, "scan_repository", &key).await.unwrap();
    let comment = world.desk.comment(Viewer::Local, &there, 1, "/merge").await;
    assert!(matches!(comment, Err(ActionError::Refused(_))), "{comment:?}");
}

#[tokio::test]
async fn only_who_may_can_act_and_only_on_what_is_there() {
    let world = World::new().await;
    world.scan().await;
    let here = world.here();
    let comment = async |viewer, number| world.desk.comment(viewer, &here, number, "hello").await;
    assert!(matches!(comment(Viewer::Operator, 1).await, Err(ActionError::Refused(_))));
    assert_eq!(comment(Viewer::Local, 7).await, Err(ActionError::NotFound));
    let nowhere = RepositoryRef::new("local", RepositoryName("/nowhere/.git".into()));
    assert_eq!(world.desk.scan(Viewer::Local, &nowhere).await, Err(ActionError::NotFound));
    assert_eq!(world.pull(1).await.comments, []);

    // Parked, and replayed.
    let (store, at) = (&world.service.store, now());
    let ask = Ask::new(Kind::Sweep, "sweep", Lane::service("sweep"), at).with(Priority::Person);
    store.ask(&[ask], at).await.unwrap();
    for attempt in 0..MAX_ATTEMPTS {
        let at = at + SignedDuration::from_hours(2 * i64::from(attempt));
        let claim = store.claim("a test", Duration::from_secs(60), at).await.unwrap();
        store.fail(&claim.unwrap(), "the disk is full", at, 0.5).await.unwrap();
    }
    let work = world.desk.work(Viewer::Local).await.unwrap().work;
    assert_eq!((work[0].kind.as_str(), work[0].state), ("sweep", WorkState::Parked), "{work:?}");
    let errors = world.desk.errors(Viewer::Local).await.unwrap().errors;
    assert_eq!(errors[0].problem.message, "the disk is full");
    for (kind, key) in [("sweeping", "sweep"), ("sweep", "other")] {
        assert_eq!(world.desk.replay(Viewer::Local, kind, key).await, Err(ActionError::NotFound));
    }
    world.desk.replay(Viewer::Local, "sweep", "sweep").await.unwrap();
    let work = world.desk.work(Viewer::Local).await.unwrap().work;
    assert!(work.iter().any(|row| row.kind == "sweep" && row.state == WorkState::Waiting && row.attempts == 0));
}

#[tokio::test]
async fn deliveries_about_what_is_watched_are_kept_once() {
    let world = World::new().await;
    let delivery = |id: &str, image: &str| Delivery {
        source: "the registry".into(),
        kind: HookKind::Generic,
        id: Some(id.into()),
        event: "push".into(),
        wakes: vec![Wake::Image { host: fleet::HOST.into(), repository: image.into(), tag: None, digest: None }],
        received_at: now(),
    };
    // Nothing was scanned, so nothing is known to be used; the first scan reads the tags anyway.
    assert_eq!(world.desk.deliver(delivery("1", "demo/podinfo")).await.unwrap(), Accepted::Irrelevant);
    world.scan().await;
    assert_eq!(world.desk.deliver(delivery("1", "demo/podinfo")).await.unwrap(), Accepted::Stored);
    assert_eq!(world.desk.deliver(delivery("1", "demo/podinfo")).await.unwrap(), Accepted::Repeated);
    assert_eq!(world.desk.deliver(delivery("2", "shop/web")).await.unwrap(), Accepted::Irrelevant);

    let store = &world.service.store;
    let claim = store.claim("a test", Duration::from_secs(60), now()).await.unwrap().unwrap();
    assert_eq!(claim.kind, Kind::Deliver);
    assert_eq!(Worker(Arc::clone(&world.service)).run(&claim).await.unwrap(), Next::Done);
    store.finish(&claim, Next::Done, now()).await.unwrap();
    let next = store.claim("a test", Duration::from_secs(60), now()).await.unwrap().unwrap();
    assert_eq!((next.kind, next.key.trim()), (Kind::ListImage, IMAGE));
}

#[tokio::test]
async fn it_is_ready_while_workers_run() {
    let world = World::new().await;
    let failing = async || {
        let conditions = world.desk.conditions().await;
        assert_eq!(conditions.len(), 3);
        conditions.into_iter().filter(|it| !it.holds).map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(failing().await, ["workers"]);
    let running = world.workers.run();
    assert_eq!(failing().await, [""; 0]);
    let guard = running;
    let died = tokio::spawn(async move {
        let _guard = guard;
        panic!("on purpose");
    });
    assert!(died.await.is_err());
    assert_eq!(failing().await, ["workers"], "workers that died do not run");
}

#[tokio::test]
async fn statuses_are_taken_from_this_machine_for_commits_that_exist() {
    let world = World::new().await;
    world.scan().await;
    let (_, head) = world.repository.proposal();
    let good = || world.status(&head, CheckState::Success);
    let operator = world.desk.set_status(Viewer::Operator, good()).await;
    assert!(matches!(operator, Err(ActionError::Refused(_))), "{operator:?}");
    let nowhere = NewStatus { repository: "/nowhere".into(), ..good() };
    assert_eq!(world.desk.set_status(Viewer::Local, nowhere).await, Err(ActionError::NotFound));
    for bad in [
        NewStatus { sha: head[..12].into(), ..good() },
        NewStatus { sha: "0".repeat(39) + "1", ..good() },
        NewStatus { name: " ".into(), ..good() },
        NewStatus { name: "a\nb".into(), ..good() },
        NewStatus { name: "x".repeat(201), ..good() },
        NewStatus { url: Some("javascript:alert(1)".into()), ..good() },
    ] {
        let answer = world.desk.set_status(Viewer::Local, bad.clone()).await;
        assert!(matches!(answer, Err(ActionError::Refused(_))), "{bad:?}: {answer:?}");
    }
    assert_eq!(world.pull(1).await.checks, []);
    for number in 0..201 {
        let status = NewStatus { name: format!("check {number}"), ..good() };
        let kept = world.desk.set_status(Viewer::Local, status).await;
        assert_eq!(kept.is_ok(), number < 200, "{number}: {kept:?}");
    }
    world.desk.set_status(Viewer::Local, NewStatus { name: "check 0".into(), ..good() }).await.unwrap();
}

async fn http(desk: &Arc<Desk>, head: &str, body: &str) -> String {
    let parts = Parts {
        inbox: Arc::clone(desk) as _,
        views: Arc::clone(desk) as _,
        actions: Arc::clone(desk) as _,
        readiness: Arc::clone(desk) as _,
        sources: Vec::new(),
        access: Some(Access { loopback: true, ..Access::default() }),
        metrics: metrics::install([]).unwrap(),
        clock: now,
        form_key: [7; 32],
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(Server::new(parts).unwrap().serve(listener, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    server.abort();
    answer
}

#[tokio::test]
async fn a_status_comes_by_http_and_not_from_pages_of_others() {
    let world = World::new().await;
    world.scan().await;
    let (_, head) = world.repository.proposal();
    let NewStatus { repository, sha, .. } = world.status(&head, CheckState::Success);
    let body = serde_json::json!({"repository": repository, "sha": sha, "name": "ci", "state": "success"}).to_string();
    let send = async |headers: &str, body: &str| {
        let answer = http(&world.desk, &format!("POST /api/v1/local/statuses HTTP/1.1{headers}"), body).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let json = "\r\nContent-Type: application/json";
    assert_eq!(send("\r\nContent-Type: text/plain", &body).await, "415");
    assert_eq!(send(&format!("{json}\r\nOrigin: https://evil.example"), &body).await, "403");
    assert_eq!(send(&format!("{json}\r\nSec-Fetch-Site: cross-site"), &body).await, "403");
    assert_eq!(send(&format!("{json}\r\nX-Forwarded-For: 192.0.2.1"), &body).await, "403");
    assert_eq!(send(json, &body.replace("success", "splendid")).await, "422");
    assert_eq!(send(json, &body.replace(&sha, "abc")).await, "409");
    assert_eq!(world.pull(1).await.checks, []);
    assert_eq!(send(json, &body).await, "204");
    assert_eq!(world.pull(1).await.checks.len(), 1);

    // And the pages can be made of what the desk shows.
    let path = world.here().pull_path(1);
    for page in ["/", &world.here().path, &path, "/work", "/errors"] {
        let answer = http(&world.desk, &format!("GET {page} HTTP/1.1"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{page}: {answer}");
    }
    let twin = http(&world.desk, &format!("GET /api/v1{path} HTTP/1.1"), "").await;
    assert!(twin.contains("\"takes_comments\":true"), "{twin}");
}
