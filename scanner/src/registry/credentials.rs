//! Reads docker's `config.json` and runs its credential helpers, as docker does.
//!
//! Owns where a host's credentials come from. Must not send them anywhere. Nothing in its errors comes from a secret.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::error::printable;
use super::options::{Credentials, DockerConfig};

/// The key docker keeps Docker Hub's credentials under.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// How much a helper may say.
const HELPER_OUTPUT: u64 = 64 << 10;

/// How large `config.json` may be.
const CONFIG_SIZE: u64 = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    #[serde(alias = "identityToken")]
    identitytoken: Option<SecretString>,
}

/// Docker's configuration, read once.
#[derive(Debug, Default)]
pub(super) struct DockerFile(File);

impl DockerFile {
    /// Reads the file; one that is missing is empty.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub(super) fn read(config: &DockerConfig) -> Result<Self, String> {
        let Some(path) = path(config) else { return Ok(Self::default()) };
        let text = match std::fs::metadata(&path) {
            Ok(data) if data.len() > CONFIG_SIZE => return Err(format!("`{}` is larger than 4 MiB", path.display())),
            Ok(_) => std::fs::read(&path),
            Err(error) => Err(error),
        };
        match text {
            Ok(text) => Self::parse(&text, &path),
            // A folder above it that is none, or may not be entered, has no such file either, for docker.
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(format!("`{}` could not be read: {error}", path.display())),
        }
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, String> {
        // The parser's own message may quote a secret, its place cannot.
        serde_json::from_slice(text).map(Self).map_err(|error| {
            format!(
                "`{}` is no docker configuration (line {}, column {})",
                path.display(),
                error.line(),
                error.column()
            )
        })
    }

    /// The credentials for a host: from its own helper, else the store of all, else the file itself.
    ///
    /// # Errors
    /// Where a helper is configured and fails.
    pub(super) async fn credentials(&self, host: &str, limit: Duration) -> Result<Option<Credentials>, String> {
        let server = if host == "docker.io" { HUB_KEY } else { host };
        let own = self.0.cred_helpers.iter().find(|(key, _)| host_of(key) == host_of(server));
        if let Some((_, helper)) = own {
            return run_helper(helper, server, limit).await;
        }
        if let Some(helper) = self.0.creds_store.as_deref().filter(|helper| !helper.is_empty())
            && let Some(credentials) = run_helper(helper, server, limit).await?
        {
            return Ok(Some(credentials));
        }
        self.written(server)
    }

    fn written(&self, server: &str) -> Result<Option<Credentials>, String> {
        let exact = self.0.auths.get(server);
        let mut alike: Vec<_> = self.0.auths.iter().filter(|(key, _)| host_of(key) == host_of(server)).collect();
        alike.sort_by_key(|(key, _)| *key);
        let Some(entry) = exact.or(alike.first().map(|(_, entry)| *entry)) else { return Ok(None) };
        if let Some(token) = entry.identitytoken.as_ref().filter(|token| !is_empty(token)) {
            return Ok(Some(Credentials { username: "<token>".into(), password: token.clone() }));
        }
        if let Some(auth) = entry.auth.as_ref().filter(|auth| !is_empty(auth)) {
            return decode(auth).map(Some).ok_or_else(|| {
                format!("the `auth` of `{}` in docker's configuration is not readable", printable(server, 100))
            });
        }
        match (&entry.username, &entry.password) {
            (Some(username), Some(password)) if !username.is_empty() => {
                Ok(Some(Credentials { username: username.clone(), password: password.clone() }))
            }
            _ => Ok(None),
        }
    }
}

fn is_empty(secret: &SecretString) -> bool {
    secrecy::ExposeSecret::expose_secret(secret).is_empty()
}

/// `user:password` in base64.
fn decode(auth: &SecretString) -> Option<Credentials> {
    let text = secrecy::ExposeSecret::expose_secret(auth).trim();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    // Docker's writer once padded passwords with NUL.
    Some(Credentials { username: username.into(), password: password.trim_matches('\0').to_owned().into() })
}

/// The host of a key, which may be written as a URL.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or_default()
}

