//! Every comment the bot writes, from the templates in `templates/comments/`.
//!
//! Pure. Each comment ends with a hidden key that says what it answers, so that it is found before it is written again
//! (C1.5). Whatever comes from outside is escaped, so that no answer holds a command, for us or for other bots, mentions
//! nobody and closes nothing (C1.7).

use std::fmt;

use gix::ObjectId;
use jiff::Timestamp;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, context};
use serde::Serialize;

use super::{MAX_BODY, environment, markdown};
use crate::commands::grammar::{Grammar, Line};
use crate::commands::permit::Refusal;
use crate::commands::{COMMANDS, Command, day_or_moment, method_word, permission_word};
use crate::forge::MergeMethod;
use crate::merge::decide::{Decided, Note, Request, Verdict};
use crate::merge::pin::PinFault;
use crate::merge::reason::Reason;
use crate::plan::{Ignore, Pause};

/// The digits of a commit that are shown.
const DIGITS: usize = 7;

/// How many rows a table shows.
const MAX_ROWS: usize = 100;

/// How many entries of a history are shown, the newest.
const MAX_HISTORY: usize = 20;

/// What a comment of the bot is about, so that there is one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommentKey {
    /// It answers a line of a comment; line 0 is the comment as a whole.
    Answer {
        /// The comment's number on the forge.
        comment: i64,
        /// The line, from 1.
        line: usize,
    },
    /// It says that the branch holds this commit of somebody else.
    LeftAlone(ObjectId),
}

const KEY_START: &str = "<!-- leadsman:comment ";
const KEY_END: &str = " -->";

/// The hidden key as it stands in the comment.
impl fmt::Display for CommentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { comment, line } => write!(f, "{KEY_START}{comment}:{line}{KEY_END}"),
            Self::LeftAlone(commit) => write!(f, "{KEY_START}left-alone:{commit}{KEY_END}"),
        }
    }
}

impl CommentKey {
    /// The key of a comment; none where it has none. Only the last line counts, which no outside text can be. Ask only
    /// for comments whose author is the bot: others can write keys, too.
    #[must_use]
    pub fn read(body: &str) -> Option<Self> {
        let last = body.trim_end().lines().next_back()?;
        let (left, right) = last.strip_prefix(KEY_START)?.strip_suffix(KEY_END)?.split_once(':')?;
        if left == "left-alone" {
            return ObjectId::from_hex(right.as_bytes()).ok().map(Self::LeftAlone);
        }
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(left) && is_number(right))
            .then(|| Some(Self::Answer { comment: left.parse().ok()?, line: right.parse().ok()? }))?
    }
}

/// What is to be said. Texts in it are sentences without full stop, with names in backticks.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// It is done.
    Done {
        /// What was done.
        did: &'a str,
    },
    /// It could not be done for a technical reason.
    Failed {
        /// Why.
        what: &'a str,
    },
    /// It is merged as soon as possible.
    Waiting {
        /// The request.
        request: &'a Request,
        /// How it will be merged.
        method: MergeMethod,
        /// What stands against it.
        reasons: &'a [Reason],
        /// What is worth telling.
        notes: &'a [Note],
        /// When the request is over.
        expires_at: Timestamp,
    },
    /// It is merged.
    Merged {
        /// What was merged.
        head: ObjectId,
        /// Into what.
        base: &'a str,
        /// How.
        method: MergeMethod,
        /// The commit that came of it.
        commit: Option<ObjectId>,
        /// What is worth telling.
        notes: &'a [Note],
    },
    /// The request to merge is over.
    Dropped(&'a Reason),
    /// Whoever asked may not.
    Refused {
        /// What they asked for.
        command: &'a Command,
        /// Why not.
        refusal: &'a Refusal,
    },
    /// A line that is not understood; nothing is said where it is.
    Fault(&'a Line),
    /// It is not clear which head was meant.
    NotPinned(&'a PinFault),
    /// All commands.
    Help,
    /// How a pull request stands.
    Status(&'a Status<'a>),
    /// How a repository stands.
    Overview(&'a Overview<'a>),
    /// Why the images are what they are.
    Explain {
        /// The container that was asked about.
        asked: Option<&'a str>,
        /// Each container.
        containers: &'a [Explained],
    },
    /// What is ignored, in the order of its numbers from 1.
    Ignores(&'a [Listed<'a>]),
    /// The comment was edited before it was read (C1.3).
    Edited,
    /// Somebody committed to the branch.
    LeftAlone {
        /// Their commit.
        commit: ObjectId,
        /// Their name.
        by: Option<&'a str>,
    },
}

/// How a pull request stands.
#[derive(Debug, Clone, Copy)]
pub struct Status<'a> {
    /// Its head.
    pub head: ObjectId,
    /// Its base.
    pub base: &'a str,
    /// The request to merge it, how it is merged, and when the request is over.
    pub request: Option<(&'a Request, MergeMethod, Timestamp)>,
    /// What would be done about a request that were made now, or is done about the one that stands.
    pub decided: &'a Decided,
    /// Why it is left alone.
    pub left_alone: Option<&'a str>,
    /// What happened, oldest first.
    pub history: &'a [(Timestamp, String)],
}

/// How a repository stands.
#[derive(Debug, Clone, Copy)]
pub struct Overview<'a> {
    /// Whether it is paused.
    pub pause: Option<&'a Pause>,
    /// How many pull requests are open.
    pub open: usize,
    /// How many requests to merge stand.
    pub merging: usize,
    /// How many entries `ignores` lists.
    pub ignored: usize,
    /// What is wrong.
    pub faults: &'a [String],
}

