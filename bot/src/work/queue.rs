//! The workers: claim what is due, run it, and say what became of it.
//!
//! Owns how work is run, not what it does: that is a [`Handler`]'s. One loop claims, so that several idle workers do
//! not all ask the store; what it claimed runs in tasks of their own, a few at a time. Invariants:
//!
//! 1. While work runs, its lease is renewed every third of its length. When that fails because the claim has lapsed,
//!    the work is stopped: somebody else may be at it.
//! 2. A panic is a failure of our own making, and ends nothing but the work that panicked.
//! 3. Nothing is slept for inside a claim: what has to wait is given back with a time.
//! 4. When the service stops, nothing more is claimed; what runs has a while to end, and the rest is handed back as if
//!    it had never been claimed.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use crate::forge::ForgeError;
use crate::server::metrics::{self, WorkOutcome};
use crate::store::work::{Claim, Next};
use crate::store::{Store, StoreError};

/// What carries work out, whatever its kind.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Looks at what the claim names, and does what is to be done. It may be stopped at any await, and run again at any
    /// time; what changes something outside asks [`Claim::may_write`] before.
    async fn run(&self, claim: &Claim) -> Result<Next, Failure>;
}

/// Why work was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// By a fault of our own making, or one that only people can mend: backs off, and is parked in the end. The text
    /// is shown on pages and must hold no secret.
    Ours(String),
    /// By a fault of others: the host is put off for everyone, and no attempt is counted.
    PutOff {
        /// The forge, installation or registry.
        host: String,
        /// Until when, where it said.
        until: Option<Timestamp>,
        /// What it said.
        error: String,
    },
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<ForgeError> for Failure {
    fn from(error: ForgeError) -> Self {
        match error.put_off() {
            Some(until) => Self::PutOff { host: error.host.clone(), until, error: error.to_string() },
            None => Self::Ours(error.to_string()),
        }
    }
}

/// How work is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who claims, unique among all processes on one store: `leadsman-7d9f/1`.
    pub name: String,
    /// How much runs at a time.
    pub tasks: usize,
    /// How long a claim lasts unless it is renewed: how long work waits for a process that was killed.
    pub lease: Duration,
    /// How long to wait at most before the store is asked again although nothing is known to be due.
    pub poll: Duration,
    /// How long work may go on after the service was told to stop.
    pub grace: Duration,
}

impl Settings {
    /// Four at a time, leases of a minute, a look every 30 seconds, and 20 seconds to end.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tasks: 4,
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(30),
            grace: Duration::from_secs(20),
        }
    }
}

/// How much work ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// It went well.
    pub done: u64,
    /// It failed by a fault of our own making.
    pub failed: u64,
    /// It met a fault of others.
    pub put_off: u64,
    /// It was stopped: its claim lapsed, or the service stopped.
    pub stopped: u64,
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    Failed,
    PutOff,
    Stopped,
}

impl Ended {
    fn outcome(self) -> WorkOutcome {
        match self {
            Self::Done => WorkOutcome::Done,
            Self::Failed => WorkOutcome::Failed,
            Self::PutOff => WorkOutcome::PutOff,
            Self::Stopped => WorkOutcome::Lost,
        }
    }
}

impl Tally {
    fn count(&mut self, ended: Ended) {
        match ended {
            Ended::Done => self.done += 1,
            Ended::Failed => self.failed += 1,
            Ended::PutOff => self.put_off += 1,
            Ended::Stopped => self.stopped += 1,
        }
    }
}

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Runs the work of one store by one handler.
pub struct Workers<H> {
    crew: Arc<Crew<H>>,
    running: JoinSet<Ended>,
    tally: Tally,
}

struct Crew<H> {
    store: Arc<Store>,
    handler: H,
    settings: Settings,
    clock: Clock,
    /// True: hand back what you have.
    enough: watch::Sender<bool>,
}

impl<H: Handler> Workers<H> {
    /// Workers that do nothing yet.
    #[must_use]
    pub fn new(store: Arc<Store>, handler: H, settings: Settings, clock: Clock) -> Self {
        let crew = Crew { store, handler, settings, clock, enough: watch::Sender::new(false) };
        Self { crew: Arc::new(crew), running: JoinSet::new(), tally: Tally::default() }
    }

