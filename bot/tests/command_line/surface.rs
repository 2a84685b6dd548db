//! What every command has in common: help, suggestions, colour, closed pipes, completions, man pages, schemas.

use std::path::Path;
use std::process::Stdio;

use crate::harness::Home;

#[test]
fn help_is_on_standard_output_and_wrong_use_is_exit_code_2() {
    let home = Home::new();
    let help = home.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Exit codes: 0 done"), "{}", help.out);
    assert_eq!(home.run(&["--version"]).out, format!("leadsman {}\n", env!("CARGO_PKG_VERSION")));
    let nothing = home.run(&[]);
    assert!(nothing.code == 2 && nothing.err.contains("Usage:"), "{}", nothing.err);
}

#[test]
fn slips_of_the_keyboard_get_a_suggestion() {
    let home = Home::new();
    for (arguments, suggestion) in [
        (vec!["confg"], "config"),
        (vec!["config", "shwo"], "show"),
        (vec!["config", "show", "--fromat", "json"], "--format"),
        (vec!["schema", "filtre"], "filter"),
    ] {
        let ran = home.run(&arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains(suggestion), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn colour_follows_the_flag_and_no_color() {
    let colored = |home: &Home, arguments: &[&str]| {
        let ran = home.run(arguments);
        (ran.out.contains('\x1b'), ran.err.contains('\x1b'))
    };
    let plain = Home::new();
    assert_eq!(colored(&plain, &["config", "show"]), (false, false), "a pipe");
    assert_eq!(colored(&plain, &["config", "show", "--color", "always"]), (true, false));
    assert_eq!(colored(&plain, &["--color=always", "confg"]), (false, true));
    assert_eq!(colored(&plain, &["--color", "always", "--config", "/gone", "config", "show"]), (false, true));
    let forced = Home::new().with("CLICOLOR_FORCE", "1");
    assert!(colored(&forced, &["config", "show"]).0);
    assert!(!colored(&forced, &["config", "show", "--color", "never"]).0);
    let no_color = Home::new().with("NO_COLOR", "1").with("CLICOLOR_FORCE", "1");
    assert!(!colored(&no_color, &["config", "show"]).0);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    let mut child =
        home.command(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_full_disk_under_standard_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Home::new().command(&["completions", "zsh"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not write to standard output"));
}

#[test]
fn completions_are_printed_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = home.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        for word in ["leadsman", "schema", "config"] {
            assert!(ran.out.contains(word), "{shell} {word}");
        }
    }
    let script = home.write("completions.bash", home.run(&["completions", "bash"]).out);
    assert!(std::process::Command::new("bash").arg("-n").arg(script).status().unwrap().success());
}

#[test]
fn man_pages_cover_every_subcommand() {
    let home = Home::new();
    let ran = home.run(&["man", "man1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let page = |name: &str| home.read(&format!("work/man1/{name}.1"));
    assert!(page("leadsman").contains(".TH leadsman 1"));
    assert!(page("leadsman-config-show").contains("where each came from"));
    assert!(page("leadsman-schema").contains("JSON Schema"));
    let refused = home.run(&["man", "/proc/nothing"]);
    assert!(refused.code == 1 && refused.err.contains("could not write the man pages"), "{}", refused.err);
}

/// The schemas in `docs/schemas/` are what the program prints. `LEADSMAN_WRITE_SCHEMAS=1` writes them anew.
#[test]
fn the_schemas_in_the_documentation_are_those_that_are_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let home = Home::new();
    let mut printed: Vec<(String, String)> = leadsman::output::json::Document::ALL
        .iter()
        .map(|document| (document.name().to_owned(), home.run(&["schema", document.name()]).out))
        .collect();
    printed.push(("configuration".to_owned(), home.run(&["config", "schema"]).out));
    printed.push(("repository".to_owned(), home.run(&["schema", "repository"]).out));
    for (name, text) in printed {
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os("LEADSMAN_WRITE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let documented = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(documented, text, "docs/schemas/{name}.json differs: run this test with LEADSMAN_WRITE_SCHEMAS=1");
    }
}
