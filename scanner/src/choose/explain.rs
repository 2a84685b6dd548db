//! A decision put into words: the message beside a status, and a reason for every tag (S6.8).

use super::{Candidate, Choice, Contender, Created, Hold, Order, Outcome, Race, Reason, policy::write_age};
use crate::status::{Flag, Status, Verdict};

impl Race<'_> {
    /// The decision as callers get it.
    pub(super) fn choice(&self, outcome: &Outcome<'_>, explain: bool) -> Choice {
        let mut flags = Vec::new();
        if outcome.moves_down {
            flags.push(Flag::MovesDown);
        }
        if self.total > self.dropped && self.current_is_gone() {
            flags.push(Flag::CurrentGone);
        }
        Choice {
            status: outcome.status,
            selected: outcome.selected.map(str::to_owned),
            message: self.message(outcome),
            flags,
            reasons: if explain { self.reasons(outcome) } else { Vec::new() },
            dropped: self.dropped,
        }
    }

    fn message(&self, outcome: &Outcome<'_>) -> Option<String> {
        let current = self.current.tag;
        let filter = self.policy.filter.text();
        let selected = outcome.selected.unwrap_or_default();
        let gone = if self.listed.is_none() { ", which the registry no longer lists" } else { "" };
        Some(match outcome.status {
            Status::NoMatch if self.total == self.dropped => "the registry lists no tags".to_owned(),
            Status::NoMatch if self.matching > 0 => format!(
                "`{filter}` matches {}, but none of them has {}",
                tags(self.matching),
                match self.policy.order {
                    Order::Semver => "a version to order by",
                    Order::Numerical =>
                        "a single number to order by; a regular expression can name it with `(?P<order>\\d+)`",
                    Order::Created | Order::Alphabetical => "a text to order by",
                }
            ),
            Status::NoMatch => format!("`{filter}` matches none of {}", tags(self.total - self.dropped)),
            Status::NoCreationTime if self.stands_in => format!(
                "`{filter}` matches {}, but none of them has a usable creation time, and which was there first is not \
                 known either; the next tag to appear is taken for the newest, or name an order that needs no times with \
                 the annotation `leadsman.dev/order.<container>`",
                tags(self.matching)
            ),
            Status::NoCreationTime if outcome.selected.is_none() => format!(
                "`{filter}` matches {}, but none of them has a usable creation time; name an order that needs none with \
                 the annotation `leadsman.dev/order.<container>`",
                tags(self.matching)
            ),
            Status::NoCreationTime => format!(
                "the current `{current}` has no usable creation time, so whether `{selected}` is newer cannot be known; \
                 name an order that needs none with the annotation `leadsman.dev/order.<container>`"
            ),
            Status::Downgrade => format!(
                "`{selected}`, the best match, is lower than the current `{current}`{gone}; the annotation \
                 `leadsman.dev/allow-downgrade.<container>: \"true\"` allows it"
            ),
            Status::VariantChange => format!(
                "only tags of another variant than `{current}` are newer, such as `{selected}`; the annotation \
                 `leadsman.dev/allow-variant.<container>: \"true\"` allows it"
            ),
            Status::TooYoung => {
                let candidate = self.contenders.iter().map(|contender| contender.candidate);
                let age = candidate
                    .into_iter()
                    .find(|candidate| candidate.tag == selected)
                    .map(|found| self.too_young(found));
                format!("`{selected}` is newer than `{current}`, but {}", age.unwrap_or_default())
            }
            Status::Update if outcome.moves_down && !self.current_passes => {
                format!("moves down, for `{filter}` does not match the current `{current}`")
            }
            Status::Update if outcome.moves_down => format!("moves down from `{current}`{gone}, as the policy allows"),
            Status::Update if self.listed.is_none() => format!("the registry no longer lists the current `{current}`"),
            Status::Update if self.current_is_gone() => {
                format!("the registry has no usable image for the current `{current}`")
            }
            _ => return None,
        })
    }

    fn reasons(&self, outcome: &Outcome<'_>) -> Vec<Reason> {
        let mut contenders: Vec<_> = self.contenders.iter().collect();
        contenders.sort_unstable_by(|a, b| self.rank(b, a));
        let mut passed: Option<&str> = None;
        let mut reasons = Vec::with_capacity(contenders.len() + self.left_out.len());
        for contender in contenders {
            let tag = contender.candidate.tag;
            let (verdict, message) = self.reason(contender, outcome, passed);
            if matches!(verdict, Verdict::Selected | Verdict::Current) && passed.is_none() {
                passed = Some(tag);
            }
            reasons.push(Reason { tag: tag.to_owned(), verdict, message });
        }
        let mut left_out: Vec<_> = self.left_out.iter().collect();
        left_out.sort_unstable_by_key(|(candidate, _)| candidate.tag);
        reasons.extend(left_out.into_iter().map(|(candidate, verdict)| {
            let message = self.why_left_out(candidate.tag, &candidate.created, *verdict);
            if candidate.tag == self.current.tag {
                let message = format!("the tag in the file now; {message}");
                return Reason { tag: candidate.tag.to_owned(), verdict: Verdict::Current, message };
            }
            Reason { tag: candidate.tag.to_owned(), verdict: *verdict, message }
        }));
        reasons
    }

    /// The reason for a tag that has a place in the order; `passed` is the chosen or current tag before it.
    fn reason(&self, contender: &Contender<'_>, outcome: &Outcome<'_>, passed: Option<&str>) -> (Verdict, String) {
        let tag = contender.candidate.tag;
        if tag == self.current.tag {
            return (Verdict::Current, "the tag in the file now".to_owned());
        }
        if outcome.status == Status::Update && outcome.selected == Some(tag) {
            return (Verdict::Selected, self.praise().to_owned());
        }
        if let Some(passed) = passed {
            return (Verdict::Older, format!("`{passed}` comes before it"));
        }
        match self.limits.hold(contender, self.now) {
            Some(Hold::Variant) => {
                return (Verdict::Variant, format!("it is of another variant than `{}`", self.current.tag));
            }
            Some(Hold::TooYoung) => return (Verdict::TooYoung, self.too_young(contender.candidate)),
            None => {}
        }
        if outcome.status == Status::NoCreationTime {
            let message = format!("the current `{}` has no creation time to compare it with", self.current.tag);
            return (Verdict::NoCreationTime, message);
        }
        if self.obstacle().is_some_and(|obstacle| contender.key.compare(obstacle).is_lt()) {
            return (Verdict::Downgrade, format!("it is lower than the current `{}`", self.current.tag));
        }
        (Verdict::Older, format!("it is no newer than the current `{}`", self.current.tag))
    }

    fn praise(&self) -> &'static str {
        match self.policy.order {
            Order::Semver => "the highest version that may be chosen",
            Order::Created if self.stands_in => "the last that was first seen, of those that may be chosen",
            Order::Created => "the newest that may be chosen",
            Order::Numerical => "the highest number that may be chosen",
            Order::Alphabetical => "the last in alphabetical order that may be chosen",
        }
    }

    fn too_young(&self, candidate: &Candidate<'_>) -> String {
        let needed = write_age(self.policy.min_age.unwrap_or_default());
        match candidate.known_since() {
            Some(since) => format!("it is {} old and has to be {needed}", write_age(self.now.duration_since(since))),
            None => format!("its age is not known and has to be {needed}"),
        }
    }

    fn why_left_out(&self, tag: &str, created: &Created, verdict: Verdict) -> String {
        match verdict {
            Verdict::NoVersion => "it is no version to order by".to_owned(),
            Verdict::NoNumber => "it does not hold exactly one number to order by".to_owned(),
            Verdict::NoText => "the group to order by is not in it".to_owned(),
            Verdict::NoCreationTime if self.stands_in => {
                "when it was made is not known: it was there already when the image was first looked at".to_owned()
            }
            Verdict::NoCreationTime => "it has no usable creation time".to_owned(),
            Verdict::Unavailable => match created {
                Created::Unavailable(why) => format!("its metadata cannot be had: {why}"),
                _ => "its metadata cannot be had".to_owned(),
            },
            _ => self.policy.filter.explain(tag, verdict, self.dates).message.into_owned(),
        }
    }
}

fn tags(count: usize) -> String {
    if count == 1 { "1 tag".to_owned() } else { format!("{count} tags") }
}
