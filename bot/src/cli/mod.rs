//! The command line: what can be asked for, and which part answers.
//!
//! One file per subcommand, each with its flags and its way from arguments to output. Must not decide anything about
//! manifests, images or repositories.

use std::path::PathBuf;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{Environment, Loaded};
use crate::output::error::CliError;
use crate::output::text::escape;
use crate::output::{ColorChoice, Exit, Ui, Verbosity, style};

mod completions;
mod config;
mod demo;
mod doctor;
mod filter;
mod inspection;
mod man;
mod run;
mod scan;
mod schema;
mod serve;
mod setup;
mod suggest;
mod tags;
mod update;

/// Keeps the container images in Helm releases up to date.
#[derive(Debug, Parser)]
#[command(
    name = "leadsman",
    version,
    about,
    long_about = "Keeps the container images in Helm releases up to date.\n\n\
        Reads HelmRelease and workload manifests with their `fluxcd.io/…` annotations, asks the registries for newer \
        tags that match each container's filter, and edits nothing in the files but the tags.",
    after_help = "Exit codes: 0 done, 1 done in part (the failures are listed), 2 wrong use or configuration, \
        3 with --check where there is something to update.",
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    styles = STYLES
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// When to use colour; `NO_COLOR` is honoured
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t, hide_possible_values = false)]
    color: ColorChoice,
    /// The configuration file, instead of `leadsman.yaml` in your configuration folder [env: LEADSMAN_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say more: -v for each image, -vv for each request, -vvv for every detail
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say errors only: no notes, no progress
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Scan(scan::Args),
    Update(update::Args),
    Suggest(suggest::Args),
    Filter(filter::Args),
    Tags(tags::Args),
    Run(run::Args),
    Serve(serve::Args),
    Setup(setup::Args),
    Demo(demo::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

const STYLES: clap::builder::Styles = clap::builder::Styles::styled()
    .header(crate::output::style::HEADING)
    .usage(crate::output::style::HEADING)
    .literal(crate::output::style::UPDATE)
    .error(crate::output::style::ERROR)
    .valid(crate::output::style::GOOD)
    .invalid(crate::output::style::WARNING);

/// What every subcommand is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) ui: Ui,
    config_flag: Option<PathBuf>,
    pub(crate) environment: Environment,
}

impl Context {
    /// Reads the configuration; only commands that need it do.
    pub(crate) fn load(&self) -> Result<Loaded, CliError> {
        Loaded::load(self.config_flag.as_deref(), &self.environment)
    }

    /// Writes a command's result to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), CliError> {
        self.ui.print(text).map_err(CliError::from)
    }

    /// Says a remark on standard error, unless `--quiet` is given.
    pub(crate) fn note(&self, text: &str) {
        self.remark("note:", style::PLACE, text);
    }

    /// Says a warning on standard error, unless `--quiet` is given.
    pub(crate) fn warn(&self, text: &str) {
        self.remark("warning:", style::WARNING, text);
    }

    /// Writes a result beside another one on standard output, unless `--quiet` is given.
    pub(crate) fn say(&self, text: &str) {
        if self.ui.verbosity != Verbosity::Quiet {
            self.ui.say(text);
        }
    }

    fn remark(&self, word: &str, color: anstyle::Style, text: &str) {
        if self.ui.verbosity != Verbosity::Quiet {
            self.ui.say(&format!("{} {}\n", self.ui.err.paint(color, word), escape(text)));
        }
    }
}

/// How a subcommand ends where it could do its work.
pub(crate) type Outcome = Result<Exit, CliError>;

/// Runs the program on the arguments of this process and returns how it ended.
#[must_use]
pub fn main() -> Exit {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let mut command = command().color(clap_color(&arguments));
    let cli = match command.try_get_matches_from_mut(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Faults in printing help have nowhere to go.
            _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let Cli { global, command } = cli;
    let verbosity = match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, level) => Verbosity::Verbose(level),
    };
    let ui = Ui::new(global.color, verbosity);
    let context = Context { ui, config_flag: global.config, environment: Environment::of_process() };
    let outcome = start_log(&context).and_then(|()| run(command, &context));
    outcome.unwrap_or_else(|error| {
        if !error.is_closed_pipe() {
            context.ui.say(&error.render(context.ui.err));
        }
        error.exit()
    })
}

fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Scan(args) => block_on(scan::run(&args, context)),
        Command::Update(args) => block_on(update::run(&args, context)),
        Command::Suggest(args) => {
            start_runtime()?.block_on(async { outlive_file_size_limit() });
            suggest::run(&args, context)
        }
        Command::Filter(args) => filter::run(&args, context),
        Command::Demo(args) => block_on(demo::run(&args, context)),
        Command::Run(args) => block_on(run::run(&args, context)),
        Command::Serve(args) => serve_until_told(serve::run(&args, context)),
        Command::Setup(args) => block_on(setup::run(&args, context)),
        Command::Doctor(args) => block_on(doctor::run(&args, context)),
        Command::Tags(args) => block_on(tags::run(&args, context)),
        Command::Config(args) => config::run(&args, context),
        Command::Schema(args) => schema::run(&args, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args, context),
    }
}

/// Runs a command that waits for others, on this thread alone, until it ends or Ctrl-C is pressed.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = start_runtime()?;
    let outcome = runtime.block_on(async {
        outlive_file_size_limit();
        tokio::select! {
            biased;
            // First, so that the signal is waited for before anything is asked. Where it cannot be, it still ends the
            // program by itself.
            Ok(()) = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
            outcome = command => outcome,
        }
    });
    // Name look-ups that hang must not hold up the end.
    runtime.shutdown_background();
    outcome
}

/// Runs a command that serves others on all processors. It ends by itself when the process is told to.
fn serve_until_told(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::failed("could not start the program").because(&error))?;
    let outcome = runtime.block_on(async {
        outlive_file_size_limit();
        command.await
    });
    runtime.shutdown_background();
    outcome
}

fn start_runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::failed("could not start the program").because(&error))
}

/// Makes a write beyond the allowed file size (`ulimit -f`) an error of that file (S7.5) instead of the end of the
/// program, for good: a signal that somebody once listened for kills no more. Must be called in a runtime.
fn outlive_file_size_limit() {
    // `SIGXFSZ` where it has its usual number; on other systems the signal is left as it is.
    #[cfg(any(
        target_os = "macos",
        target_os = "freebsd",
        all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64")))
    ))]
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(25)) {
        tracing::warn!(%error, "a limit on the size of files could end the program");
    }
}

/// The whole command line as clap knows it, for completions and man pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// `--color` for clap's own output, which is needed where the arguments could not be parsed.
fn clap_color(arguments: &[std::ffi::OsString]) -> clap::ColorChoice {
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|argument| argument.to_str()).collect();
    let given = words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix("--color") {
        Some("") => words.get(index + 1).copied(),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    match given {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// Logs to standard error: warnings, or what `-v` or `LEADSMAN_LOG` ask for.
fn start_log(context: &Context) -> Result<(), CliError> {
    use tracing_subscriber::filter::EnvFilter;
    let format =
        || tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(context.ui.err.color).with_target(true);
    if let Some(directives) = context.environment.get("LEADSMAN_LOG") {
        let filter = EnvFilter::try_new(directives).map_err(|error| {
            CliError::usage(format!("could not read `LEADSMAN_LOG={directives}`"))
                .because(&error)
                .hint("write a level such as `debug`, or levels by module such as `leadsman_scanner::registry=trace`")
        })?;
        format().with_env_filter(filter).init();
        return Ok(());
    }
    let directives = match context.ui.verbosity {
        // Without a subscriber every event costs one comparison and nothing else.
        Verbosity::Quiet | Verbosity::Normal => return Ok(()),
        Verbosity::Verbose(1) => "warn,leadsman=info,leadsman_scanner=info",
        // Our own words first: those of the libraries are details.
        Verbosity::Verbose(2) => "warn,leadsman=debug,leadsman_scanner=debug",
        Verbosity::Verbose(_) => "debug,leadsman=trace,leadsman_scanner=trace",
    };
    format().with_env_filter(EnvFilter::new(directives)).init();
    Ok(())
}
