//! Leadsman as a whole process, beside a floor or a peer measured in the same run.
//!
//! `cargo bench -p leadsman-tests --bench processes [NAME…]` runs all scenarios, or those whose names contain one of
//! the words, and prints a table. `--markdown FILE` writes it there too. Figures are medians of several runs, after one
//! that does not count; seconds depend on the machine, so the ratios are what to look at.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run should end")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use leadsman_tests::corpus::Corpus;
use leadsman_tests::measure::{Figures, Measured, Run, Table};
use leadsman_tests::program::leadsman;
use leadsman_tests::registry::distribution::{Access, Distribution};
use leadsman_tests::registry::push::{Format, Pusher, Times};
use leadsman_tests::registry::static_registry::repository;

const FLOOR: &str = env!("CARGO_BIN_EXE_floor");

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let markdown = words.iter().position(|word| word == "--markdown").map(|at| words.drain(at..at + 2).nth(1).unwrap());
    let mut bench = Bench { table: Table::default(), home: tempfile::tempdir().unwrap() };
    type Scenario = fn(&mut Bench);
    let scenarios: [(&str, Scenario); 8] = [
        ("detect", detect),
        ("pass-over", pass_over),
        ("scan", scan),
        ("distribution", distribution),
        ("latency", latency),
        ("tags", tags),
        ("update", update),
        ("branches", branches),
    ];
    for (name, scenario) in scenarios {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            scenario(&mut bench);
        }
    }
    println!("\n{}", bench.table.markdown());
    if let Some(file) = markdown {
        fs::write(file, bench.table.markdown()).unwrap();
    }
}

struct Bench {
    table: Table,
    home: tempfile::TempDir,
}

impl Bench {
    fn measured(&self) -> Measured<'static> {
        let home = self.home.path().display();
        Measured {
            measure: Path::new(env!("CARGO_BIN_EXE_measure")),
            environment: vec![
                ("HOME", home.to_string()),
                ("XDG_CACHE_HOME", format!("{home}/cache")),
                ("XDG_CONFIG_HOME", format!("{home}/config")),
                ("XDG_DATA_HOME", format!("{home}/data")),
                ("DOCKER_CONFIG", format!("{home}/docker")),
            ],
        }
    }

    /// The figures of one command over `runs` runs, after one that does not count.
    fn figures(&self, runs: usize, codes: &[i32], program: &Path, arguments: &[&str]) -> Figures {
        let measured = self.measured();
        let all: Vec<Run> = (0..=runs).map(|_| measured.run(codes, program, arguments)).collect();
        Figures::of(&all[1..])
    }

    /// The figures of two commands, run in turn.
    fn pair(&self, runs: usize, ours: &[&str], floor: (&Path, &[&str])) -> (Figures, Figures) {
        let measured = self.measured();
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..=runs {
            a.push(measured.run(&[0], leadsman(), ours));
            b.push(measured.run(&[0, 1], floor.0, floor.1));
        }
        (Figures::of(&a[1..]), Figures::of(&b[1..]))
    }
}

/// A static registry as a process of its own; it ends when this is dropped.
struct Registry {
    child: Child,
    host: String,
}

