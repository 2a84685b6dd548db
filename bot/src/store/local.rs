//! What a forge would keep of repositories on this machine: pull requests as people see them, talk, commit statuses.

use std::collections::BTreeMap;

use gix::ObjectId;
use jiff::Timestamp;
use sqlx::Row;

use super::pulls::object_id;
use super::work::{Ask, ask};
use super::{Store, StoreError, sql, time};
use crate::forge::{Check, CheckState, Comment, Person};
use crate::pulls::State;

/// A pull request of a local repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPull {
    /// Its number.
    pub number: i64,
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
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A comment to be kept.
#[derive(Debug, Clone, Copy)]
pub struct NewComment<'a> {
    /// The repository.
    pub repository: &'a str,
    /// The pull request.
    pub number: i64,
    /// Who wrote it.
    pub author: &'a Person,
    /// Its text.
    pub body: &'a str,
}

const PULL: &str = "SELECT number, base, branch, state, title, body, head, updated_at FROM pulls";

impl Store {
    /// All pull requests of a local repository that are open, by number.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn local_open_pulls(&self, repository: &str) -> Result<Vec<LocalPull>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{PULL} WHERE repository = $1 AND state = 'open' ORDER BY number"
        )))
        .bind(repository)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read pull requests from"))?;
        rows.iter().map(local_pull).collect()
    }

    /// One pull request of a local repository; none where there is none of that number.
    ///
    /// # Errors
    /// As [`Self::local_open_pulls`].
    pub async fn local_pull(&self, repository: &str, number: i64) -> Result<Option<LocalPull>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{PULL} WHERE repository = $1 AND number = $2")))
            .bind(repository)
            .bind(number)
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read a pull request from"))?;
        row.as_ref().map(local_pull).transpose()
    }

    /// Says how a pull request of a local repository stands.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn set_local_state(
        &self,
        repository: &str,
        number: i64,
        state: State,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE pulls SET state = $3, updated_at = $4 WHERE repository = $1 AND number = $2")
            .bind(repository)
            .bind(number)
            .bind(state.as_str())
            .bind(now.as_millisecond())
            .execute(&self.writer)
            .await
            .map_err(sql("write a pull request to"))?;
        Ok(())
    }

    /// The comments on a pull request with an id above `after`, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn local_comments(&self, repository: &str, number: i64, after: i64) -> Result<Vec<Comment>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, by_id, by_login, body, created_at, updated_at FROM local_comments \
             WHERE repository = $1 AND number = $2 AND id > $3 ORDER BY id",
        )
        .bind(repository)
        .bind(number)
        .bind(after)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read comments from"))?;
        let comment = |row: &sqlx::sqlite::SqliteRow| Comment {
            id: row.get(0),
            author: Person { id: row.get(1), login: row.get(2) },
            body: row.get(3),
            created_at: time(row.get(4)),
            updated_at: time(row.get(5)),
        };
        Ok(rows.iter().map(comment).collect())
    }

    /// Keeps a comment and returns it.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn add_local_comment(&self, new: NewComment<'_>, now: Timestamp) -> Result<Comment, StoreError> {
        self.say_locally(new, &[], now).await
    }

    /// Keeps a comment, asks for work on it, all or nothing, and returns the comment.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was kept or asked for.
    pub async fn say_locally(&self, new: NewComment<'_>, asks: &[Ask], now: Timestamp) -> Result<Comment, StoreError> {
        let what = "write a comment to";
        let mut transaction = self.begin(what).await?;
        let id = sqlx::query(
            "INSERT INTO local_comments (repository, number, by_id, by_login, body, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id",
        )
        .bind(new.repository)
        .bind(new.number)
        .bind(new.author.id)
        .bind(&new.author.login)
        .bind(new.body)
        .bind(now.as_millisecond())
        .fetch_one(&mut *transaction)
        .await
        .map_err(sql(what))?
        .get(0);
        ask(&mut transaction, asks, now).await.map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        if !asks.is_empty() {
            self.asked.notify_one();
        }
        Ok(Comment { id, author: new.author.clone(), body: new.body.into(), created_at: now, updated_at: now })
    }

    /// The bot's reactions to comments on a pull request, by comment, as they were given.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn local_reactions(
        &self,
        repository: &str,
        number: i64,
    ) -> Result<BTreeMap<i64, Vec<String>>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, reactions FROM local_comments WHERE repository = $1 AND number = $2 AND reactions <> ''",
        )
        .bind(repository)
        .bind(number)
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read reactions from"))?;
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Ok(rows.iter().map(|row| (row.get(0), words(row.get(1)))).collect())
    }

    /// Changes a comment, or deletes it where there is no text.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn change_local_comment(&self, id: i64, body: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        let query = match body {
            Some(body) => sqlx::query("UPDATE local_comments SET body = $2, updated_at = $3 WHERE id = $1")
                .bind(id)
                .bind(body)
                .bind(now.as_millisecond()),
            None => sqlx::query("DELETE FROM local_comments WHERE id = $1").bind(id),
        };
        query.execute(&self.writer).await.map_err(sql("write a comment to"))?;
        Ok(())
    }

    /// Adds a reaction of the bot to a comment; once is enough.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn react_locally(&self, id: i64, reaction: &str) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE local_comments SET reactions = TRIM(reactions || ' ' || $2) \
             WHERE id = $1 AND ' ' || reactions || ' ' NOT LIKE '% ' || $2 || ' %'",
        )
        .bind(id)
        .bind(reaction)
        .execute(&self.writer)
        .await
        .map_err(sql("write a reaction to"))?;
        Ok(())
    }

    /// The statuses of a commit, by name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn local_statuses(&self, repository: &str, commit: ObjectId) -> Result<Vec<Check>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, state, url, at FROM local_statuses WHERE repository = $1 AND sha = $2 ORDER BY name",
        )
        .bind(repository)
        .bind(commit.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read statuses from"))?;
        let check = |row: &sqlx::sqlite::SqliteRow| Check {
            name: row.get(0),
            state: check_state(row.get(1)),
            url: row.get(2),
            at: time(row.get(3)),
        };
        Ok(rows.iter().map(check).collect())
    }

    /// Says how one check stands on a commit.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn set_local_status(&self, repository: &str, commit: ObjectId, check: &Check) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO local_statuses (repository, sha, name, state, url, at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (repository, sha, name) DO UPDATE SET state = $4, url = $5, at = $6",
        )
        .bind(repository)
        .bind(commit.to_string())
        .bind(&check.name)
        .bind(state_name(check.state))
        .bind(&check.url)
        .bind(check.at.as_millisecond())
        .execute(&self.writer)
        .await
        .map_err(sql("write a status to"))?;
        Ok(())
    }
}

fn state_name(state: CheckState) -> &'static str {
    match state {
        CheckState::Pending => "pending",
        CheckState::Success => "success",
        CheckState::Neutral => "neutral",
        CheckState::Skipped => "skipped",
        CheckState::Failure => "failure",
    }
}

/// What is not known counts as a failure: it must not let a merge pass.
fn check_state(name: &str) -> CheckState {
    let all = [CheckState::Pending, CheckState::Success, CheckState::Neutral, CheckState::Skipped];
    all.into_iter().find(|state| state_name(*state) == name).unwrap_or(CheckState::Failure)
}

fn local_pull(row: &sqlx::sqlite::SqliteRow) -> Result<LocalPull, StoreError> {
    let number = row.get(0);
    let state: &str = row.get(3);
    Ok(LocalPull {
        number,
        base: row.get(1),
        branch: row.get(2),
        state: State::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| StoreError::Damaged { number, what: format!("`{state}` is no state") })?,
        title: row.get(4),
        body: row.get(5),
        head: row.get::<Option<&str>, _>(6).map(|id| object_id(number, id)).transpose()?,
        updated_at: time(row.get(7)),
    })
}
