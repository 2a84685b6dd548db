//! Image-like values that the rules do not see, and the alias annotations that would map them (S3.1).
//!
//! Pure. Owns the guesses: which values of a Helm release look like an image although they stand deeper than the rules
//! look, in a list, or under other keys. A guess is offered, never used by itself: only annotations that a person, or
//! `--write` on a person's behalf, adds to the release make containers of them. What a container already uses is not
//! offered again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::detect::{CHART_IMAGE, Container, DetectOptions, WorkloadId, releases};
use crate::edit::path::{push_index, push_key};
use crate::edit::{Entry, Insertion, Value, insert};
use crate::manifest::{Kind, Manifest, NodeId, Scalar, Tree};
use crate::reference::{KnownHosts, Reference};
use crate::status::Status;

/// The longest name of an annotation, behind the slash, that Kubernetes takes.
const MAX_ALIAS: usize = 63;

/// Values that look like an image, with the annotations that would make a container of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The document, from 0.
    pub document: u32,
    /// The release.
    pub workload: WorkloadId,
    /// Line of the repository's scalar, from 1.
    pub line: u32,
    /// Its column, from 1 in code points.
    pub column: u32,
    /// The name that the container would get.
    pub alias: String,
    /// The reference that the values make together.
    pub image: String,
    /// The annotations: `repository.fluxcd.io/<alias>`, and those of registry and tag where they have values of their
    /// own.
    pub annotations: Vec<(String, String)>,
    /// The release's node, for [`add`].
    object: NodeId,
}

/// Looks through the values of every release of a manifest. `containers` are what [`crate::detect::detect`] found.
///
/// Suggestions come in the order of the text. The names are new among the containers of their release.
#[must_use]
pub fn suggest(manifest: &Manifest<'_>, containers: &[Container], options: &DetectOptions) -> Vec<Suggestion> {
    let tree = &manifest.tree;
    let taken: HashSet<NodeId> = containers
        .iter()
        .filter(|container| container.settled.as_ref().is_none_or(|(status, _)| *status != Status::Untagged))
        .flat_map(|container| container.reference.iter().map(|node| tree.resolve(*node)))
        .collect();
    let mut names: BTreeMap<&WorkloadId, BTreeSet<&str>> = BTreeMap::new();
    for container in containers {
        // An image without a tag of its own gets one by an alias of the same name.
        if !matches!(&container.settled, Some((Status::Untagged, _))) {
            names.entry(&container.workload.id).or_default().insert(&container.name);
        }
    }
    let mut suggestions = Vec::new();
    for release in releases(manifest, options) {
        let mut search = Search { tree, hosts: &options.hosts, taken: taken.clone(), found: Vec::new() };
        let values = release.body.filter(|values| tree.kind(*values) == Kind::Mapping);
        if let Some(values) = values {
            search.mapping(values, &At::default());
        }
        let mut used: BTreeSet<String> =
            names.get(&release.info.id).into_iter().flatten().map(|name| (*name).to_owned()).collect();
        for found in search.found {
            let alias = new_name(&found.name, &mut used);
            let (line, column) = tree.position(found.node);
            let paths = [("repository", Some(found.repository)), ("registry", found.registry), ("tag", found.tag)];
            suggestions.push(Suggestion {
                document: release.info.document,
                workload: release.info.id.clone(),
                line,
                column,
                image: found.image,
                annotations: paths
                    .into_iter()
                    .filter_map(|(part, path)| Some((format!("{part}.fluxcd.io/{alias}"), path?)))
                    .collect(),
                alias,
                object: release.object,
            });
        }
    }
    suggestions
}

/// A text with the annotations of suggestions in it. Suggestions are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The text; the one that was given where nothing is added.
    pub text: String,
    /// The suggestions that are in it, in order.
    pub applied: Vec<usize>,
    /// Those that are not, in order, each with its reason.
    pub refused: Vec<(usize, String)>,
}

