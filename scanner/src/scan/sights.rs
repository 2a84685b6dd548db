//! When each tag of an image was first seen, for images that say nothing of when they were made (S6.3, S6.7).
//!
//! Owns what is remembered; where it is kept is the caller's. Reads no clock. Invariants: a time never changes once it
//! is there, a tag that goes and comes back keeps its time, and of the tags of an image's very first list it is known
//! that they say nothing of each other's age.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reference::{ImageName, is_tag};

/// How many tags are remembered per image while the registry no longer lists them all: twice what a list may hold.
const MAX_TAGS: usize = 200_000;

/// The first sights of many images.
///
/// Only images whose order or minimum age needs times are in it. A fault while one image is looked up leaves the
/// others as they are.
#[derive(Debug, Default)]
pub struct Sights {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    images: BTreeMap<String, Arc<Seen>>,
    changed: BTreeSet<String>,
}

/// The first sights of one image's tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// When its first list was read, in milliseconds.
    first: i64,
    /// The tags of that list.
    old: BTreeSet<Box<str>>,
    /// Those that came later, and when, in milliseconds.
    new: BTreeMap<Box<str>, i64>,
}

impl Seen {
    /// When the tag was first seen, and whether it was in the very first list.
    pub(super) fn of(&self, tag: &str) -> (Option<Timestamp>, bool) {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).ok();
        match self.new.get(tag) {
            Some(milliseconds) => (at(*milliseconds), false),
            None if self.old.contains(tag) => (at(self.first), true),
            None => (None, false),
        }
    }

    fn knows(&self, tag: &str) -> bool {
        self.old.contains(tag) || self.new.contains_key(tag)
    }
}

impl Sights {
    /// What was kept: images by their canonical name, each with the text that [`Sights::changed`] gave.
    ///
    /// A text that is none of ours is passed over with a warning: its image begins with a first list again, from which
    /// nothing wrong is ever concluded.
    #[must_use]
    pub fn of(kept: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut images = BTreeMap::new();
        for (image, text) in kept {
            match serde_json::from_str(&text) {
                Ok(seen) => drop(images.insert(image, Arc::new(seen))),
                Err(error) => tracing::warn!(image, %error, "when its tags were first seen cannot be read"),
            }
        }
        Self { inner: Mutex::new(Inner { images, changed: BTreeSet::new() }) }
    }

    /// The images of which something is new since the last call, each with a text to keep.
    #[must_use]
    pub fn changed(&self) -> Vec<(String, String)> {
        let mut inner = self.lock();
        let changed = std::mem::take(&mut inner.changed);
        let text = |image: &String| serde_json::to_string(inner.images.get(image)?.as_ref()).ok();
        changed.into_iter().filter_map(|image| text(&image).map(|text| (image, text))).collect()
    }

    /// Takes notice of a list that was read at the time `now`, and says what is known of its image.
    ///
    /// An empty list is none: it says that something is wrong, not that all tags are still to come.
    pub(super) fn see<'t>(
        &self,
        image: &ImageName,
        tags: impl Iterator<Item = &'t str> + Clone,
        now: Timestamp,
    ) -> Option<Arc<Seen>> {
        let mut inner = self.lock();
        let Inner { images, changed } = &mut *inner;
        let now = now.as_millisecond();
        let tags = tags.filter(|tag| is_tag(tag));
        if let Some(seen) = images.get_mut(image.as_str()) {
            let unknown: Vec<&str> = tags.clone().filter(|tag| !seen.knows(tag)).collect();
            if !unknown.is_empty() {
                changed.insert(image.as_str().to_owned());
                let seen = Arc::make_mut(seen);
                seen.new.extend(unknown.into_iter().map(|tag| (tag.into(), now)));
                if seen.old.len() + seen.new.len() > MAX_TAGS {
                    let listed: BTreeSet<&str> = tags.collect();
                    seen.old.retain(|tag| listed.contains(&**tag));
                    seen.new.retain(|tag, _| listed.contains(&**tag));
                }
            }
            return Some(Arc::clone(seen));
        }
        let old: BTreeSet<Box<str>> = tags.map(Into::into).collect();
        if old.is_empty() {
            return None;
        }
        let seen = Arc::new(Seen { first: now, old, new: BTreeMap::new() });
        images.insert(image.as_str().to_owned(), Arc::clone(&seen));
        changed.insert(image.as_str().to_owned());
        Some(seen)
    }

    /// What is there is whole even after a panic elsewhere: each change is one step.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::KnownHosts;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    fn image(name: &str) -> ImageName {
        ImageName::parse(name, &KnownHosts::default()).unwrap()
    }

    #[test]
    fn the_first_list_is_told_from_later_sights_s6_7() {
        let (sights, app) = (Sights::default(), image("app"));
        let see = |tags: &[&str], day| sights.see(&app, tags.iter().copied(), at(day)).unwrap();
        assert!(sights.see(&app, std::iter::empty(), at(0)).is_none());
        see(&["a", "b", "no tag"], 1);
        let seen = see(&["b", "c"], 2);
        assert_eq!(seen.of("a"), (Some(at(1)), true));
        assert_eq!(seen.of("c"), (Some(at(2)), false));
        assert_eq!(seen.of("no tag"), (None, false));
        // What went and came back is not new.
        let seen = see(&["a", "c"], 3);
        assert_eq!((seen.of("a"), seen.of("c")), ((Some(at(1)), true), (Some(at(2)), false)));
    }

    #[test]
    fn only_what_changed_is_kept_and_read_again_s6_3() {
        let sights = Sights::default();
        sights.see(&image("a"), ["1"].into_iter(), at(1));
        sights.see(&image("b"), ["1"].into_iter(), at(1));
        let mut kept: BTreeMap<String, String> = sights.changed().into_iter().collect();
        assert_eq!(kept.len(), 2);
        sights.see(&image("a"), ["1"].into_iter(), at(2));
        sights.see(&image("b"), ["1", "2"].into_iter(), at(2));
        let changed = sights.changed();
        assert_eq!(changed.iter().map(|(image, _)| image.as_str()).collect::<Vec<_>>(), ["docker.io/library/b"]);
        kept.extend(changed);
        kept.insert("docker.io/library/c".into(), "{".into());

        let again = Sights::of(kept);
        assert_eq!(again.changed(), []);
        let seen = again.see(&image("b"), ["2"].into_iter(), at(9)).unwrap();
        assert_eq!((seen.of("1"), seen.of("2")), ((Some(at(1)), true), (Some(at(2)), false)));
        // What cannot be read begins anew.
        let seen = again.see(&image("c"), ["1"].into_iter(), at(9)).unwrap();
        assert_eq!(seen.of("1"), (Some(at(9)), true));
        assert_eq!(again.changed().len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (sights, app) = (Sights::default(), image("app"));
        let tags = |round: usize| (0..MAX_TAGS / 2).map(move |tag| format!("{round}-{tag}")).collect::<Vec<_>>();
        for round in 0..3 {
            sights.see(&app, tags(round).iter().map(String::as_str), at(1 + round as i64));
        }
        let seen = sights.see(&app, ["2-0"].into_iter(), at(9)).unwrap();
        assert_eq!(seen.old.len() + seen.new.len(), MAX_TAGS / 2);
        assert_eq!(seen.of("2-0"), (Some(at(3)), false));
    }
}
