//! Asks a host about itself, for `leadsman doctor`.

use reqwest::Method;
use url::Url;

use super::auth::Auth;
use super::error::{Part, RegistryErrorKind as Kind};
use super::options::limits;
use super::question::{Call, Question};

/// What a registry's host says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCheck {
    /// The address that was asked.
    pub address: Url,
    /// How it wants to know who asks.
    pub authentication: Authentication,
    /// The user whose credentials it took; `None` where none were sent.
    pub user: Option<String>,
}

/// A host's way of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// It asks for nothing.
    Anonymous,
    /// User name and password.
    Basic,
    /// Tokens of a token server.
    Token,
}

/// Asks the API's root, which every registry has.
pub(super) async fn check(question: &mut Question<'_>) -> Result<HostCheck, Kind> {
    let mut address = question.host.base.clone();
    address.set_path("/v2/");
    let (url, method, part) = (address.clone(), Method::GET, Part::Root);
    let answer = question.call(&Call { method, url, accept: None, etag: None, part, limit: limits::ROOT }).await;
    let credentials = question.host.credentials.get().and_then(|found| found.as_ref().ok()?.as_ref());
    match answer {
        Ok(_) => {}
        // A registry that lets nobody see its root without a name is a registry, and may still have public images.
        Err(Kind::Denied { .. }) if credentials.is_none() && question.host.auth().is_some() => {}
        Err(error) => return Err(error),
    }
    let (authentication, sent) = match question.host.auth().as_deref() {
        None | Some(Auth::Anonymous) => (Authentication::Anonymous, false),
        Some(Auth::Basic) => (Authentication::Basic, true),
        Some(Auth::Bearer { trusted, .. }) => (Authentication::Token, *trusted),
    };
    let user = credentials.filter(|_| sent).map(|credentials| credentials.username.clone());
    Ok(HostCheck { address, authentication, user })
}
