//! One request to a forge and its answer: the HTTP policy that all forges share.
//!
//! Owns connections, time limits, the size of answers, redirects, where the token goes, and what an answer that says no
//! means ([`refusal`]). Knows no forge's paths or fields. Never repeats a request and never sleeps: who asked puts the
//! work off ([`ForgeError::put_off`]).
//!
//! Invariants: the token goes to the configured address only, never along a redirect to another origin, never into an
//! error or a log; plain HTTP is spoken with this machine only, unless the configuration says otherwise; no answer is
//! held that is larger than its limit; a request that writes is sent once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Method, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::{Host, Url};

use super::{Answer, ErrorKind, ForgeError};
use crate::server::metrics;

/// How many redirects one request follows.
const MAX_REDIRECTS: usize = 3;

/// How much of an answer that says no is read, for its message.
const MAX_REFUSAL: usize = 16 << 10;

/// The longest message of a forge that is passed on, in characters.
const MAX_MESSAGE: usize = 300;

/// The longest time that a forge can put us off with one answer.
const MAX_PUT_OFF: Duration = Duration::from_secs(24 * 60 * 60);

/// How a forge is reached.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Its address as people open it, such as `https://gitea.example.com` or `https://example.com/gitea`.
    pub url: Url,
    /// The header that the token goes into, and what stands before it there.
    pub token_header: (HeaderName, &'static str),
    /// The token.
    pub token: SecretString,
    /// Whether plain HTTP may be spoken with another machine.
    pub insecure: bool,
    /// A file with the certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a whole call may take, with its redirects.
    pub timeout: Duration,
    /// How many calls run at once.
    pub concurrency: usize,
    /// Told of every request; [`Metered`] outside of tests.
    pub observer: Arc<dyn Observer>,
    /// The time, for putting off.
    pub clock: fn() -> Timestamp,
}

impl HttpOptions {
    /// The usual limits for the forge at `url`, with its token in `Authorization`.
    #[must_use]
    pub fn new(url: Url, token: SecretString) -> Self {
        Self {
            url,
            token_header: (AUTHORIZATION, "token "),
            token,
            insecure: false,
            ca: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            concurrency: 8,
            observer: Arc::new(Metered),
            clock: crate::clock::now,
        }
    }
}

/// One request that was sent, and what came of it.
#[derive(Debug)]
pub struct Sent<'a> {
    /// The forge's host.
    pub host: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The kind of call, without names or numbers: `repos/pulls`.
    pub route: &'static str,
    /// The status; none where no answer came.
    pub status: Option<u16>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Is told of every request, for metrics and for tests that count.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// A request was answered, or failed.
    fn sent(&self, sent: &Sent<'_>);
}

/// Counts requests and their time as metrics.
#[derive(Debug)]
pub struct Metered;

impl Observer for Metered {
    fn sent(&self, sent: &Sent<'_>) {
        metrics::call(metrics::Service::Forge, sent.host, sent.status, sent.elapsed);
    }
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The method; only `GET` is taken to change nothing.
    pub method: Method,
    /// The kind of call, without names or numbers.
    pub route: &'static str,
    /// The path below the forge's address, one segment each, not encoded.
    pub path: Vec<&'a str>,
    /// The query, not encoded.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<serde_json::Value>,
    /// The most bytes the answer may have.
    pub limit: usize,
    /// What is being done to what, for errors: `read acme/fleet`.
    pub what: String,
}

impl<'a> Call<'a> {
    /// A call with the usual limit of 8 MiB.
    #[must_use]
    pub fn new(method: Method, route: &'static str, path: Vec<&'a str>, what: String) -> Self {
        Self { method, route, path, query: Vec::new(), body: None, limit: 8 << 20, what }
    }

    /// With one more parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body);
        self
    }
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, cut where it says no and is long.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header that holds a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    }
}

/// The connections to one forge, with one token.
#[derive(Debug)]
pub struct Http {
    client: Client,
    base: Url,
    host: String,
    token_header: HeaderName,
    token: HeaderValue,
    secret: SecretString,
    places: Semaphore,
    timeout: Duration,
    observer: Arc<dyn Observer>,
    clock: fn() -> Timestamp,
}

