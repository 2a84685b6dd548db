//! The program where it looks into images: digests and creation times that are asked for by a flag.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use leadsman_tests::corpus::Corpus;
use leadsman_tests::program::leadsman;
use leadsman_tests::registry::static_registry::{Content, StaticRegistry, repository};
use serde_json::Value;

fn run(arguments: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(leadsman()).args(arguments).env_clear().env("HOME", home.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn registry() -> StaticRegistry {
    StaticRegistry::start(Content { images: 2, tags: 30, metadata: true, latency: Duration::ZERO }).unwrap()
}

#[test]
fn details_ask_for_digest_and_creation_time() {
    let registry = registry();
    let folder = tempfile::tempdir().unwrap();
    Corpus::new(2, registry.host()).write(folder.path()).unwrap();
    let path = folder.path().to_str().unwrap();
    let plain = run(&["scan", "--format", "json", path]);
    assert_eq!(plain["containers"][0]["latest"]["digest"], Value::Null);
    assert_eq!(registry.requests(), 2, "by version, one request per image is enough");
    let details = run(&["scan", "--details", "--format", "json", path]);
    for container in details["containers"].as_array().unwrap() {
        assert!(container["latest"]["digest"].as_str().unwrap().starts_with("sha256:"), "{container}");
        assert!(container["latest"]["created"].is_string(), "{container}");
    }
}

#[test]
fn tags_looks_into_as_many_as_it_is_told() {
    let registry = registry();
    let image = format!("{}/{}", registry.host(), repository(1));
    for (limit, count) in [("3", 3), ("0", 30)] {
        let document = run(&["tags", &image, "--limit", limit, "--format", "json"]);
        let tags = document["tags"].as_array().unwrap();
        assert_eq!(tags.len(), count);
        assert_eq!(tags[0]["tag"], "1.0.29");
        assert!(tags.iter().all(|tag| tag["digest"].is_string() && tag["created"].is_string()), "{tags:?}");
    }
}
