//! Commands that people write in comments: the words, who may say them, and what every text about them is made from.
//!
//! Pure: knows no store, no forge's calls and no clock. [`lines`] finds the lines of a comment that can hold a command
//! (C1.2), [`grammar`] reads them (C1.1, C1.4), [`permit`] says who may (C2). Whoever carries commands out stands
//! elsewhere.
//!
//! Invariant: [`COMMANDS`] is the only list of commands. The help, the documentation and the tests are made from it,
//! or held to it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forge::{MergeMethod, Permission};
use crate::merge::pin::ShaPrefix;

pub mod grammar;
mod html;
mod lines;
pub mod permit;
#[cfg(test)]
mod tests;

/// What somebody asks for, understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Merge as soon as everything is green (C3).
    Merge {
        /// How; none: as configured.
        method: Option<MergeMethod>,
        /// The head that may be merged, where it was given (C3.1).
        head: Option<ShaPrefix>,
        /// Whether to wait for required checks only.
        now: bool,
    },
    /// Take the request to merge back.
    MergeCancel,
    /// Neither merge nor rebuild.
    Hold {
        /// When it ends by itself.
        until: Option<Timestamp>,
        /// Why, as written.
        reason: Option<String>,
    },
    /// End a hold.
    Unhold,
    /// Close, and do not propose this version again.
    Close,
    /// Build the branch anew on the base's head.
    Rebase,
    /// Throw the branch away and make it anew.
    Recreate,
    /// Do not propose.
    Ignore {
        /// What.
        what: Scope,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Propose again.
    Unignore {
        /// What.
        what: Ignored,
    },
    /// List what is ignored.
    Ignores,
    /// Tell every tag with the reason for or against it.
    Explain {
        /// Of this container only.
        container: Option<String>,
    },
    /// Tell what this pull request waits for.
    Status,
    /// Ask the registries now.
    Scan,
    /// List the commands.
    Help,
    /// Open and merge nothing in this repository.
    Pause {
        /// Why, as written.
        reason: Option<String>,
    },
    /// End a pause.
    Resume,
}

/// How much is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The versions that this pull request proposes.
    This,
    /// Updates that change the third number of a version.
    Patch,
    /// Updates that change the second number.
    Minor,
    /// Updates that change the first number.
    Major,
    /// The images of this pull request, whatever their tags.
    Image,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::This, Self::Patch, Self::Minor, Self::Major, Self::Image];

    /// The word for it in a command.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Image => "image",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| word.eq_ignore_ascii_case(scope.as_str()))
    }
}

/// What is to be proposed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ignored {
    /// What was ignored by that word on this pull request.
    Scope(Scope),
    /// The entry with that number in the list that `ignores` gives: the only way on the dashboard issue, where there
    /// is no "this".
    Number(u32),
}

/// What is to be known of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandInfo {
    /// Its word; `merge cancel` has two.
    pub name: &'static str,
    /// How it is written, after the slash or the handle.
    pub syntax: &'static str,
    /// What it does, for people: half a sentence in Markdown.
    pub does: &'static str,
    /// Who may, unless the repository asks for more (C2).
    pub needs: Permission,
    /// Whether it changes something; such a command never goes below write (C2).
    pub changing: bool,
    /// Whether it also counts on the dashboard issue (C1.6).
    pub on_dashboard: bool,
}

/// Every command, in the order of the help.
pub const COMMANDS: &[CommandInfo] = &[
    CommandInfo {
        name: "merge",
        syntax: "merge [squash|merge|rebase] [<sha>] [--now]",
        does: "merge as soon as everything is green; `--now` waits for required checks only",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "merge cancel",
        syntax: "merge cancel",
        does: "take the request to merge back",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "hold",
        syntax: "hold [until <date>] [reason]",
        does: "neither merge nor rebuild, until that date or until `unhold`",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "unhold",
        syntax: "unhold",
        does: "end the hold",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "rebase",
        syntax: "rebase",
        does: "build the branch anew on the head of the base; refuses where people committed to it",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "recreate",
        syntax: "recreate",
        does: "throw the branch away, people's commits too, and make it anew",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "close",
        syntax: "close",
        does: "close, and do not propose this version again",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "ignore",
        syntax: "ignore [this|patch|minor|major|image] [until <date>]",
        does: "do not propose this version, updates of that level, or the image at all",
        needs: Permission::Write,
        changing: true,
        on_dashboard: false,
    },
    CommandInfo {
        name: "unignore",
        syntax: "unignore [this|patch|minor|major|image|<number>]",
        does: "propose it again; the number is that of the list of `ignores`",
        needs: Permission::Write,
        changing: true,
        on_dashboard: true,
    },
    CommandInfo {
        name: "ignores",
        syntax: "ignores",
        does: "list what is ignored",
        needs: Permission::Read,
        changing: false,
        on_dashboard: true,
    },
    CommandInfo {
        name: "explain",
        syntax: "explain [<container>]",
        does: "tell every tag that was looked at, with the reason for or against it",
        needs: Permission::Read,
        changing: false,
        on_dashboard: false,
    },
    CommandInfo {
        name: "status",
        syntax: "status",
        does: "tell what is being waited for, and who can give it",
        needs: Permission::Read,
        changing: false,
        on_dashboard: true,
    },
    CommandInfo {
        name: "scan",
        syntax: "scan",
        does: "ask the registries now",
        needs: Permission::Triage,
        changing: false,
        on_dashboard: true,
    },
    CommandInfo {
        name: "pause",
        syntax: "pause [reason]",
        does: "open and merge nothing in this repository",
        needs: Permission::Maintain,
        changing: true,
        on_dashboard: true,
    },
    CommandInfo {
        name: "resume",
        syntax: "resume",
        does: "end the pause",
        needs: Permission::Maintain,
        changing: true,
        on_dashboard: true,
    },
    CommandInfo {
        name: "help",
        syntax: "help",
        does: "show this table",
        needs: Permission::Read,
        changing: false,
        on_dashboard: true,
    },
];

