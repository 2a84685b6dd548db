//! The one type for a failure that a person sees: what was being done, to what, why it failed, what to do next.

use std::fmt;

use super::snippet::{Place, excerpt};
use super::text::escape;
use super::{Exit, Look, is_closed_pipe, style};

/// A failure that ends a command.
///
/// Messages are lower-case without a full stop; names stand in backticks. Text from outside may be put into them as it
/// is: [`CliError::render`] escapes.
#[derive(Debug)]
pub struct CliError {
    message: String,
    causes: Vec<String>,
    place: Option<Box<Place>>,
    hint: Option<Box<str>>,
    exit: Exit,
    closed_pipe: bool,
}

impl CliError {
    /// Wrong use or configuration: exit code 2.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            place: None,
            hint: None,
            exit: Exit::Usage,
            closed_pipe: false,
        }
    }

    /// Something that was asked for could not be done: exit code 1.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Partly, ..Self::usage(message) }
    }

    /// The same, with the error that is behind it and the chain of its sources.
    #[must_use]
    pub fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            let text = error.to_string();
            // Errors that repeat their source in their own text would otherwise say everything twice.
            if !self.causes.last().is_some_and(|last| last.ends_with(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// The same, with the place in a file that it is about.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// How the program ends with this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether the reader of standard output went away, as in `leadsman scan | head`: no error to a person.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        self.closed_pipe
    }

    /// The error as lines for standard error.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let mut out = format!("{} {}\n", look.paint(style::ERROR, "error:"), escape(&self.message));
        if let Some(place) = &self.place {
            out.push_str(&excerpt(place, look));
        }
        for cause in &self.causes {
            let lines: Vec<_> = cause.lines().map(|line| escape(line).into_owned()).collect();
            out.push_str(&format!("  {} {}\n", look.paint(style::DIM, "because:"), lines.join("\n           ")));
        }
        if let Some(hint) = &self.hint {
            let lines: Vec<_> = hint.lines().map(|line| escape(line).into_owned()).collect();
            out.push_str(&format!("{} {}\n", look.paint(style::GOOD, "hint:"), lines.join("\n      ")));
        }
        out
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl std::error::Error for CliError {}

impl From<std::io::Error> for CliError {
    /// A fault of standard output.
    fn from(error: std::io::Error) -> Self {
        if is_closed_pipe(&error) {
            return Self { exit: Exit::Done, closed_pipe: true, ..Self::failed("the reader of the output ended") };
        }
        Self::failed("could not write to standard output").because(&error)
    }
}

impl From<anyhow::Error> for CliError {
    /// An error of a part that is past configuration: exit code 1, its chain of causes kept.
    fn from(error: anyhow::Error) -> Self {
        let mut chain = error.chain();
        let message = chain.next().map(ToString::to_string).unwrap_or_default();
        let failed = Self::failed(message);
        match chain.next() {
            Some(cause) => failed.because(cause),
            None => failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_next_each_on_its_line() {
        let cause = std::io::Error::other("disk on fire\x1b[2J");
        let error = CliError::failed("could not read `a\u{202e}`").because(&cause).hint("look there\nand there");
        assert_eq!(
            error.render(Look::PLAIN),
            "error: could not read `a\\u{202e}`\n  because: disk on fire\\x1b[2J\nhint: look there\n      and there\n"
        );
        assert_eq!((error.exit(), CliError::usage("x").exit()), (Exit::Partly, Exit::Usage));
    }

    #[test]
    fn a_source_that_is_told_already_is_not_told_twice() {
        let error = anyhow::anyhow!("inner").context("middle: inner").context("outer");
        assert_eq!(CliError::from(error).render(Look::PLAIN), "error: outer\n  because: middle: inner\n");
    }
}
