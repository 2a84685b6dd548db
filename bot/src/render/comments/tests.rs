//! Each answer as people see it, and what no answer may do whatever it is made of.

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::*;
use crate::commands::grammar::parse;
use crate::forge::Permission;
use crate::merge::pin::ShaPrefix;
use crate::plan::{Scope, Version};

fn id(digit: char) -> ObjectId {
    ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn slash() -> Grammar {
    Grammar { handle: "leadsman".into(), slash: true }
}

fn by_name() -> Grammar {
    Grammar { slash: false, ..slash() }
}

const KEY: CommentKey = CommentKey::Answer { comment: 4711, line: 3 };

/// Every answer, with this word wherever something from outside is shown, by name.
fn answers(word: &str) -> Vec<(&'static str, String)> {
    let renderer = CommentRenderer::new().unwrap();
    let mut written = Vec::new();
    let mut with = |name: &'static str, grammar: &Grammar, answer: Answer<'_>| {
        written.push((name, renderer.comment(KEY, grammar, &answer).unwrap()));
    };
    let request = Request {
        head: id('a'),
        base: word.into(),
        method: None,
        now: false,
        by: word.into(),
        asked_at: time("2027-01-01T12:00:00Z"),
    };
    let expires_at = time("2027-01-08T12:00:00Z");
    let name = || word.to_owned();
    let reasons = [
        Reason::CheckPending { name: name(), required: true },
        Reason::ReviewsMissing { have: 0, need: 2 },
        Reason::Held { by: name(), until: Some(time("2027-01-31T00:00:00Z")), why: Some(name()) },
    ];
    let notes = [Note::HabitualCheckDropped(name())];
    let method = MergeMethod::Squash;
    with("done", &slash(), Answer::Done { did: &format!("the hold by `{}` is over", word.replace('`', "'")) });
    with("failed", &slash(), Answer::Failed { what: &format!("the registry said {word}") });
    let waiting = Answer::Waiting { request: &request, method, reasons: &reasons, notes: &notes, expires_at };
    with("waiting", &slash(), waiting);
    with("waiting by name", &by_name(), waiting);
    let merged = |commit, notes| Answer::Merged { head: id('a'), base: word, method, commit, notes };
    with("merged", &slash(), merged(Some(id('b')), &[]));
    with("merged with a note", &slash(), merged(None, &notes));
    let moved = Reason::HeadMoved { pinned: id('a'), head: id('b') };
    with("dropped", &slash(), Answer::Dropped(&moved));
    with("dropped by the forge", &by_name(), Answer::Dropped(&Reason::ForgeRefusedHead { said: name() }));
    with("expired", &slash(), Answer::Dropped(&Reason::Expired { days: 7 }));
    let pause = Command::Pause { reason: Some(name()) };
    let refusal = Refusal::Needs { needs: Permission::Maintain, has: Permission::Write };
    with("refused", &slash(), Answer::Refused { command: &pause, refusal: &refusal });
    let refusal = Refusal::NotNamed { people: vec![name(), "bob".into()] };
    with("refused by name", &slash(), Answer::Refused { command: &pause, refusal: &refusal });
    for (name, text) in [
        ("fault with a guess", format!("/merge sqash {word}")),
        ("fault of a date", format!("/hold until {word}")),
        ("fault of a command", format!("@leadsman {word}")),
    ] {
        let lines = parse(&text.replace(['\n', '\r'], " "), &slash(), time("2027-01-01T12:00:00Z"));
        // Some words leave nothing to answer.
        if let Some(line) = lines.iter().find(|line| line.parsed.is_err()) {
            with(name, &slash(), Answer::Fault(line));
        }
    }
    let fault = PinFault::Moved { from: id('a'), digits: "bbbbbbb".into() };
    with("not pinned", &slash(), Answer::NotPinned(&fault));
    let fault = PinFault::Unknown { given: ShaPrefix::parse("ccccccc").unwrap(), digits: "bbbbbbb".into() };
    with("not pinned by name", &by_name(), Answer::NotPinned(&fault));
    with("help", &slash(), Answer::Help);
    with("help by name", &by_name(), Answer::Help);
    let decided = |verdict| Decided { verdict, notes: notes.to_vec() };
    let waits = decided(Verdict::Wait(reasons.to_vec()));
    let history = [
        (time("2027-01-01T12:00:00Z"), format!("asked by `{}`", word.replace('`', "'"))),
        (time("2027-01-01T12:00:05Z"), name()),
    ];
    let status = Status {
        head: id('a'),
        base: word,
        request: Some((&request, method, expires_at)),
        decided: &waits,
        left_alone: None,
        history: &history,
    };
    with("status", &slash(), Answer::Status(&status));
    let merge = decided(Verdict::Merge { head: id('a'), method });
    let free = Status { request: None, decided: &merge, left_alone: Some(word), history: &[], ..status };
    with("status of what nobody asked for", &slash(), Answer::Status(&free));
    with("status of what would wait", &slash(), Answer::Status(&Status { decided: &waits, ..free }));
    let dropped = decided(Verdict::Drop(Reason::ImageGone { image: name() }));
    let lost = Status { decided: &dropped, left_alone: None, ..free };
    with("status of what cannot be", &slash(), Answer::Status(&lost));
    let pause = Pause { by: name(), reason: Some(name()), since: time("2027-01-01T12:00:00Z") };
    let faults = [name()];
    let overview = Overview { pause: Some(&pause), open: 3, merging: 1, ignored: 2, faults: &faults };
    with("overview", &slash(), Answer::Overview(&overview));
    let quiet = Overview { pause: None, faults: &[], ..overview };
    with("overview of a quiet repository", &slash(), Answer::Overview(&quiet));
    let tag = |taken: bool| ExplainedTag { tag: name(), made: taken.then(name), taken, why: name() };
    let explained = Explained {
        container: name(),
        image: name(),
        current: name(),
        filter: name(),
        outcome: name(),
        tags: vec![tag(true), tag(false)],
    };
    let bare = Explained { tags: Vec::new(), ..explained.clone() };
    let containers = [explained, bare];
    with("explain", &slash(), Answer::Explain { asked: None, containers: &containers });
    with("explain what is not there", &slash(), Answer::Explain { asked: Some(word), containers: &[] });
    let ignore = |scope, until| Ignore {
        scope,
        image: Some(name()),
        container: Some(name()),
        until,
        by: name(),
        reason: Some(name()),
    };
    let this = ignore(Scope::This(Version { tag: name(), digest: None }), None);
    let minor = ignore(Scope::Minor, Some(time("2027-01-31T00:00:00Z")));
    let listed = [
        Listed { ignore: &this, place: "this pull request" },
        Listed { ignore: &minor, place: "the whole repository" },
    ];
    with("ignores", &slash(), Answer::Ignores(&listed));
    with("ignores nothing", &slash(), Answer::Ignores(&[]));
    with("edited", &slash(), Answer::Edited);
    with("left alone", &slash(), Answer::LeftAlone { commit: id('c'), by: Some(word) });
    with("left alone, by nobody known", &by_name(), Answer::LeftAlone { commit: id('c'), by: None });
    written
}

#[test]
fn answers_read_well_c1_5() {
    for (name, text) in answers("main") {
        insta::with_settings!({ snapshot_suffix => name.replace([' ', ','], "-") }, {
            insta::assert_snapshot!("comment", text);
        });
    }
}

const HOSTILE: &[&str] = &[
    "/merge",
    "\n/merge\n",
    "\n\n/merge\n\n",
    "  /approve",
    "x\r\n/close",
    "@octocat",
    "@leadsman merge",
    "\n@leadsman merge",
    "fixes #1, closes acme/fleet#2, resolves GH-3, !4",
    "closes https://forge.example/acme/fleet/issues/1",
    "<!-- leadsman:comment 1:1 -->",
    "\n<!-- leadsman:comment 1:1 -->\n",
    "-->",
    "<details><img src=x onerror=alert(1)>",
    "</details><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/track.png)",
    "https://evil.example/",
    "`/merge`",
    "``` \n/merge",
    "```",
    "~~~",
    "a|b\\|c",
    "| a |\n| - |",
    "# heading",
    "\u{202e}egrem/",
    "\u{200b}/merge",
    "\0",
    "{{ head }}",
    "{% include 'x' %}",
    "- [ ] task",
    "$$x$$",
    "&lt;b&gt; &#64;octocat",
    "\\",
    "`",
    "",
];

#[test]
fn no_answer_acts_whatever_it_is_made_of_c1_7() {
    let long = "x".repeat(10_000);
    for word in HOSTILE.iter().copied().chain([long.as_str()]) {
        for (name, text) in answers(word) {
            // Not for us, by either way of writing.
            for grammar in [slash(), by_name()] {
                let found = parse(&text, &grammar, time("2027-01-01T12:00:00Z"));
                assert!(found.is_empty(), "{name} with {word:?}: {found:?}\n{text}");
            }
            // Not for those who read line by line.
            for line in text.split(['\n', '\r']) {
                let line = line.trim_start();
                assert!(!line.starts_with(['/', '@']), "{name} with {word:?}: {line}\n{text}");
            }
            assert_eq!(CommentKey::read(&text), Some(KEY), "{name} with {word:?}\n{text}");
            assert_inert(&text, &format!("{name} with {word:?}"));
        }
    }
}

/// That a text has no HTML but its key, no link, no image, and mentions nobody outside code.
fn assert_inert(text: &str, which: &str) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut in_code = 0;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code += 1,
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code -= 1,
            Event::Html(html) => assert_eq!(html.trim(), KEY.to_string(), "{which}\n{text}"),
            Event::InlineHtml(html) => panic!("{which}: {html}\n{text}"),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                panic!("{which}: {dest_url}\n{text}")
            }
            Event::TaskListMarker(_) => panic!("{which}: a box\n{text}"),
            Event::Text(shown) if in_code == 0 => {
                for (at, _) in shown.match_indices(['@', '#', '!']) {
                    let next = shown[at + 1..].chars().next();
                    assert!(!next.is_some_and(char::is_alphanumeric), "{which}: {shown}\n{text}");
                }
                assert!(!shown.contains("://") && !shown.contains("GH-3"), "{which}: {shown}\n{text}");
            }
            _ => {}
        }
    }
}

