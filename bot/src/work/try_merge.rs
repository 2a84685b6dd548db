//! Carries a request to merge on: gathers what counts now, has it judged, and does what the verdict says (C3).

use std::collections::BTreeMap;

use gix::ObjectId;
use jiff::Timestamp;
use leadsman_scanner::reference::{KnownHosts, Reference};
use serde::{Deserialize, Serialize};

use super::answer::{Thread, answer};
use super::decisions;
use super::queue::Failure;
use super::service::{Service, Watched, parts};
use crate::config::repository::RepositoryConfig;
use crate::forge::{ErrorKind, ForgePull, MergeAnswer, MergeMethod, Mergeable, Permission, PullEdit, Reaction};
use crate::merge::decide::{
    Attempt, Decided, Facts, Image, MergeConfig, Note, Request, Standing, Verdict, decide, expires_at, next_look,
};
use crate::merge::reason::Reason;
use crate::pulls::{Pull, State};
use crate::render::comments::{Answer, CommentKey};
use crate::server::metrics::{self, MergeOutcome};
use crate::store::history::Event;
use crate::store::merges::MergeRequest;
use crate::store::repositories::ConfigState;
use crate::store::work::{Claim, Kind, Next, Priority};

/// What the names of our own checks begin with.
const OWN_CHECKS: &str = "leadsman/";

/// How many merged pull requests tell which checks are usual (C3.2).
const HABIT: usize = 3;

/// What is remembered of a request between two looks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// The line of the comment that asked.
    pub line: usize,
    /// How often in a row the forge did not know whether it can be merged.
    pub unknown: u32,
    /// What the forge said to the last attempt, when, and how many there were.
    pub refused: Option<(String, Timestamp, u32)>,
    /// Whether the forge was called to merge and its answer may have been lost.
    pub trying: bool,
    /// The names of the reasons that were told last, for the history.
    pub told: Vec<String>,
    /// The same reasons in words, for the dashboard issue.
    pub words: Vec<String>,
}

