//! How a host wants to know who is asking: nothing, basic, or tokens from a realm (distribution's token flow).
//!
//! Invariants: credentials go only to the host they are for, and to the realm that this host named in a 401 over
//! verified TLS or from this machine; nothing secret is ever in an error or a log.

use std::time::Duration;

use base64::Engine;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::challenge::{self, Challenge};
use super::guard::is_loopback;
use super::options::{Credentials, limits};
use super::transport::{Outgoing, Reply, Transport, TransportError};

/// The user name by which docker's helpers mark an identity token.
const IDENTITY_TOKEN: &str = "<token>";

/// How long a token holds that does not say so.
const DEFAULT_LIFE: u64 = 60;

/// A host's way of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auth {
    /// Nothing is asked for.
    Anonymous,
    /// User name and password with each request.
    Basic,
    /// A token for each repository.
    Bearer {
        /// Where tokens are had.
        realm: Url,
        /// What the realm is told of who asks.
        service: Option<String>,
        /// Whether credentials may go to the realm.
        trusted: bool,
    },
}

/// A bearer token, ready to send.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    until: Instant,
}

impl Token {
    /// Whether it will still hold when a request with it arrives.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// Why there is no token.
pub(super) enum TokenError {
    /// The realm could not be asked.
    Transport(TransportError),
    /// The realm said no.
    Answer(Reply),
    /// The realm's answer holds no token.
    Malformed(String),
}

/// Reads the challenge of a 401. The scope is the one the host wants, if it named one.
///
/// # Errors
/// Where no challenge can be met; the text says what was offered.
pub(super) fn learn(reply: &Reply, base: &Url, transport: &Transport) -> Result<(Auth, Option<String>), String> {
    let headers = reply.headers.get_all(reqwest::header::WWW_AUTHENTICATE);
    let offered: Vec<Challenge> =
        headers.iter().filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect();
    if let Some(bearer) = offered.iter().find(|challenge| challenge.scheme == "bearer") {
        let realm = bearer.get("realm").and_then(|realm| Url::parse(realm).ok());
        let realm = realm.ok_or("it names no usable token server")?;
        let secure = realm.scheme() == "https" || transport.may_be_plain(&realm);
        let vouched = reply.secure || is_loopback(base) || realm.host() == base.host();
        let auth = Auth::Bearer { trusted: secure && vouched, realm, service: bearer.get("service").map(Into::into) };
        return Ok((auth, bearer.get("scope").filter(|scope| !scope.is_empty()).map(Into::into)));
    }
    if offered.iter().any(|challenge| challenge.scheme == "basic") {
        return Ok((Auth::Basic, None));
    }
    Err("it offers neither basic nor token authentication".into())
}

/// The header of basic authentication; `None` for what cannot be sent so.
pub(super) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credentials.username, credentials.password.expose_secret());
    sensitive(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Gets a token for a scope from a realm. Credentials are sent only where given.
///
/// # Errors
/// Where the realm gives none.
pub(super) async fn fetch_token(
    transport: &Transport,
    realm: &Url,
    service: Option<&str>,
    scope: &str,
    credentials: Option<&Credentials>,
) -> Result<Token, TokenError> {
    let asked_at = Instant::now();
    let reply = transport.send(request(realm, service, scope, credentials)).await.map_err(TokenError::Transport)?;
    if !reply.status.is_success() {
        return Err(TokenError::Answer(reply));
    }
    let answer: TokenAnswer = serde_json::from_slice(&reply.body)
        .map_err(|_| TokenError::Malformed("it is no JSON object with a token".into()))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    let header = token.and_then(|token| sensitive(&format!("Bearer {token}")));
    let header = header.ok_or_else(|| TokenError::Malformed("it holds no usable token".into()))?;
    // Renewed a little before it lapses, so that no request meets its end.
    let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE).min(24 * 3600));
    let margin = (life / 10).min(Duration::from_secs(10));
    Ok(Token { header, until: asked_at + (life - margin) })
}

fn request(realm: &Url, service: Option<&str>, scope: &str, credentials: Option<&Credentials>) -> Outgoing {
    let mut url = realm.clone();
    let mut headers = HeaderMap::new();
    let limit = limits::TOKEN;
    if let Some(token) = credentials.filter(|credentials| credentials.username == IDENTITY_TOKEN) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token.password.expose_secret())
            .append_pair("client_id", "leadsman");
        if !scope.is_empty() {
            form.append_pair("scope", scope);
        }
        if let Some(service) = service {
            form.append_pair("service", service);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        return Outgoing { method: Method::POST, url, headers, body: Some(form.finish()), limit };
    }
    if let Some(service) = service {
        url.query_pairs_mut().append_pair("service", service);
    }
    if !scope.is_empty() {
        url.query_pairs_mut().append_pair("scope", scope);
    }
    if let Some(credentials) = credentials {
        url.query_pairs_mut().append_pair("account", &credentials.username);
        headers.extend(basic(credentials).map(|value| (AUTHORIZATION, value)));
    }
    Outgoing { method: Method::GET, url, headers, body: None, limit }
}
