//! Whether work can be done: the store answers, its migrations are made, and workers run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::Desk;
use crate::server::health::{Condition, Readiness};

/// Whether workers run. Clones say the same.
#[derive(Debug, Clone, Default)]
pub struct Workers(Arc<AtomicUsize>);

/// Says that workers run, for as long as it is kept.
#[derive(Debug)]
#[must_use = "workers count as ended when this is dropped"]
pub struct Running(Arc<AtomicUsize>);

impl Workers {
    /// Says that workers run, until what is returned is dropped: by their end, or by a panic.
    pub fn run(&self) -> Running {
        self.0.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(&self.0))
    }

    /// Whether any run.
    #[must_use]
    pub fn are_running(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Readiness for Desk {
    async fn conditions(&self) -> Vec<Condition> {
        let (store, migrations) = match self.service.store.is_up_to_date().await {
            Ok(true) => (Ok(()), Ok(())),
            Ok(false) => (Ok(()), Err("the database was migrated by another version")),
            Err(error) => (Err(error), Err("the store does not answer")),
        };
        let workers = if self.workers.are_running() { Ok(()) } else { Err("no workers run") };
        vec![Condition::of("store", store), Condition::of("migrations", migrations), Condition::of("workers", workers)]
    }
}
