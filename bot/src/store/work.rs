//! The work table: what is to be looked at again, and who is at it.
//!
//! Work says *what to look at*, never what to do there: whoever runs it compares what should be with what is. So the
//! same request twice is one row, and one that is repeated does no harm. Invariants, cited by number in the tests:
//!
//! 1. **Nothing is lost.** Once [`Store::ask`] has returned, the work runs after it: what was asked for while a claim
//!    was live is due again when that claim ends, however it ends.
//! 2. **Asking does not hurry what was put off.** It lowers when the work is due, and touches neither its back-off nor
//!    its parking: a hook cannot cancel them.
//! 3. **One claim per lane.** No two live claims have the same lane, so two kinds of work on one repository never run
//!    side by side.
//! 4. **A lapsed claim is nothing.** Claims are leases. What ends a claim is fenced by a number that grows with each
//!    claim of the row, and does nothing after the lease.
//! 5. **Faults of others cost no attempt**: they put off the host for everyone ([`super::hosts`]). Ours back off,
//!    doubling, and are parked after [`MAX_ATTEMPTS`]; a lapse is one of ours. Parked work is tried daily, by a new
//!    version, and when somebody replays it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, SqliteConnection};
use tokio::sync::Notify;

use super::{DAY, Store, StoreError, bounded, millis, sql, time};

/// After how many failures of our own making work is parked.
pub const MAX_ATTEMPTS: u32 = 10;

/// The wait after the first failure, before jitter.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// The longest wait after a failure, before jitter, while work is not parked.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The longest error that is kept, in bytes.
const MAX_ERROR: usize = 4000;

/// What lapsed claims leave as their error.
const LAPSED: &str = "whoever ran it stopped before it was done";

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Read a stored delivery and ask for what it names.
    Deliver,
    /// Find the repositories of an installation or an owner.
    SyncInstallation,
    /// Read the manifests of a repository.
    ScanRepository,
    /// Ask a registry for the tags of an image.
    ListImage,
    /// Bring the pull requests of a repository up to date.
    ReconcilePulls,
    /// Read the comments of a pull request or an issue.
    ReadComments,
    /// Carry out a person's command.
    RunCommand,
    /// Merge a pull request, if it may be merged.
    TryMerge,
    /// See what became of a merged pull request.
    FollowRollout,
    /// Bring the dashboard issue up to date.
    DashboardIssue,
    /// Delete what is too old.
    Sweep,
}

impl Kind {
    /// Every kind. A version that adds one adds a migration, too, so that older ones refuse the database rather than
    /// stumble over the row.
    pub const ALL: [Self; 11] = [
        Self::Deliver,
        Self::SyncInstallation,
        Self::ScanRepository,
        Self::ListImage,
        Self::ReconcilePulls,
        Self::ReadComments,
        Self::RunCommand,
        Self::TryMerge,
        Self::FollowRollout,
        Self::DashboardIssue,
        Self::Sweep,
    ];

    /// Its name in the store, in logs and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::SyncInstallation => "sync_installation",
            Self::ScanRepository => "scan_repository",
            Self::ListImage => "list_image",
            Self::ReconcilePulls => "reconcile_pulls",
            Self::ReadComments => "read_comments",
            Self::RunCommand => "run_command",
            Self::TryMerge => "try_merge",
            Self::FollowRollout => "follow_rollout",
            Self::DashboardIssue => "dashboard_issue",
            Self::Sweep => "sweep",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How urgent it is unless asked for otherwise.
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            // A delivery may hold a person's command, and takes no time.
            Self::Deliver | Self::ReadComments | Self::RunCommand => Priority::Person,
            Self::TryMerge => Priority::Merge,
            Self::ReconcilePulls | Self::FollowRollout => Priority::Pull,
            Self::ScanRepository | Self::ListImage | Self::SyncInstallation => Priority::Scan,
            Self::DashboardIssue | Self::Sweep => Priority::Background,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How urgent work is: the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A person waits for it.
    Person,
    /// Merging.
    Merge,
    /// Pull requests.
    Pull,
    /// Reading repositories and registries.
    Scan,
    /// What nobody would miss for an hour.
    Background,
}

