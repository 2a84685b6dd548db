//! The hidden marker at the end of what the bot writes: what machines need to know the text again, and what people
//! decided, so that a lost store loses neither.
//!
//! Pure. A marker is one line of its own, an HTML comment with JSON in it that holds nothing which could end a comment.
//! Whatever is above it is the bot's and is written anew; whatever is below it is people's and stays. Reading is strict
//! and bounded: anything unexpected is no marker. **Who wrote the text is not told by a marker**: callers believe one only
//! in a body whose author is the bot.

use serde::{Deserialize, Serialize};

use super::markdown;
use crate::plan::{Ignore, Key, PullDecisions};

/// The longest line that is read as a marker, in bytes.
pub(super) const MAX_MARKER: usize = 32 << 10;

/// How many ignores a marker holds; the oldest go first.
pub(super) const MAX_IGNORES: usize = 50;

/// The longest name or reason in a marker, in characters.
const MAX_TEXT: usize = 200;

/// The only form that is written and read.
const VERSION: u32 = 1;

/// What follows a text that was cut.
const CUT: &str = "\n\n… cut here, for there is no more room.";

/// What kind of text a marker is in, by the word it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pull,
    Dashboard,
}

impl Kind {
    /// How its line begins, up to the JSON.
    fn opening(self) -> &'static str {
        match self {
            Self::Pull => "<!-- leadsman ",
            Self::Dashboard => super::dashboard::OPENING,
        }
    }
}

/// How its line ends.
const CLOSING: &str = " -->";

/// What stands in a pull request's body for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    version: u32,
    /// The branch it is for.
    pub base: String,
    /// The file (see [`Key`]).
    pub path: String,
    /// The workload (see [`Key`]).
    pub workload: String,
    /// The print of what it proposes.
    pub content: String,
    /// What people decided about it.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub decisions: PullDecisions,
}

fn is_empty(decisions: &PullDecisions) -> bool {
    *decisions == PullDecisions::default()
}

impl Marker {
    /// The marker of a pull request for `base` about `key` that proposes what `content` is the print of.
    #[must_use]
    pub fn new(base: &str, key: &Key, content: &str, decisions: &PullDecisions) -> Self {
        let mut hold = decisions.hold.clone();
        if let Some(hold) = &mut hold {
            bound(&mut hold.by, hold.reason.as_mut());
        }
        Self {
            version: VERSION,
            base: base.to_owned(),
            path: key.path.clone(),
            workload: key.workload.clone(),
            content: content.to_owned(),
            decisions: PullDecisions { ignores: bounded(&decisions.ignores), hold },
        }
    }

    /// The marker of a body, if it has one. The caller believes it only where the bot wrote the body.
    #[must_use]
    pub fn read(body: &str) -> Option<Self> {
        let marker: Self = read(body, Kind::Pull)?;
        (marker.version == VERSION && marker.decisions.ignores.len() <= MAX_IGNORES).then_some(marker)
    }

    /// What it is about.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { path: self.path.clone(), workload: self.workload.clone() }
    }
}

/// The newest ignores that fit, their texts cut.
pub(super) fn bounded(ignores: &[Ignore]) -> Vec<Ignore> {
    let mut kept = ignores[ignores.len().saturating_sub(MAX_IGNORES)..].to_vec();
    for Ignore { by, reason, .. } in &mut kept {
        bound(by, reason.as_mut());
    }
    kept
}

/// Cuts the texts of a decision, and takes what hides or controls out of them.
pub(super) fn bound(by: &mut String, reason: Option<&mut String>) {
    for text in [Some(by), reason].into_iter().flatten() {
        *text = markdown::plain(text).chars().take(MAX_TEXT).collect();
    }
}

impl Marker {
    /// Its line. Where it would be too long to be read again, the oldest ignores go.
    pub(super) fn line(mut self) -> Result<String, serde_json::Error> {
        loop {
            let line = line(Kind::Pull, &self)?;
            if line.len() <= MAX_MARKER || self.decisions.ignores.is_empty() {
                return Ok(line);
            }
            self.decisions.ignores.remove(0);
        }
    }
}

/// The line of a marker.
pub(super) fn line(kind: Kind, marker: &impl Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(marker)?;
    Ok(format!("{}{}{CLOSING}", kind.opening(), markdown::in_comment(&json)))
}

/// Reads the marker of a body: the first line that has its form, or nothing if that one holds something else.
pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &str, kind: Kind) -> Option<T> {
    let (_, line, _) = split(body, kind)?;
    let json = line.strip_prefix(kind.opening())?.strip_suffix(CLOSING)?;
    serde_json::from_str(json).ok()
}

/// What is above the marker of a body, the marker's line, and what is below that line.
fn split(body: &str, kind: Kind) -> Option<(&str, &str, &str)> {
    let mut at = 0;
    for whole in body.split_inclusive('\n') {
        let line = whole.trim_end();
        let has_form = line.starts_with(kind.opening()) && line.ends_with(CLOSING) && line.len() <= MAX_MARKER;
        if has_form && line[kind.opening().len()..].starts_with('{') {
            return Some((&body[..at], line, &body[at + whole.len()..]));
        }
        at += whole.len();
    }
    None
}

/// The text with the line of its marker below it, the text cut so that both fit into `room` bytes.
pub(super) fn append(text: &str, line: &str, room: usize) -> String {
    let mut text = text.trim_end().to_owned();
    let room = room.saturating_sub(line.len() + "\n\n\n".len());
    if text.len() > room {
        let end = text.floor_char_boundary(room.saturating_sub(CUT.len()));
        // At the end of a line, so that no table or code span is left open.
        text.truncate(text[..end].rfind('\n').unwrap_or(end));
        text.push_str(CUT);
    }
    format!("{text}\n\n{line}\n")
}

