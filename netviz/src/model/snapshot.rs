//! Cluster, counters and rates at one moment: the one input of every view.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    cluster::{Cluster, Node, SourceStatus},
    door::{Door, Role, Side},
    id::{DoorId, NetNsId},
    names::{Disagreement, Pod, Source},
    pair::{LossTracker, Pair, PairStats, StatsByDirection},
    sample::{AttachState, Chain, Counts, Direction, DoorSample, Sample},
};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.snapshot/1";

/// Reason of a door that is still in the queue.
pub const PENDING: &str = "not attached yet";

/// How the reason of a door begins that was not counted for a while.
const GAP: &str = "counting again after a gap";

/// How long it is said that a door was not counted for a while.
const GAP_IS_NEWS: Duration = Duration::from_secs(60);

/// How well a door is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every packet at both hooks is counted.
    Counting,
    /// Something crosses it unseen, or might: the reason says what.
    Blind,
    /// Packets reach the other end without crossing one of its hooks: the reason says how many.
    Bypassed,
    /// The interface has gone; the last counters stay for a while.
    Gone,
}

/// Rates over the window of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Packets (socket buffers) per second.
    pub packets: f64,
    /// Bytes per second.
    pub bytes: f64,
}

/// One direction of a door; `null` where nothing is known, which is not the same as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Traffic {
    /// Socket buffers since netviz stands there.
    pub packets: Option<u64>,
    /// Packets on the wire: a GSO super-packet counts as its segments.
    pub segments: Option<u64>,
    /// Bytes, Ethernet headers included.
    pub bytes: Option<u64>,
    /// Socket buffers per second in the window.
    pub packets_per_second: Option<f64>,
    /// Bytes per second in the window.
    pub bytes_per_second: Option<f64>,
}

/// Who else stands at a door's two hooks; `null` where that could not be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Programs {
    /// At the ingress hook.
    pub ingress: Option<Chain>,
    /// At the egress hook.
    pub egress: Option<Chain>,
}

/// One door at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct DoorState {
    /// Identity; not in the JSON form, where `netns` and `ifindex` say the same.
    #[serde(skip)]
    pub id: DoorId,
    /// Name of its node. Two nodes may have one name.
    pub node: String,
    /// Inode of its node's network namespace, by which nodes are told apart.
    pub node_netns: NetNsId,
    /// On which side of the wall it is.
    pub side: Side,
    /// What it is for.
    pub role: Role,
    /// Pod that it leads to.
    pub pod: Option<String>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<String>,
    /// Who says so.
    pub named_by: Option<Source>,
    /// Interface name, `null` where its namespace cannot be entered.
    pub interface: Option<String>,
    /// Its own index, in its own network namespace.
    pub ifindex: u32,
    /// Index of the other end, in the other end's namespace.
    pub peer_ifindex: Option<u32>,
    /// Name of the other end.
    pub peer_interface: Option<String>,
    /// Inode of its network namespace.
    pub netns: Option<NetNsId>,
    /// The kernel's link kind.
    pub kind: Option<String>,
    /// Addresses with prefix lengths.
    pub addresses: Vec<String>,
    /// Ethernet address.
    pub mac: Option<String>,
    /// Maximum transmission unit in bytes.
    pub mtu: Option<u32>,
    /// Operational state.
    pub link_state: Option<String>,
    /// How well it is seen.
    pub state: State,
    /// Why not better, and the remedy.
    pub reason: Option<String>,
    /// For how long it has been counted: doors are attached one after another, and one that was
    /// attached later has seen less. `null` where it was never counted.
    pub counted_seconds: Option<f64>,
    /// How often somebody took netviz's place: what crossed until netviz had it again is not counted.
    pub gaps: u32,
    /// How long the last of these times was, at the most, in seconds.
    pub last_gap_seconds: Option<f64>,
    /// Into the device.
    pub ingress: Traffic,
    /// Out of the device.
    pub egress: Traffic,
    /// Who else stands at its hooks.
    pub programs: Programs,
}

impl DoorState {
    /// Whether its reason is that it was not counted for a while.
    #[must_use]
    pub fn is_news_of_a_gap(&self) -> bool {
        let reason = self.reason.as_deref();
        self.gaps > 0 && reason.is_some_and(|reason| reason.starts_with(GAP))
    }
}

