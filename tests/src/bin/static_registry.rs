//! A static registry as a program of its own, so that its work is not counted with that of the program it is asked by.
//!
//! `static_registry [--images 1000] [--tags 50] [--latency-ms 0] [--metadata]` prints its port and serves until its
//! standard input ends.

#![expect(clippy::print_stdout, reason = "the port is its answer")]

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leadsman_tests::registry::static_registry::{Content, StaticRegistry};

fn main() -> Result<()> {
    let mut content = Content { images: 1_000, tags: 50, metadata: false, latency: Duration::ZERO };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<usize> {
            let value = arguments.next().with_context(|| format!("`{argument}` needs a number"))?;
            value.parse().with_context(|| format!("`{value}` is no number"))
        };
        match argument.as_str() {
            "--images" => content.images = number()?,
            "--tags" => content.tags = number()?,
            "--latency-ms" => content.latency = Duration::from_millis(number()? as u64),
            "--metadata" => content.metadata = true,
            other => bail!("`{other}` is no option of this program"),
        }
    }
    let registry = StaticRegistry::start(content)?;
    println!("{}", registry.address.port());
    // Ends with whoever started it.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(registry);
    Ok(())
}
