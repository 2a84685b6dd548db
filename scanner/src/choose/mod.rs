//! Choosing: the current tag, the tags there are, a policy and the time become a choice with its reasons (S6).
//!
//! Pure. Asks no registry and reads no clock: creation times come with the candidates, the time is a parameter. The
//! same input gives the same choice, in whatever order the candidates come. Moved digests of an unchanged tag are the
//! caller's matter, and so are passing faults of the registry: nothing is chosen from half a picture (S6.3).

mod explain;
mod policy;
mod rank;
mod variant;

use std::cmp::Ordering;

use jiff::Timestamp;
use semver::Version;

pub use self::policy::{AgeError, Order, OrderError, Policy, parse_age};
use self::{
    rank::{Key, Ties},
    variant::Variant,
};
use crate::{
    filter::version,
    reference::is_tag,
    status::{Flag, Status, Verdict},
};

/// What is known about a tag's creation time (S6.2, S6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// Nobody asked, because the order needs no times or the filter does not take the tag.
    NotAsked,
    /// It was created then.
    At(Timestamp),
    /// The image says nothing usable (S6.2).
    Unknown,
    /// Its metadata is lastingly not to be had (S6.3); the text says why.
    Unavailable(String),
}

impl Created {
    /// The time, where it is known.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(*time),
            Self::NotAsked | Self::Unknown | Self::Unavailable(_) => None,
        }
    }
}

/// A tag of the registry's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The tag.
    pub tag: &'a str,
    /// When it was created.
    pub created: Created,
    /// When the caller first saw it, if it keeps a store.
    pub first_seen: Option<Timestamp>,
    /// It was in the first list ever read of this image, so that its first sight says little about its age (S6.7).
    pub in_first_listing: bool,
}

impl<'a> Candidate<'a> {
    /// A tag of which nothing else is known.
    #[must_use]
    pub fn new(tag: &'a str) -> Self {
        Self { tag, created: Created::NotAsked, first_seen: None, in_first_listing: false }
    }

    /// From when its age counts (S6.7). A tag whose creation time is unknown is at least as old as its first sight.
    pub(crate) fn known_since(&self) -> Option<Timestamp> {
        match (self.created.time(), self.first_seen) {
            (Some(created), Some(seen)) if !self.in_first_listing => Some(created.max(seen)),
            (Some(created), _) => Some(created),
            (None, seen) => seen,
        }
    }
}

/// The tag in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current<'a> {
    /// The tag.
    pub tag: &'a str,
    /// When it was created. What its candidate says goes first, if the registry still lists the tag.
    pub created: Created,
    /// When the caller first saw it; the same holds.
    pub first_seen: Option<Timestamp>,
}

impl<'a> Current<'a> {
    /// A tag of which nothing else is known.
    #[must_use]
    pub fn new(tag: &'a str) -> Self {
        Self { tag, created: Created::NotAsked, first_seen: None }
    }
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// One of [`Status::NoMatch`], [`Status::NoCreationTime`], [`Status::Downgrade`], [`Status::VariantChange`],
    /// [`Status::TooYoung`], [`Status::Current`] and [`Status::Update`].
    pub status: Status,
    /// For an update, the tag to write; for `current`, the current one; else the best tag that was held back.
    pub selected: Option<String>,
    /// [`Flag::MovesDown`] and [`Flag::CurrentGone`], which keep an update from being merged automatically (S6.4,
    /// S6.5).
    pub flags: Vec<Flag>,
    /// What the status does not say by itself, and what to do about it.
    pub message: Option<String>,
    /// A reason for every tag looked at, if asked for: the matching ones, best first, then the others by text (S6.8).
    pub reasons: Vec<Reason>,
    /// How many candidates were dropped because they are no tags by the grammar (S5.4).
    pub dropped: usize,
}

/// Why one tag was taken or left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The tag.
    pub tag: String,
    /// The reason as a word.
    pub verdict: Verdict,
    /// The reason as a sentence.
    pub message: String,
}

