//! Stands at the hooks and reads the counters.
//!
//! One thread attaches and detaches (`attacher`): a tcx attachment costs the kernel an RCU grace
//! period, about 9 ms, and nothing else may wait for that. Every door gets a copy of the counting
//! object with a map of its own, so that no key can ever be confused.

mod losses;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

pub use losses::{LossTracker, PairStats, StatsByDirection};
use tokio::sync::mpsc;

use crate::{
    discover::Discovered,
    model::{AttachState, Counts, DoorId, DoorSample, Gap, Sample},
};

use crate::attach::{
    AttachOptions, TraceError,
    attacher::{Attacher, Event},
    load::Counters,
};

/// How long a door that has gone stays in the samples.
const KEEP_GONE: Duration = Duration::from_secs(30);

/// How far attaching has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Doors of which it is settled whether they are counted.
    pub settled: usize,
    /// Doors that are wanted.
    pub wanted: usize,
}

impl Progress {
    /// Whether there is nothing left to attach.
    #[must_use]
    pub fn complete(self) -> bool {
        self.settled >= self.wanted
    }
}

/// The counters of all doors. Ends with this value: everything that it attached is detached.
#[derive(Debug)]
pub struct Tracer {
    attacher: Attacher,
    events: mpsc::UnboundedReceiver<Event>,
    doors: BTreeMap<DoorId, Entry>,
    started: Instant,
}

#[derive(Debug, Default)]
struct Entry {
    counters: Option<Counters>,
    /// The other end of its veth pair. Both begin to count at one moment: what the end that was
    /// attached first has seen until then would look like a loss.
    peer: Option<DoorId>,
    /// Attached, and waiting for the other end.
    waiting: bool,
    /// What was counted while it waited.
    before: (Counts, Counts),
    /// Counted by attachments that were lost meanwhile: counters never go backwards.
    earlier: (Counts, Counts),
    sample: DoorSample,
    gone: Option<Instant>,
}

