//! Pull requests: what is wanted against what is there, to actions with their reasons.
//!
//! This file is pure: [`settle`] says what became of the pull requests that were open, [`decide`] what to do next.
//! [`survey`] reads the branches that they judge by, [`adopt`] finds those that the store lost, [`execute`] carries out what they say.
//!
//! Invariants, by number, each with a test:
//!
//! 1. The same facts give the same decisions, and carried-out decisions give [`Action::Keep`] on the next look.
//! 2. A branch with a commit that is not ours is never moved and never deleted.
//! 3. A branch moves in one step from the head that the decision saw, or not at all.
//! 4. A crash between any two steps of the executor is mended by the next look: the store knows every head before a
//!    ref has it, and a pull request counts as closed by a person only after its branch was seen to exist.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use gix::ObjectId;

use crate::forge::PullState;
use crate::plan::{Branch, Change, Intent, Key, Memory, Observed, Proposed};

pub mod adopt;
pub mod execute;
pub mod survey;

/// What a pull request is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number within the repository, from 1.
    pub number: i64,
    /// What it is about.
    pub key: Key,
    /// Its branch.
    pub branch: String,
    /// Whether it is open, and how it ended if not.
    pub state: State,
    /// What it proposes.
    pub proposed: Vec<Proposed>,
    /// The print of its title and body.
    pub text_print: String,
    /// The head that its branch was last seen at; none before the branch was first seen to exist.
    pub head: Option<ObjectId>,
    /// Why it is being left alone, where it is.
    pub left_alone: Option<String>,
    /// Every head that we made for it.
    pub heads: BTreeMap<ObjectId, OurHead>,
}

impl Pull {
    fn changes(&self) -> impl Iterator<Item = &Change> {
        self.proposed.iter().map(|proposed| &proposed.change)
    }
}

/// A commit that we made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurHead {
    /// The commit that it stands on.
    pub base: ObjectId,
    /// The print of what it changes.
    pub content_print: String,
}

/// Whether a pull request is open, and how it ended if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for people.
    Open,
    /// The base has it.
    Merged,
    /// A person closed it: its versions are not proposed again.
    Declined,
    /// Leadsman closed it, because nothing is to be proposed any more.
    Closed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Open, Self::Merged, Self::Declined, Self::Closed];

    /// The state as store and outputs write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Declined => "declined",
            Self::Closed => "closed",
        }
    }
}

/// What the branch of a pull request is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// There is no such branch.
    Missing,
    /// A commit of ours, or a merge of the base into one.
    Ours {
        /// The head.
        id: ObjectId,
        /// The print of what our commit changes.
        content_print: String,
        /// Whether the file differs between the base that our commit stands on and the base now.
        outdated: bool,
    },
    /// Somebody else's commit.
    Foreign {
        /// The head.
        id: ObjectId,
    },
}

/// What the forge says of the branches of Leadsman.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// The head of each branch; one that is not in here is [`Head::Missing`].
    pub heads: BTreeMap<String, Head>,
    /// Commits that the base has and that the bases of our commits did not have.
    pub arrived: HashSet<ObjectId>,
    /// Branches that a work tree has checked out, and where.
    pub checked_out: BTreeMap<String, PathBuf>,
    /// What the forge says of the newest pull request of each branch; none where there is no forge but git itself.
    pub states: Option<BTreeMap<String, PullState>>,
}

impl Surveyed {
    /// Where the forge tells of pull requests: what it says of the newest one of `branch`.
    fn on_forge(&self, branch: &str) -> Option<Option<PullState>> {
        self.states.as_ref().map(|states| states.get(branch).copied())
    }

    fn head(&self, branch: &str) -> &Head {
        self.heads.get(branch).unwrap_or(&Head::Missing)
    }
}

/// What is wanted for one key, as people will read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The changes.
    pub proposed: Vec<Proposed>,
    /// Their print.
    pub content_print: String,
    /// The title.
    pub title: String,
    /// The body, with its hidden marker.
    pub body: String,
    /// The print of title and body.
    pub text_print: String,
    /// The message of the commit, with its trailer.
    pub message: String,
}

/// What to do about one pull request, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it is about.
    pub key: Key,
    /// Its branch.
    pub branch: String,
    /// Its number, unless it is to be opened.
    pub number: Option<i64>,
    /// What to do.
    pub action: Action,
    /// Why, in words for people.
    pub reason: String,
}

