//! The HTTP side: webhooks in, health, metrics, pages and their JSON twins. It answers at once and thinks nothing.
//!
//! What it needs of the rest is said in narrow traits: [`webhooks::Inbox`] stores deliveries, [`pages::Views`] answers
//! what pages show, [`pages::Actions`] takes what people ask for, [`health::Readiness`] knows whether work can be done.
//! Decides nothing, calls no forge and no registry.
//!
//! Every request has an id, a span, a time limit and an answer, even where a handler panics. Whatever it is about, an
//! answer carries a content security policy that allows no script at all. Addresses of requests are not logged, for
//! those of webhooks may hold a secret.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;

use access::Access;
use health::{Health, Readiness};
use pages::{Actions, Pages, Views};
use webhooks::{Hooks, Inbox, Source};

pub mod access;
pub mod api;
pub mod health;
pub mod metrics;
pub mod pages;
pub mod webhooks;

/// How long one request may take, from its head to the head of its answer.
const REQUEST_TIME: Duration = Duration::from_secs(40);

/// How long the head of a request may take to come in, and how long a connection may lie idle.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// How long open requests are given to end when the process is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// How many connections are open at one time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// The largest body of a form, in bytes.
const FORM_BODY: usize = 256 << 10;

/// How often old samples of histograms are put away.
const UPKEEP: Duration = Duration::from_secs(5);

/// No script, no frame, no plug-in, no address elsewhere: pages are text, one style sheet, and forms that come back.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the server is made of.
pub struct Parts {
    /// Where deliveries go.
    pub inbox: Arc<dyn Inbox>,
    /// What pages show.
    pub views: Arc<dyn Views>,
    /// What people ask for on pages.
    pub actions: Arc<dyn Actions>,
    /// Whether work can be done.
    pub readiness: Arc<dyn Readiness>,
    /// Who sends webhooks.
    pub sources: Vec<Source>,
    /// Who may see and do what on pages; none: there are no pages.
    pub access: Option<Access>,
    /// From [`metrics::install`].
    pub metrics: PrometheusHandle,
    /// The time.
    pub clock: fn() -> Timestamp,
    /// Random, new for each process: forms are signed with it.
    pub form_key: [u8; 32],
}

/// The server, ready to be given a listener.
pub struct Server {
    router: Router,
    metrics: PrometheusHandle,
    ending: Arc<AtomicBool>,
}

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Numbers for requests that come without an id.
struct RequestIds {
    process: i64,
    next: AtomicU64,
}

impl Server {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Where a template of the pages cannot be parsed.
    pub fn new(parts: Parts) -> Result<Self, minijinja::Error> {
        let Parts { inbox, views, actions, readiness, sources, access, metrics, clock, form_key } = parts;
        let ending = Arc::new(AtomicBool::new(false));
        let page_of_metrics = metrics.clone();
        let ids = Arc::new(RequestIds { process: clock().as_millisecond(), next: AtomicU64::new(1) });
        let mut router = Router::new()
            .merge(webhooks::routes(Hooks::new(inbox, sources, clock)))
            .merge(health::routes(Health { readiness, ending: Arc::clone(&ending) }))
            .route(
                "/metrics",
                get(async move || {
                    let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
                    ([kind], page_of_metrics.render())
                }),
            );
        if let Some(access) = access {
            let pages = Arc::new(Pages::new(views, actions, access, clock, form_key)?);
            router = router.merge(api::routes(Arc::clone(&pages))).merge(pages::routes(pages));
        }
        let router = router
            .layer(DefaultBodyLimit::max(FORM_BODY))
            .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
                // The panic's own message was written where it happened; it is not for who asks.
                (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong; the log has the request's id\n")
                    .into_response()
            }))
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIME))
            .layer(from_fn_with_state(ids, around));
        Ok(Self { router, metrics, ending })
    }

    /// Serves until `shutdown` is ready; then accepts nothing more, says at `/readyz` that it ends, and gives open
    /// requests 20 seconds. A connection that fails ends alone.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let Self { router, metrics, ending } = self;
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut shutdown = pin!(shutdown);
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            let next = async {
                let permit = Arc::clone(&connections).acquire_owned().await;
                (listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                _ = upkeep.tick() => {
                    metrics.run_upkeep();
                    continue;
                }
                next = next => next,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: those that are open end sooner or later.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let inner = TowerToHyperService::new(router.clone());
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(Peer(address));
                let answer = inner.call(request);
                async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke off");
                }
                drop(permit);
            });
        }
        ending.store(true, Ordering::Relaxed);
        drop(listener);
        if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::warn!(seconds = GRACE.as_secs(), "requests were still open when the time to end was over");
        }
    }
}

/// What stands around every request: its id, its span, its measure, and the headers of its answer.
async fn around(State(ids): State<Arc<RequestIds>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = ids.of(&request);
    let part = metrics::Part::of(request.uri().path());
    let method = request.method().clone();
    let span = tracing::info_span!("request", http.request.id = %id, http.request.method = %method);
    let mut response = async {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::debug!(http.response.status = status, elapsed_ms = started.elapsed().as_millis(), "answered");
        response
    }
    .instrument(span)
    .await;
    metrics::request(part, response.status().as_u16(), started.elapsed());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: browsers then send `Origin: null` with forms, which says nothing about where they are from.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

impl RequestIds {
    /// The id that a request brings, such as that of a proxy, if it is a harmless one; else a new one.
    fn of(&self, request: &Request<Body>) -> String {
        let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        match given.filter(|id| !id.is_empty() && id.len() <= 64 && id.bytes().all(plain)) {
            Some(id) => id.to_owned(),
            None => format!("{:x}-{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed)),
        }
    }
}
