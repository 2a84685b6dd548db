//! One question about one image: waiting for its turn, authentication, retries and the time limit.
//!
//! A question may take several requests (pages, a manifest and its configuration). It holds one of the host's permits
//! for all of them, and its time runs from the moment it has that permit: to wait behind others is no fault of the
//! host.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::auth::{self, Auth, TokenError};
use super::credentials::DockerFile;
use super::error::{Part, RegistryErrorKind as Kind, server_message};
use super::host::Host;
use super::options::{Credentials, RegistryOptions};
use super::retry;
use super::transport::{Outgoing, Reply, Transport, TransportError};

/// What all questions share.
pub(super) struct Shared {
    pub(super) options: RegistryOptions,
    pub(super) transport: Transport,
    pub(super) docker: tokio::sync::OnceCell<Result<DockerFile, String>>,
}

/// One request of a question.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: Option<&'static str>,
    pub(super) etag: Option<&'a str>,
    pub(super) part: Part,
    pub(super) limit: usize,
}

/// A question under way.
pub(super) struct Question<'a> {
    shared: &'a Shared,
    pub(super) host: &'a Host,
    /// The repository on the host, with a mirror's path in front.
    repository: &'a str,
    deadline: Instant,
    /// Held by the host's first question until its authentication is known.
    first: Option<MutexGuard<'a, ()>>,
    /// A scope that the host asked for, where it is not the usual one.
    scope: Option<String>,
}

/// The time that several questions may take together, not counted while they wait for a permit.
pub(super) struct Budget(Mutex<Duration>);

impl Budget {
    pub(super) fn new(time: Duration) -> Self {
        Self(Mutex::new(time))
    }

    fn left(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spend(&self, time: Duration) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(time);
    }
}