/// What to do about a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a new one. Its branch must be at `from`.
    Open {
        /// A leftover head of ours; none: the branch must not exist.
        from: Option<ObjectId>,
    },
    /// Build its branch anew, from `from` in one step.
    Move {
        /// Where the branch is; none: it was never made.
        from: Option<ObjectId>,
    },
    /// Change title and body; the branch is right.
    Describe {
        /// Where the branch is.
        head: ObjectId,
    },
    /// Nothing, but that the store may not know yet that the branch is at `head`.
    Keep {
        /// Where the branch is, if there is one of ours.
        head: Option<ObjectId>,
    },
    /// Nothing although something else is wanted, because people hold it: neither branch nor text.
    Hold {
        /// Where the branch is.
        head: ObjectId,
    },
    /// Nothing, because a person or a work tree has the branch.
    LeaveAlone,
    /// Open nothing, because people did not want it.
    HoldBack,
    /// It is over.
    Close {
        /// How it ended.
        state: State,
        /// The head of ours to delete the branch from, if it goes.
        delete: Option<ObjectId>,
    },
    /// A person brought its branch back.
    Reopen,
}

/// Says what became of each pull request since the last look: merged, closed by a person, brought back.
///
/// `pulls` are those of one repository and base; their states are brought up to date, and the changes are returned
/// as decisions. Merged is what the base has, by commit or by content, so a squash or a cherry-pick counts too.
#[must_use]
pub fn settle(pulls: &mut [Pull], observed: &[Observed], surveyed: &Surveyed) -> Vec<Decision> {
    let mut at: BTreeMap<(&Key, usize, &str), &Observed> = BTreeMap::new();
    for container in observed {
        at.insert((&container.key, container.document, &container.container), container);
    }
    let landed = |pull: &Pull| {
        pull.changes().all(|change| {
            let container = at.get(&(&pull.key, change.document, change.container.as_str()));
            container.is_some_and(|container| container.current.as_ref() == Some(&change.to))
        })
    };
    let busy: BTreeSet<String> =
        pulls.iter().filter(|pull| pull.state == State::Open).map(|pull| pull.branch.clone()).collect();
    let mut decisions = Vec::new();
    for pull in pulls {
        let head = surveyed.head(&pull.branch);
        let told = match surveyed.on_forge(&pull.branch) {
            Some(told) => match (pull.state, told) {
                (State::Open, Some(PullState::Merged)) => Some((State::Merged, "it was merged")),
                (State::Open, _) if landed(pull) => Some((State::Merged, "the base has these versions")),
                // Ours is written down before the forge hears of it, so whoever closed it was not us.
                (State::Open, Some(PullState::Closed)) => {
                    Some((State::Declined, "it was closed; these versions are not proposed again"))
                }
                (State::Declined, Some(PullState::Open)) if !busy.contains(&pull.branch) => {
                    Some((State::Open, "it was opened again"))
                }
                _ => None,
            },
            None => by_branch(pull, head, surveyed, &landed, &busy),
        };
        let Some((state, reason)) = told else { continue };
        pull.state = state;
        decisions.push(Decision {
            key: pull.key.clone(),
            branch: pull.branch.clone(),
            number: Some(pull.number),
            action: match state {
                State::Open => Action::Reopen,
                State::Merged | State::Declined | State::Closed => Action::Close { state, delete: None },
            },
            reason: reason.into(),
        });
    }
    decisions
}

/// What became of a pull request that is known by its branch alone; none where nothing did.
fn by_branch(
    pull: &Pull,
    head: &Head,
    surveyed: &Surveyed,
    landed: &dyn Fn(&Pull) -> bool,
    busy: &BTreeSet<String>,
) -> Option<(State, &'static str)> {
    Some(match (pull.state, head) {
        (State::Open, Head::Ours { id, .. } | Head::Foreign { id }) if surveyed.arrived.contains(id) => {
            (State::Merged, "its branch was merged")
        }
        (State::Open, Head::Missing) if pull.head.is_some_and(|id| surveyed.arrived.contains(&id)) => {
            (State::Merged, "its branch was merged and deleted")
        }
        (State::Open, _) if landed(pull) => (State::Merged, "the base has these versions"),
        (State::Open, Head::Missing) if pull.head.is_some() => {
            (State::Declined, "its branch was deleted; these versions are not proposed again")
        }
        // The same branch may hold a later pull request by now.
        (State::Declined, Head::Ours { id, .. }) if pull.heads.contains_key(id) && !busy.contains(&pull.branch) => {
            (State::Open, "its branch was brought back")
        }
        _ => return None,
    })
}

