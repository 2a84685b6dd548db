//! What the server needs, in memory, with views that look like those of a team's repositories.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use leadsman::forge::RepositoryName;
use leadsman::server::access::Viewer;
use leadsman::server::health::{Condition, Readiness};
use leadsman::server::pages::diff::FileDiff;
use leadsman::server::pages::views::{
    CheckState, CheckView, CommentView, ErrorRow, ErrorsView, HistoryRow, Problem, PullRow, PullState, PullView,
    RepositoriesView, RepositoryRef, RepositoryRow, RepositoryState, RepositoryView, Wait, WorkRow, WorkState,
    WorkView,
};
use leadsman::server::pages::{ActionError, Actions, ViewError, Views};
use leadsman::server::webhooks::{Accepted, Delivery, Inbox, NotStored};

use super::client::now;

/// The head of the sample pull request.
pub(crate) const HEAD: &str = "3f2a91c0d4b7a5e68f1c2d3b4a5968778695a4b3";

/// What came in, and what is shown.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) deliveries: Mutex<Vec<Delivery>>,
    seen: Mutex<BTreeSet<(String, String)>>,
    pub(crate) deeds: Mutex<Vec<String>>,
    /// Nothing is there yet.
    pub(crate) empty: AtomicBool,
    /// The store does not answer.
    pub(crate) broken: AtomicBool,
    /// It never answers at all.
    pub(crate) slow: AtomicBool,
    /// It panics.
    pub(crate) panics: AtomicBool,
    /// Texts are what somebody would write who means harm.
    pub(crate) hostile: AtomicBool,
}

pub(crate) fn fleet() -> RepositoryRef {
    RepositoryRef::new("local", RepositoryName("/srv/git/fleet.git".into()))
}

pub(crate) fn platform() -> RepositoryRef {
    RepositoryRef::new("gitea.example.com", RepositoryName("acme/platform".into()))
}

