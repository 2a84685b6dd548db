//! Checks what a scan relies on: configuration, folders, docker's credentials, registries and the clock.
//!
//! What only the service relies on is checked by [`service`].
//!
//! Each check says what it found and what to do about it. Changes nothing but for making the folders that a scan would
//! make too. The time is a parameter.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use leadsman_scanner::registry::{Access, Probe, Registry, RegistryErrorKind};

use crate::config::{Config, Environment, Loaded};
use crate::output::error::CliError;
use crate::output::json::{CheckResult, CheckView};
use crate::output::text::elapsed;

pub mod service;

/// A clock that is further off than this makes ages wrong enough to matter.
const MAX_SKEW: i64 = 60;

/// The largest docker configuration that is looked at.
const MAX_DOCKER: u64 = 4 << 20;

impl CheckView {
    fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), result: CheckResult::Ok, message: message.into(), hint: None }
    }

    fn warning(name: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { result: CheckResult::Warning, hint: Some(hint.into()), ..Self::ok(name, message) }
    }

    fn failed(name: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { result: CheckResult::Failed, ..Self::warning(name, message, hint) }
    }
}

/// The configuration: found and right, or the reason why not.
#[must_use]
pub fn configuration(loaded: &Result<Loaded, CliError>) -> CheckView {
    match loaded {
        Ok(Loaded { file: Some((path, _)), .. }) => CheckView::ok("configuration", path.display().to_string()),
        Ok(Loaded { user_file: Some(path), .. }) => {
            CheckView::ok("configuration", format!("none ({} is not there); defaults and variables", path.display()))
        }
        Ok(_) => CheckView::ok("configuration", "none; defaults and variables"),
        Err(error) => CheckView::failed("configuration", error.to_string(), "`leadsman config check` shows the place"),
    }
}

/// The passwords and certificates that the configuration names.
#[must_use]
pub fn secrets(config: &Config, environment: &Environment) -> Vec<CheckView> {
    let mut checks = Vec::new();
    for (host, registry) in &config.registries {
        let name = format!("credentials of {host}");
        match registry.password(environment, host) {
            Ok(Some(_)) => checks.push(CheckView::ok(name, "configured, and the password can be read")),
            Ok(None) => {}
            Err(error) => {
                checks.push(CheckView::failed(name, error.to_string(), "see `registries` in the configuration"))
            }
        }
        if let Err(error) = registry.check_ca(host) {
            let name = format!("certificates of {host}");
            checks.push(CheckView::failed(name, error.to_string(), "see `registries` in the configuration"));
        }
    }
    checks
}

/// A folder that is written into.
#[must_use]
pub fn folder(name: &str, folder: Option<&Path>, key: &str) -> CheckView {
    let hint = format!("set `{key}` in the configuration to a folder that you may write to");
    let Some(folder) = folder else {
        return CheckView::warning(name, "there is no home folder to put it in", hint);
    };
    let attempt = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    match attempt {
        Ok(_) => CheckView::ok(name, folder.display().to_string()),
        Err(error) => CheckView::failed(name, format!("{} cannot be written to: {error}", folder.display()), hint),
    }
}

/// Docker's configuration, and whether the credential helpers that it names can be run.
#[must_use]
pub fn docker(environment: &Environment) -> Vec<CheckView> {
    const NAME: &str = "docker's credentials";
    let folder = environment.get("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| environment.get("HOME").map(|home| Path::new(home).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else {
        return vec![CheckView::ok(NAME, "none: there is no home folder")];
    };
    let shown = path.display();
    let size = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![CheckView::ok(NAME, format!("none ({shown} is not there); public images need none"))];
        }
        Err(error) => {
            let message = format!("{shown} cannot be read: {error}");
            return vec![CheckView::failed(NAME, message, "let this user read it, or set `DOCKER_CONFIG`")];
        }
    };
    let text = if size > MAX_DOCKER {
        Err("it is too large".to_owned())
    } else {
        std::fs::read(&path).map_err(|error| error.to_string())
    };
    let parsed = text.and_then(|text| {
        // The parser's own words may quote a secret; its place does not.
        serde_json::from_slice::<serde_json::Value>(&text)
            .map_err(|error| format!("it is no JSON (line {}, column {})", error.line(), error.column()))
    });
    let value = match parsed {
        Ok(value) => value,
        Err(reason) => {
            let message = format!("{shown} cannot be read: {reason}");
            return vec![CheckView::failed(NAME, message, "`docker login` writes it anew")];
        }
    };
    let count = |key: &str| value.get(key).and_then(serde_json::Value::as_object).map_or(0, serde_json::Map::len);
    let mut checks = vec![CheckView::ok(
        NAME,
        format!(
            "{shown}: {} hosts with credentials, {} with a helper of their own",
            count("auths"),
            count("credHelpers")
        ),
    )];
    let own = value.get("credHelpers").and_then(serde_json::Value::as_object).into_iter().flatten();
    let mut helpers: Vec<&str> = own.filter_map(|(_, helper)| helper.as_str()).collect();
    helpers.extend(value.get("credsStore").and_then(serde_json::Value::as_str).filter(|helper| !helper.is_empty()));
    helpers.sort_unstable();
    helpers.dedup();
    checks.extend(helpers.into_iter().map(|helper| check_helper(helper, environment)));
    checks
}

fn check_helper(helper: &str, environment: &Environment) -> CheckView {
    let program = format!("docker-credential-{helper}");
    let name = format!("credential helper {helper}");
    let folders =
        std::env::split_paths(environment.get("PATH").unwrap_or_default()).map(|folder| folder.join(&program));
    match folders.into_iter().find(|path| path.is_file()) {
        Some(path) => CheckView::ok(name, path.display().to_string()),
        None => CheckView::failed(
            name,
            format!("the program `{program}` is not on the PATH"),
            "install it, or take it out of docker's configuration; images of its hosts fail without it",
        ),
    }
}

