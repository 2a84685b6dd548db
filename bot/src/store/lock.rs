//! The lock on a data folder: one process at a time, and the others are told which one has it.
//!
//! The system releases the lock with the process, however it ends, so there is nothing to clean up.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The lock's file within the data folder.
const FILE: &str = "lock";

/// The longest description of a holder that is read, in bytes.
const MAX_HOLDER: u64 = 512;

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

/// Why a data folder is not to be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data folder `{}` is in use by {holder}; wait for it, or choose another with `--data DIR`", .folder.display())]
    Held {
        /// The folder.
        folder: PathBuf,
        /// What the other process wrote of itself.
        holder: String,
    },
    /// The lock's file cannot be opened, locked or written.
    #[error("cannot lock the data folder `{}`: {source}; choose another with `--data DIR`", .folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // A child that is being started right now may hold a copy of the file: closing ours would not be enough.
        let _ = self.file.unlock();
    }
}

impl FolderLock {
    /// Takes the lock of `folder`, which exists, without waiting. `holder` is what others are told.
    ///
    /// # Errors
    /// Where another process has it, or its file cannot be written.
    pub fn take(folder: &Path, holder: &str) -> Result<Self, LockError> {
        let fail = |source| LockError::Io { folder: folder.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE))
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.take(MAX_HOLDER).read_to_string(&mut text);
                let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
                let holder = if text.is_empty() { "another process".to_owned() } else { text };
                return Err(LockError::Held { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{holder}")).map_err(fail)?;
        Ok(Self { file })
    }
}