impl Priority {
    const ALL: [Self; 5] = [Self::Person, Self::Merge, Self::Pull, Self::Scan, Self::Background];

    fn rank(self) -> i64 {
        match self {
            Self::Person => 0,
            Self::Merge => 10,
            Self::Pull => 20,
            Self::Scan => 30,
            Self::Background => 40,
        }
    }
}

/// What must not be worked on by two at once: a repository, or for [`Kind::ListImage`] an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(String);

impl Lane {
    /// Everything that touches one repository.
    #[must_use]
    pub fn repository(repository: &str) -> Self {
        Self(format!("repository {repository}"))
    }

    /// The repository of the lane with this text; none where it is about something else.
    #[must_use]
    pub fn repository_of(lane: &str) -> Option<&str> {
        lane.strip_prefix("repository ")
    }

    /// Everything that asks for one image with one realm's credentials.
    #[must_use]
    pub fn image(realm: &str, image: &str) -> Self {
        Self(format!("image {realm} {image}"))
    }

    /// One delivery: they do not wait for each other.
    #[must_use]
    pub fn delivery(source: &str, id: &str) -> Self {
        Self(format!("delivery {source} {id}"))
    }

    /// Something of the service as a whole, such as sweeping.
    #[must_use]
    pub fn service(name: &str) -> Self {
        Self(format!("service {name}"))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request that something be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is to be done.
    pub kind: Kind,
    /// To what: unique within the kind.
    pub key: String,
    /// What nobody else may work on meanwhile.
    pub lane: Lane,
    /// The forge, installation or registry that it cannot do without: while that is put off, this waits.
    pub host: Option<String>,
    /// How urgent it is.
    pub priority: Priority,
    /// From when on.
    pub due_at: Timestamp,
}

impl Ask {
    /// Work as urgent as its kind, that needs no host.
    #[must_use]
    pub fn new(kind: Kind, key: impl Into<String>, lane: Lane, due_at: Timestamp) -> Self {
        Self { kind, key: key.into(), lane, host: None, priority: kind.priority(), due_at }
    }

    /// The same, needing `host`.
    #[must_use]
    pub fn on(self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self }
    }

    /// The same, as urgent as `priority`.
    #[must_use]
    pub fn with(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }
}

/// How long a claim is good for, on the monotonic clock: it cannot be set back, and its owner asks it without SQL.
#[derive(Debug)]
struct Lease {
    length: Duration,
    ends: Mutex<Instant>,
}

impl Lease {
    fn ends(&self) -> Instant {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, from: Instant) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = from + self.length;
    }
}

/// Work that is ours until its lease ends.
#[derive(Debug)]
pub struct Claim {
    /// What is to be done.
    pub kind: Kind,
    /// To what.
    pub key: String,
    /// What nobody else works on meanwhile.
    pub lane: String,
    /// The host that it needs.
    pub host: Option<String>,
    /// The number of this claim: later ones have higher ones.
    pub fence: i64,
    /// How often it was asked for until now.
    pub asked: i64,
    /// How often it failed since it last went well.
    pub attempts: u32,
    worker: String,
    lease: Lease,
}

impl Claim {
    /// How long the lease still lasts at `at`.
    #[must_use]
    pub fn left(&self, at: Instant) -> Duration {
        self.lease.ends().saturating_duration_since(at)
    }

    /// Whether a call that changes something outside may still be begun: not with less than a third of the lease left,
    /// for it would end when somebody else may be at it.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.may_write_at(Instant::now())
    }

    /// [`Claim::may_write`] at a given time.
    #[must_use]
    pub fn may_write_at(&self, at: Instant) -> bool {
        self.left(at) >= self.lease.length / 3
    }

    /// How long it was claimed for.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease.length
    }
}

