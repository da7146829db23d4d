//! The planned doors of a lab, to compare with those that netviz finds.

use std::collections::{BTreeMap, BTreeSet};

use netviz::{
    lab::{Door as Planned, Lab, Node, Place as _, Pod, PodKind},
    model::{Cluster, Door, Role, Side},
    sys::netns::NetNsId,
};

/// The compared properties of a door.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Name of the node.
    pub node: String,
    /// Its namespace.
    pub netns: NetNsId,
    /// Its index.
    pub ifindex: u32,
    /// Its name.
    pub interface: String,
    /// Its MAC.
    pub mac: String,
    /// Node's side or pod's side.
    pub side: Side,
    /// Its purpose.
    pub role: Role,
    /// Namespace, index and name of the other end.
    pub peer: Option<(NetNsId, u32, String)>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The pod's name.
    pub pod: Option<String>,
}

impl From<(&Cluster, &Door)> for Known {
    fn from((cluster, door): (&Cluster, &Door)) -> Self {
        // A namespace that netviz did not enter is not a planned one.
        let netns = |id: netviz::model::DoorId| id.netns.known().unwrap_or(NetNsId(0));
        Self {
            node: cluster.nodes[door.node].name.to_string(),
            netns: netns(door.id),
            ifindex: door.id.ifindex,
            interface: door.interface.clone(),
            mac: door.mac.clone().unwrap_or_default(),
            side: door.side,
            role: door.role,
            peer: door.peer.as_ref().map(|peer| {
                let name = peer.interface.clone().unwrap_or_default();
                (netns(peer.id), peer.id.ifindex, name)
            }),
            addresses: door.addresses.iter().map(ToString::to_string).collect(),
            pod: door.pod.clone(),
        }
    }
}

/// Returns all doors of a cluster.
#[must_use]
pub fn found(cluster: &Cluster) -> BTreeSet<Known> {
    let doors = cluster.doors.iter();
    doors.map(|door| Known::from((cluster, door))).collect()
}

/// Returns all doors of a lab; `wire` is the namespace between its nodes.
///
/// # Panics
/// If a namespace of the lab does not exist.
#[must_use]
pub fn planned(lab: &Lab, wire: NetNsId) -> BTreeSet<Known> {
    let ids: BTreeMap<i32, NetNsId> = lab
        .nodes()
        .iter()
        .map(|node| (node.pid(), lab.netns(node)))
        .chain(
            lab.health()
                .iter()
                .chain(lab.pods())
                .map(|pod| (pod.pid(), lab.netns(pod))),
        )
        .map(|(pid, netns)| (pid, netns.expect("a lab's namespace").id()))
        .collect();
    let mut all = BTreeSet::new();
    for node in lab.nodes() {
        all.extend(of_node(
            node,
            ids[&node.pid],
            wire,
            lab.options().mode.tunnels(),
        ));
    }
    for pod in lab.health().iter().chain(lab.pods()) {
        let node = lab.nodes().iter().find(|node| node.name == pod.node);
        let node = node.expect("a pod's node");
        all.extend(of_pod(pod, ids[&pod.pid], ids[&node.pid]));
    }
    all
}

fn of_node(node: &Node, id: NetNsId, wire: NetNsId, tunnels: bool) -> Vec<Known> {
    let known = |netns, door: &Planned, side, role| Known {
        node: node.name.clone(),
        netns,
        ifindex: door.index,
        interface: door.name.clone(),
        mac: mac(door),
        side,
        role,
        peer: None,
        addresses: Vec::new(),
        pod: None,
    };
    let pair = |mut one: Known, mut other: Known| {
        one.peer = Some((other.netns, other.ifindex, other.interface.clone()));
        other.peer = Some((one.netns, one.ifindex, one.interface.clone()));
        [one, other]
    };
    let net = known(id, &node.cilium_net, Side::Node, Role::CiliumHost);
    let mut host = known(id, &node.cilium_host, Side::Node, Role::CiliumHost);
    host.addresses = vec![format!("{}/32", node.router_address)];
    let mut eth0 = known(id, &node.eth0, Side::Node, Role::Uplink);
    eth0.addresses = vec![format!("{}/16", node.address)];
    let outside = known(wire, &node.wire, Side::Host, Role::Uplink);
    let mut doors = [pair(net, host), pair(eth0, outside)].concat();
    if tunnels {
        doors.push(known(id, &node.cilium_vxlan, Side::Node, Role::Overlay));
    }
    doors
}

fn of_pod(pod: &Pod, id: NetNsId, node: NetNsId) -> [Known; 2] {
    let health = pod.kind == PodKind::Health;
    let known = |netns, door: &Planned, side, peer: (NetNsId, &Planned)| Known {
        node: pod.node.clone(),
        netns,
        ifindex: door.index,
        interface: door.name.clone(),
        mac: mac(door),
        side,
        role: if health { Role::Health } else { Role::Pod },
        peer: Some((peer.0, peer.1.index, peer.1.name.clone())),
        addresses: Vec::new(),
        pod: (!health).then(|| pod.name.clone()),
    };
    let mut eth0 = known(id, &pod.eth0, Side::Pod, (node, &pod.interface));
    eth0.addresses = vec![format!("{}/32", pod.address)];
    [
        eth0,
        known(node, &pod.interface, Side::Node, (id, &pod.eth0)),
    ]
}

fn mac(door: &Planned) -> String {
    door.mac.map(|byte| format!("{byte:02x}")).join(":")
}
