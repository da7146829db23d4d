//! Follows changes: a thread waits for rtnetlink's notifications and reads again what they name.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    io,
    os::fd::AsFd,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Discovered,
    cache::Cache,
    generations::Generations,
    nodes::{Absent, BadName, inside, nodes},
    scan,
    select::Selection,
};
use crate::{
    model::{Cluster, Door},
    sys::{
        entrance::{Entrance, enter},
        netlink::notifications::{Listener, Notification, Origin},
        netns::{NetNs, NetNsId},
        threads::{Stop, Worker},
    },
};

/// A burst of notifications ends after this much silence ...
const QUIET: Duration = Duration::from_millis(20);
/// ... and is handled after this time even if it continues.
const BURST_LIMIT: Duration = Duration::from_millis(200);
/// Processes and mounted namespaces come and go without notification, so they are polled: first
/// soon after a change, since a pod's first process starts some 100 ms after its interface ...
const POLL_MIN: Duration = Duration::from_millis(300);
/// ... and less and less often while nothing happens.
const POLL_MAX: Duration = Duration::from_secs(5);

/// When to retry after a scan has failed.
const RETRY: Duration = Duration::from_millis(200);

/// Why the watch could not start.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A name of `--netns` is wrong.
    #[error(transparent)]
    Name(io::Error),
    /// The scan failed.
    #[error("cannot read network namespaces and interfaces")]
    Scan(#[source] io::Error),
}

impl From<io::Error> for WatchError {
    fn from(error: io::Error) -> Self {
        match error.get_ref() {
            Some(cause) if cause.is::<BadName>() => Self::Name(error),
            _ => Self::Scan(error),
        }
    }
}

/// A running watch; it ends with this value.
#[derive(Debug)]
pub struct Watch {
    receiver: watch::Receiver<Arc<Discovered>>,
    _worker: Worker,
}