/// What is to become of work that went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until somebody asks.
    Done,
    /// It is due again then, or earlier if somebody asks: periodic work, and work that waits.
    Again(Timestamp),
}

/// How work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Somebody is at it.
    Running,
    /// It can be claimed, as soon as its lane is free.
    Due,
    /// It is due later.
    Later(Timestamp),
    /// It or its host is put off until then.
    PutOff(Timestamp),
    /// It failed too often, and is tried again then.
    Parked(Timestamp),
}

/// A row of work, for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What is to be done.
    pub kind: Kind,
    /// To what.
    pub key: String,
    /// What nobody else works on meanwhile.
    pub lane: String,
    /// The host that it needs.
    pub host: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// How often it was asked for.
    pub asked: i64,
    /// How often it failed since it last went well.
    pub attempts: u32,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// When it last went well.
    pub done_at: Option<Timestamp>,
}

/// How much work there is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The kind.
    pub kind: Kind,
    /// How much somebody is at.
    pub running: u64,
    /// How much was due by now and is neither claimed nor parked.
    pub due: u64,
    /// How much is due later.
    pub later: u64,
    /// How much is parked.
    pub parked: u64,
    /// Since when the oldest of it is due.
    pub oldest_due: Option<Timestamp>,
}

/// How long work waits after its `attempts`th failure, the first being 1. `jitter` from 0 to 1 spreads it over the
/// upper half, so that what failed together does not come back together.
#[must_use]
pub fn back_off(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

impl Store {
    /// Is told whenever work is asked for in this process, or may be claimed earlier than was known. For one listener.
    #[must_use]
    pub fn asked(&self) -> Arc<Notify> {
        Arc::clone(&self.asked)
    }

    /// Asks for work, all or nothing. What is known already becomes due earlier and more urgent if need be; its
    /// back-off and its parking stay (invariant 2).
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing is asked for.
    pub async fn ask(&self, asks: &[Ask], now: Timestamp) -> Result<(), StoreError> {
        if asks.is_empty() {
            return Ok(());
        }
        let what = "ask for work in";
        let mut transaction = self.begin(what).await?;
        ask(&mut transaction, asks, now).await.map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        self.asked.notify_one();
        Ok(())
    }

    /// Claims the most urgent work that can be done now, for `lease`: due, put off neither itself nor by its host, and
    /// with no live claim in its lane (invariant 3). Of equally urgent work, what is due longest. `worker` names who
    /// claims. None: there is nothing to be done now.
    ///
    /// # Errors
    /// Where the database cannot be written, or holds work of a kind that this version does not know.
    pub async fn claim(&self, worker: &str, lease: Duration, now: Timestamp) -> Result<Option<Claim>, StoreError> {
        let what = "claim work in";
        // Before the statement: the lease must not last longer here than there.
        let from = Instant::now();
        let mut transaction = self.begin(what).await?;
        hand_back_lapsed(&mut transaction, now).await.map_err(sql(what))?;
        let mut row = None;
        // One look for each urgency: each finds its work by the index, whatever waits for later.
        for priority in Priority::ALL {
            // PostgreSQL needs `FOR UPDATE SKIP LOCKED` in the inner statement, and a lock on the lane.
            row = sqlx::query(
                "UPDATE work SET claimed_by = $1, claimed_until = $2, fence = fence + 1, due_at = NULL \
                 WHERE (kind, key) IN (SELECT kind, key FROM work AS next \
                 WHERE priority = $4 AND due_at <= $3 AND not_before <= $3 AND claimed_until IS NULL \
                 AND NOT EXISTS (SELECT 1 FROM work AS live WHERE live.lane = next.lane AND live.claimed_until > $3) \
                 AND NOT EXISTS (SELECT 1 FROM hosts WHERE hosts.host = next.host AND hosts.not_before > $3) \
                 ORDER BY due_at LIMIT 1) \
                 RETURNING kind, key, lane, host, fence, asked, attempts",
            )
            .bind(worker)
            .bind(now.as_millisecond().saturating_add(millis(lease)))
            .bind(now.as_millisecond())
            .bind(priority.rank())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sql(what))?;
            if row.is_some() {
                break;
            }
        }
        let claim = row
            .map(|row| {
                Ok::<_, StoreError>(Claim {
                    kind: kind(row.get(0))?,
                    key: row.get(1),
                    lane: row.get(2),
                    host: row.get(3),
                    fence: row.get(4),
                    asked: row.get(5),
                    attempts: attempts(row.get(6)),
                    worker: worker.to_owned(),
                    lease: Lease { length: lease, ends: Mutex::new(from + lease) },
                })
            })
            .transpose()?;
        transaction.commit().await.map_err(sql(what))?;
        Ok(claim)
    }

    /// Makes the lease of `claim` last its whole length from `now` on. False: it has lapsed (invariant 4), and whoever
    /// works on it must stop.
    ///
    /// # Errors
    /// Where the database cannot be written; then the lease is as long as it was.
    pub async fn renew(&self, claim: &Claim, now: Timestamp) -> Result<bool, StoreError> {
        let from = Instant::now();
        let renewed = sqlx::query(
            "UPDATE work SET claimed_until = $5 \
             WHERE kind = $1 AND key = $2 AND claimed_by = $3 AND fence = $4 AND claimed_until > $6",
        )
        .bind(claim.kind.as_str())
        .bind(&claim.key)
        .bind(&claim.worker)
        .bind(claim.fence)
        .bind(now.as_millisecond().saturating_add(millis(claim.lease.length)))
        .bind(now.as_millisecond())
        .execute(&self.writer)
        .await
        .map_err(sql("renew a claim in"))?
        .rows_affected()
            > 0;
        if renewed {
            claim.lease.renew(from);
        }
        Ok(renewed)
    }

    /// Ends a claim whose work went well: its failures are forgotten, and it runs again if it was asked for meanwhile
    /// (invariant 1). What nobody asked for meanwhile is as urgent as its kind again. False: the claim had lapsed, and nothing was done (invariant 4).
    ///
    /// # Errors
    /// Where the database cannot be written; then the claim goes on.
    pub async fn finish(&self, claim: &Claim, next: Next, now: Timestamp) -> Result<bool, StoreError> {
        let again = match next {
            Next::Done => None,
            Next::Again(at) => Some(at.as_millisecond()),
        };
        let row = sqlx::query(
            "UPDATE work SET claimed_by = NULL, claimed_until = NULL, attempts = 0, parked_at = NULL, \
             last_error = NULL, not_before = 0, done_at = $6, \
             priority = CASE WHEN due_at IS NULL THEN $7 ELSE priority END, \
             due_at = CASE WHEN due_at IS NULL OR due_at > $5 THEN COALESCE($5, due_at) ELSE due_at END \
             WHERE kind = $1 AND key = $2 AND claimed_by = $3 AND fence = $4 AND claimed_until > $6 \
             RETURNING due_at",
        )
        .bind(claim.kind.as_str())
        .bind(&claim.key)
        .bind(&claim.worker)
        .bind(claim.fence)
        .bind(again)
        .bind(now.as_millisecond())
        .bind(claim.kind.priority().rank())
        .fetch_optional(&self.writer)
        .await
        .map_err(sql("finish work in"))?;
        Ok(row.is_some())
    }

    /// Ends a claim whose work failed by a fault of our own making: it is tried again after [`back_off`], and parked
    /// when that was the [`MAX_ATTEMPTS`]th time (invariant 5). False: the claim had lapsed, and nothing was done.
    ///
    /// # Errors
    /// Where the database cannot be written; then the claim goes on until it lapses.
    pub async fn fail(&self, claim: &Claim, error: &str, now: Timestamp, jitter: f64) -> Result<bool, StoreError> {
        let failures = claim.attempts.saturating_add(1);
        let parked = failures >= MAX_ATTEMPTS;
        let wait = if parked { DAY } else { back_off(failures, jitter) };
        let failed = sqlx::query(
            "UPDATE work SET claimed_by = NULL, claimed_until = NULL, attempts = $5, last_error = $6, \
             not_before = $7, parked_at = $8, due_at = CASE WHEN due_at <= $9 THEN due_at ELSE $9 END \
             WHERE kind = $1 AND key = $2 AND claimed_by = $3 AND fence = $4 AND claimed_until > $9",
        )
        .bind(claim.kind.as_str())
        .bind(&claim.key)
        .bind(&claim.worker)
        .bind(claim.fence)
        .bind(i64::from(failures))
        .bind(bounded(error, MAX_ERROR))
        .bind(now.as_millisecond().saturating_add(millis(wait)))
        .bind(parked.then(|| now.as_millisecond()))
        .bind(now.as_millisecond())
        .execute(&self.writer)
        .await
        .map_err(sql("keep a failure in"))?;
        Ok(failed.rows_affected() > 0)
    }

    /// Ends a claim whose work was not done, by no fault of its own, such as when the service stops: it is due at
    /// once, and nothing is counted. False: the claim had lapsed, and nothing was done.
    ///
    /// # Errors
    /// Where the database cannot be written; then the claim goes on until it lapses.
    pub async fn hand_back(&self, claim: &Claim, now: Timestamp) -> Result<bool, StoreError> {
        let done = hand_back(&self.writer, claim, now, now).await.map_err(sql("hand work back to"))?;
        Ok(done)
    }

    /// Makes one piece of work run now, whatever it waits for: parked or put off; its failures are forgotten. A claim
    /// that is live goes on, and the work runs again after it. False: there is no such work.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn replay(&self, kind: Kind, key: &str, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE work SET attempts = 0, parked_at = NULL, not_before = 0, asked = asked + 1, \
             due_at = CASE WHEN due_at <= $3 THEN due_at ELSE $3 END WHERE kind = $1 AND key = $2",
        )
        .bind(kind.as_str())
        .bind(key)
        .bind(now.as_millisecond())
        .execute(&self.writer)
        .await
        .map_err(sql("replay work in"))?;
        self.asked.notify_one();
        Ok(done.rows_affected() > 0)
    }

    /// Lets everything that is parked be tried once more if `version` is another one than ran last, and remembers it.
    /// Returns how much that was.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was.
    pub async fn unpark_for_version(&self, version: &str) -> Result<u64, StoreError> {
        let what = "unpark work in";
        let mut transaction = self.begin(what).await?;
        let changed = sqlx::query(
            "INSERT INTO service (name, value) VALUES ('version', $1) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE service.value <> excluded.value",
        )
        .bind(version)
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        let mut unparked = 0;
        if changed.rows_affected() > 0 {
            // The failures stay counted: one more, and it is parked again.
            let done = sqlx::query("UPDATE work SET parked_at = NULL, not_before = 0 WHERE parked_at IS NOT NULL")
                .execute(&mut *transaction)
                .await
                .map_err(sql(what))?;
            unparked = done.rows_affected();
        }
        transaction.commit().await.map_err(sql(what))?;
        self.asked.notify_one();
        Ok(unparked)
    }

    /// When there may be something to claim, after `now`: when something falls due, is put off no longer, or a claim
    /// lapses. None: not before somebody asks.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            "SELECT MIN(CASE WHEN ready >= host_ready THEN ready ELSE host_ready END) FROM \
             (SELECT CASE WHEN claimed_until IS NOT NULL THEN claimed_until \
             WHEN due_at >= work.not_before THEN due_at ELSE work.not_before END AS ready, \
             CASE WHEN claimed_until IS NOT NULL THEN 0 ELSE COALESCE(hosts.not_before, 0) END AS host_ready \
             FROM work LEFT JOIN hosts ON hosts.host = work.host \
             WHERE due_at IS NOT NULL OR claimed_until IS NOT NULL) AS waiting \
             WHERE ready > $1 OR host_ready > $1",
        )
        .bind(now.as_millisecond())
        .fetch_one(&self.readers)
        .await
        .map_err(sql("read work from"))?;
        Ok(row.get::<Option<i64>, _>(0).map(time))
    }

    /// The work that waits, runs or is parked, at most `limit` rows: what is parked first, then what runs, then the
    /// rest in the order of its priority and due time.
    ///
    /// # Errors
    /// Where the database cannot be read, or holds work of a kind that this version does not know.
    pub async fn work(&self, limit: u32, now: Timestamp) -> Result<Vec<Listed>, StoreError> {
        self.work_of(None, limit, now).await
    }

    /// The same of one lane, or of all.
    ///
    /// # Errors
    /// As [`Store::work`].
    pub async fn work_of(&self, lane: Option<&Lane>, limit: u32, now: Timestamp) -> Result<Vec<Listed>, StoreError> {
        let rows = sqlx::query(
            "SELECT work.kind, work.key, lane, work.host, asked, attempts, work.last_error, done_at, \
             due_at, work.not_before, claimed_until, parked_at, COALESCE(hosts.not_before, 0) \
             FROM work LEFT JOIN hosts ON hosts.host = work.host \
             WHERE (due_at IS NOT NULL OR claimed_until IS NOT NULL) AND ($2 IS NULL OR lane = $2) \
             ORDER BY CASE WHEN parked_at IS NOT NULL THEN 0 WHEN claimed_until IS NOT NULL THEN 1 ELSE 2 END, \
             priority, due_at, work.kind, work.key LIMIT $1",
        )
        .bind(i64::from(limit))
        .bind(lane.map(Lane::as_str))
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read work from"))?;
        rows.iter().map(|row| listed(row, now)).collect()
    }

    /// How much work there is, for each kind that there is any of.
    ///
    /// # Errors
    /// Where the database cannot be read, or holds work of a kind that this version does not know.
    pub async fn work_counts(&self, now: Timestamp) -> Result<Vec<Count>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, COUNT(claimed_until), \
             COUNT(CASE WHEN claimed_until IS NULL AND parked_at IS NULL AND due_at <= $1 THEN 1 END), \
             COUNT(CASE WHEN claimed_until IS NULL AND parked_at IS NULL AND due_at > $1 THEN 1 END), \
             COUNT(CASE WHEN claimed_until IS NULL THEN parked_at END), \
             MIN(CASE WHEN claimed_until IS NULL AND parked_at IS NULL AND due_at <= $1 THEN due_at END) \
             FROM work WHERE due_at IS NOT NULL OR claimed_until IS NOT NULL GROUP BY kind ORDER BY kind",
        )
        .bind(now.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(sql("count work in"))?;
        let count = |row: &SqliteRow, index: usize| u64::try_from(row.get::<i64, _>(index)).unwrap_or(0);
        rows.iter()
            .map(|row| {
                Ok(Count {
                    kind: kind(row.get(0))?,
                    running: count(row, 1),
                    due: count(row, 2),
                    later: count(row, 3),
                    parked: count(row, 4),
                    oldest_due: row.get::<Option<i64>, _>(5).map(time),
                })
            })
            .collect()
    }
}

