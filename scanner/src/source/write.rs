//! Puts edited manifests back on disk, so that at any point each file is either the old or the new one (S7.5).
//!
//! Owns temporary files, their names and their removal. Must not know what is in the files. A file is replaced like
//! this, each step before the next:
//!
//! 1. A new file beside it is made, exclusively, under a name that no reader of manifests takes for one; it is locked,
//!    so that another run can tell it from a leftover.
//! 2. It gets the owner and the mode of the old one, the new text, and is synced.
//! 3. The old file is read once more; if it is not what the edit was made from, the edit is dropped.
//! 4. The new file is renamed over the old one. Directories are synced once each, by [`Writer::finish`].
//!
//! Between 3 and 4 another program can still write: nothing short of a lock that both honour could prevent that.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use thiserror::Error;

const PREFIX: &str = ".leadsman-";
const SUFFIX: &str = ".tmp";

/// How often a temporary file is made anew because another run took it for a leftover before it was locked.
const ATTEMPTS: usize = 8;

/// What a file's content was when it was read: its length and SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    length: u64,
    sha256: [u8; 32],
}

impl Fingerprint {
    /// The fingerprint of these bytes.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self { length: content.len() as u64, sha256: Sha256::digest(content).into() }
    }

    /// Whether the file's content is still the same, without keeping it in memory.
    fn is_of(&self, mut file: &File, buffer: &mut Vec<u8>) -> io::Result<bool> {
        // One byte more than expected tells a longer file, however long it is.
        buffer.clear();
        (&mut file).take(self.length.saturating_add(1)).read_to_end(buffer)?;
        Ok(buffer.len() as u64 == self.length && Self::of(buffer) == *self)
    }
}

/// Why a file was not replaced. In every case it is what it was before, and the temporary file is gone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file is not what it was when it was read. Read it again and decide anew.
    #[error("`{}` changed after it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Renaming would part the file from its other names.
    #[error("`{}` has {links} hard links, which replacing it would part: keep one of them, or edit it by hand", path.display())]
    HardLinked {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// A symbolic link that leads out of the tree.
    #[error("`{}` is a link to `{}`, outside of `{}`: name the target itself to have it edited", path.display(), target.display(), tree.display())]
    OutsideTree {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// The tree it leaves.
        tree: PathBuf,
    },
    /// A directory, a device, a pipe.
    #[error("`{}` is no regular file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// No room: the disk, a quota or a limit on the size of files.
    #[error("no room to write `{}`, which stays as it was: {source}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else that the system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            // Nothing is looked up here that was not there when it was read.
            ErrorKind::NotFound => Self::Changed { path },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full { path, source },
            _ => Self::Io { action, path, source },
        }
    }

    fn at<'p>(action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> Self + 'p {
        move |source| Self::new(action, path, source)
    }
}

/// Replaces files below one tree. To be shared by threads: each calls [`Writer::replace`] for its files, and the one
/// that is left calls [`Writer::finish`].
#[derive(Debug)]
pub struct Writer {
    tree: PathBuf,
    /// The directories that were written into, and whether one must be synced.
    directories: Mutex<BTreeMap<PathBuf, bool>>,
}

impl Writer {
    /// A writer for the files below `tree`: links are followed only if they end there.
    #[must_use]
    pub fn new(tree: impl Into<PathBuf>) -> Self {
        Self { tree: tree.into(), directories: Mutex::default() }
    }

    /// Replaces the content of the file `path` by `new`, if it still is `read` (S7.5). A symbolic link stays one, its
    /// target is replaced. The first time that a directory is met, what a killed run left there is removed.
    ///
    /// The new content is on the disk when this returns; that the name leads to it even after a loss of power is sure
    /// only after [`Writer::finish`]. Until then such a loss can bring back the old file, whole.
    ///
    /// # Errors
    /// Why the file stays as it was.
    pub fn replace(&self, path: &Path, read: &Fingerprint, new: &str) -> Result<(), WriteError> {
        let path = &*self.resolve(path)?;
        let old = File::open(path).map_err(WriteError::at("read", path))?;
        let metadata = old.metadata().map_err(WriteError::at("read", path))?;
        if !metadata.is_file() {
            return Err(WriteError::NotAFile { path: path.to_owned() });
        }
        let links = platform::links(&metadata);
        if links > 1 {
            return Err(WriteError::HardLinked { path: path.to_owned(), links });
        }
        let directory = directory_of(path);
        self.enter(directory);

        let mut file = create(directory).map_err(WriteError::at("create a temporary file beside", path))?;
        // The owner first: changing it can take bits off the mode.
        platform::keep_owner(file.as_file(), &metadata).map_err(WriteError::at("keep the owner of", path))?;
        file.as_file().set_permissions(metadata.permissions()).map_err(WriteError::at("keep the mode of", path))?;
        file.write_all(new.as_bytes()).map_err(WriteError::at("write the new text of", path))?;
        file.as_file().sync_all().map_err(WriteError::at("write the new text of", path))?;

        if !is_unchanged(path, &old, &metadata, read).map_err(WriteError::at("read", path))? {
            return Err(WriteError::Changed { path: path.to_owned() });
        }
        file.persist(path).map_err(|error| WriteError::new("replace", path, error.error))?;
        self.directories().insert(directory.to_owned(), true);
        Ok(())
    }

