//! New entries look like their siblings (S7.7).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use leadsman_scanner::edit::{Entry, Insertion, Value, insert};
use leadsman_scanner::manifest::{Limits, NodeId, parse};

/// Adds `k: v[0]` to the mapping at the path, behind the last entry or the one named.
fn add(text: &str, path: &[&str], after: Option<&str>, value: Value) -> Result<String, String> {
    let manifest = parse(text, &Limits::default());
    let tree = &manifest.tree;
    let mut mapping: NodeId = tree.documents()[0].root.unwrap();
    for key in path {
        mapping = tree.get(mapping, key).unwrap();
    }
    let after = after.map(|after| tree.entries(mapping).find(|(key, _)| tree.is_key(*key, after)).unwrap().0);
    let inserted = insert(&manifest, &[Insertion { mapping, after, entries: vec![Entry { key: "k".into(), value }] }]);
    match inserted.refused.into_iter().next() {
        None => Ok(inserted.text),
        Some((_, reason)) => {
            assert_eq!(inserted.text, text);
            Err(reason)
        }
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

fn pair() -> Value {
    Value::Mapping(vec![("a/b".into(), "c[0]".into()), ("d".into(), "1.10".into())])
}

#[test]
fn a_new_entry_looks_like_its_sibling_s7_7() {
    for (before, path, value, expected) in [
        ("m:\n  a: 1\n", "m", "v", "m:\n  a: 1\n  k: v\n"),
        ("m:\n  a: 1", "m", "v", "m:\n  a: 1\n  k: v"),
        ("m:\r\n  a: 1\r\nn: 2\r\n", "m", "v", "m:\r\n  a: 1\r\n  k: v\r\nn: 2\r\n"),
        ("m:\r\n  a: 1", "m", "v", "m:\r\n  a: 1\r\n  k: v"),
        ("m:\n  a: 1 # c\n\n# d\nn: 2\n", "m", "v", "m:\n  a: 1 # c\n  k: v\n\n# d\nn: 2\n"),
        ("m:\n  \"a\": \"1\"\n", "m", "v", "m:\n  \"a\": \"1\"\n  \"k\": \"v\"\n"),
        ("m:\n  'a': 'it''s'\n", "m", "it's", "m:\n  'a': 'it''s'\n  'k': 'it''s'\n"),
        ("m:\n  a: 'x'\n", "m", "v", "m:\n  a: 'x'\n  k: 'v'\n"),
        ("m:\n  a: x\n", "m", "true", "m:\n  a: x\n  k: \"true\"\n"),
        ("m:\n  a: x\n", "m", "v[0].w", "m:\n  a: x\n  k: \"v[0].w\"\n"),
        ("m:\n    a:\n      b: 1\n", "m", "v", "m:\n    a:\n      b: 1\n    k: v\n"),
        ("m:\n  a: [1,\n    2] # c\nn: 1\n", "m", "v", "m:\n  a: [1,\n    2] # c\n  k: v\nn: 1\n"),
        ("m:\n  a:\nn: 1\n", "m", "v", "m:\n  a:\n  k: v\nn: 1\n"),
        ("m:\n  a: # c\nn: 1\n", "m", "v", "m:\n  a: # c\n  k: v\nn: 1\n"),
        ("m:\n  a: |\n    x\n    y\nn: 1\n", "m", "v", "m:\n  a: |\n    x\n    y\n  k: v\nn: 1\n"),
        ("m:\n  a: >-\n    x\n\n    y\n", "m", "v", "m:\n  a: >-\n    x\n\n    y\n  k: v\n"),
        ("m:\n  a: x\n    y\nn: 1\n", "m", "v", "m:\n  a: x\n    y\n  k: v\nn: 1\n"),
        ("m: {a: 1}\n", "m", "v", "m: {a: 1, k: v}\n"),
        ("m: { a: 1, }\n", "m", "v", "m: { a: 1, k: v, }\n"),
        ("m: {}\n", "m", "v", "m: {k: v}\n"),
        ("m: {  }\n", "m", "v", "m: { k: v }\n"),
        ("{\"m\":{\"a\":\"1\"},\"n\":2}", "m", "v", "{\"m\":{\"a\":\"1\",\"k\":\"v\"},\"n\":2}"),
        ("{\"m\": {\"a\": 1}}", "m", "v", "{\"m\": {\"a\": 1, \"k\": \"v\"}}"),
        ("{\"m\":{\"1\":2}}", "m", "v", "{\"m\":{\"1\":2,\"k\":\"v\"}}"),
        ("{\"m\":{}}", "m", "v", "{\"m\":{\"k\":\"v\"}}"),
        (
            "{\n  \"m\": {\n    \"a\": \"1\"\n  }\n}\n",
            "m",
            "v",
            "{\n  \"m\": {\n    \"a\": \"1\",\n    \"k\": \"v\"\n  }\n}\n",
        ),
        ("m: {\n  a: 1 # c\n}\n", "m", "v", "m: {\n  a: 1, # c\n  k: v\n}\n"),
        ("m: {\n  a: 1, # c\n}\n", "m", "v", "m: {\n  a: 1, # c\n  k: v,\n}\n"),
        ("m: {\n  a: 1 }\n", "m", "v", "m: {\n  a: 1, k: v }\n"),
        ("\u{feff}a: 1\r\n", "", "v", "\u{feff}a: 1\r\nk: v\r\n"),
        ("a: 1\n...\n---\nb: 2\n", "", "v", "a: 1\nk: v\n...\n---\nb: 2\n"),
    ] {
        let path: Vec<_> = path.split_terminator('.').collect();
        assert_eq!(add(before, &path, None, text(value)).as_deref(), Ok(expected), "{before:?}");
    }
}

#[test]
fn a_missing_mapping_comes_behind_the_name_s7_7() {
    for (before, expected) in [
        ("m:\n  name: x\n  z: y\n", "m:\n  name: x\n  k:\n    a/b: \"c[0]\"\n    d: \"1.10\"\n  z: y\n"),
        ("m:\r\n    name: x # c", "m:\r\n    name: x # c\r\n    k:\r\n        a/b: \"c[0]\"\r\n        d: \"1.10\""),
        ("m: {name: x, z: y}\n", "m: {name: x, k: {a/b: \"c[0]\", d: \"1.10\"}, z: y}\n"),
        (
            "{\"m\":{\"name\":\"x\",\"z\":\"y\"}}\n",
            "{\"m\":{\"name\":\"x\",\"k\":{\"a/b\":\"c[0]\",\"d\":\"1.10\"},\"z\":\"y\"}}\n",
        ),
        (
            "{\n\t\"m\": {\n\t\t\"name\": \"x\"\n\t}\n}",
            "{\n\t\"m\": {\n\t\t\"name\": \"x\",\n\t\t\"k\": {\n\t\t\t\"a/b\": \"c[0]\",\n\t\t\t\"d\": \"1.10\"\n\t\t}\n\t}\n}",
        ),
        (
            "{\n  \"m\": {\n    \"name\": \"x\",\n    \"z\": 1\n  }\n}",
            "{\n  \"m\": {\n    \"name\": \"x\",\n    \"k\": {\n      \"a/b\": \"c[0]\",\n      \"d\": \"1.10\"\n    },\n    \
             \"z\": 1\n  }\n}",
        ),
    ] {
        assert_eq!(add(before, &["m"], Some("name"), pair()).as_deref(), Ok(expected), "{before:?}");
    }
}

#[test]
fn an_unclear_place_is_refused_s7_7() {
    for (before, path) in [
        ("m: &x {a: 1}\nn: *x\n", "m"),
        ("m: &x {a: 1}\nn: *x\n", "n"),
        ("b: &b {c: 1}\nm:\n  <<: *b\n  a: 1\n", "m"),
        ("m:\n  k: 1\n", "m"),
        ("m: 1\n", "m"),
        ("m: [1]\n", "m"),
        ("m:\n", "m"),
        ("m: {\n}\n", "m"),
        ("m: { # c\n}\n", "m"),
        ("m:\n  ? {a: 1}\n  : 1\n", "m"),
        ("m:\n  &x a: 1\n", "m"),
        ("m:\n  ? a\n  : 1\n", "m"),
    ] {
        let result = add(before, &[path], None, text("v"));
        assert!(result.is_err(), "{before:?}: {result:?}");
    }
    let broken = "m:\n  a: 1\n---\n}\n";
    assert!(add(broken, &["m"], None, text("v")).is_err());
}

#[test]
fn what_cannot_be_added_leaves_the_others_s7_7() {
    let text = "a: {x: 1}\nb: &b {x: 1}\nc:\n  x: 1\n";
    let manifest = parse(text, &Limits::default());
    let tree = &manifest.tree;
    let root = tree.documents()[0].root.unwrap();
    let insertions: Vec<_> = ["c", "b", "a", "a"]
        .into_iter()
        .map(|key| Insertion {
            mapping: tree.get(root, key).unwrap(),
            after: None,
            entries: vec![Entry { key: "k".into(), value: Value::Text("v".into()) }],
        })
        .collect();
    let inserted = insert(&manifest, &insertions);
    assert_eq!(inserted.text, "a: {x: 1, k: v}\nb: &b {x: 1}\nc:\n  x: 1\n  k: v\n");
    assert_eq!(inserted.applied, [0, 2]);
    assert_eq!(inserted.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 3]);
}
