//! The closed lists of what can be said of a container: its status, the flags beside it, and the verdict on each
//! tag that was looked at (S6).

use schemars::JsonSchema;
use serde::Serialize;

macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$doc])* $variant),*
        }

        impl $name {
            /// Every word, in the order of precedence.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word as outputs write it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// The state of one container. The order is the order of precedence: the first that holds is shown (S6).
    Status {
        /// The workload says `ignore` (S4.3).
        Ignored = "ignored",
        /// The workload says `locked` (S4.3).
        Locked = "locked",
        /// The reference cannot be parsed (S2.4, S2.5).
        Invalid = "invalid",
        /// A path of an alias does not resolve to a scalar (S3.2).
        Unresolved = "unresolved",
        /// The image has no tag (S2.3).
        Untagged = "untagged",
        /// A digest pin without a tag (S2.6).
        DigestOnly = "digest-only",
        /// The workload is not automated (S4.1).
        NotAutomated = "not-automated",
        /// The filter cannot be parsed and matches nothing (S4.4).
        FilterInvalid = "filter-invalid",
        /// The document is encrypted with SOPS (S1.7).
        Encrypted = "encrypted",
        /// The registry could not be asked, or not asked in full (S6.3).
        RegistryError = "registry-error",
        /// More matching tags than may be asked for their creation time (S6.3).
        TooManyTags = "too-many-tags",
        /// No tag matches the filter.
        NoMatch = "no-match",
        /// The order needs creation times and no matching tag has one (S6.3).
        NoCreationTime = "no-creation-time",
        /// The best match is lower than the current tag (S6.4).
        Downgrade = "downgrade",
        /// Only tags of another variant are newer (S6.6).
        VariantChange = "variant-change",
        /// Only tags younger than the minimum age are newer (S6.7).
        TooYoung = "too-young",
        /// The current tag is the best.
        Current = "current",
        /// The tag's scalar has an anchor that a container with another choice uses (S7.4).
        SharedAnchor = "shared-anchor",
        /// Two containers share one tag scalar and choose differently (S3.3).
        SharedTag = "shared-tag",
        /// There is a newer tag and the file cannot be edited (S7).
        EditRefused = "edit-refused",
        /// There is a newer tag.
        Update = "update",
    }
}

impl Status {
    /// Whether this status makes the exit code 1: something was asked for and could not be done.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::FilterInvalid
                | Self::RegistryError
                | Self::TooManyTags
                | Self::EditRefused
                | Self::SharedAnchor
                | Self::SharedTag
        )
    }
}

words! {
    /// What is worth knowing beside a status.
    Flag {
        /// The update goes to a lower version, because the filter says where to be (S6.4).
        MovesDown = "moves-down",
        /// The registry no longer has the current tag (S6.5).
        CurrentGone = "current-gone",
        /// The tag is a plain scalar that YAML reads as something else than a string (S2.3).
        UnquotedTag = "unquoted-tag",
    }
}

words! {
    /// Why a tag was taken or left (S6.8).
    Verdict {
        /// This is the choice.
        Selected = "selected",
        /// The tag in the file now.
        Current = "current",
        /// It matches, and another one comes before it in the order.
        Older = "older",
        /// The filter does not match it.
        Filter = "filter",
        /// It is `latest`, which only a filter of that name takes (S5.4).
        Latest = "latest",
        /// It belongs to a signature, an attestation or an SBOM (S5.4).
        Artifact = "artifact",
        /// It is lower than the current tag (S6.4).
        Downgrade = "downgrade",
        /// It is of another variant than the current tag (S6.6).
        Variant = "variant",
        /// It is younger than the minimum age, or its age is unknown (S6.7).
        TooYoung = "too-young",
        /// People do not want it, whatever the filter says (S6.9).
        Ignored = "ignored",
        /// It is no version, and versions are what it is ordered by (S4.5).
        NoVersion = "no-version",
        /// It has no number to order by (S4.5).
        NoNumber = "no-number",
        /// The group to order by took no part in the match (S4.5).
        NoText = "no-text",
        /// It has no usable creation time (S6.2).
        NoCreationTime = "no-creation-time",
        /// Its metadata is lastingly not to be had (S6.3).
        Unavailable = "unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_as_serde_writes_them() {
        for word in Status::ALL {
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
        for word in Flag::ALL {
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
        for word in Verdict::ALL {
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
    }
}
