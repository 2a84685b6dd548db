//! One request and its answer: the only place that builds HTTP clients.
//!
//! Owns connections, TLS, redirects and the size of answers. Knows nothing of registries, tokens or retries.
//! Invariants: every URL passes the address guard before it is asked; plain HTTP goes only to loopback and to hosts
//! that are configured so; an `Authorization` header never survives a redirect to another origin; no body is held that
//! is larger than its limit.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Certificate, Client, Method, Request, StatusCode, redirect};
use tokio::time::Instant;
use url::Url;

use super::error::{innermost, printable};
use super::guard::{Guard, GuardedResolver, Refusal, is_loopback};
use super::options::RegistryOptions;

/// How many redirects one request follows.
const MAX_REDIRECTS: usize = 5;

/// How much of an answer that says no is read, for its message.
const MAX_REFUSAL_BODY: usize = 8 << 10;

/// One request. The headers may hold an `Authorization` that is meant for the URL's origin.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    /// The most bytes the answer may have.
    pub(super) limit: usize,
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether the answer came over TLS, all the way.
    pub(super) secure: bool,
}

impl Reply {
    /// A header as text; empty where it is missing or no text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TransportError {
    /// No connection.
    Connect(String),
    /// Silence for longer than the limit.
    TimedOut(Duration),
    /// The connection ended, or the answer is no HTTP.
    Cut(String),
    /// The body is larger than its limit.
    TooLarge,
    /// The guard or the rule about plain HTTP said no.
    Refused(String),
    /// A CA file cannot be used.
    Configuration(String),
}

/// The connections to all hosts.
pub(super) struct Transport {
    guard: Arc<Guard>,
    user_agent: String,
    connect_timeout: Duration,
    idle_timeout: Duration,
    proxy: bool,
    /// Authorities that may be asked in plain HTTP, besides loopback.
    insecure: BTreeSet<String>,
    /// CA files by authority.
    authorities: HashMap<String, PathBuf>,
    requests: AtomicU64,
    // Loading the system's root certificates costs more than a hundred requests, so each client is built when it is
    // first needed.
    loopback: OnceLock<Client>,
    plain: OnceLock<Client>,
    system: OnceLock<Client>,
    private: Mutex<HashMap<PathBuf, Client>>,
}

/// Host and port of a URL, as the configuration names hosts: the port only where it is not the scheme's own.
pub(super) fn authority(url: &Url) -> String {
    match (url.host_str().unwrap_or_default(), url.port()) {
        (host, None) => host.to_owned(),
        (host, Some(port)) => format!("{host}:{port}"),
    }
}

/// The name of a host as [`authority`] writes it: URLs drop their scheme's own port.
fn without_port(name: &str, port: u16) -> String {
    name.strip_suffix(&format!(":{port}")).unwrap_or(name).to_owned()
}

impl Transport {
    pub(super) fn new(options: &RegistryOptions) -> Self {
        // rustls refuses to choose between providers; whoever comes first chooses, and a second choice is no error.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mirrors = options.hosts.values().filter_map(|host| host.mirror.as_ref()?.host_str());
        let allowed = options.allowed_private.iter().map(String::as_str).chain(mirrors);
        let named = options.hosts.iter();
        let guard = Guard {
            allow_private: options.allow_private,
            allowed: allowed.map(|host| host.trim_matches(['[', ']']).to_ascii_lowercase()).collect(),
        };
        Self {
            guard: Arc::new(guard),
            user_agent: options.user_agent.clone(),
            connect_timeout: options.connect_timeout,
            idle_timeout: options.idle_timeout,
            proxy: options.proxy,
            insecure: named.clone().filter(|(_, host)| host.insecure).map(|(name, _)| without_port(name, 80)).collect(),
            authorities: named.filter_map(|(name, host)| Some((without_port(name, 443), host.ca.clone()?))).collect(),
            requests: AtomicU64::new(0),
            loopback: OnceLock::new(),
            plain: OnceLock::new(),
            system: OnceLock::new(),
            private: Mutex::default(),
        }
    }

    /// How many requests were sent so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether plain HTTP may be spoken with the URL's host.
    pub(super) fn may_be_plain(&self, url: &Url) -> bool {
        is_loopback(url) || self.insecure.contains(&authority(url))
    }

