//! Who is put off for everyone: a forge, an installation or a registry that is down, slow, or has had enough of us.
//!
//! A fault of others is nobody's failure: the work that met it is handed back, and whatever needs the same host waits
//! with it. A host that names a time is believed, within reason; one that names none is left alone for a while that
//! doubles with each further fault, until it has been left in peace for [`FORGIVEN`].

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::work::{Claim, hand_back};
use super::{Store, StoreError, bounded, millis, sql, time};

/// The first wait where the host names no time, before jitter.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// The longest wait where the host names no time, before jitter.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// The longest wait that a host may name: what says "in a year" is asked again after this.
pub const LONGEST_NAMED: Duration = Duration::from_secs(24 * 60 * 60);

/// How long after a put-off the faults before it count no longer.
pub const FORGIVEN: Duration = Duration::from_secs(20 * 60);

/// The longest error that is kept, in bytes.
const MAX_ERROR: usize = 1000;

/// A host that is put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// The host or installation.
    pub host: String,
    /// Until when nothing is asked of it.
    pub until: Timestamp,
    /// How many faults in a row it had without naming a time.
    pub faults: u32,
    /// What it said last.
    pub error: String,
}

/// What is known of a host: until when it is put off, and its faults in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    not_before: i64,
    faults: i64,
}

/// What is to be known of a host after one more fault at `now`, for which it named `until` or nothing.
fn after_fault(known: Option<Known>, until: Option<i64>, now: i64, jitter: f64) -> Known {
    let known = known.unwrap_or(Known { not_before: 0, faults: 0 });
    if let Some(until) = until {
        let until = until.min(now.saturating_add(millis(LONGEST_NAMED)));
        return Known { not_before: known.not_before.max(until), faults: known.faults };
    }
    if known.not_before > now {
        // Several pieces of work met one outage: it is one fault.
        return known;
    }
    let faults = if now.saturating_sub(known.not_before) > millis(FORGIVEN) { 1 } else { known.faults + 1 };
    let doubling = u32::try_from(faults - 1).unwrap_or(u32::MAX);
    let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(doubling).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    Known { not_before: now.saturating_add(millis(wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0))), faults }
}

impl Store {
    /// Puts `host` off for everyone until the time that it named, or for a while that doubles. Returns until when.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn put_off_host(
        &self,
        host: &str,
        until: Option<Timestamp>,
        error: &str,
        now: Timestamp,
        jitter: f64,
    ) -> Result<Timestamp, StoreError> {
        let what = "put a host off in";
        let mut transaction = self.begin(what).await?;
        let until = put_off(&mut transaction, host, until, error, now, jitter).await.map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        Ok(until)
    }

    /// Ends a claim whose work met a fault of others: puts `host` off as [`Store::put_off_host`] does, and hands the
    /// work back at no cost of an attempt, to be claimed when the host is put off no longer. Returns until when, and
    /// whether the claim had not lapsed; the host is put off in any case.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing is put off, and the claim goes on until it lapses.
    pub async fn put_off(
        &self,
        claim: &Claim,
        host: &str,
        until: Option<Timestamp>,
        error: &str,
        now: Timestamp,
        jitter: f64,
    ) -> Result<(Timestamp, bool), StoreError> {
        let what = "put work off in";
        let mut transaction = self.begin(what).await?;
        let until = put_off(&mut transaction, host, until, error, now, jitter).await.map_err(sql(what))?;
        // The work itself, too: the host it met need not be the one that it is known to need.
        let ours = hand_back(&mut *transaction, claim, until, now).await.map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        Ok((until, ours))
    }

    /// Who is put off at `now`, by name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn hosts_put_off(&self, now: Timestamp) -> Result<Vec<PutOff>, StoreError> {
        let rows =
            sqlx::query("SELECT host, not_before, faults, last_error FROM hosts WHERE not_before > $1 ORDER BY host")
                .bind(now.as_millisecond())
                .fetch_all(&self.readers)
                .await
                .map_err(sql("read hosts from"))?;
        Ok(rows
            .iter()
            .map(|row| PutOff {
                host: row.get(0),
                until: time(row.get(1)),
                faults: u32::try_from(row.get::<i64, _>(2)).unwrap_or(u32::MAX),
                error: row.get(3),
            })
            .collect())
    }

    /// Lets a host be asked again at once, such as after somebody mended it. Work that is put off itself stays so.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn forgive_host(&self, host: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM hosts WHERE host = $1")
            .bind(host)
            .execute(&self.writer)
            .await
            .map_err(sql("forgive a host in"))?;
        self.asked.notify_one();
        Ok(())
    }
}

async fn put_off(
    connection: &mut SqliteConnection,
    host: &str,
    until: Option<Timestamp>,
    error: &str,
    now: Timestamp,
    jitter: f64,
) -> Result<Timestamp, sqlx::Error> {
    let known = sqlx::query("SELECT not_before, faults FROM hosts WHERE host = $1")
        .bind(host)
        .fetch_optional(&mut *connection)
        .await?
        .map(|row| Known { not_before: row.get(0), faults: row.get(1) });
    let Known { not_before, faults } =
        after_fault(known, until.map(Timestamp::as_millisecond), now.as_millisecond(), jitter);
    sqlx::query(
        "INSERT INTO hosts (host, not_before, faults, last_error) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (host) DO UPDATE SET not_before = excluded.not_before, faults = excluded.faults, \
         last_error = excluded.last_error",
    )
    .bind(host)
    .bind(not_before)
    .bind(faults)
    .bind(bounded(error, MAX_ERROR))
    .execute(connection)
    .await?;
    Ok(time(not_before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> i64 {
        1_000_000_000_000 + seconds * 1000
    }

    #[test]
    fn a_host_that_names_no_time_is_left_alone_twice_as_long_each_time() {
        let mut known = None;
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let next = after_fault(known, None, now, 1.0);
            waits.push((next.not_before - now) / 1000);
            now = next.not_before;
            known = Some(next);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        let forgiven = after_fault(known, None, now + millis(FORGIVEN) + 1, 1.0);
        assert_eq!(forgiven.faults, 1);
    }

    #[test]
    fn one_outage_that_many_meet_is_one_fault() {
        let first = after_fault(None, None, at(0), 0.0);
        assert_eq!(first, Known { not_before: at(0) + 2500, faults: 1 });
        assert_eq!(after_fault(Some(first), None, at(1), 1.0), first);
    }

    #[test]
    fn a_named_time_is_believed_within_reason_and_never_shortens() {
        let named = after_fault(None, Some(at(90)), at(0), 0.5);
        assert_eq!(named, Known { not_before: at(90), faults: 0 });
        assert_eq!(after_fault(Some(named), Some(at(30)), at(1), 0.5).not_before, at(90));
        let year = after_fault(None, Some(at(365 * 86_400)), at(0), 0.5);
        assert_eq!(year.not_before, at(86_400));
    }
}
