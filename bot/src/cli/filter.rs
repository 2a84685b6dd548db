//! `leadsman filter`: tries a filter on tags that are given.

use std::io::{IsTerminal as _, Read as _};

use jiff::Timestamp;
use leadsman_scanner::choose::{Candidate, Choice, Created, Current, Order, Policy, choose};
use leadsman_scanner::filter::Filter;
use leadsman_scanner::reference::is_tag;
use leadsman_scanner::status::{Status, Verdict};

use super::{Context, Outcome};
use crate::clock;
use crate::output::error::CliError;
use crate::output::json::{self, FilterTagView, FilterView, OrderView, Version};
use crate::output::{Exit, Format, report};

/// The longest list of tags that is read from standard input.
const MAX_INPUT: u64 = 64 << 20;

/// Tries a filter on tags: which match, why, and which one wins
///
/// Tags are given as arguments, or one per line on standard input; a line may carry a creation time (RFC 3339) behind a
/// tab.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  leadsman filter 'semver:~1.2' 1.2.0 1.2.10 1.3.0\n  \
    leadsman filter 'semver:~1.2-0' --current 1.2.3-alpine 1.2.4 1.2.4-alpine\n  git tag | leadsman filter 'semver:^2'")]
pub(super) struct Args {
    /// The filter, as in an annotation: `semver:~1.2`, `glob:main-*`, `regex:^v(.*)$`
    #[arg(allow_hyphen_values = true)]
    filter: String,
    /// The tags; standard input where none is given
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    /// Choose as if this were the tag in the file: no downgrade, no other variant
    #[arg(long, value_name = "TAG")]
    current: Option<String>,
    /// The order of matching tags, as the annotation `leadsman.dev/order.<container>` gives it
    #[arg(long, value_enum, value_name = "ORDER")]
    order: Option<OrderView>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let filter = match Filter::parse(&args.filter) {
        Ok(filter) => filter,
        Err(error) => return refuse(args, &error, context),
    };
    let input = if args.tags.is_empty() { read_input(context)? } else { String::new() };
    let candidates = if args.tags.is_empty() {
        parse_lines(&input)?
    } else {
        args.tags.iter().map(|tag| Candidate::new(tag)).collect()
    };
    let mut policy = Policy::new(filter);
    if let Some(order) = args.order {
        policy.order = order.into();
    }
    let now = clock::now();
    let view = examine(args, &policy, &candidates, now);
    if Filter::has_stray_space(&args.filter) {
        context.warn("the filter has white space at its start or end, which is part of it; nothing is trimmed");
    }
    context.print(&match args.format {
        Format::Json => json::document(&view.0),
        Format::Human => report::filter(&view.0, view.1.as_deref(), now, context.ui.out),
    })?;
    Ok(Exit::Done)
}

/// The view, and what the choice says of itself.
fn examine(args: &Args, policy: &Policy, candidates: &[Candidate<'_>], now: Timestamp) -> (FilterView, Option<String>) {
    // Without a current tag every rule that compares with it has nothing to compare.
    let current = Current::new(args.current.as_deref().unwrap_or_default());
    let Choice { status, selected, reasons, message, .. } = choose(policy, &current, candidates, now, true);
    let chosen = matches!(status, Status::Update | Status::Current);
    let message = match status {
        Status::Update | Status::Current => None,
        Status::NoCreationTime => Some(
            "this order needs creation times: give them behind a tab on standard input, or name another `--order`"
                .into(),
        ),
        _ => message,
    };
    let mut rank = 0;
    let listed = reasons.into_iter().map(|reason| {
        let matches = policy.filter.judge(&reason.tag, args.current.as_deref()).is_ok();
        let placed = matches
            && !matches!(
                reason.verdict,
                Verdict::NoNumber
                    | Verdict::NoVersion
                    | Verdict::NoText
                    | Verdict::NoCreationTime
                    | Verdict::Unavailable
            );
        rank += usize::from(placed);
        let created = candidates.iter().find(|candidate| candidate.tag == reason.tag).and_then(|candidate| {
            let Created::At(time) = candidate.created else { return None };
            Some(time)
        });
        FilterTagView { matches, rank: placed.then_some(rank), created, reason: reason.message, tag: reason.tag }
    });
    let dropped = candidates.iter().filter(|candidate| !is_tag(candidate.tag)).map(|candidate| FilterTagView {
        tag: candidate.tag.to_owned(),
        matches: false,
        rank: None,
        created: None,
        reason: "it is no tag (letters, digits, `_`, `.`, `-`, at most 128)".to_owned(),
    });
    let view = FilterView {
        version: Version::ONE,
        filter: args.filter.clone(),
        order: Some(policy.order.into()),
        tags: listed.chain(dropped).collect(),
        selected: selected.filter(|_| chosen),
        error: None,
    };
    (view, message)
}

fn refuse(args: &Args, error: &(dyn std::error::Error + 'static), context: &Context) -> Outcome {
    if args.format == Format::Json {
        context.print(&json::document(&FilterView {
            version: Version::ONE,
            filter: args.filter.clone(),
            order: None,
            tags: Vec::new(),
            selected: None,
            error: Some(error.to_string()),
        }))?;
        return Ok(Exit::Usage);
    }
    Err(CliError::usage(format!("`{}` is no filter", args.filter))
        .because(error)
        .hint("in an annotation such a filter matches nothing"))
}

fn read_input(context: &Context) -> Result<String, CliError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        context.note("reading tags from standard input, one per line; end with Ctrl-D");
    }
    let mut text = String::new();
    stdin.lock().take(MAX_INPUT).read_to_string(&mut text).map_err(|error| {
        CliError::usage("could not read tags from standard input").because(&error).hint("give tags as UTF-8 text")
    })?;
    Ok(text)
}

fn parse_lines(input: &str) -> Result<Vec<Candidate<'_>>, CliError> {
    let lines = input.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let (tag, time) = line.split_once('\t').map_or((line, None), |(tag, time)| (tag, Some(time)));
            let created = match time.map(str::trim) {
                None | Some("") => Created::NotAsked,
                Some(time) => Created::At(time.parse().map_err(|error: jiff::Error| {
                    CliError::usage(format!("could not read the creation time `{time}` on line {}", index + 1))
                        .because(&error)
                        .hint("write it as in RFC 3339, such as `2026-01-02T03:04:05Z`, behind a tab")
                })?),
            };
            Ok(Candidate { created, ..Candidate::new(tag.trim()) })
        })
        .collect()
}

impl From<OrderView> for Order {
    fn from(order: OrderView) -> Self {
        match order {
            OrderView::Semver => Self::Semver,
            OrderView::Created => Self::Created,
            OrderView::Numerical => Self::Numerical,
            OrderView::Alphabetical => Self::Alphabetical,
        }
    }
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        match order {
            Order::Semver => Self::Semver,
            Order::Created => Self::Created,
            Order::Numerical => Self::Numerical,
            Order::Alphabetical => Self::Alphabetical,
        }
    }
}
