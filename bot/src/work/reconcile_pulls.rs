//! Brings the pull requests of one repository and base to what the scan says: survey, settle, plan, write, decide,
//! carry out.
//!
//! Owns the order of these steps; each is decided or done elsewhere. No await on the forge or on git happens inside a
//! transaction of the store.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use jiff::Timestamp;
use thiserror::Error;

use crate::config::repository::RepositoryConfig;
use crate::forge::commit::{Base, BuildError};
use crate::forge::place::{BaseBranch, Place};
use crate::forge::{ForgeError, PullState};
use crate::plan::{self, Change, Intent, Key, Memory, Observed, Proposed, PullDecisions};
use crate::pulls::adopt::{Recognise, adopt};
use crate::pulls::execute::{self, Done};
use crate::pulls::{self, Facts, State, Wanted, Wishes, survey::survey};
use crate::render::{Description, Renderer, Voice};
use crate::store::{Store, StoreError};
use crate::work::decisions::People;

/// What the scan of the base says.
pub struct Scanned<'a> {
    /// The containers of automated workloads.
    pub observed: Vec<Observed>,
    /// Files of which it is not known in full what they hold: their workloads are not taken for gone.
    pub unreadable: BTreeSet<String>,
    /// Gives the new text of a file with the given changes, or says why it cannot be.
    pub edit: &'a EditFile<'a>,
    /// The repository's configuration.
    pub config: &'a RepositoryConfig,
    /// What people decided.
    pub people: &'a People,
    /// What people asked for just now.
    pub wishes: &'a Wishes,
    /// Labels that every pull request is to have.
    pub labels: &'a [String],
    /// How people talk to Leadsman there; none where nobody listens.
    pub voice: Option<Voice<'a>>,
    /// Tells what leads from one text of a file to another.
    pub recognise: &'a Recognise<'a>,
}

/// Turns a file and changes into its new text.
pub type EditFile<'a> = dyn Fn(&Key, &[Proposed]) -> Result<Edited, String> + Sync + 'a;

/// A file with changes written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The new text.
    pub text: Vec<u8>,
    /// Places outside of every container that follow an anchor and changed along (S7.4).
    pub follows: Vec<String>,
}

/// Why a repository could not be brought up to date at all.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// Branches or the commits they are at.
    #[error("cannot read the branches of the repository: {0}")]
    Branches(Box<gix::Error>),
    /// The base commit.
    #[error(transparent)]
    Base(#[from] BuildError),
    /// The pull requests on the forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One pull request and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// Its number; none where there is no pull request.
    pub number: Option<i64>,
    /// What it is about.
    pub key: Key,
    /// Its branch.
    pub branch: String,
    /// What was done, one of the words of [`pulls::Action::name`].
    pub action: &'static str,
    /// Why.
    pub reason: String,
    /// Why it could not be done.
    pub error: Option<String>,
    /// Where its branch is now, as far as it is ours.
    pub head: Option<ObjectId>,
    /// Its title; empty where there is no pull request.
    pub title: String,
    /// Its body; empty where there is no pull request.
    pub body: String,
    /// What it changes.
    pub changes: Vec<Change>,
    /// Its number on the forge and its page; none where there is no forge but git itself.
    pub on_forge: Option<(i64, String)>,
    /// When it last changed on the forge.
    pub updated_at: Option<Timestamp>,
}

