//! Containers, as they are found in the cases below `tests/cases/detect`, and what holds for any text.
//!
//! A case is a manifest whose last lines, behind `#>`, say what is found in it: a line per container, then one per
//! diagnostic. `LEADSMAN_BLESS=1 cargo test -p leadsman-scanner --test detect` writes those lines anew; read them
//! before committing them.

#![expect(clippy::unwrap_used, reason = "a helper fails as its test does")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use leadsman_scanner::detect::across::Across;
use leadsman_scanner::detect::{Container, DetectOptions, Detected, Place, Uneditable, detect};
use leadsman_scanner::diagnostic::{Code, Diagnostic};
use leadsman_scanner::manifest::{Limits, Manifest, parse};
use leadsman_scanner::reference::KnownHosts;
use leadsman_scanner::status::{Flag, Status};
use proptest::prelude::*;

fn options() -> DetectOptions {
    DetectOptions { hosts: KnownHosts::new(["known".to_owned()]), ..DetectOptions::default() }
}

fn found(text: &str) -> Detected {
    let manifest = parse(text, &Limits::default());
    let detected = detect(&manifest, &options());
    check(&manifest, &detected);
    detected
}

/// What holds for whatever is found: places hold what they say, in order.
fn check(manifest: &Manifest<'_>, detected: &Detected) {
    let tree = &manifest.tree;
    let at = |place: &Place| {
        let value = tree.scalar(place.node).expect("a place is in a scalar").value;
        value[place.part.start as usize..place.part.end as usize].to_owned()
    };
    for container in &detected.containers {
        if let Some(place) = &container.tag_place {
            assert_eq!(Some(at(place).as_str()), container.tag.as_deref());
            assert_eq!(tree.resolve(place.node), place.node);
        }
        if let Some(place) = &container.digest_place {
            let digest = container.digest.as_ref().expect("a digest at its place");
            let written = at(place);
            assert!(written == digest.as_str() || written == digest.hex(), "{written}");
        }
        let invalid = matches!(&container.settled, Some((Status::Invalid | Status::Unresolved, _)));
        assert!(invalid || container.image.is_some() || container.settled.is_some());
        assert!(container.line > 0 && container.column > 0);
    }
    let key =
        |c: &Container| (c.document, c.workload.line, c.workload.column, &*c.name != "chart-image", c.name.clone());
    assert!(detected.containers.is_sorted_by_key(key));
    assert!(detected.containers.windows(2).all(|pair| key(&pair[0]) != key(&pair[1])), "two of one name");
    let places: Vec<_> = detected.diagnostics.iter().map(|d| (d.line, d.column)).collect();
    assert!(places.is_sorted());
}

fn describe(container: &Container, many: bool) -> String {
    let mut line = String::new();
    if many {
        write!(line, "{} ", container.workload.id).unwrap();
    }
    let image = container.image.as_ref().map_or("?", |image| image.as_str());
    write!(line, "{} = {image}", container.name).unwrap();
    if let Some(tag) = &container.tag {
        write!(line, ":{tag}").unwrap();
    }
    if let Some(digest) = &container.digest {
        write!(line, "@sha256:{}…", &digest.hex()[..4]).unwrap();
    }
    write!(line, ", {:?} {}:{}", container.source, container.line, container.column).unwrap();
    let steering = &container.steering;
    if &*steering.filter != "glob:*" {
        write!(line, ", {}", steering.filter).unwrap();
    }
    if steering.policy.order != leadsman_scanner::choose::Order::of(steering.policy.filter.kind()) {
        write!(line, ", order {}", steering.policy.order).unwrap();
    }
    if let Some(age) = steering.policy.min_age {
        write!(line, ", min-age {}h", age.as_hours()).unwrap();
    }
    for (allowed, what) in
        [(steering.policy.allow_downgrade, "allow-downgrade"), (steering.policy.allow_variant, "allow-variant")]
    {
        if allowed {
            write!(line, ", {what}").unwrap();
        }
    }
    if let Some(platform) = &steering.platform {
        write!(line, ", platform {platform}").unwrap();
    }
    if let Some(name) = &steering.look_up {
        write!(line, ", look-up {name}").unwrap();
    }
    for flag in &container.flags {
        write!(line, ", {flag}").unwrap();
    }
    if [&container.tag_place, &container.digest_place].into_iter().flatten().any(|place| place.via_alias) {
        line.push_str(", via alias");
    }
    if let Some(reason) = container.uneditable {
        write!(line, ", not edited: {reason:?}").unwrap();
    }
    if let Some((status, message)) = &container.settled {
        write!(line, ": {status}").unwrap();
        if let Some(message) = message {
            write!(line, ", {message}").unwrap();
        }
    }
    line
}

