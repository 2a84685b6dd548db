//! `leadsman run --once --local` and `leadsman demo`, as people run them: the program, a repository, a registry.

#![allow(clippy::unwrap_used, reason = "a story that fails should end the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use leadsman::demo::registry::SampleRegistry;
use leadsman::store::Store;
use leadsman_tests::corpus::Corpus;
use leadsman_tests::program::leadsman;
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::registry::static_registry::{Content, StaticRegistry};
use leadsman_tests::repository::Repository;
use serde_json::Value;

const FILE: &str = "clusters/production/app.yaml";

struct World {
    repository: Repository,
    data: tempfile::TempDir,
    registry: SampleRegistry,
}

impl World {
    async fn new() -> Self {
        let registry = SampleRegistry::start().await.unwrap();
        let world = Self { repository: Repository::new(), data: tempfile::tempdir().unwrap(), registry };
        world.repository.write(FILE, &world.release("app", "apps/app", "1.0.0"));
        world.repository.commit("an app");
        world.publish("1.0.0");
        world.publish("1.1.0");
        world
    }

    fn release(&self, name: &str, image: &str, tag: &str) -> String {
        let host = self.registry.address();
        format!(
            "# kept as it is\napiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: {name}\n  \
             namespace: web\n  annotations:\n    fluxcd.io/automated: \"true\"\n    \
             filter.fluxcd.io/chart-image: semver:~1\nspec:\n  values:\n    image: {host}/{image}\n    tag: {tag}   # a remark\n"
        )
    }

    fn publish(&self, tag: &str) {
        let created = "2026-01-02T03:04:00Z".parse().unwrap();
        self.registry.publish("apps/app", tag, created, "https://github.com/example/app");
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        run(self.repository.path(), self.data.path(), arguments).await
    }

    /// Runs and returns the JSON document, checked against its schema, and the exit code.
    async fn json(&self) -> (Value, i32) {
        let output = self.run(&["--format", "json"]).await;
        let error = String::from_utf8_lossy(&output.stderr);
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
        let schema = leadsman::output::json::Document::Run.schema();
        jsonschema::validate(schema.as_value(), &document).unwrap();
        (document, output.status.code().unwrap())
    }

    async fn actions(&self) -> Vec<String> {
        let (document, code) = self.json().await;
        assert_eq!(code, 0, "{document:#}");
        document["pulls"].as_array().unwrap().iter().map(|pull| pull["action"].as_str().unwrap().to_owned()).collect()
    }
}

