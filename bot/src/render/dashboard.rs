//! The dashboard issue of a repository: how it stands, what needs a look, what people decided for all of it.
//!
//! Pure. Its hidden marker holds the decisions of people about the whole repository, so that a lost store loses none, and
//! the print of the text, so that nothing is written where nothing changed ([`is_current`]).

use minijinja::value::{Serde, Value};
use minijinja::{Error, context};
use serde::{Deserialize, Serialize};

use super::marker::{self, Kind, MAX_IGNORES, MAX_MARKER};
use super::{Renderer, Voice, commands, print, unwritable, with_notices};
use crate::config::repository::ConfigError;
use crate::plan::{Pause, RepositoryDecisions};

/// How the marker begins: what the forge is asked for to find the issue.
pub const MARK: &str = "<!-- leadsman:dashboard";

/// The same, up to the JSON.
pub(super) const OPENING: &str = "<!-- leadsman:dashboard ";

/// The title of the issue.
pub const TITLE: &str = "Leadsman";

/// How many lines each list has.
const MAX_LINES: usize = 50;

/// The only form that is written and read.
const VERSION: u32 = 1;

/// How a repository stands.
#[derive(Debug)]
pub struct Dashboard<'a> {
    /// The pull requests that are open, by their numbers.
    pub pulls: &'a [OpenPull],
    /// What needs a look, the gravest first.
    pub problems: &'a [Problem],
    /// What is not proposed though it is newer, and why.
    pub held_back: &'a [HeldBack],
    /// What people decided.
    pub decisions: &'a RepositoryDecisions,
    /// How people talk to Leadsman there.
    pub voice: Voice<'a>,
}

/// A pull request that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPull {
    /// Its number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// What it waits for, names in backticks.
    pub waits: String,
}

/// Something newer that is not proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldBack {
    /// The workload and file.
    pub what: String,
    /// Why, names in backticks.
    pub why: String,
}

/// Something that needs a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The repository's configuration is wrong, so nothing is opened, moved or merged.
    Configuration(ConfigError),
    /// A registry does not tell what an image has.
    Registry {
        /// The image.
        image: String,
        /// What is wrong, names in backticks.
        message: String,
    },
    /// A file cannot be read in full.
    File {
        /// The file.
        path: String,
        /// What is wrong, names in backticks.
        message: String,
    },
    /// Work that failed too often is tried again only daily.
    Parked {
        /// The work.
        what: String,
        /// How it failed last, names in backticks.
        message: String,
    },
    /// Anything else, such as missing permission.
    Other(String),
}

/// The texts of the issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashboardText {
    /// The title.
    pub title: String,
    /// The body, with its marker.
    pub body: String,
    /// The print of both.
    pub print: String,
}

/// What stands in the body for machines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    print: String,
    #[serde(default)]
    decisions: RepositoryDecisions,
}

/// What people decided, by the marker of a body. The caller believes it only where the bot wrote the issue.
#[must_use]
pub fn read(body: &str) -> Option<RepositoryDecisions> {
    let marker: Marker = marker::read(body, Kind::Dashboard)?;
    (marker.version == VERSION && marker.decisions.ignores.len() <= MAX_IGNORES).then_some(marker.decisions)
}

/// Whether a body was written from this text already, whatever people wrote below its marker.
#[must_use]
pub fn is_current(body: &str, text: &DashboardText) -> bool {
    let marker: Option<Marker> = marker::read(body, Kind::Dashboard);
    marker.is_some_and(|marker| marker.version == VERSION && marker.print == text.print)
}

impl Problem {
    /// What is wrong: a sentence, names in backticks.
    #[must_use]
    pub fn words(&self) -> String {
        self.sentences().0
    }

    /// What is wrong, and what happens next.
    fn sentences(&self) -> (String, &'static str) {
        let (text, next) = match self {
            Self::Configuration(ConfigError { line, column, message }) => (
                format!("`{}:{line}:{column}`: {message}", crate::config::repository::FILE),
                "Nothing is opened, moved or merged until it is mended on the default branch.",
            ),
            Self::Registry { image, message } => (format!("`{image}`: {message}"), "What was proposed stays as it is."),
            Self::File { path, message } => (format!("`{path}`: {message}"), "The other files go on."),
            Self::Parked { what, message } => {
                (format!("{what} failed again and again: {message}"), "It is tried again once a day.")
            }
            Self::Other(message) => (message.clone(), ""),
        };
        let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
        (format!("{text}{end}"), next)
    }
}