/// Writes the annotations into the releases (S7.7): behind the last annotation, or as a new mapping behind the name.
/// `suggestions` are some of those that [`suggest`] made from this manifest. Of one release, all or none are written.
#[must_use]
pub fn add(manifest: &Manifest<'_>, suggestions: &[Suggestion]) -> Added {
    let tree = &manifest.tree;
    let mut by_object: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
    for (index, suggestion) in suggestions.iter().enumerate() {
        by_object.entry(suggestion.object).or_default().push(index);
    }
    let mut refused: BTreeMap<usize, String> = BTreeMap::new();
    let mut insertions = Vec::new();
    let mut owners: Vec<&[usize]> = Vec::new();
    for (object, indices) in &by_object {
        let entries = indices.iter().flat_map(|index| suggestions[*index].annotations.iter().cloned()).collect();
        let template = tree.document_of(*object).is_some_and(|document| document.template);
        let planned = match template {
            true => Err("the document is a template".to_owned()),
            false => insertion(tree, *object, entries),
        };
        match planned {
            Ok(insertion) => {
                insertions.push(insertion);
                owners.push(indices);
            }
            Err(reason) => refused.extend(indices.iter().map(|index| (*index, reason.clone()))),
        }
    }
    let inserted = insert(manifest, &insertions);
    for (insertion, reason) in inserted.refused {
        refused.extend(owners[insertion].iter().map(|index| (*index, reason.clone())));
    }
    Added {
        text: inserted.text,
        applied: (0..suggestions.len()).filter(|index| !refused.contains_key(index)).collect(),
        refused: refused.into_iter().collect(),
    }
}

/// Where the annotations of a release go.
fn insertion(tree: &Tree<'_>, object: NodeId, entries: Vec<(String, String)>) -> Result<Insertion, String> {
    let sops = tree.get(object, "sops").is_some();
    let metadata = tree.get(object, "metadata").filter(|metadata| tree.kind(*metadata) == Kind::Mapping && !sops);
    let Some(metadata) = metadata else {
        return Err("its `metadata` is shared or encrypted".into());
    };
    match tree.get(metadata, "annotations") {
        Some(annotations) if tree.kind(annotations) == Kind::Mapping => {
            let entries = entries.into_iter().map(|(key, value)| Entry { key, value: Value::Text(value) }).collect();
            Ok(Insertion { mapping: annotations, after: None, entries })
        }
        Some(_) => Err("its `annotations` are empty or shared by an anchor: write `annotations: {}`".into()),
        None => {
            let name = tree.entries(metadata).map(|(key, _)| key).find(|key| tree.is_key(*key, "name"));
            let entries = vec![Entry { key: "annotations".into(), value: Value::Mapping(entries) }];
            Ok(Insertion { mapping: metadata, after: name, entries })
        }
    }
}

/// Values that make an image, before it has a name of its own.
struct Found {
    /// The repository's scalar.
    node: NodeId,
    /// What it should be called.
    name: String,
    image: String,
    repository: String,
    registry: Option<String>,
    tag: Option<String>,
    tag_node: Option<NodeId>,
}

/// Where a mapping or list stands below the values.
#[derive(Debug, Clone, Default)]
struct At {
    path: String,
    /// The key it stands under, of the nearest mapping.
    key: String,
    /// What an image in it would be called after.
    name: String,
}

impl At {
    fn below(&self, key: &str) -> Self {
        let mut path = self.path.clone();
        push_key(&mut path, key);
        let name = if is_generic(key) { self.name.clone() } else { key.to_owned() };
        Self { path, key: key.to_owned(), name }
    }

    fn item(&self, index: usize, name: Option<&str>) -> Self {
        let mut path = self.path.clone();
        push_index(&mut path, index);
        let name = name.map_or_else(|| format!("{}-{index}", self.key), str::to_owned);
        Self { path, key: self.key.clone(), name }
    }

    fn path_of(&self, key: &str) -> String {
        let mut path = self.path.clone();
        push_key(&mut path, key);
        path
    }

    /// Whether what stands here is about an image, by its key.
    fn is_image(&self) -> bool {
        flat(&self.key).contains("image")
    }

