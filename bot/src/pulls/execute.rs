//! Carries out decisions: builds commits, writes down what is about to be, moves branches, writes down what came of it.
//!
//! The five steps are functions of their own, in this order: [`prepare`], [`record`], [`carry_out`], [`publish`],
//! [`conclude`].
//! A crash between any two of them is mended by the next look:
//!
//! 1. after `prepare`: there are objects that nothing refers to; the same commits come out again;
//! 2. after `record`: the store knows heads that no branch has; the branch is where it was, and moves next time;
//!    What ended is known as ended, and a branch that should have gone goes next time;
//! 3. after `carry_out`: branches are at heads that the store knows as ours, and next time it learns that they are;
//! 4. after `publish`: the next look finds what was opened by its branch, and has nothing to change.
//!
//! Decides nothing. A decision that cannot be carried out becomes a [`Done`] with its error, and the others go on.

use std::collections::BTreeMap;

use gix::ObjectId;
use jiff::Timestamp;

use crate::forge::commit::Base;
use crate::forge::place::{ByBranch, Place};
use crate::forge::{BranchMove, ForgePull, NewPull, PullEdit, PullState};
use crate::plan::{Key, Proposed};
use crate::pulls::{Action, Decision, OurHead, Pull, State, Wanted, short};
use crate::render::keep_below;
use crate::store::{Outcome, Record, Store, StoreError};

/// A decision with what it needs to be carried out, or why that could not be had.
#[derive(Debug)]
pub struct Prepared {
    /// The decision.
    pub decision: Decision,
    /// The commit that the branch is to be at, for [`Action::Open`] and [`Action::Move`].
    pub commit: Option<ObjectId>,
    /// Why it cannot be carried out.
    pub error: Option<String>,
}

/// A decision and what came of it.
#[derive(Debug)]
pub struct Done {
    /// The decision, with the number of its pull request from when that has one.
    pub decision: Decision,
    /// Where its branch is now, as far as it is ours.
    pub head: Option<ObjectId>,
    /// Why it was not carried out.
    pub error: Option<String>,
}

/// Builds the commits that decisions need. `edit` gives the new text of a file with the given changes.
///
/// # Errors
/// None: what fails is said in [`Prepared::error`].
pub fn prepare(
    repository: &gix::Repository,
    base: &Base,
    decisions: Vec<Decision>,
    wanted: &BTreeMap<Key, Wanted>,
    mut edit: impl FnMut(&Key, &[Proposed]) -> Result<Vec<u8>, String>,
) -> Vec<Prepared> {
    decisions
        .into_iter()
        .map(|decision| {
            let needs_commit = matches!(decision.action, Action::Open { .. } | Action::Move { .. });
            let Some(wanted) = wanted.get(&decision.key).filter(|_| needs_commit) else {
                return Prepared { decision, commit: None, error: None };
            };
            let key = &decision.key;
            let commit = edit(key, &wanted.proposed).and_then(|text| {
                base.commit(repository, &key.path, &text, &wanted.message).map_err(|error| error.to_string())
            });
            match commit {
                Ok(commit) => Prepared { decision, commit: Some(commit), error: None },
                Err(error) => Prepared { decision, commit: None, error: Some(error) },
            }
        })
        .collect()
}

/// Writes down what is about to be, and gives new pull requests their numbers. Nothing is written where nothing is to
/// be opened or changed.
///
/// # Errors
/// Where the store cannot be written; then nothing was, and nothing may be carried out.
pub async fn record(
    store: &Store,
    repository: &str,
    base: (&str, ObjectId),
    prepared: &mut [Prepared],
    wanted: &BTreeMap<Key, Wanted>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut records = Vec::new();
    let mut places = Vec::new();
    for (place, Prepared { decision, commit, error }) in prepared.iter().enumerate() {
        let writes = matches!(decision.action, Action::Open { .. } | Action::Move { .. } | Action::Describe { .. });
        let Some(wanted) = wanted.get(&decision.key).filter(|_| writes && error.is_none()) else { continue };
        let head = commit.map(|commit| (commit, OurHead { base: base.1, content_print: wanted.content_print.clone() }));
        places.push(place);
        records.push(Record {
            number: decision.number,
            key: decision.key.clone(),
            branch: decision.branch.clone(),
            proposed: wanted.proposed.clone(),
            title: wanted.title.clone(),
            body: wanted.body.clone(),
            text_print: wanted.text_print.clone(),
            head,
        });
    }
    // Earlier pull requests on the same branches must be over before new ones open.
    let over: Vec<_> = prepared.iter().filter_map(|prepared| ended(&prepared.decision)).collect();
    store.conclude(repository, &over, now).await?;
    if records.is_empty() {
        return Ok(());
    }
    let numbers = store.record(repository, base.0, &records, now).await?;
    for (place, number) in places.into_iter().zip(numbers) {
        prepared[place].decision.number = Some(number);
    }
    Ok(())
}

