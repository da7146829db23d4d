//! Attaches the counting programs, and reads the counters.

mod counters;
mod flows;
mod losses;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

pub use flows::{FlowDoors, FlowOptions};
pub use losses::{LossTracker, PairStats, StatsByDirection};
use tokio::sync::mpsc;

use counters::{Counters, Counting};
use flows::{FlowMaps, Flows, SharedTable};

use crate::{
    attach::{
        AttachOptions, TraceError,
        attacher::{Attacher, Change, Event},
    },
    discover::Discovered,
    model::{
        AttachState, Counts, DoorFlows, DoorId, DoorSample, FlowMemory, Gap, Operation, Reason,
        Sample,
    },
    sys::bpf::io_error,
};

/// How long a removed door stays in the samples.
const KEEP_GONE: Duration = Duration::from_secs(30);

/// How far attaching has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Doors that are attached, failed or gone, and whose flows are counted if they are asked for.
    pub settled: usize,
    /// All doors.
    pub wanted: usize,
}

impl Progress {
    /// Whether there is nothing left to attach.
    #[must_use]
    pub fn complete(self) -> bool {
        self.settled >= self.wanted
    }
}

/// The counters of all doors. Detaches everything when it is dropped.
#[derive(Debug)]
pub struct Tracer {
    attacher: Attacher,
    events: mpsc::UnboundedReceiver<Event<Arc<Counters>, FlowMaps>>,
    doors: BTreeMap<DoorId, Entry>,
    flows: Flows,
    flow_doors: FlowDoors,
    started: Instant,
}

