//! Every text the bot writes, from the templates in `templates/`.
//!
//! Pure. A template sees plain values; whatever is printed without one of the filters of [`markdown`] is escaped for
//! the kind of text it goes into, so a template cannot forget it, and cannot turn it off. Undefined names are errors, and
//! the work a template may do is limited. Dates are absolute, so that a text changes only when what it tells changes.
//!
//! A team may use templates of its own ([`Renderer::with_overrides`]). One that fails is replaced by the one that comes
//! with Leadsman, with a notice that names the fault: a wrong template never holds up a pull request.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::forge::Capabilities;
use crate::forge::commit::PLAN_TRAILER;
use crate::plan::{
    Ignore, Key, Level, PassedOver, Proposed, PullDecisions, Version, content_print, hex, level, version_numbers,
};
use crate::pulls::Wanted;

pub mod comments;
pub mod dashboard;
mod environment;
pub mod markdown;
mod marker;

pub use marker::{Marker, keep_below};

/// The longest body, in bytes, with its marker, where the forge does not say otherwise.
const MAX_BODY: usize = 65_536;

/// The longest title, in characters.
const MAX_TITLE: usize = 200;

/// How many changes a text tells of, one by one.
const MAX_CHANGES: usize = 100;

/// The longest text that a template may make, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// The templates that come with Leadsman. A team may bring its own by the same names.
const BUILT_IN: [(&str, &str); 4] = [
    ("pull_request/title.txt", include_str!("../../../templates/pull_request/title.txt")),
    ("pull_request/body.md", include_str!("../../../templates/pull_request/body.md")),
    ("commit.txt", include_str!("../../../templates/commit.txt")),
    ("dashboard/body.md", include_str!("../../../templates/dashboard/body.md")),
];

/// The names of the templates that a team may bring, relative to the folder they lie in.
pub const TEMPLATES: &[&str] = &["pull_request/title.txt", "pull_request/body.md", "commit.txt", "dashboard/body.md"];

/// What stands before the name of a team's own template.
const OWN: &str = "own/";

/// Turns what is proposed into texts.
pub struct Renderer {
    templates: Environment<'static>,
    /// The names of the templates that a team brought and that can be parsed.
    own: BTreeSet<String>,
    notices: Vec<String>,
}

/// How people talk to Leadsman where a text is read.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    /// What the forge can do.
    pub capabilities: &'a Capabilities,
    /// The name that commands begin with, without `@`.
    pub handle: &'a str,
    /// Whether the repository takes slash commands, where the forge has them free.
    pub slash: bool,
}

impl Voice<'_> {
    /// A command as people write it here: `/merge`, or `@leadsman merge` where slashes are the forge's own (C1.1).
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        if self.capabilities.slash_commands && self.slash {
            format!("/{words}")
        } else {
            format!("@{} {words}", self.handle)
        }
    }
}

/// A pull request to be described.
#[derive(Debug)]
pub struct Description<'a> {
    /// The branch it is for.
    pub base: &'a str,
    /// What it is about.
    pub key: &'a Key,
    /// Its changes, at least one.
    pub proposed: Vec<Proposed>,
    /// Places that change along, because they share an anchor with a tag (S7.4).
    pub follows: &'a [String],
    /// What people decided about it.
    pub decisions: &'a PullDecisions,
    /// How people talk to Leadsman there; none where nobody listens.
    pub voice: Option<Voice<'a>>,
}

/// A text, and why it is not by the team's own template, where there is one.
struct Rendered {
    text: String,
    notice: Option<String>,
}

/// What the templates see of one change.
#[derive(Serialize)]
struct ChangeView<'a> {
    workload: &'a str,
    path: &'a str,
    container: &'a str,
    image: &'a str,
    short_image: &'a str,
    from: &'a str,
    to: &'a str,
    kind: &'static str,
    filter: &'a str,
    created: Option<&'a str>,
    digest: Option<&'a str>,
    pins: bool,
    source: Option<&'a str>,
    revision: Option<&'a str>,
    compare: Option<String>,
    passed_over: &'a [PassedOver],
    warnings: Vec<String>,
}

