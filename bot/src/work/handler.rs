//! From a claim to the work it names.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;

use super::queue::{Failure, Handler};
use super::service::Service;
use crate::store::work::{Claim, Kind, Next};

/// How often what is old is thrown away.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

/// Carries out every kind of work.
pub struct Worker(pub Arc<Service>);

#[async_trait]
impl Handler for Worker {
    async fn run(&self, claim: &Claim) -> Result<Next, Failure> {
        let service = &*self.0;
        let key = claim.key.as_str();
        match claim.kind {
            Kind::Deliver => super::deliver::deliver(service, key).await,
            Kind::ListImage => super::list_image::list_image(service, key).await,
            Kind::ScanRepository | Kind::ReconcilePulls => super::look::look_again(service, key).await,
            Kind::ReadComments => super::read_comments::read_comments(service, key).await,
            Kind::RunCommand => super::run_command::run_command(service, claim).await,
            Kind::TryMerge => super::try_merge::try_merge(service, claim).await,
            Kind::DashboardIssue => super::dashboard_issue::dashboard_issue(service, key).await,
            Kind::Sweep => {
                service.store.sweep(service.now()).await?;
                Ok(Next::Again(service.later(SWEEP)))
            }
            // Found by themselves on forges that have installations; and nobody tells of rollouts yet.
            Kind::SyncInstallation | Kind::FollowRollout => Ok(Next::Done),
        }
    }
}