fn report(diagnostic: &Diagnostic) -> String {
    let mut line = format!("{} {}", diagnostic.level_word(), diagnostic.code.as_str());
    if let (Some(at), Some(column)) = (diagnostic.line, diagnostic.column) {
        write!(line, " {at}:{column}").unwrap();
    }
    write!(line, ": {}", diagnostic.message).unwrap();
    if let Some(hint) = &diagnostic.hint {
        write!(line, " | {hint}").unwrap();
    }
    line
}

trait LevelWord {
    fn level_word(&self) -> &'static str;
}

impl LevelWord for Diagnostic {
    fn level_word(&self) -> &'static str {
        match self.level {
            leadsman_scanner::diagnostic::Level::Error => "error",
            leadsman_scanner::diagnostic::Level::Warning => "warning",
            leadsman_scanner::diagnostic::Level::Info => "info",
        }
    }
}

fn expectation(text: &str) -> String {
    let manifest = parse(text, &Limits::default());
    let detected = detect(&manifest, &options());
    check(&manifest, &detected);
    let many = detected.workloads.len() > 1;
    let mut all = String::new();
    for container in &detected.containers {
        writeln!(all, "#> {}", describe(container, many)).unwrap();
    }
    for diagnostic in manifest.diagnostics.iter().chain(&detected.diagnostics) {
        writeln!(all, "#> {}", report(diagnostic)).unwrap();
    }
    if all.is_empty() {
        all.push_str("#> nothing\n");
    }
    all
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/detect");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 50);
    cases
}

