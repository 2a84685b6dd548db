//! Looks into many tags of one image with as few requests as the cache allows (S6.3).
//!
//! Owns the order of asking: what the cache knows, then HEAD, then the manifest. Does not choose: which tags are looked
//! into, and what their times mean, is said elsewhere.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::cache::{Cached, TimeCache};
use super::manifest::Created;
use super::platform::Platform;
use super::question::Budget;
use super::{Registry, RegistryError};
use crate::reference::{Digest, ImageName};

/// What is known of one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagTime {
    /// What the tag points at: the index where there is one (S2.6).
    pub digest: Digest,
    /// When it was made; `None` where it does not say so in a usable way (S6.2).
    pub created: Option<Timestamp>,
}

/// The answer for one tag: what is known, or why it is lastingly not to be had, so that the tag is left out (S6.3).
pub type TagLook = Result<TagTime, RegistryError>;

impl Registry {
    /// Looks into the tags of an image: an answer for each, in their order. What the cache knows is not asked, except a
    /// digest whose turn it is (S6.3). Cold, that is two requests per tag, three for an index.
    ///
    /// # Errors
    /// The first passing fault: half a picture is no picture (S6.3).
    pub async fn look(
        &self,
        cache: &TimeCache,
        image: &ImageName,
        tags: &[&str],
        platform: &Platform,
        now: Timestamp,
    ) -> Result<Vec<TagLook>, RegistryError> {
        // A registry that answers each question just in time would hold an image for hours.
        let budget = self.budget(image, tags.len());
        let mut answers: Vec<Option<TagLook>> = vec![None; tags.len()];
        let mut asked = FuturesUnordered::new();
        for (index, &tag) in tags.iter().enumerate() {
            match cache.get(image, tag, platform, now, false) {
                Cached::Known(digest, created) => {
                    answers[index] = Some(Ok(TagTime { digest, created: created.at(now) }));
                }
                cached => {
                    let budget = &budget;
                    asked.push(async move {
                        (
                            index,
                            self.look_up(cache, image, tag, platform, now, cached == Cached::Ask, Some(budget)).await,
                        )
                    });
                }
            }
        }
        while let Some((index, answer)) = asked.next().await {
            answers[index] = Some(answer?);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Looks into one tag whose digest must be certain, such as the winner and the current one: asks for it unless this
    /// very look (the same `now`) did already.
    ///
    /// # Errors
    /// A passing fault.
    pub async fn confirm(
        &self,
        cache: &TimeCache,
        image: &ImageName,
        tag: &str,
        platform: &Platform,
        now: Timestamp,
    ) -> Result<TagLook, RegistryError> {
        match cache.get(image, tag, platform, now, true) {
            Cached::Known(digest, created) => Ok(Ok(TagTime { digest, created: created.at(now) })),
            cached => self.look_up(cache, image, tag, platform, now, cached == Cached::Ask, None).await,
        }
    }

    /// Asks for the digest first where the times of what it is may be known.
    #[expect(clippy::too_many_arguments, reason = "all of them are the question")]
    async fn look_up(
        &self,
        cache: &TimeCache,
        image: &ImageName,
        tag: &str,
        platform: &Platform,
        now: Timestamp,
        digest_first: bool,
        budget: Option<&Budget>,
    ) -> Result<TagLook, RegistryError> {
        let found = async {
            if digest_first {
                let digest = self.digest_within(image, tag, budget).await?;
                if let Some(created) = cache.created(&digest, platform) {
                    return Ok((digest, created));
                }
            }
            let metadata = self.metadata_within(image, tag, platform, budget).await?;
            Ok::<(Digest, Created), RegistryError>((metadata.digest, metadata.created))
        };
        match found.await {
            Ok((digest, created)) => {
                cache.put(image, tag, platform, &digest, created, now);
                Ok(Ok(TagTime { digest, created: created.at(now) }))
            }
            Err(error) if error.is_lasting() => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }
}
