//! Pages for people: repositories, pull requests, work, errors. They work without JavaScript, and there is none.
//!
//! A page is a struct of [`views`], asked of [`Views`], put into its template; its JSON twin in [`super::api`] is the
//! same struct. What people ask for (a comment, a merge, a replay, a scan) goes to [`Actions`], after [`access`] has
//! said who they are and that the form is ours. Nothing is decided and nothing is kept here.
//!
//! A repository's page is asked for by its name, and so is all that it shows: nothing of another one can come onto it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Form, Path, Request, State};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::request::Parts as Head;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Peer;
use super::access::{self, Access, Denied, Viewer};
use views::{CheckState, ErrorsView, PullView, RepositoriesView, RepositoryRef, RepositoryView, WorkView};

pub mod diff;
pub mod markdown;
mod template;
pub mod views;

/// The longest comment that is taken, in bytes.
const MAX_COMMENT: usize = 64 << 10;

/// How much of a head's id the merge button pins: enough to be read, and to be one commit's only.
const PIN: usize = 12;

/// What a page shows cannot be had now.
#[derive(Debug, Clone, Error)]
#[error("cannot read what the page shows: {0}")]
pub struct ViewError(pub String);

/// Who knows what pages show. A repository's name is what somebody wrote into an address: it is looked up among those
/// that are watched, and nothing is opened by it.
#[async_trait]
pub trait Views: Send + Sync {
    /// The repositories that the viewer may see.
    async fn repositories(&self, viewer: Viewer) -> Result<RepositoriesView, ViewError>;
    /// One repository; none where there is none, or the viewer may not know of it.
    async fn repository(&self, viewer: Viewer, repository: &RepositoryRef)
    -> Result<Option<RepositoryView>, ViewError>;
    /// One pull request of a repository; none as above.
    async fn pull(
        &self,
        viewer: Viewer,
        repository: &RepositoryRef,
        number: i64,
    ) -> Result<Option<PullView>, ViewError>;
    /// The work that is not done, of the repositories that the viewer may see.
    async fn work(&self, viewer: Viewer) -> Result<WorkView, ViewError>;
    /// Everything that is wrong, of the same.
    async fn errors(&self, viewer: Viewer) -> Result<ErrorsView, ViewError>;
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ActionError {
    /// There is no such thing, or it is not this viewer's.
    #[error("there is no such thing")]
    NotFound,
    /// It cannot be done as things stand; says why.
    #[error("{0}")]
    Refused(String),
    /// The store or forge does not answer.
    #[error("cannot do this now: {0}")]
    Unavailable(String),
}

/// Who takes what people ask for. It is asked only for viewers who may; what they may do to *this* repository or pull
/// request is for it to decide.
#[async_trait]
pub trait Actions: Send + Sync {
    /// Writes a comment as the viewer and looks at it at once: commands are written so, `/merge` too.
    async fn comment(
        &self,
        viewer: Viewer,
        repository: &RepositoryRef,
        number: i64,
        body: &str,
    ) -> Result<(), ActionError>;
    /// Tries a parked piece of work again, and one that was put off at once.
    async fn replay(&self, viewer: Viewer, kind: &str, key: &str) -> Result<(), ActionError>;
    /// Scans a repository now.
    async fn scan(&self, viewer: Viewer, repository: &RepositoryRef) -> Result<(), ActionError>;
    /// Keeps how a check stands on a commit of a repository on this machine, and looks at what waits for it. Only for
    /// who sits here. Without repositories on this machine there is nothing to keep.
    async fn set_status(&self, _: Viewer, _: NewStatus) -> Result<(), ActionError> {
        Err(ActionError::NotFound)
    }
}

/// How a check stands on a commit of a repository on this machine, as whoever ran it says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStatus {
    /// The path of the repository: its git folder, or the folder above `.git`.
    pub repository: String,
    /// The commit's id, in full.
    pub sha: String,
    /// The name of the check.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// Its page.
    #[serde(default)]
    pub url: Option<String>,
}

/// What the handlers of pages and their twins need.
pub(super) struct Pages {
    pub(super) views: Arc<dyn Views>,
    pub(super) actions: Arc<dyn Actions>,
    access: Access,
    clock: fn() -> Timestamp,
    form_key: [u8; 32],
    templates: Environment<'static>,
}

/// What an address below `/repositories/` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    Repository(RepositoryRef),
    Pull(RepositoryRef, i64),
}

