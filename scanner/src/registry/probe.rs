//! Asks a registry host whether it is there, how it wants to be asked, and what time it has: for people who look for
//! the reason of a fault.

use jiff::Timestamp;
use reqwest::Method;

use super::auth::Auth;
use super::error::{Part, RegistryErrorKind as Kind};
use super::options::limits;
use super::question::{self, Call};
use super::{Registry, retry};

/// How a host wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It asks for nothing.
    Open,
    /// User name and password.
    Basic,
    /// A token of its token server.
    Token,
}

/// What a host said when it was asked for nothing in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The host that was asked, which is the mirror's where one is configured.
    pub host: String,
    /// Whether TLS was spoken.
    pub secure: bool,
    /// How it wants to be asked; `None` where it answered before that was known.
    pub access: Option<Access>,
    /// Whether there are credentials for it, and they were asked for.
    pub has_credentials: bool,
    /// The time on its clock, to the second.
    pub date: Option<Timestamp>,
    /// The fault, where it did not let us in: it is there all the same if this is `Denied` or `NotFound`.
    pub error: Option<Kind>,
}

impl Registry {
    /// Asks for `/v2/` of the host, or of its mirror, with the credentials that its images would be asked with.
    ///
    /// # Errors
    /// Where the host's name or the address guard stands against asking at all.
    pub async fn probe(&self, host: &str) -> Result<Probe, Kind> {
        let (host, _) = self.endpoint(host)?;
        let answer = question::ask(&self.inner.shared, &host, "", None, async |question| {
            let mut url = question.host.base.clone();
            url.set_path("/v2/");
            let (part, limit) = (Part::Root, limits::ROOT);
            question.call(&Call { method: Method::GET, url, accept: None, etag: None, part, limit }).await
        });
        let answer = answer.await;
        let access = host.auth().map(|auth| match *auth {
            Auth::Anonymous => Access::Open,
            Auth::Basic => Access::Basic,
            Auth::Bearer { .. } => Access::Token,
        });
        Ok(Probe {
            host: host.name.clone(),
            secure: host.base.scheme() == "https",
            access,
            has_credentials: matches!(host.credentials.get(), Some(Ok(Some(_)))),
            date: answer.as_ref().ok().and_then(|reply| retry::http_date(reply.header("date"))),
            error: answer.err(),
        })
    }
}
