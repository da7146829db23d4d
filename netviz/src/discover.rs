//! Finds nodes, their doors, and names for them.
//!
//! This module alone knows netlink and `/proc`. What it finds is level-triggered: a notification
//! only says *where* something changed, and then what is there is read again and compared. So a
//! lost notification (`ENOBUFS`), an interrupted dump or a namespace that vanishes half-way leave
//! nothing wrong behind.

mod cache;
mod classify;
mod generations;
mod hostname;
mod links;
pub(crate) mod namespaces;
mod nodes;
mod notifications;
mod scan;
mod select;
mod watch;

use std::{collections::HashMap, io, path::PathBuf};

use crate::{
    model::{Cluster, DoorId},
    sys::netns::{NetNs, NetNsId},
};

#[cfg(feature = "mutants")]
pub(crate) use links::join as links;
#[cfg(feature = "mutants")]
pub(crate) use notifications::deletions;
pub use scan::scan;
pub use select::{Selection, SelectionError};
pub use watch::{Watch, WatchError};

/// What was found, and the ways in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Nodes and doors.
    pub cluster: Cluster,
    /// Paths by which each namespace can be opened, the surest first. Paths and not handles: a
    /// handle would keep a pod's namespace alive after the pod.
    pub entrances: HashMap<NetNsId, Vec<PathBuf>>,
    /// Where each node's own files can be read: `/`, or `/proc/PID/root` of a process of the node.
    pub roots: HashMap<NetNsId, Vec<PathBuf>>,
    /// By namespace and index of an interface that is a door: a number that is another one after each
    /// change of its filters that was told of. Where nothing was told of, there is none.
    pub filters: HashMap<(NetNsId, u32), u64>,
}

impl Discovered {
    /// Opens a namespace; `None` where it is not there any more.
    ///
    /// # Errors
    /// When no file can be opened at all.
    pub(crate) fn open(&self, netns: NetNsId) -> io::Result<Option<NetNs>> {
        let paths = self.entrances.get(&netns);
        paths.map_or(Ok(None), |paths| nodes::open(paths, netns))
    }

    /// Opens the namespace in which a door is; `None` where that is not there any more, or unknown.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_for(&self, door: DoorId) -> io::Result<Option<NetNs>> {
        let netns = door.netns.known();
        netns.map_or(Ok(None), |netns| self.open(netns))
    }
}