    /// Sends a request, follows its redirects and reads the answer.
    ///
    /// # Errors
    /// Where there is no complete answer within the limits. An answer that says no is an answer.
    pub(super) async fn send(&self, request: Outgoing) -> Result<Reply, TransportError> {
        let Outgoing { method, mut url, mut headers, mut body, limit } = request;
        let mut secure = true;
        for _ in 0..=MAX_REDIRECTS {
            secure &= url.scheme() == "https";
            self.check(&url)?;
            let mut request = Request::new(method.clone(), url.clone());
            *request.headers_mut() = headers.clone();
            *request.body_mut() = body.take().map(Into::into);
            self.requests.fetch_add(1, Ordering::Relaxed);
            let started = Instant::now();
            let answer = self.client(&url)?.execute(request).await.map_err(|error| self.classify(error));
            log(&method, &url, &answer, started);
            let answer = answer?;
            let Some(next) = redirect_target(&url, answer.status(), answer.headers())? else {
                return self.read(answer, &method, limit, secure).await;
            };
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(TransportError::Refused(format!(
                    "a redirect leads from TLS to plain HTTP (`{}`), which is not followed",
                    printable(&authority(&next), 100)
                )));
            }
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
            }
            url = next;
        }
        Err(TransportError::Refused(format!("more than {MAX_REDIRECTS} redirects in a row")))
    }

    fn check(&self, url: &Url) -> Result<(), TransportError> {
        match url.scheme() {
            "https" => {}
            "http" if self.may_be_plain(url) => {}
            _ => {
                return Err(TransportError::Refused(format!(
                    "`{}` would be asked without TLS; set `insecure: true` for it in `registries` if that is meant",
                    printable(&authority(url), 100)
                )));
            }
        }
        self.guard.check(url).map_err(|refusal| TransportError::Refused(refusal.to_string()))
    }

    async fn read(
        &self,
        mut answer: reqwest::Response,
        method: &Method,
        limit: usize,
        secure: bool,
    ) -> Result<Reply, TransportError> {
        let status = answer.status();
        let is_refusal = !status.is_success();
        let limit = if is_refusal { MAX_REFUSAL_BODY } else { limit };
        let announced = answer.content_length();
        let mut reply = Reply { status, headers: std::mem::take(answer.headers_mut()), body: Bytes::new(), secure };
        if *method == Method::HEAD {
            return Ok(reply);
        }
        if !is_refusal && announced.is_some_and(|length| length > limit as u64) {
            return Err(TransportError::TooLarge);
        }
        let mut collected = BytesMut::new();
        loop {
            let chunk = match answer.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) if is_refusal => break,
                Err(error) => return Err(self.classify(error)),
            };
            if collected.len() + chunk.len() > limit {
                if is_refusal {
                    break;
                }
                return Err(TransportError::TooLarge);
            }
            // Most answers are one chunk, which need not be copied.
            if collected.is_empty() && announced == Some(chunk.len() as u64) {
                reply.body = chunk;
                return Ok(reply);
            }
            collected.extend_from_slice(&chunk);
        }
        reply.body = collected.freeze();
        Ok(reply)
    }

    fn classify(&self, error: reqwest::Error) -> TransportError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                return TransportError::Refused(refusal.to_string());
            }
            cause = inner.source();
        }
        if error.is_connect() && error.is_timeout() {
            TransportError::TimedOut(self.connect_timeout)
        } else if error.is_timeout() {
            TransportError::TimedOut(self.idle_timeout)
        } else if error.is_connect() {
            TransportError::Connect(innermost(&error))
        } else {
            TransportError::Cut(innermost(&error))
        }
    }

    fn client(&self, url: &Url) -> Result<Client, TransportError> {
        if url.scheme() == "http" {
            return if is_loopback(url) {
                built_once(&self.loopback, || self.builder().no_proxy().tls_certs_only([]))
            } else {
                built_once(&self.plain, || self.builder().tls_certs_only([]))
            };
        }
        let Some(path) = self.authorities.get(&authority(url)) else {
            return built_once(&self.system, || self.builder());
        };
        let mut clients = self.private.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(path) {
            return Ok(client.clone());
        }
        let mut builder = self.builder().tls_certs_merge(read_certificates(path)?);
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        let client = build(builder)?;
        clients.insert(path.clone(), client.clone());
        Ok(client)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place: guard, limits and redirects are set here")]
    fn builder(&self) -> reqwest::ClientBuilder {
        let builder = Client::builder()
            .user_agent(&self.user_agent)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .dns_resolver(GuardedResolver(Arc::clone(&self.guard)))
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.idle_timeout)
            .pool_max_idle_per_host(32)
            .pool_idle_timeout(Duration::from_secs(60));
        if self.proxy { builder } else { builder.no_proxy() }
    }
}

fn built_once(
    slot: &OnceLock<Client>,
    builder: impl FnOnce() -> reqwest::ClientBuilder,
) -> Result<Client, TransportError> {
    if let Some(client) = slot.get() {
        return Ok(client.clone());
    }
    let client = build(builder())?;
    Ok(slot.get_or_init(|| client).clone())
}

fn build(builder: reqwest::ClientBuilder) -> Result<Client, TransportError> {
    builder
        .build()
        .map_err(|error| TransportError::Configuration(format!("TLS could not be set up: {}", innermost(&error))))
}

fn read_certificates(path: &Path) -> Result<Vec<Certificate>, TransportError> {
    let shown = path.display();
    let text = std::fs::read(path)
        .map_err(|error| TransportError::Configuration(format!("the CA file `{shown}` could not be read: {error}")))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TransportError::Configuration(format!("the CA file `{shown}` holds no certificate in PEM form"))),
    }
}

/// Logs a request without its query, which may be a signature of a redirect, and without any header.
fn log(method: &Method, url: &Url, answer: &Result<reqwest::Response, TransportError>, started: Instant) {
    let (host, path) = (authority(url), url.path());
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answer {
        Ok(answer) => tracing::debug!(%method, host, path, status = answer.status().as_u16(), elapsed_ms, "asked"),
        Err(error) => tracing::debug!(%method, host, path, ?error, elapsed_ms, "asked in vain"),
    }
}

/// Where an answer sends us, if it does.
fn redirect_target(url: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, TransportError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else { return Ok(None) };
    let target = location.to_str().ok().and_then(|text| url.join(text).ok());
    let Some(mut target) = target else {
        return Err(TransportError::Refused("a redirect leads to an address that cannot be read".into()));
    };
    // A user name and password in an address would become an `Authorization` header.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Ok(Some(target))
}
