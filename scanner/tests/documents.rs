//! What the documentation says by example is true: the examples, the annotation reference, and the tables of filters
//! (S1.5, S2.1, S3.1, S4.2, S5.1, S5.2, S5.3).

#![allow(clippy::unwrap_used, reason = "a document that is missing or malformed ends the test")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use leadsman_scanner::detect::{Container, DetectOptions, detect};
use leadsman_scanner::diagnostic::{Diagnostic, Level};
use leadsman_scanner::edit::{Update, apply};
use leadsman_scanner::filter::Filter;
use leadsman_scanner::manifest::{Limits, parse};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn containers(text: &str) -> (Vec<Container>, Vec<Diagnostic>) {
    let manifest = parse(text, &Limits::default());
    let found = detect(&manifest, &DetectOptions::default());
    let diagnostics = manifest.diagnostics.into_iter().chain(found.diagnostics).collect();
    (found.containers, diagnostics)
}

/// The manifests of `examples/`, by name.
fn examples() -> Vec<(String, String)> {
    let mut examples: Vec<_> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    examples.sort();
    assert!(examples.len() > 20, "examples are missing");
    examples
}

/// The cells of the tables in a part of a Markdown text, without head and line; a `\|` in a cell is a bar.
fn tables(text: &str) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let cells = line.trim().trim_matches('|').replace("\\|", "\u{0}");
        cells.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect::<Vec<_>>()
    };
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("|---");
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| {
            line.starts_with('|') && !is_rule(line) && !lines.get(at + 1).is_some_and(|next| is_rule(next))
        })
        .map(|(_, line)| row(line))
        .collect()
}

/// The part of a Markdown text from one heading to the next of its level or above.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`")) + 1;
    let level = heading.bytes().take_while(|b| *b == b'#').count();
    let body = start + heading.len();
    let end = (1..=level).filter_map(|level| text[body..].find(&format!("\n{} ", "#".repeat(level)))).min();
    &text[start..end.map_or(text.len(), |end| body + end)]
}