/// What a form does.
#[derive(Debug, PartialEq, Eq)]
enum Deed {
    Scan(RepositoryRef),
    Comment(RepositoryRef, i64),
    Merge(RepositoryRef, i64),
}

/// What is shown instead of a page.
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

#[derive(Deserialize)]
struct CommentForm {
    token: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    head: String,
}

#[derive(Deserialize)]
struct ReplayForm {
    token: String,
    kind: String,
    key: String,
}

pub(super) fn routes(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/", get(repositories))
        .route("/repositories/{host}/{*rest}", get(place).post(act))
        .route("/work", get(work))
        .route("/work/replay", post(replay))
        .route("/errors", get(errors))
        .route("/static/style.css", get(style))
        .route("/static/icon.svg", get(icon))
        .fallback(nowhere)
        .with_state(pages)
}

async fn repositories(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    let view = pages.views.repositories(viewer).await.map(Some);
    pages.page("repositories.html", viewer, view)
}

async fn work(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    let view = pages.views.work(viewer).await.map(Some);
    pages.page("work.html", viewer, view)
}

async fn errors(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    let view = pages.views.errors(viewer).await.map(Some);
    pages.page("errors.html", viewer, view)
}

async fn place(
    State(pages): State<Arc<Pages>>,
    viewer: Viewer,
    Path((host, rest)): Path<(String, String)>,
) -> Response {
    match Place::of(&host, &rest) {
        Place::Repository(repository) => {
            pages.page("repository.html", viewer, pages.views.repository(viewer, &repository).await)
        }
        Place::Pull(repository, number) => {
            pages.page("pull.html", viewer, pages.views.pull(viewer, &repository, number).await)
        }
    }
}

async fn act(
    State(pages): State<Arc<Pages>>,
    viewer: Viewer,
    Path((host, rest)): Path<(String, String)>,
    Ours(form): Ours<CommentForm>,
) -> Response {
    let Some(deed) = Deed::of(&host, &rest) else { return pages.problem(viewer, not_found()) };
    let CommentForm { token, body, head } = form;
    if let Err(problem) = pages.may(viewer, &deed.address(), &token, deed.needs_person()) {
        return pages.problem(viewer, problem);
    }
    let (back, done) = match &deed {
        Deed::Scan(repository) => (repository.path.clone(), pages.actions.scan(viewer, repository).await),
        Deed::Comment(repository, number) => {
            let body = body.trim();
            if body.is_empty() || body.len() > MAX_COMMENT {
                let message = format!("a comment has between 1 and {MAX_COMMENT} bytes");
                return pages.problem(viewer, Problem { status: StatusCode::UNPROCESSABLE_ENTITY, message });
            }
            let done = pages.actions.comment(viewer, repository, *number, body).await;
            (format!("{}#conversation", repository.pull_path(*number)), done)
        }
        Deed::Merge(repository, number) => {
            // Pinned to the commit that was on the page when the button was pressed (C3.1).
            let Some(body) = merge_command(&head) else {
                let message = "the form does not say which commit to merge; load the page again".into();
                return pages.problem(viewer, Problem { status: StatusCode::UNPROCESSABLE_ENTITY, message });
            };
            let done = pages.actions.comment(viewer, repository, *number, &body).await;
            (format!("{}#conversation", repository.pull_path(*number)), done)
        }
    };
    pages.done(viewer, &back, done)
}

async fn replay(State(pages): State<Arc<Pages>>, viewer: Viewer, Ours(form): Ours<ReplayForm>) -> Response {
    let ReplayForm { token, kind, key } = form;
    if let Err(problem) = pages.may(viewer, "/work/replay", &token, false) {
        return pages.problem(viewer, problem);
    }
    let done = pages.actions.replay(viewer, &kind, &key).await;
    pages.done(viewer, "/work", done)
}

async fn style() -> Response {
    unchanging("text/css; charset=utf-8", include_str!("../../../../templates/pages/style.css"))
}

async fn icon() -> Response {
    unchanging("image/svg+xml", include_str!("../../../../templates/pages/icon.svg"))
}

/// What is the same for everybody until the next release.
fn unchanging(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=3600")], text).into_response()
}

async fn nowhere(State(pages): State<Arc<Pages>>, viewer: Viewer) -> Response {
    pages.problem(viewer, not_found())
}

