//! `leadsman serve` as people run it: a process, a real registry that tells of pushes, a real Gitea that sends webhooks.

#![allow(clippy::unwrap_used, reason = "a story that fails should end the test")]

use std::time::Duration;

use leadsman_tests::gitea::Gitea;
use leadsman_tests::registry::distribution::Distribution;
use leadsman_tests::registry::http::send;
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::repository::Repository;
use leadsman_tests::serve::{Serve, eventually, free_port};
use serde_json::{Value, json};

const FILE: &str = "clusters/production/podinfo.yaml";
const REGISTRY_SECRET: &str = "of-the-registry-0123456789";
const FORGE_SECRET: &str = "of-the-forge-0123456789abc";

fn release(host: &str, tag: &str) -> String {
    format!(
        "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: podinfo\n  namespace: web\n  \
         annotations:\n    fluxcd.io/automated: \"true\"\n    filter.fluxcd.io/chart-image: semver:~6\nspec:\n  \
         values:\n    image:\n      repository: {host}/demo/podinfo\n      tag: {tag}   # a remark\n"
    )
}

fn push(registry: &Distribution, tag: &str) {
    let times = Times { config: Some("2026-01-02T03:04:00Z"), ..Times::default() };
    Pusher::new(registry.address, None).image("demo/podinfo", Some(tag), Format::Oci, times).unwrap();
}

fn secrets(folder: &std::path::Path) -> String {
    std::fs::write(folder.join("registry-secret"), REGISTRY_SECRET).unwrap();
    std::fs::write(folder.join("forge-secret"), FORGE_SECRET).unwrap();
    format!(
        "registry_webhooks:\n  secrets: [{{file: {}}}]\nallow_private_registries: [\"127.0.0.1\"]\n",
        folder.join("registry-secret").display()
    )
}

/// What a page's twin says.
fn api(serve: &Serve, path: &str) -> Value {
    let address = serve.url.trim_start_matches("http://").parse().unwrap();
    let reply = send(address, "GET", path, &[], b"").unwrap();
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

#[test]
fn from_a_push_to_a_merge_on_gitea_by_webhooks_alone() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/webhooks/registry/distribution");
    let registry = Distribution::start_telling(&url, REGISTRY_SECRET).unwrap();
    let server = Gitea::shared();
    let settle = ".leadsman.yaml";
    let text = release(&registry.host(), "6.0.0");
    let name = server.repository("served", &[(FILE, &text), (settle, "merge:\n  settle: 1s\nlabels: [images]\n")]);
    let person = server.person("writer-served");
    server.invite(&name, &person, "write");
    let hook = json!({
        "type": "gitea", "active": true,
        "events": ["push", "pull_request", "pull_request_comment", "issue_comment", "issues", "repository", "status"],
        "config": {"url": format!("http://127.0.0.1:{port}/webhooks/gitea"), "content_type": "json", "secret": FORGE_SECRET},
    });
    server.call(&server.admin, "POST", &format!("/repos/{name}/hooks"), &hook);
    std::fs::write(folder.path().join("token"), &server.bot.token).unwrap();
    let host = server.url().trim_start_matches("http://").to_owned();
    let configuration = format!(
        "{}forges:\n  \"{host}\":\n    kind: gitea\n    url: {}\n    token_file: {}\n    webhook_secrets: [{{file: {}}}]\n\
         repositories:\n  - {{forge: \"{host}\", name: {name}}}\n",
        secrets(folder.path()),
        server.url(),
        folder.path().join("token").display(),
        folder.path().join("forge-secret").display(),
    );
    push(&registry, "6.0.0");
    let serve = Serve::start(folder.path(), port, &configuration);
    let pulls = || server.call(&server.admin, "GET", &format!("/repos/{name}/pulls?state=all"), &Value::Null);
    // The first look finds nothing newer.
    eventually("the first look", 20, || {
        let told = api(&serve, "/api/v1/repositories");
        told["repositories"][0]["last_scan"].is_string().then_some(())
    });
    assert_eq!(pulls(), json!([]));

    push(&registry, "6.1.0");
    let pull = eventually("a pull request after the push", 20, || pulls().get(0).cloned());
    assert!(pull["title"].as_str().unwrap().contains("6.1.0"), "{pull}");
    assert_eq!(pull["labels"][0]["name"], "images");
    let branch = pull["head"]["ref"].as_str().unwrap().to_owned();
    assert_eq!(server.file(&name, &branch, FILE), release(&registry.host(), "6.1.0"));

    push(&registry, "6.2.0");
    let moved = eventually("the same pull request moves on", 20, || {
        let pull = pulls()[0].clone();
        pull["title"].as_str().unwrap().contains("6.2.0").then_some(pull)
    });
    assert_eq!(moved["number"], pull["number"]);
    assert_eq!(server.file(&name, &branch, FILE), release(&registry.host(), "6.2.0"));

    // Forges tell times in whole seconds, and whoever comments must have seen the head.
    std::thread::sleep(Duration::from_millis(1_500));
    let number = pull["number"].as_i64().unwrap();
    server.comment(&person, &name, number, "/merge squash");
    eventually("merged", 30, || (pulls()[0]["merged"] == true).then_some(()));
    assert_eq!(server.file(&name, "main", FILE), release(&registry.host(), "6.2.0"));
    eventually("the branch is gone", 20, || server.head(&name, &branch).is_none().then_some(()));
    assert_eq!(pulls().as_array().unwrap().len(), 1);

    let log = serve.log();
    for secret in [REGISTRY_SECRET, FORGE_SECRET, &server.bot.token] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    assert_eq!(serve.stop(), Some(0));
}

#[test]
fn a_local_repository_is_served_and_a_killed_service_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/webhooks/registry/distribution");
    let registry = Distribution::start_telling(&url, REGISTRY_SECRET).unwrap();
    let work = Repository::new();
    work.write(FILE, &release(&registry.host(), "6.0.0"));
    work.commit("a release");
    let bare = Repository::bare_clone_of(&work);
    let configuration = format!("{}repositories:\n  - local: {}\n", secrets(folder.path()), bare.path().display());
    push(&registry, "6.0.0");
    push(&registry, "6.1.0");
    let serve = Serve::start(folder.path(), port, &configuration);
    eventually("a branch", 20, || bare.proposals().first().cloned());
    serve.kill();
    // What came while nobody listened is found by the next look.
    push(&registry, "6.2.0");
    let serve = Serve::start(folder.path(), port, &configuration);
    let (branch, _) = eventually("the branch moves on", 20, || {
        let (branch, head) = bare.proposals().first().cloned()?;
        bare.git(&["show", &format!("{head}:{FILE}")]).contains("6.2.0").then_some((branch, head))
    });
    assert_eq!(bare.proposals().len(), 1);
    assert_eq!(bare.git(&["show", &format!("{branch}:{FILE}")]) + "\n", release(&registry.host(), "6.2.0"));
    assert_eq!(serve.stop(), Some(0));
}
