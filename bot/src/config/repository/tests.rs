//! Cases of a repository's configuration: valid files with what they mean, invalid ones with what is said of them, and
//! that every key of the schema has a case of both kinds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::*;
use crate::plan::Version;

/// The cases of one kind: name, path and text.
fn cases(kind: &str) -> Vec<(String, PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/repository-config").join(kind);
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, path, text)
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no case of the kind {kind}");
    found
}

/// What stands in the file, as the schema sees it: numbers and truth values where YAML has them.
fn as_json(node: &Node) -> Json {
    match &node.value {
        _ if node.is_null() => Json::Null,
        Value::Scalar { text, plain: true } => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))
        }
        Value::Scalar { text, .. } => Json::String(text.clone()),
        Value::List(items) => items.iter().map(as_json).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.text.clone(), as_json(value))).collect(),
    }
}

fn tree(text: &str) -> Node {
    Node::parse(text, &|line, column| Origin::File { line, column }).unwrap()
}

/// `LEADSMAN_WRITE_CASES=1` writes what valid files mean anew; look at the difference.
#[test]
fn valid_files_mean_what_stands_beside_them_and_fit_the_schema() {
    let schema = jsonschema::validator_for(RepositoryConfig::schema().as_value()).unwrap();
    for (name, path, text) in cases("valid") {
        let config = RepositoryConfig::parse(&text).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"));
        let meaning = serde_json::to_string_pretty(&config).unwrap() + "\n";
        let beside = path.with_extension("json");
        if std::env::var_os("LEADSMAN_WRITE_CASES").is_some() {
            std::fs::write(&beside, &meaning).unwrap();
        }
        assert_eq!(std::fs::read_to_string(beside).unwrap_or_default(), meaning, "{name}");
        let written = as_json(&tree(&text));
        // A key without a value counts as left out, which a schema cannot say.
        if !text.contains("# empty keys") {
            assert!(schema.is_valid(&written), "{name}: {:?}", schema.iter_errors(&written).next());
        }
        // What it means can be written and read again.
        assert_eq!(RepositoryConfig::parse(&meaning).unwrap(), config, "{name}");
    }
}

/// The first lines of an invalid file say what is wrong with it: `#! line:column: part of the message`.
#[test]
fn invalid_files_are_refused_with_every_place() {
    let mut wrong = Vec::new();
    for (name, _, text) in cases("invalid") {
        let wanted: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#! ")).collect();
        assert!(!wanted.is_empty(), "{name} does not say what is wrong with it");
        let errors = RepositoryConfig::parse(&text).expect_err(&name);
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let is_told = |(wanted, told): (&&str, &String)| {
            let (place, message) = wanted.split_once(": ").unwrap();
            told.strip_prefix(&format!(".leadsman.yaml:{place}: ")).is_some_and(|told| told.contains(message))
        };
        if wanted.len() != told.len() || !wanted.iter().zip(&told).all(is_told) {
            wrong.push((name, told));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every key of the schema, with its path: `ignore[].image`, `commands.rules.*.level`.
fn keys(schema: &Json, node: &Json, path: &str, found: &mut BTreeSet<String>) {
    let node = match node["$ref"].as_str() {
        Some(name) => schema.pointer(name.trim_start_matches('#')).unwrap(),
        None => node,
    };
    for choice in node["anyOf"].as_array().into_iter().flatten() {
        keys(schema, choice, path, found);
    }
    for (key, property) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{}{key}", if path.is_empty() { "" } else { "." });
        found.insert(path.clone());
        keys(schema, property, &path, found);
    }
    if node["items"].is_object() {
        keys(schema, &node["items"], &format!("{path}[]"), found);
    }
    if node["additionalProperties"].is_object() {
        keys(schema, &node["additionalProperties"], &format!("{path}.*"), found);
    }
}

/// The paths of keys that a file sets, in the same form, each with its line.
fn set(node: &Node, path: &str, in_map: bool, found: &mut BTreeSet<(String, u32)>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                let name = if in_map { "*" } else { &key.text };
                let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
                if let Origin::File { line, .. } = key.origin {
                    found.insert((path.clone(), line));
                }
                set(value, &path, path == "commands.rules", found);
            }
        }
        Value::List(items) => {
            for item in items {
                let path = format!("{path}[]");
                if let Origin::File { line, .. } = item.origin {
                    found.insert((path.clone(), line));
                }
                set(item, &path, false, found);
            }
        }
        Value::Scalar { .. } => {}
    }
}

