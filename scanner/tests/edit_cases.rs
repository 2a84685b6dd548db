//! Every case of `tests/cases/edit`: a file before, the updates, and the same file after (S7.1 to S7.8, S3.3).
//!
//! The files are ones that other tools are known to damage, and ones that a careless editor would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use leadsman_scanner::detect::{Container, DetectOptions, detect};
use leadsman_scanner::edit::{Update, apply};
use leadsman_scanner::manifest::{Limits, parse};
use leadsman_scanner::reference::Digest;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case is for.
    why: String,
    updates: Vec<Wanted>,
    #[serde(default)]
    also_changed: Vec<String>,
    changed_lines: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    container: String,
    workload: Option<String>,
    tag: String,
    digest: Option<String>,
    /// The status, where the update is to be refused.
    refused: Option<String>,
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/edit");
    let mut cases: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 40, "cases are missing");
    cases
}

fn text(case: &Path, name: &str) -> String {
    let yaml = case.join(format!("{name}.yaml"));
    let path = if yaml.exists() { yaml } else { case.join(format!("{name}.json")) };
    String::from_utf8(fs::read(path).unwrap()).unwrap()
}

fn find<'c>(containers: &'c [Container], wanted: &Wanted) -> &'c Container {
    let mut found = containers.iter().filter(|container| {
        *container.name == *wanted.container
            && wanted.workload.as_ref().is_none_or(|workload| container.workload.id.as_str() == workload)
    });
    let container = found.next().unwrap_or_else(|| panic!("there is no container `{}`", wanted.container));
    assert!(found.next().is_none(), "there are several containers `{}`", wanted.container);
    container
}

fn changed_lines(before: &str, after: &str) -> usize {
    assert_eq!(before.split('\n').count(), after.split('\n').count(), "lines came or went");
    before.split('\n').zip(after.split('\n')).filter(|(before, after)| before != after).count()
}

#[test]
fn only_the_intended_bytes_change_s7_1() {
    let failed: Vec<_> = cases().into_iter().filter(|case| std::panic::catch_unwind(|| check(case)).is_err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

fn check(path: &Path) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let case: Case = serde_json::from_slice(&fs::read(path.join("case.json")).unwrap()).unwrap();
    let (before, after) = (text(path, "before"), text(path, "after"));
    let context = format!("{name}: {}", case.why);
    assert_eq!(changed_lines(&before, &after), case.changed_lines, "{context}");

    let digests: Vec<_> =
        case.updates.iter().map(|wanted| wanted.digest.as_ref().map(|text| Digest::parse(text).unwrap())).collect();
    let run = |text: &str| {
        let manifest = parse(text, &Limits::default());
        let detected = detect(&manifest, &DetectOptions::default());
        let updates: Vec<_> = case
            .updates
            .iter()
            .zip(&digests)
            .map(|(wanted, digest)| Update {
                container: find(&detected.containers, wanted),
                tag: &wanted.tag,
                digest: digest.as_ref(),
            })
            .collect();
        apply(&manifest, &detected.containers, &updates)
    };
    let edited = run(&before);
    let refused: Vec<_> =
        edited.refused.iter().map(|refused| (refused.index, refused.status.as_str().to_owned())).collect();
    let expected: Vec<_> =
        case.updates.iter().enumerate().filter_map(|(index, wanted)| Some((index, wanted.refused.clone()?))).collect();
    assert_eq!(refused, expected, "{context}: {:?}", edited.refused);
    assert_eq!(edited.text, after, "{context}");
    let also: Vec<_> = edited.also_changed.iter().map(|place| place.path.clone()).collect();
    assert_eq!(also, case.also_changed, "{context}");

    // Editing twice is editing once.
    let again = run(&edited.text);
    assert_eq!(again.text, edited.text, "{context}");
    assert!(again.also_changed.is_empty(), "{context}");
}
