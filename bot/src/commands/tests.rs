//! The cases of `tests/cases/commands`, and what holds for every comment.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::grammar::{Grammar, Line, MAX_COMMENT, MAX_LINES, parse};
use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    text: String,
    /// `<line> <command>`, or `<line> ! <fault> '<marked place>'` and, where something was meant, ` -> <command>`.
    commands: Vec<String>,
    handle: Option<String>,
    #[serde(default = "yes")]
    slash: bool,
}

fn yes() -> bool {
    true
}

fn written_at() -> Timestamp {
    "2027-01-01T12:00:00Z".parse().unwrap()
}

fn grammar() -> Grammar {
    Grammar { handle: "leadsman".into(), slash: true }
}

fn in_words(line: &Line) -> String {
    match &line.parsed {
        Ok(command) => format!("{} {command}", line.line),
        Err(fault) => {
            let meant = fault.meant.as_ref().map_or(String::new(), |meant| format!(" -> {meant}"));
            format!("{} ! {} '{}'{meant}", line.line, fault.kind.name(), &line.quoted[fault.at.clone()])
        }
    }
}

fn read(text: &str) -> Vec<String> {
    parse(text, &grammar(), written_at()).iter().map(in_words).collect()
}

fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/commands");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let read: Vec<Case> = serde_json::from_slice(&std::fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        cases.extend(read.into_iter().map(|case| (name.clone(), case)));
    }
    assert!(cases.len() > 300, "only {} cases", cases.len());
    cases
}

