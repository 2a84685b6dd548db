//! Any text as a manifest whose containers all get another tag: the edit never panics, what it says it wrote is there
//! when the text is read again, and the same edit once more changes nothing.
#![no_main]

use leadsman_scanner::detect::{Container, DetectOptions, detect};
use leadsman_scanner::edit::{Edited, Update, apply};
use leadsman_scanner::manifest::{Limits, parse};
use leadsman_scanner::reference::Digest;
use libfuzzer_sys::fuzz_target;

const TAGS: [&str; 5] = ["9.9.9", "1.10", "0x1f", "2024-06-27", "v1.2.3-long-and-longer"];

fn edit(text: &str, tag: &str, digest: &Digest) -> (Edited, Vec<Container>, Vec<usize>) {
    let manifest = parse(text, &Limits::default());
    let containers = detect(&manifest, &DetectOptions::default()).containers;
    let wanted: Vec<usize> = (0..containers.len())
        .filter(|index| containers[*index].tag_place.is_some() && containers[*index].uneditable.is_none())
        .collect();
    let updates: Vec<Update<'_>> =
        wanted.iter().map(|index| Update { container: &containers[*index], tag, digest: Some(digest) }).collect();
    let edited = apply(&manifest, &containers, &updates);
    (edited, containers, wanted)
}

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let tag = TAGS[usize::from(choice) % TAGS.len()];
    let digest = Digest::parse(&format!("sha256:{}", "5".repeat(64))).expect("a digest");
    let (edited, containers, wanted) = edit(text, tag, &digest);
    if edited.applied.is_empty() {
        assert_eq!(edited.text, text, "nothing was applied and the text changed");
        return;
    }
    let manifest = parse(&edited.text, &Limits::default());
    let again = detect(&manifest, &DetectOptions::default()).containers;
    assert_eq!(again.len(), containers.len(), "an edit changed which containers there are");
    for applied in &edited.applied {
        let container = &again[wanted[*applied]];
        assert_eq!(container.tag.as_deref(), Some(tag), "{:?} does not have its new tag", container.name);
        assert_eq!(container.image, containers[wanted[*applied]].image, "an edit changed an image's name");
    }
    assert_eq!(edit(&edited.text, tag, &digest).0.text, edited.text, "editing twice is not editing once");
});
