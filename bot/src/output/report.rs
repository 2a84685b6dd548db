//! The results of scanning, updating and filtering, for people: from the same views as the JSON.
//!
//! Pure. Every line fits its terminal; a status is a word and a sign, colour only repeats it.

use std::time::Duration;

use anstyle::Style;
use jiff::Timestamp;
use leadsman_scanner::diagnostic::Level;
use leadsman_scanner::status::{Status, Verdict};

use super::json::{
    ChangeView, CheckResult, ContainerView, DoctorView, FilterView, LatestView, ReasonView, ScanView, SuggestView,
    TagsView, UpdateView,
};
use super::table::{Cell, Shrink, Table};
use super::text::{age, count, elapsed, escape, shorten_end, shorten_middle, width, wrap};
use super::{Look, style};
use crate::update::Mode;

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

/// The table of containers; empty without any. Where a terminal is too narrow to show all columns in full, workloads
/// stand on lines of their own above their containers.
#[must_use]
pub fn scan_table(view: &ScanView, scan: ScanStyle, look: Look) -> String {
    let wide = lay_out(view, scan, look, false);
    match look.width {
        Some(columns) if !wide.fits(columns) => lay_out(view, scan, look, true).render(look),
        _ => wide.render(look),
    }
}

fn lay_out(view: &ScanView, scan: ScanStyle, look: Look, grouped: bool) -> Table {
    let mut columns = vec![
        if grouped { ("  CONTAINER", Shrink::Middle(13)) } else { ("WORKLOAD", Shrink::Middle(24)) },
        ("CONTAINER", Shrink::Middle(11)),
        ("IMAGE", Shrink::Middle(16)),
        ("TAG", Shrink::Pair(17)),
        ("FILTER", Shrink::End(10)),
        ("STATUS", Shrink::Never),
        ("FLAGS", Shrink::End(8)),
    ];
    if grouped {
        // Flags stand below their row: few containers have one, and the column would cost every other one its width.
        columns.remove(6);
        columns.remove(1);
    }
    if scan.details {
        columns.push(("AGE", Shrink::Never));
        columns.push(("DIGEST", Shrink::Drop(15)));
    }
    if !grouped {
        columns.push(("FILE", Shrink::Middle(16)));
    }
    let mut table = Table::new(&columns);
    let mut previous: Option<&ContainerView> = None;
    for container in &view.containers {
        let same = previous.is_some_and(|before| {
            (&before.file, before.document, &before.workload.id)
                == (&container.file, container.document, &container.workload.id)
        });
        previous = Some(container);
        let mut cells = row(container, scan);
        if grouped {
            if !same {
                table.note(workload_line(container, look));
            }
            cells.pop();
            cells.remove(6);
            cells.remove(0);
            cells[0] = cells[0].clone().indented(2);
        } else if same && look.width.is_some() {
            // On a terminal a workload is named once; a file has it on every line, for tools that read lines.
            cells[0] = Cell::default();
        }
        table.row(cells);
        if grouped && !container.flags.is_empty() {
            table.note(format!("    {}\n", look.paint(style::WARNING, &format!("! {}", flag_words(container)))));
        }
        if let Some(message) = &container.message {
            let text = wrap(&escape(message), "    ", look.width);
            table.note(look.paint(style::DIM, text.trim_end_matches('\n')) + "\n");
        }
        if let Some(reasons) = &container.reasons {
            table.note(explanation(reasons, look));
        }
    }
    table
}

/// Workload and file, cut to the terminal.
fn workload_line(container: &ContainerView, look: Look) -> String {
    let limit = look.width.unwrap_or(usize::MAX);
    let id = shorten_middle(&escape(&container.workload.id), limit);
    let left = limit.saturating_sub(width(&id) + 2);
    let file = if left < 12 { String::new() } else { shorten_middle(&escape(&container.file), left) };
    let gap = if file.is_empty() { "" } else { "  " };
    format!("{}{gap}{}\n", look.paint(style::HEADING, &id), look.paint(style::DIM, &file))
}

