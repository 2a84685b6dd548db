//! The sandbox that all templates run in.
//!
//! Whatever a template prints without a filter of [`markdown`] is escaped for the kind of text it goes into; undefined
//! names are errors; the work a template may do is limited.

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

use super::markdown;

/// The work that one template may do, in instructions.
const FUEL: u64 = 500_000;

/// The kind of text that a template of Markdown makes.
const MARKDOWN: &str = "markdown";

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
    templates.set_auto_escape_callback(|name| {
        AutoEscape::Custom(if name.ends_with(".md") { MARKDOWN } else { "plain" }.into())
    });
    templates.set_formatter(|out, state, value| {
        let escape = match state.auto_escape() {
            AutoEscape::Custom(kind) if kind == MARKDOWN => markdown::text,
            _ => markdown::inert,
        };
        match value.as_str() {
            Some(text) if !value.is_safe() => Ok(out.write_str(&escape(text))?),
            _ => Ok(write!(out, "{value}")?),
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
