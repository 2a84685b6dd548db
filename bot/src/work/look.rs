//! Looks at one repository: enters it, scans it, brings its pull requests up to date, and keeps what was found.
//!
//! A repository that rests (archived, empty, misconfigured) is told of on its page and looked at again as usual: that is
//! no failure of the work.

use leadsman_scanner::diagnostic::{Diagnostic, Level};
use leadsman_scanner::scan::{Report, Sources};
use leadsman_scanner::status::Status;

use super::pass::{Look, Pass, PassError, pass, scan};
use super::queue::Failure;
use super::reconcile_pulls::{ReconcileError, Reconciled};
use super::scan_repository::ScannedCommit;
use super::service::{ARCHIVED, Closed, EMPTY, Service, Site, Watched, numbered};
use super::{dashboard_issue, list_image, recover};
use crate::plan::Key;
use crate::pulls::Wishes;
use crate::render::dashboard::HeldBack;
use crate::server::metrics::{self, ScanOutcome};
use crate::store::history::Event;
use crate::store::images::Use;
use crate::store::problems::Found;
use crate::store::repositories::{self, ConfigState};
use crate::store::work::{Ask, Kind, Next, Priority};

/// What came of a look.
pub enum Looked {
    /// Everything is as it should be, but for errors of single pull requests.
    Done(Box<Pass>),
    /// Nothing can be done there until somebody changes it.
    Resting(String),
}

/// Looks at the repository with this key, and says when to look again.
///
/// # Errors
/// Where the forge, the store or the disk does not do its part.
pub async fn look_again(service: &Service, key: &str) -> Result<Next, Failure> {
    let Some(watched) = service.watched(key) else { return Ok(Next::Done) };
    look(service, watched, &Wishes::default()).await?;
    Ok(Next::Again(service.later(service.schedule.repositories)))
}

/// Looks at a repository with what people asked for just now.
///
/// # Errors
/// As [`look_again`].
pub async fn look(service: &Service, watched: &Watched, wishes: &Wishes) -> Result<Looked, Failure> {
    let now = service.now();
    let site = match service.enter(watched).await {
        Ok(site) => site,
        Err(Closed::Failed(failure)) => {
            keep_closed(service, watched, &told(&failure)).await?;
            return Err(failure);
        }
        Err(Closed::Resting(why)) => {
            keep_closed(service, watched, &why).await?;
            if why != ARCHIVED && why != EMPTY {
                service.keep_held_back(&watched.key, Vec::new());
                service.store.ask(&dashboard(service, watched), now).await?;
            }
            return Ok(Looked::Resting(why));
        }
    };
    keep_where(service, watched, &site).await?;
    recover::recover(service, watched, &site).await?;
    let done = with_look(service, watched, &site, wishes, async |look| pass(look).await).await;
    let outcome = match &done {
        Ok(done) if done.failures() == 0 => ScanOutcome::Clean,
        Ok(_) => ScanOutcome::WithErrors,
        Err(_) => ScanOutcome::Failed,
    };
    metrics::scan(outcome);
    let done = match done {
        Ok(done) => done,
        Err(PassError::Config(errors)) => {
            let found: Vec<Found> = errors.iter().map(dashboard_issue::found).collect();
            let why = PassError::Config(errors).to_string();
            service.store.scanned(&watched.key, site.base.id, &ConfigState::Invalid(why.clone()), now).await?;
            service.store.keep_problems(&watched.key, 0, &found, now).await?;
            service.keep_held_back(&watched.key, Vec::new());
            service.store.ask(&dashboard(service, watched), now).await?;
            return Ok(Looked::Resting(why));
        }
        Err(error) => return Err(failure(error)),
    };
    keep(service, watched, &site, &done).await?;
    Ok(Looked::Done(Box::new(done)))
}

/// Scans a repository and changes nothing.
///
/// # Errors
/// As [`look_again`], and where the repository cannot be looked at.
pub async fn only_scan(service: &Service, watched: &Watched) -> Result<ScannedCommit, Failure> {
    let site = match service.enter(watched).await {
        Ok(site) => site,
        Err(Closed::Failed(failure)) => return Err(failure),
        Err(Closed::Resting(why)) => return Err(Failure::Ours(why)),
    };
    let scanned = with_look(service, watched, &site, &Wishes::default(), async |look| scan(look).await).await;
    scanned.map(|(commit, _)| commit).map_err(failure)
}

async fn with_look<T>(
    service: &Service,
    watched: &Watched,
    site: &Site,
    wishes: &Wishes,
    then: impl AsyncFnOnce(Look<'_>) -> Result<T, PassError>,
) -> Result<T, PassError> {
    let options = leadsman_scanner::scan::ScanOptions { now: service.now(), ..service.options.clone() };
    let sources =
        Sources { registry: &service.registry, times: &service.times, sights: None, lists: Some(&service.lists) };
    then(Look {
        place: &*site.place,
        base: &site.base,
        store: &service.store,
        sources,
        options: &options,
        renderer: &service.renderer,
        voice: Some((watched.forge.capabilities(), &service.handle)),
        wishes,
        progress: &|_| {},
    })
    .await
}

fn failure(error: PassError) -> Failure {
    match error {
        PassError::Reconcile(ReconcileError::Forge(error)) => error.into(),
        error => Failure::Ours(error.to_string()),
    }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Ours(error) | Failure::PutOff { error, .. } => error.clone(),
    }
}

