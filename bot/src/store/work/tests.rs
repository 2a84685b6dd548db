//! Tests of the work table, on real files. The numbers are those of the invariants in [`super`].

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::tests::{Opened, at, lease};

fn scan(repository: &str, second: i64) -> Ask {
    Ask::new(Kind::ScanRepository, repository, Lane::repository(repository), at(second))
}

async fn claim(store: &Store, second: i64) -> Option<Claim> {
    store.claim("worker", lease(), at(second)).await.unwrap()
}

async fn claimed(store: &Store, second: i64) -> (Kind, String) {
    let claim = claim(store, second).await.unwrap();
    (claim.kind, claim.key)
}

#[tokio::test]
async fn the_same_request_twice_is_one_row_that_is_due_at_the_earlier_time() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 50), scan("a", 20)], at(0)).await.unwrap();
    store.ask(&[scan("a", 90)], at(1)).await.unwrap();
    assert!(claim(&store, 19).await.is_none());
    let first = claim(&store, 20).await.unwrap();
    assert_eq!((first.asked, first.attempts), (3, 0));
    assert!(store.finish(&first, Next::Done, at(21)).await.unwrap());
    assert!(claim(&store, 1000).await.is_none());
    assert_eq!(store.work(9, at(1000)).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_asked_for_while_it_runs_runs_again_invariant_1() {
    let store = Opened::new().await;
    for (end, due) in [("done", 5), ("again", 5), ("fail", 5), ("hand back", 3), ("lapse", 60)] {
        let repository = end;
        store.ask(&[scan(repository, 0)], at(0)).await.unwrap();
        let first = claim(&store, 1).await.unwrap();
        store.ask(&[scan(repository, 5)], at(2)).await.unwrap();
        assert!(claim(&store, 6).await.is_none(), "one at a time");
        match end {
            "done" => assert!(store.finish(&first, Next::Done, at(3)).await.unwrap()),
            "again" => assert!(store.finish(&first, Next::Again(at(900)), at(3)).await.unwrap()),
            "fail" => assert!(store.fail(&first, "no", at(0), 0.0).await.unwrap()),
            "hand back" => assert!(store.hand_back(&first, at(3)).await.unwrap()),
            _ => {}
        }
        let next = store.next_due(at(2)).await.unwrap();
        assert_eq!(next, Some(at(if end == "lapse" { 61 } else { due })), "{end}");
        let second = claim(&store, due + 1).await.unwrap();
        assert_eq!((second.key.as_str(), second.asked), (repository, 2));
        assert!(store.finish(&second, Next::Done, at(due + 1)).await.unwrap());
        assert!(claim(&store, 5000).await.is_none());
    }
}

#[tokio::test]
async fn what_was_urgent_is_so_once_and_what_is_asked_for_meanwhile_stays_urgent_invariant_1() {
    let store = Opened::new().await;
    let urgent = |repository: &str| scan(repository, 0).with(Priority::Person);
    store.ask(&[urgent("a"), scan("b", 100), scan("c", 99)], at(0)).await.unwrap();
    let first = claim(&store, 1).await.unwrap();
    assert_eq!(first.key, "a");
    store.finish(&first, Next::Again(at(101)), at(2)).await.unwrap();
    // It came back by itself, so it waits for its turn.
    let second = claim(&store, 200).await.unwrap();
    assert_eq!(second.key, "c");
    store.ask(&[urgent("c")], at(200)).await.unwrap();
    store.finish(&second, Next::Done, at(201)).await.unwrap();
    assert_eq!(claimed(&store, 202).await.1, "c");
    assert_eq!(claimed(&store, 202).await.1, "b");
    assert_eq!(claimed(&store, 202).await.1, "a");
}

#[tokio::test]
async fn periodic_work_keeps_its_row_and_a_hook_makes_it_earlier() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    let first = claim(&store, 0).await.unwrap();
    store.finish(&first, Next::Again(at(3600)), at(1)).await.unwrap();
    assert_eq!(store.next_due(at(1)).await.unwrap(), Some(at(3600)));
    store.ask(&[scan("a", 7)], at(7)).await.unwrap();
    let second = claim(&store, 7).await.unwrap();
    assert!(second.fence > first.fence);
    store.finish(&second, Next::Again(at(3607)), at(8)).await.unwrap();
    assert!(claim(&store, 3606).await.is_none());
    assert!(claim(&store, 3607).await.is_some());
}

