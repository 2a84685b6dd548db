//! One image: its reference put together from scalars, and the places of its tag and digest in them (S2.3 to S2.6).

use std::ops::Range;

use super::lookup::Lookup;
use crate::manifest::{Kind, NodeId, Tree};
use crate::reference::{Digest, ImageName, KnownHosts, Reference, ReferenceError, split_tag};
use crate::status::Status;

/// Where a tag or a digest stands: a part of a scalar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The scalar that holds it, aliases followed: what an edit changes.
    pub node: NodeId,
    /// Bytes of the scalar's value (after unquoting) that are the tag or digest.
    pub part: Range<u32>,
    /// Whether the container names the scalar by an alias, so that other places share it (S7.4).
    pub via_alias: bool,
}

/// A scalar that takes part in a reference.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Aliases followed.
    pub(super) node: NodeId,
    pub(super) value: &'a str,
    /// As the container names it: the scalar or an alias of it.
    at: NodeId,
    via_alias: bool,
}

/// The scalars an image is made of (S2.1); none of them empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) registry: Option<Part<'a>>,
    pub(super) repository: Part<'a>,
    pub(super) tag: Option<Part<'a>>,
    /// `digest`, `sha256` and `sha` keys that hold a digest, or claim to.
    pub(super) digests: [Option<Part<'a>>; 3],
}

/// What the parts amount to.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pub(super) name: Option<ImageName>,
    pub(super) tag: Option<Box<str>>,
    pub(super) digest: Option<Digest>,
    pub(super) tag_place: Option<Place>,
    pub(super) digest_place: Option<Place>,
    /// `invalid`, `untagged` or `digest-only`, and why.
    pub(super) fault: Option<(Status, Option<String>)>,
    /// The tag's scalar is plain and some reader of YAML takes it for something else than a string (S2.3).
    pub(super) unquoted: bool,
}

/// A registry or repository: a string that is not empty (S2.3).
pub(super) fn string<'a>(tree: &'a Tree<'_>, node: NodeId) -> Option<Part<'a>> {
    let scalar = tree.scalar(node)?;
    (scalar.is_string() && !scalar.value.is_empty()).then(|| part(tree, node, scalar.value))
}

/// A tag: a scalar that is neither null nor empty, as it is written (S2.3).
pub(super) fn written<'a>(tree: &'a Tree<'_>, node: NodeId) -> Option<Part<'a>> {
    let scalar = tree.scalar(node)?;
    (!scalar.is_null() && !scalar.value.is_empty()).then(|| part(tree, node, scalar.value))
}

fn part<'a>(tree: &Tree<'_>, node: NodeId, value: &'a str) -> Part<'a> {
    Part { node: tree.resolve(node), value, at: node, via_alias: tree.kind(node) == Kind::Alias }
}

/// The digests that stand beside a repository or tag (S2.6).
///
/// A `sha` or `sha256` that looks like no digest at all is something else, such as a commit.
pub(super) fn digests<'a>(lookup: &mut Lookup<'a, '_>, map: NodeId) -> [Option<Part<'a>>; 3] {
    let tree = lookup.tree;
    let mut found = ["digest", "sha256", "sha"].map(|key| lookup.get(map, key).and_then(|node| written(tree, node)));
    for short in &mut found[1..] {
        *short = short.filter(|part| part.value.contains(':') || parse_digest(part.value).is_some());
    }
    found
}

fn parse_digest(text: &str) -> Option<Digest> {
    match text.strip_prefix("sha256:") {
        Some(_) => Digest::parse(text),
        None => Digest::parse(&format!("sha256:{text}")),
    }
}

