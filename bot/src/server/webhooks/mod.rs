//! Webhooks in: who sent it, what it wakes, stored, answered. W1, W2.
//!
//! Every kind of hook is one row of a table ([`HookKind::row`]), and one handler serves them all: what a kind needs is
//! data. A delivery passes, in this order: what is proven without the body (401), the size (413), the signature over
//! the bytes that its source signs (401), and only then the parser. What it wakes is handed to the [`Inbox`], and 202 is answered when
//! that has it on disk. Unknown events get the same answer, and are counted.
//!
//! Nothing is carried out here and nothing is read from the payload but names ([`parse`]). No body, token or secret is
//! logged; neither are the addresses of requests, for a secret may stand in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use futures_util::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::metrics;
use parse::{Message, Unreadable, Wake};
use secret::Secrets;

pub mod parse;
pub mod secret;
mod stored;
pub use stored::wakes_of;

/// The largest body of a forge's delivery, in bytes: with less, pushes of many commits would be lost.
const FORGE_BODY: usize = 25 << 20;

/// The largest body of a registry's delivery, in bytes.
const REGISTRY_BODY: usize = 1 << 20;

/// How much of bodies is held at one time, in KiB, over all requests.
const BODIES_KIB: usize = 96 << 10;

/// How long a body may take to come in.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The longest id of a delivery and name of an event that is believed, in bytes.
const MAX_HEADER: usize = 200;

/// A kind of webhook: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// Gitea and Forgejo.
    Gitea,
    /// Registries with the notifications of CNCF distribution: distribution itself, Zot, GitLab's.
    Distribution,
    /// Whatever can sign a small JSON object, such as a CI job.
    Generic,
}

/// How a source proves that it knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A header holds the hexadecimal HMAC-SHA256 of the body, behind a prefix.
    Hmac {
        /// The header's name.
        header: &'static str,
        /// What stands before the digits, such as `sha256=`.
        prefix: &'static str,
    },
    /// The header `Authorization` is the secret, with or without `Bearer ` before it.
    Authorization,
    /// The address ends with the secret, for sources that can send no header.
    Path,
}

/// What is to be known of a kind of webhook.
#[derive(Debug)]
pub struct Row {
    /// Its name, in metrics and in the folder of its test cases.
    pub name: &'static str,
    /// Its address.
    pub route: &'static str,
    /// How the secret is proven; one of these is enough.
    pub proofs: &'static [Proof],
    /// The header with the delivery's id, where it has one. Sources without need none: the same request twice is one
    /// piece of work.
    pub id: Option<&'static str>,
    /// The header with the event's name, where it has one.
    pub event: Option<&'static str>,
    /// The events that wake something.
    pub events: &'static [&'static str],
    /// The largest body, in bytes.
    pub limit: usize,
    /// What is answered to a signed payload that cannot be read. A source that repeats until it hears 2xx would repeat
    /// it for ever, and hold up what comes after.
    pub unreadable: StatusCode,
    /// What of a body of some content type is signed and read, where that is not all of it.
    pub signed_part: fn(&str, &[u8]) -> Option<Vec<u8>>,
    /// From the payload to what it wakes.
    pub parse: fn(&Message<'_>) -> Result<Vec<Wake>, Unreadable>,
}

static GITEA: Row = Row {
    name: "gitea",
    route: "/webhooks/gitea",
    proofs: &[
        Proof::Hmac { header: "x-gitea-signature", prefix: "" },
        Proof::Hmac { header: "x-hub-signature-256", prefix: "sha256=" },
    ],
    id: Some("x-gitea-delivery"),
    event: Some("x-gitea-event"),
    events: parse::gitea::EVENTS,
    limit: FORGE_BODY,
    unreadable: StatusCode::BAD_REQUEST,
    signed_part: parse::gitea::signed_part,
    parse: parse::gitea::parse,
};

static DISTRIBUTION: Row = Row {
    name: "distribution",
    route: "/webhooks/registry/distribution",
    proofs: &[Proof::Authorization, Proof::Path],
    id: None,
    event: None,
    events: &["push"],
    limit: REGISTRY_BODY,
    unreadable: StatusCode::ACCEPTED,
    signed_part: |_, _| None,
    parse: parse::distribution::parse,
};

static GENERIC: Row = Row {
    name: "generic",
    route: "/webhooks/registry/generic",
    proofs: &[Proof::Hmac { header: "x-leadsman-signature-256", prefix: "sha256=" }],
    id: None,
    event: None,
    events: &["push"],
    limit: REGISTRY_BODY,
    unreadable: StatusCode::BAD_REQUEST,
    signed_part: |_, _| None,
    parse: parse::generic::parse,
};

impl HookKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Gitea, Self::Distribution, Self::Generic];

    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        match self {
            Self::Gitea => &GITEA,
            Self::Distribution => &DISTRIBUTION,
            Self::Generic => &GENERIC,
        }
    }
}

/// Somebody who sends webhooks: one forge, one registry, or all CI jobs that share a secret.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name in the configuration; deliveries are told apart within it.
    pub name: String,
    /// What it sends.
    pub kind: HookKind,
    /// The host that the configuration and manifests know it by, where what it says of itself may be another.
    pub host: Option<String>,
    /// Its secrets.
    pub secrets: Secrets,
}