/// Asks for work within a transaction; who commits it tells [`Store::asked`].
pub(super) async fn ask(connection: &mut SqliteConnection, asks: &[Ask], now: Timestamp) -> Result<(), sqlx::Error> {
    for Ask { kind, key, lane, host, priority, due_at } in asks {
        // The first fence is a time, so that a row which was swept and is asked for again begins above its old one.
        // Priority: what is not waiting has none to keep.
        sqlx::query(
            "INSERT INTO work (kind, key, lane, host, priority, due_at, asked, fence) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7) \
             ON CONFLICT (kind, key) DO UPDATE SET asked = work.asked + 1, \
             lane = CASE WHEN work.claimed_until IS NULL THEN excluded.lane ELSE work.lane END, \
             host = CASE WHEN work.claimed_until IS NULL THEN excluded.host ELSE work.host END, \
             priority = CASE WHEN work.due_at IS NOT NULL AND work.priority < excluded.priority \
             THEN work.priority ELSE excluded.priority END, \
             due_at = CASE WHEN work.due_at <= excluded.due_at THEN work.due_at ELSE excluded.due_at END",
        )
        .bind(kind.as_str())
        .bind(key)
        .bind(lane.as_str())
        .bind(host)
        .bind(priority.rank())
        .bind(due_at.as_millisecond())
        .bind(now.as_millisecond())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Ends a claim so that its work can be claimed again from `not_before` on. False: it had lapsed.
pub(super) async fn hand_back<'e>(
    executor: impl sqlx::Executor<'e, Database = sqlx::Sqlite>,
    claim: &Claim,
    not_before: Timestamp,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE work SET claimed_by = NULL, claimed_until = NULL, not_before = $6, \
         due_at = CASE WHEN due_at <= $5 THEN due_at ELSE $5 END \
         WHERE kind = $1 AND key = $2 AND claimed_by = $3 AND fence = $4 AND claimed_until > $5",
    )
    .bind(claim.kind.as_str())
    .bind(&claim.key)
    .bind(&claim.worker)
    .bind(claim.fence)
    .bind(now.as_millisecond())
    .bind(not_before.as_millisecond())
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Makes every claim one that has lapsed. Only for whoever holds the data folder and has not begun to claim.
pub(super) async fn lapse_all(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE work SET claimed_until = 0 WHERE claimed_until IS NOT NULL").execute(writer).await?;
    Ok(())
}

/// Makes the work of lapsed claims due again. A lapse is a failure: what ends the process each time must not do so
/// for ever. It needs no back-off before it is parked, for the lease was long enough.
async fn hand_back_lapsed(connection: &mut SqliteConnection, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE work SET claimed_by = NULL, claimed_until = NULL, attempts = attempts + 1, last_error = $2, \
         due_at = CASE WHEN due_at <= $1 THEN due_at ELSE $1 END, \
         not_before = CASE WHEN attempts + 1 >= $3 THEN $1 + $4 ELSE not_before END, \
         parked_at = CASE WHEN attempts + 1 >= $3 THEN $1 END \
         WHERE claimed_until <= $1",
    )
    .bind(now.as_millisecond())
    .bind(LAPSED)
    .bind(i64::from(MAX_ATTEMPTS))
    .bind(millis(DAY))
    .execute(connection)
    .await?;
    Ok(())
}