#[derive(Debug, Default)]
struct Entry {
    counters: Option<Arc<Counters>>,
    /// Number of the copy that counts.
    copy: u64,
    /// The other end of its veth pair. Both begin to count at one moment: packets that only the end
    /// that was attached first has counted would look like a loss.
    peer: Option<DoorId>,
    /// Attached, and waiting for the other end.
    waiting: bool,
    /// The counts when it began.
    before: (Counts, Counts),
    /// The counts of lost attachments: counters never go backwards.
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
        let table = SharedTable::default();
        let counting = Counting {
            table: Arc::clone(&table),
        };
        let attacher = Attacher::start(counting, options, sender)?;
        Ok(Self {
            attacher,
            events,
            doors: BTreeMap::new(),
            flows: Flows::new(table),
            flow_doors: FlowDoors::None,
            started: Instant::now(),
        })
    }

    /// Sets the doors to count.
    pub fn want(&mut self, found: &Arc<Discovered>) {
        let doors = &found.cluster.doors;
        let there: HashSet<_> = doors.iter().map(|door| door.id).collect();
        for door in doors {
            let entry = self.doors.entry(door.id).or_default();
            if entry.gone.take().is_some() {
                // The index is used again, by another interface, which begins at 0.
                *entry = Entry::default();
            }
            entry.peer = door.peer.as_ref().map(|peer| peer.id);
            // netviz does not try to attach there.
            if let Some(problem) = &door.problem {
                entry.sample.meter = AttachState::Failed(problem.clone());
            }
        }
        for (id, entry) in &mut self.doors {
            if !there.contains(id) && entry.gone.is_none() {
                entry.read();
                entry.counters = None;
                entry.waiting = false;
                self.flows.end(*id);
                entry.gone = Some(Instant::now());
                entry.sample.meter = AttachState::Gone;
            }
        }
        self.doors
            .retain(|_, entry| entry.gone.is_none_or(|since| since.elapsed() < KEEP_GONE));
        self.attacher.want(Arc::clone(found));
        // A door may wait for an end that is gone.
        let doors: Vec<_> = self.doors.keys().copied().collect();
        for door in doors {
            self.begin(door);
        }
    }

    /// Waits for changes at the doors; false when the attaching thread has ended.
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
        let wanted = self.doors.iter().filter(|(_, entry)| entry.gone.is_none());
        let settled = wanted
            .clone()
            .filter(|(_, entry)| entry.sample.meter != AttachState::Pending)
            .filter(|(id, entry)| {
                let has_flows = self.flow_doors.has(**id) && entry.counters.is_some();
                !has_flows || self.flows.is_settled(**id)
            });
        Progress {
            settled: settled.count(),
            wanted: wanted.count(),
        }
    }

    /// Why no door at all can be counted, once that is certain.
    #[must_use]
    pub fn hopeless(&self) -> Option<&Reason> {
        // A door that was counted once is lost for a while only.
        let hope = self.doors.values().any(|Entry { sample, .. }| {
            matches!(sample.meter, AttachState::Counting | AttachState::Pending)
                || sample.since.is_some()
        });
        let mut meters = self.doors.values().map(|entry| &entry.sample.meter);
        let reason = meters.find_map(|meter| match meter {
            AttachState::Failed(reason) => Some(reason),
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

    /// Counts the flows of `doors`, and only theirs, from now on. The first call has the `options`.
    ///
    /// # Errors
    /// When there is no memory for the table of flows.
    pub fn count_flows(&mut self, doors: FlowDoors, options: FlowOptions) -> io::Result<()> {
        self.flows.start(options)?;
        self.flow_doors = doors;
        self.switch();
        Ok(())
    }

    /// Reads the flows of all doors. The counters have to be read afterwards, so that they have every
    /// packet of a flow. It takes one RCU grace period.
    pub fn read_flows(&mut self) {
        self.flows.read();
    }

    /// The flows of a door at the last reading, with the counters of `sample`.
    #[must_use]
    pub fn flows(&self, door: DoorId, sample: &Sample) -> Option<DoorFlows> {
        let counts = sample.doors.get(&door)?;
        self.flows.of(door, [counts.ingress, counts.egress])
    }

    /// Memory for the flows, once they are counted.
    #[must_use]
    pub fn flow_memory(&self) -> Option<FlowMemory> {
        self.flows.memory()
    }

    /// Has the attaching thread switch the programs: at doors that have begun to count, so that none of
    /// their flows has a packet that is not in their counters.
    fn switch(&self) {
        let wanted = self.doors.iter().filter(|(id, entry)| {
            let is_counted = entry.gone.is_none() && entry.counters.is_some() && !entry.waiting;
            is_counted && self.flow_doors.has(**id)
        });
        let wanted: HashMap<_, _> = wanted.map(|(id, entry)| (*id, entry.copy)).collect();
        self.attacher.switch(wanted);
    }

    fn apply(&mut self, Event { door, change }: Event<Arc<Counters>, FlowMaps>) {
        let ended = self.started.elapsed();
        let entry = self.doors.get_mut(&door);
        if let Some(entry) = entry.filter(|entry| entry.gone.is_none()) {
            match change {
                Change::Switched(maps) => self.flows.switched(door, maps),
                Change::SwitchFailed(reason) => self.flows.failed(door, reason),
                Change::Attached { fresh, .. } => {
                    match fresh {
                        true => self.flows.end(door),
                        false => self.flows.interrupted(door),
                    }
                    entry.apply(change, ended);
                }
                change => entry.apply(change, ended),
            }
        }
        self.begin(door);
    }

    /// Begins to count at a door and at its other end, once neither is pending.
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
        let mut has_begun = false;
        for id in [Some(door), peer].into_iter().flatten() {
            if let Some(entry) = self.doors.get_mut(&id).filter(|entry| entry.waiting) {
                entry.begin(now);
                has_begun |= self.flow_doors.has(id);
            }
        }
        if has_begun {
            self.switch();
        }
    }
}

impl Entry {
    fn apply(&mut self, change: Change<Arc<Counters>, FlowMaps>, now: Duration) {
        match change {
            Change::Attached {
                maps,
                copy,
                chains,
                fresh,
                gap,
            } => {
                let epoch = self.sample.epoch + u32::from(self.counters.is_some());
                if fresh {
                    *self = Self {
                        peer: self.peer,
                        ..Self::default()
                    };
                } else {
                    self.set_aside();
                }
                self.counters = Some(maps);
                self.copy = copy;
                self.waiting = true;
                self.sample.epoch = epoch;
                [self.sample.ingress_chain, self.sample.egress_chain] = chains;
                // A new interface has no gap.
                let gap = gap.filter(|_| !fresh);
                self.sample.gap = gap.map(|length| Gap { ended: now, length });
            }
            Change::Failed(reason) => self.sample.meter = AttachState::Failed(reason),
            Change::Chains(chains) => {
                [self.sample.ingress_chain, self.sample.egress_chain] = chains;
            }
            Change::Gone => self.sample.meter = AttachState::Gone,
            // Counters go on.
            Change::Switched(_) | Change::SwitchFailed(_) => {}
        }
    }

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
                    AttachState::Failed(Reason::failed(Operation::Read, &io_error(error)));
            }
        }
    }

    /// Keeps the counts of the present attachment before another one replaces it.
    fn set_aside(&mut self) {
        self.read();
        self.earlier = (
            self.sample.ingress.unwrap_or(self.earlier.0),
            self.sample.egress.unwrap_or(self.earlier.1),
        );
        self.counters = None;
    }
}
