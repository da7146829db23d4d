//! Finds nodes and their doors.
//!
//! Discovery is level-triggered: a notification only names *where* something changed; that place is
//! read again and compared. A lost notification (`ENOBUFS`), an interrupted dump or a namespace that
//! disappears during a scan therefore leaves no wrong state.

mod cache;
mod classify;
mod doors;
mod generations;
mod hostname;
mod links;
mod namespaces;
mod nodes;
mod scan;
mod select;
mod watch;

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::PathBuf,
};

use crate::{
    model::{Cluster, DoorId},
    sys::{
        entrance::{Entrance, enter},
        netns::{NetNs, NetNsId},
    },
};

pub(crate) use hostname::own_hostname;
pub(crate) use links::mac;
pub use links::{Link, join as links};
pub use scan::scan;
pub use select::{Selection, SelectionError};
pub use watch::{Watch, WatchError};

/// Nodes and doors, and the ways to reach them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Nodes and doors.
    pub cluster: Cluster,
    /// Ways into each namespace, the most durable first.
    pub entrances: HashMap<NetNsId, Vec<Entrance>>,
    /// Where each node's own files can be read: `/`, or `/proc/PID/root` of a process of the node.
    pub roots: HashMap<NetNsId, Vec<PathBuf>>,
    /// Generation counter of a door's filters, by namespace and index: bumped by each notification
    /// about them, absent before the first.
    pub filters: HashMap<(NetNsId, u32), u64>,
}

impl Discovered {
    /// Opens a namespace; `None` if it no longer exists.
    ///
    /// # Errors
    /// When no file can be opened at all.
    pub(crate) fn open(&self, netns: NetNsId) -> io::Result<Option<NetNs>> {
        let entrances = self.entrances.get(&netns);
        entrances.map_or(Ok(None), |entrances| enter(entrances, netns))
    }

    /// The root directories of the machine and of the nodes.
    pub(crate) fn all_roots(&self) -> Vec<PathBuf> {
        let nodes = self.roots.values();
        let nodes = nodes.filter_map(|paths| paths.first().cloned());
        let roots: BTreeSet<_> = nodes.chain([PathBuf::from("/")]).collect();
        roots.into_iter().collect()
    }

    /// Opens the namespace of a door; `None` if it no longer exists, or is unknown.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_for(&self, door: DoorId) -> io::Result<Option<NetNs>> {
        let netns = door.netns.known();
        netns.map_or(Ok(None), |netns| self.open(netns))
    }
}
