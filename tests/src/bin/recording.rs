//! Draws what a run of `leadsman` shows on a terminal as an SVG, for the documentation.
//!
//! `recording [--columns 100] [--skip TEXT]… [--out FILE] ARGUMENTS…` runs the program with those arguments in a pseudo
//! terminal, so that tables and colours are those that people see. Parts begin at lines with `── `; those whose heading
//! contains a TEXT to skip are left out, and the others appear one after the other. A renderer without animations, or a
//! reader who wants none, sees all of them at once.
//!
//! docs/demo.svg was made by
//!
//! ```sh
//! cargo run -p leadsman-tests --bin recording -- --columns 104 --out docs/demo.svg \
//!     --skip "A fleet" --skip "people read" --skip next demo --once
//! ```

use std::{
    fmt::Write as _,
    fs,
    io::{ErrorKind, Read as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use leadsman_tests::program::leadsman;
use nix::pty::{Winsize, openpty};

/// Marks the heading of a part.
const HEADING: &str = "── ";
/// Units of the drawing: the advance of a character, the distance of lines, and the margin.
const ADVANCE: f32 = 8.4;
const LINE: f32 = 19.0;
const MARGIN: f32 = 20.0;
/// The height of the window's bar.
const BAR: f32 = 34.0;
/// Seconds until the next part appears.
const PAUSE: f32 = 1.6;

fn main() -> Result<()> {
    let wanted = Wanted::parse(std::env::args().skip(1))?;
    let text = record(&wanted.arguments, wanted.columns)?;
    let svg = draw(&parts(&text, &wanted.skip), &format!("leadsman {}", wanted.arguments.join(" ")), wanted.columns);
    fs::write(&wanted.out, svg).with_context(|| format!("could not write `{}`", wanted.out.display()))
}

struct Wanted {
    columns: u16,
    skip: Vec<String>,
    out: PathBuf,
    arguments: Vec<String>,
}

impl Wanted {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted =
            Self { columns: 100, skip: Vec::new(), out: PathBuf::from("recording.svg"), arguments: Vec::new() };
        while let Some(word) = given.next() {
            let mut value = || given.next().with_context(|| format!("`{word}` needs a value"));
            match word.as_str() {
                "--columns" => wanted.columns = value()?.parse().context("`--columns` takes a number")?,
                "--skip" => wanted.skip.push(value()?),
                "--out" => wanted.out = value()?.into(),
                _ => {
                    wanted.arguments.push(word);
                    wanted.arguments.extend(given.by_ref());
                }
            }
        }
        ensure!(!wanted.arguments.is_empty(), "say what to run, such as `demo`");
        Ok(wanted)
    }
}

/// What the program writes on a terminal of so many columns.
fn record(arguments: &[String], columns: u16) -> Result<String> {
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).context("could not make a pseudo terminal")?;
    let mut child = Command::new(leadsman())
        .args(arguments)
        .args(["--color", "always"])
        .stdout(terminal.slave.try_clone()?)
        .stderr(terminal.slave)
        .spawn()?;
    let (mut master, mut bytes, mut buffer) = (fs::File::from(terminal.master), Vec::new(), [0; 4096]);
    loop {
        match master.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Linux answers with EIO once nobody has the other end.
            Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EIO as i32) => break,
            Err(error) => return Err(error).context("could not read the terminal"),
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the program ended with {status}:\n{}", String::from_utf8_lossy(&bytes));
    }
    Ok(String::from_utf8(bytes).context("the program wrote no UTF-8")?.replace("\r\n", "\n"))
}

/// The lines of each part that is not skipped, without empty ones at its end.
fn parts<'a>(text: &'a str, skip: &[String]) -> Vec<Vec<Vec<Span<'a>>>> {
    let mut parts: Vec<Vec<Vec<Span<'a>>>> = Vec::new();
    for line in text.lines() {
        let line = spans(line);
        if parts.is_empty() || line.first().is_some_and(|span| span.text.starts_with(HEADING)) {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("one was just made").push(line);
    }
    parts.retain(|part| {
        let heading: String = part[0].iter().map(|span| span.text).collect();
        !skip.iter().any(|text| heading.contains(text.as_str()))
    });
    for part in &mut parts {
        while part.last().is_some_and(|line| line.iter().all(|span| span.text.trim().is_empty())) {
            part.pop();
        }
    }
    parts
}

