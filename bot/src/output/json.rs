//! The machine-readable outputs: one struct per document, and its JSON Schema from the same struct.
//!
//! Stable: a field may be added, never changed or removed under one `version`. What is optional is written as null.
//! Texts from outside are written as JSON strings in which control and bidirectional characters are escapes, so that a
//! document may be looked at on a terminal.

use std::io;

use jiff::Timestamp;
use leadsman_scanner::detect::Source;
use leadsman_scanner::diagnostic::Diagnostic;
use leadsman_scanner::scan::{Finding, Report};
use leadsman_scanner::status::{Flag, Status, Verdict};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::text::is_unsafe;
use crate::config::{self, Loaded, Origin};

/// The documents, by the name of the command that prints each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// `leadsman scan --format json`
    Scan,
    /// `leadsman update --format json`
    Update,
    /// `leadsman filter --format json`
    Filter,
    /// `leadsman tags --format json`
    Tags,
    /// `leadsman suggest --format json`
    Suggest,
    /// `leadsman run --format json`
    Run,
    /// `leadsman doctor --format json`
    Doctor,
    /// `leadsman config show --format json`
    Config,
}

impl Document {
    /// Every document.
    pub const ALL: [Self; 8] =
        [Self::Scan, Self::Update, Self::Filter, Self::Tags, Self::Suggest, Self::Run, Self::Doctor, Self::Config];

    /// The name that `leadsman schema` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Update => "update",
            Self::Filter => "filter",
            Self::Tags => "tags",
            Self::Suggest => "suggest",
            Self::Run => "run",
            Self::Doctor => "doctor",
            Self::Config => "config",
        }
    }

    /// Its JSON Schema (2020-12).
    #[must_use]
    pub fn schema(self) -> Schema {
        match self {
            Self::Scan => schema_for!(ScanView),
            Self::Update => schema_for!(UpdateView),
            Self::Filter => schema_for!(FilterView),
            Self::Tags => schema_for!(TagsView),
            Self::Suggest => schema_for!(SuggestView),
            Self::Run => schema_for!(super::pulls::RunView),
            Self::Doctor => schema_for!(DoctorView),
            Self::Config => schema_for!(ConfigView),
        }
    }
}

/// The version of every document; it grows when a field changes its meaning or goes.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(inline, extend("const" = 1))]
pub struct Version(u32);

impl Version {
    /// The only version so far.
    pub const ONE: Self = Self(1);
}

/// What `scan` found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman scan")]
pub struct ScanView {
    /// The version of this document.
    pub version: Version,
    /// Every container that is listed, by file, document and order within the workload.
    pub containers: Vec<ContainerView>,
    /// Faults and remarks about files.
    pub diagnostics: Vec<Diagnostic>,
    /// Counts.
    pub summary: SummaryView,
}

/// What `update` did, or would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman update")]
pub struct UpdateView {
    /// What was found, as `scan` prints it.
    #[serde(flatten)]
    pub scan: ScanView,
    /// The tags that were written, or with `--dry-run` and `--diff` would be.
    pub changes: Vec<ChangeView>,
}

/// One container of one workload.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ContainerView {
    /// The file, relative to the path that was scanned, with `/`.
    pub file: String,
    /// The document in the file, from 0.
    pub document: u32,
    /// The line of the tag's scalar, or of the image's where there is no tag, from 1.
    pub line: u32,
    /// The column, from 1, in code points.
    pub column: u32,
    /// The workload it belongs to.
    pub workload: WorkloadView,
    /// Its name within the workload.
    pub container: String,
    /// Where the image was found.
    pub source: Source,
    /// The canonical name of the image, without tag; null where the reference is invalid.
    pub image: Option<String>,
    /// The tag in the file.
    pub tag: Option<String>,
    /// The digest the image is pinned to.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// Whether automation is on for the workload.
    pub automated: bool,
    /// The filter, as the annotation writes it, or the default.
    pub filter: String,
    /// What holds for it; null where a registry would have to be asked and none was.
    pub status: Option<Status>,
    /// What is worth knowing beside the status.
    pub flags: Vec<Flag>,
    /// Why the status is what it is, where a word is not enough.
    pub message: Option<String>,
    /// The newest tag that the filter takes; null where there is none or it was not looked up.
    pub latest: Option<LatestView>,
    /// What was decided on each tag, with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<ReasonView>>,
}

/// A workload.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadView {
    /// Its id: `namespace:kind/name`.
    pub id: String,
    /// As written.
    pub api_version: String,
    /// As written.
    pub kind: String,
    /// Its namespace, or the default one where the manifest names none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The newest tag.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LatestView {
    /// The tag.
    pub tag: String,
    /// What it points at; null unless it had to be asked for (`--details` asks).
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// When the image was made; null unless it had to be asked for.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created: Option<Timestamp>,
}