async fn run(repository: &Path, data: &Path, arguments: &[&str]) -> Output {
    let mut command = command(repository, data);
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn command(repository: &Path, data: &Path) -> Command {
    let mut command = Command::new(leadsman());
    command.args(["run", "--once", "--local"]).arg(repository).arg("--data").arg(data);
    // Nothing of whoever runs the tests.
    command.env("HOME", data).env("XDG_CONFIG_HOME", data).env("XDG_CACHE_HOME", data).env_remove("LEADSMAN_CONFIG");
    command.env("DOCKER_CONFIG", data);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_then_changes_nothing_then_moves_on() {
    let world = World::new().await;
    let (document, code) = world.json().await;
    assert_eq!(code, 0);
    let pull = &document["pulls"][0];
    assert_eq!((pull["action"].as_str(), pull["number"].as_i64()), (Some("opened"), Some(1)));
    assert_eq!(pull["title"], "Update web/app: app 1.0.0 to 1.1.0 in clusters/production");
    assert!(
        pull["body"].as_str().unwrap().contains("| `chart-image` | `1.0.0` | `1.1.0` | minor | 2026-01-02 03:04 UTC |")
    );
    let (branch, head) = world.repository.proposal();
    assert_eq!((pull["branch"].as_str(), pull["head"].as_str()), (Some(&*branch), Some(&*head)));
    let changed = ["-    tag: 1.0.0   # a remark", "+    tag: 1.1.0   # a remark"];
    assert_eq!(world.repository.changed_lines("main", &branch), changed);
    // What is checked out stays as it was.
    assert_eq!(world.repository.git(&["status", "--porcelain"]), "");

    let (git, store) = (world.repository.print(), std::fs::read(world.data.path().join("leadsman.db")).unwrap());
    assert_eq!(world.actions().await, ["kept"]);
    assert_eq!(world.repository.print(), git);
    assert!(std::fs::read(world.data.path().join("leadsman.db")).unwrap() == store, "the store was written to");

    world.publish("1.2.0");
    assert_eq!(world.actions().await, ["moved"]);
    assert_eq!(world.repository.proposal().0, branch);
    assert_eq!(world.repository.git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    world.repository.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_what_was_done_and_the_description() {
    let world = World::new().await;
    let output = world.run(&[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "opened",
        "#1 Update web/app: app 1.0.0 to 1.1.0",
        "leadsman/web-app-",
        "What happens next",
        "1 pull request changed",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    assert!(!text.contains("<!--"), "{text}");
    let again = String::from_utf8(world.run(&[]).await.stdout).unwrap();
    assert!(again.contains("kept") && again.contains("nothing changed") && !again.contains("What happens"), "{again}");
}

/// Loses the data folder.
fn lose(data: &Path) {
    for file in ["leadsman.db", "leadsman.db-wal", "leadsman.db-shm"] {
        _ = std::fs::remove_file(data.join(file));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_is_built_again_from_the_branches() {
    let world = World::new().await;
    world.repository.write("other.yaml", &world.release("other", "apps/app", "1.0.0"));
    world.repository.commit("another");
    assert_eq!(world.actions().await, ["opened", "opened"]);
    let before = (world.repository.proposals(), world.repository.git(&["reflog", "--all"]));
    // The base moves on elsewhere, so the commit of another run would be another one.
    world.repository.write("README.md", "words\n");
    world.repository.commit("words");
    lose(world.data.path());
    let (document, code) = world.json().await;
    assert_eq!((document["pulls"][0]["action"].as_str(), code), (Some("described"), 0), "{document:#}");
    assert_eq!(document["pulls"][1]["number"], 2);
    assert!(document["pulls"][0]["body"].as_str().unwrap().contains("semver:~1"), "{document:#}");
    assert_eq!(world.repository.proposals(), before.0);
    assert_eq!(world.actions().await, ["kept", "kept"]);

    // From an older copy, too: the branch moved on since it was made.
    let copy = std::fs::read(world.data.path().join("leadsman.db")).unwrap();
    world.publish("1.2.0");
    assert_eq!(world.actions().await, ["moved", "moved"]);
    let moved = world.repository.proposals();
    lose(world.data.path());
    std::fs::write(world.data.path().join("leadsman.db"), copy).unwrap();
    assert_eq!(world.actions().await, ["described", "described"]);
    assert_eq!(world.repository.proposals(), moved);

    // What was merged or is not wanted any more meanwhile ends as it would have.
    lose(world.data.path());
    let (branch, _) = &moved[0];
    world.repository.git(&["merge", "--quiet", "--no-ff", "--no-edit", branch]);
    let text = world.release("other", "apps/app", "1.0.0").replace("    fluxcd.io/automated: \"true\"\n", "");
    let path = if moved[0].0.contains("other") { FILE } else { "other.yaml" };
    world.repository.write(path, &text);
    world.repository.commit("by hand from now on");
    let actions = world.actions().await;
    assert!(actions.contains(&"merged".into()) && actions.contains(&"closed".into()), "{actions:?}");
    assert_eq!(world.repository.proposals(), []);
    world.repository.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_trailer_stays_a_persons() {
    let world = World::new().await;
    assert_eq!(world.actions().await, ["opened"]);
    let (branch, head) = world.repository.proposal();
    let git = |arguments: &[&str]| world.repository.git(arguments);
    let message = git(&["show", "--no-patch", "--format=%B", &branch]);
    let ours = world.release("app", "apps/app", "1.1.0");
    type Edit<'a> = &'a dyn Fn();
    let write = |text: String| world.repository.write(FILE, &text);
    let edits: [(&str, Edit<'_>); 6] = [
        ("another tag", &|| write(ours.replace("1.1.0", "1.1.9"))),
        ("a remark", &|| write(ours.replace("a remark", "mine"))),
        ("another value", &|| write(format!("{ours}    more: 1\n"))),
        ("another file", &|| {
            write(ours.clone());
            world.repository.write("more.txt", "mine\n");
        }),
        ("another mode", &|| {
            write(ours.clone());
            git(&["add", "--all"]);
            git(&["update-index", "--chmod=+x", FILE]);
        }),
        ("two commits", &|| {
            world.repository.write("more.txt", "mine\n");
            world.repository.commit("before");
            write(ours.clone());
        }),
    ];
    for (what, edit) in edits {
        git(&["checkout", "--quiet", "--detach", "main"]);
        edit();
        if what != "another mode" {
            git(&["add", "--all"]);
        }
        git(&["commit", "--quiet", "--message", &message]);
        let theirs = git(&["rev-parse", "HEAD"]);
        git(&["update-ref", &format!("refs/heads/{branch}"), &theirs]);
        git(&["checkout", "--quiet", "--force", "main"]);
        git(&["clean", "-fdq"]);
        lose(world.data.path());
        assert_eq!(world.actions().await, ["left-alone"], "{what}");
        assert_eq!(world.repository.proposal(), (branch.clone(), theirs), "{what}");
    }
    // On another branch than its own it is nobody's either, and the true one is found again.
    git(&["update-ref", &format!("refs/heads/{branch}"), &head]);
    git(&["update-ref", "refs/heads/leadsman/web-app-00000000", &head]);
    lose(world.data.path());
    assert_eq!(world.actions().await, ["described"]);
    assert_eq!(world.repository.proposals().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_creation_times_the_first_sight_counts_s6_3() {
    let server = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(server.address, None);
    let push = |tag: &str| drop(pusher.image("apps/app", Some(tag), Format::Oci, Times::default()).unwrap());
    let (repository, data) = (Repository::new(), tempfile::tempdir().unwrap());
    let write = |tag: &str, more: &str| {
        let text = format!(
            "kind: HelmRelease\nmetadata:\n  name: app\n  annotations:\n    fluxcd.io/automated: \"true\"\n    \
             filter.fluxcd.io/chart-image: glob:main-*\n{more}spec:\n  values:\n    image: {}/apps/app\n    tag: {tag}\n",
            server.host()
        );
        repository.write(FILE, &text);
        repository.commit("an app");
    };
    let run = async || {
        let output = run(repository.path(), data.path(), &["--format", "json"]).await;
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{error}"))
    };
    ["main-a", "main-c", "main-b", "other"].into_iter().for_each(push);

    // Which of the first ones is newest is not known, so none of them is taken for newer, by whatever name.
    write("main-b", "");
    for _ in 0..2 {
        assert_eq!(run().await["pulls"], serde_json::json!([]));
    }
    // Nor where the current tag says nothing, or is gone.
    for current in ["other", "main-gone"] {
        write(current, "");
        assert_eq!(run().await["pulls"], serde_json::json!([]), "{current}");
        assert_eq!(repository.proposals(), []);
    }
    write("main-b", "");

    // What comes later is newer, and stays so.
    push("main-0");
    for action in ["opened", "kept"] {
        let pulls = run().await["pulls"].clone();
        assert_eq!((&pulls[0]["action"], &pulls[0]["changes"][0]["to"]["tag"]), (&action.into(), &"main-0".into()));
    }
    repository.git(&["merge", "--quiet", "--ff-only", &repository.proposal().0]);
    run().await;
    push("main-1");
    assert_eq!(run().await["pulls"][0]["changes"][0]["to"]["tag"], "main-1");

    // A minimum age counts from the first sight too (S6.7): of the tag itself, and of those that were always there.
    write("main-0", "    leadsman.dev/min-age.chart-image: 1d\n");
    assert_eq!(run().await["pulls"][0]["action"], "closed");
    assert_eq!(repository.proposals(), []);

    // Another data folder knows nothing of all this.
    let other = tempfile::tempdir().unwrap();
    let output = command(repository.path(), other.path()).args(["--format", "json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["pulls"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_leaves_what_was_proposed_and_the_others_go_on() {
    let world = World::new().await;
    assert_eq!(world.actions().await, ["opened"]);
    let before = world.repository.proposal();
    // The same release now asks a port where nobody listens; another is new.
    let text = world.release("app", "apps/app", "1.0.0").replace(&world.registry.address().to_string(), "127.0.0.1:1");
    world.repository.write(FILE, &text);
    world.repository.write("other.yaml", &world.release("other", "apps/app", "1.0.0"));
    world.repository.commit("trouble");
    let (document, code) = world.json().await;
    assert_eq!(code, 1);
    assert_eq!(document["failures"][0]["status"], "registry-error");
    let actions: Vec<_> = document["pulls"].as_array().unwrap().iter().map(|pull| pull["action"].clone()).collect();
    assert!(actions.contains(&"opened".into()), "{document:#}");
    assert_eq!(world.repository.git(&["rev-parse", &format!("{}^", before.0)]).len(), 40);
    assert_eq!(world.repository.proposals().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_keeps_its_pull_requests() {
    let world = World::new().await;
    assert_eq!(world.actions().await, ["opened"]);
    let before = world.repository.proposals();
    world.repository.write(FILE, "metadata: {annotations: {fluxcd.io/automated: \"true\"}}\nkind: [\n");
    world.repository.commit("broken");
    let (document, code) = world.json().await;
    assert_eq!((document["pulls"][0]["action"].as_str(), code), (Some("kept"), 1));
    assert_eq!(document["diagnostics"][0]["code"], "invalid-yaml");
    assert_eq!(world.repository.proposals(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_stay_names() {
    let world = World::new().await;
    let name = "\"x`|</td> @octocat fixes #1 --> \\n/close\\u202e\"";
    world.repository.write("- a`b|c @d\u{202e}.yaml", &world.release(name, "apps/app", "1.0.0"));
    world.repository.commit("names");
    assert_eq!(world.actions().await, ["opened", "opened"]);
    world.repository.check();
    for (branch, _) in world.repository.proposals() {
        assert!(branch.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-".contains(&b)), "{branch}");
        let message = world.repository.git(&["show", "--no-patch", "--format=%B", &branch]);
        assert!(!message.contains("@octocat") && !message.contains("#1"), "{message}");
    }
    let text = String::from_utf8(world.run(&[]).await.stdout).unwrap();
    assert!(!text.contains('\u{202e}'), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_ends_with_2_and_does_nothing() {
    let world = World::new().await;
    let refuse = async |arguments: &[&str], part: &str| {
        let output = world.run(arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(part), "{error}");
        assert_eq!(world.repository.proposals(), []);
    };
    refuse(&["--base", "no"], "has no branch `no`").await;
    world.repository.git(&["checkout", "--quiet", "--detach"]);
    refuse(&[], "detached").await;
    world.repository.git(&["symbolic-ref", "HEAD", "refs/heads/leadsman/x"]);
    refuse(&[], "a branch of Leadsman").await;
    let nowhere = run(world.data.path(), world.data.path(), &[]).await;
    assert_eq!(nowhere.status.code(), Some(2));
    assert_eq!(world.run(&["--base", "main"]).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_one_data_folder_is_refused() {
    let world = World::new().await;
    let store = Store::open(world.data.path(), "the first one").await.unwrap();
    let output = world.run(&[]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("in use by the first one"), "{error}");
    store.close().await;
    assert_eq!(world.actions().await, ["opened"]);
}

/// The locks on branches of Leadsman.
fn locks(repository: &Repository) -> Vec<PathBuf> {
    let folder = repository.path().join(".git/refs/heads/leadsman");
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).collect()
}

/// Makes the files eleven minutes older.
fn age(files: &[PathBuf]) {
    for file in files {
        let file = std::fs::File::options().write(true).open(file).unwrap();
        let changed = file.metadata().unwrap().modified().unwrap();
        file.set_modified(changed - Duration::from_mins(11)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_named_and_an_old_one_goes() {
    let world = World::new().await;
    world.repository.write("other.yaml", &world.release("other", "apps/app", "1.0.0"));
    world.repository.commit("another");
    assert_eq!(world.actions().await, ["opened", "opened"]);
    let (branch, head) = world.repository.proposals().remove(0);
    let lock = world.repository.path().join(format!(".git/refs/heads/{branch}.lock"));
    std::fs::write(&lock, "").unwrap();
    world.publish("1.2.0");

    // Somebody may be at work: that branch waits, and the other moves.
    let (document, code) = world.json().await;
    assert_eq!(code, 1);
    let pulls = document["pulls"].as_array().unwrap();
    let errors: Vec<&str> = pulls.iter().filter_map(|pull| pull["error"].as_str()).collect();
    let said = format!("`{branch}` is locked by the file `{}`", lock.canonicalize().unwrap().display());
    assert!(matches!(errors[..], [error] if error.starts_with(&said)), "{errors:?}");
    assert!(errors[0].contains("run again, or remove the file"), "{errors:?}");
    assert!(lock.exists());
    assert_eq!(world.repository.proposals()[0], (branch.clone(), head.clone()));

    age(std::slice::from_ref(&lock));
    let actions = world.actions().await;
    assert!(actions.contains(&"moved".into()) && actions.contains(&"kept".into()), "{actions:?}");
    assert!(!lock.exists());
    assert_ne!(world.repository.proposals()[0].1, head);

    // That of the packed branches is not ours to remove, however old it is.
    world.repository.git(&["pack-refs", "--all"]);
    let packed = world.repository.path().join(".git/packed-refs.lock");
    std::fs::write(&packed, "").unwrap();
    age(std::slice::from_ref(&packed));
    for path in [FILE, "other.yaml"] {
        world.repository.write(path, "kind: ConfigMap\n");
    }
    world.repository.commit("nothing left");
    let (document, code) = world.json().await;
    assert_eq!(code, 1, "{document:#}");
    let error = document["pulls"][0]["error"].as_str().unwrap();
    assert!(error.contains("packed-refs.lock`") && error.contains("then remove the file"), "{error}");
    std::fs::remove_file(&packed).unwrap();
    assert_eq!(world.actions().await, ["closed", "closed"]);
    assert_eq!(world.repository.proposals(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_time_the_next_run_mends_it() {
    const RELEASES: usize = 40;
    let content = Content { images: RELEASES, tags: 3, metadata: true, latency: Duration::ZERO };
    let registry = StaticRegistry::start(content).unwrap();
    let repository = Repository::new();
    Corpus::new(RELEASES, registry.host()).write(repository.path()).unwrap();
    repository.commit("many");
    let data = tempfile::tempdir().unwrap();
    let mut cut = 0;
    for round in 0..8 {
        // From the start each time; the delays spread over the whole run.
        for (branch, _) in repository.proposals() {
            repository.git(&["update-ref", "-d", &format!("refs/heads/{branch}")]);
        }
        _ = std::fs::remove_file(data.path().join("leadsman.db"));
        _ = std::fs::remove_file(data.path().join("leadsman.db-wal"));
        _ = std::fs::remove_file(data.path().join("leadsman.db-shm"));
        let mut child =
            command(repository.path(), data.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(50 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        cut += usize::from(repository.proposals().len() < RELEASES);
        // What the killed process left locked is free again after a while.
        age(&locks(&repository));
        let output = run(repository.path(), data.path(), &["--format", "json"]).await;
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "round {round}: {document:#}");
        assert_eq!(repository.proposals().len(), RELEASES);
        let before = repository.print();
        let again = run(repository.path(), data.path(), &["--format", "json"]).await;
        let again: Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(again["summary"]["changed"], 0, "round {round}");
        assert_eq!(repository.print(), before);
    }
    assert!(cut >= 2, "the kills came too late to cut anything: {cut}");
    repository.check();
}

#[test]
fn the_demo_shows_everything_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| {
        let output = Command::new(leadsman())
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .env("HOME", temporary.path())
            .env("HTTP_PROXY", "http://127.0.0.1:1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = demo(&[]);
    for part in
        ["↑ update", "opened", "nothing changed", "moved", "+      tag: 6.5.5", "What happens next", "What next?"]
    {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
    assert!(text.lines().count() <= 110, "{} lines", text.lines().count());
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);

    let text = demo(&["--keep"]);
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.len() == 1 && text.contains(left[0].to_str().unwrap()), "{left:?} is not named in:\n{text}");
    assert!(left[0].join("fleet.git").is_dir());

    let kept = temporary.path().join("kept");
    demo(&["--dir", kept.to_str().unwrap()]);
    let log = leadsman_tests::repository::run(&kept.join("fleet.git"), &["for-each-ref", "refs/heads/leadsman/"]);
    // One of the four was merged.
    assert_eq!(log.lines().count(), 3);
    let merged = leadsman_tests::repository::run(&kept.join("fleet.git"), &["log", "--oneline", "main"]);
    assert_eq!(merged.lines().count(), 2, "{merged}");
    leadsman_tests::repository::run(&kept.join("fleet.git"), &["fsck", "--strict"]);
}