/// One direction of a veth pair: what went out at one end, and what came in at the other.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PairDirection {
    /// Interface at which packets go out.
    pub from: Option<String>,
    /// Interface at which they come in.
    pub to: Option<String>,
    /// Segments seen going out.
    pub out: Option<u64>,
    /// Segments seen coming in.
    #[serde(rename = "in")]
    pub into: Option<u64>,
    /// Segments, at the least, that went out and never came in.
    pub missing: Option<u64>,
    /// Segments, at the least, that came in without having crossed the other end's egress hook.
    pub skipped: Option<u64>,
    /// What stands behind a difference.
    pub reason: Option<String>,
}

/// A veth pair at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PairView {
    /// Identities of its two ends; not in the JSON form.
    #[serde(skip)]
    pub ends: [DoorId; 2],
    /// Name of its node.
    pub node: String,
    /// Pod that it leads to.
    pub pod: Option<String>,
    /// Both directions.
    pub directions: [PairDirection; 2],
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Snapshot {
    /// `netviz.snapshot/1`.
    pub schema: String,
    /// Wall-clock time, UTC.
    pub taken_at: String,
    /// Over how many seconds the rates were taken; `null` for a first reading.
    pub window_seconds: Option<f64>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Doors: never to be summed, a packet crosses several.
    pub doors: Vec<DoorState>,
    /// Veth pairs of which both ends are known.
    pub pairs: Vec<PairView>,
    /// Where the names come from.
    pub sources: Vec<SourceStatus>,
    /// Pods that a source has a name for.
    pub pods: Vec<Pod>,
    /// Where the sources do not agree.
    pub disagreements: Vec<Disagreement>,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
}

impl Snapshot {
    /// Puts together what was found and what was counted. `previous` gives the rates and, through
    /// `ledger`, what was lost in the veth pairs.
    #[must_use]
    pub fn new(
        cluster: &Cluster,
        previous: Option<&Sample>,
        now: &Sample,
        ledger: &mut LossTracker,
        taken_at: Timestamp,
    ) -> Self {
        let places = cluster.places();
        let pairs = cluster.pairs_among(&places);
        let flows = previous.map_or_else(StatsByDirection::new, |before| {
            ledger.observe(&pairs, before, now)
        });
        let window = previous.map(|before| now.at.saturating_sub(before.at).as_secs_f64());
        let view = View {
            cluster,
            places: &places,
            previous,
            now,
            window,
            flows: &flows,
        };
        Self {
            schema: SCHEMA.into(),
            taken_at: taken_at.to_string(),
            window_seconds: window,
            nodes: cluster.nodes.clone(),
            doors: cluster.doors.iter().map(|door| view.door(door)).collect(),
            pairs: pairs.iter().filter_map(|pair| view.pair(*pair)).collect(),
            sources: cluster.sources.clone(),
            pods: cluster.pods.clone(),
            disagreements: cluster.disagreements.clone(),
            notes: cluster.notes.clone(),
        }
    }
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
                .map_or_else(String::new, |n| n.name.clone()),
            node_netns: self
                .cluster
                .nodes
                .get(door.node)
                .map_or_else(NetNsId::default, |n| n.netns),
            side: door.side,
            role: door.role,
            pod: door.pod.clone(),
            namespace: door.namespace.clone(),
            named_by: door.named_by,
            interface: Some(door.interface.clone()).filter(|name| !name.is_empty()),
            ifindex: door.id.ifindex,
            peer_ifindex: door.peer.as_ref().map(|peer| peer.id.ifindex),
            peer_interface: door.peer.as_ref().and_then(|peer| peer.interface.clone()),
            netns: door.id.netns.known(),
            kind: door.kind.clone(),
            addresses: door.addresses.clone(),
            mac: door.mac.clone(),
            mtu: door.mtu,
            link_state: door.link_state.clone(),
            state,
            reason,
            counted_seconds: sample
                .since
                .map(|since| self.now.at.saturating_sub(since).as_secs_f64()),
            gaps: sample.epoch,
            last_gap_seconds: sample.gap.map(|gap| gap.length.as_secs_f64()),
            ingress: self.traffic(before, sample, Direction::Ingress),
            egress: self.traffic(before, sample, Direction::Egress),
            programs: Programs {
                ingress: sample.ingress_chain.clone(),
                egress: sample.egress_chain.clone(),
            },
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

