//! When tags were first seen, of every image that was ever looked at (S6.3).

use jiff::Timestamp;
use leadsman_scanner::scan::Sights;
use sqlx::Row;

use super::{Store, StoreError, sql};

impl Store {
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
}