#[test]
fn every_case_is_found_as_it_says() {
    let bless = std::env::var_os("LEADSMAN_BLESS").is_some();
    let mut wrong = String::new();
    for path in cases() {
        let text = fs::read_to_string(&path).unwrap();
        let manifest = text.split("#> ").next().unwrap();
        let written = &text[manifest.len()..];
        let actual = expectation(manifest);
        if bless {
            fs::write(&path, format!("{manifest}{actual}")).unwrap();
        } else if written != actual {
            writeln!(wrong, "{}\n--- written\n{written}--- found\n{actual}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn release(values: &str) -> String {
    format!(
        "kind: HelmRelease\nmetadata: {{name: a, annotations: {{fluxcd.io/automated: 'true'}}}}\nspec:\n  values: {values}\n"
    )
}

#[test]
fn json_is_read_on_one_line_s1_1() {
    let text = r#"{"kind":"HelmRelease","metadata":{"name":"a","annotations":{"fluxcd.io/automated":"true"}},"spec":{"values":{"ü":{"image":"org/x","tag":"v1"}}}}"#;
    let detected = found(text);
    let container = &detected.containers[0];
    assert_eq!(container.line, 1);
    assert_eq!(text.chars().skip(container.column as usize - 1).take(4).collect::<String>(), "\"v1\"");
    assert!(container.settled.is_none());
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing_s1_4() {
    let text = release("{image: 'a:1'}");
    let unix = expectation(&text);
    assert_eq!(expectation(&text.replace('\n', "\r\n")), unix);
    assert_eq!(expectation(&format!("\u{feff}{text}")), unix);
    assert_eq!(expectation(text.trim_end()), unix);
}

#[test]
fn a_broken_sibling_keeps_a_file_from_being_edited_s1_3() {
    let text = format!("{}---\nbroken: [\n---\n{}", release("{image: 'a:1'}"), release("{image: 'b:1'}"));
    let detected = found(&text);
    assert_eq!(detected.containers.len(), 2);
    assert!(detected.containers.iter().all(|container| container.uneditable == Some(Uneditable::BrokenSibling)));
    assert_eq!(detected.containers[1].document, 2);
}

#[test]
fn a_template_beside_a_release_s1_3() {
    let text = format!("{}---\na: {{{{ b }}}}\n", release("{image: 'a:1'}"));
    assert_eq!(found(&text).containers[0].uneditable, None);
    // One that is no YAML cannot be read again after an edit.
    let text = format!("{}---\n{{{{- if x }}}}\na: 1\n{{{{- end }}}}\n", release("{image: 'a:1'}"));
    let manifest = parse(&text, &Limits::default());
    assert_eq!(manifest.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), [Code::Template]);
    assert_eq!(found(&text).containers[0].uneditable, Some(Uneditable::BrokenSibling));
}

#[test]
fn the_default_namespace_is_an_option_s1_5() {
    let manifest =
        parse("kind: HelmRelease\nmetadata: {name: a}\nspec: {values: {image: 'a:1'}}\n", &Limits::default());
    let options = DetectOptions { default_namespace: "team".into(), ..DetectOptions::default() };
    assert_eq!(detect(&manifest, &options).workloads[0].id.as_str(), "team:helmrelease/a");
}

#[test]
fn statuses_that_need_no_registry_have_an_order_s4_3() {
    // Everything is wrong at once; one thing after the other is mended.
    let steps = [
        (Status::Ignored, "fluxcd.io/ignore: 'true'"),
        (Status::Locked, "fluxcd.io/locked: 'true'"),
        (Status::Invalid, ""),
        (Status::Untagged, ""),
        (Status::DigestOnly, ""),
        (Status::NotAutomated, ""),
        (Status::FilterInvalid, "filter.fluxcd.io/chart-image: 'semver:!'"),
        (Status::Encrypted, ""),
    ];
    let digest = format!("a@sha256:{}", "0".repeat(64));
    for (at, (status, _)) in steps.iter().enumerate() {
        let mut annotations: Vec<&str> =
            steps[at..].iter().map(|step| step.1).filter(|line| !line.is_empty()).collect();
        if at > 5 {
            annotations.push("fluxcd.io/automated: 'true'");
        }
        let image = match status {
            Status::Ignored | Status::Locked | Status::Invalid => "A",
            Status::Untagged => "a",
            Status::DigestOnly => &digest,
            _ => "a:1",
        };
        let text = format!(
            "kind: HelmRelease\nmetadata: {{name: a, annotations: {{{}}}}}\nspec: {{values: {{image: '{image}'}}}}\nsops: {{}}\n",
            annotations.join(", ")
        );
        assert_eq!(found(&text).containers[0].settled.as_ref().map(|settled| settled.0), Some(*status), "{text}");
    }
}

#[test]
fn many_containers_take_linear_time_s1_4() {
    // Quadratic work would take minutes here.
    let mut values = String::from("\n");
    let mut annotations = String::new();
    for n in 0..20_000 {
        writeln!(values, "    c{n}: {{image: org/c{n}, tag: v1}}").unwrap();
        writeln!(annotations, "    filter.fluxcd.io/c{n}: glob:v*").unwrap();
        writeln!(annotations, "    repository.fluxcd.io/a{n}: c{n}.image").unwrap();
    }
    let text = format!(
        "kind: HelmRelease\nmetadata:\n  name: a\n  annotations:\n    fluxcd.io/automated: 'true'\n{annotations}spec:\n  values:{values}"
    );
    let detected = found(&text);
    assert_eq!(detected.containers.len(), 20_000);
    assert!(detected.containers.iter().all(|container| container.source == leadsman_scanner::detect::Source::Alias));
    assert_eq!(detected.diagnostics.iter().filter(|d| d.code == Code::FilterWithoutContainer).count(), 20_000);
}

#[test]
fn one_line_of_many_containers_takes_linear_time_s1_4() {
    let mut values = String::from("{");
    for n in 0..20_000 {
        write!(values, "\"c{n}\":{{\"image\":\"org/c{n}:v1\"}},").unwrap();
    }
    values.push('}');
    let detected = found(&release(&values));
    assert_eq!(detected.containers.len(), 20_000);
}

#[test]
fn a_marker_is_looked_for_on_its_line_only_s7_8() {
    let marked = "kind: HelmRelease\nmetadata: {name: a}\nspec:\n  values:\n    a: {image: 'a:1'} # {\"$imagepolicy\": \"x\"}\n    b: {image: 'b:1'}\n";
    let detected = found(marked);
    assert_eq!(detected.containers[0].uneditable, Some(Uneditable::FluxMarker));
    assert_eq!(detected.containers[1].uneditable, None);
    assert_eq!(detected.diagnostics[0].code, Code::FluxMarker);
}

#[test]
fn unquoted_tags_are_flagged_s2_3() {
    let detected = found(&release("{image: a, tag: 1.10}"));
    assert_eq!(detected.containers[0].flags, [Flag::UnquotedTag]);
    assert_eq!(detected.diagnostics[0].code, Code::UnquotedTag);
}

fn across(files: &[(&str, &str)]) -> Vec<(Code, String)> {
    let mut across = Across::default();
    for (name, text) in files {
        across.add(name, &found(text).workloads);
    }
    across.finish().into_iter().map(|diagnostic| (diagnostic.code, diagnostic.file)).collect()
}

#[test]
fn releases_that_claim_one_name_are_told_s1_6() {
    let release = |namespace: &str, name: &str, more: &str| {
        format!(
            "kind: HelmRelease\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{more} values: {{image: 'a:1'}}}}\n"
        )
    };
    // One id in two clusters is normal; in one file it is not.
    let one = release("dev", "a", "");
    assert_eq!(across(&[("staging.yaml", &one), ("production.yaml", &one)]), []);
    assert_eq!(across(&[("x.yaml", &format!("{one}---\n{one}"))]), [(Code::DuplicateRelease, "x.yaml".into())]);
    let named = release("dev", "a", "releaseName: web, targetNamespace: shared,");
    let other = release("prod", "b", "releaseName: web, targetNamespace: shared,");
    assert_eq!(across(&[("a.yaml", &named), ("b.yaml", &other)]), [(Code::DuplicateRelease, "b.yaml".into())]);
    let elsewhere = release("prod", "b", "releaseName: web,");
    assert_eq!(across(&[("a.yaml", &named), ("b.yaml", &elsewhere)]), []);
    let old = |namespace: &str| release(namespace, "a", "").replace("kind: Helm", "kind: FluxHelm");
    assert_eq!(across(&[("a.yaml", &old("x")), ("b.yaml", &old("y"))]), [(Code::DuplicateRelease, "b.yaml".into())]);
}

#[test]
fn annotations_in_another_layer_are_told_s1_6() {
    let base = "kind: HelmRelease\nmetadata: {name: a}\nspec: {values: {image: 'a:1'}}\n";
    let patch = "kind: HelmRelease\nmetadata: {name: a, annotations: {fluxcd.io/automated: 'true'}}\n";
    assert_eq!(
        across(&[("base/a.yaml", base), ("overlay/a.yaml", patch)]),
        [(Code::AnnotationsElsewhere, "base/a.yaml".into())]
    );
    assert_eq!(across(&[("base/a.yaml", base), ("overlay/b.yaml", &patch.replace("name: a", "name: b"))]), []);
}

/// Texts that are near to YAML, and near to releases.
fn yamlish() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "kind: HelmRelease",
        "metadata:",
        "name: a",
        "annotations:",
        "fluxcd.io/automated: \"true\"",
        "spec:",
        "values:",
        "image:",
        "tag:",
        "repository:",
        "registry:",
        "a:1",
        "a",
        "v1",
        "1.10",
        "\n",
        "\n  ",
        "\n    ",
        "\n      ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        "\"",
        "&x ",
        "*x",
        "<<: *x",
        "<<: ",
        "---\n",
        "...\n",
        "|\n",
        ">-\n",
        "# ",
        "{{",
        "}}",
        "${X}",
        "!!str ",
        "? ",
        "\t",
        "\r\n",
        "\u{feff}",
        "@sha256:",
        "digest: ",
        "repository.fluxcd.io/x: a.b",
        "tag.fluxcd.io/x: image.tag",
        "filter.fluxcd.io/a: regex:(",
        "\u{1f600}",
        "\\",
        "kind: List",
        "items:",
        "~",
        "null",
        "%YAML 1.2\n",
        "\"$imagepolicy\"",
        "leadsman.dev/min-age.a: 3d",
        "kind: CronJob",
        "containers:",
        "\0",
    ]);
    prop::collection::vec(prop_oneof![9 => token.prop_map(str::to_owned), 1 => "\\PC{0,4}"], 0..60)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the text, reading it ends, and what is found holds together (S1.3).
    #[test]
    fn no_text_panics_s1_3(text in yamlish()) {
        found(&text);
    }

    /// A release in one piece, whatever its values are made of.
    #[test]
    fn no_values_panic_s2_1(values in yamlish()) {
        found(&release(&format!("\n    x: {values}")));
        found(&release(&format!("{{image: {values}}}")));
    }

    /// The sources are bytes: cut anywhere, they are read as far as they go.
    #[test]
    fn cut_cases_are_read_s1_3(case in 0usize..60, cut in 0.0f64..1.0) {
        let text = fs::read_to_string(&cases()[case]).unwrap();
        let mut at = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        found(&text[..at]);
    }
}
