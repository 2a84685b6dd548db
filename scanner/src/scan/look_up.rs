//! Asks registries about the images that were found, once per image, and lets each container's choice be made.
//!
//! Owns what is asked and how often (S6.3). The choice itself is [`crate::choose`]'s. A tag list lives only while the
//! containers of its image are decided, so memory does not grow with the number of images.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use super::sights::Seen;
use super::{Finding, Latest, Progress, ScanOptions, Sources};
use crate::choose::{Candidate, Choice, Created, Current, Order, Policy, Reason, choose, shortlist};
use crate::reference::ImageName;
use crate::registry::{Platform, RegistryError, TagList, TagLook, TagTime};
use crate::status::{Flag, Status, Verdict};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

/// Images in the air at once. Each host has its own, lower limit; this one keeps several hosts busy.
const IN_FLIGHT: usize = 64;

/// Looks up the images of the given findings and decides their statuses.
///
/// Findings whose status is settled keep it; with [`super::Ask::Everything`] they learn their newest tag all the same.
/// Returns how many different images there are.
pub(super) async fn look_up(
    findings: &mut [Finding],
    asked: &[usize],
    sources: Sources<'_>,
    options: &ScanOptions,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> usize {
    let mut images: Vec<(&ImageName, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&ImageName, usize> = HashMap::new();
    let found = &*findings;
    for index in asked {
        let Some(name) = found[*index].container.look_up() else { continue };
        let place = *places.entry(name).or_insert_with(|| {
            images.push((name, Vec::new()));
            images.len() - 1
        });
        images[place].1.push(*index);
    }
    let count = images.len();
    progress(Progress::Read { images: count });
    let mut decisions = Vec::with_capacity(asked.len());
    bounded(
        images.into_iter().map(|(name, members)| async move {
            let decided = Image { name, sources, options }.decide(found, &members).await;
            progress(Progress::LookedUp(name));
            decided
        }),
        IN_FLIGHT,
        |decided| decisions.extend(decided),
    )
    .await;
    for (index, decision) in decisions {
        decision.write(&mut findings[index]);
    }
    count
}

/// Runs futures with at most `limit` at once, in their order, and hands each result on as it comes.
async fn bounded<F: Future>(futures: impl Iterator<Item = F>, limit: usize, mut each: impl FnMut(F::Output)) {
    let mut futures = futures.fuse();
    let mut running = pin!(FuturesUnordered::new());
    loop {
        while running.len() < limit
            && let Some(next) = futures.next()
        {
            running.push(next);
        }
        match running.next().await {
            Some(result) => each(result),
            None => return,
        }
    }
}

/// What was decided for one container.
struct Decision {
    status: Status,
    flags: Vec<Flag>,
    message: Option<String>,
    latest: Option<Latest>,
    reasons: Vec<Reason>,
}

impl Decision {
    fn fault(status: Status, message: String) -> Self {
        Self { status, flags: Vec::new(), message: Some(message), latest: None, reasons: Vec::new() }
    }

    fn write(self, finding: &mut Finding) {
        if finding.status.is_none() {
            finding.status = Some(self.status);
            finding.message = self.message;
            finding.flags.extend(self.flags);
        }
        finding.latest = self.latest;
        finding.reasons = self.reasons;
    }
}

/// One image while its containers are decided.
#[derive(Clone, Copy)]
struct Image<'a> {
    name: &'a ImageName,
    sources: Sources<'a>,
    options: &'a ScanOptions,
}

/// What is known of the times of an image's tags.
type Times<'t> = HashMap<&'t str, TagLook>;

impl Image<'_> {
    async fn decide(self, findings: &[Finding], members: &[usize]) -> Vec<(usize, Decision)> {
        let list = match self.sources.lists {
            Some(lists) => lists.tags(self.sources.registry, self.name).await,
            None => self.sources.registry.tags(self.name).await.map(Arc::new),
        };
        let list = match list {
            Ok(list) => list,
            Err(error) => {
                let fault = || Decision::fault(Status::RegistryError, error.to_string());
                return members.iter().map(|member| (*member, fault())).collect();
            }
        };
        let needs_times = self.options.min_age.is_some()
            || members.iter().any(|member| findings[*member].container.steering.policy.needs_times());
        let sights = self.sources.sights.filter(|_| needs_times);
        // All tags are noted, whatever the filters: what a wider filter takes tomorrow is not new then.
        let seen = sights.and_then(|sights| sights.see(self.name, list.iter(), self.options.now));
        let mut decisions = Vec::with_capacity(members.len());
        for member in members {
            let decision = self.container(&findings[*member], &list, seen.as_deref()).await;
            decisions.push((
                *member,
                decision.unwrap_or_else(|error| Decision::fault(Status::RegistryError, error.to_string())),
            ));
        }
        decisions
    }

    /// An error is a fault that may pass: half a picture is no ground for a choice (S6.3).
    async fn container(
        self,
        finding: &Finding,
        list: &TagList,
        seen: Option<&Seen>,
    ) -> Result<Decision, RegistryError> {
        let container = &finding.container;
        let Some(tag) = container.tag.as_deref() else {
            return Ok(Decision::fault(Status::Untagged, "the image has no tag".into()));
        };
        let mut policy = Cow::Borrowed(&container.steering.policy);
        if seen.is_some() {
            policy.to_mut().first_seen_stands_in = true;
        }
        if let (None, Some(min_age)) = (policy.min_age, self.options.min_age) {
            policy.to_mut().min_age = Some(min_age);
        }
        let (list, skipped) = self.wanted(finding, list);
        let list = &list[..];
        let (policy, seen) = (&*policy, seen.filter(|_| policy.needs_times()));
        let platform = container.steering.platform.as_ref().unwrap_or(&self.options.platform);
        let mut times = Times::new();
        if policy.needs_times() {
            let short = shortlist(policy, tag, list.iter().copied());
            let unseen = short.iter().filter(|tag| !self.sources.times.knows(self.name, tag)).count();
            if unseen > self.options.max_timed_tags {
                return Ok(Decision::fault(Status::TooManyTags, too_many(unseen, self.options.max_timed_tags)));
            }
            times.insert(tag, self.confirm(tag, platform).await?);
            if policy.order == Order::Created {
                let looks = self.look(&short, platform).await?;
                times.extend(short.iter().copied().zip(looks));
            } else {
                self.look_until_old_enough(&short, policy, platform, seen, &mut times).await?;
            }
        }
        loop {
            let choice = self.choose(policy, tag, list, &times, seen);
            // The winner's digest must be certain; one that moved may win no longer.
            if let Some(selected) = choice.selected.as_deref().filter(|_| policy.needs_times())
                && let Some(selected) = list.iter().find(|tag| **tag == selected)
            {
                let look = self.confirm(selected, platform).await?;
                if times.insert(selected, look.clone()).is_some_and(|before| before != look) {
                    continue;
                }
            }
            let mut decision = self.finish(finding, choice, &times, platform).await?;
            if !skipped.is_empty() && matches!(decision.status, Status::Current | Status::NoMatch) {
                let reason = || format!("ignored are {} tags, such as `{}`", skipped.len(), skipped[0].tag);
                decision.message = decision.message.or_else(|| Some(reason()));
            }
            if self.options.explain {
                decision.reasons.extend(skipped);
            }
            return Ok(decision);
        }
    }

    /// The tags that people may want, and the others with their reasons. The current tag always stays (S6.9).
    fn wanted<'t>(self, finding: &Finding, list: &'t TagList) -> (Vec<&'t str>, Vec<Reason>) {
        let Some(skip) = &self.options.skip else { return (list.iter().collect(), Vec::new()) };
        let container = &finding.container;
        let mut skipped = Vec::new();
        let wanted = list
            .iter()
            .filter(|tag| {
                if container.tag.as_deref() == Some(tag) || container.steering.policy.filter.judge(tag, None).is_err() {
                    return true;
                }
                let Some(message) = skip.why(&finding.file, container, tag) else { return true };
                skipped.push(Reason { tag: (*tag).to_owned(), verdict: Verdict::Ignored, message });
                false
            })
            .collect();
        (wanted, skipped)
    }

    fn choose(self, policy: &Policy, tag: &str, list: &[&str], times: &Times<'_>, seen: Option<&Seen>) -> Choice {
        let created = |tag| times.get(tag).map_or(Created::NotAsked, created);
        let candidates: Vec<Candidate<'_>> =
            list.iter().copied().map(|tag| candidate(tag, created(tag), seen)).collect();
        let first_seen = seen.and_then(|seen| seen.of(tag).0);
        let current = Current { tag, created: created(tag), first_seen };
        choose(policy, &current, &candidates, self.options.now, self.options.explain)
    }

    async fn confirm(self, tag: &str, platform: &Platform) -> Result<TagLook, RegistryError> {
        self.sources.registry.confirm(self.sources.times, self.name, tag, platform, self.options.now).await
    }

    async fn look(self, tags: &[&str], platform: &Platform) -> Result<Vec<TagLook>, RegistryError> {
        self.sources.registry.look(self.sources.times, self.name, tags, platform, self.options.now).await
    }

    /// Asks for the times of tags, best first: the first that is old enough ends the search (S6.7).
    async fn look_until_old_enough<'t>(
        self,
        short: &[&'t str],
        policy: &Policy,
        platform: &Platform,
        seen: Option<&Seen>,
        times: &mut Times<'t>,
    ) -> Result<(), RegistryError> {
        for tag in short {
            let Some(look) = self.look(&[tag], platform).await?.pop() else { continue };
            let since = candidate(tag, created(&look), seen).known_since();
            let age = since.map(|since| self.options.now.duration_since(since));
            let old_enough = age.zip(policy.min_age).is_some_and(|(age, least)| age >= least);
            times.insert(tag, look);
            if old_enough {
                break;
            }
        }
        Ok(())
    }

    /// Adds what a pinned digest or the caller's curiosity asks for.
    async fn finish(
        self,
        finding: &Finding,
        choice: Choice,
        times: &Times<'_>,
        platform: &Platform,
    ) -> Result<Decision, RegistryError> {
        let Choice { mut status, selected, flags, mut message, reasons, .. } = choice;
        let Some(tag) = selected else { return Ok(Decision { status, flags, message, latest: None, reasons }) };
        let known = times.get(tag.as_str()).and_then(|look| look.as_ref().ok());
        let mut latest = Latest {
            digest: known.map(|known| known.digest.clone()),
            created: known.and_then(|known| known.created),
            labels: Vec::new(),
            tag,
        };
        if self.options.details {
            match self.sources.registry.metadata(self.name, &latest.tag, platform).await {
                Ok(metadata) => {
                    latest.created = metadata.created.at(self.options.now);
                    latest.digest = Some(metadata.digest);
                    latest.labels = metadata.labels.into_iter().collect();
                }
                // It is an extra: the choice stands without it.
                Err(error) => message = message.or(Some(error.to_string())),
            }
        }
        let pinned = finding.container.digest.as_ref();
        if pinned.is_some() && matches!(status, Status::Update | Status::Current) {
            if latest.digest.is_none() {
                latest.digest = Some(self.sources.registry.digest(self.name, &latest.tag).await?);
            }
            if status == Status::Current && latest.digest.as_ref() != pinned {
                status = Status::Update;
                message = Some(format!("the tag `{}` points at another image than the pinned digest", latest.tag));
            }
        }
        Ok(Decision { status, flags, message, latest: Some(latest), reasons })
    }
}

/// A tag with what is known of it.
fn candidate<'t>(tag: &'t str, created: Created, seen: Option<&Seen>) -> Candidate<'t> {
    let (first_seen, in_first_listing) = seen.map_or((None, false), |seen| seen.of(tag));
    Candidate { tag, created, first_seen, in_first_listing }
}

/// What a look says of a tag's creation time.
fn created(look: &TagLook) -> Created {
    match look {
        Ok(TagTime { created: Some(created), .. }) => Created::At(*created),
        Ok(TagTime { created: None, .. }) => Created::Unknown,
        Err(error) => Created::Unavailable(error.to_string()),
    }
}

fn too_many(unseen: usize, limit: usize) -> String {
    format!(
        "{unseen} matching tags would have to be asked for their creation time, more than {limit}: narrow the filter, \
         or set an order that needs no times, such as `leadsman.dev/order.<container>: numerical`"
    )
}
