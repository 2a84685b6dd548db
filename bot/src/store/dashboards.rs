//! Which issue of each repository is its dashboard.
//!
//! A cache of what the forge knows: a lost one is found again by the issue's hidden marker.

use sqlx::Row;

use super::{Store, StoreError, sql};

/// What the name of the row of a repository begins with.
const NAME: &str = "dashboard ";

/// What is known of the dashboard issue of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dashboard {
    /// Nobody looked for it yet.
    Unknown,
    /// There was none.
    None,
    /// Its number.
    Issue(i64),
}

impl Store {
    /// The dashboard issue of a repository, as it was last seen.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn dashboard(&self, repository: &str) -> Result<Dashboard, StoreError> {
        let row = sqlx::query("SELECT value FROM service WHERE name = $1")
            .bind(format!("{NAME}{repository}"))
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read a dashboard issue from"))?;
        let Some(row) = row else { return Ok(Dashboard::Unknown) };
        let value: &str = row.get(0);
        match value.parse() {
            Ok(number) => Ok(Dashboard::Issue(number)),
            Err(_) if value.is_empty() => Ok(Dashboard::None),
            Err(_) => Err(StoreError::Unreadable { what: "the number of an issue", value: value.to_owned() }),
        }
    }

    /// Keeps which issue it is, or that there is none.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn keep_dashboard(&self, repository: &str, number: Option<i64>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO service (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(format!("{NAME}{repository}"))
        .bind(number.map(|number| number.to_string()).unwrap_or_default())
        .execute(&self.writer)
        .await
        .map_err(sql("write a dashboard issue to"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Opened;

    #[tokio::test]
    async fn none_is_not_the_same_as_unknown() {
        let store = Opened::new().await;
        assert_eq!(store.dashboard("r").await.unwrap(), Dashboard::Unknown);
        store.keep_dashboard("r", None).await.unwrap();
        assert_eq!(store.dashboard("r").await.unwrap(), Dashboard::None);
        store.keep_dashboard("r", Some(7)).await.unwrap();
        assert_eq!(store.dashboard("r").await.unwrap(), Dashboard::Issue(7));
        assert_eq!(store.dashboard("r2").await.unwrap(), Dashboard::Unknown);
    }
}