/// Text in one look.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span<'a> {
    text: &'a str,
    bold: bool,
    dim: bool,
    color: Option<&'static str>,
}

/// A line as spans, by its escape sequences; those that are not about looks are dropped.
fn spans(line: &str) -> Vec<Span<'_>> {
    let (mut bold, mut dim, mut color) = (false, false, None);
    let mut found = Vec::new();
    for (index, piece) in line.split("\x1b[").enumerate() {
        let mut text = piece;
        if index > 0 {
            let end = piece.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(piece.len());
            let (codes, rest) = piece.split_at(end);
            text = rest.get(1..).unwrap_or_default();
            if rest.starts_with('m') {
                for code in codes.split(';') {
                    match code {
                        "" | "0" => (bold, dim, color) = (false, false, None),
                        "1" => bold = true,
                        "2" => dim = true,
                        "22" => (bold, dim) = (false, false),
                        "31" | "91" => color = Some("red"),
                        "32" | "92" => color = Some("green"),
                        "33" | "93" => color = Some("yellow"),
                        "34" | "94" => color = Some("blue"),
                        "36" | "96" => color = Some("cyan"),
                        "39" => color = None,
                        _ => {}
                    }
                }
            }
        }
        if !text.is_empty() {
            found.push(Span { text, bold, dim, color });
        }
    }
    found
}

fn draw(parts: &[Vec<Vec<Span<'_>>>], title: &str, columns: u16) -> String {
    let lines = parts.iter().map(|part| part.len() + 1).sum::<usize>();
    let (width, height) = (f32::from(columns) * ADVANCE + 2.0 * MARGIN, lines as f32 * LINE + BAR + MARGIN);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{title}">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #e6edf3; white-space: pre }}
.bold {{ font-weight: 600 }}
.dim {{ fill: #8b949e }}
.red {{ fill: #ff7b72 }}
.green {{ fill: #56d364 }}
.yellow {{ fill: #e3b341 }}
.blue {{ fill: #79c0ff }}
.cyan {{ fill: #56d4dd }}
g {{ animation: appear .3s backwards }}
@keyframes appear {{ from {{ opacity: 0 }} }}
@media (prefers-reduced-motion) {{ g {{ animation: none }} }}
</style>
<rect width="{width:.0}" height="{height:.0}" rx="9" fill="#0d1117"/>
<circle cx="22" cy="19" r="6" fill="#ff5f57"/><circle cx="42" cy="19" r="6" fill="#febc2e"/><circle cx="62" cy="19" r="6" fill="#28c840"/>
<text x="{middle:.0}" y="24" text-anchor="middle" class="dim">{title}</text>
"##,
        title = escape(title),
        middle = width / 2.0,
    );
    let mut y = BAR + LINE;
    for (index, part) in parts.iter().enumerate() {
        _ = writeln!(svg, r#"<g style="animation-delay: {:.1}s">"#, index as f32 * PAUSE);
        for line in part {
            draw_line(&mut svg, line, y);
            y += LINE;
        }
        svg.push_str("</g>\n");
        y += LINE;
    }
    svg + "</svg>\n"
}

/// Each span stands at its own column and has its own length, so that columns hold in every font.
fn draw_line(svg: &mut String, line: &[Span<'_>], y: f32) {
    let mut column = 0;
    for span in line {
        let (text, length) = (span.text.trim(), span.text.chars().count());
        if !text.is_empty() {
            let indent = length - span.text.trim_start().chars().count();
            let mut classes: Vec<&str> = span.color.into_iter().collect();
            if span.bold {
                classes.push("bold");
            }
            if span.dim {
                classes.push("dim");
            }
            let class = if classes.is_empty() { String::new() } else { format!(r#" class="{}""#, classes.join(" ")) };
            _ = writeln!(
                svg,
                r#"<text x="{:.1}" y="{y:.0}" textLength="{:.1}" xml:space="preserve"{class}>{}</text>"#,
                MARGIN + (column + indent) as f32 * ADVANCE,
                text.chars().count() as f32 * ADVANCE,
                escape(text)
            );
        }
        column += length;
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
