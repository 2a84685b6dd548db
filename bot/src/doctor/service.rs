//! Checks what the service relies on besides registries: the store, templates, forges, and what the bot may do in each
//! repository.
//!
//! Asks and changes nothing. A forge that does not know the bot is asked nothing more.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::{Config, Environment, read_templates};
use crate::forge::Conversation as _;
use crate::forge::gitea::Gitea;
use crate::forge::local::Local;
use crate::forge::{
    ErrorKind, Forge as _, ForgeError, Hooks as _, Merging as _, Permission, Person, Repositories as _, RepositoryInfo,
    RepositoryName,
};
use crate::output::json::CheckView;
use crate::render::{Renderer, TEMPLATES};
use crate::serve;
use crate::store::lock::{FolderLock, LockError};

/// Who uses the data folder. Nothing is made where there is none yet.
#[must_use]
pub fn lock(folder: Option<&Path>) -> Option<CheckView> {
    const NAME: &str = "store";
    let folder = folder.filter(|folder| folder.join("leadsman.db").exists())?;
    Some(match FolderLock::take(folder, "`leadsman doctor`") {
        Ok(_) => CheckView::ok(NAME, "not in use"),
        Err(LockError::Held { holder, .. }) => CheckView::ok(NAME, format!("in use by {holder}")),
        Err(error) => CheckView::failed(NAME, error.to_string(), "let this user write to the folder and its files"),
    })
}

/// Templates of one's own: each is read and tried.
#[must_use]
pub fn templates(config: &Config) -> Vec<CheckView> {
    const NAME: &str = "templates";
    let Some(folder) = &config.templates_dir else { return Vec::new() };
    let hint = "mend the template, or take it out of the folder: the one that comes with Leadsman is used then";
    let own = match read_templates(folder, TEMPLATES) {
        Ok(own) => own,
        Err(error) => return vec![CheckView::failed(NAME, error.to_string(), "see `templates_dir`")],
    };
    match Renderer::with_overrides(&own) {
        Ok(renderer) if renderer.notices().is_empty() => {
            vec![CheckView::ok(NAME, format!("{} of {}", own.len(), folder.display()))]
        }
        Ok(renderer) => renderer.notices().iter().map(|notice| CheckView::warning(NAME, notice, hint)).collect(),
        Err(error) => vec![CheckView::failed(NAME, error.to_string(), hint)],
    }
}

/// The repositories on this machine.
#[must_use]
pub fn local_repositories(config: &Config) -> Vec<CheckView> {
    let entries = config.repositories.iter().filter_map(|entry| Some((entry, entry.local.as_ref()?)));
    entries
        .map(|(entry, path)| {
            let name = format!("repository {}", path.display());
            let opened = Local::open(path).map_err(|error| error.to_string());
            let base = opened.and_then(|local| {
                local.base(entry.base.as_deref()).map(|base| (local, base.name)).map_err(|error| error.to_string())
            });
            match base {
                Err(error) => {
                    CheckView::failed(name, error, "see `repositories` in the configuration: `local` and `base`")
                }
                Ok((local, base)) => match local.checked_out().get(&base) {
                    Some(work_tree) => CheckView::warning(
                        name,
                        format!("its base `{base}` is checked out in {}", work_tree.display()),
                        "nothing can be merged there meanwhile: check another branch out, or use a bare repository",
                    ),
                    None => CheckView::ok(name, format!("base `{base}`")),
                },
            }
        })
        .collect()
}

/// Each forge that is configured, and each repository there.
pub async fn forges(config: &Config, environment: &Environment) -> Vec<CheckView> {
    let mut checks = Vec::new();
    let mut known: BTreeMap<&str, (Gitea, Person)> = BTreeMap::new();
    for host in config.forges.keys() {
        let name = format!("forge {host}");
        match serve::gitea(config, environment, host) {
            Err(error) => {
                checks.push(CheckView::failed(name, error.to_string(), "see `forges` in the configuration"));
            }
            Ok(forge) => match forge.myself().await {
                Ok(me) => {
                    checks.push(CheckView::ok(name, format!("reached; the bot is `{}`", me.login)));
                    known.insert(host, (forge, me));
                }
                Err(error) => checks.push(CheckView::failed(name, error.to_string(), advice(&error))),
            },
        }
        if let Err(error) = config.forges[host].webhook_secrets(environment, host) {
            let name = format!("webhook secrets of {host}");
            checks.push(CheckView::failed(name, error.to_string(), "see `forges` in the configuration"));
        }
    }
    let hook = config.server.public_url.as_ref().map(|url| {
        let route = crate::server::webhooks::HookKind::Gitea.row().route;
        format!("{}{route}", url.as_str().trim_end_matches('/'))
    });
    for entry in &config.repositories {
        let (Some(host), Some(repository)) = (&entry.forge, &entry.name) else { continue };
        let Some((forge, me)) = known.get(host.as_str()) else { continue };
        let name = RepositoryName(repository.clone());
        checks.extend(check_repository(forge, me, &name, entry.base.as_deref(), hook.as_deref()).await);
    }
    checks
}

