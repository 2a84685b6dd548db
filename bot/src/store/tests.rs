//! Tests of the store as a whole: opening, migrating, pull requests; and what the tests of its modules share.

use std::ops::Deref;

use gix::ObjectId;

use super::*;
use crate::plan::{Change, Evidence, Key, Proposed, Version};
use crate::pulls::{OurHead, State};

const REPOSITORY: &str = "/repository/.git";

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// A store in a folder of its own.
pub(crate) struct Opened {
    store: Option<Store>,
    folder: tempfile::TempDir,
}

impl Opened {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(Store::open(folder.path(), "a test").await.unwrap());
        Self { store, folder }
    }

    /// Ends the process, as far as the store can tell, and begins another.
    pub(crate) async fn reopen(&mut self) {
        self.store.take().unwrap().close().await;
        self.store = Some(Store::open(self.folder.path(), "a test").await.unwrap());
    }
}

impl Deref for Opened {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

/// So many seconds after some midnight.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_312_000 + seconds).unwrap()
}

/// A minute.
pub(crate) fn lease() -> Duration {
    Duration::from_secs(60)
}

pub(crate) fn id(digit: &str) -> ObjectId {
    ObjectId::from_hex(digit.repeat(40).as_bytes()).unwrap()
}

fn record(workload: &str, head: &str) -> Record {
    let version = |tag: &str| Version { tag: tag.into(), digest: None };
    let change = Change {
        document: 0,
        container: "app".into(),
        image: "docker.io/library/app".into(),
        from: version("1"),
        to: version("2"),
    };
    Record {
        number: None,
        key: Key { path: "a.yaml".into(), workload: workload.into() },
        branch: format!("leadsman/{workload}"),
        proposed: vec![Proposed { change, evidence: Evidence::default() }],
        title: "a title".into(),
        body: "a body".into(),
        text_print: "print".into(),
        head: Some((id(head), OurHead { base: id("0"), content_print: "content".into() })),
    }
}

#[tokio::test]
async fn what_was_recorded_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "a test").await.unwrap();
    let numbers = store.record(REPOSITORY, "main", &[record("a", "1"), record("b", "2")], now()).await.unwrap();
    assert_eq!(numbers, [1, 2]);
    let outcome = Outcome {
        number: 1,
        state: State::Open,
        head: Some(id("1")),
        left_alone: None,
        event: Some(("open".into(), "there is an update".into())),
    };
    store.conclude(REPOSITORY, &[outcome], now()).await.unwrap();
    store.close().await;

    let store = Store::open(folder.path(), "a test").await.unwrap();
    let pulls = store.pulls(REPOSITORY, "main").await.unwrap();
    assert_eq!(pulls.len(), 2);
    assert_eq!((pulls[0].head, pulls[1].head), (Some(id("1")), None));
    assert_eq!(pulls[0].proposed, record("a", "1").proposed);
    assert_eq!(pulls[1].heads[&id("2")].base, id("0"));
    assert_eq!(store.pulls(REPOSITORY, "other").await.unwrap(), []);
    assert_eq!(store.texts(REPOSITORY, "main").await.unwrap()[&1].0, "a title");
    let history = store.history(REPOSITORY, 1).await.unwrap();
    assert_eq!(history, [(now(), "open".to_owned(), "there is an update".to_owned())]);
}

#[tokio::test]
async fn declined_ones_are_all_remembered_and_of_the_others_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "a test").await.unwrap();
    let end = |number, state| Outcome { number, state, head: None, left_alone: None, event: None };
    for state in [State::Merged, State::Declined, State::Merged, State::Declined, State::Closed, State::Open] {
        let numbers = store.record(REPOSITORY, "main", &[record("a", "1")], now()).await.unwrap();
        store.conclude(REPOSITORY, &[end(numbers[0], state)], now()).await.unwrap();
    }
    let numbers: Vec<_> = store.pulls(REPOSITORY, "main").await.unwrap().iter().map(|p| p.number).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_failing_transaction_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "a test").await.unwrap();
    let mut twice = record("b", "2");
    twice.branch = record("a", "1").branch;
    store.record(REPOSITORY, "main", &[record("a", "1"), twice], now()).await.unwrap_err();
    assert_eq!(store.pulls(REPOSITORY, "main").await.unwrap(), []);
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path(), "process 1, `leadsman run`").await.unwrap();
    let error = Store::open(folder.path(), "another").await.err().unwrap().to_string();
    assert!(error.contains("process 1, `leadsman run`"), "{error}");
    first.close().await;
    Store::open(folder.path(), "another").await.unwrap();
}

#[tokio::test]
async fn migrations_go_up_and_down_and_up() {
    let store = Opened::new().await;
    store.record(REPOSITORY, "main", &[record("a", "1")], now()).await.unwrap();
    let event = |number| history::Event {
        repository: REPOSITORY.into(),
        number,
        action: "open".into(),
        reason: "there is an update".into(),
        by: None,
    };
    store.note(&[event(Some(1)), event(None)], now()).await.unwrap();
    // To the second version and back: what it knew is still there.
    migrator().undo(&store.writer, 2).await.unwrap();
    migrator().run(&store.writer).await.unwrap();
    assert_eq!(store.history(REPOSITORY, 1).await.unwrap().len(), 1);
    assert_eq!(store.history_of_pull(REPOSITORY, None).await.unwrap(), []);
    // The pull request of a local repository has the same number there.
    assert_eq!(store.pull_of_forge_number(REPOSITORY, 1).await.unwrap(), Some((1, "main".to_owned())));
    migrator().undo(&store.writer, 0).await.unwrap();
    let left =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlx%' AND name NOT LIKE 'sqlite_%'";
    assert_eq!(sqlx::query(left).fetch_all(&store.writer).await.unwrap().len(), 0);
    migrator().run(&store.writer).await.unwrap();
}

#[tokio::test]
async fn the_forge_gives_a_number_once_it_has_the_pull_request() {
    let store = Opened::new().await;
    let watched = repositories::Watched {
        repository: "git.acme.dev/acme/fleet".into(),
        forge: "gitea".into(),
        host: "git.acme.dev".into(),
        forge_id: Some(5),
        name: "acme/fleet".into(),
        url: String::new(),
        clone_url: String::new(),
        base: "main".into(),
    };
    let key = watched.repository.as_str();
    store.watch(&watched, now()).await.unwrap();
    store.record(key, "main", &[record("a", "1"), record("b", "2")], now()).await.unwrap();
    assert_eq!(store.on_forge(key, "main").await.unwrap().len(), 0);
    let url = "https://git.acme.dev/acme/fleet/pulls/41";
    assert!(store.set_forge_number(key, 1, 41, Some(url)).await.unwrap());
    assert!(store.set_forge_number(key, 1, 41, None).await.unwrap());
    assert!(!store.set_forge_number(key, 9, 42, None).await.unwrap());
    // No two pull requests have one number.
    store.set_forge_number(key, 2, 41, None).await.unwrap_err();
    let on_forge = store.on_forge(key, "main").await.unwrap();
    assert_eq!(on_forge[&1], pulls::OnForge { number: 41, url: Some(url.into()) });
    assert_eq!(store.pull_of_forge_number(key, 41).await.unwrap(), Some((1, "main".to_owned())));
    assert_eq!(store.pull_of_forge_number(key, 1).await.unwrap(), None);
    // A local one has it at once.
    store.record(REPOSITORY, "main", &[record("a", "1")], now()).await.unwrap();
    assert_eq!(store.on_forge(REPOSITORY, "main").await.unwrap()[&1].number, 1);
}