    /// Syncs every directory in which a file was replaced, once.
    ///
    /// # Errors
    /// One for each directory that could not be synced; its files are replaced all the same.
    pub fn finish(self) -> Vec<WriteError> {
        let directories = self.directories.into_inner().unwrap_or_else(PoisonError::into_inner);
        directories
            .into_iter()
            .filter(|(_, written)| *written)
            .filter_map(|(directory, _)| {
                let synced = platform::sync_directory(&directory);
                synced.err().map(|error| WriteError::new("sync the directory", &directory, error))
            })
            .collect()
    }

    fn directories(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, bool>> {
        // A panic elsewhere cannot leave the map half changed.
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file to replace: the path itself, or what it links to.
    fn resolve<'p>(&self, path: &'p Path) -> Result<std::borrow::Cow<'p, Path>, WriteError> {
        let metadata = fs::symlink_metadata(path).map_err(WriteError::at("read", path))?;
        if !metadata.is_symlink() {
            return Ok(path.into());
        }
        let target = fs::canonicalize(path).map_err(WriteError::at("follow the link", path))?;
        let tree = fs::canonicalize(&self.tree).map_err(WriteError::at("read", &self.tree))?;
        if !target.starts_with(&tree) {
            return Err(WriteError::OutsideTree { path: path.to_owned(), target, tree: self.tree.clone() });
        }
        Ok(target.into())
    }

    /// Removes leftovers from the directory when it is met first. That this fails is no reason not to write.
    fn enter(&self, directory: &Path) {
        {
            let mut directories = self.directories();
            if directories.contains_key(directory) {
                return;
            }
            directories.insert(directory.to_owned(), false);
        }
        if let Err(error) = sweep(directory) {
            tracing::debug!(directory = %directory.display(), %error, "cannot look for leftover temporary files");
        }
    }
}

/// Whether a file name is one of this module's temporary files.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Removes the temporary files in a directory that belong to no running program, and says how many they were (S7.5).
///
/// # Errors
/// Where the directory cannot be read. A leftover that cannot be removed stays.
pub fn sweep(directory: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_leftover = entry.file_name().to_str().is_some_and(is_temporary) && entry.file_type()?.is_file();
        if is_leftover && remove_if_unlocked(&entry.path()).unwrap_or(false) {
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_if_unlocked(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.try_lock().is_err() {
        return Ok(false);
    }
    // Removed while locked: its writer, if it has just been made, sees that it is gone.
    fs::remove_file(path)?;
    Ok(true)
}

/// A new file in the directory that is locked and has a name.
fn create(directory: &Path) -> io::Result<NamedTempFile> {
    for _ in 0..ATTEMPTS {
        let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).rand_bytes(12).tempfile_in(directory)?;
        match file.as_file().try_lock() {
            // A file system without locks: no sweep removes anything there either.
            Err(TryLockError::Error(_)) => return Ok(file),
            Ok(()) if platform::links(&file.as_file().metadata()?) > 0 => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "other runs keep removing it"))
}

/// Whether the path still leads to the file that was opened, and that one still holds what was read.
fn is_unchanged(path: &Path, opened: &File, metadata: &Metadata, read: &Fingerprint) -> io::Result<bool> {
    let now = match fs::symlink_metadata(path) {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut buffer = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1));
    Ok(platform::is_same_file(&now, metadata) && read.is_of(opened, &mut buffer)?)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
mod platform {
    use std::fs::{File, Metadata};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{MetadataExt, fchown};
    use std::path::Path;

    pub(super) fn links(metadata: &Metadata) -> u64 {
        metadata.nlink()
    }

    pub(super) fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    }

    /// Gives the new file the owner and group of the old one, as far as this user may.
    pub(super) fn keep_owner(new: &File, old: &Metadata) -> io::Result<()> {
        let now = new.metadata()?;
        if (now.uid(), now.gid()) == (old.uid(), old.gid()) {
            return Ok(());
        }
        let owner = fchown(new, Some(old.uid()), Some(old.gid()));
        match owner.or_else(|_| fchown(new, None, Some(old.gid()))) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            result => result,
        }
    }

    pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

#[cfg(not(unix))]
mod platform {
    use std::fs::{File, Metadata};
    use std::io;
    use std::path::Path;

    pub(super) fn links(_: &Metadata) -> u64 {
        1
    }

    pub(super) fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
        a.len() == b.len() && a.modified().ok() == b.modified().ok()
    }

    pub(super) fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
