//! Text as it may be shown: escaped, measured in columns, cut sensibly, numbers and times for people.
//!
//! Pure. Everything that came from a manifest, a registry or a file name goes through [`escape`] before it reaches a
//! terminal: no control character and no character that reorders or hides text survives it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character can move the cursor, reorder the line or hide in it.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text with unsafe characters written as `\n`, `\x1b` or `\u{202e}`.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe(c) && c.is_ascii() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c if is_unsafe(c) => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A line of a manifest: a tab becomes one space, so that a mark below it stays in its column; the rest is escaped.
#[must_use]
pub fn escape_line(text: &str) -> String {
    escape(&text.replace('\t', " ")).into_owned()
}

/// How many columns of a terminal the text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts in the middle, so that beginning and end stay readable: `quay.io/…/podinfo`. Never wider than `limit`.
#[must_use]
pub fn shorten_middle(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    if limit <= 1 {
        return "…".repeat(limit);
    }
    // What stands at the end tells images and releases apart, so it keeps the larger half.
    let tail = (limit - 1).div_ceil(2) + (limit - 1) / 6;
    let head = limit - 1 - tail;
    format!("{}…{}", take_front(text, head), take_back(text, tail))
}

/// Cuts at the end. Never wider than `limit`.
#[must_use]
pub fn shorten_end(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    if limit <= 1 {
        return "…".repeat(limit);
    }
    format!("{}…", take_front(text, limit - 1))
}

/// Cuts `from → to` so that both sides and what differs between them stay readable: `…-r9 → …-r10`,
/// `7.2.4… → 7.2.5…`. Other texts are cut in the middle. Never wider than `limit`.
#[must_use]
pub fn shorten_pair(text: &str, limit: usize) -> String {
    const ARROW: &str = " → ";
    let Some((from, to)) = text.split_once(ARROW).filter(|_| width(text) > limit) else {
        return shorten_middle(text, limit);
    };
    let joint = |c: char| ".-_+@".contains(c);
    let common = |pairs: &mut dyn Iterator<Item = (char, char)>| {
        pairs.take_while(|(a, b)| a == b).map(|(a, _)| a).collect::<String>()
    };
    let front = common(&mut from.chars().zip(to.chars()));
    let back: String = common(&mut from.chars().rev().zip(to.chars().rev())).chars().rev().collect();
    // A cut stands at a joint, so that no number is torn apart.
    let front = front.rfind(joint).unwrap_or(0);
    let back = back.find(joint).map_or(0, |at| back.len() - at);
    let cut = |side: &str, front: usize, back: usize| {
        let inner = side.get(front..side.len().saturating_sub(back)).unwrap_or(side);
        format!("{}{inner}{}", if front > 1 { "…" } else { "" }, if back > 1 { "…" } else { "" })
    };
    let ways = [(0, back), (front, 0), (front, back)];
    let ways =
        ways.iter().map(|(front, back)| format!("{}{ARROW}{}", cut(from, *front, *back), cut(to, *front, *back)));
    if let Some(fitting) = ways.into_iter().find(|way| width(way) <= limit) {
        return fitting;
    }
    let room = limit.saturating_sub(width(ARROW));
    if room < 8 {
        return shorten_middle(text, limit);
    }
    // What the shorter side leaves is for the longer one.
    let half = (room / 2).max(room.saturating_sub(width(to))).min(width(from));
    format!("{}{ARROW}{}", shorten_middle(from, half), shorten_middle(to, room - half))
}

fn take_front(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    end.map_or(text, |(at, _)| &text[..at])
}

fn take_back(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let start = text.char_indices().rev().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    start.map_or(text, |(at, c)| &text[at + c.len_utf8()..])
}

/// The text broken at spaces into lines of at most `limit` columns, each behind `indent`; without a limit one line. A
/// word that is wider than a line stands on a line of its own.
#[must_use]
pub fn wrap(text: &str, indent: &str, limit: Option<usize>) -> String {
    let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(width(indent)).max(20));
    let (mut out, mut used) = (String::from(indent), 0);
    for word in text.split(' ') {
        let columns = width(word);
        if used > 0 && used + 1 + columns > room {
            out.push('\n');
            out.push_str(indent);
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += columns;
    }
    out.push('\n');
    out
}