impl Remembered {
    /// What a request's row remembers.
    #[must_use]
    pub fn of(request: &MergeRequest) -> Self {
        request.last_verdict.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// As the row keeps it.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Everything that a verdict needs, gathered.
pub struct Gathered {
    /// The pull request as the forge tells it.
    pub pull: ForgePull,
    /// Ours.
    pub known: Pull,
    /// The verdict.
    pub decided: Decided,
    /// The request that was judged.
    pub request: Request,
    /// How it would be merged.
    pub method: MergeMethod,
    /// When the request is over.
    pub expires_at: Timestamp,
}

/// Looks at the request that the claim names.
///
/// # Errors
/// Where the forge, a registry or the store does not do its part; the request stands.
pub async fn try_merge(service: &Service, claim: &Claim) -> Result<Next, Failure> {
    let Some((repository, number)) = parts(&claim.key) else { return Ok(Next::Done) };
    let Some(watched) = service.watched(repository) else { return Ok(Next::Done) };
    let Some(row) = service.store.merge_request(repository, number).await? else { return Ok(Next::Done) };
    let is_misconfigured =
        matches!(service.store.repository(repository).await?.map(|known| known.config), Some(ConfigState::Invalid(_)));
    if !is_misconfigured {
        service.know_config(watched).await?;
    }
    let mut remembered = Remembered::of(&row);
    let Some(gathered) = gather(service, watched, number, Some((&row, &remembered))).await? else {
        service.store.settle_merge(repository, number, Some(row.created_at)).await?;
        return Ok(Next::Done);
    };
    let Gathered { pull, decided: Decided { verdict, notes }, request, method, expires_at, .. } = &gathered;
    let now = service.now();
    let asked = Asked { service, watched, row: &row, line: remembered.line, thread: pull.number };
    remembered.unknown = if pull.mergeable == Mergeable::Unknown { remembered.unknown + 1 } else { 0 };
    match verdict {
        Verdict::Wait(reasons) => {
            let names: Vec<String> = reasons.iter().map(|reason| reason.name().to_owned()).collect();
            remembered.words = reasons.iter().map(Reason::words).collect();
            if remembered.told != names {
                asked.note("waits", &remembered.words.join("; ")).await?;
                // The dashboard issue tells it, too.
                if watched.forge.capabilities().issues {
                    let ask = service.ask_of(watched, Kind::DashboardIssue, repository.to_owned());
                    service.store.ask(&[ask.with(Priority::Scan)], now).await?;
                }
            }
            remembered.told = names;
            service.store.keep_verdict(repository, number, row.created_at, &remembered.text()).await?;
            asked.say(&Answer::Waiting { request, method: *method, reasons, notes, expires_at: *expires_at }).await?;
            Ok(next_look(verdict, *expires_at, now).map_or(Next::Done, Next::Again))
        }
        // We did: what came after it was lost.
        Verdict::Drop(Reason::AlreadyMerged) if remembered.trying => {
            merged(&asked, &gathered, request.head, *method, notes).await
        }
        Verdict::Drop(reason) => {
            asked.note("dropped", &reason.words()).await?;
            metrics::merge(match reason {
                Reason::Expired { .. } => MergeOutcome::Expired,
                _ => MergeOutcome::Dropped,
            });
            if *reason != Reason::AlreadyMerged {
                asked.say(&Answer::Dropped(reason)).await?;
            }
            service.store.settle_merge(repository, number, Some(row.created_at)).await?;
            Ok(Next::Done)
        }
        Verdict::Merge { head, method } => {
            if !claim.may_write() {
                return Ok(Next::Again(now));
            }
            remembered.trying = true;
            service.store.keep_verdict(repository, number, row.created_at, &remembered.text()).await?;
            let answered = watched.forge.merge(&watched.name, pull.number, *head, *method, None).await?;
            match answered {
                MergeAnswer::Merged => merged(&asked, &gathered, *head, *method, notes).await,
                MergeAnswer::Again(said) | MergeAnswer::Drop(said) if is_merged(watched, pull.number).await? => {
                    // The answer to an earlier call was lost.
                    tracing::info!(repository, number, said, "was merged before");
                    merged(&asked, &gathered, *head, *method, notes).await
                }
                MergeAnswer::Again(said) => {
                    let count = remembered.refused.as_ref().map_or(0, |refused| refused.2) + 1;
                    remembered.refused = Some((said, now, count));
                    remembered.trying = false;
                    service.store.keep_verdict(repository, number, row.created_at, &remembered.text()).await?;
                    Ok(Next::Again(now))
                }
                MergeAnswer::Drop(said) => {
                    let reason = Reason::ForgeRefusedHead { said };
                    asked.note("dropped", &reason.words()).await?;
                    asked.say(&Answer::Dropped(&reason)).await?;
                    service.store.settle_merge(repository, number, Some(row.created_at)).await?;
                    Ok(Next::Done)
                }
            }
        }
    }
}

async fn is_merged(watched: &Watched, number: i64) -> Result<bool, Failure> {
    Ok(watched.forge.pull(&watched.name, number).await?.state == crate::forge::PullState::Merged)
}

/// After the merge: says so, and has the repository looked at, which deletes the branch and closes what is superseded
/// (C3.6).
async fn merged(
    asked: &Asked<'_>,
    gathered: &Gathered,
    head: ObjectId,
    method: MergeMethod,
    notes: &[Note],
) -> Result<Next, Failure> {
    let Asked { service, watched, row, .. } = *asked;
    metrics::merge(MergeOutcome::Merged);
    asked.note("merged", &format!("asked for by `{}`", row.by.login)).await?;
    let base = gathered.pull.base.as_str();
    asked.say(&Answer::Merged { head, base, method, commit: None, notes }).await?;
    if let Some(comment) = row.comment_id
        && watched.forge.capabilities().reactions
    {
        watched.forge.react(&watched.name, comment, Reaction::ThumbsUp).await?;
    }
    service.store.settle_merge(&watched.key, row.number, Some(row.created_at)).await?;
    service.store.ask(&[service.ask_scan(watched, Priority::Pull)], service.now()).await?;
    Ok(Next::Done)
}

/// Who asked, and where they are answered.
struct Asked<'a> {
    service: &'a Service,
    watched: &'a Watched,
    row: &'a MergeRequest,
    line: usize,
    thread: i64,
}

impl Asked<'_> {
    async fn say(&self, words: &Answer<'_>) -> Result<(), Failure> {
        let Some(comment) = self.row.comment_id else { return Ok(()) };
        let thread = Thread { service: self.service, watched: self.watched, number: self.thread };
        let grammar = self.service.grammar(self.watched);
        answer(&thread, CommentKey::Answer { comment, line: self.line }, &grammar, words).await?;
        Ok(())
    }

    async fn note(&self, action: &str, reason: &str) -> Result<(), Failure> {
        let event = Event {
            repository: self.watched.key.clone(),
            number: Some(self.row.number),
            action: action.to_owned(),
            reason: reason.to_owned(),
            by: Some(self.row.by.clone()),
        };
        self.service.store.note(&[event], self.service.now()).await?;
        Ok(())
    }
}

