//! The kinds of work, one file each: reading a repository, and bringing its pull requests up to date; and the workers
//! that run them ([`queue`]).
//!
//! Each takes what it works on as parameters and may be repeated at any time: it compares what should be with what
//! is, and acts on the difference.

pub mod answer;
pub mod dashboard_issue;
pub mod decisions;
pub mod deliver;
pub mod explain;
pub mod handler;
pub mod ignored;
pub mod list_image;
pub mod look;
pub mod pass;
pub mod queue;
pub mod read_comments;
pub mod recognise;
pub mod reconcile_pulls;
pub mod recover;
pub mod run_command;
pub mod scan_repository;
pub mod service;
pub mod try_merge;