/// What earlier pull requests say to the plan: what people declined, what was merged last, what is open.
#[must_use]
pub fn memories(pulls: &[Pull]) -> BTreeMap<Key, Memory> {
    let mut memories: BTreeMap<Key, Memory> = BTreeMap::new();
    for pull in pulls {
        let memory = memories.entry(pull.key.clone()).or_default();
        match pull.state {
            State::Open => memory.open.clone_from(&pull.proposed),
            State::Declined => memory.declined.extend(pull.changes().cloned()),
            // Pull requests come by ascending number, so the last one stays.
            State::Merged => memory.merged = pull.changes().cloned().collect(),
            State::Closed => {}
        }
    }
    memories
}

/// What people asked for beyond what is to be proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Branches that are to be rebuilt on the base's head.
    pub rebuild: BTreeSet<Key>,
    /// Branches that are to be made anew, whatever people put there.
    pub recreate: BTreeSet<Key>,
    /// Branches that are not to be rebuilt.
    pub held: BTreeSet<Key>,
}

/// Everything that [`decide`] judges by.
pub struct Facts<'a> {
    /// The name of the base branch.
    pub base: &'a str,
    /// The pull requests of this repository and base, brought up to date by [`settle`].
    pub pulls: &'a [Pull],
    /// What is wanted.
    pub intents: &'a BTreeMap<Key, Intent>,
    /// For each [`Intent::Propose`], its texts.
    pub wanted: &'a BTreeMap<Key, Wanted>,
    /// Files and folders of which it is not known what they hold.
    pub unreadable: &'a BTreeSet<String>,
    /// The branches.
    pub surveyed: &'a Surveyed,
    /// What people asked for.
    pub wishes: &'a Wishes,
}

impl Facts<'_> {
    fn is_unreadable(&self, path: &str) -> bool {
        let mut above = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(folder, _)| folder));
        above.any(|path| self.unreadable.contains(path))
    }
}

/// Says what to do about each pull request, in the order of their keys.
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Vec<Decision> {
    let open: BTreeMap<&Key, &Pull> =
        facts.pulls.iter().filter(|pull| pull.state == State::Open).map(|pull| (&pull.key, pull)).collect();
    let keys: BTreeSet<&Key> = facts.intents.keys().chain(open.keys().copied()).collect();
    let mut decisions = Vec::new();
    for key in keys {
        let decided = match open.get(key) {
            Some(pull) => Some(about_open(facts, pull)),
            None => about_none(facts, key),
        };
        decisions.extend(decided.map(|(action, reason)| Decision {
            key: key.clone(),
            branch: open.get(key).map_or_else(|| Branch::of(facts.base, key).to_string(), |pull| pull.branch.clone()),
            number: open.get(key).map(|pull| pull.number),
            action,
            reason,
        }));
    }
    decisions.extend(leftovers(facts));
    decisions
}

