//! What Gitea's answers to a request to merge mean (C3.3): one table.
//!
//! Pure. Gitea says most of it by words under one status, so words are looked for; what is not in the table is asked
//! again where the state may change by itself and dropped where it may not.

use crate::forge::MergeAnswer;

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Again,
    Drop,
}

use Verdict::{Again, Drop};

/// Status, words that the message holds (lower case, empty: any), and what follows. The first row that fits counts.
const ANSWERS: &[(u16, &str, Verdict)] = &[
    // Somebody was faster, or an earlier request of ours came through: the next look finds it merged.
    (405, "already merged", Again),
    (405, "not allowed to merge", Drop),
    (405, "work in progress", Drop),
    (405, "merge style", Drop),
    (405, "protected files", Drop),
    (405, "sign", Drop),
    // "Please try again later" (conflicts are being looked for, or there is one), and what the rules lack still: checks,
    // approvals, being up to date. All of it may come.
    (405, "", Again),
    (409, "head out of date", Drop),
    (409, "pushrejected", Drop),
    // The base moved while it merged, or there is a conflict, which a rebuilt branch mends.
    (409, "", Again),
    (403, "", Drop),
    // Closed, or gone.
    (404, "", Drop),
    (422, "", Drop),
    // The repository is archived.
    (423, "", Drop),
    // It failed within this one request; whether it took effect is looked up before it is asked again.
    (500, "", Again),
];

/// What an answer with `status` and `message` means; none where it says nothing about this merge.
pub(super) fn verdict(status: u16, message: &str) -> Option<MergeAnswer> {
    if (200..300).contains(&status) {
        return Some(MergeAnswer::Merged);
    }
    let lower = message.to_lowercase();
    let (_, _, verdict) = ANSWERS.iter().find(|(code, words, _)| *code == status && lower.contains(words))?;
    Some(match verdict {
        Again => MergeAnswer::Again(message.to_owned()),
        Drop => MergeAnswer::Drop(message.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_merging_are_asked_again_or_dropped_c3_3() {
        let kind = |status, message| match verdict(status, message) {
            Some(MergeAnswer::Merged) => "merged",
            Some(MergeAnswer::Again(said)) if said == message => "again",
            Some(MergeAnswer::Drop(said)) if said == message => "drop",
            None => "error",
            other => panic!("{other:?}"),
        };
        for (status, message, expected) in [
            (200, "", "merged"),
            (405, "The PR is already merged (405)", "again"),
            (405, "Please try again later (405)", "again"),
            (405, "Not all required status checks successful (405)", "again"),
            (405, "Does not have enough approvals (405)", "again"),
            (405, "The head branch is behind the base branch (405)", "again"),
            (405, "User not allowed to merge PR (405)", "drop"),
            (405, "Work in progress PRs cannot be merged (405)", "drop"),
            (405, "squash is not allowed an allowed merge style for this repository (405)", "drop"),
            (405, "Changed protected files (405)", "drop"),
            (405, "wont sign: nokey (405)", "drop"),
            (409, "head out of date (409)", "drop"),
            (409, "PushRejected with remote message: no (409)", "drop"),
            (409, "merge push out of date (409)", "again"),
            (409, "it answered 409 Conflict", "again"),
            (403, "no", "drop"),
            (404, "", "drop"),
            (423, "acme/fleet is archived (423)", "drop"),
            (500, "", "again"),
            (401, "", "error"),
            (429, "", "error"),
            (502, "", "error"),
        ] {
            assert_eq!(kind(status, message), expected, "{status} {message}");
        }
    }
}
