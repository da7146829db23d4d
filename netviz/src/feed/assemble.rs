//! A snapshot, assembled from what was found and what was counted.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::{Timestamp, Unit};

use crate::{
    count::{LossTracker, PairStats, StatsByDirection},
    model::{
        AttachState, Chain, Cluster, Counts, Direction, Door, DoorId, DoorSample, DoorState,
        LinkKind, Lower, NetNsId, Pair, PairDirection, PairView, Programs, Rates, Reason, Role,
        SCHEMA, Sample, Side, Snapshot, State, Traffic, Untrusted, rounded,
    },
};

/// How long after a gap the reason of a door mentions it.
const GAP_IS_NEWS: Duration = Duration::from_secs(60);

/// Assembles a snapshot. `previous` gives the rates and, through `losses`, what the veth pairs lost.
#[must_use]
pub fn assemble(
    cluster: &Cluster,
    previous: Option<&Sample>,
    now: &Sample,
    losses: &mut LossTracker,
    taken_at: Timestamp,
) -> Snapshot {
    let places = cluster.places();
    let pairs = cluster.pairs_among(&places);
    let mut flows = previous.map_or_else(StatsByDirection::new, |before| {
        losses.observe(&pairs, before, now)
    });
    let shared = below_macvlan(cluster);
    for ((_, to), flow) in &mut flows {
        if shared.contains(to) {
            flow.skipped = 0;
        }
    }
    let window = previous.map(|before| now.at.saturating_sub(before.at).as_secs_f64());
    let view = View {
        cluster,
        places: &places,
        previous,
        now,
        window,
        flows: &flows,
    };
    Snapshot {
        schema: SCHEMA.into(),
        taken_at: milliseconds(taken_at).to_string(),
        window_seconds: window.map(rounded),
        nodes: cluster.nodes.clone(),
        doors: cluster.doors.iter().map(|door| view.door(door)).collect(),
        pairs: pairs.iter().filter_map(|pair| view.pair(*pair)).collect(),
        sources: cluster.sources.clone(),
        pods: cluster.pods.clone(),
        disagreements: cluster.disagreements.clone(),
        notes: cluster.notes.clone(),
        directory: None,
        flow_memory: None,
    }
}

/// A snapshot of a cluster without counters.
pub(crate) fn uncounted(cluster: &Cluster, taken_at: Timestamp) -> Snapshot {
    let sample = DoorSample {
        meter: AttachState::Counting,
        ..DoorSample::default()
    };
    let doors = cluster.doors.iter().map(|door| (door.id, sample.clone()));
    let sample = Sample {
        doors: doors.collect(),
        ..Sample::default()
    };
    assemble(
        cluster,
        None,
        &sample,
        &mut LossTracker::default(),
        taken_at,
    )
}

struct View<'a> {
    cluster: &'a Cluster,
    places: &'a HashMap<DoorId, usize>,
    previous: Option<&'a Sample>,
    now: &'a Sample,
    window: Option<f64>,
    flows: &'a StatsByDirection,
}