/// The comment that the merge button writes; none unless `head` is a commit's id.
fn merge_command(head: &str) -> Option<String> {
    let id = head.get(..PIN)?;
    head.bytes().all(|b| b.is_ascii_hexdigit()).then(|| format!("/merge {id}"))
}

pub(super) fn not_found() -> Problem {
    let message = "there is no such page, or it is not for you".into();
    Problem { status: StatusCode::NOT_FOUND, message }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        tracing::error!(%error, "cannot make a page");
        // What the store says is for the log.
        let message = "what this page shows cannot be read now; the log says why".into();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message }
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        let status = match &error {
            ActionError::NotFound => StatusCode::NOT_FOUND,
            ActionError::Refused(_) => StatusCode::CONFLICT,
            ActionError::Unavailable(_) => {
                tracing::error!(%error, "cannot do what was asked for on a page");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self { status, message: error.to_string() }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let (status, message) = match denied {
            Denied::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "pages are not served under this name: use `localhost` or an address, or add the name to the configuration",
            ),
            Denied::Unknown => {
                (StatusCode::UNAUTHORIZED, "this page needs the token, as the password of any user name")
            }
            Denied::Forbidden => {
                (StatusCode::FORBIDDEN, "pages are for who sits at this machine; configure a token for others")
            }
        };
        Self { status, message: message.into() }
    }
}

impl FromRequestParts<Arc<Pages>> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(head: &mut Head, pages: &Arc<Pages>) -> Result<Self, Response> {
        let peer = head.extensions.get::<Peer>().map(|peer| peer.0);
        pages.access.viewer(peer, &head.headers).map_err(|denied| {
            let mut response = if head.uri.path().starts_with("/api/") {
                super::api::problem(denied.into())
            } else {
                pages.problem(Viewer::Public, denied.into())
            };
            if denied == Denied::Unknown {
                let ask = HeaderValue::from_static("Basic realm=\"Leadsman\", charset=\"UTF-8\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
            }
            response
        })
    }
}

/// A form that was sent from a page of ours.
struct Ours<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequest<Arc<Pages>> for Ours<T> {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Arc<Pages>) -> Result<Self, Response> {
        let refuse =
            |status, message: &str| pages.problem(Viewer::Public, Problem { status, message: message.to_owned() });
        if !access::is_same_origin(request.headers()) {
            return Err(refuse(StatusCode::FORBIDDEN, "this form was not sent from a page of this server"));
        }
        match Form::<T>::from_request(request, pages).await {
            Ok(Form(form)) => Ok(Self(form)),
            Err(rejection) => {
                let status = rejection.into_response().status();
                Err(refuse(status, "the form is too large, or a field is missing; load the page again"))
            }
        }
    }
}

impl Place {
    pub(super) fn of(host: &str, rest: &str) -> Self {
        if let Some((name, number)) = rest.rsplit_once("/-/pulls/")
            && let Ok(number) = number.parse()
        {
            return Self::Pull(RepositoryRef::from_address(host, name), number);
        }
        Self::Repository(RepositoryRef::from_address(host, rest))
    }
}

impl Deed {
    fn of(host: &str, rest: &str) -> Option<Self> {
        if let Some(name) = rest.strip_suffix("/-/scan") {
            return Some(Self::Scan(RepositoryRef::from_address(host, name)));
        }
        let (name, deed) = rest.rsplit_once("/-/pulls/")?;
        let (number, deed) = deed.split_once('/')?;
        let (repository, number) = (RepositoryRef::from_address(host, name), number.parse().ok()?);
        match deed {
            "comment" => Some(Self::Comment(repository, number)),
            "merge" => Some(Self::Merge(repository, number)),
            _ => None,
        }
    }

    /// The address that its form is sent to, which its token is for.
    fn address(&self) -> String {
        match self {
            Self::Scan(repository) => format!("{}/-/scan", repository.path),
            Self::Comment(repository, number) => format!("{}/comment", repository.pull_path(*number)),
            Self::Merge(repository, number) => format!("{}/merge", repository.pull_path(*number)),
        }
    }

    /// Whether it is done in somebody's name.
    fn needs_person(&self) -> bool {
        !matches!(self, Self::Scan(_))
    }
}

