//! Credential helpers of docker, run as docker runs them: real programs on the PATH.
//!
//! A test cannot change its own environment, so each starts this test program again, with another one.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails may panic, and the inner one is read")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use leadsman_scanner::reference::{ImageName, KnownHosts};
use leadsman_scanner::registry::{Registry, RegistryOptions};
use leadsman_tests::registry::http::{Server, reply, tags};

/// Asks for the tags of five images of a host that wants `robot` and `secret`, with the environment's helper.
#[tokio::test]
#[ignore = "started by the other tests"]
async fn inner() {
    let server = Server::start(|request, _| match request.header("authorization") {
        Some("Basic cm9ib3Q6c2VjcmV0") => reply(200, &[("Content-Type", "application/json")], tags(&["1"])),
        _ => reply(401, &[("WWW-Authenticate", "Basic realm=x")], ""),
    })
    .await
    .unwrap();
    let options = RegistryOptions { helper_timeout: Duration::from_millis(500), ..RegistryOptions::default() };
    let registry = Registry::new(options).unwrap();
    for number in 0..5 {
        let name = ImageName::parse(&format!("{}/a{number}", server.host()), &KnownHosts::default()).unwrap();
        match registry.tags(&name).await {
            Ok(tags) => println!("TAGS {}", tags.len()),
            Err(error) => println!("ERROR {error}"),
        }
    }
}

/// Runs [`inner`] with this helper: what it printed.
fn run(helper: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker-credential-tests");
    std::fs::write(&program, format!("#!/bin/sh\ncd {}\n{helper}\n", folder.path().display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"credsStore": "tests"}"#).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "inner"])
        .env("PATH", path)
        .env("DOCKER_CONFIG", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    (String::from_utf8(output.stdout).unwrap(), folder)
}

fn count(text: &str, word: &str) -> usize {
    text.matches(word).count()
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_helper_is_asked_once_per_host() {
    let helper = r#"echo "$1" >> calls; cat >> hosts; echo >> hosts; echo '{"ServerURL":"x","Username":"robot","Secret":"secret"}'"#;
    let (text, folder) = run(helper);
    assert_eq!(count(&text, "TAGS 1"), 5, "{text}");
    assert_eq!(std::fs::read_to_string(folder.path().join("calls")).unwrap(), "get\n");
    assert!(std::fs::read_to_string(folder.path().join("hosts")).unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn a_helper_that_has_nothing_is_no_error() {
    let (text, folder) = run("echo x >> calls; echo 'credentials not found in native keychain'; exit 1");
    assert_eq!(count(&text, "docker login"), 5, "{text}");
    assert_eq!(lines(&folder.path().join("calls")), 1);
}

#[test]
fn a_helper_that_hangs_is_killed_and_asked_no_more() {
    let start = Instant::now();
    let (text, folder) = run("echo x >> calls; sleep 1; sleep 1; echo late >> calls; sleep 60");
    assert_eq!(count(&text, "took longer than 0.5 s"), 5, "{text}");
    assert!(start.elapsed() < Duration::from_secs(10));
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(lines(&folder.path().join("calls")), 1, "it went on after its time");
}

#[test]
fn what_a_helper_says_is_bounded_and_never_shown_whole() {
    let (text, _) = run("head -c 1000000 /dev/zero | tr '\\0' x");
    assert_eq!(count(&text, "64 KiB"), 5, "{text}");
    let (text, _) = run(r#"echo '{"Username":"robot","Secret":5,"hidden":"hunter2"}'"#);
    assert_eq!((count(&text, "no answer that can be read"), count(&text, "hunter2")), (5, 0), "{text}");
    let (text, _) = run(r#"printf 'oops\033[2J'; exit 3"#);
    assert_eq!(count(&text, "oops\\u{1b}[2J"), 5, "{text}");
}
