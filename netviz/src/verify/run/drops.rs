//! Packets that the kernel dropped, with the names of devices, nodes and pods.

use std::{io, time::Duration};

use netviz_ebpf::drops::Dropped;
use tokio::sync::oneshot;

use crate::{
    model::{DoorId, Side, Untrusted},
    sys::{netns::NetNsId, threads},
    verify::{
        DropReason, Dropping,
        collect::kernel_drops::{Drops, NoDrops},
        context::View,
        expect::doors::node_name,
    },
};

/// A source that starts on a thread.
pub(super) type Starting = io::Result<oneshot::Receiver<Result<Drops, NoDrops>>>;

pub(super) fn start(cookie: [u8; 16]) -> Starting {
    let purpose = "reads packets that the kernel drops";
    threads::aside(purpose, move || Drops::start(&cookie))
}

/// Waits for the source.
pub(super) async fn started(starting: Starting) -> Result<Drops, NoDrops> {
    let source = match starting {
        Ok(source) => source
            .await
            .map_err(|error| NoDrops::Other(error.to_string()))
            .flatten(),
        Err(error) => Err(NoDrops::Other(error.to_string())),
    };
    source.inspect_err(|error| log::info!("no drop reasons: {error}"))
}

/// The drops, with the numbers of their pairs.
pub(super) fn by_pair(source: &Drops, all: &[Dropped], view: &View) -> Vec<(u32, Dropping)> {
    let mut locations: Vec<_> = all.iter().map(|dropped| dropped.location).collect();
    locations.sort_unstable();
    locations.dedup();
    let functions = view.symbols.names(&locations);
    let dropping = |dropped: &Dropped| {
        let (device, place) = location(view, dropped);
        let dropping = Dropping {
            at: Duration::from_nanos(dropped.time),
            sequence: dropped.sequence,
            door: (dropped.ifindex > 0).then(|| door_id(dropped)),
            reason: DropReason {
                reason: source.word(dropped.reason),
                function: functions.get(&dropped.location).cloned(),
                device,
                place,
                packets: 1,
            },
        };
        (dropped.flow, dropping)
    };
    all.iter().map(dropping).collect()
}

fn door_id(dropped: &Dropped) -> DoorId {
    DoorId::new(NetNsId(u64::from(dropped.netns)), dropped.ifindex)
}

/// The device, and the node or pod whose network namespace it is in.
fn location(view: &View, dropped: &Dropped) -> (Option<Untrusted>, Option<Untrusted>) {
    let (cluster, netns) = (&view.cluster, NetNsId(u64::from(dropped.netns)));
    let door = cluster.door(door_id(dropped));
    let device = match (door, dropped.ifindex) {
        (_, 0) => return (None, None),
        (Some(door), _) => door.label(),
        (None, 1) => "lo".into(),
        // A device that is not a door, or that was left out.
        (None, ifindex) => format!("interface {ifindex}"),
    };
    let mut doors = cluster.doors.iter();
    let near = door.or_else(|| doors.find(|door| door.id.netns.known() == Some(netns)));
    let place = near.and_then(|near| match near.side {
        Side::Pod => near.pod.as_ref().map(|pod| format!("pod {pod}")),
        Side::Node => Some(node_name(cluster, near.node).into()),
        Side::Host if door.is_none() => Some("the machine".into()),
        Side::Host => {
            let node = node_name(cluster, near.node);
            Some(format!("the machine, outside of {node}"))
        }
    });
    (Some(device.into()), place.map(Into::into))
}
