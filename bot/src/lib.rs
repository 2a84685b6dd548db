//! Leadsman, the program: keeps the container images in Helm releases up to date, by pull request.
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | subcommands and their flags |
//! | [`clock`] | the time |
//! | [`config`] | the configuration, its schema and where each value came from |
//! | [`output`] | everything that is printed |
//! | [`update`] | writing choices into files |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod clock;
pub mod config;
pub mod output;
pub mod update;
