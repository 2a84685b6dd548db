//! The JSON twin of every page, below `/api/v1`: the same views, for the same viewers, and their schema.
//!
//! It reads. A page at `/work` has its twin at `/api/v1/work`, the list of repositories at `/api/v1/repositories`. One
//! thing is written here: `/api/v1/local/statuses` takes how checks stand on commits of repositories on this machine,
//! from who sits here, for those have no forge that would be told.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use super::access::{self, Viewer};
use super::health::Ready;
use super::pages::views::{ErrorsView, PullView, RepositoriesView, RepositoryView, WorkView};
use super::pages::{NewStatus, Pages, Place, Problem, ViewError, not_found};

/// What is answered where there is no view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ApiError {
    /// What is wrong.
    pub error: String,
}

/// Everything that the API answers, for its schema.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Answers {
    Repositories(RepositoriesView),
    Repository(RepositoryView),
    Pull(PullView),
    Work(WorkView),
    Errors(ErrorsView),
    Error(ApiError),
    Ready(Ready),
}

/// The JSON schema of all answers: one definition for each.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Answers).to_value()
}

pub(super) fn routes(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/api/v1/repositories", get(repositories))
        .route("/api/v1/repositories/{host}/{*rest}", get(place))
        .route("/api/v1/work", get(work))
        .route("/api/v1/errors", get(errors))
        .route("/api/v1/schema", get(async || Json(schema())))
        .route("/api/v1/local/statuses", post(set_status))
        .route("/api/{*rest}", get(async |_: Viewer| problem(not_found())))
        .with_state(pages)
}

async fn repositories(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    answer(pages.views.repositories(viewer).await.map(Some))
}

async fn place(
    State(pages): State<Arc<Pages>>,
    viewer: Viewer,
    Path((host, rest)): Path<(String, String)>,
) -> Response {
    match Place::of(&host, &rest) {
        Place::Repository(repository) => answer(pages.views.repository(viewer, &repository).await),
        Place::Pull(repository, number) => answer(pages.views.pull(viewer, &repository, number).await),
    }
}

async fn work(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    answer(pages.views.work(viewer).await.map(Some))
}

async fn errors(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    answer(pages.views.errors(viewer).await.map(Some))
}

/// Takes a status. A page of another site cannot send one: its browser says where it is from, and asks before it sends
/// JSON.
async fn set_status(
    State(pages): State<Arc<Pages>>,
    viewer: Viewer,
    headers: HeaderMap,
    status: Result<Json<NewStatus>, JsonRejection>,
) -> Response {
    let refuse = |status, message: String| problem(Problem { status, message });
    let by_browser = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    if viewer != Viewer::Local || (by_browser && !access::is_same_origin(&headers)) {
        return refuse(StatusCode::FORBIDDEN, "statuses are taken from who sits at this machine".into());
    }
    match status {
        Ok(Json(status)) => match pages.actions.set_status(viewer, status).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => problem(error.into()),
        },
        Err(rejection) => refuse(rejection.status(), rejection.body_text()),
    }
}

fn answer<T: Serialize>(view: Result<Option<T>, ViewError>) -> Response {
    match view {
        Ok(Some(view)) => Json(view).into_response(),
        Ok(None) => problem(not_found()),
        Err(error) => problem(error.into()),
    }
}

pub(super) fn problem(problem: Problem) -> Response {
    (problem.status, Json(ApiError { error: problem.message })).into_response()
}
