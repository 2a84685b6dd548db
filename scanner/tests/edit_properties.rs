//! Whatever the manifest, an edit changes exactly the intended scalars, and no other byte (S7.1, S7.3, S7.6).
//!
//! The generator writes the file twice, with the old and with the new tags, so that what an edit must give is known to
//! the byte without looking at how it is done.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leadsman_scanner::detect::{Container, DetectOptions, detect};
use leadsman_scanner::edit::{Update, apply};
use leadsman_scanner::manifest::{Kind, Limits, NodeId, Tree, parse};
use leadsman_scanner::reference::Digest;
use leadsman_scanner::status::Status;
use proptest::prelude::*;

/// Tags, and whether YAML takes them for something else than a string.
const TAGS: [(&str, bool); 18] = [
    ("1.0.0", false),
    ("1.0.1", false),
    ("v2", false),
    ("main-abc1234", false),
    ("2024.06.27", false),
    ("_x", false),
    ("1.2.3-alpine3.18", false),
    ("1.9", true),
    ("1.10", true),
    ("1e3", true),
    ("0755", true),
    ("2024-06-27", true),
    ("yes", true),
    ("off", true),
    ("null", true),
    ("1_000", true),
    ("0x1f", true),
    ("7", true),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Quotes {
    Plain,
    Single,
    Double,
    /// In double quotes, its first character escaped.
    Escaped,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// `image: repo:tag`
    Whole,
    /// `image`, `tag`
    Beside,
    /// `registry`, `image`, `tag`
    Registry,
    /// `image: {repository, tag}`
    Object,
    /// `image: {registry, repository: repo:tag}`
    InRepository,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pin {
    None,
    /// `tag@sha256:…` in the tag's scalar.
    Behind,
    /// A key beside it, with the prefix or without.
    Beside(bool),
}

#[derive(Debug, Clone)]
struct Image {
    shape: Shape,
    quotes: Quotes,
    pin: Pin,
    flow: bool,
    /// An anchor on the scalar that holds the tag, and a label that follows it.
    anchored: bool,
    comment: bool,
    blank: bool,
    old: usize,
    /// `None`: it is not updated.
    new: Option<usize>,
}

#[derive(Debug, Clone)]
struct File {
    releases: Vec<Vec<Image>>,
    crlf: bool,
    mark: bool,
    json: bool,
    last_newline: bool,
    step: usize,
}

fn image() -> impl Strategy<Value = Image> {
    let shape =
        prop::sample::select(vec![Shape::Whole, Shape::Beside, Shape::Registry, Shape::Object, Shape::InRepository]);
    let quotes =
        prop::sample::select(vec![Quotes::Plain, Quotes::Plain, Quotes::Single, Quotes::Double, Quotes::Escaped]);
    let pin =
        prop::sample::select(vec![Pin::None, Pin::None, Pin::None, Pin::Behind, Pin::Beside(true), Pin::Beside(false)]);
    let tags = (0..TAGS.len(), prop::option::weighted(0.7, 0..TAGS.len()));
    let looks = (any::<bool>(), prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    (shape, quotes, pin, tags, looks).prop_map(|(shape, quotes, pin, (old, new), (flow, anchored, comment, blank))| {
        // A plain null is no tag, so there would be nothing to update.
        let old = if TAGS[old].0 == "null" { 0 } else { old };
        Image { shape, quotes, pin, flow, anchored, comment, blank, old, new }
    })
}

fn file() -> impl Strategy<Value = File> {
    let releases = prop::collection::vec(prop::collection::vec(image(), 0..5), 1..4);
    (releases, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), any::<bool>(), 1_usize..5).prop_map(
        |(releases, crlf, mark, json, last_newline, step)| File { releases, crlf, mark, json, last_newline, step },
    )
}

fn digest(new: bool) -> String {
    // All digits, so that it needs quotes where it stands alone and plain.
    format!("sha256:{}", if new { "2" } else { "1" }.repeat(64))
}

impl Image {
    /// What the file holds: the old tag, or the one it is updated to.
    fn tag(&self, new: bool) -> &'static str {
        TAGS[self.new.filter(|_| new).unwrap_or(self.old)].0
    }

    /// Whether the scalar that holds the tag changes.
    fn changes(&self) -> bool {
        self.new.is_some_and(|new| new != self.old || self.pin == Pin::Behind)
    }

    /// A scalar that holds a tag or digest. An edit may keep its first character, and has to put it in quotes if it is
    /// special.
    fn scalar(quotes: Quotes, (before, after): (&str, &str), keeps_first: bool, special: bool, new: bool) -> String {
        let value = if new { after } else { before };
        match quotes {
            // The old one may stand there without the quotes that it should have.
            Quotes::Plain if new && before != after && special => format!("\"{after}\""),
            Quotes::Plain => value.to_owned(),
            Quotes::Single => format!("'{value}'"),
            Quotes::Double => format!("\"{value}\""),
            // An escape within what is replaced goes with it.
            Quotes::Escaped => {
                if !new || before == after || keeps_first {
                    format!("\"\\x{:02x}{}\"", value.as_bytes()[0], &value[1..])
                } else {
                    format!("\"{value}\"")
                }
            }
        }
    }

    /// Keys and values, the values as they are written.
    fn entries(&self, name: &str, new: bool) -> Vec<(&'static str, String)> {
        let (old_tag, new_tag) = (self.tag(false), self.tag(true));
        let pinned = |tag: &str, new: bool| match self.pin {
            Pin::Behind => format!("{tag}@{}", digest(new && self.new.is_some())),
            _ => tag.to_owned(),
        };
        let repository = format!("q.io/{name}");
        let anchor = if self.anchored { format!("&{name} ") } else { String::new() };
        let (before, after) = (pinned(old_tag, false), pinned(new_tag, true));
        let special = self.pin != Pin::Behind && TAGS[self.new.unwrap_or(self.old)].1;
        let alone = anchor.clone() + &Self::scalar(self.quotes, (&before, &after), old_tag == new_tag, special, new);
        let join = |repository: &str| {
            let (before, after) = (format!("{repository}:{before}"), format!("{repository}:{after}"));
            anchor.clone() + &Self::scalar(self.quotes, (&before, &after), true, false, new)
        };
        let mut entries = match self.shape {
            Shape::Whole => vec![("image", join(&repository))],
            Shape::Beside => vec![("image", repository), ("tag", alone)],
            Shape::Registry => vec![("tag", alone), ("registry", "q.io".into()), ("image", name.into())],
            Shape::Object => vec![("repository", repository), ("tag", alone)],
            Shape::InRepository => vec![("registry", "q.io".into()), ("repository", join(&format!("x/{name}")))],
        };
        if let Pin::Beside(prefix) = self.pin {
            let cut = if prefix { 0 } else { "sha256:".len() };
            let (before, after) = (digest(false), digest(self.new.is_some()));
            let (before, after) = (&before[cut..], &after[cut..]);
            // Digits alone would be a number, so without a prefix it is never plain before.
            let quotes = if prefix || self.quotes != Quotes::Plain { self.quotes } else { Quotes::Single };
            entries.push(("digest", Self::scalar(quotes, (before, after), false, !prefix, new)));
        }
        entries
    }
}

impl File {
    fn names(&self) -> impl Iterator<Item = (String, &Image)> {
        self.releases.iter().enumerate().flat_map(|(release, images)| {
            images.iter().enumerate().map(move |(image, it)| (format!("c{release}x{image}"), it))
        })
    }

    fn write(&self, new: bool) -> String {
        let text = if self.json { self.write_json(new) } else { self.write_yaml(new) };
        let text = if self.crlf { text.replace('\n', "\r\n") } else { text };
        if self.mark { format!("\u{feff}{text}") } else { text }
    }

    fn write_yaml(&self, new: bool) -> String {
        let mut out = String::new();
        let pad = |level: usize| " ".repeat(level * self.step);
        for (release, images) in self.releases.iter().enumerate() {
            let _ = writeln!(out, "---\n# 🚢 tag: 1.0.0\nkind: HelmRelease\nmetadata:\n{}name: r{release}", pad(1));
            let _ = writeln!(out, "spec:\n{}values:\n{}note: \"é 😀 1.0.0\" # x", pad(1), pad(2));
            for (index, image) in images.iter().enumerate() {
                let name = format!("c{release}x{index}");
                let entries = image.entries(&name, new);
                let nested = matches!(image.shape, Shape::Object | Shape::InRepository);
                let comment = if image.comment { " # tag: 1.0.0 }" } else { "" };
                let blank = if image.blank { "\n" } else { "" };
                if image.flow {
                    let inner: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                    let inner = inner.join(" , ");
                    let inner = if nested { format!("image: {{{inner}}}") } else { inner };
                    let _ = writeln!(out, "{}{name}: {{ {inner} }}{comment}{blank}", pad(2));
                } else {
                    let _ = writeln!(out, "{}{name}:{comment}{blank}", pad(2));
                    if nested {
                        let _ = writeln!(out, "{}image:\t# between", pad(3));
                    }
                    for (key, value) in entries {
                        let level = if nested { 4 } else { 3 };
                        let _ = writeln!(out, "{}{key}:\t {value}{comment}{blank}", pad(level));
                    }
                }
                if image.anchored {
                    let _ = writeln!(out, "{}{name}-label: [*{name}]", pad(2));
                }
            }
        }
        if !self.last_newline {
            out.truncate(out.trim_end_matches('\n').len());
        }
        out
    }

    fn write_json(&self, new: bool) -> String {
        let mut releases = Vec::new();
        for (release, images) in self.releases.iter().enumerate() {
            let mut values = vec!["\"note\":\"\\ud83d\\udea2 1.0.0\"".to_owned()];
            for (index, image) in images.iter().enumerate() {
                let name = format!("c{release}x{index}");
                // JSON has no anchors and one kind of quotes.
                let quotes = if image.quotes == Quotes::Escaped { Quotes::Escaped } else { Quotes::Double };
                let json = Image { quotes, anchored: false, ..image.clone() };
                let inner: Vec<_> = json
                    .entries(&name, new)
                    .into_iter()
                    .map(|(key, value)| {
                        let value = if value.starts_with('"') { value } else { format!("\"{value}\"") };
                        format!("\"{key}\":{value}")
                    })
                    .collect();
                let inner = inner.join(",");
                let nested = matches!(image.shape, Shape::Object | Shape::InRepository);
                let inner = if nested { format!("\"image\":{{{inner}}}") } else { inner };
                values.push(format!("\"{name}\":{{{inner}}}"));
            }
            releases.push(format!(
                "{{\"kind\":\"HelmRelease\",\"metadata\":{{\"name\":\"r{release}\"}},\"spec\":{{\"values\":{{{}}}}}}}",
                values.join(",")
            ));
        }
        format!("{{\"kind\":\"List\",\"items\":[{}]}}", releases.join(","))
    }
}

/// Every scalar of the tree by its path, aliases expanded.
fn values(tree: &Tree<'_>) -> BTreeMap<String, String> {
    fn walk(tree: &Tree<'_>, node: NodeId, path: &str, all: &mut BTreeMap<String, String>) {
        let node = tree.resolve(node);
        match tree.kind(node) {
            Kind::Mapping => {
                for (key, value) in tree.entries(node) {
                    let key = tree.scalar(key).map_or("?", |scalar| scalar.value);
                    walk(tree, value, &format!("{path}/{key}"), all);
                }
            }
            Kind::Sequence => {
                for (index, item) in tree.items(node).enumerate() {
                    walk(tree, item, &format!("{path}/{index}"), all);
                }
            }
            _ => {
                all.insert(
                    path.to_owned(),
                    tree.scalar(node).map_or_else(String::new, |scalar| scalar.value.to_owned()),
                );
            }
        }
    }
    let mut all = BTreeMap::new();
    for document in tree.documents() {
        if let Some(root) = document.root {
            walk(tree, root, &document.index.to_string(), &mut all);
        }
    }
    all
}

fn find<'c>(containers: &'c [Container], name: &str) -> &'c Container {
    containers.iter().find(|container| &*container.name == name).unwrap_or_else(|| panic!("no container `{name}`"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// S7.1, S7.2, S7.4, S7.6, S2.6: the edited file is the one the generator writes with the new tags.
    #[test]
    fn an_edit_changes_exactly_what_is_meant_s7_1(file in file()) {
        let (before, expected) = (file.write(false), file.write(true));
        let digest = Digest::parse(&digest(true)).unwrap();
        let run = |text: &str| {
            let manifest = parse(text, &Limits::default());
            prop_assert!(!manifest.is_broken(), "{:?}", manifest.diagnostics);
            let detected = detect(&manifest, &DetectOptions::default());
            let updates: Vec<_> = file
                .names()
                .filter(|(_, image)| image.new.is_some())
                .map(|(name, image)| {
                    let container = find(&detected.containers, &name);
                    Update { container, tag: image.tag(true), digest: Some(&digest) }
                })
                .collect();
            Ok((apply(&manifest, &detected.containers, &updates), updates.len()))
        };
        let (edited, updates) = run(&before)?;
        prop_assert_eq!(&edited.text, &expected, "from:\n{}\nrefused: {:?}", before, edited.refused);
        prop_assert_eq!(edited.applied.len(), updates);
        let followers = file.names().filter(|(_, image)| !file.json && image.anchored && image.changes()).count();
        prop_assert_eq!(edited.also_changed.len(), followers);
        // Editing twice is editing once.
        let (again, _) = run(&edited.text)?;
        prop_assert_eq!(again.text, edited.text);
    }

    /// S7.3: whatever the text, nothing panics, and what is applied is there and changes nothing else by value.
    #[test]
    fn any_text_is_edited_right_or_refused_s7_3(
        lines in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..60),
        tag in prop::sample::select(TAGS.to_vec()),
    ) {
        let text = format!("kind: HelmRelease\nmetadata: {{name: a}}\nspec:\n  values:\n{}", lines.concat());
        let manifest = parse(&text, &Limits::default());
        let detected = detect(&manifest, &DetectOptions::default());
        let digest = Digest::parse(&digest(true)).unwrap();
        let updates: Vec<_> = detected
            .containers
            .iter()
            .map(|container| Update { container, tag: tag.0, digest: Some(&digest) })
            .collect();
        let edited = apply(&manifest, &detected.containers, &updates);
        prop_assert_eq!(edited.applied.len() + edited.refused.len(), updates.len());
        // What a scan takes for certain without trying it.
        let named = |node: &NodeId| detected.containers.iter().filter(|it| it.reference.contains(node)).count();
        for refused in &edited.refused {
            let container = &detected.containers[refused.index];
            prop_assert!(
                !container.stands_alone || container.uneditable.is_some() || container.reference.iter().any(|it| named(it) > 1),
                "{}: {} of\n{}", container.name, refused.reason, text
            );
        }
        if edited.text == text {
            return Ok(());
        }
        let after = parse(&edited.text, &Limits::default());
        let found = detect(&after, &DetectOptions::default());
        prop_assert_eq!(found.containers.len(), detected.containers.len());
        for (index, (now, then)) in found.containers.iter().zip(&detected.containers).enumerate() {
            prop_assert_eq!(&now.image, &then.image);
            if edited.applied.contains(&index) {
                prop_assert_eq!(now.tag.as_deref(), Some(tag.0), "{}\n{}", text, edited.text);
                prop_assert!(now.digest.is_none() || now.digest.as_ref() == Some(&digest));
            } else {
                prop_assert_eq!(&now.tag, &then.tag, "{}\n{}", text, edited.text);
            }
        }
        let (old, new) = (values(&manifest.tree), values(&after.tree));
        prop_assert!(old.keys().eq(new.keys()));
        for (path, value) in &new {
            prop_assert!(
                old[path] == *value || value.contains(tag.0) || digest.as_str().contains(value.as_str()),
                "{path}: {} became {value}", old[path]
            );
        }
    }

    /// S7.4, S3.3: who shares a scalar moves together or not at all.
    #[test]
    fn who_shares_a_tag_moves_together_or_not_at_all_s7_4(
        wanted in prop::collection::vec(prop::option::of(0_usize..3), 2..6),
        others in prop::collection::vec(0_usize..3, 0..3),
    ) {
        let mut text = "kind: HelmRelease\nmetadata: {name: a}\nspec:\n  values:\n".to_owned();
        for index in 0..wanted.len() {
            let tag = if index == 0 { "&v 1.0.0" } else { "*v" };
            let _ = writeln!(text, "    s{index}: {{image: q.io/s{index}, tag: {tag}}}");
        }
        for index in 0..others.len() {
            let _ = writeln!(text, "    t{index}: {{image: q.io/t{index}, tag: 1.0.0}}");
        }
        let tags = ["1.0.0", "1.0.1", "1.0.2"];
        let manifest = parse(&text, &Limits::default());
        let detected = detect(&manifest, &DetectOptions::default());
        let sharing = wanted.iter().enumerate().filter_map(|(n, tag)| Some((format!("s{n}"), (*tag)?)));
        let alone = others.iter().enumerate().map(|(n, tag)| (format!("t{n}"), *tag));
        let all: Vec<_> = sharing.chain(alone).collect();
        let updates: Vec<_> = all
            .iter()
            .map(|(name, tag)| Update { container: find(&detected.containers, name), tag: tags[*tag], digest: None })
            .collect();
        let edited = apply(&manifest, &detected.containers, &updates);
        let same = wanted.iter().all(|tag| tag.is_some() && *tag == wanted[0]);
        let nothing = wanted.iter().flatten().all(|tag| *tag == 0);
        let expected = if same && !nothing { tags[wanted[0].unwrap()] } else { "1.0.0" };
        let anchor = format!("&v {expected}}}");
        prop_assert!(edited.text.contains(&anchor), "{}", edited.text);
        let refused = if same || nothing { 0 } else { wanted.iter().flatten().count() };
        prop_assert_eq!(edited.refused.len(), refused);
        prop_assert!(edited.refused.iter().all(|refused| refused.status == Status::SharedAnchor));
        for (index, tag) in others.iter().enumerate() {
            let line = format!("t{index}: {{image: q.io/t{index}, tag: {}}}", tags[*tag]);
            prop_assert!(edited.text.contains(&line), "{}", edited.text);
        }
    }
}

