//! The thread that attaches and detaches: one door at a time, the newest first, and always
//! towards the latest set that was asked for.

mod inspect;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    clsact::Instance,
    expedite::Expedite,
    hook::{self, AttachError, AttachMode, Chains, Hooked, Visit},
    load::{Counters, Loader},
};
use crate::{
    attach::TraceError,
    discover::Discovered,
    model::{Door, DoorId},
    sys::{netns::NetNs, threads},
    views::text::safe,
};

/// Without tcx: how long Cilium's own filter is waited for.
const CILIUM_FIRST: Duration = Duration::from_secs(5);
/// How often netviz takes its place again within [`RETRY_WINDOW`], before it leaves it at that.
const RETRIES: usize = 3;
const RETRY_WINDOW: Duration = Duration::from_secs(60);

const REMOVED: &str = "somebody removes netviz's programs from this door, three times within a minute: end that; netviz comes back after a minute";

/// How to attach.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttachOptions {
    /// Have the kernel end RCU grace periods at once while there is much to attach.
    pub fast: bool,
    /// Use this way instead of the one that the kernel offers.
    pub mode: Option<AttachMode>,
}

impl AttachOptions {
    /// Returns the options of a command. `NETVIZ_ATTACH=tcx|clsact` in the environment selects the way.
    pub(crate) fn of_command(fast: bool) -> Self {
        let mode = match std::env::var("NETVIZ_ATTACH").as_deref() {
            Ok("tcx") => Some(AttachMode::Tcx),
            Ok("clsact") => Some(AttachMode::Clsact),
            _ => None,
        };
        Self { fast, mode }
    }
}

/// News for the reader of the counters.
pub(crate) enum Event {
    /// `fresh`: under an identity that was seen before, this is another interface.
    Attached {
        door: DoorId,
        counters: Counters,
        chains: Chains,
        fresh: bool,
        /// For how long, at the most, netviz was not in its place before.
        gap: Option<Duration>,
    },
    Failed {
        door: DoorId,
        reason: String,
    },
    Chains {
        door: DoorId,
        chains: Chains,
    },
    Settled {
        door: DoorId,
    },
}

impl Event {
    /// Which door it is about.
    pub(crate) fn door(&self) -> DoorId {
        match self {
            Self::Attached { door, .. }
            | Self::Failed { door, .. }
            | Self::Chains { door, .. }
            | Self::Settled { door } => *door,
        }
    }
}

/// The thread; everything is detached when this is dropped.
#[derive(Debug)]
pub(crate) struct Attacher(threads::Worker<(), std_mpsc::Sender<Arc<Discovered>>>);

impl Attacher {
    pub(crate) fn start(
        options: AttachOptions,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, TraceError> {
        let expedite = options.fast.then(Expedite::new).transpose()?;
        let (commands, receiver) = std_mpsc::channel();
        let work = move || Worker::new(options.mode, expedite, events).run(&receiver);
        threads::Worker::until(commands, "netviz-attach", "attaches", work)
            .map(Self)
            .map_err(TraceError::Thread)
    }

    pub(crate) fn want(&self, found: Arc<Discovered>) {
        // Fails only when the thread has ended, and then so does the program.
        let _ = self.0.end().map(|wanted| wanted.send(found));
    }
}

struct Held {
    hooked: Hooked,
    /// As it is now.
    door: Door,
    inspected: Instant,
}

/// What is known of an attachment when another one takes its place.
struct Before {
    /// The door as it was when netviz was last seen there: for so long it was the same interface.
    attached: Door,
    /// Before netviz was last seen there, ahead of all others.
    in_place: Instant,
}

struct Worker {
    loader: Option<Loader>,
    mode: Option<AttachMode>,
    expedite: Option<Expedite>,
    events: mpsc::UnboundedSender<Event>,
    found: Arc<Discovered>,
    queue: VecDeque<Door>,
    /// Which netviz this is, once it has filters.
    instance: Option<Instance>,
    held: HashMap<DoorId, Held>,
    /// Of each door that is wanted and was attached once.
    before: HashMap<DoorId, Before>,
    /// Since when a door is waited for.
    waiting: HashMap<DoorId, Instant>,
    /// When netviz took its place again.
    retries: HashMap<DoorId, Vec<Instant>>,
    /// Doors from which netviz was removed once too often, and since when they are left alone.
    given_up: HashMap<DoorId, Instant>,
    /// Doors that could not be attached, and since when.
    failed: HashMap<DoorId, Instant>,
}

impl Worker {
    fn new(
        mode: Option<AttachMode>,
        expedite: Option<Expedite>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            loader: None,
            mode,
            expedite,
            events,
            found: Arc::default(),
            queue: VecDeque::new(),
            instance: None,
            held: HashMap::new(),
            before: HashMap::new(),
            waiting: HashMap::new(),
            retries: HashMap::new(),
            given_up: HashMap::new(),
            failed: HashMap::new(),
        }
    }

