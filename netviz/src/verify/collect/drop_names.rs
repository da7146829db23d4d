//! What the kernel threw away, with the names that are known here.

use std::{io, time::Duration};

use netviz_ebpf::drops::Dropped;
use tokio::sync::oneshot;

use super::kernel_drops::Drops;
use crate::{
    model::{Door, DoorId, Side, Untrusted},
    sys::netns::NetNsId,
    verify::{context::View, observation::Dropping, verdict::DropReason},
};

/// Who listens, once it does. Where it cannot, there is no drop reason, and the log says why.
pub(crate) async fn listening(
    started: io::Result<oneshot::Receiver<Result<Drops, String>>>,
) -> Option<Drops> {
    let listening = match started {
        Ok(started) => started.await.map_err(|error| error.to_string()).flatten(),
        Err(error) => Err(error.to_string()),
    };
    listening
        .inspect_err(|why| log::info!("no drop reasons: {why}"))
        .ok()
}

/// What the kernel threw away in a round, until it is looked up who and where that was.
pub(crate) struct Hearing {
    drops: Option<Drops>,
    heard: Vec<Dropped>,
}

impl Hearing {
    pub(crate) fn new(drops: Option<Drops>) -> Self {
        let heard = Vec::new();
        Self { drops, heard }
    }

    /// Makes room for more.
    pub(crate) fn take(&mut self) {
        if let Some(drops) = &mut self.drops {
            self.heard.extend(drops.take());
        }
    }

    /// What is to be said of a loss without a reason where not all could be heard.
    pub(crate) fn unheard(&self) -> Option<String> {
        let unheard = self.drops.as_ref()?.unheard();
        (unheard > 0).then(|| {
            format!(
                "the kernel threw away {unheard} packets more, of whichever pairs, and its reasons could not be kept: a loss without a reason may have one; send fewer, or slower"
            )
        })
    }

    /// What was heard, by pair.
    pub(crate) fn by_pair(&mut self, look: &View) -> Vec<(u32, Dropping)> {
        self.take();
        let heard = std::mem::take(&mut self.heard);
        match &self.drops {
            Some(drops) => named(drops, heard, look),
            None => Vec::new(),
        }
    }
}

fn named(drops: &Drops, heard: Vec<Dropped>, look: &View) -> Vec<(u32, Dropping)> {
    let mut locations: Vec<_> = heard.iter().map(|dropped| dropped.location).collect();
    locations.sort_unstable();
    locations.dedup();
    let functions = look.symbols.names(&locations);
    let dropping = |dropped: Dropped| {
        let netns = NetNsId(u64::from(dropped.netns));
        let (device, place) = whereabouts(look, netns, dropped.ifindex);
        let reason = DropReason {
            reason: drops.word(dropped.reason),
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
    heard.into_iter().map(dropping).collect()
}

/// The device, and the node or pod in whose namespace it is.
fn whereabouts(
    look: &View,
    netns: NetNsId,
    ifindex: u32,
) -> (Option<Untrusted>, Option<Untrusted>) {
    if ifindex == 0 {
        return (None, None);
    }
    let id = DoorId::new(netns, ifindex);
    let cluster = &look.cluster;
    let node = |index: usize| cluster.nodes.get(index).map(|node| node.name.clone());
    if let Some(door) = cluster.door(id) {
        let place = match door.side {
            Side::Pod => door.pod.as_ref().map(|pod| format!("pod {pod}").into()),
            Side::Node => node(door.node),
            Side::Host => {
                node(door.node).map(|node| format!("the machine, outside of {node}").into())
            }
        };
        return (Some(door.label().into()), place);
    }
    // Not a door: the loopback device, or one that was left out.
    let here = |door: &&Door| door.id.netns.known() == Some(netns);
    let place = cluster
        .doors
        .iter()
        .find(here)
        .and_then(|door| match door.side {
            Side::Pod => door.pod.as_ref().map(|pod| format!("pod {pod}").into()),
            Side::Node => node(door.node),
            Side::Host => Some("the machine".into()),
        });
    let name = if ifindex == 1 {
        "lo".into()
    } else {
        format!("interface {ifindex}").into()
    };
    (Some(name), place)
}
