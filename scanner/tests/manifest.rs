//! Text to tree: places, values, aliases, limits and faults.

use std::fs;

use leadsman_scanner::diagnostic::Code;
use leadsman_scanner::manifest::{CoreType, Kind, Layout, Limits, Manifest, NodeId, Style, Tree, parse};

fn read(text: &str) -> Manifest<'_> {
    parse(text, &Limits::default())
}

fn at(tree: &Tree<'_>, path: &str) -> NodeId {
    let root = tree.documents().iter().find_map(|document| document.root).expect("a document that could be read");
    path.split('.').filter(|key| !key.is_empty()).fold(root, |node, key| match key.parse::<usize>() {
        Ok(index) => tree.items(node).nth(index).expect("an item"),
        Err(_) => tree.get(node, key).unwrap_or_else(|| panic!("no key `{key}`")),
    })
}

fn raw<'t>(tree: &Tree<'t>, path: &str) -> &'t str {
    &tree.text()[tree.span(at(tree, path))]
}

fn value(tree: &Tree<'_>, path: &str) -> String {
    tree.scalar(at(tree, path)).expect("a scalar").value.to_owned()
}

fn codes(manifest: &Manifest<'_>) -> Vec<(Code, u32, u32)> {
    manifest.diagnostics.iter().map(|d| (d.code, d.line.unwrap_or(0), d.column.unwrap_or(0))).collect()
}

#[test]
fn every_style_has_its_bytes_and_its_value_s1_4() {
    let text = "plain: a b \nsingle: 'it''s'\ndouble: \"a\\tb\"\nquoted: \"as is\"\nliteral: |\n  one\n  two\nfolded: >-\n  one\n  two\n\
                multi: one\n  two\nempty:\nflow: {a: [x, \"y\"], b: }\nnull: ~\n";
    let manifest = read(text);
    let tree = &manifest.tree;
    assert_eq!(codes(&manifest), []);
    for (path, bytes, expected, style) in [
        ("plain", "a b", "a b", Style::Plain),
        ("single", "'it''s'", "it's", Style::SingleQuoted),
        ("double", "\"a\\tb\"", "a\tb", Style::DoubleQuoted),
        ("quoted", "\"as is\"", "as is", Style::DoubleQuoted),
        ("folded", "one\n  two\n", "one two", Style::Folded),
        ("multi", "one\n  two", "one two", Style::Plain),
        ("empty", "", "", Style::Plain),
        ("flow.a.1", "\"y\"", "y", Style::DoubleQuoted),
        ("flow.b", "", "", Style::Plain),
        ("null", "~", "~", Style::Plain),
    ] {
        assert_eq!(raw(tree, path).trim_start(), bytes, "{path}");
        assert_eq!(value(tree, path), expected, "{path}");
        assert_eq!(tree.scalar(at(tree, path)).unwrap().style, style, "{path}");
    }
    assert_eq!(value(tree, "literal"), "one\ntwo\n");
    assert_eq!(raw(tree, "flow"), "{a: [x, \"y\"], b: }");
    assert_eq!(tree.layout(at(tree, "flow")), Some(Layout::Flow));
    assert_eq!(tree.layout(at(tree, "")), Some(Layout::Block));
    assert!(tree.scalar(at(tree, "null")).unwrap().is_null());
    assert!(tree.scalar(at(tree, "empty")).unwrap().is_null());
}

#[test]
fn a_block_ends_with_what_it_holds() {
    let text = "a:\n  b: 1\n  c: [x,\n    y ]\n\n# comment\nd:\n- e\n- f: g\n\n";
    let manifest = read(text);
    assert_eq!(raw(&manifest.tree, "a"), "b: 1\n  c: [x,\n    y ]");
    assert_eq!(raw(&manifest.tree, "d"), "e\n- f: g");
    assert_eq!(raw(&manifest.tree, ""), "a:\n  b: 1\n  c: [x,\n    y ]\n\n# comment\nd:\n- e\n- f: g");
}

#[test]
fn an_empty_value_stands_behind_its_colon() {
    for (text, place) in [
        ("a:\nb: 1\n", 2),
        ("a: # c\nb: 1\n", 2),
        ("{a: , b: 1}", 3),
        ("a:   \n\n\nb: 1", 2),
        ("a: &x\nb: 1\n", 5),
        ("a: !!str\nb: 1\n", 8),
        ("{a, b: 1}", 2),
        ("a:", 2),
        ("\"a\" :\n", 5),
        ("{\"a\":}", 5),
    ] {
        let manifest = read(text);
        assert_eq!(manifest.tree.span(at(&manifest.tree, "a")), place..place, "{text:?}");
        assert_eq!(manifest.tree.position(at(&manifest.tree, "a")), (1, place as u32 + 1), "{text:?}");
    }
}