/// The new body with what people wrote below the marker of the old one, which stays to the byte. Where both do not fit
/// into `room` bytes, what the bot wrote is cut.
#[must_use]
pub fn keep_below(new: &str, old: &str, room: usize) -> String {
    for kind in [Kind::Pull, Kind::Dashboard] {
        let (Some((above, line, _)), Some((_, _, below))) = (split(new, kind), split(old, kind)) else { continue };
        if below.trim().is_empty() {
            break;
        }
        return append(above, line, room.saturating_sub(below.len())) + below;
    }
    new.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Hold, Scope};

    fn key() -> Key {
        Key { path: "a.yaml".into(), workload: "dev:helmrelease/app".into() }
    }

    fn ignore(reason: &str) -> Ignore {
        Ignore {
            scope: Scope::Minor,
            image: None,
            container: Some("app".into()),
            until: "2027-01-31T00:00:00Z".parse().ok(),
            by: "ada".into(),
            reason: Some(reason.into()),
        }
    }

    fn body(decisions: &PullDecisions) -> String {
        let marker = Marker::new("main", &key(), "0123", decisions);
        append("text", &marker.line().unwrap(), 65_536)
    }

    #[test]
    fn a_marker_is_read_back_as_it_was_written() {
        let hold = Hold { until: None, by: "ada".into(), reason: Some("a --> b <!-- @x `c`".into()) };
        let decisions = PullDecisions { ignores: vec![ignore("later")], hold: Some(hold) };
        let marker = Marker::read(&body(&decisions)).unwrap();
        assert_eq!((marker.key(), &marker.base[..], &marker.decisions), (key(), "main", &decisions));
        // As a forge gives it back after somebody edited it in a browser.
        assert_eq!(Marker::read(&body(&decisions).replace('\n', "\r\n")).unwrap(), marker);
        assert_eq!(Marker::read(&body(&PullDecisions::default())).unwrap().decisions, PullDecisions::default());
    }

    #[test]
    fn what_is_no_marker_is_not_read() {
        let good = body(&PullDecisions::default());
        assert!(Marker::read(&good).is_some());
        for bad in [
            String::new(),
            "text".into(),
            good.replace("<!-- leadsman", "> <!-- leadsman"),
            good.replace("<!-- leadsman", " <!-- leadsman"),
            good.replace("<!-- leadsman", "`<!-- leadsman"),
            good.replace("<!-- leadsman", "<!-- leadsman:dashboard"),
            good.replace(" -->", ""),
            good.replace(" -->", " --> x"),
            good.replace("\"version\":1", "\"version\":2"),
            good.replace("\"base\"", "\"bass\""),
            good.replace("\"base\"", "\"more\":1,\"base\""),
            good.replace("a.yaml", &"x".repeat(MAX_MARKER)),
        ] {
            assert_eq!(Marker::read(&bad), None, "{}", &bad[..bad.len().min(200)]);
        }
    }

    #[test]
    fn the_first_marker_counts_for_people_write_below_it() {
        let mine = body(&PullDecisions::default());
        let theirs = body(&PullDecisions { ignores: vec![ignore("x")], hold: None });
        assert_eq!(Marker::read(&format!("{mine}{theirs}")).unwrap().decisions.ignores, []);
    }

    #[test]
    fn a_marker_is_bounded() {
        let long = "x".repeat(10_000);
        let many: Vec<_> = (0..200).map(|n| Ignore { by: format!("p{n}"), ..ignore(&long) }).collect();
        let body = body(&PullDecisions { ignores: many, hold: None });
        let marker = Marker::read(&body).unwrap();
        assert_eq!(marker.decisions.ignores.len(), MAX_IGNORES);
        assert_eq!(marker.decisions.ignores.last().unwrap().by, "p199", "the newest stay");
        assert!(body.len() < MAX_MARKER, "{}", body.len());
        // What takes more bytes than characters, too.
        let many = vec![ignore(&"<".repeat(10_000)); 50];
        let body = self::body(&PullDecisions { ignores: many, hold: None });
        let left = Marker::read(&body).unwrap().decisions.ignores.len();
        assert!((5..50).contains(&left), "{left}");
    }

    #[test]
    fn what_people_wrote_below_the_marker_stays() {
        let new = body(&PullDecisions { ignores: vec![ignore("x")], hold: None });
        let old = body(&PullDecisions::default());
        assert_eq!(keep_below(&new, &old, 65_536), new);
        assert_eq!(keep_below(&new, "written by hand", 65_536), new);
        let note = "\n\n# Notes\r\n\n- [ ] ask grace\n";
        let kept = keep_below(&new, &format!("{old}{note}"), 65_536);
        assert_eq!(kept, format!("{new}{note}"));
        // And again: nothing grows.
        assert_eq!(keep_below(&new, &kept, 65_536), kept);
        assert_eq!(Marker::read(&kept), Marker::read(&new));
        // Where there is no room, ours is cut.
        let long = append(&"line\n".repeat(10_000), &Marker::read(&new).unwrap().line().unwrap(), 60_000);
        let kept = keep_below(&long, &format!("{old}{}", "note\n".repeat(8_000)), 65_536);
        assert!(kept.len() <= 65_536 && kept.ends_with("note\nnote\n") && kept.contains("… cut here"));
        assert!(Marker::read(&kept).is_some());
    }
}
