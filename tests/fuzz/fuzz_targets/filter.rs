//! Any text as a filter, any lines as tags: never a panic, and choosing is the same in any order of the tags.
#![no_main]

use jiff::Timestamp;
use leadsman_scanner::{
    choose::{Candidate, Current, Policy, choose},
    filter::Filter,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let (Some(filter), Some(current)) = (lines.next(), lines.next()) else { return };
    let Ok(filter) = Filter::parse(filter) else { return };
    let tags: Vec<&str> = lines.take(64).collect();
    for tag in &tags {
        let _ = filter.matches(tag);
    }
    let policy = Policy::new(filter);
    let now = Timestamp::from_second(1_800_000_000).expect("a time in range");
    let current = Current::new(current);
    let ask = |tags: &mut dyn Iterator<Item = &&str>| {
        let candidates: Vec<_> = tags.map(|tag| Candidate::new(tag)).collect();
        choose(&policy, &current, &candidates, now, true).selected
    };
    assert_eq!(ask(&mut tags.iter()), ask(&mut tags.iter().rev()));
});
