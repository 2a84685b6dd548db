//! Documents to workloads: which kinds there are, what they are called, and where their containers stand (S1.5).

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::manifest::{Kind, NodeId, Tree};

/// The kinds of workloads that are read. The group does not matter (S1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum WorkloadKind {
    /// A Helm release of the Helm Operator or of Flux v2.
    HelmRelease,
    /// The Helm release of the first Helm Operators.
    FluxHelmRelease,
    /// A deployment.
    Deployment,
    /// A stateful set.
    StatefulSet,
    /// A daemon set.
    DaemonSet,
    /// A cron job.
    CronJob,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::HelmRelease,
        Self::FluxHelmRelease,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::CronJob,
    ];

    /// The kind as manifests write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HelmRelease => "HelmRelease",
            Self::FluxHelmRelease => "FluxHelmRelease",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
        }
    }

    /// Whether images stand in `spec.values` (S2) rather than in a pod template.
    #[must_use]
    pub fn is_release(self) -> bool {
        matches!(self, Self::HelmRelease | Self::FluxHelmRelease)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `<namespace>:<kind in lower case>/<name>` (S1.5). Unique within a file's cluster, not within a repository: identity
/// is the path of the file and this (S1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct WorkloadId(Box<str>);

impl WorkloadId {
    /// The id of a workload.
    #[must_use]
    pub fn new(namespace: &str, kind: WorkloadKind, name: &str) -> Self {
        Self(format!("{namespace}:{}/{name}", kind.as_str().to_ascii_lowercase()).into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is said of a workload; shared by its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadInfo {
    /// Its id.
    pub id: WorkloadId,
    /// `apiVersion` as written; empty where there is none.
    pub api_version: Box<str>,
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace, or the configured default.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Of a release: the Helm release it makes, as `target namespace/release name` (S1.6).
    pub release: Option<Box<str>>,
    /// Whether its automation is on (S4.1).
    pub automated: bool,
    /// Whether it has images.
    pub has_containers: bool,
    /// The document it stands in, from 0.
    pub document: u32,
    /// Line of its start, from 1.
    pub line: u32,
    /// Column of its start, from 1 in code points.
    pub column: u32,
}

/// A workload in the tree.
pub(super) struct Workload {
    pub(super) info: WorkloadInfo,
    /// `spec.values` of a release, the pod's `spec` of others.
    pub(super) body: Option<NodeId>,
}

/// The nodes below a document's root that are single objects: `List`s are unpacked, also nested (S1.1).
pub(super) fn objects(tree: &Tree<'_>, root: NodeId, found: &mut Vec<NodeId>) {
    let is_list =
        tree.get(root, "kind").and_then(|kind| tree.scalar(kind)).is_some_and(|kind| kind.value.ends_with("List"));
    match tree.get(root, "items") {
        // The tree's depth is bounded, so this recursion is.
        Some(items) if is_list && tree.kind(tree.resolve(items)) == Kind::Sequence => {
            for item in tree.items(items) {
                objects(tree, item, found);
            }
        }
        _ => found.push(tree.resolve(root)),
    }
}

/// The workload an object is, if its kind is one that is read and it has a name.
pub(super) fn workload(
    tree: &Tree<'_>,
    object: NodeId,
    document: u32,
    default_namespace: &str,
    automated: impl FnOnce(Option<NodeId>) -> bool,
) -> Option<Workload> {
    let text = |map: NodeId, key: &str| {
        let scalar = tree.scalar(tree.get(map, key)?)?;
        (!scalar.is_null() && !scalar.value.is_empty()).then_some(scalar.value)
    };
    let kind = WorkloadKind::parse(text(object, "kind")?)?;
    let metadata = tree.get(object, "metadata")?;
    let name = text(metadata, "name")?;
    let namespace = text(metadata, "namespace").unwrap_or(default_namespace);
    let spec = tree.get(object, "spec");
    let below = |from: Option<NodeId>, path: &[&str]| path.iter().try_fold(from?, |node, key| tree.get(node, key));
    let body = match kind {
        WorkloadKind::HelmRelease | WorkloadKind::FluxHelmRelease => below(spec, &["values"]),
        WorkloadKind::CronJob => below(spec, &["jobTemplate", "spec", "template", "spec"]),
        WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
            below(spec, &["template", "spec"])
        }
    };
    let annotations = tree.get(metadata, "annotations");
    let api_version = text(object, "apiVersion").unwrap_or_default();
    let release = kind.is_release().then(|| {
        let own = spec.and_then(|spec| text(spec, "releaseName"));
        let target = spec.and_then(|spec| text(spec, "targetNamespace"));
        release_of(api_version, namespace, name, own, target)
    });
    let (line, column) = tree.position(object);
    let info = WorkloadInfo {
        id: WorkloadId::new(namespace, kind, name),
        api_version: api_version.into(),
        kind,
        namespace: namespace.into(),
        name: name.into(),
        release,
        automated: automated(annotations),
        has_containers: false,
        document,
        line,
        column,
    };
    Some(Workload { info, body })
}

/// The Helm release that an object makes, as its operator names it where it gives no name itself.
fn release_of(api_version: &str, namespace: &str, name: &str, own: Option<&str>, target: Option<&str>) -> Box<str> {
    let place = target.unwrap_or(namespace);
    let name = match (own, target) {
        (Some(own), _) => own.into(),
        (None, Some(target)) if api_version.starts_with("helm.toolkit.fluxcd.io/") => format!("{target}-{name}"),
        (None, None) if api_version.starts_with("helm.toolkit.fluxcd.io/") => name.into(),
        (None, Some(target)) if target != namespace => format!("{namespace}-{target}-{name}"),
        (None, _) => format!("{namespace}-{name}"),
    };
    format!("{place}/{name}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_as_their_operators_do_s1_6() {
        for (api, own, target, expected) in [
            ("helm.fluxcd.io/v1", None, None, "ns/ns-app"),
            ("helm.fluxcd.io/v1", None, Some("other"), "other/ns-other-app"),
            ("helm.fluxcd.io/v1", Some("mine"), Some("other"), "other/mine"),
            ("helm.toolkit.fluxcd.io/v2", None, None, "ns/app"),
            ("helm.toolkit.fluxcd.io/v2", None, Some("other"), "other/other-app"),
        ] {
            assert_eq!(&*release_of(api, "ns", "app", own, target), expected);
        }
    }
}