/// What to do where a pull request is open.
fn about_open(facts: &Facts<'_>, pull: &Pull) -> (Action, String) {
    let head = facts.surveyed.head(&pull.branch);
    let keep = |reason: &str| {
        let head = match head {
            Head::Ours { id, .. } => Some(*id),
            Head::Missing | Head::Foreign { .. } => pull.head,
        };
        (Action::Keep { head }, reason.to_owned())
    };
    let over = match facts.intents.get(&pull.key) {
        Some(Intent::Propose(_)) => None,
        Some(Intent::Unknown(reason)) => return keep(reason),
        Some(Intent::Nothing(reason) | Intent::Declined(reason)) => Some(reason.as_str()),
        None if facts.is_unreadable(&pull.key.path) => return keep("its file cannot be read this time"),
        None => Some("the workload is gone from the base, or no longer automated"),
    };
    if let Head::Foreign { id } = head {
        let may_go = over.is_none()
            && facts.wanted.contains_key(&pull.key)
            && !facts.surveyed.checked_out.contains_key(&pull.branch);
        return if facts.wishes.recreate.contains(&pull.key) && may_go {
            (Action::Move { from: Some(*id) }, "it was asked to be made anew".into())
        } else {
            (Action::LeaveAlone, format!("its branch has commit {}, which is not Leadsman's", short(*id)))
        };
    }
    let checked_out = facts.surveyed.checked_out.get(&pull.branch);
    match (over, facts.wanted.get(&pull.key), head) {
        (Some(reason), _, Head::Ours { id, .. }) => {
            let delete = checked_out.is_none().then_some(*id);
            (Action::Close { state: State::Closed, delete }, reason.to_owned())
        }
        (Some(reason), _, _) => (Action::Close { state: State::Closed, delete: None }, reason.to_owned()),
        (None, None, _) => keep("its texts could not be written"),
        (None, Some(wanted), Head::Ours { id, content_print, outdated }) => {
            let wishes = facts.wishes;
            let is_asked_for = wishes.rebuild.contains(&pull.key) || wishes.recreate.contains(&pull.key);
            let is_new = *content_print != wanted.content_print;
            if (is_new || *outdated) && wishes.held.contains(&pull.key) && !is_asked_for {
                return (Action::Hold { head: *id }, "it is held".into());
            }
            let why = if is_new {
                "there is something newer"
            } else if is_asked_for {
                "a rebuild was asked for"
            } else if *outdated {
                "its file changed on the base"
            } else if pull.text_print != wanted.text_print {
                return (Action::Describe { head: *id }, "its description changed".into());
            } else {
                return keep("up to date");
            };
            match checked_out {
                Some(work_tree) => (Action::LeaveAlone, checked_out_in(work_tree, why)),
                None => (Action::Move { from: Some(*id) }, why.into()),
            }
        }
        (None, Some(_), _) => (Action::Move { from: None }, "its branch was not made yet".into()),
    }
}

/// What to do where no pull request is open.
fn about_none(facts: &Facts<'_>, key: &Key) -> Option<(Action, String)> {
    match facts.intents.get(key)? {
        Intent::Propose(_) => {}
        Intent::Declined(reason) => return Some((Action::HoldBack, reason.clone())),
        Intent::Nothing(_) | Intent::Unknown(_) => return None,
    }
    facts.wanted.get(key)?;
    let branch = Branch::of(facts.base, key);
    let found = match facts.surveyed.head(branch.as_str()) {
        Head::Missing => None,
        Head::Ours { id, .. } => Some(*id),
        Head::Foreign { id } => {
            let reason = format!("there is a branch of this name at {}, which is not Leadsman's", short(*id));
            return Some((Action::LeaveAlone, reason));
        }
    };
    Some(match facts.surveyed.checked_out.get(branch.as_str()) {
        Some(work_tree) => (Action::LeaveAlone, checked_out_in(work_tree, "there is an update")),
        None => (Action::Open { from: found }, "there is an update".into()),
    })
}

/// Branches whose pull request is over, that hold our commit only and that nothing is wanted on.
fn leftovers(facts: &Facts<'_>) -> Vec<Decision> {
    let busy: BTreeSet<&str> =
        facts.pulls.iter().filter(|pull| pull.state == State::Open).map(|pull| pull.branch.as_str()).collect();
    let mut decisions = BTreeMap::new();
    let over = |pull: &&Pull| matches!(pull.state, State::Merged | State::Closed) && !busy.contains(&*pull.branch);
    for pull in facts.pulls.iter().filter(over) {
        let Head::Ours { id, .. } = facts.surveyed.head(&pull.branch) else { continue };
        let free = !facts.surveyed.checked_out.contains_key(&pull.branch);
        if free && !facts.wanted.contains_key(&pull.key) && pull.heads.contains_key(id) {
            decisions.insert(
                pull.branch.clone(),
                Decision {
                    key: pull.key.clone(),
                    branch: pull.branch.clone(),
                    number: Some(pull.number),
                    action: Action::Close { state: pull.state, delete: Some(*id) },
                    reason: "it is over, so its branch goes".into(),
                },
            );
        }
    }
    decisions.into_values().collect()
}

fn checked_out_in(work_tree: &std::path::Path, why: &str) -> String {
    format!("{why}, and its branch is checked out in `{}`", work_tree.display())
}

/// The first digits of an id, enough for people.
#[must_use]
pub fn short(id: ObjectId) -> String {
    id.to_hex_with_len(10).to_string()
}
