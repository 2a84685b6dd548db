//! Whether a request to merge waits, merges or is dropped (C3.2, C3.5).
//!
//! Pure: the same facts give the same verdict. Invariants: the head of [`Verdict::Merge`] is the one that was asked
//! for, or a rebuild of ours that proposes exactly the same; what is not known counts as not given.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use jiff::{SignedDuration, Timestamp};

use super::pin;
use super::reason::Reason;
use crate::forge::{
    Check, CheckState, ForgePull, MergeAnswer, MergeMethod, Mergeable, Opinion, PullState, Review, Rules,
};
use crate::plan::{Hold, Pause};
use crate::pulls::OurHead;

/// A request to merge that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The head that may be merged ([`pin::pin`]).
    pub head: ObjectId,
    /// The base that the pull request was for.
    pub base: String,
    /// How; none: as configured.
    pub method: Option<MergeMethod>,
    /// Whether it waits for required checks only.
    pub now: bool,
    /// The login of who asked.
    pub by: String,
    /// When.
    pub asked_at: Timestamp,
}

/// What the registry says now of an image that the pull request proposes, written with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// It is there, with the digest that was proposed.
    Same,
    /// It is not there any more.
    Gone(String),
    /// The tag points elsewhere.
    Moved(String),
    /// The registry could not be asked.
    Unknown(String),
}

/// Whether who asked may still merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They may.
    May,
    /// They may not.
    MayNot,
    /// The forge would not tell.
    Unknown,
}

/// What the forge said to the last attempt to merge on this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its answer.
    pub answer: MergeAnswer,
    /// When.
    pub at: Timestamp,
    /// How many attempts there were, from 1.
    pub count: u32,
}

/// What the configuration says of merging, with its defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeConfig {
    /// How, unless the request says so.
    pub method: MergeMethod,
    /// The ways that the repository takes.
    pub allowed: Vec<MergeMethod>,
    /// How long a head stands before it counts as green where no check is expected.
    pub settle: SignedDuration,
    /// How long a check that ran on pull requests merged before is waited for.
    pub appear: SignedDuration,
    /// How long a request stands.
    pub expire: SignedDuration,
}

impl Default for MergeConfig {
    fn default() -> Self {
        Self {
            method: MergeMethod::Merge,
            allowed: vec![MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase],
            settle: SignedDuration::from_secs(60),
            appear: SignedDuration::from_mins(10),
            expire: SignedDuration::from_hours(7 * 24),
        }
    }
}

/// Everything that a verdict is made from.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Request,
    /// The pull request as the forge tells it now.
    pub pull: &'a ForgePull,
    /// When its head was first seen.
    pub head_since: Timestamp,
    /// The heads that we made for it.
    pub ours: &'a BTreeMap<ObjectId, OurHead>,
    /// The checks on its head.
    pub checks: &'a [Check],
    /// The names of checks that finished on the last three pull requests of ours merged into this base.
    pub habitual: &'a [String],
    /// What the names of our own checks begin with, such as `leadsman/`.
    pub own_checks: &'a str,
    /// The rules of its base.
    pub rules: &'a Rules,
    /// Its reviews.
    pub reviews: &'a [Review],
    /// Whether its head lacks the base's head.
    pub behind: bool,
    /// How often in a row the forge did not know whether it can be merged, this time included.
    pub unknown_mergeable: u32,
    /// Whether who asked may still merge.
    pub standing: Standing,
    /// The hold on it.
    pub hold: Option<&'a Hold>,
    /// The pause of its repository.
    pub pause: Option<&'a Pause>,
    /// What is wrong with the repository's own configuration.
    pub misconfigured: Option<&'a str>,
    /// The images that it proposes.
    pub images: &'a [Image],
    /// The last attempt to merge it.
    pub attempt: Option<&'a Attempt>,
    /// The configuration.
    pub config: &'a MergeConfig,
    /// The time.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing now, for these reasons, at least one.
    Wait(Vec<Reason>),
    /// Merge this head and no other (C3.3).
    Merge {
        /// The head.
        head: ObjectId,
        /// How.
        method: MergeMethod,
    },
    /// Forget the request.
    Drop(Reason),
}

