//! `leadsman suggest`: finds images that the rules do not see, and the annotations that would map them.

use std::path::PathBuf;

use leadsman_scanner::detect::detect;
use leadsman_scanner::diagnostic::{Diagnostic, Level};
use leadsman_scanner::manifest;
use leadsman_scanner::scan::ScanOptions;
use leadsman_scanner::source::folder::FolderFiles;
use leadsman_scanner::source::write::{Fingerprint, Writer};
use leadsman_scanner::source::{Files as _, decode};
use leadsman_scanner::suggest::{Suggestion, add, suggest};

use super::inspection::{self, Paths};
use super::{Context, Outcome};
use crate::clock;
use crate::output::diff::unified;
use crate::output::json::{self, AnnotationView, SuggestView, SuggestionView, Version};
use crate::output::{Exit, Format, Look, report};

/// Finds images that need an alias, and prints the annotations
///
/// Looks for values of Helm releases that look like images but are not seen.
///
/// Seen are images in the usual shapes at the top of the values and one level below. Deeper ones, those in lists and
/// those under other keys need an alias.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Add the annotations to the files; nothing else in them changes
    #[arg(long)]
    write: bool,
    /// Print what --write would change as a unified diff
    #[arg(long, conflicts_with = "write")]
    diff: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let config = context.load()?.config;
    let files = args.paths.walk()?;
    let options = inspection::options(&config, clock::now());
    let roots = args.paths.given();
    let look = if args.format == Format::Json { Look::PLAIN } else { context.ui.out };
    let mut search = Search::new(args, &files, &options, &roots, look);
    search.diagnostics.extend(files.diagnostics.iter().cloned());
    for index in 0..files.len() {
        search.file(index);
    }
    let Search { suggestions, diagnostics, diffs, .. } = search;
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error)
        || suggestions.iter().any(|suggestion| suggestion.refused.is_some());
    let view = SuggestView { version: Version::ONE, suggestions, diagnostics };
    match args.format {
        Format::Json => context.print(&json::document(&view))?,
        Format::Human if args.diff => context.print(&diffs)?,
        Format::Human => context.print(&report::suggestions(&view, &args.paths.describe(), args.write, look))?,
    }
    if args.format == Format::Human {
        inspection::show(&view.diagnostics, &files, false, context);
    }
    Ok(if failed { Exit::Partly } else { Exit::Done })
}

/// The search under way.
struct Search<'a> {
    args: &'a Args,
    files: &'a FolderFiles,
    options: &'a ScanOptions,
    roots: &'a [PathBuf],
    look: Look,
    suggestions: Vec<SuggestionView>,
    diagnostics: Vec<Diagnostic>,
    diffs: String,
}

impl<'a> Search<'a> {
    fn new(args: &'a Args, files: &'a FolderFiles, options: &'a ScanOptions, roots: &'a [PathBuf], look: Look) -> Self {
        Self {
            args,
            files,
            options,
            roots,
            look,
            suggestions: Vec::new(),
            diagnostics: Vec::new(),
            diffs: String::new(),
        }
    }

    fn file(&mut self, index: usize) {
        let name = self.files.name(index);
        let mut bytes = Vec::new();
        if let Err(diagnostic) = self.files.read(index, &mut bytes) {
            self.diagnostics.push(diagnostic);
            return;
        }
        // Other files hold no release, and are nobody's concern here even if they are broken.
        let Ok(text) = decode(&bytes) else { return };
        if !text.contains("HelmRelease") {
            return;
        }
        let manifest = manifest::parse(text, &self.options.limits);
        let containers = detect(&manifest, &self.options.detect).containers;
        let errors = manifest.diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error);
        self.diagnostics.extend(errors.map(|diagnostic| Diagnostic { file: name.into(), ..diagnostic.clone() }));
        let suggestions = suggest(&manifest, &containers, &self.options.detect);
        if suggestions.is_empty() {
            return;
        }
        let mut views: Vec<SuggestionView> = suggestions.iter().map(|suggestion| view(suggestion, name)).collect();
        if self.args.write || self.args.diff {
            let added = add(&manifest, &suggestions);
            for (index, reason) in added.refused {
                views[index].refused = Some(reason);
            }
            if self.args.diff {
                self.diffs.push_str(&unified(name, text, &added.text, self.look));
            } else if added.text != text {
                let written = self.replace(index, &bytes, &added.text);
                for index in added.applied {
                    match &written {
                        Ok(()) => views[index].written = true,
                        Err(reason) => views[index].refused = Some(reason.clone()),
                    }
                }
            }
        }
        self.suggestions.append(&mut views);
    }

    fn replace(&self, index: usize, old: &[u8], new: &str) -> Result<(), String> {
        let entry = &self.files.files[index];
        let writer = Writer::new(crate::update::tree_of(&self.roots[entry.root]));
        writer.replace(&entry.path, Fingerprint::of(old), new).map_err(|error| error.to_string())?;
        writer.finish().first().map_or(Ok(()), |error| Err(error.to_string()))
    }
}

fn view(suggestion: &Suggestion, file: &str) -> SuggestionView {
    let annotations = suggestion.annotations.iter();
    SuggestionView {
        file: file.to_owned(),
        document: suggestion.document,
        line: suggestion.line,
        column: suggestion.column,
        workload: suggestion.workload.to_string(),
        alias: suggestion.alias.clone(),
        image: suggestion.image.clone(),
        annotations: annotations
            .map(|(key, value)| AnnotationView { key: key.clone(), value: value.clone() })
            .collect(),
        written: false,
        refused: None,
    }
}
