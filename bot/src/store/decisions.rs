//! What people decided by comments or on pages: holds, ignores and pauses, about a pull request or a repository.
//!
//! A decision is known by what it is about: making it again replaces its reason and its end. On a forge these rows are
//! a cache of what stands in the hidden markers there; for a local repository they are the truth.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, bounded, sql, time};
use crate::forge::Person;

/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 1000;

/// Which updates of an image are not to be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// To this tag.
    This,
    /// That change the patch version only.
    Patch,
    /// That change the minor version.
    Minor,
    /// That change the major version.
    Major,
    /// Any.
    Image,
}

impl Level {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::This, Self::Patch, Self::Minor, Self::Major, Self::Image];

    /// Its name in commands and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Image => "image",
        }
    }
}

/// What somebody decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Neither merge nor rebuild.
    Hold,
    /// Do not propose these updates.
    Ignore {
        /// Which ones.
        level: Level,
        /// The image's canonical name.
        image: String,
        /// The tag, for [`Level::This`].
        tag: Option<String>,
    },
    /// Open and merge nothing.
    Pause,
}

impl Verb {
    /// Kind, level, image and tag, as the row has them.
    fn columns(&self) -> (&'static str, &'static str, &str, &str) {
        match self {
            Self::Hold => ("hold", "", "", ""),
            Self::Ignore { level, image, tag } => ("ignore", level.as_str(), image, tag.as_deref().unwrap_or_default()),
            Self::Pause => ("pause", "", "", ""),
        }
    }
}

/// A decision: what, about what, by whom, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Our number of the pull request; none: the whole repository.
    pub number: Option<i64>,
    /// What was decided.
    pub verb: Verb,
    /// When it ends by itself; none: never.
    pub until: Option<Timestamp>,
    /// Why, in the person's words; may be empty.
    pub reason: String,
    /// Who decided it.
    pub by: Person,
    /// When.
    pub made_at: Timestamp,
}