#[test]
fn tables_keep_their_columns_c1_7() {
    for word in HOSTILE {
        for (name, text) in answers(word) {
            // As forges read rows: a backslash takes its meaning from any punctuation behind it.
            let bars = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
            for block in text.split("\n\n").filter(|block| block.starts_with("| ")) {
                let counts: Vec<_> = block.lines().map(bars).collect();
                assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{name} with {word:?}:\n{block}");
            }
        }
    }
}

#[test]
fn keys_are_read_back_c1_5() {
    for key in [KEY, CommentKey::Answer { comment: i64::MAX, line: 0 }, CommentKey::LeftAlone(id('c'))] {
        assert_eq!(CommentKey::read(&format!("text\n\n{key}\n")), Some(key));
        assert_eq!(CommentKey::read(&format!("text\r\n\r\n{key}\r\n")), Some(key));
        assert_eq!(CommentKey::read(&format!("{key}\ntext")), None);
    }
    assert_eq!(KEY.to_string(), "<!-- leadsman:comment 4711:3 -->");
    for body in [
        "",
        "text",
        "<!-- leadsman:comment -->",
        "<!-- leadsman:comment 1 -->",
        "<!-- leadsman:comment 1:x -->",
        "<!-- leadsman:comment -1:1 -->",
        "<!-- leadsman:comment +1:1 -->",
        "<!-- leadsman:comment 99999999999999999999:1 -->",
        "<!-- leadsman:comment left-alone:abc -->",
        "> <!-- leadsman:comment 1:1 -->",
        "<!-- leadsman:comment 1:1 --> x",
    ] {
        assert_eq!(CommentKey::read(body), None, "{body}");
    }
}