/// S7.6: all updates of a file are one edit, in linear time: what goes over the file or over the sharers once for each
/// update would take minutes here.
#[test]
fn many_updates_are_one_edit_s7_6() {
    const COUNT: usize = 4_000;
    let mut text = "kind: HelmRelease\nmetadata: {name: a}\nspec:\n  values:\n    shared: &s 1.0.0\n".to_owned();
    for index in 0..COUNT {
        let _ = writeln!(text, "    own{index}: {{image: q.io/a, tag: &t{index} 1.0.0}}\n    label{index}: *t{index}");
        let _ = writeln!(text, "    all{index}: {{image: q.io/b, tag: *s}}");
        let _ = writeln!(text, "    odd{index}: &o{index} {{image: q.io/c, tag: 1.0.0}}\n    two{index}: *o{index}");
    }
    let limits = Limits { max_nodes: 10_000_000, ..Limits::default() };
    let manifest = parse(&text, &limits);
    let detected = detect(&manifest, &DetectOptions::default());
    assert_eq!(detected.containers.len(), 4 * COUNT);
    let updates: Vec<_> = detected
        .containers
        .iter()
        .map(|container| {
            let tag = if container.name.starts_with("two") { "1.0.2" } else { "1.0.1" };
            Update { container, tag, digest: None }
        })
        .collect();
    let edited = apply(&manifest, &detected.containers, &updates);
    assert_eq!(edited.applied.len(), 2 * COUNT);
    assert_eq!(edited.refused.len(), 2 * COUNT);
    assert_eq!(edited.also_changed.len(), COUNT);
    assert_eq!(edited.text.matches("1.0.1").count(), COUNT + 1);
}

/// What the random texts are made of.
const PIECES: [&str; 44] = [
    "    image: ",
    "    tag: ",
    "      tag: ",
    "    a:\n",
    "      image: ",
    "      repository: ",
    "    b: ",
    "&x ",
    "*x",
    "*x\n",
    "q.io/a:1.0.0",
    "q.io/a",
    "q.io/b\n",
    "1.0.0\n",
    "1.9\n",
    "\"1.0.0\"\n",
    "'q.io/c:1.0.0'\n",
    "{",
    "}",
    "{}\n",
    "[",
    "]",
    ", ",
    ": ",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "    ",
    "- ",
    "# c\n",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "<<: *x\n",
    "? ",
    "!!str ",
    "---\n",
    "...\n",
    "    c: {image: q.io/c, tag: 1.0.0}\n",
    "    d: {image: q.io/d:1.0.0}\n",
    "    e: &x {image: q.io/e, tag: 1.0.0}\n    f: *x\n",
    "digest: sha256:",
];