/// What is worth telling beside the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// No check is expected here, so none was waited for.
    NoChecksExpected,
    /// A check that ran on pull requests merged before did not appear, and is waited for no longer.
    HabitualCheckDropped(String),
}

impl Note {
    /// What to tell people: half a sentence, names in backticks.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::NoChecksExpected => "no check is expected on this branch".into(),
            Self::HabitualCheckDropped(name) => format!(
                "the check `{}` ran on pull requests merged before, did not appear here, and is not waited for",
                name.replace('`', "'")
            ),
        }
    }
}

/// A verdict, and what is worth telling beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What is to be done.
    pub verdict: Verdict,
    /// What is worth telling.
    pub notes: Vec<Note>,
}

/// What is to be done about a request to merge (C3.2, C3.5).
#[must_use]
pub fn decide(facts: &Facts<'_>) -> Decided {
    if let Some(reason) = drop_reason(facts) {
        return Decided { verdict: Verdict::Drop(reason), notes: Vec::new() };
    }
    let mut reasons = people(facts);
    let notes = checks(facts, &mut reasons);
    reasons.extend(reviews(facts));
    reasons.extend(forge(facts));
    reasons.extend(facts.images.iter().filter_map(|image| match image {
        Image::Unknown(image) => Some(Reason::ImageUnknown { image: image.clone() }),
        Image::Same | Image::Gone(_) | Image::Moved(_) => None,
    }));
    // What the forge said last time counts only where nothing else explains it.
    if reasons.is_empty()
        && let Some(Attempt { answer: MergeAnswer::Again(said), at, count }) = facts.attempt
    {
        let until = at.saturating_add(growing(10, *count, 600)).unwrap_or(*at);
        if facts.now < until {
            reasons.push(Reason::ForgeRefused { said: said.clone(), until });
        }
    }
    let verdict = if reasons.is_empty() {
        let method = facts.request.method.unwrap_or(facts.config.method);
        Verdict::Merge { head: facts.pull.head, method }
    } else {
        Verdict::Wait(reasons)
    };
    Decided { verdict, notes }
}

/// Why the request cannot come true any more; what says most to people first.
fn drop_reason(facts: &Facts<'_>) -> Option<Reason> {
    let Facts { request, pull, config, .. } = facts;
    let by = || request.by.clone();
    match pull.state {
        PullState::Merged => return Some(Reason::AlreadyMerged),
        PullState::Closed => return Some(Reason::Closed),
        PullState::Open => {}
    }
    if facts.now >= expires_at(request, config) {
        return Some(Reason::Expired { days: config.expire.as_hours() / 24 });
    }
    if pull.base != request.base {
        return Some(Reason::BaseChanged { from: request.base.clone(), to: pull.base.clone() });
    }
    if pin::follow(request.head, pull.head, facts.ours).is_none() {
        return Some(Reason::HeadMoved { pinned: request.head, head: pull.head });
    }
    if facts.standing == Standing::MayNot {
        return Some(Reason::RequesterMayNot { by: by() });
    }
    if facts.rules.bot_may_not_merge {
        return Some(Reason::BotMayNotMerge { base: pull.base.clone() });
    }
    let method = request.method.unwrap_or(config.method);
    if !config.allowed.contains(&method) {
        return Some(Reason::MethodNotAllowed { method });
    }
    let image = facts.images.iter().find_map(|image| match image {
        Image::Gone(image) => Some(Reason::ImageGone { image: image.clone() }),
        Image::Moved(image) => Some(Reason::DigestMoved { image: image.clone() }),
        Image::Same | Image::Unknown(_) => None,
    });
    image.or_else(|| match facts.attempt {
        Some(Attempt { answer: MergeAnswer::Drop(said), .. }) => Some(Reason::ForgeRefusedHead { said: said.clone() }),
        _ => None,
    })
}

