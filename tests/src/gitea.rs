//! A real Gitea on a free port of this machine, with four people in it.
//!
//! Built once per machine by `tests/parts/build gitea`. Each one has a folder and a database of its own, which are gone
//! with it. Calls here are what people do: they go to the API as some person, not through the client that is tested.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::registry::http::send;

/// The version that `tests/parts/gitea/go.mod` names.
const VERSION: &str = "1.26.0";

/// Everybody's password.
const PASSWORD: &str = "a-password-of-tests";

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The number.
    pub id: i64,
    /// The name.
    pub login: String,
    /// A token that may do all that the account may.
    pub token: String,
}

/// A running Gitea; it ends, and forgets all, when dropped.
#[derive(Debug)]
pub struct Gitea {
    /// Where it listens.
    pub address: SocketAddr,
    /// Administers the server and owns the repositories.
    pub admin: Account,
    /// The bot: an administrator of each repository.
    pub bot: Account,
    /// May read each repository, and no more.
    pub reader: Account,
    /// Has nothing to do with any repository.
    pub stranger: Account,
    process: Child,
    folder: TempDir,
}

impl Gitea {
    /// Starts an empty one.
    ///
    /// # Errors
    /// Where it has not been built, with the command that does, or does not come up.
    pub fn start() -> Result<Self> {
        let part = part()?;
        let folder = tempfile::tempdir()?;
        // Another process may take the port before the server does.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            std::fs::write(folder.path().join("app.ini"), configuration(address, &part, folder.path()))?;
            if !folder.path().join("gitea.db").exists() {
                command(&part, folder.path(), &["migrate"])?;
            }
            let output = Stdio::from(std::fs::File::create(folder.path().join("output"))?);
            let mut process = gitea(&part, folder.path())
                .arg("web")
                .stdin(Stdio::null())
                .stdout(output)
                .stderr(Stdio::null())
                .spawn()
                .context("starting Gitea")?;
            if comes_up(address, &mut process)? {
                let none = Account { id: 0, login: String::new(), token: String::new() };
                let [admin, bot, reader, stranger] = [(); 4].map(|()| none.clone());
                let mut server = Self { address, admin, bot, reader, stranger, process, folder };
                server.make_people(&part)?;
                return Ok(server);
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        bail!("Gitea did not come up: {}", said(folder.path()))
    }

    /// One that is running for another test of this program, or a new one.
    ///
    /// # Panics
    /// Where there is none and none can be started.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Gitea>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start().unwrap_or_else(|error| panic!("{error:#}")));
            *running = Arc::downgrade(&server);
            server
        })
    }

    fn make_people(&mut self, part: &Path) -> Result<()> {
        let arguments = [
            "admin",
            "user",
            "create",
            "--admin",
            "--username",
            "owner",
            "--email",
            "owner@example.com",
            "--password",
            PASSWORD,
            "--must-change-password=false",
            "--access-token",
            "--access-token-scopes",
            "all",
        ];
        let printed = command(part, self.folder.path(), &arguments)?;
        let token = printed.split_whitespace().last().context("no token was printed")?.to_owned();
        self.admin = Account { id: 1, login: "owner".into(), token };
        let admin = self.admin.clone();
        let person = |name: &str| -> Result<Account> {
            let body = json!({
                "username": name, "email": format!("{name}@example.com"), "password": PASSWORD,
                "must_change_password": false,
            });
            let id = self.expect(&admin, "POST", "/admin/users", &body)?["id"].as_i64().context("no id")?;
            let token = self.make_token(name, &["all"])?;
            Ok(Account { id, login: name.into(), token })
        };
        let (bot, reader, stranger) = (person("leadsman")?, person("reader")?, person("stranger")?);
        (self.bot, self.reader, self.stranger) = (bot, reader, stranger);
        Ok(())
    }

    /// Its address for people.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that the repository (`owner/name`) is fetched from and pushed to.
    #[must_use]
    pub fn clone_url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.url())
    }

    /// The same with a person's name and password in it, for the real `git`.
    #[must_use]
    pub fn clone_url_as(&self, person: &Account, repository: &str) -> String {
        format!("http://{}:{}@{}/{repository}.git", person.login, person.token, self.address)
    }

    /// What the server has written into its log.
    #[must_use]
    pub fn log(&self) -> String {
        said(self.folder.path())
    }

    /// Makes one more token of a person, with these scopes.
    ///
    /// # Errors
    /// Where Gitea refuses.
    pub fn make_token(&self, login: &str, scopes: &[&str]) -> Result<String> {
        let name = format!("{}-{}", scopes.join("-").replace(':', "-"), login);
        let basic = format!("Basic {}", STANDARD.encode(format!("{login}:{PASSWORD}")));
        let body = json!({ "name": name, "scopes": scopes }).to_string();
        let path = format!("/api/v1/users/{login}/tokens");
        let headers = [("Authorization", basic.as_str()), ("Content-Type", "application/json")];
        let (status, answer) = ask(self.address, "POST", &path, &headers, &body)?;
        let token = answer["sha1"].as_str().ok_or_else(|| anyhow!("no token for {login} ({status}): {answer}"))?;
        Ok(token.to_owned())
    }

    /// Makes one more person, who may do nothing yet.
    ///
    /// # Panics
    /// Where Gitea refuses.
    #[must_use]
    pub fn person(&self, login: &str) -> Account {
        let body = json!({
            "username": login, "email": format!("{login}@example.com"), "password": PASSWORD,
            "must_change_password": false,
        });
        let id = self.call(&self.admin, "POST", "/admin/users", &body)["id"].as_i64().expect("an id");
        Account { id, login: login.into(), token: self.make_token(login, &["all"]).expect("a token") }
    }

    /// Calls the API as `person`; `path` begins behind `/api/v1`, `body` may be null. The status, and the answer or null.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn try_call(&self, person: &Account, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let authorization = format!("token {}", person.token);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        ask(self.address, method, &format!("/api/v1{path}"), &headers, &text)
    }

    fn expect(&self, person: &Account, method: &str, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.try_call(person, method, path, body)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} as {}: {status} {answer}", person.login);
        }
        Ok(answer)
    }

    /// Calls the API as `person`, as [`Gitea::try_call`].
    ///
    /// # Panics
    /// Where Gitea refuses.
    pub fn call(&self, person: &Account, method: &str, path: &str, body: &Value) -> Value {
        self.expect(person, method, path, body).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Makes the repository `owner/<name>` with these files in one commit on `main`, private, where the bot is an
    /// administrator and the reader reads. Returns its full name.
    ///
    /// # Panics
    /// Where Gitea refuses.
    #[must_use]
    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        let full = self.empty_repository(name);
        self.commit(&self.admin, &full, "main", "Begin", files);
        full
    }

    /// The same without any commit.
    ///
    /// # Panics
    /// Where Gitea refuses.
    #[must_use]
    pub fn empty_repository(&self, name: &str) -> String {
        let body = json!({ "name": name, "private": true, "default_branch": "main" });
        let made = self.call(&self.admin, "POST", "/user/repos", &body);
        let full = made["full_name"].as_str().expect("a name").to_owned();
        self.invite(&full, &self.bot, "admin");
        self.invite(&full, &self.reader, "read");
        full
    }

    /// Lets somebody `read`, `write` or `admin` a repository.
    pub fn invite(&self, repository: &str, person: &Account, permission: &str) {
        let path = format!("/repos/{repository}/collaborators/{}", person.login);
        self.call(&self.admin, "PUT", &path, &json!({ "permission": permission }));
    }

    /// Writes files in one commit of a person's on a branch, which is made from the default one where it is missing.
    /// Returns the commit's id.
    ///
    /// # Panics
    /// Where Gitea refuses.
    pub fn commit(
        &self,
        person: &Account,
        repository: &str,
        branch: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> String {
        let path = format!("/repos/{repository}/branches/{branch}");
        let (status, _) = self.try_call(person, "GET", &path, &Value::Null).expect("an answer");
        let is_new = status != 200 && branch != "main";
        let from = if is_new { "main" } else { branch };
        let file = |(path, text): &(&str, &str)| {
            let known = format!("/repos/{repository}/contents/{path}?ref={from}");
            let (status, known) = self.try_call(person, "GET", &known, &Value::Null).expect("an answer");
            let mut change = json!({ "path": path, "content": STANDARD.encode(text), "operation": "create" });
            if status == 200 {
                change["operation"] = json!("update");
                change["sha"] = known["sha"].clone();
            }
            change
        };
        let files: Vec<Value> = files.iter().map(file).collect();
        let mut body = json!({ "message": message, "files": files });
        body[if is_new { "new_branch" } else { "branch" }] = json!(branch);
        let made = self.call(person, "POST", &format!("/repos/{repository}/contents"), &body);
        made["commit"]["sha"].as_str().expect("a commit").to_owned()
    }

    /// The commit that a branch is at; none where there is no such branch.
    ///
    /// # Panics
    /// Where Gitea gives no answer.
    #[must_use]
    pub fn head(&self, repository: &str, branch: &str) -> Option<String> {
        let path = format!("/repos/{repository}/branches/{branch}");
        let (status, answer) = self.try_call(&self.admin, "GET", &path, &Value::Null).expect("an answer");
        (status == 200).then(|| answer["commit"]["id"].as_str().expect("a commit").to_owned())
    }

    /// The text of a file on a branch.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn file(&self, repository: &str, branch: &str, path: &str) -> String {
        let path = format!("/repos/{repository}/contents/{path}?ref={branch}");
        let answer = self.call(&self.admin, "GET", &path, &Value::Null);
        let text = STANDARD.decode(answer["content"].as_str().expect("content")).expect("Base64");
        String::from_utf8(text).expect("UTF-8")
    }

    /// Protects a branch: `rule` is what the API calls its options.
    pub fn protect(&self, repository: &str, branch: &str, rule: &Value) {
        let mut body = rule.clone();
        body["rule_name"] = json!(branch);
        self.call(&self.admin, "POST", &format!("/repos/{repository}/branch_protections"), &body);
    }

    /// Sets a status of a commit, as a build server does.
    pub fn status(&self, repository: &str, commit: &str, context: &str, state: &str) {
        let body = json!({ "state": state, "context": context, "target_url": "https://ci.example.com/1" });
        self.call(&self.admin, "POST", &format!("/repos/{repository}/statuses/{commit}"), &body);
    }

    /// Comments on an issue or pull request as somebody; the comment's number.
    ///
    /// # Panics
    /// Where Gitea refuses.
    pub fn comment(&self, person: &Account, repository: &str, number: i64, text: &str) -> i64 {
        let path = format!("/repos/{repository}/issues/{number}/comments");
        self.call(person, "POST", &path, &json!({ "body": text }))["id"].as_i64().expect("an id")
    }

    /// Reviews a pull request as somebody: `APPROVED`, `REQUEST_CHANGES` or `COMMENT`.
    ///
    /// # Panics
    /// Where Gitea refuses.
    pub fn review(&self, person: &Account, repository: &str, number: i64, state: &str) -> i64 {
        let path = format!("/repos/{repository}/pulls/{number}/reviews");
        self.call(person, "POST", &path, &json!({ "event": state, "body": state }))["id"].as_i64().expect("an id")
    }

    /// Opens a pull request as somebody; its number.
    ///
    /// # Panics
    /// Where Gitea refuses.
    pub fn pull(&self, person: &Account, repository: &str, branch: &str, title: &str) -> i64 {
        let body = json!({ "head": branch, "base": "main", "title": title, "body": "" });
        let made = self.call(person, "POST", &format!("/repos/{repository}/pulls"), &body);
        made["number"].as_i64().expect("a number")
    }
}

