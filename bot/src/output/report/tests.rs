//! Reports as people see them, at several widths.

use std::time::Duration;

use jiff::Timestamp;
use leadsman_scanner::detect::Source;
use leadsman_scanner::diagnostic::{Code, Diagnostic};
use leadsman_scanner::status::{Flag, Status, Verdict};

use super::super::json::{ContainerView, LatestView, ReasonView, ScanView, SummaryView, Version, WorkloadView};
use super::super::text::width;
use super::*;

fn container(name: &str, status: Status, latest: Option<&str>) -> ContainerView {
    ContainerView {
        file: "clusters/production/apps/podinfo.yaml".into(),
        document: 0,
        line: 14,
        column: 12,
        workload: WorkloadView {
            id: "production:helmrelease/podinfo-frontend".into(),
            api_version: "helm.fluxcd.io/v1".into(),
            kind: "HelmRelease".into(),
            namespace: "production".into(),
            name: "podinfo-frontend".into(),
        },
        container: name.into(),
        source: Source::Values,
        image: Some("docker.io/stefanprodan/podinfo".into()),
        tag: Some("3.0.0".into()),
        digest: None,
        automated: true,
        filter: "semver:~3.0".into(),
        status: Some(status),
        flags: Vec::new(),
        message: None,
        latest: latest.map(|tag| LatestView { tag: tag.into(), digest: None, created: None }),
        reasons: None,
    }
}

fn view(containers: Vec<ContainerView>) -> ScanView {
    let summary = SummaryView {
        files: 1,
        workloads: 1,
        containers: containers.len(),
        updates: containers.iter().filter(|container| container.status == Some(Status::Update)).count(),
        images: 1,
        registry_requests: 1,
    };
    ScanView { version: Version::ONE, containers, diagnostics: Vec::new(), summary }
}

fn now() -> Timestamp {
    "2026-01-10T00:00:00Z".parse().unwrap()
}

fn usual() -> ScanStyle {
    ScanStyle { details: false, now: now() }
}

fn at(width: usize) -> Look {
    Look { color: false, width: Some(width) }
}

#[test]
fn a_pipe_gets_one_complete_line_per_container() {
    let view = view(vec![
        container("chart-image", Status::Update, Some("3.0.5")),
        container("init", Status::Current, Some("3.0.0")),
    ]);
    let text = scan_table(&view, usual(), Look::PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[1],
        "production:helmrelease/podinfo-frontend  chart-image  stefanprodan/podinfo  3.0.0 → 3.0.5  semver:~3.0  ↑ update   clusters/production/apps/podinfo.yaml:14"
    );
    assert!(lines[2].starts_with("production:helmrelease/podinfo-frontend  init "), "{text}");
    assert!(lines[2].contains("  3.0.0  ") && lines[2].contains("✓ current"), "{text}");
}

#[test]
fn a_terminal_names_a_workload_once_and_is_never_exceeded() {
    let mut update = container("chart-image", Status::Update, Some("3.0.5"));
    update.flags = vec![Flag::CurrentGone];
    update.message = Some("a long message about what happened, that has to go over several lines of a terminal".into());
    update.reasons = Some(vec![ReasonView {
        tag: "3.1.0".into(),
        verdict: Verdict::Filter,
        message: "it does not satisfy `~3.0`".into(),
    }]);
    let view = view(vec![update, container("init", Status::Current, Some("3.0.0"))]);
    for columns in [60, 80, 100, 140, 200] {
        for details in [false, true] {
            let text = scan_table(&view, ScanStyle { details, now: now() }, at(columns));
            for line in text.lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
            assert!(text.contains("  current-gone") || columns < 200, "{text}");
            assert_eq!(text.matches("production:").count(), 1, "{text}");
            let (update, current) = (text.contains("↑ update"), text.contains("✓ current"));
            assert!(update && current, "{text}");
        }
    }
}

#[test]
fn a_narrow_terminal_keeps_the_arrow_the_file_and_the_flags() {
    let mut update = container("chart-image", Status::Update, Some("3.0.5-alpine"));
    update.tag = Some("3.0.0-alpine".into());
    update.flags = vec![Flag::UnquotedTag];
    let text = scan_table(&view(vec![update]), usual(), at(70));
    assert!(text.contains("3.0.0… → 3.0.5…"), "{text}");
    assert!(text.contains("podinfo.yaml\n"), "{text}");
    assert!(text.contains("\n    ! unquoted-tag\n") && !text.contains("FLAGS"), "{text}");
}

#[test]
fn every_status_has_a_sign_and_its_word() {
    for status in Status::ALL {
        let text = scan_table(&view(vec![container("c", *status, None)]), usual(), Look::PLAIN);
        assert!(text.contains(&format!("{} {status}", sign(Some(*status)).0)), "{text}");
        assert_eq!(sign(Some(*status)).0 == "✗", status.is_failure(), "{status}");
    }
}

#[test]
fn pins_are_shown_short_and_a_moved_digest_shows() {
    let mut pinned = container("c", Status::Update, Some("3.0.0"));
    pinned.digest = Some(format!("sha256:{}", "ab".repeat(32)));
    assert_eq!(tags(&pinned), "3.0.0@abababab");
    pinned.latest.as_mut().unwrap().digest = Some(format!("sha256:{}", "cd".repeat(32)));
    assert_eq!(tags(&pinned), "3.0.0@abababab → 3.0.0@cdcdcdcd");
    let mut bare = container("c", Status::DigestOnly, None);
    (bare.tag, bare.digest) = (None, pinned.digest);
    assert_eq!(tags(&bare), "@abababab");
}

#[test]
fn images_are_named_as_people_write_them() {
    for (image, name) in [
        ("docker.io/library/nginx", "nginx"),
        ("docker.io/bitnami/redis", "bitnami/redis"),
        ("quay.io/library/x", "quay.io/library/x"),
    ] {
        assert_eq!(familiar(image), name);
    }
}

#[test]
fn hostile_texts_are_escaped_everywhere() {
    let mut hostile = container("c\x1b[2J", Status::RegistryError, None);
    hostile.message = Some("said \x1b]0;x\x07".into());
    hostile.filter = "glob:\u{202e}*".into();
    hostile.workload.id = "a:b/\u{2066}".into();
    hostile.reasons =
        Some(vec![ReasonView { tag: "1\x1b".into(), verdict: Verdict::Older, message: "\u{200f}\n".into() }]);
    let text = scan_table(&view(vec![hostile]), usual(), Look::PLAIN);
    assert!(!text.chars().any(|c| c != '\n' && super::super::text::is_unsafe(c)), "{text:?}");
}

#[test]
fn the_summary_counts_in_words() {
    let mut several = view(vec![
        container("a", Status::Update, Some("3.0.5")),
        container("b", Status::RegistryError, None),
        container("c", Status::Current, None),
    ]);
    several.diagnostics.push(Diagnostic::new(Code::InvalidYaml, "a.yaml", "no"));
    several.summary.workloads = 1000;
    several.summary.images = 1000;
    assert_eq!(
        summary(&several, Asked::For(Duration::from_millis(120)), Look::PLAIN),
        "3 containers in 1,000 releases: 1 update, 2 failures; asked 1,000 images in 0.1 s\n"
    );
    let mut calm = view(vec![container("a", Status::Current, None)]);
    calm.containers[0].workload.kind = "Deployment".into();
    assert_eq!(summary(&calm, Asked::No, Look::PLAIN), "1 container in 1 workload; no registry was asked\n");
}
