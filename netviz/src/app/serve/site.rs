//! What the server answers from: the latest snapshot.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::{
    model::Snapshot,
    views::{
        json,
        metrics::{Level, PathTests},
    },
};

/// Streams of events at the same time.
const STREAMS: usize = 64;

/// One snapshot, and when it was read.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) snapshot: Arc<Snapshot>,
    /// Whether every interface is counted, or known to be uncountable.
    pub(super) ready: bool,
    at: Instant,
    json: OnceLock<Bytes>,
}

impl Published {
    pub(super) fn new(snapshot: Arc<Snapshot>, ready: bool) -> Self {
        Self {
            snapshot,
            ready,
            at: Instant::now(),
            json: OnceLock::new(),
        }
    }

    /// The snapshot as one line of JSON, written once for all readers.
    pub(super) fn json(&self) -> Bytes {
        let write = || {
            let mut written = Vec::new();
            // Writing to memory does not fail.
            let _ = json::write_line(&*self.snapshot, &mut written);
            written.into()
        };
        self.json.get_or_init(write).clone()
    }
}

/// State of the routes.
#[derive(Clone, Debug)]
pub(super) struct Site {
    published: watch::Receiver<Option<Arc<Published>>>,
    tests: Option<watch::Receiver<PathTests>>,
    pub(super) level: Level,
    /// After this time without a snapshot, something is wrong.
    patience: Duration,
    pub(super) streams: Arc<Semaphore>,
    /// Microseconds that the last answer to a scrape took.
    scrape: Arc<AtomicU64>,
}

impl Site {
    pub(super) fn new(
        published: watch::Receiver<Option<Arc<Published>>>,
        tests: Option<watch::Receiver<PathTests>>,
        level: Level,
        interval: Duration,
    ) -> Self {
        Self {
            published,
            tests,
            level,
            patience: interval * 3 + Duration::from_secs(5),
            streams: Arc::new(Semaphore::new(STREAMS)),
            scrape: Arc::default(),
        }
    }

    /// The latest snapshot; `None` before the first.
    pub(super) fn latest(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }

    /// The results of the path tests, if there are any.
    pub(super) fn tests(&self) -> Option<PathTests> {
        Some(self.tests.as_ref()?.borrow().clone())
    }

    /// A receiver of all snapshots from the latest on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Published>>> {
        let mut published = self.published.clone();
        published.mark_changed();
        published
    }

    /// Whether snapshots still come; the first may take its time.
    pub(super) fn is_alive(&self) -> bool {
        self.latest()
            .is_none_or(|latest| latest.at.elapsed() <= self.patience)
    }

    /// Whether the latest snapshot has the counters of all interfaces.
    pub(super) fn is_ready(&self) -> bool {
        self.is_alive() && self.latest().is_some_and(|latest| latest.ready)
    }

    /// Records how long a scrape took.
    pub(super) fn record_scrape(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.scrape.store(micros, Ordering::Relaxed);
    }

    /// How long the last scrape took.
    pub(super) fn last_scrape(&self) -> Duration {
        Duration::from_micros(self.scrape.load(Ordering::Relaxed))
    }
}