impl Drop for Gitea {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends one request; the status, and the answer or null.
fn ask(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, Value)> {
    let answer = send(address, method, target, headers, body.as_bytes())?;
    let chunked = answer.headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunked(&answer.body) } else { answer.body };
    Ok((answer.status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// A body that came in chunks: each is its length in hexadecimal digits, and that many bytes, on lines of their own.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let digits = String::from_utf8_lossy(&rest[..end]);
        let length = usize::from_str_radix(digits.trim(), 16).expect("the length of a chunk");
        let chunk = &rest[end + 2..];
        if length == 0 {
            break;
        }
        body.extend_from_slice(&chunk[..length]);
        rest = &chunk[length + 2..];
    }
    body
}

/// The folder of the built server.
fn part() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).context("`HOME` is not set")?;
    let folder = cache.join("leadsman/parts").join(format!("gitea-{VERSION}"));
    if folder.join("gitea").is_file() {
        return Ok(folder);
    }
    bail!("there is no Gitea at `{}`: build it once with `tests/parts/build gitea`", folder.display())
}

fn gitea(part: &Path, folder: &Path) -> Command {
    let mut command = Command::new(part.join("gitea"));
    command.arg("--config").arg(folder.join("app.ini")).arg("--work-path").arg(folder).current_dir(folder);
    // Nothing of whoever runs the tests.
    command.env_clear().env("HOME", folder).env("USER", user());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs a command of the server to its end; what it printed.
fn command(part: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = gitea(part, folder).args(arguments).output().context("starting Gitea")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("`gitea {}` failed: {printed}{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(printed)
}

fn comes_up(address: SocketAddr, process: &mut Child) -> Result<bool> {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end && process.try_wait()?.is_none() {
        if send(address, "GET", "/api/v1/version", &[], b"").is_ok_and(|answer| answer.status == 200) {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    Ok(false)
}

fn said(folder: &Path) -> String {
    ["output", "log/gitea.log"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap_or_default()).concat()
}

fn user() -> String {
    let name =
        Command::new("id").arg("-un").output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    name.unwrap_or_default().trim().to_owned()
}

fn configuration(address: SocketAddr, part: &Path, folder: &Path) -> String {
    let (ip, port) = (address.ip(), address.port());
    let (user, part, folder) = (user(), part.display(), folder.display());
    format!(
        "RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {folder}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http
HTTP_ADDR = {ip}
HTTP_PORT = {port}
ROOT_URL = http://{address}/
STATIC_ROOT_PATH = {part}
APP_DATA_PATH = {folder}/data
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = tests
PASSWORD_HASH_ALGO = pbkdf2_v1
[service]
DISABLE_REGISTRATION = true
[oauth2]
ENABLED = false
[session]
PROVIDER = memory
[queue]
TYPE = channel
[indexer]
ISSUE_INDEXER_TYPE = db
[cron]
ENABLED = false
[actions]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
MODE = file
LEVEL = warn
ROOT_PATH = {folder}/log
"
    )
}
