//! The program `leadsman`: see [`leadsman::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    leadsman::cli::main().into()
}
