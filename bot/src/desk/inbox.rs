//! Deliveries: those about what is watched go to the store, together with what they wake.

use async_trait::async_trait;

use super::{Desk, told};
use crate::server::webhooks::{Accepted, Delivery, Inbox, NotStored};
use crate::work::deliver::woken;

#[async_trait]
impl Inbox for Desk {
    async fn deliver(&self, delivery: Delivery) -> Result<Accepted, NotStored> {
        for wake in &delivery.wakes {
            let asks = woken(&self.service, wake).await.map_err(|failure| NotStored(told(failure)))?;
            if !asks.is_empty() {
                return Inbox::deliver(&*self.service.store, delivery).await;
            }
        }
        Ok(Accepted::Irrelevant)
    }
}