#[tokio::test]
async fn a_persons_command_goes_first_then_merging_pull_requests_and_scanning() {
    let store = Opened::new().await;
    let kinds = [
        Kind::Sweep,
        Kind::ScanRepository,
        Kind::ReconcilePulls,
        Kind::ListImage,
        Kind::TryMerge,
        Kind::RunCommand,
        Kind::Deliver,
    ];
    let asks: Vec<Ask> =
        (0..).zip(kinds).map(|(n, kind)| Ask::new(kind, "a", Lane::service(kind.as_str()), at(n))).collect();
    store.ask(&asks, at(9)).await.unwrap();
    // A person asked for this scan.
    store.ask(&[scan("b", 8), scan("b", 8).with(Priority::Person)], at(9)).await.unwrap();
    let mut order = Vec::new();
    while let Some(claim) = claim(&store, 9).await {
        order.push((claim.kind, claim.key));
    }
    let a = |kind| (kind, "a".to_owned());
    assert_eq!(
        order,
        [
            a(Kind::RunCommand),
            a(Kind::Deliver),
            (Kind::ScanRepository, "b".to_owned()),
            a(Kind::TryMerge),
            a(Kind::ReconcilePulls),
            a(Kind::ScanRepository),
            a(Kind::ListImage),
            a(Kind::Sweep)
        ]
    );
    assert!(Kind::ALL.iter().all(|kind| Kind::of(kind.as_str()) == Some(*kind)));
}

#[tokio::test]
async fn urgency_is_of_one_request() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0).with(Priority::Person)], at(0)).await.unwrap();
    let first = claim(&store, 0).await.unwrap();
    store.finish(&first, Next::Done, at(0)).await.unwrap();
    store.ask(&[scan("a", 0), Ask::new(Kind::TryMerge, "b#1", Lane::repository("b"), at(1))], at(1)).await.unwrap();
    assert_eq!(claimed(&store, 1).await.0, Kind::TryMerge);
    assert_eq!(claimed(&store, 1).await.0, Kind::ScanRepository);
}

#[tokio::test]
async fn two_kinds_of_work_on_one_repository_never_run_side_by_side_invariant_3() {
    let store = Opened::new().await;
    let merge = Ask::new(Kind::TryMerge, "a#1", Lane::repository("a"), at(1));
    store.ask(&[scan("a", 0), scan("b", 2)], at(2)).await.unwrap();
    let first = claim(&store, 2).await.unwrap();
    assert_eq!(first.key, "a");
    store.ask(&[merge], at(2)).await.unwrap();
    assert_eq!(claimed(&store, 2).await, (Kind::ScanRepository, "b".to_owned()));
    assert!(claim(&store, 2).await.is_none());
    store.finish(&first, Next::Done, at(3)).await.unwrap();
    assert_eq!(claimed(&store, 3).await, (Kind::TryMerge, "a#1".to_owned()));
}

#[tokio::test]
async fn a_claim_that_lapsed_can_do_nothing_invariant_4() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    let lapsed = claim(&store, 0).await.unwrap();
    assert!(store.renew(&lapsed, at(30)).await.unwrap());
    assert!(claim(&store, 89).await.is_none(), "renewed until 90");
    let nothing = |when: i64| {
        let (store, lapsed) = (&store, &lapsed);
        async move {
            assert!(!store.renew(lapsed, at(when)).await.unwrap());
            assert!(!store.finish(lapsed, Next::Done, at(when)).await.unwrap());
            assert!(!store.fail(lapsed, "no", at(when), 0.0).await.unwrap());
            assert!(!store.hand_back(lapsed, at(when)).await.unwrap());
            assert!(!store.put_off(lapsed, "host", Some(at(when)), "down", at(when), 0.0).await.unwrap().1);
        }
    };
    // Nobody has taken it over yet.
    nothing(90).await;
    let second = claim(&store, 90).await.unwrap();
    assert!(second.fence > lapsed.fence);
    assert_eq!(second.attempts, 1, "a lapse is a failure");
    // Somebody has, under the same name.
    nothing(91).await;
    assert!(store.finish(&second, Next::Done, at(92)).await.unwrap());
    nothing(93).await;
    assert!(!store.finish(&second, Next::Done, at(92)).await.unwrap(), "a claim ends once");
}