/// Brings every pull request for `base` up to date and says what was done, by key.
///
/// # Errors
/// Where branches, the base or the store cannot be read or written. What fails for one pull request alone is said in
/// [`Reconciled::error`], and the others are done.
pub async fn reconcile_pulls(
    place: &dyn Place,
    store: &Store,
    renderer: &Renderer,
    base: &BaseBranch,
    mut scanned: Scanned<'_>,
    now: Timestamp,
) -> Result<Vec<Reconciled>, ReconcileError> {
    let repository = place.identity();
    let mut known = store.pulls(repository, &base.name).await?;
    let broken = |error| ReconcileError::Branches(Box::new(error));
    let branches = place.branches().map_err(broken)?;
    let asked = known.iter().filter(|pull| pull.state == State::Open).map(|pull| pull.branch.clone());
    let mut on_forge = place.pulls(&base.name, &asked.chain(branches.heads.keys().cloned()).collect()).await?;
    if let Some(on_forge) = &mut on_forge {
        // Where opening one did not come through, the forge's newest one of that branch is an earlier one: what became
        // of that says nothing of this one.
        let numbers = store.on_forge(repository, &base.name).await?;
        on_forge.retain(|branch, told| {
            let open = known.iter().find(|pull| pull.state == State::Open && pull.branch == *branch);
            let whose = numbers.iter().find(|(_, on_forge)| on_forge.number == told.number).map(|(number, _)| *number);
            told.state == PullState::Open || open.is_none_or(|open| whose.is_none_or(|whose| whose == open.number))
        });
    }
    let look = |known: &[_]| survey(&place.repository(), base, &branches, on_forge.as_ref(), known).map_err(broken);
    let mut surveyed = look(&known)?;
    let lost = adopt(&place.repository(), base, &known, &surveyed, scanned.recognise);
    if !lost.is_empty() {
        execute::record_found(store, repository, &base.name, &lost, now).await?;
        known = store.pulls(repository, &base.name).await?;
        surveyed = look(&known)?;
    }

    let mut decisions = pulls::settle(&mut known, &scanned.observed, &surveyed);
    let mut memories = pulls::memories(&known);
    let mut wishes = scanned.wishes.clone();
    let requests = store.merge_requests(repository).await?;
    for pull in known.iter().filter(|pull| pull.state == State::Open) {
        let memory = memories.entry(pull.key.clone()).or_default();
        if let Some(decided) = scanned.people.pulls.get(&pull.number) {
            if decided.hold.is_some() {
                wishes.held.insert(pull.key.clone());
            }
            memory.decisions = decided.clone();
        }
        // C3.1
        let asked = requests.iter().any(|request| request.number == pull.number);
        memory.frozen = asked.then(|| "a merge was asked for".to_owned());
    }
    let rules = plan::Rules {
        config: scanned.config,
        decisions: &scanned.people.repository,
        opened_today: store.opened_since(repository, day_of(now)).await?,
        now,
    };
    let intents = plan::plan_by(std::mem::take(&mut scanned.observed), &memories, &rules);
    let (wanted, unwritten) = write_texts(renderer, &base.name, &intents, &memories, &scanned);
    decisions.extend(pulls::decide(&Facts {
        base: &base.name,
        pulls: &known,
        intents: &intents,
        wanted: &wanted,
        unreadable: &scanned.unreadable,
        surveyed: &surveyed,
        wishes: &wishes,
    }));

    let mut prepared = {
        let objects = place.repository();
        let built = Base::read(&objects, base.id)?;
        execute::prepare(&objects, &built, decisions, &wanted, |key, proposed| {
            (scanned.edit)(key, proposed).map(|edited| edited.text)
        })
    };
    execute::record(store, repository, (&base.name, base.id), &mut prepared, &wanted, now).await?;
    let mut done = execute::carry_out(place, prepared, now).await;
    if let Some(on_forge) = &mut on_forge {
        execute::publish(place, &base.name, &mut done, &wanted, on_forge, scanned.labels).await;
    }
    execute::conclude(store, repository, &known, &done, now).await?;

    // Texts of pull requests that nothing is wanted for any more are in the store only.
    let from_store = done.iter().any(|done| done.decision.number.is_some() && !wanted.contains_key(&done.decision.key));
    let texts = if from_store { store.texts(repository, &base.name).await? } else { BTreeMap::new() };
    let mut reconciled: Vec<_> = done.into_iter().map(|done| report(done, &wanted, &texts, &known)).collect();
    // A branch can hold the next pull request in the look that finds the end of the one before.
    let ended = |one: &Reconciled| matches!(one.action, "merged" | "declined" | "closed");
    let held: BTreeSet<String> =
        reconciled.iter().filter(|one| one.number.is_some() && !ended(one)).map(|one| one.branch.clone()).collect();
    for one in &mut reconciled {
        if ended(one) && held.contains(&one.branch) {
            continue;
        }
        let pull = on_forge.as_ref().and_then(|pulls| pulls.get(&one.branch));
        one.on_forge = pull.map(|pull| (pull.number, pull.url.clone()));
        one.updated_at = pull.map(|pull| pull.updated_at);
    }
    for (key, error) in unwritten {
        match reconciled.iter_mut().find(|reconciled| reconciled.key == key && reconciled.action == "kept") {
            Some(reconciled) => reconciled.error = Some(error),
            None => reconciled.push(Reconciled::failed(&base.name, key, error)),
        }
    }
    Ok(reconciled)
}

