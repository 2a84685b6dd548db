//! What is counted and measured, and the page that Prometheus reads.
//!
//! One function per thing that is measured, so that names and labels stand in one place. A label takes values of an
//! enum, or of a bounded list: what comes from outside, such as the registries that manifests name, is `other` unless
//! the configuration or this file knows it. The exporter has no listener of its own.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::webhooks::{HookAnswer, HookKind};

/// Bounds of the buckets for durations, in seconds.
const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Public registries and forges that have a label of their own without being configured.
const WELL_KNOWN: &[&str] = &[
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "github.com",
    "gitlab.com",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "quay.io",
    "registry.gitlab.com",
    "registry.k8s.io",
];

/// Every name that is exported, with its kind and what it means: the source of the table in `docs/operations.md`.
pub const NAMES: &[(&str, Kind, &str)] = &[
    ("leadsman_http_requests_total", Kind::Counter, "requests by part (webhooks, pages, api, probes) and status class"),
    ("leadsman_http_request_seconds", Kind::Histogram, "time until the answer began, by part"),
    ("leadsman_hooks_total", Kind::Counter, "webhooks by kind and answer"),
    ("leadsman_work_total", Kind::Counter, "finished pieces of work by kind and outcome"),
    ("leadsman_work_seconds", Kind::Histogram, "how long a piece of work took, by kind"),
    ("leadsman_work", Kind::Gauge, "pieces of work by state: waiting, running, put-off, parked"),
    ("leadsman_work_overdue_seconds", Kind::Gauge, "how long the longest waiting piece of work is due"),
    ("leadsman_calls_total", Kind::Counter, "calls to forges and registries by host and status class"),
    ("leadsman_call_seconds", Kind::Histogram, "how long calls took, by service and host"),
    ("leadsman_scans_total", Kind::Counter, "scans of repositories by outcome"),
    ("leadsman_pulls_total", Kind::Counter, "what was done with pull requests, by action"),
    ("leadsman_merges_total", Kind::Counter, "requests to merge that ended, by outcome"),
];

/// What kind of metric a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts values by size.
    Histogram,
}

/// Hosts with a label of their own, besides [`WELL_KNOWN`].
static HOSTS: OnceLock<BTreeSet<String>> = OnceLock::new();

/// The recorder of this process.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to record, once for the process; called again, it gives the same handle. `hosts` are the forges and
/// registries that the configuration names, and only the first call's count.
///
/// # Errors
/// Where something else in the process records already.
pub fn install(hosts: impl IntoIterator<Item = String>) -> Result<PrometheusHandle, BuildError> {
    // One at a time, so that a second one finds what the first installed.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?;
    let handle = builder.install_recorder()?;
    let _ = HOSTS.set(hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect());
    describe();
    Ok(RECORDER.get_or_init(|| handle).clone())
}

fn describe() {
    for (name, kind, text) in NAMES {
        match kind {
            Kind::Counter => describe_counter!(*name, *text),
            Kind::Gauge => describe_gauge!(*name, *text),
            Kind::Histogram => describe_histogram!(*name, Unit::Seconds, *text),
        }
    }
}

/// The part of the server that a request went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Webhooks,
    Pages,
    Api,
    Probes,
}

impl Part {
    pub(super) fn of(path: &str) -> Self {
        match path.trim_start_matches('/').split('/').next().unwrap_or_default() {
            "webhooks" => Self::Webhooks,
            "api" => Self::Api,
            "healthz" | "readyz" | "metrics" => Self::Probes,
            _ => Self::Pages,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Pages => "pages",
            Self::Api => "api",
            Self::Probes => "probes",
        }
    }
}

pub(super) fn request(part: Part, status: u16, elapsed: Duration) {
    counter!("leadsman_http_requests_total", "part" => part.as_str(), "status" => class(Some(status))).increment(1);
    histogram!("leadsman_http_request_seconds", "part" => part.as_str()).record(elapsed);
}

/// Counts a webhook.
pub fn hook(kind: HookKind, answer: HookAnswer) {
    counter!("leadsman_hooks_total", "kind" => kind.row().name, "answer" => answer.as_str()).increment(1);
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkOutcome {
    /// It is done.
    Done,
    /// A host or budget put it off, through no fault of its own.
    PutOff,
    /// It failed and is tried again.
    Failed,
    /// It failed too often and waits for a person.
    Parked,
    /// Another worker took it over.
    Lost,
}

/// Counts a piece of work of a kind, such as `scan_repository`.
pub fn work(kind: &'static str, outcome: WorkOutcome, elapsed: Duration) {
    let outcome = match outcome {
        WorkOutcome::Done => "done",
        WorkOutcome::PutOff => "put-off",
        WorkOutcome::Failed => "failed",
        WorkOutcome::Parked => "parked",
        WorkOutcome::Lost => "lost",
    };
    counter!("leadsman_work_total", "kind" => kind, "outcome" => outcome).increment(1);
    histogram!("leadsman_work_seconds", "kind" => kind).record(elapsed);
}

/// How many pieces of work there are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkLevels {
    /// Due or to come.
    pub waiting: u64,
    /// Claimed.
    pub running: u64,
    /// Not before some time, because a host or an error said so.
    pub put_off: u64,
    /// Waiting for a person.
    pub parked: u64,
    /// How long the one that waits longest is due, in seconds.
    pub overdue_seconds: u64,
}