#[test]
fn tags_name_types_s1_4() {
    let manifest = read("a: !!str 1.10\nb: ! 12\nc: !!int '3'\nd: !mine x\ne: !!null ''\n");
    let tree = &manifest.tree;
    let core = |path| tree.scalar(at(tree, path)).unwrap().core_type();
    assert_eq!(core("a"), CoreType::Str);
    assert_eq!(core("b"), CoreType::Str);
    assert_eq!(core("c"), CoreType::Int);
    assert_eq!(core("d"), CoreType::Other);
    assert_eq!(core("e"), CoreType::Null);
    assert!(tree.scalar(at(tree, "a")).unwrap().is_string_everywhere());
    assert_eq!(raw(tree, "a"), "1.10");
}

#[test]
fn places_count_code_points_and_skip_the_byte_order_mark() {
    let text = "\u{feff}a: \u{1f600} # x\r\nb: {\u{e9}: 1, c: 2}\r\n---\r\nd: 4\r\n";
    let manifest = read(text);
    let tree = &manifest.tree;
    assert_eq!(raw(tree, "a"), "\u{1f600}");
    assert_eq!(tree.position(at(tree, "")), (1, 1));
    assert_eq!(tree.position(at(tree, "b.c")), (2, 14));
    assert_eq!(tree.position_at(tree.span(at(tree, "b.c")).start), (2, 14));
    assert_eq!(tree.documents().len(), 2);
    assert_eq!(&text[tree.documents()[1].bytes.clone()], "---\r\nd: 4\r\n");
    assert_eq!(tree.documents()[0].bytes.start, 0);
}

#[test]
fn aliases_and_merge_keys_are_followed_s1_4() {
    let text = "base: &base {image: a, tag: &v v1}\nother: &other {tag: v2, port: 1}\n\
                one: {<<: *base, tag: own}\ntwo: {<<: [*base, *other]}\nthree: *base\nfour: *v\nfive: {<<: *base, x: {<<: *other}}\n";
    let manifest = read(text);
    let tree = &manifest.tree;
    assert_eq!(codes(&manifest), []);
    assert_eq!(value(tree, "one.tag"), "own");
    assert_eq!(value(tree, "one.image"), "a");
    assert_eq!(value(tree, "two.tag"), "v1");
    assert_eq!(value(tree, "two.port"), "1");
    assert_eq!(value(tree, "three.tag"), "v1");
    assert_eq!(value(tree, "four"), "v1");
    assert_eq!(value(tree, "five.x.tag"), "v2");
    let root = at(tree, "");
    let entry = |name: &str| tree.entries(root).find(|(key, _)| tree.is_key(*key, name)).unwrap().1;
    assert_eq!(tree.kind(entry("three")), Kind::Alias);
    assert_eq!(tree.resolve(at(tree, "four")), at(tree, "base.tag"));
    assert_eq!(tree.anchor(at(tree, "base")), Some("base"));
    assert_eq!(tree.anchor(at(tree, "base.tag")), Some("v"));
    assert_eq!(tree.aliases_of(at(tree, "base")).count(), 4);
    assert_eq!(tree.aliases_of(at(tree, "base.tag")).collect::<Vec<_>>(), [entry("four")]);
    let names = |path| {
        let mut keys = Vec::new();
        for (key, _) in tree.all_entries(at(tree, path)) {
            keys.push(tree.scalar(key).unwrap().value.to_owned());
        }
        keys
    };
    assert_eq!(names("one"), ["tag", "image"]);
    assert_eq!(names("two"), ["image", "tag", "port"]);
    // A quoted `<<` is a key like any other.
    let manifest = read("a: &a {x: 1}\nb: {'<<': *a}\n");
    assert_eq!(manifest.tree.get(at(&manifest.tree, "b"), "x"), None);
}