/// `1000000` as `1,000,000`.
#[must_use]
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`, `1,000 files`; `one` is the singular, `many` the plural.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// How long something took: `0.1 s`, `12 s`, `2 min 5 s`.
#[must_use]
pub fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 {
        format!("{:.1} s", seconds.max(0.1))
    } else if seconds < 119.5 {
        format!("{seconds:.0} s")
    } else {
        format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// How long ago, in its largest unit: `3 days`, `5 hours`, `2 years`. `in the future` for a time after `now`.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let age: SignedDuration = now.duration_since(then);
    let seconds = age.as_secs();
    if seconds < 0 {
        return "in the future".to_owned();
    }
    let units = [(31_557_600, "year"), (2_629_800, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    for (length, unit) in units {
        let amount = seconds / length;
        if amount >= 1 {
            return format!("{amount} {unit}{}", if amount == 1 { "" } else { "s" });
        }
    }
    "just now".to_owned()
}

/// The candidate that is most probably meant by `given`; `None` where nothing is near.
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = given.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lowered, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` and `c`, each in backticks.
#[must_use]
pub fn listed<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_keeps_its_arrow_and_what_differs() {
        for (text, limit, cut) in [
            ("3.0.0 → 3.0.5", 13, "3.0.0 → 3.0.5"),
            ("7.2.4-alpine → 7.2.5-alpine", 17, "7.2.4… → 7.2.5…"),
            ("16.2.0-debian-12-r9 → 16.2.0-debian-12-r10", 20, "…-r9 → …-r10"),
            ("1.25.4-alpine → 1.25.5-alpine", 14, "….4… → ….5…"),
            ("main-9f8e7d6 → main-4d5e6f7", 17, "ma…e7d6 → ma…e6f7"),
            ("1.0.0-x → 1.0.0-x-y", 14, "…-x → …-x-y"),
            ("main-9f8e7d6", 8, "ma…8e7d6"),
        ] {
            assert_eq!(shorten_pair(text, limit), cut);
        }
        for text in ["é-a → ü-a", "a → ", " → ", "1 → 1", "abc-def-ghi-jkl → xyz", "日本-1 → 日本-2"]
        {
            for limit in 0..20 {
                assert!(width(&shorten_pair(text, limit)) <= limit, "{text} {limit}");
            }
        }
    }

    #[test]
    fn hostile_text_cannot_act_on_a_terminal() {
        assert_eq!(escape("1.2.3-alpine_ü"), "1.2.3-alpine_ü");
        assert_eq!(escape("a\x1b[31mb\u{7}\r\n"), "a\\x1b[31mb\\x07\\r\\n");
        assert_eq!(escape("a\u{202e}b\u{2066}c\u{200b}d\u{9b}e"), "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{9b}e");
        assert_eq!(escape("\u{e0041}\u{feff}\u{2028}"), "\\u{e0041}\\u{feff}\\u{2028}");
    }

    #[test]
    fn tabs_in_a_line_keep_columns() {
        assert_eq!(escape_line("\ttag:\t1\u{0}"), " tag: 1\\x00");
    }

    #[test]
    fn shortened_text_never_exceeds_its_limit() {
        let text = "registry.example.com/team/service-with-a-long-name";
        for limit in 0..60 {
            assert!(width(&shorten_middle(text, limit)) <= limit, "{limit}");
            assert!(width(&shorten_end(text, limit)) <= limit, "{limit}");
            assert!(width(&shorten_middle("日本語日本語日本語", limit)) <= limit, "{limit}");
        }
        assert_eq!(shorten_middle("quay.io/stefanprodan/podinfo", 16), "quay.…an/podinfo");
        assert_eq!(shorten_end("semver:>=1.0.0", 8), "semver:…");
        assert_eq!(shorten_middle("short", 5), "short");
    }

    #[test]
    fn wrapped_text_fits_and_loses_no_word() {
        let text = "asking `registry.example.com` for `team/app`: no connection: the name is not known";
        for limit in 24..100 {
            let wrapped = wrap(text, "    ", Some(limit));
            assert!(wrapped.lines().all(|line| width(line) <= limit.max(35)), "{limit}: {wrapped}");
            assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), text.split(' ').collect::<Vec<_>>());
        }
        assert_eq!(wrap(text, "", None), format!("{text}\n"));
    }

    #[test]
    fn numbers_and_times_read_well() {
        for (number, text) in [(0, "0"), (12, "12"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(count(1, "release", "releases"), "1 release");
        assert_eq!(count(1000, "release", "releases"), "1,000 releases");
        for (millis, text) in [(3, "0.1 s"), (1_240, "1.2 s"), (9_990, "10 s"), (125_000, "2 min 5 s")] {
            assert_eq!(elapsed(Duration::from_millis(millis)), text);
        }
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        for (then, text) in [
            ("2026-01-09T23:59:30Z", "just now"),
            ("2026-01-09T23:00:00Z", "1 hour"),
            ("2026-01-03T00:00:00Z", "7 days"),
            ("2023-01-09T00:00:00Z", "3 years"),
            ("2026-02-01T00:00:00Z", "in the future"),
        ] {
            assert_eq!(age(then.parse().unwrap(), now), text);
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let names = ["registries", "platform", "max_new_tags"];
        assert_eq!(nearest("registires", names), Some("registries"));
        assert_eq!(nearest("Platfrom", names), Some("platform"));
        assert_eq!(nearest("max-new-tag", names), Some("max_new_tags"));
        assert_eq!(nearest("colour", names), None);
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed([]), "");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