/// Says how much work there is now.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point, and no table has 2^53 rows")]
pub fn levels(levels: WorkLevels) {
    let WorkLevels { waiting, running, put_off, parked, overdue_seconds } = levels;
    for (state, count) in [("waiting", waiting), ("running", running), ("put-off", put_off), ("parked", parked)] {
        gauge!("leadsman_work", "state" => state).set(count as f64);
    }
    gauge!("leadsman_work_overdue_seconds").set(overdue_seconds as f64);
}

/// Who was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A forge.
    Forge,
    /// A registry.
    Registry,
}

/// Counts a call to a host; `status` is none where there was no answer.
pub fn call(service: Service, host: &str, status: Option<u16>, elapsed: Duration) {
    let service = match service {
        Service::Forge => "forge",
        Service::Registry => "registry",
    };
    let host = host_label(host).to_owned();
    counter!("leadsman_calls_total", "service" => service, "host" => host.clone(), "status" => class(status))
        .increment(1);
    histogram!("leadsman_call_seconds", "service" => service, "host" => host).record(elapsed);
}

/// Counts a scan of a repository.
pub fn scan(outcome: ScanOutcome) {
    let outcome = match outcome {
        ScanOutcome::Clean => "clean",
        ScanOutcome::WithErrors => "with-errors",
        ScanOutcome::Failed => "failed",
    };
    counter!("leadsman_scans_total", "outcome" => outcome).increment(1);
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanOutcome {
    /// Everything was looked at.
    Clean,
    /// Something could not be looked at, and the rest was.
    WithErrors,
    /// Nothing was.
    Failed,
}

/// Counts what was done with a pull request; `action` is one of a fixed list, such as `open`.
pub fn pull(action: &'static str) {
    counter!("leadsman_pulls_total", "action" => action).increment(1);
}

/// How a request to merge ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeOutcome {
    /// Merged.
    Merged,
    /// Given up, with a reason.
    Dropped,
    /// Waited too long.
    Expired,
}

/// Counts a request to merge.
pub fn merge(outcome: MergeOutcome) {
    let outcome = match outcome {
        MergeOutcome::Merged => "merged",
        MergeOutcome::Dropped => "dropped",
        MergeOutcome::Expired => "expired",
    };
    counter!("leadsman_merges_total", "outcome" => outcome).increment(1);
}

/// The host, if it has a label of its own, else `other`: manifests name hosts, and there is no end of them.
fn host_label(host: &str) -> &str {
    let configured = HOSTS.get().is_some_and(|hosts| hosts.contains(host));
    if configured || WELL_KNOWN.contains(&host) { host } else { "other" }
}

fn class(status: Option<u16>) -> &'static str {
    match status {
        None => "none",
        Some(200..=299) => "2xx",
        Some(300..=399) => "3xx",
        Some(429) => "429",
        Some(400..=499) => "4xx",
        Some(500..=599) => "5xx",
        Some(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_exported_under_its_name_and_labels_are_bounded() {
        let page = install(["gitea.example.com:3000".to_owned()]).unwrap();
        let moment = Duration::from_millis(20);
        hook(HookKind::Gitea, HookAnswer::Stored);
        work("scan_repository", WorkOutcome::Done, moment);
        levels(WorkLevels { waiting: 3, running: 2, put_off: 1, parked: 4, overdue_seconds: 9 });
        for number in 0..1000 {
            call(Service::Registry, &format!("host-{number}.example"), Some(200), moment);
        }
        call(Service::Forge, "gitea.example.com:3000", None, moment);
        scan(ScanOutcome::Clean);
        pull("open");
        merge(MergeOutcome::Merged);
        request(Part::Probes, 200, moment);
        let text = page.render();
        for (name, kind, _) in NAMES {
            let line = format!("# TYPE {name} {}", format!("{kind:?}").to_lowercase());
            assert!(text.contains(&line), "{line}\n{text}");
        }
        assert!(text.contains("leadsman_work{state=\"parked\"} 4"), "{text}");
        assert!(text.contains(r#"service="registry",host="other",status="2xx"} 1000"#), "{text}");
        assert!(text.contains(r#"service="forge",host="gitea.example.com:3000",status="none"} 1"#), "{text}");
        assert!(!text.contains("host-7"), "{text}");
    }
}
