//! Any text as the headers a registry sends: never a panic.
#![no_main]

use leadsman_scanner::registry::{challenge, link};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for challenge in challenge::parse(text) {
        let _ = challenge.get("realm");
    }
    if let Some(next) = link::next(text) {
        assert!(text.contains(next), "a target that does not stand in the header");
    }
});