impl Renderer {
    /// The texts as they come with Leadsman.
    ///
    /// # Errors
    /// Where a template cannot be parsed.
    pub fn new() -> Result<Self, Error> {
        Self::with_overrides(&BTreeMap::new())
    }

    /// The same with a team's own templates, by their names ([`TEMPLATES`]). Those that cannot be used are told by
    /// [`Renderer::notices`].
    ///
    /// # Errors
    /// Where a template that comes with Leadsman cannot be parsed.
    pub fn with_overrides(own: &BTreeMap<&'static str, String>) -> Result<Self, Error> {
        let templates = environment::environment(&BUILT_IN)?;
        let mut renderer = Self { templates, own: BTreeSet::new(), notices: Vec::new() };
        for (name, text) in own {
            match renderer.templates.add_template_owned(format!("{OWN}{name}"), text.clone()) {
                Ok(()) => drop(renderer.own.insert((*name).to_owned())),
                Err(error) => renderer.notices.push(fault(name, &with_sources(&error))),
            }
        }
        Ok(renderer)
    }

    /// The team's own templates that cannot be parsed, each with its fault.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Renders a template: the team's own if there is one that works and whose text `fits`, else the built-in one.
    fn render(&self, name: &str, values: &Value, fits: impl Fn(&str) -> Result<(), String>) -> Result<Rendered, Error> {
        let write = |name: &str| {
            let mut out = Bounded(Vec::new());
            self.templates.get_template(name)?.render_captured_to(values.clone(), &mut out)?;
            Ok::<_, Error>(String::from_utf8_lossy(&out.0).into_owned())
        };
        let mut notice = None;
        if self.own.contains(name) {
            let own = write(&format!("{OWN}{name}")).map_err(|error| with_sources(&error));
            match own.and_then(|text| fits(&text).map(|()| text)) {
                Ok(text) => return Ok(Rendered { text, notice: None }),
                Err(why) => notice = Some(fault(name, &why)),
            }
        }
        Ok(Rendered { text: write(name)?, notice })
    }

    /// Writes the texts of a pull request for `base` that proposes these changes, at least one, where nobody listens to
    /// commands. `follows` are places that change along, because they share an anchor with a tag (S7.4).
    ///
    /// # Errors
    /// Where a template fails.
    pub fn pull_request(
        &self,
        base: &str,
        key: &Key,
        proposed: Vec<Proposed>,
        follows: &[String],
    ) -> Result<Wanted, Error> {
        let decisions = PullDecisions::default();
        self.describe(Description { base, key, proposed, follows, decisions: &decisions, voice: None })
    }

