//! Where manifests come from, and bytes to text. One of the few modules that touch the file system.
//!
//! Decides which files are manifests (S1.1), which are worth parsing (S1.3), and which cannot be read as text; not
//! what they hold. A folder and a commit of the same tree give the same manifests (S1.2).

pub mod commit;
pub mod folder;
pub mod write;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::diagnostic::{Code, Diagnostic};
use crate::manifest::Limits;

/// The file that makes a directory a chart, together with [`CHART_VALUES`] (S1.2).
pub const CHART: &str = "Chart.yaml";

/// The values of a chart (S1.2).
pub const CHART_VALUES: &str = "values.yaml";

/// The directory below a chart whose files are templates (S1.2).
pub const CHART_TEMPLATES: &str = "templates";

/// Files that may be manifests, by number: a folder's, or a commit's.
///
/// Several threads may read at once.
pub trait Files: Sync {
    /// How many there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What reports call a file, with `/`. No two files have the same name.
    fn name(&self, index: usize) -> &str;

    /// Which of the paths that were asked for a file was found under, from 0. One release may stand in each (S1.6).
    fn root(&self, _index: usize) -> usize {
        0
    }

    /// Appends the bytes of a file to `buffer`.
    ///
    /// # Errors
    /// A diagnostic that names the file, where it cannot be read, or is larger than the limit (S1.4): then it is not
    /// read at all.
    fn read(&self, index: usize, buffer: &mut Vec<u8>) -> Result<(), Diagnostic>;

    /// What was skipped or could not be read while the files were looked for.
    fn diagnostics(&self) -> &[Diagnostic];
}

/// Whether a file of this name is read as manifests: `.yaml`, `.yml`, `.json` (S1.1).
#[must_use]
pub fn is_manifest_name(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
}

/// Whether a file is worth parsing: one of `fluxcd.io/`, `flux.weave.works/` and `leadsman.dev/` stands in it (S1.3).
#[must_use]
pub fn has_mark(bytes: &[u8]) -> bool {
    static MARKS: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["fluxcd.io/", "flux.weave.works/", "leadsman.dev/"].map(Finder::new));
    let found = |bytes: &[u8]| MARKS.iter().any(|mark| mark.find(bytes).is_some());
    if is_utf_16(bytes) {
        // A NUL stands beside each letter.
        let letters: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        return found(&letters);
    }
    found(bytes)
}

/// The bytes of a manifest as text. A byte-order mark stays: places count from the start of the file.
///
/// # Errors
/// A diagnostic without a file name, with the place, where the bytes are not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<&str, Diagnostic> {
    if is_utf_16(bytes) {
        let message = "the file is in UTF-16, and only UTF-8 is read";
        return Err(Diagnostic::new(Code::UnreadableFile, "", message).at(1, 1).hint("save it as UTF-8"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let message = format!("the byte 0x{:02x} is not UTF-8", bytes[error.valid_up_to()]);
        Diagnostic::new(Code::UnreadableFile, "", message)
            .at(place(line), place(column))
            .hint("save the file as UTF-8; it may be in Latin-1 or Windows-1252")
    })
}

fn is_utf_16(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
}

/// Appends the bytes of the file at `path` to `buffer`; diagnostics call it `name`.
///
/// # Errors
/// Where it cannot be read, is no file, or has more bytes than the limit (S1.4): then it is not read.
pub fn read_file(path: &Path, name: &str, limits: &Limits, buffer: &mut Vec<u8>) -> Result<(), Diagnostic> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::new(Code::UnreadableFile, name, format!("cannot read `{name}`: {error}"))
            .hint("nothing in it was looked at")
    };
    let too_large = |bytes| Diagnostic { file: name.into(), ..limits.too_large(bytes) };
    let max = limits.max_bytes as u64;
    let file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes > max {
        return Err(too_large(bytes));
    }
    let before = buffer.len();
    buffer.reserve(usize::try_from(bytes).unwrap_or_default() + 1);
    // A file may grow while it is read.
    file.take(max + 1).read_to_end(buffer).map_err(unreadable)?;
    let read = (buffer.len() - before) as u64;
    if read > max { Err(too_large(read)) } else { Ok(()) }
}
