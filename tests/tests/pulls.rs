//! Stories of pull requests on the local forge: a real repository, a real store, and a scan that is told what it saw.
//!
//! The numbers in the comments are those of the invariants in `leadsman::pulls`.

#![allow(clippy::unwrap_used, reason = "a story that fails should end the test")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use leadsman::config::repository::RepositoryConfig;
use leadsman::forge::commit::Base;
use leadsman::forge::local::Local;
use leadsman::forge::place::Place;
use leadsman::plan::{Change, Evidence, Key, Observed, Outlook, Proposed, Version};
use leadsman::pulls::{self, Facts, Wishes, execute, survey::survey};
use leadsman::render::Renderer;
use leadsman::store::Store;
use leadsman::work::decisions::People;
use leadsman::work::reconcile_pulls::{Edited, Reconciled, Scanned, reconcile_pulls};
use leadsman_tests::repository::Repository;

const FILE: &str = "clusters/production/app.yaml";

fn manifest(tag: &str) -> String {
    format!("# an app\nkind: HelmRelease\nmetadata: {{name: app}}\nspec:\n  values:\n    image: app\n    tag: {tag}\n")
}

fn key(path: &str) -> Key {
    Key { path: path.into(), workload: "web:helmrelease/app".into() }
}

/// A repository, a store, and what the registry has.
struct World {
    repository: Repository,
    data: tempfile::TempDir,
    latest: BTreeMap<String, Result<String, String>>,
}

impl World {
    /// One app at 1.0.0, of which there is 1.1.0.
    fn new() -> Self {
        let repository = Repository::new();
        repository.write(FILE, &manifest("1.0.0"));
        repository.write("README.md", "the fleet\n");
        repository.commit("the fleet");
        let mut world = Self { repository, data: tempfile::tempdir().unwrap(), latest: BTreeMap::new() };
        world.publish("1.1.0");
        world
    }

    fn publish(&mut self, tag: &str) {
        self.latest.insert(FILE.into(), Ok(tag.into()));
    }

    /// What a scan of `main` says, for a registry that has `latest`.
    fn observed(&self) -> Vec<Observed> {
        let mut observed = Vec::new();
        for (path, latest) in &self.latest {
            if self.repository.git(&["ls-tree", "--name-only", "main", path]).is_empty() {
                continue;
            }
            let text = self.repository.git(&["show", &format!("main:{path}")]);
            let tag = text.lines().find_map(|line| line.trim().strip_prefix("tag: ")).unwrap();
            let version = |tag: &str| Version { tag: tag.into(), digest: None };
            let outlook = match latest {
                Err(error) => Outlook::Unknown(error.clone()),
                Ok(latest) if latest == tag => Outlook::Settled("current".into()),
                Ok(latest) => Outlook::Update(Box::new(Proposed {
                    change: Change {
                        document: 0,
                        container: "chart-image".into(),
                        image: "docker.io/library/app".into(),
                        from: version(tag),
                        to: version(latest),
                    },
                    evidence: Evidence { filter: "semver:*".into(), ..Evidence::default() },
                })),
            };
            observed.push(Observed {
                key: key(path),
                document: 0,
                container: "chart-image".into(),
                current: Some(version(tag)),
                outlook,
            });
        }
        observed
    }

    async fn look(&self) -> Vec<Reconciled> {
        self.look_with(BTreeSet::new()).await
    }

    async fn look_with(&self, unreadable: BTreeSet<String>) -> Vec<Reconciled> {
        let store = self.store().await;
        let forge = Local::open(self.repository.path()).unwrap();
        let base = forge.base(Some("main")).unwrap();
        let edit = |key: &Key, proposed: &[Proposed]| {
            self.edit(key, proposed).map(|text| Edited { text, follows: Vec::new() })
        };
        let scanned = Scanned {
            observed: self.observed(),
            unreadable,
            edit: &edit,
            config: &RepositoryConfig::default(),
            people: &People::default(),
            wishes: &Wishes::default(),
            labels: &[],
            recognise: &|_, _, _| None,
        };
        let renderer = Renderer::new().unwrap();
        let done = reconcile_pulls(&forge, &store, &renderer, &base, scanned, now()).await.unwrap();
        store.close().await;
        self.repository.check();
        done
    }

