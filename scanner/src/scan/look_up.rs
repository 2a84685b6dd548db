//! Asks registries about the images that were found, once per image, and lets each container's choice be made.
//!
//! Owns what is asked and how often (S6.3). The choice itself is [`crate::choose`]'s. A tag list lives only while the
//! containers of its image are decided, so memory does not grow with the number of images.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;

use super::{Finding, Latest, Progress, ScanOptions};
use crate::choose::{Candidate, Choice, Created, Current, Order, choose, shortlist};
use crate::reference::{Digest, ImageName};
use crate::registry::{Platform, Registry, RegistryError, TagList};
use crate::status::{Flag, Status};

/// Images in the air at once. Each host has its own, lower limit; this one keeps several hosts busy.
const IN_FLIGHT: usize = 64;

/// Questions for the metadata of one image's tags in the air at once.
const TIMES_IN_FLIGHT: usize = 16;

/// What a registry said of the image behind one tag.
#[derive(Debug, Clone)]
pub(super) struct Known {
    digest: Digest,
    created: Option<Timestamp>,
    labels: Vec<(String, String)>,
}

/// Something that has to be asked of one image, for the sake of one container.
type Answer = Result<Known, RegistryError>;

/// Looks up the images of the given findings and decides their statuses.
///
/// Findings whose status is settled keep it; with [`super::Ask::Everything`] they learn their newest tag all the same.
/// Returns how many different images there are.
pub(super) async fn look_up(
    findings: &mut [Finding],
    asked: &[usize],
    registry: &Registry,
    options: &ScanOptions,
    progress: &dyn Fn(Progress<'_>),
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
            let decided = Image { name, registry, options, memo: HashMap::new() }.decide(found, &members).await;
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
    reasons: Vec<crate::choose::Reason>,
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
struct Image<'a> {
    name: &'a ImageName,
    registry: &'a Registry,
    options: &'a ScanOptions,
    /// Several containers may need the same tag.
    memo: HashMap<(String, Platform), Answer>,
}

impl Image<'_> {
    async fn decide(mut self, findings: &[Finding], members: &[usize]) -> Vec<(usize, Decision)> {
        let list = match self.registry.tags(self.name).await {
            Ok(list) => list,
            Err(error) => {
                let fault = || Decision::fault(Status::RegistryError, error.to_string());
                return members.iter().map(|member| (*member, fault())).collect();
            }
        };
        let mut decisions = Vec::with_capacity(members.len());
        for member in members {
            decisions.push((*member, self.container(&findings[*member], &list).await));
        }
        decisions
    }

    async fn container(&mut self, finding: &Finding, list: &TagList) -> Decision {
        let container = &finding.container;
        let Some(tag) = container.tag.as_deref() else {
            return Decision::fault(Status::Untagged, "the image has no tag".into());
        };
        let policy = &container.steering.policy;
        let platform = container.steering.platform.clone().unwrap_or_default();
        let mut candidates: Vec<Candidate<'_>> = list.iter().map(Candidate::new).collect();
        let mut current = Current::new(tag);
        if policy.needs_times() {
            let short = shortlist(policy, tag, list.iter());
            if short.len() > self.options.max_timed_tags {
                return Decision::fault(Status::TooManyTags, too_many(short.len(), self.options.max_timed_tags));
            }
            match self.times(&short, tag, policy, &platform).await {
                Ok(times) => {
                    for candidate in &mut candidates {
                        if let Some(created) = times.get(candidate.tag) {
                            candidate.created = created.clone();
                        }
                    }
                    if let Some(created) = times.get(tag) {
                        current.created = created.clone();
                    }
                }
                Err(error) => return Decision::fault(Status::RegistryError, error.to_string()),
            }
        }
        let choice = choose(policy, &current, &candidates, self.options.now, self.options.explain);
        self.finish(finding, choice, &platform).await
    }

    /// The creation times of the tags on the short list, and of the current one.
    ///
    /// A lasting gap is an answer; a fault that may pass is an error for the whole image, for half a picture is no
    /// ground for a choice (S6.3).
    async fn times<'t>(
        &mut self,
        short: &[&'t str],
        current: &'t str,
        policy: &crate::choose::Policy,
        platform: &Platform,
    ) -> Result<HashMap<&'t str, Created>, RegistryError> {
        let mut times = HashMap::with_capacity(short.len() + 1);
        if policy.order == Order::Created {
            let tags = short.iter().copied().chain((!short.contains(&current)).then_some(current));
            self.learn(tags, platform).await;
            for tag in short.iter().copied().chain([current]) {
                times.insert(tag, self.created(tag, platform).await?);
            }
        } else {
            // Best first: the first that is old enough ends the search (S6.7).
            for tag in short {
                let created = self.created(tag, platform).await?;
                let old_enough = created
                    .time()
                    .zip(policy.min_age)
                    .is_some_and(|(time, age)| self.options.now.duration_since(time) >= age);
                times.insert(*tag, created);
                if old_enough {
                    break;
                }
            }
        }
        Ok(times)
    }

    /// Asks for many tags at once; [`Self::known`] then has their answers.
    async fn learn(&mut self, tags: impl Iterator<Item = &str>, platform: &Platform) {
        let unknown: Vec<String> =
            tags.filter(|tag| !self.memo.contains_key(&((*tag).into(), platform.clone()))).map(Into::into).collect();
        let (registry, name) = (self.registry, self.name);
        let now = self.options.now;
        let memo = &mut self.memo;
        bounded(
            unknown.into_iter().map(|tag| async move {
                let answer = ask(registry, name, &tag, platform, now).await;
                (tag, answer)
            }),
            TIMES_IN_FLIGHT,
            |(tag, answer)| {
                memo.insert((tag, platform.clone()), answer);
            },
        )
        .await;
    }

    async fn known(&mut self, tag: &str, platform: &Platform) -> Answer {
        let key = (tag.to_owned(), platform.clone());
        if let Some(answer) = self.memo.get(&key) {
            return answer.clone();
        }
        let answer = ask(self.registry, self.name, tag, platform, self.options.now).await;
        self.memo.insert(key, answer.clone());
        answer
    }

    async fn created(&mut self, tag: &str, platform: &Platform) -> Result<Created, RegistryError> {
        match self.known(tag, platform).await {
            Ok(Known { created: Some(created), .. }) => Ok(Created::At(created)),
            Ok(_) => Ok(Created::Unknown),
            Err(error) if error.is_lasting() => Ok(Created::Unavailable(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Adds what a pinned digest or the caller's curiosity asks for.
    async fn finish(&mut self, finding: &Finding, choice: Choice, platform: &Platform) -> Decision {
        let Choice { mut status, selected, flags, mut message, reasons, .. } = choice;
        let pinned = finding.container.digest.as_ref();
        let mut latest = selected.map(|tag| Latest { tag, digest: None, created: None, labels: Vec::new() });
        if let Some(latest) = &mut latest {
            let key = (latest.tag.clone(), platform.clone());
            if self.options.details || self.memo.contains_key(&key) {
                match self.known(&latest.tag, platform).await {
                    Ok(known) => {
                        (latest.digest, latest.created) = (Some(known.digest), known.created);
                        latest.labels = known.labels;
                    }
                    Err(error) if pinned.is_none() => message = message.or(Some(error.to_string())),
                    Err(_) => {}
                }
            }
            let moves = matches!(status, Status::Update | Status::Current);
            if pinned.is_some() && moves && latest.digest.is_none() {
                match self.registry.digest(self.name, &latest.tag).await {
                    Ok(digest) => latest.digest = Some(digest),
                    Err(error) => return Decision::fault(Status::RegistryError, error.to_string()),
                }
            }
            if status == Status::Current && pinned.is_some() && latest.digest.as_ref() != pinned {
                status = Status::Update;
                message = Some(format!("the tag `{}` points at another image than the pinned digest", latest.tag));
            }
        }
        Decision { status, flags, message, latest, reasons }
    }
}

async fn ask(registry: &Registry, name: &ImageName, tag: &str, platform: &Platform, now: Timestamp) -> Answer {
    let metadata = registry.metadata(name, tag, platform).await?;
    Ok(Known {
        digest: metadata.digest,
        created: metadata.created.at(now),
        labels: metadata.labels.into_iter().collect(),
    })
}

fn too_many(matching: usize, limit: usize) -> String {
    format!(
        "{matching} tags match and would have to be asked for their creation time, more than {limit}: narrow the \
         filter, or set an order that needs no times, such as `leadsman.dev/order.<container>: numerical`"
    )
}
