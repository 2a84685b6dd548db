//! The repositories that are watched: where they are, and how their last scan went.
//!
//! A repository's key is unique over all forges: for one on a forge its host and name, `git.acme.dev/acme/fleet`; for
//! a local one the absolute path of its git folder.

use gix::ObjectId;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, bounded, sql, time};

/// The longest error that is kept, in bytes.
const MAX_ERROR: usize = 4000;

/// A repository that is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its key.
    pub repository: String,
    /// The kind of forge: `local`, `gitea`.
    pub forge: String,
    /// The forge's host; empty for a local one.
    pub host: String,
    /// Its id on the forge, which stays when it is renamed.
    pub forge_id: Option<i64>,
    /// Its name on the forge.
    pub name: String,
    /// Its page for people; empty for a local one.
    pub url: String,
    /// Where git fetches.
    pub clone_url: String,
    /// The branch that pull requests are for.
    pub base: String,
}

/// How a repository's configuration was at its last scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigState {
    /// There was no scan yet.
    Unread,
    /// It has none: defaults.
    None,
    /// It is in force.
    Valid,
    /// It cannot be used, and why: nothing is opened, moved or merged there.
    Invalid(String),
}

impl ConfigState {
    fn columns(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Unread => ("unread", None),
            Self::None => ("none", None),
            Self::Valid => ("valid", None),
            Self::Invalid(error) => ("invalid", Some(bounded(error, MAX_ERROR))),
        }
    }
}

/// A repository as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Where it is.
    pub watched: Watched,
    /// The commit of its base that was scanned last.
    pub head: Option<ObjectId>,
    /// How its configuration was then.
    pub config: ConfigState,
    /// When that was.
    pub last_scan_at: Option<Timestamp>,
    /// Why the last look at it failed, if it did.
    pub last_error: Option<String>,
    /// When it was found to be watched no longer.
    pub gone_at: Option<Timestamp>,
}

const ALL: &str = "SELECT repository, forge, host, forge_id, name, url, clone_url, base, head, config_state, \
     config_error, last_scan_at, last_error, gone_at FROM repositories ORDER BY repository";

const ONE: &str = "SELECT repository, forge, host, forge_id, name, url, clone_url, base, head, config_state, \
     config_error, last_scan_at, last_error, gone_at FROM repositories WHERE repository = $1";

const OF_FORGE_ID: &str = "SELECT repository, forge, host, forge_id, name, url, clone_url, base, head, config_state, \
     config_error, last_scan_at, last_error, gone_at FROM repositories WHERE host = $1 AND forge_id = $2 \
     ORDER BY CASE WHEN gone_at IS NULL THEN 0 ELSE 1 END, repository LIMIT 1";

impl Store {
    /// Watches a repository, or keeps what has changed of where it is. One that was gone is back. True: it is new or
    /// back.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn watch(&self, watched: &Watched, now: Timestamp) -> Result<bool, StoreError> {
        let what = "write a repository to";
        let Watched { repository, forge, host, forge_id, name, url, clone_url, base } = watched;
        let mut transaction = self.begin(what).await?;
        let known = sqlx::query("SELECT gone_at FROM repositories WHERE repository = $1")
            .bind(repository)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sql(what))?;
        sqlx::query(
            "INSERT INTO repositories (repository, forge, host, forge_id, name, url, clone_url, base, first_seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (repository) DO UPDATE SET \
             forge = excluded.forge, host = excluded.host, forge_id = excluded.forge_id, name = excluded.name, \
             url = excluded.url, clone_url = excluded.clone_url, base = excluded.base, gone_at = NULL",
        )
        .bind(repository)
        .bind(forge)
        .bind(host)
        .bind(forge_id)
        .bind(name)
        .bind(url)
        .bind(clone_url)
        .bind(base)
        .bind(now.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        Ok(known.is_none_or(|row| row.get::<Option<i64>, _>(0).is_some()))
    }

    /// Stops watching a repository: it uses no image any longer. What is known of its pull requests stays. False: it
    /// is not known, or gone already.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn unwatch(&self, repository: &str, reason: &str, now: Timestamp) -> Result<bool, StoreError> {
        let what = "write a repository to";
        let mut transaction = self.begin(what).await?;
        let done = sqlx::query(
            "UPDATE repositories SET gone_at = $2, last_error = $3 WHERE repository = $1 AND gone_at IS NULL",
        )
        .bind(repository)
        .bind(now.as_millisecond())
        .bind(bounded(reason, MAX_ERROR))
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        sqlx::query("DELETE FROM uses WHERE repository = $1")
            .bind(repository)
            .execute(&mut *transaction)
            .await
            .map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        Ok(done.rows_affected() > 0)
    }

    /// Keeps that a repository was scanned, at which head and with which configuration. Its last error is over.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn scanned(
        &self,
        repository: &str,
        head: ObjectId,
        config: &ConfigState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (state, error) = config.columns();
        sqlx::query(
            "UPDATE repositories SET head = $2, config_state = $3, config_error = $4, last_scan_at = $5, \
             last_error = NULL WHERE repository = $1",
        )
        .bind(repository)
        .bind(head.to_string())
        .bind(state)
        .bind(error)
        .bind(now.as_millisecond())
        .execute(&self.writer)
        .await
        .map_err(sql("write a repository to"))?;
        Ok(())
    }

    /// Keeps why the last look at a repository failed, or that it did not.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn keep_repository_error(&self, repository: &str, error: Option<&str>) -> Result<(), StoreError> {
        sqlx::query("UPDATE repositories SET last_error = $2 WHERE repository = $1")
            .bind(repository)
            .bind(error.map(|error| bounded(error, MAX_ERROR)))
            .execute(&self.writer)
            .await
            .map_err(sql("write a repository to"))?;
        Ok(())
    }

    /// Every repository that is or was watched, by key.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn repositories(&self) -> Result<Vec<RepositoryRow>, StoreError> {
        let rows = sqlx::query(ALL).fetch_all(&self.readers).await.map_err(sql("read repositories from"))?;
        rows.iter().map(repository).collect()
    }

    /// One repository.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn repository(&self, key: &str) -> Result<Option<RepositoryRow>, StoreError> {
        let row =
            sqlx::query(ONE).bind(key).fetch_optional(&self.readers).await.map_err(sql("read a repository from"))?;
        row.map(|row| repository(&row)).transpose()
    }

    /// The repository with this id on a forge, under the name that we know it by; one that is watched rather than one
    /// that is gone.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn repository_of_forge_id(&self, host: &str, id: i64) -> Result<Option<RepositoryRow>, StoreError> {
        let row = sqlx::query(OF_FORGE_ID)
            .bind(host)
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(sql("read a repository from"))?;
        row.map(|row| repository(&row)).transpose()
    }
}

