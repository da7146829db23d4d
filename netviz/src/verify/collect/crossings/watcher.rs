//! The thread that reports packets at the doors.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::AsFd as _,
    sync::Arc,
    time::Duration,
};

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

/// What was seen since the doors were last chosen.
#[derive(Debug)]
pub(crate) struct Summary<T: Collector> {
    /// Doors that were not watched all the time.
    pub(crate) hidden: Hidden,
    /// How many packets the ring buffers had no room for.
    pub(crate) missed: u64,
    /// The last packets.
    pub(crate) seen: Sightings<T>,
    /// The totals of the doors, since they were attached.
    pub(crate) totals: HashMap<DoorId, Totals>,
}

/// Packets, in the order of each door, not of time.
pub(crate) type Sightings<T> = Vec<HookRecord<<T as Collector>::Record>>;

/// What the thread is asked to do.
enum Request<T: Collector> {
    /// Watch these doors from now on, and no others.
    Follow {
        found: Arc<Discovered>,
        doors: Vec<Door>,
        ready: oneshot::Sender<Ready>,
    },
    /// Report what was seen.
    Report(oneshot::Sender<Summary<T>>),
}

/// The thread that watches doors: at none at first. Detaches when it is dropped.
pub(crate) struct Watcher<T: Collector> {
    _thread: Worker,
    requests: std::sync::mpsc::Sender<Request<T>>,
    packets: mpsc::UnboundedReceiver<Sightings<T>>,
}

impl<T: Collector> Watcher<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started, or the machine's RCU switch not be set.
    pub(crate) fn start(
        found: Arc<Discovered>,
        collector: T,
        options: AttachOptions,
    ) -> Result<Self, TraceError> {
        let expedite = options.fast.then(Expedite::new).transpose()?;
        let (requests, waiting) = std::sync::mpsc::channel();
        let (sender, packets) = mpsc::unbounded_channel();
        let work = move |stop: &Stop| {
            let doors = Doors {
                collector: &collector,
                engine: Engine::new(&collector, options.mode, expedite, found),
                watched: Vec::new(),
                hidden: Hidden::new(),
            };
            doors.run(stop, &waiting, &sender);
        };
        let thread = Worker::start("netviz-watch", "watches packets", work);
        Ok(Self {
            _thread: thread.map_err(TraceError::Thread)?,
            requests,
            packets,
        })
    }

    /// Watches `doors` from now on, attached in this order, and no others. Where it is attached already,
    /// it stays. The receiver fails if the thread ends.
    pub(crate) fn follow(
        &self,
        found: Arc<Discovered>,
        doors: Vec<Door>,
    ) -> oneshot::Receiver<Ready> {
        let (ready, is_ready) = oneshot::channel();
        let follow = Request::Follow {
            found,
            doors,
            ready,
        };
        // Fails if the thread has ended, as the receiver then does.
        let _ = self.requests.send(follow);
        is_ready
    }

    /// The next packets; pending forever once there are no more.
    pub(crate) async fn next(&mut self) -> Sightings<T> {
        match self.packets.recv().await {
            Some(seen) => seen,
            None => std::future::pending().await,
        }
    }

    /// What was seen since [`Self::follow`], with the packets that `next` has not returned; `None` if the
    /// thread crashed.
    pub(crate) async fn report(&mut self) -> Option<Summary<T>> {
        let (sender, report) = oneshot::channel();
        let _ = self.requests.send(Request::Report(sender));
        let mut summary = report.await.ok()?;
        let mut seen = Vec::new();
        while let Ok(more) = self.packets.try_recv() {
            seen.extend(more);
        }
        seen.append(&mut summary.seen);
        Some(Summary { seen, ..summary })
    }
}

/// A door at which netviz is attached.
struct Watched<M> {
    door: DoorId,
    maps: Maps<M>,
    /// Packets that were missed before the doors were last chosen.
    missed: u64,
    /// Others ran before netviz then.
    displaced: bool,
}

/// The doors, on the thread that watches them.
struct Doors<'a, T: Collector> {
    collector: &'a T,
    engine: Engine<'a, T>,
    watched: Vec<Watched<T::More>>,
    hidden: Hidden,
}

