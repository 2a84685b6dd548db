//! The results of scanning, updating and filtering, for people: from the same views as the JSON.
//!
//! Pure. Every line fits its terminal; a status is a word and a sign, colour only repeats it.

use std::time::Duration;

use anstyle::Style;
use jiff::Timestamp;
use leadsman_scanner::diagnostic::Level;
use leadsman_scanner::status::{Status, Verdict};

use super::json::{ChangeView, ContainerView, FilterView, LatestView, ReasonView, ScanView, TagsView};
use super::table::{Cell, Shrink, Table};
use super::text::{age, count, elapsed, escape, shorten_end, width, wrap};
use super::{Look, style};

/// Reasons that are shown per container; the JSON has all.
const MAX_REASONS: usize = 20;

/// What of a scan is shown besides the usual.
#[derive(Debug, Clone, Copy)]
pub struct ScanStyle {
    /// Digest and creation time of the newest tag.
    pub details: bool,
    /// The time that ages are reckoned from.
    pub now: Timestamp,
}

/// The table of containers; empty without any.
#[must_use]
pub fn scan_table(view: &ScanView, scan: ScanStyle, look: Look) -> String {
    let mut columns = vec![
        ("WORKLOAD", Shrink::Middle(18)),
        ("CONTAINER", Shrink::Middle(11)),
        ("IMAGE", Shrink::Middle(16)),
        ("TAG", Shrink::Middle(15)),
        ("FILTER", Shrink::End(12)),
        ("STATUS", Shrink::Never),
        ("FLAGS", Shrink::End(8)),
    ];
    if scan.details {
        columns.push(("AGE", Shrink::Never));
        columns.push(("DIGEST", Shrink::End(15)));
    }
    columns.push(("FILE", Shrink::Drop(16)));
    let mut table = Table::new(&columns);
    let mut previous: Option<&ContainerView> = None;
    for container in &view.containers {
        // On a terminal a workload is named once; a file has it on every line, for tools that read lines.
        let repeated = look.width.is_some()
            && previous.is_some_and(|before| {
                (&before.file, before.document, &before.workload.id)
                    == (&container.file, container.document, &container.workload.id)
            });
        previous = Some(container);
        table.row(row(container, scan, repeated));
        if let Some(message) = &container.message {
            let text = wrap(&escape(message), "    ", look.width);
            table.note(look.paint(style::DIM, text.trim_end_matches('\n')) + "\n");
        }
        if let Some(reasons) = &container.reasons {
            table.note(explanation(reasons, look));
        }
    }
    table.render(look)
}

fn row(container: &ContainerView, scan: ScanStyle, repeated: bool) -> Vec<Cell> {
    let (sign, color) = sign(container.status);
    let flags: Vec<&str> = container.flags.iter().map(|flag| flag.as_str()).collect();
    let quiet =
        if matches!(container.status, Status::Ignored | Status::NotAutomated) { style::DIM } else { Style::new() };
    let mut cells = vec![
        if repeated { Cell::default() } else { Cell::styled(&container.workload.id, quiet) },
        Cell::styled(&container.container, quiet),
        Cell::styled(container.image.as_deref().map_or("–", familiar), quiet),
        Cell::styled(&tags(container), if container.status == Status::Update { style::HEADING } else { quiet }),
        Cell::styled(&container.filter, quiet),
        Cell::styled(&format!("{sign} {}", container.status), color),
        Cell::styled(&flags.join(", "), style::WARNING),
    ];
    if scan.details {
        let latest = container.latest.as_ref();
        let created = latest.and_then(|latest| latest.created);
        cells.push(Cell::new(&created.map_or(String::new(), |created| age(created, scan.now))));
        cells.push(Cell::new(latest.and_then(|latest| latest.digest.as_deref()).unwrap_or_default()));
    }
    cells.push(Cell::styled(&format!("{}:{}", container.file, container.line), style::DIM));
    cells
}

/// The name people write: images of Docker Hub without its host.
#[must_use]
pub fn familiar(image: &str) -> &str {
    let name = image.strip_prefix("docker.io/").unwrap_or(image);
    if name.len() < image.len() { name.strip_prefix("library/").unwrap_or(name) } else { name }
}

/// The tag now, and the one that it would go to where there is another.
fn tags(container: &ContainerView) -> String {
    let now = match (&container.tag, &container.digest) {
        (Some(tag), Some(digest)) => format!("{tag}{}", short_digest(digest)),
        (Some(tag), None) => tag.clone(),
        (None, Some(digest)) => short_digest(digest),
        (None, None) => "–".to_owned(),
    };
    match &container.latest {
        Some(LatestView { tag, digest, .. }) => {
            let pinned = container.digest.is_some();
            let then = match digest {
                Some(digest) if pinned => format!("{tag}{}", short_digest(digest)),
                _ => tag.clone(),
            };
            let same = if pinned && digest.is_none() { container.tag.as_ref() == Some(tag) } else { then == now };
            if same { now } else { format!("{now} → {then}") }
        }
        None => now,
    }
}