/// What people decided.
fn people(facts: &Facts<'_>) -> Vec<Reason> {
    let hold = facts.hold.filter(|hold| hold.counts(facts.now));
    let held =
        hold.map(|Hold { by, until, reason }| Reason::Held { by: by.clone(), until: *until, why: reason.clone() });
    let paused =
        facts.pause.map(|Pause { by, reason, since: _ }| Reason::Paused { by: by.clone(), why: reason.clone() });
    let unknown =
        (facts.standing == Standing::Unknown).then(|| Reason::RequesterUnknown { by: facts.request.by.clone() });
    let misconfigured = facts.misconfigured.map(|why| Reason::Misconfigured { why: why.to_owned() });
    held.into_iter().chain(paused).chain(misconfigured).chain(unknown).collect()
}

/// What the checks on the head leave open. Expected are the required ones, those of the pull requests merged before,
/// and whatever is there; with `--now` only the required ones.
fn checks(facts: &Facts<'_>, reasons: &mut Vec<Reason>) -> Vec<Note> {
    let is_own = |name: &str| !facts.own_checks.is_empty() && name.starts_with(facts.own_checks);
    let mut newest: BTreeMap<&str, &Check> = BTreeMap::new();
    for check in facts.checks.iter().filter(|check| !is_own(&check.name)) {
        let known = newest.entry(&check.name).or_insert(check);
        if check.at >= known.at {
            *known = check;
        }
    }
    let patterns: Vec<_> = facts.rules.required_checks.iter().filter(|pattern| !is_own(pattern)).collect();
    let mut required = BTreeSet::new();
    for pattern in &patterns {
        let names: Vec<_> = newest.keys().filter(|name| matches(pattern, name)).copied().collect();
        if names.is_empty() {
            reasons.push(Reason::RequiredCheckMissing { name: (*pattern).clone() });
        }
        required.extend(names);
    }
    for (name, check) in &newest {
        let is_required = required.contains(name);
        if facts.request.now && !is_required {
            continue;
        }
        let name = check.name.clone();
        match check.state {
            CheckState::Pending => reasons.push(Reason::CheckPending { name, required: is_required }),
            CheckState::Failure => reasons.push(Reason::CheckFailed { name, required: is_required }),
            CheckState::Success | CheckState::Neutral | CheckState::Skipped => {}
        }
    }
    if facts.request.now {
        return Vec::new();
    }
    let mut notes = Vec::new();
    let habitual: BTreeSet<_> = facts.habitual.iter().filter(|name| !is_own(name)).collect();
    let appear_until = facts.head_since.saturating_add(facts.config.appear).unwrap_or(facts.head_since);
    for name in habitual.iter().filter(|name| !newest.contains_key(name.as_str())) {
        // A required one is missing for as long as it takes, and is named already.
        if patterns.iter().any(|pattern| matches(pattern, name)) {
            continue;
        }
        if facts.now < appear_until {
            reasons.push(Reason::HabitualCheckMissing { name: (*name).clone(), until: appear_until });
        } else {
            notes.push(Note::HabitualCheckDropped((*name).clone()));
        }
    }
    if patterns.is_empty() && habitual.is_empty() {
        let until = facts.head_since.saturating_add(facts.config.settle).unwrap_or(facts.head_since);
        if facts.now < until {
            reasons.push(Reason::Settling { until });
        }
        if newest.is_empty() {
            notes.push(Note::NoChecksExpected);
        }
    }
    notes
}

/// What the reviews leave open.
fn reviews(facts: &Facts<'_>) -> Vec<Reason> {
    let counting = |opinion| facts.reviews.iter().filter(move |review| review.counts && review.opinion == opinion);
    let mut reasons = Vec::new();
    let by: Vec<_> = counting(Opinion::Rejected).map(|review| review.author.login.clone()).collect();
    if facts.rules.blocked_by_rejection && !by.is_empty() {
        reasons.push(Reason::Rejected { by });
    }
    let is_fresh = |review: &&Review| !(review.stale && facts.rules.stale_approvals_ignored);
    let (have, need) = (counting(Opinion::Approved).filter(is_fresh).count(), facts.rules.required_approvals);
    let have = u32::try_from(have).unwrap_or(u32::MAX);
    if have < need {
        reasons.push(Reason::ReviewsMissing { have, need });
    }
    reasons
}

