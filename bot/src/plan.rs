//! What should be proposed: from what the scan saw and what people decided to the pull requests that are wanted.
//!
//! Pure. Knows no forge, no store, no registry and no clock. Owns the identity of a pull request (its key, its
//! branch), the print of its content, and what people decided about it. Invariant: the same input gives the same plan,
//! in the same order.
//!
//! What people decided is kept where they decided it ([`crate::render`]): for one pull request in its own
//! hidden marker, for a whole repository in that of the dashboard issue. Here it only counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::repository::RepositoryConfig;

/// The folder of refs that all branches of Leadsman live in.
pub const BRANCH_PREFIX: &str = "leadsman/";

/// The longest slug in a branch name, in bytes.
const MAX_SLUG: usize = 60;

/// What a pull request is about: one workload of one file. The same workload in another file is another key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The file, from the root of the repository, with `/`.
    pub path: String,
    /// The workload's id, `<namespace>:<kind>/<name>` (S1.5).
    pub workload: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.workload, self.path)
    }
}

/// A branch of Leadsman, without `refs/heads/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch(String);

impl Branch {
    /// The branch that holds the update of `key` for the branch `base`: a readable part, and eight hexadecimal
    /// digits that differ for every base and key.
    #[must_use]
    pub fn of(base: &str, key: &Key) -> Self {
        let id = key.workload.split_once(':').unwrap_or(("", &key.workload));
        let name = id.1.rsplit_once('/').map_or(id.1, |(_, name)| name);
        let mut slug = String::new();
        for c in format!("{}-{name}", id.0).chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == MAX_SLUG {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        let slug = if slug.is_empty() { "workload" } else { slug };
        let hash = Sha256::digest([base, "workload", &key.path, &key.workload].join("\0"));
        Self(format!("{BRANCH_PREFIX}{slug}-{}", &hex(&hash)[..8]))
    }

    /// The branch's name, `leadsman/…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an image is at: its tag, and its digest where the file pins one (S2.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The tag.
    pub tag: String,
    /// `sha256:…`, where the file holds one.
    pub digest: Option<String>,
}

/// One container's step from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change {
    /// The number of the document in its file, from 0.
    pub document: usize,
    /// The container (S2.1).
    pub container: String,
    /// The canonical name of its image.
    pub image: String,
    /// What the base has.
    pub from: Version,
    /// What is proposed.
    pub to: Version,
}

/// What a step from one version to another is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The third number.
    Patch,
    /// The second number.
    Minor,
    /// The first number.
    Major,
}

impl Level {
    /// The level as texts and configuration write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

/// The level of a step, by the first number that differs; none where a tag is no version, or no number differs.
#[must_use]
pub fn level(from: &Version, to: &Version) -> Option<Level> {
    let (from, to) = (version_numbers(&from.tag)?, version_numbers(&to.tag)?);
    let differs = from.iter().zip(to).position(|(from, to)| *from != to)?;
    Some([Level::Major, Level::Minor, Level::Patch][differs])
}

/// The first three numbers of a version, missing ones being 0; none where the tag is no version by its numbers.
pub(crate) fn version_numbers(tag: &str) -> Option<[u64; 3]> {
    let core = tag.strip_prefix('v').unwrap_or(tag).split(['-', '+']).next()?;
    let mut numbers = [0; 3];
    let parts: Vec<_> = core.split('.').collect();
    if parts.len() > numbers.len() {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    Some(numbers)
}

/// The print of what a commit changes: path, container, from, to and digest of each change, in any order. Two
/// commits with one print make the same proposal, whatever base they stand on.
#[must_use]
pub fn content_print(path: &str, changes: &[Change]) -> String {
    let mut lines: Vec<_> = changes
        .iter()
        .map(|change| {
            let Change { document: _, container, image: _, from, to } = change;
            let digest = |version: &Version| version.digest.clone().unwrap_or_default();
            [path, container, &from.tag, &digest(from), &to.tag, &digest(to)].join("\0")
        })
        .collect();
    lines.sort_unstable();
    hex(&Sha256::digest(lines.join("\n")))[..32].to_owned()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is known of a chosen image beyond its tag, for people to judge by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The filter that chose it, as written.
    pub filter: String,
    /// When the image was made, RFC 3339 in UTC.
    pub created: Option<String>,
    /// The digest that the tag points at.
    pub digest: Option<String>,
    /// `org.opencontainers.image.source` of the image.
    pub source: Option<String>,
    /// `org.opencontainers.image.revision` of the image.
    pub revision: Option<String>,
    /// The same of the image that the base has, if it comes from the same source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<String>,
    /// Flags beside the status (S6), as outputs write them.
    pub flags: Vec<String>,
    /// Tags that come before the choice and were not taken, with the reason, nearest to the choice first.
    pub passed_over: Vec<PassedOver>,
}

/// A tag that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The tag.
    pub tag: String,
    /// Why it was not taken.
    pub why: String,
}

/// What the scan says of one container of an automated workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The file and workload.
    pub key: Key,
    /// The number of the document in its file, from 0.
    pub document: usize,
    /// The container (S2.1).
    pub container: String,
    /// What the base has; none where the reference has no tag or cannot be parsed.
    pub current: Option<Version>,
    /// What is to be done.
    pub outlook: Outlook,
}

