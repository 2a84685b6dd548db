//! Tests of the workers over a real store, by the clock of the machine. The numbers are those of the invariants in
//! [`super`].

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::store::work::{Ask, Kind, Lane, Priority, Standing};

const SOON: Duration = Duration::from_secs(10);

type Plan = Box<dyn Fn(&Claim) -> Result<Next, Failure> + Send + Sync>;

/// Does what the test says, and remembers what ran.
struct Scripted {
    ran: Mutex<Vec<String>>,
    began: Notify,
    plan: Plan,
    /// Keys that begin with `wait` need one of these to end.
    gates: Semaphore,
    stopped: AtomicBool,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Scripted {
    fn new(plan: impl Fn(&Claim) -> Result<Next, Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            ran: Mutex::default(),
            began: Notify::new(),
            plan: Box::new(plan),
            gates: Semaphore::new(0),
            stopped: AtomicBool::new(false),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().clone()
    }
}

/// Tells when a handler is stopped before its end.
struct Bell<'a>(&'a Scripted, bool);

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.stopped.store(true, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Handler for Arc<Scripted> {
    async fn run(&self, claim: &Claim) -> Result<Next, Failure> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let mut bell = Bell(self, false);
        self.ran.lock().unwrap().push(claim.key.clone());
        self.began.notify_one();
        if claim.key.starts_with("wait") {
            self.gates.acquire().await.unwrap().forget();
        }
        bell.1 = true;
        (self.plan)(claim)
    }
}

struct World {
    store: Arc<Store>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), "a test").await.unwrap());
        Self { store, folder }
    }

    fn now() -> Timestamp {
        crate::clock::now()
    }

    async fn ask(&self, keys: &[&str]) {
        let asks: Vec<Ask> =
            keys.iter().map(|key| Ask::new(Kind::ScanRepository, *key, Lane::repository(key), Self::now())).collect();
        self.store.ask(&asks, Self::now()).await.unwrap();
    }

    fn workers(&self, handler: &Arc<Scripted>, change: impl FnOnce(&mut Settings)) -> Workers<Arc<Scripted>> {
        let mut settings = Settings::new("test");
        change(&mut settings);
        Workers::new(Arc::clone(&self.store), Arc::clone(handler), settings, Arc::new(crate::clock::now))
    }

    async fn standing(&self, key: &str) -> Option<(Standing, u32, Option<String>)> {
        let rows = self.store.work(99, Self::now()).await.unwrap();
        rows.into_iter().find(|row| row.key == key).map(|row| (row.standing, row.attempts, row.last_error))
    }
}

