//! `leadsman scan`, `update`, `suggest`, `tags` and `doctor`, against a registry on loopback.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::Home;
use crate::registry::Registry;

const TAGS: &[&str] = &["1.0.0", "1.0.1", "1.0.9", "1.1.0", "latest", "2.0.0-rc.1", "bad tag\u{1b}[2J"];

fn release(name: &str, annotations: &str, values: &str) -> String {
    format!(
        "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: {name}\n  namespace: dev\n  annotations:\n{annotations}spec:\n  values:\n{values}"
    )
}

const AUTOMATED: &str = "    fluxcd.io/automated: \"true\"\n    filter.fluxcd.io/chart-image: semver:~1.0\n";

/// A home with one release that has an update and one that has none, and their registry.
fn home() -> (Home, Registry) {
    let registry = Registry::serve(&[("apps/a", TAGS), ("apps/b", TAGS)]);
    let (home, host) = (Home::new(), registry.host());
    home.write("work/apps/a.yaml", release("a", AUTOMATED, &format!("    image: {host}/apps/a:1.0.1 # keep\n")));
    home.write("work/apps/b.yaml", release("b", AUTOMATED, &format!("    image: {host}/apps/b:1.0.9\n")));
    (home, registry)
}

#[test]
fn scan_lists_what_there_is_and_what_is_newer() {
    let (home, registry) = home();
    let (code, document) = home.json(&["scan"]);
    assert_eq!(code, 0);
    let update = &document["containers"][0];
    for (field, value) in [
        ("file", json!("apps/a.yaml")),
        ("document", json!(0)),
        ("line", json!(11)),
        ("container", json!("chart-image")),
        ("source", json!("values")),
        ("image", json!(format!("{}/apps/a", registry.host()))),
        ("tag", json!("1.0.1")),
        ("digest", Value::Null),
        ("automated", json!(true)),
        ("filter", json!("semver:~1.0")),
        ("status", json!("update")),
        ("flags", json!([])),
        ("latest", json!({"tag": "1.0.9", "digest": null, "created": null})),
    ] {
        assert_eq!(update[field], value, "{field}");
    }
    assert_eq!(update["workload"]["id"], "dev:helmrelease/a");
    assert_eq!(document["containers"][1]["status"], "current");
    assert!(update.get("reasons").is_none());
    let summary =
        json!({"files": 2, "workloads": 2, "containers": 2, "updates": 1, "images": 2, "registry_requests": 2});
    assert_eq!(document["summary"], summary);
    assert_eq!(registry.seen().len(), 2, "one request per image");
    let human = home.run(&["scan"]);
    assert!(human.out.contains("1.0.1 → 1.0.9") && human.out.contains("↑ update"), "{}", human.out);
    assert!(human.out.contains("2 containers in 2 releases: 1 update; asked 2 images in "), "{}", human.out);
}

#[test]
fn verbosity_tells_images_then_requests_and_no_query() {
    let (home, _registry) = home();
    assert_eq!(home.run(&["scan"]).err, "");
    let images = home.run(&["-v", "scan"]).err;
    assert!(images.contains("looked up") && images.contains("/apps/a") && !images.contains("asked"), "{images}");
    let requests = home.run(&["-vv", "scan"]).err;
    assert_eq!(requests.matches("asked method=GET").count(), 2, "{requests}");
    assert!(requests.contains("path=\"/v2/apps/a/tags/list\"") && !requests.contains("n=1000"), "{requests}");
}

#[test]
fn messages_name_files_as_they_can_be_opened() {
    let (home, _registry) = home();
    home.write("work/apps/c.yaml", release("c", AUTOMATED, "    image: 127.0.0.1:1/apps/c:1.0.0\n"));
    let update = home.run(&["update", "--dry-run", "apps"]);
    assert_eq!(update.code, 1);
    assert!(update.err.contains("--> apps/c.yaml:11:12\n"), "{}", update.err);
}

