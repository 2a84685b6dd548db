//! A progress bar on standard error for work that takes more than a second.
//!
//! Shown only where standard error is a terminal and `--quiet` is not given; gone without a trace at the end.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Ui, Verbosity};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts work; draws once it has taken longer than a second.
#[derive(Debug)]
pub struct Progress {
    wanted: bool,
    what: &'static str,
    started: Instant,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Starts the clock; `what` is said beside the bar, such as `asking registries`.
    #[must_use]
    pub fn new(ui: &Ui, what: &'static str) -> Self {
        let wanted = ui.interactive && ui.verbosity == Verbosity::Normal;
        Self { wanted, what, started: Instant::now(), bar: OnceLock::new() }
    }

    /// So much of so much is done; cheap, may be called from many threads.
    pub fn set(&self, done: usize, total: usize) {
        if !self.wanted || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| self.draw());
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    }

    fn draw(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let template = "{msg} [{bar:30}] {human_pos}/{human_len} {elapsed}";
        // The template is fixed, so that a fault in it shows in the test below and never to a user.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(self.what);
        bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{ColorChoice, Look};

    fn progress(interactive: bool, verbosity: Verbosity, age: Duration) -> Progress {
        let ui = Ui { interactive, verbosity, ..Ui::new(ColorChoice::Never, verbosity) };
        let mut progress = Progress::new(&ui, "asking registries");
        progress.started = Instant::now().checked_sub(age).unwrap();
        assert_eq!(ui.out.color, Look::PLAIN.color);
        progress
    }

    #[test]
    fn a_bar_needs_a_terminal_patience_and_no_quiet() {
        let long = Duration::from_secs(2);
        for (interactive, verbosity, age, shown) in [
            (true, Verbosity::Normal, long, true),
            (true, Verbosity::Normal, Duration::ZERO, false),
            (false, Verbosity::Normal, long, false),
            (true, Verbosity::Quiet, long, false),
            (true, Verbosity::Verbose(1), long, false),
        ] {
            let progress = progress(interactive, verbosity, age);
            progress.set(1, 10);
            assert_eq!(progress.bar.get().is_some(), shown, "{interactive} {verbosity:?} {age:?}");
        }
    }

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len} {elapsed}").is_ok());
    }
}
