//! Which images a workload has: those its values or its pod show (S2), and those its aliases name (S3).

use std::collections::BTreeMap;

use super::annotations::{About, Annotation, Annotations};
use super::image::{self, Part, Parts};
use super::lookup::Lookup;
use super::path::Path;
use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::{Kind, NodeId, Tree};

/// The container name of an image directly in `spec.values` (S2.1).
pub const CHART_IMAGE: &str = "chart-image";

/// Where the scalars of a found image stand, for S2.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `image`, and `tag` beside it.
    String,
    /// `image.repository` and `image.tag`.
    Object,
}

/// What was found under one container name.
#[derive(Debug, Clone)]
pub(super) enum Found<'a> {
    /// In the values, at the key (`None`: the values themselves).
    Values { key: Option<&'a str>, form: FormTag, parts: Parts<'a> },
    /// By an alias.
    Alias { parts: Parts<'a> },
    /// An alias that does not resolve, with the reason and the place of the annotation.
    Unresolved { reason: String, node: NodeId },
    /// In a pod.
    Pod { parts: Parts<'a> },
}

/// Opaque to other modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FormTag(Form);

/// Containers by name.
pub(super) type Images<'a> = BTreeMap<&'a str, Found<'a>>;

/// The containers with `chart-image` first and all others by the bytes of their names (S2.2).
pub(super) fn in_order<'a>(mut images: Images<'a>) -> impl Iterator<Item = (&'a str, Found<'a>)> {
    images.remove_entry(CHART_IMAGE).into_iter().chain(images)
}

/// The images of `spec.values`: in itself and in its direct children (S2.1).
pub(super) fn in_values<'a>(
    lookup: &mut Lookup<'a, '_>,
    values: NodeId,
    images: &mut Images<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let tree = lookup.tree;
    if let Some((form, parts)) = in_map(lookup, values, diagnostics) {
        images.insert(CHART_IMAGE, Found::Values { key: None, form, parts });
    }
    for (key, value) in tree.all_entries(values) {
        let Some(key) = tree.scalar(key) else { continue };
        if let Some((form, parts)) = in_map(lookup, value, diagnostics) {
            // A later equal name replaces an earlier one (S2.7).
            images.insert(key.value, Found::Values { key: Some(key.value), form, parts });
        }
    }
}

/// The image of one mapping, in one of the five shapes (S2.1).
fn in_map<'a>(
    lookup: &mut Lookup<'a, '_>,
    map: NodeId,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(FormTag, Parts<'a>)> {
    let tree = lookup.tree;
    if tree.kind(tree.resolve(map)) != Kind::Mapping {
        return None;
    }
    let node = tree.get(map, "image")?;
    let written = |map, key| tree.get(map, key).and_then(|node| image::written(tree, node));
    let string = |map, key| tree.get(map, key).and_then(|node| image::string(tree, node));
    let (form, map, repository) = match tree.kind(tree.resolve(node)) {
        Kind::Scalar => (Form::String, map, image::string(tree, node)?),
        Kind::Mapping => {
            let Some(repository) = string(node, "repository") else {
                tag_without_repository(tree, node, diagnostics);
                return None;
            };
            (Form::Object, node, repository)
        }
        Kind::Sequence | Kind::Alias => return None,
    };
    let parts = Parts {
        registry: string(map, "registry"),
        repository,
        tag: written(map, "tag"),
        digests: image::digests(lookup, map),
    };
    Some((FormTag(form), parts))
}

fn tag_without_repository(tree: &Tree<'_>, image: NodeId, diagnostics: &mut Vec<Diagnostic>) {
    let Some(tag) = tree.get(image, "tag") else { return };
    let Some(part) = image::written(tree, tag) else { return };
    let (line, column) = tree.position(tag);
    let message = format!("the tag `{}` stands without a repository, so it is not looked up", part.value);
    diagnostics.push(
        Diagnostic::new(Code::TagWithoutRepository, "", message)
            .at(line, column)
            .hint("add `repository` beside it, with what the chart has as its default"),
    );
}

/// The images of a pod: containers and init containers by their names.
pub(super) fn in_pod<'a>(tree: &'a Tree<'_>, pod: NodeId, images: &mut Images<'a>) {
    for list in ["initContainers", "containers"] {
        let Some(list) = tree.get(pod, list) else { continue };
        for container in tree.items(list) {
            let name = tree.get(container, "name").and_then(|node| tree.scalar(node));
            let image = tree.get(container, "image").and_then(|node| image::string(tree, node));
            if let (Some(name), Some(repository)) = (name, image) {
                let parts = Parts { registry: None, repository, tag: None, digests: [None; 3] };
                images.insert(name.value, Found::Pod { parts });
            }
        }
    }
}

