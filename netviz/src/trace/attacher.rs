//! The thread that attaches and detaches: one door at a time, the newest first, and always
//! towards the latest set that was asked for.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    TraceError,
    expedite::Expedite,
    hook::{self, AttachError, AttachMode, Chains, Hooked},
    load::{Counters, Loader},
};
use crate::{
    discover::Discovered,
    model::{Door, DoorId, NetNsId},
    sys::netns::NetNs,
};

/// Every door is asked within this time who else stands there: tcx tells nobody of changes.
const INSPECT_INTERVAL: Duration = Duration::from_secs(4);
/// Between two questions, each of which takes a fifth of a millisecond of CPU: more than 80 doors
/// are asked less often instead, 400 of them every 20 s.
const INSPECT_PAUSE: Duration = Duration::from_millis(50);
/// Without tcx: how long Cilium's own filter is waited for.
const CILIUM_FIRST: Duration = Duration::from_secs(5);
/// How often netviz takes its place again within [`RETRY_WINDOW`], before it leaves it at that.
const RETRIES: usize = 3;
const RETRY_WINDOW: Duration = Duration::from_secs(60);

const REMOVED: &str = "somebody removes netviz's programs from this door, three times within a minute: end that, then start netviz again";

/// How to attach.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttachOptions {
    /// Have the kernel end RCU grace periods at once while there is much to attach.
    pub fast: bool,
    /// Only for tests: one of the two ways, in the place of what the kernel offers.
    pub mode: Option<AttachMode>,
}