impl Store {
    /// Keeps a decision. False: the same one with the same end and reason was in force already, and stays as it is.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn decide(&self, repository: &str, decided: &Decided) -> Result<bool, StoreError> {
        let Decided { number, verb, until, reason, by, made_at } = decided;
        let (kind, level, image, tag) = verb.columns();
        let done = sqlx::query(
            "INSERT INTO decisions (repository, number, kind, level, image, tag, until, reason, by_id, by_login, \
             made_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
             ON CONFLICT (repository, number, kind, level, image, tag) DO UPDATE SET until = excluded.until, \
             reason = excluded.reason, by_id = excluded.by_id, by_login = excluded.by_login, \
             made_at = excluded.made_at WHERE COALESCE(decisions.until, -1) <> COALESCE(excluded.until, -1) \
             OR decisions.reason <> excluded.reason OR decisions.until <= excluded.made_at",
        )
        .bind(repository)
        .bind(number.unwrap_or(0))
        .bind(kind)
        .bind(level)
        .bind(image)
        .bind(tag)
        .bind(until.map(Timestamp::as_millisecond))
        .bind(bounded(reason, MAX_REASON))
        .bind(by.id)
        .bind(&by.login)
        .bind(made_at.as_millisecond())
        .execute(&self.writer)
        .await
        .map_err(sql("write a decision to"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes a decision back. False: it was not in force.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn undecide(
        &self,
        repository: &str,
        number: Option<i64>,
        verb: &Verb,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (kind, level, image, tag) = verb.columns();
        let row = sqlx::query(
            "DELETE FROM decisions WHERE repository = $1 AND number = $2 AND kind = $3 AND level = $4 \
             AND image = $5 AND tag = $6 RETURNING until",
        )
        .bind(repository)
        .bind(number.unwrap_or(0))
        .bind(kind)
        .bind(level)
        .bind(image)
        .bind(tag)
        .fetch_optional(&self.writer)
        .await
        .map_err(sql("take a decision back in"))?;
        Ok(row.is_some_and(|row| row.get::<Option<i64>, _>(0).is_none_or(|until| until > now.as_millisecond())))
    }

    /// The decisions in force at `now` about a repository and its pull requests, the oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read or holds what we did not write.
    pub async fn decisions(&self, repository: &str, now: Timestamp) -> Result<Vec<Decided>, StoreError> {
        let rows = sqlx::query(
            "SELECT number, kind, level, image, tag, until, reason, by_id, by_login, made_at FROM decisions \
             WHERE repository = $1 AND (until IS NULL OR until > $2) \
             ORDER BY made_at, number, kind, level, image, tag",
        )
        .bind(repository)
        .bind(now.as_millisecond())
        .fetch_all(&self.readers)
        .await
        .map_err(sql("read decisions from"))?;
        rows.iter().map(decided).collect()
    }
}

fn decided(row: &SqliteRow) -> Result<Decided, StoreError> {
    let verb = match row.get::<&str, _>(1) {
        "hold" => Verb::Hold,
        "pause" => Verb::Pause,
        "ignore" => {
            let level: &str = row.get(2);
            let level = Level::ALL
                .into_iter()
                .find(|known| known.as_str() == level)
                .ok_or_else(|| StoreError::Unreadable { what: "the level of an ignore", value: level.to_owned() })?;
            let tag: String = row.get(4);
            Verb::Ignore { level, image: row.get(3), tag: Some(tag).filter(|tag| !tag.is_empty()) }
        }
        other => return Err(StoreError::Unreadable { what: "the kind of a decision", value: other.to_owned() }),
    };
    Ok(Decided {
        number: Some(row.get(0)).filter(|number| *number != 0),
        verb,
        until: row.get::<Option<i64>, _>(5).map(time),
        reason: row.get(6),
        by: Person { id: row.get(7), login: row.get(8) },
        made_at: time(row.get(9)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at};

    fn by(login: &str) -> Person {
        Person { id: 7, login: login.into() }
    }

    fn hold(until: Option<Timestamp>, now: Timestamp) -> Decided {
        Decided { number: Some(3), verb: Verb::Hold, until, reason: "wait".into(), by: by("ann"), made_at: now }
    }

    #[tokio::test]
    async fn decisions_end_by_themselves_or_when_taken_back() {
        let store = Opened::new().await;
        let verb = |level, tag: Option<&str>| Verb::Ignore {
            level,
            image: "docker.io/library/app".into(),
            tag: tag.map(Into::into),
        };
        let mut all = vec![hold(Some(at(100)), at(0))];
        for (second, verb) in
            (1..).zip(Level::ALL.map(|level| verb(level, (level == Level::This).then_some("1.2"))).into_iter())
        {
            all.push(Decided { verb, until: None, made_at: at(second), ..all[0].clone() });
        }
        all.push(Decided { number: None, verb: Verb::Pause, until: None, made_at: at(9), ..all[0].clone() });
        for decided in &all {
            assert!(store.decide("acme/fleet", decided).await.unwrap());
        }
        assert_eq!(store.decisions("acme/fleet", at(99)).await.unwrap(), all);
        assert_eq!(store.decisions("acme/other", at(99)).await.unwrap(), []);
        assert_eq!(store.decisions("acme/fleet", at(100)).await.unwrap(), all[1..]);

        assert!(store.undecide("acme/fleet", None, &Verb::Pause, at(100)).await.unwrap());
        assert!(!store.undecide("acme/fleet", None, &Verb::Pause, at(100)).await.unwrap());
        // It is over already.
        assert!(!store.undecide("acme/fleet", Some(3), &Verb::Hold, at(100)).await.unwrap());
        assert_eq!(store.decisions("acme/fleet", at(100)).await.unwrap(), all[1..all.len() - 1]);
    }

    #[tokio::test]
    async fn deciding_the_same_again_changes_nothing_and_something_else_replaces_it() {
        let store = Opened::new().await;
        assert!(store.decide("r", &hold(None, at(0))).await.unwrap());
        assert!(!store.decide("r", &hold(None, at(5))).await.unwrap());
        assert!(store.decide("r", &hold(Some(at(60)), at(6))).await.unwrap());
        assert_eq!(store.decisions("r", at(7)).await.unwrap(), [hold(Some(at(60)), at(6))]);
        // Word for word the same, but the first one is over.
        assert!(store.decide("r", &hold(Some(at(60)), at(61))).await.unwrap());
    }
}
