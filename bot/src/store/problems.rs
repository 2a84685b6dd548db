//! What the last scan of each repository found to be wrong, with the time since when, for pages.
//!
//! Replaced as a whole by each scan; what was there before and is there again keeps its time.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, bounded, sql, time};

/// How many problems of one repository are kept.
pub const MAX_PROBLEMS: usize = 200;

/// The longest place that is kept, in bytes.
const MAX_PLACE: usize = 500;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 2000;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// Where: a file and line, an image; empty where it is about the whole.
    pub place: String,
    /// What.
    pub message: String,
}

/// Something that was wrong at the last scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The repository.
    pub repository: String,
    /// What it is, and where.
    pub found: Found,
    /// When it was first found without being gone in between.
    pub since: Timestamp,
}

impl Store {
    /// Replaces what is wrong in a repository, most important first, and how many workloads it has, all or nothing. Of
    /// more than [`MAX_PROBLEMS`], the first are kept.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was.
    pub async fn keep_problems(
        &self,
        repository: &str,
        workloads: usize,
        found: &[Found],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let what = "write problems to";
        let mut transaction = self.begin(what).await?;
        let since: HashMap<Found, i64> =
            sqlx::query("SELECT place, message, since FROM problems WHERE repository = $1")
                .bind(repository)
                .fetch_all(&mut *transaction)
                .await
                .map_err(sql(what))?
                .iter()
                .map(|row| (Found { place: row.get(0), message: row.get(1) }, row.get(2)))
                .collect();
        sqlx::query("DELETE FROM problems WHERE repository = $1")
            .bind(repository)
            .execute(&mut *transaction)
            .await
            .map_err(sql(what))?;
        for (position, Found { place, message }) in (0_i64..).zip(found.iter().take(MAX_PROBLEMS)) {
            let kept = Found {
                place: bounded(place, MAX_PLACE).to_owned(),
                message: bounded(message, MAX_MESSAGE).to_owned(),
            };
            sqlx::query(
                "INSERT INTO problems (repository, position, place, message, since) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(repository)
            .bind(position)
            .bind(&kept.place)
            .bind(&kept.message)
            .bind(since.get(&kept).copied().unwrap_or(now.as_millisecond()))
            .execute(&mut *transaction)
            .await
            .map_err(sql(what))?;
        }
        sqlx::query("UPDATE repositories SET workloads = $2 WHERE repository = $1")
            .bind(repository)
            .bind(i64::try_from(workloads).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))
    }

    /// What is wrong in one repository, most important first, or in all of them, newest first; at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn problems(&self, repository: Option<&str>, limit: u32) -> Result<Vec<Problem>, StoreError> {
        let rows = sqlx::query(
            "SELECT repository, place, message, since FROM problems WHERE $1 IS NULL OR repository = $1 \
             ORDER BY CASE WHEN $1 IS NULL THEN -since ELSE position END, repository, position LIMIT $2",
        )
        .bind(repository)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read problems from"))?;
        let problem = |row: &SqliteRow| Problem {
            repository: row.get(0),
            found: Found { place: row.get(1), message: row.get(2) },
            since: time(row.get(3)),
        };
        Ok(rows.iter().map(problem).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at};

    fn found(place: &str) -> Found {
        Found { place: place.into(), message: "it is wrong".into() }
    }

    #[tokio::test]
    async fn what_is_still_wrong_keeps_its_time() {
        let store = Opened::new().await;
        store.keep_problems("r", 2, &[found("a"), found("b")], at(0)).await.unwrap();
        store.keep_problems("other", 2, &[found("a")], at(5)).await.unwrap();
        store.keep_problems("r", 2, &[found("c"), found("b")], at(9)).await.unwrap();
        let problem = |repository: &str, place, second| Problem {
            repository: repository.into(),
            found: found(place),
            since: at(second),
        };
        let ours = [problem("r", "c", 9), problem("r", "b", 0)];
        assert_eq!(store.problems(Some("r"), 9).await.unwrap(), ours);
        assert_eq!(store.problems(None, 2).await.unwrap(), [ours[0].clone(), problem("other", "a", 5)]);
        let many: Vec<Found> = (0..MAX_PROBLEMS + 5).map(|n| found(&n.to_string())).collect();
        store.keep_problems("r", 2, &many, at(10)).await.unwrap();
        assert_eq!(store.problems(Some("r"), 9999).await.unwrap().len(), MAX_PROBLEMS);
    }
}
