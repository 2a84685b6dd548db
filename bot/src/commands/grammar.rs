//! What a comment asks for: its lines to commands, or to faults that mark the place and name what was meant.
//!
//! Pure; the time is that of the comment. Nothing is guessed: a line of ours that is not fully understood runs nothing.

use std::fmt;
use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{COMMANDS, Command, CommandInfo, Ignored, Scope, lines, method_word};
use crate::forge::MergeMethod;
use crate::merge::pin::ShaPrefix;

/// The longest comment that is read, in bytes. Forges take less; a longer one holds no commands.
pub const MAX_COMMENT: usize = 1 << 20;

/// How many lines of one comment are answered.
pub const MAX_LINES: usize = 20;

/// How much of a line is quoted, in characters.
const MAX_QUOTE: usize = 200;

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 300;

/// The longest time that `until` may span: a decade.
const MAX_DAYS: i64 = 3653;

/// How commands are written on a forge (C1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grammar {
    /// The bot's name, without `@`.
    pub handle: String,
    /// Whether `/word` is a command. Not on GitLab, where such lines are actions of its own.
    pub slash: bool,
}

/// A line of a comment that is for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the comment, from 1.
    pub line: usize,
    /// As written, without white space around it, cut to 200 characters.
    pub quoted: String,
    /// What it asks for.
    pub parsed: Result<Command, Fault>,
}

/// Why a line is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Where, in bytes of [`Line::quoted`].
    pub at: Range<usize>,
    /// The command that was probably meant, without slash or handle.
    pub meant: Option<String>,
}

/// What is wrong with a line. The words in it are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// There is no such command.
    UnknownCommand(String),
    /// The command does not take this.
    UnknownArgument {
        /// The command.
        command: &'static str,
        /// What it does not take.
        word: String,
    },
    /// What stands behind `until` is no date.
    DateNotUnderstood(String),
    /// Nothing stands behind `until`.
    DateMissing,
    /// The date is over.
    DatePassed(String),
    /// The date is more than ten years ahead.
    DateTooFar(String),
    /// The digits of a commit are fewer than seven or more than forty.
    ShaLength(String),
    /// The same kind of argument stands there twice.
    Twice(String),
    /// Another command begins in the line.
    OneCommandPerLine,
    /// The comment holds more lines of ours than are read.
    TooManyLines,
}

impl FaultKind {
    /// The kind's name, for tests, logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownCommand(_) => "unknown-command",
            Self::UnknownArgument { .. } => "unknown-argument",
            Self::DateNotUnderstood(_) => "date-not-understood",
            Self::DateMissing => "date-missing",
            Self::DatePassed(_) => "date-passed",
            Self::DateTooFar(_) => "date-too-far",
            Self::ShaLength(_) => "sha-length",
            Self::Twice(_) => "twice",
            Self::OneCommandPerLine => "one-command-per-line",
            Self::TooManyLines => "too-many-lines",
        }
    }
}

/// What to tell whoever wrote the line: a sentence without full stop, names in backticks.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORMS: &str = "write a day such as `2027-01-31`, or a time from now such as `3d` or `2w`";
        match self {
            Self::UnknownCommand(word) => write!(f, "there is no command `{}`", ticked(word)),
            Self::UnknownArgument { command, word } => write!(f, "`{command}` does not take `{}`", ticked(word)),
            Self::DateNotUnderstood(word) => write!(f, "date not understood: `{}`; {FORMS}", ticked(word)),
            Self::DateMissing => write!(f, "`until` needs a date; {FORMS}"),
            Self::DatePassed(word) => write!(f, "`{}` has begun already (days begin at 00:00 UTC)", ticked(word)),
            Self::DateTooFar(word) => write!(f, "`{}` is more than ten years ahead", ticked(word)),
            Self::ShaLength(word) => {
                write!(f, "`{}` is not the start of a commit's id; give at least seven digits", ticked(word))
            }
            Self::Twice(word) => write!(f, "`{}` is one too many of its kind", ticked(word)),
            Self::OneCommandPerLine => f.write_str("one command per line, please"),
            Self::TooManyLines => {
                write!(f, "one comment may hold {MAX_LINES} commands; this line and what follows was not read")
            }
        }
    }
}

/// A word that stands between backticks in a sentence.
fn ticked(word: &str) -> String {
    word.replace('`', "'")
}

impl Grammar {
    /// A command as it is written here: `/merge`, or `@leadsman merge`.
    #[must_use]
    pub fn spell(&self, command: &str) -> String {
        if self.slash { format!("/{command}") } else { format!("@{} {command}", self.handle) }
    }

