//! Leadsman, the program: keeps the container images in Helm releases up to date, by pull request.
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | subcommands and their flags |
//! | [`clock`] | the time |
//! | [`commands`] | commands in comments: the words, and who may say them (pure) |
//! | [`config`] | the configuration, its schema and where each value came from |
//! | [`demo`] | a sample fleet and a sample registry |
//! | [`desk`] | between the HTTP side and the service: deliveries, pages, what people ask for there |
//! | [`doctor`] | checks of what a scan relies on |
//! | [`forge`] | where pull requests live: a plain local repository, and Gitea with its mirrors and pushes |
//! | [`merge`] | which head may be merged, and whether now (pure) |
//! | [`output`] | everything that is printed |
//! | [`plan`] | choices to wanted pull requests (pure) |
//! | [`pulls`] | wanted against actual pull requests: actions (pure), and who carries them out |
//! | [`render`] | every text that goes into a pull request, comments too |
//! | [`serve`] | the service, put together from its configuration |
//! | [`server`] | HTTP: webhooks in, health, metrics, pages |
//! | [`store`] | the only SQL |
//! | [`update`] | writing choices into files |
//! | [`work`] | the kinds of work: scanning a repository, reconciling its pull requests |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod demo;
pub mod desk;
pub mod doctor;
pub mod forge;
pub mod merge;
pub mod output;
pub mod plan;
pub mod pulls;
pub mod render;
pub mod serve;
pub mod server;
pub mod store;
pub mod update;
pub mod work;
