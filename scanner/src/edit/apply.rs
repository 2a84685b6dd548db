//! Updates of containers to changes of scalars, and who stands or falls with whom (S3.3, S7.4, S7.6).

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::follow::{AlsoChanged, Regions, followers, parts_of_keys};
use super::scalar::{Part, Plain, Quoting, rewrite};
use super::verify::{Meaning, Splice, splice};
use crate::detect::{Container, Place};
use crate::manifest::{CoreType, Kind, Layout, Manifest, NodeId, Style, Tree};
use crate::reference::{Digest, is_tag};
use crate::status::Status;

/// How many times an edit that fails its check is tried again without the update that seems to be at fault.
const RETRIES: usize = 8;

/// What a container is to have.
#[derive(Debug, Clone, Copy)]
pub struct Update<'c> {
    /// The container: one of those given to [`apply`].
    pub container: &'c Container,
    /// Its new tag; it may be the old one, where only the digest moves.
    pub tag: &'c str,
    /// What the tag points at. Needed where the container is pinned to a digest, ignored elsewhere (S2.6).
    pub digest: Option<&'c Digest>,
}

/// An edited text, with what became of each update. Updates are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The text with every applied update in it; the text that was given where none is.
    pub text: String,
    /// The updates that are in the text, in order. One that changes nothing, for it is there already, is among them.
    pub applied: Vec<usize>,
    /// The updates that are not, in order.
    pub refused: Vec<Refused>,
    /// Places outside every container that follow an anchor and have changed along (S7.4), in order.
    pub also_changed: Vec<AlsoChanged>,
}

/// An update that was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which one.
    pub index: usize,
    /// `edit-refused`, `shared-anchor` or `shared-tag`.
    pub status: Status,
    /// Why, in one clause.
    pub reason: String,
}

/// Writes tags and digests into a text (S7).
///
/// `manifest` is what was read from the text, `containers` are all of the file's: those without an update can share a
/// scalar with those that have one. All updates are one edit, in time linear in the text (S7.6). One that is refused
/// leaves the others in force.
#[must_use]
pub fn apply(manifest: &Manifest<'_>, containers: &[Container], updates: &[Update<'_>]) -> Edited {
    let mut edit = Edit::new(&manifest.tree, containers, updates);
    if manifest.is_broken() {
        for index in 0..updates.len() {
            edit.refuse(index, Status::EditRefused, "a document of this file cannot be read");
        }
    }
    edit.settle();
    edit.write()
}

/// What one update wants of one scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Want<'c> {
    range: Range<usize>,
    text: &'c str,
}

/// What is known of a scalar that stands in a reference.
#[derive(Debug, Default)]
struct Shared {
    /// The containers whose reference it is in, by ascending index, with their update of it if there is one.
    users: Vec<User>,
    /// A container reaches it by an alias.
    via_alias: bool,
    /// All its updates are refused.
    dead: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    container: usize,
    update: Option<usize>,
}

impl Shared {
    /// The place of a container, made if it is not there.
    fn user(&mut self, container: usize) -> &mut User {
        let at = self.users.partition_point(|user| user.container < container);
        if self.users.get(at).is_none_or(|user| user.container != container) {
            self.users.insert(at, User { container, update: None });
        }
        &mut self.users[at]
    }

    fn updates(&self) -> impl Iterator<Item = usize> + '_ {
        self.users.iter().filter_map(|user| user.update)
    }
}

struct Edit<'a, 'c> {
    tree: &'a Tree<'a>,
    containers: &'a [Container],
    updates: &'a [Update<'c>],
    /// Per update: what it wants of which scalars. Emptied when it is refused.
    wants: Vec<BTreeMap<NodeId, Vec<Want<'c>>>>,
    refused: Vec<Option<(Status, String)>>,
    /// Refused updates whose partners have not been told yet.
    untold: Vec<usize>,
    scalars: BTreeMap<NodeId, Shared>,
    /// Mappings and lists that an alias repeats. Made when first needed.
    repeated: OnceCell<Regions>,
    /// What keys of mappings are made of by aliases. Made when first needed.
    keys: OnceCell<Regions>,
}