impl Renderer {
    /// Writes the dashboard issue of a repository.
    ///
    /// # Errors
    /// Where a template that comes with Leadsman fails.
    pub fn dashboard(&self, dashboard: &Dashboard<'_>) -> Result<DashboardText, Error> {
        let Dashboard { pulls, problems, held_back, decisions, voice } = dashboard;
        let lines: Vec<_> = pulls
            .iter()
            .take(MAX_LINES)
            .map(|OpenPull { number, title, waits }| {
                // The forge makes a link of it: the number is our own.
                context! { name => Value::from_safe_string(format!("#{number}")), title => title, waits => waits }
            })
            .collect();
        let problem_lines: Vec<_> = problems
            .iter()
            .take(MAX_LINES)
            .map(|problem| {
                let (text, next) = problem.sentences();
                context! { text => text, next => next }
            })
            .collect();
        let ignores = marker::bounded(&decisions.ignores);
        let ignore_lines: Vec<_> = ignores
            .iter()
            .map(|ignore| context! { image => ignore.image.as_deref(), container => ignore.container.as_deref(), words => ignore.words() })
            .collect();
        let values = context! {
            pulls => lines,
            more_pulls => pulls.len().saturating_sub(MAX_LINES),
            problems => problem_lines,
            more_problems => problems.len().saturating_sub(MAX_LINES),
            held_back => Value::from(Serde(&held_back[..held_back.len().min(MAX_LINES)])),
            more_held_back => held_back.len().saturating_sub(MAX_LINES),
            ignores => ignore_lines,
            pause => decisions.pause.as_ref().map(Pause::words),
            commands => commands(voice),
            pull_requests => format!("{}s", voice.capabilities.pull_request),
        };
        let fits = |text: &str| match text.lines().any(|line| line.starts_with(MARK)) {
            false => Ok(()),
            true => Err("a line of it begins like the hidden marker".to_owned()),
        };
        let body = self.render("dashboard/body.md", &values, fits)?;
        let text = with_notices(body.text, self.notices.iter().chain(&body.notice));
        let mut decisions = RepositoryDecisions { ignores, pause: decisions.pause.clone() };
        if let Some(pause) = &mut decisions.pause {
            marker::bound(&mut pause.by, pause.reason.as_mut());
        }
        let stored = serde_json::to_string(&decisions).map_err(unwritable)?;
        let print = print(TITLE, &[text.as_str(), &stored].join("\0"));
        let mut marker = Marker { version: VERSION, print: print.clone(), decisions };
        let line = loop {
            let line = marker::line(Kind::Dashboard, &marker).map_err(unwritable)?;
            if line.len() <= MAX_MARKER || marker.decisions.ignores.is_empty() {
                break line;
            }
            marker.decisions.ignores.remove(0);
        };
        let body = marker::append(&text, &line, voice.capabilities.max_body);
        Ok(DashboardText { title: TITLE.to_owned(), body, print })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{Capabilities, MergeMethod};
    use crate::plan::{Ignore, Scope};

    const FORGE: Capabilities = Capabilities {
        name: "Gitea",
        pull_request: "pull request",
        slash_commands: true,
        reactions: true,
        issues: true,
        rules: true,
        reviews: true,
        merge_methods: &[MergeMethod::Merge],
        max_body: 65_536,
    };

    fn voice() -> Voice<'static> {
        Voice { capabilities: &FORGE, handle: "leadsman", slash: true }
    }

    fn decisions() -> RepositoryDecisions {
        RepositoryDecisions {
            ignores: vec![Ignore {
                scope: Scope::Major,
                image: Some("docker.io/library/postgres".into()),
                container: None,
                until: None,
                by: "ada".into(),
                reason: Some("moved by hand".into()),
            }],
            pause: Some(Pause {
                by: "grace".into(),
                reason: Some("freeze".into()),
                since: "2026-06-01T12:00:00Z".parse().unwrap(),
            }),
        }
    }

    fn problems() -> Vec<Problem> {
        vec![
            Problem::Configuration(ConfigError {
                line: 3,
                column: 7,
                message: "unknown key `minimumAge`; did you mean `minimum_age`?".into(),
            }),
            Problem::Registry { image: "q.io/a/b".into(), message: "`q.io` does not answer".into() },
            Problem::File { path: "a.yaml".into(), message: "no valid YAML".into() },
            Problem::Parked { what: "reading `main`".into(), message: "a panic".into() },
            Problem::Other("the bot may not read who may merge".into()),
        ]
    }

    fn render(pulls: &[OpenPull], problems: &[Problem], decisions: &RepositoryDecisions) -> DashboardText {
        let held_back = [HeldBack {
            what: "dev:helmrelease/app in a.yaml".into(),
            why: "2 pull requests are open, as many as `limits.open` allows".into(),
        }];
        let dashboard = Dashboard { pulls, problems, held_back: &held_back, decisions, voice: voice() };
        Renderer::new().unwrap().dashboard(&dashboard).unwrap()
    }

