//! The annotations that steer a workload: automation, locks, filters, aliases and our own (S4).
//!
//! Read in one pass over the mapping, whatever its size, and then looked up by container name.

use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::{NodeId, Scalar, Tree};

/// What stands in front of a container's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// `filter.fluxcd.io/`: the first of the three that give a filter (S4.2).
    Filter,
    /// `fluxcd.io/tag.`
    TagFilter,
    /// `flux.weave.works/tag.`
    OldTagFilter,
    /// `repository.fluxcd.io/` (S3.1).
    Repository,
    /// `registry.fluxcd.io/` (S3.1).
    Registry,
    /// `tag.fluxcd.io/` (S3.1).
    Tag,
    /// `leadsman.dev/order.` (S4.5).
    Order,
    /// `leadsman.dev/min-age.`
    MinAge,
    /// `leadsman.dev/allow-downgrade.`
    AllowDowngrade,
    /// `leadsman.dev/allow-variant.`
    AllowVariant,
    /// `leadsman.dev/platform.`
    Platform,
    /// `leadsman.dev/look-up.`
    LookUp,
}

const PREFIXES: [(About, &str); 12] = [
    (About::Filter, "filter.fluxcd.io/"),
    (About::TagFilter, "fluxcd.io/tag."),
    (About::OldTagFilter, "flux.weave.works/tag."),
    (About::Repository, "repository.fluxcd.io/"),
    (About::Registry, "registry.fluxcd.io/"),
    (About::Tag, "tag.fluxcd.io/"),
    (About::Order, "leadsman.dev/order."),
    (About::MinAge, "leadsman.dev/min-age."),
    (About::AllowDowngrade, "leadsman.dev/allow-downgrade."),
    (About::AllowVariant, "leadsman.dev/allow-variant."),
    (About::Platform, "leadsman.dev/platform."),
    (About::LookUp, "leadsman.dev/look-up."),
];

impl About {
    /// The annotation's key without the container's name.
    pub(super) fn prefix(self) -> &'static str {
        PREFIXES.iter().find(|(about, _)| *about == self).map_or("", |(_, prefix)| prefix)
    }

    /// Whether this gives a filter.
    pub(super) fn is_filter(self) -> bool {
        matches!(self, Self::Filter | Self::TagFilter | Self::OldTagFilter)
    }

    /// Whether this belongs to an alias.
    pub(super) fn is_alias(self) -> bool {
        matches!(self, Self::Repository | Self::Registry | Self::Tag)
    }
}

/// One annotation about one container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Annotation<'a> {
    pub(super) container: &'a str,
    pub(super) about: About,
    pub(super) value: &'a str,
    /// The value, for its place.
    pub(super) node: NodeId,
}

/// What keeps a workload as it is (S4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    Ignored,
    Locked(Option<String>),
}

/// The annotations of one workload.
#[derive(Debug, Default)]
pub(super) struct Annotations<'a> {
    pub(super) automated: bool,
    pub(super) ignored: bool,
    /// Locked, and by whom and why.
    pub(super) locked: Option<Option<String>>,
    /// By container name, then in the order of [`About`].
    by_container: Vec<Annotation<'a>>,
}

impl<'a> Annotations<'a> {
    /// Reads the annotations and reports what is wrong with them as such.
    pub(super) fn read(tree: &'a Tree<'_>, map: Option<NodeId>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut read = Self::default();
        let Some(map) = map else { return read };
        let mut automated = [None; 2];
        let mut user = None;
        let mut message = None;
        let mut locked = false;
        for (key, node) in tree.all_entries(map) {
            let (Some(key), Some(value)) = (tree.scalar(key), tree.scalar(node)) else { continue };
            match key.value {
                "fluxcd.io/automated" => automated[0] = Some((value, node)),
                "flux.weave.works/automated" => automated[1] = Some((value, node)),
                "fluxcd.io/locked" | "flux.weave.works/locked" => {
                    locked |= holds(tree, key.value, value, node, diagnostics);
                }
                "fluxcd.io/ignore" | "flux.weave.works/ignore" => {
                    read.ignored |= holds(tree, key.value, value, node, diagnostics);
                }
                "fluxcd.io/locked_user" | "flux.weave.works/locked_user" => user = text(value).or(user),
                "fluxcd.io/locked_msg" | "flux.weave.works/locked_msg" => message = text(value).or(message),
                other => read.about_container(tree, other, value, node, diagnostics),
            }
        }
        if locked {
            read.locked = Some(match (user, message) {
                (Some(user), Some(message)) => Some(format!("{message} (locked by {user})")),
                (Some(user), None) => Some(format!("locked by {user}")),
                (None, message) => message.map(Into::into),
            });
        }
        let key = if automated[0].is_some() { "fluxcd.io/automated" } else { "flux.weave.works/automated" };
        if let Some((value, node)) = automated[0].or(automated[1]) {
            if value.is_string_everywhere() {
                read.automated = value.value == "true";
            } else {
                // What Kubernetes would refuse steers nothing, but a lock holds (S4.1, S4.3).
                read.by_container.clear();
                diagnostics.push(not_a_string(tree, key, node));
            }
        }
        read.by_container.sort_by_key(|annotation| (annotation.container, annotation.about));
        read
    }

