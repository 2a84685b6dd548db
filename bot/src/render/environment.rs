//! The sandbox that all templates run in: strict, limited, and with no way around the escaping.
//!
//! Whatever a template prints without a filter of [`markdown`] is escaped for the kind of text it goes into; undefined
//! names are errors.

use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

use super::markdown;

/// The work that one template may do, in instructions.
const FUEL: u64 = 500_000;

/// Makes outside text harmless in one kind of place.
type Escape = fn(&str) -> String;

/// The sandbox with these templates, by name; `.md` makes Markdown, everything else plain text.
///
/// # Errors
/// Where a template cannot be parsed.
pub(super) fn environment(texts: &[(&'static str, &'static str)]) -> Result<Environment<'static>, Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_fuel(Some(FUEL));
    // What would call a text from outside harmless.
    for filter in ["safe", "escape", "e", "tojson"] {
        templates.remove_filter(filter);
    }
    templates.set_auto_escape_callback(|_| AutoEscape::Custom("leadsman".into()));
    templates.set_formatter(|out, state, value| {
        // By the name alone, so that no block of a template turns it off.
        let escape = if state.name().ends_with(".md") { markdown::text } else { markdown::inert };
        match (value.as_str(), value.kind()) {
            (Some(_), _) if value.is_safe() => Ok(write!(out, "{value}")?),
            (Some(text), _) => Ok(out.write_str(&escape(text))?),
            (None, ValueKind::Number | ValueKind::Bool) => Ok(write!(out, "{value}")?),
            (None, _) => Ok(out.write_str(&escape(&value.to_string()))?),
        }
    });
    let filters: [(&str, Escape); 6] = [
        ("code", markdown::code),
        ("cell", markdown::cell),
        ("link", markdown::link),
        ("sentence", markdown::sentence),
        ("cell_sentence", markdown::cell_sentence),
        ("quoted", markdown::quoted),
    ];
    for (name, filter) in filters {
        templates.add_filter(name, move |value: &str| Value::from_safe_string(filter(value)));
    }
    for (name, text) in texts {
        templates.add_template(name, text)?;
    }
    Ok(templates)
}
