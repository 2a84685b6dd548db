//! Filters, by the tables of the rules (`tests/cases/filter`) and by properties.

use leadsman_scanner::{
    filter::{Filter, FilterError, FilterKind, MAX_FILTER},
    status::Verdict,
};
use proptest::prelude::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rule: String,
    filter: String,
    current: Option<String>,
    #[serde(default)]
    stray_space: bool,
    #[serde(default)]
    matches: Vec<String>,
    #[serde(default)]
    leaves: Vec<String>,
    invalid: Option<String>,
}

#[test]
fn tables_s4_4_s5_1_s5_2_s5_3_s5_4() {
    let path = format!("{}/../tests/cases/filter/matches.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in &cases {
        let name = format!("{} {:?}", case.rule, case.filter);
        assert_eq!(Filter::has_stray_space(&case.filter), case.stray_space, "{name}");
        let filter = match (Filter::parse(&case.filter), &case.invalid) {
            (Ok(filter), None) => filter,
            (Err(error), Some(expected)) => {
                assert_eq!(error.to_string(), *expected, "{name}");
                continue;
            }
            (parsed, _) => panic!("{name}: {parsed:?}"),
        };
        assert_eq!(filter.text(), case.filter);
        assert!(!(case.matches.is_empty() && case.leaves.is_empty()), "{name} says nothing");
        for tag in &case.matches {
            assert_eq!(filter.judge(tag, case.current.as_deref()), Ok(()), "{name} on {tag}");
            assert!(filter.matches(tag) || case.current.is_some(), "{name} on {tag}");
        }
        for tag in &case.leaves {
            let rejection = filter.judge(tag, case.current.as_deref());
            assert!(rejection.is_err_and(|rejection| !rejection.message.is_empty()), "{name} on {tag}");
            assert!(!filter.matches(tag), "{name} on {tag}");
        }
    }
}

#[test]
fn reasons_tell_the_rules_apart_s5_3_s5_4() {
    let artifact = format!("sha256-{}.sig", "0".repeat(64));
    for (filter, tag, verdict, message) in [
        ("glob:*", "latest", Verdict::Latest, "only a filter of exactly `latest` takes this tag"),
        (
            "glob:*",
            artifact.as_str(),
            Verdict::Artifact,
            "it names a signature, an attestation or an SBOM, not an image",
        ),
        ("semver:~1", "main", Verdict::Filter, "it is no version"),
        ("semver:~1", "2.0.0", Verdict::Filter, "it does not satisfy `~1`"),
        ("semver:~1", "1.2.0-rc.1", Verdict::Filter, "it is a pre-release, and `~1` asks for releases only"),
        ("semver:~1-0", "2.2.0-rc.1", Verdict::Filter, "it does not satisfy `~1-0`"),
        (
            "semver:*",
            "20200101",
            Verdict::Filter,
            "its first number has six or more digits: a date or a commit, not a version",
        ),
        ("v*", "1", Verdict::Filter, "it does not have the shape `v*`"),
        ("regex:^v", "1", Verdict::Filter, "it does not match `^v`"),
    ] {
        let rejection = Filter::parse(filter).unwrap().judge(tag, None).unwrap_err();
        assert_eq!((rejection.verdict, &*rejection.message), (verdict, message), "{filter} on {tag}");
    }
}

#[test]
fn the_default_takes_every_tag_but_latest_s4_2() {
    let filter = Filter::default();
    assert_eq!((filter.text(), filter.kind()), ("glob:*", FilterKind::Glob));
    assert!(filter.matches("1.2.3") && !filter.matches("latest"));
}

#[test]
fn filters_are_bounded_s5_2() {
    let long = "a".repeat(MAX_FILTER + 1);
    assert_eq!(Filter::parse(&long), Err(FilterError::TooLong));
    // The costliest that fit: many classes, many repetitions, many groups.
    for hostile in
        [r"\pL{1000}".repeat(450), "(a{1000})".repeat(400), "(?i)[^a]".repeat(500), r"[\pL\pN\PZ]".repeat(370)]
    {
        let _ = Filter::parse(&format!("regex:{hostile}"));
    }
    let nested = |depth: usize| format!("regex:{}a{}", "(".repeat(depth), ")*".repeat(depth));
    assert!(Filter::parse(&nested(200)).unwrap().matches("a"));
    assert!(Filter::parse(&nested(201)).is_err());
}

/// A class that is too large for all of Unicode is still exact on tags, which are ASCII.
#[test]
fn large_classes_are_exact_on_tags_s5_2() {
    let filter = Filter::parse(r"regex:^\pL{1000}$").unwrap();
    assert!(filter.matches(&"a".repeat(1000)));
    assert!(!filter.matches(&"a".repeat(999)));
    assert!(!filter.matches(&format!("{}1", "a".repeat(999))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// S4.4: no text makes parsing panic, and what cannot be parsed is an error, not a filter that takes all.
    #[test]
    fn parsing_never_panics_s4_4(prefix in "(semver:|regexp?:|glob:|)", body in ".{0,40}", tag in "[a-z0-9._-]{0,12}") {
        if let Ok(filter) = Filter::parse(&format!("{prefix}{body}")) {
            prop_assert_eq!(filter.matches(&tag), filter.judge(&tag, None).is_ok());
        }
    }

    /// S5.2: every pattern that is read can be compiled; only the limit on size may refuse it.
    #[test]
    fn translations_compile_s5_2(body in r"([a-c]|\\[a-zA-Z0-9.]|[\[\](){}|?*+^$.&~-]|\(\?[imsU:-]|\\p\{?[A-Z]|[0-9]{1,2},?){0,14}", tag in "[a-cA-C1-3.&~-]{0,8}") {
        match Filter::parse(&format!("regexp:{body}")) {
            Ok(filter) => { let _ = filter.matches(&tag); }
            Err(error) => prop_assert!(!error.to_string().contains("too much room"), "{} {}", body, error),
        }
    }

    /// S5.1: a glob made from a text by putting stars in place of its parts takes the text.
    #[test]
    fn stars_stand_for_anything_s5_1(parts in prop::collection::vec("[a-c.-]{0,3}", 1..6)) {
        let text: String = parts.concat();
        let pattern: String = parts.iter().enumerate().map(|(at, part)| if at % 2 == 0 { "*" } else { part }).collect();
        prop_assert!(Filter::parse(&pattern).unwrap().matches(&text), "{} on {}", pattern, text);
    }

    /// S5.3: each comparator and its opposite share out the releases.
    #[test]
    fn opposites_share_out_releases_s5_3(a in 0_u64..4, b in 0_u64..4, c in 0_u64..4, x in 0_u64..4, y in 0_u64..4, z in 0_u64..4) {
        let (tag, bound) = (format!("{a}.{b}.{c}"), format!("{x}.{y}.{z}"));
        for (one, other) in [(">=", "<"), ("<=", ">"), ("=", "!=")] {
            let takes = |operator: &str| Filter::parse(&format!("semver:{operator}{bound}")).unwrap().matches(&tag);
            prop_assert_ne!(takes(one), takes(other), "{} {} {}", tag, one, bound);
        }
    }
}