/// One delivery, checked and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The name of its source.
    pub source: String,
    /// What sent it.
    pub kind: HookKind,
    /// Its id within the source, where there is one: a second delivery with the same is a repetition.
    pub id: Option<String>,
    /// What happened, in the source's words, such as `issue_comment`: one of the row's events.
    pub event: String,
    /// What is to be looked at again; never empty.
    pub wakes: Vec<Wake>,
    /// When it came.
    pub received_at: Timestamp,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is on disk, and what it wakes is due.
    Stored,
    /// It came before.
    Repeated,
    /// It is about nothing that is watched, such as an image that nobody uses.
    Irrelevant,
}

/// A delivery could not be stored; its sender may try again.
#[derive(Debug, Clone, Error)]
#[error("cannot store a delivery: {0}")]
pub struct NotStored(pub String);

/// Where deliveries go.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Stores a delivery and marks what it wakes, all or nothing. When this returns, both are on disk.
    ///
    /// # Errors
    /// Where they cannot be.
    async fn deliver(&self, delivery: Delivery) -> Result<Accepted, NotStored>;
}

/// What a delivery was answered, for metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookAnswer {
    /// Stored.
    Stored,
    /// Known before.
    Repeated,
    /// About nothing watched.
    Irrelevant,
    /// An event, or a push, that wakes nothing.
    Ignored,
    /// Signed, but not readable.
    Unreadable,
    /// Not proven to come from a source.
    Unauthorized,
    /// Too large.
    TooLarge,
    /// The body did not come to its end in time, or at all.
    Incomplete,
    /// Too much at a time, or the store did not take it.
    Unavailable,
}

