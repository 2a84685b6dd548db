//! `leadsman update`: writes the newer tags into the files.

use leadsman_scanner::detect::Container;
use leadsman_scanner::reference::{ImageName, KnownHosts};
use leadsman_scanner::scan::{Finding, Report, Sources};
use leadsman_scanner::status::Status;

use super::inspection::{self, Paths};
use super::{Context, Outcome};
use crate::clock;
use crate::output::diff::unified;
use crate::output::error::CliError;
use crate::output::json::{self, ChangeView, ContainerView, ScanView, UpdateView};
use crate::output::text::nearest;
use crate::output::{Exit, Format, Look, report};
use crate::update::{Mode, Updated, update};

/// Writes the newer tags into the files
///
/// The newest tag that each container's filter takes. Nothing else in the files changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  leadsman update --diff .\n  \
    leadsman update --image ghcr.io/stefanprodan/podinfo clusters/staging\n  leadsman update --diff . | git apply")]
pub(super) struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the changes as a unified diff, and write nothing
    #[arg(long)]
    diff: bool,
    /// Only this workload, such as `dev:helmrelease/podinfo`; may be repeated
    #[arg(long, value_name = "ID")]
    workload: Vec<String>,
    /// Only containers of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    container: Vec<String>,
    /// Only this image, in any spelling and without a tag; may be repeated
    #[arg(long, value_name = "IMAGE")]
    image: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Which containers are meant.
struct Narrow {
    workloads: Vec<String>,
    containers: Vec<String>,
    images: Vec<ImageName>,
}

impl Narrow {
    fn of(args: &Args, hosts: &KnownHosts) -> Result<Self, CliError> {
        let images = args.image.iter().map(|image| {
            ImageName::parse(image, hosts)
                .map_err(|error| CliError::usage(format!("`{image}` is no image")).because(&error))
        });
        Ok(Self {
            workloads: args.workload.clone(),
            containers: args.container.clone(),
            images: images.collect::<Result<_, _>>()?,
        })
    }

    fn takes(&self, container: &Container) -> bool {
        let any = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
        container.steering.automated
            && any(&self.workloads, container.workload.id.as_str())
            && any(&self.containers, &container.name)
            && (self.images.is_empty() || container.image.as_ref().is_some_and(|image| self.images.contains(image)))
    }