#[test]
fn check_explain_and_offline() {
    let (home, registry) = home();
    assert_eq!(home.run(&["scan", "--check"]).code, 3);
    assert_eq!(home.run(&["scan", "--check", "apps/b.yaml"]).code, 0);
    let asked = registry.seen().len();
    let (code, offline) = home.json(&["scan", "--offline"]);
    assert_eq!((code, &offline["containers"][0]["status"]), (0, &Value::Null));
    assert_eq!(registry.seen().len(), asked, "no registry is asked");
    let (_, explained) = home.json(&["scan", "--explain"]);
    let verdict = |tag: &str| {
        let reasons = explained["containers"][0]["reasons"].as_array().unwrap();
        reasons.iter().find(|reason| reason["tag"] == tag).unwrap()["verdict"].clone()
    };
    assert_eq!(
        (verdict("1.0.9"), verdict("1.1.0"), verdict("latest")),
        ("selected".into(), "filter".into(), "latest".into())
    );
    assert!(!home.run(&["scan", "--explain"]).out.contains('\x1b'));
}

#[test]
fn failures_beat_check_and_leave_the_rest_alone() {
    let (home, registry) = home();
    home.write(
        "work/apps/gone.yaml",
        release("gone", AUTOMATED, &format!("    image: {}/apps/gone:1.0.0\n", registry.host())),
    );
    home.write("work/broken.yaml", "fluxcd.io/automated: [\n");
    home.write("work/unmarked.yaml", "a: [\n");
    let ran = home.run(&["scan", "--check", "--format", "json"]);
    let (code, document) = ran.json("scan");
    assert_eq!(code, 1);
    let statuses: Vec<&str> =
        document["containers"].as_array().unwrap().iter().map(|c| c["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["update", "current", "registry-error"]);
    let files: Vec<&str> =
        document["diagnostics"].as_array().unwrap().iter().map(|d| d["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["broken.yaml"], "files without marks are passed over");
    let human = home.run(&["scan"]);
    assert!(human.err.contains("--> broken.yaml:"), "{}", human.err);
    assert!(human.err.contains("| fluxcd.io/automated: ["), "{}", human.err);
    assert!(human.out.contains("1 update, 2 failures"), "{}", human.out);
    assert_eq!(home.json(&["scan", "--all"]).1["diagnostics"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_not_automated_is_listed_with_all_and_looked_up_with_online() {
    let registry = Registry::serve(&[("apps/a", TAGS)]);
    let home = Home::new();
    let annotations = "    filter.fluxcd.io/chart-image: semver:~1.0\n";
    home.write("work/a.yaml", release("a", annotations, &format!("    image: {}/apps/a:1.0.1\n", registry.host())));
    let nothing = home.run(&["scan"]);
    assert_eq!(nothing.code, 0);
    assert!(nothing.out.contains("nothing is automated in `.`") && nothing.out.contains("--all"), "{}", nothing.out);
    let (_, all) = home.json(&["scan", "--all"]);
    assert_eq!(
        (&all["containers"][0]["status"], &all["containers"][0]["latest"]),
        (&"not-automated".into(), &Value::Null)
    );
    assert_eq!(registry.seen().len(), 0);
    let (_, online) = home.json(&["scan", "--all", "--online"]);
    assert_eq!(online["containers"][0]["latest"]["tag"], "1.0.9");
}

#[test]
fn a_path_that_is_not_there_is_wrong_use_and_one_of_several_is_a_failure() {
    let (home, _registry) = home();
    let alone = home.run(&["scan", "nowhere"]);
    assert_eq!(alone.code, 2);
    assert!(alone.err.contains("`nowhere` is not there"), "{}", alone.err);
    let (code, document) = home.json(&["scan", "nowhere", "apps"]);
    assert_eq!((code, document["containers"].as_array().unwrap().len()), (1, 2));
    assert!(home.run(&["scan", "--offline", "--check"]).code == 2, "nothing can be checked offline");
}

#[test]
fn update_writes_the_tag_and_nothing_else() {
    let (home, _registry) = home();
    let (before, other) = (home.read("work/apps/a.yaml"), home.read("work/apps/b.yaml"));
    let dry = home.run(&["update", "--dry-run"]);
    assert!(dry.code == 0 && dry.out.contains("would write 1 tag into 1 file"), "{}", dry.out);
    let diff = home.run(&["update", "--diff"]);
    assert!(diff.out.starts_with("--- a/apps/a.yaml\n+++ b/apps/a.yaml\n@@ "), "{}", diff.out);
    assert_eq!(home.read("work/apps/a.yaml"), before);
    let ran = home.run(&["update"]);
    assert!(ran.code == 0 && ran.out.contains("wrote 1 tag into 1 file"), "{}{}", ran.out, ran.err);
    assert_eq!(home.read("work/apps/a.yaml"), before.replace(":1.0.1", ":1.0.9"));
    assert_eq!(home.read("work/apps/b.yaml"), other);
    assert!(home.run(&["update"]).out.contains("nothing to update"));
}

#[test]
fn the_plain_diff_is_a_patch() {
    let (home, _registry) = home();
    let patch = home.write("work/the.patch", home.run(&["update", "--diff"]).out);
    let git = |arguments: &[&str]| {
        std::process::Command::new("git")
            .args(arguments)
            .arg(&patch)
            .current_dir(home.work())
            .status()
            .unwrap()
            .success()
    };
    assert!(git(&["apply"]));
    assert!(home.read("work/apps/a.yaml").contains(":1.0.9"));
}

#[test]
fn the_changes_are_in_the_json() {
    let (home, registry) = home();
    let (code, document) = home.json(&["update", "--diff"]);
    assert_eq!(code, 0);
    let change = &document["changes"][0];
    assert_eq!((&change["from"], &change["to"]), (&"1.0.1".into(), &"1.0.9".into()));
    assert_eq!(change["image"], format!("{}/apps/a", registry.host()));
    assert!(change["diff"].as_str().unwrap().contains("+    image: "));
    assert!(home.json(&["update", "--dry-run"]).1["changes"][0].get("diff").is_none());
}

#[test]
fn update_is_narrowed_by_workload_container_and_image() {
    let registry = Registry::serve(&[("apps/a", TAGS)]);
    let (home, host) = (Home::new(), registry.host());
    let annotations = format!("{AUTOMATED}    filter.fluxcd.io/side: semver:~1.0\n");
    for name in ["x", "y"] {
        let values = format!("    image: {host}/apps/a:1.0.0\n    side: {{image: \"{host}/apps/a:1.0.0\"}}\n");
        home.write(&format!("work/{name}.yaml"), release(name, &annotations, &values));
    }
    let changes = |arguments: &[&str]| {
        let (code, document) = home.json(&[&["update", "--dry-run"], arguments].concat());
        assert_eq!(code, 0);
        document["changes"].as_array().unwrap().len()
    };
    let image = format!("{host}/apps/a");
    assert_eq!(changes(&[]), 4);
    assert_eq!(changes(&["--workload", "dev:helmrelease/x"]), 2);
    assert_eq!(changes(&["--container", "side"]), 2);
    assert_eq!(changes(&["--workload", "dev:helmrelease/x", "--container", "side", "--image", &image]), 1);
    let slip = home.run(&["update", "--workload", "dev:helmrelease/z"]);
    assert_eq!(slip.code, 2);
    assert!(slip.err.contains("no container has the workload `dev:helmrelease/z`"), "{}", slip.err);
    assert!(slip.err.contains("did you mean `dev:helmrelease/"), "{}", slip.err);
    assert_eq!(home.run(&["update", "--image", "x:1"]).code, 2);
}

#[test]
fn a_file_that_may_not_be_replaced_is_a_failure_of_its_own() {
    let (home, registry) = home();
    home.write("work/z.yaml", release("z", AUTOMATED, &format!("    image: {}/apps/a:1.0.0\n", registry.host())));
    std::fs::hard_link(home.work().join("apps/a.yaml"), home.work().join("linked.txt")).unwrap();
    let ran = home.run(&["update"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("edit-refused") && ran.err.contains("hard link"), "{}", ran.err);
    assert!(home.read("work/apps/a.yaml").contains(":1.0.1"));
    assert!(home.read("work/z.yaml").contains(":1.0.9"), "the rest is written");
}

#[test]
fn a_mirror_of_the_configuration_is_asked_instead() {
    let (home, registry) = home();
    home.write("work/hub.yaml", release("hub", AUTOMATED, "    image: nginx:1.0.0\n"));
    let mirror = Registry::serve(&[("library/nginx", TAGS)]);
    let config = json!({"docker.io": {"mirror": format!("http://{}", mirror.host())}}).to_string();
    let home = home.with("LEADSMAN_REGISTRIES", &config);
    let (code, document) = home.json(&["scan", "hub.yaml"]);
    assert_eq!((code, &document["containers"][0]["latest"]["tag"]), (0, &"1.0.9".into()));
    assert_eq!(mirror.seen(), ["/v2/library/nginx/tags/list"]);
    assert!(registry.seen().is_empty());
}

#[test]
fn suggest_finds_deep_images_and_writes_aliases() {
    let home = Home::new();
    let values = "    deep:\n      down:\n        image:\n          repository: quay.io/acme/deep\n          tag: v1\n";
    home.write("work/a.yaml", release("a", AUTOMATED, values));
    let (code, document) = home.json(&["suggest"]);
    assert_eq!(code, 0);
    let suggestion = &document["suggestions"][0];
    assert_eq!(suggestion["image"], "quay.io/acme/deep:v1");
    assert!(suggestion["annotations"][0]["key"].as_str().unwrap().starts_with("repository.fluxcd.io/"));
    let human = home.run(&["suggest"]);
    assert!(human.out.contains("deep.down.image.repository") && human.out.contains("--write"), "{}", human.out);
    let before = home.read("work/a.yaml");
    let diff = home.run(&["suggest", "--diff"]);
    assert!(diff.out.contains("\n+    repository.fluxcd.io/"), "{}", diff.out);
    assert_eq!(home.read("work/a.yaml"), before);
    assert_eq!(home.run(&["suggest", "--write"]).code, 0);
    let (_, scanned) = home.json(&["scan", "--offline"]);
    assert_eq!(scanned["containers"][0]["image"], "quay.io/acme/deep");
    assert!(home.run(&["suggest"]).out.contains("is seen"), "nothing is left to suggest");
}

#[test]
fn tags_lists_an_image_and_what_cannot_be_read_of_it() {
    let (home, registry) = home();
    let image = format!("{}/apps/a", registry.host());
    let (code, document) = home.json(&["tags", &image, "--filter", "semver:~1.0"]);
    let tags: Vec<&str> = document["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
    assert_eq!(tags, ["1.0.9", "1.0.1", "1.0.0"]);
    // This registry has lists only.
    assert_eq!(code, 1);
    assert!(document["tags"][0]["error"].as_str().unwrap().contains("not found"));
    assert_eq!((&document["matching"], &document["total"]), (&3.into(), &6.into()), "what is no tag is dropped");
    let gone = home.run(&["tags", &format!("{}/apps/gone", registry.host())]);
    assert!(gone.code == 1 && gone.err.contains("not found") && gone.err.contains("hint:"), "{}", gone.err);
    assert_eq!(home.run(&["tags", "nginx:1"]).code, 2);
    assert_eq!(home.run(&["tags", "Not An Image"]).code, 2);
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let registry = Registry::serve(&[]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = json!({"docker.io": {"mirror": format!("http://{}", registry.host())}}).to_string();
    let home = Home::new().with("LEADSMAN_REGISTRIES", &config);
    let check = |document: &Value, name: &str| {
        let found = document["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {document:#}")).clone()
    };
    let (code, document) = home.json(&["doctor"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(check(&document, "registry docker.io")["result"], "ok");
    let clock = check(&document, "clock");
    assert_eq!(clock["result"], "warning", "the registry's clock stands still");
    assert!(clock["hint"].as_str().unwrap().contains("clock"));
    let (code, document) = home.json(&["doctor", &closed.to_string()]);
    assert_eq!(code, 1);
    let failed = check(&document, &format!("registry {closed}"));
    assert!(failed["result"] == "failed" && failed["hint"].is_string(), "{failed}");
    home.write(".docker/config.json", r#"{"credsStore": "nothing"}"#);
    let ran = home.run(&["doctor", "--offline"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("✗ credential helper nothing") && ran.out.contains("1 failure"), "{}", ran.out);
    let broken = Home::new().with("LEADSMAN_PLATFORM", "x").run(&["doctor", "--offline"]);
    assert!(broken.code == 1 && broken.out.contains("✗ configuration"), "{}", broken.out);
    assert_eq!(home.run(&["doctor", "https://a.io"]).code, 2);
}

#[test]
fn ctrl_c_ends_a_scan_at_once() {
    // A host that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new();
    home.write(
        "work/a.yaml",
        release("a", AUTOMATED, &format!("    image: {}/a:1.0.0\n", silent.local_addr().unwrap())),
    );
    let mut child = home.command(&["scan"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut connection = silent.accept().unwrap().0;
    // Once the request is here, the program waits for its answer, and for Ctrl-C.
    connection.read_exact(&mut [0]).unwrap();
    let started = Instant::now();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(connection);
}