/// News for the reader of the counters.
pub(crate) enum Event {
    /// `fresh`: under an identity that was seen before, this is another interface.
    Attached {
        door: DoorId,
        counters: Counters,
        chains: Chains,
        fresh: bool,
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

enum Command {
    Want(Arc<Discovered>),
    End,
}

/// Handle on the thread; when it is dropped, everything is detached.
#[derive(Debug)]
pub(crate) struct Attacher {
    commands: std_mpsc::Sender<Command>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Attacher {
    pub(crate) fn start(
        options: AttachOptions,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, TraceError> {
        let expedite = options.fast.then(Expedite::new).transpose()?;
        let (commands, receiver) = std_mpsc::channel();
        let thread = thread::Builder::new()
            .name("netviz-attach".into())
            .spawn(move || Worker::new(options.mode, expedite, events).run(&receiver))
            .map_err(TraceError::Thread)?;
        Ok(Self {
            commands,
            thread: Some(thread),
        })
    }

    pub(crate) fn want(&self, found: Arc<Discovered>) {
        // Fails only when the thread has ended, and then so does the program.
        let _ = self.commands.send(Command::Want(found));
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Held {
    hooked: Hooked,
    /// As it is now, …
    door: Door,
    /// … and as it was when it was attached.
    attached: Door,
    inspected: Instant,
}

struct Worker {
    loader: Option<Loader>,
    mode: Option<AttachMode>,
    expedite: Option<Expedite>,
    events: mpsc::UnboundedSender<Event>,
    found: Arc<Discovered>,
    queue: VecDeque<Door>,
    held: HashMap<DoorId, Held>,
    /// Since when a door is waited for.
    waiting: HashMap<DoorId, Instant>,
    /// When netviz took its place again.
    retries: HashMap<DoorId, Vec<Instant>>,
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
            held: HashMap::new(),
            waiting: HashMap::new(),
            retries: HashMap::new(),
        }
    }

    fn run(mut self, commands: &std_mpsc::Receiver<Command>) {
        loop {
            let command = if self.queue.is_empty() {
                self.set_expedite(false);
                commands.recv_timeout(self.until_next_look())
            } else {
                commands.try_recv().map_err(|error| match error {
                    std_mpsc::TryRecvError::Empty => std_mpsc::RecvTimeoutError::Timeout,
                    std_mpsc::TryRecvError::Disconnected => {
                        std_mpsc::RecvTimeoutError::Disconnected
                    }
                })
            };
            match command {
                Ok(Command::Want(found)) => self.want(found),
                Ok(Command::End) | Err(std_mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std_mpsc::RecvTimeoutError::Timeout) => {
                    if let Some(door) = self.queue.pop_front() {
                        if self.queue.len() > 4 {
                            self.set_expedite(true);
                        }
                        self.attach(door, None);
                    }
                    self.inspect_one();
                }
            }
        }
        self.set_expedite(self.held.len() > 4);
        let doors: Vec<_> = self.held.keys().copied().collect();
        for door in doors {
            self.release(door);
        }
        self.set_expedite(false);
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
        self.found = Arc::clone(&found);
        for door in surplus {
            self.release(door);
        }
        self.waiting.retain(|id, _| wanted.contains_key(id));
        self.retries.retain(|id, _| wanted.contains_key(id));
        // A door that looks otherwise may be another interface under the same index.
        for held in self.held.values_mut() {
            if wanted
                .get(&held.door.id)
                .is_some_and(|door| **door != held.door)
            {
                held.inspected = Instant::now() - INSPECT_INTERVAL;
                held.door = wanted[&held.door.id].clone();
            }
        }
        let queued: Vec<_> = self.queue.iter().map(|door| door.id).collect();
        self.queue.retain(|door| wanted.contains_key(&door.id));
        let new = found.cluster.doors.iter().filter(|door| {
            door.problem.is_none()
                && !self.held.contains_key(&door.id)
                && !queued.contains(&door.id)
        });
        // The newest first, and among themselves in the order in which they are shown.
        for door in new.rev() {
            self.queue.push_front(door.clone());
        }
    }

    /// `before`: the interface that was attached under the same identity.
    fn attach(&mut self, door: Door, before: Option<Door>) {
        let Some(namespace) = self.open(&door) else {
            // Gone, or about to be found under another path: the next look will tell.
            self.send(Event::Settled { door: door.id });
            return;
        };
        if self.wait_for_cilium(&door, &namespace) {
            self.queue.push_back(door);
            thread::sleep(Duration::from_millis(10));
            return;
        }
        match self.hook(&door, &namespace) {
            Ok((hooked, counters, chains)) => {
                self.mode = Some(hooked.mode);
                let fresh = before.is_none_or(|before| door.replaces(&before));
                self.send(Event::Attached {
                    door: door.id,
                    counters,
                    chains,
                    fresh,
                });
                self.held.insert(
                    door.id,
                    Held {
                        hooked,
                        attached: door.clone(),
                        door,
                        inspected: Instant::now(),
                    },
                );
            }
            Err(AttachError::Vanished) => self.send(Event::Settled { door: door.id }),
            Err(error) => self.send(Event::Failed {
                door: door.id,
                reason: error.to_string(),
            }),
        }
    }

    fn hook(
        &mut self,
        door: &Door,
        namespace: &NetNs,
    ) -> Result<(Hooked, Counters, Chains), AttachError> {
        let (programs, counters) = self.loader.get_or_insert_with(Loader::new).load()?;
        let (ifindex, mode) = (door.id.ifindex, self.mode);
        let attach = || {
            if mode == Some(AttachMode::Clsact) {
                hook::sweep(ifindex);
            }
            let mut hooked = hook::attach(programs, ifindex, mode)?;
            let chains = hooked.chains()?;
            Ok((hooked, chains))
        };
        match namespace.run(attach) {
            Ok(result) => result.map(|(hooked, chains)| (hooked, counters, chains)),
            Err(_) => Err(AttachError::Vanished),
        }
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
            .run(|| hook::may_attach(ifindex, mode))
            .unwrap_or(true)
    }

    /// How long there is nothing to do but to wait for commands.
    fn until_next_look(&self) -> Duration {
        let last = self.held.values().map(|held| held.inspected).min();
        let since = last.map_or(Duration::ZERO, |last| last.elapsed());
        INSPECT_INTERVAL.saturating_sub(since).max(INSPECT_PAUSE)
    }

    /// Looks at the door whose turn it is: who else is there, and is netviz still?
    fn inspect_one(&mut self) {
        let due = self.held.values().min_by_key(|held| held.inspected);
        let Some(id) = due
            .filter(|held| held.inspected.elapsed() >= INSPECT_INTERVAL)
            .map(|held| held.door.id)
        else {
            return;
        };
        let Some(door) = self.held.get(&id).map(|held| held.door.clone()) else {
            return;
        };
        let namespace = self.open(&door);
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.inspected = Instant::now();
        let Some(namespace) = namespace else {
            return;
        };
        let attached = held.attached.clone();
        let there = match namespace.run(|| held.hooked.chains()) {
            Err(_) => return,
            Ok(Ok(chains)) => {
                let first = chains.iter().flatten().all(|chain| chain.ahead.is_empty());
                self.send(Event::Chains { door: id, chains });
                if first {
                    return;
                }
                true
            }
            Ok(Err(_)) => false,
        };
        if self.may_retry(id) {
            self.release(id);
            self.attach(door, Some(attached));
        } else if !there {
            self.release(id);
            self.send(Event::Failed {
                door: id,
                reason: REMOVED.into(),
            });
        }
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
        if held.hooked.mode == AttachMode::Tcx {
            return;
        }
        // A filter is removed by a request that counts in the namespace of the thread; where that
        // cannot be entered any more, the filter is gone with it.
        match self.open(&held.door) {
            Some(namespace) => {
                let _ = namespace.run(move || drop(held));
            }
            None => std::mem::forget(held.hooked),
        }
    }

    fn open(&self, door: &Door) -> Option<NetNs> {
        let netns: NetNsId = door.id.space.known()?;
        let paths: &Vec<PathBuf> = self.found.entrances.get(&netns)?;
        crate::discover::open(paths, netns)
    }

    fn send(&self, event: Event) {
        // The reader is gone only when the program ends.
        let _ = self.events.send(event);
    }
}