impl Reconciled {
    /// What is wanted and cannot be written.
    fn failed(base: &str, key: Key, error: String) -> Self {
        Self {
            number: None,
            branch: plan::Branch::of(base, &key).to_string(),
            key,
            action: "kept",
            reason: "there is an update".into(),
            error: Some(error),
            head: None,
            title: String::new(),
            body: String::new(),
            changes: Vec::new(),
            on_forge: None,
            updated_at: None,
        }
    }
}

/// The first moment of the day of `now`, in UTC.
fn day_of(now: Timestamp) -> Timestamp {
    const DAY: i64 = 86_400;
    Timestamp::from_second(now.as_second().div_euclid(DAY) * DAY).unwrap_or(now)
}

/// The texts of everything that is to be proposed, and the errors of those that could not be written.
fn write_texts(
    renderer: &Renderer,
    base: &str,
    intents: &BTreeMap<Key, Intent>,
    memories: &BTreeMap<Key, Memory>,
    scanned: &Scanned<'_>,
) -> (BTreeMap<Key, Wanted>, BTreeMap<Key, String>) {
    let mut wanted = BTreeMap::new();
    let mut failed = BTreeMap::new();
    for (key, intent) in intents {
        let Intent::Propose(proposed) = intent else { continue };
        // The text of the file is dropped again: of all files at once it would be too much to hold.
        let texts = (scanned.edit)(key, proposed).and_then(|edited| {
            let none = PullDecisions::default();
            let description = Description {
                base,
                key,
                proposed: proposed.clone(),
                follows: &edited.follows,
                decisions: memories.get(key).map_or(&none, |memory| &memory.decisions),
                voice: scanned.voice,
            };
            renderer.describe(description).map_err(|error| format!("its description cannot be written: {error}"))
        });
        match texts {
            Ok(texts) => drop(wanted.insert(key.clone(), texts)),
            Err(error) => drop(failed.insert(key.clone(), error)),
        }
    }
    (wanted, failed)
}

fn report(
    done: Done,
    wanted: &BTreeMap<Key, Wanted>,
    texts: &BTreeMap<i64, (String, String)>,
    known: &[pulls::Pull],
) -> Reconciled {
    let Done { decision, head, error } = done;
    let (title, body, proposed) = match (wanted.get(&decision.key), decision.number) {
        (Some(wanted), _) => (wanted.title.clone(), wanted.body.clone(), &wanted.proposed[..]),
        (None, Some(number)) => {
            let (title, body) = texts.get(&number).cloned().unwrap_or_default();
            let proposed = known.iter().find(|pull| pull.number == number).map_or(&[][..], |pull| &pull.proposed);
            (title, body, proposed)
        }
        (None, None) => Default::default(),
    };
    Reconciled {
        number: decision.number,
        branch: decision.branch,
        action: decision.action.name(),
        reason: decision.reason,
        error,
        head,
        title,
        body,
        changes: proposed.iter().map(|proposed| proposed.change.clone()).collect(),
        key: decision.key,
        on_forge: None,
        updated_at: None,
    }
}
