//! From a pushed image to a merged pull request, on each forge, with real parts: the service's own workers, a real
//! registry, real git. Each story plays on a local repository and on Gitea; a table of them is printed at the end.

#![allow(clippy::unwrap_used, reason = "a story that fails should end the test")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use crate::world::On;

mod commands;
mod faults;
mod merging;
mod people;
mod thread;
mod trouble;
mod world;

/// What each story came to, by forge; false until it is over.
static TOLD: Mutex<BTreeMap<(&str, On), bool>> = Mutex::new(BTreeMap::new());

/// Prints the table when the last story is over, well or not.
struct Told(&'static str, On);

impl Drop for Told {
    fn drop(&mut self) {
        let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert((self.0, self.1), !std::thread::panicking());
        if told.len() < COUNT {
            return;
        }
        let mut table = String::from("\nstory                          local  gitea\n");
        for story in STORIES {
            let mark = |on| match told.get(&(*story, on)) {
                Some(true) => "passed",
                Some(false) => "FAILED",
                None => "-",
            };
            table += &format!("{story:<30} {:<6} {}\n", mark(On::Local), mark(On::Gitea));
        }
        // Not through `print!`, which the test runner keeps to itself.
        drop(std::io::stderr().write_all(table.as_bytes()));
    }
}

macro_rules! stories {
    (both: $($both:ident in $of_both:ident),*; gitea only: $($gitea:ident in $of_gitea:ident),*;) => {
        const STORIES: &[&str] = &[$(stringify!($both),)* $(stringify!($gitea),)*];
        const COUNT: usize = 2 * [$(stringify!($both)),*].len() + [$(stringify!($gitea)),*].len();

        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $both() {
                let told = super::Told(stringify!($both), super::On::Local);
                Box::pin(super::$of_both::$both(super::On::Local)).await;
                drop(told);
            })*
        }

        mod gitea {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $both() {
                let told = super::Told(stringify!($both), super::On::Gitea);
                Box::pin(super::$of_both::$both(super::On::Gitea)).await;
                drop(told);
            })*
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $gitea() {
                let told = super::Told(stringify!($gitea), super::On::Gitea);
                Box::pin(super::$of_gitea::$gitea(super::On::Gitea)).await;
                drop(told);
            })*
        }
    };
}

stories! {
    both:
        from_an_image_to_a_merge in thread,
        images_told_of_never_or_often in thread,
        hold_and_unhold in commands,
        close in commands,
        ignore_and_unignore in commands,
        rebase_and_recreate in commands,
        pause_and_resume in commands,
        questions_and_answers in commands,
        lines_that_do_nothing in commands,
        checks_decide in merging,
        a_push_ends_the_request in merging,
        two_at_once in merging,
        merge_and_hold_at_once in merging,
        closed_by_hand in people,
        merged_by_hand_and_reverted in people,
        configuration in trouble,
        a_lost_database in trouble,
        two_repositories in trouble,
        every_call_fails_once in faults;
    gitea only:
        rules_of_the_branch in merging,
        texts_edited_by_hand in people,
        repositories_that_rest in trouble;
}
