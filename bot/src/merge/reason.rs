//! Why a request to merge waits, or is dropped: every reason, with its words for people.
//!
//! Pure. Reasons are kept in the history and shown in comments and on pages, so they hold values and no prose; the
//! words are made when they are shown. What they hold is outside text: it goes through the renderer's `sentence`.

use gix::ObjectId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::commands::grammar::Grammar;
use crate::commands::{day_or_moment, method_word};
use crate::forge::MergeMethod;

/// Why a pull request is not merged now, or not on this request at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// A check runs.
    CheckPending {
        /// Its name.
        name: String,
        /// Whether the branch's rules demand it.
        required: bool,
    },
    /// A check failed.
    CheckFailed {
        /// Its name.
        name: String,
        /// Whether the branch's rules demand it.
        required: bool,
    },
    /// A check that the rules demand has not appeared.
    RequiredCheckMissing {
        /// Its name or pattern.
        name: String,
    },
    /// A check that ran on the pull requests merged before has not appeared yet.
    HabitualCheckMissing {
        /// Its name.
        name: String,
        /// When it is waited for no longer.
        until: Timestamp,
    },
    /// No check is expected, and the head is so new that one may still appear.
    Settling {
        /// When that is over.
        until: Timestamp,
    },
    /// Too few people approved.
    ReviewsMissing {
        /// How many approvals count.
        have: u32,
        /// How many it takes.
        need: u32,
    },
    /// Somebody asked for changes.
    Rejected {
        /// Their logins.
        by: Vec<String>,
    },
    /// The branch must hold the base's head, and does not.
    Behind {
        /// The base.
        base: String,
    },
    /// It conflicts with the base.
    Conflict {
        /// The base.
        base: String,
    },
    /// The forge is still working out whether it can be merged.
    MergeableUnknown {
        /// When it is asked again.
        until: Timestamp,
    },
    /// Somebody holds it.
    Held {
        /// Their login.
        by: String,
        /// When the hold ends by itself.
        until: Option<Timestamp>,
        /// Why.
        why: Option<String>,
    },
    /// The repository is paused.
    Paused {
        /// The login of who paused it.
        by: String,
        /// Why.
        why: Option<String>,
    },
    /// The repository's own configuration cannot be used, so nobody knows what is allowed there.
    Misconfigured {
        /// What is wrong with it.
        why: String,
    },
    /// The registry could not be asked whether the image is still the same.
    ImageUnknown {
        /// The image, with its tag.
        image: String,
    },
    /// The forge would not tell whether who asked may still merge.
    RequesterUnknown {
        /// Their login.
        by: String,
    },
    /// The forge refused the merge for now.
    ForgeRefused {
        /// What it said.
        said: String,
        /// When it is asked again.
        until: Timestamp,
    },
    /// It is merged already.
    AlreadyMerged,
    /// It was closed.
    Closed,
    /// The request is too old.
    Expired {
        /// How many days it stood.
        days: i64,
    },
    /// Somebody pushed to the branch.
    HeadMoved {
        /// The head that was asked for.
        #[serde(with = "id")]
        pinned: ObjectId,
        /// The head now.
        #[serde(with = "id")]
        head: ObjectId,
    },
    /// It is for another base than it was.
    BaseChanged {
        /// The base that it was for.
        from: String,
        /// The base now.
        to: String,
    },
    /// The registry has the image no more.
    ImageGone {
        /// The image, with its tag.
        image: String,
    },
    /// The tag points at another image than the one that was proposed.
    DigestMoved {
        /// The image, with its tag.
        image: String,
    },
    /// The bot is not among those who may merge into the base.
    BotMayNotMerge {
        /// The base.
        base: String,
    },
    /// Who asked may not merge any more.
    RequesterMayNot {
        /// Their login.
        by: String,
    },
    /// The repository does not take this way of merging.
    MethodNotAllowed {
        /// The way that was asked for.
        method: MergeMethod,
    },
    /// The forge refused the merge for good.
    ForgeRefusedHead {
        /// What it said.
        said: String,
    },
}

