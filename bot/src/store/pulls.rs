//! Pull requests: what each proposes, where its branch was last seen, every head that we made, and where it stands on
//! its forge.
//!
//! A pull request has our number from the moment it is decided on, and the forge's once it was opened there; on the
//! local forge the two are the same. Heads are on disk before any ref moves, so that whatever happens next, they are
//! known as ours.

use std::collections::BTreeMap;

use gix::ObjectId;
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::history::{Event, write_event};
use super::{Store, StoreError, sql};
use crate::plan::{Key, Proposed};
use crate::pulls::{OurHead, Pull, State};

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

/// Where a pull request stands on its forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnForge {
    /// Its number there.
    pub number: i64,
    /// Its page, where there is one.
    pub url: Option<String>,
}

impl Store {
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

    /// Keeps the number and the page that the forge gave a pull request. False: there is no such pull request.
    ///
    /// # Errors
    /// Where the database cannot be written, or another pull request of the repository has that number.
    pub async fn set_forge_number(
        &self,
        repository: &str,
        number: i64,
        forge_number: i64,
        url: Option<&str>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE pulls SET forge_number = $3, url = COALESCE($4, url) WHERE repository = $1 AND number = $2",
        )
        .bind(repository)
        .bind(number)
        .bind(forge_number)
        .bind(url)
        .execute(&self.writer)
        .await
        .map_err(sql("write the number of a pull request to"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Where every pull request into `base` stands on its forge, by our number. Those that the forge does not have yet
    /// are missing.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn on_forge(&self, repository: &str, base: &str) -> Result<BTreeMap<i64, OnForge>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, forge_number, url FROM pulls \
             WHERE repository = $1 AND base = $2 AND forge_number IS NOT NULL",
        )
        .bind(repository)
        .bind(base)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read numbers of pull requests from"))?;
        Ok(rows.iter().map(|row| (row.get(0), OnForge { number: row.get(1), url: row.get(2) })).collect())
    }

    /// How many pull requests of a repository were opened since `since`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn opened_since(&self, repository: &str, since: Timestamp) -> Result<u32, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) FROM pulls WHERE repository = $1 AND created_at >= $2")
            .bind(repository)
            .bind(since.as_millisecond())
            .fetch_one(&self.readers)
            .await
            .map_err(sql("count pull requests in"))?;
        Ok(u32::try_from(row.get::<i64, _>(0)).unwrap_or(u32::MAX))
    }

    /// Our number and the base of the pull request with this number on the forge. None: it is not ours.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn pull_of_forge_number(
        &self,
        repository: &str,
        forge_number: i64,
    ) -> Result<Option<(i64, String)>, StoreError> {
        let row = sqlx::query("SELECT number, base FROM pulls WHERE repository = $1 AND forge_number = $2")
            .bind(repository)
            .bind(forge_number)
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read the number of a pull request from"))?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
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
         created_at, updated_at, state, forge_number) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, \
         'open', (SELECT CASE WHEN forge = 'local' THEN $2 END FROM repositories WHERE repository = $1))"
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
        let event = Event {
            repository: repository.to_owned(),
            number: Some(*number),
            action: action.clone(),
            reason: reason.clone(),
            by: None,
        };
        write_event(connection, &event, now).await?;
    }
    Ok(())
}

/// A commit id that we stored with pull request `number`.
pub(super) fn object_id(number: i64, text: &str) -> Result<ObjectId, StoreError> {
    ObjectId::from_hex(text.as_bytes())
        .map_err(|_| StoreError::Damaged { number, what: format!("`{text}` is no commit id") })
}
