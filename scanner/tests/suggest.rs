//! Suggested aliases: every case of `tests/cases/suggest` (S3.1, S7.7).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use leadsman_scanner::detect::{DetectOptions, Source, detect};
use leadsman_scanner::manifest::{Limits, parse};
use leadsman_scanner::suggest::{Suggestion, add, suggest};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    why: String,
    suggestions: Vec<Wanted>,
    /// Those that cannot be written.
    #[serde(default)]
    refused: Vec<usize>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    alias: String,
    image: String,
    annotations: BTreeMap<String, String>,
}

impl From<&Suggestion> for Wanted {
    fn from(suggestion: &Suggestion) -> Self {
        Self {
            alias: suggestion.alias.clone(),
            image: suggestion.image.clone(),
            annotations: suggestion.annotations.iter().cloned().collect(),
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/suggest");
    let mut cases: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 10, "cases are missing");
    cases
}

fn text(case: &Path, name: &str) -> String {
    let yaml = case.join(format!("{name}.yaml"));
    fs::read_to_string(if yaml.exists() { yaml } else { case.join(format!("{name}.json")) }).unwrap()
}

#[test]
fn suggestions_are_found_and_written_s3_1() {
    let failed: Vec<_> = cases().into_iter().filter(|case| std::panic::catch_unwind(|| check(case)).is_err()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

fn check(path: &Path) {
    let case: Case = serde_json::from_slice(&fs::read(path.join("case.json")).unwrap()).unwrap();
    let context = format!("{}: {}", path.display(), case.why);
    let before = text(path, "before");
    let options = DetectOptions::default();
    let manifest = parse(&before, &Limits::default());
    let detected = detect(&manifest, &options);
    let suggestions = suggest(&manifest, &detected.containers, &options);
    let found: Vec<_> = suggestions.iter().map(Wanted::from).collect();
    assert_eq!(found, case.suggestions, "{context}");

    let added = add(&manifest, &suggestions);
    assert_eq!(added.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), case.refused, "{context}");
    assert_eq!(added.text, text(path, "after"), "{context}");
    assert_works(&before, &added.text, &suggestions, &added.applied);
}

/// With the annotations written, each alias is a container with the image that was promised, what was detected before
/// is still there, and nothing is left to suggest but what was refused.
fn assert_works(before: &str, after: &str, suggestions: &[Suggestion], applied: &[usize]) {
    let options = DetectOptions::default();
    let manifest = parse(after, &Limits::default());
    let detected = detect(&manifest, &options);
    for index in applied {
        let suggestion = &suggestions[*index];
        let container = detected
            .containers
            .iter()
            .find(|container| container.workload.id == suggestion.workload && *container.name == *suggestion.alias)
            .unwrap_or_else(|| panic!("`{}` became no container in\n{after}", suggestion.alias));
        assert_eq!(container.source, Source::Alias);
        let tag = container.tag.as_deref().unwrap();
        assert!(suggestion.image.ends_with(&format!(":{tag}")), "{} has {tag}", suggestion.image);
        assert!(container.tag_place.is_some());
    }
    let old = parse(before, &Limits::default());
    for container in detect(&old, &options).containers.iter().filter(|container| container.tag.is_some()) {
        assert!(
            detected.containers.iter().any(|now| now.name == container.name && now.tag == container.tag),
            "`{}` is lost in\n{after}",
            container.name
        );
    }
    let left = suggest(&manifest, &detected.containers, &options);
    assert_eq!(left.len(), suggestions.len() - applied.len(), "{left:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// S3.1: whatever the values, suggesting does not panic, and what is written works.
    #[test]
    fn what_is_suggested_works_s3_1(
        lines in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..25),
        annotations in prop::sample::select(vec!["", "  annotations: {}\n", "  annotations:\n    x: 'y'\n"]),
    ) {
        let text = format!("kind: HelmRelease\nmetadata:\n  name: a\n{annotations}spec:\n  values:\n{}", lines.concat());
        let manifest = parse(&text, &Limits::default());
        let options = DetectOptions::default();
        let detected = detect(&manifest, &options);
        let suggestions = suggest(&manifest, &detected.containers, &options);
        let added = add(&manifest, &suggestions);
        prop_assert_eq!(added.applied.len() + added.refused.len(), suggestions.len());
        if !added.applied.is_empty() {
            assert_works(&text, &added.text, &suggestions, &added.applied);
        }
    }
}

/// What the random values are made of.
const PIECES: [&str; 22] = [
    "    image: q.io/a:1\n",
    "    a:\n      b:\n",
    "    c.d:\n      'e\\f':\n",
    "    g:\n      h:\n",
    "        image: q.io/b:1\n",
    "        image: q.io/b\n",
    "        tag: '2'\n",
    "        appImage: q.io/c\n",
    "        appTag: 1.10\n",
    "        registry: q.io\n",
    "        imageRegistry: q.io\n",
    "        image: {name: x, version: 1}\n",
    "        images: [q.io/d:1, {image: q.io/e:1}, {name: n, image: {repository: q.io/f, tag: 1}}]\n",
    "        repository: q.io/x\n",
    "        version: 1.2.3\n",
    "        '[0]': {image: q.io/z:1}\n",
    "        'x[1]y': {image: q.io/z:1}\n",
    "        '': {image: q.io/z:1}\n",
    "        ünï: {image: q.io/z:1}\n",
    "        anchored: &x {y: {image: q.io/z:1}}\n        again: *x\n",
    "        nested: {image: {image: {image: q.io/z:1}}}\n",
    "    image: {repository: q.io/y}\n",
];
