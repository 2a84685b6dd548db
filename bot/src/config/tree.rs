//! Configuration as a tree in which every node knows where it came from, and serde on top of it.
//!
//! Pure. Errors carry the place, the path of the key and, for an unknown key, the nearest known one. Not for people's
//! manifests: anchors, tags and several documents are refused here.

use std::fmt;

use granit_parser::{Event, Options, Parser, ScalarStyle};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use crate::output::text;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file, at a line and column from 1.
    File {
        /// Line from 1.
        line: u32,
        /// Column from 1, in code points.
        column: u32,
    },
    /// The environment variable of that name.
    Variable(String),
}

/// A value and its origin.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A scalar as it is written; `plain` without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// Keys in the order of the file, each once.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) origin: Option<Origin>,
    /// Keys from the root to the place, outermost first.
    pub(super) path: Vec<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, origin: None, path: Vec::new() }
    }

    pub(super) fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn below(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        unknown_key(field, expected.iter().copied())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("`{variant}` is none of {}", text::listed(expected.iter().copied())))
    }
}

/// The fault for a key that is none of those known.
fn unknown_key<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone) -> Fault {
    let fault = Fault::new(format!("unknown key `{key}`"));
    if matches!(key, "password" | "token" | "secret" | "webhook_secret") {
        let names: Vec<&str> = known.clone().filter(|key| key.ends_with("file") || key.ends_with("env")).collect();
        if names.is_empty() {
            return fault.hint("secrets do not stand in the configuration");
        }
        let either = text::listed(names).replace(" and ", " or ");
        return fault.hint(format!("secrets do not stand in the configuration: name what holds it by {either}"));
    }
    match text::nearest(key, known.clone()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(format!("known keys here are {}", text::listed(known))),
    }
}

impl Node {
    /// Reads one YAML document, of which JSON is a part. `origin` gives the origin of a line and column.
    pub(super) fn parse(text: &str, origin: &dyn Fn(u32, u32) -> Origin) -> Result<Self, Fault> {
        let mut options = Options::default();
        options.emit_comments = false;
        let mut reader = Reader { parser: Parser::new_from_str_with_options(text, options), origin };
        let mut root = None;
        loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => break,
                (event, at) => {
                    if root.is_some() {
                        return Err(Fault::new("a second document in the configuration").at(&at));
                    }
                    root = Some(reader.node(event, at, 0)?);
                }
            }
        }
        let empty = || Self { value: Value::Map(Vec::new()), origin: Origin::Default };
        Ok(root.filter(|node| !node.is_null()).unwrap_or_else(empty))
    }

    /// A text that the environment gave.
    pub(super) fn text(text: &str, origin: Origin) -> Self {
        Self { value: Value::Scalar { text: text.to_owned(), plain: false }, origin }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Sets the value at a path of keys, making maps on the way; what was there is replaced as a whole.
    pub(super) fn set(&mut self, path: &[&str], node: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else { return };
        let index = entries.iter().position(|(key, _)| key.text == *first).unwrap_or_else(|| {
            let key = Key { text: (*first).to_owned(), origin: node.origin.clone() };
            let empty = Self { value: Value::Map(Vec::new()), origin: node.origin.clone() };
            entries.push((key, empty));
            entries.len() - 1
        });
        entries[index].1.set(rest, node);
    }

    /// The node at a path of keys; an item of a list by its number from 0.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Self> {
        match (path.split_first(), &self.value) {
            (None, _) => Some(self),
            (Some((first, rest)), Value::Map(entries)) => {
                entries.iter().find(|(key, _)| key.text == *first)?.1.get(rest)
            }
            (Some((first, rest)), Value::List(items)) => items.get(first.parse::<usize>().ok()?)?.get(rest),
            _ => None,
        }
    }

    fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => format!("`{text}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    fn wrong(&self, wanted: &str) -> Fault {
        Fault::new(format!("expected {wanted}, found {}", self.describe())).at(&self.origin)
    }

    fn scalar(&self, wanted: &str) -> Result<&str, Fault> {
        match &self.value {
            Value::Scalar { text, .. } => Ok(text),
            _ => Err(self.wrong(wanted)),
        }
    }
}

