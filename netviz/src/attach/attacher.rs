//! The thread that keeps copies of an object attached: one door at a time, the newest first, always
//! towards the latest set of doors.

mod inspect;
mod past;
mod switches;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        mpsc::{self as std_mpsc, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use self::{
    past::{Before, Past, RETRIES, RETRY_WINDOW, Rest},
    switches::Switches,
};
use super::{
    AttachOptions, TraceError,
    attached::Chains,
    engine::{BURST, Engine},
    errors::AttachError,
    expedite::Expedite,
    object::Switch,
};
use crate::{
    discover::Discovered,
    model::{Door, DoorId, Reason, Role, Side},
    sys::{netns::NetNs, threads::Worker},
};

/// Without tcx: how long netviz waits for Cilium's own filter.
const CILIUM_FIRST: Duration = Duration::from_secs(5);

/// A change at a door.
pub(crate) struct Event<M, O> {
    pub(crate) door: DoorId,
    pub(crate) change: Change<M, O>,
}

/// What changed.
pub(crate) enum Change<M, O> {
    /// A copy is attached.
    Attached {
        maps: M,
        /// Number of the copy.
        copy: u64,
        chains: Chains,
        /// The door is another interface than before under the same identity.
        fresh: bool,
        /// Upper bound of the time for which netviz was not in place.
        gap: Option<Duration>,
    },
    Failed(Reason),
    /// Other programs are at the hooks.
    Chains(Chains),
    /// The other programs of the object run, with these maps, or its own ones again.
    Switched(Option<O>),
    /// The programs are those that ran before.
    SwitchFailed(Reason),
    /// There is no interface to attach to.
    Gone,
}

/// The thread. Everything is detached when this is dropped.
#[derive(Debug)]
pub(crate) struct Attacher(Worker<(), std_mpsc::Sender<Command>>);

/// What the thread is to do.
#[derive(Debug)]
enum Command {
    /// Attach to these doors.
    Attach(Arc<Discovered>),
    /// Have the other programs of the object run at these copies, and only there.
    Switch(HashMap<DoorId, u64>),
}

impl Attacher {
    pub(crate) fn start<T: Switch>(
        kind: T,
        options: AttachOptions,
        events: mpsc::UnboundedSender<Event<T::Maps, T::Other>>,
    ) -> Result<Self, TraceError> {
        let expedite = options.fast.then(Expedite::new).transpose()?;
        let (sender, wanted) = std_mpsc::channel();
        let work = move || {
            Keeper::new(
                Engine::new(&kind, options.mode, expedite, Arc::default()),
                events,
            )
            .run(&wanted)
        };
        Worker::until(sender, "netviz-attach", "attaches", work)
            .map(Self)
            .map_err(TraceError::Thread)
    }

    /// Sets the doors to attach to.
    pub(crate) fn want(&self, found: Arc<Discovered>) {
        self.send(Command::Attach(found));
    }

    /// Sets the copies at which the other programs of the object run, by the number in
    /// [`Change::Attached`].
    pub(crate) fn switch(&self, doors: HashMap<DoorId, u64>) {
        self.send(Command::Switch(doors));
    }

    fn send(&self, command: Command) {
        // Fails only when the thread has ended, and then so does the program.
        let _ = self.0.end().map(|commands| commands.send(command));
    }
}

struct Keeper<'a, T: Switch> {
    engine: Engine<'a, T>,
    events: mpsc::UnboundedSender<Event<T::Maps, T::Other>>,
    queue: VecDeque<Door>,
    /// Of each wanted door.
    past: HashMap<DoorId, Past>,
    switches: Switches<T::Maps>,
}

impl<'a, T: Switch> Keeper<'a, T> {
    fn new(engine: Engine<'a, T>, events: mpsc::UnboundedSender<Event<T::Maps, T::Other>>) -> Self {
        Self {
            engine,
            events,
            queue: VecDeque::new(),
            past: HashMap::new(),
            switches: Switches::default(),
        }
    }

