//! Who may say a command (C2).
//!
//! Pure. What somebody may do is asked of the forge when the command runs, by whoever calls this. Invariant: no
//! configuration lets anybody change something without write access.

use jiff::{SignedDuration, Timestamp};

use super::{CommandInfo, permission_word};
use crate::config::repository::RepositoryConfig;
use crate::forge::Permission;

/// How many answers somebody without write access gets in [`WINDOW`], on one pull request.
pub const ANSWERS: usize = 5;

/// The time in which answers are counted.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Their login, without `@`.
    pub login: &'a str,
    /// What they may do, asked of the forge just now; none where it would not tell.
    pub permission: Option<Permission>,
}

/// Where it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a pull request of the bot.
    Pull,
    /// On the dashboard issue.
    Dashboard,
}

/// What is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permit {
    /// It is carried out.
    Allow,
    /// It is not, and an answer says why.
    Refuse(Refusal),
    /// It is not, and a reaction has to do: they had their answers.
    ReactOnly,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The forge does not say what they may do.
    PermissionUnknown,
    /// They may do too little.
    Needs {
        /// What it takes.
        needs: Permission,
        /// What they have.
        has: Permission,
    },
    /// The repository names who may, and they are not among them.
    NotNamed {
        /// Who may.
        people: Vec<String>,
    },
    /// It counts on pull requests only.
    NotOnDashboard,
}

impl Refusal {
    /// What to tell whoever asked: a sentence without full stop, names in backticks.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::PermissionUnknown => "the forge does not say what you may do here, so nothing was done; \
                                        whoever runs Leadsman can see why with `leadsman doctor`"
                .into(),
            Self::Needs { needs, has: Permission::None } => {
                format!("this takes {} access to the repository, and you have none", permission_word(*needs))
            }
            Self::Needs { needs, has } => format!(
                "this takes {} access to the repository, and you have {} access",
                permission_word(*needs),
                permission_word(*has)
            ),
            Self::NotNamed { people } => {
                let shown: Vec<_> =
                    people.iter().take(10).map(|name| format!("`{}`", name.replace('`', "'"))).collect();
                match shown.as_slice() {
                    [] => "the repository's settings let nobody do this".into(),
                    _ => format!("the repository's settings leave this to {}", shown.join(", ")),
                }
            }
            Self::NotOnDashboard => "this counts on a pull request only".into(),
        }
    }
}

/// What is done about a command: who may by level or by name, and how often it is answered (C2, C1.6). `answered_at`
/// are the times of earlier answers to them on this pull request.
#[must_use]
pub fn permit(
    info: &CommandInfo,
    place: Place,
    asker: &Asker<'_>,
    config: &RepositoryConfig,
    answered_at: &[Timestamp],
    now: Timestamp,
) -> Permit {
    if !answers(asker, answered_at, now) {
        return Permit::ReactOnly;
    }
    let Some(has) = asker.permission else { return Permit::Refuse(Refusal::PermissionUnknown) };
    if place == Place::Dashboard && !info.on_dashboard {
        return Permit::Refuse(Refusal::NotOnDashboard);
    }
    // `merge cancel` is configured with `merge`.
    let name = info.name.split(' ').next().unwrap_or(info.name);
    let (configured, people) = config.who_may(name).unwrap_or((info.needs, None));
    let floor = if info.changing { Permission::Write } else { Permission::Read };
    let needs = configured.max(info.needs).max(floor);
    if has < needs {
        return Permit::Refuse(Refusal::Needs { needs, has });
    }
    match people {
        Some(people) if !people.iter().any(|name| asker.login.eq_ignore_ascii_case(name)) => {
            Permit::Refuse(Refusal::NotNamed { people: people.to_vec() })
        }
        _ => Permit::Allow,
    }
}

