//! What earlier scans read, kept until it may have changed.
//!
//! Reading links waits for rtnl_lock, which every attachment on the machine holds for 9 ms, so a
//! namespace is read again only when a notification names it. Changes without notification are
//! found by reading a few old entries at a time ([`Cache::age`]).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    time::{Duration, Instant},
};

use super::{
    hostname,
    links::{self, Link},
    namespaces::{self, Index, Namespaces},
};
use crate::sys::{
    descriptors::there,
    entrance::{Entrance, enter},
    netlink::{Netlink, notifications::Origin},
    netns::{NetNs, NetNsId, Tour},
    processes::namespace,
};

/// When a namespace is read for the second time: a pod's hostname may be set after the first.
const SECOND_READ: Duration = Duration::from_secs(2);
/// Age at which an entry is read again ...
const MAX_AGE: Duration = Duration::from_secs(30);
/// ... and how many are read again at once.
const MAX_AGED: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// All network namespaces.
    pub(super) namespaces: Namespaces,
    /// What was not read, in one line.
    pub(super) left_out: Option<String>,
    /// Whether `namespaces` was read during this scan.
    indexed: bool,
    entries: HashMap<NetNsId, Entry>,
    /// By node: the namespaces for which it has an id.
    ids: HashMap<NetNsId, HashMap<i32, NetNsId>>,
    /// Which namespaces hold `cilium_host`.
    pub(super) cilium: HashMap<NetNsId, bool>,
    /// The nodes of the last scan.
    nodes: BTreeSet<NetNsId>,
    /// When negative answers in `cilium` were last dropped.
    cilium_checked: Option<Instant>,
}

/// A namespace that was read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) links: BTreeMap<u32, Link>,
    /// Hostname in it, or the best substitute.
    pub(super) name: Option<String>,
    /// The node that this namespace is a pod of, by its interfaces.
    pub(super) pod_of: Option<NetNsId>,
    read: Instant,
    first: bool,
    stale: bool,
}

impl Cache {
    /// A cache that knows only the namespaces.
    pub(super) fn new() -> io::Result<Self> {
        let mut cache = Self::default();
        cache.index()?;
        Ok(cache)
    }

    /// Begins a scan.
    pub(super) fn begin(&mut self) {
        self.indexed = false;
    }

    /// Finds all namespaces, once per scan. Returns those that came, went or changed.
    pub(super) fn index(&mut self) -> io::Result<Vec<NetNsId>> {
        if self.indexed {
            return Ok(Vec::new());
        }
        let Index {
            namespaces,
            left_out,
        } = namespaces::index()?;
        let before = std::mem::replace(&mut self.namespaces, namespaces);
        self.left_out = left_out;
        self.indexed = true;
        let mut changed: HashSet<NetNsId> = HashSet::new();
        for id in before.keys().chain(self.namespaces.keys()) {
            if before.get(id) != self.namespaces.get(id) {
                changed.insert(*id);
            }
        }
        for id in &changed {
            self.forget(*id);
        }
        Ok(changed.into_iter().collect())
    }

    /// Whether the namespaces were read during this scan.
    pub(super) fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// Drops everything about a namespace: another one may have this identity now.
    fn forget(&mut self, id: NetNsId) {
        self.entries.remove(&id);
        self.cilium.remove(&id);
        for ids in self.ids.values_mut() {
            ids.retain(|_, known| *known != id);
        }
    }

