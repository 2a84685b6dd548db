//! `leadsman filter`.

use crate::harness::Home;

/// The table of S5.4: filter, tags that match, tags that do not.
#[test]
fn the_table_of_filters_s5_4() {
    let home = Home::new();
    for (filter, matching, others) in [
        ("*", &["1", "foo"][..], &[][..]),
        ("glob:*", &["1", "foo"], &["latest"]),
        ("master-*", &["master-", "master-foo"], &["foo-master"]),
        ("semver:*", &["1", "1.0", "v1.0.3"], &["latest", "2.0.1-alpha.1"]),
        ("semver:~1", &["v1", "1", "1.2", "1.2.3"], &["latest", "2.0.0"]),
        ("semver:2.0.1-alpha.1", &["2.0.1-alpha.1"], &["2.0.1"]),
        ("semver:~3.7", &["3.7.2"], &["3.7.1-r1"]),
        ("semver:~3.7-0", &["3.7.1-r1", "3.7.2"], &["3.8.0"]),
        ("regexp:^([a-zA-Z]+)$", &["foo", "BAR"], &["1", "foo-1"]),
        (r"regex:^\w{7}(?:\w)?$", &["af14eb2", "bb73ed94"], &["1", "946427ff-foo"]),
    ] {
        let tags: Vec<&str> = matching.iter().chain(others).copied().collect();
        let arguments: Vec<&str> = ["filter", filter].into_iter().chain(tags).collect();
        let (code, document) = home.json(&arguments);
        assert_eq!(code, 0);
        for tag in document["tags"].as_array().unwrap() {
            let expected = matching.contains(&tag["tag"].as_str().unwrap());
            assert_eq!(tag["matches"], expected, "{filter}: {tag}");
        }
        assert_eq!(document["tags"].as_array().unwrap().len(), matching.len() + others.len());
    }
}

#[test]
fn tags_are_ranked_and_the_winner_is_selected() {
    let (_, document) = Home::new().json(&["filter", "semver:~1", "1.2.0", "1.10.0", "2.0.0", "1.9.9"]);
    let tags = document["tags"].as_array().unwrap();
    let ranks: Vec<(&str, Option<u64>)> =
        tags.iter().map(|tag| (tag["tag"].as_str().unwrap(), tag["rank"].as_u64())).collect();
    assert_eq!(ranks, [("1.10.0", Some(1)), ("1.9.9", Some(2)), ("1.2.0", Some(3)), ("2.0.0", None)]);
    assert_eq!((&document["selected"], &document["order"]), (&"1.10.0".into(), &"semver".into()));
}

#[test]
fn creation_times_come_behind_a_tab() {
    let home = Home::new();
    let input =
        "dev-a\t2026-01-01T00:00:00Z\n\ndev-b\t2026-03-01T00:00:00+02:00\r\nprod\t\ndev-c\t2026-02-01T00:00:00Z\n";
    let (code, document) = home.run_with_input(&["filter", "dev-*", "--format", "json"], input).json("filter");
    assert_eq!((code, &document["selected"]), (0, &"dev-b".into()));
    assert_eq!(document["tags"][0]["created"], "2026-02-28T22:00:00Z");
    let wrong = home.run_with_input(&["filter", "dev-*"], "a\t2026-01-01\nb\tyesterday\n");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("`2026-01-01` on line 1") && wrong.err.contains("RFC 3339"), "{}", wrong.err);
}

#[test]
fn without_times_the_order_by_time_says_what_to_do() {
    let home = Home::new();
    let ran = home.run(&["filter", "glob:*", "a", "b"]);
    assert!(ran.out.contains("nothing is chosen") && ran.out.contains("--order"), "{}", ran.out);
    let (_, document) = home.json(&["filter", "glob:*", "a", "b", "--order", "alphabetical"]);
    assert_eq!(document["selected"], "b");
}

#[test]
fn rules_that_need_the_current_tag_apply_with_it_alone_s6_4_s6_6() {
    let home = Home::new();
    let select = |arguments: &[&str]| home.json(arguments).1["selected"].clone();
    let tags = ["1.2.5", "1.2.4-alpine", "1.2.3-alpine"];
    let with = |more: &[&str]| select(&[&["filter", "semver:~1.2-0"], more, &tags].concat());
    assert_eq!(with(&[]), "1.2.5");
    assert_eq!(with(&["--current", "1.2.3-alpine"]), "1.2.4-alpine");
    assert_eq!(select(&["filter", "semver:*", "--current", "2.0.0", "1.0.0"]), serde_json::Value::Null);
}

#[test]
fn an_invalid_filter_is_exit_code_2_in_both_formats_s4_4() {
    let home = Home::new();
    let human = home.run(&["filter", "regex:(", "1"]);
    assert_eq!((human.code, human.out.as_str()), (2, ""));
    assert!(human.err.starts_with("error: `regex:(` is no filter\n  because: "), "{}", human.err);
    let (code, document) = home.json(&["filter", "semver:>>1", "1"]);
    assert_eq!(code, 2);
    assert!(document["error"].is_string() && document["order"].is_null(), "{document}");
}

#[test]
fn white_space_in_a_filter_is_told_s4_4() {
    let home = Home::new();
    let ran = home.run(&["filter", "glob: *", "1"]);
    assert!(ran.out.contains("0 of 1 tag match"), "{}", ran.out);
    assert!(ran.err.contains("white space"), "{}", ran.err);
    assert_eq!(home.run(&["filter", "glob: *", "1", "--quiet"]).err, "");
}

#[test]
fn hostile_tags_are_escaped_and_match_nothing_s5_4() {
    let home = Home::new();
    let hostile = "1.0\x1b[2J\u{202e}";
    let human = home.run(&["filter", "*", hostile, "ok"]);
    assert!(human.out.contains(r"1.0\x1b[2J\u{202e}") && !human.out.contains('\x1b'), "{}", human.out);
    let ran = home.run(&["filter", "*", hostile, "--format", "json"]);
    assert!(ran.out.is_ascii(), "{}", ran.out);
    let (_, document) = ran.json("filter");
    assert_eq!((&document["tags"][0]["tag"], &document["tags"][0]["matches"]), (&hostile.into(), &false.into()));
}

#[test]
fn ten_thousand_tags_are_read_from_standard_input() {
    let input: String = (0..10_000).map(|n| format!("1.0.{n}\n")).collect();
    let ran = Home::new().run_with_input(&["filter", "semver:~1.0", "--format", "json"], &input);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["selected"], "1.0.9999");
}
