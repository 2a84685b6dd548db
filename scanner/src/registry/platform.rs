//! The platform whose image of an index is read (S6.2).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An operating system, a processor architecture and its variant, by the names Go and the OCI give them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8`; `None` where the architecture's usual one is meant.
    pub variant: Option<String>,
}

impl Default for Platform {
    /// `linux/amd64` (S6.2).
    fn default() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }
}

impl Platform {
    /// How well an entry of an index fits: 2 exactly, 1 in another variant, 0 not at all.
    pub(super) fn fit(&self, os: &str, architecture: &str, variant: Option<&str>) -> u8 {
        if self.os != os || self.architecture != architecture {
            return 0;
        }
        let wanted = usual(architecture, self.variant.as_deref());
        if wanted == usual(architecture, variant) { 2 } else { 1 }
    }
}

/// The variant that is meant where none is written.
fn usual<'a>(architecture: &str, variant: Option<&'a str>) -> Option<&'a str> {
    match (architecture, variant) {
        ("arm64", None | Some("")) => Some("v8"),
        ("arm", None | Some("")) => Some("v7"),
        (_, Some("")) => None,
        (_, variant) => variant,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// The text is no `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no platform, write one such as `linux/amd64` or `linux/arm64/v8`")]
pub struct PlatformError(String);

impl FromStr for Platform {
    type Err = PlatformError;

    /// Parses `os/architecture` or `os/architecture/variant`, each of lower-case letters, digits, `.`, `_` and `-`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [os, architecture, variant @ ..] if variant.len() < 2 && parts.iter().all(|part| word(part)) => Ok(Self {
                os: (*os).into(),
                architecture: (*architecture).into(),
                variant: variant.first().map(|variant| (*variant).into()),
            }),
            _ => Err(PlatformError(super::error::printable(text, 100))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_written() {
        for text in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm64/v8/x", "Linux/amd64", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_unwritten_variant_is_the_usual_one_s6_2() {
        let arm: Platform = "linux/arm64".parse().unwrap();
        assert_eq!(arm.fit("linux", "arm64", Some("v8")), 2);
        assert_eq!(arm.fit("linux", "arm64", None), 2);
        assert_eq!(arm.fit("linux", "arm64", Some("v9")), 1);
        assert_eq!(arm.fit("linux", "amd64", None), 0);
        assert_eq!("linux/arm".parse::<Platform>().unwrap().fit("linux", "arm", Some("v7")), 2);
    }
}