/// The code spans of a cell.
fn spans(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn spell(container: &Container) -> String {
    let image = container.image.as_ref().map_or("?", |image| image.as_str());
    let tag = container.tag.as_deref().unwrap_or("?");
    format!("{}  {image}:{tag}  {}", container.name, container.steering.filter)
}

#[test]
fn the_examples_hold_what_their_index_says() {
    let index = document("examples/README.md");
    let listed: Vec<String> =
        tables(section(&index, "## What is found in them")).iter().map(|row| row.join(" | ")).collect();
    let mut found = Vec::new();
    for (name, text) in examples() {
        for container in containers(&text).0 {
            let image = container.image.as_ref().unwrap().as_str();
            let tag = container.tag.as_deref().unwrap();
            let filter = &container.steering.filter;
            found.push(format!("{name} | {} | {} | {image} | {tag} | {filter}", container.workload.id, container.name));
        }
        assert!(index.contains(&format!("[{name}]({name})")), "`{name}` is not in the index");
    }
    assert_eq!(found, listed);
}

#[test]
fn the_examples_are_without_fault_and_say_what_they_show() {
    for (name, text) in examples() {
        assert!(text.starts_with("# ") || name.ends_with(".json"), "{name}: the first line says what it shows");
        for diagnostic in containers(&text).1 {
            let meant = match name.as_str() {
                "unquoted-tag.yaml" => diagnostic.code.as_str() == "unquoted-tag",
                "look-up.yaml" => diagnostic.code.as_str() == "global-registry",
                _ => false,
            };
            assert!(meant || diagnostic.level == Level::Info, "{name}: {diagnostic:?}");
        }
    }
}

/// Every container that is free to be edited can be, and one line changes (S7.1).
#[test]
fn the_examples_can_be_edited() {
    let mut edited = 0;
    for (name, text) in examples() {
        let manifest = parse(&text, &Limits::default());
        let containers = detect(&manifest, &DetectOptions::default()).containers;
        // One tag for two containers is edited for both or not at all.
        for container in containers.iter().filter(|_| name != "shared-anchor.yaml") {
            if container.settled.is_some() || container.uneditable.is_some() || container.digest.is_some() {
                continue;
            }
            let update = Update { container, tag: "99.0.0", digest: None };
            let result = apply(&manifest, &containers, &[update]);
            assert!(result.refused.is_empty(), "{name}: {:?}", result.refused);
            let changed =
                result.text.split('\n').zip(text.split('\n')).filter(|(after, before)| after != before).count();
            assert_eq!(changed, 1, "{name}, {}", container.name);
            edited += 1;
        }
    }
    assert!(edited > 30, "{edited}");
}

#[test]
fn the_annotation_reference_is_true() {
    let text = document("docs/annotations.md");
    let mut examples = 0;
    for part in text.split("```yaml\n").skip(1) {
        let (yaml, rest) = part.split_once("\n```\n\n```text\n").expect("below each manifest stands what is found");
        let (expected, _) = rest.split_once("\n```").unwrap();
        let (containers, diagnostics) = containers(yaml);
        let mut found = String::new();
        for container in &containers {
            writeln!(found, "{}", spell(container)).unwrap();
        }
        assert_eq!(found.trim_end(), expected);
        for diagnostic in diagnostics {
            let meant = matches!(diagnostic.code.as_str(), "automated-not-a-string" | "global-registry");
            assert!(meant || diagnostic.level == Level::Info, "{yaml}: {diagnostic:?}");
        }
        examples += 1;
    }
    assert!(examples > 15, "{examples}");
}

fn takes(filter: &str, tag: &str) -> bool {
    Filter::parse(filter).unwrap_or_else(|error| panic!("`{filter}`: {error}")).judge(tag, None).is_ok()
}

fn assert_rows(rows: &[Vec<String>], prefix: &str, least: usize) {
    let mut checked = 0;
    for row in rows {
        for filter in spans(&row[0]) {
            let filter = format!("{prefix}{filter}");
            for (cell, expected) in [(&row[1], true), (&row[2], false)] {
                // A cell that begins with `nothing` explains; its spans are no tags.
                for tag in spans(cell).into_iter().filter(|_| !cell.starts_with("nothing")) {
                    assert_eq!(takes(&filter, tag), expected, "`{filter}` and `{tag}`");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= least, "{checked} of at least {least}");
}

#[test]
fn the_tables_of_filters_are_true_s5_1_s5_2_s5_3() {
    let filters = document("docs/filters.md");
    let ranges: Vec<Vec<String>> = tables(section(&filters, "### Ranges"))
        .into_iter()
        .map(|row| vec![row[0].clone(), row[2].clone(), row[3].clone()])
        .collect();
    assert_rows(&ranges, "semver:", 50);
    assert_rows(&tables(section(&filters, "## Glob")), "glob:", 8);
    assert_rows(&tables(section(&filters, "## Regex")), "regex:", 14);
    assert_rows(&tables(section(&document("docs/rules.md"), "### S5.4 Tags that never take part")), "", 30);
}

#[test]
fn the_tables_of_versions_are_true_s5_3() {
    let filters = document("docs/filters.md");
    for row in tables(section(&filters, "### Which tags are versions")) {
        for tag in spans(&row[0]) {
            assert_eq!(takes("semver:>=0-0", tag), row[1] == "yes", "`{tag}`");
        }
    }
    let text = section(&filters, "### Pre-releases, and suffixes such as `-alpine`");
    let head = text.lines().find(|line| line.starts_with('|')).unwrap();
    let tags = &spans(head);
    for row in tables(text) {
        for (tag, cell) in tags.iter().zip(&row[1..]) {
            assert_eq!(takes(&format!("semver:{}", spans(&row[0])[0]), tag), cell == "yes", "{row:?}, `{tag}`");
        }
    }
}

#[test]
fn the_recipes_are_filters() {
    let filters = document("docs/filters.md");
    let rows = tables(section(&filters, "## How do I …"));
    assert!(rows.len() > 15);
    for row in rows {
        for filter in spans(&row[1]) {
            assert!(Filter::parse(filter).is_ok(), "`{filter}`");
        }
    }
}