/// The tags whose creation times are needed before [`choose`] can be asked, best first where the order needs no times
/// itself (S6.3); empty where no times are needed. The current tag's time is needed too, wherever it stands.
///
/// With a minimum age and an order that needs no times, these are the tags that could replace the current one; a
/// caller may ask for them in turn and stop at the first that is old enough.
pub fn shortlist<'a>(policy: &Policy, current: &str, tags: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if !policy.needs_times() {
        return Vec::new();
    }
    let dates = policy.filter.admits_dates(Some(current));
    let tags = tags.into_iter().filter(|tag| is_tag(tag));
    let taken = tags.filter_map(|tag| Some((tag, policy.filter.examine(tag, dates).ok()?)));
    if policy.order == Order::Created {
        return taken.map(|(tag, _)| tag).collect();
    }
    let limits = Limits::of(policy, current);
    let obstacle = match policy.filter.examine(current, dates) {
        Ok(version) if !policy.allow_downgrade => Key::of(policy, current, version, None, dates).ok(),
        _ => None,
    };
    let mut contenders: Vec<_> = taken
        .filter_map(|(tag, version)| Some((Key::of(policy, tag, version, None, dates).ok()?, tag)))
        .filter(|(key, tag)| {
            *tag != current
                && limits.is_same_variant(key)
                && obstacle.as_ref().is_none_or(|obstacle| key.compare(obstacle).is_ge())
        })
        .collect();
    let ties = Ties::new(current);
    contenders.sort_unstable_by(|a, b| ties.rank((&b.0, b.1), (&a.0, a.1)));
    contenders.into_iter().map(|(_, tag)| tag).collect()
}

/// What may hold a tag back though it matches.
struct Limits<'a> {
    policy: &'a Policy,
    current: &'a str,
    /// The current tag's, where variants count (S6.6).
    variant: Option<Variant<'a>>,
}

impl<'a> Limits<'a> {
    fn of(policy: &'a Policy, current: &'a str) -> Self {
        let counts = policy.order == Order::Semver && !policy.allow_variant && version::parse(current).is_some();
        let variant = counts.then(|| Variant::of(current.split_once('-').map_or("", |(_, suffix)| suffix)));
        Self { policy, current, variant }
    }

    fn is_same_variant(&self, key: &Key<'_>) -> bool {
        match (&self.variant, key) {
            (Some(variant), Key::Version(version)) => variant.is_that_of(version.pre.as_str()),
            _ => true,
        }
    }

    /// Why a contender may not be chosen now. The current tag is where it is already.
    fn hold(&self, contender: &Contender<'_>, now: Timestamp) -> Option<Hold> {
        if contender.candidate.tag == self.current {
            return None;
        }
        if !self.is_same_variant(&contender.key) {
            return Some(Hold::Variant);
        }
        let min_age = self.policy.min_age?;
        let old_enough = contender.candidate.known_since().is_some_and(|since| now.duration_since(since) >= min_age);
        (!old_enough).then_some(Hold::TooYoung)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Variant,
    TooYoung,
}

/// A tag that the filter takes and that has something to be compared by.
struct Contender<'a> {
    candidate: &'a Candidate<'a>,
    key: Key<'a>,
}

/// All that is known when the decision is made.
struct Race<'a> {
    policy: &'a Policy,
    current: &'a Current<'a>,
    /// The current tag's entry in the list; `None` where the registry no longer has it.
    listed: Option<&'a Candidate<'a>>,
    /// The filter takes the current tag.
    current_passes: bool,
    /// What the current tag is compared by, where it can be.
    current_key: Option<Key<'a>>,
    contenders: Vec<Contender<'a>>,
    /// Filled only where reasons are asked for.
    left_out: Vec<(&'a Candidate<'a>, Verdict)>,
    /// How many tags the filter takes, comparable or not.
    matching: usize,
    dropped: usize,
    total: usize,
    /// Times of first sight stand in for creation times (S6.3).
    stands_in: bool,
    dates: bool,
    ties: Ties<'a>,
    limits: Limits<'a>,
    now: Timestamp,
}