/// What the bot may do in a repository. The first fault that makes all others idle is told alone.
async fn check_repository(
    forge: &Gitea,
    me: &Person,
    repository: &RepositoryName,
    base: Option<&str>,
    hook: Option<&str>,
) -> Vec<CheckView> {
    const ADMIN: &str = "make the bot an administrator of the repository";
    let name = format!("repository {}/{repository}", forge.host());
    let RepositoryInfo { default_branch, archived, empty, .. } = match forge.repository(repository).await {
        Ok(info) => info,
        Err(error) => return vec![CheckView::failed(name, error.to_string(), advice(&error))],
    };
    if archived {
        return vec![CheckView::warning(name, "it is archived", "take it out of `repositories`, or unarchive it")];
    }
    if empty {
        return vec![CheckView::warning(name, "it has no commit yet", "push one")];
    }
    let mut checks = Vec::new();
    let base = base.unwrap_or(&default_branch);
    match forge.permission(repository, me).await {
        Ok(Permission::Admin) => checks.push(CheckView::ok(&*name, format!("the bot administers it; base `{base}`"))),
        Ok(permission) if permission >= Permission::Write => checks.push(CheckView::warning(
            &*name,
            "the bot may push, and is not told what others may do: every command is refused",
            ADMIN,
        )),
        Ok(_) => checks.push(CheckView::failed(&*name, "the bot may not push to it", ADMIN)),
        Err(error) => checks.push(CheckView::failed(&*name, error.to_string(), advice(&error))),
    }
    match forge.rules(repository, base).await {
        Ok(rules) if rules.bot_may_not_merge => checks.push(CheckView::warning(
            format!("branch {base} of {}/{repository}", forge.host()),
            "the bot is not among those who may merge into it",
            "add the bot to those who may merge, in the protection of the branch",
        )),
        Ok(_) => {}
        Err(error) => checks.push(CheckView::warning(
            format!("branch {base} of {}/{repository}", forge.host()),
            error.to_string(),
            match error.kind {
                ErrorKind::NotFound => "name a branch that is there as `base`, or make the bot an administrator".into(),
                _ => advice(&error),
            },
        )),
    }
    let Some(hook) = hook else { return checks };
    let name = format!("webhook of {}/{repository}", forge.host());
    checks.push(match forge.hooks(repository).await {
        Ok(known) if known.iter().any(|known| known.trim_end_matches('/') == hook) => CheckView::ok(name, hook),
        Ok(_) => CheckView::warning(
            name,
            "there is none, so changes are seen late",
            "`leadsman setup webhook` makes it; a webhook of the organization does as well",
        ),
        Err(error) => CheckView::warning(name, error.to_string(), advice(&error)),
    });
    checks
}

fn advice(error: &ForgeError) -> String {
    match error.kind {
        ErrorKind::Unauthorized => "make a new token for the bot, and put it where `token_file` or `token_env` says",
        ErrorKind::Forbidden => {
            "make the bot an administrator of the repository, and give its token the rights \
             `write:repository`, `write:issue` and `read:user`"
        }
        ErrorKind::NotFound => "check the name in `repositories`, and that the bot may see it",
        ErrorKind::Limited { .. } => "wait: the forge takes no more requests now",
        _ => "check the address of the forge in `forges`, its certificate, and the way to it",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json::CheckResult;

    #[test]
    fn a_folder_in_use_is_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lock(Some(folder.path())).is_none() && lock(None).is_none());
        std::fs::write(folder.path().join("leadsman.db"), "").unwrap();
        assert_eq!(lock(Some(folder.path())).unwrap().message, "not in use");
        let _held = FolderLock::take(folder.path(), "a service").unwrap();
        let check = lock(Some(folder.path())).unwrap();
        assert_eq!((check.result, &*check.message), (CheckResult::Ok, "in use by a service"));
    }

    #[test]
    fn a_template_that_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { templates_dir: Some(folder.path().to_owned()), ..Config::default() };
        assert!(templates(&Config::default()).is_empty());
        std::fs::write(folder.path().join("commit.txt"), "{{ 1 +").unwrap();
        assert!(templates(&config).iter().all(|check| check.result != CheckResult::Ok), "{:?}", templates(&config));
    }
}