impl Http {
    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    /// Where the address is none of HTTP, or plain HTTP to another machine without being allowed, where the token cannot
    /// stand in a header, or a file of certificates cannot be read. All are [`ErrorKind::Invalid`].
    pub fn new(options: HttpOptions) -> Answer<Self> {
        let host = host_of(&options.url);
        let refuse = |message: String| ForgeError {
            kind: ErrorKind::Invalid,
            what: "reach the forge".into(),
            host: host.clone(),
            message,
        };
        check_scheme(&options.url, options.insecure).map_err(refuse)?;
        let mut base = options.url.clone();
        // What stands before the host would be sent as a password, and a query or fragment has no place before a path.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.set_fragment(None);
        let (token_header, prefix) = options.token_header;
        let mut token =
            HeaderValue::from_str(&format!("{prefix}{}", options.token.expose_secret().trim())).map_err(|_| {
                refuse("the token holds characters that no token has; check the file it is read from".into())
            })?;
        token.set_sensitive(true);
        let client = client(&options.url, options.connect_timeout, options.timeout, options.ca).map_err(refuse)?;
        Ok(Self {
            client,
            base,
            host,
            token_header,
            token,
            secret: options.token,
            places: Semaphore::new(options.concurrency.max(1)),
            timeout: options.timeout,
            observer: options.observer,
            clock: options.clock,
        })
    }

    /// The forge's host, with its port where that is not the scheme's own.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The forge's address.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &SecretString {
        &self.secret
    }

    /// An address below the forge's own; none where a segment is empty or walks (`..`).
    #[must_use]
    pub fn address(&self, path: &[&str]) -> Option<Url> {
        if path.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return None;
        }
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(path);
        Some(url)
    }

    /// An error of this forge.
    #[must_use]
    pub fn error(&self, kind: ErrorKind, what: &str, message: impl Into<String>) -> ForgeError {
        ForgeError { kind, what: what.to_owned(), host: self.host.clone(), message: message.into() }
    }

    /// Sends a call and reads its answer as JSON.
    ///
    /// # Errors
    /// As for [`Http::send`]; [`ErrorKind::Protocol`] where the answer is not what it should be.
    pub async fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Answer<T> {
        let reply = self.send(call).await?;
        self.parse(&call.what, &reply)
    }

    /// Reads an answer as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] where it is not what it should be, with the place.
    pub fn parse<T: DeserializeOwned>(&self, what: &str, reply: &Reply) -> Answer<T> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            // The message of the parser may quote the answer, which is others' text.
            let message = format!("the answer cannot be read: {}", printable(&error.to_string(), MAX_MESSAGE));
            self.error(ErrorKind::Protocol, what, message)
        })
    }

    /// Sends a call; what comes back says yes.
    ///
    /// # Errors
    /// Where there is no answer within the limits, or it says no ([`refusal`]).
    pub async fn send(&self, call: &Call<'_>) -> Answer<Reply> {
        let reply = self.ask(call).await?;
        if reply.status.is_success() {
            return Ok(reply);
        }
        let (kind, message) = self.refusal(&reply);
        Err(self.error(kind, &call.what, message))
    }

    /// What an answer that says no means, without the token that it may repeat.
    #[must_use]
    pub fn refusal(&self, reply: &Reply) -> (ErrorKind, String) {
        let (kind, message) = refusal(reply.status, &reply.headers, &reply.body, (self.clock)());
        (kind, self.without_token(message))
    }

    /// Sends a call; what comes back may say no, for callers that tell one no from another.
    ///
    /// # Errors
    /// Where there is no complete answer within the limits.
    pub async fn ask(&self, call: &Call<'_>) -> Answer<Reply> {
        let fail = |kind, message: String| self.error(kind, &call.what, self.without_token(message));
        let Ok(_place) = self.places.acquire().await else {
            return Err(fail(ErrorKind::Unavailable, "the program is ending".into()));
        };
        match tokio::time::timeout(self.timeout, self.follow(call)).await {
            Ok(answer) => answer.map_err(|(kind, message)| fail(kind, message)),
            Err(_) => Err(fail(ErrorKind::Unavailable, format!("no answer within {} s", self.timeout.as_secs_f32()))),
        }
    }

    fn without_token(&self, message: String) -> String {
        let secret = self.secret.expose_secret().trim();
        if secret.is_empty() { message } else { message.replace(secret, "***") }
    }

    async fn follow(&self, call: &Call<'_>) -> Result<Reply, (ErrorKind, String)> {
        let Some(mut url) = self.address(&call.path) else {
            return Err((ErrorKind::Invalid, "a name in it is empty, `.` or `..`".into()));
        };
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        for _ in 0..=MAX_REDIRECTS {
            let reply = self.once(call, &url).await?;
            let Some(next) = redirect_target(&url, reply.status, &reply.headers, call.method == Method::GET) else {
                return Ok(reply);
            };
            url = next?;
        }
        Err((ErrorKind::Protocol, format!("more than {MAX_REDIRECTS} redirects in a row")))
    }

    async fn once(&self, call: &Call<'_>, url: &Url) -> Result<Reply, (ErrorKind, String)> {
        let mut request = self
            .client
            .request(call.method.clone(), url.clone())
            .header(&self.token_header, &self.token)
            .header("accept", "application/json");
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let started = Instant::now();
        let mut answer = Unanswered { http: self, call, started, status: None };
        let response = request.send().await.map_err(|error| {
            let message = transport_message(&error);
            // The only error of sending that is about what was answered, and the one place that tells is its text.
            let is_junk = message.ends_with(" parsed") || message.ends_with("too large");
            (if is_junk { ErrorKind::Protocol } else { ErrorKind::Unavailable }, message)
        })?;
        answer.status = Some(response.status().as_u16());
        read(response, call.limit).await
    }
}

