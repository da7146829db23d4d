//! The flows of each interface, named, filtered and sorted: what table, JSON and CSV show.

use std::{cmp::Ordering, collections::HashSet, net::IpAddr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    owners::{Owner, Owners},
    services::{Services, Translation},
};
use crate::{
    model::{
        Counts, Direction, DoorFlows, DoorId, DoorState, Flow, FlowMemory, OutsideFlows, Reason,
        Side, Snapshot, Traffic, Untrusted,
    },
    views::query::Query,
};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.flows/1";

/// The order of flows, and of interfaces by the sum of their flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FlowSort {
    /// Most bytes first.
    #[default]
    Bytes,
    /// Most packets first.
    Packets,
    /// Most bytes per second first.
    Rate,
    /// Last seen first.
    Recent,
    /// Most retransmitted TCP segments first.
    Retransmitted,
}

/// Which flows to show.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// Flows to leave out.
    pub query: Query,
    /// Their order.
    pub sort: FlowSort,
    /// The most flows of an interface; `None`: all.
    pub top: Option<usize>,
    /// Interfaces; `None`: all at which flows are counted.
    pub doors: Option<HashSet<DoorId>>,
}

/// The flows of all interfaces at which they are counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowReport {
    /// `netviz.flows/1`.
    pub schema: String,
    /// Wall-clock time, UTC.
    pub taken_at: String,
    /// Length of the window of the rates in seconds.
    pub window_seconds: Option<f64>,
    /// Interfaces at which flows are counted, the busiest first. A packet crosses several: never to be
    /// summed.
    pub doors: Vec<TopTalkers>,
    /// Interfaces at which flows should be counted, and are not.
    pub uncounted: Vec<Uncounted>,
    /// Addresses that several pods, nodes or services have: they are not named.
    pub ambiguous: Vec<IpAddr>,
    /// Memory for flows.
    pub memory: Option<FlowMemory>,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
}

/// An interface at which flows are not counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Uncounted {
    /// Identity.
    pub id: DoorId,
    /// Name of its node.
    pub node: Untrusted,
    /// Its pod.
    pub pod: Option<Untrusted>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<Untrusted>,
    /// Interface name.
    pub interface: Option<Untrusted>,
    /// Why.
    pub reason: Option<Reason>,
}

/// The flows of one interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopTalkers {
    /// Identity.
    pub id: DoorId,
    /// Name of its node.
    pub node: Untrusted,
    /// Its pod.
    pub pod: Option<Untrusted>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<Untrusted>,
    /// Interface name.
    pub interface: Option<Untrusted>,
    /// Since when its flows are counted: Unix time in milliseconds.
    pub since_ms: u64,
    /// Its flows, in the order that was asked for.
    pub flows: Vec<NamedFlow>,
    /// Why its flows are not counted.
    pub reason: Option<Reason>,
    /// Flows beyond the most to show.
    pub more: Rest,
    /// Flows that the filter left out.
    pub filtered: Rest,
    /// Packets in no flow at the ingress hook.
    pub ingress: OutsideFlows,
    /// Packets in no flow at the egress hook.
    pub egress: OutsideFlows,
    /// All packets of the ingress hook: the sum of its flows and of what is in none.
    pub ingress_total: Traffic,
    /// All packets of the egress hook.
    pub egress_total: Traffic,
}

/// Flows that are only counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rest {
    /// Their number.
    pub flows: u64,
    /// Their packets.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A flow, and who its ends are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamedFlow {
    /// The flow.
    #[serde(flatten)]
    pub flow: Flow,
    /// Who has the source address; `null`: nobody here, and no source knows it.
    pub source_owner: Option<Owner>,
    /// Who has the destination address.
    pub destination_owner: Option<Owner>,
    /// The service's address and the backend's, where the flow was seen under both.
    pub translation: Option<Translation>,
    /// Who has the address that was asked for: the service.
    pub asked_for: Option<Owner>,
    /// Who has the backend's address.
    pub answered_by: Option<Owner>,
    /// The node that sent the tunnel packets.
    pub tunnel_from: Option<Untrusted>,
    /// The node that receives them.
    pub tunnel_to: Option<Untrusted>,
}

/// What is needed to name flows.
pub(super) struct Naming<'a> {
    pub(super) owners: &'a Owners,
    pub(super) services: Services<'a>,
}

impl Naming<'_> {
    /// A flow of `door`, named.
    pub(super) fn named(&self, door: &DoorState, flow: &Flow) -> NamedFlow {
        let owner = |address: IpAddr| match self.own(door, flow, address) {
            Some(owner) => Some(owner),
            None => self.owners.of(address).cloned(),
        };
        let node = |address: IpAddr| self.owners.of(address)?.node().cloned();
        let translation = self.services.translation(&flow.key);
        NamedFlow {
            flow: *flow,
            source_owner: owner(flow.key.source),
            destination_owner: owner(flow.key.destination),
            translation,
            asked_for: translation.and_then(|it| self.owners.of(it.asked.ip()).cloned()),
            answered_by: translation.and_then(|it| self.owners.of(it.answered.ip()).cloned()),
            tunnel_from: flow.outer.and_then(|outer| node(outer.source?)),
            tunnel_to: flow.outer.and_then(|outer| node(outer.destination?)),
        }
    }

    /// The pod whose interface this is, if the address is its own: certain, also where another cluster
    /// on this machine uses the same addresses.
    fn own(&self, door: &DoorState, flow: &Flow, address: IpAddr) -> Option<Owner> {
        if door.side != Side::Pod || flow.key.tunnel.is_some() {
            return None;
        }
        let mut addresses = door.addresses.iter().map(IpNet::addr);
        addresses.find(|own| *own == address)?;
        self.owners.of_netns(door.netns?).cloned()
    }
}

