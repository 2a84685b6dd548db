//! Paths of alias annotations: keys below `spec.values` joined by dots (S3.1).

use super::lookup::Lookup;
use crate::manifest::{Kind, NodeId};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A parsed path; displayed steps are taken from the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
}

/// Where a path led.
pub(super) struct Found {
    /// The scalar as the path finds it, aliases not followed.
    pub(super) node: NodeId,
    /// The mapping it stands in, if it is one.
    pub(super) parent: NodeId,
}

impl Path {
    /// Parses a path. A backslash takes the character behind it literally; `[0]` is an index. Brackets that hold no
    /// number belong to the key.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut key = String::new();
        // Whether the key began; `a[0].b` has no key between the bracket and the dot.
        let mut open = true;
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            let behind = &rest[char.len_utf8()..];
            rest = match char {
                '\\' => match behind.chars().next() {
                    Some(literal) => {
                        key.push(literal);
                        open = true;
                        &behind[literal.len_utf8()..]
                    }
                    None => {
                        key.push('\\');
                        behind
                    }
                },
                '.' => {
                    if open {
                        steps.push(Step::Key(std::mem::take(&mut key)));
                    }
                    open = true;
                    behind
                }
                '[' => match index(behind) {
                    Some((index, behind)) => {
                        if !key.is_empty() {
                            steps.push(Step::Key(std::mem::take(&mut key)));
                        }
                        steps.push(Step::Index(index));
                        open = false;
                        behind
                    }
                    None => {
                        key.push('[');
                        open = true;
                        behind
                    }
                },
                char => {
                    key.push(char);
                    open = true;
                    behind
                }
            };
        }
        if open {
            steps.push(Step::Key(key));
        }
        Self { steps }
    }

    /// Whether the path is exactly these keys.
    pub(super) fn is(&self, keys: &[&str]) -> bool {
        self.steps.len() == keys.len()
            && self.steps.iter().zip(keys).all(|(step, key)| matches!(step, Step::Key(step) if step == key))
    }

    /// The first key.
    pub(super) fn first(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Follows the path to a scalar; says where it ended otherwise (S3.2).
    pub(super) fn resolve(&self, lookup: &mut Lookup<'_, '_>, values: Option<NodeId>) -> Result<Found, String> {
        let tree = lookup.tree;
        let Some(mut node) = values else { return Err("the release has no `spec.values`".into()) };
        let mut parent = node;
        for (at, step) in self.steps.iter().enumerate() {
            let place = || match at {
                0 => "`spec.values`".to_owned(),
                _ => format!("`{}`", Self { steps: self.steps[..at].to_vec() }),
            };
            let kind = tree.kind(tree.resolve(node));
            parent = node;
            node = match (step, kind) {
                (Step::Key(key), Kind::Mapping) => {
                    lookup.get(node, key).ok_or_else(|| format!("{} has no key `{key}`", place()))?
                }
                (Step::Index(index), Kind::Sequence) => {
                    lookup.item(node, *index).map_err(|items| format!("{} has only {items} items", place()))?
                }
                (Step::Key(key), _) => return Err(format!("{} is {}, so it has no key `{key}`", place(), name(kind))),
                (Step::Index(index), _) => {
                    return Err(format!("{} is {}, so it has no item [{index}]", place(), name(kind)));
                }
            };
        }
        match tree.kind(tree.resolve(node)) {
            Kind::Scalar => Ok(Found { node, parent }),
            kind => Err(format!("`{self}` is {}", name(kind))),
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) => {
                    let dot = if at == 0 { "" } else { "." };
                    write!(f, "{dot}{}", key.replace('\\', "\\\\").replace('.', "\\."))?;
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn index(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once(']')?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    Some((number.parse().ok().filter(|_| digits)?, rest))
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Scalar | Kind::Alias => "a single value",
        Kind::Mapping => "a mapping",
        Kind::Sequence => "a list",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Vec<String> {
        let step = |step: Step| match step {
            Step::Key(key) => key,
            Step::Index(index) => format!("#{index}"),
        };
        Path::parse(text).steps.into_iter().map(step).collect()
    }

    #[test]
    fn paths_are_split_at_dots_s3_1() {
        for (text, expected) in [
            ("a", vec!["a"]),
            ("a.b.c", vec!["a", "b", "c"]),
            (r"a\.b.c", vec!["a.b", "c"]),
            ("a[0].b", vec!["a", "#0", "b"]),
            ("a.[1].b", vec!["a", "#1", "b"]),
            ("a[0][12]", vec!["a", "#0", "#12"]),
            ("a[x]", vec!["a[x]"]),
            (r"a\[0]", vec!["a[0]"]),
            (r"a\\.b", vec![r"a\", "b"]),
            (".a", vec!["", "a"]),
            ("a.", vec!["a", ""]),
            ("", vec![""]),
            ("[0]", vec!["#0"]),
            (r"a\", vec![r"a\"]),
            ("a[99999999999999999999999]", vec!["a[99999999999999999999999]"]),
        ] {
            assert_eq!(steps(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_shown_as_they_are_written() {
        for text in [r"a\.b.c[0].d", "a", "a.[1].b"] {
            assert_eq!(steps(&Path::parse(text).to_string()), steps(text));
        }
    }
}
