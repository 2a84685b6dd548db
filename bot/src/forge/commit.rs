//! Builds the one commit that a branch of Leadsman holds.
//!
//! Writes objects, never refs. The commit is a function of its input: author and committer are Leadsman, the time is
//! that of the base commit, so trying again gives the same id. A tree is changed by replacing the id of one entry in
//! its bytes: every mode, name and order stays as it is.

use gix::ObjectId;
use gix::actor::Signature;
use gix::date::Time;
use thiserror::Error;

/// The name that stands in commits and reflogs.
pub const BOT_NAME: &str = "Leadsman";

/// The address that stands in commits and reflogs.
pub const BOT_EMAIL: &str = "bot@leadsman.dev";

/// The trailer that says what a commit proposes.
pub const PLAN_TRAILER: &str = "Leadsman-Plan";

/// Leadsman as the author of a commit or reflog entry, at `time`.
#[must_use]
pub fn bot(time: Time) -> Signature {
    Signature { name: BOT_NAME.into(), email: BOT_EMAIL.into(), time }
}

/// Why a commit cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The tree has no such file; it was there when the base was read.
    #[error("the tree `{tree}` has no file `{path}`")]
    NoSuchFile {
        /// The tree that was searched.
        tree: ObjectId,
        /// The path within it.
        path: String,
    },
    /// Reading or writing objects.
    #[error("cannot {what}: {source}")]
    Objects {
        /// What was being done.
        what: &'static str,
        /// What git's own writer says.
        source: Box<gix::Error>,
    },
}

impl BuildError {
    fn objects(what: &'static str) -> impl FnOnce(gix::Error) -> Self {
        move |source| Self::Objects { what, source: Box::new(source) }
    }
}

/// The commit that branches start from, read once for any number of commits on it.
#[derive(Debug, Clone)]
pub struct Base {
    /// The commit's id.
    pub id: ObjectId,
    tree: ObjectId,
    time: Time,
}

impl Base {
    /// Reads the commit `id`.
    ///
    /// # Errors
    /// Where the commit cannot be read.
    pub fn read(repository: &gix::Repository, id: ObjectId) -> Result<Self, BuildError> {
        let fail = |source| BuildError::objects("read the base commit")(source);
        let commit = repository.find_commit(id).map_err(fail)?;
        let tree = commit.tree_id().map_err(fail)?.detach();
        Ok(Self { id, tree, time: commit.time().map_err(fail)? })
    }

    /// Writes a commit on this base in which the file at `path` holds `text`, and nothing else differs. `message` is
    /// its whole message, trailers included.
    ///
    /// # Errors
    /// Where `path` is no file of the base, or objects cannot be read or written.
    pub fn commit(
        &self,
        repository: &gix::Repository,
        path: &str,
        text: &[u8],
        message: &str,
    ) -> Result<ObjectId, BuildError> {
        let blob = repository.write_blob(text).map_err(BuildError::objects("write a blob"))?.detach();
        let tree = with_file(repository, self.tree, path, blob)?;
        let commit = gix::objs::Commit {
            tree,
            parents: [self.id].into_iter().collect(),
            author: bot(self.time),
            committer: bot(self.time),
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        Ok(repository.write_object(&commit).map_err(BuildError::objects("write a commit"))?.detach())
    }
}

/// Writes the tree that differs from `tree` in the blob at `path` only.
///
/// # Errors
/// Where `path` is no file of `tree`, or objects cannot be read or written.
pub fn with_file(
    repository: &gix::Repository,
    tree: ObjectId,
    path: &str,
    blob: ObjectId,
) -> Result<ObjectId, BuildError> {
    let mut bytes = repository.find_tree(tree).map_err(BuildError::objects("read a tree"))?.take_data();
    let missing = || BuildError::NoSuchFile { tree, path: path.into() };
    let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let entry = find_entry(&bytes, name.as_bytes(), rest.is_some(), tree.as_slice().len()).ok_or_else(missing)?;
    let id = match rest {
        Some(rest) => with_file(repository, ObjectId::from_bytes_or_panic(&bytes[entry.clone()]), rest, blob).map_err(
            |error| match error {
                BuildError::NoSuchFile { .. } => missing(),
                other @ BuildError::Objects { .. } => other,
            },
        )?,
        None => blob,
    };
    bytes[entry].copy_from_slice(id.as_slice());
    Ok(repository.write_object(RawTree(bytes)).map_err(BuildError::objects("write a tree"))?.detach())
}

/// Where the id of the entry `name` stands in the bytes of a tree: `mode SP name NUL id`, repeated.
fn find_entry(tree: &[u8], name: &[u8], folder: bool, id_len: usize) -> Option<std::ops::Range<usize>> {
    let mut at = 0;
    while at < tree.len() {
        let space = at + tree[at..].iter().position(|byte| *byte == b' ')?;
        let nul = space + tree[space..].iter().position(|byte| *byte == 0)?;
        let id = nul + 1..nul + 1 + id_len;
        if id.end > tree.len() {
            return None;
        }
        let mode = &tree[at..space];
        // Some old writers padded the mode of a folder.
        let is_folder = matches!(mode, b"40000" | b"040000");
        let is_file = mode.starts_with(b"100");
        if &tree[space + 1..nul] == name {
            return (if folder { is_folder } else { is_file }).then_some(id);
        }
        at = id.end;
    }
    None
}

/// A tree as it is stored.
struct RawTree(Vec<u8>);

impl gix::objs::WriteTo for RawTree {
    fn write_to(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        out.write_all(&self.0)
    }

    fn kind(&self) -> gix::objs::Kind {
        gix::objs::Kind::Tree
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}
