//! Gitea's and Forgejo's webhooks: <https://docs.gitea.com/usage/webhooks>. Pure.
//!
//! Commands are read from the forge and never from here (C1.3), so of a comment only its place is taken.

use serde::Deserialize;

use super::{Message, Unreadable, Wake, branch, host, host_of, image, is_companion, json, repository, sha};
use crate::forge::RepositoryName;

/// The events that wake something, as in `X-Gitea-Event`. Those of reviews begin with `pull_request_`.
pub const EVENTS: &[&str] = &[
    "push",
    "pull_request",
    "pull_request_approved",
    "pull_request_rejected",
    "pull_request_comment",
    "issue_comment",
    "issues",
    "repository",
    "status",
    "package",
];

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    html_url: String,
}

#[derive(Deserialize)]
struct Push {
    r#ref: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct PullRequest {
    number: i64,
    repository: Repository,
}

#[derive(Deserialize)]
struct Numbered {
    number: i64,
}

#[derive(Deserialize)]
struct Issue {
    issue: Numbered,
    repository: Repository,
}

#[derive(Deserialize)]
struct Settings {
    repository: Repository,
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct Changes {
    repository: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<From>,
}

#[derive(Deserialize)]
struct From {
    from: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    sha: String,
    repository: Repository,
}

#[derive(Deserialize)]
struct PackageEvent {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    r#type: String,
    name: String,
    #[serde(default)]
    version: String,
    owner: Owner,
    #[serde(default)]
    html_url: String,
}

#[derive(Deserialize)]
struct Owner {
    login: String,
}

/// What an event of Gitea wakes. Nothing for events and packages of other kinds.
///
/// # Errors
/// Where the payload is not what the event's name promises.
pub fn parse(message: &Message<'_>) -> Result<Vec<Wake>, Unreadable> {
    if !EVENTS.contains(&message.event) {
        return Ok(Vec::new());
    }
    let body = message.body;
    let place = |repository: &Repository| place(message.host, repository);
    Ok(match message.event {
        "push" => {
            let push: Push = json(body)?;
            let (host, name) = place(&push.repository)?;
            branch(&push.r#ref).map(|branch| Wake::Branch { host, name, branch }).into_iter().collect()
        }
        "issue_comment" => {
            let Issue { issue: Numbered { number }, repository } = json(body)?;
            let (host, name) = place(&repository)?;
            vec![Wake::Comment { host, name, number }]
        }
        "issues" => {
            let Issue { issue: Numbered { number }, repository } = json(body)?;
            let (host, name) = place(&repository)?;
            vec![Wake::Issue { host, name, number }]
        }
        "repository" => {
            let Settings { repository: now, changes } = json(body)?;
            let (host, name) = place(&now)?;
            let before = changes.and_then(|it| it.repository).and_then(|it| it.name).and_then(|it| it.from);
            match before.and_then(|before| renamed(&name, &before)) {
                Some(from) => vec![Wake::Renamed { host, from, to: name }],
                None => vec![Wake::Repository { host, name }],
            }
        }
        "status" => {
            let status: Status = json(body)?;
            let (host, name) = place(&status.repository)?;
            let sha = sha(&status.sha).ok_or_else(|| Unreadable("`sha` is no commit id".into()))?;
            vec![Wake::Status { host, name, sha }]
        }
        "package" => {
            let PackageEvent { package } = json(body)?;
            pushed(message.host, &package)
        }
        // A review may hold commands, too: what it says is looked at like a comment.
        event => {
            let PullRequest { number, repository } = json(body)?;
            let (host, name) = place(&repository)?;
            let mut wakes = vec![Wake::Pull { host: host.clone(), name: name.clone(), number }];
            if event != "pull_request" {
                wakes.push(Wake::Comment { host, name, number });
            }
            wakes
        }
    })
}

/// What Gitea signs of a body: of a form, the JSON in its field `payload` and not the form. None: the body itself.
pub fn signed_part(content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let payload = url::form_urlencoded::parse(body).find(|(key, _)| key == "payload")?.1;
    Some(payload.into_owned().into_bytes())
}

/// The forge and name of a repository. The configured host goes first: the payload has the one that browsers use.
fn place(configured: Option<&str>, of: &Repository) -> Result<(String, RepositoryName), Unreadable> {
    let host = configured.and_then(host).or_else(|| host_of(&of.html_url));
    let host = host.ok_or_else(|| Unreadable("`repository.html_url` is no address".into()))?;
    let name = repository(&of.full_name).ok_or_else(|| Unreadable("`repository.full_name` is no name".into()))?;
    Ok((host, name))
}

/// The full name that a repository had, from its last part.
fn renamed(now: &RepositoryName, before: &str) -> Option<RepositoryName> {
    let (owner, _) = now.0.rsplit_once('/')?;
    if before.is_empty() || before.contains('/') {
        return None;
    }
    repository(&format!("{owner}/{before}"))
}

/// A container image pushed to Gitea's own registry. Its version is a tag, or a digest where it has none.
fn pushed(configured: Option<&str>, package: &Package) -> Vec<Wake> {
    if package.r#type != "container" || is_companion(&package.version) {
        return Vec::new();
    }
    let Some(host) = configured.and_then(host).or_else(|| host_of(&package.html_url)) else { return Vec::new() };
    let repository = format!("{}/{}", package.owner.login, package.name).to_lowercase();
    let version = Some(package.version.as_str());
    image(&host, &repository, version, version).into_iter().collect()
}
