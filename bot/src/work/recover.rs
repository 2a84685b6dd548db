//! Takes back into the store what a lost one knew and the forge still tells: what people decided, from the hidden markers
//! of what the bot wrote.
//!
//! Runs before a look, so that nothing is opened that somebody paused or ignored. Believes no text that is not the bot's.

use std::collections::BTreeSet;

use super::decisions;
use super::queue::Failure;
use super::recognise::recognise;
use super::service::{Service, Site, Watched};
use crate::forge::PullState;
use crate::pulls::adopt::adopt;
use crate::pulls::survey::survey;
use crate::pulls::{State, execute};
use crate::render::Marker;
use crate::render::dashboard;
use crate::store::dashboards::Dashboard;
use crate::store::history::Event;

/// Takes back what the forge tells of a repository whose dashboard issue or branches the store does not know. Asks nobody
/// where it knows them.
///
/// # Errors
/// Where the forge or the store does not do its part.
pub async fn recover(service: &Service, watched: &Watched, site: &Site) -> Result<(), Failure> {
    from_issue(service, watched).await?;
    from_pulls(service, watched, site).await
}

/// Only where nobody looked for the issue yet: later, what its marker says may have been taken back meanwhile.
async fn from_issue(service: &Service, watched: &Watched) -> Result<(), Failure> {
    let (store, key, now) = (&service.store, &watched.key, service.now());
    if !watched.forge.capabilities().issues || store.dashboard(key).await? != Dashboard::Unknown {
        return Ok(());
    }
    let found = match watched.forge.find_issue(&watched.name, dashboard::MARK).await {
        Ok(found) => found,
        // Without the right to see issues, or where the repository has none, the pull requests go on.
        Err(error) if error.put_off().is_some() => return Err(error.into()),
        Err(error) => {
            tracing::warn!(repository = %key, %error, "cannot look for the dashboard issue");
            return Ok(());
        }
    };
    if let Some((number, body)) = &found
        && let Some(decided) = dashboard::read(&body.replace("\r\n", "\n"))
        && decisions::read(store, key, now).await?.repository == crate::plan::RepositoryDecisions::default()
    {
        let rows = decisions::rows_of_repository(&decided, now);
        for row in &rows {
            store.decide(key, row).await?;
        }
        note(service, watched, None, rows.len(), &format!("issue {number}")).await?;
    }
    store.keep_dashboard(key, found.map(|(number, _)| number)).await?;
    Ok(())
}

/// Pull requests whose branches the store does not know, each with what people decided about it.
async fn from_pulls(service: &Service, watched: &Watched, site: &Site) -> Result<(), Failure> {
    let (store, key, now) = (&service.store, &watched.key, service.now());
    let (place, base) = (&*site.place, &site.base);
    let broken = |error: gix::Error| Failure::Ours(format!("cannot read the branches of the repository: {error}"));
    let branches = place.branches().map_err(broken)?;
    let known = store.pulls(key, &base.name).await?;
    let open: BTreeSet<&String> =
        known.iter().filter(|pull| pull.state == State::Open).map(|pull| &pull.branch).collect();
    let lost: BTreeSet<String> = branches.heads.keys().filter(|branch| !open.contains(branch)).cloned().collect();
    if lost.is_empty() {
        return Ok(());
    }
    let Some(on_forge) = place.pulls(&base.name, &lost).await? else { return Ok(()) };
    let records = {
        let objects = place.repository();
        let surveyed = survey(&objects, base, &branches, Some(&on_forge), &known).map_err(broken)?;
        let tell = |_: &str, old: &str, new: &str| recognise(old, new, &service.options);
        adopt(&objects, base, &known, &surveyed, &tell)
    };
    if records.is_empty() {
        return Ok(());
    }
    execute::record_found(store, key, &base.name, &records, now).await?;
    let me = service.myself(watched).await?;
    for pull in store.pulls(key, &base.name).await? {
        let Some(there) = on_forge.get(&pull.branch).filter(|_| lost.contains(&pull.branch)) else { continue };
        if there.author.id != me.id || there.state != PullState::Open || pull.state != State::Open {
            continue;
        }
        let marker = Marker::read(&there.body.replace("\r\n", "\n"));
        let Some(marker) = marker.filter(|it| it.base == base.name && it.key() == pull.key) else { continue };
        let rows = decisions::rows_of_pull(pull.number, &marker.decisions, now);
        for row in &rows {
            store.decide(key, row).await?;
        }
        note(service, watched, Some(pull.number), rows.len(), "its text").await?;
    }
    Ok(())
}

async fn note(
    service: &Service,
    watched: &Watched,
    number: Option<i64>,
    count: usize,
    place: &str,
) -> Result<(), Failure> {
    if count > 0 {
        let event = Event {
            repository: watched.key.clone(),
            number,
            action: "recovered".into(),
            reason: format!("the store did not know what people had decided; it stood in {place}"),
            by: None,
        };
        service.store.note(&[event], service.now()).await?;
    }
    Ok(())
}
