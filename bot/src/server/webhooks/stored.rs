//! Deliveries in the store: what they wake is what is kept of them.

use async_trait::async_trait;

use super::parse::Wake;
use super::{Accepted, Delivery, Inbox, NotStored};
use crate::store::Store;
use crate::store::inbox::{Delivery as Kept, Received, Stored};

#[async_trait]
impl Inbox for Store {
    async fn deliver(&self, delivery: Delivery) -> Result<Accepted, NotStored> {
        let Delivery { source, kind: _, id, event, wakes, received_at } = delivery;
        let payload = serde_json::to_vec(&wakes).map_err(|error| NotStored(error.to_string()))?;
        let kept = Kept { source: &source, id: id.as_deref(), kind: &event, payload: &payload };
        match self.receive(kept, received_at).await {
            Ok(Received::New(_)) => Ok(Accepted::Stored),
            Ok(Received::Repeated) => Ok(Accepted::Repeated),
            Err(error) => Err(NotStored(error.to_string())),
        }
    }
}

/// What a stored delivery wakes; nothing once it was handled.
///
/// # Errors
/// Where another version stored it in a way that this one does not know.
pub fn wakes_of(stored: &Stored) -> serde_json::Result<Vec<Wake>> {
    stored.payload.as_deref().map_or(Ok(Vec::new()), serde_json::from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::RepositoryName;
    use crate::server::webhooks::HookKind;
    use crate::store::work::Kind;

    #[tokio::test]
    async fn a_delivery_is_kept_once_and_says_what_it_wakes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), "a test").await.unwrap();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let (host, name) = ("gitea.example.com".to_owned(), RepositoryName("acme/fleet".into()));
        let wakes = vec![
            Wake::Pull { host: host.clone(), name: name.clone(), number: 7 },
            Wake::Renamed { host: host.clone(), from: name.clone(), to: RepositoryName("acme/b".into()) },
            Wake::Image { host, repository: "a/b".into(), tag: None, digest: Some("sha256:00".into()) },
        ];
        let delivery = Delivery {
            source: "gitea.example.com".into(),
            kind: HookKind::Gitea,
            id: Some("7f3a".into()),
            event: "pull_request".into(),
            wakes: wakes.clone(),
            received_at: now,
        };
        assert_eq!(store.deliver(delivery.clone()).await.unwrap(), Accepted::Stored);
        assert_eq!(store.deliver(delivery).await.unwrap(), Accepted::Repeated);
        let claim = store.claim("a", std::time::Duration::from_secs(60), now).await.unwrap().unwrap();
        assert_eq!(claim.kind, Kind::Deliver);
        let stored = store.delivery(&claim.key).await.unwrap().unwrap();
        assert_eq!((stored.kind.as_str(), stored.received_at), ("pull_request", now));
        assert_eq!(wakes_of(&stored).unwrap(), wakes);
        store.handled(&claim.key, &[], now).await.unwrap();
        assert_eq!(wakes_of(&store.delivery(&claim.key).await.unwrap().unwrap()).unwrap(), []);
    }
}
