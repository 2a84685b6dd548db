//! What `scan`, `update` and `suggest` share: from paths to files, from configuration to options, and how faults of
//! files are shown.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use leadsman_scanner::detect::{Container, DetectOptions};
use leadsman_scanner::diagnostic::{Diagnostic, Level};
use leadsman_scanner::scan::{Progress, Report, ScanOptions, Sources, scan};
use leadsman_scanner::source::folder::{FolderFiles, walk};

use super::Context;
use crate::config::Config;
use crate::output::error::CliError;
use crate::output::report::Asked;
use crate::output::text::count;
use crate::output::{Verbosity, progress, snippet, style};

/// Diagnostics that are shown to people without `--all`; the JSON has every one.
const MAX_SHOWN: usize = 50;

/// Paths on the command line.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Paths {
    /// Folders or files; the current folder if none is given
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Paths {
    /// The paths that were given, or the current folder.
    pub(super) fn given(&self) -> Vec<PathBuf> {
        if self.paths.is_empty() { vec![PathBuf::from(".")] } else { self.paths.clone() }
    }

    /// The manifests below them. Paths that are not there are faults among others, unless all of them are.
    pub(super) fn walk(&self) -> Result<FolderFiles, CliError> {
        let given = self.given();
        if let Some(first) = given.first()
            && given.iter().all(|path| std::fs::symlink_metadata(path).is_err())
        {
            let what = if given.len() == 1 { "is not there" } else { "and the other paths are not there" };
            return Err(CliError::usage(format!("`{}` {what}", first.display()))
                .hint("name folders or files with manifests, or none for the current folder"));
        }
        Ok(walk(&given))
    }

    /// The paths in a sentence.
    pub(super) fn describe(&self) -> String {
        let given: Vec<String> = self.given().iter().map(|path| path.display().to_string()).collect();
        crate::output::text::listed(given.iter().map(String::as_str))
    }
}

/// The options of a scan by configuration.
pub(super) fn options(config: &Config, now: Timestamp) -> ScanOptions {
    let detect = DetectOptions { hosts: config.known_hosts(), ..DetectOptions::default() };
    ScanOptions {
        detect,
        max_timed_tags: config.max_new_tags as usize,
        platform: config.platform(),
        ..ScanOptions::new(now)
    }
}

/// Runs the scan with a progress bar; also says how long the registries were asked.
pub(super) async fn inspect(
    files: &FolderFiles,
    sources: Option<Sources<'_>>,
    options: &ScanOptions,
    narrow: &(dyn Fn(&Container) -> bool + Sync),
    context: &Context,
) -> (Report, Asked) {
    let bar = progress::Progress::new(&context.ui, "asking registries");
    let (total, done, started) = (AtomicUsize::new(0), AtomicUsize::new(0), OnceLock::new());
    let report = scan(files, sources, options, narrow, &|step| match step {
        Progress::Read { images } => {
            tracing::info!(images, "the manifests are read");
            total.store(images, Ordering::Relaxed);
            let _ = started.set(Instant::now());
        }
        Progress::LookedUp(image) => {
            tracing::info!(%image, "looked up");
            bar.set(done.fetch_add(1, Ordering::Relaxed) + 1, total.load(Ordering::Relaxed));
        }
    })
    .await;
    if let Some(Err(error)) = sources.map(|sources| sources.times.save(options.now)) {
        context.warn(&format!("creation times could not be kept ({error}); the next run asks for them again"));
    }
    let asked = if sources.is_some() {
        Asked::For(started.get().map_or_else(Duration::default, Instant::elapsed))
    } else {
        Asked::No
    };
    (report, asked)
}

/// The path of a file by its name in a report, as it can be opened from here.
pub(super) fn path_of(files: &FolderFiles, name: &str) -> String {
    let entry = files.files.iter().find(|entry| entry.name == name);
    let path = entry.map_or(Path::new(name), |entry| &entry.path);
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Shows diagnostics on standard error: errors and warnings, notes too with `all`.
pub(super) fn show(diagnostics: &[Diagnostic], files: &FolderFiles, all: bool, context: &Context) {
    let look = context.ui.err;
    let wanted = |diagnostic: &&Diagnostic| match diagnostic.level {
        Level::Error => true,
        Level::Warning => context.ui.verbosity != Verbosity::Quiet,
        Level::Info => all && context.ui.verbosity != Verbosity::Quiet,
    };
    let wanted: Vec<&Diagnostic> = diagnostics.iter().filter(wanted).collect();
    let shown = if all { wanted.len() } else { wanted.len().min(MAX_SHOWN) };
    if shown == 0 {
        return;
    }
    let paths: HashMap<&str, &Path> =
        files.files.iter().map(|entry| (entry.name.as_str(), entry.path.as_path())).collect();
    let mut out = String::new();
    for diagnostic in &wanted[..shown] {
        out.push('\n');
        let path = paths.get(diagnostic.file.as_str()).copied().unwrap_or(Path::new(&diagnostic.file));
        out.push_str(&snippet::diagnostic(diagnostic, Some(path), look));
    }
    if shown < wanted.len() {
        let rest = count(wanted.len() - shown, "message", "messages");
        out.push_str(&look.paint(style::DIM, &format!("\n… and {rest} more; `--format json` lists all")));
        out.push('\n');
    }
    context.ui.say(&out);
}
