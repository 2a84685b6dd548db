//! Single functions: what one release costs at each step of a scan.
//!
//! `cargo bench -p leadsman-tests --bench functions [NAME]`

#![allow(missing_docs, reason = "criterion's macros make functions without them")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run should end")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use leadsman_scanner::choose::{Candidate, Current, Policy, choose};
use leadsman_scanner::detect::{DetectOptions, detect};
use leadsman_scanner::edit::{Update, apply};
use leadsman_scanner::filter::Filter;
use leadsman_scanner::manifest::{Limits, parse};
use leadsman_scanner::reference::{KnownHosts, Reference};
use leadsman_tests::corpus::Corpus;
use leadsman_tests::registry::static_registry::tag;

fn reading(criterion: &mut Criterion) {
    let text = Corpus { bytes: 5_000, ..Corpus::new(1, "registry.example.com") }.text(0);
    let (limits, options) = (Limits::default(), DetectOptions::default());
    let mut group = criterion.benchmark_group("a release of 5 kB");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |bench| bench.iter(|| parse(black_box(&text), &limits)));
    let manifest = parse(&text, &limits);
    group.bench_function("detect", |bench| bench.iter(|| detect(black_box(&manifest), &options)));
    let containers = detect(&manifest, &options).containers;
    let updates = [Update { container: &containers[0], tag: "1.2.3", digest: None }];
    group.bench_function("edit", |bench| bench.iter(|| apply(black_box(&manifest), &containers, &updates)));
    group.finish();
}

fn choosing(criterion: &mut Criterion) {
    let tags: Vec<String> = (0..50).map(tag).collect();
    let candidates: Vec<Candidate<'_>> = tags.iter().map(|tag| Candidate::new(tag)).collect();
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut group = criterion.benchmark_group("filters");
    for filter in ["semver:~1.0", "glob:1.0.*", "regex:^1\\.0\\.(?P<order>[0-9]+)$"] {
        group.bench_function(format!("parse {filter}"), |bench| {
            bench.iter(|| Filter::parse(black_box(filter)).unwrap())
        });
        let policy = Policy::new(Filter::parse(filter).unwrap());
        let current = Current::new("1.0.7");
        group.bench_function(format!("choose among 50 by {filter}"), |bench| {
            bench.iter(|| choose(&policy, &current, black_box(&candidates), now, false));
        });
    }
    let hosts = KnownHosts::default();
    group.bench_function("parse a reference", |bench| {
        bench.iter(|| Reference::parse(black_box("quay.io/org/team/app:v1.2.3"), &hosts).unwrap());
    });
    group.finish();
}

criterion_group!(functions, reading, choosing);
criterion_main!(functions);
