//! The oracle's cluster as plain data.

use std::collections::BTreeMap;

use ipnet::IpNet;
use netviz::{
    model::{Cluster, Datapath, Direction, DoorId, Node, Peer, Role, Side},
    sys::netns::NetNsId,
    verify::{Expectation, Hooks, Mode, Party, Place, Route, Step, candidates, expectations},
};

use crate::{
    builders::{paths::door, snapshot_builder::net},
    cilium::oracle::Case,
};

/// Directories of the oracle, and the name of each mode.
pub const MODES: [(&str, &str); 8] = [
    ("vxlan", "vxlan"),
    ("vxlan-clsact", "vxlan"),
    ("vxlan-ipv6", "vxlan"),
    ("vxlan-host-routing", "vxlan-host-routing"),
    ("vxlan-host-routing-ipv6", "vxlan-host-routing"),
    ("native", "native"),
    ("native-host-routing", "native-host-routing"),
    ("native-endpoint-routes", "native-endpoint-routes"),
];

/// The mode of this name, as in the lab.
#[must_use]
pub fn mode_of(name: &str) -> Mode {
    Mode {
        tunnel: name.starts_with("vxlan"),
        host_routing: name.ends_with("host-routing"),
        endpoint_routes: name.ends_with("endpoint-routes"),
    }
}

/// The oracle's cluster as plain data, built from the names in its cases.
pub struct OracleCluster {
    /// Nodes and doors.
    pub cluster: Cluster,
    /// Cilium's programs, as far as they distinguish the modes.
    pub hooks: Hooks,
    nodes: BTreeMap<String, usize>,
    pods: BTreeMap<String, (usize, NetNsId)>,
}

impl OracleCluster {
    /// Returns all nodes and pods that the cases name, in this mode.
    #[must_use]
    pub fn of(cases: &[Case], mode: Mode) -> Self {
        let mut oracle = Self {
            cluster: Cluster::default(),
            hooks: Hooks::new(),
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
        };
        let crossings = || {
            cases
                .iter()
                .flat_map(|case| &case.paths)
                .flat_map(|path| &path.crossings)
        };
        for crossing in crossings() {
            if !oracle.nodes.contains_key(&crossing.node) {
                oracle.node(&crossing.node, mode);
            }
        }
        for crossing in crossings() {
            if let Some(pod) = crossing
                .pod
                .as_ref()
                .filter(|pod| !oracle.pods.contains_key(*pod))
            {
                oracle.pod(pod, oracle.nodes[&crossing.node], mode);
            }
        }
        oracle
    }

    fn node(&mut self, name: &str, mode: Mode) {
        let node = self.cluster.nodes.len();
        let netns = NetNsId(1 + node as u64);
        let address = net(&format!("172.18.0.{}/16", 2 + node));
        self.nodes.insert(name.into(), node);
        self.cluster.nodes.push(Node {
            name: name.into(),
            netns,
            cilium: true,
            addresses: vec![address],
            datapath: Some(Datapath {
                routing: Some(if mode.tunnel { "tunnel" } else { "native" }.into()),
                tunnel: mode.tunnel.then(|| "vxlan".into()),
                host_routing: Some(if mode.host_routing { "bpf" } else { "legacy" }.into()),
                endpoint_routes: Some(mode.endpoint_routes),
                ..Datapath::default()
            }),
            ..Node::default()
        });
        let mut add = |ifindex, role, interface: &str, addresses: &[IpNet]| {
            let id = DoorId::new(netns, ifindex);
            let mut door = door(id, node, Side::Node, role, interface);
            door.addresses = addresses.to_vec();
            self.cluster.doors.push(door);
        };
        add(2, Role::Uplink, "eth0", &[address]);
        add(3, Role::CiliumHost, "cilium_net", &[]);
        add(4, Role::CiliumHost, "cilium_host", &[]);
        if mode.tunnel {
            add(5, Role::Overlay, "cilium_vxlan", &[]);
        }
        let netdev = mode.host_routing.then(|| "cil_to_netdev".to_owned());
        let uplink = DoorId::new(netns, 2);
        self.hooks
            .insert((uplink, Direction::Egress), netdev.into_iter().collect());
    }