/// Whether they still get answers in words: everybody with write access does, others [`ANSWERS`] times in [`WINDOW`].
#[must_use]
pub fn answers(asker: &Asker<'_>, answered_at: &[Timestamp], now: Timestamp) -> bool {
    let recent = answered_at.iter().filter(|at| now.duration_since(**at) < WINDOW).count();
    asker.permission >= Some(Permission::Write) || recent < ANSWERS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::COMMANDS;
    use crate::config::repository::{CommandLevel, CommandRule};

    fn now() -> Timestamp {
        "2027-01-01T12:00:00Z".parse().unwrap()
    }

    fn asker(permission: Option<Permission>) -> Asker<'static> {
        Asker { login: "alice", permission }
    }

    fn info(name: &str) -> &'static CommandInfo {
        CommandInfo::named(name).unwrap()
    }

    fn settings(name: &str, level: Option<CommandLevel>, people: &[&str]) -> RepositoryConfig {
        let mut config = RepositoryConfig::default();
        let people = people.iter().map(|name| (*name).to_owned()).collect();
        config.commands.rules.insert(name.to_owned(), CommandRule { level, people });
        config
    }

    fn ask(name: &str, permission: Permission, settings: &RepositoryConfig) -> Permit {
        permit(info(name), Place::Pull, &asker(Some(permission)), settings, &[], now())
    }

    #[test]
    fn everybody_may_what_their_level_allows_c2() {
        use Permission::*;
        let free = RepositoryConfig::default();
        for info in COMMANDS {
            for has in [None, Read, Triage, Write, Maintain, Admin] {
                let found = ask(info.name, has, &free);
                let wanted = if has >= info.needs {
                    Permit::Allow
                } else {
                    Permit::Refuse(Refusal::Needs { needs: info.needs, has })
                };
                assert_eq!(found, wanted, "{} {has:?}", info.name);
            }
        }
        assert_eq!(info("pause").needs, Maintain);
        assert_eq!(info("scan").needs, Triage);
    }

    #[test]
    fn who_is_not_known_is_refused_c2() {
        for info in COMMANDS {
            let found = permit(info, Place::Pull, &asker(None), &RepositoryConfig::default(), &[], now());
            assert_eq!(found, Permit::Refuse(Refusal::PermissionUnknown));
        }
    }

    #[test]
    fn settings_raise_and_never_lower_c2() {
        use Permission::*;
        let raised = settings("merge", Some(CommandLevel::Maintain), &[]);
        assert_eq!(ask("merge", Write, &raised), Permit::Refuse(Refusal::Needs { needs: Maintain, has: Write }));
        assert_eq!(ask("merge", Maintain, &raised), Permit::Allow);
        assert_eq!(ask("merge cancel", Write, &raised), Permit::Refuse(Refusal::Needs { needs: Maintain, has: Write }));
        assert_eq!(ask("close", Write, &raised), Permit::Allow);
        let lower = [("merge", CommandLevel::Read), ("pause", CommandLevel::Write), ("scan", CommandLevel::Read)];
        for (name, level) in lower {
            let lowered = settings(name, Some(level), &[]);
            for has in [None, Read, Triage, Write, Maintain] {
                assert_eq!(ask(name, has, &lowered), ask(name, has, &RepositoryConfig::default()), "{name} {has:?}");
            }
        }
    }

    #[test]
    fn settings_name_people_c2() {
        use Permission::*;
        let named = settings("merge", Option::None, &["Alice"]);
        assert_eq!(ask("merge", Write, &named), Permit::Allow);
        assert_eq!(ask("merge cancel", Write, &named), Permit::Allow);
        assert_eq!(ask("merge", Triage, &named), Permit::Refuse(Refusal::Needs { needs: Write, has: Triage }));
        let others = settings("merge", Option::None, &["bob"]);
        let refusal = Refusal::NotNamed { people: vec!["bob".into()] };
        assert_eq!(ask("merge", Admin, &others), Permit::Refuse(refusal.clone()));
        assert_eq!(refusal.words(), "the repository's settings leave this to `bob`");
        assert_eq!(ask("close", Write, &others), Permit::Allow);
        let both = settings("merge", Some(CommandLevel::Maintain), &["alice"]);
        assert_eq!(ask("merge", Write, &both), Permit::Refuse(Refusal::Needs { needs: Maintain, has: Write }));
    }

    #[test]
    fn strangers_are_answered_five_times_an_hour_c2() {
        let minutes = |ago: i64| now().checked_sub(SignedDuration::from_mins(ago)).unwrap();
        let recent: Vec<_> = (1..=5).map(minutes).collect();
        let ask = |name: &str, permission, answered: &[Timestamp]| {
            permit(info(name), Place::Pull, &asker(permission), &RepositoryConfig::default(), answered, now())
        };
        for permission in [None, Some(Permission::Read), Some(Permission::Triage)] {
            assert_eq!(ask("explain", permission, &recent), Permit::ReactOnly);
            // A refusal is an answer, too.
            assert_eq!(ask("merge", permission, &recent), Permit::ReactOnly);
        }
        assert_eq!(ask("explain", Some(Permission::Read), &recent[..4]), Permit::Allow);
        let old: Vec<_> = recent[..4].iter().copied().chain([minutes(60), minutes(90)]).collect();
        assert_eq!(ask("explain", Some(Permission::Read), &old), Permit::Allow);
        assert_eq!(ask("explain", Some(Permission::Write), &recent), Permit::Allow);
    }

    #[test]
    fn the_dashboard_takes_what_it_can_c1_6() {
        for info in COMMANDS {
            let admin = asker(Some(Permission::Admin));
            let found = permit(info, Place::Dashboard, &admin, &RepositoryConfig::default(), &[], now());
            let wanted = if info.on_dashboard { Permit::Allow } else { Permit::Refuse(Refusal::NotOnDashboard) };
            assert_eq!(found, wanted, "{}", info.name);
        }
    }
}
