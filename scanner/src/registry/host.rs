//! What is known of one host while the program runs: how it wants to be asked, and whether it answers.
//!
//! Invariants: the first question to a host runs alone until its way of authentication is known, so that a thousand
//! waiting questions do not meet the same 401; a host that failed [`FAILURES`] times in a row is left alone for a
//! while, and whoever waits for it hears so at once; a host that asked for fewer requests is left alone by all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use url::Url;

use super::auth::{Auth, Token};
use super::options::{Credentials, HostOptions, limits};

/// How many failed connections in a row mean that a host is down.
const FAILURES: u32 = 3;

/// How long a host that is down is left alone.
const DOWN: Duration = Duration::from_secs(30);

/// The longest time that a host's `Retry-After` is believed.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// How many tokens are kept before those that lapsed are dropped.
const TOKENS: usize = 1_024;

/// One host, shared by all that ask it.
pub(super) struct Host {
    /// The name credentials are looked up by: `docker.io`, or host and port of the endpoint.
    pub(super) name: String,
    /// Scheme, host and port, with the path `/`.
    pub(super) base: Url,
    /// Bounds how many images are asked for at a time.
    pub(super) permits: Semaphore,
    /// Held by the first question until `auth` is known.
    pub(super) first: tokio::sync::Mutex<()>,
    pub(super) credentials: OnceCell<Result<Option<Credentials>, String>>,
    page_size: AtomicU32,
    pace: Option<Duration>,
    state: Mutex<State>,
}

struct State {
    auth: Option<Arc<Auth>>,
    tokens: HashMap<String, Arc<tokio::sync::Mutex<Option<Token>>>>,
    failures: u32,
    down: Option<(Instant, String)>,
    held_until: Option<Instant>,
    next_slot: Option<Instant>,
}

impl Host {
    pub(super) fn new(name: String, base: Url, options: Option<&HostOptions>) -> Self {
        let concurrency = options.and_then(|options| options.concurrency).unwrap_or(limits::CONCURRENCY);
        let rate = options.and_then(|options| options.rate).filter(|rate| *rate > 0);
        Self {
            name,
            base,
            permits: Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            first: tokio::sync::Mutex::default(),
            credentials: OnceCell::new(),
            page_size: AtomicU32::new(limits::PAGE_SIZE),
            pace: rate.map(|rate| Duration::from_secs(1) / rate),
            state: Mutex::new(State {
                auth: None,
                tokens: HashMap::new(),
                failures: 0,
                down: None,
                held_until: None,
                next_slot: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the host wants to be asked; `None` until it said so.
    pub(super) fn auth(&self) -> Option<Arc<Auth>> {
        self.state().auth.clone()
    }

    /// Keeps what the host said. Tokens of another realm are of no use any more.
    pub(super) fn learn(&self, auth: Auth) -> Arc<Auth> {
        let mut state = self.state();
        if let Some(known) = state.auth.as_ref().filter(|known| ***known == auth) {
            return Arc::clone(known);
        }
        let auth = Arc::new(auth);
        state.tokens.clear();
        state.auth = Some(Arc::clone(&auth));
        auth
    }

    /// The place for the token of a scope. Whoever locks it fetches for all others.
    pub(super) fn token(&self, scope: &str) -> Arc<tokio::sync::Mutex<Option<Token>>> {
        let mut state = self.state();
        if let Some(place) = state.tokens.get(scope) {
            return Arc::clone(place);
        }
        if state.tokens.len() >= TOKENS {
            let now = Instant::now();
            // A locked place is being filled.
            state.tokens.retain(|_, place| {
                place.try_lock().map_or(true, |token| token.as_ref().is_some_and(|token| token.is_fresh(now)))
            });
        }
        Arc::clone(state.tokens.entry(scope.to_owned()).or_default())
    }

    /// The host gave an answer, whatever it said.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.failures = 0;
        state.down = None;
    }

    /// The host gave no answer.
    pub(super) fn failed(&self, reason: &str) {
        let mut state = self.state();
        state.failures += 1;
        if state.failures >= FAILURES {
            state.down = Some((Instant::now() + DOWN, reason.to_owned()));
        }
    }

    /// How the host failed, while it is left alone for that.
    pub(super) fn down(&self) -> Option<String> {
        let mut state = self.state();
        match &state.down {
            Some((until, reason)) if Instant::now() < *until => Some(reason.clone()),
            Some(_) => {
                // One question may try whether it is back.
                state.down = None;
                state.failures = FAILURES - 1;
                None
            }
            None => None,
        }
    }

    /// Leaves the host alone for this long.
    pub(super) fn hold(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST_HOLD);
        let mut state = self.state();
        state.held_until = state.held_until.max(Some(until));
    }

    /// The time until which the host is to be left alone.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.state().held_until.filter(|until| *until > Instant::now())
    }

    /// Takes the next turn of the host's rate: the time to wait for it.
    pub(super) fn turn(&self) -> Option<Instant> {
        let pace = self.pace?;
        let now = Instant::now();
        let mut state = self.state();
        let slot = state.next_slot.map_or(now, |slot| slot.max(now));
        state.next_slot = Some(slot + pace);
        (slot > now).then_some(slot)
    }

    /// The page size to ask for; `None` where the host refuses any.
    pub(super) fn page_size(&self) -> Option<u32> {
        Some(self.page_size.load(Ordering::Relaxed)).filter(|size| *size > 0)
    }

    /// The host refused a page size: the next smaller one for all, none at last. False where there was none already.
    pub(super) fn shrink_page(&self, refused: Option<u32>) -> bool {
        let Some(refused) = refused else { return false };
        let smaller = if refused > 100 { 100 } else { 0 };
        self.page_size.fetch_min(smaller, Ordering::Relaxed);
        true
    }

    /// Takes back what [`Host::shrink_page`] did.
    pub(super) fn restore_page(&self, size: Option<u32>) {
        self.page_size.fetch_max(size.unwrap_or(0), Ordering::Relaxed);
    }
}
