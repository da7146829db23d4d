//! Packets that the kernel dropped, with the names of devices, nodes and pods.

use std::{io, time::Duration};

use netviz_ebpf::drops::Dropped;
use tokio::sync::oneshot;

use crate::{
    model::{Door, DoorId, Side, Untrusted},
    sys::netns::NetNsId,
    verify::{
        collect::kernel_drops, context::View, facts::Note, observation::Dropping,
        verdict::DropReason,
    },
};

/// The packets that the kernel dropped during a run.
pub(super) struct Drops {
    /// `None` where the kernel's drops cannot be read: losses have no drop reason then.
    source: Option<kernel_drops::Drops>,
    dropped: Vec<Dropped>,
}

/// A source that starts on a thread.
type Starting = io::Result<oneshot::Receiver<Result<kernel_drops::Drops, String>>>;

impl Drops {
    pub(super) async fn new(starting: Starting) -> Self {
        let source = match starting {
            Ok(source) => source.await.map_err(|error| error.to_string()).flatten(),
            Err(error) => Err(error.to_string()),
        };
        let log = |error: &String| log::info!("no drop reasons: {error}");
        Self {
            source: source.inspect_err(log).ok(),
            dropped: Vec::new(),
        }
    }

    /// Empties the ring buffer.
    pub(super) fn read(&mut self) {
        if let Some(source) = &mut self.source {
            self.dropped.extend(source.take());
        }
    }

    /// Reports events that were lost because the buffer was full.
    pub(super) fn lost(&self) -> Option<Note> {
        let events = self.source.as_ref()?.unheard();
        (events > 0).then_some(Note::DropEventsLost { events })
    }

    /// All drops, by pair.
    pub(super) fn by_pair(&mut self, view: &View) -> Vec<(u32, Dropping)> {
        self.read();
        let dropped = std::mem::take(&mut self.dropped);
        match &self.source {
            Some(source) => named(source, dropped, view),
            None => Vec::new(),
        }
    }
}

fn named(source: &kernel_drops::Drops, all: Vec<Dropped>, view: &View) -> Vec<(u32, Dropping)> {
    let mut locations: Vec<_> = all.iter().map(|dropped| dropped.location).collect();
    locations.sort_unstable();
    locations.dedup();
    let functions = view.symbols.names(&locations);
    let dropping = |dropped: Dropped| {
        let netns = NetNsId(u64::from(dropped.netns));
        let (device, place) = location_of(view, netns, dropped.ifindex);
        let reason = DropReason {
            reason: source.word(dropped.reason),
            function: functions.get(&dropped.location).cloned(),
            device,
            place,
            packets: 1,
        };
        let dropping = Dropping {
            at: Duration::from_nanos(dropped.time),
            sequence: dropped.sequence,
            reason,
        };
        (dropped.flow, dropping)
    };
    all.into_iter().map(dropping).collect()
}

/// The device, and the node or pod whose network namespace it is in.
fn location_of(
    view: &View,
    netns: NetNsId,
    ifindex: u32,
) -> (Option<Untrusted>, Option<Untrusted>) {
    if ifindex == 0 {
        return (None, None);
    }
    let cluster = &view.cluster;
    let door = cluster.door(DoorId::new(netns, ifindex));
    let is_here = |door: &&Door| door.id.netns.known() == Some(netns);
    let neighbour = || cluster.doors.iter().find(is_here);
    let node = |index: usize| cluster.nodes.get(index).map(|node| node.name.clone());
    let place = door.or_else(neighbour).and_then(|near| match near.side {
        Side::Pod => near.pod.as_ref().map(|pod| format!("pod {pod}").into()),
        Side::Node => node(near.node),
        Side::Host if door.is_none() => Some("the machine".into()),
        Side::Host => node(near.node).map(|node| format!("the machine, outside of {node}").into()),
    });
    let name = match (door, ifindex) {
        (Some(door), _) => door.label().into(),
        (None, 1) => "lo".into(),
        // A device that is not a door, or that was left out.
        (None, _) => format!("interface {ifindex}").into(),
    };
    (Some(name), place)
}