    fn pull(number: i64) -> OpenPull {
        OpenPull { number, title: "Update web/app: app 1.0.0 to 1.1.0".into(), waits: "waits for `ci/test`".into() }
    }

    #[test]
    fn the_issue_of_a_busy_repository() {
        insta::assert_snapshot!(render(&[pull(7), pull(8)], &problems(), &decisions()).body);
    }

    #[test]
    fn the_issue_of_a_quiet_repository() {
        let decisions = RepositoryDecisions::default();
        let dashboard = Dashboard { pulls: &[], problems: &[], held_back: &[], decisions: &decisions, voice: voice() };
        insta::assert_snapshot!(Renderer::new().unwrap().dashboard(&dashboard).unwrap().body);
    }

    #[test]
    fn decisions_are_read_back_from_the_marker() {
        let text = render(&[pull(7)], &problems(), &decisions());
        assert_eq!(read(&text.body), Some(decisions()));
        assert!(text.body.contains(MARK));
        // Of a pull request's marker, and of anything else, nothing is read.
        for body in
            ["", "text", &text.body.replace("dashboard", ""), &text.body.replace("\"version\":1", "\"version\":2")]
        {
            assert_eq!(read(body), None, "{body}");
        }
    }

    #[test]
    fn nothing_is_written_where_nothing_changed() {
        let text = render(&[pull(7)], &[], &decisions());
        assert_eq!(text, render(&[pull(7)], &[], &decisions()));
        assert!(is_current(&text.body, &text));
        assert!(is_current(&format!("{}\nA note of ours.\n", text.body).replace('\n', "\r\n"), &text));
        for other in [
            render(&[pull(8)], &[], &decisions()),
            render(&[pull(7)], &problems(), &decisions()),
            render(&[pull(7)], &[], &RepositoryDecisions::default()),
        ] {
            assert!(!is_current(&text.body, &other));
        }
        // What does not show in the text counts too.
        let mut later = decisions();
        later.pause.as_mut().unwrap().since = "2026-06-02T12:00:00Z".parse().unwrap();
        assert!(!is_current(&text.body, &render(&[pull(7)], &[], &later)));
    }

    #[test]
    fn a_long_issue_is_cut_before_its_marker() {
        let long = "x".repeat(390);
        let pulls: Vec<_> =
            (0..500).map(|n| OpenPull { title: long.clone(), waits: long.clone(), ..pull(n) }).collect();
        let problems = vec![Problem::Other(long.clone()); 500];
        let mut decisions = decisions();
        decisions.ignores = vec![Ignore { reason: Some("<".repeat(500)), ..decisions.ignores[0].clone() }; 500];
        let text = render(&pulls, &problems, &decisions);
        assert!(text.body.len() <= FORGE.max_body, "{}", text.body.len());
        assert!(text.body.contains("… and 450 more.") && text.body.contains("… cut here"));
        assert!(!read(&text.body).unwrap().ignores.is_empty());
        assert_eq!(render(&pulls, &problems, &decisions), text);
    }

    #[test]
    fn hostile_text_does_nothing_c1_7() {
        let hostile = "x`|\n/close\n<img src=x onerror=1> @octocat fixes #1 -->\n<!-- leadsman:dashboard {} -->";
        let pulls = [OpenPull { number: 1, title: hostile.into(), waits: hostile.into() }];
        let problems = [
            Problem::Other(hostile.into()),
            Problem::File { path: hostile.into(), message: hostile.into() },
            Problem::Registry { image: hostile.into(), message: hostile.into() },
        ];
        let mut decisions = decisions();
        decisions.pause.as_mut().unwrap().reason = Some(hostile.into());
        decisions.ignores[0].reason = Some(hostile.into());
        decisions.ignores[0].by = hostile.into();
        let body = render(&pulls, &problems, &decisions).body;
        assert!(!body.lines().any(|line| line.trim_start().starts_with("/close")), "{body}");
        assert_eq!(body.lines().filter(|line| line.starts_with(MARK)).count(), 1, "{body}");
        let read = read(&body).unwrap();
        assert_eq!(read.pause.unwrap().reason.unwrap(), crate::render::markdown::plain(hostile));
        // As it is read: nothing of it outside of code is a mention, and nothing is HTML but the marker.
        let above = body.split(&format!("\n{MARK}")).next().unwrap();
        for event in pulldown_cmark::Parser::new(above) {
            match event {
                pulldown_cmark::Event::Html(html) | pulldown_cmark::Event::InlineHtml(html) => panic!("{html}"),
                pulldown_cmark::Event::Text(text) => assert!(!text.contains("@octocat"), "{text}"),
                _ => {}
            }
        }
    }
}
