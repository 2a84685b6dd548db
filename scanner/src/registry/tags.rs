//! Lists of tags: how they are kept, and how the answer of a registry is read.
//!
//! Pure. An image may have 100,000 tags and a scan thousands of images, so a list is one text with the ends of its
//! tags, and an answer is read into it without a step in between.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::reference::is_tag;

use super::options::limits;

/// An image's tags, as the registry lists them and in its order, without those outside the grammar (S5.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagList {
    text: String,
    ends: Vec<u32>,
    /// How many tags were left out because they are outside the grammar (S5.4).
    pub dropped: usize,
    /// The registry's mark of this state of the list, where it gives one and the list is one page.
    pub etag: Option<String>,
}

impl TagList {
    /// How many tags there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The tags in the registry's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.ends.len()).map(|index| self.at(index))
    }

    /// Whether this tag is there.
    #[must_use]
    pub fn contains(&self, tag: &str) -> bool {
        self.iter().any(|known| known == tag)
    }

    fn at(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[index] as usize]
    }

    /// The last tag, which names the place in a chain of pages.
    pub(super) fn last(&self) -> Option<&str> {
        self.ends.len().checked_sub(1).map(|index| self.at(index))
    }

    /// Adds a tag, or counts it as dropped where it is outside the grammar (S5.4).
    pub(super) fn push(&mut self, tag: &str) {
        if is_tag(tag) {
            self.text.push_str(tag);
            // At most 100,000 tags of 128 bytes.
            self.ends.push(self.text.len() as u32);
        } else {
            self.dropped += 1;
        }
    }

    /// How much memory its text takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<u32>()
    }

    /// Gives back what growing left over.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

impl<S: AsRef<str>> FromIterator<S> for TagList {
    fn from_iter<I: IntoIterator<Item = S>>(tags: I) -> Self {
        let mut list = Self::default();
        tags.into_iter().for_each(|tag| list.push(tag.as_ref()));
        list
    }
}

/// Why a page was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageError {
    Malformed(String),
    TooMany,
}

/// Adds the tags of one page, a JSON object with a `tags` list that may be null, to the list.
///
/// # Errors
/// Where the page is nothing such, or the list would exceed its limit.
pub(super) fn read_page(body: &[u8], list: &mut TagList) -> Result<(), PageError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let page = Page { list };
    match page.deserialize(&mut deserializer).and_then(|found| deserializer.end().map(|()| found)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(PageError::Malformed("it has no `tags`".into())),
        Err(_) if list.len() + list.dropped > limits::TAGS => Err(PageError::TooMany),
        Err(error) => Err(PageError::Malformed(super::error::printable(&error.to_string(), 200))),
    }
}

struct Page<'a> {
    list: &'a mut TagList,
}

impl<'de> DeserializeSeed<'de> for Page<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Page<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `tags`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Field {
            Tags,
            #[serde(other)]
            Other,
        }
        let mut found = false;
        while let Some(field) = map.next_key()? {
            match field {
                Field::Tags => {
                    map.next_value_seed(Tags { list: &mut *self.list })?;
                    found = true;
                }
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

struct Tags<'a> {
    list: &'a mut TagList,
}

impl<'de> DeserializeSeed<'de> for Tags<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tags<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tags")
    }

    // Go writes an empty list as null.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Tag { list: &mut *self.list })?.is_some() {
            if self.list.len() + self.list.dropped > limits::TAGS {
                return Err(serde::de::Error::custom("too many tags"));
            }
        }
        Ok(())
    }
}

struct Tag<'a> {
    list: &'a mut TagList,
}

impl<'de> DeserializeSeed<'de> for Tag<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Tag<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag")
    }

    fn visit_str<E>(self, tag: &str) -> Result<(), E> {
        self.list.push(tag);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<TagList, PageError> {
        let mut list = TagList::default();
        read_page(body.as_bytes(), &mut list).map(|()| list)
    }

    #[test]
    fn pages_are_read() {
        let list = read(r#"{"name":"a","tags":["1","v1.2.3","x"]}"#).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["1", "v1.2.3", "x"]);
        assert!(list.contains("x") && !list.contains("y"));
        assert_eq!(list.last(), Some("x"));
        assert!(read(r#"{"name":"a","tags":null}"#).unwrap().is_empty());
        assert!(read(r#"{"tags":[],"manifest":{"x":[1,{}]}}"#).unwrap().is_empty());
    }

    #[test]
    fn tags_outside_the_grammar_are_dropped_and_counted_s5_4() {
        let list = read(r#"{"tags":["1","-x","a b","\u001b[31m","ok","","é","a/b"]}"#).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["1", "ok"]);
        assert_eq!(list.dropped, 6);
    }

    #[test]
    fn what_is_no_page_is_said() {
        for body in
            ["", "<html>", "{}", r#"{"tags":{"a":1}}"#, r#"{"tags":["a""#, r#"{"tags":[1]}"#, "[]", r#"{"tags":[]} x"#]
        {
            assert!(matches!(read(body), Err(PageError::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn a_list_is_bounded() {
        let tags = vec!["\"1\""; limits::TAGS];
        assert_eq!(read(&format!("{{\"tags\":[{}]}}", tags.join(","))).unwrap().len(), limits::TAGS);
        assert_eq!(read(&format!("{{\"tags\":[{},\"-\"]}}", tags.join(","))), Err(PageError::TooMany));
    }
}
