//! Any text as a manifest: reading it and finding its containers never panics.
#![no_main]

use leadsman_scanner::detect::{DetectOptions, detect};
use leadsman_scanner::manifest::{Limits, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let manifest = parse(text, &Limits::default());
    for container in detect(&manifest, &DetectOptions::default()).containers {
        assert!(container.line >= 1 && container.column >= 1);
        assert!(container.settled.is_some() || (container.tag.is_some() && container.tag_place.is_some()));
    }
});
