//! Choosing, by the tables of the rules (`tests/cases/choose`) and by properties.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use leadsman_scanner::{
    choose::{Candidate, Choice, Created, Current, Order, Policy, choose, parse_age, shortlist},
    filter::Filter,
    status::{Flag, Status, Verdict},
};
use proptest::prelude::*;

#[derive(serde::Deserialize)]
struct Table {
    now: Timestamp,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    #[serde(default)]
    name: String,
    current: String,
    current_created: Option<String>,
    filter: String,
    order: Option<String>,
    min_age: Option<String>,
    #[serde(default)]
    allow_downgrade: bool,
    #[serde(default)]
    allow_variant: bool,
    #[serde(default)]
    first_seen_stands_in: bool,
    tags: Tags,
    #[serde(default)]
    first_seen: BTreeMap<String, String>,
    #[serde(default)]
    first_listing: bool,
    status: String,
    selected: Option<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    dropped: usize,
    message: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Tags {
    Names(Vec<String>),
    Times(BTreeMap<String, String>),
}

fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn created(text: &str) -> Created {
    match text {
        "unknown" => Created::Unknown,
        "unavailable" => Created::Unavailable("404".to_owned()),
        text => Created::At(day(text)),
    }
}

impl Case {
    fn policy(&self) -> Policy {
        let mut policy = Policy::new(Filter::parse(&self.filter).unwrap());
        policy.order = self.order.as_deref().map_or(policy.order, |order| order.parse().unwrap());
        policy.min_age = self.min_age.as_deref().map(|age| parse_age(age).unwrap());
        policy.allow_downgrade = self.allow_downgrade;
        policy.allow_variant = self.allow_variant;
        policy.first_seen_stands_in = self.first_seen_stands_in;
        policy
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        let names: Vec<(&str, Created)> = match &self.tags {
            Tags::Names(names) => names.iter().map(|name| (name.as_str(), Created::NotAsked)).collect(),
            Tags::Times(times) => times.iter().map(|(name, time)| (name.as_str(), created(time))).collect(),
        };
        let candidate = |(tag, created)| Candidate {
            tag,
            created,
            first_seen: self.first_seen.get(tag).map(|seen| day(seen)),
            in_first_listing: self.first_listing,
        };
        names.into_iter().map(candidate).collect()
    }
}

#[test]
fn tables_s4_5_s6_1_s6_3_s6_4_s6_5_s6_6_s6_7() {
    let path = format!("{}/../tests/cases/choose/choices.json", env!("CARGO_MANIFEST_DIR"));
    let table: Table = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in &table.cases {
        let name = format!("{} {} ({} by {})", case.rule, case.name, case.current, case.filter);
        let policy = case.policy();
        let mut current = Current::new(&case.current);
        current.created = case.current_created.as_deref().map_or(Created::NotAsked, created);
        let mut candidates = case.candidates();
        let choice = choose(&policy, &current, &candidates, table.now, true);
        assert_eq!(choice.status.as_str(), case.status, "{name}: {choice:?}");
        assert_eq!(choice.selected, case.selected, "{name}: {choice:?}");
        assert_eq!(choice.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>(), case.flags, "{name}");
        assert_eq!(choice.dropped, case.dropped, "{name}");
        if case.message.is_some() {
            assert_eq!(choice.message, case.message, "{name}");
        }
        check_reasons(&choice, &candidates, &case.current, &name);

        // The order of the candidates and the wish for reasons change nothing.
        candidates.reverse();
        let again = choose(&policy, &current, &candidates, table.now, false);
        assert_eq!(Choice { reasons: Vec::new(), ..choice }, again, "{name}");

        // S6.3: what was not asked for, for it is not on the short list, does not matter.
        let wanted = shortlist(&policy, &case.current, candidates.iter().map(|candidate| candidate.tag));
        let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        for candidate in &mut candidates {
            if candidate.tag != case.current && !wanted.iter().any(|tag| tag == candidate.tag) {
                candidate.created = Created::NotAsked;
            }
        }
        let lean = choose(&policy, &current, &candidates, table.now, false);
        assert_eq!((lean.status, &lean.selected), (again.status, &again.selected), "{name} with {wanted:?}");
    }
}

/// S6.8: a reason for every tag, and only one is selected.
fn check_reasons(choice: &Choice, candidates: &[Candidate<'_>], current: &str, name: &str) {
    assert_eq!(choice.reasons.len() + choice.dropped, candidates.len(), "{name}: {choice:?}");
    for reason in &choice.reasons {
        assert!(!reason.message.is_empty(), "{name}: {reason:?}");
        let selected = choice.status == Status::Update && choice.selected.as_ref() == Some(&reason.tag);
        assert_eq!(reason.verdict == Verdict::Selected, selected, "{name}: {reason:?}");
        assert_eq!(reason.verdict == Verdict::Current, reason.tag == current, "{name}: {reason:?}");
    }
}

fn at(day_of_october: i8) -> Created {
    Created::At(day(&format!("2026-10-{day_of_october:02}")))
}

fn candidate(tag: &str, created: Created) -> Candidate<'_> {
    Candidate { created, ..Candidate::new(tag) }
}

#[test]
fn every_tag_has_its_reason_s6_8() {
    let mut policy = Policy::new(Filter::parse("semver:>=1.0.0-0").unwrap());
    policy.min_age = Some(parse_age("3d").unwrap());
    let artifact = format!("sha256-{}.sig", "0".repeat(64));
    let candidates = [
        candidate("latest", Created::NotAsked),
        candidate(&artifact, Created::NotAsked),
        candidate("main", Created::NotAsked),
        candidate("1.0.0-alpine", at(1)),
        candidate("1.1.0-alpine", at(2)),
        candidate("1.2.0-alpine", at(3)),
        candidate("1.3.0-alpine", at(30)),
        candidate("1.3.1-alpine", Created::Unknown),
        candidate("1.3.2-alpine", Created::Unavailable("the manifest is gone".to_owned())),
        candidate("1.4.0", at(4)),
        candidate("0.9.0", at(1)),
        candidate("20200101", Created::NotAsked),
    ];
    let now = "2026-11-01T12:00:00Z".parse().unwrap();
    let choice = choose(&policy, &Current::new("1.1.0-alpine"), &candidates, now, true);
    let reasons: String = choice
        .reasons
        .iter()
        .map(|reason| format!("{}: {}: {}\n", reason.tag, reason.verdict, reason.message))
        .collect();
    insta::assert_snapshot!(reasons.replace(&"0".repeat(64), "<64 zeros>"), @r"
    1.4.0: variant: it is of another variant than `1.1.0-alpine`
    1.3.1-alpine: too-young: its age is not known and has to be 3d
    1.3.0-alpine: too-young: it is 2d old and has to be 3d
    1.2.0-alpine: selected: the highest version that may be chosen
    1.1.0-alpine: current: the tag in the file now
    1.0.0-alpine: older: `1.2.0-alpine` comes before it
    0.9.0: filter: it does not satisfy `>=1.0.0-0`
    1.3.2-alpine: unavailable: its metadata cannot be had: the manifest is gone
    20200101: filter: its first number has six or more digits: a date or a commit, not a version
    latest: latest: only a filter of exactly `latest` takes this tag
    main: filter: it is no version
    sha256-<64 zeros>.sig: artifact: it names a signature, an attestation or an SBOM, not an image
    ");
}

#[test]
fn reasons_without_a_time_s6_3_s4_5() {
    let now = day("2026-11-01");
    let policy = Policy::new(Filter::default());
    let candidates = [candidate("a", at(1)), candidate("b", Created::Unknown), candidate("c", at(2))];
    let choice = choose(&policy, &Current::new("b"), &candidates, now, true);
    let verdicts: Vec<_> = choice.reasons.iter().map(|reason| (reason.tag.as_str(), reason.verdict)).collect();
    assert_eq!(verdicts, [("c", Verdict::NoCreationTime), ("a", Verdict::NoCreationTime), ("b", Verdict::Current)]);
    let mut policy = Policy::new(Filter::parse("regexp:^x(a)?").unwrap());
    for (order, verdict) in [
        (Order::Semver, Verdict::NoVersion),
        (Order::Numerical, Verdict::NoNumber),
        (Order::Alphabetical, Verdict::NoText),
    ] {
        policy.order = order;
        let choice = choose(&policy, &Current::new("v1"), &[Candidate::new("xb")], now, true);
        assert_eq!((choice.status, choice.reasons[0].verdict), (Status::NoMatch, verdict), "{order}");
        assert!(choice.message.is_some());
    }
}

#[test]
fn only_what_needs_times_is_asked_for_s6_3() {
    let tags = ["1.0.0", "1.1.0", "2.0.0", "1.2.0", "1.2.0-alpine", "latest", "a b"];
    let list = |policy: &Policy| shortlist(policy, "1.1.0", tags);
    let mut policy = Policy::new(Filter::parse("semver:^1-0").unwrap());
    assert!(!policy.needs_times());
    assert_eq!(list(&policy), [""; 0]);
    // Versions above the current one, of its variant, the best first: a caller can stop at the first that is old enough.
    policy.min_age = Some(SignedDuration::from_hours(1));
    assert!(policy.needs_times());
    assert_eq!(list(&policy), ["1.2.0"]);
    policy.allow_variant = true;
    assert_eq!(list(&policy), ["1.2.0", "1.2.0-alpine"]);
    policy.allow_downgrade = true;
    assert_eq!(list(&policy), ["1.2.0", "1.2.0-alpine", "1.0.0"]);
    // By time, all that match.
    let policy = Policy::new(Filter::parse("glob:1.*").unwrap());
    assert_eq!(list(&policy), ["1.0.0", "1.1.0", "1.2.0", "1.2.0-alpine"]);
}

fn tag() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "v?[0-2](\\.[0-2]){0,2}(-(alpine|rc|r)[0-9]{0,2})?",
        1 => "[ab][0-9]{0,3}",
        1 => Just("latest".to_owned()),
        1 => "20[0-9]{4}",
    ]
}

