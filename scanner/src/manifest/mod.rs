//! Manifests: a text, its YAML documents, and every node's place in it.
//!
//! Pure: text in, tree and diagnostics out. Must not know files, kinds of workloads or images. Whatever the text,
//! reading it neither panics nor takes more than linear time and memory; what is broken is reported by document, and
//! the rest is read (S1.3, S1.4).

mod parse;
pub mod scalar;
mod template;
mod tree;

pub use scalar::{CoreType, Scalar, Style};
pub use tree::{Document, Entries, Kind, Layout, NodeId, Tree};

use crate::diagnostic::{Code, Diagnostic};

/// Bounds for one file (S1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub max_bytes: usize,
    /// Levels of mappings and sequences, aliases expanded.
    pub max_depth: u32,
    /// Nodes of all documents, aliases expanded.
    pub max_nodes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 16 * 1024 * 1024, max_depth: 128, max_nodes: 1_000_000 }
    }
}

impl Limits {
    /// The diagnostic for a file of this many bytes.
    #[must_use]
    pub fn too_large(&self, bytes: u64) -> Diagnostic {
        let message = format!("the file has {bytes} bytes, more than the {} that are read", self.max_bytes);
        Diagnostic::new(Code::LimitExceeded, "", message).hint("split the file")
    }

    fn too_deep(&self) -> Diagnostic {
        let message = format!("mappings and lists are nested deeper than {} levels", self.max_depth);
        Diagnostic::new(Code::LimitExceeded, "", message)
    }

    fn too_many_nodes(&self) -> Diagnostic {
        let message = format!("the file has more than {} nodes, aliases expanded", self.max_nodes);
        Diagnostic::new(Code::LimitExceeded, "", message).hint("split the file, or use fewer aliases")
    }
}

/// A text that was read.
#[derive(Debug)]
pub struct Manifest<'t> {
    /// Its documents.
    pub tree: Tree<'t>,
    /// What is wrong with it, in the order of the text. The file name is empty: who knows it fills it in.
    pub diagnostics: Vec<Diagnostic>,
}

impl Manifest<'_> {
    /// Whether a document of this file could not be read, so that nothing in it may be edited (S1.3).
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.tree.documents().iter().any(|document| document.broken)
    }
}

/// Reads a text into documents (S1.3, S1.4).
///
/// Nothing is lost by a fault: a broken document stands in [`Tree::documents`] without a root, and a diagnostic with
/// line and column says why. A text beyond a limit is read up to there.
#[must_use]
pub fn parse<'t>(text: &'t str, limits: &Limits) -> Manifest<'t> {
    let mut diagnostics = Vec::new();
    let tree = parse::parse(text, limits, &mut diagnostics);
    Manifest { tree, diagnostics }
}
