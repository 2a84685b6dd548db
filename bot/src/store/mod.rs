//! The only SQL: repositories, pull requests, the heads we made, the history of decisions, and first sights of tags.
//!
//! Owns the data folder. One process at a time, held by a lock that names its holder; one connection writes, in
//! transactions that begin `IMMEDIATE` and wait for nothing outside the database; others read. A transaction is on
//! disk when its method returns (`synchronous=FULL`). The statements are portable: `$1`, BIGINT milliseconds, TEXT.
//! Must not decide anything, and takes the time as a parameter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::ObjectId;
use jiff::Timestamp;
use leadsman_scanner::scan::Sights;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlSafeStr, SqliteConnection};
use thiserror::Error;

use crate::plan::{Key, Proposed};
use crate::pulls::{OurHead, Pull, State};

pub mod local;
pub mod lock;

use lock::{FolderLock, LockError};

/// The database's file within the data folder.
const DATABASE: &str = "leadsman.db";

/// How many connections read.
const READERS: u32 = 4;

/// How long a statement waits for another process that looks at the same file, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// Every migration: version, name, up, down.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "pulls",
        include_str!("../../../migrations/sqlite/0001_pulls.up.sql"),
        include_str!("../../../migrations/sqlite/0001_pulls.down.sql"),
    ),
    (
        2,
        "sights",
        include_str!("../../../migrations/sqlite/0002_sights.up.sql"),
        include_str!("../../../migrations/sqlite/0002_sights.down.sql"),
    ),
    (
        10,
        "local",
        include_str!("../../../migrations/sqlite/0010_local.up.sql"),
        include_str!("../../../migrations/sqlite/0010_local.down.sql"),
    ),
];

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The data folder cannot be made.
    #[error("cannot make the data folder `{}`: {source}; choose another with `--data DIR`", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database was made by a newer version, or a migration failed.
    #[error("cannot bring the database `{}` up to date: {source}", .file.display())]
    Migrate {
        /// The database's file.
        file: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
    /// A statement failed.
    #[error("cannot {what} the store: {source}")]
    Sql {
        /// What was being done.
        what: &'static str,
        /// What the database says.
        source: sqlx::Error,
    },
    /// A row holds what we would never write.
    #[error("pull request {number} in the store is damaged: {what}")]
    Damaged {
        /// The pull request's number.
        number: i64,
        /// What is wrong.
        what: String,
    },
}

fn sql(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Sql { what, source }
}

/// A pull request to be opened or changed, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number; none: it is new.
    pub number: Option<i64>,
    /// What it is about.
    pub key: Key,
    /// Its branch.
    pub branch: String,
    /// What it proposes.
    pub proposed: Vec<Proposed>,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
    /// The print of title and body.
    pub text_print: String,
    /// The head that its branch is about to be moved to, unless it stays.
    pub head: Option<(ObjectId, OurHead)>,
}

/// What is to be kept of one pull request after its branch was dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its number.
    pub number: i64,
    /// Its state.
    pub state: State,
    /// Where its branch was last seen, if that is to be changed.
    pub head: Option<ObjectId>,
    /// Why it is left alone, if it is.
    pub left_alone: Option<String>,
    /// What was done and why, for the history; none where nothing changed.
    pub event: Option<(String, String)>,
}

/// The database of one data folder.
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    _lock: FolderLock,
}