/// Deepest nesting of a configuration.
const MAX_DEPTH: usize = 16;

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    origin: &'a dyn Fn(u32, u32) -> Origin,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Origin), Fault> {
        let place = |line: usize, col: usize| {
            (self.origin)(u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(col + 1).unwrap_or(u32::MAX))
        };
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span.start.line(), span.start.col()))),
            Some(Err(error)) => {
                let at = place(error.marker().line(), error.marker().col());
                Err(Fault::new(format!("no valid YAML: {}", error.info())).at(&at))
            }
            None => Ok((Event::StreamEnd, Origin::Default)),
        }
    }

    fn node(&mut self, event: Event<'a>, origin: Origin, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new("nested too deeply for a configuration").at(&origin));
        }
        let value = match event {
            Event::Scalar(text, style, 0, None) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(_, 0, None) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, at) => items.push(self.node(event, at, depth + 1)?),
                    }
                }
                Value::List(items)
            }
            Event::MappingStart(_, 0, None) => self.map(depth)?,
            _ => return Err(Fault::new("anchors, aliases and tags are not read in a configuration").at(&origin)),
        };
        Ok(Node { value, origin })
    }

    fn map(&mut self, depth: usize) -> Result<Value, Fault> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (Event::Scalar(text, _, 0, None), origin) => Key { text: text.into_owned(), origin },
                (_, origin) => return Err(Fault::new("a key must be a plain name").at(&origin)),
            };
            if entries.iter().any(|(earlier, _)| earlier.text == key.text) {
                return Err(Fault::new(format!("the key `{}` stands here twice", key.text)).at(&key.origin));
            }
            let (event, origin) = self.next()?;
            let node = self.node(event, origin, depth + 1)?;
            entries.push((key, node));
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $kind:ty, $wanted:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let number = self.scalar($wanted)?.parse::<$kind>().map_err(|_| self.wrong($wanted))?;
            visitor.$visit(number).map_err(|fault: Fault| fault.at(&self.origin))
        }
    )*};
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => visitor.visit_unit(),
            Value::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
        }
        .map_err(|fault: Fault| fault.at(&self.origin))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar("`true` or `false`")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.wrong("`true` or `false`")),
        }
    }

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number up to 255";
        deserialize_u16 visit_u16 u16, "a whole number up to 65535";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.scalar("a text")?).map_err(|fault: Fault| fault.at(&self.origin))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault: Fault| fault.at(&self.origin))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            _ => Err(self.wrong("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Map(entries) => {
                let entries = Entries { entries: entries.iter(), current: None };
                visitor.visit_map(entries).map_err(|fault: Fault| fault.at(&self.origin))
            }
            // A key whose entries are all commented out.
            _ if self.is_null() => visitor.visit_map(Entries { entries: [].iter(), current: None }),
            _ => Err(self.wrong("a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let word = self.scalar("a word")?;
        visitor.visit_enum(Word(word)).map_err(|fault: Fault| fault.at(&self.origin))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.0.next().map(|item| seed.deserialize(item)).transpose()
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    current: Option<&'de (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.current = Some(entry);
        let key = &entry.0;
        let name: StrDeserializer<'_, Fault> = serde::de::IntoDeserializer::into_deserializer(key.text.as_str());
        seed.deserialize(name).map(Some).map_err(|fault: Fault| fault.at(&key.origin))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some((key, node)) = self.current.take() else { return Err(Fault::new("a value without a key")) };
        seed.deserialize(node).map_err(|fault| fault.at(&node.origin).below(&key.text))
    }
}

struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = serde::de::IntoDeserializer::into_deserializer(self.0);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Fault> {
        Err(Fault::new(format!("`{}` takes no value", self.0)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new(format!("`{}` takes no value", self.0)))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        Err(Fault::new(format!("`{}` takes no value", self.0)))
    }
}