/// What is to be done about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// There is a newer version, and it can be written.
    Update(Box<Proposed>),
    /// Nothing is to be done, for a lasting reason.
    Settled(String),
    /// It cannot be told this time; what was proposed before stays.
    Unknown(String),
}

/// A change with what people judge it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The step.
    pub change: Change,
    /// What people judge it by.
    pub evidence: Evidence,
}

/// What became of earlier proposals for one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What the open pull request proposes: it stands in for containers that cannot be looked up this time.
    pub open: Vec<Proposed>,
    /// Changes of pull requests that people closed: these versions are not proposed again.
    pub declined: Vec<Change>,
    /// Changes of the pull request that was merged last: if the base is back at `from`, people reverted it.
    pub merged: Vec<Change>,
    /// What people decided about the pull request.
    pub decisions: PullDecisions,
    /// Why the content of the open pull request is not to change, such as a merge that was asked for (C3.1).
    pub frozen: Option<String>,
}

/// What people do not want to be proposed (C2, `/ignore`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ignore {
    /// What of it.
    pub scope: Scope,
    /// The canonical name of the image; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The container; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The moment from which it counts no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who decided it, by the name on the forge.
    pub by: String,
    /// Why, as they wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What of an image is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This version.
    This(Version),
    /// Steps of this level, and of no other.
    Patch,
    /// Steps of this level, and of no other.
    Minor,
    /// Steps of this level, and of no other.
    Major,
    /// Everything.
    Image,
}

impl Ignore {
    /// Whether it speaks against this change at this time.
    #[must_use]
    pub fn applies(&self, change: &Change, now: Timestamp) -> bool {
        let Self { scope, image, container, until, by: _, reason: _ } = self;
        let is = |wanted: Level| level(&change.from, &change.to) == Some(wanted);
        until.is_none_or(|until| now < until)
            && image.as_ref().is_none_or(|image| *image == change.image)
            && container.as_ref().is_none_or(|container| *container == change.container)
            && match scope {
                Scope::This(version) => *version == change.to,
                Scope::Patch => is(Level::Patch),
                Scope::Minor => is(Level::Minor),
                Scope::Major => is(Level::Major),
                Scope::Image => true,
            }
    }

    /// The decision in words: `ignored until 2027-01-31 by ada: too early`.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match &self.scope {
            Scope::This(version) => format!("`{}` is ignored", version.tag),
            Scope::Patch => "patch updates are ignored".into(),
            Scope::Minor => "minor updates are ignored".into(),
            Scope::Major => "major updates are ignored".into(),
            Scope::Image => "the image is ignored".into(),
        };
        format!("{what}{}", by_whom(self.until, &self.by, self.reason.as_deref()))
    }
}