    /// Works until `stop` resolves, then lets what runs end within [`Settings::grace`] and hands back the rest. A store
    /// that cannot be read or written is tried again after [`Settings::poll`]. Returns what was done.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Tally {
        let mut stop = pin!(stop);
        let asked = self.crew.store.asked();
        loop {
            let wait = match self.fill().await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(error = %error, "cannot claim work");
                    Some(self.crew.settings.poll)
                }
            };
            let wait = wait.unwrap_or(self.crew.settings.poll).min(self.crew.settings.poll);
            let free = self.running.len() < self.crew.settings.tasks;
            tokio::select! {
                () = &mut stop => break,
                Some(ended) = self.running.join_next() => self.tally.count(ended.unwrap_or(Ended::Stopped)),
                // With every hand full there is nothing to be told.
                () = asked.notified(), if free => {}
                () = tokio::time::sleep(wait), if free => {}
            }
        }
        self.end().await
    }

    /// Works until nothing can be claimed and nothing runs: what is due later, put off or parked stays so. Returns what
    /// was done.
    ///
    /// # Errors
    /// Where the store cannot be read or written; then what runs is handed back.
    pub async fn run_until_idle(mut self) -> Result<Tally, StoreError> {
        let asked = self.crew.store.asked();
        loop {
            if let Err(error) = self.fill().await {
                self.end().await;
                return Err(error);
            }
            let free = !self.running.is_empty() && self.running.len() < self.crew.settings.tasks;
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(ended) => self.tally.count(ended.unwrap_or(Ended::Stopped)),
                    None => return Ok(self.tally),
                },
                () = asked.notified(), if free => {}
            }
        }
    }

    /// Claims as much as there are hands for. Returns after how long there may be more, if that is known.
    async fn fill(&mut self) -> Result<Option<Duration>, StoreError> {
        let Crew { store, settings, clock, .. } = &*self.crew;
        while self.running.len() < settings.tasks {
            let now = clock();
            let Some(claim) = store.claim(&settings.name, settings.lease, now).await? else {
                let next = store.next_due(now).await?;
                return Ok(next.map(|next| Duration::try_from(next.duration_since(now)).unwrap_or(Duration::ZERO)));
            };
            let crew = Arc::clone(&self.crew);
            self.running.spawn(crew.work(Arc::new(claim)));
        }
        Ok(None)
    }

    /// Lets what runs end, and hands back what does not in time.
    async fn end(mut self) -> Tally {
        for wait in [self.crew.settings.grace, HANDING_BACK] {
            let all = async {
                while let Some(ended) = self.running.join_next().await {
                    self.tally.count(ended.unwrap_or(Ended::Stopped));
                }
            };
            if tokio::time::timeout(wait, all).await.is_ok() {
                return self.tally;
            }
            self.crew.enough.send_replace(true);
        }
        // What does not even stop: its claim lapses.
        tracing::warn!(tasks = self.running.len(), "work does not stop; it will be taken up when its claim has lapsed");
        self.tally.stopped += u64::try_from(self.running.len()).unwrap_or(u64::MAX);
        self.running.abort_all();
        self.tally
    }
}

/// What became of a handler.
enum Ran {
    Returned(Result<Next, Failure>),
    /// Its claim lapsed, and it was stopped.
    Lapsed,
    /// The service stops, and it was stopped.
    Enough,
}

impl<H: Handler> Crew<H> {
    /// Runs what was claimed, and says what became of it.
    async fn work(self: Arc<Self>, claim: Arc<Claim>) -> Ended {
        let kind = claim.kind.as_str();
        let span = tracing::info_span!("work", kind, key = %claim.key, fence = claim.fence, attempts = claim.attempts);
        let begun = Instant::now();
        let ended = async {
            let ran = Arc::clone(&self).run(&claim).await;
            self.conclude(&claim, ran).await.unwrap_or_else(|error| {
                tracing::error!(%error, "cannot keep what became of it; it will run again when its claim has lapsed");
                Ended::Stopped
            })
        }
        .instrument(span)
        .await;
        metrics::work(kind, ended.outcome(), begun.elapsed());
        ended
    }

    /// Runs the handler in a task of its own, so that one that blocks its thread does not hinder the renewals.
    async fn run(self: Arc<Self>, claim: &Arc<Claim>) -> Ran {
        let mut enough = self.enough.subscribe();
        let mut task = JoinSet::new();
        let (crew, held) = (Arc::clone(&self), Arc::clone(claim));
        task.spawn(async move { crew.handler.run(&held).await }.in_current_span());
        loop {
            tokio::select! {
                ran = task.join_next() => return match ran {
                    Some(Ok(result)) => Ran::Returned(result),
                    Some(Err(error)) => Ran::Returned(Err(Failure::Ours(panicked(error)))),
                    None => Ran::Lapsed,
                },
                () = said(&mut enough) => {
                    task.shutdown().await;
                    return Ran::Enough;
                }
                () = tokio::time::sleep(claim.lease() / 3) => match self.store.renew(claim, (self.clock)()).await {
                    Ok(true) => {}
                    Ok(false) => {
                        task.shutdown().await;
                        return Ran::Lapsed;
                    }
                    // It may go on without writing outside while the lease lasts, and the next renewal may do.
                    Err(error) => tracing::warn!(%error, "cannot renew the claim"),
                },
            }
        }
    }

    async fn conclude(&self, claim: &Claim, ran: Ran) -> Result<Ended, StoreError> {
        let store = &self.store;
        let now = (self.clock)();
        let (ours, ended) = match ran {
            Ran::Returned(Ok(next)) => (store.finish(claim, next, now).await?, Ended::Done),
            Ran::Returned(Err(Failure::Ours(error))) => {
                tracing::warn!(%error, "work failed");
                (store.fail(claim, &error, now, jitter(claim)).await?, Ended::Failed)
            }
            Ran::Returned(Err(Failure::PutOff { host, until, error })) => {
                let (until, ours) = store.put_off(claim, &host, until, &error, now, jitter(claim)).await?;
                tracing::info!(%host, %until, %error, "put off");
                (ours, Ended::PutOff)
            }
            Ran::Enough => (store.hand_back(claim, now).await?, Ended::Stopped),
            Ran::Lapsed => (false, Ended::Stopped),
        };
        if !ours {
            tracing::warn!("the claim had lapsed; the work will run again");
            return Ok(Ended::Stopped);
        }
        Ok(ended)
    }
}

/// How long stopped work may take to let go after it was told to.
const HANDING_BACK: Duration = Duration::from_secs(5);

/// Waits until workers are told that it is enough.
async fn said(enough: &mut watch::Receiver<bool>) {
    // Without the sender nobody is left to say so, nor to work.
    drop(enough.wait_for(|enough| *enough).await);
}

/// What a panic said.
fn panicked(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "it was stopped from outside".to_owned() };
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("a bug: it panicked: {}", text.as_deref().unwrap_or("without a text"))
}

/// From 0 to 1, another for each claim and the same each time it is asked for: what spreads back-offs need not be
/// random.
fn jitter(claim: &Claim) -> f64 {
    let mut hasher = DefaultHasher::new();
    (claim.kind, &claim.key, claim.fence).hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
