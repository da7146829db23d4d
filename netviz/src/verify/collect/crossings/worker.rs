//! The thread that stands at the doors.

use std::{collections::HashMap, io, os::fd::AsFd, sync::Arc, time::Duration};

use nix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, oneshot};

use super::{
    News, Ready, Summary,
    collector::Collector,
    hook_watch::{HookWatch, Loader},
    record::Sighting,
};
use crate::{
    attach::{AttachMode, clsact::Instance, expedite::Expedite, hook::Chains},
    discover::Discovered,
    model::{Chain, Door, DoorId},
    sys::threads::Stop,
    verify::observation::Hidden,
};

/// How long the thread sleeps in between, at the most: so long does an end wait.
const NAP: Duration = Duration::from_millis(20);
/// More attachments than this are a burst, for `--fast-attach`.
const BURST: usize = 4;

pub(super) struct Worker<T: Collector> {
    found: Arc<Discovered>,
    mode: Option<AttachMode>,
    expedite: Option<Expedite>,
    lookouts: Vec<HookWatch<T>>,
    /// Which netviz this is, once it has filters: lives until they are gone.
    instance: Option<Instance>,
    hidden: Vec<Hidden>,
}

impl<T: Collector> Worker<T> {
    pub(super) fn new(
        found: Arc<Discovered>,
        mode: Option<AttachMode>,
        expedite: Option<Expedite>,
    ) -> Self {
        Self {
            found,
            mode,
            expedite,
            lookouts: Vec::new(),
            instance: None,
            hidden: Vec::new(),
        }
    }

    /// Attaches, tells of what is seen until it is ended, and detaches.
    pub(super) fn run(
        mut self,
        doors: Vec<Door>,
        target: &T,
        stop: &Stop,
        stand: oneshot::Sender<Ready>,
        tell: &mpsc::UnboundedSender<News<T::Record>>,
    ) -> Summary<T> {
        let chains = self.attach(doors, target, stop);
        let at = self.begin(target);
        let standing = Ready {
            chains,
            hidden: std::mem::take(&mut self.hidden),
            at,
        };
        // Nobody waits for it any more when the run was ended meanwhile.
        let _ = stand.send(standing);
        while stop
            .poll(self.lookouts.iter().map(AsFd::as_fd), Some(NAP))
            .is_some()
        {
            let seen = self.take();
            if !seen.is_empty() && tell.send(News::Seen(seen)).is_err() {
                break;
            }
        }
        self.close()
    }

    fn attach(
        &mut self,
        doors: Vec<Door>,
        target: &T,
        stop: &Stop,
    ) -> HashMap<DoorId, [Option<Chain>; 2]> {
        let mut loader = Loader::new(target);
        let mut mode = self.mode;
        let mut found = HashMap::new();
        self.expedite(doors.len() > BURST);
        for door in doors {
            if stop.is_set() {
                break;
            }
            match HookWatch::post(&mut loader, &mut self.instance, &self.found, &door, mode) {
                Ok((lookout, chains)) => {
                    mode = mode.or(Some(lookout.mode()));
                    self.hidden.extend(displaced(door.id, &chains));
                    found.insert(door.id, chains);
                    self.lookouts.push(lookout);
                }
                Err(reason) => self.hidden.push(Hidden {
                    door: door.id,
                    reason,
                }),
            }
        }
        self.expedite(false);
        found
    }

    /// Everything stands: from now on it is looked at every door.
    fn begin(&mut self, target: &T) -> Duration {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        for lookout in &mut self.lookouts {
            if let Err(error) = lookout.begin(target, now) {
                self.hidden.push(Hidden {
                    door: lookout.door,
                    reason: format!("cannot say when to begin: {error}"),
                });
            }
        }
        now
    }

    fn expedite(&mut self, on: bool) {
        if let Some(expedite) = &mut self.expedite {
            expedite.set(on);
        }
    }

    fn take(&mut self) -> Vec<Sighting<T::Record>> {
        self.lookouts.iter_mut().flat_map(HookWatch::take).collect()
    }

    fn close(mut self) -> Summary<T> {
        let mut closing = Summary {
            seen: self.take(),
            ..Summary::default()
        };
        self.expedite(self.lookouts.len() > BURST);
        for lookout in self.lookouts.drain(..) {
            let door = lookout.door;
            match lookout.missed() {
                Ok(0) => {}
                Ok(missed) => drop(closing.missed.insert(door, missed)),
                Err(error) => closing.hidden.push(unread(door, &error)),
            }
            match lookout.balance() {
                Ok(balance) => drop(closing.balances.insert(door, balance)),
                Err(error) => closing.hidden.push(unread(door, &error)),
            }
            match lookout.leave(&self.found) {
                Ok(Some(chains)) => closing.hidden.extend(displaced(door, &chains)),
                Ok(None) => {}
                Err(reason) => closing.hidden.push(Hidden { door, reason }),
            }
        }
        self.expedite(false);
        closing
    }
}

/// However the thread ends, a panic included.
impl<T: Collector> Drop for Worker<T> {
    fn drop(&mut self) {
        for lookout in self.lookouts.drain(..) {
            // Who stands there is of no use to anybody any more.
            let _ = lookout.leave(&self.found);
        }
    }
}

fn unread(door: DoorId, error: &io::Error) -> Hidden {
    Hidden {
        door,
        reason: format!("cannot read how many packets were counted or missed: {error}"),
    }
}

/// A door where somebody runs first is hidden: what he ends is never seen.
fn displaced(door: DoorId, chains: &Chains) -> Option<Hidden> {
    let ahead: Vec<_> = chains
        .iter()
        .flatten()
        .flat_map(Chain::foreign_ahead)
        .collect();
    (!ahead.is_empty()).then(|| Hidden {
        door,
        reason: format!(
            "{} runs before netviz: what it ends is not seen; end it, or start netviz after it",
            ahead.join(", ")
        ),
    })
}
