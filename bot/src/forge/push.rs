//! Moves branches on a forge by the real `git push`, each from where it was seen to be.
//!
//! Owns running git: its isolation from whoever started us, its token, its time limit and what it prints. Every move is a
//! compare-and-swap (`--force-with-lease`), so what a person pushed in between survives. Decides nothing and repeats
//! nothing.
//!
//! Invariants: the token is in a file of a private folder for as long as git runs, never in an argument, in the
//! environment or in a log; git runs no hook, asks nobody and reads no configuration but the mirror's own; when the call
//! ends, however it ends, nothing that it started runs on.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;

use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::http::{is_loopback, printable};
use super::mirror::Remote;
use super::{Answer, BranchMove, ErrorKind};

/// How many branches one push moves.
const AT_ONCE: usize = 100;

/// The most of what git prints that is kept, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// What the environment of git keeps of ours: where programs are, and how the network is reached.
const KEPT: [&str; 9] = [
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "no_proxy",
    "NO_PROXY",
];

/// What became of one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is where it should go.
    Moved,
    /// It was not where it was seen to be: somebody pushed, or deleted it. A fetch tells.
    Stale,
    /// The forge does not allow it, such as on a protected branch. With what it said.
    Refused(String),
    /// It did not happen for another reason.
    Failed(String),
}

/// Carries out `moves` from the repository at `git_dir`, which holds the commits to be pushed, and says for each in its
/// order what became of it.
///
/// # Errors
/// Where nothing can be said of the single branches: the token is refused, the repository is not there or archived, the
/// forge does not answer in time, or git is not installed. What was under way may have taken effect.
pub async fn push(git_dir: &Path, remote: &Remote, moves: &[BranchMove]) -> Answer<Vec<PushOutcome>> {
    remote.check("push to")?;
    let mut outcomes = Vec::with_capacity(moves.len());
    for chunk in moves.chunks(AT_ONCE) {
        let said = run(git_dir, remote, chunk).await?;
        let mut told = outcomes_of(&said);
        for BranchMove { branch, .. } in chunk {
            outcomes.push(told.remove(branch).ok_or_else(|| explain(remote, &said))?);
        }
    }
    Ok(outcomes)
}

/// What git printed.
#[derive(Debug, Default)]
struct Said {
    output: String,
    errors: String,
}

async fn run(git_dir: &Path, remote: &Remote, moves: &[BranchMove]) -> Answer<Said> {
    let fail = |kind, message: &str| remote.error(kind, "push to", message);
    let secret = Secret::new(remote.token.expose_secret().trim()).map_err(|error| {
        fail(ErrorKind::Unavailable, &format!("no private folder could be made for the token: {error}"))
    })?;
    let mut command = Command::new("git");
    command.args(arguments(git_dir, remote, moves)).current_dir(secret.folder.path());
    command.env_clear();
    for name in KEPT {
        let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
        if let Some(value) = std::env::var_os(name).filter(|_| !(is_proxy && is_loopback(&remote.url))) {
            command.env(name, value);
        }
    }
    command
        .env("HOME", secret.folder.path())
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", secret.folder.path().join("askpass"))
        .env("LEADSMAN_GIT_USER", &remote.user)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command.spawn().map_err(|error| {
        fail(ErrorKind::Unavailable, &format!("`git` could not be started: {error}; is it installed?"))
    })?;
    let mut group = Group(child);
    let finished = tokio::time::timeout(remote.timeout, group.finish()).await;
    drop(group);
    match finished {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => Err(fail(ErrorKind::Unavailable, &format!("`git` could not be run: {error}"))),
        Err(_) => {
            let message = format!("it took longer than {} s", remote.timeout.as_secs_f32());
            Err(fail(ErrorKind::Unavailable, &message))
        }
    }
}

/// A running git with all that it started; killed when dropped.
struct Group(Child);

