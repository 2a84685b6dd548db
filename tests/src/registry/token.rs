//! A token server as the real distribution trusts one: JSON Web Tokens with RS256, signed by `openssl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tempfile::TempDir;

use super::distribution::{PASSWORD, USER};
use super::http::{Answer, Request, Server, reply};

/// The service that tokens are for.
pub const SERVICE: &str = "tests";

/// Gives a token for pulling to whoever asks, or only to [`USER`] with [`PASSWORD`].
#[derive(Debug)]
pub struct TokenServer {
    server: Server,
    signer: Arc<Signer>,
    life: Arc<AtomicU64>,
}

impl TokenServer {
    /// Starts a server. Its tokens say that they hold for `expires_in` seconds.
    ///
    /// # Errors
    /// Where `openssl` is not installed.
    pub async fn start(needs_password: bool) -> Result<Self> {
        let signer = Arc::new(Signer::new()?);
        let life = Arc::new(AtomicU64::new(300));
        let (own, own_life) = (Arc::clone(&signer), Arc::clone(&life));
        let server = Server::start(move |request, _| {
            own.answer(request, needs_password, own_life.load(Ordering::Relaxed))
                .unwrap_or_else(|error| reply(500, &[("Content-Type", "text/plain")], error.to_string()))
        })
        .await?;
        Ok(Self { server, signer, life })
    }

    /// Makes further tokens say that they hold for this many seconds.
    pub fn set_life(&self, seconds: u64) {
        self.life.store(seconds, Ordering::Relaxed);
    }

    /// The address tokens are had at.
    #[must_use]
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.server.address)
    }

    /// The certificate that a registry trusts its tokens by.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.signer.folder.path().join("certificate.pem")
    }

    /// All requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        self.server.seen()
    }

    /// An `Authorization` header that may push to the repository.
    ///
    /// # Errors
    /// Where signing fails.
    pub fn push_authorization(&self, repository: &str) -> Result<String> {
        Ok(format!("Bearer {}", self.signer.token(repository, &["pull", "push"], 300)?))
    }
}

#[derive(Debug)]
struct Signer {
    folder: TempDir,
    chain: String,
}

impl Signer {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        make_certificate(folder.path())?;
        let pem = std::fs::read_to_string(folder.path().join("certificate.pem"))?;
        let chain = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        Ok(Self { folder, chain })
    }

    fn answer(&self, request: &Request, needs_password: bool, life: u64) -> Result<Answer> {
        let pair = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        if needs_password && request.header("authorization") != Some(&pair) {
            return Ok(reply(401, &[("Content-Type", "text/plain")], "wrong password"));
        }
        let scope = request.query("scope").unwrap_or_default().replace("%3A", ":").replace("%2F", "/");
        let mut parts = scope.split(':');
        let token = match (parts.next(), parts.next(), parts.next()) {
            // Who names no repository is told whether the password is right.
            (Some(""), None, None) => self.token("", &[], life.max(60))?,
            (Some("repository"), Some(repository), Some("pull")) => self.token(repository, &["pull"], life.max(60))?,
            _ => return Ok(reply(400, &[("Content-Type", "text/plain")], "no scope that is known here")),
        };
        let body = json!({"token": token, "expires_in": life});
        Ok(reply(200, &[("Content-Type", "application/json")], body.to_string()))
    }

    #[expect(clippy::disallowed_methods, reason = "the registry compares with the real clock")]
    fn token(&self, repository: &str, actions: &[&str], life: u64) -> Result<String> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [self.chain]});
        let claims = json!({"iss": "tests", "sub": USER, "aud": SERVICE, "exp": now + life, "nbf": now - 10, "iat": now,
            "jti": format!("{now}-{repository}"),
            "access": [{"type": "repository", "name": repository, "actions": actions}]});
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let key = self.folder.path().join("key.pem");
        let signature = run_openssl(&["dgst", "-sha256", "-sign", &key.to_string_lossy()], text.as_bytes())?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Writes `key.pem` and a certificate of its own authority for `127.0.0.1` and `localhost`, `certificate.pem`.
pub(super) fn make_certificate(folder: &Path) -> Result<()> {
    let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=tests",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &key.to_string_lossy(),
        "-out",
        &certificate.to_string_lossy(),
    ];
    run_openssl(&arguments, b"").map(drop)
}

fn run_openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting `openssl`")?;
    child.stdin.take().context("no input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`openssl {}` failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
