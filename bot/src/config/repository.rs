//! The configuration of a repository: `.leadsman.yaml` at the root of its default branch.
//!
//! Pure: a text becomes a [`RepositoryConfig`] or everything that is wrong with it. It is content of a repository, so it
//! can only narrow what the service would do: it names no host, no secret and no address, and it raises what a command
//! asks of people, never lowers it (C2). A file in a pull request's own branch is never read.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::glob::{NamePattern, PathPattern};
use super::tree::{Fault, Node, Origin, Value};
use super::values::{Label, Span};
use crate::commands::COMMANDS;
use crate::forge::{MergeMethod, Permission};
use crate::plan::{Change, Key, Level, level};

/// The file's path in a repository.
pub const FILE: &str = ".leadsman.yaml";

/// The largest file, in bytes.
pub const MAX_FILE: usize = 256 << 10;

/// The most errors that are told of one file.
const MAX_ERRORS: usize = 20;

/// The most entries of one list.
const MAX_ENTRIES: usize = 1_000;

/// The commands that can be configured, each with what it asks for unless more is configured (C2). `merge cancel` goes
/// with `merge`.
pub fn commands() -> impl Iterator<Item = (&'static str, Permission)> + Clone {
    COMMANDS.iter().filter(|info| !info.name.contains(' ')).map(|info| (info.name, info.needs))
}

/// The configuration of one repository, `.leadsman.yaml` at the root of its default branch. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Leadsman configuration of a repository")]
pub struct RepositoryConfig {
    /// The branches that pull requests are for. The default branch if there is none.
    pub base: Vec<String>,
    /// Which files are looked at.
    pub paths: Paths,
    /// How many pull requests there may be. There is no limit unless one is set.
    pub limits: Limits,
    /// Labels of every pull request.
    pub labels: Vec<Label>,
    /// How old an image must be, such as `3d`: the newest version that is old enough is proposed. The annotation
    /// `leadsman.dev/min-age` of a container goes before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_age: Option<Span>,
    /// What is not proposed. Of several entries each counts by itself.
    pub ignore: Vec<IgnoreRule>,
    /// How `/merge` merges.
    pub merge: Merge,
    /// Who may write which command.
    pub commands: Commands,
}

/// Which files are looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// Only these files and folders, such as `clusters/production/**`. All if there is none.
    pub include: Vec<PathPattern>,
    /// Not these, even if they are included.
    pub exclude: Vec<PathPattern>,
}

/// How many pull requests there may be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// As many pull requests are open at most. Those that are open already stay and move on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub open: Option<u32>,
    /// As many pull requests are opened in a day (UTC) at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub per_day: Option<u32>,
}

/// What is not proposed: everything that all given keys apply to. At least one of `image`, `workload`, `container`,
/// `path`, `tags` and `levels` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IgnoreRule {
    /// Images, by their full name: `docker.io/library/postgres`, `ghcr.io/acme/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<NamePattern>,
    /// Workloads, as `namespace:kind/name`: `dev:helmrelease/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<NamePattern>,
    /// Containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<NamePattern>,
    /// Files and folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPattern>,
    /// Tags: `*-rc*`. Any of them.
    pub tags: Vec<NamePattern>,
    /// Kinds of change, where both tags are versions. Any of them.
    pub levels: Vec<Level>,
    /// The day from which it counts no longer, as `2027-01-31`, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
    /// Why; it is shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How `/merge` merges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {
    /// How a merge is made where the command does not say. The first way that the forge allows if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<MergeMethod>,
    /// Delete the branch after merging.
    pub delete_branch: bool,
    /// How long the branch must have rested before a merge where no checks are expected.
    pub settle: Span,
}

impl Default for Merge {
    fn default() -> Self {
        Self { method: None, delete_branch: true, settle: Span::from_secs(60) }
    }
}

/// Who may write which command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// Whether `/merge` works besides `@leadsman merge`. Where the forge has such commands of its own, it never does.
    pub slash: bool,
    /// What single commands ask for, by their names, such as `merge`.
    pub rules: BTreeMap<String, CommandRule>,
}

impl Default for Commands {
    fn default() -> Self {
        Self { slash: true, rules: BTreeMap::new() }
    }
}

/// What one command asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommandRule {
    /// What somebody must be allowed to do in the repository at least: more than without this key, never less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<CommandLevel>,
    /// Only these people, by their names on the forge, and only if they have the level. Anybody who has it if empty.
    pub people: Vec<String>,
}