    /// Writes the texts of a pull request. What people wrote below the marker of an older body is not in it:
    /// [`keep_below`] adds it when the body is sent.
    ///
    /// # Errors
    /// Where a template that comes with Leadsman fails.
    pub fn describe(&self, description: Description<'_>) -> Result<Wanted, Error> {
        let Description { base, key, proposed, follows, decisions, voice } = description;
        let changes: Vec<_> = proposed.iter().map(|proposed| proposed.change.clone()).collect();
        let content = content_print(&key.path, &changes);
        let workload = readable_name(&key.workload);
        let views: Vec<_> =
            proposed.iter().take(MAX_CHANGES).map(|proposed| ChangeView::new(&workload, &key.path, proposed)).collect();
        let same = changes.iter().all(|change| change.to.tag == changes[0].to.tag);
        let values = context! {
            name => workload.as_str(),
            workload => key.workload.as_str(),
            path => key.path.as_str(),
            folder => key.path.rsplit_once('/').map_or("", |(folder, _)| folder),
            changes => Value::from(Serde(&views)),
            more => changes.len().saturating_sub(MAX_CHANGES),
            same => same,
            follows => Value::from(Serde(follows)),
            content => content.as_str(),
            trailer => PLAN_TRAILER,
            base => base,
            decisions => Value::from(Serde(&decided(decisions))),
            commands => voice.map(|voice| commands(&voice)),
            pull_request => voice.map_or("pull request", |voice| voice.capabilities.pull_request),
        };
        let fits_title = |text: &str| match text.trim().lines().count() {
            1 => Ok(()),
            count => Err(format!("a title is one line, and this has {count}")),
        };
        let title = self.render("pull_request/title.txt", &values, fits_title)?;
        let shown: String = title.text.trim().chars().take(MAX_TITLE).collect();
        let values = context! { title => Value::from_safe_string(shown.clone()), ..values };
        let trailer = format!("{PLAN_TRAILER}: {content}");
        let fits_commit = |text: &str| {
            let claims = text.lines().filter(|line| line.starts_with(PLAN_TRAILER)).count();
            let is_known_again = claims == 1 && text.trim_end().lines().next_back() == Some(trailer.as_str());
            is_known_again.then_some(()).ok_or_else(|| format!("its last line is not `{trailer}`"))
        };
        let message = self.render("commit.txt", &values, fits_commit)?;
        let fits_body = |text: &str| match text.lines().any(|line| line.starts_with("<!-- leadsman")) {
            false => Ok(()),
            true => Err("a line of it begins like the hidden marker".to_owned()),
        };
        let body = self.render("pull_request/body.md", &values, fits_body)?;
        let notices = self.notices.iter().chain([&title.notice, &message.notice, &body.notice].into_iter().flatten());
        let text = with_notices(body.text, notices);
        let line = Marker::new(base, key, &content, decisions).line().map_err(unwritable)?;
        let room = voice.map_or(MAX_BODY, |voice| voice.capabilities.max_body);
        let body = marker::append(&text, &line, room);
        let text_print = print(&shown, &body);
        Ok(Wanted {
            proposed,
            content_print: content,
            title: shown,
            body,
            text_print,
            message: message.text.trim().to_owned() + "\n",
        })
    }
}

/// Takes so much text and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.0.len() + part.len() > MAX_TEXT {
            return Err(io::Error::other("the text is longer than 1 MiB"));
        }
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn fault(name: &str, why: &str) -> String {
    format!(
        "The template `{name}` of this service cannot be used, so the one that comes with Leadsman was taken: {why}"
    )
}

/// The error and what lies below it, on one line.
fn with_sources(error: &Error) -> String {
    let below = std::iter::successors(std::error::Error::source(error), |error| error.source());
    below.fold(error.to_string(), |text, error| format!("{text}: {error}"))
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(minijinja::ErrorKind::BadSerialization, "cannot write the marker").with_source(error)
}

/// The text with what is to be said about its templates.
fn with_notices<'a>(text: String, notices: impl Iterator<Item = &'a String>) -> String {
    notices.fold(text, |text, notice| format!("{}\n\n> {}\n", text.trim_end(), markdown::sentence(notice)))
}

/// The print of a title and a body.
fn print(title: &str, body: &str) -> String {
    hex(&Sha256::digest([title, body].join("\0")))[..32].to_owned()
}

/// What people decided, in sentences.
fn decided(decisions: &PullDecisions) -> Vec<String> {
    let hold = decisions.hold.iter().map(crate::plan::Hold::words);
    hold.chain(decisions.ignores.iter().map(Ignore::words)).collect()
}

/// The commands as people write them, by their names.
fn commands(voice: &Voice<'_>) -> BTreeMap<&'static str, String> {
    let names = crate::commands::COMMANDS.iter().map(|command| command.name);
    names.map(|name| (name, voice.command(name))).collect()
}

impl<'a> ChangeView<'a> {
    fn new(workload: &'a str, path: &'a str, proposed: &'a Proposed) -> Self {
        let (change, evidence) = (&proposed.change, &proposed.evidence);
        Self {
            workload,
            path,
            short_image: change.image.rsplit('/').next().unwrap_or_default(),
            container: &change.container,
            image: &change.image,
            from: &change.from.tag,
            to: &change.to.tag,
            kind: kind_of_change(&change.from, &change.to),
            filter: &evidence.filter,
            created: evidence.created.as_deref(),
            digest: change.to.digest.as_deref().or(evidence.digest.as_deref()),
            pins: change.to.digest.is_some(),
            source: evidence.source.as_deref(),
            revision: evidence.revision.as_deref(),
            compare: compare_link(evidence),
            passed_over: &evidence.passed_over,
            warnings: evidence.flags.iter().map(|flag| warning(flag)).collect(),
        }
    }
}

/// Says what a flag means to who reads it.
fn warning(flag: &str) -> String {
    match flag {
        "moves-down" => "this goes to a lower version, because the filter says where to be.".into(),
        "current-gone" => "the registry no longer has the current tag.".into(),
        "unquoted-tag" => "the current tag is written without quotes, and YAML reads it as something else.".into(),
        other => other.to_owned(),
    }
}

/// `major`, `minor` or `patch` where both tags are versions, `digest` where only the digest moved, else `other`.
#[must_use]
pub fn kind_of_change(from: &Version, to: &Version) -> &'static str {
    if from.tag == to.tag { "digest" } else { level(from, to).map_or("other", Level::as_str) }
}