impl Parts<'_> {
    /// The scalars, or the aliases of them, that the reference is put together from.
    pub(super) fn nodes(&self) -> Box<[NodeId]> {
        let single = [self.registry.as_ref(), Some(&self.repository), self.tag.as_ref()];
        single.into_iter().chain(self.digests.iter().map(Option::as_ref)).flatten().map(|part| part.at).collect()
    }

    /// Joins the parts, parses the whole once (S2.5), and finds the tag and the digest in the parts again.
    pub(super) fn image(&self, tree: &Tree<'_>, hosts: &KnownHosts) -> Image {
        let mut image = Image::default();
        if let Some(reason) = self.obvious_fault() {
            image.fault = Some((Status::Invalid, Some(reason)));
            return image;
        }
        let joined;
        let text = match (&self.registry, &self.tag) {
            (None, None) => self.repository.value,
            _ => {
                joined = self.join();
                &joined
            }
        };
        match Reference::parse(text, hosts) {
            Ok(reference) => {
                image.name = Some(reference.name);
                image.tag = reference.tag.map(Into::into);
                image.digest = reference.digest;
            }
            Err(error) => {
                image.fault = Some((Status::Invalid, Some(error.to_string())));
                return image;
            }
        }
        let (head, digest) = text.split_once('@').map_or((text, None), |(head, digest)| (head, Some(digest)));
        if let (name, Some(tag)) = split_tag(head) {
            image.tag_place = self.place(name.len() + 1, tag.len());
        }
        if let Some(digest) = digest {
            image.digest_place = self.place(head.len() + 1, digest.len());
        }
        image.unquoted = self.tag.is_some_and(|tag| tree.scalar(tag.node).is_some_and(|s| !s.is_string_everywhere()));
        self.add_digest(&mut image);
        if image.fault.is_none() && image.tag.is_none() {
            let status = if image.digest.is_some() { Status::DigestOnly } else { Status::Untagged };
            image.fault = Some((status, None));
        }
        image
    }

    /// Faults whose reason the joined text would tell badly.
    fn obvious_fault(&self) -> Option<String> {
        if let Some(registry) = &self.registry
            && let Some(rest) = registry.value.strip_suffix('/')
            && !rest.contains("://")
        {
            return Some(ReferenceError::TrailingSlash(rest.into()).to_string());
        }
        let tag = self.tag.as_ref()?;
        let repository = self.repository.value;
        if let Some(rest) = repository.strip_suffix('/') {
            return Some(ReferenceError::TrailingSlash(rest.into()).to_string());
        }
        if let (_, Some(inner)) = split_tag(repository)
            && !repository.contains("${")
            && !repository.contains("://")
        {
            let reason = "remove the tag from one of the two";
            return Some(format!(
                "`{repository}` already holds the tag `{inner}` beside `tag: {}`, {reason}",
                tag.value
            ));
        }
        None
    }

    fn join(&self) -> String {
        let mut text = String::with_capacity(128);
        if let Some(registry) = &self.registry {
            text.push_str(registry.value);
            text.push('/');
        }
        text.push_str(self.repository.value);
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag.value);
        }
        text
    }

    /// The part that holds a stretch of the joined text; `None` where it does not lie within one.
    fn place(&self, start: usize, len: usize) -> Option<Place> {
        let mut from = 0;
        for part in [self.registry.as_ref(), Some(&self.repository), self.tag.as_ref()].into_iter().flatten() {
            let to = from + part.value.len();
            if start >= from && start + len <= to {
                return Some(part.place(start - from..start - from + len));
            }
            from = to + 1;
        }
        None
    }

    fn add_digest(&self, image: &mut Image) {
        let mut given = self.digests.iter().flatten();
        let Some(part) = given.next() else { return };
        let fault = match parse_digest(part.value) {
            None => format!("`{}` is no digest (`sha256:` and 64 hexadecimal digits)", part.value),
            Some(_) if image.digest.is_some() || given.next().is_some() => {
                "the image names its digest twice, remove one of the two".into()
            }
            Some(digest) => {
                let start = part.value.len() - digest.hex().len();
                // With its prefix, if it has one: an edit writes what was there.
                let start = if part.value.starts_with("sha256:") { 0 } else { start };
                image.digest = Some(digest);
                image.digest_place = Some(part.place(start..part.value.len()));
                return;
            }
        };
        image.fault = Some((Status::Invalid, Some(fault)));
    }
}

impl Part<'_> {
    fn place(&self, part: Range<usize>) -> Place {
        let bound = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Place { node: self.node, part: bound(part.start)..bound(part.end), via_alias: self.via_alias }
    }
}