impl<'a, 'c> Edit<'a, 'c> {
    fn new(tree: &'a Tree<'a>, containers: &'a [Container], updates: &'a [Update<'c>]) -> Self {
        let mut edit = Self {
            tree,
            containers,
            updates,
            wants: vec![BTreeMap::new(); updates.len()],
            refused: vec![None; updates.len()],
            untold: Vec::new(),
            scalars: BTreeMap::new(),
            repeated: OnceCell::new(),
            keys: OnceCell::new(),
        };
        let mut indices = HashMap::with_capacity(containers.len());
        for (index, container) in containers.iter().enumerate() {
            indices.insert(std::ptr::from_ref(container), index);
            for node in &container.reference {
                let shared = edit.scalars.entry(tree.resolve(*node)).or_default();
                shared.via_alias |= tree.kind(*node) == Kind::Alias;
                shared.user(index);
            }
        }
        for (index, update) in updates.iter().enumerate() {
            // Taken out, so that a second update of one container finds it gone.
            let wants = match indices.remove(&std::ptr::from_ref(update.container)) {
                Some(container) => edit.wants_of(update).map(|wants| (container, wants)),
                None => Err("it is no container of this file, or another update names it already".into()),
            };
            match wants {
                Ok((container, wants)) => {
                    for node in wants.keys() {
                        edit.scalars.entry(*node).or_default().user(container).update = Some(index);
                    }
                    edit.wants[index] = wants;
                }
                Err(reason) => edit.refuse(index, Status::EditRefused, reason),
            }
        }
        edit
    }

    /// What an update changes, before anyone else is asked.
    fn wants_of(&self, update: &Update<'c>) -> Result<BTreeMap<NodeId, Vec<Want<'c>>>, String> {
        let container = update.container;
        if let Some(reason) = &container.uneditable {
            return Err(reason.to_string());
        }
        if !is_tag(update.tag) {
            return Err("what it is to be set to is no tag".into());
        }
        let Some(place) = &container.tag_place else {
            return Err("it has no tag that could be edited".into());
        };
        let mut wants = BTreeMap::<_, Vec<_>>::new();
        wants.entry(place.node).or_default().push(self.want(place, |_| update.tag)?);
        if let Some(place) = &container.digest_place {
            let Some(digest) = update.digest else {
                return Err("it is pinned to a digest, and the digest of the new tag is not known".into());
            };
            let as_written = |old: &str| if old.starts_with("sha256:") { digest.as_str() } else { digest.hex() };
            wants.entry(place.node).or_default().push(self.want(place, as_written)?);
        }
        for parts in wants.values_mut() {
            parts.sort_unstable_by_key(|want| want.range.start);
            if parts.windows(2).any(|pair| pair[0].range.end > pair[1].range.start) {
                return Err("its tag and its digest overlap".into());
            }
        }
        Ok(wants)
    }

    fn want(&self, place: &Place, text: impl FnOnce(&str) -> &'c str) -> Result<Want<'c>, String> {
        let range = place.part.start as usize..place.part.end as usize;
        let scalar = self.tree.scalar(place.node).filter(|_| self.tree.kind(place.node) == Kind::Scalar);
        match scalar.and_then(|scalar| scalar.value.get(range.clone())) {
            Some(old) => Ok(Want { range, text: text(old) }),
            None => Err("its place in the file is not known".into()),
        }
    }

    fn refuse(&mut self, index: usize, status: Status, reason: impl Into<String>) {
        if self.refused[index].is_none() {
            self.refused[index] = Some((status, reason.into()));
            self.untold.push(index);
        }
    }

    /// Refuses every update that shares a scalar with a container which stays as it is or wants something else
    /// (S3.3, S7.4), until no such pair is left. Each update is refused once, so this ends, and soon.
    fn settle(&mut self) {
        let mut at_odds: Vec<NodeId> = self.scalars.keys().copied().filter(|node| !self.agree(*node)).collect();
        loop {
            for node in std::mem::take(&mut at_odds) {
                let Some(shared) = self.scalars.get_mut(&node).filter(|shared| !shared.dead) else { continue };
                shared.dead = true;
                for index in self.scalars[&node].updates().collect::<Vec<_>>() {
                    if self.refused[index].is_none() {
                        let (status, reason) = self.conflict(node, index);
                        self.refuse(index, status, reason);
                    }
                }
            }
            let Some(index) = self.untold.pop() else { return };
            let wants = std::mem::take(&mut self.wants[index]);
            at_odds.extend(wants.into_keys().filter(|node| !self.agree(*node)));
        }
    }

    /// Whether nobody is surprised by what becomes of a scalar: it stays, or all who use it want the same.
    fn agree(&self, node: NodeId) -> bool {
        let shared = &self.scalars[&node];
        if shared.dead {
            return true;
        }
        let mut wanted = shared.updates().filter_map(|index| self.wants[index].get(&node));
        let Some(first) = wanted.next() else { return true };
        if shared.users.len() == 1 || !self.changes(node) {
            return true;
        }
        let all_want =
            shared.users.iter().all(|user| user.update.is_some_and(|index| self.wants[index].contains_key(&node)));
        all_want && wanted.all(|want| want == first)
    }

    /// Whether any update changes the scalar's value.
    fn changes(&self, node: NodeId) -> bool {
        let value = self.tree.scalar(node).map_or("", |scalar| scalar.value);
        let wanted = self.scalars[&node].updates().filter_map(|index| self.wants[index].get(&node));
        wanted.flatten().any(|want| &value[want.range.clone()] != want.text)
    }

    /// What to say to an update that shares a scalar with someone who does not want the same.
    fn conflict(&self, node: NodeId, index: usize) -> (Status, String) {
        let shared = &self.scalars[&node];
        let own = self.updates[index].container;
        let other = shared
            .users
            .iter()
            .map(|user| &self.containers[user.container])
            .find(|other| !std::ptr::eq(*other, own))
            .unwrap_or(own);
        if shared.via_alias || other.workload != own.workload || self.is_repeated(node) {
            let reason = format!(
                "its scalar is shared by an anchor with the container `{}` of `{}`, which does not get the same tag",
                other.name, other.workload.id
            );
            return (Status::SharedAnchor, reason);
        }
        let reason = format!("its tag is also that of the container `{}`, which does not get the same one", other.name);
        (Status::SharedTag, reason)
    }

    /// Whether the scalar stands in a mapping or list that an alias repeats.
    fn is_repeated(&self, node: NodeId) -> bool {
        let repeated = self.repeated.get_or_init(|| {
            let tree = self.tree;
            let nodes = tree.documents().iter().flat_map(|document| tree.nodes_of(document));
            let aliases = nodes.filter(|node| tree.kind(*node) == Kind::Alias).map(|alias| tree.resolve(alias));
            let collections = aliases.filter(|target| tree.kind(*target) != Kind::Scalar);
            Regions::outermost(collections.map(|target| tree.span(target)).collect())
        });
        repeated.hold(self.tree.span(node).start)
    }

    /// Makes the splices, and the text with them.
    fn write(mut self) -> Edited {
        let mut splices = BTreeMap::new();
        for node in self.scalars.keys().copied().collect::<Vec<_>>() {
            if !self.changes(node) {
                continue;
            }
            match self.splice(node) {
                Ok(splice) => {
                    splices.insert(node, splice);
                }
                Err(reason) => {
                    for index in self.scalars[&node].updates().collect::<Vec<_>>() {
                        self.refuse(index, Status::EditRefused, reason.clone());
                    }
                }
            }
        }
        for attempt in 0..=RETRIES {
            self.settle();
            splices.retain(|node, _| self.scalars[node].updates().any(|index| self.refused[index].is_none()));
            let changes: Vec<&Splice> = splices.values().collect();
            if changes.is_empty() {
                break;
            }
            let mismatch = match splice(self.tree.text(), &changes) {
                Ok(verified) => return self.edited(verified.into_text(), splices.keys().copied().collect()),
                Err(mismatch) => mismatch,
            };
            // The change before the first difference is at fault; if that does not mend it in a few rounds, no one
            // knows what is, and nothing is written.
            let blamed = splices.iter().rev().find(|(_, splice)| splice.range.start <= mismatch.at);
            let blamed = blamed.or_else(|| splices.iter().next()).map(|(node, _)| *node);
            let all = attempt + 1 >= RETRIES;
            let guilty: Vec<NodeId> = splices.keys().copied().filter(|node| all || Some(*node) == blamed).collect();
            for index in guilty.iter().flat_map(|node| self.scalars[node].updates()).collect::<Vec<_>>() {
                let reason = format!("the edited file would not read as intended: {}", mismatch.reason);
                self.refuse(index, Status::EditRefused, reason);
            }
        }
        let text = self.tree.text().to_owned();
        self.edited(text, Vec::new())
    }

    /// The change of one scalar that all its updates want.
    fn splice(&self, node: NodeId) -> Result<Splice, String> {
        let scalar = self.tree.scalar(node).ok_or("its place in the file is not known")?;
        if self.keys.get_or_init(|| parts_of_keys(self.tree)).hold(self.tree.span(node).start) {
            return Err("an alias makes it the key of a mapping too, and keys must stay; write that key out".into());
        }
        let quoting = match scalar.style {
            Style::Plain => Quoting::Plain,
            Style::SingleQuoted => Quoting::Single,
            Style::DoubleQuoted => Quoting::Double,
            Style::Literal | Style::Folded => return Err("it is a block scalar; write it on one line".into()),
        };
        let plain = match scalar.tag {
            None if self.is_in_json(node) => Plain::Quoted,
            None => Plain::QuotedWhereNeeded,
            Some(CoreType::Str) => Plain::Stays,
            Some(_) => return Err("it has a YAML tag that says it is no string".into()),
        };
        let wants = self.scalars[&node].updates().find_map(|index| self.wants[index].get(&node));
        let parts: Vec<Part<'_>> = wants
            .into_iter()
            .flatten()
            .filter(|want| &scalar.value[want.range.clone()] != want.text)
            .map(|want| Part { range: want.range.clone(), text: want.text })
            .collect();
        let range = self.tree.span(node);
        let source = self.tree.text().get(range.clone()).ok_or("its place in the file is not known")?;
        let rewritten = rewrite(source, quoting, plain, scalar.value, &parts)?;
        Ok(Splice { range, text: rewritten.source, meaning: Meaning::Value(rewritten.value) })
    }

    /// Whether the value stands in JSON: in brackets all through, behind a key in double quotes.
    fn is_in_json(&self, node: NodeId) -> bool {
        let tree = self.tree;
        let root = tree.document_of(node).and_then(|document| document.root);
        let before = tree.text().get(..tree.span(node).start).and_then(|text| text.trim_end().strip_suffix(':'));
        root.and_then(|root| tree.layout(root)) == Some(Layout::Flow)
            && before.is_some_and(|before| before.trim_end().ends_with('"'))
    }

    fn edited(self, text: String, changed: Vec<NodeId>) -> Edited {
        let also_changed = self.also_changed(&changed);
        let mut edited = Edited { text, applied: Vec::new(), refused: Vec::new(), also_changed };
        for (index, refused) in self.refused.into_iter().enumerate() {
            match refused {
                None => edited.applied.push(index),
                Some((status, reason)) => edited.refused.push(Refused { index, status, reason }),
            }
        }
        edited
    }

    fn also_changed(&self, changed: &[NodeId]) -> Vec<AlsoChanged> {
        let own: HashSet<NodeId> = self.containers.iter().flat_map(|container| container.reference.to_vec()).collect();
        let shared: Vec<NodeId> = changed.iter().copied().filter(|node| self.scalars[node].users.len() > 1).collect();
        // An alias of a mapping brings a container where a second one uses a scalar through it; that one has agreed
        // and has a change of its own.
        let brings_container = |target: NodeId| {
            let span = self.tree.span(target);
            let inside = shared.get(shared.partition_point(|node| *node < target));
            self.tree.kind(target) != Kind::Scalar && inside.is_some_and(|node| self.tree.span(*node).end <= span.end)
        };
        let mut rest = changed;
        let mut found = Vec::new();
        while let Some(document) = rest.first().and_then(|node| self.tree.document_of(*node)) {
            let here = rest.partition_point(|node| self.tree.span(*node).start < document.bytes.end).max(1);
            let (now, later) = rest.split_at(here);
            rest = later;
            for follower in followers(self.tree, document, now) {
                if !own.contains(&follower.alias) && !brings_container(follower.target) {
                    let (line, column) = self.tree.position(follower.alias);
                    found.push(AlsoChanged { line, column, path: follower.path });
                }
            }
        }
        found
    }
}
