//! What Gitea's answers hold that we use, and what it means in the words of all forges.
//!
//! Pure: reads values, asks nobody. Fields that older Gitea or Forgejo do not send are optional; what is sent with another
//! type is an error of the whole answer.

use gix::ObjectId;
use jiff::Timestamp;
use serde::Deserialize;

use crate::forge::{
    Check, CheckState, Comment, ForgePull, Mergeable, Opinion, Permission, Person, PullState, Review, Rules,
};

/// An account.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) login: String,
}

impl From<User> for Person {
    fn from(User { id, login }: User) -> Self {
        Self { id, login }
    }
}

/// A repository.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub(super) id: i64,
    pub(super) full_name: String,
    pub(super) default_branch: String,
    #[serde(default)]
    pub(super) archived: bool,
    #[serde(default)]
    pub(super) empty: bool,
    pub(super) html_url: String,
}

/// One side of a pull request.
#[derive(Debug, Deserialize)]
pub(super) struct Side {
    /// The branch; `refs/pull/…` where it is gone, or never was one.
    #[serde(rename = "ref")]
    name: String,
    /// The branch also where it is gone; empty where it never was one.
    label: String,
    sha: String,
    repo_id: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Label {
    pub(super) id: i64,
    pub(super) name: String,
}

/// A pull request.
#[derive(Debug, Deserialize)]
pub(super) struct Pull {
    pub(super) number: i64,
    pub(super) user: User,
    title: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    labels: Option<Vec<Label>>,
    state: State,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    mergeable: bool,
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    #[serde(default)]
    merged_by: Option<User>,
    head: Side,
    base: Side,
    #[serde(default)]
    merge_base: String,
    html_url: String,
    updated_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Open,
    Closed,
}

impl Pull {
    /// The branch it would merge.
    pub(super) fn branch(&self) -> &str {
        if self.head.name.starts_with("refs/") { &self.head.label } else { &self.head.name }
    }

    /// Whether that branch is one of the base repository.
    pub(super) fn same_repository(&self) -> bool {
        self.head.repo_id == self.base.repo_id && !self.branch().is_empty()
    }

    /// The branch it would merge into.
    pub(super) fn base(&self) -> &str {
        &self.base.name
    }

    /// Whether it is open.
    pub(super) fn state(&self) -> PullState {
        match (self.merged, self.state) {
            (true, _) => PullState::Merged,
            (false, State::Open) => PullState::Open,
            (false, State::Closed) => PullState::Closed,
        }
    }

    /// Where both sides are, where that could be in conflict: the forge says that it cannot be merged, it is no draft,
    /// and the branch lacks commits of the base. What it does not say is whether it is still looking.
    pub(super) fn maybe_in_conflict(&self) -> Option<(String, String)> {
        let behind = self.merge_base != self.base.sha;
        (self.state() == PullState::Open && !self.mergeable && !self.draft && behind)
            .then(|| (self.head.sha.clone(), self.base.sha.clone()))
    }

