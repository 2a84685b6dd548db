//! `leadsman tags`: what a registry has of an image.

use jiff::Timestamp;
use leadsman_scanner::choose::{Candidate, Current, Order, Policy, choose};
use leadsman_scanner::filter::Filter;
use leadsman_scanner::reference::Reference;
use leadsman_scanner::registry::{Metadata, Platform, Registry, RegistryError, TagList};
use leadsman_scanner::status::Verdict;
use tokio::task::JoinSet;

use super::{Context, Outcome};
use crate::clock;
use crate::config::Config;
use crate::output::error::CliError;
use crate::output::json::{self, OrderView, TagView, TagsView, Version};
use crate::output::progress::Progress;
use crate::output::{Exit, Format, report};

/// Lists an image's tags in its registry, newest first
///
/// Each with its creation time, age and digest.
///
/// Versions are listed highest first, then all other tags by text; a filter lists its matches in its own order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  leadsman tags ghcr.io/stefanprodan/podinfo --filter 'semver:~6.5'")]
pub(super) struct Args {
    /// The image, without a tag
    image: String,
    /// Only the tags that this filter takes, in its order
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    filter: Option<String>,
    /// The order, instead of the filter's own
    #[arg(long, value_enum, value_name = "ORDER")]
    order: Option<OrderView>,
    /// List at most so many; 0 lists all. Each that is listed costs two or three requests
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load()?.config;
    let reference = Reference::parse(&args.image, &config.known_hosts())
        .map_err(|error| CliError::usage(format!("`{}` is no image", args.image)).because(&error))?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(CliError::usage(format!("`{}` names a tag or a digest", args.image))
            .hint(format!("write `{}`; `--filter` narrows the list", reference.name)));
    }
    let filter = args.filter.as_deref().map(Filter::parse).transpose().map_err(|error| {
        CliError::usage(format!("`{}` is no filter", args.filter.as_deref().unwrap_or_default())).because(&error)
    })?;
    let registry = config.registry(&context.environment)?;
    let list = registry.tags(&reference.name).await.map_err(|error| CliError::from(&error))?;
    let wanted = wanted(args, filter, &config, &list)?;
    let question = Question { registry: registry.clone(), image: reference.name.clone(), platform: config.platform() };
    let now = clock::now();
    let mut tags = question.ask(&wanted.tags, now, context).await;
    if wanted.by_time {
        tags.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.tag.cmp(&b.tag)));
        tags.truncate(limit(args));
    }
    let failed = tags.iter().any(|tag| tag.error.is_some());
    let view = TagsView {
        version: Version::ONE,
        image: reference.name.to_string(),
        filter: args.filter.clone(),
        tags,
        matching: wanted.matching,
        total: list.len(),
        registry_requests: registry.requests(),
    };
    context.print(&match args.format {
        Format::Json => json::document(&view),
        Format::Human => report::tags_table(&view, now, context.ui.out),
    })?;
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

fn limit(args: &Args) -> usize {
    if args.limit == 0 { usize::MAX } else { args.limit }
}

/// Which tags are asked about, in order.
struct Wanted {
    tags: Vec<String>,
    /// How many there are before the limit.
    matching: usize,
    /// Their order needs their creation times.
    by_time: bool,
}

fn wanted(args: &Args, filter: Option<Filter>, config: &Config, list: &TagList) -> Result<Wanted, CliError> {
    let candidates: Vec<Candidate<'_>> = list.iter().map(Candidate::new).collect();
    let is_filtered = filter.is_some();
    let order = args.order.map(Order::from);
    let policy = match filter {
        Some(filter) => Policy { order: order.unwrap_or(Order::of(filter.kind())), ..Policy::new(filter) },
        None => {
            let versions = Filter::parse("semver:>=0.0.0-0").unwrap_or_default();
            let filter = if order.is_some() { Filter::default() } else { versions };
            Policy { order: order.unwrap_or(Order::Semver), ..Policy::new(filter) }
        }
    };
    let by_time = policy.order == Order::Created;
    let reasons = choose(&policy, &Current::new(""), &candidates, Timestamp::UNIX_EPOCH, true).reasons;
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for reason in reasons {
        match reason.verdict {
            Verdict::Artifact => {}
            Verdict::Filter | Verdict::Latest => others.push(reason.tag),
            _ => matching.push(reason.tag),
        }
    }
    if !is_filtered {
        others.sort_unstable_by(|a, b| b.cmp(a));
        matching.append(&mut others);
    }
    let count = matching.len();
    let most = config.max_new_tags as usize;
    if by_time && count > most {
        return Err(CliError::failed(format!(
            "{count} tags would have to be asked for their creation time, more than {most}"
        ))
        .hint("narrow them with `--filter`, name another `--order`, or raise `max_new_tags` in the configuration"));
    }
    if !by_time {
        matching.truncate(limit(args));
    }
    Ok(Wanted { tags: matching, matching: count, by_time })
}

/// Whom to ask about tags.
struct Question {
    registry: Registry,
    image: leadsman_scanner::reference::ImageName,
    platform: Platform,
}

impl Question {
    /// Digest and time of each tag, in the order given; faults stand with their tag.
    async fn ask(&self, tags: &[String], now: Timestamp, context: &Context) -> Vec<TagView> {
        let progress = Progress::new(&context.ui, "asking the registry");
        let mut answers: Vec<Option<Result<Metadata, RegistryError>>> = Vec::new();
        answers.resize_with(tags.len(), || None);
        let mut waiting = JoinSet::new();
        for (index, tag) in tags.iter().cloned().enumerate() {
            let (registry, image, platform) = (self.registry.clone(), self.image.clone(), self.platform.clone());
            waiting.spawn(async move { (index, registry.metadata(&image, &tag, &platform).await) });
        }
        let mut done = 0;
        while let Some(answer) = waiting.join_next().await {
            done += 1;
            progress.set(done, tags.len());
            if let Ok((index, answer)) = answer {
                answers[index] = Some(answer);
            }
        }
        tags.iter().zip(answers).map(|(tag, answer)| view(tag, answer, now)).collect()
    }
}

fn view(tag: &str, answer: Option<Result<Metadata, RegistryError>>, now: Timestamp) -> TagView {
    let (metadata, error) = match answer {
        Some(Ok(metadata)) => (Some(metadata), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, Some("the question was not put".to_owned())),
    };
    let created = metadata.as_ref().and_then(|metadata| metadata.created.at(now));
    TagView {
        tag: tag.to_owned(),
        digest: metadata.map(|metadata| metadata.digest.to_string()),
        created,
        age_seconds: created.map(|created| now.duration_since(created).as_secs()),
        error,
    }
}

impl From<&RegistryError> for CliError {
    fn from(error: &RegistryError) -> Self {
        let failed = Self::failed(format!("could not ask `{}` for `{}`: {}", error.host, error.image, error.kind));
        match error.kind.advice(&error.host) {
            Some(advice) => failed.hint(advice),
            None => failed,
        }
    }
}
