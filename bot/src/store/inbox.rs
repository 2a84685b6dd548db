//! What came in by webhook: once each, on disk before it is answered, and handled later.
//!
//! A delivery is stored and the work of reading it is asked for in one transaction, so an answer of 202 is a promise.
//! The same delivery again changes nothing. Its payload is let go once it is handled; its id is kept for 7 days.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use sqlx::Row;

use super::work::{Ask, Kind, Lane, ask};
use super::{Store, StoreError, sql, time};

/// The largest payload that is taken, in bytes: the largest that a forge sends.
pub const MAX_PAYLOAD: usize = 25 * 1024 * 1024;

/// The longest id, source or kind of a delivery, in bytes.
const MAX_NAME: usize = 200;

/// A delivery, whose signature was checked.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Who sent it: `gitea`, `registry/harbor`.
    pub source: &'a str,
    /// Its id, the same when it comes again. None: the source gives none, and each is a new one.
    pub id: Option<&'a str>,
    /// What happened, in the source's words: `issue_comment`.
    pub kind: &'a str,
    /// Its body.
    pub payload: &'a [u8],
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is stored, and work of [`Kind::Deliver`] with this key is asked for.
    New(String),
    /// It came before.
    Repeated,
}

/// A delivery as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Who sent it.
    pub source: String,
    /// Its id.
    pub id: String,
    /// What happened.
    pub kind: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Its body; none once it was handled.
    pub payload: Option<Vec<u8>>,
}

impl Store {
    /// Stores a delivery, unless it is known, and asks for it to be read.
    ///
    /// # Errors
    /// Where it is too large, or the database cannot be written; then it is not taken, and must be sent again.
    pub async fn receive(&self, delivery: Delivery<'_>, now: Timestamp) -> Result<Received, StoreError> {
        let Delivery { source, id, kind, payload } = delivery;
        let limits = [
            ("a webhook's body", payload.len(), MAX_PAYLOAD),
            ("a webhook's source", source.len(), MAX_NAME),
            ("a webhook's id", id.map_or(0, str::len), MAX_NAME),
            ("a webhook's event", kind.len(), MAX_NAME),
        ];
        if let Some((what, bytes, limit)) = limits.into_iter().find(|(_, bytes, limit)| bytes > limit) {
            return Err(StoreError::TooLarge { what, bytes, limit });
        }
        let id = id.map_or_else(|| made_id(payload, now), str::to_owned);
        let what = "store a webhook in";
        let mut transaction = self.begin(what).await?;
        let stored = sqlx::query(
            "INSERT INTO inbox (source, delivery_id, kind, received_at, payload) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (source, delivery_id) DO NOTHING",
        )
        .bind(source)
        .bind(&id)
        .bind(kind)
        .bind(now.as_millisecond())
        .bind(payload)
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        if stored.rows_affected() == 0 {
            return Ok(Received::Repeated);
        }
        let key = key(source, &id);
        let deliver = Ask::new(Kind::Deliver, key.clone(), Lane::delivery(source, &id), now);
        ask(&mut transaction, &[deliver], now).await.map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        self.asked.notify_one();
        Ok(Received::New(key))
    }

    /// The delivery that work of [`Kind::Deliver`] with this key is about. None: it is older than we keep them.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn delivery(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let Some((source, id)) = parts(key) else { return Ok(None) };
        let row = sqlx::query(
            "SELECT source, delivery_id, kind, received_at, payload FROM inbox WHERE source = $1 AND delivery_id = $2",
        )
        .bind(source)
        .bind(id)
        .fetch_optional(&self.readers)
        .await
        .map_err(sql("read a webhook from"))?;
        Ok(row.map(|row| Stored {
            source: row.get(0),
            id: row.get(1),
            kind: row.get(2),
            received_at: time(row.get(3)),
            payload: row.get(4),
        }))
    }

    /// Marks a delivery as handled, lets its payload go, and asks for what it woke, all or nothing.
    ///
    /// # Errors
    /// Where the database cannot be written; then it is to be handled again.
    pub async fn handled(&self, key: &str, asks: &[Ask], now: Timestamp) -> Result<(), StoreError> {
        let what = "mark a webhook as handled in";
        let mut transaction = self.begin(what).await?;
        if let Some((source, id)) = parts(key) {
            sqlx::query("UPDATE inbox SET handled_at = $3, payload = NULL WHERE source = $1 AND delivery_id = $2")
                .bind(source)
                .bind(id)
                .bind(now.as_millisecond())
                .execute(&mut *transaction)
                .await
                .map_err(sql(what))?;
        }
        ask(&mut transaction, asks, now).await.map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        self.asked.notify_one();
        Ok(())
    }
}