fn at(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// The file that the sample pull request changes.
const PODINFO: &str = r#"# Podinfo, the demo of demos.
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: podinfo
  namespace: dev
  annotations:
    fluxcd.io/automated: "true"
    filter.fluxcd.io/podinfo: semver:~6.5
    filter.fluxcd.io/redis: semver:~7.0
spec:
  interval: 10m
  values:
    replicaCount: 2
    podinfo:
      image:
        repository: ghcr.io/stefanprodan/podinfo
        tag: 6.5.0 # kept up to date
    resources:
      requests: {cpu: 100m, memory: 64Mi}
      limits: {memory: 128Mi}
    ingress:
      enabled: true
      hosts: [podinfo.staging.example.com]
    redis:
      image:
        repository: docker.io/library/redis
        tag: "7.0.5"
      persistence: false
"#;

/// A text in which everything is tried at once.
pub(crate) const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> \u{202e}gnp.exe\u{202c} {{ 7*7 }} `</code><script>`";

impl Memory {
    fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    fn text(&self, plain: &str) -> String {
        if Self::is(&self.hostile) { HOSTILE.to_owned() } else { plain.to_owned() }
    }

    async fn answers(&self) -> Result<(), ViewError> {
        assert!(!Self::is(&self.panics), "the store panicked with a secret: hunter2");
        if Self::is(&self.slow) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if Self::is(&self.broken) {
            return Err(ViewError("disk I/O error in /var/lib/leadsman".into()));
        }
        Ok(())
    }

    fn row(&self, repository: RepositoryRef, state: RepositoryState) -> RepositoryRow {
        let scanned = state != RepositoryState::New;
        RepositoryRow {
            repository,
            state,
            problem: None,
            problems: 0,
            open_pulls: if state == RepositoryState::Watched { 3 } else { 0 },
            workloads: if scanned { 18 } else { 0 },
            last_scan: scanned.then(|| at(-4)),
            next_scan: Some(at(if scanned { 56 } else { 0 })),
        }
    }

    fn rows(&self) -> Vec<RepositoryRow> {
        if Self::is(&self.empty) {
            return Vec::new();
        }
        let gitea = |name: &str| RepositoryRef::new("gitea.example.com", RepositoryName(name.into()));
        let mut wrong = self.row(gitea("acme/shop"), RepositoryState::Misconfigured);
        wrong.problem = Some(self.text("line 7 of `.leadsman.yaml`: unknown key `gropus`; did you mean `groups`?"));
        wrong.problems = 2;
        let mut failing = self.row(gitea("data/warehouse"), RepositoryState::Failing);
        failing.problem = Some("cannot fetch from `gitea.example.com`: the token may not read this repository".into());
        failing.problems = 1;
        vec![
            self.row(fleet(), RepositoryState::Watched),
            self.row(platform(), RepositoryState::Watched),
            wrong,
            failing,
            self.row(gitea("acme/legacy"), RepositoryState::Paused),
            self.row(gitea("acme/new"), RepositoryState::New),
        ]
    }

    fn pull_row(&self, repository: &RepositoryRef, number: i64, title: &str, state: PullState) -> PullRow {
        PullRow {
            number,
            title: self.text(title),
            state,
            waits_for: (state == PullState::Open).then(|| "waits for `ci/test`".into()),
            updated_at: at(-13 * number),
            path: repository.pull_path(number),
        }
    }

    fn work_rows(&self) -> Vec<WorkRow> {
        if Self::is(&self.empty) {
            return Vec::new();
        }
        let row = |kind: &str, key: &str, state, due, attempts, error: Option<&str>| WorkRow {
            kind: kind.into(),
            key: self.text(key),
            state,
            repository: Some(platform()),
            due_at: Some(at(due)),
            attempts,
            last_error: error.map(|error| self.text(error)),
        };
        let bad = "cannot open a pull request in acme/platform on `gitea.example.com`: 422, `head` does not exist; \
                   push the branch first";
        let limited = "cannot list tags of `docker.io/library/nginx`: too many requests; asked again at 12:09";
        let image = "docker.io/library/nginx";
        vec![
            row("reconcile_pulls", "gitea.example.com/acme/platform", WorkState::Parked, 1380, 10, Some(bad)),
            row("scan_repository", "gitea.example.com/acme/platform", WorkState::Running, 0, 0, None),
            WorkRow { repository: None, ..row("list_image", image, WorkState::PutOff, 9, 2, Some(limited)) },
            WorkRow {
                repository: None,
                ..row("list_image", "ghcr.io/stefanprodan/podinfo", WorkState::Waiting, 11, 0, None)
            },
            row("read_comments", "gitea.example.com/acme/platform#12", WorkState::Waiting, 0, 0, None),
        ]
    }

    fn pull_view(&self, repository: &RepositoryRef) -> PullView {
        let before = PODINFO;
        let body = "Newer images for `dev/podinfo` in `clusters/staging/podinfo.yaml`.\n\n\
            | Container | From | To | Change | Made |\n| --- | --- | --- | --- | --- |\n\
            | `podinfo` | `6.5.0` | `6.5.4` | patch | 2026-11-20T09:12:00Z |\n\
            | `redis` | `7.0.5` | `7.0.7` | patch | 2026-10-18T08:00:00Z |\n\n\
            ### `podinfo`: `ghcr.io/stefanprodan/podinfo`\n\n- Chosen by the filter `semver:~6.5`.\n\
            - Digest: `sha256:4163972f9a84fde6c8db0e7d29774fd988a7668fe26c67ac09a90a61a889c92d`\n\
            - Source: <https://github.com/stefanprodan/podinfo>\n\
            - Not `6.6.0`: it does not satisfy `~6.5`\n\n### What happens next\n\n\
            Merge it, and the release gets these images.\n\n<!-- leadsman {\"version\":1} -->";
        let comment = |id, author: &str, body: &str, minutes, reactions: &[&str]| CommentView {
            id,
            author: self.text(author),
            ours: author == "leadsman",
            body: self.text(body),
            at: at(minutes),
            reactions: reactions.iter().map(|it| (*it).into()).collect(),
        };
        let check = |name: &str, state, required, minutes| CheckView {
            name: self.text(name),
            state,
            required,
            url: Some(if Self::is(&self.hostile) {
                "javascript:alert(1)".into()
            } else {
                "https://ci.example.com/7".into()
            }),
            at: at(minutes),
        };
        let wait = |what: &str, given, by: Option<&str>| Wait { what: self.text(what), given, by: by.map(Into::into) };
        let event = |minutes, action: &str, reason: &str| HistoryRow {
            at: at(minutes),
            action: action.into(),
            reason: self.text(reason),
        };
        let local = repository.host == "local";
        PullView {
            repository: repository.clone(),
            row: self.pull_row(repository, 1, "dev/podinfo: 2 images, in clusters/staging", PullState::Open),
            author: "leadsman".into(),
            branch: self.text("leadsman/dev-podinfo-3f9a1c07"),
            base: "main".into(),
            head: HEAD.into(),
            body: self.text(body),
            url: (!local).then(|| self.text("https://gitea.example.com/acme/platform/pulls/1")),
            diff: vec![FileDiff::new(
                &self.text("clusters/staging/podinfo.yaml"),
                before,
                &before.replace("6.5.0", &self.text("6.5.4")).replace("7.0.5", "7.0.7"),
            )],
            comments: vec![
                comment(7, "local", "Thanks. The new `redis` fixes what we saw on Tuesday.\n\n/merge", -9, &["👀"]),
                comment(
                    8,
                    "leadsman",
                    "Merging `3f2a91c0d4b7` as soon as `ci/test` has passed. Take it back with `/merge cancel`.",
                    -8,
                    &[],
                ),
            ],
            takes_comments: local,
            waits: vec![
                wait("`ci/build` has passed", true, None),
                wait("`ci/test` has to pass", false, Some("it has run for 3 minutes")),
                wait("No `/hold`", true, None),
                wait("The image still has the digest of this pull request", true, None),
            ],
            merge_asked_by: Some(self.text("local")),
            checks: vec![
                check("ci/build", CheckState::Success, true, -6),
                check("ci/test", CheckState::Pending, true, -3),
                check("ci/docs", CheckState::Skipped, false, -6),
                check("security/scan", CheckState::Failure, false, -5),
            ],
            history: vec![
                event(-8, "wait", "`ci/test` is required and has not finished"),
                event(-40, "rebuild", "`redis` `7.0.7` appeared and the filter `semver:~7.0` takes it"),
                event(-190, "open", "`podinfo` `6.5.4` appeared and the filter `semver:~6.5` takes it"),
            ],
        }
    }

    fn do_it(&self, deed: String) -> Result<(), ActionError> {
        if Self::is(&self.broken) {
            return Err(ActionError::Unavailable("the store does not answer".into()));
        }
        if deed.contains("refuse me") {
            return Err(ActionError::Refused("this pull request is merged; comments change nothing".into()));
        }
        self.deeds.lock().unwrap().push(deed);
        Ok(())
    }
}

#[async_trait]
impl Inbox for Memory {
    async fn deliver(&self, delivery: Delivery) -> Result<Accepted, NotStored> {
        assert!(!Self::is(&self.panics), "the store panicked with a secret: hunter2");
        if Self::is(&self.broken) {
            return Err(NotStored("disk I/O error in /var/lib/leadsman".into()));
        }
        if let Some(id) = &delivery.id
            && !self.seen.lock().unwrap().insert((delivery.source.clone(), id.clone()))
        {
            return Ok(Accepted::Repeated);
        }
        self.deliveries.lock().unwrap().push(delivery);
        Ok(Accepted::Stored)
    }
}

#[async_trait]
impl Readiness for Memory {
    async fn conditions(&self) -> Vec<Condition> {
        let store = self.answers().await;
        vec![
            Condition::of("store", store),
            Condition::of("migrations", Ok::<_, String>(())),
            Condition::of("workers", Ok::<_, String>(())),
        ]
    }
}

#[async_trait]
impl Views for Memory {
    async fn repositories(&self, _: Viewer) -> Result<RepositoriesView, ViewError> {
        self.answers().await?;
        Ok(RepositoriesView { repositories: self.rows() })
    }

    async fn repository(
        &self,
        viewer: Viewer,
        repository: &RepositoryRef,
    ) -> Result<Option<RepositoryView>, ViewError> {
        self.answers().await?;
        let Some(row) = self.rows().into_iter().find(|row| row.repository == *repository) else { return Ok(None) };
        if viewer == Viewer::Public && repository.host == "local" {
            return Ok(None);
        }
        let mut problems = Vec::new();
        for (message, place) in [
            (row.problem.clone(), Some(".leadsman.yaml, line 7")),
            (
                (row.problems > 1).then(|| self.text("the filter `semver:~>1` of `shop/api` is not valid")),
                Some("apps/api.yaml, line 12"),
            ),
        ] {
            if let Some(message) = message {
                problems.push(Problem { place: place.map(|it| self.text(it)), message, since: Some(at(-200)) });
            }
        }
        let watched = row.state == RepositoryState::Watched;
        let titles = ["dev/podinfo: 2 images, in clusters/staging", "shop/api: 1.4.1 → 1.4.2, in clusters/production"];
        let mut pulls = vec![
            self.pull_row(repository, 1, titles[0], PullState::Open),
            self.pull_row(repository, 2, titles[1], PullState::Open),
            self.pull_row(
                repository,
                3,
                "monitoring/grafana: 10.2.0 → 10.2.3, in clusters/production",
                PullState::Open,
            ),
            self.pull_row(repository, 4, "shop/web: 2.0.9 → 2.1.0, in clusters/staging", PullState::Merged),
            self.pull_row(repository, 5, "blog/ghost: 5.70 → 6.0, in clusters/production", PullState::Closed),
        ];
        pulls.retain(|_| watched);
        Ok(Some(RepositoryView {
            pause_reason: (row.state == RepositoryState::Paused).then(|| "mara wrote `/pause until the move`.".into()),
            base: "main".into(),
            url: (repository.host != "local").then(|| format!("https://{}/{}", repository.host, repository.name)),
            problems_found: problems,
            pulls,
            work: if *repository == platform() { self.work_rows().into_iter().take(2).collect() } else { Vec::new() },
            row,
        }))
    }

    async fn pull(
        &self,
        viewer: Viewer,
        repository: &RepositoryRef,
        number: i64,
    ) -> Result<Option<PullView>, ViewError> {
        if number != 1 || self.repository(viewer, repository).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.pull_view(repository)))
    }

    async fn work(&self, _: Viewer) -> Result<WorkView, ViewError> {
        self.answers().await?;
        let work = self.work_rows();
        Ok(WorkView { more: if work.is_empty() { 0 } else { 40 }, work })
    }

    async fn errors(&self, _: Viewer) -> Result<ErrorsView, ViewError> {
        self.answers().await?;
        let row = |repository, place: Option<&str>, message: String, since| ErrorRow {
            repository,
            problem: Problem { place: place.map(|it| self.text(it)), message, since: Some(at(since)) },
        };
        let mut errors: Vec<ErrorRow> = self
            .rows()
            .into_iter()
            .filter_map(|it| it.problem.map(|problem| row(Some(it.repository), Some(".leadsman.yaml"), problem, -200)))
            .collect();
        if !errors.is_empty() {
            let message = "cannot reach `registry.internal:5000`: connection refused; is it up?".into();
            errors.push(row(None, Some("registry.internal:5000"), message, -3));
        }
        Ok(ErrorsView { errors, more: 0 })
    }
}

#[async_trait]
impl Actions for Memory {
    async fn comment(
        &self,
        viewer: Viewer,
        repository: &RepositoryRef,
        number: i64,
        body: &str,
    ) -> Result<(), ActionError> {
        self.do_it(format!("{viewer:?} comments on {}#{number}: {body}", repository.name))
    }

    async fn replay(&self, viewer: Viewer, kind: &str, key: &str) -> Result<(), ActionError> {
        self.do_it(format!("{viewer:?} replays {kind} {key}"))
    }

    async fn scan(&self, viewer: Viewer, repository: &RepositoryRef) -> Result<(), ActionError> {
        self.do_it(format!("{viewer:?} scans {}", repository.name))
    }
}
