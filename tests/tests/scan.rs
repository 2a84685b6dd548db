//! The whole pipeline over folders and real answers: how often registries are asked, and what each status needs.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use leadsman::config::repository::RepositoryConfig;
use leadsman::plan::RepositoryDecisions;
use leadsman::work::ignored::ignored;
use leadsman_scanner::reference::{KnownHosts, Reference};
use leadsman_scanner::registry::{DockerConfig, Lists, Registry, RegistryOptions, TimeCache};
use leadsman_scanner::scan::{Ask, Finding, Latest, Report, ScanOptions, Sights, Sources, edit_file, scan};
use leadsman_scanner::source::folder;
use leadsman_scanner::status::{Flag, Status, Verdict};
use leadsman_tests::corpus::Corpus;
use leadsman_tests::program::leadsman;
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::http::{Answer, Request, Server, reply, tags};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::registry::static_registry::{Content, StaticRegistry};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn registry() -> Registry {
    Registry::new(RegistryOptions { docker_config: DockerConfig::Off, attempts: 1, ..RegistryOptions::default() })
        .unwrap()
}

async fn run(folder: &Path, options: &ScanOptions) -> Report {
    let files = folder::walk(&[folder.to_owned()]);
    let registry = registry();
    let times = TimeCache::in_memory();
    let asked = (options.ask != Ask::Nothing).then_some(Sources {
        registry: &registry,
        times: &times,
        sights: None,
        lists: None,
    });
    scan(&files, asked, options, &|_| true, &|_| {}).await
}

fn content(images: usize, tags: usize) -> Content {
    Content { images, tags, metadata: true, latency: Duration::ZERO }
}