#[tokio::test]
async fn a_row_that_was_swept_begins_above_its_old_fence_invariant_4() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    let old = claim(&store, 0).await.unwrap();
    store.finish(&old, Next::Done, at(0)).await.unwrap();
    assert_eq!(store.sweep(at(86_401)).await.unwrap(), 1);
    store.ask(&[scan("a", 86_402)], at(86_402)).await.unwrap();
    assert!(claim(&store, 86_402).await.unwrap().fence > old.fence);
}

#[test]
fn a_claim_may_write_while_a_third_of_its_lease_is_left() {
    let from = Instant::now();
    let claim = Claim {
        kind: Kind::TryMerge,
        key: "a#1".into(),
        lane: "a".into(),
        host: None,
        fence: 1,
        asked: 1,
        attempts: 0,
        worker: "w".into(),
        lease: Lease { length: lease(), ends: Mutex::new(from + lease()) },
    };
    assert!(claim.may_write_at(from + Duration::from_secs(40)));
    assert!(!claim.may_write_at(from + Duration::from_millis(40_001)));
    assert!(!claim.may_write_at(from + Duration::from_secs(3600)));
    claim.lease.renew(from + Duration::from_secs(41));
    assert!(claim.may_write_at(from + Duration::from_secs(81)));
    assert_eq!(claim.left(from + Duration::from_secs(100)), Duration::from_secs(1));
}

#[tokio::test]
async fn asking_does_not_hurry_what_was_put_off_invariant_2() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    let first = claim(&store, 0).await.unwrap();
    store.fail(&first, "no", at(1), 1.0).await.unwrap();
    store.ask(&[scan("a", 0).with(Priority::Person)], at(2)).await.unwrap();
    assert!(claim(&store, 10).await.is_none());
    assert_eq!(store.next_due(at(2)).await.unwrap(), Some(at(11)));
    let listed = store.work(9, at(2)).await.unwrap();
    assert_eq!((listed[0].standing, listed[0].last_error.as_deref()), (Standing::PutOff(at(11)), Some("no")));
    assert_eq!(claim(&store, 11).await.unwrap().attempts, 1);
}

#[tokio::test]
async fn a_host_that_is_put_off_is_so_for_everyone_and_costs_no_attempt_invariant_5() {
    let store = Opened::new().await;
    let on = |repository: &str, host: &str| scan(repository, 0).on(host);
    store.ask(&[on("a", "git.one"), on("b", "git.one"), on("c", "git.two")], at(0)).await.unwrap();
    let first = claim(&store, 0).await.unwrap();
    let (until, ours) = store.put_off(&first, "git.one", Some(at(30)), "429", at(1), 0.0).await.unwrap();
    assert_eq!((until, ours), (at(30), true));
    assert_eq!(claimed(&store, 1).await.1, "c");
    assert!(claim(&store, 29).await.is_none());
    assert_eq!(store.next_due(at(1)).await.unwrap(), Some(at(30)));
    assert_eq!(store.hosts_put_off(at(29)).await.unwrap()[0].error, "429");
    assert_eq!(store.hosts_put_off(at(30)).await.unwrap(), []);
    let (second, third) = (claim(&store, 30).await.unwrap(), claim(&store, 30).await.unwrap());
    assert_eq!((second.attempts, third.attempts), (0, 0));
    // It names no time, and is not the host that this work is known to need: it is put off all the same.
    let (until, _) = store.put_off(&second, "registry.three", None, "no answer", at(31), 1.0).await.unwrap();
    assert_eq!(until, at(36));
    store.finish(&third, Next::Done, at(31)).await.unwrap();
    assert!(claim(&store, 35).await.is_none());
    assert_eq!(claim(&store, 36).await.unwrap().attempts, 0);
    store.put_off_host("git.two", None, "no answer", at(40), 1.0).await.unwrap();
    store.ask(&[on("d", "git.two")], at(40)).await.unwrap();
    assert!(claim(&store, 41).await.is_none());
    store.forgive_host("git.two").await.unwrap();
    assert_eq!(claimed(&store, 41).await.1, "d");
}