fn repository(row: &SqliteRow) -> Result<RepositoryRow, StoreError> {
    let state: &str = row.get(9);
    let config = match state {
        "unread" => ConfigState::Unread,
        "none" => ConfigState::None,
        "valid" => ConfigState::Valid,
        "invalid" => ConfigState::Invalid(row.get::<Option<String>, _>(10).unwrap_or_default()),
        other => {
            return Err(StoreError::Unreadable { what: "the state of a configuration", value: other.to_owned() });
        }
    };
    let head = row.get::<Option<&str>, _>(8).map(|id| {
        ObjectId::from_hex(id.as_bytes())
            .map_err(|_| StoreError::Unreadable { what: "the head of a repository", value: id.to_owned() })
    });
    Ok(RepositoryRow {
        watched: Watched {
            repository: row.get(0),
            forge: row.get(1),
            host: row.get(2),
            forge_id: row.get(3),
            name: row.get(4),
            url: row.get(5),
            clone_url: row.get(6),
            base: row.get(7),
        },
        head: head.transpose()?,
        config,
        last_scan_at: row.get::<Option<i64>, _>(11).map(time),
        last_error: row.get(12),
        gone_at: row.get::<Option<i64>, _>(13).map(time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::images::Use;
    use crate::store::tests::{Opened, at, id};

    fn fleet() -> Watched {
        Watched {
            repository: "git.acme.dev/acme/fleet".into(),
            forge: "gitea".into(),
            host: "git.acme.dev".into(),
            forge_id: Some(5),
            name: "acme/fleet".into(),
            url: "https://git.acme.dev/acme/fleet".into(),
            clone_url: "https://git.acme.dev/acme/fleet.git".into(),
            base: "main".into(),
        }
    }

    #[tokio::test]
    async fn a_repository_keeps_how_its_last_scan_went() {
        let store = Opened::new().await;
        let key = fleet().repository;
        assert!(store.watch(&fleet(), at(0)).await.unwrap());
        assert!(!store.watch(&Watched { base: "trunk".into(), ..fleet() }, at(1)).await.unwrap());
        let row = store.repository(&key).await.unwrap().unwrap();
        assert_eq!((row.watched.base.as_str(), &row.config, row.head), ("trunk", &ConfigState::Unread, None));

        store.keep_repository_error(&key, Some("no answer")).await.unwrap();
        assert_eq!(store.repositories().await.unwrap()[0].last_error.as_deref(), Some("no answer"));
        for config in [ConfigState::None, ConfigState::Invalid("unknown key `x`".into()), ConfigState::Valid] {
            store.scanned(&key, id("1"), &config, at(2)).await.unwrap();
            let row = store.repository_of_forge_id("git.acme.dev", 5).await.unwrap().unwrap();
            assert_eq!((row.head, row.config, row.last_scan_at), (Some(id("1")), config, Some(at(2))));
            assert_eq!(row.last_error, None);
        }
        assert_eq!(store.repository_of_forge_id("other", 5).await.unwrap(), None);
    }

    #[tokio::test]
    async fn one_that_is_gone_uses_nothing_and_can_come_back() {
        let store = Opened::new().await;
        let key = fleet().repository;
        store.watch(&fleet(), at(0)).await.unwrap();
        let used = Use { realm: String::new(), image: "docker.io/library/app".into() };
        store.replace_uses(&key, std::slice::from_ref(&used)).await.unwrap();
        assert!(store.unwatch(&key, "it is archived", at(1)).await.unwrap());
        assert!(!store.unwatch(&key, "it is archived", at(2)).await.unwrap());
        assert_eq!(store.repositories_using(&used.image).await.unwrap(), []);
        let row = store.repository(&key).await.unwrap().unwrap();
        assert_eq!((row.gone_at, row.last_error.as_deref()), (Some(at(1)), Some("it is archived")));
        assert!(store.watch(&fleet(), at(3)).await.unwrap());
        assert_eq!(store.repository(&key).await.unwrap().unwrap().gone_at, None);
    }
}
