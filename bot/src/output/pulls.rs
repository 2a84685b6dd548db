//! What a pass did, as JSON and for people.

use leadsman_scanner::diagnostic::Diagnostic;
use leadsman_scanner::scan::Finding;
use leadsman_scanner::status::Status;
use schemars::JsonSchema;
use serde::Serialize;

use super::json::Version;
use super::table::{Cell, Shrink, Table};
use super::text::{count, escape, width, wrap};
use super::{Look, style};
use crate::forge::place::BaseBranch;
use crate::plan;
use crate::pulls::short;
use crate::work::pass::Pass;
use crate::work::reconcile_pulls::Reconciled;

/// How many descriptions are shown to people; the JSON has every one.
const MAX_BODIES: usize = 20;

/// What `run` did.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman run")]
pub struct RunView {
    /// The version of this document.
    pub version: Version,
    /// The absolute path of the repository's git folder.
    pub repository: String,
    /// The branch that the pull requests are for.
    pub base: String,
    /// The commit at the head of the base.
    pub base_head: String,
    /// Every pull request that was looked at, by file and workload. One that ended and was followed by another on the
    /// same branch stands here twice.
    pub pulls: Vec<PullView>,
    /// Containers that failed.
    pub failures: Vec<FailureView>,
    /// Faults and remarks about files.
    pub diagnostics: Vec<Diagnostic>,
    /// Counts.
    pub summary: RunSummaryView,
}

/// One pull request and what was done about it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PullView {
    /// What was done: `opened`, `moved` (its branch), `described` (its title or text), `kept`, `left-alone` (a person
    /// has it), `held-back` (people did not want it), `merged`, `declined` (a person closed it), `closed`, `reopened`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
    /// Why it could not be done; null where it was done.
    pub error: Option<String>,
    /// Its number; null where there is no pull request.
    pub number: Option<i64>,
    /// Its branch.
    pub branch: String,
    /// The commit its branch is at; null where there is none, or none of ours.
    pub head: Option<String>,
    /// The file that it changes.
    pub file: String,
    /// The workload that it is about, `<namespace>:<kind>/<name>`.
    pub workload: String,
    /// Its title; null where there is no pull request.
    pub title: Option<String>,
    /// Its text in Markdown; null where there is no pull request.
    pub body: Option<String>,
    /// What it changes.
    pub changes: Vec<StepView>,
}

/// One container's step.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StepView {
    /// The container.
    pub container: String,
    /// The canonical name of its image.
    pub image: String,
    /// What the base has.
    pub from: VersionView,
    /// What is proposed.
    pub to: VersionView,
}

/// A tag, and a digest where the file pins one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VersionView {
    /// The tag.
    pub tag: String,
    /// The digest in the file; null where it has none.
    pub digest: Option<String>,
}

/// A container that failed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FailureView {
    /// The file it stands in.
    pub file: String,
    /// The workload it belongs to.
    pub workload: String,
    /// Its name within the workload.
    pub container: String,
    /// How it failed.
    pub status: Status,
    /// Why; null where the status says it all.
    pub message: Option<String>,
}

/// Counts over a pass.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunSummaryView {
    /// Files that were parsed.
    pub files: usize,
    /// Workloads in them.
    pub workloads: usize,
    /// Different images that were looked up.
    pub images: usize,
    /// Requests sent to registries and their token servers.
    pub registry_requests: u64,
    /// Pull requests about which something was done.
    pub changed: usize,
    /// Files, containers and pull requests that failed.
    pub failures: usize,
}

impl RunView {
    /// The view of a pass over `repository`.
    #[must_use]
    pub fn of(repository: &str, pass: Pass) -> Self {
        let failed = pass.failures();
        let Pass { base: BaseBranch { name, id }, report, pulls, config: _ } = pass;
        let pulls: Vec<_> = pulls.into_iter().map(PullView::of).collect();
        Self {
            version: Version::ONE,
            repository: repository.to_owned(),
            base: name,
            base_head: id.to_string(),
            failures: report.findings.iter().filter_map(FailureView::of).collect(),
            diagnostics: report.diagnostics,
            summary: RunSummaryView {
                files: report.summary.files,
                workloads: report.summary.workloads,
                images: report.summary.images,
                registry_requests: report.summary.registry_requests,
                changed: pulls.iter().filter(|pull| pull.is_change()).count(),
                failures: failed,
            },
            pulls,
        }
    }
}

impl FailureView {
    fn of(finding: &Finding) -> Option<Self> {
        let status = finding.status.filter(|status| status.is_failure())?;
        Some(Self {
            file: finding.file.to_string(),
            workload: finding.container.workload.id.as_str().to_owned(),
            container: finding.container.name.to_string(),
            status,
            message: finding.message.clone(),
        })
    }
}

impl PullView {
    fn of(pull: Reconciled) -> Self {
        let Reconciled { number, key, branch, action, reason, error, head, title, body, changes } = pull;
        let exists = |text: String| (!text.is_empty()).then_some(text);
        let version = |plan::Version { tag, digest }| VersionView { tag, digest };
        Self {
            action,
            reason,
            error,
            number,
            branch,
            head: head.map(|id| id.to_string()),
            file: key.path,
            workload: key.workload,
            title: exists(title),
            body: exists(body),
            changes: changes
                .into_iter()
                .map(|plan::Change { document: _, container, image, from, to }| StepView {
                    container,
                    image,
                    from: version(from),
                    to: version(to),
                })
                .collect(),
        }
    }

    fn is_change(&self) -> bool {
        self.error.is_none() && !matches!(self.action, "kept" | "left-alone" | "held-back")
    }