    fn pod(&mut self, name: &str, node: usize, mode: Mode) {
        let netns = NetNsId(100 + self.pods.len() as u64);
        let index = 10 + 2 * u32::try_from(self.pods.len()).unwrap();
        let ends = [
            DoorId::new(netns, index),
            DoorId::new(NetNsId(1 + node as u64), index + 1),
        ];
        self.pods.insert(name.into(), (node, netns));
        let mut inner = door(ends[0], node, Side::Pod, Role::Pod, "eth0");
        let mut outer = door(ends[1], node, Side::Node, Role::Pod, &format!("lxc:{name}"));
        let peer = |id| {
            Some(Peer {
                id,
                interface: None,
            })
        };
        (inner.peer, outer.peer) = (peer(ends[1]), peer(ends[0]));
        (inner.pod, outer.pod) = (Some(name.into()), Some(name.into()));
        let chain = mode.endpoint_routes.then(|| "cil_to_containe".to_owned());
        self.hooks
            .insert((ends[1], Direction::Egress), chain.into_iter().collect());
        self.cluster.doors.extend([outer, inner]);
    }

    /// Returns the expectation of a case, in the given mode or in that of the agents.
    #[must_use]
    pub fn expectation(&self, case: &Case, asked: Option<Mode>) -> Expectation {
        let route = self.route(case);
        let modes = candidates(&self.cluster, &route, &self.hooks, asked);
        let mut all = expectations(&self.cluster, &route, &modes, &self.hooks);
        assert_eq!(all.len(), 1, "{}", case.name);
        all.remove(0)
    }

    /// Returns sender and receiver of a case.
    #[must_use]
    pub fn route(&self, case: &Case) -> Route {
        let party = |name: &str, place| Party {
            name: name.into(),
            address: None,
            place,
        };
        let from = party(&case.sender, self.place(&case.sender));
        let home = match from.place {
            Place::Pod { node, .. } | Place::Node { node, .. } => node,
            Place::Elsewhere => unreachable!("a known sender"),
        };
        let other = 1 - home;
        let to = match case.name.as_str() {
            "pod -> own node IP" => Place::Node {
                node: home,
                router: false,
            },
            "pod -> other node IP" => Place::Node {
                node: other,
                router: false,
            },
            "pod -> own router IP (cilium_host)" => Place::Node {
                node: home,
                router: true,
            },
            "pod -> other node router IP" => Place::Node {
                node: other,
                router: true,
            },
            // The pod that received the packets, known after the run; also for a service.
            _ => {
                let mut requests = case.paths.iter().filter(|path| path.direction == "request");
                let last = requests.next().unwrap().crossings.last().unwrap();
                self.place(last.pod.as_ref().unwrap())
            }
        };
        Route::new(from, party(&case.destination, to))
    }

    fn place(&self, name: &str) -> Place {
        match self.pods.get(name) {
            Some((node, netns)) => Place::Pod {
                node: *node,
                netns: *netns,
            },
            None => Place::Node {
                node: self.nodes[name],
                router: false,
            },
        }
    }

    /// Formats the doors of a path, without bypassed ones.
    #[must_use]
    pub fn expected(&self, steps: &[Step]) -> Vec<String> {
        let steps = steps.iter().filter(|step| step.skipped_by.is_none());
        steps
            .map(|step| {
                let door = self.cluster.door(step.door).unwrap();
                let node = self.cluster.nodes[door.node].name.raw();
                let place = door.pod.as_deref().filter(|_| door.side == Side::Pod);
                let outer = if step.outer { "(outer)" } else { "" };
                format!(
                    "{}.{}{}{outer}",
                    place.unwrap_or(node),
                    door.interface,
                    step.direction.sign()
                )
            })
            .collect()
    }
}