    fn run(mut self, wanted: &std_mpsc::Receiver<Arc<Discovered>>) {
        loop {
            let timeout = if self.queue.is_empty() {
                self.set_expedite(false);
                self.until_next_look()
            } else {
                Duration::ZERO
            };
            match wanted.recv_timeout(timeout) {
                Ok(found) => self.want(found),
                Err(std_mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std_mpsc::RecvTimeoutError::Timeout) => {
                    if let Some(door) = self.queue.pop_front() {
                        if self.queue.len() > 4 {
                            self.set_expedite(true);
                        }
                        self.attach(door);
                    }
                    self.inspect();
                    self.come_back();
                }
            }
        }
    }

    fn set_expedite(&mut self, on: bool) {
        if let Some(expedite) = &mut self.expedite {
            expedite.set(on);
        }
    }

    /// Compares what is held with what is wanted.
    fn want(&mut self, found: Arc<Discovered>) {
        let wanted: HashMap<_, _> = found
            .cluster
            .doors
            .iter()
            .map(|door| (door.id, door))
            .collect();
        let surplus: Vec<_> = self
            .held
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .copied()
            .collect();
        // Whoever is no node any more is entered as it was when it was one.
        for door in surplus {
            self.release(door);
        }
        let before = std::mem::replace(&mut self.found, Arc::clone(&found));
        self.before.retain(|id, _| wanted.contains_key(id));
        self.failed.retain(|id, _| wanted.contains_key(id));
        self.waiting.retain(|id, _| wanted.contains_key(id));
        self.retries.retain(|id, _| wanted.contains_key(id));
        self.given_up.retain(|id, _| wanted.contains_key(id));
        // A door that looks otherwise may be another interface under the same index.
        for held in self.held.values_mut() {
            if wanted
                .get(&held.door.id)
                .is_some_and(|door| **door != held.door)
            {
                held.inspected = inspect::long_ago();
                held.door = wanted[&held.door.id].clone();
            }
        }
        self.look_where_told(&before);
        let queued: Vec<_> = self.queue.iter().map(|door| door.id).collect();
        self.queue.retain(|door| wanted.contains_key(&door.id));
        let new = found.cluster.doors.iter().filter(|door| {
            door.problem.is_none()
                && !self.held.contains_key(&door.id)
                && !self.given_up.contains_key(&door.id)
                && !queued.contains(&door.id)
        });
        // The newest first, and among themselves in the order in which they are shown.
        for door in new.rev() {
            self.queue.push_front(door.clone());
        }
    }

    fn attach(&mut self, door: Door) {
        self.failed.remove(&door.id);
        let namespace = match self.found.open_for(door.id) {
            Ok(Some(namespace)) => namespace,
            // Gone, or about to be found under another path: the next look will tell.
            Ok(None) => return self.settle(door.id),
            Err(error) => return self.fail(door.id, &AttachError::Open(error)),
        };
        if self.wait_for_cilium(&door, &namespace) {
            self.queue.push_back(door);
            thread::sleep(Duration::from_millis(10));
            return;
        }
        let begun = Instant::now();
        match self.hook(&door, &namespace) {
            Ok((hooked, counters)) => {
                let chains = hooked.chains().clone();
                self.mode = Some(hooked.mode());
                let now = Before {
                    attached: door.clone(),
                    in_place: begun,
                };
                let before = self.before.insert(door.id, now);
                let fresh = before
                    .as_ref()
                    .is_none_or(|before| door.replaces(&before.attached));
                self.send(Event::Attached {
                    door: door.id,
                    counters,
                    chains,
                    fresh,
                    gap: before.map(|before| before.in_place.elapsed()),
                });
                let held = Held {
                    hooked,
                    door,
                    inspected: begun,
                };
                self.held.insert(held.door.id, held);
            }
            Err(AttachError::Vanished) => {
                // What comes under this index from now on is another interface.
                self.before.remove(&door.id);
                self.settle(door.id);
            }
            Err(AttachError::Removed) if self.may_retry(door.id) => self.queue.push_back(door),
            Err(AttachError::Removed) => self.give_up(door.id),
            Err(error) => self.fail(door.id, &error),
        }
    }

