//! Merges that were asked for and are not settled: rows, so that they outlive a restart (C3.5).
//!
//! At most one for each pull request. The pinned head moves only from the one it was decided on, so that a rebuild by
//! the bot and a new request by a person do not overwrite each other. A request that is settled leaves the table; what
//! became of it stands in the history.

use gix::ObjectId;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::pulls::object_id;
use super::{Store, StoreError, bounded, sql, time};
use crate::forge::{MergeMethod, Person};

/// The longest verdict that is kept, in bytes.
const MAX_VERDICT: usize = 16_000;

/// A merge that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRequest {
    /// Our number of the pull request.
    pub number: i64,
    /// The head that may be merged, and no other (C3.1).
    pub head: ObjectId,
    /// How; none: as configured.
    pub method: Option<MergeMethod>,
    /// Whether required checks are enough (`--now`).
    pub required_only: bool,
    /// Who asked.
    pub by: Person,
    /// The comment that asked; none: a page or a rule did.
    pub comment_id: Option<i64>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ends unless it is settled by then.
    pub expires_at: Timestamp,
    /// What was last said of it.
    pub last_verdict: Option<String>,
}

fn method_name(method: MergeMethod) -> &'static str {
    match method {
        MergeMethod::Merge => "merge",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase",
    }
}

fn method(name: &str) -> Result<MergeMethod, StoreError> {
    [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase]
        .into_iter()
        .find(|method| method_name(*method) == name)
        .ok_or_else(|| StoreError::Unreadable { what: "the method of a merge", value: name.to_owned() })
}

const COLUMNS_OF_ONE: &str = "SELECT number, head, method, required_only, by_id, by_login, comment_id, created_at, \
     expires_at, last_verdict FROM merge_requests WHERE repository = $1 AND number = $2";

const COLUMNS_OF_ALL: &str = "SELECT number, head, method, required_only, by_id, by_login, comment_id, created_at, \
     expires_at, last_verdict FROM merge_requests WHERE repository = $1 ORDER BY created_at, number";

