//! What Cilium drops on each node during a run, by its own counters.

use std::{path::PathBuf, sync::mpsc};

use crate::{
    names::maps::drop_counters,
    sys::threads::{Stop, Worker},
    verify::{CiliumDrops, context::View},
};

/// Starts a thread that has read the drop counters when this returns, and keeps the privileges to read
/// them again: it returns the drops in between. `None` if no node has such a map, or there is no thread.
pub(crate) fn start(view: &View) -> Option<Worker<CiliumDrops>> {
    let nodes = view.cluster.nodes.iter().enumerate();
    let nodes: Vec<(usize, Vec<PathBuf>)> = nodes
        .filter(|(_, node)| node.cilium)
        .filter_map(|(index, node)| Some((index, view.found.roots.get(&node.netns)?.clone())))
        .collect();
    let (ready, begun) = mpsc::channel();
    let work = move |stop: &Stop| {
        let nodes = nodes.into_iter();
        let before: Vec<_> = nodes
            .filter_map(|(index, roots)| Some((index, drop_counters::read(&roots)?, roots)))
            .collect();
        if ready.send(!before.is_empty()).is_ok() {
            stop.wait();
        }
        let between = before.into_iter().filter_map(|(index, before, roots)| {
            let after = drop_counters::read(&roots)?;
            Some((index, drop_counters::between(&before, &after)))
        });
        between.collect()
    };
    let worker = Worker::start("netviz-drops", "reads Cilium's drop counters", work)
        .inspect_err(|error| log::warn!("{error}"))
        .ok()?;
    (begun.recv() == Ok(true)).then_some(worker)
}
