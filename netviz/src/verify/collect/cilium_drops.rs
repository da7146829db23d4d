//! What Cilium drops on each node during a run, by its own counters.

use std::{path::PathBuf, sync::mpsc};

use crate::{
    names::maps::drop_counters::{self, Drops},
    sys::threads::{Stop, Worker},
    verify::{context::View, observation::CiliumDrops},
};

/// A thread that has read the drop counters, and keeps the privileges to read them again.
pub(crate) struct CiliumDropping(Worker<CiliumDrops>);

/// Returns once the counters are read; `None` if no node has such a map, or there is no thread.
pub(crate) fn start(view: &View) -> Option<CiliumDropping> {
    let nodes = view.cluster.nodes.iter().enumerate();
    let nodes: Vec<(usize, Vec<PathBuf>)> = nodes
        .filter(|(_, node)| node.cilium)
        .filter_map(|(index, node)| Some((index, view.found.roots.get(&node.netns)?.clone())))
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
    let worker = Worker::start("netviz-drops", "reads Cilium's drop counters", work)
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
    /// Reads the counters again, and returns what was dropped in between.
    pub(crate) fn finish(self) -> CiliumDrops {
        self.0.finish().unwrap_or_default()
    }
}