impl Registry {
    fn start(images: usize, tags: usize, latency: usize, metadata: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_static_registry"));
        command.args(["--images", &images.to_string(), "--tags", &tags.to_string()]);
        command.args(["--latency-ms", &latency.to_string()]);
        if metadata {
            command.arg("--metadata");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, host: format!("127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn corpus(corpus: &Corpus) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    corpus.write(folder.path()).unwrap();
    let path = folder.path().display().to_string();
    (folder, path)
}

/// Waits until everything written so far is on the disk.
fn settle() {
    assert!(Command::new("sync").status().unwrap().success());
}

/// Reading and detecting, beside the bare parser on the same bytes.
fn detect(bench: &mut Bench) {
    let (_folder, path) =
        corpus(&Corpus { files: 1_000, images: 1_000, bytes: 5_000, ..Corpus::new(10_000, "registry.example.com") });
    let (ours, floor) = bench.pair(5, &["scan", "--offline", &path], (Path::new(FLOOR), &["parse", &path]));
    bench.table.row(
        "read and detect 10,000 releases in 1,000 files, 50 MB",
        format!("{ours}, {:.2} of the parser's speed per CPU second", floor.cpu / ours.cpu),
        format!("bare parser: {floor}"),
        "at least 0.7 of the parser's speed per CPU second",
    );
}

/// Files without marks, beside `grep`.
fn pass_over(bench: &mut Bench) {
    let folder = tempfile::tempdir().unwrap();
    let text =
        Corpus { bytes: 50_000, ..Corpus::new(1, "registry.example.com") }.text(0).replace("fluxcd.io", "other.io");
    for index in 0..1_000 {
        fs::write(folder.path().join(format!("file-{index}.yaml")), &text).unwrap();
    }
    let path = folder.path().display().to_string();
    let grep = ["-rLF", "-e", "fluxcd.io/", "-e", "flux.weave.works/", "-e", "leadsman.dev/", &path];
    let (ours, floor) = bench.pair(5, &["scan", "--offline", &path], (Path::new("/bin/grep"), &grep));
    bench.table.row(
        "pass over 1,000 files without marks, 50 MB",
        format!(
            "{ours}, {:.2} times grep's wall time, {:.2} times its CPU",
            ours.wall / floor.wall,
            ours.cpu / floor.cpu
        ),
        format!("grep -rLF: {floor}"),
        "at most twice the time of grep",
    );
}

/// The main thing: a thousand releases of a thousand images.
fn scan(bench: &mut Bench) {
    let registry = Registry::start(1_000, 50, 0, false);
    let (_folder, path) = corpus(&Corpus::new(1_000, &registry.host));
    let (ours, floor) = bench.pair(9, &["scan", &path], (Path::new(FLOOR), &["get", &registry.host, "1000", "16"]));
    bench.table.row(
        "scan 1,000 releases of 1,000 images with 50 tags, static registry",
        format!("{ours}"),
        format!("1,000 bare GETs: {floor}"),
        "at most 0.15 s of wall and CPU time and 25 MiB",
    );
}

/// The same on CNCF distribution.
fn distribution(bench: &mut Bench) {
    let registry = Distribution::start(Access::Anonymous).unwrap();
    let pusher = Pusher::new(registry.address, None);
    for image in 0..1_000 {
        for tag in ["1.0.0", "1.0.1"] {
            pusher.image(&repository(image), Some(tag), Format::Oci, Times::default()).unwrap();
        }
    }
    let host = registry.host();
    let (_folder, path) = corpus(&Corpus::new(1_000, &host));
    let (ours, floor) = bench.pair(9, &["scan", &path], (Path::new(FLOOR), &["get", &host, "1000", "16"]));
    bench.table.row(
        "scan 1,000 releases of 1,000 images, CNCF distribution",
        format!("{ours}, {:.2} times the floor's wall time", ours.wall / floor.wall),
        format!("1,000 bare GETs: {floor}"),
        "at most 1.15 times the floor",
    );
}

/// A registry that takes 20 ms for each answer.
fn latency(bench: &mut Bench) {
    let registry = Registry::start(1_000, 50, 20, false);
    let (_folder, path) = corpus(&Corpus::new(1_000, &registry.host));
    let (ours, floor) = bench.pair(3, &["scan", &path], (Path::new(FLOOR), &["get", &registry.host, "1000", "16"]));
    bench.table.row(
        "scan 1,000 images, 20 ms of latency, 16 in flight",
        format!("{ours}"),
        format!("1,000 bare GETs: {floor}"),
        "at most 1.5 s",
    );
}

/// One image with very many tags: the time grows with their number, not faster.
fn tags(bench: &mut Bench) {
    let mut all = Vec::new();
    for tags in [10_000, 50_000, 100_000] {
        let registry = Registry::start(1, tags, 0, false);
        let (_folder, path) = corpus(&Corpus::new(1, &registry.host));
        all.push((tags, bench.figures(5, &[0], leadsman(), &["scan", &path])));
    }
    let per_tag = |at: usize| (all[at].1.cpu - 0.0) / all[at].0 as f64 * 1e6;
    bench.table.row(
        "one image with 100,000 tags",
        format!("{}, {:.2} µs of CPU per tag", all[2].1, per_tag(2)),
        format!("50,000 tags: {:.2} µs per tag; 10,000 tags: {:.2} µs per tag", per_tag(1), per_tag(0)),
        "linear",
    );
}

/// Writing, beside a program that writes and syncs the same files.
fn update(bench: &mut Bench) {
    let registry = Registry::start(1_000, 50, 0, false);
    let made = Corpus { images: 1_000, ..Corpus::new(10_000, &registry.host) };
    let measured = bench.measured();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    // What is measured is writing files that have long been on the disk, as those in a checkout have. Nothing is deleted
    // before the end either: for minutes ext4 looks at each inode that became free when it gives a new file one.
    let mut folders = Vec::new();
    for _ in 0..4 {
        let (folder, path) = corpus(&made);
        folders.push(folder);
        settle();
        ours.push(measured.run(&[0], leadsman(), &["update", &path]));
        let changed = fs::read_to_string(PathBuf::from(&path).join("cluster-0/release-7.yaml")).unwrap();
        assert!(changed.contains("tag: 1.0.49 # kept"), "{changed}");
        let (folder, path) = corpus(&made);
        folders.push(folder);
        settle();
        floor.push(measured.run(&[0], Path::new(FLOOR), &["write", &path, "tag: 1.0.0", "tag: 1.0.49", "2"]));
    }
    let (ours, floor) = (Figures::of(&ours[1..]), Figures::of(&floor[1..]));
    bench.table.row(
        "update 10,000 files",
        format!("{ours}, {:.2} times the floor's wall time", ours.wall / floor.wall),
        format!("write and sync: {floor}"),
        "at most 1.3 times the floor, 40 MiB and the largest file per thread",
    );
}

/// Pull requests on a local repository.
fn branches(bench: &mut Bench) {
    let registry = Registry::start(1_000, 50, 0, true);
    let (folder, path) = corpus(&Corpus::new(1_000, &registry.host));
    let git = |arguments: &[&str]| {
        let done = Command::new("git").arg("-C").arg(folder.path()).args(arguments).output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "."]);
    git(&["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "releases"]);
    let data = tempfile::tempdir().unwrap();
    let data = data.path().display().to_string();
    let arguments = ["run", "--once", "--local", &path, "--data", &data];
    let measured = bench.measured();
    let first = measured.run(&[0], leadsman(), &arguments);
    let made = git(&["branch", "--list", "leadsman/*"]).lines().count();
    assert_eq!(made, 1_000);
    let again: Vec<Run> = (0..3).map(|_| measured.run(&[0], leadsman(), &arguments)).collect();
    bench.table.row(
        "`run --once --local`: 1,000 branches",
        format!("{}", Figures::of(&[first])),
        format!("again, with nothing to do: {}", Figures::of(&again)),
        "at most 6 s, and 1 s",
    );
}