    /// Drops everything that was read.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.ids.clear();
        self.cilium.clear();
    }

    /// Marks the namespace of a notification as stale.
    pub(super) fn changed(&mut self, node: NetNsId, origin: Origin) {
        if let Some(id) = self.origin(node, origin) {
            self.mark_stale(id);
        }
    }

    /// A node assigned or removed the id of a namespace.
    pub(super) fn reassigned(&mut self, node: NetNsId, nsid: i32) {
        let known = self.ids.get_mut(&node).and_then(|ids| ids.remove(&nsid));
        if let Some(id) = known {
            self.entries.remove(&id);
        }
    }

    /// Marks the oldest entries as stale. Returns whether there are any.
    pub(super) fn age(&mut self) -> bool {
        let checked = self.cilium_checked;
        if checked.is_none_or(|checked| checked.elapsed() > MAX_AGE) {
            self.cilium.retain(|_, cilium| *cilium);
            self.cilium_checked = Some(Instant::now());
        }
        let mut old: Vec<&mut Entry> = self
            .entries
            .values_mut()
            .filter(|entry| entry.read.elapsed() > if entry.first { SECOND_READ } else { MAX_AGE })
            .collect();
        old.sort_by_key(|entry| entry.read);
        old.truncate(MAX_AGED);
        for entry in &mut old {
            entry.stale = true;
        }
        !old.is_empty()
    }

    /// The namespace of a notification that a node's socket received.
    pub(super) fn origin(&self, node: NetNsId, origin: Origin) -> Option<NetNsId> {
        match origin {
            Origin::Own => Some(node),
            Origin::Peer(nsid) => self.by_nsid(node, nsid),
        }
    }

    /// The namespace for which `node` has the id `nsid`.
    pub(super) fn by_nsid(&self, node: NetNsId, nsid: i32) -> Option<NetNsId> {
        self.ids.get(&node)?.get(&nsid).copied()
    }

    pub(super) fn get(&self, id: NetNsId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Drops what was read of other namespaces, unless they still exist.
    pub(super) fn retain(&mut self, entries: impl Fn(NetNsId) -> bool) {
        let namespaces = &self.namespaces;
        self.entries
            .retain(|id, _| entries(*id) || namespaces.contains_key(id));
    }

    /// The links of a namespace that was read.
    pub(super) fn links(&self, id: NetNsId) -> impl Iterator<Item = &Link> {
        let entry = self.entries.get(&id).into_iter();
        entry.flat_map(|entry| entry.links.values())
    }

    /// The namespaces that are not `known`, without the machine's, and without nodes of Cilium.
    pub(super) fn strangers(&self, known: impl Fn(NetNsId) -> bool) -> Vec<NetNsId> {
        let machine = ["/proc/self/ns/net", "/proc/1/ns/net"];
        let machine = machine.map(|path| namespace(path).ok().map(NetNsId));
        let is_stranger = |id: &NetNsId| {
            !known(*id) && !machine.contains(&Some(*id)) && self.cilium.get(id) != Some(&true)
        };
        self.namespaces
            .keys()
            .copied()
            .filter(is_stranger)
            .collect()
    }

    /// Sets the nodes. Entries that were read without a node do not have their links to it.
    pub(super) fn set_nodes(&mut self, nodes: BTreeSet<NetNsId>) {
        if self.nodes != nodes {
            self.ids.retain(|id, _| nodes.contains(id));
            self.entries
                .values_mut()
                .for_each(|entry| entry.stale = true);
            self.nodes = nodes;
        }
    }

    /// Marks namespaces without an interface as stale: if an interface moves there from a node, only the node
    /// is notified.
    pub(super) fn mark_empty_stale(&mut self) {
        for entry in self.entries.values_mut() {
            entry.stale |= entry.links.values().all(|link| link.loopback);
        }
    }

    /// Whether a namespace has to be read: it never was, or may have changed.
    pub(super) fn is_stale(&self, id: NetNsId) -> bool {
        self.entries.get(&id).is_none_or(|entry| entry.stale)
    }

    pub(super) fn mark_stale(&mut self, id: NetNsId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stale = true;
        }
    }

    /// Stores what was read of a node.
    pub(super) fn insert_node(&mut self, id: NetNsId, links: Vec<Link>) {
        self.insert(id, links, None, None);
    }

    fn insert(
        &mut self,
        id: NetNsId,
        links: Vec<Link>,
        name: Option<String>,
        pod_of: Option<NetNsId>,
    ) {
        let entry = Entry {
            links: links.into_iter().map(|link| (link.index, link)).collect(),
            name,
            pod_of,
            read: Instant::now(),
            first: !self.entries.contains_key(&id),
            stale: false,
        };
        self.entries.insert(id, entry);
    }

    /// Finds the namespaces for which `node` has the ids `wanted`, as far as possible.
    pub(super) fn resolve(&mut self, node: &NetNs, wanted: &HashSet<i32>) -> io::Result<()> {
        let missing = |cache: &Self| {
            let known = cache.ids.get(&node.id());
            let known = |nsid: &i32| known.is_some_and(|known| known.contains_key(nsid));
            !wanted.iter().all(known)
        };
        if !missing(self) {
            return Ok(());
        }
        self.index()?;
        let Some(mut netlink) = there(Netlink::open_in(node))? else {
            return Ok(());
        };
        let ids = self.ids.entry(node.id()).or_default();
        let known: HashSet<NetNsId> = ids.values().copied().collect();
        for (id, found) in &self.namespaces {
            if *id == node.id() || known.contains(id) {
                continue;
            }
            let Some(namespace) = enter(&found.entrances(), *id)? else {
                continue;
            };
            if let Ok(Some(nsid)) = netlink.nsid_of(&namespace) {
                ids.insert(nsid, *id);
            }
        }
        Ok(())
    }

    /// Marks the links of a node that its routes to other nodes use.
    pub(super) fn set_routes(&mut self, id: NetNsId, used: &HashSet<u32>) {
        let links = self.entries.get_mut(&id).map(|entry| &mut entry.links);
        for link in links.into_iter().flat_map(BTreeMap::values_mut) {
            link.to_nodes = used.contains(&link.index);
        }
    }

    /// Reads those namespaces that are stale. `shared` are the UTS namespaces of no pod.
    pub(super) fn read(
        &mut self,
        tour: &Tour,
        ids: &[NetNsId],
        shared: &[u64],
        nodes: &[&NetNs],
    ) -> io::Result<()> {
        for id in ids {
            if !self.is_stale(*id) {
                continue;
            }
            let Some(found) = self.namespaces.get(id) else {
                continue;
            };
            let name = hostname::hostname(found, shared).or_else(|| found.file_name());
            match links_of(tour, &found.entrances(), *id, nodes)? {
                Some((links, pod_of)) => self.insert(*id, links, name, pod_of),
                None => {
                    self.entries.remove(id);
                }
            }
        }
        Ok(())
    }
}