/// Why a container's image is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The container.
    pub container: String,
    /// Its image.
    pub image: String,
    /// The tag it has.
    pub current: String,
    /// The filter, as written.
    pub filter: String,
    /// What came of it.
    pub outcome: String,
    /// The tags that were looked at, best first.
    pub tags: Vec<ExplainedTag>,
}

/// A tag with the reason for or against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedTag {
    /// The tag.
    pub tag: String,
    /// When its image was made.
    pub made: Option<String>,
    /// Whether it was chosen.
    pub taken: bool,
    /// Why, or why not.
    pub why: String,
}

/// Something that is ignored.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The decision.
    pub ignore: &'a Ignore,
    /// Where it counts: "this pull request", "the whole repository".
    pub place: &'a str,
}

#[derive(Serialize)]
struct ReasonView {
    words: String,
    who: String,
}

/// Turns answers into comments.
pub struct CommentRenderer {
    templates: Environment<'static>,
}

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        &[$((concat!($name, ".md"), include_str!(concat!("../../../templates/comments/", $name, ".md")))),+]
    };
}

/// The templates of all comments.
const TEMPLATES: &[(&str, &str)] = templates![
    "done",
    "failed",
    "waiting",
    "merged",
    "dropped",
    "expired",
    "refused",
    "fault",
    "not_pinned",
    "help",
    "status",
    "overview",
    "explain",
    "ignores",
    "edited",
    "left_alone",
];

impl CommentRenderer {
    /// The comments as they come with Leadsman.
    ///
    /// # Errors
    /// Where a template cannot be parsed.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { templates: environment::environment(TEMPLATES)? })
    }

    /// The text of a comment with its key, no longer than forges take. `grammar` says how commands are written there.
    ///
    /// # Errors
    /// Where a template fails.
    pub fn comment(&self, key: CommentKey, grammar: &Grammar, answer: &Answer<'_>) -> Result<String, Error> {
        let (name, values) = view(grammar, answer);
        let text = self.templates.get_template(name)?.render(values)?;
        let end = format!("\n\n{key}\n");
        let text = text.trim();
        let room = MAX_BODY - end.len();
        if text.len() <= room {
            return Ok(format!("{text}{end}"));
        }
        const CUT: &str = "\n\n… cut here, for a comment holds no more.";
        let cut = text.floor_char_boundary(room - CUT.len());
        // At the end of a line, so that no row of a table is left open.
        let cut = text[..cut].rfind('\n').unwrap_or(cut);
        Ok(format!("{}{CUT}{end}", &text[..cut]))
    }
}

/// The template for an answer, and what it sees.
fn view(grammar: &Grammar, answer: &Answer<'_>) -> (&'static str, Value) {
    let say = |command: &str| grammar.spell(command);
    let reason = |reason: &Reason| ReasonView { words: reason.words(), who: reason.who(grammar) };
    let reasons = |list: &[Reason]| Value::from(Serde(list.iter().map(reason).collect::<Vec<_>>()));
    let notes = |list: &[Note]| list.iter().map(Note::words).collect::<Vec<_>>();
    match *answer {
        Answer::Done { did } => ("done.md", context! { did }),
        Answer::Failed { what } => ("failed.md", context! { what }),
        Answer::Waiting { request, method, reasons: list, notes: told, expires_at } => (
            "waiting.md",
            context! {
                head => short(request.head),
                base => request.base.as_str(),
                method => by_method(method),
                reasons => reasons(list),
                notes => notes(told),
                cancel => say("merge cancel"),
                expires => day_or_moment(expires_at),
            },
        ),
        Answer::Merged { head, base, method, commit, notes: told } => (
            "merged.md",
            context! {
                head => short(head),
                base,
                method => by_method(method),
                commit => commit.map(short),
                notes => notes(told),
            },
        ),
        Answer::Dropped(why) => {
            let name = if matches!(why, Reason::Expired { .. }) { "expired.md" } else { "dropped.md" };
            (name, context! { reason => Value::from(Serde(reason(why))), again => say("merge") })
        }
        Answer::Refused { command, refusal } => {
            ("refused.md", context! { command => say(&command.to_string()), why => refusal.words() })
        }
        Answer::Fault(line) => {
            let fault = line.parsed.as_ref().err();
            let place = markdown::marked(line.line, &line.quoted, fault.map_or(0..0, |fault| fault.at.clone()));
            let values = context! {
                problem => fault.map_or_else(String::new, |fault| fault.kind.to_string()),
                place => Value::from_safe_string(place),
                meant => fault.and_then(|fault| fault.meant.as_deref()).map(say),
                help => say("help"),
            };
            ("fault.md", values)
        }
        Answer::NotPinned(fault) => (
            "not_pinned.md",
            context! {
                fault => fault.words(),
                digits => fault.digits(),
                again => say(&format!("merge {}", fault.digits())),
            },
        ),
        Answer::Help => ("help.md", help(grammar)),
        Answer::Status(status) => ("status.md", status_view(grammar, status)),
        Answer::Overview(overview) => {
            let Overview { pause, open, merging, ignored, faults } = *overview;
            let pause = pause.map(|pause| pause.words().trim_start_matches("paused").to_owned());
            let faults = faults.iter().take(MAX_ROWS).collect::<Vec<_>>();
            ("overview.md", context! { pause, open, merging, ignored, faults => Value::from(Serde(faults)) })
        }
        Answer::Explain { asked, containers } => {
            let views: Vec<_> = containers.iter().take(MAX_ROWS).map(explained).collect();
            ("explain.md", context! { asked, containers => views })
        }
        Answer::Ignores(list) => {
            let entries: Vec<_> =
                (1..).zip(list).take(MAX_ROWS).map(|(number, listed)| ignored(number, listed)).collect();
            let more = list.len().saturating_sub(MAX_ROWS);
            ("ignores.md", context! { entries, more, again => say("unignore 1") })
        }
        Answer::Edited => ("edited.md", context! {}),
        Answer::LeftAlone { commit, by } => {
            ("left_alone.md", context! { commit => short(commit), by, recreate => say("recreate") })
        }
    }
}

