//! Whole processes, measured: several runs, their medians, and ratios against a floor in the same table.

use std::{ffi::OsStr, fmt, path::Path, process::Command};

use serde::Deserialize;

/// What one run used.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Run {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of both cores, of the user and the system.
    pub cpu: f64,
    /// KiB at the peak.
    pub memory: u64,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
}

/// The median of each figure over several runs.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of both cores.
    pub cpu: f64,
    /// MiB at the peak.
    pub memory: f64,
}

impl Figures {
    /// The medians of the given runs.
    ///
    /// # Panics
    /// Without a run.
    #[must_use]
    pub fn of(runs: &[Run]) -> Self {
        let median = |figure: fn(&Run) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self {
            wall: median(|run| run.wall),
            cpu: median(|run| run.cpu),
            memory: median(|run| run.memory as f64 / 1024.0),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.3} s wall  {:7.3} s cpu  {:6.1} MiB", self.wall, self.cpu, self.memory)
    }
}

/// One command that can be run again and again, with an environment of its own.
#[derive(Debug)]
pub struct Measured<'a> {
    /// The program that measures: `measure` of this crate.
    pub measure: &'a Path,
    /// Variables for the command.
    pub environment: Vec<(&'a str, String)>,
}

impl Measured<'_> {
    /// Runs the command once.
    ///
    /// # Panics
    /// Where it cannot be run, or ends with a code that is not in `codes`.
    pub fn run<S: AsRef<OsStr>>(&self, codes: &[i32], program: &Path, arguments: &[S]) -> Run {
        let mut command = Command::new(self.measure);
        command.arg(program).args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let run: Run = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no figures: {error}: {}", String::from_utf8_lossy(&output.stderr)));
        assert!(
            run.code.is_some_and(|code| codes.contains(&code)),
            "{} ended with {:?}, expected one of {codes:?}",
            program.display(),
            run.code
        );
        run
    }
}

/// A table of figures, printed as it fills.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// Adds a row and prints it: what was measured, the figure, what it is held against, and the goal.
    #[expect(clippy::print_stdout, reason = "a bench's table goes to standard output")]
    pub fn row(&mut self, what: &str, figure: String, beside: String, goal: &str) {
        println!("{what}\n    {figure}\n    {beside}\n    goal: {goal}");
        self.rows.push([what.into(), figure, beside, goal.into()]);
    }

    /// The table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("| measured | figure | beside it, in the same run | goal |\n|---|---|---|---|\n");
        for row in &self.rows {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        text
    }
}