impl Store {
    /// Opens the store in `folder`, making both where they are missing. `holder` names this process to others that
    /// want the folder meanwhile.
    ///
    /// # Errors
    /// Where another process has the folder, or the database cannot be opened or brought up to date.
    pub async fn open(folder: &Path, holder: &str) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })?;
        let lock = FolderLock::take(folder, holder)?;
        let file = folder.join(DATABASE);
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(sql("open"))?;
        migrator().run(&writer).await.map_err(|source| StoreError::Migrate { file, source })?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers, _lock: lock })
    }

    /// Closes the database, so that its file holds everything.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// What the next look at `base` of `repository` has to know: all pull requests that are open or that people
    /// declined, and the last of every other state per key, by ascending number.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn pulls(&self, repository: &str, base: &str) -> Result<Vec<Pull>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, path, workload, branch, state, proposed, text_print, head, left_alone FROM pulls \
             WHERE repository = $1 AND base = $2 AND (state IN ('open', 'declined') OR number IN \
             (SELECT MAX(number) FROM pulls WHERE repository = $1 AND base = $2 GROUP BY path, workload, state)) \
             ORDER BY number",
        )
        .bind(repository)
        .bind(base)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read pull requests from"))?;
        let mut heads = self.heads(repository, base).await?;
        rows.iter()
            .map(|row| {
                let number: i64 = row.get(0);
                let damaged = |what: String| StoreError::Damaged { number, what };
                let state: &str = row.get(4);
                Ok(Pull {
                    number,
                    key: Key { path: row.get(1), workload: row.get(2) },
                    branch: row.get(3),
                    state: State::ALL
                        .into_iter()
                        .find(|known| known.as_str() == state)
                        .ok_or_else(|| damaged(format!("`{state}` is no state")))?,
                    proposed: serde_json::from_str(row.get(5)).map_err(|error| damaged(error.to_string()))?,
                    text_print: row.get(6),
                    head: row.get::<Option<&str>, _>(7).map(|id| object_id(number, id)).transpose()?,
                    left_alone: row.get(8),
                    heads: heads.remove(&number).unwrap_or_default(),
                })
            })
            .collect()
    }

    async fn heads(
        &self,
        repository: &str,
        base: &str,
    ) -> Result<BTreeMap<i64, BTreeMap<ObjectId, OurHead>>, StoreError> {
        let rows = sqlx::query(
            "SELECT heads.number, sha, base_sha, content_print FROM heads JOIN pulls \
             ON pulls.repository = heads.repository AND pulls.number = heads.number \
             WHERE heads.repository = $1 AND pulls.base = $2",
        )
        .bind(repository)
        .bind(base)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read heads from"))?;
        let mut heads: BTreeMap<i64, BTreeMap<ObjectId, OurHead>> = BTreeMap::new();
        for row in rows {
            let number = row.get(0);
            let head = OurHead { base: object_id(number, row.get(2))?, content_print: row.get(3) };
            heads.entry(number).or_default().insert(object_id(number, row.get(1))?, head);
        }
        Ok(heads)
    }

    /// Title and body of every pull request of `numbers`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn texts(&self, repository: &str, base: &str) -> Result<BTreeMap<i64, (String, String)>, StoreError> {
        let rows = sqlx::query("SELECT number, title, body FROM pulls WHERE repository = $1 AND base = $2")
            .bind(repository)
            .bind(base)
            .fetch_all(&self.readers)
            .await
            .map_err(sql("read texts from"))?;
        Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
    }

    /// Writes what is about to be done, all or nothing, and returns the number of each record: before any ref moves,
    /// so that whatever happens next, the heads are known as ours.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was.
    pub async fn record(
        &self,
        repository: &str,
        base: &str,
        records: &[Record],
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let fail = |source| sql("write pull requests to")(source);
        let now = now.as_millisecond();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?;
        let connection = &mut *transaction;
        sqlx::query(
            "INSERT INTO repositories (repository, forge, first_seen_at) VALUES ($1, 'local', $2) \
             ON CONFLICT (repository) DO NOTHING",
        )
        .bind(repository)
        .bind(now)
        .execute(&mut *connection)
        .await
        .map_err(fail)?;
        let mut next: i64 = sqlx::query("SELECT COALESCE(MAX(number), 0) + 1 FROM pulls WHERE repository = $1")
            .bind(repository)
            .fetch_one(&mut *connection)
            .await
            .map_err(fail)?
            .get(0);
        let mut numbers = Vec::with_capacity(records.len());
        for record in records {
            let number = record.number.unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            write_record(connection, repository, base, number, record, now).await.map_err(fail)?;
            numbers.push(number);
        }
        transaction.commit().await.map_err(fail)?;
        Ok(numbers)
    }

    /// Writes what came of it, all or nothing.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was.
    pub async fn conclude(&self, repository: &str, outcomes: &[Outcome], now: Timestamp) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let fail = |source| sql("write outcomes to")(source);
        let now = now.as_millisecond();
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?;
        for outcome in outcomes {
            write_outcome(&mut transaction, repository, outcome, now).await.map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)
    }

    /// When tags were first seen, of every image that was ever kept (S6.3).
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn sights(&self) -> Result<Sights, StoreError> {
        let rows = sqlx::query("SELECT image, seen FROM sights")
            .fetch_all(&self.readers)
            .await
            .map_err(sql("read when tags were first seen from"))?;
        Ok(Sights::of(rows.iter().map(|row| (row.get(0), row.get(1)))))
    }

    /// Keeps what is new in `sights`, all or nothing; nothing is written where nothing is.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was, and what was new is lost.
    pub async fn keep_sights(&self, sights: &Sights, now: Timestamp) -> Result<(), StoreError> {
        let changed = sights.changed();
        if changed.is_empty() {
            return Ok(());
        }
        let fail = |source| sql("write when tags were first seen to")(source);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(fail)?;
        for (image, seen) in changed {
            sqlx::query(
                "INSERT INTO sights (image, seen, updated_at) VALUES ($1, $2, $3) \
                 ON CONFLICT (image) DO UPDATE SET seen = excluded.seen, updated_at = excluded.updated_at",
            )
            .bind(image)
            .bind(seen)
            .bind(now.as_millisecond())
            .execute(&mut *transaction)
            .await
            .map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)
    }

    /// What was done to a pull request, oldest first: when, what, and why.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn history(&self, repository: &str, number: i64) -> Result<Vec<(Timestamp, String, String)>, StoreError> {
        let rows =
            sqlx::query("SELECT at, action, reason FROM history WHERE repository = $1 AND number = $2 ORDER BY step")
                .bind(repository)
                .bind(number)
                .fetch_all(&self.readers)
                .await
                .map_err(sql("read history from"))?;
        Ok(rows
            .iter()
            .map(|row| {
                let at = Timestamp::from_millisecond(row.get(0)).unwrap_or(Timestamp::UNIX_EPOCH);
                (at, row.get(1), row.get(2))
            })
            .collect())
    }
}