fn status_view(grammar: &Grammar, status: &Status<'_>) -> Value {
    let Status { head, base, request, decided, left_alone, history } = *status;
    let view = |reason: &Reason| ReasonView { words: reason.words(), who: reason.who(grammar) };
    let (waits, dropped) = match &decided.verdict {
        Verdict::Wait(reasons) => (reasons.iter().map(view).collect(), None),
        Verdict::Merge { .. } => (Vec::new(), None),
        Verdict::Drop(reason) => (Vec::new(), Some(view(reason))),
    };
    let request = request.map(|(request, method, expires_at)| {
        context! {
            by => request.by.as_str(),
            asked => day_or_moment(request.asked_at),
            method => by_method(method),
            expires => day_or_moment(expires_at),
        }
    });
    let newest = history.iter().skip(history.len().saturating_sub(MAX_HISTORY));
    context! {
        head => short(head),
        base,
        request,
        reasons => Value::from(Serde(waits)),
        dropped => Value::from(Serde(dropped)),
        notes => decided.notes.iter().map(Note::words).collect::<Vec<_>>(),
        left_alone,
        history => newest.map(|(at, what)| context! { at => day_or_moment(*at), what }).collect::<Vec<_>>(),
    }
}

fn help(grammar: &Grammar) -> Value {
    let rows: Vec<_> = COMMANDS
        .iter()
        .map(|info| {
            context! { written => grammar.spell(info.syntax), does => info.does, needs => permission_word(info.needs) }
        })
        .collect();
    let dashboard: Vec<_> = COMMANDS.iter().filter(|info| info.on_dashboard).map(|info| info.name).collect();
    context! { commands => rows, dashboard }
}

fn explained(container: &Explained) -> Value {
    let Explained { container, image, current, filter, outcome, tags } = container;
    let more = tags.len().saturating_sub(MAX_ROWS);
    let tags = Value::from(Serde(tags[..tags.len().min(MAX_ROWS)].to_vec()));
    context! { container, image, current, filter, outcome, tags, more }
}

fn ignored(number: usize, listed: &Listed<'_>) -> Value {
    use crate::plan::Scope;

    let Ignore { scope, image, container, until, by, reason } = listed.ignore;
    let tick = |name: &str| format!("`{}`", name.replace('`', "'"));
    let what = match scope {
        Scope::This(version) => tick(&version.tag),
        Scope::Patch => "patch updates".into(),
        Scope::Minor => "minor updates".into(),
        Scope::Major => "major updates".into(),
        Scope::Image => "every version".into(),
    };
    let of = |word: &str, name: &Option<String>| {
        name.as_ref().map_or(String::new(), |name| format!(" {word} {}", tick(name)))
    };
    let why = reason.as_ref().map_or(String::new(), |reason| format!(": {}", tick(reason)));
    context! {
        number,
        what => format!("{what}{}{}{why}", of("of", image), of("in", container)),
        until => until.map(day_or_moment),
        by,
        place => listed.place,
    }
}

fn short(id: ObjectId) -> String {
    id.to_hex_with_len(DIGITS).to_string()
}

/// What stands behind "by".
fn by_method(method: MergeMethod) -> &'static str {
    match method {
        MergeMethod::Merge => "a merge commit",
        MergeMethod::Squash | MergeMethod::Rebase => method_word(method),
    }
}

#[cfg(test)]
mod tests;