    fn fail(&mut self, door: DoorId, error: &AttachError) {
        self.failed.insert(door, Instant::now());
        let reason = error.to_string();
        self.send(Event::Failed { door, reason });
    }

    /// There is nothing to attach to, as it seems.
    fn settle(&mut self, door: DoorId) {
        self.failed.insert(door, Instant::now());
        self.send(Event::Settled { door });
    }

    /// Leaves a door alone for a while.
    fn give_up(&mut self, door: DoorId) {
        self.given_up.insert(door, Instant::now());
        self.send(Event::Failed {
            door,
            reason: REMOVED.into(),
        });
    }

    fn hook(&mut self, door: &Door, namespace: &NetNs) -> Result<(Hooked, Counters), AttachError> {
        let (mut programs, counters) = self.loader.get_or_insert_with(Loader::new).load()?;
        let (ifindex, mode, instance) = (door.id.ifindex, self.mode, &mut self.instance);
        let attach = || {
            let mut visit = Visit::default();
            hook::attach(&mut programs, ifindex, mode, instance, &mut visit)
        };
        let hooked = namespace.run(attach).map_err(AttachError::Enter)??;
        Ok((hooked, counters))
    }

    /// Without tcx, a filter that comes before Cilium's ends up behind it.
    fn wait_for_cilium(&mut self, door: &Door, namespace: &NetNs) -> bool {
        use crate::model::{Role, Side};
        let ciliums = door.side == Side::Node
            && matches!(
                door.role,
                Role::Pod | Role::Health | Role::CiliumHost | Role::Overlay
            );
        let since = *self.waiting.entry(door.id).or_insert_with(Instant::now);
        if !ciliums || since.elapsed() > CILIUM_FIRST {
            return false;
        }
        let (ifindex, mode) = (door.id.ifindex, self.mode);
        !namespace
            .run(|| hook::may_attach(ifindex, mode, &mut Visit::default()))
            .unwrap_or(true)
    }

    /// Two programs that each insist on being first would do nothing else: three times a minute.
    fn may_retry(&mut self, door: DoorId) -> bool {
        let retries = self.retries.entry(door).or_default();
        retries.retain(|at| at.elapsed() < RETRY_WINDOW);
        let may = retries.len() < RETRIES;
        if may {
            retries.push(Instant::now());
        }
        may
    }

    fn release(&mut self, door: DoorId) {
        let Some(held) = self.held.remove(&door) else {
            return;
        };
        if held.hooked.mode() == AttachMode::Tcx {
            return;
        }
        // A filter is removed by a request that counts in the namespace of the thread; where that
        // cannot be entered any more, the filter is gone with it.
        let name = safe(&held.door.interface);
        let left = match self.found.open_for(held.door.id) {
            Ok(None) => return,
            Ok(Some(namespace)) => {
                let detach = move || held.hooked.detach(&mut Visit::default());
                namespace.run(detach).err()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = left {
            log::warn!(
                "netviz's filters stay at {name}: {error}; they go with the next start of netviz"
            );
        }
    }

    fn send(&self, event: Event) {
        // The reader is gone only when the program ends.
        let _ = self.events.send(event);
    }
}

/// However the thread ends, a panic included.
impl Drop for Worker {
    fn drop(&mut self) {
        self.set_expedite(self.held.len() > 4);
        let doors: Vec<_> = self.held.keys().copied().collect();
        for door in doors {
            self.release(door);
        }
        self.set_expedite(false);
    }
}
