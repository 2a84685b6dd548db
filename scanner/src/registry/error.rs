//! What can go wrong when a registry is asked, and the one text people read about it.
//!
//! Must not hold secrets: no header, token or credential ever enters an error. What a server said is bounded and
//! escaped before it is kept ([`printable`]).

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::reference::{Digest, ImageName};

/// How many characters of a server's own message are kept.
const MAX_MESSAGE: usize = 200;

/// A question to a registry that was not answered: which image, on which host, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct RegistryError {
    /// The host that was asked, which is the mirror's where one is configured.
    pub host: Box<str>,
    /// The image that was asked for.
    pub image: ImageName,
    /// What happened.
    pub kind: RegistryErrorKind,
}

impl RegistryError {
    /// Whether the registry says that it is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, RegistryErrorKind::NotFound { .. })
    }

    /// Whether asking again cannot help, so that a tag may be left out of the choice for it (S6.3). Everything else
    /// is a passing fault, and no choice may be made without that tag.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match &self.kind {
            RegistryErrorKind::NotFound { .. } | RegistryErrorKind::Unsupported { .. } => true,
            RegistryErrorKind::TooLarge { what, .. } => matches!(what, Part::Manifest | Part::Config),
            _ => false,
        }
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, image, kind } = self;
        write!(f, "asking `{}` for `{image}`: {kind}", printable(host, MAX_MESSAGE))?;
        if let Some(advice) = kind.advice(host) {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

/// The part of an answer that a limit or a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A page of the tag list.
    Tags,
    /// A manifest or an index.
    Manifest,
    /// An image's configuration.
    Config,
    /// The answer of a token server.
    Token,
    /// The API's root, which says that the host is a registry.
    Root,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tags => "the list of tags",
            Self::Manifest => "the manifest",
            Self::Config => "the image's configuration",
            Self::Token => "the token",
            Self::Root => "the answer",
        })
    }
}

/// Why a registry gave no answer, or none that can be used. Texts of servers are already bounded and escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistryErrorKind {
    /// 404 or 410.
    #[error("not found{}", Said(.message))]
    NotFound {
        /// What the server said.
        message: String,
    },
    /// 401 or 403, from the registry or its token server.
    #[error("access was denied (status {status}){}", Said(.message))]
    Denied {
        /// The status.
        status: u16,
        /// Whether credentials were sent.
        with_credentials: bool,
        /// What the server said.
        message: String,
    },
    /// 429, or 503 with a time to come back at.
    #[error("it asks for fewer requests (status {status}){}", Said(.message))]
    RateLimited {
        /// The status.
        status: u16,
        /// When to come back, as the server said.
        retry_after: Option<Duration>,
        /// What the server said.
        message: String,
    },
    /// Another 5xx.
    #[error("it failed with status {status}{}", Said(.message))]
    Server {
        /// The status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// Any other status that means no.
    #[error("it answered with status {status}{}", Said(.message))]
    Unexpected {
        /// The status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// No connection: name, network or TLS.
    #[error("no connection: {reason}")]
    Connect {
        /// The innermost cause.
        reason: String,
    },
    /// No answer in time.
    #[error("no full answer within {}", Seconds(.limit))]
    TimedOut {
        /// The time limit that passed.
        limit: Duration,
    },
    /// The host failed several times in a row just before, and was not asked again.
    #[error("not asked, because the host did not answer just before ({reason})")]
    HostDown {
        /// How it failed the last time.
        reason: String,
    },
    /// The connection ended inside an answer.
    #[error("the answer broke off: {reason}")]
    Cut {
        /// The innermost cause.
        reason: String,
    },
    /// An answer over the limit, after decompression.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// Which answer.
        what: Part,
        /// Its limit in bytes.
        limit: usize,
    },
    /// An answer that is not what was asked for.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// Which answer.
        what: Part,
        /// What is wrong with it.
        reason: String,
    },
    /// Content with another digest than the one it was asked by or announced with.
    #[error("{what} has another content than its digest `{expected}` says")]
    DigestMismatch {
        /// Which answer.
        what: Part,
        /// The digest that was expected.
        expected: Digest,
    },
    /// Something that is no image, or of a kind that is not read (S6.2).
    #[error("{what} is not supported")]
    Unsupported {
        /// What was found.
        what: String,
    },
    /// Pages that lead nowhere: repeated, endless, or on another host.
    #[error("the list of tags does not end: {reason}")]
    Paging {
        /// What is wrong with the chain of pages.
        reason: String,
    },
    /// More tags than one image may have.
    #[error("more than {limit} tags")]
    TooManyTags {
        /// The limit.
        limit: usize,
    },
    /// The address guard, or the rule that only TLS is spoken, refused to go there.
    #[error("{reason}")]
    Refused {
        /// What was refused.
        reason: String,
    },
    /// Credentials are configured and cannot be had.
    #[error("credentials could not be read: {reason}")]
    Credentials {
        /// What is wrong with them.
        reason: String,
    },
    /// A certificate file of the configuration cannot be used.
    #[error("{reason}")]
    Configuration {
        /// What is wrong with it.
        reason: String,
    },
}

