//! `leadsman man`: the man pages, made from the same definitions as `--help`. Hidden: for packagers.

use std::path::PathBuf;

use super::{Context, Outcome};
use crate::output::Exit;
use crate::output::error::CliError;

/// Writes the man pages into a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; it is made if it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let failed = |error: std::io::Error| {
        CliError::failed(format!("could not write the man pages into `{}`", args.dir.display()))
            .because(&error)
            .hint("name a folder that you may write to")
    };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(super::command(), &args.dir).map_err(failed)?;
    context.print(&format!("man pages are in {}\n", args.dir.display()))?;
    Ok(Exit::Done)
}
