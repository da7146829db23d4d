//! What the attaching thread remembers of a door.

use std::time::{Duration, Instant};

use crate::model::Door;

/// How often netviz attaches again within [`RETRY_WINDOW`] where another tool detaches or overtakes it.
pub(super) const RETRIES: usize = 3;
pub(super) const RETRY_WINDOW: Duration = Duration::from_secs(60);
/// After how long netviz retries a door that it could not attach to.
const FAILED_INTERVAL: Duration = Duration::from_secs(10);

/// What is remembered for as long as the door is wanted.
#[derive(Default)]
pub(super) struct Past {
    /// The last attachment.
    pub(super) before: Option<Before>,
    /// Since when netviz waits for Cilium's filter.
    pub(super) waiting: Option<Instant>,
    /// Since when the door is given up.
    pub(super) rest: Option<Rest>,
    /// When netviz attached again.
    retries: Vec<Instant>,
}

/// An attachment that another one may follow.
pub(super) struct Before {
    /// The door when netviz last saw itself attached: until then it was the same interface.
    pub(super) door: Door,
    /// When netviz last saw itself attached ahead of all others.
    pub(super) in_place: Instant,
}

/// Why a door is given up, and since when.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    Failed(Instant),
    /// Another tool detached netviz once too often.
    GivenUp(Instant),
}

impl Rest {
    /// For how long it is given up.
    pub(super) fn left(self) -> Duration {
        let (since, interval) = match self {
            Self::Failed(since) => (since, FAILED_INTERVAL),
            Self::GivenUp(since) => (since, RETRY_WINDOW),
        };
        interval.saturating_sub(since.elapsed())
    }
}

impl Past {
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.rest, Some(Rest::GivenUp(_)))
    }

    /// Whether netviz may attach again, and notes that it does. Two programs that each insist on being
    /// first would do nothing else.
    pub(super) fn may_retry(&mut self) -> bool {
        self.retries.retain(|at| at.elapsed() < RETRY_WINDOW);
        let may = self.retries.len() < RETRIES;
        if may {
            self.retries.push(Instant::now());
        }
        may
    }

    /// Ends a pause that is over; true if netviz must retry.
    pub(super) fn wake(&mut self) -> bool {
        let Some(rest) = self.rest.take_if(|rest| rest.left().is_zero()) else {
            return false;
        };
        if matches!(rest, Rest::GivenUp(_)) {
            // The first retry of the next minute: those before are over.
            self.may_retry();
        }
        true
    }
}
