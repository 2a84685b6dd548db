//! `leadsman scan`: what there is, and what is newer.

use leadsman_scanner::scan::{Ask, Sources};

use super::inspection::{self, Paths};
use super::{Context, Outcome};
use crate::clock;
use crate::output::json::{self, ScanView};
use crate::output::report::{self, Asked, ScanStyle};
use crate::output::{Exit, Format};

/// Lists containers with their tags and filters, and what is newer
///
/// Nothing is written. Only automated containers are listed and looked up, unless `--all` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  leadsman scan clusters/production\n  leadsman scan --all --offline .\n  \
    leadsman scan --explain apps/podinfo.yaml\n  leadsman scan --check --format json . > scan.json")]
pub(super) struct Args {
    #[command(flatten)]
    paths: Paths,
    /// List what is not automated, too, and report on files without any of our annotations
    #[arg(long)]
    all: bool,
    /// With --all: look up what is not automated, too
    #[arg(long, requires = "all", conflicts_with = "offline")]
    online: bool,
    /// Ask no registry
    #[arg(long)]
    offline: bool,
    /// Ask for the digest and creation time of each newest tag
    #[arg(long, conflicts_with = "offline")]
    details: bool,
    /// Print the reason for or against every tag
    #[arg(long, conflicts_with = "offline")]
    explain: bool,
    /// Exit with 3 if there is something to update
    #[arg(long, conflicts_with = "offline")]
    check: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load()?.config;
    let files = args.paths.walk()?;
    let now = clock::now();
    let mut options = inspection::options(&config, now);
    options.all = args.all;
    options.details = args.details;
    options.explain = args.explain;
    options.ask = match (args.offline, args.online) {
        (true, _) => Ask::Nothing,
        (false, true) => Ask::Everything,
        (false, false) => Ask::Automated,
    };
    let registry = if args.offline { None } else { Some(config.registry(&context.environment)?) };
    let times = config.times();
    let sources = registry.as_ref().map(|registry| Sources { registry, times: &times, sights: None, lists: None });
    let listed = |container: &leadsman_scanner::detect::Container| args.all || container.steering.automated;
    let (report, asked) = inspection::inspect(&files, sources, &options, &listed, context).await;
    let failures = report.failures();
    let view = ScanView::of(report, args.explain, |finding| listed(&finding.container));
    let updates = view.summary.updates;
    if args.format == Format::Json {
        context.print(&json::document(&view))?;
    } else {
        show(args, &view, asked, context)?;
        inspection::show(&view.diagnostics, &files, args.all, context);
    }
    Ok(match (failures, updates) {
        (1.., _) => Exit::Partly,
        (0, 1..) if args.check => Exit::Updates,
        _ => Exit::Done,
    })
}

fn show(args: &Args, view: &ScanView, asked: Asked, context: &Context) -> Result<(), crate::output::error::CliError> {
    let look = context.ui.out;
    if view.containers.is_empty() {
        return context.print(&report::nothing(view, &args.paths.describe(), args.all, look));
    }
    let style = ScanStyle { details: args.details, now: clock::now() };
    let table = report::scan_table(view, style, look);
    context.print(&format!("{table}\n{}", report::summary(view, asked, look)))
}
