//! What earlier looks read, kept until something says that it may be otherwise.
//!
//! Every question about an interface waits for the lock that whoever attaches anywhere on the
//! machine holds for 9 ms at a time, so a namespace is only read again when a notification names
//! it. What no notification tells is read again by and by ([`Memory::age`]).

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    hostname,
    links::{self, Link},
    namespaces::{self, Index, Place},
    nodes::open,
    notifications::Whence,
};
use crate::sys::{
    descriptors::there,
    netlink::Netlink,
    netns::{NetNs, NetNsId, Tour},
};

/// A pod's hostname may be set after its namespace was first read.
const SETTLED: Duration = Duration::from_secs(2);
/// After so long anything is read again, …
const OLD: Duration = Duration::from_secs(30);
/// … this many at once.
const OLD_AT_ONCE: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Which namespaces there are.
    pub(super) places: BTreeMap<NetNsId, Place>,
    /// What was not looked at for that.
    pub(super) left_out: Option<String>,
    /// Whether `places` are those of this look.
    indexed: bool,
    rooms: HashMap<NetNsId, Room>,
    /// By node: which namespaces it knows by which id.
    ids: HashMap<NetNsId, HashMap<i32, NetNsId>>,
    /// Which namespaces hold `cilium_host`.
    pub(super) cilium: HashMap<NetNsId, bool>,
    /// Since when nothing of that was forgotten.
    asked: Option<Instant>,
}

/// A namespace that was entered.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) links: BTreeMap<u32, Link>,
    /// The name of who is in it, the best that can be said.
    pub(super) name: Option<String>,
    read: Instant,
    first: bool,
    stale: bool,
}

impl Memory {
    /// A memory of nothing but which namespaces there are.
    pub(super) fn new() -> io::Result<Self> {
        let mut memory = Self::default();
        memory.index()?;
        Ok(memory)
    }

    /// A look begins.
    pub(super) fn begin(&mut self) {
        self.indexed = false;
    }

    /// Sees which namespaces there are, once in a look; the ones that are new or other than they
    /// were.
    pub(super) fn index(&mut self) -> io::Result<Vec<NetNsId>> {
        if self.indexed {
            return Ok(Vec::new());
        }
        let Index { places, left_out } = namespaces::index()?;
        let before = std::mem::replace(&mut self.places, places);
        self.left_out = left_out;
        self.indexed = true;
        let mut changed: HashSet<NetNsId> = HashSet::new();
        for id in before.keys().chain(self.places.keys()) {
            if before.get(id) != self.places.get(id) {
                changed.insert(*id);
            }
        }
        for id in &changed {
            self.forget(*id);
        }
        Ok(changed.into_iter().collect())
    }

    /// Whether the namespaces were seen in this look already.
    pub(super) fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// Another namespace may stand under this identity.
    fn forget(&mut self, id: NetNsId) {
        self.rooms.remove(&id);
        self.cilium.remove(&id);
        for ids in self.ids.values_mut() {
            ids.retain(|_, known| *known != id);
        }
    }

    /// Nothing is certain any more.
    pub(super) fn clear(&mut self) {
        self.rooms.clear();
        self.ids.clear();
        self.cilium.clear();
    }

    /// A node's socket told of a change.
    pub(super) fn changed(&mut self, node: NetNsId, whence: Whence) {
        let id = self.whose(node, whence);
        if let Some(room) = id.and_then(|id| self.rooms.get_mut(&id)) {
            room.stale = true;
        }
    }

    /// A node knows a namespace by an id, or no more.
    pub(super) fn reassigned(&mut self, node: NetNsId, nsid: i32) {
        let known = self.ids.get_mut(&node).and_then(|ids| ids.remove(&nsid));
        if let Some(id) = known {
            self.rooms.remove(&id);
        }
    }