/// Writes down pull requests that were found by their branches, each at its head.
///
/// # Errors
/// Where the store cannot be written; the next look finds them again.
pub async fn record_found(
    store: &Store,
    repository: &str,
    base: &str,
    found: &[Record],
    now: Timestamp,
) -> Result<(), StoreError> {
    let numbers = store.record(repository, base, found, now).await?;
    let outcomes: Vec<_> = found
        .iter()
        .zip(numbers)
        .map(|(record, number)| Outcome {
            number,
            state: State::Open,
            head: record.head.as_ref().map(|(id, _)| *id),
            left_alone: None,
            event: Some(("found".into(), "its branch is Leadsman's, and the store did not know it".into())),
        })
        .collect();
    store.conclude(repository, &outcomes, now).await
}

/// The end or new beginning of a pull request. It is written down before a branch is deleted, so that a branch that
/// we deleted is never taken for one that a person deleted.
fn ended(decision: &Decision) -> Option<Outcome> {
    let state = match decision.action {
        Action::Close { state, .. } => state,
        Action::Reopen => State::Open,
        _ => return None,
    };
    Some(Outcome { number: decision.number?, state, head: None, left_alone: None, event: Some(event(decision)) })
}

fn event(decision: &Decision) -> (String, String) {
    (decision.action.name().to_owned(), decision.reason.clone())
}

/// Moves the branches.
pub async fn carry_out(place: &dyn Place, prepared: Vec<Prepared>, now: Timestamp) -> Vec<Done> {
    let mut moves = Vec::new();
    let mut moving = Vec::new();
    let mut done = Vec::with_capacity(prepared.len());
    for (at, Prepared { decision, commit, error }) in prepared.into_iter().enumerate() {
        let step = match decision.action {
            _ if error.is_some() => None,
            Action::Open { from } | Action::Move { from } => Some((from, commit)),
            Action::Close { delete: Some(head), .. } => Some((Some(head), None)),
            Action::Describe { .. }
            | Action::Keep { .. }
            | Action::Hold { .. }
            | Action::LeaveAlone
            | Action::HoldBack
            | Action::Close { delete: None, .. }
            | Action::Reopen => None,
        };
        let mut head = match decision.action {
            Action::Open { from } | Action::Move { from } => from,
            Action::Describe { head } | Action::Hold { head } => Some(head),
            Action::Keep { head } => head,
            _ => None,
        };
        if let Some((from, to)) = step {
            head = to;
            if from != to {
                moving.push((at, from));
                moves.push(BranchMove {
                    branch: decision.branch.clone(),
                    from,
                    to,
                    why: format!("leadsman: {}", decision.reason),
                });
            }
        }
        done.push(Done { decision, head, error });
    }
    for ((at, from), result) in moving.into_iter().zip(place.move_branches(&moves, now).await) {
        if let Err(error) = result {
            done[at].head = from;
            done[at].error = Some(error);
        }
    }
    done
}

