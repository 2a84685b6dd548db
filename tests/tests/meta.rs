//! Tests about the tests and the sources: what the code enumerates (rules, statuses, verdicts, diagnostics, commands)
//! has its case, pure modules stay pure, and documents keep their promises.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use leadsman_scanner::{
    diagnostic::Code,
    status::{Flag, Status, Verdict},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie below the root").to_owned()
}

/// Every file below the given folders of the checkout, as (path from the root, text).
fn files(folders: &[&str], endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() && path.ends_with("target") {
            continue;
        }
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a readable folder").map(|entry| entry.expect("an entry").path()));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).unwrap_or_default()));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file of {endings:?} below {folders:?}");
    found
}

/// The text of everything that tests: integration tests, unit-test modules, and case files. Not this file.
fn test_text() -> String {
    let mut text = String::new();
    for (name, content) in files(&["scanner", "bot", "tests"], &[".rs"]) {
        if name == "tests/tests/meta.rs" {
            continue;
        }
        if name.starts_with("tests/") || name.contains("/tests/") || name.ends_with("tests.rs") {
            text.push_str(&content);
        } else if let Some(at) = content.find("#[cfg(test)]\nmod ") {
            text.push_str(&content[at..]);
        }
        text.push('\n');
    }
    for (_, content) in files(&["tests/cases"], &[".yaml", ".yml", ".json", ".tsv", ".txt", ".md"]) {
        text.push_str(&content);
        text.push('\n');
    }
    text
}

/// Whether `word` stands in `text` with no letter, digit, dash or further number around it.
fn names(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

fn rules() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/rules.md")).expect("docs/rules.md");
    let rules: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### S"))
        .map(|rest| rest.split([' ', ':', '\u{2003}']).next().unwrap_or_default().to_owned())
        .filter(|number| number.contains('.'))
        .collect();
    assert!(rules.len() > 40, "docs/rules.md names only {} rules", rules.len());
    rules
}