#[test]
fn comments_are_read_as_the_cases_say_c1_1_c1_2_c1_4() {
    let mut wrong = Vec::new();
    for (file, case) in cases() {
        let grammar = Grammar { handle: case.handle.unwrap_or_else(|| "leadsman".into()), slash: case.slash };
        let found: Vec<_> = parse(&case.text, &grammar, written_at()).iter().map(in_words).collect();
        if found != case.commands {
            wrong.push(format!("{file}: {:?}\n  wanted {:?}\n  found  {found:?}", case.text, case.commands));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_command_and_fault_has_a_case() {
    let wanted: Vec<String> = cases().into_iter().flat_map(|(_, case)| case.commands).collect();
    for info in COMMANDS {
        let has = |command: &String| {
            command
                .split_once(' ')
                .is_some_and(|(_, rest)| rest == info.name || rest.starts_with(&format!("{} ", info.name)))
        };
        assert!(wanted.iter().any(has), "no case for {}", info.name);
    }
    for fault in [
        "unknown-command",
        "unknown-argument",
        "date-not-understood",
        "date-missing",
        "date-passed",
        "date-too-far",
        "sha-length",
        "twice",
        "one-command-per-line",
    ] {
        assert!(wanted.iter().any(|command| command.contains(&format!(" ! {fault} "))), "no case for {fault}");
    }
}

#[test]
fn no_fault_guesses_what_is_not_a_command_itself() {
    for (_, case) in cases() {
        for line in parse(&case.text, &grammar(), written_at()) {
            let Err(fault) = line.parsed else { continue };
            assert!(!fault.kind.to_string().is_empty());
            if let Some(meant) = fault.meant {
                let again = parse(&grammar().spell(&meant), &grammar(), written_at());
                assert!(again.len() == 1 && again[0].parsed.is_ok(), "{}: {meant}: {again:?}", case.text);
            }
        }
    }
}

#[test]
fn a_command_in_its_own_words_is_that_command() {
    for (_, case) in cases() {
        for command in parse(&case.text, &grammar(), written_at()).into_iter().filter_map(|line| line.parsed.ok()) {
            assert_eq!(command.info().name, command.name());
            let json = serde_json::to_string(&command).unwrap();
            assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command, "{json}");
            let words = command.to_string();
            if !words.contains(" UTC") {
                let grammar = Grammar { slash: false, ..grammar() };
                let again = parse(&grammar.spell(&words), &grammar, written_at());
                assert_eq!(again[0].parsed.as_ref(), Ok(&command), "{words}");
            }
        }
    }
}

#[test]
fn the_table_of_commands_is_whole_c2() {
    for info in COMMANDS {
        assert!(info.syntax.starts_with(info.name), "{info:?}");
        assert!(!info.changing || info.needs >= crate::forge::Permission::Write, "{info:?}");
        let line = format!("/{}", info.name);
        let found = parse(&line, &grammar(), written_at());
        assert_eq!(found[0].parsed.as_ref().map(Command::name), Ok(info.name), "{line}");
        assert_eq!(CommandInfo::named(info.name), Some(info));
    }
    // C1.6
    let on_dashboard: Vec<_> = COMMANDS.iter().filter(|info| info.on_dashboard).map(|info| info.name).collect();
    assert_eq!(on_dashboard, ["unignore", "ignores", "status", "scan", "pause", "resume", "help"]);
}

#[test]
fn one_comment_is_answered_so_often() {
    let many = "/help\n".repeat(10_000);
    let found = read(&many);
    assert_eq!(found.len(), MAX_LINES + 1);
    assert_eq!(found[MAX_LINES], format!("{} ! too-many-lines '/help'", MAX_LINES + 1));
    let others = "/lgtm\n".repeat(10_000) + "/merge";
    assert_eq!(read(&others), ["10001 merge"]);
}

#[test]
fn long_and_deep_comments_are_read_in_bearable_time_c1_2() {
    let full = |piece: &str, end: &str| piece.repeat((MAX_COMMENT - end.len()) / piece.len()) + end;
    for (piece, end, wanted) in [
        ("word ", "\n\n/merge", 1),
        ("a line\n", "/merge", 1),
        ("\n", "/merge", 1),
        ("- ", "/merge", 1),
        ("> ", "\n\n/merge", 1),
        ("[", "\n\n/merge", 1),
        ("*a_", "\n\n/merge", 1),
        ("![](", "\n\n/merge", 1),
        ("<div>", "\n\n/merge", 0),
        ("<b", "\n\n/merge", 1),
        ("<!--", "\n\n/merge", 0),
        ("`` ` ", "\n\n/merge", 1),
        ("~", "\n/merge", 0),
        ("|a", "\n/merge", 1),
        ("$a$", "\n\n/merge", 1),
        ("&#64;", "\n\n/merge", 1),
        ("\\", "\n\n/merge", 1),
        ("@leadsman ", "", 1),
        ("/merge ", "", 1),
        ("- a\n", "/merge", 1),
        ("</b>", "\n\n/merge", 1),
        ("[^1]: a\n", "\n\n/merge", 1),
        ("<details>\n\n</details>\n\n", "/merge", 1),
    ] {
        let text = full(piece, end);
        let started = std::time::Instant::now();
        let found = read(&text);
        println!("{piece:?} {end:?}: {:?} {}", started.elapsed(), found.len());
        assert_eq!(found.len(), wanted, "{piece:?} {end:?}: {found:?}");
        assert!(started.elapsed().as_secs() < 20, "{piece:?} {:?}", started.elapsed());
    }
    assert!(read(&("x".repeat(MAX_COMMENT) + "\n/merge")).is_empty());
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Text made of what has a meaning to Markdown or to us.
    fn piece() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "/merge",
            "@leadsman",
            "@leadsman hold",
            " ",
            "  ",
            "    ",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            "\t",
            "> ",
            "- ",
            "1. ",
            "```",
            "~~~",
            "`",
            "``",
            "#",
            "===",
            "---",
            "|",
            "| - |",
            "<!--",
            "-->",
            "<details>",
            "</details>",
            "<div>",
            "<b>",
            "</b>",
            "<script>",
            "[",
            "](",
            ")",
            "![",
            "[^1]:",
            "*",
            "**",
            "_",
            "~~",
            "\\",
            "&#64;",
            "$",
            "$$",
            "\u{a0}",
            "\u{202e}",
            "\u{200b}",
            "until",
            "3d",
            "2027-01-31",
            "squash",
            "--now",
            "3f2a91c",
            "é",
            "👍",
            "\0",
            "<",
            ">",
        ]);
        prop_oneof![8 => known.prop_map(String::from), 1 => any::<String>()]
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn no_text_makes_it_fail(text in text()) {
            for line in parse(&text, &grammar(), written_at()) {
                let lines: Vec<_> = text.split("\r\n").flat_map(|part| part.split(['\n', '\r'])).collect();
                prop_assert!(lines[line.line - 1].contains(&line.quoted), "{line:?}");
                if let Err(fault) = &line.parsed {
                    prop_assert!(line.quoted.get(fault.at.clone()).is_some(), "{line:?}");
                }
            }
        }

        #[test]
        fn any_string_is_read(text in any::<String>()) {
            let lines = parse(&text, &grammar(), written_at());
            prop_assert!(lines.len() <= MAX_LINES + 1);
        }

        // C1.2: whatever stands in a fence, be it closed or not.
        #[test]
        fn a_fence_holds_no_command(text in text(), closed in any::<bool>()) {
            let inside = text.replace("~~~~~~", "");
            let fenced = format!("~~~~~~\n{inside}\n/merge\n{}", if closed { "~~~~~~" } else { "" });
            prop_assert_eq!(parse(&fenced, &grammar(), written_at()), vec![]);
        }

        // C1.2: and whatever stands in a quote, on every line of it.
        #[test]
        fn a_quote_holds_no_command(text in text()) {
            let quoted = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\n> ");
            prop_assert_eq!(parse(&format!("> {quoted}"), &grammar(), written_at()), vec![]);
        }

        #[test]
        fn a_command_behind_any_closed_text_is_found(words in "[a-z ]{0,40}") {
            let found = parse(&format!("{words}\n\n/merge"), &grammar(), written_at());
            prop_assert_eq!(found.len(), 1);
        }
    }
}
