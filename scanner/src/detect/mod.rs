//! Containers: which images the workloads of a manifest use, where their tags stand, and what steers them (S2 to S4).
//!
//! Pure: a tree in, owned containers and diagnostics out. Must not know files and registries: what needs a look-up is
//! decided later, by [`crate::choose`]. Nothing that is wrong with one container touches another.

pub mod across;
mod annotations;
mod image;
mod images;
mod lookup;
mod path;
mod steering;
mod workload;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

pub use image::Place;
pub use images::CHART_IMAGE;
pub use steering::Steering;
pub use workload::{WorkloadId, WorkloadInfo, WorkloadKind};

use annotations::{Annotations, Hold};
use image::Image;
use images::{Found, Images};
use lookup::Lookup;
use steering::{Filters, steering};
use workload::Workload;

use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::{Document, Manifest, NodeId, Tree};
use crate::reference::{Digest, ImageName, KnownHosts};
use crate::status::{Flag, Status};

/// What detection needs to know besides the manifest.
#[derive(Debug, Clone)]
pub struct DetectOptions {
    /// The namespace of workloads that name none (S1.5).
    pub default_namespace: String,
    /// Hosts that count as hosts though they do not look like it (S2.5).
    pub hosts: KnownHosts,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self { default_namespace: "default".into(), hosts: KnownHosts::default() }
    }
}

/// How an image was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// By its shape in `spec.values` (S2.1).
    Values,
    /// By the annotations of an alias (S3).
    Alias,
    /// In a pod template.
    Pod,
}

/// Why a file or a line is left alone, whatever is chosen: `edit-refused` where there would be an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Uneditable {
    /// The document is encrypted, and signed as it is (S1.7).
    Encrypted,
    /// The document is a template (S1.3).
    Template,
    /// Another document of the file could not be read (S1.3).
    BrokenSibling,
    /// The line belongs to Flux v2 (S7.8).
    FluxMarker,
}

impl std::fmt::Display for Uneditable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Encrypted => "the document is encrypted with SOPS, which signs it as it is",
            Self::Template => "the document is a template (`{{`)",
            Self::BrokenSibling => "the file holds a document that could not be read",
            Self::FluxMarker => "the line has a marker of Flux's image automation (`$imagepolicy`)",
        })
    }
}

/// One container of one workload. Owns what it says: it outlives the text it was read from.
#[derive(Debug, Clone)]
pub struct Container {
    /// The document, from 0.
    pub document: u32,
    /// The workload it belongs to.
    pub workload: Arc<WorkloadInfo>,
    /// Its name: `chart-image`, a key of the values, an alias, or a pod's container.
    pub name: Box<str>,
    /// How it was found.
    pub source: Source,
    /// Line of the tag's scalar, or of the image's where there is no tag, from 1.
    pub line: u32,
    /// Its column, from 1 in code points.
    pub column: u32,
    /// The image's canonical name (S2.5); `None` where the reference is invalid.
    pub image: Option<ImageName>,
    /// The tag as written.
    pub tag: Option<Box<str>>,
    /// The digest it is pinned to (S2.6).
    pub digest: Option<Digest>,
    /// Where the tag stands.
    pub tag_place: Option<Place>,
    /// Where the digest stands: with its `sha256:` if that is written, else the 64 digits alone.
    pub digest_place: Option<Place>,
    /// The scalars its reference is put together from, or the aliases of them that stand in their places, whatever its
    /// status: who changes one of them changes this container (S7.4).
    pub reference: Box<[NodeId]>,
    /// What its choice goes by.
    pub steering: Steering,
    /// The status, where it is clear without asking a registry, and what to say about it.
    pub settled: Option<(Status, Option<String>)>,
    /// Flags that hold already.
    pub flags: Vec<Flag>,
    /// Why it must not be edited, if so.
    pub uneditable: Option<Uneditable>,
    /// Whether an edit of its tag cannot meet an obstacle, as long as no other container names the same scalars: the
    /// file has no aliases, the tag stands there just as it is read, and there is no digest to go along.
    pub stands_alone: bool,
}

impl Container {
    /// The name whose tags are asked for: that of `leadsman.dev/look-up.<container>`, else the image's own (S2.8).
    #[must_use]
    pub fn look_up(&self) -> Option<&ImageName> {
        self.steering.look_up.as_ref().or(self.image.as_ref())
    }
}

/// What one file holds.
#[derive(Debug, Default)]
pub struct Detected {
    /// Its workloads in the order of the text, also those without containers.
    pub workloads: Vec<Arc<WorkloadInfo>>,
    /// Its containers by document and workload, within one by S2.2.
    pub containers: Vec<Container>,
    /// What is worth saying about them, in the order of the text, without file names. What [`Manifest`] itself says
    /// is not repeated.
    pub diagnostics: Vec<Diagnostic>,
}

/// A Helm release in a manifest's tree.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// The object itself.
    pub(crate) object: NodeId,
    /// What is said of it; whether it is automated is not looked up.
    pub(crate) info: Arc<WorkloadInfo>,
    /// Its `spec.values`.
    pub(crate) body: Option<NodeId>,
}