    fn state(&self, door: &Door, sample: &DoorSample) -> (State, Option<String>) {
        match (&door.problem, &sample.meter) {
            (_, AttachState::Gone) => (State::Gone, Some("the interface was removed".into())),
            (Some(problem), _) => (State::Blind, Some(problem.clone())),
            (None, AttachState::Failed(reason)) => (State::Blind, Some(reason.clone())),
            (None, AttachState::Pending) => (State::Blind, Some(PENDING.into())),
            (None, AttachState::Counting) => self.counting(door, sample),
        }
    }

    fn counting(&self, door: &Door, sample: &DoorSample) -> (State, Option<String>) {
        for direction in [Direction::Ingress, Direction::Egress] {
            if let Some(chain) = sample
                .chain(direction)
                .filter(|chain| !chain.foreign_ahead().is_empty())
            {
                return (State::Blind, Some(ahead_reason(direction, chain)));
            }
        }
        let flow = self.outward(door);
        if flow.skipped > 0 {
            return (State::Bypassed, Some(skipped_reason(door, flow.skipped)));
        }
        let lost = (flow.missing > 0).then(|| {
            let peer = door.peer.as_ref().and_then(|peer| self.find(peer.id));
            let to = peer.map_or_else(|| "its peer".into(), Door::label);
            missing_reason(flow.missing, &to, sample.egress_chain.as_ref())
        });
        (State::Counting, lost.or_else(|| self.gap(sample)))
    }

    fn gap(&self, sample: &DoorSample) -> Option<String> {
        let gap = sample.gap?;
        let recent = self.now.at.saturating_sub(gap.ended) < GAP_IS_NEWS;
        recent.then(|| gap_reason(gap.length))
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
            pod: first.0.pod.clone().or_else(|| second.0.pod.clone()),
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
            (0, skipped) => Some(skipped_reason(from, skipped)),
            (missing, _) => Some(missing_reason(missing, &to.label(), chain)),
        });
        PairDirection {
            from: Some(from.interface.clone()).filter(|name| !name.is_empty()),
            to: Some(to.interface.clone()).filter(|name| !name.is_empty()),
            out: segments(leaving, Direction::Egress),
            into: segments(entering, Direction::Ingress),
            missing: flow.map(|flow| flow.missing),
            skipped: flow.map(|flow| flow.skipped),
            reason,
        }
    }
}

fn rates(before: Option<Counts>, now: Counts, window: Option<f64>) -> Option<Rates> {
    let seconds = window.filter(|seconds| *seconds > 0.0)?;
    let before = before?;
    Some(Rates {
        packets: now.packets.saturating_sub(before.packets) as f64 / seconds,
        bytes: now.bytes.saturating_sub(before.bytes) as f64 / seconds,
    })
}

fn ahead_reason(direction: Direction, chain: &Chain) -> String {
    let names = chain.foreign_ahead().join(", ");
    format!(
        "{} {names} runs before netviz: what it ends is not counted",
        direction.sign()
    )
}

fn gap_reason(length: Duration) -> String {
    format!(
        "{GAP} (up to {:.1} s): somebody removed netviz or went ahead of it",
        length.as_secs_f64()
    )
}

fn skipped_reason(from: &Door, skipped: u64) -> String {
    let how = match (from.role, from.side) {
        (Role::Pod | Role::Health, Side::Node) => "bpf_redirect_peer",
        _ => "a redirect",
    };
    let skipped = segments(skipped);
    format!("▲ skipped: {how} ({skipped} reached the other end past this hook)")
}

/// What went out and did not come in, and as much of a cause as is known.
fn missing_reason(missing: u64, to: &str, behind: Option<&Chain>) -> String {
    match behind.map(|chain| chain.behind.as_slice()) {
        None => format!("▲ {missing} did not come to {to}"),
        Some([]) => format!(
            "▲ {missing} lost before {to}: no program stands behind this hook, so its queue was full or the device down"
        ),
        Some(names) => {
            let names = names.join(", ");
            format!("▲ {missing} not at {to}: {names} behind this hook redirected or ended them")
        }
    }
}

fn segments(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} segment{plural}")
}