/// Whether both tags are versions by their numbers, and `tag` has the higher ones.
#[must_use]
pub fn is_higher(tag: &str, than: &str) -> bool {
    version_numbers(tag).zip(version_numbers(than)).is_some_and(|(tag, than)| tag > than)
}

/// Where people see what is new in an image: the comparison of both commits that the images were made from, where both
/// are known, else the new one; on forges whose addresses are known.
fn compare_link(evidence: &crate::plan::Evidence) -> Option<String> {
    let (source, revision) = (evidence.source.as_deref()?.trim_end_matches('/'), evidence.revision.as_deref()?);
    let source = source.strip_suffix(".git").unwrap_or(source);
    let is_commit = |text: &&str| (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let host = source.strip_prefix("https://")?.split('/').next()?;
    let between = match host {
        "github.com" | "codeberg.org" | "gitea.com" => "",
        "gitlab.com" => "-/",
        _ => return None,
    };
    if !is_commit(&revision) || !markdown::is_link(source) {
        return None;
    }
    Some(match evidence.previous_revision.as_deref().filter(is_commit).filter(|previous| *previous != revision) {
        Some(previous) => format!("{source}/{between}compare/{previous}...{revision}"),
        None => format!("{source}/{between}commit/{revision}"),
    })
}

/// `namespace/name` of a workload's id.
fn readable_name(id: &str) -> String {
    let (namespace, rest) = id.split_once(':').unwrap_or(("", id));
    let name = rest.split_once('/').map_or(rest, |(_, name)| name);
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Change, Evidence};

    fn proposed(container: &str, from: &str, to: &str) -> Proposed {
        let version = |tag: &str| Version { tag: tag.into(), digest: None };
        Proposed {
            change: Change {
                document: 0,
                container: container.into(),
                image: "ghcr.io/stefanprodan/podinfo".into(),
                from: version(from),
                to: version(to),
            },
            evidence: Evidence {
                filter: "semver:~6.5".into(),
                created: Some("2026-01-02 03:04 UTC".into()),
                digest: Some(format!("sha256:{}", "ab".repeat(32))),
                source: Some("https://github.com/stefanprodan/podinfo".into()),
                revision: Some("0123456789abcdef0123456789abcdef01234567".into()),
                previous_revision: None,
                flags: vec!["moves-down".into()],
                passed_over: vec![PassedOver { tag: "7.0.0".into(), why: "the filter does not match it".into() }],
            },
        }
    }

    fn key() -> Key {
        Key { path: "clusters/production/podinfo.yaml".into(), workload: "web:helmrelease/podinfo".into() }
    }

    #[test]
    fn texts_of_one_change() {
        let wanted = Renderer::new()
            .unwrap()
            .pull_request(
                "main",
                &key(),
                vec![proposed("app", "6.5.0", "6.5.4")],
                &["spec.values.labels.version".to_owned()],
            )
            .unwrap();
        insta::assert_snapshot!(format!("{}\n=====\n{}\n=====\n{}", wanted.title, wanted.body, wanted.message));
    }

    #[test]
    fn texts_of_several_changes() {
        let bare = Proposed {
            evidence: Evidence { filter: "*".into(), ..Evidence::default() },
            ..proposed("chart-image", "a", "b")
        };
        let wanted = Renderer::new()
            .unwrap()
            .pull_request("main", &key(), vec![bare, proposed("app", "6.5.0", "7.0.0")], &[])
            .unwrap();
        insta::assert_snapshot!(format!("{}\n=====\n{}\n=====\n{}", wanted.title, wanted.body, wanted.message));
    }

    const FORGE: Capabilities = Capabilities {
        name: "Gitea",
        pull_request: "pull request",
        slash_commands: true,
        reactions: true,
        issues: true,
        rules: true,
        reviews: true,
        merge_methods: &[],
        max_body: 20_000,
    };

    fn described(renderer: &Renderer, voice: Option<Voice<'_>>, decisions: &PullDecisions) -> Wanted {
        let proposed = vec![proposed("app", "6.5.0", "6.5.4")];
        let description = Description { base: "main", key: &key(), proposed, follows: &[], decisions, voice };
        renderer.describe(description).unwrap()
    }

    #[test]
    fn texts_where_people_can_talk_to_leadsman() {
        let hold = crate::plan::Hold { until: None, by: "ada".into(), reason: Some("wait for the freeze".into()) };
        let ignore = Ignore {
            scope: crate::plan::Scope::Minor,
            image: None,
            container: Some("app".into()),
            until: "2027-01-31T00:00:00Z".parse().ok(),
            by: "grace".into(),
            reason: None,
        };
        let decisions = PullDecisions { ignores: vec![ignore], hold: Some(hold) };
        let voice = Voice { capabilities: &FORGE, handle: "leadsman", slash: true };
        let wanted = described(&Renderer::new().unwrap(), Some(voice), &decisions);
        assert_eq!(Marker::read(&wanted.body).unwrap().decisions, decisions);
        insta::assert_snapshot!(wanted.body);
    }

    #[test]
    fn commands_have_the_form_that_works_there_c1_1() {
        let renderer = Renderer::new().unwrap();
        let quick_actions = Capabilities { slash_commands: false, pull_request: "merge request", ..FORGE };
        let voice = Voice { capabilities: &quick_actions, handle: "boatswain", slash: true };
        let off = Voice { capabilities: &FORGE, handle: "boatswain", slash: false };
        for voice in [voice, off] {
            let body = described(&renderer, Some(voice), &PullDecisions::default()).body;
            assert!(body.contains("`@boatswain merge`") && !body.contains("`/merge`"), "{body}");
            assert!(body.contains(&format!("closes this {}", voice.capabilities.pull_request)), "{body}");
        }
        let silent = described(&renderer, None, &PullDecisions::default()).body;
        assert!(!silent.contains("`/merge`") && !silent.contains("In a comment"), "{silent}");
    }

    #[test]
    fn the_forge_says_how_long_a_body_is() {
        let voice = Voice { capabilities: &FORGE, handle: "leadsman", slash: true };
        let many: Vec<_> = (0..90).map(|n| proposed(&format!("c{n:0200}"), "1", "2")).collect();
        let decisions = PullDecisions::default();
        let description = Description {
            base: "main",
            key: &key(),
            proposed: many,
            follows: &[],
            decisions: &decisions,
            voice: Some(voice),
        };
        let body = Renderer::new().unwrap().describe(description).unwrap().body;
        assert!(body.len() <= FORGE.max_body && body.contains("… cut here"), "{}", body.len());
        assert!(Marker::read(&body).is_some());
    }

    fn own(name: &'static str, text: &str) -> Renderer {
        Renderer::with_overrides(&BTreeMap::from([(name, text.to_owned())])).unwrap()
    }

    #[test]
    fn a_team_may_bring_templates_of_its_own() {
        let none = PullDecisions::default();
        let title = own("pull_request/title.txt", "Bump {{ changes[0].short_image }} by {{ changes[0].kind }}");
        assert_eq!(described(&title, None, &none).title, "Bump podinfo by patch");
        let body = own("pull_request/body.md", "Only {{ changes[0].to|code }}.");
        let wanted = described(&body, None, &none);
        assert!(wanted.body.starts_with("Only `6.5.4`.\n\n<!-- leadsman {"), "{}", wanted.body);
        let commit = own("commit.txt", "chore: {{ title }}\n\n{{ trailer }}: {{ content }}");
        let message = described(&commit, None, &none).message;
        assert!(message.starts_with("chore: Update web/podinfo: podinfo 6.5.0 to 6.5.4"), "{message}");
    }

    #[test]
    fn a_template_that_fails_is_replaced_and_named() {
        let none = PullDecisions::default();
        let plain = described(&Renderer::new().unwrap(), None, &none);
        let endless = format!("{{% for n in range(2000) %}}{}{{% endfor %}}", "x".repeat(1_000));
        for (name, text, why) in [
            ("pull_request/body.md", "{{ changes", "syntax error"),
            ("pull_request/body.md", "{{ secret }}", "undefined"),
            ("pull_request/body.md", "{{ changes[0].to|safe }}", "unknown filter"),
            ("pull_request/body.md", "{{ changes|tojson }}", "unknown filter"),
            ("pull_request/body.md", "{% include '/etc/passwd' %}", "/etc/passwd"),
            (
                "pull_request/body.md",
                "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
                "fuel",
            ),
            ("pull_request/body.md", &endless, "longer than 1 MiB"),
            ("pull_request/body.md", "<!-- leadsman {} -->", "begins like the hidden marker"),
            ("pull_request/title.txt", "a\nb", "a title is one line, and this has 2"),
            ("pull_request/title.txt", "", "a title is one line, and this has 0"),
            ("commit.txt", "{{ title }}", "its last line is not `Leadsman-Plan: "),
            ("commit.txt", "{{ trailer }}: 0\n\n{{ trailer }}: {{ content }}", "its last line is not"),
        ] {
            let wanted = described(&own(name, text), None, &none);
            let notice = wanted.body.lines().find(|line| line.starts_with("> ")).unwrap_or_default();
            assert!(notice.contains(&format!("`{name}`")), "{name} {text}: {}", wanted.body);
            assert!(notice.contains(why), "{name} {text}: {notice}");
            assert_eq!((&wanted.title, &wanted.message), (&plain.title, &plain.message), "{text}");
            assert!(wanted.body.starts_with("Newer image for"), "{text}");
            assert!(Marker::read(&wanted.body).is_some(), "{text}");
        }
        assert_eq!(own("commit.txt", "{{ x").notices().len(), 1);
    }

    #[test]
    fn a_template_of_a_team_cannot_turn_the_escaping_off() {
        let mut change = proposed("<b>@ada", "1", "2");
        change.evidence.flags = vec!["<i>@ada".into()];
        for text in [
            "{% autoescape false %}{{ changes[0].container }}{% endautoescape %}",
            "{{ changes }}",
            "{{ changes|list }}",
            "{{ changes[0].warnings|join(' ') }}",
            "{% set x %}{{ changes[0].container }}{% endset %}{{ x }}",
            "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(changes[0].container) }}",
        ] {
            let renderer = own("pull_request/body.md", text);
            let wanted = renderer.pull_request("main", &key(), vec![change.clone()], &[]).unwrap();
            assert!(!wanted.body.contains("cannot be used"), "{text}: {}", wanted.body);
            let shown = wanted.body.split("<!-- leadsman").next().unwrap();
            assert!(!shown.contains("<b>") && !shown.contains("<i>") && !shown.contains("@ada"), "{text}: {shown}");
        }
    }

    #[test]
    fn all_templates_can_be_replaced() {
        assert_eq!(BUILT_IN.map(|(name, _)| name), TEMPLATES);
    }

    #[test]
    fn a_comparison_needs_both_commits_and_a_known_forge() {
        let link = |source: &str, revision: &str, previous: Option<&str>| {
            compare_link(&Evidence {
                source: Some(source.into()),
                revision: Some(revision.into()),
                previous_revision: previous.map(Into::into),
                ..Evidence::default()
            })
        };
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let github = "https://github.com/acme/app";
        assert_eq!(link(github, &b, Some(&a)), Some(format!("{github}/compare/{a}...{b}")));
        assert_eq!(link(&format!("{github}.git"), &b, None), Some(format!("{github}/commit/{b}")));
        assert_eq!(link(github, &b, Some(&b)), Some(format!("{github}/commit/{b}")));
        assert_eq!(link(github, &b, Some("main")), Some(format!("{github}/commit/{b}")));
        let gitlab = "https://gitlab.com/acme/app";
        assert_eq!(link(gitlab, &b, Some(&a)), Some(format!("{gitlab}/-/compare/{a}...{b}")));
        assert_eq!(link("https://evil.example/x", &b, Some(&a)), None);
        assert_eq!(link(github, "main", Some(&a)), None);
        assert_eq!(link("https://github.com/a)b", &b, None), None);
    }

    #[test]
    fn hostile_names_stay_text() {
        let hostile = "x`|\n/close\n<img src=x onerror=1> @octocat fixes #1\n\nLeadsman-Plan: 0 -->";
        let mut change = proposed(hostile, "1", "2");
        change.evidence.filter = hostile.into();
        change.evidence.source = Some(hostile.into());
        change.evidence.revision = Some(hostile.into());
        change.evidence.passed_over[0].why = hostile.into();
        let key = Key { path: format!("{hostile}/a.yaml"), workload: format!("{hostile}:helmrelease/{hostile}") };
        let wanted = Renderer::new().unwrap().pull_request("main", &key, vec![change], &[hostile.to_owned()]).unwrap();
        assert_eq!(wanted.title.lines().count(), 1);
        for text in [&wanted.title, &wanted.body, &wanted.message] {
            assert!(!text.lines().any(|line| line.trim_start().starts_with("/close")), "{text}");
        }
        assert!(!wanted.title.contains("@octocat") && !wanted.title.contains("#1"), "{}", wanted.title);
        assert!(!wanted.message.contains("@octocat") && !wanted.message.contains("#1"), "{}", wanted.message);
        assert_eq!(wanted.body.matches("-->").count() - wanted.body.matches("Plan: 0 -->").count(), 1);
        assert_eq!(wanted.message.lines().filter(|line| line.starts_with(PLAN_TRAILER)).count(), 1);
        // Every line of the table has as many cells as its head.
        let bars = |line: &str| line.replace("\\|", "").matches('|').count();
        let rows: Vec<_> = wanted.body.lines().filter(|line| line.starts_with('|')).map(bars).collect();
        assert_eq!(rows, [7, 7, 7], "{}", wanted.body);
    }

    #[test]
    fn a_long_body_is_cut_before_its_marker() {
        let many: Vec<_> = (0..300)
            .map(|n| {
                let mut change = proposed(&format!("c{n:0300}"), "1", "2");
                change.evidence.filter = "x".repeat(300);
                change
            })
            .collect();
        let wanted = Renderer::new().unwrap().pull_request("main", &key(), many, &[]).unwrap();
        assert!(wanted.body.len() <= MAX_BODY, "{}", wanted.body.len());
        assert!(wanted.body.ends_with(" -->\n"));
        assert!(wanted.body.contains("… cut here"));
    }

    #[test]
    fn same_input_same_print() {
        let write =
            |to| Renderer::new().unwrap().pull_request("main", &key(), vec![proposed("app", "1", to)], &[]).unwrap();
        assert_eq!(write("2"), write("2"));
        assert_ne!(write("2").text_print, write("3").text_print);
    }

    #[test]
    fn kinds_of_change() {
        let version = |tag: &str| Version { tag: tag.into(), digest: None };
        for (from, to, kind) in [
            ("1.2.3", "2.0.0", "major"),
            ("v1.2.3", "1.3", "minor"),
            ("1.2.3-alpine", "1.2.4-alpine", "patch"),
            ("1.2.3-r1", "1.2.3-r2", "other"),
            ("main-abc", "main-def", "other"),
            ("1.2.3.4", "1.2.3.5", "other"),
            ("1", "1", "digest"),
        ] {
            assert_eq!(kind_of_change(&version(from), &version(to)), kind, "{from} {to}");
        }
    }
}
