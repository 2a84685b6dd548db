//! What was decided and why, about a pull request or a whole repository: what explanations, statuses and pages show.
//!
//! Only where a decision changed something; kept for 90 days.

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError, bounded, sql, time};
use crate::forge::Person;

/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 16_000;

/// Something that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// About which repository.
    pub repository: String,
    /// Our number of the pull request; none: about the repository as a whole.
    pub number: Option<i64>,
    /// What was done.
    pub action: String,
    /// Why.
    pub reason: String,
    /// Who wanted it; none: nobody but the bot.
    pub by: Option<Person>,
}

/// Something that was decided, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// When.
    pub at: Timestamp,
    /// What, about what, by whom.
    pub event: Event,
}

impl Store {
    /// Keeps what was decided, all or nothing.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was.
    pub async fn note(&self, events: &[Event], now: Timestamp) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let what = "write history to";
        let mut transaction = self.begin(what).await?;
        for event in events {
            write_event(&mut transaction, event, now.as_millisecond()).await.map_err(sql(what))?;
        }
        transaction.commit().await.map_err(sql(what))
    }

    /// What was done to a pull request, oldest first: when, what, and why.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn history(&self, repository: &str, number: i64) -> Result<Vec<(Timestamp, String, String)>, StoreError> {
        let past = self.history_of_pull(repository, Some(number)).await?;
        Ok(past.into_iter().map(|Past { at, event }| (at, event.action, event.reason)).collect())
    }

    /// What was decided about one pull request or, without a number, about the repository as a whole, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn history_of_pull(&self, repository: &str, number: Option<i64>) -> Result<Vec<Past>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, repository, number, action, reason, by_id, by_login FROM history \
             WHERE repository = $1 AND number = $2 ORDER BY step",
        )
        .bind(repository)
        .bind(number.unwrap_or(0))
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read history from"))?;
        Ok(rows.iter().map(past).collect())
    }

    /// The last `limit` things that were decided about a repository and its pull requests, newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn recent_history(&self, repository: &str, limit: u32) -> Result<Vec<Past>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, repository, number, action, reason, by_id, by_login FROM history \
             WHERE repository = $1 ORDER BY at DESC, number DESC, step DESC LIMIT $2",
        )
        .bind(repository)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read history from"))?;
        Ok(rows.iter().map(past).collect())
    }
}

fn past(row: &SqliteRow) -> Past {
    let by = row.get::<Option<i64>, _>(5).map(|id| Person { id, login: row.get(6) });
    let number = Some(row.get(2)).filter(|number| *number != 0);
    Past {
        at: time(row.get(0)),
        event: Event { repository: row.get(1), number, action: row.get(3), reason: row.get(4), by },
    }
}

/// Writes one event at `now`, in milliseconds, within a transaction.
pub(super) async fn write_event(connection: &mut SqliteConnection, event: &Event, now: i64) -> Result<(), sqlx::Error> {
    let Event { repository, number, action, reason, by } = event;
    sqlx::query(
        "INSERT INTO history (repository, number, step, at, action, reason, by_id, by_login) SELECT $1, $2, \
         COALESCE(MAX(step), 0) + 1, $3, $4, $5, $6, $7 FROM history WHERE repository = $1 AND number = $2",
    )
    .bind(repository)
    .bind(number.unwrap_or(0))
    .bind(now)
    .bind(action)
    .bind(bounded(reason, MAX_REASON))
    .bind(by.as_ref().map(|by| by.id))
    .bind(by.as_ref().map(|by| &by.login))
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at};

    fn event(number: Option<i64>, action: &str) -> Event {
        let by = number.is_none().then(|| Person { id: 7, login: "ann".into() });
        Event { repository: "r".into(), number, action: action.into(), reason: "because".into(), by }
    }

    #[tokio::test]
    async fn decisions_about_a_repository_and_its_pull_requests_are_kept_for_90_days() {
        let store = Opened::new().await;
        let day = 86_400;
        store.note(&[event(None, "pause"), event(Some(1), "open")], at(0)).await.unwrap();
        store.note(&[event(Some(1), "merge")], at(day)).await.unwrap();
        let past = |number, action, second| Past { at: at(second), event: event(number, action) };
        assert_eq!(store.history_of_pull("r", None).await.unwrap(), [past(None, "pause", 0)]);
        assert_eq!(
            store.recent_history("r", 2).await.unwrap(),
            [past(Some(1), "merge", day), past(Some(1), "open", 0)]
        );
        store.sweep(at(90 * day + 1)).await.unwrap();
        assert_eq!(store.recent_history("r", 9).await.unwrap(), [past(Some(1), "merge", day)]);
        store.note(&[event(Some(1), "close")], at(91 * day)).await.unwrap();
        let actions: Vec<_> = store.history("r", 1).await.unwrap().into_iter().map(|(_, action, _)| action).collect();
        assert_eq!(actions, ["merge", "close"]);
    }
}