    /// What keeps the workload as it is, if anything does.
    pub(super) fn hold(&self) -> Option<Hold> {
        if self.ignored {
            return Some(Hold::Ignored);
        }
        self.locked.clone().map(Hold::Locked)
    }

    /// Everything about one container, in the order of [`About`].
    pub(super) fn of(&self, container: &str) -> &[Annotation<'a>] {
        let from = self.by_container.partition_point(|annotation| annotation.container < container);
        let len = self.by_container[from..].iter().take_while(|annotation| annotation.container == container).count();
        &self.by_container[from..from + len]
    }

    /// Everything, container by container.
    pub(super) fn by_container(&self) -> impl Iterator<Item = &[Annotation<'a>]> {
        self.by_container.chunk_by(|a, b| a.container == b.container)
    }

    fn about_container(
        &mut self,
        tree: &Tree<'_>,
        key: &'a str,
        value: Scalar<'a>,
        node: NodeId,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        // Most annotations of most workloads are other people's.
        if !key.contains("fluxcd.io/") && !key.starts_with("flux.weave.works/") && !key.starts_with("leadsman.dev/") {
            return;
        }
        let found = PREFIXES.iter().find_map(|(about, prefix)| Some((*about, key.strip_prefix(prefix)?)));
        match found {
            Some((_, "")) | None if key.starts_with("leadsman.dev/") => {
                let (line, column) = tree.position(node);
                diagnostics.push(
                    Diagnostic::new(Code::AnnotationInvalid, "", format!("there is no annotation `{key}`"))
                        .at(line, column)
                        .hint(
                            "the annotations are `leadsman.dev/` and one of order, min-age, allow-downgrade, \
                             allow-variant, platform, look-up, then a dot and a container's name",
                        ),
                );
            }
            Some((about, container)) if !container.is_empty() && !value.is_null() => {
                self.by_container.push(Annotation { container, about, value: value.value, node });
            }
            _ => {}
        }
    }
}

fn text(scalar: Scalar<'_>) -> Option<&str> {
    (!scalar.value.is_empty() && !scalar.is_null()).then_some(scalar.value)
}

/// Whether a lock or an ignore holds. A missing quote does not open it, and is told (S4.3).
fn holds(tree: &Tree<'_>, key: &str, value: Scalar<'_>, node: NodeId, diagnostics: &mut Vec<Diagnostic>) -> bool {
    if value.is_string_everywhere() {
        return value.value == "true";
    }
    let holds = ["true", "yes", "on", "y"].iter().any(|word| value.value.eq_ignore_ascii_case(word));
    if holds {
        let (line, column) = tree.position(node);
        let message = format!("`{key}` is no string; it holds all the same");
        diagnostics.push(
            Diagnostic::new(Code::LockNotAString, "", message)
                .at(line, column)
                .hint(format!("write `{key}: \"true\"`, for Kubernetes refuses annotations that are no strings")),
        );
    }
    holds
}

fn not_a_string(tree: &Tree<'_>, key: &str, node: NodeId) -> Diagnostic {
    let (line, column) = tree.position(node);
    let message =
        format!("`{key}` is no string, so the workload is not automated and its filters and aliases are ignored");
    Diagnostic::new(Code::AutomatedNotAString, "", message).at(line, column).hint(format!("write `{key}: \"true\"`"))
}