impl Pages {
    pub(super) fn new(
        views: Arc<dyn Views>,
        actions: Arc<dyn Actions>,
        access: Access,
        clock: fn() -> Timestamp,
        form_key: [u8; 32],
    ) -> Result<Self, minijinja::Error> {
        Ok(Self { views, actions, access, clock, form_key, templates: template::environment()? })
    }

    fn may(&self, viewer: Viewer, action: &str, token: &str, in_name: bool) -> Result<(), Problem> {
        let refuse = |message: &str| Err(Problem { status: StatusCode::FORBIDDEN, message: message.to_owned() });
        if !viewer.may_operate() || (in_name && !viewer.may_comment()) {
            return refuse("you may read this page, and not write on it");
        }
        if !access::holds(&self.form_key, action, token, (self.clock)()) {
            return refuse("this form is too old, or of another page; load the page again");
        }
        Ok(())
    }

    fn page<T: Serialize>(&self, name: &str, viewer: Viewer, view: Result<Option<T>, ViewError>) -> Response {
        match view {
            Ok(Some(view)) => self.render(StatusCode::OK, name, viewer, Value::from(Serde(&view))),
            Ok(None) => self.problem(viewer, not_found()),
            Err(error) => self.problem(viewer, error.into()),
        }
    }

    fn problem(&self, viewer: Viewer, problem: Problem) -> Response {
        let Problem { status, message } = problem;
        let title = status.canonical_reason().unwrap_or("Problem");
        self.render(status, "problem.html", viewer, context! { title, message })
    }

    fn done(&self, viewer: Viewer, back: &str, done: Result<(), ActionError>) -> Response {
        match done {
            Ok(()) => Redirect::to(back).into_response(),
            Err(error) => self.problem(viewer, error.into()),
        }
    }

    fn render(&self, status: StatusCode, name: &str, viewer: Viewer, view: Value) -> Response {
        let (now, key) = ((self.clock)(), self.form_key);
        let values = context! {
            view,
            viewer => Value::from(Serde(&viewer)),
            may_operate => viewer.may_operate(),
            may_comment => viewer.may_comment(),
            token => Value::from_function(move |action: String| access::form_token(&key, &action, now)),
            when => Value::from_function(move |at: String| template::when(&at, now)),
        };
        match self.templates.get_template(name).and_then(|template| template.render(&values)) {
            Ok(page) => (status, Html(page)).into_response(),
            Err(error) => {
                tracing::error!(template = name, %error, "cannot make a page");
                (StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be made; the log says why\n").into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let fleet = RepositoryRef::from_address("gitea.example.com", "acme/fleet");
        assert_eq!(Place::of("gitea.example.com", "acme/fleet"), Place::Repository(fleet.clone()));
        assert_eq!(Place::of("gitea.example.com", "acme/fleet/-/pulls/7"), Place::Pull(fleet.clone(), 7));
        let odd = Place::of("local", "home/-/pulls/x");
        assert_eq!(odd, Place::Repository(RepositoryRef::from_address("local", "home/-/pulls/x")));
        let nested = Place::of("local", "home/-/pulls/3/-/pulls/4");
        assert_eq!(nested, Place::Pull(RepositoryRef::from_address("local", "home/-/pulls/3"), 4));

        let deed = |rest: &str| Deed::of("gitea.example.com", rest);
        assert_eq!(deed("acme/fleet/-/scan"), Some(Deed::Scan(fleet.clone())));
        assert_eq!(deed("acme/fleet/-/pulls/7/comment"), Some(Deed::Comment(fleet.clone(), 7)));
        let merge = Deed::Merge(fleet, 7);
        assert_eq!(merge.address(), "/repositories/gitea.example.com/acme/fleet/-/pulls/7/merge");
        assert_eq!(deed("acme/fleet/-/pulls/7/merge"), Some(merge));
        for none in ["acme/fleet", "acme/fleet/-/pulls/7", "acme/fleet/-/pulls/x/merge", "acme/fleet/-/pulls/7/close"] {
            assert_eq!(deed(none), None, "{none}");
        }
    }

    #[test]
    fn the_merge_button_pins_what_was_seen_c3_1() {
        assert_eq!(merge_command(&"3f2a91c0".repeat(5)).as_deref(), Some("/merge 3f2a91c03f2a"));
        for head in ["", "3f2a91c", "3f2a91c03f2a\n/close", "zzzzzzzzzzzzzz", "éééééééééé"] {
            assert_eq!(merge_command(head), None, "{head:?}");
        }
    }
}
