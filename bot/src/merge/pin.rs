//! Which head a request to merge means (C3.1).
//!
//! Pure. Invariant: a head that whoever asked cannot have seen is never the answer; where that is in doubt, there is
//! none, and the fault holds the words to ask again with.

use std::collections::BTreeMap;
use std::fmt;

use gix::ObjectId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pulls::OurHead;

/// The first digits of a commit's id, as people write them: 7 to 40, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ShaPrefix(String);

impl ShaPrefix {
    /// The fewest digits that name a commit.
    pub const MIN: usize = 7;
    /// The digits of a whole id.
    pub const MAX: usize = 40;

    /// Reads it, in any case; none where it is too short, too long, or not hexadecimal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_sha = (Self::MIN..=Self::MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_sha.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether it may mean this commit.
    #[must_use]
    pub fn names(&self, id: ObjectId) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl TryFrom<String> for ShaPrefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not the id of a commit"))
    }
}

impl fmt::Display for ShaPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A head that the branch of a pull request was seen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenHead {
    /// The commit.
    pub id: ObjectId,
    /// When it was first seen there.
    pub first_seen_at: Timestamp,
}

/// Why nothing is merged. Each holds the digits to ask again with ([`digits`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinFault {
    /// The head that was meant is the head no more.
    Moved {
        /// The head that was meant.
        from: ObjectId,
        /// The digits of the head now.
        digits: String,
    },
    /// The digits name no head of this pull request.
    Unknown {
        /// The digits that were given.
        given: ShaPrefix,
        /// The digits of the head now.
        digits: String,
    },
    /// The digits name several heads of this pull request.
    Ambiguous {
        /// The digits that were given.
        given: ShaPrefix,
        /// The digits of the head now, as many as set it apart.
        digits: String,
    },
    /// The head was not seen before the comment was written: whoever asked may have looked at another one.
    NotSeen {
        /// The digits of the head now.
        digits: String,
    },
}

impl PinFault {
    /// The digits of the head now, to ask again with.
    #[must_use]
    pub fn digits(&self) -> &str {
        match self {
            Self::Moved { digits, .. }
            | Self::Unknown { digits, .. }
            | Self::Ambiguous { digits, .. }
            | Self::NotSeen { digits } => digits,
        }
    }

    /// What to tell whoever asked: a sentence without full stop, names in backticks.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Moved { from, digits } => {
                format!("the branch moved on from `{}` to `{digits}` in between", from.to_hex_with_len(ShaPrefix::MIN))
            }
            Self::Unknown { given, .. } => format!("`{given}` is no head of this pull request"),
            Self::Ambiguous { given, .. } => format!("`{given}` is the start of more than one head"),
            Self::NotSeen { digits } => format!("`{digits}` came about the time of the comment, or after it"),
        }
    }
}

/// The head that a request means: the one whose digits are `given`, else the one that the review it was written in
/// is about, else the one that was there when the comment was written; and that only if it is still the head (C3.1).
///
/// A time says nothing where only one head was ever seen: that one is meant, however the clocks of the forge and of
/// this machine differ. Heads seen in the very moment of the comment do not count as seen before it.
///
/// # Errors
/// Where that is not the current head, or in doubt.
pub fn pin(
    given: Option<&ShaPrefix>,
    review: Option<ObjectId>,
    heads: &[SeenHead],
    comment_at: Timestamp,
    current: ObjectId,
) -> Result<ObjectId, PinFault> {
    let others = || heads.iter().map(|head| head.id).filter(move |id| *id != current);
    let digits = || digits(current, heads);
    if let Some(given) = given {
        let other = others().find(|id| given.names(*id));
        return match (given.names(current), other) {
            (true, None) => Ok(current),
            (true, Some(_)) => Err(PinFault::Ambiguous { given: given.clone(), digits: digits() }),
            (false, Some(from)) => Err(PinFault::Moved { from, digits: digits() }),
            (false, None) => Err(PinFault::Unknown { given: given.clone(), digits: digits() }),
        };
    }
    if let Some(from) = review {
        return if from == current { Ok(current) } else { Err(PinFault::Moved { from, digits: digits() }) };
    }
    if !heads.is_empty() && others().next().is_none() {
        return Ok(current);
    }
    let seen = heads.iter().filter(|head| head.first_seen_at < comment_at).max_by_key(|head| head.first_seen_at);
    match seen {
        Some(seen) if seen.id == current => Ok(current),
        // A head that was there before, left and came back is not told apart from one that never was.
        Some(seen) => Err(PinFault::Moved { from: seen.id, digits: digits() }),
        None => Err(PinFault::NotSeen { digits: digits() }),
    }
}

/// The first digits of a head, as many as set it apart from the others, at least seven.
#[must_use]
pub fn digits(head: ObjectId, heads: &[SeenHead]) -> String {
    let all = head.to_string();
    let common = |other: &str| all.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let needed = heads
        .iter()
        .filter(|other| other.id != head)
        .map(|other| common(&other.id.to_string()) + 1)
        .max()
        .unwrap_or_default();
    all.chars().take(needed.max(ShaPrefix::MIN)).collect()
}

/// Where the pin of a request stands once the branch moved: on the current head, if that is the pinned one or a
/// rebuild of ours that proposes exactly the same (C3.1). Any other push loses it.
#[must_use]
pub fn follow(pinned: ObjectId, current: ObjectId, ours: &BTreeMap<ObjectId, OurHead>) -> Option<ObjectId> {
    let same = || {
        let (pinned, current) = (ours.get(&pinned)?, ours.get(&current)?);
        (pinned.content_print == current.content_print).then_some(())
    };
    (pinned == current || same().is_some()).then_some(current)
}
