//! Reads the list of tags page by page.
//!
//! Invariants: the chain of pages is bounded and never read twice; a list is whole or an error.

use std::collections::HashSet;

use reqwest::header::LINK;
use reqwest::{Method, StatusCode};
use url::Url;

use super::error::{Part, RegistryErrorKind as Kind};
use super::link;
use super::options::limits;
use super::question::{Call, Question};
use super::tags::{PageError, TagList, read_page};
use super::transport::Reply;

/// The answer to a question for tags that knows an earlier answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// The list is as it was when the ETag was given.
    Unchanged,
    /// The list as it is now.
    Tags(TagList),
}

/// Reads all pages of the list.
pub(super) async fn list_tags(question: &mut Question<'_>, etag: Option<&str>) -> Result<Listing, Kind> {
    let mut list = TagList::default();
    let mut seen = HashSet::new();
    let (mut url, reply) = first_page(question, etag).await?;
    if etag.is_some() && reply.status == StatusCode::NOT_MODIFIED {
        return Ok(Listing::Unchanged);
    }
    let given = reply.header("etag");
    let given = (!given.is_empty() && given.len() <= 256).then(|| given.to_owned());
    let mut next = add_page(&url, &reply, &mut list)?;
    if next.is_none() {
        list.etag = given;
    }
    while let Some(target) = next {
        let before = list.len() + list.dropped;
        let last = list.last().map(ToOwned::to_owned);
        if seen.is_empty() {
            seen.insert(url.to_string());
        }
        if !seen.insert(target.to_string()) {
            return Err(Kind::Paging { reason: "a page leads back to one that was read".into() });
        }
        if seen.len() > limits::PAGES {
            return Err(Kind::Paging { reason: format!("it has more than {} pages", limits::PAGES) });
        }
        url = target;
        let reply = question.call(&tags_call(url.clone(), None)).await?;
        next = add_page(&url, &reply, &mut list)?;
        if next.is_some() && list.len() + list.dropped > before && list.last().map(ToOwned::to_owned) == last {
            return Err(Kind::Paging { reason: "two pages end with the same tag".into() });
        }
    }
    list.shrink();
    Ok(Listing::Tags(list))
}

/// The first page, in the largest size that the host takes.
async fn first_page(question: &mut Question<'_>, etag: Option<&str>) -> Result<(Url, Reply), Kind> {
    let before = question.host.page_size();
    loop {
        let size = question.host.page_size();
        let mut url = question.address("tags/list");
        if let Some(size) = size {
            url.set_query(Some(&format!("n={size}")));
        }
        match question.call(&tags_call(url.clone(), etag)).await {
            Ok(reply) => return Ok((url, reply)),
            Err(Kind::Unexpected { status: 400 | 413 | 414 | 416 | 422, .. }) if question.host.shrink_page(size) => {}
            Err(error) => {
                // It was not the size that was refused.
                question.host.restore_page(before);
                return Err(error);
            }
        }
    }
}

fn tags_call(url: Url, etag: Option<&str>) -> Call<'_> {
    Call { method: Method::GET, url, accept: None, etag, part: Part::Tags, limit: limits::TAGS_PAGE }
}

/// Adds a page to the list: where the next one is.
fn add_page(url: &Url, reply: &Reply, list: &mut TagList) -> Result<Option<Url>, Kind> {
    read_page(&reply.body, list).map_err(|error| match error {
        PageError::Malformed(reason) => Kind::Malformed { what: Part::Tags, reason },
        PageError::TooMany => Kind::TooManyTags { limit: limits::TAGS },
    })?;
    let mut links = reply.headers.get_all(LINK).iter();
    let Some(target) = links.find_map(|value| link::next(value.to_str().ok()?)) else { return Ok(None) };
    link::resolve(url, target).map(Some).map_err(|error| Kind::Paging { reason: error.to_string() })
}