/// What was decided on one tag.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReasonView {
    /// The tag.
    pub tag: String,
    /// Taken, or why it was left.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub message: String,
}

/// Counts over all that was scanned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SummaryView {
    /// Files that were read.
    pub files: usize,
    /// Workloads with at least one container that is listed.
    pub workloads: usize,
    /// Containers that are listed.
    pub containers: usize,
    /// Containers with the status `update`.
    pub updates: usize,
    /// Different images that were looked up.
    pub images: usize,
    /// Requests that registries and their token servers were sent.
    pub registry_requests: u64,
}

/// One tag that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangeView {
    /// The file.
    pub file: String,
    /// The workload's id.
    pub workload: String,
    /// The container.
    pub container: String,
    /// The canonical name of the image.
    pub image: String,
    /// The tag before, with `@` and the digest if it was pinned.
    pub from: String,
    /// The tag after.
    pub to: String,
    /// The unified diff of the file, with `--diff`; it stands at the first change of each file, and covers them all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What a filter makes of tags.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman filter")]
pub struct FilterView {
    /// The version of this document.
    pub version: Version,
    /// The filter as given.
    pub filter: String,
    /// The order in force; null where the filter is invalid.
    pub order: Option<OrderView>,
    /// Every tag, newest first; those that do not match last, as given.
    pub tags: Vec<FilterTagView>,
    /// The tag that would be chosen.
    pub selected: Option<String>,
    /// What is wrong with the filter.
    pub error: Option<String>,
}

/// How matching tags are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OrderView {
    /// By semantic version.
    Semver,
    /// By creation time.
    Created,
    /// By the number in the tag.
    Numerical,
    /// By text.
    Alphabetical,
}

/// One tag against a filter.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FilterTagView {
    /// The tag.
    pub tag: String,
    /// Whether the filter takes it; rules that need the current tag are not part of this.
    pub matches: bool,
    /// Its place in the order, 1 being the newest; null where it does not match, or has nothing to be ordered by.
    #[schemars(range(min = 1))]
    pub rank: Option<usize>,
    /// The creation time as given.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// The tags of an image.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman tags")]
pub struct TagsView {
    /// The version of this document.
    pub version: Version,
    /// The canonical name of the image.
    pub image: String,
    /// The filter that was given.
    pub filter: Option<String>,
    /// Tags, newest first.
    pub tags: Vec<TagView>,
    /// How many tags there are before the limit: those that the filter takes, or all but signatures and the like.
    pub matching: usize,
    /// How many tags the registry has, whether listed here or not.
    pub total: usize,
    /// Requests that the registry and its token server were sent.
    pub registry_requests: u64,
}

/// One tag of an image.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TagView {
    /// The tag.
    pub tag: String,
    /// What it points at.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// When the image was made.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub created: Option<Timestamp>,
    /// Seconds since then.
    pub age_seconds: Option<i64>,
    /// Why digest or time are missing.
    pub error: Option<String>,
}

/// Images that the rules do not see, and the annotations that would map them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman suggest")]
pub struct SuggestView {
    /// The version of this document.
    pub version: Version,
    /// By file, document and place.
    pub suggestions: Vec<SuggestionView>,
    /// Faults and remarks about files.
    pub diagnostics: Vec<Diagnostic>,
}