    async fn store(&self) -> Store {
        Store::open(self.data.path(), "a test").await.unwrap()
    }

    fn edit(&self, key: &Key, proposed: &[Proposed]) -> Result<Vec<u8>, String> {
        let text = self.repository.git(&["show", &format!("main:{}", key.path)]) + "\n";
        let change = &proposed[0].change;
        Ok(text.replace(&format!("tag: {}", change.from.tag), &format!("tag: {}", change.to.tag)).into_bytes())
    }

    /// The action and reason of the only pull request.
    async fn only(&self) -> (&'static str, String) {
        let mut done = self.look().await;
        assert_eq!(done.len(), 1, "{done:?}");
        let Reconciled { action, reason, error, .. } = done.remove(0);
        assert_eq!(error, None);
        (action, reason)
    }

    async fn action(&self) -> &'static str {
        self.only().await.0
    }

    /// A commit of a person on `branch`.
    fn person_commits_on(&self, branch: &str, file: &str, text: &str) -> String {
        self.repository.git(&["checkout", "--quiet", branch]);
        self.repository.write(file, text);
        let id = self.repository.commit("my own");
        self.repository.git(&["checkout", "--quiet", "main"]);
        id
    }

    /// Every byte of the database.
    fn stored(&self) -> Vec<u8> {
        std::fs::read(self.data.path().join("leadsman.db")).unwrap()
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

#[tokio::test]
async fn the_first_look_opens_and_the_second_changes_nothing() {
    let world = World::new();
    let done = world.look().await;
    assert_eq!(done[0].action, "opened");
    assert_eq!(done[0].number, Some(1));
    assert_eq!(done[0].title, "Update web/app: app 1.0.0 to 1.1.0 in clusters/production");

    let (branch, head) = world.repository.proposal();
    assert_eq!(done[0].branch, branch);
    assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.1.0"]);
    assert_eq!(world.repository.git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    let commit = world.repository.git(&["show", "--no-patch", "--format=%an <%ae> %cI%n%B", &branch]);
    assert!(commit.starts_with("Leadsman <bot@leadsman.dev> 2026-01-02T03:04:05+00:00\n"), "{commit}");
    assert!(commit.contains("\nLeadsman-Plan: "), "{commit}");

    // (1)
    let (git, store) = (world.repository.print(), world.stored());
    let again = world.look().await;
    assert_eq!(again[0].action, "kept");
    assert_eq!(again[0].head.unwrap().to_string(), head);
    assert_eq!(world.repository.print(), git);
    assert!(world.stored() == store, "the store was written to");
}

#[tokio::test]
async fn a_newer_image_moves_the_branch_in_one_step() {
    let mut world = World::new();
    world.look().await;
    let (branch, first) = world.repository.proposal();
    world.publish("1.2.0");
    assert_eq!(world.only().await, ("moved", "there is something newer".into()));
    let (same, second) = world.repository.proposal();
    assert_eq!(same, branch);
    assert_ne!(first, second);
    assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.2.0"]);
    assert_eq!(world.repository.git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    // One entry in the reflog for each step: it was never reset to the base or deleted between.
    assert_eq!(world.repository.git(&["reflog", "show", "--format=%H", &branch]), format!("{second}\n{first}"));
    let store = world.store().await;
    let forge = Local::open(world.repository.path()).unwrap();
    let history = store.history(forge.identity(), 1).await.unwrap();
    let actions: Vec<_> = history.iter().map(|(_, action, _)| action.as_str()).collect();
    assert_eq!(actions, ["opened", "moved"]);
}

#[tokio::test]
async fn the_base_moving_on_elsewhere_leaves_the_branch() {
    let world = World::new();
    world.look().await;
    let before = world.repository.proposal();
    world.repository.write("README.md", "a larger fleet\n");
    world.repository.commit("words");
    assert_eq!(world.action().await, "kept");
    assert_eq!(world.repository.proposal(), before);
}

#[tokio::test]
async fn the_base_changing_the_file_rebuilds_the_branch_on_it() {
    let world = World::new();
    world.look().await;
    world.repository.write(FILE, &format!("{}    replicas: 2\n", manifest("1.0.0")));
    let base = world.repository.commit("more replicas");
    assert_eq!(world.only().await, ("moved", "its file changed on the base".into()));
    let (branch, _) = world.repository.proposal();
    assert_eq!(world.repository.git(&["rev-parse", &format!("{branch}^")]), base);
    assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.1.0"]);
}

#[tokio::test]
async fn a_persons_commit_on_the_branch_is_left_alone() {
    let mut world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    let theirs = world.person_commits_on(&branch, "note.txt", "mine\n");
    world.publish("1.2.0");
    // (2)
    let (action, reason) = world.only().await;
    assert_eq!(action, "left-alone");
    assert!(reason.contains(&theirs[..10]), "{reason}");
    assert_eq!(world.repository.proposal(), (branch.clone(), theirs.clone()));
    // Said once in the history, however often it is looked at; nor is it deleted when nothing is wanted any more.
    let store = world.stored();
    assert_eq!(world.action().await, "left-alone");
    assert!(world.stored() == store, "the store was written to");
    world.publish("1.0.0");
    assert_eq!(world.action().await, "left-alone");
    assert_eq!(world.repository.proposal(), (branch, theirs));
}

#[tokio::test]
async fn merging_the_base_into_the_branch_is_no_persons_edit() {
    let mut world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.write("README.md", "a larger fleet\n");
    world.repository.commit("words");
    world.repository.git(&["checkout", "--quiet", &branch]);
    world.repository.git(&["merge", "--quiet", "--no-edit", "main"]);
    world.repository.git(&["checkout", "--quiet", "main"]);
    assert_eq!(world.action().await, "kept");
    world.publish("1.2.0");
    assert_eq!(world.action().await, "moved");
    assert_eq!(world.repository.git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
}

#[tokio::test]
async fn a_merge_that_hides_an_edit_is_a_persons() {
    let world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.write("README.md", "a larger fleet\n");
    world.repository.commit("words");
    world.repository.git(&["checkout", "--quiet", &branch]);
    world.repository.git(&["merge", "--quiet", "--no-commit", "main"]);
    world.repository.write("hidden.txt", "hidden\n");
    world.repository.commit("merge, and more");
    world.repository.git(&["checkout", "--quiet", "main"]);
    assert_eq!(world.action().await, "left-alone");
}

#[tokio::test]
async fn a_merged_branch_is_over_and_goes() {
    let world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.git(&["merge", "--quiet", "--no-ff", "--no-edit", &branch]);
    let done: Vec<_> = world.look().await.into_iter().map(|done| (done.action, done.error)).collect();
    assert_eq!(done, [("merged", None), ("merged", None)]);
    assert_eq!(world.repository.proposals(), []);
    assert_eq!(world.look().await, []);
}

#[tokio::test]
async fn a_squashed_branch_is_merged_too() {
    let world = World::new();
    world.look().await;
    world.repository.write(FILE, &manifest("1.1.0"));
    world.repository.commit("squashed");
    assert!(world.look().await.iter().all(|done| done.action == "merged"));
    assert_eq!(world.repository.proposals(), []);
}

#[tokio::test]
async fn a_merged_and_deleted_branch_is_not_taken_for_declined() {
    let mut world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.git(&["merge", "--quiet", "--ff-only", &branch]);
    world.repository.git(&["branch", "--quiet", "-D", &branch]);
    assert_eq!(world.action().await, "merged");
    world.publish("1.2.0");
    assert_eq!(world.action().await, "opened");
}

#[tokio::test]
async fn after_a_merge_the_next_version_gets_a_new_pull_request() {
    let mut world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.git(&["merge", "--quiet", "--ff-only", &branch]);
    world.publish("1.2.0");
    let done: Vec<_> = world.look().await.into_iter().map(|done| (done.action, done.number, done.error)).collect();
    assert_eq!(done, [("merged", Some(1), None), ("opened", Some(2), None)]);
    assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.1.0", "+    tag: 1.2.0"]);
    assert_eq!(world.action().await, "kept");
}

#[tokio::test]
async fn what_was_merged_and_reverted_waits_for_a_newer_version() {
    let mut world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.git(&["merge", "--quiet", "--ff-only", &branch]);
    world.look().await;
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    let (action, reason) = world.only().await;
    assert_eq!(action, "held-back");
    assert!(reason.contains("reverted"), "{reason}");
    assert_eq!(world.repository.proposals(), []);
    world.publish("1.2.0");
    assert_eq!(world.action().await, "opened");
}

#[tokio::test]
async fn a_deleted_branch_means_no_until_something_newer() {
    let mut world = World::new();
    world.look().await;
    let (branch, first) = world.repository.proposal();
    world.repository.git(&["branch", "--quiet", "-D", &branch]);
    let done: Vec<_> = world.look().await.into_iter().map(|done| done.action).collect();
    assert_eq!(done, ["declined", "held-back"]);
    assert_eq!(world.action().await, "held-back");
    assert_eq!(world.repository.proposals(), []);

    // Bringing the branch back takes the no back.
    world.repository.git(&["branch", &branch, &first]);
    let done: Vec<_> = world.look().await.into_iter().map(|done| done.action).collect();
    assert_eq!(done, ["reopened", "kept"]);
    world.repository.git(&["branch", "--quiet", "-D", &branch]);
    world.look().await;

    world.publish("1.2.0");
    assert_eq!(world.action().await, "opened");
    // The earlier one stays declined, though the branch has its name again.
    assert_eq!(world.action().await, "kept");
    world.publish("1.1.0");
    let done: Vec<_> = world.look().await.into_iter().map(|done| done.action).collect();
    assert_eq!(done, ["closed"]);
    assert_eq!(world.action().await, "held-back");
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_closed_and_its_branch_goes() {
    let mut world = World::new();
    world.look().await;
    world.publish("1.0.0");
    assert_eq!(world.action().await, "closed");
    assert_eq!(world.repository.proposals(), []);
    assert_eq!(world.look().await, []);

    world.publish("1.1.0");
    assert_eq!(world.action().await, "opened");
    world.repository.git(&["rm", "--quiet", FILE]);
    world.repository.commit("gone");
    assert_eq!(world.action().await, "closed");
    assert_eq!(world.repository.proposals(), []);
}

#[tokio::test]
async fn what_cannot_be_told_this_time_stays_as_it_is() {
    let mut world = World::new();
    world.look().await;
    let before = world.repository.proposal();
    world.latest.insert(FILE.into(), Err("the registry does not answer".into()));
    assert_eq!(world.action().await, "kept");
    // A file that cannot be read is not a file that is gone.
    world.latest.clear();
    let done = world.look_with(BTreeSet::from([FILE.to_owned()])).await;
    assert_eq!(done[0].action, "kept");
    assert_eq!(world.repository.proposal(), before);
}

#[tokio::test]
async fn a_branch_that_a_work_tree_has_checked_out_does_not_move() {
    let mut world = World::new();
    world.look().await;
    let before = world.repository.proposal();
    let tree = world.repository.beside("tree");
    world.repository.git(&["worktree", "add", "--quiet", tree.to_str().unwrap(), &before.0]);
    world.publish("1.2.0");
    let (action, reason) = world.only().await;
    assert_eq!(action, "left-alone");
    assert!(reason.contains("checked out in"), "{reason}");
    world.publish("1.0.0");
    assert_eq!(world.action().await, "closed");
    assert_eq!(world.repository.proposal(), before);

    // Free again, the leftover branch serves the next proposal.
    world.repository.git(&["worktree", "remove", tree.to_str().unwrap()]);
    world.publish("1.2.0");
    assert_eq!(world.action().await, "opened");
    assert_eq!(world.repository.changed_lines("main", &before.0), ["-    tag: 1.0.0", "+    tag: 1.2.0"]);
}

#[tokio::test]
async fn a_branch_that_is_being_rebased_does_not_move() {
    let mut world = World::new();
    world.look().await;
    let (branch, head) = world.repository.proposal();
    world.repository.git(&["checkout", "--quiet", &branch]);
    world.repository.git(&["-c", "sequence.editor=sed -i s/^pick/edit/", "rebase", "--quiet", "-i", "HEAD^"]);
    world.publish("1.2.0");
    assert_eq!(world.action().await, "left-alone");
    assert_eq!(world.repository.proposal(), (branch, head));
}

#[tokio::test]
async fn somebody_elses_branch_of_our_name_is_left_alone() {
    let mut world = World::new();
    world.look().await;
    let (branch, _) = world.repository.proposal();
    world.repository.git(&["branch", "--quiet", "-D", &branch]);
    let data = std::mem::replace(&mut world.data, tempfile::tempdir().unwrap());
    world.repository.git(&["branch", &branch, "main"]);
    let theirs = world.repository.proposal();
    assert_eq!(world.action().await, "left-alone");
    assert_eq!(world.repository.proposal(), theirs);
    drop(data);
}

#[tokio::test]
async fn a_branch_in_the_way_fails_alone_and_is_tried_again() {
    let mut world = World::new();
    world.repository.git(&["branch", "leadsman"]);
    let done = world.look().await;
    assert_eq!(done[0].action, "opened");
    assert!(done[0].error.as_deref().unwrap().contains("cannot move `leadsman/"), "{done:?}");
    world.repository.git(&["branch", "--quiet", "-D", "leadsman"]);
    world.publish("1.2.0");
    assert_eq!(world.only().await, ("moved", "its branch was not made yet".into()));
    let (branch, _) = world.repository.proposal();
    assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.2.0"]);
}

#[tokio::test]
async fn modes_and_other_files_stay_as_they_are() {
    let world = World::new();
    let script = world.repository.path().join("run.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let manifest = world.repository.path().join(FILE);
    std::fs::set_permissions(&manifest, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run.sh", world.repository.path().join("link.yaml")).unwrap();
    world.repository.commit("modes");
    world.look().await;
    let (branch, _) = world.repository.proposal();
    let raw = world.repository.git(&["diff", "--raw", "--no-abbrev", "main", &branch]);
    assert_eq!(raw.lines().count(), 1, "{raw}");
    assert!(raw.starts_with(":100755 100755 "), "{raw}");
}

#[tokio::test]
async fn a_bare_repository_is_served_like_any_other() {
    let mut world = World::new();
    world.repository = Repository::bare_clone_of(&world.repository);
    assert_eq!(world.action().await, "opened");
    assert_eq!(world.action().await, "kept");
    let (branch, _) = world.repository.proposal();
    assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.1.0"]);
}

/// Does the steps of a look one by one and stops after `steps` of them, as a kill would.
async fn look_and_die_after(world: &World, steps: usize) {
    let store = world.store().await;
    let forge = Local::open(world.repository.path()).unwrap();
    let base = forge.base(Some("main")).unwrap();
    let mut known = store.pulls(forge.identity(), "main").await.unwrap();
    let repository = forge.repository();
    let branches = Place::branches(&forge).unwrap();
    let surveyed = survey(&repository, &base, &branches, None, &known).unwrap();
    let observed = world.observed();
    let mut decisions = pulls::settle(&mut known, &observed, &surveyed);
    let intents = leadsman::plan::plan(observed, &pulls::memories(&known));
    let renderer = Renderer::new().unwrap();
    let wanted: BTreeMap<_, _> = intents
        .iter()
        .filter_map(|(key, intent)| match intent {
            leadsman::plan::Intent::Propose(proposed) => {
                Some((key.clone(), renderer.pull_request("main", key, proposed.clone(), &[]).unwrap()))
            }
            _ => None,
        })
        .collect();
    let unreadable = BTreeSet::new();
    let facts = Facts {
        base: "main",
        pulls: &known,
        intents: &intents,
        wanted: &wanted,
        unreadable: &unreadable,
        surveyed: &surveyed,
        wishes: &Wishes::default(),
    };
    decisions.extend(pulls::decide(&facts));
    let built = Base::read(&repository, base.id).unwrap();
    let mut prepared =
        execute::prepare(&repository, &built, decisions, &wanted, |key, proposed| world.edit(key, proposed));
    if steps >= 2 {
        execute::record(&store, forge.identity(), ("main", base.id), &mut prepared, &wanted, now()).await.unwrap();
    }
    if steps >= 3 {
        let done = execute::carry_out(&forge, prepared, now()).await;
        assert!(done.iter().all(|done| done.error.is_none()), "{done:?}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_crash_between_any_two_steps_is_mended_by_the_next_look() {
    // (4)
    for steps in 1..=3 {
        // While opening.
        let mut world = World::new();
        look_and_die_after(&world, steps).await;
        world.look().await;
        let (branch, head) = world.repository.proposal();
        assert_eq!(world.action().await, "kept", "after {steps} steps");
        assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.1.0"]);

        // While moving on; also where the world has changed again since.
        world.publish("1.2.0");
        look_and_die_after(&world, steps).await;
        world.publish("1.3.0");
        world.look().await;
        assert_eq!(world.action().await, "kept", "after {steps} steps");
        assert_ne!(world.repository.proposal().1, head);
        assert_eq!(world.repository.changed_lines("main", &branch), ["-    tag: 1.0.0", "+    tag: 1.3.0"]);

        // While closing.
        world.publish("1.0.0");
        look_and_die_after(&world, steps).await;
        world.look().await;
        assert_eq!(world.repository.proposals(), [], "after {steps} steps");
        assert_eq!(world.look().await, []);
        world.publish("1.3.0");
        assert_eq!(world.action().await, "opened", "after {steps} steps");
    }
}

#[tokio::test]
async fn a_push_between_the_look_and_the_move_survives() {
    // (3)
    let mut world = World::new();
    world.look().await;
    world.publish("1.2.0");
    let (branch, _) = world.repository.proposal();
    let forge = Local::open(world.repository.path()).unwrap();
    let before = forge.branches().unwrap()[&branch];
    let theirs = world.person_commits_on(&branch, "note.txt", "mine\n");
    let step = leadsman::forge::BranchMove {
        branch: branch.clone(),
        from: Some(before),
        to: Some(forge.base(None).unwrap().id),
        why: "a test".into(),
    };
    let error = forge.apply(&[step], now()).remove(0).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot move `{branch}`")), "{error}");
    assert_eq!(world.repository.proposal(), (branch, theirs));
}

#[test]
fn the_base_is_what_head_names_and_never_our_own_branch() {
    let world = World::new();
    let base = |named| Local::open(world.repository.path()).unwrap().base(named).map_err(|error| error.to_string());
    assert_eq!(base(None).unwrap().name, "main");
    world.repository.git(&["checkout", "--quiet", "-b", "leadsman/x"]);
    assert!(base(None).unwrap_err().contains("a branch of Leadsman: say the base with `--base BRANCH`"));
    assert_eq!(base(Some("leadsman/x")).unwrap().name, "leadsman/x");
    world.repository.git(&["checkout", "--quiet", "--detach"]);
    assert!(base(None).unwrap_err().contains("is detached"));
    assert_eq!(base(Some("main")).unwrap().name, "main");
    assert!(base(Some("no")).unwrap_err().contains("no branch `no`"));
    assert!(base(Some("a..b")).unwrap_err().contains("no branch `a..b`"));
    let empty = Repository::new();
    assert!(Local::open(empty.path()).unwrap().base(None).unwrap_err().to_string().contains("no branch `main`"));
}