impl View<'_> {
    fn door(&self, door: &Door) -> DoorState {
        let unknown = DoorSample::default();
        let sample = self.now.doors.get(&door.id).unwrap_or(&unknown);
        let before = self.previous.and_then(|p| p.doors.get(&door.id));
        let (state, reason) = self.state(door, sample);
        DoorState {
            id: door.id,
            node: self
                .cluster
                .nodes
                .get(door.node)
                .map_or_else(Untrusted::default, |n| n.name.clone()),
            node_netns: self
                .cluster
                .nodes
                .get(door.node)
                .map_or_else(NetNsId::default, |n| n.netns),
            side: door.side,
            role: door.role,
            pod: door.pod.as_ref().map(Into::into),
            namespace: door.namespace.as_ref().map(Into::into),
            named_by: door.named_by,
            interface: interface(door),
            ifindex: door.id.ifindex,
            peer_ifindex: door.peer.as_ref().map(|peer| peer.id.ifindex),
            peer_interface: door
                .peer
                .as_ref()
                .and_then(|peer| Some(peer.interface.as_ref()?.into())),
            lower: door.lower.as_ref().map(|lower| Lower {
                netns: lower.id.netns.known(),
                ifindex: lower.id.ifindex,
                interface: lower.interface.as_ref().map(Into::into),
            }),
            netns: door.id.netns.known(),
            kind: door.kind.clone(),
            addresses: door.addresses.clone(),
            mac: door.mac.clone(),
            mtu: door.mtu,
            link_state: door.link_state,
            state,
            reason,
            counted_seconds: sample
                .since
                .map(|since| rounded(self.now.at.saturating_sub(since).as_secs_f64())),
            gaps: sample.epoch,
            last_gap_seconds: sample.gap.map(|gap| rounded(gap.length.as_secs_f64())),
            ingress: self.traffic(before, sample, Direction::Ingress),
            egress: self.traffic(before, sample, Direction::Egress),
            programs: Programs {
                ingress: sample.ingress_chain.clone(),
                egress: sample.egress_chain.clone(),
            },
            flows: None,
        }
    }

    fn traffic(
        &self,
        before: Option<&DoorSample>,
        sample: &DoorSample,
        direction: Direction,
    ) -> Traffic {
        let Some(counts) = sample.counts(direction) else {
            return Traffic::default();
        };
        let before = before.and_then(|before| before.counts(direction));
        let rates = rates(before, counts, self.window);
        Traffic {
            packets: Some(counts.packets),
            segments: Some(counts.segments),
            bytes: Some(counts.bytes),
            packets_per_second: rates.map(|r| r.packets),
            bytes_per_second: rates.map(|r| r.bytes),
        }
    }

    fn state(&self, door: &Door, sample: &DoorSample) -> (State, Option<Reason>) {
        match (&door.problem, &sample.meter) {
            (_, AttachState::Gone) => (State::Gone, Some(Reason::Gone)),
            (Some(reason), _) | (None, AttachState::Failed(reason)) => {
                (State::Blind, Some(reason.clone()))
            }
            (None, AttachState::Pending) => (State::Blind, Some(Reason::Pending)),
            (None, AttachState::Counting) => self.counting(door, sample),
        }
    }

    fn counting(&self, door: &Door, sample: &DoorSample) -> (State, Option<Reason>) {
        let displaced = Direction::BOTH
            .into_iter()
            .find_map(|direction| Reason::displaced(direction, sample.chain(direction)));
        if displaced.is_some() {
            return (State::Blind, displaced);
        }
        let flow = self.outward(door);
        if flow.skipped > 0 {
            return (State::Bypassed, Some(self.skipped(door, flow.skipped)));
        }
        let lost = (flow.missing > 0).then(|| {
            let peer = door.peer.as_ref().and_then(|peer| self.find(peer.id));
            let to = peer.map_or_else(|| "its peer".into(), Door::label);
            missing(flow.missing, to, sample.egress_chain.as_ref())
        });
        (State::Counting, lost.or_else(|| self.gap(sample)))
    }

    fn gap(&self, sample: &DoorSample) -> Option<Reason> {
        let gap = sample.gap?;
        let recent = self.now.at.saturating_sub(gap.ended) < GAP_IS_NEWS;
        let milliseconds = u64::try_from(gap.length.as_millis()).unwrap_or(u64::MAX);
        recent.then_some(Reason::Gap { milliseconds })
    }

    /// Only Cilium redirects from a pod's interface on the node past it.
    fn skipped(&self, from: &Door, segments: u64) -> Reason {
        let node = self.cluster.nodes.get(from.node);
        let by_peer = from.side == Side::Node
            && matches!(from.role, Role::Pod | Role::Health)
            && node.is_some_and(|node| node.cilium);
        Reason::Skipped {
            segments,
            helper: by_peer.then(|| "bpf_redirect_peer".into()),
        }
    }

    fn outward(&self, door: &Door) -> PairStats {
        let peer = door.peer.as_ref().map(|peer| peer.id);
        peer.and_then(|peer| self.flows.get(&(door.id, peer)))
            .copied()
            .unwrap_or_default()
    }

    fn find(&self, id: DoorId) -> Option<&Door> {
        self.cluster.doors.get(*self.places.get(&id)?)
    }

    fn pair(&self, pair: Pair) -> Option<PairView> {
        let end = |id| Some((self.find(id)?, self.now.doors.get(&id)));
        let (first, second) = (end(pair.first)?, end(pair.second)?);
        Some(PairView {
            ends: [first.0.id, second.0.id],
            node: self.cluster.nodes.get(first.0.node)?.name.clone(),
            pod: [first.0, second.0]
                .into_iter()
                .find_map(|door| Some(door.pod.as_ref()?.into())),
            directions: [self.direction(first, second), self.direction(second, first)],
        })
    }

    fn direction(
        &self,
        (from, leaving): (&Door, Option<&DoorSample>),
        (to, entering): (&Door, Option<&DoorSample>),
    ) -> PairDirection {
        let segments =
            |sample: Option<&DoorSample>, direction| Some(sample?.counts(direction)?.segments);
        let flow = self.flows.get(&(from.id, to.id));
        let chain = leaving.and_then(|sample| sample.egress_chain.as_ref());
        let reason = flow.and_then(|flow| match (flow.missing, flow.skipped) {
            (0, 0) => None,
            (0, skipped) => Some(self.skipped(from, skipped)),
            (missing, _) => Some(self::missing(missing, to.label(), chain)),
        });
        PairDirection {
            from: interface(from),
            to: interface(to),
            out: segments(leaving, Direction::Egress),
            into: segments(entering, Direction::Ingress),
            missing: flow.map(|flow| flow.missing),
            skipped: flow.map(|flow| flow.skipped),
            reason,
        }
    }
}

/// The devices below macvlan interfaces: what those send to each other comes in there, and no program
/// redirected it past the other end.
fn below_macvlan(cluster: &Cluster) -> HashSet<DoorId> {
    let doors = cluster.doors.iter();
    let macvlans = doors.filter(|door| door.kind == Some(LinkKind::Macvlan));
    let lower = macvlans.filter_map(|door| door.lower.as_ref());
    lower.map(|lower| lower.id).collect()
}

fn interface(door: &Door) -> Option<Untrusted> {
    (!door.interface.is_empty()).then(|| (&door.interface).into())
}

fn rates(before: Option<Counts>, now: Counts, window: Option<f64>) -> Option<Rates> {
    let seconds = window.filter(|seconds| *seconds > 0.0)?;
    let before = before?;
    Some(Rates {
        packets: rounded(now.packets.saturating_sub(before.packets) as f64 / seconds),
        bytes: rounded(now.bytes.saturating_sub(before.bytes) as f64 / seconds),
    })
}

fn milliseconds(time: Timestamp) -> Timestamp {
    time.round(Unit::Millisecond).unwrap_or(time)
}

fn missing(segments: u64, to: String, chain: Option<&Chain>) -> Reason {
    Reason::Missing {
        segments,
        to: to.into(),
        behind: chain.map(|chain| chain.behind.clone()),
    }
}