fn path(config: &DockerConfig) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match config {
        DockerConfig::Off => None,
        DockerConfig::At(path) => Some(path.clone()),
        DockerConfig::Standard => set("DOCKER_CONFIG")
            .or_else(|| Some(set("HOME").or_else(|| set("USERPROFILE"))?.join(".docker")))
            .map(|folder| folder.join("config.json")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: SecretString,
}

/// Asks `docker-credential-<name>` for a host's credentials; `None` where it has none.
async fn run_helper(name: &str, server: &str, limit: Duration) -> Result<Option<Credentials>, String> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        let name = printable(name, 60);
        return Err(format!("`{name}` is no name of a credential helper (lower-case letters, digits and dashes)"));
    }
    let program = format!("docker-credential-{name}");
    match tokio::time::timeout(limit, exchange(&program, server)).await {
        Ok(answer) => answer.map_err(|reason| format!("the credential helper `{program}` {reason}")),
        Err(_) => Err(format!("the credential helper `{program}` took longer than {} s", limit.as_secs_f32())),
    }
}

/// Runs the helper; dropped in the middle, it is killed.
async fn exchange(program: &str, server: &str) -> Result<Option<Credentials>, String> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("could not be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input says what is wrong by its status.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        let mut pipe = pipe.take(HELPER_OUTPUT + 1);
        pipe.read_to_end(&mut output).await.map_err(|error| format!("could not be read: {error}"))?;
    }
    if output.len() as u64 > HELPER_OUTPUT {
        return Err("said more than 64 KiB".into());
    }
    let status = child.wait().await.map_err(|error| format!("could not be waited for: {error}"))?;
    if !status.success() {
        // Helpers say by this sentence on standard output, and a failure, that they have nothing.
        let said = String::from_utf8_lossy(&output);
        if said.to_ascii_lowercase().contains("credentials not found") {
            return Ok(None);
        }
        return Err(format!("failed ({status}): {}", printable(said.trim(), 100)));
    }
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| "gave no answer that can be read".to_owned())?;
    if is_empty(&answer.secret) {
        return Ok(None);
    }
    Ok(Some(Credentials { username: answer.username, password: answer.secret }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(text: &str) -> DockerFile {
        DockerFile::parse(text.as_bytes(), Path::new("config.json")).unwrap()
    }

    fn pair(credentials: Option<Credentials>) -> (String, String) {
        let credentials = credentials.unwrap();
        (credentials.username, credentials.password.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_found_under_the_keys_docker_writes() {
        let file = parse(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnA6dw=="},
                "quay.io": {"username": "robot", "password": "secret"},
                "https://ghcr.io/v2/": {"auth": "Z2g6dG9rZW4="},
                "azure.io": {"auth": "MDAwOg==", "identitytoken": "refresh"},
                "empty.io": {}
            }}"#,
        );
        assert_eq!(
            pair(file.credentials("docker.io", Duration::from_secs(10)).await.unwrap()),
            ("hub".into(), "p:w".into())
        );
        assert_eq!(
            pair(file.credentials("quay.io", Duration::from_secs(10)).await.unwrap()),
            ("robot".into(), "secret".into())
        );
        assert_eq!(
            pair(file.credentials("ghcr.io", Duration::from_secs(10)).await.unwrap()),
            ("gh".into(), "token".into())
        );
        assert_eq!(
            pair(file.credentials("azure.io", Duration::from_secs(10)).await.unwrap()),
            ("<token>".into(), "refresh".into())
        );
        assert!(file.credentials("empty.io", Duration::from_secs(10)).await.unwrap().is_none());
        assert!(file.credentials("quay.io.evil.io", Duration::from_secs(10)).await.unwrap().is_none());
        assert!(file.credentials("quay.io:5000", Duration::from_secs(10)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn broken_configuration_is_said_without_its_secrets() {
        let error = DockerFile::parse(br#"{"auths": {"a.io": {"auth": "hunter2"#, Path::new("c.json")).unwrap_err();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
        let file = parse(r#"{"auths": {"a.io": {"auth": "hunter2"}}}"#);
        let error = file.credentials("a.io", Duration::from_secs(10)).await.unwrap_err();
        assert!(error.contains("`a.io`") && !error.contains("hunter2"), "{error}");
        assert!(!format!("{file:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_helper_is_no_path_and_no_shell() {
        for name in ["../../tmp/x", "a b", "a;b", "A"] {
            let file = DockerFile(File { creds_store: Some(name.into()), ..File::default() });
            assert!(
                file.credentials("a.io", Duration::from_secs(10))
                    .await
                    .unwrap_err()
                    .contains("no name of a credential helper")
            );
        }
        let file = parse(r#"{"credHelpers": {"a.io": "does-not-exist-here"}}"#);
        assert!(file.credentials("a.io", Duration::from_secs(10)).await.unwrap_err().contains("could not be started"));
        assert!(file.credentials("b.io", Duration::from_secs(10)).await.unwrap().is_none());
    }
}