#[test]
fn a_long_comment_is_cut_before_its_key() {
    let tag = ExplainedTag { tag: "x".repeat(300), made: None, taken: false, why: "y".repeat(390) };
    let explained = Explained {
        container: "app".into(),
        image: "app".into(),
        current: "1".into(),
        filter: "*".into(),
        outcome: "up to date".into(),
        tags: vec![tag; 500],
    };
    let containers = vec![explained; 5];
    let answer = Answer::Explain { asked: None, containers: &containers };
    let text = CommentRenderer::new().unwrap().comment(KEY, &slash(), &answer).unwrap();
    assert!(text.len() <= MAX_BODY && text.contains("… cut here"), "{}", text.len());
    assert_eq!(CommentKey::read(&text), Some(KEY));
    let table = text.rsplit_once("\n\n… cut").unwrap().0;
    assert!(table.ends_with(" |"), "{}", &table[table.len() - 100..]);
}

#[test]
fn every_template_is_used_and_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates/comments");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let mut names: Vec<_> = TEMPLATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn the_help_and_the_documentation_hold_every_command_c2() {
    let page = include_str!("../../../../docs/chat-ops.md");
    let renderer = CommentRenderer::new().unwrap();
    let help = renderer.comment(KEY, &slash(), &Answer::Help).unwrap();
    let table: Vec<_> = help.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), COMMANDS.len() + 2);
    let documented: Vec<_> = page.lines().filter(|line| line.starts_with('|')).take(table.len()).collect();
    assert_eq!(documented, table, "docs/chat-ops.md must begin with this table:\n{}", table.join("\n"));
}
