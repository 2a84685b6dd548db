//! What the pipeline reads: a numbered list of files, whatever holds them.

use super::folder::Found;
use super::{Reader, text};
use crate::diagnostic::Diagnostic;
use crate::manifest::Limits;

/// Files to read, by number from 0. Several threads ask at once, each with a [`Reader`] of its own.
pub trait Files: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How outputs call the file.
    fn name(&self, index: usize) -> &str;

    /// The given path that the file was found under, from 0 (S1.6 holds within one).
    fn root(&self, _index: usize) -> usize {
        0
    }

    /// What was noticed while the files were listed.
    fn diagnostics(&self) -> &[Diagnostic];

    /// The text of the file; `None` where it is passed over (S1.3).
    ///
    /// # Errors
    /// A diagnostic that names the file, where it cannot be read as text.
    fn text<'r>(&'r self, index: usize, reader: &'r mut Reader) -> Result<Option<&'r str>, Diagnostic>;
}

impl Files for Found {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.files[index].name
    }

    fn root(&self, index: usize) -> usize {
        self.files[index].root
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    fn text<'r>(&'r self, index: usize, reader: &'r mut Reader) -> Result<Option<&'r str>, Diagnostic> {
        reader.read(&self.files[index].path, &self.files[index].name)
    }
}

/// Texts in memory, each with its name.
#[derive(Debug, Default)]
pub struct Texts(Vec<(String, Vec<u8>)>);

impl FromIterator<(String, Vec<u8>)> for Texts {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(files: I) -> Self {
        Self(files.into_iter().collect())
    }
}

impl Files for Texts {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.0[index].0
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        &[]
    }

    fn text<'r>(&'r self, index: usize, reader: &'r mut Reader) -> Result<Option<&'r str>, Diagnostic> {
        let (name, bytes) = &self.0[index];
        text(bytes, name, reader.selection(), reader.limits())
    }
}

impl Reader {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn selection(&self) -> &super::Selection {
        &self.selection
    }
}
