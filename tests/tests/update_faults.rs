//! `leadsman update` where things go wrong: killed, on a full disk, among files that cannot be read. Whatever happens,
//! each file is the old one or the new one, and what could be done was done.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use leadsman_tests::corpus::Corpus;
use leadsman_tests::long;
use leadsman_tests::program::leadsman;
use leadsman_tests::registry::static_registry::{Content, StaticRegistry};

/// A home without configuration and credentials.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(leadsman());
    command.args(arguments).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home, arguments).output().unwrap()
}

fn registry(images: usize) -> StaticRegistry {
    StaticRegistry::start(Content { images, tags: 50, metadata: false, latency: Duration::ZERO }).unwrap()
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn manifests(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "yaml")).collect()
}

/// Each file before and after a whole update.
type OldAndNew = BTreeMap<PathBuf, (Vec<u8>, Vec<u8>)>;

/// What every file is before and after a whole update.
fn old_and_new(corpus: &Corpus) -> (tempfile::TempDir, OldAndNew) {
    let folder = tempfile::tempdir().unwrap();
    corpus.write(folder.path()).unwrap();
    let both = manifests(folder.path())
        .into_iter()
        .map(|(path, old)| {
            let new = String::from_utf8(old.clone()).unwrap().replace("tag: 1.0.0 #", "tag: 1.0.49 #").into_bytes();
            assert_ne!(old, new);
            (path, (old, new))
        })
        .collect();
    (folder, both)
}

#[test]
fn killed_at_any_point_every_file_is_old_or_new_s7_5() {
    let runs = if long() { 200 } else { 8 };
    let registry = registry(300);
    let corpus = Corpus::new(300, registry.host());
    let home = tempfile::tempdir().unwrap();
    let (folder, both) = old_and_new(&corpus);
    let path = folder.path().to_str().unwrap().to_owned();
    let first = folder.path().join("cluster-0/release-0.yaml");
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let start = |inode_before: u64| {
        let child = command(home.path(), &["update", "--quiet", &path]).spawn().unwrap();
        let begun = Instant::now();
        while inode(&first) == inode_before && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_micros(100));
        }
        child
    };
    // How long the renames take, undisturbed.
    let mut child = start(inode(&first));
    let began = Instant::now();
    assert!(child.wait().unwrap().success());
    let span = began.elapsed();
    let mut between = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..runs {
        for (path, (old, _)) in &both {
            fs::write(path, old).unwrap();
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = start(inode(&first));
        std::thread::sleep(span.mul_f64((random >> 33) as f64 / f64::from(1_u32 << 31) * 0.9));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = manifests(folder.path());
        assert_eq!(now.len(), both.len());
        let mut written = 0;
        for (path, text) in &now {
            let (old, new) = &both[path];
            assert!(text == old || text == new, "{} is neither old nor new", path.display());
            written += usize::from(text == new);
        }
        between += usize::from(written > 0 && written < both.len());
    }
    assert!(between * 2 >= runs, "only {between} of {runs} kills came between the first and the last rename");
    // The next run finishes the work and sweeps what was left behind.
    assert!(run(home.path(), &["update", &path]).status.success());
    let now = files(folder.path());
    assert_eq!(now.len(), both.len(), "something was left behind: {:?}", now.keys().collect::<Vec<_>>());
    assert!(now.iter().all(|(path, text)| *text == both[path].1));
}

/// Updates three files, each larger than files may become in the shell that starts the program.
fn a_limit_on_files_leaves_the_old_ones(limit: &str) {
    let registry = registry(3);
    let corpus = Corpus { bytes: 6_000, ..Corpus::new(3, registry.host()) };
    let home = tempfile::tempdir().unwrap();
    let (folder, both) = old_and_new(&corpus);
    let script = format!("{limit}; exec \"$0\" update \"$1\"");
    let output = Command::new("bash")
        .args(["-c", &script, leadsman().to_str().unwrap(), folder.path().to_str().unwrap()])
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no room to write") && said.contains("release-0.yaml"), "{said}");
    let now = files(folder.path());
    assert_eq!(now.len(), both.len(), "{:?}", now.keys().collect::<Vec<_>>());
    assert!(now.iter().all(|(path, text)| *text == both[path].0));
}

