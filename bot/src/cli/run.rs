//! `leadsman run`: one full pass over a local repository.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use leadsman_scanner::diagnostic::Level;
use leadsman_scanner::scan::{Progress as Step, Sources};

use super::{Context, Outcome, inspection};
use crate::clock;
use crate::forge::local::Local;
use crate::output::error::CliError;
use crate::output::json;
use crate::output::progress::Progress;
use crate::output::pulls::{self, RunView};
use crate::output::{Exit, Format, snippet};
use crate::pulls::Wishes;
use crate::render::Renderer;
use crate::store::Store;
use crate::work::pass::{Look, pass};

/// Makes a branch in git for each workload with updates
///
/// One pass over a git repository on this machine. Reads the manifests at the head of the base branch, asks the registries, and leaves one branch with one commit for
/// each workload that has something newer, with the title and text of its pull request. Run again, it changes nothing;
/// with a newer image, the branch moves on. Nothing is pushed, and no work tree is touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  leadsman run --once --local .\n  \
    leadsman run --once --local /srv/git/fleet.git --base main --format json")]
pub(super) struct Args {
    /// Make one pass and end
    #[arg(long, required = true)]
    once: bool,
    /// The repository: a work tree's root, a `.git` folder, or a bare repository
    #[arg(long, value_name = "REPO")]
    local: PathBuf,
    /// The branch to read and to propose for, instead of the one that `HEAD` names
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// Where pull requests are kept, instead of your data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load()?.config;
    let forge = Local::open(&args.local).map_err(|error| {
        CliError::usage(error.to_string()).hint("name a work tree's root, a `.git` folder, or a bare repository")
    })?;
    let base = forge.base(args.base.as_deref()).map_err(|error| CliError::usage(error.to_string()))?;
    let data = args.data.clone().or_else(|| config.data_folder()).ok_or_else(|| {
        CliError::usage("there is no data folder, for there is no home").hint("name one with `--data DIR`")
    })?;
    let registry = config.registry(&context.environment)?;
    let times = config.times();
    let sources = Sources { registry: &registry, times: &times, sights: None, lists: None };
    let now = clock::now();
    let holder = format!("process {}, `leadsman run`, since {now:.0}", std::process::id());
    let store = Store::open(&data, &holder).await.map_err(|error| CliError::failed(error.to_string()))?;

    let bar = Progress::new(&context.ui, "asking registries");
    let (total, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let progress = |step: Step<'_>| match step {
        Step::Read { images } => {
            tracing::info!(images, "the manifests are read");
            total.store(images, Ordering::Relaxed);
        }
        Step::LookedUp(image) => {
            tracing::info!(%image, "looked up");
            bar.set(done.fetch_add(1, Ordering::Relaxed) + 1, total.load(Ordering::Relaxed));
        }
    };
    let renderer = Renderer::new().map_err(|error| CliError::failed(format!("cannot read the templates: {error}")))?;
    let result = pass(Look {
        place: &forge,
        base: &base,
        store: &store,
        sources,
        options: &inspection::options(&config, now),
        renderer: &renderer,
        wishes: &Wishes::default(),
        progress: &progress,
    })
    .await;
    drop(bar);
    if let Err(error) = times.save(now) {
        context.warn(&format!("creation times could not be kept ({error}); the next run asks for them again"));
    }
    store.close().await;
    let view = RunView::of(
        forge.identity(),
        result.map_err(|error| CliError::failed(error.to_string()).hint("what was done stays; run it again"))?,
    );
    if args.format == Format::Json {
        context.print(&json::document(&view))?;
    } else {
        context.print(&pulls::show(&view, context.ui.out))?;
        for diagnostic in view.diagnostics.iter().filter(|diagnostic| diagnostic.level != Level::Info) {
            // The place is one of the commit: a file on disk may hold something else by now.
            context.ui.say(&format!("\n{}", snippet::diagnostic(diagnostic, None, context.ui.err)));
        }
    }
    Ok(if view.summary.failures > 0 { Exit::Partly } else { Exit::Done })
}
