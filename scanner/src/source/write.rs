//! Puts edited manifests back on disk, so that at any point each file is either the old or the new one (S7.5).
//!
//! Owns temporary files, their names and their removal. Must not know what is in the files. A file is replaced like
//! this, each step before the next:
//!
//! 1. A new file beside it is made, exclusively, under a name that no reader of manifests takes for one; it is locked,
//!    so that another run can tell it from a leftover. It gets the owner and the mode of the old one, and the new text.
//! 2. It is synced. With many files all are written before the first is synced, for a journal is then written once for
//!    all of them: stage each, then sync each, then put each in place.
//! 3. The old file is read once more; if it is not what the edit was made from, the edit is dropped.
//! 4. The new file is renamed over the old one. [`Writer::finish`] syncs the renaming.
//!
//! Between 3 and 4 another program can still write: nothing short of a lock that both honour could prevent that.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use thiserror::Error;

const PREFIX: &str = ".leadsman-";
const SUFFIX: &str = ".tmp";

/// What is being done while a new text goes to the disk.
const WRITING: &str = "write the new text of";

/// How many directories are synced at the same time: a journal is then written once for many of them.
const SYNCS: usize = 16;

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

    /// Whether this is still the content of the file.
    fn is_of(&self, file: &mut File, length: u64) -> io::Result<bool> {
        if length != self.length {
            return Ok(false);
        }
        let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        match file.read_exact(&mut content) {
            Ok(()) => Ok(Self::of(&content) == *self),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
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
    /// The directories that were met, and whether a file in them was replaced.
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
    pub fn replace(&self, path: &Path, read: Fingerprint, new: &str) -> Result<(), WriteError> {
        self.stage(path, read, new)?.sync()?.put_in_place()
    }

    /// Writes the new content of the file `path` beside it, and leaves the file as it is. What else holds for
    /// [`Writer::replace`] holds here. Dropping the result removes what was written.
    ///
    /// # Errors
    /// Why the file stays as it was.
    pub fn stage(&self, path: &Path, read: Fingerprint, new: &str) -> Result<Staged<'_>, WriteError> {
        let (path, old) = self.resolve(path)?;
        if !old.is_file() {
            return Err(WriteError::NotAFile { path });
        }
        let links = platform::links(&old);
        if links > 1 {
            return Err(WriteError::HardLinked { path, links });
        }
        let directory = directory_of(&path);
        self.enter(directory);

        let (mut file, now) = create(directory).map_err(WriteError::at("create a temporary file beside", &path))?;
        // The owner first: changing it can take bits off the mode.
        let owned =
            platform::keep_owner(file.as_file(), &now, &old).map_err(WriteError::at("keep the owner of", &path))?;
        if owned || now.permissions() != old.permissions() {
            let kept = file.as_file().set_permissions(old.permissions());
            kept.map_err(WriteError::at("keep the mode of", &path))?;
        }
        file.write_all(new.as_bytes()).map_err(WriteError::at(WRITING, &path))?;
        platform::begin_to_sync(file.as_file());
        Ok(Staged { writer: self, file, path, old, read })
    }

    /// Syncs every directory in which a file was replaced, once.
    ///
    /// Returns one error for each that could not be synced; its files are replaced all the same.
    #[must_use]
    pub fn finish(self) -> Vec<WriteError> {
        let directories = self.directories.into_inner().unwrap_or_else(PoisonError::into_inner);
        let written: Vec<PathBuf> =
            directories.into_iter().filter_map(|(directory, written)| written.then_some(directory)).collect();
        let sync = |directory: &PathBuf| {
            let error = platform::sync_directory(directory).err()?;
            Some(WriteError::new("sync the directory", directory, error))
        };
        let share = written.len().div_ceil(SYNCS).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = written
                .chunks(share)
                .map(|chunk| scope.spawn(move || chunk.iter().filter_map(sync).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        })
    }

    /// The file to replace, the path itself or what it links to, and what is known of it.
    fn resolve(&self, path: &Path) -> Result<(PathBuf, Metadata), WriteError> {
        let metadata = fs::symlink_metadata(path).map_err(WriteError::at("read", path))?;
        if !metadata.is_symlink() {
            return Ok((path.to_owned(), metadata));
        }
        let target = fs::canonicalize(path).map_err(WriteError::at("follow the link", path))?;
        let tree = fs::canonicalize(&self.tree).map_err(WriteError::at("read", &self.tree))?;
        if !target.starts_with(&tree) {
            return Err(WriteError::OutsideTree { path: path.to_owned(), target, tree: self.tree.clone() });
        }
        let metadata = fs::symlink_metadata(&target).map_err(WriteError::at("read", &target))?;
        Ok((target, metadata))
    }

    /// Removes leftovers from the directory when it is met first. That this fails is no reason not to write.
    fn enter(&self, directory: &Path) {
        {
            let mut directories = lock(&self.directories);
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

/// The new content of a file, written beside it and not yet in its place. Dropped, it is removed.
#[derive(Debug)]
pub struct Staged<'w> {
    writer: &'w Writer,
    file: NamedTempFile,
    path: PathBuf,
    old: Metadata,
    read: Fingerprint,
}

impl<'w> Staged<'w> {
    /// Waits until the new content is on the disk.
    ///
    /// # Errors
    /// Why the file stays as it was.
    pub fn sync(self) -> Result<Synced<'w>, WriteError> {
        self.file.as_file().sync_all().map_err(WriteError::at(WRITING, &self.path))?;
        Ok(Synced(self))
    }
}

/// The new content of a file, on the disk beside it. Dropped, it is removed.
#[derive(Debug)]
pub struct Synced<'w>(Staged<'w>);

