//! The only SQL: the work to be done, what came in, repositories and images, pull requests and the heads we made, what
//! people decided, and the history of it all.
//!
//! Owns the data folder. One process at a time, held by a lock that names its holder; one connection writes, in
//! transactions that begin `IMMEDIATE` and wait for nothing outside the database; others read. A transaction is on
//! disk when its method returns (`synchronous=FULL`). The statements are portable: `$1`, BIGINT milliseconds, TEXT.
//! Must not decide anything, and takes the time as a parameter.
//!
//! | module | owns |
//! |---|---|
//! | [`work`] | what is to be looked at again: asking, claiming, finishing |
//! | [`hosts`] | who is put off for everyone |
//! | [`budgets`] | how many calls may be made within a window of time |
//! | [`inbox`] | what came in, once each |
//! | [`repositories`] | what is watched, and how its last scan went |
//! | [`images`] | tag lists, and which repositories use which image |
//! | [`sights`] | when tags were first seen |
//! | [`pulls`] | pull requests and the heads we made |
//! | [`comments`] | which comments were read, and the commands in them |
//! | [`decisions`] | holds, ignores and pauses |
//! | [`merges`] | merges that were asked for |
//! | [`history`] | what was decided and why |
//! | [`dashboards`] | which issue is a repository's dashboard |
//! | [`local`] | what a forge would keep of repositories on this machine |
//! | [`problems`] | what the last scan of each repository found to be wrong |
//! | [`shown`] | what only pages ask for |
//! | [`lock`] | the lock on the data folder |
//!
//! Where both occur, `number` is our number of a pull request and `thread` the forge's number of a pull request or an
//! issue; [`Store::pull_of_forge_number`] leads from one to the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlSafeStr};
use thiserror::Error;
use tokio::sync::Notify;

pub mod budgets;
pub mod comments;
pub mod dashboards;
pub mod decisions;
pub mod history;
pub mod hosts;
pub mod images;
pub mod inbox;
pub mod local;
pub mod lock;
pub mod merges;
pub mod problems;
pub mod pulls;
pub mod repositories;
pub mod shown;
pub mod sights;
pub mod work;

pub use pulls::{Outcome, Record};

use lock::{FolderLock, LockError};

/// The database's file within the data folder.
const DATABASE: &str = "leadsman.db";

/// How many connections read.
const READERS: u32 = 4;

/// How long a statement waits for another process that looks at the same file, such as a backup.
const BUSY: Duration = Duration::from_secs(10);

/// The up and down texts of one migration.
macro_rules! migration {
    ($version:literal, $number:literal, $name:literal) => {
        (
            $version,
            $name,
            include_str!(concat!("../../../migrations/sqlite/", $number, "_", $name, ".up.sql")),
            include_str!(concat!("../../../migrations/sqlite/", $number, "_", $name, ".down.sql")),
        )
    };
}

/// Every migration: version, name, up, down.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    migration!(1, "0001", "pulls"),
    migration!(2, "0002", "sights"),
    migration!(3, "0003", "work"),
    migration!(4, "0004", "people"),
    migration!(5, "0005", "repositories"),
    migration!(10, "0010", "local"),
    migration!(11, "0011", "problems"),
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
    /// A row of another table holds what we would never write.
    #[error("{what} in the store is damaged: `{value}` is none; was it written by another version?")]
    Unreadable {
        /// What was being read: `the kind of a piece of work`.
        what: &'static str,
        /// What it holds.
        value: String,
    },
    /// What is to be stored is larger than we take.
    #[error("cannot store {what}: it has {bytes} bytes, and at most {limit} are taken")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

fn sql(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Sql { what, source }
}

/// A time that we stored. Every one of them was a [`Timestamp`] before.
fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A length of time in milliseconds, as the database counts it.
fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// The beginning of `text`, of at most `limit` bytes.
fn bounded(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The database of one data folder.
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    asked: Arc<Notify>,
    _lock: FolderLock,
}

impl Store {
    /// Opens the store in `folder`, making both where they are missing. `holder` names this process to others that
    /// want the folder meanwhile. Claims of an earlier process have lapsed then: it is gone, for the lock was free.
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
        work::lapse_all(&writer).await.map_err(sql("open"))?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers, asked: Arc::new(Notify::new()), _lock: lock })
    }

    /// Closes the database, so that its file holds everything.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Asks the database for a row, and whether every migration of this version was made on it.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn is_up_to_date(&self) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
            .fetch_one(&self.readers)
            .await
            .map_err(sql("read migrations from"))?;
        Ok(usize::try_from(row.get::<i64, _>(0)) == Ok(MIGRATIONS.len()))
    }

    /// Begins to write. Whoever writes waits for nothing but the database until the commit.
    async fn begin(&self, what: &'static str) -> Result<Transaction, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(sql(what))
    }

    /// Deletes what is too old to be of use: deliveries after 7 days, history, settled commands and lapsed decisions
    /// after 90, work that was done and not asked for again after a day, budgets whose window is over, images that no
    /// repository uses. Returns how many rows that were.
    ///
    /// # Errors
    /// Where the database cannot be written; then what was deleted so far stays so.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut swept = 0;
        for (statement, kept) in SWEPT {
            // One at a time: nobody waits for all of them.
            let before = now.as_millisecond().saturating_sub(millis(*kept));
            let done = sqlx::query(*statement).bind(before).execute(&self.writer).await;
            swept += done.map_err(sql("delete what is too old from"))?.rows_affected();
        }
        Ok(swept)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is deleted once it is older than so long.
const SWEPT: &[(&str, Duration)] = &[
    ("DELETE FROM inbox WHERE received_at < $1", DAY.saturating_mul(7)),
    ("DELETE FROM history WHERE at < $1", DAY.saturating_mul(90)),
    ("DELETE FROM comments_seen WHERE seen_at < $1 AND state NOT IN ('waiting', 'running')", DAY.saturating_mul(90)),
    ("DELETE FROM decisions WHERE until < $1", DAY.saturating_mul(90)),
    ("DELETE FROM work WHERE due_at IS NULL AND claimed_until IS NULL AND done_at < $1", DAY),
    ("DELETE FROM budgets WHERE window_end < $1", Duration::ZERO),
    (
        "DELETE FROM images WHERE COALESCE(listed_at, 0) < $1 AND NOT EXISTS \
         (SELECT 1 FROM uses WHERE uses.realm = images.realm AND uses.image = images.image)",
        DAY,
    ),
];

fn migrator() -> Migrator {
    let both = MIGRATIONS.iter().flat_map(|(version, name, up, down)| {
        [(MigrationType::ReversibleUp, up), (MigrationType::ReversibleDown, down)]
            .map(|(kind, text)| Migration::new(*version, (*name).into(), kind, (*text).into_sql_str(), false))
    });
    Migrator::with_migrations(both.collect())
}

#[cfg(test)]
pub(crate) mod tests;