    /// Whether what stands here is versioned without being an image.
    fn is_else(&self) -> bool {
        let key = flat(&self.key);
        ["chart", "git", "source", "dependenc", "helm"].iter().any(|word| key.contains(word))
    }
}

/// How keys that hold a repository end, the longer first, and whether the key alone says that it is an image's.
const REPOSITORIES: [(&str, bool); 6] = [
    ("imagerepository", true),
    ("imagename", true),
    ("image", true),
    ("repository", false),
    ("repo", false),
    ("name", false),
];

/// How the keys beside it end that hold its tag.
const TAGS: [&str; 4] = ["imagetag", "tag", "imageversion", "version"];

/// How the keys beside it end that hold its registry.
const REGISTRIES: [&str; 2] = ["imageregistry", "registry"];

/// A key without case and separators.
fn flat(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a key says nothing about which image it is.
fn is_generic(key: &str) -> bool {
    let key = flat(key);
    REPOSITORIES.iter().any(|(word, _)| *word == key) || matches!(key.as_str(), "images" | "container" | "spec")
}

/// The scalars of a mapping by their flat keys: key as written, node, scalar.
type Keys<'a> = BTreeMap<String, (&'a str, NodeId, Scalar<'a>)>;

struct Search<'a, 't> {
    tree: &'a Tree<'t>,
    hosts: &'a KnownHosts,
    /// Scalars that containers use, or that are suggested already.
    taken: HashSet<NodeId>,
    found: Vec<Found>,
}

impl<'a> Search<'a, '_> {
    // Depth is bounded by the tree's.
    fn node(&mut self, node: NodeId, at: &At) {
        match self.tree.kind(node) {
            Kind::Mapping => self.mapping(node, at),
            Kind::Sequence => self.sequence(node, at),
            // What an alias repeats is looked at where it stands.
            Kind::Alias | Kind::Scalar => {}
        }
    }

    fn mapping(&mut self, mapping: NodeId, at: &At) {
        let tree = self.tree;
        let entries: Vec<(&'a str, NodeId)> =
            tree.entries(mapping).filter_map(|(key, value)| Some((tree.scalar(key)?.value, value))).collect();
        let mut keys: Option<Keys<'a>> = None;
        for (key, value) in &entries {
            if tree.kind(*value) == Kind::Scalar {
                let keys = keys.get_or_insert_with(|| {
                    let scalars = entries
                        .iter()
                        .filter_map(|(key, value)| Some((flat(key), (*key, *value, tree.scalar(*value)?))));
                    scalars.collect()
                });
                if let Some(found) = self.scalar(key, *value, keys, at) {
                    self.taken.extend(found.tag_node.map(|tag| tree.resolve(tag)));
                    self.found.push(found);
                }
            } else {
                self.node(*value, &at.below(key));
            }
        }
    }

    fn sequence(&mut self, sequence: NodeId, at: &At) {
        let tree = self.tree;
        for (index, item) in tree.items(sequence).enumerate() {
            let named = tree.get(item, "name").and_then(|name| tree.scalar(name));
            // A name that is a path is the image itself.
            let name = named.map(|name| name.value).filter(|name| !name.contains('/'));
            let at = at.item(index, name);
            match tree.kind(item) {
                Kind::Scalar if at.is_image() => {
                    if let Some(image) = self.reference(item, None, None) {
                        let name = self.short_name(item).unwrap_or(at.name);
                        let repository = at.path;
                        self.found.push(Found {
                            node: item,
                            name,
                            image,
                            repository,
                            registry: None,
                            tag: None,
                            tag_node: None,
                        });
                    }
                }
                _ => self.node(item, &at),
            }
        }
    }

    /// The image whose repository a scalar is, if it looks like one.
    fn scalar(&self, key: &str, node: NodeId, keys: &Keys<'a>, at: &At) -> Option<Found> {
        let value = self.tree.scalar(node)?.value;
        let flat_key = flat(key);
        let (prefix, says_image) =
            REPOSITORIES.iter().find_map(|(word, says)| Some((flat_key.strip_suffix(word)?, *says)))?;
        let sure = says_image || at.is_image();
        // A lone name with a version is more often a chart, a database or a person than an image.
        if !sure && (at.is_else() || !value.contains('/')) {
            return None;
        }
        let beside = |words: &[&str]| {
            let own = words.iter().find_map(|word| keys.get(&format!("{prefix}{word}")));
            own.copied().filter(|(other, _, scalar)| *other != key && !scalar.is_null() && !scalar.value.is_empty())
        };
        // An alias of a tag that a container has would take that container's place (S2.7).
        let tag = beside(&TAGS).filter(|(_, node, _)| !self.taken.contains(&self.tree.resolve(*node)));
        // A registry may serve all images of a mapping.
        let registry = beside(&REGISTRIES).or_else(|| keys.get("registry").copied());
        let registry = registry.filter(|(_, _, scalar)| scalar.is_string() && !scalar.value.is_empty());
        // One that the repository names itself is not to be named twice.
        let registry = registry.filter(|_| {
            value.split_once('/').is_none_or(|(first, _)| !first.contains(['.', ':']) && first != "localhost")
        });
        let registry_value = registry.map(|(_, _, scalar)| scalar);
        let with_tag = tag.and_then(|tag| Some((Some(tag), self.reference(node, registry_value, Some(tag.2))?)));
        // Without a tag beside it, it must hold one itself, under a key that speaks of images.
        let alone = || sure.then(|| Some((None, self.reference(node, registry_value, None)?))).flatten();
        let (tag, image) = with_tag.or_else(alone)?;
        let prefix_length = key.char_indices().nth(prefix_chars(key, prefix)).map_or(key.len(), |(at, _)| at);
        let own = key[..prefix_length].trim_matches(['-', '_']);
        let name = match (own, at.name.as_str()) {
            ("", "") => CHART_IMAGE.to_owned(),
            ("", name) => name.to_owned(),
            (own, _) => own.to_owned(),
        };
        Some(Found {
            node,
            name,
            image,
            repository: at.path_of(key),
            registry: registry.map(|(key, ..)| at.path_of(key)),
            tag: tag.map(|(key, ..)| at.path_of(key)),
            tag_node: tag.map(|(_, node, _)| node),
        })
    }

    /// The joined reference, if it is one with a tag that no container uses.
    fn reference(&self, node: NodeId, registry: Option<Scalar<'_>>, tag: Option<Scalar<'_>>) -> Option<String> {
        let repository = self.tree.scalar(node).filter(Scalar::is_string)?.value;
        if self.taken.contains(&node) {
            return None;
        }
        let mut text = String::new();
        if let Some(registry) = registry {
            text.push_str(registry.value);
            text.push('/');
        }
        text.push_str(repository);
        if let Some(tag) = tag {
            text.push(':');
            text.push_str(tag.value);
        }
        Reference::parse(&text, self.hosts).ok().filter(|reference| reference.tag.is_some()).map(|_| text)
    }

    /// The last element of an image's repository.
    fn short_name(&self, node: NodeId) -> Option<String> {
        let reference = Reference::parse(self.tree.scalar(node)?.value, self.hosts).ok()?;
        reference.name.repository().rsplit('/').next().map(str::to_owned)
    }
}

/// How many characters of the key make up the prefix of its flat form.
fn prefix_chars(key: &str, prefix: &str) -> usize {
    let mut left = prefix.chars().count();
    key.chars()
        .take_while(|c| {
            let counts = !matches!(c, '-' | '_');
            let taken = !counts || left > 0;
            left -= usize::from(counts && left > 0);
            taken
        })
        .count()
}

/// A name that an annotation can have and that is not used yet.
fn new_name(wanted: &str, used: &mut BTreeSet<String>) -> String {
    let mut name: String = wanted
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    // Room for a number behind it.
    name.truncate(MAX_ALIAS - 8);
    let trimmed = name.trim_matches(['-', '_', '.']);
    let name = if trimmed.is_empty() { "image" } else { trimmed };
    let mut unique = name.to_owned();
    let mut number = 1_u32;
    while !used.insert(unique.clone()) {
        number += 1;
        unique = format!("{name}-{number}");
    }
    unique
}