fn short_digest(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("@{}", hex.get(..8).unwrap_or(hex))
}

/// The sign and style of a status.
fn sign(status: Status) -> (&'static str, Style) {
    match status {
        Status::Update => ("↑", style::UPDATE),
        Status::Current => ("✓", style::GOOD),
        Status::FilterInvalid
        | Status::RegistryError
        | Status::TooManyTags
        | Status::EditRefused
        | Status::SharedAnchor
        | Status::SharedTag => ("✗", style::ERROR),
        Status::Invalid
        | Status::Unresolved
        | Status::Untagged
        | Status::NoMatch
        | Status::NoCreationTime
        | Status::Downgrade
        | Status::VariantChange
        | Status::TooYoung => ("!", style::WARNING),
        Status::Ignored | Status::Locked | Status::DigestOnly | Status::NotAutomated | Status::Encrypted => {
            ("·", style::DIM)
        }
    }
}

fn explanation(reasons: &[ReasonView], look: Look) -> String {
    let shown = &reasons[..reasons.len().min(MAX_REASONS)];
    let tag_width = shown.iter().map(|reason| width(&escape(&reason.tag))).max().unwrap_or(0).min(32);
    let word_width = shown.iter().map(|reason| reason.verdict.as_str().len()).max().unwrap_or(0);
    let mut out = String::new();
    for reason in shown {
        let (sign, color) = match reason.verdict {
            Verdict::Selected => ("✓", style::GOOD),
            Verdict::Current => ("=", Style::new()),
            Verdict::Older => ("·", Style::new()),
            Verdict::Filter | Verdict::Latest | Verdict::Artifact => ("·", style::DIM),
            Verdict::Downgrade
            | Verdict::Variant
            | Verdict::TooYoung
            | Verdict::NoNumber
            | Verdict::NoVersion
            | Verdict::NoText
            | Verdict::NoCreationTime
            | Verdict::Unavailable => ("!", style::WARNING),
        };
        let tag = shorten_end(&escape(&reason.tag), tag_width);
        let gap = " ".repeat(tag_width - width(&tag));
        let line = format!("    {sign} {tag}{gap}  {:word_width$}  {}", reason.verdict, escape(&reason.message));
        let line = look.width.map_or(line.clone(), |limit| shorten_end(&line, limit));
        out.push_str(&look.paint(color, line.trim_end()));
        out.push('\n');
    }
    if reasons.len() > shown.len() {
        let rest = count(reasons.len() - shown.len(), "tag", "tags");
        out.push_str(&look.paint(style::DIM, &format!("    … and {rest} more; `--format json` lists all")));
        out.push('\n');
    }
    out
}

/// How the registries were asked.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// They were, for so long.
    For(Duration),
    /// `--offline`.
    No,
}

/// The line below the table: `1,000 containers in 1,000 releases: 12 updates, 3 failures; asked 1,000 images in 0.1 s`.
#[must_use]
pub fn summary(view: &ScanView, asked: Asked, look: Look) -> String {
    let failures = view.containers.iter().filter(|container| container.status.is_failure()).count()
        + view.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
    let releases = view.containers.iter().all(|container| container.workload.kind.ends_with("HelmRelease"));
    let (one, many) = if releases { ("release", "releases") } else { ("workload", "workloads") };
    let updates = match view.summary.updates {
        0 => "nothing to update".to_owned(),
        number => look.paint(style::UPDATE, &count(number, "update", "updates")),
    };
    let failed = match failures {
        0 => String::new(),
        number => format!(", {}", look.paint(style::ERROR, &count(number, "failure", "failures"))),
    };
    let asked = match asked {
        Asked::For(_) if view.summary.images == 0 => String::new(),
        Asked::For(time) => format!("; asked {} in {}", count(view.summary.images, "image", "images"), elapsed(time)),
        Asked::No => "; no registry was asked".to_owned(),
    };
    format!(
        "{} in {}: {updates}{failed}{asked}\n",
        count(view.summary.containers, "container", "containers"),
        count(view.summary.workloads, one, many),
    )
}

