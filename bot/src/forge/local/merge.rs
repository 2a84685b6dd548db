//! Merges a branch of a repository on this machine into its base.
//!
//! The tree is made by the real `git merge-tree`, which touches neither refs nor work trees; the base then moves in one
//! step from the head that was merged onto, or not at all. A base that a work tree has checked out is not moved.

use std::process::Command;

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use jiff::Timestamp;

use super::Local;
use crate::forge::commit::bot;
use crate::forge::place::BaseBranch;
use crate::forge::{BranchMove, MergeAnswer, MergeMethod};

/// What is to be merged.
#[derive(Debug, Clone, Copy)]
pub struct Merge<'a> {
    /// The branch, without `refs/heads/`.
    pub branch: &'a str,
    /// The head it must be at (C3.3).
    pub head: ObjectId,
    /// How.
    pub method: MergeMethod,
    /// The message of the merge commit, or of the only one.
    pub message: &'a str,
    /// The time now, in the commit and the reflog.
    pub now: Timestamp,
}

impl Local {
    /// Merges into `base`, and says what came of it.
    #[must_use]
    pub fn merge_into(&self, base: &BaseBranch, merge: Merge<'_>) -> MergeAnswer {
        match self.try_merge(base, merge) {
            Ok(()) => MergeAnswer::Merged,
            Err(answer) => answer,
        }
    }

    fn try_merge(&self, base: &BaseBranch, merge: Merge<'_>) -> Result<(), MergeAnswer> {
        let Merge { branch, head, method, message, now } = merge;
        let fault = |what: &str, error: &dyn std::fmt::Display| MergeAnswer::Again(format!("cannot {what}: {error}"));
        let branches = self.branches().map_err(|error| fault("read the branches", &error))?;
        if branches.get(branch) != Some(&head) {
            return Err(MergeAnswer::Drop(format!("`{branch}` is no longer at {}", head.to_hex_with_len(10))));
        }
        if let Some(work_tree) = self.checked_out().get(&base.name) {
            return Err(MergeAnswer::Drop(format!(
                "`{}` is checked out in `{}`, and a branch that is in use is not moved: merge it there with `git merge {branch}`, \
                 or have Leadsman watch a bare repository",
                base.name,
                work_tree.display()
            )));
        }
        let tree = self.merged_tree(base.id, head)?;
        let repository = self.repository();
        let time = gix::date::Time::new(now.as_second(), 0);
        let theirs = repository.find_commit(head).map_err(|error| fault("read the branch's commit", &error))?;
        let parents = match method {
            MergeMethod::Merge => vec![base.id, head],
            MergeMethod::Squash | MergeMethod::Rebase => vec![base.id],
        };
        let message = match method {
            MergeMethod::Merge | MergeMethod::Squash => message.to_owned(),
            MergeMethod::Rebase => {
                theirs.message_raw().map_err(|error| fault("read the branch's commit", &error))?.to_str_lossy().into()
            }
        };
        let commit = gix::objs::Commit {
            tree,
            parents: parents.into_iter().collect(),
            author: bot(time),
            committer: bot(time),
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let id = repository.write_object(&commit).map_err(|error| fault("write the merge", &error))?.detach();
        let step = BranchMove {
            branch: base.name.clone(),
            from: Some(base.id),
            to: Some(id),
            why: format!("leadsman: merge {branch}"),
        };
        // Somebody pushed to the base meanwhile: the next try merges onto that.
        self.apply(&[step], now).remove(0).map_err(|error| MergeAnswer::Again(error.to_string()))
    }

    /// The tree that merging `head` into `base` gives.
    fn merged_tree(&self, base: ObjectId, head: ObjectId) -> Result<ObjectId, MergeAnswer> {
        let output = Command::new("git")
            .arg("--git-dir")
            .arg(self.repository().common_dir())
            .args(["merge-tree", "--write-tree", "--no-messages", &base.to_string(), &head.to_string()])
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .map_err(|error| MergeAnswer::Again(format!("cannot start `git`: {error}; install git 2.38 or newer")))?;
        match output.status.code() {
            Some(0) => {}
            Some(1) => return Err(MergeAnswer::Drop("it conflicts with the base".into())),
            _ => {
                let words = String::from_utf8_lossy(&output.stderr);
                return Err(MergeAnswer::Again(format!("`git merge-tree` failed: {}", words.trim())));
            }
        }
        let line = output.stdout.lines().next().unwrap_or_default();
        ObjectId::from_hex(line).map_err(|_| MergeAnswer::Again("`git merge-tree` named no tree".into()))
    }
}
