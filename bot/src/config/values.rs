//! Values with a grammar of their own: each parses from text, says what is wrong, and documents itself in the schema.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time, written as a number and `s`, `m`, `h`, `d` or `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |(unit, seconds): &(&str, u64)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*seconds).filter(|total| *total > 0)
        };
        UNITS
            .iter()
            .find_map(parse)
            .map(Self::from_secs)
            .ok_or_else(|| format!("`{text}` is no length of time: write a number and s, m, h, d or w, such as `60s`"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (unit, length) = UNITS.iter().find(|(_, length)| seconds.is_multiple_of(*length)).unwrap_or(&("s", 1));
        write!(f, "{}{unit}", seconds / length)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[smhdw]$",
            "description": "A number and `s`, `m`, `h`, `d` or `w`."
        })
    }
}

/// An operating system and architecture, as image indexes name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform(String);

impl Platform {
    /// The platform as `os/architecture` or `os/architecture/variant`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Platform {
    fn default() -> Self {
        Self("linux/amd64".to_owned())
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        if matches!(parts.len(), 2 | 3) && parts.iter().all(word) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{text}` is no platform: write `os/architecture`, such as `linux/arm64`"))
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Platform {
    fn schema_name() -> Cow<'static, str> {
        "Platform".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9._-]+/[a-z0-9._-]+(/[a-z0-9._-]+)?$",
            "description": "`os/architecture` or `os/architecture/variant`."
        })
    }
}

/// The address of a mirror: scheme, host and port, and a path that goes before `/v2/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// The address, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MirrorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(|| format!("`{text}` is no address of a mirror: write `https://host` or `http://host:port`"))?;
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            // The text is left out on purpose: it holds a password.
            return Err("credentials do not stand in the address of a mirror: give the mirror's host an entry of its \
                        own below `registries`, with `username` and `password_file`"
                .to_owned());
        }
        if authority.is_empty() || rest.contains(['?', '#', ' ', '\\']) || rest.chars().any(char::is_control) {
            return Err(format!("`{text}` is no address of a mirror: write `https://host` or `http://host:port`"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for MirrorUrl {
    fn schema_name() -> Cow<'static, str> {
        "MirrorUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^https?://[^/@?# ]+(/[^@?# ]*)?$",
            "description": "`https://host[:port][/path]`, or `http://…`."
        })
    }
}

/// The address of a service: scheme, host and port, and a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// The address, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address: write `https://host` or `http://host:port`");
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let authority = rest.ok_or_else(wrong)?.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            // The text is left out on purpose: it may hold a password.
            return Err("credentials do not stand in an address: name a file or a variable that holds them".to_owned());
        }
        let parsed = url::Url::parse(text).map_err(|_| wrong())?;
        if parsed.query().is_some() || parsed.fragment().is_some() || text.contains([' ', '\\']) {
            return Err(wrong());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for ServiceUrl {
    fn schema_name() -> Cow<'static, str> {
        "ServiceUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^https?://[^/@?# ]+(/[^@?# ]*)?$",
            "description": "`https://host[:port][/path]`, or `http://…`."
        })
    }
}

/// The name of a label, as forges take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = |c: char| c == ',' || c.is_control() || crate::output::text::is_unsafe(c);
        if text.trim() != text || text.is_empty() || text.chars().count() > 50 || text.contains(odd) {
            return Err("a label has 1 to 50 characters, no comma, and no white space around it".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Label {
    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 50,
            "pattern": "^[^,]+$",
            "description": "The name of a label."
        })
    }
}

macro_rules! through_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

through_text!(Span, Platform, MirrorUrl, ServiceUrl, Label);