#[test]
fn every_key_has_a_valid_and_an_invalid_case() {
    let schema = serde_json::to_value(RepositoryConfig::schema()).unwrap();
    let mut known = BTreeSet::new();
    keys(&schema, &schema, "", &mut known);
    assert!(known.len() > 20 && known.contains("ignore[].image") && known.contains("commands.rules.*.level"));

    let mut valid = BTreeSet::new();
    for (_, _, text) in cases("valid") {
        set(&tree(&text), "", false, &mut valid);
    }
    let valid: BTreeSet<_> = valid.into_iter().map(|(path, _)| path).collect();
    let missing: Vec<_> = known.iter().filter(|key| !valid.contains(*key)).collect();
    assert!(missing.is_empty(), "keys without a valid case: {missing:?}");

    // A case is about the keys on the lines that its errors point at.
    let mut invalid = BTreeSet::new();
    for (_, _, text) in cases("invalid") {
        let Ok(root) = Node::parse(&text, &|line, column| Origin::File { line, column }) else { continue };
        let mut lines = BTreeSet::new();
        set(&root, "", false, &mut lines);
        let wrong: BTreeSet<u32> =
            RepositoryConfig::parse(&text).unwrap_err().into_iter().map(|error| error.line).collect();
        invalid.extend(lines.into_iter().filter(|(_, line)| wrong.contains(line)).map(|(path, _)| path));
    }
    let missing: Vec<_> = known.iter().filter(|key| !invalid.contains(*key)).collect();
    assert!(missing.is_empty(), "keys without an invalid case: {missing:?}");
}

#[test]
fn a_file_that_is_too_large_or_hostile_is_refused() {
    let large = format!("base: [{}]\n", "a, ".repeat(200_000));
    assert!(RepositoryConfig::parse(&large).unwrap_err()[0].message.contains("larger than 256 KiB"));
    let deep = format!("base: {}{}\n", "[".repeat(1_000), "]".repeat(1_000));
    assert!(RepositoryConfig::parse(&deep).is_err());
    let many: String = (0..100).map(|n| format!("key{n}: 1\n")).collect();
    assert_eq!(RepositoryConfig::parse(&many).unwrap_err().len(), MAX_ERRORS);
    let long = format!("labels: [{}]\n", "a,".repeat(1_001));
    assert!(RepositoryConfig::parse(&long).unwrap_err()[0].message.contains("more than 1000 entries"));
}

#[test]
fn paths_select_files() {
    let config = RepositoryConfig::parse("paths: {include: [clusters], exclude: ['**/test']}\n").unwrap();
    assert!(config.selects("clusters/a.yaml") && !config.selects("other/a.yaml"));
    assert!(!config.selects("clusters/test/a.yaml"));
    assert!(RepositoryConfig::default().selects("anything.yaml"));
}

fn change(from: &str, to: &str) -> Change {
    let version = |tag: &str| Version { tag: tag.into(), digest: None };
    Change {
        document: 0,
        container: "app".into(),
        image: "ghcr.io/acme/app".into(),
        from: version(from),
        to: version(to),
    }
}

#[test]
fn an_entry_ignores_what_all_its_keys_apply_to() {
    let key = Key { path: "clusters/a.yaml".into(), workload: "dev:helmrelease/app".into() };
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    for (rule, ignores) in [
        ("image: ghcr.io/acme/*", true),
        ("image: ghcr.io/other/*", false),
        ("workload: dev:*", true),
        ("workload: prod:*", false),
        ("container: app", true),
        ("container: web", false),
        ("path: clusters", true),
        ("path: other", false),
        ("tags: ['3.*', '2.*']", true),
        ("tags: ['3.*']", false),
        ("levels: [patch, major]", true),
        ("levels: [minor]", false),
        ("image: ghcr.io/acme/*, levels: [minor]", false),
        ("container: app, until: 2026-06-02", true),
        ("container: app, until: 2026-06-01", false),
    ] {
        let config = RepositoryConfig::parse(&format!("ignore: [{{{rule}, reason: too early}}]\n")).unwrap();
        let why = config.ignores(&key, &change("1.0.0", "2.0.0"), now);
        assert_eq!(why.is_some(), ignores, "{rule}");
        assert!(why.is_none_or(|why| why.contains("`2.0.0`") && why.ends_with(": too early")), "{rule}");
    }
    // Without versions there are no levels.
    let config = RepositoryConfig::parse("ignore: [{levels: [major, minor, patch]}]\n").unwrap();
    assert_eq!(config.ignores(&key, &change("main-1", "main-2"), now), None);
}

#[test]
fn a_command_is_only_ever_raised_c2() {
    let config = RepositoryConfig::parse(
        "commands: {rules: {merge: {level: maintain, people: [ada]}, explain: {level: write}, hold: {level: write}}}\n",
    )
    .unwrap();
    assert_eq!(config.who_may("merge"), Some((Permission::Maintain, Some(&["ada".to_owned()][..]))));
    assert_eq!(config.who_may("explain"), Some((Permission::Write, None)));
    assert_eq!(config.who_may("hold"), Some((Permission::Write, None)));
    assert_eq!(config.who_may("scan"), Some((Permission::Triage, None)));
    assert_eq!(config.who_may("lgtm"), None);
    for (command, least) in commands() {
        assert_eq!(RepositoryConfig::default().who_may(command), Some((least, None)));
    }
}