impl CommandInfo {
    /// What is to be known of the command of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|info| info.name == name)
    }
}

impl Command {
    /// Its name in [`COMMANDS`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Merge { .. } => "merge",
            Self::MergeCancel => "merge cancel",
            Self::Hold { .. } => "hold",
            Self::Unhold => "unhold",
            Self::Close => "close",
            Self::Rebase => "rebase",
            Self::Recreate => "recreate",
            Self::Ignore { .. } => "ignore",
            Self::Unignore { .. } => "unignore",
            Self::Ignores => "ignores",
            Self::Explain { .. } => "explain",
            Self::Status => "status",
            Self::Scan => "scan",
            Self::Help => "help",
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
        }
    }

    /// What is to be known of it.
    #[must_use]
    pub fn info(&self) -> &'static CommandInfo {
        let name = self.name();
        // The table holds every name; a test goes through all commands.
        CommandInfo::named(name).unwrap_or(&COMMANDS[0])
    }
}

/// The word for a way of merging.
#[must_use]
pub fn method_word(method: MergeMethod) -> &'static str {
    match method {
        MergeMethod::Merge => "merge",
        MergeMethod::Squash => "squash",
        MergeMethod::Rebase => "rebase",
    }
}

/// The word for what somebody may do.
#[must_use]
pub fn permission_word(permission: Permission) -> &'static str {
    match permission {
        Permission::None => "none",
        Permission::Read => "read",
        Permission::Triage => "triage",
        Permission::Write => "write",
        Permission::Maintain => "maintain",
        Permission::Admin => "admin",
    }
}

/// The command in its own words, without slash or handle: `hold until 2027-01-31 waiting for the release`.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Merge { method, head, now } => {
                if let Some(method) = method {
                    write!(f, " {}", method_word(*method))?;
                }
                if let Some(head) = head {
                    write!(f, " {head}")?;
                }
                if *now { f.write_str(" --now") } else { Ok(()) }
            }
            Self::Hold { until, reason } => {
                write_until(f, *until)?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, " {reason}"))
            }
            Self::Pause { reason } => reason.as_ref().map_or(Ok(()), |reason| write!(f, " {reason}")),
            Self::Ignore { what, until } => {
                write!(f, " {}", what.as_str())?;
                write_until(f, *until)
            }
            Self::Unignore { what: Ignored::Scope(scope) } => write!(f, " {}", scope.as_str()),
            Self::Unignore { what: Ignored::Number(number) } => write!(f, " {number}"),
            Self::Explain { container } => container.as_ref().map_or(Ok(()), |container| write!(f, " {container}")),
            Self::MergeCancel
            | Self::Unhold
            | Self::Close
            | Self::Rebase
            | Self::Recreate
            | Self::Ignores
            | Self::Status
            | Self::Scan
            | Self::Help
            | Self::Resume => Ok(()),
        }
    }
}

fn write_until(f: &mut fmt::Formatter<'_>, until: Option<Timestamp>) -> fmt::Result {
    until.map_or(Ok(()), |until| write!(f, " until {}", day_or_moment(until)))
}

/// A time for people, in UTC: `2027-01-31` where it is the start of a day, else `2027-01-31 12:00 UTC`.
#[must_use]
pub fn day_or_moment(time: Timestamp) -> String {
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    if time.time() == jiff::civil::Time::midnight() {
        time.strftime("%Y-%m-%d").to_string()
    } else {
        time.strftime("%Y-%m-%d %H:%M UTC").to_string()
    }
}