impl Reason {
    /// The names of all reasons ([`Reason::name`]), those to wait first.
    pub const NAMES: [&'static str; 27] = [
        "check-pending",
        "check-failed",
        "required-check-missing",
        "habitual-check-missing",
        "settling",
        "reviews-missing",
        "rejected",
        "behind",
        "conflict",
        "mergeable-unknown",
        "held",
        "paused",
        "misconfigured",
        "image-unknown",
        "requester-unknown",
        "forge-refused",
        "already-merged",
        "closed",
        "expired",
        "head-moved",
        "base-changed",
        "image-gone",
        "digest-moved",
        "bot-may-not-merge",
        "requester-may-not",
        "method-not-allowed",
        "forge-refused-head",
    ];

    /// Its name, as the store and outputs write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CheckPending { .. } => "check-pending",
            Self::CheckFailed { .. } => "check-failed",
            Self::RequiredCheckMissing { .. } => "required-check-missing",
            Self::HabitualCheckMissing { .. } => "habitual-check-missing",
            Self::Settling { .. } => "settling",
            Self::ReviewsMissing { .. } => "reviews-missing",
            Self::Rejected { .. } => "rejected",
            Self::Behind { .. } => "behind",
            Self::Conflict { .. } => "conflict",
            Self::MergeableUnknown { .. } => "mergeable-unknown",
            Self::Held { .. } => "held",
            Self::Paused { .. } => "paused",
            Self::Misconfigured { .. } => "misconfigured",
            Self::ImageUnknown { .. } => "image-unknown",
            Self::RequesterUnknown { .. } => "requester-unknown",
            Self::ForgeRefused { .. } => "forge-refused",
            Self::AlreadyMerged => "already-merged",
            Self::Closed => "closed",
            Self::Expired { .. } => "expired",
            Self::HeadMoved { .. } => "head-moved",
            Self::BaseChanged { .. } => "base-changed",
            Self::ImageGone { .. } => "image-gone",
            Self::DigestMoved { .. } => "digest-moved",
            Self::BotMayNotMerge { .. } => "bot-may-not-merge",
            Self::RequesterMayNot { .. } => "requester-may-not",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::ForgeRefusedHead { .. } => "forge-refused-head",
        }
    }

    /// What is the case, for people: half a sentence, names in backticks.
    #[must_use]
    pub fn words(&self) -> String {
        let kind = |required: &bool| if *required { "required check" } else { "check" };
        match self {
            Self::CheckPending { name, required } => format!("the {} {} is running", kind(required), tick(name)),
            Self::CheckFailed { name, required } => format!("the {} {} failed", kind(required), tick(name)),
            Self::RequiredCheckMissing { name } => format!("the required check {} has not started", tick(name)),
            Self::HabitualCheckMissing { name, until } => format!(
                "the check {} ran on pull requests merged before and has not started here; it is waited for until {}",
                tick(name),
                moment(*until)
            ),
            Self::Settling { until } => {
                format!("no check is expected; one that appears before {} is waited for", moment(*until))
            }
            Self::ReviewsMissing { have, need } => format!("it has {have} of {need} approvals"),
            Self::Rejected { by } => format!("{} asked for changes", list(by)),
            Self::Behind { base } => format!("the branch must hold the head of {}, and does not", tick(base)),
            Self::Conflict { base } => format!("it conflicts with {}", tick(base)),
            Self::MergeableUnknown { until: _ } => "the forge is still working out whether it can be merged".into(),
            Self::Held { by, until, why } => {
                let until = until.map_or(String::new(), |until| format!(" until {}", day_or_moment(until)));
                format!("it is held by {}{until}{}", tick(by), because(why.as_deref()))
            }
            Self::Paused { by, why } => {
                format!("the repository is paused by {}{}", tick(by), because(why.as_deref()))
            }
            Self::Misconfigured { why } => format!("the repository's configuration cannot be used: {why}"),
            Self::ImageUnknown { image } => format!("the registry could not be asked about {}", tick(image)),
            Self::RequesterUnknown { by } => format!("the forge does not say whether {} may still merge", tick(by)),
            Self::ForgeRefused { said, until } => {
                format!("the forge refused the merge: {}; it is asked again after {}", tick(said), moment(*until))
            }
            Self::AlreadyMerged => "it is merged already".into(),
            Self::Closed => "it was closed".into(),
            Self::Expired { days } => format!("it could not be merged within {days} days"),
            Self::HeadMoved { pinned, head } => {
                format!("the branch was moved from `{}` to `{}`", pinned.to_hex_with_len(7), head.to_hex_with_len(7))
            }
            Self::BaseChanged { from, to } => format!("it was for {} and is for {} now", tick(from), tick(to)),
            Self::ImageGone { image } => format!("the registry does not have {} any more", tick(image)),
            Self::DigestMoved { image } => {
                format!("{} is not the image any more that was proposed: its tag was moved", tick(image))
            }
            Self::BotMayNotMerge { base } => format!("Leadsman is not among those who may merge into {}", tick(base)),
            Self::RequesterMayNot { by } => format!("{} may not merge here any more", tick(by)),
            Self::MethodNotAllowed { method } => {
                format!("this repository does not take merging by {}", tick(method_word(*method)))
            }
            Self::ForgeRefusedHead { said } => format!("the forge refused the merge: {}", tick(said)),
        }
    }

    /// What helps, and whose doing that is: half a sentence.
    #[must_use]
    pub fn who(&self, grammar: &Grammar) -> String {
        let say = |command: &str| format!("`{}`", grammar.spell(command));
        match self {
            Self::CheckPending { required: true, .. } | Self::RequiredCheckMissing { .. } => {
                "whoever runs that check".into()
            }
            Self::CheckPending { required: false, .. } | Self::HabitualCheckMissing { .. } | Self::Settling { .. } => {
                format!("time; or {}, which waits for required checks only", say("merge --now"))
            }
            Self::CheckFailed { required: true, .. } => "whoever runs it again or mends it".into(),
            Self::CheckFailed { required: false, .. } => {
                format!("whoever runs it again or mends it; or {}", say("merge --now"))
            }
            Self::ReviewsMissing { .. } => "somebody whose approval counts for this branch".into(),
            Self::Rejected { .. } => "those who asked, by a new review; or whoever may dismiss it".into(),
            Self::Behind { .. } | Self::Conflict { .. } => {
                format!("Leadsman, by rebuilding the branch; {} asks for it now", say("rebase"))
            }
            Self::MergeableUnknown { .. } => "the forge".into(),
            Self::Held { .. } => format!("somebody with write access, by {}", say("unhold")),
            Self::Paused { .. } => format!("somebody with maintain access, by {}", say("resume")),
            Self::Misconfigured { .. } => "whoever mends `.leadsman.yaml` on the default branch".into(),
            Self::ImageUnknown { .. } => "the registry".into(),
            Self::RequesterUnknown { .. } | Self::ForgeRefused { .. } => "the forge; or whoever runs Leadsman".into(),
            Self::AlreadyMerged => "nothing needs to be done".into(),
            Self::Closed => format!("whoever opens it again, and then {}", say("merge")),
            Self::Expired { .. } | Self::BaseChanged { .. } => {
                format!("somebody with write access, by {}", say("merge"))
            }
            Self::HeadMoved { head, .. } => {
                format!("somebody who looked at it, by {}", say(&format!("merge {}", head.to_hex_with_len(7))))
            }
            Self::ImageGone { .. } | Self::DigestMoved { .. } => {
                format!("{}, which looks for what the registry has", say("scan"))
            }
            Self::BotMayNotMerge { .. } => "an administrator, in the rules of the branch; or merge by hand".into(),
            Self::RequesterMayNot { .. } => "somebody else with write access".into(),
            Self::MethodNotAllowed { .. } => format!("{} without it, or with another one", say("merge")),
            Self::ForgeRefusedHead { .. } => format!("mending what the forge names, and then {}", say("merge")),
        }
    }
}

/// A name between backticks, which it must not hold itself.
fn tick(name: &str) -> String {
    format!("`{}`", name.replace('`', "'"))
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names.iter().take(SHOWN).map(|name| tick(name)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(" and others");
    }
    text
}

fn because(why: Option<&str>) -> String {
    why.map_or(String::new(), |why| format!(": {}", tick(why)))
}

/// A time to the second, in UTC.
fn moment(time: Timestamp) -> String {
    time.strftime("%H:%M:%S UTC").to_string()
}

/// Commits as hexadecimal digits.
mod id {
    use gix::ObjectId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectId, D::Error> {
        let text = String::deserialize(deserializer)?;
        ObjectId::from_hex(text.as_bytes()).map_err(D::Error::custom)
    }
}
