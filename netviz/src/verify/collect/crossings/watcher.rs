//! The thread that reports packets at the doors.

use std::{collections::HashMap, io, os::fd::AsFd as _, time::Duration};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};

use super::{
    News, Ready, Summary,
    collector::{Collector, Maps},
    record::{Record as _, Sighting},
};
use crate::{
    attach::{
        attached::Chains,
        engine::{Engine, Inspection},
        errors::AttachError,
    },
    model::{Chain, Door, DoorId},
    sys::threads::Stop,
    verify::observation::{Hidden, HiddenReason},
};

/// How long the thread sleeps at most.
const NAP: Duration = Duration::from_millis(20);

pub(super) struct Watcher<'a, T: Collector> {
    collector: &'a T,
    engine: Engine<'a, T>,
    maps: Vec<(DoorId, Maps<T::More>)>,
    hidden: Vec<Hidden>,
}

impl<'a, T: Collector> Watcher<'a, T> {
    pub(super) fn new(collector: &'a T, engine: Engine<'a, T>) -> Self {
        Self {
            collector,
            engine,
            maps: Vec::new(),
            hidden: Vec::new(),
        }
    }

    /// Attaches, reports packets until it is stopped, and detaches.
    pub(super) fn run(
        mut self,
        doors: &[Door],
        stop: &Stop,
        ready: oneshot::Sender<Ready>,
        news: &mpsc::UnboundedSender<News<T::Record>>,
    ) -> Summary<T> {
        self.engine.expedite(doors.len());
        for door in doors {
            if stop.is_set() {
                break;
            }
            match self.attach(door) {
                Ok(maps) => self.maps.push((door.id, maps)),
                Err(error) => self.hidden.push(Hidden {
                    door: door.id,
                    reason: HiddenReason::NotAttached { error },
                }),
            }
        }
        self.engine.expedite(0);
        let at = self.begin();
        let attached = self.maps.iter();
        let attached = attached.filter_map(|(door, _)| self.engine.attached.get(door));
        let mut chains = HashMap::new();
        for attached in attached {
            self.hidden
                .extend(displaced(attached.door.id, attached.chains()));
            chains.insert(attached.door.id, attached.chains().clone());
        }
        // Nobody waits for it any more when the run was ended meanwhile.
        let _ = ready.send(Ready {
            chains,
            hidden: std::mem::take(&mut self.hidden),
            at,
        });
        while self.wait(stop) {
            let seen = self.read();
            if !seen.is_empty() && news.send(News::Seen(seen)).is_err() {
                break;
            }
        }
        self.close()
    }

    fn attach(&mut self, door: &Door) -> Result<Maps<T::More>, String> {
        if let Some(problem) = &door.problem {
            return Err(problem.to_string());
        }
        let namespace = self
            .engine
            .found
            .open_for(door.id)
            .map_err(AttachError::Open);
        let attached = namespace.and_then(|namespace| {
            let namespace = namespace.ok_or(AttachError::Vanished)?;
            self.engine.attach(door, &namespace)
        });
        attached.map_err(|error| error.to_string())
    }

    /// Begins at every attached door at the same time.
    fn begin(&mut self) -> Duration {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        for (door, maps) in &mut self.maps {
            if let Err(error) = self.collector.begin(&mut maps.more, now) {
                self.hidden.push(unread(*door, &error));
            }
        }
        now
    }

    /// Waits for a packet, or a moment. False at the end.
    fn wait(&self, stop: &Stop) -> bool {
        let rings = self.maps.iter().map(|(_, maps)| maps.ring.as_fd());
        stop.poll(rings, Some(NAP)).is_some()
    }

    /// The packets since the last time.
    fn read(&mut self) -> Vec<Sighting<T::Record>> {
        let mut sightings = Vec::new();
        for (door, maps) in &mut self.maps {
            while let Some(entry) = maps.ring.next() {
                let seen = T::Record::read(&entry);
                sightings.extend(seen.map(|seen| Sighting { door: *door, seen }));
            }
        }
        sightings
    }

    fn close(mut self) -> Summary<T> {
        let mut summary = Summary {
            seen: self.read(),
            ..Summary::default()
        };
        for (door, maps) in &self.maps {
            match maps.missed() {
                Ok(0) => {}
                Ok(missed) => drop(summary.missed.insert(*door, missed)),
                Err(error) => summary.hidden.push(unread(*door, &error)),
            }
            match T::totals(&maps.more) {
                Ok(totals) => drop(summary.balances.insert(*door, totals)),
                Err(error) => summary.hidden.push(unread(*door, &error)),
            }
        }
        let doors = self.maps.iter().map(|(door, _)| *door).collect();
        for (door, look) in self.engine.inspect(&doors) {
            let chains = self.engine.attached.get(&door).map(|it| it.chains());
            summary.hidden.extend(match look {
                Inspection::Attached { .. } => chains.and_then(|chains| displaced(door, chains)),
                Inspection::Lost => Some(Hidden {
                    door,
                    reason: HiddenReason::Detached,
                }),
                Inspection::Unreachable(error) => error.map(|error| Hidden {
                    door,
                    reason: HiddenReason::Unreadable { error },
                }),
            });
        }
        self.engine.detach_all();
        summary
    }
}

fn unread(door: DoorId, error: &io::Error) -> Hidden {
    Hidden {
        door,
        reason: HiddenReason::Unreadable {
            error: error.to_string(),
        },
    }
}

/// A door is hidden where another program runs first: packets that it ends are not seen.
fn displaced(door: DoorId, chains: &Chains) -> Option<Hidden> {
    let ahead = chains.iter().flatten().flat_map(Chain::foreign_ahead);
    let ahead: Vec<_> = ahead.collect();
    (!ahead.is_empty()).then(|| Hidden {
        door,
        reason: HiddenReason::Displaced {
            programs: ahead.into_iter().map(Into::into).collect(),
        },
    })
}