impl HookAnswer {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Stored,
        Self::Repeated,
        Self::Irrelevant,
        Self::Ignored,
        Self::Unreadable,
        Self::Unauthorized,
        Self::TooLarge,
        Self::Incomplete,
        Self::Unavailable,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Repeated => "repeated",
            Self::Irrelevant => "irrelevant",
            Self::Ignored => "ignored",
            Self::Unreadable => "unreadable",
            Self::Unauthorized => "unauthorized",
            Self::TooLarge => "too-large",
            Self::Incomplete => "incomplete",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self, row: &Row) -> StatusCode {
        match self {
            Self::Stored | Self::Repeated | Self::Irrelevant | Self::Ignored => StatusCode::ACCEPTED,
            Self::Unreadable => row.unreadable,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// What the handler needs.
pub(super) struct Hooks {
    inbox: Arc<dyn Inbox>,
    sources: Vec<Source>,
    clock: fn() -> Timestamp,
    /// What bodies may still take, in KiB.
    room: Semaphore,
}

impl Hooks {
    pub(super) fn new(inbox: Arc<dyn Inbox>, sources: Vec<Source>, clock: fn() -> Timestamp) -> Self {
        Self { inbox, sources, clock, room: Semaphore::new(BODIES_KIB) }
    }
}

/// The routes of all kinds.
pub(super) fn routes(hooks: Hooks) -> Router {
    let hooks = Arc::new(hooks);
    let mut router = Router::new();
    for kind in HookKind::ALL.iter().copied() {
        let row = kind.row();
        router = router.route(
            row.route,
            post(async move |State(hooks): State<Arc<Hooks>>, request: Request| {
                receive(&hooks, kind, None, request).await
            }),
        );
        if row.proofs.contains(&Proof::Path) {
            router = router.route(
                &format!("{}/{{secret}}", row.route),
                post(async move |State(hooks): State<Arc<Hooks>>, Path(secret): Path<String>, request: Request| {
                    receive(&hooks, kind, Some(secret), request).await
                }),
            );
        }
    }
    let nowhere = any(async || (StatusCode::NOT_FOUND, "there is no such webhook\n"));
    router.route("/webhooks/{*rest}", nowhere).with_state(hooks)
}

async fn receive(hooks: &Hooks, kind: HookKind, path: Option<String>, request: Request) -> Response {
    let started = Instant::now();
    let row = kind.row();
    let (answer, why) = match take(hooks, kind, path.as_deref(), request).await {
        Ok(answer) => (answer, None),
        Err((answer, why)) => (answer, Some(why)),
    };
    metrics::hook(kind, answer);
    let (elapsed_ms, answer_name) = (started.elapsed().as_millis(), answer.as_str());
    match (&why, answer) {
        (Some(why), HookAnswer::Unavailable) => {
            tracing::error!(hook.kind = row.name, hook.answer = answer_name, elapsed_ms, why, "webhook not taken");
        }
        (Some(why), _) => {
            tracing::warn!(hook.kind = row.name, hook.answer = answer_name, elapsed_ms, why, "webhook refused");
        }
        (None, _) => tracing::info!(hook.kind = row.name, hook.answer = answer_name, elapsed_ms, "webhook"),
    }
    let status = answer.status(row);
    let mut response = if status == StatusCode::ACCEPTED {
        status.into_response()
    } else {
        (status, format!("{}\n", why.unwrap_or_default())).into_response()
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
    }
    response
}

async fn take(
    hooks: &Hooks,
    kind: HookKind,
    path: Option<&str>,
    request: Request,
) -> Result<HookAnswer, (HookAnswer, String)> {
    let row = kind.row();
    let (head, body) = request.into_parts();
    let of_kind = || hooks.sources.iter().filter(move |source| source.kind == kind);
    if of_kind().next().is_none() {
        return Err((HookAnswer::Unauthorized, format!("no source of the kind `{}` is configured", row.name)));
    }
    let unproven = || (HookAnswer::Unauthorized, refusal(row));
    let early = of_kind().find(|source| proven_early(row, source, path, &head.headers));
    // Of a request that carries no proof at all, the body is not read.
    if early.is_none() && signatures(row, &head.headers).next().is_none() {
        return Err(unproven());
    }
    let (body, _room) = read(hooks, row, &head.headers, body).await?;
    let text = |name: &'static str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let body = (row.signed_part)(content_type, &body).unwrap_or(body);
    let signed = |source: &&Source| signatures(row, &head.headers).any(|it| source.secrets.signed(it, &body));
    let source = early.or_else(|| of_kind().find(signed)).ok_or_else(unproven)?;

    let short = |value: &str| (!value.is_empty() && value.len() <= MAX_HEADER).then(|| value.to_owned());
    let event = row.event.map_or(Some("push"), text).unwrap_or_default();
    let message = Message { event, body: &body, host: source.host.as_deref() };
    let wakes = (row.parse)(&message).map_err(|error| (HookAnswer::Unreadable, error.to_string()))?;
    if wakes.is_empty() {
        return Ok(HookAnswer::Ignored);
    }
    let delivery = Delivery {
        source: source.name.clone(),
        kind,
        id: row.id.and_then(text).and_then(short),
        event: event.to_owned(),
        wakes,
        received_at: (hooks.clock)(),
    };
    match hooks.inbox.deliver(delivery).await {
        Ok(Accepted::Stored) => Ok(HookAnswer::Stored),
        Ok(Accepted::Repeated) => Ok(HookAnswer::Repeated),
        Ok(Accepted::Irrelevant) => Ok(HookAnswer::Irrelevant),
        Err(error) => {
            tracing::error!(hook.kind = row.name, %error, "cannot store a delivery");
            Err((HookAnswer::Unavailable, "the delivery could not be stored; send it again".into()))
        }
    }
}

/// What to send instead, said without telling what was wrong.
fn refusal(row: &Row) -> String {
    let ways: Vec<String> = row
        .proofs
        .iter()
        .map(|proof| match proof {
            Proof::Hmac { header, .. } => format!("the body's HMAC-SHA256 in `{header}`"),
            Proof::Authorization => "the secret in `Authorization`".into(),
            Proof::Path => "the secret at the end of the address".into(),
        })
        .collect();
    format!("not signed with the secret of a configured source; it takes {}", ways.join(", or "))
}

/// Whether a source is proven by something else than a signature.
fn proven_early(row: &Row, source: &Source, path: Option<&str>, headers: &HeaderMap) -> bool {
    row.proofs.iter().any(|proof| match proof {
        Proof::Hmac { .. } => false,
        Proof::Path => path.is_some_and(|secret| source.secrets.contains(secret)),
        Proof::Authorization => headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| source.secrets.contains(value.strip_prefix("Bearer ").unwrap_or(value))),
    })
}

/// The signatures that a request carries, without their prefixes.
fn signatures<'a>(row: &'static Row, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    row.proofs.iter().filter_map(move |proof| match proof {
        Proof::Hmac { header, prefix } => headers.get(*header)?.to_str().ok()?.strip_prefix(prefix),
        Proof::Authorization | Proof::Path => None,
    })
}

/// The whole body, and the room that it takes up. What many requests send at one time is bounded by what has come in,
/// so that one who announces much and sends little takes nothing from others.
async fn read<'a>(
    hooks: &'a Hooks,
    row: &Row,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<u8>, Vec<SemaphorePermit<'a>>), (HookAnswer, String)> {
    let too_large = || (HookAnswer::TooLarge, format!("the body is over {} bytes", row.limit));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > row.limit) {
        return Err(too_large());
    }
    let reading = async {
        let (mut bytes, mut room, mut held) = (Vec::new(), Vec::new(), 0);
        let mut stream = body.into_data_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| (HookAnswer::Incomplete, "the body broke off".into()))?;
            if bytes.len() + chunk.len() > row.limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
            let wanted = bytes.len().div_ceil(1024);
            // Not waited for: who waits holds what others wait for.
            let more = u32::try_from(wanted - held).ok().and_then(|more| hooks.room.try_acquire_many(more).ok());
            room.push(more.ok_or((HookAnswer::Unavailable, "too many deliveries at a time; send it again".into()))?);
            held = wanted;
        }
        Ok((bytes, room))
    };
    tokio::time::timeout(BODY_TIME, reading)
        .await
        .map_err(|_| (HookAnswer::Incomplete, format!("the body took longer than {} seconds", BODY_TIME.as_secs())))?
}