/// Tells the observer and the log of a request when it ends, also where it is given up.
struct Unanswered<'a> {
    http: &'a Http,
    call: &'a Call<'a>,
    started: Instant,
    status: Option<u16>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let (host, elapsed) = (self.http.host.as_str(), self.started.elapsed());
        let (method, route, status) = (&self.call.method, self.call.route, self.status);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(%method, host, route, status, elapsed_ms, "asked the forge");
        self.http.observer.sent(&Sent { host, method, route, status, elapsed });
    }
}

async fn read(mut response: reqwest::Response, limit: usize) -> Result<Reply, (ErrorKind, String)> {
    let status = response.status();
    let is_refusal = !status.is_success();
    let too_large = || (ErrorKind::Protocol, format!("the answer is larger than {limit} bytes"));
    if !is_refusal && response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let limit = if is_refusal { MAX_REFUSAL } else { limit };
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                if is_refusal {
                    break;
                }
                return Err(too_large());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(_) if is_refusal => break,
            Err(error) if error.is_timeout() => return Err((ErrorKind::Unavailable, transport_message(&error))),
            Err(error) => {
                let message = format!("the answer ended early: {}", transport_message(&error));
                return Err((ErrorKind::Protocol, message));
            }
        }
    }
    Ok(Reply { status, headers, body })
}

/// Where an answer sends us, if it does. A request that writes goes on only where the answer says that nothing was done
/// and the same is to be sent again (307, 308).
fn redirect_target(
    url: &Url,
    status: StatusCode,
    headers: &HeaderMap,
    reads: bool,
) -> Option<Result<Url, (ErrorKind, String)>> {
    let may_follow = match status.as_u16() {
        307 | 308 => true,
        301..=303 => reads,
        _ => return None,
    };
    let target = headers.get(LOCATION).and_then(|value| value.to_str().ok()).and_then(|text| url.join(text).ok());
    Some(match target {
        None => Err((ErrorKind::Protocol, "a redirect leads to an address that cannot be read".into())),
        Some(target) if target.origin() != url.origin() => {
            let host = printable(&host_of(&target), 100);
            let message = format!(
                "a redirect leads to another host (`{host}`), where the token must not go; set the forge's `url` to the \
                 address that it calls its own"
            );
            Err((ErrorKind::Protocol, message))
        }
        Some(_) if !may_follow => {
            Err((ErrorKind::Conflict, "it has moved, such as by a new name; read it again before it is changed".into()))
        }
        Some(mut target) => {
            let _ = target.set_username("");
            let _ = target.set_password(None);
            Ok(target)
        }
    })
}

/// What an answer that says no means (C3.3 maps those to merging apart), and what the forge said, shortened. `now` is
/// for putting off.
#[must_use]
pub fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8], now: Timestamp) -> (ErrorKind, String) {
    let until = retry_at(headers, now);
    let limited = |until: Timestamp| ErrorKind::Limited { until };
    let minute = || now.saturating_add(Duration::from_secs(60)).unwrap_or(now);
    let kind = match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        403 => until.map_or(ErrorKind::Forbidden, limited),
        // 423: the repository is archived, or the conversation locked.
        423 | 451 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        400 | 405 | 406 | 411 | 413..=415 | 422 => ErrorKind::Invalid,
        429 => limited(until.unwrap_or_else(minute)),
        503 => until.map_or(ErrorKind::Unavailable, limited),
        408 | 425 | 500.. => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    };
    let said = said(body);
    let message =
        if said.is_empty() { format!("it answered {status}") } else { format!("{said} ({})", status.as_u16()) };
    (kind, message)
}