#[tokio::test]
async fn one_request_per_image_and_few_connections() {
    let registry = StaticRegistry::start(content(200, 50)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Corpus::new(200, registry.host()).write(folder.path()).unwrap();
    let report = run(folder.path(), &ScanOptions::new(now())).await;
    assert_eq!(report.summary.updates, 200);
    assert_eq!(report.summary.images, 200);
    assert_eq!(report.summary.registry_requests, 200);
    assert_eq!(registry.requests(), 200);
    // Sixteen are asked at once; one more may be dialled just before another is free again.
    assert!(registry.connections() <= 20, "{} connections", registry.connections());
    assert!(report.findings.iter().all(|finding| finding.latest.as_ref().is_some_and(|it| it.tag == "1.0.49")));
}

#[tokio::test]
async fn releases_share_their_images() {
    let registry = StaticRegistry::start(content(10, 50)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Corpus { images: 10, ..Corpus::new(100, registry.host()) }.write(folder.path()).unwrap();
    let report = run(folder.path(), &ScanOptions::new(now())).await;
    assert_eq!((report.summary.updates, registry.requests()), (100, 10));
}

#[tokio::test]
async fn threads_do_not_change_the_report() {
    let folder = tempfile::tempdir().unwrap();
    Corpus { files: 7, ..Corpus::new(100, "127.0.0.1:1") }.write(folder.path()).unwrap();
    let list = async |threads| {
        let options = ScanOptions { threads, ask: Ask::Nothing, ..ScanOptions::new(now()) };
        let report = run(folder.path(), &options).await;
        report.findings.iter().map(|it| (it.file.to_string(), it.container.line)).collect::<Vec<_>>()
    };
    let one = list(1).await;
    assert_eq!(one.len(), 100);
    assert!(one.is_sorted_by_key(|(file, _)| file.clone()));
    assert_eq!(list(4).await, one);
}

/// A release whose values are given.
fn release(name: &str, annotations: &str, values: &str) -> String {
    format!(
        "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: {name}\n  annotations:\n{annotations}spec:\n  values:\n{values}"
    )
}

const AUTOMATED: &str = "    fluxcd.io/automated: \"true\"\n";

/// A registry with the images `app` (1.0.0 to 1.2.0, another variant), `empty`, and `broken`.
async fn small_registry() -> Server {
    Server::start(|request: &Request, _| -> Answer {
        let json = [("content-type", "application/json")];
        match request.path() {
            "/v2/app/tags/list" => reply(200, &json, tags(&["1.0.0", "1.1.0", "1.2.0-alpine", "latest", "0.9.0"])),
            "/v2/empty/tags/list" => reply(200, &json, tags::<&str>(&[])),
            "/v2/old/tags/list" => reply(200, &json, tags(&["1.0.0", "1.1.0"])),
            _ => reply(404, &json, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn each_status_is_reached() {
    let server = small_registry().await;
    let host = server.host();
    let cases: Vec<(&str, String, String, Status)> = vec![
        (
            "ignored",
            format!("{AUTOMATED}    fluxcd.io/ignore: \"true\"\n"),
            format!("    image: {host}/app:1.0.0\n"),
            Status::Ignored,
        ),
        (
            "locked",
            format!("{AUTOMATED}    fluxcd.io/locked: \"true\"\n"),
            format!("    image: {host}/app:1.0.0\n"),
            Status::Locked,
        ),
        ("invalid", AUTOMATED.into(), "    image: a:1:2\n".into(), Status::Invalid),
        (
            "unresolved",
            format!("{AUTOMATED}    repository.fluxcd.io/x: no.where\n"),
            "    a: 1\n".into(),
            Status::Unresolved,
        ),
        ("untagged", AUTOMATED.into(), format!("    image: {host}/app\n"), Status::Untagged),
        (
            "digest-only",
            AUTOMATED.into(),
            format!("    image: {host}/app@sha256:{}\n", "0".repeat(64)),
            Status::DigestOnly,
        ),
        ("not-automated", "    a: b\n".into(), format!("    image: {host}/app:1.0.0\n"), Status::NotAutomated),
        (
            "filter-invalid",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:nope\n"),
            format!("    image: {host}/app:1.0.0\n"),
            Status::FilterInvalid,
        ),
        ("encrypted", AUTOMATED.into(), format!("    image: {host}/app:1.0.0\nsops: {{}}\n"), Status::Encrypted),
        ("registry-error", AUTOMATED.into(), format!("    image: {host}/gone:1.0.0\n"), Status::RegistryError),
        (
            "no-match",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~9\n"),
            format!("    image: {host}/app:1.0.0\n"),
            Status::NoMatch,
        ),
        (
            "empty",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:*\n"),
            format!("    image: {host}/empty:1.0.0\n"),
            Status::NoMatch,
        ),
        ("no-creation-time", AUTOMATED.into(), format!("    image: {host}/app:1.0.0\n"), Status::NoCreationTime),
        (
            "downgrade",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:*\n"),
            format!("    image: {host}/old:2.0.0\n"),
            Status::Downgrade,
        ),
        (
            "variant-change",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:>=1.1.0-0\n"),
            format!("    image: {host}/app:1.1.0\n"),
            Status::VariantChange,
        ),
        (
            "current",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~1.0\n"),
            format!("    image: {host}/app:1.0.0\n"),
            Status::Current,
        ),
        (
            "shared-anchor",
            format!("{AUTOMATED}    filter.fluxcd.io/a: semver:~1\n    filter.fluxcd.io/b: semver:~1.0\n"),
            format!("    a: {{image: {host}/app, tag: &t 1.0.0}}\n    b: {{image: {host}/app, tag: *t}}\n"),
            Status::SharedAnchor,
        ),
        (
            "edit-refused",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~1\n"),
            format!("    note: {{{{ .Release }}}}\n    image: {host}/app:1.0.0\n"),
            Status::EditRefused,
        ),
        (
            "update",
            format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~1\n"),
            format!("    image: {host}/app:1.0.0\n"),
            Status::Update,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, annotations, values, _) in &cases {
        fs::write(folder.path().join(format!("{name}.yaml")), release(name, annotations, values)).unwrap();
    }
    let options = ScanOptions { all: true, ..ScanOptions::new(now()) };
    let report = run(folder.path(), &options).await;
    for (name, _, _, status) in &cases {
        let found: Vec<_> = report.findings.iter().filter(|it| *it.file == *format!("{name}.yaml")).collect();
        assert!(!found.is_empty(), "{name}: nothing found; {:?}", report.diagnostics);
        assert!(
            found.iter().any(|finding| finding.status == Some(*status)),
            "{name}: {:?}",
            found.iter().map(|it| (it.status, &it.message)).collect::<Vec<_>>()
        );
    }
    // A fault of one image leaves the others as they are.
    assert!(report.failures() > 0);
    assert_eq!(report.summary.updates, 1);
}

#[tokio::test]
async fn more_tags_than_may_be_asked_for_their_times_s6_3() {
    let registry = StaticRegistry::start(content(1, 50)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Corpus { filter: "glob:1.*".into(), ..Corpus::new(1, registry.host()) }.write(folder.path()).unwrap();
    let few = ScanOptions { max_timed_tags: 49, ..ScanOptions::new(now()) };
    let finding = &run(folder.path(), &few).await.findings[0];
    assert_eq!(finding.status, Some(Status::TooManyTags));
    assert!(finding.message.as_ref().unwrap().contains("50 matching tags"), "{:?}", finding.message);
    assert_eq!(registry.requests(), 1, "nothing is asked that cannot be used");
    let enough = ScanOptions { max_timed_tags: 50, ..ScanOptions::new(now()) };
    assert_eq!(run(folder.path(), &enough).await.findings[0].status, Some(Status::Update));
}

#[tokio::test]
async fn times_that_are_known_are_not_asked_again_s6_3() {
    let registry = StaticRegistry::start(content(4, 20)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Corpus { filter: "glob:1.*".into(), ..Corpus::new(4, registry.host()) }.write(folder.path()).unwrap();
    let files = folder::walk(&[folder.path().to_owned()]);
    let (client, times) = (self::registry(), TimeCache::in_memory());
    let sources = Sources { registry: &client, times: &times, sights: None, lists: None };
    scan(&files, Some(sources), &ScanOptions::new(now()), &|_| true, &|_| {}).await;
    assert!(registry.requests() <= 4 * (1 + 2 * 20), "{} requests, cold", registry.requests());
    let before = registry.requests();
    let later = now() + jiff::SignedDuration::from_mins(10);
    scan(&files, Some(sources), &ScanOptions::new(later), &|_| true, &|_| {}).await;
    assert!(registry.requests() - before <= 4 * 3, "{} requests, warm", registry.requests() - before);
}

#[tokio::test]
async fn a_tag_that_is_gone_is_said_s6_5() {
    let server = small_registry().await;
    let folder = tempfile::tempdir().unwrap();
    let annotations = format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~1.0\n");
    let text = release("gone", &annotations, &format!("    image: {}/app:1.0.0-gone\n", server.host()));
    fs::write(folder.path().join("a.yaml"), text).unwrap();
    let report = run(folder.path(), &ScanOptions::new(now())).await;
    assert!(report.findings[0].flags.contains(&Flag::CurrentGone), "{:?}", report.findings[0]);
}

#[test]
fn the_configured_platform_says_whose_time_counts_s6_2() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    // One platform's image of `a` is older than that of `b`, the other's newer.
    for (tag, amd64, arm64) in
        [("a", "2025-01-01T00:00:00Z", "2025-04-01T00:00:00Z"), ("b", "2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z")]
    {
        let image = |time| {
            let times = Times { config: Some(time), ..Times::default() };
            pusher.image("app", None, Format::Oci, times).unwrap()
        };
        let (amd64, arm64) = (image(amd64), image(arm64));
        let entries = [("linux/amd64", &amd64), ("linux/arm64", &arm64)];
        pusher.index("app", tag, Format::Oci, None, &entries).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let status = |annotation: &str, variable: Option<&str>| {
        let annotations = format!("{AUTOMATED}{annotation}");
        let text = release("app", &annotations, &format!("    image: {}/app:a\n", server.host()));
        fs::write(folder.path().join("app.yaml"), text).unwrap();
        let mut command = std::process::Command::new(leadsman());
        command.args(["scan", "--format", "json"]).arg(folder.path());
        command.env_clear().env("HOME", home.path()).envs(variable.map(|platform| ("LEADSMAN_PLATFORM", platform)));
        let output = command.output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["containers"][0]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status("", None), "update");
    assert_eq!(status("", Some("linux/arm64")), "current");
    // An annotation goes before the configuration.
    let annotation = "    leadsman.dev/platform.chart-image: linux/arm64\n";
    assert_eq!(status(annotation, None), "current");
    assert_eq!(status(&annotation.replace("arm64", "amd64"), Some("linux/arm64")), "update");
}

#[tokio::test]
async fn an_encrypted_document_is_not_edited_whatever_its_status_s1_7() {
    let server = small_registry().await;
    let folder = tempfile::tempdir().unwrap();
    let annotations =
        format!("{AUTOMATED}    fluxcd.io/locked: \"true\"\n    filter.fluxcd.io/chart-image: semver:~1\n");
    let text = release("a", &annotations, &format!("    image: {}/app:1.0.0\nsops: {{}}\n", server.host()));
    fs::write(folder.path().join("a.yaml"), &text).unwrap();
    let options = ScanOptions::new(now());
    let mut report = run(folder.path(), &options).await;
    assert_eq!(report.findings[0].status, Some(Status::Locked));
    // As if the lock were set aside for once.
    report.findings[0].status = Some(Status::Update);
    let latest = Latest { tag: "1.1.0".into(), digest: None, created: None, labels: Vec::new() };
    report.findings[0].latest = Some(latest);
    let edited = edit_file(&text, &report.findings, &|_| true, &options);
    assert_eq!(edited.text, text);
    assert_eq!(edited.refused[0].status, Status::EditRefused);
    assert!(edited.refused[0].reason.contains("SOPS"), "{:?}", edited.refused);
}

#[tokio::test]
async fn a_minimum_age_counts_from_the_first_sight_s6_7() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    let push = |tag: &str| {
        let times = Times { config: Some("2025-01-01T00:00:00Z"), ..Times::default() };
        pusher.image("app", Some(tag), Format::Oci, times).unwrap();
    };
    ["1.0.0", "1.1.0"].into_iter().for_each(push);
    let folder = tempfile::tempdir().unwrap();
    let annotations =
        format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~1\n    leadsman.dev/min-age.chart-image: 1d\n");
    let text = release("app", &annotations, &format!("    image: {}/app:1.0.0\n", server.host()));
    fs::write(folder.path().join("app.yaml"), &text).unwrap();
    let files = folder::walk(&[folder.path().to_owned()]);
    let (registry, times, sights) = (registry(), TimeCache::in_memory(), Sights::default());
    let chosen = async |hours: i64, sights: Option<&Sights>| {
        let sources = Sources { registry: &registry, times: &times, sights, lists: None };
        let options = ScanOptions::new(now() + jiff::SignedDuration::from_hours(hours));
        let report = scan(&files, Some(sources), &options, &|_| true, &|_| {}).await;
        (report.findings[0].status.unwrap(), report.findings[0].latest.as_ref().unwrap().tag.clone())
    };
    // Of what was always there, the creation counts.
    assert_eq!(chosen(0, Some(&sights)).await, (Status::Update, "1.1.0".into()));
    // What was built long ago and is published only now is young, and the next best is found behind it.
    push("1.2.0");
    assert_eq!(chosen(1, Some(&sights)).await, (Status::Update, "1.1.0".into()));
    assert_eq!(chosen(24, Some(&sights)).await, (Status::Update, "1.1.0".into()));
    assert_eq!(chosen(25, Some(&sights)).await, (Status::Update, "1.2.0".into()));
    // An age for all holds where a container names none.
    fs::write(folder.path().join("app.yaml"), text.replace("    leadsman.dev/min-age.chart-image: 1d\n", "")).unwrap();
    let files = folder::walk(&[folder.path().to_owned()]);
    for (min_age, newest) in [(None, "1.2.0"), (Some(jiff::SignedDuration::from_hours(24)), "1.1.0")] {
        let sources = Sources { registry: &registry, times: &times, sights: Some(&sights), lists: None };
        let options = ScanOptions { min_age, ..ScanOptions::new(now() + jiff::SignedDuration::from_hours(2)) };
        let report = scan(&files, Some(sources), &options, &|_| true, &|_| {}).await;
        assert_eq!(report.findings[0].latest.as_ref().unwrap().tag, newest);
    }
    fs::write(folder.path().join("app.yaml"), &text).unwrap();
    // Who keeps nothing has the creation only.
    assert_eq!(chosen(1, None).await, (Status::Update, "1.2.0".into()));
}

#[tokio::test]
async fn what_a_repository_ignores_makes_room_for_the_next_best_s6_9() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    for (tag, made) in [("1.0.0", "2025-01-01"), ("1.1.0", "2025-02-01"), ("2.0.0", "2025-03-01")] {
        let made = format!("{made}T00:00:00Z");
        let times = Times { config: Some(&made), ..Times::default() };
        pusher.image("app", Some(tag), Format::Oci, times).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |annotations: &str| {
        let annotations = format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:*\n{annotations}");
        let text = release("app", &annotations, &format!("    image: {}/app:1.0.0\n", server.host()));
        fs::write(folder.path().join("app.yaml"), text).unwrap();
    };
    write("");
    let skipping = |config: &str| {
        let config = std::sync::Arc::new(RepositoryConfig::parse(config).unwrap());
        let skip = ignored(config, RepositoryDecisions::default(), BTreeMap::new(), now());
        ScanOptions { explain: true, skip, ..ScanOptions::new(now()) }
    };
    let found = async |options: &ScanOptions| run(folder.path(), options).await.findings.remove(0);
    let tag = |finding: &Finding| finding.latest.as_ref().map(|latest| latest.tag.clone());

    assert!(skipping("").skip.is_none());
    let all = found(&skipping("")).await;
    assert_eq!((all.status, tag(&all)), (Some(Status::Update), Some("2.0.0".into())));
    let minor = found(&skipping("ignore: [{levels: [major], reason: by hand}]")).await;
    assert_eq!((minor.status, tag(&minor)), (Some(Status::Update), Some("1.1.0".into())));
    let ignored = minor.reasons.iter().find(|reason| reason.verdict == Verdict::Ignored).unwrap();
    assert_eq!(ignored.tag, "2.0.0");
    assert!(ignored.message.ends_with(": by hand"), "{}", ignored.message);
    let nothing = found(&skipping("ignore: [{container: chart-image}]")).await;
    assert_eq!(nothing.status, Some(Status::Current), "the current tag is never left out: {:?}", nothing.message);
    assert!(nothing.message.unwrap().contains("ignored are 2 tags"));

    // A minimum age of the repository holds where the container has none of its own (S6.7).
    let age = |hours| {
        let min_age = Some(jiff::SignedDuration::from_hours(hours));
        let now = "2025-03-02T00:00:00Z".parse().unwrap();
        ScanOptions { min_age, ..ScanOptions::new(now) }
    };
    assert_eq!(tag(&found(&age(24)).await), Some("2.0.0".into()));
    assert_eq!(tag(&found(&age(25)).await), Some("1.1.0".into()));
    write("    leadsman.dev/min-age.chart-image: 1h\n");
    assert_eq!(tag(&found(&age(25)).await), Some("2.0.0".into()));
}

#[tokio::test]
async fn lists_that_are_kept_are_asked_for_once_until_they_are_renewed() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    let push = |tag: &str| pusher.image("app", Some(tag), Format::Oci, Times::default()).unwrap();
    push("1.0.0");
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let annotations = format!("{AUTOMATED}    filter.fluxcd.io/chart-image: semver:~1\n");
        let text = release(name, &annotations, &format!("    image: {}/app:1.0.0\n", server.host()));
        fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let files = folder::walk(&[folder.path().to_owned()]);
    let (registry, times, lists) = (registry(), TimeCache::in_memory(), Lists::default());
    let statuses = async || {
        let sources = Sources { registry: &registry, times: &times, sights: None, lists: Some(&lists) };
        let report = scan(&files, Some(sources), &ScanOptions::new(now()), &|_| true, &|_| {}).await;
        report.findings.iter().map(|finding| finding.status.unwrap()).collect::<Vec<_>>()
    };
    let image = format!("{}/app:1.0.0", server.host());
    let image = Reference::parse(&image, &KnownHosts::default()).unwrap().name;
    assert_eq!(statuses().await, [Status::Current, Status::Current]);
    let (asked, _) = (registry.requests(), push("1.1.0"));
    assert_eq!(statuses().await, [Status::Current, Status::Current]);
    assert_eq!(registry.requests(), asked, "what is kept is not asked for");
    assert!(lists.renew(&registry, &image).await.unwrap());
    assert!(!lists.renew(&registry, &image).await.unwrap());
    let asked = registry.requests();
    assert_eq!(statuses().await, [Status::Update, Status::Update]);
    assert_eq!(registry.requests(), asked);
    // What cannot be read anew stays as it was known.
    drop(server);
    lists.renew(&registry, &image).await.unwrap_err();
    assert_eq!(lists.tags(&registry, &image).await.unwrap().len(), 2);
}
