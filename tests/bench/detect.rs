//! Reading and detecting against the bare parser, on the same bytes in memory.
//!
//! `cargo bench -p leadsman-tests --bench detect` prints a table: 10,000 releases in 1,000 files of together 50 MB,
//! and the seconds of CPU that these take, each the best of several interleaved rounds:
//! - floor: the YAML parser's event loop with the options that reading uses, nothing kept;
//! - read: text to tree (S1);
//! - read and detect: text to containers (S1 to S4);
//! - the same on two threads, over both.
//!
//! Goals: the floor takes at least 0.7 of what reading and detecting takes, and two threads are 1.7 times as fast as one.
//! CPU time is compared where it can be rather than the clock on the wall, so that other work on the machine does not
//! matter; the last line needs a machine with two idle cores.

#![expect(clippy::print_stdout, reason = "a bench's table goes to standard output")]

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use granit_parser::Parser;
use leadsman_scanner::detect::{DetectOptions, detect};
use leadsman_scanner::manifest::{Limits, parse};
use leadsman_tests::corpus::Corpus;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

const ROUNDS: usize = 9;

fn main() {
    let corpus = Corpus { files: 1_000, images: 1_000, bytes: 5_000, ..Corpus::new(10_000, "registry.example.com") };
    let texts: Vec<String> = (0..corpus.files).map(|file| corpus.text(file)).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{} releases in {} files, {:.1} MB", corpus.releases, corpus.files, bytes as f64 / 1e6);

    type Work<'a> = &'a dyn Fn(&[String]);
    let measured: [(&str, Work<'_>); 4] =
        [("floor", &floor), ("read", &read), ("read and detect", &whole), ("the same, 2 threads", &threads)];
    let mut best = [f64::INFINITY; 4];
    let mut wall = [f64::INFINITY; 4];
    for _ in 0..ROUNDS {
        for (index, (_, work)) in measured.iter().enumerate() {
            let (before, start) = (cpu(), Instant::now());
            work(&texts);
            best[index] = best[index].min(cpu() - before);
            wall[index] = wall[index].min(start.elapsed().as_secs_f64());
        }
    }
    println!("{:<22} {:>8} {:>8} {:>14} {:>8}", "", "cpu s", "MB/s", "floor / this", "wall s");
    for (index, (name, _)) in measured.iter().enumerate() {
        let seconds = best[index];
        let speed = bytes as f64 / 1e6 / seconds;
        println!("{name:<22} {seconds:>8.3} {speed:>8.1} {:>14.2} {:>8.3}", best[0] / seconds, wall[index]);
    }
    println!("two threads are {:.2} times as fast as one on the wall", wall[2] / wall[3]);
}

/// Seconds of CPU this process has used.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process knows its own use");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}

fn floor(texts: &[String]) {
    for text in texts {
        let options = granit_parser::options! { emit_comments: false, emit_anchor_events: true };
        for event in Parser::new_from_str_with_options(text, options) {
            black_box(event.expect("the corpus is valid"));
        }
    }
}

fn read(texts: &[String]) {
    let limits = Limits::default();
    for text in texts {
        black_box(parse(text, &limits));
    }
}

fn one(text: &str, limits: &Limits, options: &DetectOptions) {
    let detected = detect(&parse(text, limits), options);
    assert_eq!(detected.containers.len(), 10);
    black_box(detected);
}

fn whole(texts: &[String]) {
    let (limits, options) = (Limits::default(), DetectOptions::default());
    for text in texts {
        one(text, &limits, &options);
    }
}

fn threads(texts: &[String]) {
    let (limits, options) = (Limits::default(), DetectOptions::default());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(text) = texts.get(next.fetch_add(1, Ordering::Relaxed)) {
            one(text, &limits, &options);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}