    /// Marks what was read long ago; true when there is something to be read again.
    pub(super) fn age(&mut self) -> bool {
        if self.asked.is_none_or(|asked| asked.elapsed() > OLD) {
            self.cilium.retain(|_, cilium| *cilium);
            self.asked = Some(Instant::now());
        }
        let mut old: Vec<&mut Room> = self
            .rooms
            .values_mut()
            .filter(|room| room.read.elapsed() > if room.first { SETTLED } else { OLD })
            .collect();
        old.sort_by_key(|room| room.read);
        old.truncate(OLD_AT_ONCE);
        for room in &mut old {
            room.stale = true;
        }
        !old.is_empty()
    }

    /// The namespace of which a node's socket told.
    pub(super) fn whose(&self, node: NetNsId, whence: Whence) -> Option<NetNsId> {
        match whence {
            Whence::Own => Some(node),
            Whence::Far(nsid) => self.id(node, nsid),
        }
    }

    pub(super) fn id(&self, node: NetNsId, nsid: i32) -> Option<NetNsId> {
        self.ids.get(&node)?.get(&nsid).copied()
    }

    pub(super) fn room(&self, id: NetNsId) -> Option<&Room> {
        self.rooms.get(&id)
    }

    /// Keeps what belongs to these namespaces alone.
    pub(super) fn retain(
        &mut self,
        rooms: impl Fn(NetNsId) -> bool,
        nodes: impl Fn(NetNsId) -> bool,
    ) {
        self.rooms.retain(|id, _| rooms(*id));
        self.ids.retain(|id, _| nodes(*id));
    }

    /// Whether it has to be read: it never was, or may have changed.
    pub(super) fn is_stale(&self, id: NetNsId) -> bool {
        self.rooms.get(&id).is_none_or(|room| room.stale)
    }

    pub(super) fn spoil(&mut self, id: NetNsId) {
        if let Some(room) = self.rooms.get_mut(&id) {
            room.stale = true;
        }
    }

    /// Takes in what was read.
    pub(super) fn keep(&mut self, id: NetNsId, links: Vec<Link>, name: Option<String>) {
        let room = Room {
            links: links.into_iter().map(|link| (link.index, link)).collect(),
            name,
            read: Instant::now(),
            first: !self.rooms.contains_key(&id),
            stale: false,
        };
        self.rooms.insert(id, room);
    }

    /// Finds the namespaces that `node` knows by the ids `wanted`, as far as they can be found.
    pub(super) fn resolve(&mut self, node: &NetNs, wanted: &HashSet<i32>) -> io::Result<()> {
        let missing = |memory: &Self| {
            let known = memory.ids.get(&node.id());
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
        for (id, place) in &self.places {
            if *id == node.id() || known.contains(id) {
                continue;
            }
            let Some(namespace) = open(&place.paths(), *id)? else {
                continue;
            };
            if let Ok(Some(nsid)) = netlink.nsid_of(&namespace) {
                ids.insert(nsid, *id);
            }
        }
        Ok(())
    }

    /// Reads the namespaces that have to be read.
    pub(super) fn read(&mut self, tour: &Tour, ids: &[NetNsId], shared: &[u64]) -> io::Result<()> {
        for id in ids {
            if !self.is_stale(*id) {
                continue;
            }
            let Some(place) = self.places.get(id) else {
                continue;
            };
            let name = hostname::hostname(place, shared).or_else(|| place.file_name());
            match links_of(tour, &place.paths(), *id)? {
                Some(links) => self.keep(*id, links, name),
                None => {
                    self.rooms.remove(id);
                }
            }
        }
        Ok(())
    }
}

fn links_of(tour: &Tour, paths: &[PathBuf], id: NetNsId) -> io::Result<Option<Vec<Link>>> {
    let namespace = open(paths, id)?;
    if namespace.is_none_or(|it| tour.enter(&it).is_err()) {
        return Ok(None);
    }
    let netlink = there(Netlink::open())?;
    Ok(netlink.and_then(|mut netlink| links::read(&mut netlink).ok()))
}
