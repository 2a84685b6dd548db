//! The reference in `docs/configuration.md` is the schema of the configuration, as tables.

use std::path::Path;

use leadsman::config::Config;
use serde_json::{Map, Value};

const BEGIN: &str = "<!-- generated:begin -->";
const END: &str = "<!-- generated:end -->";

/// `LEADSMAN_WRITE_REFERENCE=1` writes the tables anew.
#[test]
fn the_reference_of_the_configuration_is_that_of_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let schema = serde_json::to_value(Config::schema()).unwrap();
    let wanted = format!("{before}{BEGIN}\n\n{}\n{END}{after}", reference(&schema));
    if std::env::var_os("LEADSMAN_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, wanted, "docs/configuration.md differs: run this test with LEADSMAN_WRITE_REFERENCE=1");
}

/// One table of the keys at the top, and one for each map, whose entries are all alike.
fn reference(schema: &Value) -> String {
    let mut text = "| key | type | default | variable | meaning |\n|---|---|---|---|---|\n".to_owned();
    let mut maps = String::new();
    for (key, property) in properties(schema) {
        let variable = format!("LEADSMAN_{}", key.to_uppercase());
        let Row { kind, default, meaning } = Row::of(property, schema);
        text.push_str(&format!("| `{key}` | {kind} | {default} | `{variable}` | {meaning} |\n"));
        if let Some(entry) = property.get("additionalProperties").map(|entry| resolve(entry, schema)) {
            maps.push_str(&format!(
                "\nBelow `{key}.<host>`:\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
            ));
            for (key, property) in properties(entry) {
                let Row { kind, default, meaning } = Row::of(property, schema);
                maps.push_str(&format!("| `{key}` | {kind} | {default} | {meaning} |\n"));
            }
        }
    }
    text + &maps
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
            Some(Value::Object(map)) if map.is_empty() => String::new(),
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
    if property.get("additionalProperties").is_some_and(Value::is_object) {
        return "map".to_owned();
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