/// Gathers what counts about the pull request with our `number`, and has it judged: on behalf of the request, or as if
/// somebody asked now. None where there is no such pull request of ours.
///
/// # Errors
/// Where the forge or the store does not do its part.
pub async fn gather(
    service: &Service,
    watched: &Watched,
    number: i64,
    asked: Option<(&MergeRequest, &Remembered)>,
) -> Result<Option<Gathered>, Failure> {
    let (store, forge, name) = (&service.store, &watched.forge, &watched.name);
    let now = service.now();
    let Some((known, thread)) = store.pull(&watched.key, number).await? else { return Ok(None) };
    let Some(thread) = thread else { return Ok(None) };
    let pull = forge.pull(name, thread).await?;
    let rules = forge.rules(name, &pull.base).await?;
    let checks = forge.checks(name, pull.head).await?;
    let reviews = if forge.capabilities().reviews { forge.reviews(name, thread).await? } else { Vec::new() };
    let standing = match asked {
        None => Standing::May,
        Some((row, _)) => match forge.permission(name, &row.by).await {
            Ok(permission) if permission >= Permission::Write => Standing::May,
            Ok(_) => Standing::MayNot,
            Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => Standing::Unknown,
            Err(error) => return Err(error.into()),
        },
    };
    let mut habitual = Vec::new();
    for head in store.merged_heads(&watched.key, &pull.base, HABIT).await? {
        habitual.extend(forge.checks(name, head).await?.into_iter().map(|check| check.name));
    }
    habitual.sort();
    habitual.dedup();
    let people = decisions::read(store, &watched.key, now).await?;
    let hold = people.pulls.get(&number).and_then(|decided| decided.hold.clone());
    let pause = people.repository.pause;
    let config = merge_config(watched, &service.config(&watched.key));
    let request = match asked {
        Some((row, _)) => Request {
            head: row.head,
            base: pull.base.clone(),
            method: row.method,
            now: row.required_only,
            by: row.by.login.clone(),
            asked_at: row.created_at,
        },
        None => Request {
            head: pull.head,
            base: pull.base.clone(),
            method: None,
            now: false,
            by: String::new(),
            asked_at: now,
        },
    };
    let attempt = asked.and_then(|(_, remembered)| remembered.refused.clone()).map(|(said, at, count)| Attempt {
        answer: MergeAnswer::Again(said),
        at,
        count,
    });
    let seen = store.heads_seen(&watched.key, number).await?;
    let head_since = seen.iter().find(|seen| seen.id == pull.head).map_or(pull.updated_at, |seen| seen.first_seen_at);
    let row = store.repository(&watched.key).await?;
    // What the repository asks for is not known, so the most careful reading holds.
    let misconfigured = row.as_ref().and_then(|row| match &row.config {
        ConfigState::Invalid(why) => Some(why.clone()),
        _ => None,
    });
    let head_of_base = row.and_then(|row| row.head);
    let behind = known.heads.get(&pull.head).is_none_or(|head| Some(head.base) != head_of_base);
    let images = images(service, &known).await;
    let ours: BTreeMap<_, _> = known.heads.clone();
    let decided = decide(&Facts {
        request: &request,
        pull: &pull,
        head_since,
        ours: &ours,
        checks: &checks,
        habitual: &habitual,
        own_checks: OWN_CHECKS,
        rules: &rules,
        reviews: &reviews,
        behind,
        unknown_mergeable: asked.map_or(1, |(_, remembered)| remembered.unknown + 1),
        standing,
        hold: hold.as_ref(),
        pause: pause.as_ref(),
        misconfigured: misconfigured.as_deref(),
        images: &images,
        attempt: attempt.as_ref(),
        config: &config,
        now,
    });
    let expires_at = expires_at(&request, &config);
    let method = request.method.unwrap_or(config.method);
    Ok(Some(Gathered { pull, known, decided, request, method, expires_at }))
}

/// How the repository's configuration says merging is done.
fn merge_config(watched: &Watched, config: &RepositoryConfig) -> MergeConfig {
    let allowed = watched.forge.capabilities().merge_methods.to_vec();
    let defaults = MergeConfig::default();
    MergeConfig {
        method: config.merge.method.unwrap_or(defaults.method),
        allowed,
        settle: config.merge.settle.duration().try_into().unwrap_or(defaults.settle),
        ..defaults
    }
}

/// Whether the images that a pull request proposes are still what they were.
async fn images(service: &Service, pull: &Pull) -> Vec<Image> {
    let mut images = Vec::new();
    if pull.state != State::Open {
        return images;
    }
    for proposed in &pull.proposed {
        let change = &proposed.change;
        let shown = format!("{}:{}", change.image, change.to.tag);
        let Ok(reference) = Reference::parse(&change.image, &KnownHosts::default()) else { continue };
        let told = service.registry.digest(&reference.name, &change.to.tag).await;
        images.push(match (told, &proposed.evidence.digest) {
            (Ok(digest), Some(before)) if digest.as_str() != before => Image::Moved(shown),
            (Ok(_), _) => Image::Same,
            (Err(error), _) if error.is_not_found() => Image::Gone(shown),
            (Err(_), _) => Image::Unknown(shown),
        });
    }
    images
}

/// Closes the pull request: a person asked for it (C2).
///
/// # Errors
/// Where the forge does not do its part.
pub async fn close(watched: &Watched, thread: i64) -> Result<(), Failure> {
    let edit = PullEdit { open: Some(false), ..PullEdit::default() };
    watched.forge.edit_pull(&watched.name, thread, &edit).await?;
    Ok(())
}
