//! Patterns of paths and of names, as a repository's configuration writes them.
//!
//! Pure. Matching takes time proportional to pattern and text, whatever either holds: there is no pattern that makes
//! a match slow. Letters are told apart by case, and every pattern is for the whole text.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1_000;

/// A pattern of paths below the root of a repository: `*` and `?` stay within a folder, `**` is any folders, and a path
/// without wildcards means a file or everything below a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether the path is meant; `path` has `/` and does not begin with one.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        // What is named as a folder means what is in it, and any folders may also be none.
        let pattern: Vec<&str> = self.0.split('/').chain(["**"]).collect();
        let path: Vec<&str> = path.split('/').collect();
        wild(&pattern, &path, |part| *part == "**", |part, name| wild_text(part, name))
    }
}

impl TryFrom<String> for PathPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let written = text.trim_end_matches('/');
        if written.is_empty() || text.len() > MAX_PATTERN {
            return Err(format!("a pattern of paths has 1 to {MAX_PATTERN} bytes"));
        }
        if written.starts_with('/') || written.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(format!(
                "`{text}` is no path below the root of the repository: write it as `clusters/production/**`"
            ));
        }
        if let Some(part) = written.split('/').find(|part| part.contains("**") && *part != "**") {
            return Err(format!("`**` stands alone between slashes, unlike in `{part}`"));
        }
        Ok(Self(written.to_owned()))
    }
}

/// A pattern of names or tags: `*` stands for any characters, also none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether the whole text is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) = (self.0.chars().collect(), text.chars().collect());
        wild(&pattern, &text, |c| *c == '*', |a, b| a == b)
    }
}

impl TryFrom<String> for NamePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN {
            return Err(format!("a pattern has 1 to {MAX_PATTERN} bytes"));
        }
        Ok(Self(text))
    }
}

/// One name of a path: `*` is any run of characters, `?` is one.
fn wild_text(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    wild(&pattern, &text, |c| *c == '*', |a, b| *a == '?' || a == b)
}

/// Whether `text` has the shape of `pattern`, in which some items stand for any run of items. Where a run was taken too
/// short, only the last one needs to be made longer: the ones before it lose nothing by staying as they are.
fn wild<P, T>(pattern: &[P], text: &[T], any: impl Fn(&P) -> bool, same: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while seen < text.len() {
        if at < pattern.len() && any(&pattern[at]) {
            back = Some((at, seen));
            at += 1;
        } else if at < pattern.len() && same(&pattern[at], &text[seen]) {
            at += 1;
            seen += 1;
        } else if let Some((run, from)) = back {
            back = Some((run, from + 1));
            at = run + 1;
            seen = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(any)
}

macro_rules! pattern {
    ($($name:ident, $description:literal;)*) => {$(
        impl From<$name> for String {
            fn from(pattern: $name) -> Self {
                pattern.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "minLength": 1, "maxLength": MAX_PATTERN, "pattern": "^[^/]",
                    "description": $description
                })
            }
        }
    )*};
}

pattern! {
    PathPattern, "A path from the root, in which `*` and `?` stay within a folder and `**` is any folders.";
    NamePattern, "A name, in which `*` is any characters.";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(pattern: &str, path: &str) -> bool {
        PathPattern::try_from(pattern.to_owned()).unwrap().matches(path)
    }

    #[test]
    fn patterns_of_paths() {
        for (pattern, file, matches) in [
            ("clusters", "clusters/a/b.yaml", true),
            ("clusters/", "clusters/a.yaml", true),
            ("clusters", "clusters2/a.yaml", false),
            ("clusters", "x/clusters/a.yaml", false),
            ("**/clusters", "x/y/clusters/a.yaml", true),
            ("**/clusters", "clusters/a.yaml", true),
            ("clusters/**", "clusters/a.yaml", true),
            ("clusters/**/app.yaml", "clusters/app.yaml", true),
            ("clusters/**/app.yaml", "clusters/x/y/app.yaml", true),
            ("clusters/**/app.yaml", "clusters/x/y/other.yaml", false),
            ("clusters/*/app.yaml", "clusters/x/y/app.yaml", false),
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "x/a.yaml", false),
            ("**/*.yaml", "x/y/a.yaml", true),
            ("app-?.yaml", "app-1.yaml", true),
            ("app-?.yaml", "app-12.yaml", false),
            ("a.yaml", "A.yaml", false),
            ("a/**/b/**/c", "a/x/b/y/b/z/c", true),
            ("ä*", "äöü", true),
        ] {
            assert_eq!(path(pattern, file), matches, "{pattern} {file}");
        }
    }

    #[test]
    fn patterns_that_are_none() {
        for text in ["", "/", "/a", "../a", "a/../b", "a//b", "./a", "a**", "a/**b/c", &"x".repeat(MAX_PATTERN + 1)] {
            assert!(PathPattern::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert!(NamePattern::try_from(String::new()).is_err());
    }

    #[test]
    fn patterns_of_names() {
        for (pattern, text, matches) in [
            ("docker.io/library/*", "docker.io/library/nginx", true),
            ("*-rc*", "1.2.3-rc.1", true),
            ("*-rc*", "1.2.3", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("dev:*/app", "dev:helmrelease/app", true),
            ("v?", "v1", false),
        ] {
            assert_eq!(NamePattern::try_from(pattern.to_owned()).unwrap().matches(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = format!("{}b", "*a".repeat(400));
        assert!(!NamePattern::try_from(pattern).unwrap().matches(&"a".repeat(20_000)));
        let pattern = format!("{}b", "**/a/".repeat(100));
        assert!(!path(&pattern, &"a/".repeat(1_000)));
    }
}