/// One image that an alias would map.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SuggestionView {
    /// The file.
    pub file: String,
    /// The document in the file, from 0.
    pub document: u32,
    /// The line of the image, from 1.
    pub line: u32,
    /// The column, from 1, in code points.
    pub column: u32,
    /// The workload's id.
    pub workload: String,
    /// The alias that is proposed.
    pub alias: String,
    /// The image it would have, with its tag.
    pub image: String,
    /// The annotations that would map it, in order.
    pub annotations: Vec<AnnotationView>,
    /// Whether they were added to the file.
    pub written: bool,
    /// Why they could not be added, with `--write`.
    pub refused: Option<String>,
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AnnotationView {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What `doctor` found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman doctor")]
pub struct DoctorView {
    /// The version of this document.
    pub version: Version,
    /// Every check, in the order they were made.
    pub checks: Vec<CheckView>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckView {
    /// What was checked, such as `registry docker.io`.
    pub name: String,
    /// How it came out.
    pub result: CheckResult,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// As it should be.
    Ok,
    /// Works, but worth a look.
    Warning,
    /// Does not work.
    Failed,
}

/// The configuration in effect.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "leadsman config show")]
pub struct ConfigView {
    /// The version of this document.
    pub version: Version,
    /// The file that was read; null where there is none.
    pub file: Option<String>,
    /// Why that file; null where there is none.
    pub file_source: Option<config::Source>,
    /// Every value.
    pub values: Vec<SettingView>,
}

/// One value of the configuration.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SettingView {
    /// The key, nested ones joined by dots.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: OriginView,
    /// The line of the file, from 1.
    pub line: Option<u32>,
    /// The environment variable.
    pub variable: Option<String>,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OriginView {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File,
    /// An environment variable.
    Variable,
}

impl ScanView {
    /// The view of a report: the findings that are `listed`, and counts over them.
    #[must_use]
    pub fn of(report: Report, explain: bool, listed: impl Fn(&Finding) -> bool) -> Self {
        let Report { findings, files: _, diagnostics, summary } = report;
        let containers: Vec<_> =
            findings.into_iter().filter(listed).map(|finding| ContainerView::of(finding, explain)).collect();
        let same = |a: &ContainerView, b: &ContainerView| {
            (&a.file, a.document, &a.workload.id) == (&b.file, b.document, &b.workload.id)
        };
        let summary = SummaryView {
            files: summary.files,
            workloads: containers.chunk_by(same).count(),
            containers: containers.len(),
            updates: containers.iter().filter(|container| container.status == Some(Status::Update)).count(),
            images: summary.images,
            registry_requests: summary.registry_requests,
        };
        Self { version: Version::ONE, containers, diagnostics, summary }
    }
}

impl ContainerView {
    fn of(finding: Finding, explain: bool) -> Self {
        let Finding { file, container, status, flags, message, latest, reasons } = finding;
        let reasons = reasons.into_iter().map(|reason| ReasonView {
            tag: reason.tag,
            verdict: reason.verdict,
            message: reason.message,
        });
        let workload = &container.workload;
        Self {
            file: file.to_string(),
            document: container.document,
            line: container.line,
            column: container.column,
            workload: WorkloadView {
                id: workload.id.to_string(),
                api_version: workload.api_version.to_string(),
                kind: workload.kind.as_str().to_owned(),
                namespace: workload.namespace.to_string(),
                name: workload.name.to_string(),
            },
            container: container.name.to_string(),
            source: container.source,
            image: container.image.as_ref().map(ToString::to_string),
            tag: container.tag.as_ref().map(ToString::to_string),
            digest: container.digest.as_ref().map(ToString::to_string),
            automated: container.steering.automated,
            filter: container.steering.filter.to_string(),
            status,
            flags,
            message,
            latest: latest.map(|latest| LatestView {
                tag: latest.tag,
                digest: latest.digest.map(|digest| digest.to_string()),
                created: latest.created,
            }),
            reasons: explain.then(|| reasons.collect()),
        }
    }
}

impl ConfigView {
    /// The view of a configuration.
    #[must_use]
    pub fn of(loaded: &Loaded) -> Self {
        let setting = |setting: &crate::config::Setting| {
            let (origin, line, variable) = match &setting.origin {
                Origin::Default => (OriginView::Default, None, None),
                Origin::File { line, .. } => (OriginView::File, Some(*line), None),
                Origin::Variable(name) => (OriginView::Variable, None, Some(name.clone())),
            };
            SettingView { key: setting.key.clone(), value: setting.value.clone(), origin, line, variable }
        };
        Self {
            version: Version::ONE,
            file: loaded.file.as_ref().map(|(path, _)| path.to_string_lossy().into_owned()),
            file_source: loaded.file.as_ref().map(|(_, source)| *source),
            values: loaded.settings.iter().map(setting).collect(),
        }
    }
}

/// A document as text, ended by a newline.
#[must_use]
pub fn document(view: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut out, Careful { pretty: PrettyFormatter::with_indent(b"  ") });
    // Views hold nothing that JSON cannot say, and memory takes every write.
    if let Err(error) = view.serialize(&mut serializer) {
        tracing::error!(%error, "a document could not be written as JSON");
    }
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

/// A schema as text, ended by a newline.
#[must_use]
pub fn schema_text(schema: &Schema) -> String {
    document(schema)
}

/// Pretty JSON in which characters that act on a terminal are escapes.
struct Careful {
    pretty: PrettyFormatter<'static>,
}

impl Formatter for Careful {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.pretty.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_has_a_schema_that_is_one() {
        for document in Document::ALL {
            let schema = document.schema();
            jsonschema::meta::validate(schema.as_value()).unwrap();
            assert_eq!(schema.as_value()["properties"]["version"]["const"], 1, "{}", document.name());
        }
    }

    #[test]
    fn hostile_text_is_escaped_and_reads_back_the_same() {
        let hostile = "a\u{202e}b\u{9b}31m\u{e0041}\u{7f}\"\\\n";
        let text = document(&serde_json::json!({ "x": hostile }));
        assert!(text.is_ascii(), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["x"], hostile);
    }
}