/// Waits for what must come.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn until_idle_runs_what_is_due_and_what_that_asks_for_and_leaves_the_rest() {
    let world = World::new().await;
    world.ask(&["a", "b", "fails", "panics", "puts off"]).await;
    let later = Ask::new(Kind::Sweep, "later", Lane::service("sweep"), World::now() + SOON * 60);
    world.store.ask(&[later], World::now()).await.unwrap();
    let store = Arc::clone(&world.store);
    let handler = Scripted::new(move |claim| match claim.key.as_str() {
        "a" if claim.asked == 1 => {
            let (store, lane) = (Arc::clone(&store), Lane::repository("a"));
            let ask = Ask::new(Kind::ScanRepository, "a", lane, World::now()).with(Priority::Person);
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(store.ask(&[ask], World::now())).unwrap();
            });
            Ok(Next::Done)
        }
        "b" => Ok(Next::Again(World::now() + SOON * 60)),
        "fails" => Err(Failure::Ours("a wrong token".into())),
        "panics" => panic!("an index out of bounds"),
        "puts off" => Err(Failure::PutOff { host: "git.one".into(), until: None, error: "503".into() }),
        _ => Ok(Next::Done),
    });
    let tally = soon(world.workers(&handler, |_| {}).run_until_idle()).await.unwrap();
    assert_eq!(tally, Tally { done: 3, failed: 2, put_off: 1, stopped: 0 });
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for key in handler.ran() {
        *times.entry(key).or_default() += 1;
    }
    // Invariant 1 of the work table: asked for while it ran.
    assert_eq!(times["a"], 2);
    assert!(times.iter().all(|(key, times)| *times == if key == "a" { 2 } else { 1 }), "{times:?}");
    assert_eq!(world.standing("a").await, None);
    assert!(matches!(world.standing("b").await, Some((Standing::Later(_), 0, None))));
    assert!(matches!(world.standing("later").await, Some((Standing::Later(_), 0, None))));
    let (standing, attempts, error) = world.standing("fails").await.unwrap();
    assert!(matches!((standing, attempts), (Standing::PutOff(_), 1)));
    assert_eq!(error.as_deref(), Some("a wrong token"));
    // Invariant 2.
    let (_, attempts, error) = world.standing("panics").await.unwrap();
    assert_eq!((attempts, error.as_deref()), (1, Some("a bug: it panicked: an index out of bounds")));
    assert!(matches!(world.standing("puts off").await, Some((Standing::PutOff(_), 0, None))));
    assert_eq!(world.store.hosts_put_off(World::now()).await.unwrap()[0].host, "git.one");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_begins_when_it_is_asked_for_and_a_few_at_a_time() {
    let world = World::new().await;
    let handler = Scripted::new(|_| Ok(Next::Done));
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let workers = world.workers(&handler, |settings| {
        settings.poll = SOON * 60;
        settings.tasks = 2;
    });
    let running = tokio::spawn(workers.run(async move { stopped.notified().await }));
    for key in ["first", "second"] {
        world.ask(&[key]).await;
        soon(handler.began.notified()).await;
    }
    let many: Vec<String> = (0..6).map(|n| format!("wait {n}")).collect();
    world.ask(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    handler.gates.add_permits(6);
    while handler.ran().len() < 8 {
        soon(handler.began.notified()).await;
    }
    stop.notify_one();
    assert_eq!(soon(running).await.unwrap(), Tally { done: 8, ..Tally::default() });
    assert!(handler.most_at_once.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_falls_due_is_begun_without_being_asked_for() {
    let world = World::new().await;
    let handler = Scripted::new(|claim| {
        if claim.fence % 2 == 0 { Ok(Next::Done) } else { Ok(Next::Again(World::now() + Duration::from_millis(300))) }
    });
    let workers = world.workers(&handler, |settings| settings.poll = SOON * 60);
    let soon_due = Ask::new(Kind::Sweep, "due", Lane::service("sweep"), World::now() + Duration::from_millis(200));
    world.store.ask(&[soon_due], World::now()).await.unwrap();
    let running = tokio::spawn(workers.run(std::future::pending()));
    soon(handler.began.notified()).await;
    assert_eq!(handler.ran(), ["due"]);
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_while_its_work_runs_invariant_1() {
    let world = World::new().await;
    world.ask(&["wait"]).await;
    let handler = Scripted::new(|claim| {
        assert!(claim.may_write());
        Ok(Next::Done)
    });
    let lease = Duration::from_millis(600);
    let workers = world.workers(&handler, |settings| settings.lease = lease);
    let running = tokio::spawn(workers.run_until_idle());
    soon(handler.began.notified()).await;
    // Nobody else gets it, for three times its lease.
    let begun = Instant::now();
    while begun.elapsed() < lease * 3 {
        assert!(world.store.claim("another", lease, World::now()).await.unwrap().is_none());
        tokio::time::sleep(lease / 10).await;
    }
    handler.gates.add_permits(1);
    assert_eq!(soon(running).await.unwrap().unwrap(), Tally { done: 1, ..Tally::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn work_whose_claim_lapsed_is_stopped_invariant_1() {
    let world = World::new().await;
    world.ask(&["wait"]).await;
    let handler = Scripted::new(|_| Ok(Next::Done));
    let lease = Duration::from_millis(600);
    let workers = world.workers(&handler, |settings| settings.lease = lease);
    let running = tokio::spawn(workers.run_until_idle());
    soon(handler.began.notified()).await;
    // To everybody else an hour has passed: the machine slept.
    let woken = World::now() + Duration::from_secs(3600);
    let other = world.store.claim("another", Duration::from_secs(7200), woken).await.unwrap().unwrap();
    assert_eq!(soon(running).await.unwrap().unwrap(), Tally { stopped: 1, ..Tally::default() });
    assert!(handler.stopped.load(Ordering::SeqCst));
    // The other one's claim is as it was.
    assert!(world.store.finish(&other, Next::Done, woken).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_may_end_and_the_rest_is_handed_back_invariant_4() {
    for (grace, gates, done) in [(SOON, 1, 1), (Duration::from_millis(50), 0, 0)] {
        let world = World::new().await;
        world.ask(&["wait"]).await;
        let handler = Scripted::new(|_| Ok(Next::Done));
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let workers = world.workers(&handler, |settings| {
            settings.grace = grace;
            settings.tasks = 1;
        });
        let running = tokio::spawn(workers.run(async move { stopped.notified().await }));
        soon(handler.began.notified()).await;
        stop.notify_one();
        world.ask(&["too late"]).await;
        handler.gates.add_permits(gates);
        assert_eq!(soon(running).await.unwrap(), Tally { done, stopped: 1 - done, ..Tally::default() });
        assert_eq!(handler.ran(), ["wait"]);
        assert_eq!(handler.stopped.load(Ordering::SeqCst), done == 0);
        let standing = world.standing("wait").await;
        assert_eq!(standing, (done == 0).then_some((Standing::Due, 0, None)));
        assert_eq!(world.standing("too late").await, Some((Standing::Due, 0, None)));
        // Nothing holds the store any longer.
        let World { store, folder } = world;
        drop(handler);
        Arc::into_inner(store).unwrap().close().await;
        Store::open(folder.path(), "another").await.unwrap();
    }
}

#[test]
fn faults_of_others_are_told_from_our_own() {
    use crate::forge::ErrorKind;
    let error = |kind| ForgeError { kind, what: "merge".into(), host: "git.one".into(), message: "no".into() };
    let until = World::now();
    let put_off =
        |until| Failure::PutOff { host: "git.one".into(), until, error: "cannot merge on `git.one`: no".into() };
    assert_eq!(Failure::from(error(ErrorKind::Limited { until })), put_off(Some(until)));
    assert_eq!(Failure::from(error(ErrorKind::Unavailable)), put_off(None));
    assert_eq!(Failure::from(error(ErrorKind::Forbidden)), Failure::Ours("cannot merge on `git.one`: no".into()));
}
