//! Looking into tags: how many requests it takes, cold and warm, and what a fault in the middle does.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use leadsman_scanner::reference::{Digest, ImageName, KnownHosts};
use leadsman_scanner::registry::{DockerConfig, Platform, Registry, RegistryOptions, TimeCache};
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::http::{Answer, Server, reply};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::registry::static_registry::{Content, StaticRegistry, repository};

fn options() -> RegistryOptions {
    RegistryOptions { docker_config: DockerConfig::Off, jitter: || 1.0, ..RegistryOptions::default() }
}

fn image(host: &str, repository: &str) -> ImageName {
    ImageName::parse(&format!("{host}/{repository}"), &KnownHosts::default()).unwrap()
}

fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

/// Requests sent while the future runs.
async fn counted<T>(registry: &Registry, work: impl Future<Output = T>) -> (T, u64) {
    let before = registry.requests();
    let result = work.await;
    (result, registry.requests() - before)
}

#[tokio::test]
async fn cold_takes_two_requests_per_tag_and_warm_three_per_image_s6_3() {
    let content = Content { images: 5, tags: 50, metadata: true, latency: Duration::ZERO };
    let server = StaticRegistry::start(content).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("times");
    let platform = Platform::default();

    // One program run: a list for each image, all its tags by time, the winner and the current one for certain.
    let run = async |registry: &Registry, cache: &TimeCache, now| {
        for number in 0..5 {
            let name = image(&server.host(), &repository(number));
            let tags = registry.tags(&name).await.unwrap();
            let tags: Vec<&str> = tags.iter().collect();
            let times = registry.look(cache, &name, &tags, &platform, now).await.unwrap();
            let created: Vec<_> = times.iter().map(|time| time.as_ref().unwrap().created.unwrap()).collect();
            assert!(created.is_sorted() && created.len() == 50);
            for tag in ["1.0.49", "1.0.3"] {
                assert!(registry.confirm(cache, &name, tag, &platform, now).await.unwrap().is_ok());
            }
        }
        cache.save(now).unwrap();
    };
    let (cold, warm) = (Registry::new(options()).unwrap(), Registry::new(options()).unwrap());
    let ((), requests) = counted(&cold, run(&cold, &TimeCache::at(path.clone()), at(0))).await;
    assert_eq!(requests, 5 * (1 + 2 * 50));
    let (((), requests), late) = (
        counted(&warm, run(&warm, &TimeCache::at(path.clone()), at(0) + SignedDuration::from_mins(30))).await,
        Registry::new(options()).unwrap(),
    );
    assert_eq!(requests, 5 * 3);
    // After an hour each tag's digest is asked again, and none of the times.
    let ((), requests) = counted(&late, run(&late, &TimeCache::at(path.clone()), at(1))).await;
    assert_eq!(requests, 5 * (1 + 50));
    // They stayed, so after another hour they are not.
    let ((), requests) = counted(&late, run(&late, &TimeCache::at(path), at(2))).await;
    assert_eq!(requests, 5 * 3);
    assert!(server.connections() < 100);
}

#[tokio::test]
async fn a_tag_that_moved_is_seen_s6_3() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    let push = |time| {
        let times = Times { config: Some(time), ..Times::default() };
        pusher.image("a/b", Some("main"), Format::Oci, times).unwrap()
    };
    let (registry, cache, name) =
        (Registry::new(options()).unwrap(), TimeCache::in_memory(), image(&server.host(), "a/b"));
    let platform = Platform::default();
    let first = push("2025-01-01T00:00:00Z");
    let look = async |now| registry.look(&cache, &name, &["main", "gone"], &platform, now).await.unwrap();
    let answers = look(at(0)).await;
    assert_eq!(answers[0].as_ref().unwrap().digest, first.digest);
    assert!(answers[1].as_ref().unwrap_err().is_lasting(), "a tag that is gone is left out");

    let second = push("2025-06-01T00:00:00Z");
    let half = at(0) + SignedDuration::from_mins(30);
    assert_eq!(look(half).await[0].as_ref().unwrap().digest, first.digest, "not its turn yet");
    let (confirmed, requests) = counted(&registry, registry.confirm(&cache, &name, "main", &platform, half)).await;
    let confirmed = confirmed.unwrap().unwrap();
    assert_eq!((confirmed.digest, requests), (second.digest, 3));
    assert_eq!(confirmed.created, Some("2025-06-01T00:00:00Z".parse().unwrap()));
    // What it pointed at before is still known.
    push("2025-01-01T00:00:00Z");
    let (_, requests) = counted(&registry, registry.confirm(&cache, &name, "main", &platform, at(1))).await;
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_passing_fault_of_one_tag_is_one_of_the_image_s6_3() {
    let manifest = r#"{"schemaVersion":2,"annotations":{"org.opencontainers.image.created":"2025-01-01T00:00:00Z"},
        "config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:00"}}"#;
    let digest = Digest::of(b"{}");
    let manifest = manifest.replace("sha256:00", digest.as_str());
    // 0: a fault that passes, 1: one that lasts, 2: none.
    let fault = Arc::new(AtomicU8::new(0));
    let own = Arc::clone(&fault);
    let server = Server::start(move |request, _| match (request.path().ends_with("/7"), own.load(Ordering::SeqCst)) {
        (true, 0) => reply(502, &[], ""),
        (true, 1) => reply(200, &[], r#"{"schemaVersion":1}"#),
        _ => reply(200, &[], &manifest),
    })
    .await
    .unwrap();
    let (registry, cache, name) =
        (Registry::new(options()).unwrap(), TimeCache::in_memory(), image(&server.host(), "a"));
    let tags: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let look = async || registry.look(&cache, &name, &tags, &Platform::default(), at(0)).await;
    let error = look().await.unwrap_err();
    assert!(!error.is_lasting() && error.to_string().contains("502"), "{error}");
    fault.store(1, Ordering::SeqCst);
    let answers = look().await.unwrap();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 19);
    assert!(answers[7].as_ref().unwrap_err().to_string().contains("schema 1"));
    fault.store(2, Ordering::SeqCst);
    let (answers, requests) = counted(&registry, look()).await;
    assert!(answers.unwrap()[7].as_ref().unwrap().created.is_some());
    assert_eq!(requests, 1, "a kind without configuration takes one request");
}

#[tokio::test]
async fn many_slow_answers_end_in_time_too() {
    let server = Server::start(|_, _| Answer::Trickle(vec![b'H'; 60], Duration::from_millis(10))).await.unwrap();
    let limit = Duration::from_millis(400);
    let options = RegistryOptions { timeout: limit, idle_timeout: limit, ..options() };
    let (registry, cache, name) = (Registry::new(options).unwrap(), TimeCache::in_memory(), image(&server.host(), "a"));
    let tags: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let start = Instant::now();
    assert!(registry.look(&cache, &name, &tags, &Platform::default(), at(0)).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_hundred_thousand_tags_are_read() {
    let content = Content { images: 1, tags: 100_000, metadata: false, latency: Duration::ZERO };
    let server = StaticRegistry::start(content).unwrap();
    let registry = Registry::new(options()).unwrap();
    let tags = registry.tags(&image(&server.host(), &repository(0))).await.unwrap();
    assert_eq!((tags.len(), registry.requests()), (100_000, 100));
    assert!(server.connections() <= 2);
}