/// No merging and no moving of one pull request (C2, `/hold`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The moment from which it counts no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who decided it, by the name on the forge.
    pub by: String,
    /// Why, as they wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Hold {
    /// Whether it counts at this time.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The decision in words: `held until 2027-01-31 by ada: too early`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("held{}", by_whom(self.until, &self.by, self.reason.as_deref()))
    }
}

/// Nothing is opened, moved or merged in a repository (C2, `/pause`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Who decided it, by the name on the forge.
    pub by: String,
    /// Why, as they wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub since: Timestamp,
}

impl Pause {
    /// The decision in words: `paused by ada: freeze`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("paused{}", by_whom(None, &self.by, self.reason.as_deref()))
    }
}

fn by_whom(until: Option<Timestamp>, by: &str, reason: Option<&str>) -> String {
    let until = until.map(|until| format!(" until {}", until.strftime("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{until} by `{by}`{reason}")
}

/// What people decided about a whole repository: kept in the marker of its dashboard issue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryDecisions {
    /// What is not proposed anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignores: Vec<Ignore>,
    /// Whether everything rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
}

/// What people decided about one pull request: kept in its own marker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PullDecisions {
    /// What is not proposed for this workload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignores: Vec<Ignore>,
    /// Whether it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

/// What a plan goes by besides what was seen.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The configuration of the repository.
    pub config: &'a RepositoryConfig,
    /// What people decided about the repository.
    pub decisions: &'a RepositoryDecisions,
    /// How many pull requests were opened on this day in UTC, for the limit per day.
    pub opened_today: u32,
    /// The time that counts as now.
    pub now: Timestamp,
}

/// What is wanted for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A pull request with these changes, in order of the documents and containers, never empty.
    Propose(Vec<Proposed>),
    /// No pull request: there is nothing newer, or nothing that may be written.
    Nothing(String),
    /// No pull request, because people declined, reverted or ignored what is newer, or because of a limit.
    Declined(String),
    /// It cannot be told this time, so nothing is to be changed.
    Unknown(String),
}

/// Turns what the scan saw into what is wanted, one intent per workload of each file.
///
/// Only `unreadable` files can be missing from `observed` without meaning that their workloads are gone: the caller
/// treats keys of other files that are not in the plan as gone.
#[must_use]
pub fn plan(observed: Vec<Observed>, memories: &BTreeMap<Key, Memory>) -> BTreeMap<Key, Intent> {
    planned(observed, memories, None)
}

/// The same by the rules of the repository: what is not selected by `paths` is not in the plan, what is ignored is not
/// proposed, a paused repository keeps what it has, and limits hold back new pull requests in the order of their keys.
/// A pull request that is held or frozen keeps its content.
#[must_use]
pub fn plan_by(observed: Vec<Observed>, memories: &BTreeMap<Key, Memory>, rules: &Rules<'_>) -> BTreeMap<Key, Intent> {
    let mut plan = planned(observed, memories, Some(rules));
    let is_open = |key: &Key| memories.get(key).is_some_and(|memory| !memory.open.is_empty());
    if let Some(pause) = &rules.decisions.pause {
        for (key, intent) in &mut plan {
            let reason = pause.words();
            match intent {
                _ if is_open(key) => *intent = Intent::Unknown(reason),
                Intent::Propose(_) => *intent = Intent::Declined(reason),
                Intent::Nothing(_) | Intent::Declined(_) | Intent::Unknown(_) => {}
            }
        }
        return plan;
    }
    let crate::config::repository::Limits { open, per_day } = rules.config.limits;
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    // Open ones count unless the plan closes them.
    let stays = |key: &Key| matches!(plan.get(key), Some(Intent::Propose(_) | Intent::Unknown(_)));
    let standing = count(memories.keys().filter(|key| is_open(key) && stays(key)).count());
    let mut opened = 0_u32;
    for (key, intent) in &mut plan {
        if !matches!(intent, Intent::Propose(_)) || is_open(key) {
            continue;
        }
        let full = open.filter(|limit| standing.saturating_add(opened) >= *limit);
        let spent = per_day.filter(|limit| rules.opened_today.saturating_add(opened) >= *limit);
        match (full, spent) {
            (Some(limit), _) => {
                *intent = Intent::Declined(format!("{limit} pull requests are open, as many as `limits.open` allows"));
            }
            (None, Some(limit)) => {
                let reason = format!("{limit} pull requests were opened today, as many as `limits.per_day` allows");
                *intent = Intent::Declined(reason);
            }
            (None, None) => opened += 1,
        }
    }
    plan
}