impl Group {
    async fn finish(&mut self) -> std::io::Result<Said> {
        let (output, errors) = (self.0.stdout.take(), self.0.stderr.take());
        let (output, errors) = tokio::try_join!(read(output), read(errors))?;
        self.0.wait().await?;
        Ok(Said { output, errors })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // None once it has been waited for: its number may belong to another process by now.
        let id = self.0.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut pipe) = pipe else { return Ok(String::new()) };
    let mut kept = Vec::new();
    (&mut pipe).take(MAX_OUTPUT).read_to_end(&mut kept).await?;
    // A full pipe would stop git.
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

fn arguments(git_dir: &Path, remote: &Remote, moves: &[BranchMove]) -> Vec<String> {
    let mut arguments = vec![format!("--git-dir={}", git_dir.display())];
    let mut set = |setting: &str| arguments.extend(["-c".to_owned(), setting.to_owned()]);
    for setting in [
        "core.hooksPath=/dev/null",
        "credential.helper=",
        "http.followRedirects=false",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
        "protocol.allow=never",
        "gc.auto=0",
    ] {
        set(setting);
    }
    set(&format!("protocol.{}.allow=always", remote.url.scheme()));
    if let Some(ca) = &remote.ca {
        set(&format!("http.sslCAInfo={}", ca.display()));
    }
    let options = ["push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no"];
    arguments.extend(options.map(ToOwned::to_owned));
    for BranchMove { branch, from, to: _, why: _ } in moves {
        // Nothing behind the colon: it must not exist.
        let seen = from.map(|id| id.to_string()).unwrap_or_default();
        arguments.push(format!("--force-with-lease=refs/heads/{branch}:{seen}"));
    }
    arguments.push("--".into());
    arguments.push(remote.url.to_string());
    for BranchMove { branch, from: _, to, why: _ } in moves {
        let new = to.map(|id| id.to_string()).unwrap_or_default();
        arguments.push(format!("{new}:refs/heads/{branch}"));
    }
    arguments
}

/// What git printed about each branch, by its name: `flag TAB from:to TAB summary (reason)`.
fn outcomes_of(said: &Said) -> HashMap<String, PushOutcome> {
    let outcome = |line: &str| {
        let mut parts = line.splitn(3, '\t');
        let (flag, refs, summary) = (parts.next()?, parts.next()?, parts.next()?);
        let (_, to) = refs.rsplit_once(':')?;
        let branch = to.strip_prefix("refs/heads/")?.to_owned();
        let outcome = match flag {
            " " | "+" | "-" | "*" | "=" => PushOutcome::Moved,
            "!" => refused(summary, &said.errors),
            _ => return None,
        };
        Some((branch, outcome))
    };
    said.output.lines().filter_map(outcome).collect()
}

fn refused(summary: &str, errors: &str) -> PushOutcome {
    // The second row is what the forge says to a push that was faster than ours by a moment.
    let stale = [
        "(stale info)",
        "(fetch first)",
        "(needs force)",
        "(reference already exists)",
        "(failed to update ref)",
        "(cannot lock ref",
        "(incorrect old value provided)",
    ];
    if stale.iter().any(|words| summary.contains(words)) {
        return PushOutcome::Stale;
    }
    let reason = summary.rsplit_once('(').map_or(summary, |(_, reason)| reason.trim_end_matches(')'));
    if !summary.starts_with("[remote rejected]") {
        return PushOutcome::Failed(printable(reason, 200));
    }
    // What the forge's hooks say stands beside; who may push is told there.
    let lines = errors.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim);
    let told: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let reason = if told.is_empty() { reason.to_owned() } else { format!("{reason}: {}", told.join(" ")) };
    PushOutcome::Refused(printable(&reason, 300))
}