/// The Helm releases of a manifest, in the order of the text.
pub(crate) fn releases(manifest: &Manifest<'_>, options: &DetectOptions) -> Vec<Release> {
    let tree = &manifest.tree;
    let mut releases = Vec::new();
    let mut objects = Vec::new();
    for document in tree.documents() {
        let Some(root) = document.root else { continue };
        objects.clear();
        workload::objects(tree, root, &mut objects);
        for object in &objects {
            let workload = workload::workload(tree, *object, document.index, &options.default_namespace, |_| false);
            if let Some(Workload { info, body }) = workload.filter(|workload| workload.info.kind.is_release()) {
                releases.push(Release { object: *object, info: Arc::new(info), body });
            }
        }
    }
    releases
}

/// Finds the workloads and containers of a manifest (S1.5, S2, S3, S4).
///
/// Takes time linear in the manifest, up to a logarithm, whatever it holds.
#[must_use]
pub fn detect(manifest: &Manifest<'_>, options: &DetectOptions) -> Detected {
    let tree = &manifest.tree;
    let mut detection = Detection {
        tree,
        options,
        broken: manifest.is_broken(),
        has_markers: memchr::memmem::find(tree.text().as_bytes(), MARKER.as_bytes()).is_some(),
        filters: Filters::new(),
        found: Detected::default(),
    };
    let mut objects = Vec::new();
    for document in tree.documents() {
        let Some(root) = document.root else { continue };
        objects.clear();
        workload::objects(tree, root, &mut objects);
        for object in &objects {
            detection.object(document, root, *object);
        }
    }
    let mut found = detection.found;
    // Kept for every file of a scan, and most files have one.
    found.containers.shrink_to_fit();
    found.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    found
}

/// What Flux v2's image automation looks for in comments (S7.8).
const MARKER: &str = "\"$imagepolicy\"";

struct Detection<'a, 't> {
    tree: &'a Tree<'t>,
    options: &'a DetectOptions,
    broken: bool,
    has_markers: bool,
    filters: Filters<'a>,
    found: Detected,
}