    fn run(mut self, commands: &std_mpsc::Receiver<Command>) {
        loop {
            if self.queue.is_empty() {
                self.engine.expedite(0);
            }
            let is_idle = self.queue.is_empty() && self.switches.is_idle();
            let timeout = match is_idle {
                true => self.until_next_inspection(),
                false => Duration::ZERO,
            };
            match commands.recv_timeout(timeout) {
                Ok(Command::Attach(found)) => self.want(found),
                Ok(Command::Switch(doors)) => self.switches.want(doors),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(door) = self.queue.pop_front() {
                        if self.queue.len() > BURST {
                            self.engine.expedite(self.queue.len());
                        }
                        self.attach(door);
                    } else {
                        self.switch_next();
                    }
                    self.inspect();
                    self.come_back();
                }
            }
        }
    }

    /// Compares what is attached with what is wanted.
    fn want(&mut self, found: Arc<Discovered>) {
        let doors = &found.cluster.doors;
        let wanted: HashMap<_, _> = doors.iter().map(|door| (door.id, door)).collect();
        let surplus = self
            .engine
            .attached
            .keys()
            .filter(|id| !wanted.contains_key(id));
        // While the namespaces of nodes that have gone are still known.
        for door in surplus.copied().collect::<Vec<_>>() {
            self.engine.detach(door);
        }
        let before = std::mem::replace(&mut self.engine.found, Arc::clone(&found));
        self.past.retain(|id, _| wanted.contains_key(id));
        self.switches.retain(|id| wanted.contains_key(id));
        // A door that differs may be another interface under the same index.
        for attached in self.engine.attached.values_mut() {
            let door = wanted.get(&attached.door.id);
            if let Some(door) = door.filter(|door| ***door != attached.door) {
                attached.inspect_soon();
                attached.door = (*door).clone();
            }
        }
        self.inspect_changed_filters(&before);
        let queued: Vec<_> = self.queue.iter().map(|door| door.id).collect();
        self.queue.retain(|door| wanted.contains_key(&door.id));
        let given_up = |id| self.past.get(id).is_some_and(Past::is_given_up);
        let new = doors.iter().filter(|door| {
            door.problem.is_none()
                && !self.engine.attached.contains_key(&door.id)
                && !given_up(&door.id)
                && !queued.contains(&door.id)
        });
        // The newest first, and among themselves in the order in which they are shown.
        for door in new.rev() {
            self.queue.push_front(door.clone());
        }
    }

    fn attach(&mut self, door: Door) {
        self.past.entry(door.id).or_default().rest = None;
        let namespace = match self.engine.found.open_for(door.id) {
            Ok(Some(namespace)) => namespace,
            // Gone, or about to be found under another path by the next discovery.
            Ok(None) => return self.settle(door.id),
            Err(error) => return self.fail(door.id, &AttachError::Open(error)),
        };
        if self.waits_for_cilium(&door, &namespace) {
            self.queue.push_back(door);
            thread::sleep(Duration::from_millis(10));
            return;
        }
        let begun = Instant::now();
        match self.engine.attach(&door, &namespace) {
            Ok(maps) => self.attached(door, maps, begun),
            Err(AttachError::Vanished) => {
                // The next interface may reuse this index.
                self.past(door.id).before = None;
                self.settle(door.id);
            }
            Err(AttachError::Removed) if self.past(door.id).may_retry() => {
                self.queue.push_back(door);
            }
            Err(AttachError::Removed) => self.give_up(door.id),
            Err(error) => self.fail(door.id, &error),
        }
    }

    fn attached(&mut self, door: Door, maps: T::Maps, in_place: Instant) {
        let copy = self.switches.attached(door.id, maps.clone());
        let attached = self.engine.attached.get(&door.id);
        let chains = attached.map(|attached| attached.chains().clone());
        let before = self.past(door.id).before.take();
        let replaces = |before: &Before| door.replaces(&before.door);
        let change = Change::Attached {
            maps,
            copy,
            chains: chains.unwrap_or_default(),
            fresh: before.as_ref().is_none_or(replaces),
            gap: before.map(|before| before.in_place.elapsed()),
        };
        let id = door.id;
        self.send(id, change);
        self.past(id).before = Some(Before { door, in_place });
    }

    fn past(&mut self, door: DoorId) -> &mut Past {
        self.past.entry(door).or_default()
    }

    fn fail(&mut self, door: DoorId, error: &AttachError) {
        self.past(door).rest = Some(Rest::Failed(Instant::now()));
        self.send(door, Change::Failed(error.into()));
    }

    /// There is nothing to attach to.
    fn settle(&mut self, door: DoorId) {
        self.past(door).rest = Some(Rest::Failed(Instant::now()));
        self.send(door, Change::Gone);
    }

    /// Gives up a door for a while.
    fn give_up(&mut self, door: DoorId) {
        self.past(door).rest = Some(Rest::GivenUp(Instant::now()));
        let reason = Reason::GivenUp {
            times: RETRIES,
            seconds: RETRY_WINDOW.as_secs(),
        };
        self.send(door, Change::Failed(reason));
    }

    /// Whether Cilium's own filter is still to come, at a door where Cilium attaches one.
    fn waits_for_cilium(&mut self, door: &Door, namespace: &NetNs) -> bool {
        let nodes = &self.engine.found.cluster.nodes;
        let ciliums = nodes.get(door.node).is_some_and(|node| node.cilium)
            && door.side == Side::Node
            && matches!(
                door.role,
                Role::Pod | Role::Health | Role::CiliumHost | Role::Overlay
            );
        let since = *self.past(door.id).waiting.get_or_insert_with(Instant::now);
        ciliums && since.elapsed() <= CILIUM_FIRST && !self.engine.may_attach(door, namespace)
    }

    /// Changes the programs of one door.
    fn switch_next(&mut self) {
        let Some((door, maps, on)) = self.switches.next() else {
            return;
        };
        match self.engine.switch(door, &maps, on) {
            Ok(other) => {
                self.switches.switched(door, on);
                self.send(door, Change::Switched(other));
            }
            // The next inspection finds out as well, and attaches again.
            Err(AttachError::Vanished | AttachError::Removed) => {}
            Err(error) => self.send(door, Change::SwitchFailed((&error).into())),
        }
    }

    fn send(&self, door: DoorId, change: Change<T::Maps, T::Other>) {
        // The receiver is gone only when the program ends.
        let _ = self.events.send(Event { door, change });
    }
}