#[test]
fn a_broken_document_leaves_its_siblings_s1_3() {
    let text = "a: 1\n---\nb: [1, 2\n---\nc: 3\n---\nd: 1\nd: 2\n---\ne: 5\n";
    let manifest = read(text);
    let documents = manifest.tree.documents();
    assert_eq!(documents.len(), 5);
    assert_eq!(documents.iter().map(|d| d.broken).collect::<Vec<_>>(), [false, true, false, true, false]);
    assert_eq!(documents.iter().map(|d| d.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let found = codes(&manifest);
    assert_eq!(found[0].0, Code::InvalidYaml);
    assert_eq!(found[1], (Code::DuplicateKey, 8, 1));
    assert!(manifest.is_broken());
    let last = documents[4].root.unwrap();
    assert!(manifest.tree.get(last, "e").is_some());
    assert_eq!(&text[documents[2].bytes.clone()], "---\nc: 3\n");
    assert_eq!(manifest.tree.document_of(last).unwrap().index, 4);
}

#[test]
fn repeated_keys_are_found_in_small_and_large_mappings_s1_3() {
    let mut large: String = (0..20_000).map(|n| format!("key{n}: 1\n")).collect();
    assert_eq!(codes(&read(&large)), []);
    large.push_str("key77: 2\n");
    assert_eq!(codes(&read(&large)), [(Code::DuplicateKey, 20_001, 1)]);
    assert_eq!(codes(&read("a: {b: 1, \"b\": 2}\n")), [(Code::DuplicateKey, 1, 11)]);
    assert_eq!(codes(&read("a: &x b\nc: {b: 1, *x : 2}\n")), [(Code::DuplicateKey, 2, 11)]);
    assert_eq!(codes(&read("a: {b: 1}\nc: {b: 1}\n")), []);
}

#[test]
fn limits_are_clear_errors_s1_4() {
    let deep = "[".repeat(100_000);
    assert_eq!(codes(&read(&deep))[0].0, Code::LimitExceeded);
    let blocks: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert_eq!(codes(&read(&blocks))[0].0, Code::LimitExceeded);
    let fits = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert_eq!(codes(&read(&fits)), []);
    let over = format!("{}{}", "[".repeat(129), "]".repeat(129));
    assert_eq!(codes(&read(&over)), [(Code::LimitExceeded, 1, 129)]);

    let mut laughs = String::from("a0: &a0 [x, x]\n");
    for n in 1..40 {
        laughs.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1));
    }
    let manifest = read(&laughs);
    assert_eq!(codes(&manifest)[0].0, Code::LimitExceeded);
    assert!(manifest.is_broken());

    let mut ladder = String::from("a0: &a0 [x]\n");
    for n in 1..200 {
        ladder.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    assert_eq!(codes(&read(&ladder))[0].0, Code::LimitExceeded);

    let many = "- a\n".repeat(1_000_001);
    assert_eq!(codes(&read(&many))[0].0, Code::LimitExceeded);
    let large = parse("abc", &Limits { max_bytes: 2, ..Limits::default() });
    assert_eq!(large.diagnostics[0].code, Code::LimitExceeded);
}

#[test]
fn bad_texts_are_clear_errors_s1_3() {
    for (text, code) in [
        ("a: &a [*a]\n", Code::InvalidYaml),
        ("a: *nowhere\n", Code::InvalidYaml),
        ("a: 1\0\nb: 2\n", Code::InvalidYaml),
        ("a: 'open\n", Code::InvalidYaml),
        ("a: b: c\n", Code::InvalidYaml),
        ("a:\n\tb: 1\n  c: 2\n", Code::InvalidYaml),
        ("%YAML 3.0\n---\na: 1\n", Code::InvalidYaml),
    ] {
        let manifest = read(text);
        assert_eq!(manifest.diagnostics.len(), 1, "{text:?}");
        assert_eq!(manifest.diagnostics[0].code, code, "{text:?}");
        assert!(manifest.diagnostics[0].line.is_some(), "{text:?}");
        assert!(manifest.is_broken(), "{text:?}");
    }
}

#[test]
fn a_template_is_what_has_braces_outside_quotes_s1_3() {
    for text in [
        "a: {{ .Values.x }}\n",
        "a: foo:{{ .Values.tag }}\n",
        "{{- if .Values.x }}\na: 1\n{{- end }}\n",
        "a: \"quoted\"\nb: {{ include \"x\" . | nindent 4 }}\n",
        "a: 1\n  {{ x }}\n",
        "a: # comment\n  b: {{ x }}\n",
    ] {
        let manifest = read(text);
        assert!(manifest.tree.documents()[0].template, "{text:?}");
        assert_eq!(codes(&manifest).iter().map(|d| d.0).collect::<Vec<_>>(), [Code::Template], "{text:?}");
    }
    for text in [
        "a: \"{{ x }}\"\n",
        "a: '{{ x }}'\n",
        "a: |\n  {{ x }}\n",
        "a: 1 # {{ x }}\n",
        "# {{ x }}\na: 1\n",
        "a: {b: {c: 1}}\n",
        "a: >-\n  text {{ x }}\n  more\nb: 1\n",
    ] {
        let manifest = read(text);
        assert_eq!(codes(&manifest), [], "{text:?}");
        assert!(!manifest.tree.documents()[0].template, "{text:?}");
    }
    // Broken for another reason: the braces are in quotes, so the fault is told.
    for text in ["a: \"{{ x }}\"\nb: [1\n", "a: |\n  {{ x }}\nb: [1\n", "# {{ x }}\nb: [1\n"] {
        assert_eq!(codes(&read(text))[0].0, Code::InvalidYaml, "{text:?}");
    }
    let manifest = read("a: [1\n---\nb: {{ x }}\n---\nc: 1\n");
    assert_eq!(manifest.tree.documents().iter().map(|d| d.template).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn documents_count_as_readers_count_them() {
    for (text, count) in [
        ("", 0),
        ("# only a comment\n", 0),
        ("---\n", 1),
        ("---\na: 1\n---\nb: 1\n...\n", 2),
        ("---\n---\na: 1\n", 2),
        ("a: 1\n...\n---\nb: 1\n", 2),
    ] {
        assert_eq!(read(text).tree.documents().len(), count, "{text:?}");
    }
}

/// What fuzzing found: a lone carriage return ends a line for the parser, and documents stay in order (S1.3).
#[test]
fn documents_follow_each_other_whatever_ends_their_lines_s1_3() {
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cases/fuzz")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let manifest = parse(&text, &Limits::default());
        let documents = manifest.tree.documents();
        assert!(documents.windows(2).all(|pair| pair[0].bytes.end == pair[1].bytes.start), "{text:?}: {documents:?}");
        assert_eq!(documents.last().map(|document| document.bytes.end), Some(text.len()), "{text:?}");
    }
}