fn kind(name: &str) -> Result<Kind, StoreError> {
    Kind::of(name).ok_or_else(|| StoreError::Unreadable { what: "the kind of a piece of work", value: name.to_owned() })
}

fn attempts(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

fn listed(row: &SqliteRow, now: Timestamp) -> Result<Listed, StoreError> {
    let due: Option<i64> = row.get(8);
    let put_off = row.get::<i64, _>(9).max(row.get(12));
    let standing = match (row.get::<Option<i64>, _>(10), row.get::<Option<i64>, _>(11), due) {
        (Some(until), ..) if until > now.as_millisecond() => Standing::Running,
        (_, Some(_), _) => Standing::Parked(time(put_off)),
        (_, None, _) if put_off > now.as_millisecond() => Standing::PutOff(time(put_off)),
        (_, None, Some(due)) if due > now.as_millisecond() => Standing::Later(time(due)),
        _ => Standing::Due,
    };
    Ok(Listed {
        kind: kind(row.get(0))?,
        key: row.get(1),
        lane: row.get(2),
        host: row.get(3),
        standing,
        asked: row.get(4),
        attempts: attempts(row.get(5)),
        last_error: row.get(6),
        done_at: row.get::<Option<i64>, _>(7).map(time),
    })
}

#[cfg(test)]
mod tests;