/// A level that a command may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandLevel {
    /// Whoever may read.
    Read,
    /// Whoever may sort and label.
    Triage,
    /// Whoever may push.
    Write,
    /// Whoever may change settings that do not destroy.
    Maintain,
    /// Whoever may do everything.
    Admin,
}

impl From<CommandLevel> for Permission {
    fn from(level: CommandLevel) -> Self {
        match level {
            CommandLevel::Read => Self::Read,
            CommandLevel::Triage => Self::Triage,
            CommandLevel::Write => Self::Write,
            CommandLevel::Maintain => Self::Maintain,
            CommandLevel::Admin => Self::Admin,
        }
    }
}

/// A day, as `2027-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

impl Day {
    /// Its first moment, in UTC.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        self.0.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |day| day.timestamp())
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let day = text.parse().ok().filter(|_| text.len() == "2027-01-31".len());
        day.map(Self).ok_or_else(|| format!("`{text}` is no day: write it as `2027-01-31`"))
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            "description": "A day, as `2027-01-31`."
        })
    }
}

/// What is wrong with a repository's configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigError {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in code points.
    pub column: u32,
    /// What is wrong and what to do about it; names are in backticks.
    pub message: String,
}

impl fmt::Display for ConfigError {
    /// `.leadsman.yaml:3:7: unknown key …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FILE}:{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ConfigError {}

impl RepositoryConfig {
    /// Reads the text of a file; an empty one is a configuration with nothing set.
    ///
    /// # Errors
    /// With everything that is wrong, in the order of the file, at least one and at most 20 entries.
    pub fn parse(text: &str) -> Result<Self, Vec<ConfigError>> {
        if text.len() > MAX_FILE {
            let message = format!(
                "the file is larger than {} KiB: shorten it, by patterns in place of lists of names",
                MAX_FILE >> 10
            );
            return Err(vec![ConfigError { line: 1, column: 1, message }]);
        }
        let root =
            Node::parse(text, &|line, column| Origin::File { line, column }).map_err(|fault| vec![told(fault)])?;
        // Key by key, so that a fault in one hides none in another.
        let mut faults = Vec::new();
        if let Value::Map(entries) = &root.value {
            for entry in entries {
                let alone = Node { value: Value::Map(vec![entry.clone()]), origin: root.origin.clone() };
                match Self::deserialize(&alone) {
                    Ok(config) => config.check(&alone, &mut faults),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        let config = Self::deserialize(&root);
        match config {
            Ok(config) if faults.is_empty() => Ok(config),
            Err(fault) if faults.is_empty() => Err(vec![told(fault)]),
            _ => {
                let mut errors: Vec<ConfigError> = faults.into_iter().map(told).collect();
                errors.sort_by_key(|error| (error.line, error.column));
                errors.truncate(MAX_ERRORS);
                Err(errors)
            }
        }
    }

    /// The JSON Schema of the file.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    /// Whether a file is to be looked at.
    #[must_use]
    pub fn selects(&self, path: &str) -> bool {
        let any = |patterns: &[PathPattern]| patterns.iter().any(|pattern| pattern.matches(path));
        (self.paths.include.is_empty() || any(&self.paths.include)) && !any(&self.paths.exclude)
    }

    /// Why a change is not to be proposed, in words for people; none where it may be.
    #[must_use]
    pub fn ignores(&self, key: &Key, change: &Change, now: Timestamp) -> Option<String> {
        let rule = self.ignore.iter().find(|rule| rule.applies(key, change, now))?;
        let until = rule.until.map(|day| format!(" until {day}")).unwrap_or_default();
        let reason = rule.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("`{}` is ignored by `{FILE}`{until}{reason}", change.to.tag))
    }

    /// What a command asks for: the least permission, and the only people who may, where people are named. None for a
    /// word that is no command.
    #[must_use]
    pub fn who_may(&self, command: &str) -> Option<(Permission, Option<&[String]>)> {
        let (_, least) = commands().find(|(name, _)| *name == command)?;
        let rule = self.commands.rules.get(command);
        let level = rule.and_then(|rule| rule.level).map_or(least, |level| Permission::from(level).max(least));
        Some((level, rule.map(|rule| rule.people.as_slice()).filter(|people| !people.is_empty())))
    }

    /// What the types cannot say.
    fn check(&self, root: &Node, faults: &mut Vec<Fault>) {
        let Self { base, paths, limits, labels, minimum_age: _, ignore, merge: _, commands } = self;
        let mut fault = |path: &[&str], message: String| {
            let origin = root.get(path).map_or(Origin::Default, |node| node.origin.clone());
            faults.push(Fault::new(message).at(&origin));
        };
        for branch in base {
            if !is_branch(branch) {
                fault(&["base"], format!("`{branch}` is no name of a branch: write it without `refs/heads/`"));
            }
        }
        if base.iter().enumerate().any(|(at, branch)| base[..at].contains(branch)) {
            fault(&["base"], "a branch stands here twice: keep one".into());
        }
        for (key, limit) in [("open", limits.open), ("per_day", limits.per_day)] {
            if limit == Some(0) {
                let message = "must be at least 1: to open nothing at all, write `/pause` on the dashboard issue";
                fault(&["limits", key], message.into());
            }
        }
        let lengths: [(&[&str], usize); 5] = [
            (&["base"], base.len()),
            (&["paths", "include"], paths.include.len()),
            (&["paths", "exclude"], paths.exclude.len()),
            (&["labels"], labels.len()),
            (&["ignore"], ignore.len()),
        ];
        for (path, length) in lengths {
            if length > MAX_ENTRIES {
                fault(path, format!("more than {MAX_ENTRIES} entries: use patterns"));
            }
        }
        for (at, rule) in ignore.iter().enumerate() {
            if rule.is_about_everything() {
                let message = "this entry would ignore everything: give at least one of `image`, `workload`, \
                               `container`, `path`, `tags` and `levels`";
                fault(&["ignore", &at.to_string()], message.into());
            }
        }
        for (name, rule) in &commands.rules {
            let Some((_, least)) = self::commands().find(|(command, _)| command == name) else {
                let known = self::commands().map(|(command, _)| command);
                let hint = match crate::output::text::nearest(name, known.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("commands are {}", crate::output::text::listed(known)),
                };
                fault(&["commands", "rules", name], format!("`{name}` is no command: {hint}"));
                continue;
            };
            if let Some(level) = rule.level.map(Permission::from).filter(|level| *level < least) {
                let message = format!(
                    "`{name}` asks for `{}` at least, and `{}` is less: a level can only be raised",
                    word(least),
                    word(level)
                );
                fault(&["commands", "rules", name, "level"], message);
            }
            if let Some(person) = rule.people.iter().find(|person| !is_login(person)) {
                let message = format!("`{person}` is no name of an account: write it without `@`");
                fault(&["commands", "rules", name, "people"], message);
            }
        }
    }
}

impl IgnoreRule {
    fn is_about_everything(&self) -> bool {
        let Self { image, workload, container, path, tags, levels, until: _, reason: _ } = self;
        image.is_none()
            && workload.is_none()
            && container.is_none()
            && path.is_none()
            && tags.is_empty()
            && levels.is_empty()
    }

    fn applies(&self, key: &Key, change: &Change, now: Timestamp) -> bool {
        let Self { image, workload, container, path, tags, levels, until, reason: _ } = self;
        let name = |pattern: &Option<NamePattern>, text: &str| pattern.as_ref().is_none_or(|it| it.matches(text));
        until.is_none_or(|day| now < day.begins())
            && name(image, &change.image)
            && name(workload, &key.workload)
            && name(container, &change.container)
            && path.as_ref().is_none_or(|pattern| pattern.matches(&key.path))
            && (tags.is_empty() || tags.iter().any(|tag| tag.matches(&change.to.tag)))
            && (levels.is_empty() || level(&change.from, &change.to).is_some_and(|level| levels.contains(&level)))
    }
}

/// The permission as the file writes it.
fn word(level: Permission) -> &'static str {
    match level {
        Permission::None => "none",
        Permission::Read => "read",
        Permission::Triage => "triage",
        Permission::Write => "write",
        Permission::Maintain => "maintain",
        Permission::Admin => "admin",
    }
}

/// Whether a text may be the name of a branch, in the grammar of git, without `refs/heads/`.
pub(super) fn is_branch(name: &str) -> bool {
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with("refs/")
        && !name.starts_with(crate::plan::BRANCH_PREFIX)
        && !name.starts_with('-')
        && !name.chars().any(is_odd)
        && !name.contains("..")
        && !name.contains("@{")
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.ends_with(".lock"))
}

fn is_login(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.[]".contains(c))
}

/// The fault as people read it.
fn told(fault: Fault) -> ConfigError {
    let Fault { message, hint, origin, path } = fault;
    let (line, column) = match origin {
        Some(Origin::File { line, column }) => (line, column),
        _ => (1, 1),
    };
    let key = if path.is_empty() { String::new() } else { format!("`{}`: ", path.join(".")) };
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    ConfigError { line, column, message: format!("{key}{message}{hint}") }
}

#[cfg(test)]
mod tests;
