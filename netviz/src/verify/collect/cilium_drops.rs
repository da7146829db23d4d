//! What Cilium dropped on each node while packets were sent: the datapath's own word on a loss.

use std::{collections::BTreeMap, path::PathBuf, sync::mpsc, thread};

use crate::{
    names::maps::drop_counters::{self, Drops},
    sys::threads,
    verify::context::View,
};

/// Reasons by index of the node, most packets first.
pub(crate) type CiliumDrops = BTreeMap<usize, Vec<String>>;

/// Reasons that are said, at the most: on a node with traffic there is always something.
pub(crate) const MOST: usize = 3;

/// A thread that has read what was dropped before, and has privileges of its own to read it again.
pub(crate) struct CiliumDropping {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<CiliumDrops>,
}

/// Returns once it was read. `None` where no node has such a map, or no thread could be had: nobody
/// waits for this.
pub(crate) fn start(look: &View) -> Option<CiliumDropping> {
    let nodes = look.cluster.nodes.iter().enumerate();
    let nodes: Vec<(usize, Vec<PathBuf>)> = nodes
        .filter(|(_, node)| node.cilium)
        .filter_map(|(index, node)| Some((index, look.found.roots.get(&node.netns)?.clone())))
        .collect();
    let (end, ended) = mpsc::channel();
    let (ready, begun) = mpsc::channel();
    let work = move || {
        let read = |(index, roots): (usize, Vec<PathBuf>)| {
            let before = drop_counters::read(&roots)?;
            Some((index, roots, before))
        };
        let before: Vec<_> = nodes.into_iter().filter_map(read).collect();
        if ready.send(!before.is_empty()).is_err() || ended.recv().is_err() {
            return CiliumDrops::new();
        }
        before.into_iter().filter_map(more).collect()
    };
    let thread = threads::start("netviz-drops", "asks Cilium what it drops", work)
        .inspect_err(|error| log::warn!("{error}"))
        .ok()?;
    // Where it is dropped, the thread ends by itself.
    (begun.recv() == Ok(true)).then_some(CiliumDropping { end, thread })
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
        let told = self.end.send(());
        told.ok()
            .and_then(|()| self.thread.join().ok())
            .unwrap_or_default()
    }
}
