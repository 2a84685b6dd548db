//! Every text the bot writes, from the templates in `templates/`.
//!
//! Pure. A template sees plain values; whatever is printed without one of the filters of [`markdown`] is escaped for
//! the kind of text it goes into, so a template cannot forget it. Undefined names are errors, and the work a template
//! may do is limited. Dates are absolute, so that a text changes only when what it tells changes.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::forge::commit::PLAN_TRAILER;
use crate::plan::{Key, Level, PassedOver, Proposed, Version, content_print, hex, level, version_numbers};
use crate::pulls::Wanted;

pub mod comments;
mod environment;
pub mod markdown;

/// The longest body, in bytes, with its marker: what GitHub takes.
const MAX_BODY: usize = 65_536;

/// The longest title, in characters.
const MAX_TITLE: usize = 200;

/// How many changes a text tells of, one by one.
const MAX_CHANGES: usize = 100;

/// Turns what is proposed into texts.
pub struct Renderer {
    templates: Environment<'static>,
}

/// What the templates see of one change.
#[derive(Serialize)]
struct ChangeView<'a> {
    container: &'a str,
    image: &'a str,
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

/// What stands in a pull request's body for machines: enough to know it again without a store.
#[derive(Serialize)]
struct Marker<'a> {
    version: u32,
    base: &'a str,
    path: &'a str,
    workload: &'a str,
    content: &'a str,
}

impl Renderer {
    /// The texts as they come with Leadsman.
    ///
    /// # Errors
    /// Where a template cannot be parsed.
    pub fn new() -> Result<Self, Error> {
        let templates = environment::environment(&[
            ("title.txt", include_str!("../../../templates/pull_request/title.txt")),
            ("body.md", include_str!("../../../templates/pull_request/body.md")),
            ("commit.txt", include_str!("../../../templates/commit.txt")),
        ])?;
        Ok(Self { templates })
    }

    /// Writes the texts of a pull request for `base` that proposes these changes, at least one. `follows` are places
    /// that change along, because they share an anchor with a tag (S7.4).
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
        let changes: Vec<_> = proposed.iter().map(|proposed| proposed.change.clone()).collect();
        let content = content_print(&key.path, &changes);
        let views: Vec<_> = proposed.iter().take(MAX_CHANGES).map(ChangeView::new).collect();
        let same = changes.iter().all(|change| change.to.tag == changes[0].to.tag);
        let values = context! {
            name => readable_name(&key.workload),
            workload => key.workload.as_str(),
            path => key.path.as_str(),
            folder => key.path.rsplit_once('/').map_or("", |(folder, _)| folder),
            changes => Value::from(Serde(&views)),
            more => changes.len().saturating_sub(MAX_CHANGES),
            same => same,
            follows => Value::from(Serde(follows)),
            content => content.as_str(),
            trailer => PLAN_TRAILER,
        };
        let title = self.templates.get_template("title.txt")?.render(&values)?;
        let title: String = title.trim().chars().take(MAX_TITLE).collect();
        let body = self.templates.get_template("body.md")?.render(&values)?;
        let marker = Marker { version: 1, base, path: &key.path, workload: &key.workload, content: &content };
        let body = with_marker(&body, &marker)?;
        let message = self
            .templates
            .get_template("commit.txt")?
            .render(context! { title => Value::from_safe_string(title.clone()), ..values })?;
        let text_print = hex(&Sha256::digest([title.as_str(), &body].join("\0")))[..32].to_owned();
        Ok(Wanted {
            proposed,
            content_print: content,
            title,
            body,
            text_print,
            message: message.trim().to_owned() + "\n",
        })
    }
}

impl<'a> ChangeView<'a> {
    fn new(proposed: &'a Proposed) -> Self {
        let (change, evidence) = (&proposed.change, &proposed.evidence);
        Self {
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
            compare: compare_link(evidence.source.as_deref(), evidence.revision.as_deref()),
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

/// Where people see the commit that an image was made from, on forges whose addresses are known.
fn compare_link(source: Option<&str>, revision: Option<&str>) -> Option<String> {
    let (source, revision) = (source?.trim_end_matches('/'), revision?);
    let source = source.strip_suffix(".git").unwrap_or(source);
    let is_commit = (7..=64).contains(&revision.len()) && revision.bytes().all(|b| b.is_ascii_hexdigit());
    let host = source.strip_prefix("https://")?.split('/').next()?;
    let path = match host {
        "github.com" | "codeberg.org" | "gitea.com" => "commit",
        "gitlab.com" => "-/commit",
        _ => return None,
    };
    (is_commit && markdown::is_link(source)).then(|| format!("{source}/{path}/{revision}"))
}

/// `namespace/name` of a workload's id.
fn readable_name(id: &str) -> String {
    let (namespace, rest) = id.split_once(':').unwrap_or(("", id));
    let name = rest.split_once('/').map_or(rest, |(_, name)| name);
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The body with its hidden marker, cut so that both fit.
fn with_marker(body: &str, marker: &Marker<'_>) -> Result<String, Error> {
    let json = serde_json::to_string(marker).map_err(|error| {
        Error::new(minijinja::ErrorKind::BadSerialization, "cannot write the marker").with_source(error)
    })?;
    let marker = format!("\n\n<!-- leadsman {} -->\n", markdown::in_comment(&json));
    let mut body = body.trim_end().to_owned();
    let room = MAX_BODY.saturating_sub(marker.len());
    if body.len() > room {
        const CUT: &str = "\n\n… cut here, for a pull request holds no more.";
        let end = body.floor_char_boundary(room.saturating_sub(CUT.len()));
        // At the end of a line, so that no table or code span is left open.
        body.truncate(body[..end].rfind('\n').unwrap_or(end));
        body.push_str(CUT);
    }
    Ok(body + &marker)
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
        assert_eq!(rows, [6, 6, 6], "{}", wanted.body);
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
