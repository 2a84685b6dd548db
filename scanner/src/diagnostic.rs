//! What a reader of manifests should hear about: errors, warnings and notes, each with its place.
//!
//! A diagnostic never stops the rest of the work. Its code is stable and part of the machine-readable output.

use schemars::JsonSchema;
use serde::Serialize;

/// How much a diagnostic matters. Only an [`Level::Error`] turns the exit code to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The document or file could not be read; its siblings were.
    Error,
    /// Read, but probably not what its author meant.
    Warning,
    /// Passed over on purpose.
    Info,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $level:ident $text:literal),* $(,)?) => {
        /// The closed list of things a diagnostic can say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($(#[$doc])* $variant),*
        }

        impl Code {
            /// Every code, in the order of the rules.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it is written in outputs, such as `duplicate-key`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The level that every diagnostic of this code has.
            #[must_use]
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level),* }
            }
        }
    };
}

codes! {
    /// The file could not be read: permissions, a fault of the disk, not UTF-8.
    UnreadableFile = Error "unreadable-file",
    /// The file, its nesting or its aliases exceed a limit (S1.4).
    LimitExceeded = Error "limit-exceeded",
    /// The document is no valid YAML (S1.3).
    InvalidYaml = Error "invalid-yaml",
    /// A mapping names one key twice (S1.3).
    DuplicateKey = Error "duplicate-key",
    /// A directory is a Helm chart, skipped with all below it (S1.2).
    ChartSkipped = Info "chart-skipped",
    /// The document is a template, read but not edited (S1.3).
    Template = Info "template",
    /// Two releases of one configured path claim one name (S1.6).
    DuplicateRelease = Warning "duplicate-release",
    /// A workload's images stand in one file and the annotations that automate it in another (S1.6).
    AnnotationsElsewhere = Info "annotations-elsewhere",
    /// The document is encrypted with SOPS: read, never edited (S1.7).
    Encrypted = Info "encrypted",
    /// A plain tag would be read as a number, boolean, date or null by YAML (S2.3).
    UnquotedTag = Warning "unquoted-tag",
    /// A tag without a repository beside it (S2.8).
    TagWithoutRepository = Info "tag-without-repository",
    /// `global.imageRegistry` is set: the chart may pull from elsewhere (S2.8).
    GlobalRegistry = Warning "global-registry",
    /// An alias path does not resolve (S3.1, S3.2).
    AliasUnresolved = Warning "alias-unresolved",
    /// `fluxcd.io/automated` is not the string `"true"` (S4.1).
    AutomatedNotAString = Warning "automated-not-a-string",
    /// A lock or ignore annotation is no string; it holds all the same (S4.3).
    LockNotAString = Warning "lock-not-a-string",
    /// Several annotations give different filters for one container (S4.2).
    FilterConflict = Warning "filter-conflict",
    /// A filter annotation names no container of the workload (S4.2).
    FilterWithoutContainer = Warning "filter-without-container",
    /// A filter has white space at its start or end, or after its prefix (S4.4).
    FilterHasSpace = Warning "filter-has-space",
    /// The filter cannot be parsed and matches nothing (S4.4).
    FilterInvalid = Warning "filter-invalid",
    /// A `leadsman.dev/` annotation is unknown or has an unusable value (S4.5).
    AnnotationInvalid = Warning "annotation-invalid",
    /// The line belongs to Flux v2's image automation (S7.8).
    FluxMarker = Info "flux-marker",
}

/// One message about a place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub code: Code,
    /// The file, relative to the path that was scanned, with `/`.
    pub file: String,
    /// Line from 1, where the place is known.
    pub line: Option<u32>,
    /// Column from 1 in code points, where the place is known.
    pub column: Option<u32>,
    /// What was found, in one sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A diagnostic of the code's own level, about a whole file.
    #[must_use]
    pub fn new(code: Code, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            level: code.level(),
            code,
            file: file.into(),
            line: None,
            column: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same, at a line and column, both from 1.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }

    /// The same, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_serde_writes_them() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