/// Waits for a permit of the host, puts the question, and ends it at its time limit.
pub(super) async fn ask<T>(
    shared: &Shared,
    host: &Host,
    repository: &str,
    budget: Option<&Budget>,
    question: impl AsyncFnOnce(&mut Question<'_>) -> Result<T, Kind>,
) -> Result<T, Kind> {
    check_up(host)?;
    let _permit = host.permits.acquire().await.map_err(|_| down("its queue was closed".into()))?;
    check_up(host)?;
    let first = match host.auth() {
        Some(_) => None,
        None => {
            let guard = host.first.lock().await;
            check_up(host)?;
            host.auth().is_none().then_some(guard)
        }
    };
    let limit = budget.map_or(shared.options.timeout, |budget| budget.left().min(shared.options.timeout));
    let start = Instant::now();
    let deadline = start + limit;
    let mut state = Question { shared, host, repository, deadline, first, scope: None };
    let answer = tokio::time::timeout_at(deadline, question(&mut state)).await;
    if let Some(budget) = budget {
        budget.spend(start.elapsed());
    }
    match answer {
        Ok(result) => result,
        Err(_) => {
            // A host that lets questions run out of time is as good as down, even if it trickles.
            host.failed(&format!("no full answer within {} s", limit.as_secs_f32()));
            Err(Kind::TimedOut { limit: shared.options.timeout })
        }
    }
}

fn check_up(host: &Host) -> Result<(), Kind> {
    host.down().map_or(Ok(()), |reason| Err(down(reason)))
}

fn down(reason: String) -> Kind {
    Kind::HostDown { reason }
}

impl Question<'_> {
    /// The address of something in the repository: `kind` is `tags/list`, `manifests/<reference>` or `blobs/<digest>`.
    pub(super) fn address(&self, kind: &str) -> Url {
        let mut url = self.host.base.clone();
        url.set_path(&format!("/v2/{}/{kind}", self.repository));
        url
    }

    /// Sends a request until it is answered by a success, a 304, or a no that stays.
    ///
    /// # Errors
    /// For everything else.
    pub(super) async fn call(&mut self, call: &Call<'_>) -> Result<Reply, Kind> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.wait_for_turn().await?;
            let result = self.attempt(call).await;
            let error = match result {
                Ok(reply) if reply.status.is_success() || reply.status == StatusCode::NOT_MODIFIED => return Ok(reply),
                Ok(reply) => self.refusal(&reply, false),
                Err(error) => error,
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            let wait = match &error {
                _ if attempt >= self.shared.options.attempts => return Err(error),
                Kind::RateLimited { retry_after: Some(wait), .. } if *wait < left => *wait,
                Kind::RateLimited { retry_after: Some(_), .. } => return Err(error),
                Kind::RateLimited { .. }
                | Kind::Server { .. }
                | Kind::Connect { .. }
                | Kind::TimedOut { .. }
                | Kind::Cut { .. }
                | Kind::DigestMismatch { .. } => retry::backoff(attempt, (self.shared.options.jitter)()),
                _ => return Err(error),
            };
            check_up(self.host).map_err(|_| error.clone())?;
            if wait >= left {
                return Err(error);
            }
            if matches!(error, Kind::RateLimited { .. }) {
                // What it asks of one, it asks of all.
                self.host.hold(wait);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Waits while the host asked to be left alone, if that ends in time, and for the next turn of its rate.
    async fn wait_for_turn(&self) -> Result<(), Kind> {
        while let Some(until) = self.host.held_until() {
            if until >= self.deadline {
                let retry_after = Some(until.saturating_duration_since(Instant::now()));
                return Err(Kind::RateLimited { status: 429, retry_after, message: String::new() });
            }
            sleep_until(until).await;
        }
        if let Some(slot) = self.host.turn() {
            sleep_until(slot).await;
        }
        Ok(())
    }

    /// Sends the request once, and again where its authentication has to be learnt or renewed.
    async fn attempt(&mut self, call: &Call<'_>) -> Result<Reply, Kind> {
        let mut stale: Option<HeaderValue> = None;
        // Once unknowing, once with what was learnt, once with a new token.
        for round in 0..3 {
            let known = self.host.auth();
            let authorization = match known.as_deref() {
                None | Some(Auth::Anonymous) => None,
                Some(auth) => self.authorization(auth, stale.as_ref()).await?,
            };
            let reply = self.send(call, authorization.clone()).await?;
            if reply.status != StatusCode::UNAUTHORIZED {
                // A fault says nothing of what the host wants to know.
                if known.is_none() && !reply.status.is_server_error() && reply.status != StatusCode::TOO_MANY_REQUESTS {
                    self.host.learn(Auth::Anonymous);
                    self.first = None;
                }
                return Ok(reply);
            }
            let (learnt, scope) = match auth::learn(&reply, &self.host.base, &self.shared.transport) {
                Ok(learnt) => learnt,
                Err(reason) => return Err(denied(401, authorization.is_some(), reason)),
            };
            let same = known.as_deref() == Some(&learnt);
            let renewable = authorization.is_some() && matches!(learnt, Auth::Bearer { .. });
            self.scope = scope.filter(|scope| *scope != self.usual_scope()).or(self.scope.take());
            self.host.learn(learnt);
            self.first = None;
            if round == 2 || (same && !(renewable && stale.is_none())) {
                return Err(self.refusal(&reply, authorization.is_some()));
            }
            stale = authorization;
        }
        Err(denied(401, true, String::new()))
    }

    async fn send(&mut self, call: &Call<'_>, authorization: Option<HeaderValue>) -> Result<Reply, Kind> {
        let mut headers = HeaderMap::with_capacity(4);
        if let Some(accept) = call.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(etag) = call.etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_NONE_MATCH, etag);
        }
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        let (method, url) = (call.method.clone(), call.url.clone());
        let outgoing = Outgoing { method, url, headers, body: None, limit: call.limit };
        match self.shared.transport.send(outgoing).await {
            Ok(reply) => {
                self.host.answered();
                Ok(reply)
            }
            Err(error) => {
                let reachable = matches!(error, TransportError::Cut(_) | TransportError::TooLarge);
                let kind = transport_error(error, call.part, call.limit);
                if reachable {
                    self.host.answered();
                } else if matches!(kind, Kind::Connect { .. } | Kind::TimedOut { .. }) {
                    self.host.failed(&kind.to_string());
                }
                Err(kind)
            }
        }
    }

    /// The scope that pulling needs; none for the host itself.
    fn usual_scope(&self) -> String {
        if self.repository.is_empty() {
            return String::new();
        }
        format!("repository:{}:pull", self.repository)
    }

    /// The header to send; `stale` is a token that was just refused.
    async fn authorization(&self, auth: &Auth, stale: Option<&HeaderValue>) -> Result<Option<HeaderValue>, Kind> {
        let (realm, service, trusted) = match auth {
            Auth::Anonymous => return Ok(None),
            Auth::Basic => {
                let credentials = self.credentials().await?;
                let Some(credentials) = credentials else { return Err(denied(401, false, String::new())) };
                return Ok(auth::basic(credentials));
            }
            Auth::Bearer { realm, service, trusted } => (realm, service.as_deref(), *trusted),
        };
        let scope = self.scope.clone().unwrap_or_else(|| self.usual_scope());
        let place = self.host.token(&scope);
        let mut token = place.lock().await;
        if let Some(token) =
            token.as_ref().filter(|token| token.is_fresh(Instant::now()) && Some(&token.header) != stale)
        {
            return Ok(Some(token.header.clone()));
        }
        let credentials = if trusted { self.credentials().await? } else { None };
        let fetched = auth::fetch_token(&self.shared.transport, realm, service, &scope, credentials).await;
        match fetched {
            Ok(fetched) => {
                let header = fetched.header.clone();
                *token = Some(fetched);
                Ok(Some(header))
            }
            Err(TokenError::Transport(error)) => {
                Err(transport_error(error, Part::Token, super::options::limits::TOKEN))
            }
            Err(TokenError::Answer(reply)) => Err(self.refusal(&reply, credentials.is_some())),
            Err(TokenError::Malformed(reason)) => Err(Kind::Malformed { what: Part::Token, reason }),
        }
    }

    /// The host's credentials, looked up once.
    async fn credentials(&self) -> Result<Option<&Credentials>, Kind> {
        let found = self.host.credentials.get_or_init(|| async {
            if let Some(own) = self.shared.options.hosts.get(&self.host.name).and_then(|host| host.credentials.clone())
            {
                return Ok(Some(own));
            }
            let docker =
                self.shared.docker.get_or_init(async || DockerFile::read(&self.shared.options.docker_config)).await;
            docker
                .as_ref()
                .map_err(Clone::clone)?
                .credentials(&self.host.name, self.shared.options.helper_timeout)
                .await
        });
        match found.await {
            Ok(credentials) => Ok(credentials.as_ref()),
            Err(reason) => Err(Kind::Credentials { reason: reason.clone() }),
        }
    }

    /// What an answer means that says no.
    fn refusal(&self, reply: &Reply, with_credentials: bool) -> Kind {
        let status = reply.status.as_u16();
        let message = server_message(reply.header("content-type"), &reply.body);
        let date = reply.header("date");
        let retry_after = retry::retry_after(reply.header("retry-after"), Some(date));
        match status {
            404 | 410 => Kind::NotFound { message },
            401 | 403 => {
                let stored = matches!(self.host.credentials.get(), Some(Ok(Some(_))));
                denied(status, with_credentials && stored, message)
            }
            429 => self.rate_limited(status, retry_after, message),
            503 if retry_after.is_some() => self.rate_limited(status, retry_after, message),
            500.. => Kind::Server { status, message },
            _ => Kind::Unexpected { status, message },
        }
    }

    fn rate_limited(&self, status: u16, retry_after: Option<Duration>, message: String) -> Kind {
        if let Some(wait) = retry_after {
            self.host.hold(wait);
        }
        Kind::RateLimited { status, retry_after, message }
    }
}

fn denied(status: u16, with_credentials: bool, message: String) -> Kind {
    Kind::Denied { status, with_credentials, message }
}

fn transport_error(error: TransportError, what: Part, limit: usize) -> Kind {
    match error {
        TransportError::Connect(reason) => Kind::Connect { reason },
        TransportError::TimedOut(limit) => Kind::TimedOut { limit },
        TransportError::Cut(reason) => Kind::Cut { reason },
        TransportError::TooLarge => Kind::TooLarge { what, limit },
        TransportError::Refused(reason) => Kind::Refused { reason },
        TransportError::Configuration(reason) => Kind::Configuration { reason },
    }
}