/// Asks a registry host whether it is there, and lets its clock be compared.
pub async fn registry(client: &Registry, host: &str) -> (CheckView, Option<Timestamp>) {
    let started = Instant::now();
    let probe = client.probe(host).await;
    let took = started.elapsed();
    match probe {
        Ok(probe) => (reached(host, &probe, took), probe.date),
        Err(kind) => (unreachable(host, host, &kind), None),
    }
}

fn reached(host: &str, probe: &Probe, took: Duration) -> CheckView {
    let name = format!("registry {host}");
    let by = if probe.host == host { String::new() } else { format!(" by its mirror {}", probe.host) };
    let transport = if probe.secure { "TLS" } else { "plain HTTP" };
    let reached = format!("reached{by} over {transport} in {}", elapsed(took));
    let login =
        format!("`docker login {}`, or set `username` and `password_file` for it in the configuration", probe.host);
    match (&probe.error, probe.access, probe.has_credentials) {
        (None, Some(Access::Open), _) => CheckView::ok(name, format!("{reached}; it asks for no credentials")),
        (None, _, true) => CheckView::ok(name, format!("{reached}; your credentials are accepted")),
        (None, _, false) => {
            CheckView::ok(name, format!("{reached}; without credentials, which public images need not"))
        }
        (Some(RegistryErrorKind::Denied { .. }), _, true) => {
            CheckView::failed(name, format!("{reached}; your credentials are not accepted"), login)
        }
        (Some(RegistryErrorKind::Denied { .. }), _, false) => {
            CheckView::warning(name, format!("{reached}; it asks for credentials, and there are none"), login)
        }
        (Some(RegistryErrorKind::NotFound { .. }), ..) => CheckView::failed(
            name,
            format!("{reached}; there is no registry (`/v2/` is not found)"),
            "check the host and its port",
        ),
        (Some(kind), ..) => unreachable(host, &probe.host, kind),
    }
}

fn unreachable(host: &str, asked: &str, kind: &RegistryErrorKind) -> CheckView {
    let hint = kind.advice(asked).unwrap_or_else(|| "check the host, its port, and the way to it".to_owned());
    CheckView::failed(format!("registry {host}"), kind.to_string(), hint)
}

/// Compares the clock with what a registry said: ages and tokens depend on it.
#[must_use]
pub fn clock(told: Option<(Timestamp, String)>, now: Timestamp) -> CheckView {
    let Some((told, host)) = told else {
        return CheckView::ok("clock", "not compared: no registry told its time");
    };
    let skew = now.duration_since(told).as_secs();
    if skew.abs() <= MAX_SKEW {
        return CheckView::ok("clock", format!("agrees with {host}"));
    }
    let direction = if skew > 0 { "ahead of" } else { "behind" };
    CheckView::warning(
        "clock",
        format!("{} s {direction} {host}", skew.abs()),
        "set this machine's clock: ages of images are reckoned by it, and tokens may be refused",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(home: &Path) -> Environment {
        Environment::of([("HOME", home.to_str().unwrap()), ("PATH", home.to_str().unwrap())])
    }

    #[test]
    fn a_clock_is_compared_to_the_minute() {
        let now: Timestamp = "2026-01-10T00:10:00Z".parse().unwrap();
        let told = |text: &str| Some((text.parse().unwrap(), "a.io".to_owned()));
        assert_eq!(clock(told("2026-01-10T00:09:10Z"), now).result, CheckResult::Ok);
        let ahead = clock(told("2026-01-10T00:00:00Z"), now);
        assert_eq!((ahead.result, &*ahead.message), (CheckResult::Warning, "600 s ahead of a.io"));
        assert_eq!(clock(told("2026-01-10T01:10:00Z"), now).message, "3600 s behind a.io");
        assert_eq!(clock(None, now).result, CheckResult::Ok);
    }

    #[test]
    fn docker_helpers_must_be_on_the_path() {
        let home = tempfile::tempdir().unwrap();
        let results =
            |home: &Path| docker(&environment(home)).into_iter().map(|check| check.result).collect::<Vec<_>>();
        assert_eq!(results(home.path()), [CheckResult::Ok], "no file");
        std::fs::create_dir(home.path().join(".docker")).unwrap();
        let write = |text: &str| std::fs::write(home.path().join(".docker/config.json"), text).unwrap();
        write(
            r#"{"auths": {"a.io": {"auth": "hunter2"}}, "credsStore": "one", "credHelpers": {"b.io": "two", "c.io": "two"}}"#,
        );
        assert_eq!(results(home.path()), [CheckResult::Ok, CheckResult::Failed, CheckResult::Failed]);
        std::fs::write(home.path().join("docker-credential-one"), "").unwrap();
        assert_eq!(results(home.path()), [CheckResult::Ok, CheckResult::Ok, CheckResult::Failed]);
        write(r#"{"auths": {"a.io": {"auth": hunter2}}}"#);
        let broken = docker(&environment(home.path()));
        assert_eq!(broken[0].result, CheckResult::Failed);
        assert!(!format!("{broken:?}").contains("hunter2"));
    }

    #[test]
    fn a_folder_must_be_writable() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(folder("cache", Some(&home.path().join("a/b")), "cache_dir").result, CheckResult::Ok);
        std::fs::write(home.path().join("file"), "").unwrap();
        let under_file = folder("cache", Some(&home.path().join("file/b")), "cache_dir");
        assert_eq!(under_file.result, CheckResult::Failed);
        assert!(under_file.hint.unwrap().contains("`cache_dir`"));
        assert_eq!(folder("cache", None, "cache_dir").result, CheckResult::Warning);
    }
}
