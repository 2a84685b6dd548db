//! Where manifests come from, and bytes to text. One of the few modules that touch the file system.
//!
//! Decides which files are manifests (S1.1), which are worth parsing (S1.3), and which cannot be read as text; not
//! what they hold. A folder and a commit of the same tree give the same manifests (S1.2).

pub mod folder;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::detect::Marks;
use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::Limits;

/// The file that makes a directory a chart, together with [`CHART_VALUES`] (S1.2).
pub const CHART: &str = "Chart.yaml";

/// The values of a chart (S1.2).
pub const CHART_VALUES: &str = "values.yaml";

/// The directory below a chart whose files are templates (S1.2).
pub const CHART_TEMPLATES: &str = "templates";

/// Whether a file of this name is read as manifests: `.yaml`, `.yml`, `.json` (S1.1).
#[must_use]
pub fn is_manifest_name(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
}

/// Which files are parsed (S1.3).
#[derive(Debug)]
pub enum Selection {
    /// Only those with a mark; others are passed over, whatever is wrong with them.
    Marked(Marks),
    /// All (`--all`).
    All,
}

impl Selection {
    /// Files with a mark.
    #[must_use]
    pub fn marked() -> Self {
        Self::Marked(Marks::default())
    }

    fn takes(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Marked(marks) => marks.are_in(bytes),
            Self::All => true,
        }
    }
}

/// The bytes of a manifest as text; `None` where the selection passes it over (S1.3).
///
/// A byte-order mark stays: places count from the start of the file.
///
/// # Errors
/// A diagnostic about `file` where the bytes are too many (S1.4) or no UTF-8, with the place.
pub fn text<'b>(
    bytes: &'b [u8],
    file: &str,
    selection: &Selection,
    limits: &Limits,
) -> Result<Option<&'b str>, Diagnostic> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes {
        // In UTF-16 a mark has a NUL beside each letter.
        let letters: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        if !selection.takes(&letters) {
            return Ok(None);
        }
        let message = "the file is in UTF-16, and only UTF-8 is read";
        return Err(Diagnostic::new(Code::UnreadableFile, file, message).at(1, 1).hint("save it as UTF-8"));
    }
    if !selection.takes(bytes) {
        return Ok(None);
    }
    if bytes.len() > limits.max_bytes {
        return Err(Diagnostic { file: file.into(), ..limits.too_large(bytes.len() as u64) });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = memchr::memchr_iter(b'\n', before).count() + 1;
            let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
            let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
            let message = format!("the byte 0x{:02x} is no UTF-8", bytes[error.valid_up_to()]);
            let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            Err(Diagnostic::new(Code::UnreadableFile, file, message)
                .at(place(line), place(column))
                .hint("save the file as UTF-8; it may be in Latin-1 or Windows-1252"))
        }
    }
}

/// Reads files one after the other into one buffer. One per thread.
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    selection: Selection,
    limits: Limits,
}

impl Reader {
    /// A reader of the files that the selection takes.
    #[must_use]
    pub fn new(selection: Selection, limits: Limits) -> Self {
        Self { buffer: Vec::new(), selection, limits }
    }

    /// The text of a file, valid until the next is read; `None` where the file is passed over (S1.3).
    ///
    /// # Errors
    /// A diagnostic about `name` where the file cannot be read, is no UTF-8, or is larger than the limit: then it is
    /// not read at all.
    pub fn read(&mut self, path: &Path, name: &str) -> Result<Option<&str>, Diagnostic> {
        let unreadable = |error: std::io::Error| {
            Diagnostic::new(Code::UnreadableFile, name, format!("cannot read `{name}`: {error}"))
                .hint("nothing in it was looked at")
        };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let too_large = |bytes| Diagnostic { file: name.into(), ..self.limits.too_large(bytes) };
        let max = self.limits.max_bytes as u64;
        if bytes > max {
            return Err(too_large(bytes));
        }
        self.buffer.clear();
        self.buffer.reserve(usize::try_from(bytes).unwrap_or_default() + 1);
        // A file may grow while it is read.
        file.take(max + 1).read_to_end(&mut self.buffer).map_err(unreadable)?;
        if self.buffer.len() as u64 > max {
            return Err(too_large(self.buffer.len() as u64));
        }
        text(&self.buffer, name, &self.selection, &self.limits)
    }
}