impl Synced<'_> {
    /// Gives the new content the file's name, if the file still is what was read.
    ///
    /// # Errors
    /// Why the file stays as it was.
    pub fn put_in_place(self) -> Result<(), WriteError> {
        let Staged { writer, file, path, old, read } = self.0;
        if !is_unchanged(&path, &old, &read).map_err(WriteError::at("read", &path))? {
            return Err(WriteError::Changed { path });
        }
        file.persist(&path).map_err(|error| WriteError::new("replace", &path, error.error))?;
        if let Some(written) = lock(&writer.directories).get_mut(directory_of(&path)) {
            *written = true;
        }
        Ok(())
    }
}

/// A panic elsewhere cannot leave what is locked here half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A new file in the directory that is locked and has a name, and what is known of it.
fn create(directory: &Path) -> io::Result<(NamedTempFile, Metadata)> {
    for _ in 0..ATTEMPTS {
        let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).rand_bytes(12).tempfile_in(directory)?;
        let locked = file.as_file().try_lock();
        let metadata = file.as_file().metadata()?;
        match locked {
            // A file system without locks: no sweep removes anything there either.
            Err(TryLockError::Error(_)) => return Ok((file, metadata)),
            Ok(()) if platform::links(&metadata) > 0 => return Ok((file, metadata)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
        }
    }
    Err(io::Error::new(ErrorKind::ResourceBusy, "other runs keep removing it"))
}

/// Whether the path still leads to the same file, and that one still holds what was read.
fn is_unchanged(path: &Path, old: &Metadata, read: &Fingerprint) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let now = file.metadata()?;
    Ok(platform::is_same_file(&now, old) && read.is_of(&mut file, now.len())?)
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

    /// Gives the new file the owner and group of the old one, as far as this user may. Says whether it tried.
    pub(super) fn keep_owner(new: &File, now: &Metadata, old: &Metadata) -> io::Result<bool> {
        if (now.uid(), now.gid()) == (old.uid(), old.gid()) {
            return Ok(false);
        }
        let owner = fchown(new, Some(old.uid()), Some(old.gid()));
        match owner.or_else(|_| fchown(new, None, Some(old.gid()))) {
            Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(error),
            _ => Ok(true),
        }
    }

    /// Has the system begin to write the file to the disk, where it can be told to: without that it would look for the
    /// file's place on the disk only when it is synced, and write its journal anew for each of many.
    pub(super) fn begin_to_sync(file: &File) {
        // Refused by file systems that know no such advice. It is one, so nothing is lost.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = file;
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

    pub(super) fn keep_owner(_: &File, _: &Metadata, _: &Metadata) -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn begin_to_sync(_: &File) {}

    pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
