//! The real CNCF distribution, as Debian packages it, on a free port of this machine.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::http::send;
use super::token::{SERVICE, TokenServer, make_certificate};

/// The user of a registry with basic authentication.
pub const USER: &str = "robot";

/// The password of [`USER`].
pub const PASSWORD: &str = "secret";

/// [`USER`] and [`PASSWORD`] in an `htpasswd` file; the registry takes bcrypt only.
const HTPASSWD: &str = "robot:$2y$05$LeadsmanregistrytestsutNnZRj7elx9Ap3hN2mF1.KDKuOO/NL2\n";

/// How a registry knows who asks.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// Not at all.
    Anonymous,
    /// By [`USER`] and [`PASSWORD`].
    Basic,
    /// By tokens of this server.
    Token(&'a TokenServer),
}

/// A running registry; it ends, and forgets all, when dropped.
#[derive(Debug)]
pub struct Distribution {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Distribution {
    /// Starts an empty registry.
    ///
    /// # Errors
    /// Where `docker-registry` is not installed or does not come up.
    pub fn start(access: Access<'_>) -> Result<Self> {
        Self::start_with(access, false)
    }

    /// Starts an empty registry that speaks TLS with a certificate of its own authority ([`Distribution::ca`]).
    ///
    /// # Errors
    /// As for [`Distribution::start`], or where `openssl` is not installed.
    pub fn start_tls() -> Result<Self> {
        Self::start_with(Access::Anonymous, true)
    }

    /// Starts an empty registry that tells `url` of every push, with `authorization` in the header of that name.
    ///
    /// # Errors
    /// As for [`Distribution::start`].
    pub fn start_telling(url: &str, authorization: &str) -> Result<Self> {
        Self::start_telling_with(Access::Anonymous, false, Some((url, authorization)))
    }

    fn start_with(access: Access<'_>, tls: bool) -> Result<Self> {
        Self::start_telling_with(access, tls, None)
    }

    fn start_telling_with(access: Access<'_>, tls: bool, told: Option<(&str, &str)>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        if tls {
            make_certificate(folder.path())?;
        }
        // Another process may take the port before the registry does.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let config = folder.path().join("config.yml");
            let mut text = configuration(address, access, tls, folder.path())?;
            if let Some((url, authorization)) = told {
                text.push_str(&format!(
                    "notifications:\n  endpoints:\n    - name: leadsman\n      url: {url}\n      headers: \
                     {{Authorization: [\"{authorization}\"]}}\n      timeout: 5s\n      threshold: 3\n      backoff: 1s\n"
                ));
            }
            std::fs::write(&config, text)?;
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(std::fs::File::create(folder.path().join("log"))?)
                .spawn()
                .context("starting `docker-registry` (Debian package `docker-registry`)")?;
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end && process.try_wait()?.is_none() {
                let is_up = if tls {
                    std::net::TcpStream::connect(address).is_ok()
                } else {
                    send(address, "GET", "/v2/", &[], b"").is_ok()
                };
                if is_up {
                    return Ok(Self { address, process, folder });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        bail!("the registry did not come up: {}", std::fs::read_to_string(folder.path().join("log"))?)
    }

    /// The host by which images name this registry.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The certificate that a registry with TLS is to be trusted by.
    #[must_use]
    pub fn ca(&self) -> std::path::PathBuf {
        self.folder.path().join("certificate.pem")
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(address: SocketAddr, access: Access<'_>, tls: bool, folder: &Path) -> Result<String> {
    let shown = folder.display();
    let mut text = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{inmemory: {{}}}}\nhttp:\n  addr: {address}\n"
    );
    if tls {
        text.push_str(&format!("  tls: {{certificate: {shown}/certificate.pem, key: {shown}/key.pem}}\n"));
    }
    match access {
        Access::Anonymous => {}
        Access::Basic => {
            std::fs::write(folder.join("htpasswd"), HTPASSWD)?;
            text.push_str(&format!("auth: {{htpasswd: {{realm: tests, path: {shown}/htpasswd}}}}\n"));
        }
        Access::Token(server) => text.push_str(&format!(
            "auth: {{token: {{realm: \"{}\", service: {SERVICE}, issuer: tests, rootcertbundle: {}}}}}\n",
            server.realm(),
            server.certificate().display()
        )),
    }
    Ok(text)
}