/// The id of a delivery that has none: another one for each time and body.
fn made_id(payload: &[u8], now: Timestamp) -> String {
    let print = Sha256::digest(payload);
    let print: String = print.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{print}", now.as_nanosecond())
}

// A line break stands in no header, so in no id.
fn key(source: &str, id: &str) -> String {
    format!("{source}\n{id}")
}

fn parts(key: &str) -> Option<(&str, &str)> {
    key.split_once('\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at, lease};
    use crate::store::work::Next;

    const PUSH: Delivery<'_> =
        Delivery { source: "gitea", id: Some("7f3a"), kind: "push", payload: b"{\"ref\":\"refs/heads/main\"}" };

    #[tokio::test]
    async fn a_delivery_is_taken_once_and_its_work_with_it() {
        let store = Opened::new().await;
        let Received::New(key) = store.receive(PUSH, at(0)).await.unwrap() else { panic!("it is new") };
        assert_eq!(store.receive(PUSH, at(1)).await.unwrap(), Received::Repeated);
        let claim = store.claim("a", lease(), at(1)).await.unwrap().unwrap();
        assert_eq!((claim.kind, claim.key.as_str(), claim.asked), (Kind::Deliver, key.as_str(), 1));

        let stored = store.delivery(&claim.key).await.unwrap().unwrap();
        assert_eq!((stored.kind.as_str(), stored.received_at), ("push", at(0)));
        assert_eq!(stored.payload.as_deref(), Some(PUSH.payload));
        let scan = Ask::new(Kind::ScanRepository, "acme/fleet", Lane::repository("acme/fleet"), at(2));
        store.handled(&key, &[scan], at(2)).await.unwrap();
        assert!(store.finish(&claim, Next::Done, at(2)).await.unwrap());
        assert_eq!(store.delivery(&key).await.unwrap().unwrap().payload, None);
        assert_eq!(store.claim("a", lease(), at(2)).await.unwrap().unwrap().kind, Kind::ScanRepository);

        // Its id outlives its payload, for a week.
        assert_eq!(store.receive(PUSH, at(6 * 86_400)).await.unwrap(), Received::Repeated);
        store.sweep(at(7 * 86_400 + 1)).await.unwrap();
        assert_eq!(store.delivery(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_same_id_of_another_source_and_no_id_at_all_are_new() {
        let store = Opened::new().await;
        let without = Delivery { id: None, ..PUSH };
        let mut keys = std::collections::BTreeSet::new();
        for (delivery, now) in
            [(PUSH, at(0)), (Delivery { source: "github", ..PUSH }, at(0)), (without, at(0)), (without, at(1))]
        {
            let Received::New(key) = store.receive(delivery, now).await.unwrap() else { panic!("it is new") };
            keys.insert(key);
        }
        assert_eq!(keys.len(), 4);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_leaves_nothing() {
        let store = Opened::new().await;
        let payload = vec![b' '; MAX_PAYLOAD + 1];
        let error = store.receive(Delivery { payload: &payload, ..PUSH }, at(0)).await.unwrap_err().to_string();
        assert_eq!(error, "cannot store a webhook's body: it has 26214401 bytes, and at most 26214400 are taken");
        assert!(matches!(store.receive(PUSH, at(0)).await.unwrap(), Received::New(_)));
    }
}