/// Adds what the aliases name, overruling what was found before (S2.7, S3).
pub(super) fn by_aliases<'a>(
    lookup: &mut Lookup<'a, '_>,
    values: Option<NodeId>,
    annotations: &Annotations<'a>,
    images: &mut Images<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for about in annotations.by_container() {
        let named = |wanted| about.iter().find(|annotation| annotation.about == wanted);
        let Some(any) = about.iter().find(|annotation| annotation.about.is_alias()) else { continue };
        let name = any.container;
        match resolve(lookup, values, named(About::Repository), named(About::Registry), named(About::Tag), any) {
            Ok(alias) => {
                alias.overrule(images);
                images.insert(name, Found::Alias { parts: alias.parts });
            }
            Err((reason, hint, node)) => {
                let (line, column) = lookup.tree.position(node);
                let message = format!("the alias `{}` leads nowhere: {reason}", any.container);
                let mut diagnostic = Diagnostic::new(Code::AliasUnresolved, "", message).at(line, column);
                diagnostic.hint = hint;
                diagnostics.push(diagnostic);
                // A detected image of that name stays in force (S3.2).
                images.entry(name).or_insert(Found::Unresolved { reason, node });
            }
        }
    }
}

struct Alias<'a> {
    repository: Path,
    tag: Option<Path>,
    parts: Parts<'a>,
}

type Fault = (String, Option<String>, NodeId);

fn resolve<'a>(
    lookup: &mut Lookup<'a, '_>,
    values: Option<NodeId>,
    repository: Option<&Annotation<'a>>,
    registry: Option<&Annotation<'a>>,
    tag: Option<&Annotation<'a>>,
    any: &Annotation<'a>,
) -> Result<Alias<'a>, Fault> {
    let Some(repository) = repository else {
        let reason = format!("it has no `{}{}`", About::Repository.prefix(), any.container);
        return Err((reason, Some("an alias needs the path of its repository".into()), any.node));
    };
    let tree = lookup.tree;
    let mut follow = |annotation: &Annotation<'_>| {
        let path = Path::parse(annotation.value);
        match path.resolve(lookup, values) {
            Ok(found) => Ok((path, found)),
            Err(place) => {
                let reason = format!("`{}` does not resolve, {place}", annotation.value);
                Err((reason, hint(annotation.value), annotation.node))
            }
        }
    };
    let (path, at) = follow(repository)?;
    let registry = registry.map(&mut follow).transpose()?;
    let tag = tag.map(&mut follow).transpose()?;
    let Some(part) = image::string(tree, at.node) else {
        let reason = format!("`{path}` is no repository: it is empty or no string");
        return Err((reason, None, repository.node));
    };
    let beside_tag = tag.as_ref().map(|(_, found)| found.parent);
    let mut digests = image::digests(lookup, at.parent);
    if digests.iter().all(Option::is_none)
        && let Some(parent) = beside_tag
    {
        digests = image::digests(lookup, parent);
    }
    let parts = Parts {
        registry: registry.and_then(|(_, found)| image::string(tree, found.node)),
        repository: part,
        tag: tag.as_ref().and_then(|(_, found)| image::written(tree, found.node)),
        digests,
    };
    Ok(Alias { repository: path, tag: tag.map(|(path, _)| path), parts })
}

fn hint(path: &str) -> Option<String> {
    let rest = path.strip_prefix('.').unwrap_or(path);
    let rest = rest.strip_prefix("spec.").unwrap_or(rest);
    let rest = rest.strip_prefix("values.").unwrap_or(rest);
    (rest != path).then(|| format!("paths begin below `spec.values`: write `{rest}`"))
}

impl Alias<'_> {
    /// Takes out the detected image that shares the repository's or the tag's place (S2.7).
    fn overrule(&self, images: &mut Images<'_>) {
        let shares = |key: Option<&str>, form: Form| {
            let path = |rest: &[&str]| {
                let mut path: Vec<&str> = key.into_iter().collect();
                path.extend_from_slice(rest);
                [Some(&self.repository), self.tag.as_ref()].into_iter().flatten().any(|mine| mine.is(&path))
            };
            match form {
                Form::String => path(&["image"]) || path(&["tag"]),
                Form::Object => path(&["image", "repository"]) || path(&["image", "tag"]),
            }
        };
        // Only the values themselves and the child that a path begins with can share a place with it.
        let children = [self.repository.first(), self.tag.as_ref().and_then(Path::first)];
        for name in [Some(CHART_IMAGE)].into_iter().chain(children).flatten() {
            if let Some(Found::Values { key, form, .. }) = images.get(name)
                && shares(*key, form.0)
            {
                images.remove(name);
            }
        }
    }
}

/// The scalar that `values.global.imageRegistry` holds, if it is set (S2.8).
pub(super) fn global_registry<'a>(tree: &'a Tree<'_>, values: NodeId) -> Option<Part<'a>> {
    let global = tree.get(values, "global")?;
    image::string(tree, tree.get(global, "imageRegistry")?)
}