    /// In the words of all forges. `conflict` is whether what [`Pull::maybe_in_conflict`] says has lasted.
    ///
    /// # Errors
    /// With what is wrong, where an id of a commit is none.
    pub(super) fn into_pull(self, conflict: bool) -> Result<ForgePull, String> {
        let mergeable = match (self.mergeable, conflict) {
            (true, _) => Mergeable::Yes,
            (false, true) => Mergeable::Conflict,
            (false, false) => Mergeable::Unknown,
        };
        let merge_commit = self.merge_commit_sha.as_deref().filter(|sha| !sha.is_empty());
        Ok(ForgePull {
            state: self.state(),
            branch: self.branch().to_owned(),
            same_repository: self.same_repository(),
            head: commit(&self.head.sha, self.number)?,
            merge_commit: merge_commit.map(|sha| commit(sha, self.number)).transpose()?,
            mergeable,
            number: self.number,
            title: self.title,
            body: self.body.unwrap_or_default(),
            author: self.user.into(),
            base: self.base.name,
            labels: self.labels.unwrap_or_default().into_iter().map(|label| label.name).collect(),
            closed_by: self.merged_by.map(Into::into),
            url: self.html_url,
            updated_at: self.updated_at,
        })
    }
}

fn commit(sha: &str, number: i64) -> Result<ObjectId, String> {
    ObjectId::from_hex(sha.as_bytes())
        .map_err(|_| format!("a commit of pull request {number} has no id that can be read"))
}

/// A comment.
#[derive(Debug, Deserialize)]
pub(super) struct IssueComment {
    id: i64,
    user: User,
    body: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<IssueComment> for Comment {
    fn from(comment: IssueComment) -> Self {
        let IssueComment { id, user, body, created_at, updated_at } = comment;
        Self { id, author: user.into(), body, created_at, updated_at }
    }
}

/// What somebody may do.
#[derive(Debug, Deserialize)]
pub(super) struct Collaborator {
    permission: String,
    user: User,
}

impl Collaborator {
    /// What `person` may do. Gitea knows fewer steps than the commands tell apart: who may write may sort too, an owner
    /// is an administrator (C2). A name that was given to another account grants nothing.
    pub(super) fn permission_of(&self, person: &Person) -> Permission {
        if self.user.id != person.id {
            return Permission::None;
        }
        match self.permission.as_str() {
            "read" => Permission::Read,
            "write" => Permission::Write,
            "admin" | "owner" => Permission::Admin,
            _ => Permission::None,
        }
    }
}

/// The statuses of a commit, the newest of each context.
#[derive(Debug, Deserialize)]
pub(super) struct CombinedStatus {
    #[serde(default)]
    pub(super) statuses: Option<Vec<Status>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    id: i64,
    #[serde(rename = "status")]
    state: StatusState,
    context: String,
    #[serde(default)]
    target_url: String,
    updated_at: Timestamp,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusState {
    Pending,
    Success,
    Skipped,
    Warning,
    Failure,
    Error,
    /// One that a newer forge knows: it does not pass.
    #[serde(other)]
    Unknown,
}

/// One check per context, the newest.
pub(super) fn checks(mut statuses: Vec<Status>) -> Vec<Check> {
    statuses.sort_by(|a, b| a.context.cmp(&b.context).then(b.id.cmp(&a.id)));
    statuses.dedup_by(|older, kept| older.context == kept.context);
    let check = |status: Status| Check {
        name: status.context,
        // A warning counts as a failure for Gitea itself.
        state: match status.state {
            StatusState::Pending | StatusState::Unknown => CheckState::Pending,
            StatusState::Success => CheckState::Success,
            StatusState::Skipped => CheckState::Skipped,
            StatusState::Warning | StatusState::Failure | StatusState::Error => CheckState::Failure,
        },
        url: (!status.target_url.is_empty()).then_some(status.target_url),
        at: status.updated_at,
    };
    statuses.into_iter().map(check).collect()
}

/// A branch.
#[derive(Debug, Deserialize)]
pub(super) struct Branch {
    pub(super) protected: bool,
    #[serde(default)]
    user_can_merge: bool,
    /// The name of its rule; empty where the token is not an administrator's.
    #[serde(default)]
    pub(super) effective_branch_protection_name: String,
}

impl Branch {
    /// Its rules, given its protection where it has one.
    pub(super) fn rules(&self, protection: Option<Protection>) -> Rules {
        let bot_may_not_merge = !self.user_can_merge;
        let Some(protection) = protection else { return Rules { bot_may_not_merge, ..Rules::default() } };
        let contexts = protection.status_check_contexts.unwrap_or_default();
        let required_checks = match (protection.enable_status_check, contexts.is_empty()) {
            (false, _) => Vec::new(),
            // Without a list Gitea asks for every status there is, and for one at least.
            (true, true) => vec!["*".to_owned()],
            (true, false) => contexts,
        };
        Rules {
            required_checks,
            required_approvals: u32::try_from(protection.required_approvals.max(0)).unwrap_or(u32::MAX),
            blocked_by_rejection: protection.block_on_rejected_reviews,
            stale_approvals_ignored: protection.ignore_stale_approvals,
            must_be_up_to_date: protection.block_on_outdated_branch,
            bot_may_not_merge,
        }
    }
}

/// The rule of a branch.
#[derive(Debug, Deserialize)]
pub(super) struct Protection {
    enable_status_check: bool,
    #[serde(default)]
    status_check_contexts: Option<Vec<String>>,
    required_approvals: i64,
    #[serde(default)]
    block_on_rejected_reviews: bool,
    #[serde(default)]
    block_on_outdated_branch: bool,
    #[serde(default)]
    ignore_stale_approvals: bool,
}

/// A review.
#[derive(Debug, Deserialize)]
pub(super) struct PullReview {
    id: i64,
    /// None where a team was asked for one.
    #[serde(default)]
    user: Option<User>,
    state: String,
    #[serde(default)]
    commit_id: String,
    #[serde(default)]
    stale: bool,
    #[serde(default)]
    official: bool,
    #[serde(default)]
    dismissed: bool,
}

/// The review that counts of each person: the newest that approves or rejects, else the newest comment. In the order of
/// people's first reviews.
pub(super) fn reviews(mut all: Vec<PullReview>) -> Vec<Review> {
    all.sort_by_key(|review| review.id);
    let mut found: Vec<Review> = Vec::new();
    for review in all {
        let opinion = match review.state.as_str() {
            "APPROVED" => Opinion::Approved,
            "REQUEST_CHANGES" => Opinion::Rejected,
            "COMMENT" => Opinion::Commented,
            // Not sent yet, or asked for.
            _ => continue,
        };
        let Some(user) = review.user else { continue };
        let newer = Review {
            author: user.into(),
            opinion,
            commit: ObjectId::from_hex(review.commit_id.as_bytes()).ok(),
            counts: review.official && !review.dismissed && opinion != Opinion::Commented,
            stale: review.stale,
        };
        match found.iter_mut().find(|known| known.author.id == newer.author.id) {
            Some(known) if opinion == Opinion::Commented && known.opinion != Opinion::Commented => {}
            Some(known) => *known = newer,
            None => found.push(newer),
        }
    }
    found
}

/// An issue.
#[derive(Debug, Deserialize)]
pub(super) struct Issue {
    pub(super) number: i64,
    pub(super) user: User,
    #[serde(default)]
    pub(super) body: Option<String>,
}

/// What a webhook is set up with; its secret is never told.
#[derive(Debug, Deserialize)]
pub(super) struct Hook {
    pub(super) active: bool,
    pub(super) config: HookConfig,
}

#[derive(Debug, Deserialize)]
pub(super) struct HookConfig {
    #[serde(default)]
    pub(super) url: String,
}

/// The number of something that was made.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    pub(super) number: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_review_with_an_opinion_counts() {
        let review = |id: i64, user: i64, state: &str| {
            let official = true;
            json!({ "id": id, "user": { "id": user, "login": format!("u{user}") }, "state": state, "official": official })
        };
        let all = json!([
            review(5, 1, "COMMENT"), review(1, 1, "REQUEST_CHANGES"), review(3, 1, "APPROVED"),
            review(2, 2, "COMMENT"), review(4, 3, "PENDING"), review(6, 4, "REQUEST_REVIEW"),
            { "id": 7, "user": null, "state": "REQUEST_REVIEW" },
        ]);
        let found = reviews(serde_json::from_value(all).unwrap());
        let told: Vec<_> = found.iter().map(|review| (review.author.id, review.opinion, review.counts)).collect();
        assert_eq!(told, [(1, Opinion::Approved, true), (2, Opinion::Commented, false)]);
    }

