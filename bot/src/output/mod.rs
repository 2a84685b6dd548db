//! What people and programs read: the only place that writes to standard output and standard error.
//!
//! Owns streams, colour, width, escaping, tables, diffs, source marks, progress, exit codes and the JSON views.
//! Must not decide anything about images: it shows what it is given. Invariants: colour never carries meaning alone;
//! nothing is cut unless the stream is a terminal; text from outside is escaped ([`text::escape`]).

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstyle::Style;

pub mod diff;
pub mod error;
pub mod json;
pub mod progress;
pub mod pulls;
pub mod report;
pub mod snippet;
pub mod table;
pub mod text;

/// How the program ends, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done,
    /// With `--check`: there is something to update.
    Updates,
    /// Some file, image or repository failed; the rest was carried out.
    Partly,
    /// Wrong use or wrong configuration; nothing was done.
    Usage,
    /// Ended by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partly => 1,
            Self::Usage => 2,
            Self::Updates => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// Colour on a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Colour always, also into a pipe.
    Always,
    /// No colour.
    Never,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences for people.
    #[default]
    Human,
    /// One JSON document on standard output, described by `leadsman schema`.
    Json,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only: no notes, no progress.
    Quiet,
    /// Errors, warnings and progress.
    Normal,
    /// Logs at level info, debug and trace.
    Verbose(u8),
}

/// What one stream can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether escape sequences are written.
    pub color: bool,
    /// Columns of the terminal; `None` where the stream is none, and then nothing is cut.
    pub width: Option<usize>,
}

impl Look {
    /// No colour, no limit: a file or a pipe.
    pub const PLAIN: Self = Self { color: false, width: None };

    /// The text in that style, or as it is where the stream shows no colour.
    #[must_use]
    pub fn paint(self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// The styles in use, by meaning.
pub mod style {
    use anstyle::{AnsiColor, Style};

    /// Headings of tables and of help.
    pub const HEADING: Style = Style::new().bold();
    /// What is beside the point.
    pub const DIM: Style = Style::new().dimmed();
    /// Something new is to be had.
    pub const UPDATE: Style = AnsiColor::Cyan.on_default().bold();
    /// As it should be.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// Worth a look.
    pub const WARNING: Style = AnsiColor::Yellow.on_default();
    /// Failed.
    pub const ERROR: Style = AnsiColor::Red.on_default().bold();
    /// Places: files and lines.
    pub const PLACE: Style = AnsiColor::Blue.on_default();
}

/// The streams of this process.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Standard output.
    pub out: Look,
    /// Standard error.
    pub err: Look,
    /// How much is said.
    pub verbosity: Verbosity,
    /// Whether standard error is a terminal, which progress bars need.
    pub interactive: bool,
}

impl Ui {
    /// Looks at the streams and at `NO_COLOR`, `CLICOLOR_FORCE` and `TERM` (by way of `anstream`), unless `color`
    /// says what to do.
    #[must_use]
    pub fn new(color: ColorChoice, verbosity: Verbosity) -> Self {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let wanted = |automatic: anstream::ColorChoice| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => automatic != anstream::ColorChoice::Never,
        };
        let columns = |terminal: bool| terminal.then(terminal_width);
        Self {
            out: Look { color: wanted(anstream::AutoStream::choice(&stdout)), width: columns(stdout.is_terminal()) },
            err: Look { color: wanted(anstream::AutoStream::choice(&stderr)), width: columns(stderr.is_terminal()) },
            verbosity,
            interactive: stderr.is_terminal(),
        }
    }

    /// Writes to standard output, byte for byte.
    ///
    /// # Errors
    /// What the stream answers; a closed pipe is told apart by [`is_closed_pipe`].
    pub fn print(&self, text: &str) -> std::io::Result<()> {
        write_all(std::io::stdout().lock(), self.out.color, text)
    }

    /// Writes to standard error. A reader who went away is no reason to stop the work, so faults are dropped.
    pub fn say(&self, text: &str) {
        _ = write_all(std::io::stderr().lock(), self.err.color, text);
    }
}

/// `anstream` turns escape sequences into what an old console understands; text without colour takes no detour, so
/// that bytes of manifests in a diff stay as they are.
fn write_all<S: anstream::stream::RawStream + anstream::stream::AsLockedWrite>(
    mut stream: S,
    color: bool,
    text: &str,
) -> std::io::Result<()> {
    if color {
        let mut stream = anstream::AutoStream::always(stream);
        stream.write_all(text.as_bytes())?;
        stream.flush()
    } else {
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }
}

/// Whether an error means that the reader of a pipe ended, as in `leadsman scan | head`.
#[must_use]
pub fn is_closed_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

/// The terminal's columns, or `COLUMNS`, or 80.
fn terminal_width() -> usize {
    let from_variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal_size::terminal_size()
        .map(|(width, _)| usize::from(width.0))
        .filter(|columns| *columns > 0)
        .or_else(from_variable)
        .unwrap_or(80)
        .max(20)
}
