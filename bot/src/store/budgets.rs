//! How many calls of a kind may be made within a window of time, for limits that hold over everything we do.
//!
//! Windows are fixed: they begin at multiples of their length. A floor of each budget is kept for people's commands,
//! so that a scan of a thousand repositories does not make somebody's `/merge` wait.

use std::time::Duration;

use jiff::Timestamp;

use super::{Store, StoreError, millis, sql, time};

/// A limit on calls of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What is counted, with its window: `github.com/installations/5: content a minute`.
    pub scope: String,
    /// The length of the window.
    pub window: Duration,
    /// How much may be used within one window.
    pub limit: u32,
    /// How much of it is kept for people's commands.
    pub floor: u32,
}

/// For whom a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taker {
    /// A person's command: may use everything.
    Person,
    /// The bot by itself: leaves the floor.
    Bot,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may, and is counted.
    Yes,
    /// Not before this time, when the last of the windows that are used up ends; nothing is counted.
    NotBefore(Timestamp),
}

impl Store {
    /// Takes `cost` from every budget, or from none where one of them has not as much left. What costs more than a
    /// whole budget allows is never taken.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing is taken.
    pub async fn take(&self, budgets: &[Budget], cost: u32, taker: Taker, now: Timestamp) -> Result<Taken, StoreError> {
        let what = "take from a budget in";
        let now = now.as_millisecond();
        let mut transaction = self.begin(what).await?;
        let mut not_before = None;
        for Budget { scope, window, limit, floor } in budgets {
            let length = millis(*window).max(1);
            let start = now - now.rem_euclid(length);
            let allowed = match taker {
                Taker::Person => *limit,
                Taker::Bot => limit.saturating_sub(*floor),
            };
            let took = cost <= allowed && {
                sqlx::query(
                    "INSERT INTO budgets (scope, window_start, window_end, used) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (scope, window_start) DO UPDATE SET used = budgets.used + excluded.used \
                     WHERE budgets.used + excluded.used <= $5",
                )
                .bind(scope)
                .bind(start)
                .bind(start.saturating_add(length))
                .bind(i64::from(cost))
                .bind(i64::from(allowed))
                .execute(&mut *transaction)
                .await
                .map_err(sql(what))?
                .rows_affected()
                    > 0
            };
            if !took {
                not_before = not_before.max(Some(start.saturating_add(length)));
            }
        }
        if let Some(end) = not_before {
            transaction.rollback().await.map_err(sql(what))?;
            return Ok(Taken::NotBefore(time(end)));
        }
        transaction.commit().await.map_err(sql(what))?;
        Ok(Taken::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at};

    fn budget(scope: &str, seconds: u64, limit: u32, floor: u32) -> Budget {
        Budget { scope: scope.into(), window: Duration::from_secs(seconds), limit, floor }
    }

    #[tokio::test]
    async fn the_bot_leaves_the_floor_to_people() {
        let store = Opened::new().await;
        let minute = [budget("minute", 60, 5, 2)];
        for _ in 0..3 {
            assert_eq!(store.take(&minute, 1, Taker::Bot, at(0)).await.unwrap(), Taken::Yes);
        }
        assert_eq!(store.take(&minute, 1, Taker::Bot, at(10)).await.unwrap(), Taken::NotBefore(at(60)));
        assert_eq!(store.take(&minute, 2, Taker::Person, at(20)).await.unwrap(), Taken::Yes);
        assert_eq!(store.take(&minute, 1, Taker::Person, at(59)).await.unwrap(), Taken::NotBefore(at(60)));
        assert_eq!(store.take(&minute, 1, Taker::Bot, at(60)).await.unwrap(), Taken::Yes);
    }

    #[tokio::test]
    async fn it_is_taken_from_all_budgets_or_none() {
        let store = Opened::new().await;
        let both = [budget("minute", 60, 2, 0), budget("hour", 3600, 3, 0)];
        assert_eq!(store.take(&both, 2, Taker::Bot, at(0)).await.unwrap(), Taken::Yes);
        // The minute has room, the hour has not.
        assert_eq!(store.take(&both, 2, Taker::Bot, at(60)).await.unwrap(), Taken::NotBefore(at(3600)));
        assert_eq!(store.take(&both[..1], 2, Taker::Bot, at(61)).await.unwrap(), Taken::Yes);
        assert_eq!(store.take(&both, 1, Taker::Bot, at(120)).await.unwrap(), Taken::Yes);
        assert_eq!(
            store.take(&[budget("small", 60, 1, 0)], 2, Taker::Person, at(0)).await.unwrap(),
            Taken::NotBefore(at(60))
        );
    }
}