    /// What follows a slash or the handle; none where the line is not for us, or is for others (C1.1, C1.4).
    fn addressed<'a>(&self, line: &'a str) -> Option<Addressed<'a>> {
        if let Some(rest) = line.strip_prefix('/') {
            return self.slash.then_some(Addressed { rest, by_name: false });
        }
        let rest = line.strip_prefix('@')?;
        let (name, rest) = rest.split_at_checked(self.handle.len())?;
        // Any other character makes it a longer name, a team or an address.
        let rest = match rest.chars().next()? {
            ':' | ',' => &rest[1..],
            c if c.is_whitespace() => rest,
            _ => return None,
        };
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        let ours = name.eq_ignore_ascii_case(&self.handle) && !self.handle.is_empty();
        ours.then_some(Addressed { rest, by_name: true })
    }
}

/// A line that is addressed to us.
struct Addressed<'a> {
    /// What follows the slash or the handle.
    rest: &'a str,
    /// Whether our name was said, so that an answer is owed (C1.4).
    by_name: bool,
}

/// A word and where it stands in its line.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    at: usize,
}

impl Word<'_> {
    fn range(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    fn is(self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Every line of a comment that is for us, in order (C1.1, C1.2, C1.4). Dates count from `written_at`.
#[must_use]
pub fn parse(text: &str, grammar: &Grammar, written_at: Timestamp) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    if text.len() > MAX_COMMENT || !text.contains(['/', '@']) {
        return found;
    }
    for line in lines::plain_lines(text) {
        let Some(parsed) = read_line(line.text, grammar, written_at) else { continue };
        let full = found.len() == MAX_LINES;
        let parsed = if full { Err(fault(FaultKind::TooManyLines, 0..line.text.len())) } else { parsed };
        found.push(quote(line.number, line.text, parsed));
        if full {
            break;
        }
    }
    found
}

fn quote(line: usize, text: &str, parsed: Result<Command, Fault>) -> Line {
    let quoted: String = text.chars().take(MAX_QUOTE).collect();
    let end = quoted.len();
    let parsed = parsed.map_err(|fault| Fault { at: fault.at.start.min(end)..fault.at.end.min(end), ..fault });
    Line { line, quoted, parsed }
}

fn fault(kind: FaultKind, at: Range<usize>) -> Fault {
    Fault { kind, at, meant: None }
}

/// What one line asks for; none where it is not for us.
fn read_line(line: &str, grammar: &Grammar, written_at: Timestamp) -> Option<Result<Command, Fault>> {
    let Addressed { rest, by_name } = grammar.addressed(line)?;
    let words = words(line, line.len() - rest.len());
    let (first, arguments) = words.split_first()?;
    // A space between the slash and the word makes it no command.
    if !by_name && rest.starts_with(char::is_whitespace) {
        return None;
    }
    let known = COMMANDS.iter().find(|info| first.is(info.name));
    match known {
        Some(info) => Some(Reader { line, grammar, written_at, info, arguments }.read()),
        None if by_name => {
            let kind = FaultKind::UnknownCommand(first.text.chars().take(MAX_QUOTE).collect());
            let names = COMMANDS.iter().map(|info| info.name);
            Some(Err(Fault { meant: nearest(first.text, names).map(Into::into), ..fault(kind, first.range()) }))
        }
        None => None,
    }
}

fn words(line: &str, from: usize) -> Vec<Word<'_>> {
    let rest = &line[from..];
    let base = rest.as_ptr() as usize;
    rest.split_whitespace().map(|text| Word { text, at: from + (text.as_ptr() as usize - base) }).collect()
}

/// The name that a word was probably meant to be.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if word.is_empty() || word.len() > 20 {
        return None;
    }
    names
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= (name.len().min(word.len()) / 2).min(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Reads the arguments of one command.
struct Reader<'a> {
    line: &'a str,
    grammar: &'a Grammar,
    written_at: Timestamp,
    info: &'static CommandInfo,
    arguments: &'a [Word<'a>],
}