fn planned(
    observed: Vec<Observed>,
    memories: &BTreeMap<Key, Memory>,
    rules: Option<&Rules<'_>>,
) -> BTreeMap<Key, Intent> {
    let mut groups: BTreeMap<Key, Vec<Observed>> = BTreeMap::new();
    let selected = |path: &str| rules.is_none_or(|rules| rules.config.selects(path));
    for container in observed.into_iter().filter(|container| selected(&container.key.path)) {
        groups.entry(container.key.clone()).or_default().push(container);
    }
    let none = Memory::default();
    groups
        .into_iter()
        .map(|(key, containers)| {
            let memory = memories.get(&key).unwrap_or(&none);
            let intent = intent(&key, containers, memory, rules);
            (key, intent)
        })
        .collect()
}

fn intent(key: &Key, mut containers: Vec<Observed>, memory: &Memory, rules: Option<&Rules<'_>>) -> Intent {
    containers.sort_by_key(|container| container.document);
    let frozen = memory.frozen.is_some()
        || rules.is_some_and(|rules| memory.decisions.hold.as_ref().is_some_and(|hold| hold.counts(rules.now)));
    let mut proposed = Vec::new();
    let (mut settled, mut declined, mut unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for Observed { key: _, document, container, current, outlook } in containers {
        // What is open already, as long as it still starts from what the base has.
        let standing = || {
            let is_standing = |open: &&Proposed| {
                open.change.document == document
                    && open.change.container == container
                    && Some(&open.change.from) == current.as_ref()
            };
            memory.open.iter().find(is_standing).cloned()
        };
        match outlook {
            Outlook::Update(_) if frozen && !memory.open.is_empty() => proposed.extend(standing()),
            Outlook::Update(one) => match refusal(key, &one.change, memory, rules) {
                Some(why) => drop(declined.insert(format!("`{container}`: {why}"))),
                None => proposed.push(*one),
            },
            Outlook::Settled(why) => drop(settled.insert(format!("`{container}`: {why}"))),
            Outlook::Unknown(why) => {
                // Half a picture neither shrinks a pull request nor holds up the half that is known.
                proposed.extend(standing());
                unknown.insert(format!("`{container}`: {why}"));
            }
        }
    }
    let join = |reasons: BTreeSet<String>| reasons.into_iter().collect::<Vec<_>>().join("; ");
    if !proposed.is_empty() {
        Intent::Propose(proposed)
    } else if !unknown.is_empty() {
        Intent::Unknown(join(unknown))
    } else if !declined.is_empty() {
        Intent::Declined(join(declined))
    } else {
        Intent::Nothing(join(settled))
    }
}

/// Why people do not want this change.
fn refusal(key: &Key, change: &Change, memory: &Memory, rules: Option<&Rules<'_>>) -> Option<String> {
    if let Some(rules) = rules {
        if let Some(why) = rules.config.ignores(key, change, rules.now) {
            return Some(why);
        }
        let mut ignores = memory.decisions.ignores.iter().chain(&rules.decisions.ignores);
        if let Some(ignore) = ignores.find(|ignore| ignore.applies(change, rules.now)) {
            return Some(ignore.words());
        }
    }
    let same = |other: &&Change| other.container == change.container && other.to == change.to;
    if memory.declined.iter().any(|other| same(&other)) {
        return Some(format!("`{}` was closed by a person, waiting for a newer version", change.to.tag));
    }
    let reverted = memory.merged.iter().find(same).is_some_and(|merged| merged.from == change.from);
    reverted.then(|| format!("`{}` was merged and reverted, waiting for a newer version", change.to.tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(tag: &str) -> Version {
        Version { tag: tag.into(), digest: None }
    }

    fn change(container: &str, from: &str, to: &str) -> Change {
        Change {
            document: 0,
            container: container.into(),
            image: "docker.io/library/app".into(),
            from: version(from),
            to: version(to),
        }
    }

    fn key(path: &str) -> Key {
        Key { path: path.into(), workload: "dev:helmrelease/app".into() }
    }

    fn observed(container: &str, outlook: Outlook) -> Observed {
        Observed { key: key("a.yaml"), document: 0, container: container.into(), current: None, outlook }
    }

    fn update(container: &str, from: &str, to: &str) -> Observed {
        let change = change(container, from, to);
        observed(container, Outlook::Update(Box::new(Proposed { change, evidence: Evidence::default() })))
    }

    fn only(observed: Vec<Observed>, memory: Memory) -> Intent {
        let memories = BTreeMap::from([(key("a.yaml"), memory)]);
        plan(observed, &memories).into_values().next().unwrap()
    }

    #[test]
    fn branches_differ_by_base_path_and_workload() {
        let branch = Branch::of("main", &key("clusters/staging/app.yaml"));
        assert!(branch.as_str().starts_with("leadsman/dev-app-"), "{branch}");
        assert_eq!(branch.as_str().len(), "leadsman/dev-app-".len() + 8);
        assert_ne!(branch, Branch::of("release", &key("clusters/staging/app.yaml")));
        assert_ne!(branch, Branch::of("main", &key("clusters/production/app.yaml")));
        assert_eq!(branch, Branch::of("main", &key("clusters/staging/app.yaml")));
    }

    #[test]
    fn branch_names_hold_nothing_hostile() {
        for name in ["", "..", "@{x}", "a b\n~^:?*[\\", "\u{202e}", "ÄÖÜ", "-", &"x".repeat(300), "a.lock", "/"] {
            let key = Key { path: "p".into(), workload: format!("{name}:helmrelease/{name}") };
            let branch = Branch::of("main", &key);
            let slug = branch.as_str().strip_prefix(BRANCH_PREFIX).unwrap();
            assert!(slug.len() <= MAX_SLUG + 9, "{slug}");
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{slug}");
            assert!(!slug.starts_with('-'), "{slug}");
        }
    }

    #[test]
    fn the_content_print_knows_no_order_and_every_part() {
        let (a, b) = (change("a", "1", "2"), change("b", "1", "2"));
        let print = content_print("x.yaml", &[a.clone(), b.clone()]);
        assert_eq!(print, content_print("x.yaml", &[b.clone(), a.clone()]));
        assert_ne!(print, content_print("y.yaml", &[a.clone(), b.clone()]));
        assert_ne!(print, content_print("x.yaml", std::slice::from_ref(&a)));
        let mut pinned = a.clone();
        pinned.to.digest = Some("sha256:00".into());
        assert_ne!(print, content_print("x.yaml", &[pinned, b.clone()]));
        assert_ne!(print, content_print("x.yaml", &[change("a", "0", "2"), b]));
    }

    #[test]
    fn a_workload_has_one_proposal_of_all_its_updates() {
        let settled = observed("c", Outlook::Settled("current".into()));
        let Intent::Propose(proposed) =
            only(vec![update("a", "1", "2"), update("b", "1", "3"), settled], Memory::default())
        else {
            panic!("nothing proposed")
        };
        let to: Vec<_> = proposed.iter().map(|p| p.change.to.tag.as_str()).collect();
        assert_eq!(to, ["2", "3"]);
    }

    #[test]
    fn half_a_picture_neither_shrinks_nor_holds_up_a_proposal() {
        let unknown = || Observed {
            current: Some(version("1")),
            ..observed("b", Outlook::Unknown("`a.io` does not answer".into()))
        };
        assert_eq!(only(vec![unknown()], Memory::default()), Intent::Unknown("`b`: `a.io` does not answer".into()));

        let open = |from| Memory {
            open: vec![Proposed { change: change("b", from, "2"), evidence: Evidence::default() }],
            ..Memory::default()
        };
        let containers = |memory| match only(vec![update("a", "1", "2"), unknown()], memory) {
            Intent::Propose(proposed) => proposed.into_iter().map(|p| p.change.container).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(containers(Memory::default()), ["a"]);
        assert_eq!(containers(open("1")), ["a", "b"]);
        // What it stands on is gone from the base.
        assert_eq!(containers(open("0")), ["a"]);
    }

    #[test]
    fn what_a_person_closed_waits_for_a_newer_version() {
        let memory = Memory { declined: vec![change("a", "1", "2")], ..Memory::default() };
        assert!(matches!(only(vec![update("a", "1", "2")], memory.clone()), Intent::Declined(_)));
        // Also when the base moved on by hand meanwhile.
        assert!(matches!(only(vec![update("a", "1.5", "2")], memory.clone()), Intent::Declined(_)));
        assert!(matches!(only(vec![update("a", "1", "3")], memory.clone()), Intent::Propose(_)));
        // Only the container it was about.
        let Intent::Propose(proposed) = only(vec![update("a", "1", "2"), update("b", "1", "2")], memory) else {
            panic!("nothing proposed")
        };
        assert_eq!(proposed.len(), 1);
        assert_eq!(proposed[0].change.container, "b");
    }

    #[test]
    fn what_was_reverted_waits_for_a_newer_version() {
        let memory = Memory { merged: vec![change("a", "1", "2")], ..Memory::default() };
        assert!(matches!(only(vec![update("a", "1", "2")], memory.clone()), Intent::Declined(_)));
        assert!(matches!(only(vec![update("a", "1", "3")], memory.clone()), Intent::Propose(_)));
        // From elsewhere than what was merged it is an update like any other.
        assert!(matches!(only(vec![update("a", "0", "2")], memory), Intent::Propose(_)));
    }

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn by_rules(
        observed: Vec<Observed>,
        memories: &BTreeMap<Key, Memory>,
        config: &str,
        decisions: &RepositoryDecisions,
        opened_today: u32,
    ) -> BTreeMap<Key, Intent> {
        let config = RepositoryConfig::parse(config).unwrap();
        plan_by(observed, memories, &Rules { config: &config, decisions, opened_today, now: now() })
    }

    /// Updates of one workload in each of so many files.
    fn fleet(count: usize) -> Vec<Observed> {
        (0..count).map(|n| Observed { key: key(&format!("{n}.yaml")), ..update("a", "1", "2") }).collect()
    }

    fn open() -> Memory {
        let change = change("a", "1", "2");
        Memory { open: vec![Proposed { change, evidence: Evidence::default() }], ..Memory::default() }
    }

    fn words(plan: &BTreeMap<Key, Intent>) -> Vec<&'static str> {
        plan.values()
            .map(|intent| match intent {
                Intent::Propose(_) => "propose",
                Intent::Nothing(_) => "nothing",
                Intent::Declined(_) => "declined",
                Intent::Unknown(_) => "unknown",
            })
            .collect()
    }

    #[test]
    fn without_rules_of_its_own_a_repository_has_the_plain_plan() {
        let (none, decisions) = (BTreeMap::new(), RepositoryDecisions::default());
        assert_eq!(by_rules(fleet(3), &none, "", &decisions, 99), plan(fleet(3), &none));
    }

    #[test]
    fn files_that_are_not_selected_are_not_in_the_plan() {
        let (none, decisions) = (BTreeMap::new(), RepositoryDecisions::default());
        let plan = by_rules(fleet(3), &none, "paths: {exclude: [1.yaml]}", &decisions, 0);
        assert_eq!(plan.keys().map(|key| &*key.path).collect::<Vec<_>>(), ["0.yaml", "2.yaml"]);
    }

    #[test]
    fn limits_hold_back_new_pull_requests_only() {
        let decisions = RepositoryDecisions::default();
        let memories = BTreeMap::from([(key("2.yaml"), open())]);
        let open = by_rules(fleet(4), &memories, "limits: {open: 2}", &decisions, 0);
        assert_eq!(words(&open), ["propose", "declined", "propose", "declined"]);
        assert_eq!(
            open[&key("1.yaml")],
            Intent::Declined("2 pull requests are open, as many as `limits.open` allows".into())
        );
        let daily = by_rules(fleet(4), &memories, "limits: {per_day: 3}", &decisions, 2);
        assert_eq!(words(&daily), ["propose", "declined", "propose", "declined"]);
        let spent = by_rules(fleet(4), &memories, "limits: {per_day: 3}", &decisions, 7);
        assert_eq!(words(&spent), ["declined", "declined", "propose", "declined"]);
        // One that the plan closes takes no place.
        let mut closing = fleet(2);
        closing[0].outlook = Outlook::Settled("current".into());
        let memories = BTreeMap::from([(key("0.yaml"), self::open())]);
        let open = by_rules(closing, &memories, "limits: {open: 1}", &decisions, 0);
        assert_eq!(words(&open), ["nothing", "propose"]);
    }

    #[test]
    fn a_paused_repository_keeps_what_it_has_c2() {
        let pause = Pause { by: "ada".into(), reason: Some("freeze".into()), since: now() };
        let decisions = RepositoryDecisions { pause: Some(pause), ..RepositoryDecisions::default() };
        let memories = BTreeMap::from([(key("1.yaml"), open())]);
        let mut observed = fleet(3);
        observed[2].outlook = Outlook::Settled("current".into());
        let plan = by_rules(observed.clone(), &memories, "", &decisions, 0);
        assert_eq!(words(&plan), ["declined", "unknown", "nothing"]);
        assert_eq!(plan[&key("1.yaml")], Intent::Unknown("paused by `ada`: freeze".into()));
        // Nor is anything closed.
        observed[1].outlook = Outlook::Settled("current".into());
        assert_eq!(words(&by_rules(observed, &memories, "", &decisions, 0))[1], "unknown");
    }

    #[test]
    fn a_hold_and_a_merge_that_was_asked_for_freeze_the_content_c2_c3_1() {
        let hold = |until: &str| Hold { until: Some(until.parse().unwrap()), by: "ada".into(), reason: None };
        let held = |until| Memory {
            decisions: PullDecisions { hold: Some(hold(until)), ..PullDecisions::default() },
            ..open()
        };
        let frozen = Memory { frozen: Some("a merge was asked for".into()), ..open() };
        let newer = || vec![Observed { current: Some(version("1")), ..update("a", "1", "3") }];
        for (memory, to) in
            [(open(), "3"), (held("2026-06-02T00:00:00Z"), "2"), (held("2026-05-01T00:00:00Z"), "3"), (frozen, "2")]
        {
            let memories = BTreeMap::from([(key("a.yaml"), memory)]);
            let plan = by_rules(newer(), &memories, "", &RepositoryDecisions::default(), 0);
            let Intent::Propose(proposed) = &plan[&key("a.yaml")] else { panic!("{plan:?}") };
            assert_eq!(proposed[0].change.to.tag, to);
        }
    }

    #[test]
    fn ignores_hold_back_what_they_are_about_c2() {
        let ignore = |scope| Ignore {
            scope,
            image: None,
            container: None,
            until: None,
            by: "ada".into(),
            reason: Some("too early".into()),
        };
        let step = change("a", "1.0.0", "1.1.0");
        for (ignore, applies) in [
            (ignore(Scope::This(version("1.1.0"))), true),
            (ignore(Scope::This(version("1.2.0"))), false),
            (ignore(Scope::Minor), true),
            (ignore(Scope::Patch), false),
            (ignore(Scope::Major), false),
            (ignore(Scope::Image), true),
            (Ignore { image: Some(step.image.clone()), ..ignore(Scope::Image) }, true),
            (Ignore { image: Some("other".into()), ..ignore(Scope::Image) }, false),
            (Ignore { container: Some("a".into()), ..ignore(Scope::Image) }, true),
            (Ignore { container: Some("b".into()), ..ignore(Scope::Image) }, false),
            (Ignore { until: Some(now()), ..ignore(Scope::Image) }, false),
            (Ignore { until: "2026-06-01T12:00:01Z".parse().ok(), ..ignore(Scope::Image) }, true),
        ] {
            assert_eq!(ignore.applies(&step, now()), applies, "{ignore:?}");
            // From the pull request and from the repository alike.
            let mine = PullDecisions { ignores: vec![ignore.clone()], ..PullDecisions::default() };
            let memories = BTreeMap::from([(key("a.yaml"), Memory { decisions: mine, ..Memory::default() })]);
            let everywhere = RepositoryDecisions { ignores: vec![ignore], ..RepositoryDecisions::default() };
            let observed = || vec![update("a", "1.0.0", "1.1.0")];
            let wanted = if applies { "declined" } else { "propose" };
            assert_eq!(words(&by_rules(observed(), &memories, "", &RepositoryDecisions::default(), 0)), [wanted]);
            assert_eq!(words(&by_rules(observed(), &BTreeMap::new(), "", &everywhere, 0)), [wanted]);
        }
        let by_file = by_rules(
            vec![update("a", "1.0.0", "1.1.0")],
            &BTreeMap::new(),
            "ignore: [{levels: [minor]}]",
            &RepositoryDecisions::default(),
            0,
        );
        let reason = "`a`: `1.1.0` is ignored by `.leadsman.yaml`";
        assert_eq!(by_file[&key("a.yaml")], Intent::Declined(reason.into()));
    }

    #[test]
    fn decisions_read_back_as_they_were_written() {
        let until = Some(now());
        let decisions = PullDecisions {
            ignores: vec![
                Ignore {
                    scope: Scope::This(Version { tag: "1".into(), digest: Some("sha256:00".into()) }),
                    image: Some("q.io/a".into()),
                    container: Some("a".into()),
                    until,
                    by: "ada".into(),
                    reason: Some("x".into()),
                },
                Ignore { scope: Scope::Major, image: None, container: None, until: None, by: "b".into(), reason: None },
            ],
            hold: Some(Hold { until, by: "ada".into(), reason: None }),
        };
        let json = serde_json::to_string(&decisions).unwrap();
        assert_eq!(serde_json::from_str::<PullDecisions>(&json).unwrap(), decisions);
        assert_eq!(serde_json::to_string(&PullDecisions::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<PullDecisions>(r#"{"holds": null}"#).is_err());
    }

    #[test]
    fn levels_are_those_of_the_first_number_that_differs() {
        for (from, to, wanted) in [
            ("1.2.3", "2.0.0", Some(Level::Major)),
            ("v1.2.3", "1.3", Some(Level::Minor)),
            ("1.2.3-alpine", "1.2.4-alpine", Some(Level::Patch)),
            ("1.2.3-r1", "1.2.3-r2", None),
            ("main-abc", "main-def", None),
            ("1.2.3.4", "1.2.3.5", None),
        ] {
            assert_eq!(level(&version(from), &version(to)), wanted, "{from} {to}");
        }
    }
}