impl Watch {
    /// Scans once, then follows changes on a thread. Needs `CAP_SYS_ADMIN` to enter namespaces, and
    /// `CAP_NET_BROADCAST` for notifications from inside of pods.
    ///
    /// # Errors
    /// When the first scan fails.
    pub fn start(selection: Selection) -> Result<Self, WatchError> {
        let mut watcher = Watcher {
            selection,
            listeners: HashMap::new(),
            cache: Cache::new()?,
            generations: Generations::default(),
            filters: FilterChanges::default(),
        };
        // Subscribe first, then scan: a change in between is notified afterwards.
        watcher.listen(Absent::IsAnError)?;
        let Watcher {
            selection, cache, ..
        } = &mut watcher;
        let first = Arc::new(scan::rescan(selection, Absent::IsAnError, cache)?);
        let (sender, receiver) = watch::channel(first);
        let work = move |stop: &Stop| watcher.run(&sender, stop);
        Ok(Self {
            receiver,
            _worker: Worker::start("netviz-discover", "discovers interfaces", work)?,
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
    listeners: HashMap<NetNsId, Listener>,
    cache: Cache,
    generations: Generations,
    filters: FilterChanges,
}

/// Interfaces whose filters changed, as in [`Discovered::filters`].
#[derive(Debug, Default)]
struct FilterChanges {
    of: HashMap<(NetNsId, u32), u64>,
    /// Never used twice, not even for an index that another interface has by now.
    number: u64,
}

impl FilterChanges {
    fn bump(&mut self, netns: NetNsId, ifindex: u32) {
        self.number += 1;
        self.of.insert((netns, ifindex), self.number);
    }

    /// Drops interfaces that are no doors (any more): a node has had ever more of them.
    fn retain(&mut self, cluster: &Cluster) {
        let of_door = |door: &Door| Some((door.id.netns.known()?, door.id.ifindex));
        let doors: HashSet<_> = cluster.doors.iter().filter_map(of_door).collect();
        self.of.retain(|place, _| doors.contains(place));
    }
}

impl Watcher {
    fn run(mut self, sender: &watch::Sender<Arc<Discovered>>, stop: &Stop) {
        let mut pause = POLL_MIN;
        let mut next_poll = Instant::now() + pause;
        let mut failed = false;
        loop {
            let Some(notified) = self.wait(stop, next_poll) else {
                return;
            };
            let mut changed = failed;
            if notified {
                match self.settle(stop, &sender.borrow()) {
                    None => return,
                    Some(relevant) => changed |= relevant,
                }
            }
            self.cache.begin();
            changed = changed || self.matters(&sender.borrow());
            pause = if changed {
                POLL_MIN
            } else {
                (pause * 2).min(POLL_MAX)
            };
            next_poll = Instant::now() + pause;
            let aged = !notified && self.cache.age();
            if !changed && !aged {
                self.publish_filters(sender);
                continue;
            }
            let scanned = self.scan(sender);
            failed = scanned.is_err();
            if let Err(error) = scanned {
                log::warn!("cannot read interfaces: {error}; retrying");
                self.cache.clear();
                // No further notification may come for what was missed.
                next_poll = Instant::now() + RETRY;
            }
        }
    }

    fn scan(&mut self, sender: &watch::Sender<Arc<Discovered>>) -> io::Result<()> {
        self.listen(Absent::HasEnded)?;
        let mut found = scan::rescan(&self.selection, Absent::HasEnded, &mut self.cache)?;
        self.generations.apply(&mut found, &sender.borrow());
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

    /// Publishes changes of filters, for which nothing has to be read again.
    fn publish_filters(&self, sender: &watch::Sender<Arc<Discovered>>) {
        sender.send_if_modified(|last| {
            let changed = last.filters != self.filters.of;
            if changed {
                Arc::make_mut(last).filters.clone_from(&self.filters.of);
            }
            changed
        });
    }

    /// Waits for a notification (true), the time of the next poll (false), or the end (`None`).
    fn wait(&self, stop: &Stop, until: Instant) -> Option<bool> {
        self.poll(stop, until.saturating_duration_since(Instant::now()))
    }

    /// Handles notifications until there is silence. Returns whether one of them was about more than
    /// the filters of a node or its pods; `None` at the end.
    fn settle(&mut self, stop: &Stop, last: &Discovered) -> Option<bool> {
        let deadline = Instant::now() + BURST_LIMIT;
        let is_node = |id| last.cluster.nodes.iter().any(|node| node.netns == id);
        let mut relevant = false;
        loop {
            let listeners = self.listeners.iter();
            let received: Vec<_> = listeners.map(|(id, it)| (*id, it.drain())).collect();
            for (id, notifications) in received {
                let filters = |one: &Notification| matches!(one, Notification::Filters(..));
                if is_node(id) && !notifications.iter().all(filters) {
                    relevant = true;
                    self.cache.mark_empty_stale();
                }
                for notification in notifications {
                    relevant |= notification == Notification::Cilium;
                    self.handle(id, notification, last);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.poll(stop, left.min(QUIET))?;
            if !more || left.is_zero() {
                return Some(relevant);
            }
        }
    }

    fn handle(&mut self, listener: NetNsId, notification: Notification, last: &Discovered) {
        match notification {
            Notification::Changed(origin) => self.cache.changed(listener, origin),
            Notification::Deleted(ifindex) => {
                self.cache.changed(listener, Origin::Own);
                self.generations.end(listener, ifindex, last);
            }
            Notification::NsId(nsid) => self.cache.reassigned(listener, nsid),
            Notification::Cilium => self.cache.cilium.clear(),
            Notification::Filters(origin, ifindex) => {
                if let Some(netns) = self.cache.origin(listener, origin) {
                    self.filters.bump(netns, ifindex);
                }
            }
            Notification::Lost => self.cache.clear(),
        }
    }

    /// Whether a change among the namespaces can affect `last`. On a machine where many other
    /// containers come and go, not each of them causes a scan.
    fn matters(&mut self, last: &Discovered) -> bool {
        // The scan reports the error.
        let Ok(changed) = self.cache.index() else {
            return true;
        };
        // The entrance, or the process whose hostname is the name.
        if changed.iter().any(|id| last.entrances.contains_key(id)) {
            return true;
        }
        if last.cluster.doors.iter().any(|door| door.problem.is_some()) {
            return !changed.is_empty();
        }
        if self.has_new_pod(last) {
            return true;
        }
        // A new namespace may be a node.
        let is_known = |id: &NetNsId| last.cluster.nodes.iter().any(|node| node.netns == *id);
        let own = NetNs::current().map(|own| own.id()).unwrap_or_default();
        let nodes = nodes(&self.selection, &mut self.cache, own, Absent::HasEnded);
        nodes.is_ok_and(|nodes| nodes.iter().any(|(id, _)| !is_known(id)))
    }

    /// Whether a namespace that was not read before is a pod to which no pair leads.
    fn has_new_pod(&mut self, last: &Discovered) -> bool {
        let known = |id: NetNsId| last.entrances.contains_key(&id);
        let unread = self.cache.strangers(known);
        if unread.iter().all(|id| self.cache.get(*id).is_some()) {
            return false;
        }
        let nodes = last.cluster.nodes.iter();
        let nodes = nodes.filter_map(|node| last.open(node.netns).ok()?);
        let nodes: Vec<NetNs> = nodes.collect();
        let nodes: Vec<&NetNs> = nodes.iter().collect();
        scan::pods(&mut self.cache, &nodes, known).is_ok_and(|pods| !pods.is_empty())
    }

    /// Whether there are notifications to read, `None` at the end.
    fn poll(&self, stop: &Stop, timeout: Duration) -> Option<bool> {
        let ready = stop.poll(self.listeners.values().map(AsFd::as_fd), Some(timeout))?;
        Some(!ready.is_empty())
    }

    /// Opens a socket in each node's namespace, and one in our own, to which new nodes are connected.
    fn listen(&mut self, absent: Absent) -> io::Result<()> {
        let own = NetNs::current()?;
        let nodes = nodes(&self.selection, &mut self.cache, own.id(), absent)?;
        // A socket keeps its namespace alive: drop those of nodes that have gone.
        let any = self.selection.namespaces.is_empty();
        let known =
            |id: &NetNsId| any && *id == own.id() || nodes.iter().any(|(node, _)| node == id);
        self.listeners.retain(|id, _| known(id));
        if any && let Entry::Vacant(place) = self.listeners.entry(own.id()) {
            place.insert(inside(&own, &[Entrance::Own], Listener::new)??);
        }
        for (id, entrances) in nodes {
            if self.listeners.contains_key(&id) {
                continue;
            }
            if let Some(namespace) = enter(&entrances, id)? {
                let listener = inside(&namespace, &entrances, Listener::new)??;
                self.listeners.insert(id, listener);
            }
        }
        Ok(())
    }
}
