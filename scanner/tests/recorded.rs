//! Compares filters with the recorded answers of the libraries whose meaning they keep (`tests/recorders`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use leadsman_scanner::filter::Filter;

/// The rows of a table below `tests/cases`, each column with its Go escapes resolved.
fn rows(table: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../tests/cases/{table}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    text.lines().map(|line| line.split('\t').map(unquote).collect()).collect()
}

/// Undoes Go's `strconv.QuoteToASCII`.
fn unquote(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next().unwrap() {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => code_point(&mut chars, 2),
            'u' => code_point(&mut chars, 4),
            'U' => code_point(&mut chars, 8),
            other => other,
        });
    }
    out
}

fn code_point(chars: &mut std::str::Chars<'_>, digits: usize) -> char {
    let hex: String = chars.by_ref().take(digits).collect();
    char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
}

/// Collects what differs, so that one run shows it all.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check<T: PartialEq + std::fmt::Debug>(&mut self, row: &[String], ours: T, theirs: T) {
        if ours != theirs {
            self.0.push(format!("{:?} on {:?}: ours {ours:?}, theirs {theirs:?}", row[0], row[1]));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} rows differ:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Ours on purpose, S5.3: a tag whose first number has six or more digits is no version, unless the constraint has
/// such a number.
fn is_date_rule(constraint: &str, version: &str) -> bool {
    let long = |text: &str| text.strip_prefix('v').unwrap_or(text).bytes().take_while(u8::is_ascii_digit).count() >= 6;
    let bounds = constraint.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
    long(version) && !bounds.into_iter().any(long)
}

/// Ours on purpose: a numeric pre-release identifier beyond 64 bits is still a number, and so lower than every text.
/// The library compares it as a text.
fn is_huge_number_rule(constraint: &str, version: &str) -> bool {
    let number = |text: &str| text.parse::<u128>().is_ok();
    let Some((bound, pre)) = constraint.strip_prefix('<').and_then(|bound| bound.split_once('-')) else {
        return false;
    };
    let other = version.split_once('-').filter(|(numbers, _)| *numbers == bound);
    pre.len() >= 20 && number(pre) && other.is_some_and(|(_, other)| !number(other))
}

#[test]
fn constraints_mean_what_masterminds_3_1_1_says_s5_3() {
    let rows = rows("semver/constraints.tsv");
    assert!(rows.len() >= 3_000);
    let matching = rows.iter().filter(|row| row[2] == "match").count();
    assert!((rows.len() / 4..=rows.len() * 3 / 4).contains(&matching), "{matching} of {} match", rows.len());
    let mut differences = Differences::default();
    let (mut dates, mut huge) = (0, 0);
    for row in &rows {
        let filter = Filter::parse(&format!("semver:{}", row[0]));
        let ours = match &filter {
            Err(_) => "bad-constraint",
            Ok(filter) if filter.matches(&row[1]) => "match",
            Ok(_) => "no-match",
        };
        let theirs = match row[2].as_str() {
            // What is no version matches nothing.
            "bad-version" => "no-match",
            // Ours on purpose: a constraint with characters that mean nothing is refused.
            "dropped" => "bad-constraint",
            other => other,
        };
        if is_date_rule(&row[0], &row[1]) && theirs == "match" {
            dates += 1;
            differences.check(row, ours, "no-match");
        } else if is_huge_number_rule(&row[0], &row[1]) && theirs == "match" {
            huge += 1;
            differences.check(row, ours, "no-match");
        } else {
            differences.check(row, ours, theirs);
        }
    }
    differences.none();
    // The exceptions are met, and stay exceptions.
    assert!((1..40).contains(&dates), "{dates} rows by the rule about dates");
    assert!((1..10).contains(&huge), "{huge} rows with huge identifiers");
}

#[test]
fn globs_mean_what_go_glob_1_0_0_says_s5_1() {
    let rows = rows("glob/matches.tsv");
    assert!(rows.len() >= 3_000);
    let mut differences = Differences::default();
    for row in &rows {
        let filter = Filter::parse(&format!("glob:{}", row[0])).unwrap();
        let theirs = row[2] == "true";
        // Ours by S5.4, whatever the glob says.
        let latest = row[1].eq_ignore_ascii_case("latest") && row[0] != "latest";
        differences.check(row, filter.matches(&row[1]), theirs && !latest);
    }
    differences.none();
}

#[test]
fn regular_expressions_mean_what_go_says_s5_2_s4_5() {
    let rows = rows("regex/matches.tsv");
    assert!(rows.len() >= 500);
    let mut differences = Differences::default();
    let mut limited = 0;
    for row in &rows {
        let filter = Filter::parse(&format!("regexp:{}", row[0]));
        // Ours on purpose, as a limit: Go's own allows a tree of 1,000 nodes.
        if row[0].starts_with(&"(".repeat(201)) || row[0].starts_with(&"(?:".repeat(201)) {
            limited += 1;
            assert!(filter.is_err());
            continue;
        }
        let ours = match &filter {
            Err(_) => vec!["error".to_owned()],
            Ok(filter) if !filter.matches(&row[1]) => vec!["no-match".to_owned()],
            Ok(filter) => match filter.order_text(&row[1]) {
                None => vec!["match-without-group".to_owned()],
                Some(text) => vec!["match".to_owned(), text.to_owned()],
            },
        };
        let mut theirs = row[2..].to_vec();
        if row[1].eq_ignore_ascii_case("latest") && row[2] == "match" {
            // Ours by S5.4, whatever the expression says.
            theirs = vec!["no-match".to_owned()];
        }
        differences.check(row, ours, theirs);
    }
    differences.none();
    assert!((1..20).contains(&limited), "{limited} rows beyond the limit");
}
