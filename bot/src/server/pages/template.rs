//! The templates of pages: strict, bounded, and escaping whatever they print.
//!
//! Text from outside is cut, and characters that hide or turn text are replaced; a template prints HTML only through
//! the filter `markdown` and the functions of this module.

use jiff::Timestamp;
use minijinja::value::Value;
use minijinja::{Environment, Error, HtmlEscape, UndefinedBehavior, escape_formatter};

use super::markdown;
use crate::render::markdown::{is_hidden, is_link, plain};

/// The work that one page may do, in instructions: enough for lists of thousands.
const FUEL: u64 = 20_000_000;

/// The templates, by name.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../../../../templates/pages/base.html")),
    ("parts.html", include_str!("../../../../templates/pages/parts.html")),
    ("repositories.html", include_str!("../../../../templates/pages/repositories.html")),
    ("repository.html", include_str!("../../../../templates/pages/repository.html")),
    ("pull.html", include_str!("../../../../templates/pages/pull.html")),
    ("work.html", include_str!("../../../../templates/pages/work.html")),
    ("errors.html", include_str!("../../../../templates/pages/errors.html")),
    ("problem.html", include_str!("../../../../templates/pages/problem.html")),
];

/// All templates, parsed.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => Ok(write!(out, "{}", HtmlEscape(&plain(text)))?),
        _ => escape_formatter(out, state, value),
    });
    environment.add_filter("markdown", |text: &str| Value::from_safe_string(markdown::html(text)));
    // A line of a file: not cut to the length of a name, and with its tabs.
    environment.add_filter("line", |text: &str| {
        let shown: String = text.chars().map(|c| if is_hidden(c) && c != '\t' { '\u{fffd}' } else { c }).collect();
        Value::from_safe_string(HtmlEscape(&shown).to_string())
    });
    // What a form or link brings back to us: whole.
    environment.add_filter("exact", |text: &str| Value::from_safe_string(HtmlEscape(text).to_string()));
    // Parts of a sentence of ours between backticks are code.
    environment.add_filter("sentence", |text: &str| Value::from_safe_string(sentence(text)));
    environment.add_filter("web", |text: &str| is_link(text).then(|| text.to_owned()));
    environment.add_filter("words", |text: &str| text.replace(['_', '-'], " "));
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

fn sentence(text: &str) -> String {
    let shown = plain(text);
    let parts: Vec<&str> = shown.split('`').collect();
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        let part = HtmlEscape(part).to_string();
        // A backtick without a partner is a backtick.
        match at % 2 {
            0 => out.push_str(&part),
            _ if at + 1 == parts.len() => out.push_str(&format!("`{part}")),
            _ => out.push_str(&format!("<code>{part}</code>")),
        }
    }
    out
}

/// A time as an element: how long ago or ahead to read, and the time itself to point at.
pub(super) fn when(at: &str, now: Timestamp) -> Value {
    let Ok(time) = at.parse::<Timestamp>() else { return Value::from(at) };
    let full = time.strftime("%-d %b %Y, %H:%M:%S UTC");
    let text = match relative(time.as_second() - now.as_second()) {
        Some(text) => text,
        None => time.strftime("%-d %b %Y").to_string(),
    };
    Value::from_safe_string(format!("<time datetime=\"{}\" title=\"{full}\">{text}</time>", HtmlEscape(at)))
}

/// `3 min ago`, `in 2 h`; none beyond four weeks.
fn relative(seconds: i64) -> Option<String> {
    let (ahead, length) = (seconds > 0, seconds.unsigned_abs());
    let (count, unit) = match length {
        0..45 => return Some("now".into()),
        45..5400 => ((length + 30) / 60, "min"),
        5400..129_600 => ((length + 1800) / 3600, "h"),
        129_600..2_419_200 => ((length + 43_200) / 86_400, "days"),
        _ => return None,
    };
    Some(if ahead { format!("in {count} {unit}") } else { format!("{count} {unit} ago") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let cases = [
            (0, "now"),
            (-44, "now"),
            (-60, "1 min ago"),
            (89 * 60, "in 89 min"),
            (-90 * 60, "2 h ago"),
            (86_400, "in 24 h"),
            (-3 * 86_400, "3 days ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(relative(seconds).as_deref(), Some(text), "{seconds}");
        }
        assert_eq!(relative(i64::MIN), None);
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(
            when("2026-01-02T03:01:05Z", now).as_str(),
            Some("<time datetime=\"2026-01-02T03:01:05Z\" title=\"2 Jan 2026, 03:01:05 UTC\">3 min ago</time>")
        );
        assert!(when("2025-01-02T03:01:05Z", now).as_str().unwrap().contains(">2 Jan 2025<"));
        assert!(!when("<b>", now).is_safe());
    }

    #[test]
    fn sentences_show_their_code() {
        assert_eq!(sentence("a `b<` c"), "a <code>b&lt;</code> c");
        assert_eq!(sentence("a ` b"), "a ` b");
        assert_eq!(sentence("<i>"), "&lt;i&gt;");
    }

    #[test]
    fn every_template_is_parsed() {
        assert_eq!(environment().unwrap().templates().count(), TEMPLATES.len());
    }
}