/// When a forge wants to be asked again, where it says so: `Retry-After` in seconds or as a date, or the end of the
/// window whose requests are all used. Between one second and one day from `now`.
fn retry_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let after = |seconds: u64| now.saturating_add(Duration::from_secs(seconds).min(MAX_PUT_OFF)).ok();
    let asked = text("retry-after").and_then(|value| match value.parse() {
        Ok(seconds) => after(seconds),
        Err(_) => jiff::fmt::rfc2822::parse(value).ok().map(|date| date.timestamp()),
    });
    let used_up = || {
        let left = text("x-ratelimit-remaining").or_else(|| text("ratelimit-remaining"))?;
        let reset = text("x-ratelimit-reset").or_else(|| text("ratelimit-reset"))?;
        (left == "0").then_some(())?;
        Timestamp::from_second(reset.parse().ok()?).ok()
    };
    let (first, last) = (after(1)?, after(MAX_PUT_OFF.as_secs())?);
    Some(asked.or_else(used_up)?.clamp(first, last))
}

/// What the body of an answer that says no says: its `message`, else its `error`, else its text where it is no page.
fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        #[serde(default)]
        message: serde_json::Value,
        #[serde(default)]
        error: serde_json::Value,
    }
    let text = match serde_json::from_slice::<Said>(body) {
        Ok(Said { message, error }) => {
            let words = [message, error].into_iter().find_map(|value| match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => (!text.is_empty()).then_some(text),
                other => Some(other.to_string()),
            });
            words.unwrap_or_default()
        }
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            if text.trim_start().starts_with('<') { String::new() } else { text.into_owned() }
        }
    };
    printable(text.trim(), MAX_MESSAGE)
}

/// Text of others on one line: control characters as spaces, cut with an ellipsis after `limit` characters.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    let mut line: String = text.chars().take(limit + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((at, _)) = line.char_indices().nth(limit) {
        line.truncate(at);
        line.push('…');
    }
    line
}

/// Host and port of a URL, the port only where it is not the scheme's own.
#[must_use]
pub fn host_of(url: &Url) -> String {
    match (url.host_str().unwrap_or_default(), url.port()) {
        (host, None) => host.to_owned(),
        (host, Some(port)) => format!("{host}:{port}"),
    }
}

/// Whether the forge is this machine, where plain HTTP cannot be overheard.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Refuses what the token must not be sent over. The error says what to do.
pub(super) fn check_scheme(url: &Url, insecure: bool) -> Result<(), String> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if insecure || is_loopback(url) => Ok(()),
        "http" => {
            Err("the token would be sent without TLS; use `https`, or set `insecure: true` for this forge if that is \
                       meant"
                .into())
        }
        other => Err(format!("`{}` is no address that can be asked, which begin with `https`", printable(other, 20))),
    }
}

fn client(url: &Url, connect: Duration, total: Duration, ca: Option<PathBuf>) -> Result<Client, String> {
    // rustls refuses to choose between providers; whoever comes first chooses, and a second choice is no error.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place for forges: limits and redirects are set here"
    )]
    let mut builder = Client::builder()
        .user_agent(concat!("leadsman/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(connect)
        .read_timeout(total)
        .pool_idle_timeout(Duration::from_secs(60));
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if url.scheme() == "http" {
        // Reading the system's certificates takes longer than a hundred requests.
        builder = builder.tls_certs_only([]);
    } else if let Some(path) = ca {
        builder = builder.tls_certs_merge(certificates(&path)?);
    }
    builder.build().map_err(|error| format!("TLS could not be set up: {}", transport_message(&error)))
}

/// Reads a file of certificates.
pub(super) fn certificates(path: &std::path::Path) -> Result<Vec<Certificate>, String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("the CA file `{shown}` could not be read: {error}"))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("the CA file `{shown}` holds no certificate in PEM form")),
    }
}

/// The innermost reason of a failed request, which names no address: paths may hold names of private repositories.
fn transport_message(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let place = if error.is_connect() { "no connection: " } else { "" };
    format!("{place}{}", printable(&cause.to_string(), MAX_MESSAGE))
}
