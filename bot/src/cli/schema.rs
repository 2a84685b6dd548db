//! `leadsman schema`: the JSON Schema of each machine-readable output.

use super::{Context, Outcome};
use crate::output::Exit;
use crate::output::json::Document;

/// Prints the JSON Schema of an output
///
/// Each is what the command of that name prints with `--format json`. `leadsman config schema` has that of the
/// configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The output
    #[arg(value_enum, value_name = "NAME")]
    name: Document,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    context.print(&crate::output::json::schema_text(&args.name.schema()))?;
    Ok(Exit::Done)
}