fn row(container: &ContainerView, scan: ScanStyle) -> Vec<Cell> {
    let (sign, color) = sign(container.status);
    let quiet = if matches!(container.status, Some(Status::Ignored | Status::NotAutomated)) {
        style::DIM
    } else {
        Style::new()
    };
    let mut cells = vec![
        Cell::styled(&container.workload.id, quiet),
        Cell::styled(&container.container, quiet),
        Cell::styled(container.image.as_deref().map_or("–", familiar), quiet),
        Cell::styled(&tags(container), if container.status == Some(Status::Update) { style::HEADING } else { quiet }),
        Cell::styled(&container.filter, quiet),
        Cell::styled(&format!("{sign} {}", container.status.map_or("not looked up", Status::as_str)), color),
        Cell::styled(&flag_words(container), style::WARNING),
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

fn flag_words(container: &ContainerView) -> String {
    container.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(", ")
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
fn sign(status: Option<Status>) -> (&'static str, Style) {
    let Some(status) = status else { return ("?", style::DIM) };
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
            | Verdict::Ignored
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
    let failures = view.containers.iter().filter(|container| container.status.is_some_and(Status::is_failure)).count()
        + view.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
    let releases = view.containers.iter().all(|container| container.workload.kind.ends_with("HelmRelease"));
    let (one, many) = if releases { ("release", "releases") } else { ("workload", "workloads") };
    let updates = match view.summary.updates {
        0 if matches!(asked, Asked::No) => String::new(),
        0 => ": nothing to update".to_owned(),
        number => ": ".to_owned() + &look.paint(style::UPDATE, &count(number, "update", "updates")),
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
        "{} in {}{updates}{failed}{asked}\n",
        count(view.summary.containers, "container", "containers"),
        count(view.summary.workloads, one, many),
    )
}

/// What to say where nothing is listed: what was looked for, and how to see more.
#[must_use]
pub fn nothing(view: &ScanView, paths: &str, all: bool, look: Look) -> String {
    let files = count(view.summary.files, "file", "files");
    let paths = escape(paths);
    let (line, hint) = if all {
        (
            format!("no workload with an image in {paths} ({files} read)"),
            "manifests are files that end in `.yaml`, `.yml` or `.json`; what git ignores and Helm charts are passed over",
        )
    } else {
        let read = match view.summary.files {
            0 => "no file there holds `fluxcd.io/`, `flux.weave.works/` or `leadsman.dev/`".to_owned(),
            _ => format!("{files} with `fluxcd.io/`, `flux.weave.works/` or `leadsman.dev/`, none of them automated"),
        };
        (
            format!("nothing is automated in {paths}: {read}"),
            "`leadsman scan --all --offline` lists every workload; the annotation `fluxcd.io/automated: \"true\"` turns \
             automation on",
        )
    };
    let hint = wrap(&format!("hint: {hint}"), "", look.width);
    wrap(&line, "", look.width) + &hint.replacen("hint:", &look.paint(style::GOOD, "hint:"), 1)
}

/// Failed containers that people are shown one by one.
const MAX_FAILURES: usize = 20;

/// Containers that failed, each with its reason. `path` gives a file's path as people can open it.
#[must_use]
pub fn failures(containers: &[&ContainerView], path: &dyn Fn(&str) -> String, look: Look) -> String {
    let mut out = String::new();
    for container in &containers[..containers.len().min(MAX_FAILURES)] {
        let word = container.status.map_or("", Status::as_str);
        let (id, name) = (escape(&container.workload.id), escape(&container.container));
        let heading = wrap(&format!("error: {id}, container {name}: {word}"), "", look.width);
        out.push_str(&format!(
            "\n{}  {} {}:{}:{}\n",
            heading.replacen("error:", &look.paint(style::ERROR, "error:"), 1),
            look.paint(style::PLACE, "-->"),
            escape(&path(&container.file)),
            container.line,
            container.column
        ));
        if let Some(message) = &container.message {
            out.push_str(&wrap(&escape(message), "  ", look.width));
        }
    }
    // One registry that is down can fail thousands, all for the same reason.
    if containers.len() > MAX_FAILURES {
        let rest = count(containers.len() - MAX_FAILURES, "container", "containers");
        let line = format!("\n… and {rest} more that failed; `--format json` lists all\n");
        out.push_str(&look.paint(style::DIM, &line));
    }
    out
}

/// The last line of `update`.
#[must_use]
pub fn written(view: &UpdateView, mode: Mode, asked: Asked, look: Look) -> String {
    let summary = summary(&view.scan, asked, look);
    if view.changes.is_empty() {
        return summary;
    }
    let mut files: Vec<&str> = view.changes.iter().map(|change| change.file.as_str()).collect();
    files.dedup();
    let (tags, files) = (count(view.changes.len(), "tag", "tags"), count(files.len(), "file", "files"));
    let line = match mode {
        Mode::Write => format!("wrote {tags} into {files}"),
        Mode::DryRun | Mode::Diff => format!("would write {tags} into {files}; nothing was written"),
    };
    format!("{}\n{summary}", look.paint(style::GOOD, &line))
}

/// Suggestions, as annotations that can be copied.
#[must_use]
pub fn suggestions(view: &SuggestView, paths: &str, wrote: bool, look: Look) -> String {
    if view.suggestions.is_empty() {
        return format!("every image in the Helm releases of {} is seen\n", escape(paths));
    }
    let mut out = String::new();
    let mut previous: Option<(&str, &str)> = None;
    for suggestion in &view.suggestions {
        let place = (suggestion.file.as_str(), suggestion.workload.as_str());
        if previous != Some(place) {
            let gap = if previous.is_some() { "\n" } else { "" };
            let (workload, file) = (escape(&suggestion.workload), escape(&suggestion.file));
            out.push_str(&format!(
                "{gap}{}  {}\n",
                look.paint(style::HEADING, &workload),
                look.paint(style::DIM, &file)
            ));
            previous = Some(place);
        }
        let comment = format!("  # {}, line {}", escape(&suggestion.image), suggestion.line);
        out.push_str(&look.paint(style::DIM, &comment));
        out.push('\n');
        for annotation in &suggestion.annotations {
            let (key, value) = (escape(&annotation.key), escape(&annotation.value));
            out.push_str(&format!("  {}: {value}\n", look.paint(style::UPDATE, &key)));
        }
        if let Some(reason) = &suggestion.refused {
            out.push_str(
                &look.paint(
                    style::ERROR,
                    wrap(&format!("✗ not written: {}", escape(reason)), "  ", look.width).trim_end(),
                ),
            );
            out.push('\n');
        }
    }
    let number = count(view.suggestions.len(), "image is", "images are");
    let written = view.suggestions.iter().filter(|suggestion| suggestion.written).count();
    let line = if wrote {
        format!("{number} not seen; annotations for {written} were written\n")
    } else {
        format!("{number} not seen; `--write` adds these annotations, `--diff` shows how\n")
    };
    out + "\n" + &line
}

/// The tags that `update` wrote or would write.
#[must_use]
pub fn changes_table(changes: &[ChangeView], look: Look) -> String {
    let mut table = Table::new(&[
        ("FILE", Shrink::Middle(16)),
        ("WORKLOAD", Shrink::Middle(18)),
        ("CONTAINER", Shrink::Middle(11)),
        ("TAG", Shrink::Pair(15)),
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

/// The checklist of `doctor`.
#[must_use]
pub fn checks(view: &DoctorView, look: Look) -> String {
    let mut out = String::new();
    let names = view.checks.iter().map(|check| width(&escape(&check.name))).max().unwrap_or(0);
    let (mut warnings, mut failures) = (0, 0);
    for check in &view.checks {
        let (sign, color) = match check.result {
            CheckResult::Ok => ("✓", style::GOOD),
            CheckResult::Warning => ("!", style::WARNING),
            CheckResult::Failed => ("✗", style::ERROR),
        };
        warnings += usize::from(check.result == CheckResult::Warning);
        failures += usize::from(check.result == CheckResult::Failed);
        let name = escape(&check.name);
        let gap = " ".repeat(names - width(&name));
        let indent = " ".repeat(names + 4);
        let message = wrap(&escape(&check.message), &indent, look.width);
        out.push_str(&format!("{} {name}{gap}  {}", look.paint(color, sign), message.trim_start()));
        if let Some(hint) = &check.hint {
            let hint = wrap(&format!("hint: {}", escape(hint)), &indent, look.width);
            out.push_str(&hint.replacen("hint:", &look.paint(style::GOOD, "hint:"), 1));
        }
    }
    let line = match (failures, warnings) {
        (0, 0) => look.paint(style::GOOD, "all is well"),
        (0, _) => look.paint(style::WARNING, &count(warnings, "warning", "warnings")),
        (_, 0) => look.paint(style::ERROR, &count(failures, "failure", "failures")),
        _ => look.paint(
            style::ERROR,
            &format!("{}, {}", count(failures, "failure", "failures"), count(warnings, "warning", "warnings")),
        ),
    };
    out.push_str(&format!("\n{line}\n"));
    out
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
    let chosen = view.selected.as_ref().map(|tag| escape(tag));
    let line = format!(
        "{}: {matching} of {} match `{}`{order}",
        chosen.as_deref().unwrap_or("nothing is chosen"),
        count(view.tags.len(), "tag", "tags"),
        escape(&view.filter)
    );
    let line = wrap(&line, "", look.width);
    match &chosen {
        Some(tag) => out.push_str(&line.replacen(&**tag, &look.paint(style::GOOD, tag), 1)),
        None => out.push_str(&line),
    }
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
    out.push_str(&wrap(&format!("{}: {shown}", escape(&view.image)), "", look.width));
    out
}

#[cfg(test)]
mod tests;