/// The tags that `update` wrote or would write.
#[must_use]
pub fn changes_table(changes: &[ChangeView], look: Look) -> String {
    let mut table = Table::new(&[
        ("FILE", Shrink::Middle(16)),
        ("WORKLOAD", Shrink::Middle(18)),
        ("CONTAINER", Shrink::Middle(11)),
        ("TAG", Shrink::Middle(15)),
        ("IMAGE", Shrink::Drop(16)),
    ]);
    for change in changes {
        table.row(vec![
            Cell::new(&change.file),
            Cell::new(&change.workload),
            Cell::new(&change.container),
            Cell::styled(&format!("{} → {}", short_pin(&change.from), short_pin(&change.to)), style::HEADING),
            Cell::styled(familiar(&change.image), style::DIM),
        ]);
    }
    table.render(look)
}

/// `tag@sha256:…` with a digest that can be read.
fn short_pin(text: &str) -> String {
    match text.split_once("@sha256:") {
        Some((tag, hex)) => format!("{tag}{}", short_digest(hex)),
        None => text.to_owned(),
    }
}

/// What a filter makes of tags: table, result, and what the choice says of itself.
#[must_use]
pub fn filter(view: &FilterView, message: Option<&str>, now: Timestamp, look: Look) -> String {
    let mut table = Table::new(&[
        ("", Shrink::Never),
        ("RANK", Shrink::Never),
        ("TAG", Shrink::Middle(20)),
        ("AGE", Shrink::Never),
        ("WHY", Shrink::End(20)),
    ]);
    for tag in &view.tags {
        let selected = view.selected.as_ref() == Some(&tag.tag);
        let (sign, color) = match (selected, tag.matches) {
            (true, _) => ("→", style::GOOD),
            (false, true) => ("✓", Style::new()),
            (false, false) => ("·", style::DIM),
        };
        table.row(vec![
            Cell::styled(sign, color),
            Cell::styled(&tag.rank.map_or_else(String::new, |rank| rank.to_string()), color),
            Cell::styled(&tag.tag, color),
            Cell::styled(&tag.created.map_or_else(String::new, |created| age(created, now)), color),
            Cell::styled(&tag.reason, color),
        ]);
    }
    let mut out = table.render(look);
    if !out.is_empty() {
        out.push('\n');
    }
    let matching = view.tags.iter().filter(|tag| tag.matches).count();
    let order = match view.order {
        Some(super::json::OrderView::Created) => ", newest creation time first",
        Some(super::json::OrderView::Semver) => ", highest version first",
        Some(super::json::OrderView::Numerical) => ", highest number first",
        Some(super::json::OrderView::Alphabetical) => ", last text first",
        None => "",
    };
    let chosen = match &view.selected {
        Some(tag) => format!("{}: ", look.paint(style::GOOD, &escape(tag))),
        None => "nothing is chosen: ".to_owned(),
    };
    out.push_str(&format!(
        "{chosen}{matching} of {} match `{}`{order}\n",
        count(view.tags.len(), "tag", "tags"),
        escape(&view.filter)
    ));
    if let Some(message) = message {
        out.push_str(&look.paint(style::WARNING, wrap(&escape(message), "", look.width).trim_end()));
        out.push('\n');
    }
    out
}

/// The tags of an image.
#[must_use]
pub fn tags_table(view: &TagsView, now: Timestamp, look: Look) -> String {
    let mut table = Table::new(&[
        ("TAG", Shrink::Middle(20)),
        ("CREATED", Shrink::Never),
        ("AGE", Shrink::Never),
        ("DIGEST", Shrink::End(15)),
    ]);
    for tag in &view.tags {
        let created = tag.created.map_or_else(String::new, |created| created.strftime("%Y-%m-%d %H:%M").to_string());
        table.row(vec![
            Cell::new(&tag.tag),
            Cell::styled(&created, style::DIM),
            Cell::new(&tag.created.map_or_else(String::new, |created| age(created, now))),
            Cell::styled(tag.digest.as_deref().unwrap_or_default(), style::DIM),
        ]);
        if let Some(error) = &tag.error {
            table.note(look.paint(style::WARNING, wrap(&escape(error), "    ! ", look.width).trim_end()) + "\n");
        }
    }
    let mut out = table.render(look);
    if !out.is_empty() {
        out.push('\n');
    }
    let mut shown = match &view.filter {
        Some(filter) => format!("{} of {} match `{}`", view.matching, count(view.total, "tag", "tags"), escape(filter)),
        None => count(view.total, "tag", "tags"),
    };
    if view.tags.len() < view.matching {
        shown.push_str(&format!("; these are the first {}, `--limit 0` lists all", view.tags.len()));
    }
    out.push_str(&format!("{}: {shown}\n", escape(&view.image)));
    out
}

#[cfg(test)]
mod tests;
