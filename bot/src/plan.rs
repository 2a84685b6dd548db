//! What should be proposed: from what the scan saw and what people decided to the pull requests that are wanted.
//!
//! Pure. Knows no forge, no store, no registry and no clock. Owns the identity of a pull request (its key, its
//! branch) and the print of its content. Invariant: the same input gives the same plan, in the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
}

/// What is wanted for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A pull request with these changes, in order of the documents and containers, never empty.
    Propose(Vec<Proposed>),
    /// No pull request: there is nothing newer, or nothing that may be written.
    Nothing(String),
    /// No pull request, because people declined or reverted what is newer.
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
    let mut groups: BTreeMap<Key, Vec<Observed>> = BTreeMap::new();
    for container in observed {
        groups.entry(container.key.clone()).or_default().push(container);
    }
    let none = Memory::default();
    groups
        .into_iter()
        .map(|(key, containers)| {
            let intent = intent(containers, memories.get(&key).unwrap_or(&none));
            (key, intent)
        })
        .collect()
}

fn intent(mut containers: Vec<Observed>, memory: &Memory) -> Intent {
    containers.sort_by_key(|container| container.document);
    let mut proposed = Vec::new();
    let (mut settled, mut declined, mut unknown) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for Observed { key: _, document, container, current, outlook } in containers {
        match outlook {
            Outlook::Update(one) => match refusal(&one.change, memory) {
                Some(why) => drop(declined.insert(format!("`{container}`: {why}"))),
                None => proposed.push(*one),
            },
            Outlook::Settled(why) => drop(settled.insert(format!("`{container}`: {why}"))),
            Outlook::Unknown(why) => {
                // Half a picture neither shrinks a pull request nor holds up the half that is known.
                let standing = |open: &&Proposed| {
                    open.change.document == document
                        && open.change.container == container
                        && Some(&open.change.from) == current.as_ref()
                };
                proposed.extend(memory.open.iter().find(standing).cloned());
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
fn refusal(change: &Change, memory: &Memory) -> Option<String> {
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
}