impl<'a> Detection<'a, '_> {
    fn object(&mut self, document: &Document, root: NodeId, object: NodeId) {
        let tree = self.tree;
        let mut annotations = Annotations::default();
        let diagnostics = &mut self.found.diagnostics;
        let workload = workload::workload(tree, object, document.index, &self.options.default_namespace, |map| {
            annotations = Annotations::read(tree, map, diagnostics);
            annotations.automated
        });
        let Some(Workload { mut info, body }) = workload else { return };
        let encrypted = tree.get(root, "sops").is_some();
        if encrypted {
            let message = format!("`{}` is encrypted with SOPS: it is not edited", info.id);
            self.found.diagnostics.push(Diagnostic::new(Code::Encrypted, "", message).at(info.line, info.column));
        }
        let mut images = Images::new();
        let mut lookup = Lookup::new(tree);
        if info.kind.is_release() {
            if let Some(values) = body {
                images::in_values(&mut lookup, values, &mut images, &mut self.found.diagnostics);
            }
            images::by_aliases(&mut lookup, body, &annotations, &mut images, &mut self.found.diagnostics);
        } else if let Some(pod) = body {
            images::in_pod(tree, pod, &mut images);
        }
        info.has_containers = !images.is_empty();
        let info = Arc::new(info);
        self.found.workloads.push(Arc::clone(&info));
        self.report_unused(&annotations, &images);
        let first = self.found.containers.len();
        for (name, found) in images::in_order(images) {
            self.container(document, &info, encrypted, &annotations, name, found);
        }
        self.report_global_registry(&info, body, first);
    }

    fn container(
        &mut self,
        document: &Document,
        info: &Arc<WorkloadInfo>,
        encrypted: bool,
        annotations: &Annotations<'a>,
        name: &str,
        found: Found<'a>,
    ) {
        let tree = self.tree;
        let (steering, fault) = steering(
            tree,
            info.automated,
            annotations.of(name),
            &self.options.hosts,
            &mut self.filters,
            &mut self.found.diagnostics,
        );
        let (source, parts, unresolved) = match found {
            Found::Values { parts, .. } => (Source::Values, Some(parts), None),
            Found::Pod { parts } => (Source::Pod, Some(parts), None),
            Found::Alias { parts } => (Source::Alias, Some(parts), None),
            Found::Unresolved { reason, node } => (Source::Alias, None, Some((reason, node))),
        };
        let image = parts.map_or_else(Image::default, |parts| parts.image(tree, &self.options.hosts));
        let shown = match (&unresolved, &image.tag_place, &parts) {
            (Some((_, node)), _, _) => *node,
            (None, Some(place), _) => place.node,
            // A tag that is no tag still is what to look at.
            (None, None, Some(parts)) => parts.tag.unwrap_or(parts.repository).node,
            (None, None, None) => return,
        };
        let (line, column) = tree.position(shown);
        let mut flags = Vec::new();
        if image.unquoted {
            flags.push(Flag::UnquotedTag);
            self.report_unquoted(name, image.tag.as_deref(), line, column);
        }
        let marked = self.has_markers
            && [&image.tag_place, &image.digest_place]
                .into_iter()
                .flatten()
                .any(|place| self.is_marked(document, place.node));
        if marked {
            let message = format!("`{name}` has a marker of Flux's image automation: it is not edited");
            self.found.diagnostics.push(Diagnostic::new(Code::FluxMarker, "", message).at(line, column));
        }
        let settled = match (annotations.hold(), unresolved, image.fault) {
            (Some(Hold::Ignored), _, _) => Some((Status::Ignored, None)),
            (Some(Hold::Locked(message)), _, _) => Some((Status::Locked, message)),
            (None, Some((reason, _)), _) => Some((Status::Unresolved, Some(reason))),
            (None, None, Some(fault)) => Some(fault),
            (None, None, None) if !info.automated => Some((Status::NotAutomated, None)),
            (None, None, None) if fault.is_some() => Some((Status::FilterInvalid, fault)),
            (None, None, None) if encrypted => Some((Status::Encrypted, None)),
            (None, None, None) => None,
        };
        let stands_alone = !tree.has_aliases()
            && parts.is_some_and(|parts| parts.digests.iter().all(Option::is_none))
            && image.digest.is_none()
            && image.tag_place.as_ref().is_some_and(|place| tree.is_verbatim(place.node));
        self.found.containers.push(Container {
            stands_alone,
            document: document.index,
            workload: Arc::clone(info),
            name: name.into(),
            source,
            line,
            column,
            image: image.name,
            tag: image.tag,
            digest: image.digest,
            tag_place: image.tag_place,
            digest_place: image.digest_place,
            reference: parts.map(|parts| parts.nodes()).unwrap_or_default(),
            steering,
            settled,
            flags,
            uneditable: [
                (encrypted, Uneditable::Encrypted),
                (document.template, Uneditable::Template),
                (self.broken, Uneditable::BrokenSibling),
                (marked, Uneditable::FluxMarker),
            ]
            .into_iter()
            .find_map(|(holds, reason)| holds.then_some(reason)),
        });
    }

    fn report_unquoted(&mut self, name: &str, tag: Option<&str>, line: u32, column: u32) {
        let tag = tag.unwrap_or_default();
        let message = format!("the tag `{tag}` of `{name}` has no quotes: Helm may read something else than its text");
        self.found
            .diagnostics
            .push(Diagnostic::new(Code::UnquotedTag, "", message).at(line, column).hint(format!("write `\"{tag}\"`")));
    }

    /// Annotations that name no container (S4.2, S4.5).
    fn report_unused(&mut self, annotations: &Annotations<'_>, images: &Images<'_>) {
        for about in annotations.by_container() {
            if images.contains_key(about[0].container) {
                continue;
            }
            for annotation in about.iter().filter(|annotation| !annotation.about.is_alias()) {
                let (line, column) = self.tree.position(annotation.node);
                let is_filter = annotation.about.is_filter();
                let code = if is_filter { Code::FilterWithoutContainer } else { Code::AnnotationInvalid };
                let message = format!(
                    "`{}{}` names no container of this workload",
                    annotation.about.prefix(),
                    annotation.container
                );
                let names: Vec<String> = images.keys().take(8).map(|name| format!("`{name}`")).collect();
                let hint = match names.as_slice() {
                    [] => "it has no containers".to_owned(),
                    names => format!("its containers are {}", names.join(", ")),
                };
                self.found.diagnostics.push(Diagnostic::new(code, "", message).at(line, column).hint(hint));
            }
        }
    }

    fn report_global_registry(&mut self, info: &WorkloadInfo, body: Option<NodeId>, first: usize) {
        let Some(values) = body.filter(|_| info.kind.is_release()) else { return };
        let Some(registry) = images::global_registry(self.tree, values) else { return };
        let told = |container: &Container| container.image.is_none() || container.steering.look_up.is_some();
        let containers = &self.found.containers[first..];
        let Some(container) = containers.iter().find(|container| !told(container)) else { return };
        let message = format!(
            "`global.imageRegistry` is `{}`: the chart may pull from there, and tags are looked up elsewhere",
            registry.value
        );
        let repository = container.image.as_ref().map_or("", ImageName::repository);
        let hint = format!(
            "if it does, say where to ask: `leadsman.dev/look-up.{}: {}/{repository}`",
            container.name, registry.value
        );
        let (line, column) = self.tree.position(registry.node);
        self.found.diagnostics.push(Diagnostic::new(Code::GlobalRegistry, "", message).at(line, column).hint(hint));
    }

    /// Whether the line on which a scalar ends has Flux's marker behind it, in a comment.
    fn is_marked(&self, document: &Document, node: NodeId) -> bool {
        let end = self.tree.span(node).end;
        let text = &self.tree.text()[end..document.bytes.end.max(end)];
        let line = &text[..memchr::memchr2(b'\n', b'\r', text.as_bytes()).unwrap_or(text.len())];
        line.split_once('#').is_some_and(|(_, comment)| comment.contains(MARKER))
    }
}
