//! The thread that reports packets at the doors.

use std::{collections::HashMap, io, os::fd::AsFd as _, sync::Arc, time::Duration};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};

use super::{
    collector::{Collector, Maps, Totals},
    record::{HookRecord, Record as _},
};
use crate::{
    attach::{
        AttachOptions, TraceError,
        attached::Chains,
        engine::{Engine, Inspection},
        errors::AttachError,
        expedite::Expedite,
    },
    discover::Discovered,
    model::{Chain, Door, DoorId},
    sys::threads::{Stop, Worker},
    verify::{Hidden, HiddenReason},
};

/// How long the thread sleeps at most.
const NAP: Duration = Duration::from_millis(20);

/// The state when all doors are attached that can be.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The other programs at the hooks of each watched door, ingress and egress.
    pub(crate) chains: HashMap<DoorId, [Option<Chain>; 2]>,
    /// When that was, on the kernel's monotonic clock.
    pub(crate) at: Duration,
}

/// The state at the end.
#[derive(Debug)]
pub(crate) struct Summary<T: Collector> {
    /// Doors that were not watched all the time.
    pub(crate) hidden: Hidden,
    /// How many packets the ring buffers had no room for.
    pub(crate) missed: u64,
    /// The last packets.
    pub(crate) seen: Sightings<T>,
    /// The totals of the doors.
    pub(crate) totals: HashMap<DoorId, Totals>,
}

/// Packets, in the order of each door, not of time.
pub(crate) type Sightings<T> = Vec<HookRecord<<T as Collector>::Record>>;

/// The thread, its state once all doors are attached, and the packets that it reports.
pub(crate) type Watching<T> = (
    Worker<Summary<T>>,
    oneshot::Receiver<Ready>,
    mpsc::UnboundedReceiver<Sightings<T>>,
);

/// Starts to attach to `doors`, in this order.
///
/// # Errors
/// When the thread cannot be started, or the machine's RCU switch not be set.
pub(crate) fn watch<T: Collector>(
    found: Arc<Discovered>,
    doors: Vec<Door>,
    collector: T,
    options: AttachOptions,
) -> Result<Watching<T>, TraceError> {
    let expedite = options.fast.then(Expedite::new).transpose()?;
    let (ready, is_ready) = oneshot::channel();
    let (sender, packets) = mpsc::unbounded_channel();
    let work = move |stop: &Stop| {
        let watcher = Watcher {
            collector: &collector,
            engine: Engine::new(&collector, options.mode, expedite, found),
            maps: Vec::new(),
            hidden: Hidden::new(),
        };
        watcher.run(&doors, stop, ready, &sender)
    };
    let worker = Worker::start("netviz-watch", "watches packets", work);
    Ok((worker.map_err(TraceError::Thread)?, is_ready, packets))
}

struct Watcher<'a, T: Collector> {
    collector: &'a T,
    engine: Engine<'a, T>,
    maps: Vec<(DoorId, Maps<T::More>)>,
    hidden: Hidden,
}

impl<T: Collector> Watcher<'_, T> {
    /// Attaches, reports packets until it is stopped, and detaches.
    fn run(
        mut self,
        doors: &[Door],
        stop: &Stop,
        ready: oneshot::Sender<Ready>,
        packets: &mpsc::UnboundedSender<Sightings<T>>,
    ) -> Summary<T> {
        self.engine.expedite(doors.len());
        for door in doors {
            if stop.is_set() {
                break;
            }
            match self.attach(door) {
                Ok(maps) => self.maps.push((door.id, maps)),
                Err(error) => self.hide(door.id, HiddenReason::NotAttached { error }),
            }
        }
        self.engine.expedite(0);
        // Fails if the run ended meanwhile.
        let _ = ready.send(self.begin());
        while self.wait(stop) {
            let seen = self.read();
            if !seen.is_empty() && packets.send(seen).is_err() {
                break;
            }
        }
        self.close()
    }

    /// Hides a door, unless it is hidden already.
    fn hide(&mut self, door: DoorId, reason: HiddenReason) {
        self.hidden.entry(door).or_insert(reason);
    }

    fn attach(&mut self, door: &Door) -> Result<Maps<T::More>, String> {
        if let Some(problem) = &door.problem {
            return Err(problem.to_string());
        }
        let namespace = self.engine.found.open_for(door.id);
        let attached = namespace.map_err(AttachError::Open).and_then(|namespace| {
            let namespace = namespace.ok_or(AttachError::Vanished)?;
            self.engine.attach(door, &namespace)
        });
        attached.map_err(|error| error.to_string())
    }

    /// Begins at every attached door at the same time.
    fn begin(&mut self) -> Ready {
        let at = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        let mut chains = HashMap::new();
        for (door, maps) in &mut self.maps {
            if let Err(error) = self.collector.begin(&mut maps.more, at) {
                self.hidden.insert(*door, unreadable(&error));
            }
            if let Some(attached) = self.engine.attached.get(door) {
                let displaced = displaced(attached.chains());
                self.hidden.extend(displaced.map(|reason| (*door, reason)));
                chains.insert(*door, attached.chains().clone());
            }
        }
        Ready { chains, at }
    }

    /// Waits for a packet, or a moment. False at the end.
    fn wait(&self, stop: &Stop) -> bool {
        let rings = self.maps.iter().map(|(_, maps)| maps.ring.as_fd());
        stop.poll(rings, Some(NAP)).is_some()
    }

    /// The packets since the last time.
    fn read(&mut self) -> Sightings<T> {
        let mut records = Vec::new();
        for (door, maps) in &mut self.maps {
            while let Some(entry) = maps.ring.next() {
                let seen = T::Record::read(&entry);
                records.extend(seen.map(|seen| HookRecord { door: *door, seen }));
            }
        }
        records
    }

    fn close(mut self) -> Summary<T> {
        let seen = self.read();
        let mut missed = 0;
        let mut totals = HashMap::new();
        for (door, maps) in &self.maps {
            let read = maps.missed().and_then(|count| {
                missed += count;
                T::totals(&maps.more)
            });
            match read {
                Ok(total) => drop(totals.insert(*door, total)),
                Err(error) => drop(self.hidden.entry(*door).or_insert(unreadable(&error))),
            }
        }
        let doors = self.maps.iter().map(|(door, _)| *door).collect();
        for (door, found) in self.engine.inspect(&doors) {
            let chains = self.engine.attached.get(&door).map(|it| it.chains());
            let reason = match found {
                Inspection::Attached { .. } => chains.and_then(displaced),
                Inspection::Lost => Some(HiddenReason::Detached),
                Inspection::Unreachable(error) => {
                    error.map(|error| HiddenReason::Unreadable { error })
                }
            };
            if let Some(reason) = reason {
                self.hide(door, reason);
            }
        }
        self.engine.detach_all();
        Summary {
            hidden: self.hidden,
            missed,
            seen,
            totals,
        }
    }
}

fn unreadable(error: &io::Error) -> HiddenReason {
    let error = error.to_string();
    HiddenReason::Unreadable { error }
}

/// A door is hidden where another program runs first: packets that it ends are not seen.
fn displaced(chains: &Chains) -> Option<HiddenReason> {
    let ahead = chains.iter().flatten().flat_map(Chain::foreign_ahead);
    let programs: Vec<_> = ahead.map(Into::into).collect();
    (!programs.is_empty()).then_some(HiddenReason::Displaced { programs })
}