    #[test]
    fn permissions_are_of_the_number_and_in_our_words_c2() {
        let person = Person { id: 7, login: "x".into() };
        for (said, permission) in [
            ("none", Permission::None),
            ("read", Permission::Read),
            ("write", Permission::Write),
            ("admin", Permission::Admin),
            ("owner", Permission::Admin),
            ("god", Permission::None),
        ] {
            let of = |id: i64| {
                let answer = json!({ "permission": said, "user": { "id": id, "login": "x" } });
                serde_json::from_value::<Collaborator>(answer).unwrap().permission_of(&person)
            };
            assert_eq!((of(7), of(8)), (permission, Permission::None), "{said}");
        }
    }

    #[test]
    fn a_state_that_is_not_known_does_not_pass_c3_2() {
        let status = |id: i64, state: &str| json!({ "id": id, "status": state, "context": "ci", "updated_at": "2026-01-02T03:04:05Z" });
        let told = |all: serde_json::Value| checks(serde_json::from_value(all).unwrap())[0].state;
        assert_eq!(told(json!([status(1, "brand-new")])), CheckState::Pending);
        // In whatever order they come, the newest is told.
        assert_eq!(told(json!([status(1, "success"), status(2, "failure")])), CheckState::Failure);
        assert_eq!(told(json!([status(2, "failure"), status(1, "success")])), CheckState::Failure);
    }
}