fn any_created() -> impl Strategy<Value = Created> {
    prop_oneof![
        5 => (0_i64..20).prop_map(|days| Created::At(Timestamp::from_second(days * 86_400).unwrap())),
        1 => Just(Created::Unknown),
        1 => Just(Created::Unavailable("404".to_owned())),
        1 => Just(Created::NotAsked),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let filter = prop::sample::select(vec![
        "*",
        "1.*",
        "semver:*",
        "semver:>=0.0.0-0",
        "semver:~1",
        "semver:^1-0",
        "regex:([0-9]+)",
        "regex:^(?P<order>[a-z]+)?",
        "latest",
    ]);
    let order = prop::sample::select(Order::ALL);
    (filter, order, prop::option::of(0_i64..10), any::<[bool; 3]>()).prop_map(|(filter, order, age, [a, b, c])| {
        Policy {
            filter: Filter::parse(filter).unwrap(),
            order,
            min_age: age.map(|days| SignedDuration::from_hours(days * 24)),
            allow_downgrade: a,
            allow_variant: b,
            first_seen_stands_in: c,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// S6.1: the same tags in any order give the same choice; S6.4: no choice is lower than the current tag unless it is
    /// allowed, or flagged because the filter says so; S6.8: every tag has its reason.
    #[test]
    fn choices_hold_their_promises_s6_1_s6_4_s6_8(
        policy in any_policy(),
        tags in prop::collection::btree_map(tag(), (any_created(), prop::option::of(0_i64..20), any::<bool>()), 0..12),
        current in tag(),
        pick in any::<prop::sample::Index>(),
        listed in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let now = Timestamp::from_second(20 * 86_400).unwrap();
        let mut candidates: Vec<_> = tags
            .iter()
            .map(|(tag, (created, seen, first))| Candidate {
                tag,
                created: created.clone(),
                first_seen: seen.map(|days| Timestamp::from_second(days * 86_400).unwrap()),
                in_first_listing: *first,
            })
            .collect();
        let current = if listed && !candidates.is_empty() { pick.get(&candidates).tag.to_owned() } else { current };
        let current = Current::new(&current);
        let choice = choose(&policy, &current, &candidates, now, true);
        check_reasons(&choice, &candidates, current.tag, "property");

        let shift = usize::try_from(seed % 12).unwrap() % candidates.len().max(1);
        candidates.rotate_left(shift);
        if seed % 2 == 0 {
            candidates.reverse();
        }
        prop_assert_eq!(&choose(&policy, &current, &candidates, now, true), &choice);

        if choice.status == Status::Update {
            let selected = choice.selected.as_deref().unwrap();
            prop_assert_ne!(selected, current.tag);
            prop_assert!(policy.filter.judge(selected, Some(current.tag)).is_ok());
            let passes = policy.filter.judge(current.tag, Some(current.tag)).is_ok();
            if passes && !policy.allow_downgrade {
                prop_assert!(!choice.flags.contains(&Flag::MovesDown));
                if let (Order::Semver, Some(a), Some(b)) = (policy.order, release(selected), release(current.tag)) {
                    prop_assert!(a >= b, "{selected} is lower than {}", current.tag);
                }
            }
        }
        prop_assert_eq!(
            choice.flags.contains(&Flag::CurrentGone),
            !candidates.is_empty() && candidates.iter().all(|candidate| candidate.tag != current.tag
                || matches!(candidate.created, Created::Unavailable(_)))
        );

        // Choosing is done once: with the choice in the file, the next look stays there.
        if choice.status == Status::Update && !policy.allow_downgrade {
            let next = choose(&policy, &Current::new(choice.selected.as_deref().unwrap()), &candidates, now, false);
            prop_assert_ne!(next.status, Status::Update, "{:?} then {:?}", choice, next);
        }
    }
}

/// The numbers of a version, by a parser of the test's own.
fn release(tag: &str) -> Option<Vec<u64>> {
    let numbers = tag.strip_prefix('v').unwrap_or(tag).split('-').next()?;
    let mut parts: Vec<u64> = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    parts.resize(3, 0);
    Some(parts)
}
