//! Lists of tags that are kept, so that a registry is asked once per image and interval however many ask for it.
//!
//! Owns when a list may be told again: until [`Lists::renew`] reads it anew, which its owner does at intervals and when it
//! hears of a push. Two that ask for one image at once wait for one question. Errors are never kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use super::{Listing, Registry, RegistryError, TagList};
use crate::reference::ImageName;

/// How much text of tags is kept, in bytes. Beyond it all lists are read again when they are next asked for.
const MAX_BYTES: usize = 256 << 20;

/// One image's list, locked while it is being read.
type Slot = Arc<AsyncMutex<Option<Arc<TagList>>>>;

/// The lists that are kept. Cheap to clone: all clones share them.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    slots: Arc<Mutex<HashMap<ImageName, Slot>>>,
    bytes: Arc<Mutex<usize>>,
}

impl Lists {
    /// The image's tags, as they were when they were last read; read now, if they never were.
    ///
    /// # Errors
    /// As for [`Registry::tags`].
    pub async fn tags(&self, registry: &Registry, image: &ImageName) -> Result<Arc<TagList>, RegistryError> {
        let slot = self.slot(image);
        let mut kept = slot.lock().await;
        if let Some(list) = &*kept {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(registry.tags(image).await?);
        self.keep(&mut kept, Arc::clone(&list));
        Ok(list)
    }

    /// Reads the image's tags now, and says whether they differ from those that were kept; the first time they do.
    ///
    /// # Errors
    /// As for [`Registry::tags`]. What was kept stays.
    pub async fn renew(&self, registry: &Registry, image: &ImageName) -> Result<bool, RegistryError> {
        let slot = self.slot(image);
        let mut kept = slot.lock().await;
        let etag = kept.as_ref().and_then(|list| list.etag.clone());
        let Listing::Tags(list) = registry.tags_unless(image, etag.as_deref()).await? else { return Ok(false) };
        let is_new = kept.as_ref().is_none_or(|kept| !kept.iter().eq(list.iter()));
        self.keep(&mut kept, Arc::new(list));
        Ok(is_new)
    }

    /// Drops what is kept of images that `is_used` does not know.
    pub fn retain(&self, is_used: impl Fn(&ImageName) -> bool) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|image, _| is_used(image));
    }

    fn slot(&self, image: &ImageName) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if *bytes > MAX_BYTES {
            slots.clear();
            *bytes = 0;
        }
        Arc::clone(slots.entry(image.clone()).or_default())
    }

    fn keep(&self, kept: &mut Option<Arc<TagList>>, list: Arc<TagList>) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.as_ref().map_or(0, |list| list.bytes());
        *bytes = bytes.saturating_sub(before) + list.bytes();
        *kept = Some(list);
    }
}
