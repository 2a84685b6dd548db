//! Finds the container images in Helm releases and chooses their next tag.
//!
//! The pipeline, on one page:
//!
//! | step | module | pure |
//! |---|---|---|
//! | read: where manifests come from | [`source`] | no |
//! | parse: text to documents with byte spans, documents to workloads | [`manifest`] | yes |
//! | detect: workloads to containers and the annotations that steer them | [`detect`] | yes |
//! | look up: tags, creation times and digests of the images | [`registry`] | no |
//! | choose: current tag, tags, filter and the time to a choice with reasons | [`choose`] | yes |
//! | edit: text and choices to text, verified | [`edit`] | yes |
//!
//! [`scan`] joins the steps. Pure modules know no network, no file system and no clock: the time is a
//! parameter. The rules they implement are numbered in `docs/rules.md`, and named here by those numbers.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr))]

pub mod choose;
pub mod detect;
pub mod diagnostic;
pub mod edit;
pub mod filter;
pub mod manifest;
pub mod reference;
pub mod registry;
pub mod scan;
pub mod source;
pub mod status;
pub mod suggest;