    /// What the first column says: the same words as the JSON, but for failures.
    fn word(&self) -> Cell {
        if self.error.is_some() {
            return Cell::styled(self.shown(), style::ERROR);
        }
        let look = match self.action {
            "opened" | "moved" | "described" | "reopened" => style::UPDATE,
            "left-alone" | "held-back" | "declined" => style::WARNING,
            "merged" => style::GOOD,
            _ => style::DIM,
        };
        Cell::styled(self.shown(), look)
    }

    fn shown(&self) -> &'static str {
        if self.error.is_some() { "failed" } else { self.action }
    }
}

/// What was done, for people: a table, what failed, and the texts of what is new.
#[must_use]
pub fn show(view: &RunView, look: Look) -> String {
    let mut out = table(view, look);
    let texts: Vec<_> = view
        .pulls
        .iter()
        .filter(|pull| pull.error.is_none() && matches!(pull.action, "opened" | "moved" | "described"))
        .collect();
    for pull in texts.iter().take(MAX_BODIES) {
        out.push('\n');
        out.push_str(&text_of(pull, look));
    }
    if texts.len() > MAX_BODIES {
        let more = count(texts.len() - MAX_BODIES, "description", "descriptions");
        out.push_str(&look.paint(style::DIM, &format!("\n… and {more} more; `--format json` lists all\n")));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(view));
    out
}

/// Every pull request with what was done about it, and the containers that failed.
#[must_use]
pub fn table(view: &RunView, look: Look) -> String {
    let mut out = String::new();
    // Remarks stand below the titles.
    let indent = " ".repeat(view.pulls.iter().map(|pull| width(pull.shown())).max().unwrap_or(0) + 2);
    let mut wide = Table::new(&[
        ("", Shrink::Never),
        ("PULL REQUEST", Shrink::End(30)),
        ("BRANCH", Shrink::Middle(30)),
        ("COMMIT", Shrink::Never),
    ]);
    let mut narrow = Table::new(&[("", Shrink::Never), ("PULL REQUEST AND BRANCH", Shrink::End(30))]);
    for pull in &view.pulls {
        let title = pull.title.clone().unwrap_or_else(|| format!("{} in {}", pull.workload, pull.file));
        let number = pull.number.map_or_else(String::new, |number| format!("#{number} "));
        let title = Cell::new(&format!("{number}{title}"));
        let head = pull.head.as_deref().and_then(|id| gix::ObjectId::from_hex(id.as_bytes()).ok());
        let head = head.map(short).unwrap_or_default();
        narrow.row(vec![pull.word(), title.clone()]);
        let place = format!("{indent}{}  {}", escape(&pull.branch), look.paint(style::DIM, &head));
        narrow.note(format!("{}\n", place.trim_end()));
        wide.row(vec![pull.word(), title, Cell::new(&pull.branch), Cell::styled(&head, style::DIM)]);
        let told = pull.error.as_deref().or_else(|| (pull.action != "opened").then_some(&pull.reason));
        if let Some(told) = told.filter(|told| *told != "up to date") {
            let told = wrap(&escape(told), &indent, look.width);
            let told = look.paint(style::DIM, told.trim_end_matches('\n')) + "\n";
            narrow.note(told.clone());
            wide.note(told);
        }
    }
    // A branch is there to be copied, so it is never cut.
    let table = if look.width.is_some_and(|columns| !wide.fits(columns)) { narrow } else { wide };
    out.push_str(&table.render(look));
    if !out.is_empty() && !view.failures.is_empty() {
        out.push('\n');
    }
    for failure in &view.failures {
        let FailureView { file, workload, container, status, message } = failure;
        let place = format!("{workload} `{container}` in {file}");
        let why = message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
        let line = wrap(&escape(&format!("{} {place}{why}", status.as_str())), "", look.width);
        out.push_str(&line.replacen(status.as_str(), &look.paint(style::ERROR, status.as_str()), 1));
    }
    out
}

/// Title and text of one pull request, indented, without the marker for machines.
#[must_use]
pub fn text_of(pull: &PullView, look: Look) -> String {
    let title = pull.title.as_deref().unwrap_or_default();
    let body = pull.body.as_deref().unwrap_or_default();
    let body = body.rsplit_once("\n<!-- leadsman").map_or(body, |(body, _)| body).trim_end();
    let mut out = format!("{}\n\n", look.paint(style::HEADING, &escape(title)));
    for line in body.lines() {
        let line = escape(line);
        if line.is_empty() {
            out.push('\n');
        } else if line.starts_with('|') {
            out.push_str(&format!("  {line}\n"));
        } else {
            out.push_str(&wrap(&line, "  ", look.width));
        }
    }
    out
}

/// What was done, in one line.
#[must_use]
pub fn summary(view: &RunView) -> String {
    let RunSummaryView { files: _, workloads, images, registry_requests, changed, failures } = view.summary;
    let done = match (changed, view.pulls.is_empty()) {
        (0, true) => "there is nothing to propose".to_owned(),
        (0, false) => "nothing changed".to_owned(),
        (changed, _) => format!("{} changed", count(changed, "pull request", "pull requests")),
    };
    let failed = if failures == 0 { String::new() } else { format!(", {failures} failed") };
    format!(
        "{done}{failed}: {}, {}, {}, base {}\n",
        count(workloads, "workload", "workloads"),
        count(images, "image", "images"),
        count(usize::try_from(registry_requests).unwrap_or(usize::MAX), "request", "requests"),
        escape(&view.base),
    )
}