/// Brings the pull requests on the forge to what was decided, where there is a forge but git itself: opens those whose
/// branch has none, gives the others their text, and closes those that are over. `on_forge` is what the forge said before; what
/// it opens is added. A call that fails is the error of its pull request, and the others go on; the next look finds what
/// took effect.
pub async fn publish(
    place: &dyn Place,
    base: &str,
    done: &mut [Done],
    wanted: &BTreeMap<Key, Wanted>,
    on_forge: &mut ByBranch,
    labels: &[String],
) {
    for done in done.iter_mut().filter(|done| done.error.is_none()) {
        let Decision { key, branch, action, reason, .. } = &done.decision;
        let actual = on_forge.get(branch);
        let open = actual.filter(|pull| pull.state == PullState::Open);
        let result = match (action, wanted.get(key), open) {
            (Action::Hold { .. } | Action::LeaveAlone | Action::HoldBack | Action::Reopen, ..) => Ok(None),
            (Action::Close { state: State::Merged | State::Closed, .. }, None, Some(pull)) => {
                let body = format!(
                    "> **Closed by Leadsman:** {reason}.

{}",
                    pull.body
                );
                let edit = PullEdit { open: Some(false), body: Some(body), ..PullEdit::default() };
                place.edit(pull.number, &edit).await.map(|()| None)
            }
            (Action::Close { .. }, ..) => Ok(None),
            (_, Some(wanted), Some(pull)) => {
                let edit = difference(wanted, pull, labels, place.max_body());
                if edit == PullEdit::default() { Ok(None) } else { place.edit(pull.number, &edit).await.map(|()| None) }
            }
            (_, Some(wanted), None) if done.head.is_some() => {
                let new = NewPull {
                    branch: branch.clone(),
                    base: base.to_owned(),
                    title: wanted.title.clone(),
                    body: wanted.body.clone(),
                    labels: labels.to_vec(),
                };
                place.open(&new).await.map(Some)
            }
            _ => Ok(None),
        };
        match result {
            Ok(Some(pull)) => drop(on_forge.insert(pull.branch.clone(), pull)),
            Ok(None) => {}
            Err(error) => done.error = Some(error.to_string()),
        }
    }
}

/// What of a pull request's text is not as wanted. What people wrote below ours stays.
fn difference(wanted: &Wanted, pull: &ForgePull, labels: &[String], room: usize) -> PullEdit {
    let body = keep_below(&wanted.body, &pull.body.replace("\r\n", "\n"), room);
    PullEdit {
        title: (wanted.title != pull.title).then(|| wanted.title.clone()),
        body: (body.trim_end() != pull.body.replace("\r\n", "\n").trim_end()).then_some(body),
        add_labels: labels.iter().filter(|label| !pull.labels.contains(label)).cloned().collect(),
        open: None,
    }
}

/// Writes down what came of it. `pulls` are as they were read before, so that only what changed is written.
///
/// # Errors
/// Where the store cannot be written; the next look mends it.
pub async fn conclude(
    store: &Store,
    repository: &str,
    pulls: &[Pull],
    done: &[Done],
    now: Timestamp,
) -> Result<(), StoreError> {
    let before: BTreeMap<i64, &Pull> = pulls.iter().map(|pull| (pull.number, pull)).collect();
    let outcomes: Vec<_> = done
        .iter()
        .filter_map(|Done { decision, head, error }| {
            let number = decision.number?;
            let before = before.get(&number);
            let open = |head, left_alone, event| Some(Outcome { number, state: State::Open, head, left_alone, event });
            if error.is_some() {
                return None;
            }
            match &decision.action {
                Action::Open { .. } | Action::Move { .. } | Action::Describe { .. } => {
                    open(*head, None, Some(event(decision)))
                }
                Action::Keep { head } => {
                    let known = before.is_some_and(|pull| pull.head == *head && pull.left_alone.is_none());
                    if known { None } else { open(*head, None, None) }
                }
                Action::LeaveAlone => {
                    let known = before.is_some_and(|pull| pull.left_alone.as_ref() == Some(&decision.reason));
                    if known { None } else { open(None, Some(decision.reason.clone()), Some(event(decision))) }
                }
                Action::Hold { head } => {
                    let known = before.is_some_and(|pull| pull.head == Some(*head) && pull.left_alone.is_none());
                    if known { None } else { open(Some(*head), None, None) }
                }
                // Written down before anything was opened.
                Action::Close { .. } | Action::Reopen | Action::HoldBack => None,
            }
        })
        .collect();
    store.conclude(repository, &outcomes, now).await
}

impl Action {
    /// The action as the history and outputs write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "opened",
            Self::Move { .. } => "moved",
            Self::Describe { .. } => "described",
            Self::Keep { .. } | Self::Hold { .. } => "kept",
            Self::LeaveAlone => "left-alone",
            Self::HoldBack => "held-back",
            Self::Close { state: State::Merged, .. } => "merged",
            Self::Close { state: State::Declined, .. } => "declined",
            Self::Close { .. } => "closed",
            Self::Reopen => "reopened",
        }
    }
}

impl Done {
    /// What was done, in a few words, with the head's first digits where there is one.
    #[must_use]
    pub fn head_text(&self) -> String {
        self.head.map(short).unwrap_or_default()
    }
}