fn variant(word: &str) -> String {
    word.split('-').map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

#[test]
fn every_rule_is_named_by_a_test() {
    let text = test_text();
    let missing: Vec<String> = rules()
        .into_iter()
        .filter(|number| {
            let (section, item) = number.split_once('.').expect("a dotted number");
            let (prose, name) = (format!("S{section}.{item}"), format!("s{section}_{item}"));
            !names(&text, &prose)
                && !text
                    .match_indices(&name)
                    .any(|(at, _)| !text[at + name.len()..].starts_with(|c: char| c.is_ascii_digit()))
        })
        .collect();
    assert!(missing.is_empty(), "rules of docs/rules.md that no test names: {missing:?}");
}

fn assert_words_tested(kind: &str, words: &[&str]) {
    let text = test_text();
    let missing: Vec<_> = words
        .iter()
        .filter(|word| !names(&text, &format!("{kind}::{}", variant(word))) && !names(&text, word))
        .collect();
    assert!(missing.is_empty(), "{kind}: no test names {missing:?}");
}

#[test]
fn every_status_is_named_by_a_test() {
    assert_words_tested("Status", &Status::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
}

#[test]
fn every_flag_and_verdict_is_named_by_a_test() {
    assert_words_tested("Flag", &Flag::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_words_tested("Verdict", &Verdict::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
}

#[test]
fn every_diagnostic_is_named_by_a_test() {
    assert_words_tested("Code", &Code::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
}

#[test]
fn statuses_flags_verdicts_and_diagnostics_are_documented() {
    let rules = fs::read_to_string(root().join("docs/rules.md")).expect("docs/rules.md");
    let words = Status::ALL
        .iter()
        .map(|word| word.as_str())
        .chain(Flag::ALL.iter().map(|word| word.as_str()))
        .chain(Verdict::ALL.iter().map(|word| word.as_str()))
        .chain(Code::ALL.iter().map(|word| word.as_str()));
    let missing: Vec<_> = words.filter(|word| !rules.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/rules.md does not explain {missing:?}");
}

#[test]
fn every_module_says_what_it_owns() {
    let missing: Vec<_> = files(&["scanner", "bot", "tests"], &[".rs"])
        .into_iter()
        .filter(|(_, text)| !text.trim_start().starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "modules without a `//!` at the top: {missing:?}");
}

/// What a pure module may not mention, outside its tests.
const IMPURE: &[&str] = &[
    "reqwest",
    "sqlx",
    "axum",
    "tokio::",
    "gix::",
    "std::fs",
    "std::env",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
];

const PURE: &[&str] = &[
    "scanner/src/manifest",
    "scanner/src/detect",
    "scanner/src/filter",
    "scanner/src/choose",
    "scanner/src/edit",
    "scanner/src/suggest",
    "scanner/src/reference.rs",
    "scanner/src/status.rs",
    "scanner/src/diagnostic.rs",
    "bot/src/commands",
    "bot/src/merge/decide.rs",
    "bot/src/merge/pin.rs",
    "bot/src/merge/reason.rs",
    "bot/src/config/glob.rs",
    "bot/src/config/repository.rs",
    "bot/src/plan",
    "bot/src/render",
    "bot/src/server/webhooks/parse",
    "bot/src/server/webhooks/secret.rs",
    "bot/src/server/pages/diff.rs",
    "bot/src/server/pages/markdown.rs",
];

#[test]
fn pure_modules_stay_pure() {
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for (name, text) in files(&["scanner/src", "bot/src"], &[".rs"]) {
        let Some(module) = PURE.iter().find(|module| name.starts_with(**module)) else { continue };
        if name.ends_with("/tests.rs") {
            continue;
        }
        seen.insert(*module);
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            // The id of a commit is a value like any other.
            let line = line.split("//").next().unwrap_or_default().replace("gix::ObjectId", "");
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{name}:{}: {word}", number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "pure modules reach outside: {faults:#?}");
    assert_eq!(seen.len(), PURE.len(), "some of {PURE:?} are gone; seen {seen:?}");
}

/// Every subcommand as the program knows it, with its words (`config show`) and its own flags.
fn commands() -> Vec<(String, Vec<String>)> {
    fn walk(command: &clap::Command, words: &str, found: &mut Vec<(String, Vec<String>)>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            let words = format!("{words} {}", sub.get_name()).trim().to_owned();
            let flags = sub.get_arguments().filter(|it| !it.is_global_set() && !it.is_hide_set());
            let flags = flags.filter_map(|it| it.get_long()).filter(|it| *it != "help").map(|it| format!("--{it}"));
            found.push((words.clone(), flags.collect()));
            walk(sub, &words, found);
        }
    }
    let mut found = Vec::new();
    walk(&leadsman::cli::command(), "", &mut found);
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn every_command_and_flag_is_documented_and_tested() {
    let page = fs::read_to_string(root().join("docs/cli.md")).expect("docs/cli.md");
    let tests = test_text();
    let mut missing = Vec::new();
    for (words, flags) in commands() {
        if !page.contains(&format!("leadsman {words}")) {
            missing.push(format!("docs/cli.md: leadsman {words}"));
        }
        let called = words.split(' ').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        if !tests.contains(&called) {
            missing.push(format!("no test runs {called}"));
        }
        for flag in flags {
            if !page.contains(&flag) {
                missing.push(format!("docs/cli.md: {flag} of {words}"));
            }
            if !tests.contains(&format!("\"{flag}\"")) {
                missing.push(format!("no test uses {flag} of {words}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut documents = files(&["docs", "examples", "README.md", "CONTRIBUTING.md"], &[".md"]);
    documents.retain(|(name, _)| !name.contains("/target/"));
    for (name, text) in &documents {
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let file = if path.is_empty() {
                root().join(name)
            } else {
                root().join(name).parent().expect("a folder").join(path)
            };
            if !file.exists() {
                broken.push(format!("{name}: {target}"));
            } else if !anchor.is_empty() && !anchors(&fs::read_to_string(&file).unwrap_or_default()).contains(anchor) {
                broken.push(format!("{name}: no heading #{anchor} in {path}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The anchors of a document's headings, as forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}