/// Fails it ten times, and returns when the last time was.
async fn park(store: &Store, repository: &str) -> i64 {
    let mut now = 0;
    for failures in 1..=i64::from(MAX_ATTEMPTS) {
        let next = claim(store, now).await.unwrap();
        assert_eq!((next.key.as_str(), i64::from(next.attempts)), (repository, failures - 1));
        store.fail(&next, "a bug", at(now), 0.5).await.unwrap();
        if failures < i64::from(MAX_ATTEMPTS) {
            now = store.next_due(at(now)).await.unwrap().unwrap().as_second() - at(0).as_second() + 1;
        }
    }
    now
}

#[tokio::test]
async fn after_ten_failures_it_is_parked_and_tried_daily_invariant_5() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    let parked = park(&store, "a").await;
    let tomorrow = parked + 86_400;
    store.ask(&[scan("a", parked)], at(parked)).await.unwrap();
    let listed = store.work(9, at(parked)).await.unwrap();
    assert_eq!(listed[0].standing, Standing::Parked(at(tomorrow)));
    assert_eq!((listed[0].attempts, listed[0].last_error.as_deref()), (MAX_ATTEMPTS, Some("a bug")));
    assert_eq!(store.work_counts(at(parked)).await.unwrap()[0].parked, 1);
    assert!(claim(&store, tomorrow - 1).await.is_none());
    let again = claim(&store, tomorrow).await.unwrap();
    store.fail(&again, "a bug still", at(tomorrow), 0.5).await.unwrap();
    assert!(claim(&store, tomorrow + 86_399).await.is_none());
    let last = claim(&store, tomorrow + 86_400).await.unwrap();
    store.finish(&last, Next::Again(at(tomorrow + 86_401)), at(tomorrow + 86_400)).await.unwrap();
    let healed = claim(&store, tomorrow + 86_401).await.unwrap();
    assert_eq!(healed.attempts, 0);
}

#[tokio::test]
async fn parked_work_is_tried_by_a_new_version_and_by_replay_invariant_5() {
    let store = Opened::new().await;
    store.unpark_for_version("1.0.0").await.unwrap();
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    let now = park(&store, "a").await;
    assert_eq!(store.unpark_for_version("1.0.0").await.unwrap(), 0);
    assert!(claim(&store, now).await.is_none());
    assert_eq!(store.unpark_for_version("1.0.1").await.unwrap(), 1);
    let tried = claim(&store, now).await.unwrap();
    store.fail(&tried, "a bug", at(now), 0.5).await.unwrap();
    assert!(matches!(store.work(1, at(now)).await.unwrap()[0].standing, Standing::Parked(_)), "one try only");

    assert!(store.replay(Kind::ScanRepository, "a", at(now)).await.unwrap());
    assert!(!store.replay(Kind::ScanRepository, "b", at(now)).await.unwrap());
    let replayed = claim(&store, now).await.unwrap();
    assert_eq!(replayed.attempts, 0);
    // While it runs: it runs again.
    assert!(store.replay(Kind::ScanRepository, "a", at(now)).await.unwrap());
    store.finish(&replayed, Next::Done, at(now)).await.unwrap();
    assert!(claim(&store, now).await.is_some());
}

#[tokio::test]
async fn a_crash_loses_nothing_and_what_always_crashes_is_parked_invariants_1_and_5() {
    let mut store = Opened::new().await;
    store.ask(&[scan("a", 0)], at(0)).await.unwrap();
    for crashes in 0..MAX_ATTEMPTS {
        // The next process need not wait for the lease.
        let crashed = claim(&store, i64::from(crashes)).await.unwrap();
        assert_eq!(crashed.attempts, crashes);
        store.reopen().await;
    }
    assert!(claim(&store, 10).await.is_none());
    let listed = store.work(9, at(10)).await.unwrap();
    assert_eq!(listed[0].standing, Standing::Parked(at(10 + 86_400)));
    assert_eq!(listed[0].last_error.as_deref(), Some(LAPSED));
}

