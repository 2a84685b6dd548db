//! Images: their tag lists as last read, one for each realm of credentials, and which repositories use which image.
//!
//! One row serves every repository that may use the realm, so a registry is asked once for an image however many
//! releases use it; no repository learns of tags that only another realm may see.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, bounded, sql, time};

/// The longest error that is kept, in bytes.
const MAX_ERROR: usize = 4000;

/// An image as one realm of credentials sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// The realm; empty: anonymous.
    pub realm: String,
    /// The image's canonical name.
    pub image: String,
}

/// What a scan changed in the images that are used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Images that nobody used before: to be listed.
    pub new: Vec<Use>,
    /// Images that nobody uses any longer.
    pub unused: Vec<Use>,
}

/// A tag list as it was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The tags, as the caller wrote them (JSON); none: it was never listed.
    pub tags: Option<String>,
    /// What the registry gave to be asked with next time.
    pub etag: Option<String>,
    /// When it was read, or found to be unchanged.
    pub listed_at: Option<Timestamp>,
    /// When it is to be read again.
    pub next_due_at: Option<Timestamp>,
    /// Why it could not be read last, if so.
    pub last_error: Option<String>,
}

impl Store {
    /// Replaces what a repository uses by what its scan found, all or nothing.
    ///
    /// # Errors
    /// Where the database cannot be written; then nothing was.
    pub async fn replace_uses(&self, repository: &str, uses: &[Use]) -> Result<Changed, StoreError> {
        let what = "write what a repository uses to";
        let wanted: BTreeSet<&Use> = uses.iter().collect();
        let mut transaction = self.begin(what).await?;
        let had: BTreeSet<Use> = sqlx::query("SELECT realm, image FROM uses WHERE repository = $1")
            .bind(repository)
            .fetch_all(&mut *transaction)
            .await
            .map_err(sql(what))?
            .iter()
            .map(|row| Use { realm: row.get(0), image: row.get(1) })
            .collect();
        let used = "SELECT 1 FROM uses WHERE realm = $1 AND image = $2 LIMIT 1";
        let mut changed = Changed::default();
        for one in wanted.iter().copied().filter(|one| !had.contains(*one)) {
            let Use { realm, image } = one;
            let known = sqlx::query(used).bind(realm).bind(image).fetch_optional(&mut *transaction).await;
            if known.map_err(sql(what))?.is_none() {
                changed.new.push(one.clone());
            }
            sqlx::query("INSERT INTO uses (realm, image, repository) VALUES ($1, $2, $3)")
                .bind(realm)
                .bind(image)
                .bind(repository)
                .execute(&mut *transaction)
                .await
                .map_err(sql(what))?;
            sqlx::query("INSERT INTO images (realm, image) VALUES ($1, $2) ON CONFLICT (realm, image) DO NOTHING")
                .bind(realm)
                .bind(image)
                .execute(&mut *transaction)
                .await
                .map_err(sql(what))?;
        }
        for one in had.iter().filter(|one| !wanted.contains(one)) {
            let Use { realm, image } = one;
            sqlx::query("DELETE FROM uses WHERE realm = $1 AND image = $2 AND repository = $3")
                .bind(realm)
                .bind(image)
                .bind(repository)
                .execute(&mut *transaction)
                .await
                .map_err(sql(what))?;
            let left = sqlx::query(used).bind(realm).bind(image).fetch_optional(&mut *transaction).await;
            if left.map_err(sql(what))?.is_none() {
                changed.unused.push(one.clone());
            }
        }
        transaction.commit().await.map_err(sql(what))?;
        Ok(changed)
    }

