//! A repository of a forge on local disk: shallow, bare, and a cache that may be deleted at any time.
//!
//! Owns the folders of mirrors. Fetches the base branch and the branches below `leadsman/`, with as much of their
//! history as decisions need, and hands out the repository for reading files and building commits. Pushes
//! nothing ([`super::push`]) and decides nothing. All of it blocks: callers give it a thread of its own.
//!
//! Invariants: what [`Mirror::fetch`] returns is what the forge said in that call, and all of it can be read; a mirror
//! that is damaged, or has grown to twice its fresh size, is replaced by a new one, whole or not at all; the token is in
//! memory only and never follows a redirect.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::error::Class;
use gix::protocol::transport::client::blocking_io::http;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit};
use gix::refs::{FullName, Target};
use gix::remote::fetch::{Shallow, Tags};
use leadsman_scanner::source::commit;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::Url;

use super::http::{check_scheme, host_of, is_loopback, printable};
use super::{ErrorKind, ForgeError};
use crate::plan::BRANCH_PREFIX;

/// How many commits of each branch are fetched: a person's on top, ours below it, and the one that ours stands on.
const DEPTH: NonZeroU32 = NonZeroU32::new(3).expect("three is not zero");

/// From how many packs on a mirror is replaced: each fetch adds one, and each makes looking up slower.
const MAX_PACKS: usize = 200;

/// What a mirror may grow by before its size is compared with its fresh one, in bytes.
const SLACK: u64 = 32 << 20;

/// How often a running fetch is held against its limits.
const WATCH: Duration = Duration::from_millis(50);

/// The file in which a mirror keeps its fresh size.
const FRESH_SIZE: &str = "leadsman-fresh-size";

/// Where git fetches from and pushes to, and as whom.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The address, without user and password.
    pub url: Url,
    /// The user name that goes with a token.
    pub user: String,
    /// The token.
    pub token: SecretString,
    /// Whether plain HTTP may be spoken with another machine.
    pub insecure: bool,
    /// A file with the certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// How long one fetch or push may take.
    pub timeout: Duration,
    /// The most bytes a mirror may take on disk.
    pub max_size: u64,
}

impl Remote {
    /// The usual limits: ten minutes and 2 GiB.
    #[must_use]
    pub fn new(url: Url, token: SecretString) -> Self {
        let timeout = Duration::from_secs(600);
        Self { url, user: "leadsman".into(), token, insecure: false, ca: None, timeout, max_size: 2 << 30 }
    }

    /// An error in speaking with this remote. The message may be text of others.
    pub(super) fn error(&self, kind: ErrorKind, doing: &str, message: &str) -> ForgeError {
        let secret = self.token.expose_secret().trim();
        let message = if secret.is_empty() { message.to_owned() } else { message.replace(secret, "***") };
        let what = format!("{doing} `{}`", printable(self.url.path(), 200));
        ForgeError { kind, what, host: host_of(&self.url), message: printable(message.trim(), 400) }
    }

    /// Refuses what the token must not be sent over.
    pub(super) fn check(&self, doing: &str) -> Result<(), ForgeError> {
        check_scheme(&self.url, self.insecure).map_err(|message| self.error(ErrorKind::Invalid, doing, &message))
    }
}

/// What the forge had when it was fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The head of the base branch.
    pub base: ObjectId,
    /// The branches below `leadsman/`, without `refs/heads/`, and their heads.
    pub branches: BTreeMap<String, ObjectId>,
}

/// Why there is no mirror.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// The forge did not give it.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// There is no such branch, or no commit at all.
    #[error("`{url}` has no branch `{branch}`")]
    NoBranch {
        /// The repository.
        url: String,
        /// The branch that was asked for.
        branch: String,
    },
    /// It is larger than it may be.
    #[error("`{url}` takes more than {limit} bytes on disk; raise the limit if it is meant to be read")]
    TooLarge {
        /// The repository.
        url: String,
        /// The most bytes it may take.
        limit: u64,
    },
    /// The disk, or what is on it.
    #[error("cannot {what} the mirror `{}`: {reason}", .folder.display())]
    Disk {
        /// What was being done.
        what: &'static str,
        /// The mirror's folder.
        folder: PathBuf,
        /// What the system, or git's own reader, says.
        reason: String,
    },
}