/// What the forge says of the branch against its base.
fn forge(facts: &Facts<'_>) -> Vec<Reason> {
    let base = || facts.pull.base.clone();
    let mut reasons = Vec::new();
    if facts.rules.must_be_up_to_date && facts.behind {
        reasons.push(Reason::Behind { base: base() });
    }
    match facts.pull.mergeable {
        Mergeable::Yes => {}
        Mergeable::Conflict => reasons.push(Reason::Conflict { base: base() }),
        Mergeable::Unknown => {
            let wait = growing(5, facts.unknown_mergeable, 60);
            reasons.push(Reason::MergeableUnknown { until: facts.now.saturating_add(wait).unwrap_or(facts.now) });
        }
    }
    reasons
}

/// A wait that grows by its first step each time, up to a most: 5, 10, 15 s ….
fn growing(step: i64, count: u32, most: i64) -> SignedDuration {
    SignedDuration::from_secs((step * i64::from(count.max(1))).min(most))
}

/// When the request is dropped if nothing came of it.
#[must_use]
pub fn expires_at(request: &Request, config: &MergeConfig) -> Timestamp {
    request.asked_at.saturating_add(config.expire).unwrap_or(request.asked_at)
}

/// When to look again at a request that waits; none where it does not. A hook may come before.
///
/// All reasons must go, so it is enough to look when the last one can have gone; but not later than in an hour, for
/// what drops the request has to be noticed, and not later than when it expires.
#[must_use]
pub fn next_look(verdict: &Verdict, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    const LONGEST: SignedDuration = SignedDuration::from_hours(1);
    let Verdict::Wait(reasons) = verdict else { return None };
    let after = |wait| now.saturating_add(wait).unwrap_or(now);
    let last = reasons.iter().map(|reason| possible_at(reason, now)).max()?;
    // A time that is over would be looked at in a loop.
    Some(last.max(after(SignedDuration::from_secs(1))).min(after(LONGEST)).min(expires_at.max(now)))
}

/// When a reason to wait can have gone, where no hook tells.
fn possible_at(reason: &Reason, now: Timestamp) -> Timestamp {
    let after = |minutes| now.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(now);
    match reason {
        Reason::Settling { until }
        | Reason::HabitualCheckMissing { until, .. }
        | Reason::MergeableUnknown { until }
        | Reason::ForgeRefused { until, .. } => *until,
        Reason::Held { until: Some(until), .. } => *until,
        Reason::Held { until: None, .. } | Reason::Paused { .. } | Reason::Misconfigured { .. } => after(60),
        Reason::CheckPending { .. }
        | Reason::RequiredCheckMissing { .. }
        | Reason::Behind { .. }
        | Reason::Conflict { .. }
        | Reason::RequesterUnknown { .. } => after(1),
        Reason::CheckFailed { .. }
        | Reason::ReviewsMissing { .. }
        | Reason::Rejected { .. }
        | Reason::ImageUnknown { .. } => after(5),
        Reason::AlreadyMerged
        | Reason::Closed
        | Reason::Expired { .. }
        | Reason::HeadMoved { .. }
        | Reason::BaseChanged { .. }
        | Reason::ImageGone { .. }
        | Reason::DigestMoved { .. }
        | Reason::BotMayNotMerge { .. }
        | Reason::RequesterMayNot { .. }
        | Reason::MethodNotAllowed { .. }
        | Reason::ForgeRefusedHead { .. } => now,
    }
}

/// Whether a required name or pattern means a check. `*` stands for any characters, `?` for one; what forges know
/// beyond that means no check but one of that very name, so that the rule counts as not fulfilled.
fn matches(pattern: &str, name: &str) -> bool {
    if pattern == name {
        return true;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                // The last star takes one character more.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