    /// Which repositories use an image, and by which realm each sees it: what a registry's push is about. None: it is
    /// to be dropped.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn repositories_using(&self, image: &str) -> Result<Vec<(String, Use)>, StoreError> {
        let rows = sqlx::query("SELECT repository, realm, image FROM uses WHERE image = $1 ORDER BY realm, repository")
            .bind(image)
            .fetch_all(&self.readers)
            .await
            .map_err(sql("read who uses an image from"))?;
        Ok(rows.iter().map(|row| (row.get(0), Use { realm: row.get(1), image: row.get(2) })).collect())
    }

    /// What a repository uses, by realm and name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn uses(&self, repository: &str) -> Result<Vec<Use>, StoreError> {
        let rows = sqlx::query("SELECT realm, image FROM uses WHERE repository = $1 ORDER BY realm, image")
            .bind(repository)
            .fetch_all(&self.readers)
            .await
            .map_err(sql("read what a repository uses from"))?;
        Ok(rows.iter().map(|row| Use { realm: row.get(0), image: row.get(1) }).collect())
    }

    /// The tag list of an image as last kept. None: nobody uses it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn listing(&self, used: &Use) -> Result<Option<Listing>, StoreError> {
        let row = sqlx::query(
            "SELECT tags, etag, listed_at, next_due_at, last_error FROM images WHERE realm = $1 AND image = $2",
        )
        .bind(&used.realm)
        .bind(&used.image)
        .fetch_optional(&self.readers)
        .await
        .map_err(sql("read an image from"))?;
        Ok(row.map(|row| Listing {
            tags: row.get(0),
            etag: row.get(1),
            listed_at: row.get::<Option<i64>, _>(2).map(time),
            next_due_at: row.get::<Option<i64>, _>(3).map(time),
            last_error: row.get(4),
        }))
    }

    /// Keeps a tag list. True: its tags are others than before, so the repositories that use the image are to be looked
    /// at. What is not used is not kept.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub async fn keep_listing(&self, used: &Use, listing: &Listing) -> Result<bool, StoreError> {
        let what = "write an image to";
        let Listing { tags, etag, listed_at, next_due_at, last_error } = listing;
        let mut transaction = self.begin(what).await?;
        let before = sqlx::query("SELECT tags FROM images WHERE realm = $1 AND image = $2")
            .bind(&used.realm)
            .bind(&used.image)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(sql(what))?
            .map(|row| row.get::<Option<String>, _>(0));
        sqlx::query(
            "UPDATE images SET tags = $3, etag = $4, listed_at = $5, next_due_at = $6, last_error = $7 \
             WHERE realm = $1 AND image = $2",
        )
        .bind(&used.realm)
        .bind(&used.image)
        .bind(tags)
        .bind(etag)
        .bind(listed_at.map(Timestamp::as_millisecond))
        .bind(next_due_at.map(Timestamp::as_millisecond))
        .bind(last_error.as_deref().map(|error| bounded(error, MAX_ERROR)))
        .execute(&mut *transaction)
        .await
        .map_err(sql(what))?;
        transaction.commit().await.map_err(sql(what))?;
        Ok(before.is_some_and(|before| before != *tags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{Opened, at};

    fn used(realm: &str, image: &str) -> Use {
        Use { realm: realm.into(), image: image.into() }
    }

    #[tokio::test]
    async fn a_push_finds_the_repositories_that_use_the_image() {
        let store = Opened::new().await;
        let (app, own, web) = (used("", "ghcr.io/acme/app"), used("acme", "ghcr.io/acme/app"), used("", "nginx"));
        let first = store.replace_uses("one", &[app.clone(), web.clone(), app.clone()]).await.unwrap();
        assert_eq!(first, Changed { new: vec![app.clone(), web.clone()], unused: vec![] });
        let second = store.replace_uses("two", &[own.clone(), web.clone()]).await.unwrap();
        assert_eq!(second.new, std::slice::from_ref(&own));
        assert_eq!(
            store.repositories_using("ghcr.io/acme/app").await.unwrap(),
            [("one".to_owned(), app.clone()), ("two".to_owned(), own.clone())]
        );
        assert_eq!(store.repositories_using("ghcr.io/acme/other").await.unwrap(), []);

        // `nginx` is still used by the other one.
        assert_eq!(store.replace_uses("one", &[]).await.unwrap(), Changed { new: vec![], unused: vec![app] });
        assert_eq!(store.uses("one").await.unwrap(), []);
        assert_eq!(store.uses("two").await.unwrap(), [web.clone(), own]);
        assert_eq!(store.repositories_using("nginx").await.unwrap(), [("two".to_owned(), web)]);
    }

    #[tokio::test]
    async fn a_tag_list_is_kept_for_its_realm_while_the_image_is_used() {
        let store = Opened::new().await;
        let (app, own) = (used("", "app"), used("acme", "app"));
        let listing = Listing {
            tags: Some("[\"1\"]".into()),
            etag: Some("e".into()),
            listed_at: Some(at(0)),
            next_due_at: Some(at(900)),
            last_error: None,
        };
        assert!(!store.keep_listing(&app, &listing).await.unwrap());
        assert_eq!(store.listing(&app).await.unwrap(), None);
        store.replace_uses("one", &[app.clone(), own.clone()]).await.unwrap();
        assert_eq!(store.listing(&app).await.unwrap(), Some(Listing::default()));
        assert!(store.keep_listing(&app, &listing).await.unwrap());
        assert!(!store.keep_listing(&app, &Listing { listed_at: Some(at(5)), ..listing.clone() }).await.unwrap());
        assert_eq!(store.listing(&app).await.unwrap().unwrap().listed_at, Some(at(5)));
        assert_eq!(store.listing(&own).await.unwrap(), Some(Listing::default()));

        store.replace_uses("one", &[]).await.unwrap();
        store.sweep(at(86_500)).await.unwrap();
        assert_eq!(store.listing(&app).await.unwrap(), None);
    }
}