/// A bare, shallow copy of one repository.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    remote: Remote,
}

impl Mirror {
    /// The mirror in `folder`, as it was left there; an empty one where there is none, or where what is there cannot be
    /// opened. Asks nobody: the first [`Mirror::fetch`] fills it.
    ///
    /// # Errors
    /// Where the disk does not take it, or the token must not be sent to this address.
    pub fn open_or_make(folder: &Path, remote: Remote) -> Result<Self, MirrorError> {
        remote.check("mirror")?;
        // rustls refuses to choose between providers; whoever comes first chooses, and a second choice is no error.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mirror = Self { folder: folder.to_owned(), remote };
        if commit::open(folder).is_err() {
            mirror.make_anew(|_| Ok(()))?;
        }
        Ok(mirror)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it comes from.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The repository, for reading what was fetched and for writing objects. It stays readable while another fetch runs,
    /// but not when the mirror is replaced: ask again after each fetch.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn repository(&self) -> Result<gix::Repository, MirrorError> {
        commit::open(&self.folder).map_err(|error| self.disk("open", &error))
    }

    /// Throws the mirror away and begins with an empty one: for who finds that an object cannot be read.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn discard(&self) -> Result<(), MirrorError> {
        self.make_anew(|_| Ok(()))
    }

    /// Brings in the branch `base` and all branches below `leadsman/`. Two requests where nothing is new.
    ///
    /// # Errors
    /// Where the forge does not give it, there is no such branch, it is too large, or the disk does not take it.
    pub fn fetch(&self, base: &str) -> Result<Fetched, MirrorError> {
        let fresh = self.fresh_size();
        let doubt = match self.fetch_into(&self.folder, base) {
            Ok((fetched, received)) if !received || fresh.is_some_and(|fresh| !self.has_outgrown(fresh)) => {
                return Ok(fetched);
            }
            Ok((fetched, _)) if fresh.is_none() => {
                self.keep_size(&self.folder)?;
                return Ok(fetched);
            }
            Ok(_) => "it has grown to twice its fresh size",
            // What cannot be understood may come from damage here, but not in a mirror that has just been made.
            Err(MirrorError::Disk { .. }) => "it is damaged",
            Err(MirrorError::Forge(error)) if error.kind == ErrorKind::Protocol && fresh.is_some() => {
                "it may be damaged"
            }
            Err(error) => return Err(error),
        };
        tracing::info!(mirror = %self.folder.display(), doubt, "fetching the mirror anew");
        let mut fetched = None;
        self.make_anew(|folder| {
            fetched = Some(self.fetch_into(folder, base)?.0);
            self.keep_size(folder)
        })?;
        fetched.ok_or_else(|| self.disk("fill", &"nothing was fetched"))
    }

    /// What the mirror took when it was made; none where it has not been filled yet.
    fn fresh_size(&self) -> Option<u64> {
        fs::read_to_string(self.folder.join(FRESH_SIZE)).ok()?.trim().parse().ok()
    }

    fn keep_size(&self, folder: &Path) -> Result<(), MirrorError> {
        let size = size_of(folder).to_string();
        fs::write(folder.join(FRESH_SIZE), size).map_err(|error| self.disk("write", &error))
    }

    /// Whether the mirror is to be fetched anew.
    fn has_outgrown(&self, fresh: u64) -> bool {
        let packs = fs::read_dir(self.folder.join("objects/pack")).map_or(0, Iterator::count) / 2;
        packs > MAX_PACKS || size_of(&self.folder) > fresh.saturating_mul(2).max(fresh.saturating_add(SLACK))
    }

    fn disk(&self, what: &'static str, reason: &dyn std::fmt::Display) -> MirrorError {
        MirrorError::Disk { what, folder: self.folder.clone(), reason: printable(&reason.to_string(), 400) }
    }

    /// Makes an empty repository beside the mirror, fills it, and puts it in the mirror's place.
    fn make_anew(&self, fill: impl FnOnce(&Path) -> Result<(), MirrorError>) -> Result<(), MirrorError> {
        let fail = |error: std::io::Error| self.disk("make", &error);
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(fail)?;
        // Both go with this folder, whatever happens.
        let place = tempfile::Builder::new().prefix(".mirror-").tempdir_in(parent).map_err(fail)?;
        let (new, old) = (place.path().join("new.git"), place.path().join("old.git"));
        let options = gix::create::Options { destination_must_be_empty: Some(true), ..Default::default() };
        let isolated = gix::open::Options::isolated();
        gix::ThreadSafeRepository::init_opts(&new, gix::create::Kind::Bare, options, isolated)
            .map_err(|error| self.disk("make", &error))?;
        fill(&new)?;
        if self.folder.symlink_metadata().is_ok() {
            fs::rename(&self.folder, &old).map_err(fail)?;
        }
        fs::rename(&new, &self.folder).map_err(fail)
    }

    /// Fetches into the repository in `folder`; what the forge has, and whether anything came.
    fn fetch_into(&self, folder: &Path, base: &str) -> Result<(Fetched, bool), MirrorError> {
        let repository = commit::open(folder).map_err(|error| self.disk("open", &error))?;
        let no_branch = || MirrorError::NoBranch { url: self.remote.url.to_string(), branch: printable(base, 200) };
        let base_ref = format!("refs/heads/{base}");
        FullName::try_from(base_ref.as_str()).map_err(|_| no_branch())?;
        let ours = format!("refs/heads/{BRANCH_PREFIX}*");
        let specs = [format!("+{base_ref}:{base_ref}"), format!("+{ours}:{ours}")];

        let watch = Watch::new(&self.remote, folder);
        let outcome = watch.over(|interrupt| self.receive(&repository, &specs, interrupt));
        let (heads, received) = match outcome {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain(watch.broken(), &error)),
        };
        let fetched = self.sort_out(&heads, &base_ref).ok_or_else(no_branch)?;
        self.check(&repository, &fetched)?;
        self.set_refs(&repository, base_ref, &fetched)?;
        Ok((fetched, received))
    }

    /// Asks for the heads, and for what is not here of them.
    fn receive(
        &self,
        repository: &gix::Repository,
        specs: &[String],
        interrupt: &AtomicBool,
    ) -> gix::Result<(Vec<(String, ObjectId)>, bool)> {
        let url = gix::url::parse(self.remote.url.as_str())?;
        let remote = repository
            .remote_at_without_url_rewrite(url)?
            .with_fetch_tags(Tags::None)
            .with_refspecs(specs.iter().map(String::as_str), gix::remote::Direction::Fetch)?;
        let connection = remote
            .connect(gix::remote::Direction::Fetch)?
            .with_credentials(|_| Ok(None))
            .with_transport_options(Box::new(self.transport()));
        let prepared = connection.prepare_fetch(gix::progress::Discard, Default::default())?;
        let heads: Vec<(String, ObjectId)> = prepared
            .ref_map()
            .mappings
            .iter()
            .filter_map(|mapping| {
                let name = mapping.remote.as_name()?.to_str().ok()?.to_owned();
                Some((name, mapping.remote.peeled_id()?.to_owned()))
            })
            .collect();
        if heads.is_empty() || heads.iter().all(|(_, id)| is_whole(repository, *id)) {
            return Ok((heads, false));
        }
        prepared.with_shallow(Shallow::DepthAtRemote(DEPTH)).receive(gix::progress::Discard, interrupt)?;
        Ok((heads, true))
    }

    fn transport(&self) -> http::Options {
        let Remote { url, user, token, ca, timeout, .. } = &self.remote;
        let credentials = STANDARD.encode(format!("{user}:{}", token.expose_secret().trim()));
        let (loopback, plain, ca, timeout) = (is_loopback(url), url.scheme() == "http", ca.clone(), *timeout);
        let client = http::reqwest::Options {
            configure_client: Some(Box::new(move |builder| {
                let mut builder = builder.timeout(timeout).retry(reqwest::retry::never());
                if loopback {
                    builder = builder.no_proxy();
                }
                if plain {
                    builder = builder.tls_certs_only([]);
                } else if let Some(path) = &ca {
                    let certificates = super::http::certificates(path).map_err(gix::error::validation)?;
                    builder = builder.tls_certs_merge(certificates);
                }
                Ok(builder)
            })),
            configure_request: None,
        };
        http::Options {
            extra_headers: vec![format!("Authorization: Basic {credentials}")],
            follow_redirects: http::options::FollowRedirects::None,
            user_agent: Some(concat!("git/leadsman-", env!("CARGO_PKG_VERSION")).into()),
            backend: Some(Arc::new(Mutex::new(client))),
            ..http::Options::default()
        }
    }

    fn sort_out(&self, heads: &[(String, ObjectId)], base_ref: &str) -> Option<Fetched> {
        let base = heads.iter().find(|(name, _)| name == base_ref)?.1;
        let ours = heads.iter().filter_map(|(name, id)| {
            let name = name.strip_prefix("refs/heads/")?;
            name.starts_with(BRANCH_PREFIX).then(|| (name.to_owned(), *id))
        });
        Some(Fetched { base, branches: ours.collect() })
    }

    /// That every head can be read with its tree, and where history ends.
    fn check(&self, repository: &gix::Repository, fetched: &Fetched) -> Result<(), MirrorError> {
        repository.shallow_commits().map_err(|error| self.disk("read", &error))?;
        for id in fetched.branches.values().chain([&fetched.base]) {
            if !is_whole(repository, *id) {
                return Err(self.disk("read", &format!("commit `{id}` or its tree is missing")));
            }
        }
        Ok(())
    }

    /// Sets the refs to what was fetched, so that the next fetch says what is here already, and drops all others.
    fn set_refs(&self, repository: &gix::Repository, base_ref: String, fetched: &Fetched) -> Result<(), MirrorError> {
        let fail = |error: gix::Error| self.disk("write refs into", &error);
        let mut wanted: BTreeMap<String, ObjectId> =
            fetched.branches.iter().map(|(name, id)| (format!("refs/heads/{name}"), *id)).collect();
        wanted.insert(base_ref, fetched.base);
        let mut edits = Vec::new();
        for reference in repository.references().map_err(fail)?.prefixed("refs/heads/").map_err(fail)? {
            let reference = reference.map_err(fail)?;
            let name = reference.name().as_bstr().to_str_lossy().into_owned();
            match wanted.get(&name) {
                Some(id) if reference.target().try_id() == Some(id) => {
                    wanted.remove(&name);
                }
                Some(_) => {}
                None => {
                    let change = Change::Delete {
                        expected: PreviousValue::Any,
                        log: gix::refs::transaction::RefLog::AndReference,
                    };
                    edits.push(RefEdit::new(reference.name().to_owned(), change));
                }
            }
        }
        for (name, id) in wanted {
            let change =
                Change::Update { log: LogChange::default(), expected: PreviousValue::Any, new: Target::Object(id) };
            let name = FullName::try_from(name).map_err(|error| fail(gix::Error::from_error(error)))?;
            edits.push(RefEdit::new(name, change));
        }
        if !edits.is_empty() {
            repository.edit_references_as(edits, None).map_err(fail)?;
        }
        Ok(())
    }

    /// Why a fetch failed: a limit that was passed, what the forge said, or else the disk.
    fn explain(&self, broken: Option<Limit>, error: &gix::Error) -> MirrorError {
        let mut said = String::new();
        for cause in error.iter_errors() {
            let _ = write!(said, "{}{cause}", if said.is_empty() { "" } else { ": " });
        }
        let forge = |kind, message: &str| MirrorError::Forge(self.remote.error(kind, "fetch", message));
        match broken {
            Some(Limit::Size) => {
                return MirrorError::TooLarge { url: self.remote.url.to_string(), limit: self.remote.max_size };
            }
            Some(Limit::Time) => {
                let message = format!("it took longer than {} s", self.remote.timeout.as_secs());
                return forge(ErrorKind::Unavailable, &message);
            }
            None => {}
        }
        // The class does not tell all statuses apart, the message does.
        let status = said.split_once("HTTP status ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
        let unauthenticated = error.is_unauthenticated() || said.contains("uthentication");
        let kind = match (status, error.dominant_class()) {
            (Some(401), _) => ErrorKind::Unauthorized,
            (Some(403), _) => ErrorKind::Forbidden,
            (Some(404 | 410), _) => ErrorKind::NotFound,
            (Some(429 | 500..), _) => ErrorKind::Unavailable,
            (Some(_), _) => ErrorKind::Protocol,
            (None, _) if unauthenticated => ErrorKind::Unauthorized,
            (None, Some(Class::Retryable)) => ErrorKind::Unavailable,
            _ if error.iter_errors().any(is_of_disk) => return self.disk("fetch into", &said),
            _ => ErrorKind::Protocol,
        };
        forge(kind, &said)
    }
}

