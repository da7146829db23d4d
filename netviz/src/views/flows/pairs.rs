//! Who talks with whom: one row for each pair of pods, and for a pod and a node, a service or the
//! outside.
//!
//! Each packet is counted once, where its sender's own interface sees it; if the sender has none here,
//! at the receiver's. Other interfaces on the way see the same packet again and are not used.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    owners::{Owner, Owners},
    report::{FlowSort, NamedFlow, Naming, Selected},
    services::Services,
};
use crate::model::{Counts, Direction, DoorId, DoorState, OutsideFlows, Side, Snapshot, rounded};

/// Name and version of the JSON form.
pub const PAIRS_SCHEMA: &str = "netviz.flow-pairs/1";

/// One side of a pair.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(untagged)]
pub enum Party {
    /// A pod, a node or a service.
    Known(Owner),
    /// Many.
    Group(Group),
}

/// Addresses that have no owner of their own.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Group {
    /// All addresses that no source knows.
    Outside,
    /// Multicast and broadcast addresses.
    Multicast,
}

/// Where packets of one direction were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountedAt {
    /// At the sender's own interface.
    Sender,
    /// At the receiver's: the sender's is not counted here.
    Receiver,
}

/// One direction of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairCounts {
    /// Packets, segments and bytes.
    #[serde(flatten)]
    pub counts: Counts,
    /// Packets per second in the window.
    pub packets_per_second: Option<f64>,
    /// Bytes per second in the window.
    pub bytes_per_second: Option<f64>,
    /// TCP segments, at the least, that were sent again.
    pub retransmitted: u64,
    /// Number of flows.
    pub flows: u64,
    /// Where they were counted.
    pub counted_at: CountedAt,
}

/// Two that talk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TalkingPair {
    /// A pod.
    pub a: Party,
    /// The other side.
    pub b: Party,
    /// What A sent; `null`: nothing was seen.
    pub a_to_b: Option<PairCounts>,
    /// What B sent.
    pub b_to_a: Option<PairCounts>,
}

/// All pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairReport {
    /// `netviz.flow-pairs/1`.
    pub schema: String,
    /// Wall-clock time, UTC.
    pub taken_at: String,
    /// Length of the window of the rates in seconds.
    pub window_seconds: Option<f64>,
    /// Pairs, in the order that was asked for.
    pub pairs: Vec<TalkingPair>,
    /// Number of pairs beyond the most to show.
    pub more: u64,
    /// Pods' interfaces at which flows were counted.
    pub interfaces: u64,
    /// Packets at these that are in no flow.
    pub outside_flows: OutsideFlows,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
}

impl TalkingPair {
    /// Both directions.
    pub(super) fn directions(&self) -> impl Iterator<Item = &PairCounts> {
        self.a_to_b.iter().chain(&self.b_to_a)
    }

    fn figure(&self, by: FlowSort) -> f64 {
        let figure = |it: &PairCounts| match by {
            FlowSort::Bytes | FlowSort::Recent => it.counts.bytes as f64,
            FlowSort::Packets => it.counts.packets as f64,
            FlowSort::Rate => it.bytes_per_second.unwrap_or(0.0),
            FlowSort::Retransmitted => it.retransmitted as f64,
        };
        self.directions().map(figure).sum()
    }
}

/// What one sender sent to one receiver.
type Sums = BTreeMap<(Party, Party), PairCounts>;

impl PairReport {
    /// The pairs of a snapshot.
    #[must_use]
    pub fn new(snapshot: &Snapshot, selected: &Selected) -> Self {
        let Selected {
            query, sort, top, ..
        } = selected;
        let owners = Owners::new(snapshot);
        let naming = Naming {
            owners: &owners,
            services: Services::new(snapshot, &owners),
        };
        let own = own_interfaces(snapshot, &owners);
        let counted: HashSet<&Owner> = own.iter().map(|own| own.pod).collect();
        let mut sums = Sums::new();
        let mut outside = OutsideFlows::default();
        for interface in &own {
            let flows = interface.door.flows.iter();
            for flow in flows.clone().flat_map(|it| &it.flows) {
                let named = naming.named(interface.door, flow);
                if query.fits(&named) {
                    interface.add(&named, &counted, &mut sums);
                }
            }
            for flows in flows {
                add_outside(&mut outside, &flows.ingress);
                add_outside(&mut outside, &flows.egress);
            }
        }
        let mut pairs = paired(sums);
        pairs.sort_by(|a, b| {
            let figures = b.figure(*sort).total_cmp(&a.figure(*sort));
            figures.then_with(|| (&a.a, &a.b).cmp(&(&b.a, &b.b)))
        });
        let more = pairs.split_off(top.unwrap_or(usize::MAX).min(pairs.len()));
        Self {
            schema: PAIRS_SCHEMA.into(),
            taken_at: snapshot.taken_at.clone(),
            window_seconds: snapshot.window_seconds,
            pairs,
            more: more.len() as u64,
            interfaces: own.len() as u64,
            outside_flows: outside,
            notes: snapshot.notes.clone(),
        }
    }
}