async fn write_record(
    connection: &mut SqliteConnection,
    repository: &str,
    base: &str,
    number: i64,
    record: &Record,
    now: i64,
) -> Result<(), sqlx::Error> {
    let Record { number: known, key, branch, proposed, title, body, text_print, head } = record;
    let proposed = serde_json::to_string(proposed).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let statement = if known.is_some() {
        "UPDATE pulls SET branch = $6, proposed = $7, title = $8, body = $9, text_print = $10, updated_at = $11 \
         WHERE repository = $1 AND number = $2 AND base = $3 AND path = $4 AND workload = $5"
    } else {
        "INSERT INTO pulls (repository, number, base, path, workload, branch, proposed, title, body, text_print, \
         created_at, updated_at, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 'open')"
    };
    sqlx::query(statement)
        .bind(repository)
        .bind(number)
        .bind(base)
        .bind(&key.path)
        .bind(&key.workload)
        .bind(branch)
        .bind(proposed)
        .bind(title)
        .bind(body)
        .bind(text_print)
        .bind(now)
        .execute(&mut *connection)
        .await?;
    if let Some((id, OurHead { base, content_print })) = head {
        sqlx::query(
            "INSERT INTO heads (repository, number, sha, base_sha, content_print, first_seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (repository, number, sha) DO NOTHING",
        )
        .bind(repository)
        .bind(number)
        .bind(id.to_string())
        .bind(base.to_string())
        .bind(content_print)
        .bind(now)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn write_outcome(
    connection: &mut SqliteConnection,
    repository: &str,
    outcome: &Outcome,
    now: i64,
) -> Result<(), sqlx::Error> {
    let Outcome { number, state, head, left_alone, event } = outcome;
    sqlx::query(
        "UPDATE pulls SET state = $3, head = COALESCE($4, head), left_alone = $5, updated_at = $6 \
         WHERE repository = $1 AND number = $2",
    )
    .bind(repository)
    .bind(number)
    .bind(state.as_str())
    .bind(head.map(|id| id.to_string()))
    .bind(left_alone)
    .bind(now)
    .execute(&mut *connection)
    .await?;
    if let Some((action, reason)) = event {
        sqlx::query(
            "INSERT INTO history (repository, number, step, at, action, reason) SELECT $1, $2, \
             COALESCE(MAX(step), 0) + 1, $3, $4, $5 FROM history WHERE repository = $1 AND number = $2",
        )
        .bind(repository)
        .bind(number)
        .bind(now)
        .bind(action)
        .bind(reason)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

fn object_id(number: i64, text: &str) -> Result<ObjectId, StoreError> {
    ObjectId::from_hex(text.as_bytes())
        .map_err(|_| StoreError::Damaged { number, what: format!("`{text}` is no commit id") })
}

fn migrator() -> Migrator {
    let both = MIGRATIONS.iter().flat_map(|(version, name, up, down)| {
        [(MigrationType::ReversibleUp, up), (MigrationType::ReversibleDown, down)]
            .map(|(kind, text)| Migration::new(*version, (*name).into(), kind, (*text).into_sql_str(), false))
    });
    Migrator::with_migrations(both.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Change, Evidence, Version};

    const REPOSITORY: &str = "/repository/.git";

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn id(digit: &str) -> ObjectId {
        ObjectId::from_hex(digit.repeat(40).as_bytes()).unwrap()
    }

    fn record(workload: &str, head: &str) -> Record {
        let version = |tag: &str| Version { tag: tag.into(), digest: None };
        let change = Change {
            document: 0,
            container: "app".into(),
            image: "docker.io/library/app".into(),
            from: version("1"),
            to: version("2"),
        };
        Record {
            number: None,
            key: Key { path: "a.yaml".into(), workload: workload.into() },
            branch: format!("leadsman/{workload}"),
            proposed: vec![Proposed { change, evidence: Evidence::default() }],
            title: "a title".into(),
            body: "a body".into(),
            text_print: "print".into(),
            head: Some((id(head), OurHead { base: id("0"), content_print: "content".into() })),
        }
    }

    #[tokio::test]
    async fn what_was_recorded_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "a test").await.unwrap();
        let numbers = store.record(REPOSITORY, "main", &[record("a", "1"), record("b", "2")], now()).await.unwrap();
        assert_eq!(numbers, [1, 2]);
        let outcome = Outcome {
            number: 1,
            state: State::Open,
            head: Some(id("1")),
            left_alone: None,
            event: Some(("open".into(), "there is an update".into())),
        };
        store.conclude(REPOSITORY, &[outcome], now()).await.unwrap();
        store.close().await;

        let store = Store::open(folder.path(), "a test").await.unwrap();
        let pulls = store.pulls(REPOSITORY, "main").await.unwrap();
        assert_eq!(pulls.len(), 2);
        assert_eq!((pulls[0].head, pulls[1].head), (Some(id("1")), None));
        assert_eq!(pulls[0].proposed, record("a", "1").proposed);
        assert_eq!(pulls[1].heads[&id("2")].base, id("0"));
        assert_eq!(store.pulls(REPOSITORY, "other").await.unwrap(), []);
        assert_eq!(store.texts(REPOSITORY, "main").await.unwrap()[&1].0, "a title");
        let history = store.history(REPOSITORY, 1).await.unwrap();
        assert_eq!(history, [(now(), "open".to_owned(), "there is an update".to_owned())]);
    }

    #[tokio::test]
    async fn declined_ones_are_all_remembered_and_of_the_others_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "a test").await.unwrap();
        let end = |number, state| Outcome { number, state, head: None, left_alone: None, event: None };
        for state in [State::Merged, State::Declined, State::Merged, State::Declined, State::Closed, State::Open] {
            let numbers = store.record(REPOSITORY, "main", &[record("a", "1")], now()).await.unwrap();
            store.conclude(REPOSITORY, &[end(numbers[0], state)], now()).await.unwrap();
        }
        let numbers: Vec<_> = store.pulls(REPOSITORY, "main").await.unwrap().iter().map(|p| p.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn a_failing_transaction_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "a test").await.unwrap();
        let mut twice = record("b", "2");
        twice.branch = record("a", "1").branch;
        store.record(REPOSITORY, "main", &[record("a", "1"), twice], now()).await.unwrap_err();
        assert_eq!(store.pulls(REPOSITORY, "main").await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_second_process_is_refused_and_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path(), "process 1, `leadsman run`").await.unwrap();
        let error = Store::open(folder.path(), "another").await.err().unwrap().to_string();
        assert!(error.contains("process 1, `leadsman run`"), "{error}");
        first.close().await;
        Store::open(folder.path(), "another").await.unwrap();
    }

    #[tokio::test]
    async fn migrations_go_up_and_down() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "a test").await.unwrap();
        migrator().undo(&store.writer, 0).await.unwrap();
        let left = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlx%'";
        assert_eq!(sqlx::query(left).fetch_all(&store.writer).await.unwrap().len(), 0);
        migrator().run(&store.writer).await.unwrap();
    }
}
