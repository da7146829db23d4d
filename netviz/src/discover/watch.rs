//! Keeps looking: a thread that waits for rtnetlink's notifications, and reads again what they name.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use netlink_sys::Socket;
use tokio::sync::watch;

use super::{
    Discovered,
    cache::Memory,
    generations::Incarnations,
    nodes::{Absent, nodes, open},
    notifications::{Notice, Whence, borrow, drain, listener},
    scan,
    select::Selection,
};
use crate::{
    model::{Cluster, Door},
    sys::{
        netns::{NetNs, NetNsId},
        threads::{Stop, Worker},
    },
};

/// A burst of notifications is over after this much silence, …
const QUIET: Duration = Duration::from_millis(20);
/// … and is looked at after this long even if it goes on.
const PATIENCE: Duration = Duration::from_millis(200);
/// Processes and mounted namespaces come and go without any notification, so they are looked at:
/// soon after a change, for a pod's first process starts some 100 ms after its interface, …
const INDEX_SOON: Duration = Duration::from_millis(300);
/// … and ever more seldom while nothing happens.
const INDEX_SELDOM: Duration = Duration::from_secs(5);

/// How soon to look again when a look has failed.
const AGAIN: Duration = Duration::from_millis(200);

/// Why the watch could not begin.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for network namespaces and interfaces")]
pub struct WatchError(#[from] io::Error);

/// A running watch; it ends with this value.
#[derive(Debug)]
pub struct Watch {
    receiver: watch::Receiver<Arc<Discovered>>,
    _worker: Worker,
}

impl Watch {
    /// Looks once, and goes on looking on a thread of its own. Needs `CAP_SYS_ADMIN` to enter
    /// namespaces, and `CAP_NET_BROADCAST` to be told of changes inside of pods.
    ///
    /// # Errors
    /// When the first look fails.
    pub fn start(selection: Selection) -> Result<Self, WatchError> {
        let mut watcher = Watcher {
            selection,
            listeners: HashMap::new(),
            memory: Memory::new()?,
            incarnations: Incarnations::default(),
            filters: FilterChanges::default(),
        };
        // Subscribe first, then look: what changes in between is told afterwards.
        watcher.listen(Absent::IsAnError)?;
        let Watcher {
            selection, memory, ..
        } = &mut watcher;
        let first = Arc::new(scan::look(selection, Absent::IsAnError, memory)?);
        let (sender, receiver) = watch::channel(first);
        let work = move |stop: &Stop| watcher.run(&sender, stop);
        Ok(Self {
            receiver,
            _worker: Worker::start("netviz-discover", "looks for interfaces", work)?,
        })
    }

    /// The latest state, and a way to wait for the next one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Discovered>> {
        self.receiver.clone()
    }
}

struct Watcher {
    selection: Selection,
    listeners: HashMap<NetNsId, Socket>,
    memory: Memory,
    incarnations: Incarnations,
    filters: FilterChanges,
}

/// Which interfaces' filters changed, as in [`Discovered::filters`].
#[derive(Debug, Default)]
struct FilterChanges {
    of: HashMap<(NetNsId, u32), u64>,
    /// Never the same number again, not even for an index that another interface has by now.
    number: u64,
}

impl FilterChanges {
    fn tell(&mut self, netns: NetNsId, ifindex: u32) {
        self.number += 1;
        self.of.insert((netns, ifindex), self.number);
    }

    /// Lets go what is no door, or none any more: a node has had ever more interfaces.
    fn retain(&mut self, cluster: &Cluster) {
        let of_door = |door: &Door| Some((door.id.netns.known()?, door.id.ifindex));
        let doors: HashSet<_> = cluster.doors.iter().filter_map(of_door).collect();
        self.of.retain(|place, _| doors.contains(place));
    }
}

impl Watcher {
    fn run(mut self, sender: &watch::Sender<Arc<Discovered>>, stop: &Stop) {
        let mut pause = INDEX_SOON;
        let mut look_at = Instant::now() + pause;
        let mut failed = false;
        loop {
            let Some(notified) = self.wait(stop, look_at) else {
                return;
            };
            let mut changed = failed;
            if notified {
                match self.settle(stop, &sender.borrow()) {
                    None => return,
                    Some(told) => changed |= told,
                }
            }
            self.memory.begin();
            changed = changed || self.matters(&sender.borrow());
            pause = if changed {
                INDEX_SOON
            } else {
                (pause * 2).min(INDEX_SELDOM)
            };
            look_at = Instant::now() + pause;
            let aged = !notified && self.memory.age();
            if !changed && !aged {
                self.tell_of_filters(sender);
                continue;
            }
            let looked = self.look(sender);
            failed = looked.is_err();
            if let Err(error) = looked {
                log::warn!("cannot look for interfaces: {error}; looking again");
                self.memory.clear();
                // Nobody else would tell what was missed.
                look_at = Instant::now() + AGAIN;
            }
        }
    }