/// Chooses a tag (S6). `candidates` is the registry's whole list; those of [`shortlist`], and the current one, carry
/// what is known of their times where times are needed.
///
/// `explain` asks for [`Choice::reasons`].
#[must_use]
pub fn choose(
    policy: &Policy,
    current: &Current<'_>,
    candidates: &[Candidate<'_>],
    now: Timestamp,
    explain: bool,
) -> Choice {
    let race = Race::new(policy, current, candidates, now, explain);
    let outcome = race.decide();
    race.choice(&outcome, explain)
}

/// The decision before it is put into words.
struct Outcome<'a> {
    status: Status,
    selected: Option<&'a str>,
    moves_down: bool,
}

impl<'a> Outcome<'a> {
    fn new(status: Status, selected: Option<&'a str>) -> Self {
        Self { status, selected, moves_down: false }
    }
}

/// The first in the order, and those before it that are held back.
#[derive(Default)]
struct Survey<'a> {
    best: Option<&'a Contender<'a>>,
    too_young: Option<&'a Contender<'a>>,
    other_variant: Option<&'a Contender<'a>>,
}

impl<'a> Race<'a> {
    fn new(
        policy: &'a Policy,
        current: &'a Current<'a>,
        candidates: &'a [Candidate<'a>],
        now: Timestamp,
        explain: bool,
    ) -> Self {
        let dates = policy.filter.admits_dates(Some(current.tag));
        let listed = candidates.iter().find(|candidate| candidate.tag == current.tag);
        let stands_in = policy.first_seen_stands_in
            && policy.order == Order::Created
            && !candidates.iter().any(|candidate| {
                candidate.created.time().is_some() && policy.filter.examine(candidate.tag, dates).is_ok()
            });
        let current_version = policy.filter.examine(current.tag, dates);
        let mut race = Self {
            policy,
            current,
            listed,
            current_passes: current_version.is_ok(),
            current_key: None,
            contenders: Vec::new(),
            left_out: Vec::new(),
            matching: 0,
            dropped: 0,
            total: candidates.len(),
            stands_in,
            dates,
            ties: Ties::new(current.tag),
            limits: Limits::of(policy, current.tag),
            now,
        };
        race.current_key = race.key_of_current(current_version.ok().flatten());
        for candidate in candidates {
            if !is_tag(candidate.tag) {
                race.dropped += 1;
                continue;
            }
            match race.enter(candidate) {
                Ok(key) => race.contenders.push(Contender { candidate, key }),
                Err(verdict) if explain => race.left_out.push((candidate, verdict)),
                Err(_) => {}
            }
        }
        race
    }

    fn key_of_current(&self, version: Option<Version>) -> Option<Key<'a>> {
        let tag = self.current.tag;
        let time = if self.stands_in {
            self.listed.and_then(|listed| listed.first_seen).or(self.current.first_seen)
        } else {
            self.listed.and_then(|listed| listed.created.time()).or_else(|| self.current.created.time())
        };
        Key::of(self.policy, tag, version, time, self.dates).ok()
    }

    fn enter(&mut self, candidate: &'a Candidate<'a>) -> Result<Key<'a>, Verdict> {
        let version = self.policy.filter.examine(candidate.tag, self.dates)?;
        self.matching += 1;
        let is_current = candidate.tag == self.current.tag;
        if self.policy.needs_times()
            && matches!(candidate.created, Created::Unavailable(_))
            && !(is_current && self.current_key.is_some())
        {
            return Err(Verdict::Unavailable);
        }
        let time = if is_current && let Some(Key::Time(time)) = &self.current_key {
            Some(*time)
        } else if self.stands_in {
            // Tags of the very first list may be of any age: none of them is known to be newer than another.
            candidate.first_seen.filter(|_| !candidate.in_first_listing)
        } else {
            candidate.created.time()
        };
        Key::of(self.policy, candidate.tag, version, time, self.dates)
    }

    fn decide(&self) -> Outcome<'_> {
        if self.contenders.is_empty() {
            let timeless = self.matching > 0 && self.policy.order == Order::Created;
            return Outcome::new(if timeless { Status::NoCreationTime } else { Status::NoMatch }, None);
        }
        let survey = self.survey();
        if let Some(best) = survey.best
            && best.candidate.tag != self.current.tag
        {
            if self.current_has_no_time() {
                return Outcome::new(Status::NoCreationTime, Some(best.candidate.tag));
            }
            if self.may_replace_current(best) {
                let moves_down = self.current_key.as_ref().is_some_and(|key| best.key.compare(key).is_lt());
                return Outcome { status: Status::Update, selected: Some(best.candidate.tag), moves_down };
            }
        }
        self.stay(&survey)
    }

    /// One pass over the contenders.
    fn survey(&self) -> Survey<'_> {
        let mut survey = Survey::default();
        for contender in &self.contenders {
            if survey.best.is_some_and(|best| self.rank(contender, best).is_lt()) {
                continue;
            }
            let place = match self.limits.hold(contender, self.now) {
                None => &mut survey.best,
                Some(Hold::TooYoung) => &mut survey.too_young,
                Some(Hold::Variant) => &mut survey.other_variant,
            };
            if place.is_none_or(|first| self.rank(contender, first).is_gt()) {
                *place = Some(contender);
            }
        }
        survey
    }

    fn rank(&self, a: &Contender<'_>, b: &Contender<'_>) -> Ordering {
        self.ties.rank((&a.key, a.candidate.tag), (&b.key, b.candidate.tag))
    }

    /// What a choice must not fall below: the current tag, if the filter takes it (S6.4).
    fn obstacle(&self) -> Option<&Key<'a>> {
        self.current_key.as_ref().filter(|_| self.current_passes)
    }

    /// The current tag is there and matches, but has no time: what is newer cannot be known, and going by the others
    /// alone could go backwards. Where its image cannot be had at all, it does not stand in the way (S6.5).
    fn current_has_no_time(&self) -> bool {
        self.policy.order == Order::Created
            && self.current_passes
            && self.current_key.is_none()
            && !self.policy.allow_downgrade
            && !self.current_is_gone()
    }

    /// The registry does not list the current tag, or has no image for it.
    fn current_is_gone(&self) -> bool {
        self.listed.is_none_or(|listed| matches!(listed.created, Created::Unavailable(_)))
    }

    fn may_replace_current(&self, best: &Contender<'_>) -> bool {
        self.obstacle().is_none_or(|obstacle| match best.key.compare(obstacle) {
            Ordering::Greater => true,
            // Tags that were first seen together are in no order, and one of them is as good as another.
            Ordering::Equal => !self.stands_in,
            Ordering::Less => self.policy.allow_downgrade,
        })
    }

    /// Nothing may replace the current tag now: says what stands in the way, if anything does.
    fn stay(&self, survey: &Survey<'a>) -> Outcome<'_> {
        let Survey { best, too_young, other_variant } = survey;
        let tag = |contender: &&Contender<'a>| contender.candidate.tag;
        if let Some(young) = too_young
            && self.obstacle().is_none_or(|obstacle| young.key.compare(obstacle).is_gt())
        {
            return Outcome::new(Status::TooYoung, Some(tag(young)));
        }
        if let Some(other) = other_variant
            && self.obstacle().is_none_or(|obstacle| is_later_release(&other.key, obstacle))
        {
            return Outcome::new(Status::VariantChange, Some(tag(other)));
        }
        let first = best.or(*too_young).or(*other_variant);
        let lower = |first: &Contender<'_>| self.obstacle().is_some_and(|obstacle| first.key.compare(obstacle).is_lt());
        match first {
            Some(first) if lower(first) => Outcome::new(Status::Downgrade, Some(first.candidate.tag)),
            _ => Outcome::new(Status::Current, Some(self.current.tag)),
        }
    }
}

/// Whether a version of another variant is news: `1.2.3` is no later release than `1.2.3-alpine`, though it comes
/// after it by precedence.
fn is_later_release(key: &Key<'_>, than: &Key<'_>) -> bool {
    match (key, than) {
        (Key::Version(a), Key::Version(b)) => (a.major, a.minor, a.patch) > (b.major, b.minor, b.patch),
        _ => false,
    }
}
