//! What Cilium dropped on each node while packets were sent: the datapath's own word on a loss.

use std::{collections::BTreeMap, path::PathBuf, sync::mpsc};

use crate::{
    names::maps::drop_counters::{self, Drops},
    sys::threads::{Stop, Worker},
    verify::context::View,
};

/// Reasons by index of the node, most packets first.
pub(crate) type CiliumDrops = BTreeMap<usize, Vec<String>>;

/// Reasons that are said, at the most: on a node with traffic there is always something.
pub(crate) const MOST: usize = 3;

/// A thread that has read the drop counters, and keeps the privileges to read them again.
pub(crate) struct CiliumDropping(Worker<CiliumDrops>);

/// Returns once it was read. `None` where no node has such a map, or no thread could be had: nobody
/// waits for this.
pub(crate) fn start(look: &View) -> Option<CiliumDropping> {
    let nodes = look.cluster.nodes.iter().enumerate();
    let nodes: Vec<(usize, Vec<PathBuf>)> = nodes
        .filter(|(_, node)| node.cilium)
        .filter_map(|(index, node)| Some((index, look.found.roots.get(&node.netns)?.clone())))
        .collect();
    let (ready, begun) = mpsc::channel();
    let work = move |stop: &Stop| {
        let read = |(index, roots): (usize, Vec<PathBuf>)| {
            let before = drop_counters::read(&roots)?;
            Some((index, roots, before))
        };
        let before: Vec<_> = nodes.into_iter().filter_map(read).collect();
        if ready.send(!before.is_empty()).is_ok() {
            stop.wait();
        }
        before.into_iter().filter_map(more).collect()
    };
    let worker = Worker::start("netviz-drops", "asks Cilium what it drops", work)
        .inspect_err(|error| log::warn!("{error}"))
        .ok()?;
    (begun.recv() == Ok(true)).then_some(CiliumDropping(worker))
}

fn more((index, roots, before): (usize, Vec<PathBuf>, Drops)) -> Option<(usize, Vec<String>)> {
    Some((
        index,
        drop_counters::words(&before, &drop_counters::read(&roots)?),
    ))
}

impl CiliumDropping {
    /// Reads it again: what was dropped meanwhile.
    pub(crate) fn finish(self) -> CiliumDrops {
        self.0.finish().unwrap_or_default()
    }
}