/// Keeps why the repository could not be entered, though it may never have been.
async fn keep_closed(service: &Service, watched: &Watched, why: &str) -> Result<(), Failure> {
    if service.store.repository(&watched.key).await?.is_none() {
        keep_row(service, watched, "", watched.base.as_deref().unwrap_or_default()).await?;
    }
    service.store.keep_repository_error(&watched.key, Some(why)).await?;
    Ok(())
}

/// Keeps where the repository is.
async fn keep_where(service: &Service, watched: &Watched, site: &Site) -> Result<(), Failure> {
    keep_row(service, watched, &site.url, &site.base.name).await
}

async fn keep_row(service: &Service, watched: &Watched, url: &str, base: &str) -> Result<(), Failure> {
    let row = repositories::Watched {
        repository: watched.key.clone(),
        forge: watched.forge.capabilities().name.to_lowercase(),
        host: watched.forge.host().to_owned(),
        forge_id: None,
        name: watched.name.0.clone(),
        url: url.to_owned(),
        clone_url: String::new(),
        base: base.to_owned(),
    };
    service.store.watch(&row, service.now()).await?;
    Ok(())
}

/// Keeps what a look found, and asks for what follows from it.
async fn keep(service: &Service, watched: &Watched, site: &Site, done: &Pass) -> Result<(), Failure> {
    let (store, now) = (&service.store, service.now());
    let state = if done.config.is_some() { ConfigState::Valid } else { ConfigState::None };
    store.scanned(&watched.key, site.base.id, &state, now).await?;
    service.keep_config(&watched.key, done.config.clone().unwrap_or_default());
    store.keep_problems(&watched.key, done.report.summary.workloads, &problems(done), now).await?;
    let uses: Vec<Use> = used(&done.report);
    let changed = store.replace_uses(&watched.key, &uses).await?;
    let mut asks: Vec<Ask> =
        changed.new.iter().map(|used| list_image::ask(used, service.later(service.schedule.images))).collect();
    for done in done.pulls.iter().filter(|done| done.error.is_none() && done.action != "kept") {
        metrics::pull(done.action);
    }
    for Reconciled { number, on_forge, updated_at, .. } in &done.pulls {
        let (Some(number), Some((thread, url))) = (number, on_forge) else { continue };
        store.set_forge_number(&watched.key, *number, *thread, Some(url)).await?;
        if updated_at.is_none_or(|at| service.has_changed(&watched.key, *thread, at)) {
            asks.push(service.ask_of(watched, Kind::ReadComments, numbered(&watched.key, *thread)));
        }
    }
    for request in store.merge_requests(&watched.key).await? {
        asks.push(service.ask_of(watched, Kind::TryMerge, numbered(&watched.key, request.number)));
    }
    service.keep_held_back(&watched.key, held_back(done));
    asks.extend(dashboard(service, watched));
    let errors = done.pulls.iter().filter_map(|pull| Some((pull, pull.error.as_ref()?)));
    let events: Vec<Event> = errors
        .map(|(pull, error)| Event {
            repository: watched.key.clone(),
            number: pull.number,
            action: "failed".into(),
            reason: error.clone(),
            by: None,
        })
        .collect();
    store.note(&events, now).await?;
    store.ask(&asks, now).await?;
    if let Err(error) = service.times.save(now) {
        tracing::warn!(%error, "cannot keep creation times; the next process asks for them again");
    }
    Ok(())
}

/// Asks for the dashboard issue, where there can be one.
fn dashboard(service: &Service, watched: &Watched) -> Vec<Ask> {
    let ask = || service.ask_of(watched, Kind::DashboardIssue, watched.key.clone()).with(Priority::Scan);
    watched.forge.capabilities().issues.then(ask).into_iter().collect()
}

/// What is newer and was not proposed.
fn held_back(done: &Pass) -> Vec<HeldBack> {
    let held_back = done.pulls.iter().filter(|pull| pull.action == "held-back" && pull.error.is_none());
    let line = |Reconciled { key: Key { path, workload }, reason, .. }: &Reconciled| HeldBack {
        what: format!("{workload} in {path}"),
        why: reason.clone(),
    };
    held_back.map(line).collect()
}

/// What is wrong and can be mended: pull requests that failed, then files, then containers.
fn problems(done: &Pass) -> Vec<Found> {
    let pulls = done.pulls.iter().filter_map(|pull| {
        let Key { path, workload } = &pull.key;
        Some(Found { place: path.clone(), message: format!("`{workload}`: {}", pull.error.as_ref()?) })
    });
    let files = done.report.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
    let files = files.map(|Diagnostic { file, line, message, hint, .. }| Found {
        place: line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")),
        message: hint.as_ref().map_or_else(|| message.clone(), |hint| format!("{message}; {hint}")),
    });
    let containers = done.report.findings.iter().filter_map(|finding| {
        let status = finding.status.filter(|status| status.is_failure())?;
        let container = &finding.container;
        let why = finding.message.as_ref().map_or(String::new(), |message| format!(": {message}"));
        Some(Found {
            place: format!("{}:{}", finding.file, container.line),
            message: format!("`{}` in `{}`: {status}{why}", container.name, container.workload.id.as_str()),
        })
    });
    pulls.chain(files).chain(containers).collect()
}

/// The images that automated workloads use.
fn used(report: &Report) -> Vec<Use> {
    let mut images: Vec<Use> = report
        .findings
        .iter()
        .filter(|finding| finding.status != Some(Status::NotAutomated))
        .filter_map(|finding| finding.container.image.as_ref())
        .map(|image| Use { realm: String::new(), image: image.as_str().to_owned() })
        .collect();
    images.sort();
    images.dedup();
    images
}