/// Whether a cause is the disk's, which a fetch anew would meet again.
fn is_of_disk(cause: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
        matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
    })
}

/// Whether a commit is here with its root tree.
fn is_whole(repository: &gix::Repository, id: ObjectId) -> bool {
    let tree = repository.find_commit(id).and_then(|commit| commit.tree_id().map(gix::Id::detach));
    tree.and_then(|tree| repository.find_tree(tree).map(|_| ())).is_ok()
}

/// The bytes of all files below a folder.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// A limit of a running fetch.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Size,
    Time,
}

/// Stops a fetch that takes too long or too much room.
struct Watch {
    folder: PathBuf,
    max_size: u64,
    timeout: Duration,
    broken: Mutex<Option<Limit>>,
}

impl Watch {
    fn new(remote: &Remote, folder: &Path) -> Self {
        let (max_size, timeout) = (remote.max_size, remote.timeout);
        Self { folder: folder.to_owned(), max_size, timeout, broken: Mutex::default() }
    }

    fn broken(&self) -> Option<Limit> {
        *self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn over<T>(&self, work: impl FnOnce(&AtomicBool) -> gix::Result<T>) -> gix::Result<T> {
        let (interrupt, started) = (AtomicBool::new(false), Instant::now());
        let (done, ended) = mpsc::channel::<()>();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                let ended = ended;
                while ended.recv_timeout(WATCH) == Err(RecvTimeoutError::Timeout) {
                    if let Some(limit) = self.passed(started) {
                        *self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(limit);
                        interrupt.store(true, Ordering::Relaxed);
                    }
                }
            });
            let outcome = work(&interrupt);
            drop(done);
            outcome
        });
        // What came in one piece, between two looks.
        match self.passed(started) {
            Some(limit @ Limit::Size) if outcome.is_ok() => {
                *self.broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(limit);
                Err(gix::Error::from_error(std::io::Error::other("too large")))
            }
            _ => outcome,
        }
    }

    fn passed(&self, started: Instant) -> Option<Limit> {
        if started.elapsed() > self.timeout {
            return Some(Limit::Time);
        }
        (size_of(&self.folder.join("objects/pack")) > self.max_size).then_some(Limit::Size)
    }
}