/// Why a whole push failed.
fn explain(remote: &Remote, said: &Said) -> super::ForgeError {
    let lower = said.errors.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    let kind = if has(&["authentication failed", "error: 401", "terminal prompts disabled"]) {
        ErrorKind::Unauthorized
    } else if has(&["error: 403", "archived", "denied"]) {
        ErrorKind::Forbidden
    } else if has(&["not found", "error: 404"]) {
        ErrorKind::NotFound
    } else if has(&["could not resolve", "connect", "timed out", "error: 5", "error: 429", "hung up", "early eof"]) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Protocol
    };
    let lines: Vec<&str> = said.errors.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    remote.error(kind, "push to", &format!("git says: {}", lines.join("; ")))
}

/// The token where git asks for it: a private folder with the program that git runs to ask, and the file that it reads.
struct Secret {
    folder: TempDir,
}

/// Answers git's two questions. The token is read from beside it.
const ASKPASS: &str = "#!/bin/sh
case \"$1\" in
Username*) printf '%s\\n' \"$LEADSMAN_GIT_USER\" ;;
*) cat \"${0%/*}/token\" ;;
esac
";

impl Secret {
    fn new(token: &str) -> std::io::Result<Self> {
        // A folder that only we can enter.
        let folder = tempfile::Builder::new().prefix("leadsman-push-").tempdir()?;
        let write = |name: &str, mode: u32, text: &str| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(folder.path().join(name))?;
            file.write_all(text.as_bytes())
        };
        write("token", 0o600, &format!("{token}\n"))?;
        write("askpass", 0o700, ASKPASS)?;
        Ok(Self { folder })
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.path().join("token"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &str, errors: &str) -> Said {
        Said { output: output.into(), errors: errors.into() }
    }

    #[test]
    fn what_git_prints_is_read_per_branch() {
        let output = "To http://localhost/a/b.git\n\
            *\t1111:refs/heads/leadsman/a\t[new branch]\n\
            +\t1111:refs/heads/leadsman/b\t2222...1111 (forced update)\n\
            =\t1111:refs/heads/leadsman/c\t[up to date]\n\
            !\t1111:refs/heads/leadsman/d\t[rejected] (stale info)\n\
            !\t1111:refs/heads/leadsman/e\t[remote rejected] (pre-receive hook declined)\n\
            !\t1111:refs/heads/leadsman/f\t[remote rejected] (failed to update ref)\n\
            !\t1111:refs/heads/leadsman/g\t[remote failure] (remote failed to report status)\n\
            -\t:refs/heads/leadsman/h\t[deleted]\nDone\n";
        let outcomes = outcomes_of(&said(output, "remote: \nremote: branch is protected        \nerror: failed\n"));
        let of = |name: &str| outcomes[&format!("leadsman/{name}")].clone();
        for name in ["a", "b", "c", "h"] {
            assert_eq!(of(name), PushOutcome::Moved, "{name}");
        }
        assert_eq!((of("d"), of("f")), (PushOutcome::Stale, PushOutcome::Stale));
        assert_eq!(of("e"), PushOutcome::Refused("pre-receive hook declined: branch is protected".into()));
        assert_eq!(of("g"), PushOutcome::Failed("remote failed to report status".into()));
        assert_eq!(outcomes.len(), 8);
    }

    #[test]
    fn why_a_whole_push_failed_is_told_apart() {
        let remote = Remote::new("https://git.example.com/acme/fleet.git".parse().unwrap(), "hidden".to_owned().into());
        for (errors, kind) in [
            ("fatal: Authentication failed for 'https://git.example.com/acme/fleet.git/'", ErrorKind::Unauthorized),
            ("fatal: unable to access 'x': The requested URL returned error: 403", ErrorKind::Forbidden),
            ("remote: Not found.\nfatal: repository 'x' not found", ErrorKind::NotFound),
            ("fatal: unable to access 'x': Failed to connect to localhost port 1", ErrorKind::Unavailable),
            ("fatal: unable to access 'x': The requested URL returned error: 502", ErrorKind::Unavailable),
            ("fatal: something else hidden", ErrorKind::Protocol),
        ] {
            let error = explain(&remote, &said("", errors));
            assert_eq!(error.kind, kind, "{errors}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
}