fn add_outside(sum: &mut OutsideFlows, own: &OutsideFlows) {
    sum.evicted = sum.evicted + own.evicted;
    sum.unparsed = sum.unparsed + own.unparsed;
    sum.unread = sum.unread + own.unread;
}

/// An interface that sees what one pod sends and receives, and nothing else.
struct OwnInterface<'a> {
    door: &'a DoorState,
    pod: &'a Owner,
    /// The hook that sees what the pod sends.
    sends: Direction,
}

/// The pods' own interfaces at which flows are counted; the node's end of the veth pair where the
/// pod's end is not counted.
fn own_interfaces<'a>(snapshot: &'a Snapshot, owners: &'a Owners) -> Vec<OwnInterface<'a>> {
    let counted = |door: &&DoorState| door.flows.is_some();
    let inside = |door: &&DoorState| door.side == Side::Pod;
    let doors = || snapshot.doors.iter().filter(counted);
    let mut own: Vec<_> = doors()
        .filter(inside)
        .filter_map(|door| {
            Some(OwnInterface {
                door,
                pod: owners.of_netns(door.netns?)?,
                sends: Direction::Egress,
            })
        })
        .collect();
    let seen: HashSet<DoorId> = own.iter().map(|own| own.door.id).collect();
    let ends: HashMap<DoorId, DoorId> = snapshot
        .pairs
        .iter()
        .flat_map(|pair| [(pair.ends[0], pair.ends[1]), (pair.ends[1], pair.ends[0])])
        .collect();
    let node_ends = doors().filter(|door| door.side == Side::Node);
    own.extend(node_ends.filter_map(|door| {
        let far = ends.get(&door.id)?;
        let pod = owners.of_netns(far.netns.known()?)?;
        (!seen.contains(far)).then_some(OwnInterface {
            door,
            pod,
            // What the pod sends comes in there.
            sends: Direction::Ingress,
        })
    }));
    own
}

impl OwnInterface<'_> {
    /// Counts a flow, unless it is counted at its sender's interface.
    fn add(&self, named: &NamedFlow, counted: &HashSet<&Owner>, sums: &mut Sums) {
        let flow = &named.flow;
        let own = Party::Known(self.pod.clone());
        let (pair, counted_at) = if flow.direction == self.sends {
            let to = party(named, flow.key.destination, &named.destination_owner);
            ((own, to), CountedAt::Sender)
        } else {
            let from = party(named, flow.key.source, &named.source_owner);
            if let Party::Known(sender) = &from
                && counted.contains(sender)
                && sender != self.pod
            {
                return;
            }
            ((from, own), CountedAt::Receiver)
        };
        let counts = PairCounts {
            counts: flow.counts.counts,
            packets_per_second: flow.packets_per_second,
            bytes_per_second: flow.bytes_per_second,
            retransmitted: flow.counts.retransmitted,
            flows: 1,
            counted_at,
        };
        sums.entry(pair)
            .and_modify(|sum| sum.add(&counts))
            .or_insert(counts);
    }
}

impl PairCounts {
    fn add(&mut self, other: &Self) {
        let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(rounded(a + b)),
            (a, b) => a.or(b),
        };
        self.counts = self.counts + other.counts;
        self.packets_per_second = sum(self.packets_per_second, other.packets_per_second);
        self.bytes_per_second = sum(self.bytes_per_second, other.bytes_per_second);
        self.retransmitted += other.retransmitted;
        self.flows += other.flows;
    }
}

/// Who has an address of a flow; of a service's, the pod that answers, where it is known.
fn party(named: &NamedFlow, address: IpAddr, owner: &Option<Owner>) -> Party {
    let answers = named.translation.filter(|it| it.asked.ip() == address);
    let owner = match (answers, &named.answered_by) {
        (Some(_), Some(pod)) => Some(pod),
        _ => owner.as_ref(),
    };
    match owner {
        Some(owner) => Party::Known(owner.clone()),
        None if is_multicast(address) => Party::Group(Group::Multicast),
        None => Party::Group(Group::Outside),
    }
}

fn is_multicast(address: IpAddr) -> bool {
    address.is_multicast() || address == Ipv4Addr::BROADCAST
}

/// Both directions of each pair in one row.
fn paired(mut sums: Sums) -> Vec<TalkingPair> {
    let mut pairs = Vec::new();
    while let Some(((a, b), a_to_b)) = sums.pop_first() {
        let b_to_a = sums.remove(&(b.clone(), a.clone()));
        // A pod comes first.
        let swap = !is_pod(&a) && is_pod(&b);
        pairs.push(match swap {
            false => TalkingPair {
                a,
                b,
                a_to_b: Some(a_to_b),
                b_to_a,
            },
            true => TalkingPair {
                a: b,
                b: a,
                a_to_b: b_to_a,
                b_to_a: Some(a_to_b),
            },
        });
    }
    pairs
}

fn is_pod(party: &Party) -> bool {
    matches!(party, Party::Known(Owner::Pod { .. }))
}