impl RegistryErrorKind {
    /// What to do next, where there is something a person can do.
    #[must_use]
    pub fn advice(&self, host: &str) -> Option<String> {
        let host = printable(host, MAX_MESSAGE);
        Some(match self {
            Self::NotFound { .. } => "check the name of the image, and whether it needs credentials".into(),
            Self::Denied { with_credentials: true, .. } => {
                format!("check that the credentials for `{host}` are valid and may pull this image")
            }
            Self::Denied { with_credentials: false, .. } => {
                format!("no credentials are set for `{host}`: run `docker login {host}`, or set them in `registries`")
            }
            Self::RateLimited { retry_after: Some(wait), .. } => {
                format!("try again in {} s, or set credentials or a mirror for `{host}`", wait.as_secs().max(1))
            }
            Self::RateLimited { retry_after: None, .. } => {
                format!("try again later, or set credentials or a mirror for `{host}`")
            }
            Self::Server { .. } | Self::Cut { .. } | Self::DigestMismatch { .. } => "try again later".into(),
            Self::Unexpected { status: 400, message } if message.contains("HTTPS server") => {
                format!("set `ca` for `{host}` in `registries`, so that it is asked over TLS")
            }
            Self::Connect { reason } if reason.contains("CaUsedAsEndEntity") => {
                format!(
                    "the certificate of `{host}` is marked as an authority (`CA:TRUE`): give it one without that mark"
                )
            }
            Self::Connect { reason } if reason.contains("certificate") => {
                format!("set `ca` for `{host}` in `registries` if it has a certificate of your own authority")
            }
            Self::Connect { .. } | Self::TimedOut { .. } | Self::HostDown { .. } => {
                format!("check that `{host}` can be reached from here, and try again")
            }
            Self::TooManyTags { .. } => "remove tags that are no longer needed from the registry".into(),
            Self::Malformed { .. } | Self::Paging { .. } => {
                format!("check that `{host}` is a registry and not a proxy or a login page")
            }
            Self::TooLarge { .. }
            | Self::Unsupported { .. }
            | Self::Unexpected { .. }
            | Self::Refused { .. }
            | Self::Credentials { .. }
            | Self::Configuration { .. } => return None,
        })
    }
}

struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

struct Seconds<'a>(&'a Duration);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis if millis % 1000 == 0 => write!(f, "{} s", millis / 1000),
            millis => write!(f, "{millis} ms"),
        }
    }
}

/// The text with control and bidirectional characters escaped as `\u{…}`, cut to `max` characters with `…`. Safe to
/// print on a terminal and to write into a log.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    for (count, character) in text.chars().enumerate() {
        if count == max {
            out.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that change how the text around them is shown, or that show nothing.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What a failing server said of itself: the first error of the distribution API's list, else a short plain text.
pub(super) fn server_message(content_type: &str, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    if let Ok(Errors { errors }) = serde_json::from_slice(body)
        && let Some(Item { code, message }) = errors.into_iter().next()
    {
        let text = if message.is_empty() { code } else { message };
        return printable(&text, MAX_MESSAGE);
    }
    // Go says in a bare text that it was asked without TLS.
    if content_type.is_empty() || content_type.starts_with("text/plain") {
        let text = String::from_utf8_lossy(body);
        return printable(text.lines().next().unwrap_or_default().trim(), MAX_MESSAGE);
    }
    String::new()
}

/// The innermost cause of an error, escaped: the outer ones only repeat the address.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    printable(&cause.to_string(), MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::KnownHosts;

    fn error(kind: RegistryErrorKind) -> RegistryError {
        let image = ImageName::parse("quay.io/a/b", &KnownHosts::default()).unwrap();
        RegistryError { host: "quay.io".into(), image, kind }
    }

    #[test]
    fn errors_say_host_image_cause_and_advice() {
        let kind = RegistryErrorKind::Denied { status: 401, with_credentials: false, message: "no".into() };
        assert_eq!(
            error(kind).to_string(),
            "asking `quay.io` for `quay.io/a/b`: access was denied (status 401): no; no credentials are set for \
             `quay.io`: run `docker login quay.io`, or set them in `registries`"
        );
        let kind = RegistryErrorKind::TimedOut { limit: Duration::from_millis(1500) };
        assert!(error(kind).to_string().contains("within 1500 ms"));
    }

    #[test]
    fn only_what_asking_again_cannot_mend_is_lasting_s6_3() {
        assert!(error(RegistryErrorKind::NotFound { message: String::new() }).is_lasting());
        assert!(error(RegistryErrorKind::Unsupported { what: "x".into() }).is_lasting());
        assert!(error(RegistryErrorKind::TooLarge { what: Part::Config, limit: 1 }).is_lasting());
        assert!(!error(RegistryErrorKind::TooLarge { what: Part::Tags, limit: 1 }).is_lasting());
        for status in [500, 503] {
            assert!(!error(RegistryErrorKind::Server { status, message: String::new() }).is_lasting());
        }
        assert!(!error(RegistryErrorKind::Cut { reason: String::new() }).is_lasting());
        assert!(
            !error(RegistryErrorKind::Denied { status: 403, with_credentials: true, message: String::new() })
                .is_lasting()
        );
    }

    #[test]
    fn outside_texts_are_escaped_and_cut() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}b", 20), "a\\u{1b}[31m\\u{202e}b");
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(server_message("application/json", br#"{"errors":[{"code":"X","message":"a\nb"}]}"#), "a\\u{a}b");
        assert_eq!(server_message("text/html", b"<html>"), "");
        assert_eq!(server_message("text/plain; charset=utf-8", b"Client sent\nmore"), "Client sent");
    }
}
