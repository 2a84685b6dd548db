//! What only pages ask for: counts over all repositories, and pull requests with the texts that people read.
//!
//! Reads, and writes nothing.

use std::collections::BTreeMap;

use gix::ObjectId;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::pulls::object_id;
use super::work::Kind;
use super::{Store, StoreError, sql, time};
use crate::pulls::State;

/// What the list of repositories says of one beside how its last scan went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// How many of its pull requests are open.
    pub open_pulls: u32,
    /// How many workloads its last scan found.
    pub workloads: u32,
    /// How many problems its last scan found.
    pub problems: u32,
    /// The most important of them: where, and what.
    pub first_problem: Option<(String, String)>,
    /// Why it is paused, if it is; may be empty.
    pub pause: Option<String>,
    /// When it is scanned next, if that is known.
    pub next_scan: Option<Timestamp>,
}

/// A pull request as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPull {
    /// Our number.
    pub number: i64,
    /// The forge's number.
    pub thread: i64,
    /// The branch it would merge into.
    pub base: String,
    /// Its branch.
    pub branch: String,
    /// Whether it is open, and how it ended if not.
    pub state: State,
    /// Its title.
    pub title: String,
    /// Its body.
    pub body: String,
    /// The head that its branch was last seen at.
    pub head: Option<ObjectId>,
    /// Why it is left alone, if it is.
    pub left_alone: Option<String>,
    /// Its page on the forge, where there is one.
    pub url: Option<String>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

const PULL: &str =
    "SELECT number, forge_number, base, branch, state, title, body, head, left_alone, url, updated_at FROM pulls";

impl Store {
    /// What the list of repositories says of each beside how its last scan went, by key. Those of which nothing is
    /// known are missing.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn overviews(&self, now: Timestamp) -> Result<BTreeMap<String, Overview>, StoreError> {
        let fail = |error| sql("read what pages show from")(error);
        let count = |row: &SqliteRow, index: usize| u32::try_from(row.get::<i64, _>(index)).unwrap_or(u32::MAX);
        let mut all: BTreeMap<String, Overview> = BTreeMap::new();
        let rows = sqlx::query(
            "SELECT repository, workloads, (SELECT COUNT(*) FROM pulls WHERE pulls.repository = \
             repositories.repository AND state = 'open' AND forge_number IS NOT NULL), (SELECT COUNT(*) FROM problems \
             WHERE problems.repository = repositories.repository) FROM repositories",
        );
        for row in &rows.fetch_all(&self.readers).await.map_err(fail)? {
            let one = all.entry(row.get(0)).or_default();
            (one.workloads, one.open_pulls, one.problems) = (count(row, 1), count(row, 2), count(row, 3));
        }
        let rows = sqlx::query("SELECT repository, place, message FROM problems WHERE position = 0");
        for row in &rows.fetch_all(&self.readers).await.map_err(fail)? {
            all.entry(row.get(0)).or_default().first_problem = Some((row.get(1), row.get(2)));
        }
        let rows = sqlx::query(
            "SELECT repository, reason FROM decisions WHERE number = 0 AND kind = 'pause' \
             AND (until IS NULL OR until > $1)",
        );
        for row in &rows.bind(now.as_millisecond()).fetch_all(&self.readers).await.map_err(fail)? {
            all.entry(row.get(0)).or_default().pause = Some(row.get(1));
        }
        let rows = sqlx::query("SELECT key, due_at, not_before FROM work WHERE kind = $1 AND due_at IS NOT NULL");
        for row in &rows.bind(Kind::ScanRepository.as_str()).fetch_all(&self.readers).await.map_err(fail)? {
            let due = row.get::<i64, _>(1).max(row.get(2));
            all.entry(row.get(0)).or_default().next_scan = Some(time(due));
        }
        Ok(all)
    }

    /// The pull requests of a repository that its forge has: those that are open by number, at most `open`, then those
    /// that were closed or merged, newest change first, at most `closed`.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn shown_pulls(&self, repository: &str, open: u32, closed: u32) -> Result<Vec<ShownPull>, StoreError> {
        let mut pulls = Vec::new();
        for (which, limit) in [
            ("state = 'open' ORDER BY number", open),
            ("state <> 'open' ORDER BY updated_at DESC, number DESC", closed),
        ] {
            let text = format!("{PULL} WHERE repository = $1 AND forge_number IS NOT NULL AND {which} LIMIT $2");
            let rows = sqlx::query(sqlx::AssertSqlSafe(text))
                .bind(repository)
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await
                .map_err(sql("read pull requests from"))?;
            for row in &rows {
                pulls.push(shown(row)?);
            }
        }
        Ok(pulls)
    }

    /// The pull request with this number on the forge.
    ///
    /// # Errors
    /// As [`Store::shown_pulls`].
    pub async fn shown_pull(&self, repository: &str, thread: i64) -> Result<Option<ShownPull>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{PULL} WHERE repository = $1 AND forge_number = $2")))
            .bind(repository)
            .bind(thread)
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read a pull request from"))?;
        row.as_ref().map(shown).transpose()
    }
}

fn shown(row: &SqliteRow) -> Result<ShownPull, StoreError> {
    let number = row.get(0);
    let state: &str = row.get(4);
    Ok(ShownPull {
        number,
        thread: row.get(1),
        base: row.get(2),
        branch: row.get(3),
        state: State::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| StoreError::Damaged { number, what: format!("`{state}` is no state") })?,
        title: row.get(5),
        body: row.get(6),
        head: row.get::<Option<&str>, _>(7).map(|id| object_id(number, id)).transpose()?,
        left_alone: row.get(8),
        url: row.get(9),
        updated_at: time(row.get(10)),
    })
}