impl Store {
    /// Keeps a request. Returns the one that it replaces, if there was one.
    ///
    /// # Errors
    /// Where the database cannot be written or holds what we did not write; then nothing is changed.
    pub async fn request_merge(
        &self,
        repository: &str,
        request: &MergeRequest,
    ) -> Result<Option<MergeRequest>, StoreError> {
        let what = "write a merge to";
        let MergeRequest { number, head, method, required_only, by, comment_id, created_at, expires_at, last_verdict } =
            request;
        let mut transaction = self.begin(what).await?;
        let before = sqlx::query(COLUMNS_OF_ONE)
            .bind(repository)
            .bind(number)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sql(what))?
            .map(|row| merge_request(&row))
            .transpose()?;
        sqlx::query(
            "INSERT INTO merge_requests (repository, number, head, method, required_only, by_id, by_login, \
             comment_id, created_at, expires_at, last_verdict) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (repository, number) DO UPDATE SET head = excluded.head, method = excluded.method, \
             required_only = excluded.required_only, by_id = excluded.by_id, by_login = excluded.by_login, \
             comment_id = excluded.comment_id, created_at = excluded.created_at, \
             expires_at = excluded.expires_at, last_verdict = excluded.last_verdict",
        )
        .bind(repository)
        .bind(number)
        .bind(head.to_string())
        .bind(method.map(method_name))
        .bind(i64::from(*required_only))
        .bind(by.id)
        .bind(&by.login)
        .bind(comment_id)
        .bind(created_at.as_millisecond())
        .bind(expires_at.as_millisecond())
        .bind(last_verdict.as_deref().map(|text| bounded(text, MAX_VERDICT)))
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        Ok(before)
    }

    /// The request for one pull request.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn merge_request(&self, repository: &str, number: i64) -> Result<Option<MergeRequest>, StoreError> {
        let row = sqlx::query(COLUMNS_OF_ONE)
            .bind(repository)
            .bind(number)
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read a merge from"))?;
        row.map(|row| merge_request(&row)).transpose()
    }

    /// The requests for a repository, the oldest first, with those that are past their end.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn merge_requests(&self, repository: &str) -> Result<Vec<MergeRequest>, StoreError> {
        let rows = sqlx::query(COLUMNS_OF_ALL)
            .bind(repository)
            .fetch_all(&self.readers)
            .await
            .map_err(sql("read merges from"))?;
        rows.iter().map(merge_request).collect()
    }

    /// The requests of all repositories whose end has come: repository and number.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn expired_merges(&self, now: Timestamp) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT repository, number FROM merge_requests WHERE expires_at <= $1 ORDER BY repository, number",
        )
        .bind(now.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read merges from"))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Moves the pin of a request after the bot rebuilt the branch. False: it is not pinned to `from` (any longer).
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn move_pin(
        &self,
        repository: &str,
        number: i64,
        from: ObjectId,
        to: ObjectId,
    ) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE merge_requests SET head = $4 WHERE repository = $1 AND number = $2 AND head = $3")
                .bind(repository)
                .bind(number)
                .bind(from.to_string())
                .bind(to.to_string())
                .execute(&self.writer)
                .await
                .map_err(sql("move the pin of a merge in"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps what was said of a request that was made at `created_at`. False: it said so before, or is settled or
    /// replaced; then there is nothing for the history.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn keep_verdict(
        &self,
        repository: &str,
        number: i64,
        created_at: Timestamp,
        verdict: &str,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE merge_requests SET last_verdict = $4 WHERE repository = $1 AND number = $2 \
             AND created_at = $3 AND (last_verdict IS NULL OR last_verdict <> $4)",
        )
        .bind(repository)
        .bind(number)
        .bind(created_at.as_millisecond())
        .bind(bounded(verdict, MAX_VERDICT))
        .execute(&self.writer)
        .await
        .map_err(sql("keep a verdict in"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends a request: merged, dropped or cancelled. `created_at` names the one that was looked at, so that a newer
    /// one stays; none: whichever there is. False: there is none such.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn settle_merge(
        &self,
        repository: &str,
        number: i64,
        created_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "DELETE FROM merge_requests WHERE repository = $1 AND number = $2 AND created_at = COALESCE($3, created_at)",
        )
        .bind(repository)
        .bind(number)
        .bind(created_at.map(Timestamp::as_millisecond))
        .execute(&self.writer)
        .await
        .map_err(sql("settle a merge in"))?;
        Ok(done.rows_affected() > 0)
    }
}

fn merge_request(row: &SqliteRow) -> Result<MergeRequest, StoreError> {
    let number = row.get(0);
    Ok(MergeRequest {
        number,
        head: object_id(number, row.get(1))?,
        method: row.get::<Option<&str>, _>(2).map(method).transpose()?,
        required_only: row.get::<i64, _>(3) != 0,
        by: Person { id: row.get(4), login: row.get(5) },
        comment_id: row.get(6),
        created_at: time(row.get(7)),
        expires_at: time(row.get(8)),
        last_verdict: row.get(9),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at, id};

    fn request(number: i64, head: &str, second: i64) -> MergeRequest {
        MergeRequest {
            number,
            head: id(head),
            method: Some(MergeMethod::Squash),
            required_only: true,
            by: Person { id: 7, login: "ann".into() },
            comment_id: Some(41),
            created_at: at(second),
            expires_at: at(second + 100),
            last_verdict: None,
        }
    }

    #[tokio::test]
    async fn requests_outlive_a_restart_and_a_second_one_replaces_the_first_c3_5() {
        let mut store = Opened::new().await;
        let plain = MergeRequest { method: None, required_only: false, comment_id: None, ..request(2, "2", 1) };
        assert_eq!(store.request_merge("r", &request(1, "1", 0)).await.unwrap(), None);
        assert_eq!(store.request_merge("r", &plain).await.unwrap(), None);
        store.reopen().await;
        assert_eq!(store.merge_requests("r").await.unwrap(), [request(1, "1", 0), plain.clone()]);
        assert_eq!(store.request_merge("r", &request(1, "3", 2)).await.unwrap(), Some(request(1, "1", 0)));
        assert_eq!(store.merge_request("r", 1).await.unwrap(), Some(request(1, "3", 2)));
        assert_eq!(store.merge_request("other", 1).await.unwrap(), None);
        assert_eq!(store.expired_merges(at(101)).await.unwrap(), [("r".to_owned(), 2)]);
    }

    #[tokio::test]
    async fn the_pin_moves_only_from_the_head_that_was_looked_at_c3_1() {
        let store = Opened::new().await;
        store.request_merge("r", &request(1, "1", 0)).await.unwrap();
        assert!(!store.move_pin("r", 1, id("2"), id("3")).await.unwrap());
        assert!(store.move_pin("r", 1, id("1"), id("3")).await.unwrap());
        assert_eq!(store.merge_request("r", 1).await.unwrap().unwrap().head, id("3"));
    }

    #[tokio::test]
    async fn what_is_said_of_a_request_that_was_replaced_is_not_said_of_the_new_one() {
        let store = Opened::new().await;
        store.request_merge("r", &request(1, "1", 0)).await.unwrap();
        assert!(store.keep_verdict("r", 1, at(0), "waits for ci").await.unwrap());
        assert!(!store.keep_verdict("r", 1, at(0), "waits for ci").await.unwrap());
        store.request_merge("r", &request(1, "1", 5)).await.unwrap();
        assert!(!store.keep_verdict("r", 1, at(0), "waits for a review").await.unwrap());
        assert!(!store.settle_merge("r", 1, Some(at(0))).await.unwrap());
        assert!(store.settle_merge("r", 1, Some(at(5))).await.unwrap());
        assert!(!store.settle_merge("r", 1, None).await.unwrap());
    }
}
