//! `leadsman completions`: completions for a shell.

use clap_complete::Shell;

use super::{Context, Outcome};
use crate::output::Exit;

/// Prints completions for a shell
///
/// For bash: `leadsman completions bash > ~/.local/share/bash-completion/completions/leadsman`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "leadsman", &mut text);
    context.print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}
