//! The references in `docs/configuration.md` and `docs/repository-configuration.md` are the schemas, as tables.

use std::path::Path;

use leadsman::config::Config;
use leadsman::config::repository::RepositoryConfig;
use serde_json::{Map, Value};

const BEGIN: &str = "<!-- generated:begin -->";
const END: &str = "<!-- generated:end -->";

/// `LEADSMAN_WRITE_REFERENCE=1` writes the tables anew.
fn check(page: &str, schema: &schemars::Schema, variables: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    let wanted = format!("{before}{BEGIN}\n\n{}\n{END}{after}", reference(&schema, variables));
    if std::env::var_os("LEADSMAN_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, wanted, "docs/{page} differs: run this test with LEADSMAN_WRITE_REFERENCE=1");
}

#[test]
fn the_reference_of_the_configuration_is_that_of_the_schema() {
    check("configuration.md", &Config::schema(), true);
}

#[test]
fn the_reference_of_a_repositorys_configuration_is_that_of_the_schema() {
    check("repository-configuration.md", &RepositoryConfig::schema(), false);
}

/// One table of the keys at the top, and one for each map or list below them, in the order of their keys.
fn reference(schema: &Value, variables: bool) -> String {
    let mut text = if variables {
        "| key | type | default | variable | meaning |\n|---|---|---|---|---|\n".to_owned()
    } else {
        HEAD.to_owned()
    };
    let mut below = String::new();
    for (key, property) in properties(schema) {
        let Row { kind, default, meaning } = Row::of(property, schema);
        let variable = if variables { format!(" `LEADSMAN_{}` |", key.to_uppercase()) } else { String::new() };
        text.push_str(&format!("| `{key}` | {kind} | {default} |{variable} {meaning} |\n"));
        tables(key, property, schema, &mut below);
    }
    text + &below
}

const HEAD: &str = "| key | type | default | meaning |\n|---|---|---|---|\n";

/// The table of what is below a key, and of what is below that.
fn tables(path: &str, property: &Value, schema: &Value, text: &mut String) {
    let property = resolve(property, schema);
    let (path, node) = if property["items"].is_object() {
        (format!("{path}[]"), resolve(&property["items"], schema))
    } else if property["additionalProperties"].is_object() {
        let name = if path == "commands.rules" { "command" } else { "host" };
        (format!("{path}.<{name}>"), resolve(&property["additionalProperties"], schema))
    } else {
        (path.to_owned(), property)
    };
    let Some(entries) = node["properties"].as_object() else { return };
    text.push_str(&format!("\nBelow `{path}`:\n\n{HEAD}"));
    for (key, property) in entries {
        let Row { kind, default, meaning } = Row::of(property, schema);
        text.push_str(&format!("| `{key}` | {kind} | {default} | {meaning} |\n"));
    }
    for (key, property) in entries {
        tables(&format!("{path}.{key}"), property, schema, text);
    }
}

struct Row {
    kind: String,
    default: String,
    meaning: String,
}

impl Row {
    fn of(property: &Value, schema: &Value) -> Self {
        let default = match property.get("default") {
            None | Some(Value::Null) => String::new(),
            // Each key below has its own.
            Some(Value::Object(_)) => String::new(),
            Some(Value::Array(list)) if list.is_empty() => String::new(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
        };
        let meaning = property["description"].as_str().expect("every key is described");
        Self { kind: kind(property, schema), default, meaning: cell(meaning) }
    }
}

/// What may be written there, in words.
fn kind(property: &Value, schema: &Value) -> String {
    let property = resolve(property, schema);
    if let Some(choices) = property["anyOf"].as_array() {
        let written = choices.iter().find(|choice| choice["type"] != "null").expect("something besides null");
        return kind(written, schema);
    }
    if property.get("additionalProperties").is_some_and(Value::is_object) || property["properties"].is_object() {
        return "map".to_owned();
    }
    // The words of an enum.
    let words: Vec<&str> = match (&property["oneOf"], &property["enum"]) {
        (Value::Array(choices), _) => choices.iter().filter_map(|choice| choice["const"].as_str()).collect(),
        (_, Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !words.is_empty() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    // Texts with a grammar of their own describe it.
    if let (Some(_), Some(grammar)) = (property.get("pattern"), property["description"].as_str()) {
        let grammar = cell(grammar.trim_end_matches('.'));
        return grammar.strip_prefix("A ").map_or(grammar.clone(), |rest| format!("a {rest}"));
    }
    let name = match &property["type"] {
        Value::Array(names) => names.iter().find(|name| *name != "null").expect("something besides null"),
        name => name,
    };
    match (name.as_str().expect("a type"), property["minimum"].as_u64(), property["maximum"].as_u64()) {
        ("integer", Some(least), Some(most)) => format!("{least} to {most}"),
        ("integer", Some(least), None) => format!("integer from {least}"),
        ("boolean", ..) => "`true` or `false`".to_owned(),
        ("string", ..) => "text".to_owned(),
        ("array", ..) => "list".to_owned(),
        (other, ..) => other.to_owned(),
    }
}

fn resolve<'a>(property: &'a Value, schema: &'a Value) -> &'a Value {
    match property["$ref"].as_str() {
        Some(name) => schema.pointer(name.trim_start_matches('#')).expect("what is referred to"),
        None => property,
    }
}

fn properties(schema: &Value) -> &Map<String, Value> {
    schema["properties"].as_object().expect("an object")
}

/// One line, with bars that do not end the cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