/// The links of a namespace, and the node that it is a pod of by its links.
fn links_of(
    tour: &Tour,
    entrances: &[Entrance],
    id: NetNsId,
    nodes: &[&NetNs],
) -> io::Result<Option<(Vec<Link>, Option<NetNsId>)>> {
    let Some(namespace) = enter(entrances, id)? else {
        return Ok(None);
    };
    if tour.enter(&namespace).is_err() {
        return Ok(None);
    }
    let Some(mut netlink) = there(Netlink::open())? else {
        return Ok(None);
    };
    let links = links::read(&mut netlink, id, nodes).ok();
    Ok(links.map(|links| {
        let pod_of = pod_of(&links, &namespace, nodes);
        (links, pod_of)
    }))
}

/// The node with the device below a link (macvlan, ipvlan, VLAN), or the node that hardware was moved from:
/// it has an id for the namespace.
fn pod_of(links: &[Link], namespace: &NetNs, nodes: &[&NetNs]) -> Option<NetNsId> {
    let lower = links.iter().filter_map(|link| link.lower);
    let lower = lower.map(|(netns, _)| netns);
    let moved = || {
        let knows = |node: &&NetNs| {
            let mut netlink = Netlink::open_in(node).ok()?;
            netlink.nsid_of(namespace).ok()?
        };
        let mut nodes = nodes.iter().copied();
        nodes.find(|node| knows(node).is_some()).map(NetNs::id)
    };
    let mut leads = lower.filter(|netns| *netns != namespace.id());
    match links.iter().any(Link::is_hardware) {
        true => leads.next().or_else(moved),
        false => leads.next(),
    }
}