impl Tracer {
    /// Starts the attaching thread; call [`Tracer::want`] to give it work.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn start(options: AttachOptions) -> Result<Self, TraceError> {
        let (sender, events) = mpsc::unbounded_channel();
        let attacher = Attacher::start(options, sender)?;
        Ok(Self {
            attacher,
            events,
            doors: BTreeMap::new(),
            started: Instant::now(),
        })
    }

    /// Says which doors are to be counted from now on.
    pub fn want(&mut self, found: &Arc<Discovered>) {
        let doors = &found.cluster.doors;
        let there: HashSet<_> = doors.iter().map(|door| door.id).collect();
        for door in doors {
            let entry = self.doors.entry(door.id).or_default();
            if entry.gone.take().is_some() {
                // The index was given away again: another interface, which begins at 0.
                *entry = Entry::default();
            }
            entry.peer = door.peer.as_ref().map(|peer| peer.id);
            // Nobody will try: there is nothing to wait for.
            if let Some(problem) = &door.problem {
                entry.sample.meter = AttachState::Failed(problem.clone());
            }
        }
        for (id, entry) in &mut self.doors {
            if !there.contains(id) && entry.gone.is_none() {
                entry.read();
                entry.counters = None;
                entry.waiting = false;
                entry.gone = Some(Instant::now());
                entry.sample.meter = AttachState::Gone;
            }
        }
        self.doors
            .retain(|_, entry| entry.gone.is_none_or(|since| since.elapsed() < KEEP_GONE));
        self.attacher.want(Arc::clone(found));
        // The other end may have gone while it was waited for.
        let doors: Vec<_> = self.doors.keys().copied().collect();
        for door in doors {
            self.begin(door);
        }
    }

    /// Waits for news from the attaching thread; false when it has ended.
    pub async fn changed(&mut self) -> bool {
        let Some(event) = self.events.recv().await else {
            return false;
        };
        self.apply(event);
        while let Ok(event) = self.events.try_recv() {
            self.apply(event);
        }
        true
    }

    /// How far attaching has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let wanted = self.doors.values().filter(|entry| entry.gone.is_none());
        let settled = wanted
            .clone()
            .filter(|entry| entry.sample.meter != AttachState::Pending);
        Progress {
            settled: settled.count(),
            wanted: wanted.count(),
        }
    }

    /// Why nothing at all could be attached, once that is settled.
    #[must_use]
    pub fn hopeless(&self) -> Option<&str> {
        // A door that was counted once is only lost for a while.
        let hope = self.doors.values().any(|Entry { sample, .. }| {
            matches!(sample.meter, AttachState::Counting | AttachState::Pending)
                || sample.since.is_some()
        });
        let mut meters = self.doors.values().map(|entry| &entry.sample.meter);
        let reason = meters.find_map(|meter| match meter {
            AttachState::Failed(reason) => Some(reason.as_str()),
            _ => None,
        });
        reason.filter(|_| !hope)
    }

    /// Reads all counters.
    pub fn sample(&mut self) -> Sample {
        let doors = self
            .doors
            .iter_mut()
            .map(|(id, entry)| {
                entry.read();
                (*id, entry.sample.clone())
            })
            .collect();
        Sample {
            at: self.started.elapsed(),
            doors,
        }
    }

    fn apply(&mut self, event: Event) {
        let settled = event.door();
        match event {
            Event::Attached {
                door,
                counters,
                chains,
                fresh,
                gap,
            } => {
                let ended = self.started.elapsed();
                self.update(door, |entry| {
                    let epoch = entry.sample.epoch + u32::from(entry.counters.is_some());
                    if fresh {
                        let peer = entry.peer;
                        *entry = Entry {
                            peer,
                            ..Entry::default()
                        };
                    } else {
                        entry.set_aside();
                    }
                    entry.sample.epoch = epoch;
                    entry.counters = Some(counters);
                    entry.waiting = true;
                    [entry.sample.ingress_chain, entry.sample.egress_chain] = chains;
                    // Another interface that was there all the time was not in anybody's way.
                    entry.sample.gap = gap.filter(|_| !fresh).map(|length| Gap { ended, length });
                });
            }
            Event::Failed { door, reason } => self.update(door, |entry| {
                entry.sample.meter = AttachState::Failed(reason);
            }),
            Event::Chains { door, chains } => self.update(door, |entry| {
                [entry.sample.ingress_chain, entry.sample.egress_chain] = chains;
            }),
            // There is nothing at this index: nothing to wait for until something is found there.
            Event::Settled { door } => self.update(door, |entry| {
                entry.sample.meter = AttachState::Gone;
            }),
        }
        self.begin(settled);
    }

    /// Begins to count at a door and at the other end, once both are settled.
    fn begin(&mut self, door: DoorId) {
        let Some(entry) = self.doors.get(&door) else {
            return;
        };
        let peer = entry.peer;
        let awaited = peer
            .and_then(|peer| self.doors.get(&peer))
            .is_some_and(|peer| {
                peer.gone.is_none() && !peer.waiting && peer.sample.meter == AttachState::Pending
            });
        if awaited {
            return;
        }
        let now = self.started.elapsed();
        for id in [Some(door), peer].into_iter().flatten() {
            if let Some(entry) = self.doors.get_mut(&id).filter(|entry| entry.waiting) {
                entry.begin(now);
            }
        }
    }

    fn update(&mut self, door: DoorId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self
            .doors
            .get_mut(&door)
            .filter(|entry| entry.gone.is_none())
        {
            change(entry);
        }
    }
}

impl Entry {
    fn begin(&mut self, now: Duration) {
        self.waiting = false;
        self.sample.meter = AttachState::Counting;
        self.sample.since = Some(now);
        let read = self
            .counters
            .as_ref()
            .and_then(|counters| counters.read().ok());
        self.before = read.unwrap_or_default();
    }

    fn read(&mut self) {
        let Some(counters) = self.counters.as_ref().filter(|_| !self.waiting) else {
            return;
        };
        match counters.read() {
            Ok((ingress, egress)) => {
                self.sample.ingress = Some(self.earlier.0 + ingress.since(self.before.0));
                self.sample.egress = Some(self.earlier.1 + egress.since(self.before.1));
            }
            Err(error) => {
                self.sample.meter =
                    AttachState::Failed(format!("cannot read the counters: {error}"))
            }
        }
    }

    /// Keeps what the present attachment has counted, before the next one takes its place.
    fn set_aside(&mut self) {
        self.read();
        self.earlier = (
            self.sample.ingress.unwrap_or(self.earlier.0),
            self.sample.egress.unwrap_or(self.earlier.1),
        );
        self.counters = None;
    }
}
