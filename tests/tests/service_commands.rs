//! `leadsman setup`, `leadsman doctor` and `leadsman run --once` with a configured forge, as people run them: the
//! program, a real Gitea, a registry.

#![allow(clippy::unwrap_used, reason = "a test that fails should end")]

use std::process::{Command, Output};
use std::sync::Arc;

use leadsman_tests::gitea::{Account, Gitea};
use leadsman_tests::program::leadsman;
use serde_json::Value;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A Gitea with a configuration for it.
struct World {
    server: Arc<Gitea>,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { server: Gitea::shared(), folder: tempfile::tempdir().unwrap() }
    }

    fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// Writes the configuration: a forge as seen by `who`, these repositories, and what else is given.
    fn configure(&self, who: &Account, repositories: &[&str], rest: &str) {
        let folder = self.folder.path();
        std::fs::write(folder.join("token"), &who.token).unwrap();
        std::fs::write(folder.join("secret"), SECRET).unwrap();
        let host = self.host();
        let mut text = format!(
            "forges:\n  \"{host}\":\n    url: {}\n    token_file: {}\n    webhook_secrets: [{{file: {}}}]\n\
             repositories:\n",
            self.server.url(),
            folder.join("token").display(),
            folder.join("secret").display()
        );
        for name in repositories {
            text.push_str(&format!("  - forge: \"{host}\"\n    name: {name}\n"));
        }
        std::fs::write(folder.join("leadsman.yaml"), text + rest).unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let folder = self.folder.path();
        let mut command = Command::new(leadsman());
        command.args(arguments).arg("--config").arg(folder.join("leadsman.yaml"));
        // Nothing of whoever runs the tests.
        command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("XDG_CACHE_HOME", folder);
        command.env("XDG_DATA_HOME", folder.join("data")).env("DOCKER_CONFIG", folder).env_remove("LEADSMAN_CONFIG");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What it printed, and what it said, and its exit code.
    async fn told(&self, arguments: &[&str]) -> (String, String, i32) {
        let output = self.run(arguments).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
    }

    fn hooks(&self, name: &str) -> Vec<Value> {
        let path = format!("/repos/{name}/hooks");
        self.server.call(&self.server.admin, "GET", &path, &Value::Null).as_array().unwrap().clone()
    }
}

const PUBLIC: &str = "server:\n  public_url: https://leadsman.example.com/\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_made_once() {
    let world = World::new();
    let [one, other] = ["hooked", "other"].map(|name| world.server.repository(name, &[("a.yaml", "a: 1\n")]));
    world.configure(&world.server.bot, &[&one, &other], PUBLIC);
    let (out, _, code) = world.told(&["setup", "webhook", "--dry-run"]).await;
    assert!(out.matches("would make").count() == 2 && code == 0, "{out}");
    assert_eq!(world.hooks(&one), Vec::<Value>::new());

    let (out, _, code) = world.told(&["setup", "webhook", &one, "--forge", &world.host()]).await;
    assert!(out.contains("made") && out.contains("https://leadsman.example.com/webhooks/gitea") && code == 0, "{out}");
    let hooks = world.hooks(&one);
    assert_eq!(hooks.len(), 1);
    assert_eq!(hooks[0]["config"]["url"], "https://leadsman.example.com/webhooks/gitea");
    assert_eq!(world.hooks(&other), Vec::<Value>::new(), "only the named one");

    let (out, _, code) = world.told(&["setup", "webhook"]).await;
    assert!(out.contains("kept") && out.contains("made") && code == 0, "{out}");
    assert_eq!((world.hooks(&one).len(), world.hooks(&other).len()), (1, 1));
    assert!(!out.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_of_a_webhook_is_said() {
    let world = World::new();
    let name = world.server.repository("unhooked", &[("a.yaml", "a: 1\n")]);
    world.configure(&world.server.bot, &[&name], "");
    let (_, error, code) = world.told(&["setup", "webhook"]).await;
    assert!(error.contains("server.public_url") && code == 2, "{error}");
    world.configure(&world.server.bot, &[&name], PUBLIC);
    let (_, error, code) = world.told(&["setup", "webhook", "acme/none"]).await;
    assert!(error.contains("acme/none") && code == 2, "{error}");
    // Somebody who may only read.
    world.configure(&world.server.reader, &[&name], PUBLIC);
    let (out, _, code) = world.told(&["setup", "webhook"]).await;
    assert!(out.contains("failed") && out.contains("administrator") && code == 1, "{out}");
    assert_eq!(world.hooks(&name), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_is_told_without_the_secret() {
    let world = World::new();
    let secret = world.folder.path().join("secret");
    let rest = format!("{PUBLIC}registry_webhooks:\n  secrets: [{{file: {}}}]\n", secret.display());
    let name = world.server.repository("beside-a-registry", &[("a.yaml", "a: 1\n")]);
    world.configure(&world.server.bot, &[&name], &rest);
    let (out, _, code) = world.told(&["setup", "webhook", "--dry-run"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("url: https://leadsman.example.com/webhooks/registry/distribution"), "{out}");
    assert!(out.contains(&secret.display().to_string()) && !out.contains(SECRET), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_looks_at_forges_and_repositories() {
    let world = World::new();
    let name = world.server.repository("checked", &[("a.yaml", "a: 1\n")]);
    let check = async |who: &Account, repositories: &[&str]| {
        world.configure(who, repositories, PUBLIC);
        let (out, error, code) = world.told(&["doctor", "--format", "json"]).await;
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{error}"));
        let checks = document["checks"].as_array().unwrap().clone();
        let found = move |start: &str| {
            let check = checks.iter().find(|check| check["name"].as_str().unwrap().starts_with(start)).unwrap();
            (check["result"].as_str().unwrap().to_owned(), format!("{} {}", check["message"], check["hint"]))
        };
        (found, code)
    };
    let (found, _) = check(&world.server.bot, &[&name]).await;
    assert_eq!(found("forge "), ("ok".into(), format!("\"reached; the bot is `{}`\" null", world.server.bot.login)));
    assert_eq!(found("repository ").0, "ok");
    let (result, told) = found("webhook of ");
    assert!(result == "warning" && told.contains("leadsman setup webhook"), "{told}");

    let (found, code) = check(&world.server.reader, &[&name]).await;
    let (result, told) = found("repository ");
    assert!(result == "failed" && told.contains("administrator") && code == 1, "{told}");

    let (found, code) = check(&world.server.bot, &["owner/none"]).await;
    assert!(found("repository ").0 == "failed" && code == 1);

    let nobody = Account { token: "0".repeat(40), ..world.server.bot.clone() };
    let (found, code) = check(&nobody, &[&name]).await;
    let (result, told) = found("forge ");
    assert!(result == "failed" && told.contains("token") && code == 1, "{told}");
}