impl Reader<'_> {
    fn read(&self) -> Result<Command, Fault> {
        let bare = |command| self.nothing_more(self.arguments).map(|()| command);
        match self.info.name {
            "merge" => self.merge(),
            "hold" => {
                let (until, rest) = self.until(self.arguments)?;
                Ok(Command::Hold { until, reason: self.reason(rest)? })
            }
            "unhold" => bare(Command::Unhold),
            "close" => bare(Command::Close),
            "rebase" => bare(Command::Rebase),
            "recreate" => bare(Command::Recreate),
            "ignore" => self.ignore(),
            "unignore" => self.unignore(),
            "ignores" => bare(Command::Ignores),
            "explain" => self.explain(),
            "status" => bare(Command::Status),
            "scan" => bare(Command::Scan),
            "help" => bare(Command::Help),
            "pause" => Ok(Command::Pause { reason: self.reason(self.arguments)? }),
            "resume" => bare(Command::Resume),
            other => Err(fault(FaultKind::UnknownCommand(other.into()), 0..0)),
        }
    }

    fn merge(&self) -> Result<Command, Fault> {
        if let Some((first, rest)) = self.arguments.split_first()
            && first.is("cancel")
        {
            self.nothing_more(rest)?;
            return Ok(Command::MergeCancel);
        }
        const METHODS: [MergeMethod; 3] = [MergeMethod::Squash, MergeMethod::Merge, MergeMethod::Rebase];
        let (mut method, mut head, mut now) = (None, None, false);
        for word in self.arguments {
            let twice = if let Some(found) = METHODS.into_iter().find(|method| word.is(method_word(*method))) {
                method.replace(found).is_some()
            } else if word.is("--now") {
                std::mem::replace(&mut now, true)
            } else if let Some(sha) = ShaPrefix::parse(word.text) {
                head.replace(sha).is_some()
            } else if is_almost_sha(word.text) {
                return Err(fault(FaultKind::ShaLength(word.text.into()), word.range()));
            } else {
                const KNOWN: [&str; 5] = ["cancel", "squash", "merge", "rebase", "--now"];
                // `cancel` stands alone.
                return Err(self.unknown(*word, &KNOWN[usize::from(word.at != self.arguments[0].at)..]));
            };
            if twice {
                return Err(fault(FaultKind::Twice(word.text.into()), word.range()));
            }
        }
        Ok(Command::Merge { method, head, now })
    }

    fn ignore(&self) -> Result<Command, Fault> {
        let (what, rest) = match self.arguments.split_first() {
            Some((first, rest)) if Scope::of_word(first.text).is_some() => (Scope::of_word(first.text), rest),
            _ => (None, self.arguments),
        };
        let (until, rest) = self.until(rest)?;
        if let Some(word) = rest.first() {
            let scopes = Scope::ALL.map(Scope::as_str);
            let known = if what.is_none() && until.is_none() { &scopes[..] } else { &[] };
            return Err(self.unknown(*word, known));
        }
        Ok(Command::Ignore { what: what.unwrap_or(Scope::This), until })
    }

    fn unignore(&self) -> Result<Command, Fault> {
        let Some((first, rest)) = self.arguments.split_first() else {
            return Ok(Command::Unignore { what: Ignored::Scope(Scope::This) });
        };
        let number = || {
            let digits = first.text.strip_prefix('#').unwrap_or(first.text);
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok().map(Ignored::Number))?
        };
        let what = Scope::of_word(first.text).map(Ignored::Scope).or_else(number);
        let what = what.ok_or_else(|| self.unknown(*first, &Scope::ALL.map(Scope::as_str)))?;
        self.nothing_more(rest)?;
        Ok(Command::Unignore { what })
    }

    fn explain(&self) -> Result<Command, Fault> {
        let Some((first, rest)) = self.arguments.split_first() else {
            return Ok(Command::Explain { container: None });
        };
        let name = first.text.trim_matches('`');
        let is_name = (1..=MAX_QUOTE).contains(&name.chars().count()) && !name.starts_with('/');
        if !is_name {
            return Err(self.unknown(*first, &[]));
        }
        self.nothing_more(rest)?;
        Ok(Command::Explain { container: Some(name.into()) })
    }

    /// `until <date>` at the start of the words, and the words behind it.
    fn until<'w>(&self, words: &'w [Word<'w>]) -> Result<(Option<Timestamp>, &'w [Word<'w>]), Fault> {
        let Some((first, rest)) = words.split_first() else { return Ok((None, words)) };
        if !first.is("until") {
            // A date without `until` would be taken for a reason, and the hold would never end.
            if date(first.text, self.written_at).is_ok() {
                let before: Vec<_> = self.taken_before(first.at).collect();
                let meant = Some([self.info.name, &before.join(" "), "until", first.text].join(" ").replace("  ", " "));
                let kind = FaultKind::UnknownArgument { command: self.info.name, word: first.text.into() };
                return Err(Fault { meant, ..fault(kind, first.range()) });
            }
            return Ok((None, words));
        }
        let Some((word, rest)) = rest.split_first() else {
            return Err(fault(FaultKind::DateMissing, first.range()));
        };
        match date(word.text, self.written_at) {
            Ok(until) => Ok((Some(until), rest)),
            Err(kind) => Err(fault(kind, word.range())),
        }
    }

    /// The words as written, from the first to the end of the line.
    fn reason(&self, words: &[Word<'_>]) -> Result<Option<String>, Fault> {
        let Some(first) = words.first() else { return Ok(None) };
        if self.is_command(*first) {
            return Err(fault(FaultKind::OneCommandPerLine, first.range()));
        }
        Ok(Some(self.line[first.at..].trim_end().chars().take(MAX_REASON).collect()))
    }

    fn nothing_more(&self, words: &[Word<'_>]) -> Result<(), Fault> {
        words.first().map_or(Ok(()), |word| Err(self.unknown(*word, &[])))
    }

    /// The fault of a word that does not belong there, with the line without it, or with the word it was meant to be.
    fn unknown(&self, word: Word<'_>, known: &[&'static str]) -> Fault {
        if self.is_command(word) {
            return fault(FaultKind::OneCommandPerLine, word.range());
        }
        // Telephones make dashes of two hyphens.
        let plain = word.text.replace(['—', '–'], "--");
        let meant = nearest(&plain, known.iter().map(|word| word.trim_start_matches('-')));
        let meant = meant.and_then(|meant| known.iter().find(|word| word.trim_start_matches('-') == meant));
        let corrected = [self.info.name].into_iter().chain(self.taken_before(word.at)).chain(meant.copied());
        let kind =
            FaultKind::UnknownArgument { command: self.info.name, word: word.text.chars().take(MAX_QUOTE).collect() };
        Fault { meant: Some(corrected.collect::<Vec<_>>().join(" ")), ..fault(kind, word.range()) }
    }

    fn taken_before(&self, at: usize) -> impl Iterator<Item = &str> {
        self.arguments.iter().take_while(move |word| word.at < at).map(|word| word.text)
    }

    /// Whether a word begins another command.
    fn is_command(&self, word: Word<'_>) -> bool {
        let by_slash = word
            .text
            .strip_prefix('/')
            .is_some_and(|word| COMMANDS.iter().any(|info| info.name.eq_ignore_ascii_case(word)));
        let by_name = word
            .text
            .strip_prefix('@')
            .is_some_and(|name| name.trim_end_matches([':', ',']).eq_ignore_ascii_case(&self.grammar.handle));
        by_slash || by_name
    }
}

/// Whether a word looks like a commit's id of the wrong length, and not like a word of a language.
fn is_almost_sha(word: &str) -> bool {
    word.len() >= 4 && word.bytes().all(|b| b.is_ascii_hexdigit()) && word.bytes().any(|b| b.is_ascii_digit())
}

/// The time that a date means: the start of a day in UTC (`2027-01-31`), or days (`3d`) or weeks (`2w`) from
/// `written_at`.
fn date(word: &str, written_at: Timestamp) -> Result<Timestamp, FaultKind> {
    let not_understood = || FaultKind::DateNotUnderstood(word.chars().take(MAX_QUOTE).collect());
    let too_far = || FaultKind::DateTooFar(word.into());
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let lower = word.to_ascii_lowercase();
    let days_each = lower.strip_suffix('d').map(|count| (count, 1)).or(lower.strip_suffix('w').map(|count| (count, 7)));
    if let Some((count, each)) = days_each {
        if !is_digits(count) || count.len() > 18 {
            return Err(not_understood());
        }
        let days = count.parse::<i64>().map_err(|_| not_understood())?.checked_mul(each).ok_or_else(too_far)?;
        if days == 0 {
            return Err(FaultKind::DatePassed(word.into()));
        }
        if days > MAX_DAYS {
            return Err(too_far());
        }
        return written_at.checked_add(SignedDuration::from_hours(days * 24)).map_err(|_| too_far());
    }
    let parts: Vec<_> = word.split('-').collect();
    let has_shape = parts.iter().map(|part| part.len()).eq([4, 2, 2]) && parts.iter().all(|part| is_digits(part));
    let day = has_shape.then(|| word.parse::<Date>().ok()).flatten().ok_or_else(not_understood)?;
    let start = day.to_zoned(TimeZone::UTC).map_err(|_| too_far())?.timestamp();
    if start <= written_at {
        return Err(FaultKind::DatePassed(word.into()));
    }
    if start.duration_since(written_at) > SignedDuration::from_hours(MAX_DAYS * 24) {
        return Err(too_far());
    }
    Ok(start)
}