impl<T: Collector> Doors<'_, T> {
    /// Reports packets and does what is asked until it is stopped; then detaches.
    fn run(
        mut self,
        stop: &Stop,
        requests: &std::sync::mpsc::Receiver<Request<T>>,
        packets: &mpsc::UnboundedSender<Sightings<T>>,
    ) {
        loop {
            let request = match self.watched.is_empty() {
                // There is nothing else to wait for.
                true => requests.recv_timeout(NAP).ok(),
                false => requests.try_recv().ok(),
            };
            // The receiver of an answer may be gone: the run has ended.
            match request {
                Some(Request::Follow {
                    found,
                    doors,
                    ready,
                }) => {
                    self.engine.found = found;
                    self.follow(&doors, stop);
                    let _ = ready.send(self.begin());
                }
                Some(Request::Report(report)) => drop(report.send(self.summary())),
                None => {}
            }
            if !self.wait(stop) {
                break;
            }
            let seen = self.read();
            if !seen.is_empty() && packets.send(seen).is_err() {
                break;
            }
        }
        self.engine.detach_all();
    }

    /// Attaches to those of `doors` where netviz is not attached, and detaches from all others.
    fn follow(&mut self, doors: &[Door], stop: &Stop) {
        let reasons = self.inspect();
        let wanted: HashSet<DoorId> = doors.iter().map(|door| door.id).collect();
        let is_attached = |it: &Watched<_>| match reasons.get(&it.door) {
            Some(HiddenReason::Detached) => false,
            // Attached again, netviz runs first; where it never did, that would be of no use.
            Some(HiddenReason::Displaced { .. }) => it.displaced,
            _ => true,
        };
        let stays = |it: &Watched<_>| wanted.contains(&it.door) && is_attached(it);
        for gone in self.watched.extract_if(.., |it| !stays(it)) {
            self.engine.detach(gone.door);
        }
        self.hidden.clear();
        let here: HashSet<DoorId> = self.watched.iter().map(|it| it.door).collect();
        let new = doors.iter().filter(|door| !here.contains(&door.id));
        self.engine.expedite(new.clone().count());
        for door in new {
            if stop.is_set() {
                break;
            }
            match self.attach(door) {
                Ok(maps) => self.watched.push(Watched {
                    door: door.id,
                    maps,
                    missed: 0,
                    displaced: false,
                }),
                Err(error) => self.hide(door.id, HiddenReason::NotAttached { error }),
            }
        }
        self.engine.expedite(0);
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
        for watched in &mut self.watched {
            let (door, maps) = (watched.door, &mut watched.maps);
            let begun = self.collector.begin(&mut maps.more, at);
            match begun.and_then(|()| maps.missed()) {
                Ok(missed) => watched.missed = missed,
                Err(error) => drop(self.hidden.insert(door, unreadable(&error))),
            }
            if let Some(attached) = self.engine.attached.get(&door) {
                let displaced = displaced(attached.chains());
                watched.displaced = displaced.is_some();
                self.hidden.extend(displaced.map(|reason| (door, reason)));
                chains.insert(door, attached.chains().clone());
            }
        }
        Ready { chains, at }
    }

    /// Waits for a packet, or a moment. False at the end.
    fn wait(&self, stop: &Stop) -> bool {
        let nap = if self.watched.is_empty() {
            Duration::ZERO
        } else {
            NAP
        };
        let rings = self.watched.iter().map(|it| it.maps.ring.as_fd());
        stop.poll(rings, Some(nap)).is_some()
    }

    /// The packets since the last time.
    fn read(&mut self) -> Sightings<T> {
        let mut records = Vec::new();
        for Watched { door, maps, .. } in &mut self.watched {
            while let Some(entry) = maps.ring.next() {
                let seen = T::Record::read(&entry);
                records.extend(seen.map(|seen| HookRecord { door: *door, seen }));
            }
        }
        records
    }

    fn summary(&mut self) -> Summary<T> {
        let seen = self.read();
        let mut missed = 0;
        let mut totals = HashMap::new();
        for watched in &self.watched {
            let maps = &watched.maps;
            let read = maps.missed().and_then(|count| {
                missed += count.saturating_sub(watched.missed);
                T::totals(&maps.more)
            });
            match read {
                Ok(total) => drop(totals.insert(watched.door, total)),
                Err(error) => {
                    let unreadable = unreadable(&error);
                    self.hidden.entry(watched.door).or_insert(unreadable);
                }
            }
        }
        for (door, reason) in self.inspect() {
            self.hide(door, reason);
        }
        Summary {
            hidden: self.hidden.clone(),
            missed,
            seen,
            totals,
        }
    }

    /// The watched doors where not everything can be seen any more.
    fn inspect(&mut self) -> HashMap<DoorId, HiddenReason> {
        let doors: HashSet<_> = self.watched.iter().map(|it| it.door).collect();
        if doors.is_empty() {
            return HashMap::new();
        }
        let inspections = self.engine.inspect(&doors).into_iter();
        let hidden = inspections.filter_map(|(door, found)| {
            let chains = self.engine.attached.get(&door).map(|it| it.chains());
            let reason = match found {
                Inspection::Attached { .. } => chains.and_then(displaced),
                Inspection::Lost => Some(HiddenReason::Detached),
                Inspection::Unreachable(error) => {
                    error.map(|error| HiddenReason::Unreadable { error })
                }
            };
            Some((door, reason?))
        });
        hidden.collect()
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