#[test]
fn waits_double_up_to_an_hour_and_jitter_spreads_them_over_the_upper_half() {
    let seconds = |attempts, jitter| back_off(attempts, jitter).as_secs();
    assert_eq!(
        (1..=10).map(|n| seconds(n, 1.0)).collect::<Vec<_>>(),
        [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    );
    assert_eq!((seconds(1, 0.0), seconds(3, 0.5), seconds(90, 0.0)), (5, 30, 1800));
    assert_eq!(seconds(1, 7.0), 10);
}

#[tokio::test]
async fn work_is_counted_by_kind() {
    let store = Opened::new().await;
    store.ask(&[scan("a", 0), scan("b", 3), scan("c", 60), scan("d", 2)], at(5)).await.unwrap();
    claim(&store, 5).await.unwrap();
    let counts = store.work_counts(at(5)).await.unwrap();
    let kind = Kind::ScanRepository;
    assert_eq!(counts, [Count { kind, running: 1, due: 2, later: 1, parked: 0, oldest_due: Some(at(2)) }]);
    let standings: Vec<_> =
        store.work(9, at(5)).await.unwrap().into_iter().map(|one| (one.key, one.standing)).collect();
    let of = |key: &str, standing| (key.to_owned(), standing);
    assert_eq!(
        standings,
        [of("a", Standing::Running), of("d", Standing::Due), of("b", Standing::Due), of("c", Standing::Later(at(60)))]
    );
}

#[tokio::test]
async fn how_long_ten_thousand_take() {
    const WORK: usize = 10_000;
    let store = Opened::new().await;
    let asks: Vec<Ask> = (0..WORK).map(|n| scan(&format!("acme/repository-{n}"), 0)).collect();
    let begun = Instant::now();
    for some in asks.chunks(100) {
        store.ask(some, at(0)).await.unwrap();
    }
    println!("asking for {WORK}, 100 at a time: {:?}", begun.elapsed());
    let begun = Instant::now();
    for one in asks.iter().take(1000) {
        store.ask(std::slice::from_ref(one), at(0)).await.unwrap();
    }
    println!("asking for 1000 of them again, one at a time: {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut claims = Vec::new();
    for _ in 0..1000 {
        let claim = claim(&store, 0).await.unwrap();
        store.finish(&claim, Next::Again(at(3600)), at(0)).await.unwrap();
        claims.push(claim.key);
    }
    println!("claiming and finishing 1000 of them: {:?}", begun.elapsed());
    assert_eq!(claims.iter().collect::<BTreeSet<_>>().len(), 1000);
    let begun = Instant::now();
    for _ in 0..100 {
        store.next_due(at(0)).await.unwrap();
    }
    println!("asking when the next is due, a hundred times: {:?}", begun.elapsed());
}

#[tokio::test]
async fn work_that_is_not_due_does_not_slow_claiming_down() {
    let store = Opened::new().await;
    let waiting: Vec<Ask> = (0..10_000).map(|n| scan(&format!("acme/repository-{n}"), 3600)).collect();
    store.ask(&waiting, at(0)).await.unwrap();
    let begun = Instant::now();
    for n in 0..100 {
        store.ask(&[Ask::new(Kind::Sweep, "all", Lane::service("sweep"), at(n))], at(n)).await.unwrap();
        let claim = claim(&store, n).await.unwrap();
        assert_eq!(claim.kind, Kind::Sweep);
        store.finish(&claim, Next::Done, at(n)).await.unwrap();
    }
    println!("asking, claiming and finishing behind 10000 that wait, a hundred times: {:?}", begun.elapsed());
}

/// One step of an interleaving.
#[derive(Debug, Clone)]
enum Step {
    Ask { key: u8, lane: u8, in_seconds: i64, urgent: bool },
    Claim { worker: u8 },
    Renew { worker: u8 },
    Finish { worker: u8, again: Option<i64> },
    Fail { worker: u8 },
    PutOff { worker: u8, seconds: i64 },
    HandBack { worker: u8 },
    Wait { seconds: i64 },
    Replay { key: u8 },
    Crash,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..3_u8;
    prop_oneof![
        4 => (0..4_u8, 0..2_u8, -2..20_i64, any::<bool>())
            .prop_map(|(key, lane, in_seconds, urgent)| Step::Ask { key, lane, in_seconds, urgent }),
        6 => worker.clone().prop_map(|worker| Step::Claim { worker }),
        1 => worker.clone().prop_map(|worker| Step::Renew { worker }),
        4 => (worker.clone(), prop::option::of(0..40_i64)).prop_map(|(worker, again)| Step::Finish { worker, again }),
        2 => worker.clone().prop_map(|worker| Step::Fail { worker }),
        1 => (worker.clone(), 1..90_i64).prop_map(|(worker, seconds)| Step::PutOff { worker, seconds }),
        1 => worker.prop_map(|worker| Step::HandBack { worker }),
        4 => (0..70_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..4_u8).prop_map(|key| Step::Replay { key }),
        1 => Just(Step::Crash),
        1 => Just(Step::Sweep),
    ]
}

/// What must hold, told without SQL: what each worker believes it holds, and which requests are not yet served.
#[derive(Default)]
struct Believed {
    now: i64,
    /// The claims that workers hold, lapsed ones too, with the second in which each lapses.
    held: BTreeMap<u8, (Claim, i64)>,
    /// By key: the requests that no run has begun after, as the second from which on each is wanted.
    unserved: BTreeMap<String, Vec<i64>>,
    /// The requests that a live claim is about to serve.
    serving: BTreeMap<String, Vec<i64>>,
    fences: BTreeMap<String, i64>,
}

impl Believed {
    fn live(&self, worker: u8) -> bool {
        self.held.get(&worker).is_some_and(|(_, until)| *until > self.now)
    }

    /// What a claim that lapsed was to serve is wanted still.
    fn lapse(&mut self) {
        let live: BTreeSet<String> =
            self.held.values().filter(|(_, until)| *until > self.now).map(|(claim, _)| claim.key.clone()).collect();
        let lapsed: Vec<String> = self.serving.keys().filter(|key| !live.contains(*key)).cloned().collect();
        for key in lapsed {
            let wanted = self.serving.remove(&key).unwrap_or_default();
            self.unserved.entry(key).or_default().extend(wanted);
        }
    }

    /// The claim that a worker ends, and what it was about to serve, if it has not lapsed.
    fn end(&mut self, worker: u8) -> (Claim, Option<Vec<i64>>) {
        let live = self.live(worker);
        let (claim, _) = self.held.remove(&worker).unwrap();
        let served = live.then(|| self.serving.remove(&claim.key).unwrap());
        (claim, served)
    }

    fn wanted_again(&mut self, key: &str, served: Option<Vec<i64>>) {
        self.unserved.entry(key.to_owned()).or_default().extend(served.unwrap_or_default());
    }
}

async fn interleave(steps: Vec<Step>) {
    let mut store = Opened::new().await;
    let mut believed = Believed::default();
    for step in steps {
        let now = at(believed.now);
        match step {
            Step::Ask { key, lane, in_seconds, urgent } => {
                let key = format!("{key}");
                let due = believed.now + in_seconds;
                let priority = if urgent { Priority::Person } else { Priority::Scan };
                let lane = Lane::repository(&format!("{lane}"));
                let ask = Ask::new(Kind::ScanRepository, &*key, lane, at(due)).on("host").with(priority);
                store.ask(&[ask], now).await.unwrap();
                believed.unserved.entry(key).or_default().push(due);
            }
            Step::Claim { worker } if !believed.live(worker) => {
                let Some(claim) = store.claim(&format!("worker {worker}"), lease(), now).await.unwrap() else {
                    continue;
                };
                let clash =
                    believed.held.values().find(|(held, until)| *until > believed.now && held.lane == claim.lane);
                assert!(clash.is_none(), "{claim:?} beside {clash:?}");
                let before = believed.fences.insert(claim.key.clone(), claim.fence);
                assert!(before.is_none_or(|before| before < claim.fence), "{claim:?} after {before:?}");
                let wanted = believed.unserved.remove(&claim.key).unwrap_or_default();
                believed.serving.insert(claim.key.clone(), wanted);
                believed.held.insert(worker, (claim, believed.now + 60));
            }
            Step::Renew { worker } if believed.held.contains_key(&worker) => {
                let live = believed.live(worker);
                let (claim, until) = believed.held.get_mut(&worker).unwrap();
                assert_eq!(store.renew(claim, now).await.unwrap(), live);
                if live {
                    *until = believed.now + 60;
                }
            }
            Step::Finish { worker, again } if believed.held.contains_key(&worker) => {
                let next = again.map_or(Next::Done, |seconds| Next::Again(at(believed.now + seconds)));
                let (claim, served) = believed.end(worker);
                assert_eq!(store.finish(&claim, next, now).await.unwrap(), served.is_some());
                if let (Some(_), Some(seconds)) = (served, again) {
                    believed.wanted_again(&claim.key, Some(vec![believed.now + seconds]));
                }
            }
            Step::Fail { worker } if believed.held.contains_key(&worker) => {
                let (claim, served) = believed.end(worker);
                assert_eq!(store.fail(&claim, "no", now, 0.5).await.unwrap(), served.is_some());
                believed.wanted_again(&claim.key, served);
            }
            Step::PutOff { worker, seconds } if believed.held.contains_key(&worker) => {
                let until = Some(at(believed.now + seconds));
                let (claim, served) = believed.end(worker);
                let (_, ours) = store.put_off(&claim, "host", until, "429", now, 0.5).await.unwrap();
                assert_eq!(ours, served.is_some());
                believed.wanted_again(&claim.key, served);
            }
            Step::HandBack { worker } if believed.held.contains_key(&worker) => {
                let (claim, served) = believed.end(worker);
                assert_eq!(store.hand_back(&claim, now).await.unwrap(), served.is_some());
                believed.wanted_again(&claim.key, served);
            }
            Step::Wait { seconds } => {
                believed.now += seconds;
                believed.lapse();
            }
            Step::Replay { key } => {
                let key = format!("{key}");
                if store.replay(Kind::ScanRepository, &key, now).await.unwrap() {
                    believed.wanted_again(&key, Some(vec![believed.now]));
                }
            }
            Step::Crash => {
                store.reopen().await;
                for (_, until) in believed.held.values_mut() {
                    *until = believed.now;
                }
                believed.lapse();
            }
            Step::Sweep => {
                store.sweep(now).await.unwrap();
            }
            _ => {}
        }
        believed.check(&store).await;
    }
    believed.drain(&store).await;
}

impl Believed {
    /// Every request that is not served has its row, which is due when the earliest of them is wanted.
    async fn check(&self, store: &Store) {
        let rows = sqlx::query("SELECT key, due_at, claimed_until FROM work").fetch_all(&store.readers).await.unwrap();
        let rows: BTreeMap<String, (Option<i64>, Option<i64>)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get::<Option<i64>, _>(2)))).collect();
        for (key, wanted) in self.unserved.iter().filter(|(_, wanted)| !wanted.is_empty()) {
            let (due, claimed) = rows[key];
            let earliest = wanted.iter().min().map(|second| at(*second).as_millisecond()).unwrap();
            // One whose claim lapsed is due as soon as somebody claims anything.
            let lapsed = claimed.is_some_and(|until| until <= at(self.now).as_millisecond());
            let due = if lapsed { 0 } else { due.unwrap_or(i64::MAX) };
            assert!(due <= earliest.max(at(self.now).as_millisecond()), "{key} is due {due}, wanted {earliest}");
        }
    }

    /// In the end everything runs: whatever was asked for is claimed after it was.
    async fn drain(mut self, store: &Store) {
        self.now += 10 * 86_400;
        self.lapse();
        while let Some(claim) = store.claim("last", lease(), at(self.now)).await.unwrap() {
            self.unserved.remove(&claim.key);
            assert!(store.finish(&claim, Next::Done, at(self.now)).await.unwrap());
        }
        self.unserved.retain(|_, wanted| !wanted.is_empty());
        assert!(self.unserved.is_empty(), "never ran: {:?}", self.unserved);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_loses_work_or_runs_two_of_one_lane_invariants_1_3_4(steps in vec(step(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(interleave(steps));
    }
}
