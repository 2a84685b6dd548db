//! Any text as an image reference: never a panic, and what parses is canonical.
#![no_main]

use leadsman_scanner::reference::{KnownHosts, Reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let hosts = KnownHosts::default();
    if let Ok(reference) = Reference::parse(text, &hosts) {
        let again = Reference::parse(reference.name.as_str(), &hosts).expect("a canonical name is a reference");
        assert_eq!(again.name, reference.name, "the canonical name of {text:?} is not stable");
        assert!(again.tag.is_none() && again.digest.is_none());
    }
});
