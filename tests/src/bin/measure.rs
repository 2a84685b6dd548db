//! Runs one command and prints what it used, as the operating system accounts for it.
//!
//! `measure COMMAND [ARGUMENT…]` runs it with its output thrown away, and prints one line of JSON:
//! `{"wall": seconds, "cpu": seconds, "memory": KiB at the peak, "code": exit code}`.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("usage: measure COMMAND [ARGUMENT…]")?;
    let start = Instant::now();
    let status = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let wall = start.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    #[expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "a figure for people, on standard output")]
    {
        let line = serde_json::json!({
            "wall": wall, "cpu": micros as f64 / 1e6, "memory": usage.max_rss(), "code": status.code(),
        });
        println!("{line}");
    }
    Ok(())
}
