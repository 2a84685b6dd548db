//! Whether the process lives (`/healthz`) and whether it can do its work (`/readyz`).
//!
//! The first asks nobody: an orchestrator that restarts on it must not restart because a database is slow. The second
//! asks the store and the workers, and says no while the process is ending, so that no new request is sent here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

/// How long the answer about readiness may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something that must hold for work to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Condition {
    /// What it is: `store`, `migrations`, `workers`.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why not, for the log; not told to who asks.
    #[serde(skip)]
    pub why: Option<String>,
}

impl Condition {
    /// A condition from an answer: it holds unless that is an error, which says why.
    pub fn of<E: std::fmt::Display>(name: &'static str, answer: Result<(), E>) -> Self {
        let why = answer.err().map(|error| error.to_string());
        Self { name, holds: why.is_none(), why }
    }
}

/// Who knows whether work can be done.
#[async_trait]
pub trait Readiness: Send + Sync {
    /// The conditions: that the store answers, that migrations are done, that workers live.
    async fn conditions(&self) -> Vec<Condition>;
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ready {
    /// Whether all hold.
    pub ready: bool,
    /// Each of them.
    pub conditions: Vec<Condition>,
}

pub(super) struct Health {
    pub(super) readiness: Arc<dyn Readiness>,
    pub(super) ending: Arc<AtomicBool>,
}

pub(super) fn routes(health: Health) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(readyz)).with_state(Arc::new(health))
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    let mut conditions = match tokio::time::timeout(PATIENCE, health.readiness.conditions()).await {
        Ok(conditions) => conditions,
        Err(_) => vec![Condition::of("answer", Err("the store did not answer in time"))],
    };
    if health.ending.load(Ordering::Relaxed) {
        conditions.push(Condition::of("running", Err("the process is ending")));
    }
    for Condition { name, why, .. } in conditions.iter().filter(|condition| !condition.holds) {
        tracing::warn!(condition = name, why = why.as_deref().unwrap_or_default(), "not ready");
    }
    let ready = conditions.iter().all(|condition| condition.holds);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, conditions })).into_response()
}