    /// A name that nothing has is a slip of the keyboard, not a reason to do nothing silently.
    fn check(&self, report: &Report) -> Result<(), CliError> {
        let all = || report.findings.iter().map(|finding| &finding.container);
        let missing = |what: &str, name: &str, known: Vec<&str>| {
            let error = CliError::usage(format!("no container has the {what} `{name}`"));
            match nearest(name, known) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("`leadsman scan --offline` lists what there is"),
            }
        };
        for name in &self.workloads {
            if !all().any(|container| container.workload.id.as_str() == name) {
                return Err(missing("workload", name, all().map(|container| container.workload.id.as_str()).collect()));
            }
        }
        for name in &self.containers {
            if !all().any(|container| *container.name == **name) {
                return Err(missing("name", name, all().map(|container| &*container.name).collect()));
            }
        }
        for image in &self.images {
            if !all().any(|container| container.image.as_ref() == Some(image)) {
                let known = all().filter_map(|container| Some(container.image.as_ref()?.as_str())).collect();
                return Err(missing("image", image.as_str(), known));
            }
        }
        Ok(())
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load()?.config;
    let narrow = Narrow::of(args, &config.known_hosts())?;
    let files = args.paths.walk()?;
    let options = inspection::options(&config, clock::now());
    let registry = config.registry(&context.environment)?;
    let times = config.times();
    let sources = Sources { registry: &registry, times: &times, sights: None, lists: None };
    let (mut scanned, asked) =
        inspection::inspect(&files, Some(sources), &options, &|container| narrow.takes(container), context).await;
    narrow.check(&scanned)?;
    let mode = match (args.diff, args.dry_run) {
        (true, _) => Mode::Diff,
        (false, true) => Mode::DryRun,
        (false, false) => Mode::Write,
    };
    let roots = args.paths.given();
    // On another thread, so that Ctrl-C is heard while disks are waited for.
    let writing = tokio::task::spawn_blocking(move || {
        let wanted = |finding: &Finding| narrow.takes(&finding.container);
        let (updated, faults) = update(&files, &roots, &scanned, &options, &wanted, mode);
        for (index, status, reason) in updated.iter().flat_map(|updated| &updated.refused) {
            let finding = &mut scanned.findings[*index];
            (finding.status, finding.message) = (Some(*status), Some(reason.clone()));
        }
        (updated, faults, scanned, files, narrow)
    });
    let (updated, faults, scanned, files, narrow) =
        writing.await.map_err(|error| CliError::failed("writing the files was cut short").because(&error))?;
    let failures = scanned.failures() + faults.len();
    let diff_look = if args.format == Format::Json { Look::PLAIN } else { context.ui.out };
    let changes = changes(&updated, &scanned, diff_look);
    drop(updated);
    let mut view =
        UpdateView { scan: ScanView::of(scanned, false, |finding| narrow.takes(&finding.container)), changes };
    match args.format {
        Format::Json => context.print(&json::document(&view))?,
        Format::Human if mode == Mode::Diff => {
            let diffs: String = view.changes.iter().filter_map(|change| change.diff.as_deref()).collect();
            context.print(&diffs)?;
            context.say(&report::summary(&view.scan, asked, context.ui.err));
        }
        Format::Human => {
            let look = context.ui.out;
            let line = report::written(&view, mode, asked, look);
            // Of ten thousand, only those that failed are told of from here on; the table needs the room.
            view.scan.containers.retain(is_failed);
            view.scan.containers.shrink_to_fit();
            let table = report::changes_table(&view.changes, look);
            let gap = if table.is_empty() { "" } else { "\n" };
            context.print(&format!("{table}{gap}{line}"))?;
        }
    }
    if args.format == Format::Human {
        let failed: Vec<_> = view.scan.containers.iter().filter(|container| is_failed(container)).collect();
        context.say(&report::failures(&failed, &|name| inspection::path_of(&files, name), context.ui.err));
        inspection::show(&view.scan.diagnostics, &files, false, context);
    }
    for fault in &faults {
        context.ui.say(&CliError::failed(fault.to_string()).render(context.ui.err));
    }
    Ok(if failures > 0 { Exit::Partly } else { Exit::Done })
}

fn is_failed(container: &ContainerView) -> bool {
    container.status.is_some_and(Status::is_failure)
}

/// One entry per tag, in the order of the report.
fn changes(updated: &[Updated], report: &Report, look: Look) -> Vec<ChangeView> {
    let mut changes = Vec::new();
    for file in updated {
        let mut diff = file.texts.as_ref().and_then(|(old, new)| {
            let name = &report.findings[*file.applied.first()?].file;
            Some(unified(name, old, new, look))
        });
        for index in &file.applied {
            let finding = &report.findings[*index];
            let Some(latest) = &finding.latest else { continue };
            let container = &finding.container;
            let pinned = container.digest.is_some();
            changes.push(ChangeView {
                file: finding.file.to_string(),
                workload: container.workload.id.to_string(),
                container: container.name.to_string(),
                image: container.image.as_ref().map(ToString::to_string).unwrap_or_default(),
                from: pin(container.tag.as_deref().unwrap_or_default(), container.digest.as_ref()),
                to: pin(&latest.tag, latest.digest.as_ref().filter(|_| pinned)),
                diff: diff.take(),
            });
        }
    }
    changes
}

fn pin(tag: &str, digest: Option<&leadsman_scanner::reference::Digest>) -> String {
    digest.map_or_else(|| tag.to_owned(), |digest| format!("{tag}@{digest}"))
}