#[test]
fn a_full_disk_leaves_the_old_files_s7_5() {
    a_limit_on_files_leaves_the_old_ones("ulimit -f 4; trap '' XFSZ");
}

#[test]
fn the_signal_of_a_full_disk_does_not_end_the_program_s7_5() {
    a_limit_on_files_leaves_the_old_ones("ulimit -f 4");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_done() {
    let registry = registry(1);
    let home = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let good = Corpus::new(1, registry.host()).text(0);
    fs::write(at("good.yaml"), &good).unwrap();
    let mark = "# fluxcd.io/\n";
    let hostile: Vec<(&str, Vec<u8>, &str)> = vec![
        ("invalid.yaml", format!("{mark}a: [1\nb: 2\n").into(), "invalid-yaml"),
        ("duplicate.yaml", format!("{mark}a: 1\na: 2\n").into(), "duplicate-key"),
        ("nul.yaml", [mark.as_bytes(), b"a: \0\n"].concat(), "invalid-yaml"),
        ("latin1.yaml", [mark.as_bytes(), b"a: caf\xe9\n"].concat(), "unreadable-file"),
        ("large.yaml", [mark.as_bytes(), &vec![b'#'; 100 << 20]].concat(), "limit-exceeded"),
        ("deep.yaml", format!("{mark}a: {}", "[".repeat(100_000)).into(), "limit-exceeded"),
        (
            "laughs.yaml",
            (0..30)
                .fold(format!("{mark}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"), |text, i| {
                    let list = vec![format!("*a{i}"); 10].join(", ");
                    format!("{text}a{}: &a{} [{list}]\n", i + 1, i + 1)
                })
                .into(),
            "limit-exceeded",
        ),
    ];
    for (name, text, _) in &hostile {
        fs::write(at(name), text).unwrap();
    }
    fs::write(at("template.yaml"), good.replace("replicaCount: 2", "replicaCount: {{ .n }}")).unwrap();
    std::os::unix::fs::symlink("loop-b", at("loop-a")).unwrap();
    std::os::unix::fs::symlink("loop-a", at("loop-b")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("outside.yaml"), &good).unwrap();
    std::os::unix::fs::symlink(outside.path(), at("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("outside.yaml"), at("link.yaml")).unwrap();
    fs::write(at("secret.yaml"), &good).unwrap();
    fs::set_permissions(at("secret.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::read(at("secret.yaml")).is_ok();

    let path = folder.path().to_str().unwrap();
    let scan = run(home.path(), &["scan", "--offline", "--format", "json", path]);
    assert_eq!(scan.status.code(), Some(1), "{}", String::from_utf8_lossy(&scan.stderr));
    let scan: serde_json::Value = serde_json::from_slice(&scan.stdout).unwrap();
    let diagnostics = scan["diagnostics"].as_array().unwrap();
    let said = |file: &str| diagnostics.iter().filter(|it| it["file"] == file).collect::<Vec<_>>();
    for (name, _, code) in &hostile {
        let said = said(name);
        assert!(said.iter().any(|it| it["code"] == *code), "{name}: {said:?}");
        if *name != "large.yaml" {
            assert!(said.iter().all(|it| it["line"].is_u64() && it["column"].is_u64()), "{name}: {said:?}");
        }
    }
    if !is_root {
        assert_eq!(said("secret.yaml")[0]["code"], "unreadable-file");
    }

    let before = files(outside.path());
    let update = run(home.path(), &["update", path]);
    assert_eq!(update.status.code(), Some(1));
    assert!(fs::read_to_string(at("good.yaml")).unwrap().contains("tag: 1.0.49 # kept"));
    for (name, text, _) in &hostile {
        assert!(fs::read(at(name)).unwrap() == *text, "{name} was changed");
    }
    assert!(fs::read_to_string(at("template.yaml")).unwrap().contains("tag: 1.0.0 # kept"));
    assert_eq!(files(outside.path()), before);
}