impl FlowReport {
    /// The flows of a snapshot.
    #[must_use]
    pub fn new(snapshot: &Snapshot, selected: &Selected) -> Self {
        let owners = Owners::new(snapshot);
        let naming = Naming {
            owners: &owners,
            services: Services::new(snapshot, &owners),
        };
        let counted = |door: &DoorState| {
            let flows = door.flows.as_ref()?;
            Some(TopTalkers::new(door, flows, &naming, selected))
        };
        let wanted = || snapshot.doors.iter().filter(|door| selected.has(door.id));
        let mut doors: Vec<_> = wanted().filter_map(counted).collect();
        let missing = wanted().filter(|door| selected.doors.is_some() && door.flows.is_none());
        let sum = |door: &TopTalkers| {
            let flows = door
                .flows
                .iter()
                .map(|flow| figure(&flow.flow, selected.sort));
            match selected.sort {
                FlowSort::Recent => flows.fold(0.0, f64::max),
                _ => flows.sum(),
            }
        };
        doors.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
        Self {
            schema: SCHEMA.into(),
            taken_at: snapshot.taken_at.clone(),
            window_seconds: snapshot.window_seconds,
            uncounted: missing.map(Uncounted::of).collect(),
            ambiguous: ambiguous(&doors),
            doors,
            memory: snapshot.flow_memory,
            notes: snapshot.notes.clone(),
        }
    }
}

impl Selected {
    fn has(&self, door: DoorId) -> bool {
        self.doors
            .as_ref()
            .is_none_or(|doors| doors.contains(&door))
    }
}

impl Uncounted {
    fn of(door: &DoorState) -> Self {
        Self {
            id: door.id,
            node: door.node.clone(),
            pod: door.pod.clone(),
            namespace: door.namespace.clone(),
            interface: door.interface.clone(),
            reason: door.reason.clone(),
        }
    }
}

impl TopTalkers {
    fn new(
        door: &DoorState,
        all: &DoorFlows,
        naming: &Naming<'_>,
        Selected {
            query, sort, top, ..
        }: &Selected,
    ) -> Self {
        let named = |flow: &&Flow| naming.named(door, flow);
        let mut flows: Vec<&Flow> = all.flows.iter().collect();
        let mut left_out = Vec::new();
        // Without a filter, only those that are shown need names.
        if !query.is_empty() {
            (flows, left_out) = flows.into_iter().partition(|flow| query.fits(&named(flow)));
        }
        flows.sort_by(|a, b| order(a, b, *sort));
        let more = flows.split_off(top.unwrap_or(usize::MAX).min(flows.len()));
        let (more, filtered) = (Rest::of(&more), Rest::of(&left_out));
        let flows = flows.iter().map(named).collect();
        Self {
            id: door.id,
            node: door.node.clone(),
            pod: door.pod.clone(),
            namespace: door.namespace.clone(),
            interface: door.interface.clone(),
            since_ms: all.since_ms,
            flows,
            reason: all.reason.clone(),
            more,
            filtered,
            ingress: all.ingress,
            egress: all.egress,
            ingress_total: door.ingress,
            egress_total: door.egress,
        }
    }

    /// `namespace/name` of its pod.
    #[must_use]
    pub fn pod_label(&self) -> Option<Untrusted> {
        Some(self.pod.as_ref()?.within(self.namespace.as_ref()))
    }

    /// The packets of one hook that are in no flow.
    #[must_use]
    pub fn outside(&self, direction: Direction) -> &OutsideFlows {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl Rest {
    fn of(flows: &[&Flow]) -> Self {
        let counts = flows.iter().map(|flow| flow.counts.counts);
        Self {
            flows: flows.len() as u64,
            counts: counts.fold(Counts::default(), |sum, own| sum + own),
        }
    }
}

/// The figure by which to sort.
fn figure(flow: &Flow, by: FlowSort) -> f64 {
    let counts = &flow.counts;
    match by {
        FlowSort::Bytes => counts.counts.bytes as f64,
        FlowSort::Packets => counts.counts.packets as f64,
        FlowSort::Rate => flow.bytes_per_second.unwrap_or(0.0),
        FlowSort::Recent => counts.last_seen_ms as f64,
        FlowSort::Retransmitted => counts.retransmitted as f64,
    }
}

fn order(a: &Flow, b: &Flow, by: FlowSort) -> Ordering {
    let figures = figure(b, by).total_cmp(&figure(a, by));
    // The same order in every reading.
    let bytes = || figure(b, FlowSort::Bytes).total_cmp(&figure(a, FlowSort::Bytes));
    let keys = || (a.direction, a.key).cmp(&(b.direction, b.key));
    figures.then_with(bytes).then_with(keys)
}

fn ambiguous(doors: &[TopTalkers]) -> Vec<IpAddr> {
    let flows = doors.iter().flat_map(|door| &door.flows);
    let ends = flows.flat_map(|flow| {
        let key = &flow.flow.key;
        [
            (key.source, &flow.source_owner),
            (key.destination, &flow.destination_owner),
        ]
    });
    let shared = ends.filter(|(_, owner)| **owner == Some(Owner::Ambiguous));
    let mut addresses: Vec<_> = shared.map(|(address, _)| address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}
