//! Why the images of one workload are what they are: every tag with the reason for or against it (S6.8).

use leadsman_scanner::scan::Finding;
use leadsman_scanner::status::Verdict;

use super::look::only_scan;
use super::queue::Failure;
use super::service::{Service, Watched};
use crate::plan::Key;
use crate::render::comments::{Explained, ExplainedTag};

/// Scans the repository anew and tells of the containers of one workload, or of the one of that name.
///
/// # Errors
/// Where the repository cannot be looked at.
pub async fn explain(
    service: &Service,
    watched: &Watched,
    key: &Key,
    container: Option<&str>,
) -> Result<Vec<Explained>, Failure> {
    let report = only_scan(service, watched).await?.into_report();
    let is_meant = |finding: &&Finding| {
        *finding.file == *key.path
            && finding.container.workload.id.as_str() == key.workload
            && container.is_none_or(|name| *finding.container.name == *name)
    };
    Ok(report.findings.iter().filter(is_meant).map(explained).collect())
}

fn explained(finding: &Finding) -> Explained {
    let container = &finding.container;
    let status = finding.status.map(|status| status.to_string()).unwrap_or_default();
    Explained {
        container: container.name.to_string(),
        image: container.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        current: container.tag.as_deref().unwrap_or_default().to_owned(),
        filter: container.steering.filter.to_string(),
        outcome: match (&finding.message, &finding.latest) {
            (Some(message), _) => format!("{status}: {message}"),
            (None, Some(latest)) => format!("{status}: `{}`", latest.tag),
            (None, None) => status,
        },
        tags: finding
            .reasons
            .iter()
            .map(|reason| ExplainedTag {
                tag: reason.tag.clone(),
                made: None,
                taken: reason.verdict == Verdict::Selected,
                why: reason.message.clone(),
            })
            .collect(),
    }
}