    fn look(&mut self, sender: &watch::Sender<Arc<Discovered>>) -> io::Result<()> {
        self.listen(Absent::HasEnded)?;
        let mut found = scan::look(&self.selection, Absent::HasEnded, &mut self.memory)?;
        self.incarnations.apply(&mut found, &sender.borrow());
        self.filters.retain(&found.cluster);
        found.filters.clone_from(&self.filters.of);
        sender.send_if_modified(|last| {
            let changed = **last != found;
            if changed {
                *last = Arc::new(found);
            }
            changed
        });
        Ok(())
    }

    /// Nothing but filters changed: nothing has to be read again for that.
    fn tell_of_filters(&self, sender: &watch::Sender<Arc<Discovered>>) {
        sender.send_if_modified(|last| {
            let changed = last.filters != self.filters.of;
            if changed {
                Arc::make_mut(last).filters.clone_from(&self.filters.of);
            }
            changed
        });
    }

    /// Waits for a notification (true), the time of the next look (false), or the end (`None`).
    fn wait(&self, stop: &Stop, until: Instant) -> Option<bool> {
        self.poll(stop, until.saturating_duration_since(Instant::now()))
    }

    /// Reads notifications away until there is silence. True when one was a node's or its pods' and
    /// about more than filters; `None` at the end.
    fn settle(&mut self, stop: &Stop, last: &Discovered) -> Option<bool> {
        let deadline = Instant::now() + PATIENCE;
        let is_node = |id| last.cluster.nodes.iter().any(|node| node.netns == id);
        let mut told = false;
        loop {
            let notices = self
                .listeners
                .iter()
                .map(|(id, socket)| (*id, drain(socket)));
            let notices: Vec<_> = notices.collect();
            for (id, notices) in notices {
                let of_filters = |notice: &Notice| matches!(notice, Notice::Filters(..));
                told |= is_node(id) && !notices.iter().all(of_filters);
                for notice in notices {
                    told |= notice == Notice::Cilium;
                    self.take(id, notice, last);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.poll(stop, left.min(QUIET))?;
            if !more || left.is_zero() {
                return Some(told);
            }
        }
    }

    fn take(&mut self, listener: NetNsId, notice: Notice, last: &Discovered) {
        match notice {
            Notice::Changed(whence) => self.memory.changed(listener, whence),
            Notice::Deleted(ifindex) => {
                self.memory.changed(listener, Whence::Own);
                self.incarnations.end(listener, ifindex, last);
            }
            Notice::Id(nsid) => self.memory.reassigned(listener, nsid),
            Notice::Cilium => self.memory.cilium.clear(),
            Notice::Filters(whence, ifindex) => {
                if let Some(netns) = self.memory.whose(listener, whence) {
                    self.filters.tell(netns, ifindex);
                }
            }
            Notice::Lost => self.memory.clear(),
        }
    }

    /// Whether what is new among the namespaces can change anything of `last`. A machine on which
    /// many other containers come and go is not to be looked through for each of them.
    fn matters(&mut self, last: &Discovered) -> bool {
        // What is wrong is said by the look.
        let Ok(changed) = self.memory.index() else {
            return true;
        };
        // The way in, or the process whose hostname is the name.
        if changed.iter().any(|id| last.entrances.contains_key(id)) {
            return true;
        }
        if last.cluster.doors.iter().any(|door| door.problem.is_some()) {
            return !changed.is_empty();
        }
        // Those that are new are asked.
        let is_known = |id: &NetNsId| last.cluster.nodes.iter().any(|node| node.netns == *id);
        let own = NetNs::current().map(|own| own.id()).unwrap_or_default();
        let nodes = nodes(&self.selection, &mut self.memory, own, Absent::HasEnded);
        nodes.is_ok_and(|nodes| nodes.iter().any(|(id, _)| !is_known(id)))
    }

    /// Whether there are notifications to read, `None` at the end.
    fn poll(&self, stop: &Stop, timeout: Duration) -> Option<bool> {
        let ready = stop.poll(self.listeners.values().map(borrow), Some(timeout))?;
        Some(!ready.is_empty())
    }

    /// One socket in each node's namespace, and one in our own, where new nodes are plugged in.
    fn listen(&mut self, absent: Absent) -> io::Result<()> {
        let own = NetNs::current()?;
        let nodes = nodes(&self.selection, &mut self.memory, own.id(), absent)?;
        // A socket keeps its namespace: one that nothing else holds any more is let go.
        let any = self.selection.namespaces.is_empty();
        let known =
            |id: &NetNsId| any && *id == own.id() || nodes.iter().any(|(node, _)| node == id);
        self.listeners.retain(|id, _| known(id));
        if any && let Entry::Vacant(place) = self.listeners.entry(own.id()) {
            place.insert(listener()?);
        }
        for (id, paths) in nodes {
            if self.listeners.contains_key(&id) {
                continue;
            }
            if let Some(namespace) = open(&paths, id)? {
                let socket = namespace.run(listener)??;
                self.listeners.insert(id, socket);
            }
        }
        Ok(())
    }
}
